//! One target group as reports show it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::words;
use crate::model::{Because, FleetId, FleetSeen, GroupId, Health, Seen, Share, Sharing, Side, Time};
use crate::rollout::{Phase, Rollout, Verdict};

/// One target group: why it is expected, and how both fleets stand in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupLine {
    /// Its name.
    pub group: GroupId,
    /// Why it is expected; empty where it is not and blue was found in it.
    pub expected_because: BTreeSet<Because>,
    /// How the fleets share it, where that is known.
    pub sharing: Option<Sharing>,
    /// How it is reached.
    pub routes: BTreeSet<String>,
    /// How green stands in it; none where the last look does not tell.
    pub green: Option<SideLine>,
    /// How blue stands in it; none where the last look does not tell, or there is no blue.
    pub blue: Option<SideLine>,
    /// How many healthy targets the fleet that must carry it needs: green, or blue on the way back.
    pub required: u32,
    /// How that fleet stands, in one word.
    pub state: GroupState,
    /// The first thing that is wrong with it.
    pub reason: Option<String>,
    /// Why it may go dark, where a waiver counts now.
    pub waived: Option<String>,
}

/// A fleet in a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SideLine {
    /// Registered targets.
    pub registered: u32,
    /// Healthy, running instances.
    pub healthy: u32,
    /// Percent of the group's traffic.
    pub share_percent: u8,
}

/// How the fleet that must carry a group stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// As many healthy targets as needed.
    Healthy,
    /// Too few; the others are not judged yet.
    Checking,
    /// Too few.
    Unhealthy,
    /// None registered.
    Unregistered,
    /// The group was not in the last look.
    Missing,
    /// It could not be read.
    Unreadable,
    /// There was no look yet.
    Unknown,
}

impl GroupState {
    /// As a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Checking => "being checked",
            Self::Unhealthy => "unhealthy",
            Self::Unregistered => "not registered",
            Self::Missing => "not found",
            Self::Unreadable => "unreadable",
            Self::Unknown => "not yet seen",
        }
    }
}

impl GroupLine {
    /// Every group that matters to a rollout: expected, served by blue, or waived.
    #[must_use]
    pub fn all(state: &Rollout, now: Time) -> Vec<Self> {
        let waived = state.waivers().iter().map(|waiver| &waiver.group);
        let all: BTreeSet<_> = state.expected().keys().chain(state.served()).chain(waived).collect();
        all.into_iter().map(|id| Self::of(state, id, now)).collect()
    }

    fn of(state: &Rollout, id: &GroupId, now: Time) -> Self {
        let (plan, look) = (state.plan(), state.look());
        let seen = look.and_then(|look| look.groups.get(id));
        let known = seen.and_then(Seen::known);
        let green = side(state, id, Some(&plan.green.id));
        let blue = side(state, id, plan.blue.as_ref().map(|blue| &blue.id));
        let back = goes_back(state);
        let (standing, required, fleet) = match (&plan.blue, back) {
            (Some(fleet), true) => (&blue, plan.min_healthy.of(fleet.size).max(1), &fleet.id),
            _ => (&green, plan.healthy_min(), &plan.green.id),
        };
        let verdict = match seen {
            None if look.is_none() => GroupState::Unknown,
            None => GroupState::Missing,
            Some(Seen::Unknown(_)) => GroupState::Unreadable,
            Some(Seen::Known(known)) => judge(standing.as_ref(), required, known.sides.get(fleet)),
        };
        let reason = match seen {
            Some(Seen::Unknown(reason)) => Some(reason.clone()),
            _ if matches!(verdict, GroupState::Unhealthy | GroupState::Checking) => {
                known.and_then(|known| known.sides.get(fleet)).map(ailing)
            }
            _ => None,
        };
        let waiver = state.waivers().iter().rfind(|waiver| waiver.group == *id && waiver.until > now);
        Self {
            group: id.clone(),
            expected_because: state.expected().get(id).map(|group| group.because.clone()).unwrap_or_default(),
            sharing: known.map(|known| known.sharing),
            routes: known.map(|known| known.routes.clone()).unwrap_or_default(),
            green,
            blue,
            required,
            state: verdict,
            reason,
            waived: waiver.map(|waiver| waiver.reason.clone()),
        }
    }

    /// Why it is expected, as words.
    #[must_use]
    pub fn because(&self) -> String {
        if self.expected_because.is_empty() {
            return if self.waived.is_some() {
                "waived".into()
            } else {
                "found: blue is in it (not declared!)".into()
            };
        }
        self.expected_because.iter().map(|why| words::because(*why)).collect::<Vec<_>>().join(", ")
    }

    /// Whether there is anything to say about it.
    #[must_use]
    pub fn interesting(&self) -> bool {
        self.state != GroupState::Healthy || self.expected_because.is_empty() || self.waived.is_some()
    }
}

fn judge(standing: Option<&SideLine>, required: u32, side: Option<&Side>) -> GroupState {
    let counts = |health| side.map_or(0, |side| side.count(health));
    match standing {
        Some(side) if side.healthy >= required => GroupState::Healthy,
        Some(side) if side.registered > 0 => {
            let checking = counts(Health::Initial) > 0 && counts(Health::Unhealthy) == 0;
            if checking { GroupState::Checking } else { GroupState::Unhealthy }
        }
        Some(_) | None => GroupState::Unregistered,
    }
}

/// Whether blue is the fleet that has to carry everything.
pub(super) fn goes_back(state: &Rollout) -> bool {
    match state.phase() {
        Phase::Restore { .. } | Phase::Withdraw { .. } => true,
        Phase::Ended(verdict) => *verdict != Verdict::Completed,
        _ => false,
    }
}

/// Healthy targets whose instance runs, as the gate counts them.
pub(super) fn healthy(state: &Rollout, group: &GroupId, fleet: &FleetId) -> u32 {
    let Some(look) = state.look() else { return 0 };
    let running = look.fleet(fleet).map(FleetSeen::running).unwrap_or_default();
    let side = look.group(group).and_then(|group| group.sides.get(fleet));
    let healthy = side.map(Side::healthy_instances).unwrap_or_default();
    u32::try_from(healthy.intersection(&running).count()).unwrap_or(u32::MAX)
}

fn side(state: &Rollout, group: &GroupId, fleet: Option<&FleetId>) -> Option<SideLine> {
    let (fleet, known) = (fleet?, state.look()?.group(group)?);
    let side = known.sides.get(fleet);
    Some(SideLine {
        registered: side.map_or(0, |side| u32::try_from(side.targets.len()).unwrap_or(u32::MAX)),
        healthy: healthy(state, group, fleet),
        share_percent: side.map_or(Share::NONE, |side| side.share).percent(),
    })
}

/// The first target that is not healthy, the worst first.
fn ailing(side: &Side) -> String {
    let ill = side.targets.iter().filter(|(_, target)| target.health != Health::Healthy);
    let rank = |health| u8::from(health != Health::Unhealthy);
    let Some((id, target)) = ill.min_by_key(|(_, target)| rank(target.health)) else {
        return "healthy targets belong to instances that do not run".into();
    };
    let state = words::health(target.health);
    match &target.reason {
        Some(reason) => format!("{id} {state}: {reason}"),
        None => format!("{id} {state}"),
    }
}
