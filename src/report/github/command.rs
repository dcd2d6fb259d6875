//! Workflow commands: lines that the runner obeys.

use std::fmt::Write as _;

use super::super::escape::escape;

/// How loud an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Notice,
    /// An exception that somebody made.
    Warning,
    /// Why the job fails.
    Error,
}

/// Where in the repository an annotation belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file, as seen from the repository's root.
    pub file: Option<&'a str>,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The column, counted from 1.
    pub column: Option<usize>,
}

/// The longest message: GitHub shows the first lines of an annotation, and keeps some kilobytes.
const MESSAGE_MAX: usize = 4_000;
/// The longest property.
const PROPERTY_MAX: usize = 400;

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One workflow command, as a line without its end. Properties without a value are left out.
#[must_use]
pub fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let mut line = format!("::{name}");
    let given = properties.iter().filter(|(_, value)| !value.is_empty());
    for (n, (key, value)) in given.enumerate() {
        let between = if n == 0 { ' ' } else { ',' };
        // Writing to a text does not fail.
        let _ = write!(line, "{between}{key}={}", property(&cut(value, PROPERTY_MAX)));
    }
    line + "::" + &data(&cut(message, MESSAGE_MAX))
}

/// An annotation at a place. The message may have lines; nothing else in it is obeyed or moves a cursor.
#[must_use]
pub fn annotate(level: Level, place: Place<'_>, title: &str, message: &str) -> String {
    let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    let (line, column) = (number(place.line), number(place.column));
    let harmless = message.lines().map(escape).collect::<Vec<_>>().join("\n");
    let file = place.file.unwrap_or_default();
    let properties = [("file", file), ("line", &line), ("col", &column), ("title", &escape(title))];
    command(level.word(), &properties, &harmless)
}

/// A message: GitHub undoes exactly these three.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value, which must not end the property either.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn cut(text: &str, signs_max: usize) -> String {
    match text.char_indices().nth(signs_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_by_the_documented_rules() {
        assert_eq!(command("group", &[], "100 %\r\nof: it, all"), "::group::100 %25%0D%0Aof: it, all");
        let line = annotate(
            Level::Error,
            Place { file: Some("a,b:c%.yaml"), line: Some(3), column: None },
            "no: way, ::x",
            "first\n::set-env name=A::b\u{1b}[2J",
        );
        assert_eq!(
            line,
            "::error file=a%2Cb%3Ac%25.yaml,line=3,title=no%3A way%2C %3A%3Ax::first%0A::set-env name=A::b\\u{1b}[2J"
        );
    }
}
