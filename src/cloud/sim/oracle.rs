//! The judge: reads the world before and after, and never the rollout.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::world::{SimGroup, World};
use crate::model::{FleetId, GroupId, Health, Plan, Scaling, Share, Sharing};

/// A broken invariant. The numbers are those of the failure model: `I1` no group goes dark, `I2` the termination guard,
/// `I4` weights, `I5` the way back, `I6` no leak, `I7` no intent takes effect twice, `I8` one owner, `I9` the journal comes
/// first and is whole, `I10` an end in time, `I13` no wait is cut short, `I14` a good end only over lit groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Violation {
    /// Its number.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What one rollout must not do to one world.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// The world when the rollout began.
    start: World,
    /// The groups that blue served then.
    served: BTreeSet<GroupId>,
    blue: Option<FleetId>,
    green: FleetId,
    /// How many healthy targets of green cover a group.
    healthy_min: u32,
    /// How large green may become.
    size_max: u32,
}

impl World {
    /// Whether a group answers: somebody gets its traffic, and whoever gets a share of it has a healthy target. Traffic
    /// that flows because every target is unhealthy (fail open) never counts. In a group that both fleets share the load
    /// balancer passes over unhealthy targets, so that one healthy one is enough.
    #[must_use]
    pub fn lit(&self, id: &GroupId) -> bool {
        let Some(group) = self.groups.get(id) else { return false };
        let shares = group.shares();
        let well = |fleet: &FleetId| self.healthy(group, fleet) > 0;
        match group.sharing {
            Sharing::Paired => !shares.is_empty() && shares.keys().all(well),
            // Whoever is not judged yet is given the benefit of the doubt that the file gives.
            Sharing::Unproved => {
                !shares.is_empty() && shares.keys().all(|fleet| self.may_be_well(group, fleet))
            }
            Sharing::Shared | Sharing::Weighed => shares.keys().any(well),
        }
    }
}

impl Oracle {
    /// Watches a rollout from `blue` to `green` that begins in `start`.
    #[must_use]
    pub fn new(start: World, blue: Option<FleetId>, green: FleetId) -> Self {
        let served = blue.as_ref().map(|blue| start.groups_of(blue)).unwrap_or_default();
        Self { start, served, blue, green, healthy_min: 1, size_max: u32::MAX }
    }

    /// Watches a rollout of `plan` that begins in `start`: also that green is as large as planned, and as well.
    #[must_use]
    pub fn of(start: World, plan: &Plan) -> Self {
        let blue = plan.blue.as_ref().map(|blue| blue.id.clone());
        let bare = Self::new(start, blue, plan.green.id.clone());
        Self { healthy_min: plan.healthy_min(), size_max: plan.green.size, ..bare }
    }

    /// The same judge for an end that rests on a world which others changed after the last look: it finds no group
    /// missing for which the rollout could do nothing.
    #[must_use]
    pub fn blind(mut self) -> Self {
        self.served.clear();
        self
    }

    /// What one call of the rollout broke. `excused` are groups with a waiver.
    #[must_use]
    pub fn call(&self, before: &World, after: &World, excused: &BTreeSet<GroupId>) -> Vec<Violation> {
        let mut broken = Vec::new();
        let blue_now = self.blue.as_ref().map(|blue| before.groups_of(blue)).unwrap_or_default();
        for id in self.served.union(&blue_now) {
            if before.lit(id) && !after.lit(id) && !excused.contains(id) {
                broken.push(violation("I1", format!("a call of ours made `{id}` dark")));
            }
        }
        for (id, group) in &after.groups {
            let Some(earlier) = before.groups.get(id) else { continue };
            broken.extend(weights(id, earlier, group, after));
            // A group that was nobody's before the rollout may be nobody's after it.
            let ours = self.served.contains(id) || blue_now.contains(id);
            if ours
                && group.sharing == Sharing::Paired
                && group.weights.is_empty()
                && !earlier.weights.is_empty()
            {
                broken.push(violation("I4", format!("every weight of `{id}` is 0")));
            }
        }
        let Some(blue) = self.blue.as_ref().filter(|blue| before.fleets.contains_key(*blue)) else {
            return broken;
        };
        if !after.fleets.contains_key(blue) {
            broken.extend(self.blue_went(before, excused));
        } else if let Some(left) = left(blue, before, after) {
            for id in self.uncovered(before, excused) {
                broken.push(violation("I2", format!("blue left `{left}` while green did not carry `{id}`")));
            }
        }
        broken
    }

    /// Blue went: green must carry each group that blue ever served, alone and healthy.
    fn blue_went(&self, before: &World, excused: &BTreeSet<GroupId>) -> Vec<Violation> {
        let blue_now = self.blue.as_ref().map(|blue| before.groups_of(blue)).unwrap_or_default();
        let gap = |id: &GroupId| violation("I2", format!("blue went while green did not carry `{id}`"));
        let stood = blue_now
            .difference(excused)
            .map(|id| violation("I2", format!("blue went while it stood in `{id}`")));
        self.uncovered(before, excused).iter().map(gap).chain(stood).collect()
    }

