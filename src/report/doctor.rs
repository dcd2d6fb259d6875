//! What a preflight found.

use serde::Serialize;

use super::hints::Hints;
use super::snapshot::SCHEMA;
use super::text::{Line, Text, Tone};
use super::words::count;
use crate::cloud::{Finding, Severity};

/// A preflight as a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkup<'a> {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The service.
    pub service: &'a str,
    /// Where it was looked for.
    pub environment: &'a str,
    /// Whether a rollout would not fail by anything that was found.
    pub ready: bool,
    /// How many findings are failures.
    pub failed: usize,
    /// How many are warnings.
    pub warned: usize,
    /// Everything, in the order in which it was looked at.
    pub findings: &'a [Finding],
}

impl<'a> Checkup<'a> {
    /// The document of some findings.
    #[must_use]
    pub fn of(service: &'a str, environment: &'a str, findings: &'a [Finding]) -> Self {
        let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (failed, warned) = (number(Severity::Fail), number(Severity::Warn));
        Self { schema: SCHEMA, service, environment, ready: failed == 0, failed, warned, findings }
    }
}

/// The findings for people: the worst last, where the eye is.
#[must_use]
pub fn checkup(checkup: &Checkup<'_>, hints: &Hints) -> Text {
    let mut text = Text::new();
    let number = |severity| checkup.findings.iter().filter(|finding| finding.severity == severity).count();
    let title = format!(
        "doctor  {} in {}: {} ok, {} not checked, {}, {}",
        checkup.service,
        checkup.environment,
        number(Severity::Ok),
        number(Severity::Unchecked),
        count(checkup.warned, "warning"),
        count(checkup.failed, "failure")
    );
    text.push(Line::new().tone(Tone::Strong, title));
    for severity in [Severity::Ok, Severity::Unchecked, Severity::Warn, Severity::Fail] {
        text.gap();
        for finding in checkup.findings.iter().filter(|finding| finding.severity == severity) {
            text.extend(lines(finding));
        }
    }
    text.gap();
    text.push(if checkup.ready {
        Line::new().say("Nothing was changed.  next   ").say(hints.command("plan", ""))
    } else {
        Line::new().say("Nothing was changed.  when mended   ").say(hints.command("doctor", ""))
    });
    text
}

fn lines(finding: &Finding) -> Vec<Line> {
    let (tone, word) = match finding.severity {
        Severity::Ok => (Tone::Good, "ok   "),
        Severity::Unchecked => (Tone::Faint, "?    "),
        Severity::Warn => (Tone::Warn, "warn "),
        Severity::Fail => (Tone::Bad, "FAIL "),
    };
    let head =
        Line::new().say("  ").tone(tone, word).say(format!("{:<20} ", finding.check)).say(&finding.what);
    let aside = |word: &str, text: &Option<String>| {
        text.as_ref()
            .map(|text| Line::new().say("         ").tone(Tone::Faint, format!("{word:<5}")).say(text))
    };
    [Some(head), aside("why", &finding.why), aside("mend", &finding.mend)].into_iter().flatten().collect()
}
