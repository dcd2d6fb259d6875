//! What the last look shows of the plan: the questions that both the fold and the decision ask.

use std::collections::BTreeSet;

use super::state::Rollout;
use crate::coverage::{self, Gap, Question};
use crate::model::{
    FleetId, FleetSeen, GroupId, GroupPlan, GroupSeen, Health, Inventory, Seen, Share, Sharing, Side, Steps,
    Time,
};

/// The last look, where it can be acted on.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) rollout: &'a Rollout,
    pub(super) look: &'a Inventory,
}

impl Rollout {
    /// The last look, unless our last change may be missing in it.
    pub(super) fn sight(&self) -> Option<Sight<'_>> {
        let look = self.look.as_ref()?;
        let usable = self.calls.is_none() && look.looked_at >= self.not_before;
        usable.then_some(Sight { rollout: self, look })
    }
}

impl<'a> Sight<'a> {
    pub(super) fn green(self) -> &'a FleetId {
        &self.rollout.plan.green.id
    }

    pub(super) fn blue(self) -> Option<&'a FleetId> {
        self.rollout.plan.blue.as_ref().map(|blue| &blue.id)
    }

    pub(super) fn side(self, group: &GroupId, fleet: &FleetId) -> Option<&'a Side> {
        self.look.group(group).and_then(|group| group.sides.get(fleet))
    }

    pub(super) fn share(self, group: &GroupId, fleet: &FleetId) -> Share {
        self.side(group, fleet).map_or(Share::NONE, |side| side.share)
    }

    /// Healthy targets of the fleet in the group whose instance runs.
    pub(super) fn healthy(self, group: &GroupId, fleet: &FleetId) -> u32 {
        let running = self.look.fleet(fleet).map(FleetSeen::running).unwrap_or_default();
        let healthy = self.side(group, fleet).map(Side::healthy_instances).unwrap_or_default();
        u32::try_from(healthy.intersection(&running).count()).unwrap_or(u32::MAX)
    }

    /// Whether every running instance of the fleet stands in the group and is not on its way out.
    pub(super) fn registered(self, group: &GroupId, fleet: &FleetId) -> bool {
        let running = self.look.fleet(fleet).map(FleetSeen::running).unwrap_or_default();
        let staying =
            |side: &'a Side| side.targets.values().filter(|target| target.health != Health::Draining);
        let standing: BTreeSet<_> =
            self.side(group, fleet).into_iter().flat_map(staying).map(|target| &target.instance).collect();
        !running.is_empty() && running.is_subset(&standing)
    }

    /// Whether blue is seen to run in its planned size.
    pub(super) fn blue_is_whole(self) -> bool {
        self.rollout.plan.blue.as_ref().is_some_and(|blue| {
            self.look.fleet(&blue.id).is_some_and(|seen| {
                let running = u32::try_from(seen.running().len()).unwrap_or(u32::MAX);
                seen.desired >= blue.size && running >= blue.size
            })
        })
    }

    /// Whether nothing keeps the look from showing everything in scope.
    pub(super) fn complete(self) -> bool {
        self.look.unread.is_empty() && self.look.groups.values().all(|group| group.known().is_some())
    }

    /// Whether the fleet is seen not to exist, or to be empty on purpose. A fleet that could not be read is not gone, and one
    /// that the cloud is at work on may be coming.
    pub(super) fn gone(self, fleet: &FleetId) -> bool {
        !self.busy(fleet)
            && match self.look.fleets.get(fleet) {
                None => self.look.unread.is_empty(),
                Some(Seen::Known(seen)) => seen.desired == 0 && seen.instances.is_empty(),
                Some(Seen::Unknown(_)) => false,
            }
    }

    /// Whether the cloud is at work on the fleet.
    pub(super) fn busy(self, fleet: &FleetId) -> bool {
        self.look.busy.contains(fleet)
    }

    pub(super) fn provisioned(self) -> bool {
        let green = &self.rollout.plan.green;
        self.look.fleet(&green.id).is_some_and(|seen| {
            let running = u32::try_from(seen.running().len()).unwrap_or(u32::MAX);
            seen.revision == green.revision && seen.desired >= green.size && running >= green.size
        })
    }

    /// The share of `step` in one group. A route that knows only nothing or everything waits for the last step.
    pub(super) fn target_share(self, group: &GroupPlan, step: usize) -> Share {
        let share = self.rollout.plan.steps.get(step).map_or(Share::ALL, |step| step.share);
        match group.steps {
            Steps::Any => share,
            Steps::AllOrNothing if share == Share::ALL => share,
            Steps::AllOrNothing => Share::NONE,
        }
    }

    /// Whether green is well enough in a group to carry it.
    pub(super) fn well(self, group: &GroupId) -> bool {
        self.healthy(group, self.green()) >= self.rollout.plan.healthy_min()
    }

    /// Whether the group shows the step. Shares never fall on the way forward, so more is as good.
    pub(super) fn reached(self, id: &GroupId, group: &GroupPlan, step: usize) -> bool {
        let want = self.target_share(group, step);
        let share = self.share(id, self.green());
        let there = match group.sharing {
            Sharing::Paired | Sharing::Weighed | Sharing::Unproved => share >= want,
            Sharing::Shared => want < Share::ALL || share == Share::ALL,
        };
        want == Share::NONE || (there && self.well(id))
    }

    /// Whether the fleet may well exist, and the look does not tell how it is.
    pub(super) fn unread(self, fleet: &FleetId) -> bool {
        match self.look.fleets.get(fleet) {
            None => !self.look.unread.is_empty(),
            Some(Seen::Known(_)) => false,
            Some(Seen::Unknown(_)) => true,
        }
    }

    /// The first group that green carries and is not well in. What cannot be read, a group or green itself, is not
    /// judged here: it holds the rollout up, and turning round on a guess could move traffic for nothing.
    pub(super) fn sick(self) -> Option<&'a GroupId> {
        if self.unread(self.green()) {
            return None;
        }
        self.rollout.expected.iter().find_map(|(id, plan)| {
            let known = self.look.group(id)?;
            let side = known.sides.get(self.green());
            let carries = side.is_some_and(|side| side.share > Share::NONE);
            // In a shared group a target counts for the share as soon as it is registered, before it is judged.
            let judged = match plan.sharing {
                Sharing::Paired => true,
                Sharing::Shared | Sharing::Weighed | Sharing::Unproved => side
                    .is_some_and(|side| side.count(Health::Initial) == 0 && side.count(Health::Unused) == 0),
            };
            let lost = self.rollout.lit.contains(id) && !carries && carried_by_nobody(known);
            ((carries && judged && !self.well(id)) || lost).then_some(id)
        })
    }

    /// Whether nobody checks a fleet in the group before it carries something.
    pub(super) fn is_unproved(self, group: &GroupId) -> bool {
        self.rollout.expected.get(group).is_some_and(|plan| plan.sharing == Sharing::Unproved)
    }

    /// Whether blue could take a group's traffic back: as well as planned, or at least as well as green is there.
    pub(super) fn blue_ready(self, group: &GroupId) -> bool {
        let Some(blue) = &self.rollout.plan.blue else { return false };
        if self.is_unproved(group) {
            // Nobody can tell before it carries something again: that was accepted for the way back too.
            return self.registered(group, &blue.id);
        }
        let healthy = self.healthy(group, &blue.id);
        let planned = self.rollout.plan.min_healthy.of(blue.size).max(1);
        healthy >= planned.min(self.healthy(group, self.green()).max(1))
    }

    /// Whether a group that blue served is blue's again. Where green carried it, blue has to be seen to carry all of it,
    /// healthy: that green carries nothing is not enough.
    pub(super) fn restored(self, id: &GroupId) -> bool {
        let Some(blue) = self.blue() else { return true };
        let carried = || self.healthy(id, blue) > 0 && self.share(id, blue) == Share::ALL;
        let proved = !self.rollout.lit.contains(id) || self.look.group(id).is_none() || carried();
        // Where green never carried anything, a waiver let blue go: it need not be healthy there, and has to be back.
        let parted = self.rollout.parted.contains(id) && self.look.group(id).is_some();
        self.left(id) && proved && (!parted || self.registered(id, blue))
    }

    /// Whether green certainly carries nothing in a group. One that could not be read may be carried by it, and so may
    /// one that is missing in a look, unless green was never told to: a deleted group then needs a waiver.
    pub(super) fn left(self, id: &GroupId) -> bool {
        let rollout = self.rollout;
        match self.look.groups.get(id) {
            Some(Seen::Known(group)) => {
                let twins = matches!(group.sharing, Sharing::Paired | Sharing::Unproved);
                let told = twins && rollout.told.contains(id);
                self.share(id, self.green()) == Share::NONE && !told
            }
            Some(Seen::Unknown(_)) => false,
            None => {
                let told = rollout.lit.contains(id) || rollout.told.contains(id);
                let waived = rollout.waivers.iter().any(|w| w.group == *id && w.until > rollout.at);
                self.look.unread.is_empty() && (!told || waived)
            }
        }
    }

    /// Every group that must be lit without blue.
    pub(super) fn required(self) -> BTreeSet<GroupId> {
        self.rollout.expected.keys().chain(&self.rollout.served).cloned().collect()
    }

    /// What would go dark without blue. On a first deployment nothing leaves, and every group in which green stands
    /// has to be covered.
    pub(super) fn gaps(self, now: Time) -> Vec<Gap> {
        let required = self.required();
        coverage::gaps(&self.question(self.blue().unwrap_or(self.green()), &required, now))
    }

    pub(super) fn question(
        self,
        leaving: &'a FleetId,
        required: &'a BTreeSet<GroupId>,
        now: Time,
    ) -> Question<'a> {
        Question {
            leaving,
            staying: self.green(),
            required,
            healthy_min: self.rollout.plan.healthy_min(),
            waivers: &self.rollout.waivers,
            look: self.look,
            not_before: self.rollout.not_before,
            fresh: self.rollout.plan.pace.fresh,
            now,
        }
    }
}

fn carried_by_nobody(group: &GroupSeen) -> bool {
    group.sides.values().all(|side| side.share == Share::NONE || side.healthy() == 0)
}
