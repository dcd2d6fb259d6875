//! What is said over the control socket: one request and one reply a connection, each a line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cloud::Fault;
use crate::model::{
    FleetId, GroupId, GroupSeen, InstanceId, InstanceState, Inventory, Revision, ServiceName, Time,
};

#[cfg(unix)]
pub(super) use talk::{FORMAT, LINE_MAX, Provision, Reply, Request, Said};

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

#[cfg(unix)]
mod talk {
    use super::{
        BTreeMap, BTreeSet, Deserialize, Fault, FleetId, GroupId, Inventory, LocalStatus, Serialize,
    };
    use crate::cloud::Change;
    use crate::cloud::local::state::{FleetSettings, GroupSettings};
    use crate::model::{ServiceName, Token};

    /// The version of what is said.
    pub(in crate::cloud::local) const FORMAT: u32 = 1;
    /// The longest line that is read: far above what a host can hold, and far below what could hurt it.
    pub(in crate::cloud::local) const LINE_MAX: u64 = 4 << 20;

    /// A request or a reply with its version.
    #[derive(Debug, Serialize, Deserialize)]
    pub(in crate::cloud::local) struct Said<T> {
        pub(in crate::cloud::local) v: u32,
        pub(in crate::cloud::local) said: T,
    }

    /// What is asked of a supervisor.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    pub(in crate::cloud::local) enum Request {
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
    pub(in crate::cloud::local) struct Provision {
        pub(in crate::cloud::local) fleet: FleetId,
        pub(in crate::cloud::local) settings: FleetSettings,
        pub(in crate::cloud::local) groups: BTreeMap<GroupId, GroupSettings>,
    }

    /// What a supervisor answers.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    pub(in crate::cloud::local) enum Reply {
        Done,
        Inventory(Box<Inventory>),
        Status(Box<LocalStatus>),
        Fault(Fault),
    }
}
