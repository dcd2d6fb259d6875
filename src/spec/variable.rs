//! `${NAME}` in the few places where a file may take something from outside.

use std::ops::Range;

use super::fault::{Wrong, shown};
use crate::model::Revision;

/// Gives the value of a variable, or nothing where it is not set.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Stands in for every variable: a file can be checked where its variables are not known.
#[must_use]
pub fn any_value(_name: &str) -> Option<String> {
    Some("0".to_owned())
}

/// Where variables may stand, for every error that says so.
pub(super) const WHERE: &str = "variables are filled in only in `revision`, `bootstrap`, the items of `command` and the values of `env`; `$${` is a plain `${`";
/// A longer value is no version and no argument.
const VALUE_MAX: usize = 32 << 10;

/// A text with holes.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub at: Range<usize>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Variable(String),
}

impl Text {
    /// Finds the holes.
    pub fn new(text: &str, at: &Range<usize>) -> Result<Self, Wrong> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(dollar) = rest.find('$') {
            plain.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$${") {
                plain.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = hole(after, at)?;
                parts.push(Part::Plain(std::mem::take(&mut plain)));
                parts.push(Part::Variable(name.to_owned()));
                rest = after;
            } else {
                plain.push('$');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        parts.push(Part::Plain(plain));
        Ok(Self { at: at.clone(), parts })
    }

    /// Whether a part of it comes from outside, and must not be repeated in an error.
    pub fn has_variables(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Variable(_)))
    }

    /// Fills the holes. No error holds a value.
    pub fn fill(&self, variables: &Variables<'_>) -> Result<String, Wrong> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Plain(text) => filled.push_str(text),
                Part::Variable(name) => filled.push_str(&self.look_up(name, variables)?),
            }
        }
        if filled.len() > VALUE_MAX {
            return Err(Wrong::new(self.at.clone(), format!("longer than {VALUE_MAX} bytes")));
        }
        if filled.contains('\0') {
            return Err(Wrong::new(self.at.clone(), "holds a NUL, which no program can be given"));
        }
        Ok(filled)
    }

    /// The revision that it makes. What came from outside is not repeated.
    pub fn revision(&self, variables: &Variables<'_>) -> Result<Revision, Wrong> {
        let filled = self.fill(variables)?;
        Revision::new(filled.as_str()).map_err(|bad| {
            let message = if self.has_variables() {
                format!("with its variables filled in, this cannot be {}", bad.what())
            } else {
                format!("`{}` cannot be {}", shown(&filled), bad.what())
            };
            Wrong::new(self.at.clone(), message).hint(bad.rule())
        })
    }

    fn look_up(&self, name: &str, variables: &Variables<'_>) -> Result<String, Wrong> {
        variables(name).ok_or_else(|| {
            let wrong = Wrong::new(self.at.clone(), format!("the variable `{}` is not set", shown(name)));
            wrong.hint("set it in the environment of `deployer`; for a plain `${` write `$${`")
        })
    }
}

/// The name up to the closing brace, and what follows it.
fn hole<'a>(text: &'a str, at: &Range<usize>) -> Result<(&'a str, &'a str), Wrong> {
    let hint = "write `${NAME}`, or `$${` for a plain `${`";
    let Some((name, after)) = text.split_once('}') else {
        return Err(Wrong::new(at.clone(), "`${` without its `}`").hint(hint));
    };
    if is_name(name) {
        return Ok((name, after));
    }
    let message = format!("`${{{}}}` is not the name of a variable", shown(name));
    Err(Wrong::new(at.clone(), message).hint(hint))
}

/// Whether a text can be the name of an environment variable.
pub(super) fn is_name(text: &str) -> bool {
    const NAME_MAX: usize = 255;
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.len() <= NAME_MAX
        && text.starts_with(letter)
        && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, Wrong> {
        let set = |name: &str| (name == "TAG").then(|| "1.2".to_owned());
        Text::new(text, &(0..0)).and_then(|text| text.fill(&set))
    }

    #[test]
    fn a_variable_is_filled_in_and_two_dollars_are_a_plain_one() {
        for (text, filled) in [
            ("v${TAG}", "v1.2"),
            ("${TAG}${TAG}", "1.21.2"),
            ("$${TAG}", "${TAG}"),
            ("$TAG $ $$ $", "$TAG $ $$ $"),
            ("$$${TAG}", "$${TAG}"),
            ("é${TAG}é", "é1.2é"),
            ("", ""),
        ] {
            assert_eq!(fill(text).unwrap(), filled, "{text}");
        }
    }

    #[test]
    fn a_hole_that_cannot_be_filled_is_refused() {
        for bad in ["${", "${}", "${TAG", "${TAG:-x}", "${1}", "${NONE}", "${a b}"] {
            assert!(fill(bad).is_err(), "{bad}");
        }
    }
}
