//! What goes wrong on the wire, for which calls.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::world::Ms;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused because there were too many calls; nothing is applied.
    Throttle,
    /// Answered with this status, 500 or 503; nothing is applied.
    Status(u16),
    /// The connection is closed before anything is applied.
    Reset,
    /// Applied, and then the connection is closed.
    LostReply,
    /// Applied, and answered after this many milliseconds.
    Slow(Ms),
    /// Applied only after this many milliseconds, whether or not the caller still waits, and then answered.
    Late(Ms),
    /// Refused for lack of permission; nothing is applied.
    Denied,
    /// Applied, and the answer is cut in the middle.
    Truncated,
    /// Applied, and answered whole but for its lists, which are not there at all.
    Bare,
    /// Not applied: the endpoint does not know the operation, and says so with this status and a page for people.
    Page(u16),
}

/// Which calls a fault is for.
#[derive(Debug, Clone)]
pub struct On {
    action: Option<String>,
    containing: Option<String>,
    range: RangeInclusive<usize>,
}

impl On {
    /// Every call of an operation.
    pub fn call(action: &str) -> Self {
        Self { action: Some(action.to_owned()), ..Self::any() }
    }

    /// Every call.
    pub fn any() -> Self {
        Self { action: None, containing: None, range: 1..=usize::MAX }
    }

    /// Of those, only the n-th from now on, counted from 1.
    pub fn nth(self, n: usize) -> Self {
        Self { range: n..=n, ..self }
    }

    /// Of those, only the first few from now on.
    pub fn first(self, n: usize) -> Self {
        Self { range: 1..=n, ..self }
    }

    /// Of those, only the calls from one to another, counted from 1.
    pub fn between(self, first: usize, last: usize) -> Self {
        Self { range: first..=last, ..self }
    }

    /// Only calls with a parameter whose value contains this.
    pub fn containing(self, text: &str) -> Self {
        Self { containing: Some(text.to_owned()), ..self }
    }

    fn matches(&self, action: &str, tree: &Value) -> bool {
        let contains = |text: &String| values(tree).iter().any(|value| value.contains(text));
        self.action.as_ref().is_none_or(|own| own == action) && self.containing.as_ref().is_none_or(contains)
    }
}

fn values(tree: &Value) -> Vec<String> {
    match tree {
        Value::Object(fields) => fields.values().flat_map(values).collect(),
        Value::Array(list) => list.iter().flat_map(values).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// Faults as they stand.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<(On, Fault, usize)>,
    pub fired: usize,
}

impl Faults {
    pub fn add(&mut self, on: On, fault: Fault) {
        self.rules.push((on, fault, 0));
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault of this call.
    pub fn take(&mut self, action: &str, tree: &Value) -> Option<Fault> {
        let mut found = None;
        for (on, fault, seen) in self.rules.iter_mut().filter(|(on, _, _)| on.matches(action, tree)) {
            *seen += 1;
            if on.range.contains(seen) {
                found = found.or(Some(*fault));
            }
        }
        self.fired += usize::from(found.is_some());
        found
    }
}
