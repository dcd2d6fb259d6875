//! Keeps what is printed from being obeyed.

use std::io::{self, Write};

/// What the text is, which decides how a sign may be written otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// For people: a backslash is put between.
    Text,
    /// JSON: the sign's code, which means the same.
    Json,
}

/// One line or more, in which the runner finds no command. It looks for `::` at the beginning of a line, after any
/// white space, and for `##[` anywhere.
#[must_use]
pub fn guarded(text: &str, manner: Manner) -> String {
    let old = match manner {
        Manner::Text => "##\\[",
        Manner::Json => "##\\u005b",
    };
    let text = text.replace("##[", old);
    if !text.contains("::") {
        return text;
    }
    let line = |line: &str| {
        let rest = line.trim_start();
        let (space, begins) = (&line[..line.len() - rest.len()], rest.starts_with("::"));
        // No line of JSON begins so.
        if begins { format!("{space}\\{rest}") } else { line.to_owned() }
    };
    text.split_inclusive(['\n', '\r']).map(line).collect()
}

/// A writer through which no command passes. It holds a line back until it is whole, or until it is flushed.
#[derive(Debug)]
pub struct Guarded<W: Write> {
    inner: W,
    manner: Manner,
    held: Vec<u8>,
}

impl<W: Write> Guarded<W> {
    /// Guards a writer.
    pub fn new(inner: W, manner: Manner) -> Self {
        Self { inner, manner, held: Vec::new() }
    }

    fn let_go(&mut self, end: usize) -> io::Result<()> {
        let whole: Vec<_> = self.held.drain(..end).collect();
        let text = guarded(&String::from_utf8_lossy(&whole), self.manner);
        self.inner.write_all(text.as_bytes())
    }
}

impl<W: Write> Write for Guarded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') {
            self.let_go(end + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.let_go(self.held.len())?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_begins_a_command_and_no_old_command_stands_in_a_line() {
        assert_eq!(
            guarded("  ::error::x\na ::b::\n##[warning]y", Manner::Text),
            "  \\::error::x\na ::b::\n##\\[warning]y"
        );
        assert_eq!(guarded("a\r::error::x", Manner::Text), "a\r\\::error::x");
        assert_eq!(guarded("\"##[add-mask]1\"", Manner::Json), "\"##\\u005badd-mask]1\"");
    }

    #[test]
    fn a_command_in_pieces_is_no_command_either() {
        let mut out = Vec::new();
        let mut guard = Guarded::new(&mut out, Manner::Text);
        for piece in [":", ":error", "::x\n##", "[warning]y\n", "z"] {
            guard.write_all(piece.as_bytes()).unwrap();
        }
        guard.flush().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\\::error::x\n##\\[warning]y\nz");
    }
}
