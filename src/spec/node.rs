//! YAML text as a tree in which every value knows the bytes it stands on.
//!
//! The tree is loose on purpose: a typed parse stops at the first wrong value, and a person wants all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span as Bytes};

use super::fault::{Wrong, shown};

/// A deployment file is a few kilobytes; anything larger is some other file.
pub const TEXT_MAX: usize = 1 << 20;
/// How deep lists and mappings may stand in each other, with every alias filled in.
pub const DEPTH_MAX: usize = 32;
/// How many values a file may hold, with every alias filled in.
pub const NODES_MAX: usize = 10_000;

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: Range<usize>,
    pub kind: Kind,
}

/// What a value is. A scalar is read by whoever knows what it should be, so `revision: 1.10` stays `1.10`.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Plain(String),
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Whether nothing was written, or the word for nothing.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Plain(text) | Kind::Quoted(text) => Some(text),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The value as a person would call it in an error.
    pub fn named(&self) -> String {
        match &self.kind {
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Plain(text) => format!("`{}`", shown(text)),
            Kind::Quoted(text) => format!("the text `{}`", shown(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// What an alias costs where it is used.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    height: usize,
}

impl Weight {
    fn scalar(text: &str) -> Self {
        Self { nodes: 1, bytes: text.len(), height: 0 }
    }

    fn take_in(&mut self, child: Self) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.height = self.height.max(child.height + 1);
    }
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    weight: Weight,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, key: Option<Node>, seen: BTreeMap<String, usize> },
}

/// Builds the tree without recursion: depth costs memory on the heap, and is limited.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// Finished anchors by number; `None` while the anchored value is still open.
    anchors: BTreeMap<usize, Option<(Node, Weight)>>,
    total: Weight,
    root: Option<Node>,
    documents: usize,
    wrong: Vec<Wrong>,
}

