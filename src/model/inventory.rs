//! What a look saw.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FleetId, GroupId, InstanceId, Revision, Share, Span, TargetId, Time};

/// Something that was read, or the reason why it could not be. `Unknown` is never taken for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen<T> {
    /// Read to the last page.
    Known(T),
    /// Denied, throttled to the end, short or contradictory: the reason, as a sentence fragment.
    Unknown(String),
}

impl<T> Seen<T> {
    /// The value where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// The world as one look saw it: every fleet and every target group in scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// When the look began: nothing that changed later can be in it.
    pub looked_at: Time,
    /// Every fleet of the service.
    pub fleets: BTreeMap<FleetId, Seen<FleetSeen>>,
    /// Every target group that the scope names or in which one of the fleets stands.
    pub groups: BTreeMap<GroupId, Seen<GroupSeen>>,
    /// What could not be searched at all, as sentence fragments. While there is any, no proof is possible.
    pub unread: BTreeSet<String>,
    /// Fleets that the cloud is at work on, there or not: what was asked of them goes on by itself, and to ask again would
    /// do nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub busy: BTreeSet<FleetId>,
}

/// One fleet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSeen {
    /// What it runs.
    pub revision: Revision,
    /// How many instances it should have.
    pub desired: u32,
    /// The instances it has.
    pub instances: BTreeMap<InstanceId, InstanceState>,
    /// Whether the cloud may change its size by itself.
    pub scaling: Scaling,
    /// The groups that its configuration lists (attachments, traffic sources, a deployment group's list).
    pub attached: BTreeSet<GroupId>,
    /// Why it will never come up as it should, where the cloud says so: a sentence fragment. Until the fleet carries
    /// everything, a rollout to it goes back at once and waits for no deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// The state of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Being launched.
    Pending,
    /// Up, as far as the cloud can tell without a health check.
    Running,
    /// Stopped, terminated or on the way there.
    Leaving,
}

/// Whether a fleet's size may change under a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// The cloud may add and remove instances.
    Active,
    /// Held still by us.
    Frozen,
    /// This fleet has a fixed size and cannot be frozen.
    Fixed,
}

/// One target group, with both fleets' standing in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSeen {
    /// How the fleets share it.
    pub sharing: Sharing,
    /// Which shares its route can take.
    pub steps: Steps,
    /// The routes that lead to it, as people name them (`listener internal:8443 rule 20`).
    pub routes: BTreeSet<String>,
    /// How long a deregistered target keeps its open connections.
    pub deregistration_delay: Span,
    /// How often a target's health is checked.
    pub health_interval: Span,
    /// The standing of each fleet that has a target or a share in it.
    pub sides: BTreeMap<FleetId, Side>,
}

/// How two fleets share a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Twin groups behind one route: the route's weights make the share.
    Paired,
    /// One group: registering is already a share of the traffic.
    Shared,
    /// Twin groups behind one route, of which nobody checks the one that carries nothing: it is switched whole, before its
    /// health is known.
    Unproved,
    /// One group whose targets have weights: registering is the smallest share that they can make.
    Weighed,
}

/// Which shares a route can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steps {
    /// Any percent.
    Any,
    /// Nothing or everything.
    AllOrNothing,
}

/// A fleet's standing in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// How much of the group's traffic the load balancer sends to this fleet.
    pub share: Share,
    /// Its registered targets, draining ones included.
    pub targets: BTreeMap<TargetId, TargetSeen>,
}

/// One registered target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSeen {
    /// The instance behind it.
    pub instance: InstanceId,
    /// What the load balancer says of it.
    pub health: Health,
    /// The load balancer's reason, where it gives one.
    pub reason: Option<String>,
}

/// The health of a target, as the load balancer judges it. Only `Healthy` is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Registered, not yet judged.
    Initial,
    /// Passes its checks.
    Healthy,
    /// Fails its checks.
    Unhealthy,
    /// Deregistered; open connections may still finish.
    Draining,
    /// Registered, and never checked: no route, no zone, instance stopped.
    Unused,
    /// The load balancer cannot say.
    Unavailable,
}

impl Inventory {
    /// The fleet, where it was seen and read.
    #[must_use]
    pub fn fleet(&self, id: &FleetId) -> Option<&FleetSeen> {
        self.fleets.get(id).and_then(Seen::known)
    }

    /// The group, where it was seen and read.
    #[must_use]
    pub fn group(&self, id: &GroupId) -> Option<&GroupSeen> {
        self.groups.get(id).and_then(Seen::known)
    }

    /// Whether two looks saw the same world, apart from when.
    #[must_use]
    pub fn same_world(&self, other: &Self) -> bool {
        self.fleets == other.fleets && self.groups == other.groups && self.unread == other.unread
    }

    /// Every group in which the fleet has a target or a share, or which its configuration lists.
    #[must_use]
    pub fn groups_of(&self, fleet: &FleetId) -> BTreeSet<GroupId> {
        let standing = self.groups.iter().filter(|(_, seen)| {
            seen.known().and_then(|group| group.sides.get(fleet)).is_some_and(Side::stands)
        });
        let attached = self.fleet(fleet).into_iter().flat_map(|seen| seen.attached.iter().cloned());
        standing.map(|(id, _)| id.clone()).chain(attached).collect()
    }
}

impl Side {
    /// Whether the fleet carries, or could carry, traffic here.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.share > Share::NONE || !self.targets.is_empty()
    }

    /// How many targets are healthy.
    #[must_use]
    pub fn healthy(&self) -> u32 {
        self.count(Health::Healthy)
    }

    /// How many targets are in a state.
    #[must_use]
    pub fn count(&self, health: Health) -> u32 {
        let targets = self.targets.values().filter(|target| target.health == health).count();
        u32::try_from(targets).unwrap_or(u32::MAX)
    }

    /// The instances whose every target here is healthy.
    #[must_use]
    pub fn healthy_instances(&self) -> BTreeSet<&InstanceId> {
        let sick: BTreeSet<_> =
            self.targets.values().filter(|t| t.health != Health::Healthy).map(|t| &t.instance).collect();
        self.targets.values().map(|t| &t.instance).filter(|id| !sick.contains(id)).collect()
    }
}

impl FleetSeen {
    /// The instances that are up.
    #[must_use]
    pub fn running(&self) -> BTreeSet<&InstanceId> {
        self.instances
            .iter()
            .filter(|(_, state)| **state == InstanceState::Running)
            .map(|(id, _)| id)
            .collect()
    }
}
