//! What a supervisor holds, as people and scripts see it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{FleetId, GroupId, GroupSeen, InstanceId, InstanceState, Revision, ServiceName, Time};

/// Everything that a supervisor holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalStatus {
    /// The state directory.
    pub dir: PathBuf,
    /// The process id of the supervisor; none where none runs, and the rest is then what its state file remembers.
    pub supervisor: Option<u32>,
    /// Every fleet of every service.
    pub fleets: BTreeMap<FleetId, FleetStatus>,
    /// Every target group.
    pub groups: BTreeMap<GroupId, GroupStatus>,
}

/// A fleet of processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetStatus {
    /// Whose it is.
    pub service: ServiceName,
    /// What it runs.
    pub revision: Revision,
    /// How many instances it should have.
    pub size: u32,
    /// Whether it is being retired.
    pub leaving: bool,
    /// The groups in which it is registered.
    pub groups: BTreeSet<GroupId>,
    /// Its instances.
    pub instances: BTreeMap<InstanceId, InstanceStatus>,
}

/// A process, or the place of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceStatus {
    /// Whether it is up.
    pub state: InstanceState,
    /// Its process id while it is up.
    pub pid: Option<u32>,
    /// Its port on the loopback interface while it is up.
    pub port: Option<u16>,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it last ended, or could not be started.
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: Time,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupStatus {
    /// Why it does not listen, where it does not.
    pub dark: Option<String>,
    /// Its standing, as a look sees it.
    pub seen: GroupSeen,
}
