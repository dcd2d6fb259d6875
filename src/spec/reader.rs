//! Reads a tree key by key and collects what is wrong instead of stopping at it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr;

use super::fault::{Wrong, shown};
use super::node::{Kind, Node, listed};
use super::table::{Key, Need, Place, STORE_MAX, Shape, WORDS_MAX};
use super::variable::{Text, WHERE, any_value, is_name};
use crate::model::{BadName, Hold, Span};

/// Everything that was found wrong so far. Whoever returns `None` has said why in here.
#[derive(Default)]
pub(super) struct Reader {
    wrong: RefCell<Vec<Wrong>>,
}

impl Reader {
    pub fn refuse(&self, wrong: Wrong) {
        self.wrong.borrow_mut().push(wrong);
    }

    pub fn refuse_all(&self, wrong: Vec<Wrong>) {
        self.wrong.borrow_mut().extend(wrong);
    }

    pub fn keep<T>(&self, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.refuse(wrong)).ok()
    }

    pub fn into_wrong(self) -> Vec<Wrong> {
        self.wrong.into_inner()
    }

    /// The text of a scalar that must not hold variables.
    fn scalar<'a>(&self, node: &'a Node, what: &str) -> Option<&'a str> {
        let text = self.raw(node, what)?;
        if text.contains("${") {
            self.refuse(Wrong::new(node.at.clone(), "no variable can stand here").hint(WHERE));
            return None;
        }
        Some(text)
    }

    fn raw<'a>(&self, node: &'a Node, what: &str) -> Option<&'a str> {
        let text = node.text().filter(|_| !node.is_null());
        if text.is_none() {
            self.refuse(unexpected(node, what));
        }
        text
    }

    /// A name of the model.
    pub fn name<T: FromStr<Err = BadName>>(&self, node: &Node) -> Option<T> {
        let text = self.scalar(node, "a name")?;
        self.keep(text.parse().map_err(|bad: BadName| {
            let message = format!("`{}` cannot be {}", shown(text), bad.what());
            Wrong::new(node.at.clone(), message).hint(bad.rule())
        }))
    }

    /// A text that may hold variables.
    pub fn text(&self, node: &Node) -> Option<Text> {
        let text = self.raw(node, "a text")?;
        self.keep(Text::new(text, &node.at))
    }

    /// A revision; may hold variables, and is checked at once where it holds none.
    pub fn revision(&self, node: &Node) -> Option<Text> {
        let text = self.text(node)?;
        if !text.has_variables() {
            self.keep(text.revision(&any_value))?;
        }
        Some(text)
    }

    pub fn span(&self, node: &Node, least: Span) -> Option<Span> {
        let text = self.scalar(node, "a length of time such as 30s")?;
        let span: Option<Span> = text.parse().ok();
        match span {
            Some(span) if span >= least => Some(span),
            Some(_) => {
                let message = format!("`{}` is too short: at least {least}", shown(text));
                self.refuse(Wrong::new(node.at.clone(), message));
                None
            }
            None => {
                let message = format!("`{}` is not a length of time", shown(text));
                let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
                let hint = if digits && text.len() < 10 {
                    format!("a bare number has no unit: write {text}s or {text}m")
                } else {
                    "write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 1d, up to 365d".to_owned()
                };
                self.refuse(Wrong::new(node.at.clone(), message).hint(hint));
                None
            }
        }
    }

    pub fn hold(&self, node: &Node) -> Option<Hold> {
        if node.text() == Some("promote") {
            return Some(Hold::Promote);
        }
        self.span(node, Span::ZERO).map(Hold::For)
    }

    pub fn count(&self, node: &Node, shape: Shape) -> Option<u64> {
        let Shape::Count { least, most } = shape else { return None };
        let what = format!("a whole number from {least} to {most}");
        let text = self.scalar(node, &what)?;
        let plain = matches!(node.kind, Kind::Plain(_)) && text.chars().all(|c| c.is_ascii_digit());
        let number = text.parse().ok().filter(|number| plain && (least..=most).contains(number));
        if number.is_none() {
            self.refuse(unexpected(node, &what));
        }
        number
    }

    fn flag(&self, node: &Node) -> Option<bool> {
        match (self.scalar(node, "true or false")?, &node.kind) {
            ("true" | "True" | "TRUE", Kind::Plain(_)) => Some(true),
            ("false" | "False" | "FALSE", Kind::Plain(_)) => Some(false),
            _ => {
                self.refuse(unexpected(node, "true or false"));
                None
            }
        }
    }

    fn choice(&self, node: &Node, words: &[&'static str]) -> Option<&'static str> {
        let what = format!("one of {}", listed(words.iter().copied()));
        let text = self.scalar(node, &what)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            self.refuse(unexpected(node, &what));
        }
        word
    }

    fn path(&self, node: &Node) -> Option<String> {
        const PATH_MAX: usize = 1_024;
        let text = self.scalar(node, "a path such as /health")?;
        let visible = text.len() <= PATH_MAX && text.chars().all(|c| c.is_ascii_graphic());
        if text.starts_with('/') && visible {
            return Some(text.to_owned());
        }
        let wrong = Wrong::new(node.at.clone(), format!("`{}` is not a path", shown(text)));
        self.refuse(wrong.hint("begin with / and use visible ASCII signs only, such as /health"));
        None
    }

    fn store(&self, node: &Node) -> Option<String> {
        let text = self.scalar(node, "a store such as s3://bucket/prefix")?;
        let begins = ["file:", "s3://", "oss://"].iter().any(|scheme| {
            text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && text.len() <= STORE_MAX)
        });
        if begins {
            return Some(text.to_owned());
        }
        let wrong = Wrong::new(node.at.clone(), format!("`{}` is not a store", shown(text)));
        self.refuse(wrong.hint("write file:DIR, s3://BUCKET/PREFIX or oss://BUCKET/PREFIX"));
        None
    }

    fn address(&self, node: &Node) -> Option<SocketAddr> {
        let text = self.scalar(node, "an address and a port such as 127.0.0.1:8080")?;
        let refuse = |why: &str, hint: String| {
            self.refuse(Wrong::new(node.at.clone(), format!("`{}` {why}", shown(text))).hint(hint));
            None
        };
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 => Some(address),
            Ok(_) => refuse("has no port", "a target group needs a port that others can know".to_owned()),
            Err(_) => {
                let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(8080);
                let hint =
                    format!("write an IP address and a port, such as 127.0.0.1:{port} or [::1]:{port}");
                refuse("is not an address and a port", hint)
            }
        }
    }

    /// The number of an account. A leading zero is a digit like any other.
    fn digits(&self, node: &Node, count: usize) -> Option<String> {
        let what = format!("an account's number, which has {count} digits");
        let text = self.scalar(node, &what)?;
        if text.len() == count && text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(text.to_owned());
        }
        self.refuse(unexpected(node, &what));
        None
    }

    /// A name that a cloud gave.
    fn label(&self, node: &Node) -> Option<String> {
        const LABEL_MAX: usize = 512;
        let text = self.scalar(node, "a name")?;
        let visible = |c: char| !c.is_whitespace() && !c.is_control();
        if !text.is_empty() && text.len() <= LABEL_MAX && text.chars().all(visible) {
            return Some(text.to_owned());
        }
        let wrong = Wrong::new(node.at.clone(), format!("`{}` is not a name", shown(text)));
        self.refuse(wrong.hint(format!("1 to {LABEL_MAX} visible signs without a blank")));
        None
    }

    fn pair(&self, node: &Node) -> Option<[String; 2]> {
        let Kind::List(items) = &node.kind else {
            self.refuse(unexpected(node, "a list of two names"));
            return None;
        };
        let names: Vec<_> = items.iter().map(|item| self.label(item)).collect();
        let names: Vec<String> = names.into_iter().collect::<Option<_>>()?;
        match <[String; 2]>::try_from(names) {
            Ok([first, second]) if first == second => {
                let message = format!("`{}` is there twice", shown(&first));
                self.refuse(Wrong::new(node.at.clone(), message).hint("give two different names"));
                None
            }
            Ok(pair) => Some(pair),
            Err(names) => {
                let message = format!("expected two names, found {}", names.len());
                self.refuse(Wrong::new(node.at.clone(), message));
                None
            }
        }
    }

    fn words(&self, node: &Node) -> Option<Vec<Text>> {
        let Kind::List(items) = &node.kind else {
            let hint = "there is no shell: write each word as an item, such as [deployer, sample]";
            self.refuse(unexpected(node, "a list of words").hint(hint));
            return None;
        };
        if items.is_empty() || items.len() > WORDS_MAX {
            let message = format!("expected 1 to {WORDS_MAX} words, found {}", items.len());
            self.refuse(Wrong::new(node.at.clone(), message));
            return None;
        }
        if items.first().and_then(Node::text) == Some("") {
            self.refuse(Wrong::new(items[0].at.clone(), "the program has no name"));
            return None;
        }
        let words: Vec<_> = items.iter().map(|item| self.text(item)).collect();
        words.into_iter().collect()
    }

    fn env(&self, node: &Node) -> Option<BTreeMap<String, Text>> {
        const OURS: [&str; 4] = ["INSTANCE", "PORT", "REVISION", "SERVICE"];
        let Kind::Map(entries) = &node.kind else {
            self.refuse(unexpected(node, "a mapping of names to values"));
            return None;
        };
        if entries.len() > WORDS_MAX {
            self.refuse(Wrong::new(node.at.clone(), format!("more than {WORDS_MAX} variables")));
        }
        let mut env = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = self.scalar(key, "the name of a variable") else { continue };
            if !is_name(name) {
                let message = format!("`{}` cannot be the name of an environment variable", shown(name));
                let wrong = Wrong::new(key.at.clone(), message);
                self.refuse(wrong.hint("use letters, digits and _, not beginning with a digit"));
            } else if OURS.contains(&name) {
                let message = format!("`{name}` is set by `deployer` for each instance");
                self.refuse(Wrong::new(key.at.clone(), message).hint("choose another name"));
            } else if value.is_null() {
                let message = format!("`{}` has no value", shown(name));
                self.refuse(Wrong::new(key.at.clone(), message).hint("for an empty one write \"\""));
            } else if let Some(text) = self.text(value) {
                env.insert(name.to_owned(), text);
            }
        }
        Some(env)
    }
}

