//! The judge of time: what had to stay as it was, for how long it did, in the world's own time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cloud::Call;
use super::oracle::{Violation, violation};
use super::world::World;
use crate::cloud::Change;
use crate::model::{FleetId, GroupId, Hold, Plan, Share, Sharing, Span, Steps, Time};

/// Watches one rollout's waits. Every time is one at which the world changed, never one that the rollout claims.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    plan: Arc<Plan>,
    /// When green's share last rose, in each group.
    rose: BTreeMap<GroupId, Time>,
    /// Since when blue stands in no group.
    empty_since: Option<Time>,
    deregistered: bool,
}

impl Waits {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan: Arc::new(plan), rose: BTreeMap::new(), empty_since: None, deregistered: false }
    }

    /// Notes what time alone did.
    pub(super) fn passed(&mut self, world: &World) {
        let Some(blue) = &self.plan.blue else { return };
        let attached = world.fleets.get(&blue.id).is_some_and(|fleet| !fleet.attached.is_empty());
        let registered = |target: &super::world::SimTarget| target.fleet == blue.id;
        let stands = attached || world.groups.values().any(|group| group.targets.values().any(registered));
        self.empty_since = if stands { None } else { self.empty_since.or(Some(world.now)) };
    }

    /// Which waits one call cut short. `calm` says that nobody else has changed the world so far.
    pub(super) fn call(
        &mut self,
        call: &Call,
        before: &World,
        after: &World,
        undisturbed: bool,
    ) -> Vec<Violation> {
        match call {
            Call::Change(Change::Shift { group, to, from: Some(from), .. }) if *to == self.plan.green.id => {
                self.shifted(group, from, before, after, undisturbed)
            }
            Call::Change(Change::Deregister { fleet, .. }) if self.is_blue(fleet) => {
                let since = self.rose.values().max().copied();
                let first = !std::mem::replace(&mut self.deregistered, true);
                since
                    .filter(|_| first)
                    .and_then(|at| short("bake", after.now, at, self.plan.bake))
                    .into_iter()
                    .collect()
            }
            Call::Retire(fleet) if self.is_blue(fleet) && before.fleets.contains_key(fleet) => {
                let since = self.empty_since.unwrap_or(after.now);
                short("quiet period", after.now, since, Hold::For(self.plan.quiet)).into_iter().collect()
            }
            Call::Change(_) | Call::Retire(_) => Vec::new(),
        }
    }

    fn is_blue(&self, fleet: &FleetId) -> bool {
        self.plan.blue.as_ref().is_some_and(|blue| blue.id == *fleet)
    }

    fn shifted(
        &mut self,
        id: &GroupId,
        blue: &FleetId,
        before: &World,
        after: &World,
        calm: bool,
    ) -> Vec<Violation> {
        let green = &self.plan.green.id;
        let share = |world: &World| world.groups.get(id).map_or(Share::NONE, |group| group.share(green));
        let (earlier, later) = (share(before), share(after));
        if later <= earlier {
            return Vec::new();
        }
        let since = self.rose.insert(id.clone(), after.now);
        let first = self.rose.len() == 1 && since.is_none();
        let mut broken = Vec::new();
        if first && calm {
            broken.extend(self.unsettled(before));
        }
        let Some(group) = before.groups.get(id) else { return broken };
        let stepwise = group.sharing == Sharing::Paired && group.steps == Steps::Any;
        if !stepwise || before.healthy(group, blue) == 0 {
            return broken;
        }
        let steps = &self.plan.steps;
        let Some(at) = steps.iter().position(|step| step.share >= later) else { return broken };
        if let Some(last) = at.checked_sub(1).and_then(|last| steps.get(last)) {
            if earlier < last.share {
                broken.push(violation("I13", format!("`{id}` went from {earlier} to {later}, past a step")));
            } else if let Some(since) = since {
                broken.extend(short("step", after.now, since, last.hold));
            }
        }
        broken
    }

    /// The first share that moves, while green has not been healthy everywhere for as long as planned.
    fn unsettled(&self, world: &World) -> Option<Violation> {
        let settled = |id: &&GroupId| {
            let Some(group) = world.groups.get(*id) else { return true };
            let judged = |since: Time| since + group.health_interval + self.plan.settle;
            let well = |target: &&super::world::SimTarget| {
                target.fleet == self.plan.green.id && judged(target.since) <= world.now
            };
            let well = u32::try_from(group.targets.values().filter(well).count()).unwrap_or(u32::MAX);
            group.sharing != Sharing::Paired || well >= self.plan.healthy_min()
        };
        let early = self.plan.groups.keys().find(|id| !settled(id))?;
        Some(violation("I13", format!("traffic moved before `{early}` had settled")))
    }
}

fn short(what: &str, now: Time, since: Time, hold: Hold) -> Option<Violation> {
    let Hold::For(planned) = hold else { return None };
    let took: Span = now.since(since);
    (took < planned).then(|| violation("I13", format!("the {what} of {planned} was cut short at {took}")))
}
