//! What is wrong with a file: where, why, and what to do about it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// More faults than anybody reads are counted, not listed.
pub const FAULTS_MAX: usize = 100;
/// A longer line is not printed: it is no text that a person wrote.
const LINE_SHOWN_MAX: usize = 400;
/// How much of a text from the file an error repeats.
const SHOWN_MAX: usize = 60;
/// A path is shown in full, within reason.
const PATH_SHOWN_MAX: usize = 1_000;

/// One fault of a deployment file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The bytes of the file that are at fault; within one line.
    pub span: Range<usize>,
    /// What is wrong, as a sentence fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Every fault of a deployment file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The file as it was named by the caller.
    pub file: String,
    /// The faults, [`FAULTS_MAX`] at most.
    pub faults: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
    #[serde(skip)]
    text: String,
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = escaped(&self.file, PATH_SHOWN_MAX);
        let mut between = "";
        for fault in &self.faults {
            write!(f, "{between}{file}:{}:{}: {}", fault.line, fault.column, fault.message)?;
            between = "\n";
        }
        if self.more > 0 { write!(f, "\nand {} more faults", self.more) } else { Ok(()) }
    }
}

impl Faults {
    /// The faults as a person reads them: each with the line it stands on. Colour only repeats what the text says.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let file = escaped(&self.file, PATH_SHOWN_MAX);
        let mut pages: Vec<_> =
            self.faults.iter().map(|fault| renderer.render(&[self.page(fault, &file)])).collect();
        if self.more > 0 {
            pages.push(format!("and {} more faults", self.more));
        }
        pages.join("\n\n") + "\n"
    }

    fn page<'a>(&'a self, fault: &'a Fault, file: &'a str) -> Group<'a> {
        let begin = self.text[..fault.span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = line_end(&self.text, fault.span.start);
        let mut page = Level::ERROR.primary_title(&fault.message).elements(None::<Origin<'_>>);
        if end - begin > LINE_SHOWN_MAX {
            page = page.element(Origin::path(file).line(fault.line).char_column(fault.column));
        } else {
            let line = harmless(&self.text[begin..end]);
            let at = fault.span.start - begin..fault.span.end - begin;
            let snippet = Snippet::source(line).line_start(fault.line).path(file);
            page = page.element(snippet.annotation(AnnotationKind::Primary.span(at)));
        }
        match &fault.hint {
            Some(hint) => page.element(Level::HELP.with_name("hint").message(hint)),
            None => page,
        }
    }
}

/// A fault before its place is turned into a line and a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wrong {
    start: usize,
    end: usize,
    message: String,
    hint: Option<String>,
    first_at: Option<usize>,
}

impl Wrong {
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { start: at.start, end: at.end, message: message.into(), hint: None, first_at: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where the same thing was said before.
    pub fn first_at(mut self, byte: usize) -> Self {
        self.first_at = Some(byte);
        self
    }
}

/// Sorts, drops what is said twice (an alias repeats its fault), and finds every line and column.
pub(super) fn gather(file: &str, text: &str, wrong: Vec<Wrong>) -> Faults {
    let text = if text.len() > super::TEXT_MAX { "" } else { text };
    let wrong: BTreeSet<Wrong> = wrong.into_iter().collect();
    let lines: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(byte, _)| byte + 1)).collect();
    let line_of = |byte: usize| lines.partition_point(|begin| *begin <= byte);
    let more = wrong.len().saturating_sub(FAULTS_MAX);
    let faults = wrong.into_iter().take(FAULTS_MAX).map(|wrong| {
        let start = text.floor_char_boundary(wrong.start.min(text.len()));
        let line = line_of(start);
        let end = text.floor_char_boundary(wrong.end.min(line_end(text, start)).max(start));
        let column = text[lines[line - 1]..start].chars().count() + 1;
        let first = wrong.first_at.map(|byte| format!("the first one is on line {}", line_of(byte)));
        Fault { line, column, span: start..end, message: wrong.message, hint: wrong.hint.or(first) }
    });
    Faults { file: file.to_owned(), faults: faults.collect(), more, text: text.to_owned() }
}

/// Where the line of a byte ends, without its line break.
fn line_end(text: &str, byte: usize) -> usize {
    let rest = &text[byte..];
    let line = rest.split('\n').next().unwrap_or_default();
    byte + line.strip_suffix('\r').unwrap_or(line).len()
}

/// A text from outside as an error may repeat it: short, and without signs that move a cursor.
pub(super) fn shown(text: &str) -> String {
    escaped(text, SHOWN_MAX)
}

/// A line of the file with every sign replaced that could move a cursor or turn the text around. The replacements
/// take as many bytes, so that places stay true. (`annotate-snippets` 0.12.17 lets U+0080 to U+009F through, among
/// which U+009B begins a command to a terminal; seen 2026-11-22 by the fuzz test.)
fn harmless(line: &str) -> String {
    let sign = |sign: char| {
        let plain = matches!(sign, '\t' | '"' | '\'' | '\\') || sign.is_alphanumeric();
        match sign.len_utf8() {
            _ if plain || sign.escape_debug().count() == 1 => sign,
            1 => '?',
            2 => '·',
            3 => '\u{fffd}',
            _ => '\u{1fbc4}',
        }
    };
    line.chars().map(sign).collect()
}

fn escaped(text: &str, signs_max: usize) -> String {
    let mut shown = String::new();
    for (count, sign) in text.chars().enumerate() {
        if count == signs_max {
            shown.push('…');
            break;
        }
        match sign {
            '\'' | '"' | '\\' => shown.push(sign),
            _ => shown.extend(sign.escape_debug()),
        }
    }
    shown
}
