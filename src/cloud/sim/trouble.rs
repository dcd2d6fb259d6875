//! What can go wrong in a simulated cloud, each by its name.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::world::World;
use crate::model::{FleetId, GroupId, InstanceId, Revision};

/// One kind of trouble, which can be switched on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Calls are refused because there were too many.
    Throttle,
    /// A call takes effect, and its answer never comes.
    LostReply,
    /// A call gets lost on the way there.
    Unreachable,
    /// A change is refused for lack of permission, once.
    DeniedOnce,
    /// Calls take many seconds.
    Slow,
    /// Configuration is read as it was a few seconds ago; health is always read as it is.
    StaleRead,
    /// A look cannot read a group, or misses it.
    BlindRead,
    /// Green becomes unhealthy in one group.
    SickenGreen,
    /// An instance of green dies.
    KillInstance,
    /// Autoscaling changes blue's size.
    ScaleBlue,
    /// Somebody attaches blue to one more group.
    AttachBlue,
    /// Somebody deletes a group.
    GroupVanishes,
    /// The driver dies and another takes over.
    Crash,
    /// The driver is taken for dead and goes on beside the next one.
    Zombie,
    /// Somebody orders a pause, and later to resume.
    PauseOrder,
    /// Somebody orders an abort.
    AbortOrder,
    /// The journal loses writes and answers.
    Journal,
}

impl Trouble {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Throttle,
        Self::LostReply,
        Self::Unreachable,
        Self::DeniedOnce,
        Self::Slow,
        Self::StaleRead,
        Self::BlindRead,
        Self::SickenGreen,
        Self::KillInstance,
        Self::ScaleBlue,
        Self::AttachBlue,
        Self::GroupVanishes,
        Self::Crash,
        Self::Zombie,
        Self::PauseOrder,
        Self::AbortOrder,
        Self::Journal,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::LostReply => "lost-reply",
            Self::Unreachable => "unreachable",
            Self::DeniedOnce => "denied-once",
            Self::Slow => "slow",
            Self::StaleRead => "stale-read",
            Self::BlindRead => "blind-read",
            Self::SickenGreen => "sicken-green",
            Self::KillInstance => "kill-instance",
            Self::ScaleBlue => "scale-blue",
            Self::AttachBlue => "attach-blue",
            Self::GroupVanishes => "group-vanishes",
            Self::Crash => "crash",
            Self::Zombie => "zombie",
            Self::PauseOrder => "pause-order",
            Self::AbortOrder => "abort-order",
            Self::Journal => "journal",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no trouble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fault that a drill knows")]
pub struct UnknownTrouble(String);

impl FromStr for Trouble {
    type Err = UnknownTrouble;
    fn from_str(text: &str) -> Result<Self, UnknownTrouble> {
        let known = Self::ALL.into_iter().find(|trouble| trouble.name() == text);
        known.ok_or_else(|| UnknownTrouble(text.chars().take(40).collect()))
    }
}

/// Something that others do to the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outside {
    /// The fleet is attached to the group.
    Attach(FleetId, GroupId),
    /// Targets of the revision begin to fail their checks in the group.
    Sicken(GroupId, Revision),
    /// They pass again.
    Recover(GroupId, Revision),
    /// One target of the fleet is deregistered by hand.
    Drop(FleetId, GroupId),
    /// The first instance of the fleet dies.
    Kill(FleetId),
    /// Autoscaling wants this size.
    Scale(FleetId, u32),
    /// The group is deleted.
    Vanish(GroupId),
}

impl World {
    /// Others do something.
    pub fn happen(&mut self, outside: &Outside) {
        match outside {
            Outside::Attach(fleet, group) => self.attach(fleet, group),
            Outside::Sicken(group, revision) => self.sicken(group, revision),
            Outside::Recover(group, revision) => self.recover(group, revision),
            Outside::Drop(fleet, group) => self.drop_target(group, fleet),
            Outside::Kill(fleet) => {
                if let Some(first) = self.first_instance(fleet) {
                    self.kill(fleet, &first);
                }
            }
            Outside::Scale(fleet, size) => self.scale(fleet, *size),
            Outside::Vanish(group) => self.vanish(group),
        }
    }

    fn first_instance(&self, fleet: &FleetId) -> Option<InstanceId> {
        self.fleets.get(fleet)?.instances.keys().next().cloned()
    }
}