fn unexpected(node: &Node, what: &str) -> Wrong {
    Wrong::new(node.at.clone(), format!("expected {what}, found {}", node.named()))
}

/// A mapping whose keys are known.
pub(super) struct Fields<'a> {
    pub reader: &'a Reader,
    /// Where the mapping is named: what is missing in it is reported here.
    pub at: Range<usize>,
    place: &'static Place,
    entries: BTreeMap<&'static str, (&'a Node, &'a Node)>,
    /// Keys that were written without a value, or probably meant by an unknown one: refused, but not missing.
    spoiled: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Takes a mapping: unknown keys, keys without a value and missing keys are refused here, once for all readers.
    pub fn open(
        reader: &'a Reader,
        node: &'a Node,
        at: &Range<usize>,
        place: &'static Place,
    ) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let keys = listed(place.keys().map(|key| key.name));
            reader.refuse(unexpected(node, "a mapping").hint(format!("known keys: {keys}")));
            return None;
        };
        let mut fields =
            Self { reader, at: at.clone(), place, entries: BTreeMap::new(), spoiled: Vec::new() };
        for (name, value) in entries {
            let text = name.text().unwrap_or_default();
            match place.key(text) {
                None => {
                    let near = nearest(text, place.keys().map(|key| key.name));
                    reader.refuse(unknown(name, place, near));
                    fields.spoiled.extend(near);
                }
                Some(key) if value.is_null() => {
                    reader.refuse(Wrong::new(name.at.clone(), format!("`{text}` has no value")));
                    fields.spoiled.push(key.name);
                }
                Some(key) => drop(fields.entries.insert(key.name, (name, value))),
            }
        }
        for key in place.keys().filter(|key| matches!(key.need, Need::Required) && !fields.names(key.name)) {
            reader.refuse(missing(at, key));
        }
        if !place.either.is_empty() && fields.spoiled.is_empty() {
            fields.choose_one();
        }
        Some(fields)
    }

    /// One whole set of [`Place::either`] must be there, and no key of another.
    fn choose_one(&self) {
        let sets = self.place.either;
        let touched: Vec<_> =
            sets.iter().filter(|set| set.iter().any(|name| self.entries.contains_key(name))).collect();
        let ways: Vec<_> = sets
            .iter()
            .map(|set| set.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and "))
            .collect();
        let whole = |set: &[&str]| set.iter().all(|name| self.entries.contains_key(name));
        let problem = match touched.as_slice() {
            [set] if whole(set) => return,
            [] => "nothing",
            [_] => "only a part of it",
            _ => "more than one of them",
        };
        let message = format!("expected {}, found {problem}", ways.join(", or "));
        self.reader.refuse(Wrong::new(self.at.clone(), message));
    }

    /// Whether a key is written at all, readable or not.
    pub fn names(&self, name: &str) -> bool {
        self.entries.contains_key(name) || self.spoiled.contains(&name)
    }

    /// Where a key is written.
    pub fn key_at(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).map(|(key, _)| key.at.clone())
    }

    /// The value of a key.
    pub fn value(&self, name: &str) -> Option<&'a Node> {
        debug_assert!(self.place.key(name).is_some(), "the reader asks only for keys of the table");
        self.entries.get(name).map(|(_, value)| *value)
    }

    fn shaped(&self, name: &str) -> Option<(&'a Node, Shape)> {
        Some((self.value(name)?, self.place.key(name)?.shape))
    }

    pub fn name<T: FromStr<Err = BadName>>(&self, name: &str) -> Option<T> {
        self.reader.name(self.value(name)?)
    }

    pub fn revision(&self, name: &str) -> Option<Text> {
        self.reader.revision(self.value(name)?)
    }

    pub fn span(&self, name: &str) -> Option<Span> {
        match self.shaped(name)? {
            (node, Shape::Span { least }) => self.reader.span(node, least),
            _ => None,
        }
    }

    pub fn hold(&self, name: &str) -> Option<Hold> {
        self.reader.hold(self.value(name)?)
    }

    pub fn count(&self, name: &str) -> Option<u64> {
        let (node, shape) = self.shaped(name)?;
        self.reader.count(node, shape)
    }

    pub fn count_u32(&self, name: &str) -> Option<u32> {
        self.count(name).and_then(|count| u32::try_from(count).ok())
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.reader.flag(self.value(name)?)
    }

    pub fn choice(&self, name: &str) -> Option<&'static str> {
        match self.shaped(name)? {
            (node, Shape::Choice(words)) => self.reader.choice(node, words),
            _ => None,
        }
    }

    pub fn path(&self, name: &str) -> Option<String> {
        self.reader.path(self.value(name)?)
    }

    pub fn store(&self, name: &str) -> Option<String> {
        self.reader.store(self.value(name)?)
    }

    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.reader.address(self.value(name)?)
    }

    pub fn digits(&self, name: &str) -> Option<String> {
        match self.shaped(name)? {
            (node, Shape::Digits(count)) => self.reader.digits(node, count),
            _ => None,
        }
    }

    pub fn label(&self, name: &str) -> Option<String> {
        self.reader.label(self.value(name)?)
    }

    pub fn pair(&self, name: &str) -> Option<[String; 2]> {
        self.reader.pair(self.value(name)?)
    }

    pub fn words(&self, name: &str) -> Option<Vec<Text>> {
        self.reader.words(self.value(name)?)
    }

    pub fn env(&self, name: &str) -> Option<BTreeMap<String, Text>> {
        self.reader.env(self.value(name)?)
    }

    /// A mapping inside this one.
    pub fn place(&self, name: &str) -> Option<Fields<'a>> {
        match self.shaped(name)? {
            (node, Shape::Place(place)) => Self::open(self.reader, node, &self.key_at(name)?, place),
            _ => None,
        }
    }

    /// Mappings under names of their own. `None` stands for one that is no mapping at all.
    pub fn named(&self, name: &str) -> Option<Vec<(&'a Node, Option<Fields<'a>>)>> {
        let (node, Shape::Named { place, least, most, .. }) = self.shaped(name)? else { return None };
        let Kind::Map(entries) = &node.kind else {
            self.reader.refuse(unexpected(node, "a mapping with a name for each"));
            return None;
        };
        if entries.len() < least || entries.len() > most {
            let message = format!("expected {least} to {most} of `{name}`, found {}", entries.len());
            self.reader.refuse(Wrong::new(self.key_at(name)?, message));
            return None;
        }
        let open = |(key, value): &'a (Node, Node)| (key, Self::open(self.reader, value, &key.at, place));
        Some(entries.iter().map(open).collect())
    }
}

