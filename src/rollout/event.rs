//! What can happen to a rollout: the facts that its journal holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cloud::{Change, Fault};
use crate::coverage::Evidence;
use crate::model::{FleetId, GroupId, Inventory, Plan, Span, Time, Token};

/// A fact, with the time at which it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// When.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The rollout begins; always the first event and only that.
    Opened {
        /// What will be done.
        plan: Box<Plan>,
        /// Who drives it.
        by: Actor,
    },
    /// A driver takes over; whoever drove before is fenced.
    Resumed {
        /// Who drives it now.
        by: Actor,
    },
    /// The world was looked at, and something in it was new.
    Looked {
        /// What was seen.
        inventory: Box<Inventory>,
        /// How long the driver had to wait for leave to look and act since the last look: no phase is late by that.
        #[serde(default, skip_serializing_if = "Span::is_zero")]
        waited: Span,
    },
    /// Changes are about to be made, all at once.
    Changing {
        /// The changes.
        changes: Vec<Change>,
        /// Their common token.
        token: Token,
    },
    /// A fleet is about to be taken away for good.
    Retiring {
        /// Which fleet.
        fleet: FleetId,
        /// What the proof rests on.
        covered: BTreeMap<GroupId, Evidence>,
        /// The call's token.
        token: Token,
    },
    /// The calls announced under the token are over.
    Settled {
        /// Which.
        token: Token,
        /// What failed; empty where every call was answered well.
        faults: Vec<Fault>,
    },
    /// Somebody gave an order.
    Ordered {
        /// Which.
        order: Order,
        /// Who.
        by: Actor,
    },
    /// The driver let go at a safe point; the rollout can be resumed.
    Released {
        /// Why, for people.
        why: String,
    },
}

/// What an operator can order while a rollout is open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// End the hold that it waits in; `full` ends every later one too.
    Promote {
        /// Skip all remaining holds.
        full: bool,
    },
    /// Make no further step until `Resume`.
    Pause,
    /// Go on after `Pause`.
    Resume,
    /// Stop, and go back to blue.
    Abort,
    /// Go back to blue.
    Rollback,
    /// The group is expected too.
    Amend {
        /// Which group.
        group: GroupId,
    },
    /// The group may go dark.
    Waive {
        /// Which group.
        group: GroupId,
        /// Why.
        reason: String,
        /// Until when.
        until: Time,
    },
}

/// Who drove or ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The user, as the system or the CI names them.
    pub user: String,
    /// The host.
    pub host: String,
    /// The process, for a look with `ps`.
    pub pid: u32,
    /// The CI run's address, where there is one.
    pub run_url: Option<String>,
    /// Drawn once per process, so that two writers are never taken for one.
    pub nonce: String,
}

impl Event {
    /// The event's name as it is stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Resumed { .. } => "resumed",
            Self::Looked { .. } => "looked",
            Self::Changing { .. } => "changing",
            Self::Retiring { .. } => "retiring",
            Self::Settled { .. } => "settled",
            Self::Ordered { .. } => "ordered",
            Self::Released { .. } => "released",
        }
    }

    /// The groups that an event names, for reports.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupId> {
        match self {
            Self::Retiring { covered, .. } => covered.keys().cloned().collect(),
            Self::Ordered { order: Order::Amend { group } | Order::Waive { group, .. }, .. } => {
                BTreeSet::from([group.clone()])
            }
            Self::Opened { plan, .. } => plan.groups.keys().cloned().collect(),
            Self::Resumed { .. }
            | Self::Looked { .. }
            | Self::Changing { .. }
            | Self::Settled { .. }
            | Self::Ordered { .. }
            | Self::Released { .. } => BTreeSet::new(),
        }
    }
}
