//! An answer as it stands, for what is to be sent back whole.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

/// The name of a list's items, in answers and in forms.
const MEMBER: &str = "member";
/// No answer nests as deep; what does is not one.
const DEPTH_MAX: usize = 50;

/// One element: its text, or the elements in it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud::aws) enum Tree {
    Text(String),
    Fields(Vec<(String, Tree)>),
}

impl Tree {
    /// The element of a name in this one.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.fields().find(|(own, _)| *own == name).map(|(_, inner)| inner)
    }

    /// The element at the end of a path.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, name| tree.get(name))
    }

    /// The text of an element in this one; an empty element has none.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Self::as_text)
    }

    /// Its own text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Fields(_) => None,
        }
    }

    /// The elements in it by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        let fields = match self {
            Self::Text(_) => &[],
            Self::Fields(fields) => fields.as_slice(),
        };
        fields.iter().map(|(name, inner)| (name.as_str(), inner))
    }

    /// The items of a list in it, where the list is there.
    pub fn list(&self, name: &str) -> Option<Vec<&Self>> {
        let items = self.get(name)?.fields().filter(|(name, _)| *name == MEMBER);
        Some(items.map(|(_, item)| item).collect())
    }

    /// As the fields of a form: `Dimensions.member.1.Name`. What is empty is not sent.
    pub fn to_form(&self) -> Vec<(String, String)> {
        let mut form = Vec::new();
        self.write("", &mut form);
        form
    }

    fn write(&self, at: &str, form: &mut Vec<(String, String)>) {
        match self {
            Self::Text(text) => form.push((at.to_owned(), text.clone())),
            Self::Fields(fields) => {
                let mut place = 0;
                for (name, inner) in fields {
                    let dot = if at.is_empty() { "" } else { "." };
                    if name == MEMBER {
                        place += 1;
                        inner.write(&format!("{at}.{MEMBER}.{place}"), form);
                    } else {
                        inner.write(&format!("{at}{dot}{name}"), form);
                    }
                }
            }
        }
    }
}

/// An element whose end has not come yet.
#[derive(Default)]
struct Open {
    name: String,
    text: String,
    fields: Vec<(String, Tree)>,
}

impl Open {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Space between elements says nothing.
    fn closed(self) -> Tree {
        if self.fields.is_empty() && !self.text.trim().is_empty() {
            Tree::Text(self.text)
        } else {
            Tree::Fields(self.fields)
        }
    }
}

/// Reads a document: the outermost element.
///
/// # Errors
/// What is wrong with it.
pub(in crate::cloud::aws) fn read(text: &str) -> Result<Tree, String> {
    let mut reader = Reader::from_str(text);
    let mut around: Vec<Open> = Vec::new();
    let mut inner = Open::default();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(_) if around.len() >= DEPTH_MAX => {
                return Err(format!("more than {DEPTH_MAX} elements in each other"));
            }
            Event::Start(tag) => {
                let element = Open::named(tag.local_name().as_ref());
                around.push(std::mem::replace(&mut inner, element));
            }
            Event::Empty(tag) => {
                inner.fields.push((tag.local_name().as_ref().to_owned(), Tree::Fields(Vec::new())));
            }
            Event::End(_) => {
                let outer = around.pop().ok_or("an end without a beginning")?;
                let done = std::mem::replace(&mut inner, outer);
                inner.fields.push((done.name.clone(), done.closed()));
            }
            Event::Text(piece) => inner.text.push_str(&piece),
            Event::CData(piece) => inner.text.push_str(&piece),
            Event::GeneralRef(reference) => inner.text.push_str(&meant(&reference)?),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    match (around.is_empty(), inner.fields.pop()) {
        (true, Some((_, document))) if inner.fields.is_empty() => Ok(document),
        _ => Err("it is not one whole document".to_owned()),
    }
}

fn meant(reference: &BytesRef<'_>) -> Result<String, String> {
    let char = reference.resolve_char_ref().map_err(|error| error.to_string())?;
    let named = || resolve_predefined_entity(reference).map(str::to_owned);
    char.map(String::from).or_else(named).ok_or_else(|| format!("`&{};` means nothing", &**reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALARM: &str = "<R xmlns='x'><Name>a &amp; b</Name><Empty/><List><member>one</member><member>two</member></List>
        <Deep><member><Id>m1</Id><Dims><member><Name>N</Name><Value>&lt;v&gt;</Value></member></Dims></member></Deep></R>";

    #[test]
    fn an_answer_is_read_whole_and_written_as_the_form_that_makes_it() {
        let tree = read(ALARM).unwrap();
        assert_eq!(tree.text("Name"), Some("a & b"));
        assert_eq!(tree.list("Empty"), Some(vec![]));
        assert_eq!(tree.list("Absent"), None);
        let form = tree.to_form();
        let expected = [
            ("Name", "a & b"),
            ("List.member.1", "one"),
            ("List.member.2", "two"),
            ("Deep.member.1.Id", "m1"),
            ("Deep.member.1.Dims.member.1.Name", "N"),
            ("Deep.member.1.Dims.member.1.Value", "<v>"),
        ];
        assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(99), "</a>".repeat(99));
        for text in ["", "words", "<a>", "<a></b>", "<a/><b/>", "<a>&what;</a>", "</a>", &ALARM[..60], &deep]
        {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(
            read("<?xml version='1.0'?>\n<a>&#65;<![CDATA[<b>]]></a>"),
            Ok(Tree::Text("A<b>".to_owned()))
        );
    }
}
