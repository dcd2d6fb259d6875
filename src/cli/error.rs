//! Errors as people read them: what failed, where, why, and what to do next.

use std::fmt;

use super::exit;
use crate::cloud::Fault;
use crate::drive::{DriveError, OpenError};
use crate::journal::JournalFault;

/// An error on its way to the terminal, with its exit code.
#[derive(Debug)]
pub struct CliError {
    /// One of [`exit`]'s constants.
    pub code: u8,
    /// What failed, where and why. Empty where it was shown already.
    pub text: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl CliError {
    /// A plain error.
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: exit::ERROR, text: text.into(), hint: None }
    }

    /// An error of the command line or of a file.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { code: exit::USAGE, ..Self::new(text) }
    }

    /// An end that was shown already.
    pub fn shown(code: u8) -> Self {
        Self { code, ..Self::new("") }
    }

    /// The same error with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error with another code.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\n hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<JournalFault> for CliError {
    fn from(fault: JournalFault) -> Self {
        let code = if matches!(fault, JournalFault::Taken { .. }) { exit::LOCKED } else { exit::ERROR };
        Self::new(format!("failed to {fault}")).hint(fault.hint()).code(code)
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Journal(fault) => fault.into(),
            OpenError::OutOfOrder(error) => out_of_order(&error),
            OpenError::Beaten { .. } => Self::new(format!("failed to {error}"))
                .code(exit::LOCKED)
                .hint("look at it with `deployer status`"),
            OpenError::Slow { .. } => Self::new(format!("failed to {error}"))
                .hint("nothing was changed; `deployer resume` once the store answers as usual"),
            OpenError::Ended { .. } => {
                Self::new(format!("failed to {error}")).hint("look at it with `deployer show`")
            }
        }
    }
}

impl From<DriveError> for CliError {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Journal(fault) => fault.into(),
            DriveError::OutOfOrder(error) => out_of_order(&error),
            DriveError::Blind { fault } => Self::new(format!("failed to look at the world: {fault}")).hint(
                "nothing was changed without being seen; the rollout stays open: mend the cause, then `deployer resume`",
            ),
        }
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        Self::new(format!("failed to look at the world: {fault}"))
    }
}

fn out_of_order(error: &crate::rollout::OutOfOrder) -> CliError {
    CliError::new(format!("failed to {error}"))
        .hint("the journal does not tell one story; check it with `deployer journal verify`")
}
