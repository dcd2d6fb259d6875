//! What a preflight found.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Nobody can tell without changing something.
    Unchecked,
    /// A rollout can go on, and somebody should know.
    Warn,
    /// A rollout would be refused, or would fail, or strangers could meddle with it.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: a word or two, the same in every version.
    pub check: &'static str,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: Option<String>,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, check, what: what.into(), why: None, mend: None }
    }

    /// Nobody can tell without changing something.
    #[must_use]
    pub fn unchecked(check: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Unchecked, ..Self::ok(check, what) }
    }

    /// A rollout can go on, and somebody should know.
    #[must_use]
    pub fn warn(check: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, ..Self::ok(check, what) }
    }

    /// A rollout would be refused, or would fail.
    #[must_use]
    pub fn fail(check: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, ..Self::ok(check, what) }
    }

    /// With why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}
