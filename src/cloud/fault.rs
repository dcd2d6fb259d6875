//! What can go wrong with a call.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A call that failed, in one shape for every provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What to do about it.
    pub kind: FaultKind,
    /// Whether the call may have been applied all the same: look before anything else.
    pub ambiguous: bool,
    /// The provider's operation, such as `ModifyListener`.
    pub action: String,
    /// The provider's words.
    pub message: String,
    /// The provider's request id, where it sent one.
    pub request_id: Option<String>,
}

/// The kinds of fault that a caller treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Too many calls.
    Throttled,
    /// No answer, or the provider is unwell.
    Unreachable,
    /// Something else is being done to the same thing.
    Conflict,
    /// Credentials or permissions.
    Denied,
    /// The thing does not exist.
    Missing,
    /// The request can never be right.
    Invalid,
    /// A limit of the account, or no capacity.
    Quota,
    /// Anything else.
    Unexpected,
}

impl FaultKind {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable | Self::Conflict | Self::Quota => true,
            Self::Denied | Self::Missing | Self::Invalid | Self::Unexpected => false,
        }
    }
}

impl Fault {
    /// A fault of a call that was certainly not applied.
    #[must_use]
    pub fn new(kind: FaultKind, action: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, ambiguous: false, action: action.into(), message: message.into(), request_id: None }
    }

    /// The same fault of a call that may have been applied.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Quota => "quota",
            Self::Unexpected => "unexpected",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.action, self.kind, self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}
