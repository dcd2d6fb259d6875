//! What is said over the control socket: one request and one reply a connection, each a line of JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::state::{FleetSettings, GroupSettings};
use super::status::LocalStatus;
use crate::cloud::{Change, Fault};
use crate::model::{FleetId, GroupId, Inventory, ServiceName, Token};

/// The version of what is said.
pub(super) const FORMAT: u32 = 1;
/// The longest line that is read: far above what a host can hold, and far below what could hurt it.
pub(super) const LINE_MAX: u64 = 4 << 20;

/// A request or a reply with its version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said<T> {
    pub(super) v: u32,
    pub(super) said: T,
}

/// What is asked of a supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// What one service looks like.
    Look { service: ServiceName, fleets: BTreeSet<FleetId>, groups: BTreeSet<GroupId> },
    /// A fleet, and the groups that its deployment file declares.
    Provision { provision: Box<Provision>, token: Token },
    /// Any other change.
    Change { change: Change, token: Token },
    /// The end of a fleet; the proof was used up by the caller.
    Retire { fleet: FleetId, token: Token },
    /// Everything, for people.
    Status,
    /// The end of every fleet and group, and of the supervisor.
    Stop,
}

/// A fleet with all that running it takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provision {
    pub(super) fleet: FleetId,
    pub(super) settings: FleetSettings,
    pub(super) groups: BTreeMap<GroupId, GroupSettings>,
}

/// What a supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reply {
    Done,
    Inventory(Box<Inventory>),
    Status(Box<LocalStatus>),
    Fault(Fault),
}