fn missing(at: &Range<usize>, key: &Key) -> Wrong {
    Wrong::new(at.clone(), format!("`{}` is missing here", key.name)).hint(key.doc)
}

fn unknown(name: &Node, place: &Place, near: Option<&str>) -> Wrong {
    let text = name.text().unwrap_or_default();
    let wrong = Wrong::new(name.at.clone(), format!("unknown key `{}`", shown(text)));
    match near {
        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
        None => wrong.hint(format!("known keys: {}", listed(place.keys().map(|key| key.name)))),
    }
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const COMPARED_MAX: usize = 40;
    if text.len() > COMPARED_MAX {
        return None;
    }
    let near = known.map(|word| (distance(text, word), word)).min()?;
    let allowed = (near.1.len() / 3).max(1);
    (near.0 <= allowed).then_some(near.1)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, sign) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let change = above[column] + usize::from(sign != other);
            let mut best = change.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *sign == right[column - 1] && left[row - 1] == *other {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_close_and_another_word_is_not() {
        assert_eq!(distance("setle", "settle"), 1);
        assert_eq!(distance("settel", "settle"), 1);
        assert_eq!(distance("", "abc"), 3);
        let known = ["settle", "bake", "quiet", "by"];
        assert_eq!(nearest("Settle", known.into_iter()), Some("settle"));
        assert_eq!(nearest("quite", known.into_iter()), Some("quiet"));
        assert_eq!(nearest("provision", known.into_iter()), None);
        assert_eq!(nearest(&"b".repeat(100_000), known.into_iter()), None);
    }
}
