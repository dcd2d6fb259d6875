//! How much of a look the present phase decides nothing by.

use super::phase::Phase;
use super::sight::Sight;
use super::state::{Action, Parting, Rollout};
use crate::cloud::{Change, Leeway};
use crate::model::{FleetId, Sharing, Span, Time};

impl Rollout {
    /// What a look at `now` may spare. Whoever acts on a look asks again: it has to be as good as the phase then needs.
    #[must_use]
    pub fn leeway(&self, now: Time) -> Leeway {
        let blue: Option<&FleetId> = self.plan.blue.as_ref().map(|blue| &blue.id);
        let green = &self.plan.green.id;
        // Blue is judged when traffic is to go back to it, and not before.
        let forward = Leeway { settled: blue.into_iter().cloned().collect(), ..Leeway::default() };
        let busy = self.at_work();
        let over = self.hold_ends().is_some_and(|end| now >= end) || self.promoted || self.hurry;
        match &self.phase {
            // Until it has carried something nobody is lost with green.
            Phase::Provision | Phase::Register | Phase::Settle { .. } if self.dark() => {
                let settling = matches!(self.phase, Phase::Settle { .. });
                let proving = matches!(self.phase, Phase::Settle { healthy_since: Some(_) });
                let settled = blue.into_iter().chain(Some(green).filter(|_| !proving)).cloned().collect();
                let awaited = Some(green).filter(|_| settling && !proving).cloned();
                // Only where it may be over with this look can the first step follow it at once.
                Leeway { surroundings: true, routes: !over, settled, awaited, busy, urgent: false }
            }
            Phase::Shift { step, reached } => {
                let next = step + usize::from(over);
                let holds = reached.is_some() && !over;
                // What others put beside it is the bake's matter, and the drain's: a step moves none of it. But the last one takes
                // blue out of a group that both share, and a rollout without a blue may end on it.
                let by_weight = self.expected().values().all(|group| group.sharing == Sharing::Paired);
                let apart = usize::from(!by_weight || blue.is_none());
                let surroundings = holds || next + apart < self.plan.steps.len();
                Leeway { surroundings, routes: holds, ..forward }
            }
            // Blue has just been told to leave. Whether it does is seen in its groups; whatever follows takes another look.
            Phase::Drain { empty_since: None } if self.has_just_parted() => {
                Leeway { surroundings: true, routes: true, ..Leeway::default() }
            }
            // Nothing is left to do but to wait until the last connection of blue has ended.
            Phase::Drain { empty_since: None } if self.sight().is_some_and(Sight::leaves) => {
                let early = self.sight().is_some_and(|sight| now < sight.drained_by());
                Leeway { surroundings: early, routes: early, awaited: blue.cloned(), ..Leeway::default() }
            }
            // Blue is told to go. All that can follow is that green is given back its scaling, once blue is gone.
            Phase::Retire if self.only_waits_to_thaw() => {
                let settled = blue.into_iter().chain([green]).cloned().collect();
                Leeway { surroundings: true, routes: true, settled, awaited: None, busy, urgent: false }
            }
            // Where blue is still seen on its way out of any group it is not proved to be out of all.
            Phase::Retire => Leeway { awaited: blue.cloned(), busy, ..Leeway::default() },
            // Only green is watched while time passes. Where it may be over, blue can leave on this look, or go.
            Phase::Bake { .. } | Phase::Drain { empty_since: Some(_) } if !over => {
                Leeway { surroundings: true, routes: true, ..forward }
            }
            // Where blue is told to leave, wherever it stands, that green is well there is read now.
            Phase::Provision
            | Phase::Register
            | Phase::Settle { .. }
            | Phase::Bake { .. }
            | Phase::Drain { empty_since: None } => forward,
            Phase::Drain { empty_since: Some(_) } | Phase::Ended(_) => Leeway::default(),
            Phase::Restore { .. } => Leeway { urgent: true, ..Leeway::default() },
            Phase::Withdraw { .. } => Leeway { busy, ..Leeway::default() },
        }
    }

    /// The fleet that was asked to come or to go, and that the cloud is at work on, by the last look or by its answer just
    /// now: nothing can be done before it is done.
    fn at_work(&self) -> Option<FleetId> {
        let asked = match &self.phase {
            Phase::Provision => self.provisioned.then_some(&self.plan.green),
            Phase::Retire => self.plan.blue.as_ref().filter(|_| self.past_return()),
            Phase::Withdraw { .. } => self.withdrawn.then_some(&self.plan.green),
            Phase::Register
            | Phase::Settle { .. }
            | Phase::Shift { .. }
            | Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Restore { .. }
            | Phase::Ended(_) => None,
        };
        let fleet = &asked?.id;
        let busy = match self.sight() {
            Some(last) => last.busy(fleet),
            None => self.answered && self.last.as_ref().is_some_and(|last| last.action.is_about(fleet)),
        };
        busy.then(|| fleet.clone())
    }

    /// Whether blue was told to go, and nothing is left to do after that but to give green back its scaling, which ends
    /// nothing: whatever the last look shows, unless it shows blue as if it had not been told.
    fn only_waits_to_thaw(&self) -> bool {
        let green = &self.plan.green.id;
        let held = self.froze.contains(green) && !self.thawed.contains(green);
        let blue = self.plan.blue.as_ref().map(|blue| &blue.id);
        let going = |blue| self.sight().is_none_or(|sight| sight.gone(blue) || sight.busy(blue));
        self.parting == Parting::Told && held && blue.is_some_and(going)
    }

    /// Whether blue was told to leave, with a good answer, and was not looked at since.
    fn has_just_parted(&self) -> bool {
        let leaves = |change: &Change| matches!(change, Change::Deregister { .. });
        let told = self.last.as_ref().is_some_and(
            |last| matches!(&last.action, Action::Change(changes) if changes.iter().all(leaves)),
        );
        told && self.answered && self.sight().is_none()
    }

    /// When the last rollout's times say that what is awaited may have come.
    pub(super) fn ripe_at(&self) -> Option<Time> {
        let usual = match &self.phase {
            Phase::Provision if self.provisioned => self.plan.expect.provision,
            Phase::Settle { healthy_since: None } => self.plan.expect.settle,
            _ => Span::ZERO,
        };
        (usual > Span::ZERO).then(|| self.entered_at + usual)
    }

    /// Whether green has carried nothing, and was told to carry nothing, so far.
    #[must_use]
    pub fn dark(&self) -> bool {
        self.lit.is_empty() && self.told.is_empty()
    }
}
