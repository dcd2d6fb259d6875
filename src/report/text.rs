//! Lines of words with a tone: what every screen is made of.

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::{brief, escape};

/// How a word sounds. It only underlines what the word says already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As any other.
    Plain,
    /// What the eye looks for.
    Strong,
    /// What it may pass over.
    Faint,
    /// Done, healthy.
    Good,
    /// Waiting, waived.
    Warn,
    /// Failed, dark.
    Bad,
}

/// One line. Whatever is put into it is escaped on the way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    words: Vec<(Tone, String)>,
}

/// Some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    lines: Vec<Line>,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => colour(AnsiColor::Green),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red).bold(),
        }
    }
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And these words.
    #[must_use]
    pub fn say(self, words: impl AsRef<str>) -> Self {
        self.tone(Tone::Plain, words)
    }

    /// And these words, in a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone, words: impl AsRef<str>) -> Self {
        let words = escape(words.as_ref());
        if !words.is_empty() {
            self.words.push((tone, words));
        }
        self
    }

    /// And a name, in backticks.
    #[must_use]
    pub fn name(self, name: impl fmt::Display) -> Self {
        self.say(format!("`{name}`"))
    }

    /// And what somebody else wrote, as much of it as fits a report.
    #[must_use]
    pub fn quote(self, words: &str) -> Self {
        self.say(brief(words))
    }

    /// And another line's words.
    #[must_use]
    pub fn line(mut self, other: Self) -> Self {
        self.words.extend(other.words);
        self
    }

    /// How many columns it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.words.iter().map(|(_, words)| words.width()).sum()
    }

    /// Filled up with spaces to a width.
    #[must_use]
    pub fn padded(self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.say(" ".repeat(missing))
    }

    /// Cut to a width; that something is missing shows.
    #[must_use]
    pub fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        let mut words = Vec::new();
        for (tone, word) in self.words {
            let fits = |c: &char| {
                let needs = c.width().unwrap_or(0);
                let fits = needs <= left;
                left = if fits { left - needs } else { 0 };
                fits
            };
            words.push((tone, word.chars().take_while(fits).collect()));
        }
        words.push((Tone::Plain, "…".into()));
        Self { words }
    }

    /// The line as it is printed, without its end.
    #[must_use]
    pub fn paint(&self, colour: bool) -> String {
        let mut painted = String::new();
        for (tone, words) in &self.words {
            let style = if colour { tone.style() } else { Style::new() };
            painted.extend([style.render().to_string(), words.clone(), style.render_reset().to_string()]);
        }
        if colour { painted } else { painted.trim_end().to_owned() }
    }
}

impl Text {
    /// No lines yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Adds an empty line, unless there is one already or nothing before it.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|last| last.width() > 0) {
            self.lines.push(Line::new());
        }
    }

    /// Adds lines.
    pub fn extend(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The text as it is printed.
    #[must_use]
    pub fn paint(&self, colour: bool) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + &line.paint(colour) + "\n")
    }

    /// Prints it. A reader that went away is no error: there is nobody left to tell.
    ///
    /// # Errors
    /// Whatever else the writer says.
    pub fn print(&self, out: &mut dyn Write, colour: bool) -> io::Result<()> {
        put(out, &self.paint(colour))
    }
}

/// Writes and flushes; a reader that went away is no error.
pub(super) fn put(out: &mut dyn Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paint(false))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paint(false))
    }
}

impl FromIterator<Line> for Text {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        Self { lines: lines.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_escaped_however_it_is_built() {
        let line = Line::new().say("a\u{1b}[2J").name("b\n").quote("c\u{202e}").tone(Tone::Bad, "d\r");
        assert_eq!(line.paint(false), "a\\u{1b}[2J`b\\n`c\\u{202e}d\\r");
    }

    #[test]
    fn a_line_is_cut_by_columns_and_not_by_letters() {
        let line = Line::new().say("组组组").say("abc");
        assert_eq!(line.width(), 9);
        assert_eq!(line.clone().cut(6).paint(false), "组组…");
        assert_eq!(line.clone().cut(8).paint(false), "组组组a…");
        assert_eq!(line.clone().cut(9), line);
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        let line = Line::new().tone(Tone::Good, "done").tone(Tone::Bad, "failed");
        assert_eq!(line.paint(false), "donefailed");
        assert!(line.paint(true).contains('\u{1b}'));
    }
}