    /// The groups that blue serves or served and that green does not carry, alone and healthy.
    fn uncovered(&self, world: &World, excused: &BTreeSet<GroupId>) -> BTreeSet<GroupId> {
        let blue_now = self.blue.as_ref().map(|blue| world.groups_of(blue)).unwrap_or_default();
        let covered = |id: &GroupId| {
            // A group that somebody deleted cannot be covered, and cannot go dark any more.
            let Some(group) = world.groups.get(id) else { return true };
            world.healthy(group, &self.green) >= self.healthy_min && group.share(&self.green) == Share::ALL
        };
        self.served.union(&blue_now).filter(|id| !excused.contains(*id) && !covered(id)).cloned().collect()
    }

    /// What is wrong with the world at a good end: green serves everything and blue is gone.
    #[must_use]
    pub fn completed(&self, world: &World, excused: &BTreeSet<GroupId>) -> Vec<Violation> {
        let mut broken = Vec::new();
        let there = |id: &&GroupId| world.groups.contains_key(*id) && !excused.contains(*id);
        for id in self.served.iter().filter(there) {
            let carried = world.groups.get(id).is_some_and(|group| group.share(&self.green) == Share::ALL);
            if !(carried && world.lit(id)) {
                broken.push(violation("I14", format!("completed while green did not carry `{id}`")));
            }
        }
        if let Some(blue) = self.blue.as_ref().filter(|blue| world.fleets.contains_key(*blue)) {
            broken.push(violation("I6", format!("completed while `{blue}` was still there")));
        }
        if let Some(green) = world.fleets.get(&self.green).filter(|green| green.desired > self.size_max) {
            broken
                .push(violation("I6", format!("green has {} instances of {}", green.desired, self.size_max)));
        }
        broken.extend(self.strange(world));
        broken.extend(frozen(world));
        broken
    }

    /// What is wrong with the world after the way back: green is gone and blue serves what it served.
    #[must_use]
    pub fn rolled_back(&self, world: &World) -> Vec<Violation> {
        let mut broken = Vec::new();
        if world.fleets.contains_key(&self.green) || !world.groups_of(&self.green).is_empty() {
            broken.push(violation("I6", format!("rolled back while `{}` was still there", self.green)));
        }
        broken.extend(self.strange(world));
        broken.extend(frozen(world));
        let Some(blue) = &self.blue else { return broken };
        for id in self.served.iter().filter(|id| world.groups.contains_key(*id)) {
            let carried = world.groups.get(id).is_some_and(|group| group.share(blue) == Share::ALL);
            if self.start.lit(id) && !carried {
                broken.push(violation("I14", format!("rolled back while blue did not carry `{id}`")));
            }
        }
        let attached =
            |world: &World| world.fleets.get(blue).map(|fleet| fleet.attached.clone()).unwrap_or_default();
        for id in
            attached(&self.start).difference(&attached(world)).filter(|id| world.groups.contains_key(*id))
        {
            broken.push(violation("I6", format!("rolled back while blue was not attached to `{id}`")));
        }
        broken
    }

    /// Fleets that nobody asked for.
    fn strange(&self, world: &World) -> Vec<Violation> {
        let strange =
            world.fleets.keys().filter(|id| **id != self.green && !self.start.fleets.contains_key(*id));
        strange.map(|id| violation("I6", format!("`{id}` was left behind"))).collect()
    }
}

/// A group with its own route in which a fleet stood before and of which it is on its way out after.
fn left<'a>(fleet: &FleetId, before: &'a World, after: &World) -> Option<&'a GroupId> {
    let active = |world: &World, id: &GroupId| {
        world.groups.get(id).is_some_and(|group| {
            let mut own = group.targets.values().filter(|target| target.fleet == *fleet);
            own.any(|target| world.health(group, target) != Health::Draining)
        })
    };
    let paired = before.groups.iter().filter(|(_, group)| group.sharing == Sharing::Paired).map(|(id, _)| id);
    paired.into_iter().find(|id| after.groups.contains_key(*id) && active(before, id) && !active(after, id))
}

/// A call of ours must not lead more of a route to nobody.
fn weights(id: &GroupId, before: &SimGroup, after: &SimGroup, world: &World) -> Vec<Violation> {
    let (earlier, later) = (before.shares(), after.shares());
    let mut broken = Vec::new();
    for (fleet, share) in later {
        let raised = share > earlier.get(&fleet).copied().unwrap_or_default();
        if after.sharing == Sharing::Paired && raised && world.healthy(after, &fleet) == 0 {
            broken.push(violation(
                "I4",
                format!("`{fleet}` got {share} of `{id}` and has no healthy target there"),
            ));
        }
    }
    broken
}

/// Nothing that the rollout held still may stay so.
fn frozen(world: &World) -> Vec<Violation> {
    let still = world.fleets.iter().filter(|(_, fleet)| fleet.scaling == Scaling::Frozen);
    still.map(|(id, _)| violation("I6", format!("ended while `{id}` was held still"))).collect()
}

pub(crate) fn violation(invariant: &'static str, what: String) -> Violation {
    Violation { invariant, what }
}