/// Reads a text as one YAML document. What does not spoil the tree (a key given twice) is returned beside it.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Wrong>), Vec<Wrong>> {
    if text.len() > TEXT_MAX {
        let message = format!("the file is larger than {TEXT_MAX} bytes");
        return Err(vec![Wrong::new(0..0, message).hint("is this the right file?")]);
    }
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, bytes)) => builder.take(event, bytes),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_default();
                let wrong = Wrong::new(at..at, format!("not valid YAML: {}", shown(&error.info())));
                Err(match yaml_hint(error.kind()) {
                    Some(hint) => wrong.hint(hint),
                    None => wrong,
                })
            }
        };
        if let Err(fatal) = step {
            builder.wrong.push(fatal);
            return Err(builder.wrong);
        }
    }
    match builder.root {
        Some(root) => Ok((root, builder.wrong)),
        None => Err(vec![Wrong::new(0..0, "the file is empty")]),
    }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, bytes: Bytes) -> Result<(), Wrong> {
        let at = bytes.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(..) => self.document(at),
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.is_some(), &at)?;
                let weight = Weight::scalar(&text);
                self.count(Weight { height: 0, ..weight }, &at)?;
                // An empty value reaches us as a made-up `~` that stands on no byte.
                let text = if at.is_empty() { String::new() } else { text.into_owned() };
                let plain = style == ScalarStyle::Plain;
                let kind = if plain { Kind::Plain(text) } else { Kind::Quoted(text) };
                self.close(Node { at, kind }, anchor, weight)
            }
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.is_some(), &at)?;
                self.open(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.is_some(), &at)?;
                let content = Content::Map { entries: Vec::new(), key: None, seen: BTreeMap::new() };
                self.open(at, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(at.end),
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => Ok(()),
        }
    }

    fn document(&mut self, at: Range<usize>) -> Result<(), Wrong> {
        self.documents += 1;
        if self.documents > 1 {
            let wrong = Wrong::new(at, "a second YAML document begins here");
            return Err(wrong.hint("write one service in one file, and one file in one document"));
        }
        Ok(())
    }

    /// Counts what the whole file holds, aliases filled in, so that a small file cannot grow without end.
    fn count(&mut self, weight: Weight, at: &Range<usize>) -> Result<(), Wrong> {
        self.total.nodes += weight.nodes;
        self.total.bytes += weight.bytes;
        if self.total.nodes > NODES_MAX {
            return Err(Wrong::new(at.clone(), format!("the file holds more than {NODES_MAX} values")));
        }
        if self.total.bytes > TEXT_MAX {
            return Err(Wrong::new(at.clone(), format!("the aliases grow beyond {TEXT_MAX} bytes")));
        }
        if self.open.len() + weight.height > DEPTH_MAX {
            return Err(Wrong::new(at.clone(), format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    fn open(&mut self, at: Range<usize>, anchor: usize, content: Content) -> Result<(), Wrong> {
        let weight = Weight { nodes: 1, bytes: 0, height: 0 };
        self.count(Weight { height: 1, ..weight }, &at)?;
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.open.push(Open { start: at.start, anchor, weight, content });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), Wrong> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        self.close(Node { at: open.start..end, kind }, open.anchor, open.weight)
    }

    fn alias(&mut self, anchor: usize, at: Range<usize>) -> Result<(), Wrong> {
        let Some(Some((node, weight))) = self.anchors.get(&anchor).cloned() else {
            return Err(Wrong::new(at, "this alias stands inside the very value that it repeats"));
        };
        self.count(weight, &at)?;
        self.place(node, weight)
    }

    /// A value is complete: remembered under its anchor, and put where it belongs.
    fn close(&mut self, node: Node, anchor: usize, weight: Weight) -> Result<(), Wrong> {
        if anchor > 0 {
            self.anchors.insert(anchor, Some((node.clone(), weight)));
        }
        self.place(node, weight)
    }

    fn place(&mut self, node: Node, weight: Weight) -> Result<(), Wrong> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.weight.take_in(weight);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, seen } => match key.take() {
                None => *key = Some(named_key(node)?),
                Some(name) => {
                    let text = name.text().unwrap_or_default().to_owned();
                    if let Some(first) = seen.get(&text) {
                        let message = format!("`{}` is given twice", shown(&text));
                        self.wrong.push(Wrong::new(name.at, message).first_at(*first));
                    } else {
                        seen.insert(text, name.at.start);
                        entries.push((name, node));
                    }
                }
            },
        }
        Ok(())
    }
}

/// What usually lies behind an error of the parser, whose own words speak of its insides.
fn yaml_hint(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::UnknownAnchor => {
            "`*name` repeats a value that was marked with `&name` before; quote a plain star"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidIndentation => {
            "look at the indentation of this line and the one before; quote a text that holds a colon"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => "indent with spaces",
        ErrorKind::UnexpectedCharacter { .. } => "quote a text that holds special signs",
        _ => return None,
    })
}

fn named_key(node: Node) -> Result<Node, Wrong> {
    let why = match node.text() {
        Some("<<") => "merge keys (`<<`) are not part of YAML 1.2",
        Some(_) if !node.is_null() => return Ok(node),
        _ => "a key must be a plain word",
    };
    let hint = "an environment's settings are laid over the shared ones, so nothing needs to be repeated";
    let wrong = Wrong::new(node.at, why);
    Err(if why.starts_with("merge") { wrong.hint(hint) } else { wrong })
}

fn untagged(tagged: bool, at: &Range<usize>) -> Result<(), Wrong> {
    if tagged {
        let wrong = Wrong::new(at.clone(), "tags such as `!!str` have no meaning here");
        return Err(wrong.hint("quote a value to make it a text"));
    }
    Ok(())
}

/// The keys of a mapping, for a list in an error.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED_MAX: usize = 20;
    let names: BTreeSet<_> = names.into_iter().collect();
    let mut list: Vec<_> = names.iter().take(LISTED_MAX).map(|name| format!("`{}`", shown(name))).collect();
    if names.len() > LISTED_MAX {
        list.push(format!("{} more", names.len() - LISTED_MAX));
    }
    list.join(", ")
}
