//! Calls and other people's doings as one line each, for a drill's timeline.

use std::collections::BTreeSet;
use std::fmt;

use super::cloud::Call;
use super::trouble::Outside;
use crate::cloud::{Change, Fault};
use crate::model::GroupId;

/// A call with its answer.
pub(super) fn told(call: &Call, answer: &Result<(), Fault>) -> String {
    match answer {
        Ok(()) => call.to_string(),
        Err(fault) => format!("{call}: refused, {}", fault.message),
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retire(fleet) => write!(f, "take `{fleet}` away"),
            Self::Change(change) => match change {
                Change::Provision { fleet } => {
                    write!(f, "bring up `{}` at {} with revision {}", fleet.id, fleet.size, fleet.revision)
                }
                Change::Register { fleet, groups } => write!(f, "register `{fleet}` in {}", list(groups)),
                Change::Shift { group, to, share, .. } => write!(f, "shift `{group}`: {share} to `{to}`"),
                Change::Deregister { fleet, groups } => {
                    write!(f, "deregister `{fleet}` from {}", list(groups))
                }
                Change::Freeze { fleet } => write!(f, "hold the scaling of `{fleet}` still"),
                Change::Thaw { fleet } => write!(f, "give the scaling of `{fleet}` back"),
            },
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach(fleet, group) => write!(f, "somebody attaches `{fleet}` to `{group}`"),
            Self::Sicken(group, revision) => write!(f, "revision {revision} falls ill in `{group}`"),
            Self::Recover(group, revision) => write!(f, "revision {revision} is well again in `{group}`"),
            Self::Drop(fleet, group) => {
                write!(f, "somebody deregisters a target of `{fleet}` from `{group}`")
            }
            Self::Kill(fleet) => write!(f, "an instance of `{fleet}` dies"),
            Self::Scale(fleet, size) => write!(f, "autoscaling wants `{fleet}` at {size}"),
            Self::Vanish(group) => write!(f, "somebody deletes `{group}`"),
        }
    }
}

fn list(groups: &BTreeSet<GroupId>) -> String {
    groups.iter().map(|group| format!("`{group}`")).collect::<Vec<_>>().join(", ")
}
