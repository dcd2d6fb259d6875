//! The judge of traffic: a route that was once served must stay served, wherever it sends its traffic.

use std::collections::BTreeSet;

use super::health::forwards;
use super::world::{Ms, World};

/// A group that got traffic and had nobody healthy to serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Darkness {
    /// The name of the target group.
    pub group: String,
    pub since: Ms,
    /// The call after which it was dark, or `time`.
    pub by: String,
    /// When it was served again.
    pub until: Option<Ms>,
}

/// What was judged so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Oracle {
    /// Every darkness there was, in order.
    pub darknesses: Vec<Darkness>,
    /// Routes that have served a request's worth of traffic.
    lit: BTreeSet<String>,
    /// Groups that carried traffic on a lit route, by route: what a route without any group left is dark for.
    carried: BTreeSet<(String, String)>,
}

impl Oracle {
    /// The groups that are dark now.
    pub fn dark(&self) -> BTreeSet<String> {
        let now = self.darknesses.iter().filter(|darkness| darkness.until.is_none());
        now.map(|darkness| darkness.group.clone()).collect()
    }
}

impl World {
    /// Looks at every route after `by`.
    pub fn judge(&mut self, by: &str) {
        let mut dark = BTreeSet::new();
        let (mut lit, mut carried) = (self.oracle.lit.clone(), self.oracle.carried.clone());
        for (route, actions) in self.routes() {
            let weighted: Vec<String> =
                forwards(actions).into_iter().filter(|(_, weight)| *weight > 0).map(|(arn, _)| arn).collect();
            if weighted.iter().any(|arn| self.healthy(arn) > 0) {
                lit.insert(route.to_owned());
            }
            if !lit.contains(route) {
                continue;
            }
            if weighted.is_empty() {
                let before = carried.iter().filter(|(of, _)| of == route);
                dark.extend(before.map(|(_, group)| group.clone()));
                continue;
            }
            // Whoever carries the traffic now is what the route stands for.
            carried.retain(|(of, _)| of != route);
            for arn in weighted {
                let name = self.groups.get(&arn).map_or_else(|| arn.clone(), |group| group.name.clone());
                if self.healthy(&arn) == 0 {
                    dark.insert(name.clone());
                }
                carried.insert((route.to_owned(), name));
            }
        }
        let now = self.now;
        let oracle = &mut self.oracle;
        (oracle.lit, oracle.carried) = (lit, carried);
        for open in oracle.darknesses.iter_mut().filter(|darkness| darkness.until.is_none()) {
            if !dark.remove(&open.group) {
                open.until = Some(now);
            }
        }
        let begun = |group| Darkness { group, since: now, by: by.to_owned(), until: None };
        oracle.darknesses.extend(dark.into_iter().map(begun));
    }
}
