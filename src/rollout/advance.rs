//! When a phase is left: judged in the fold, on every new look and order.

use super::phase::{Cause, Phase, Verdict};
use super::sight::Sight;
use super::state::Rollout;
use crate::coverage;
use crate::model::{GroupId, Hold, OnDeadline, Share, Span, Time};

/// A rollout has fewer phases and steps than this; more moves on one look would be a circle.
const MOVES_MAX: usize = 256;

impl Rollout {
    /// Moves on as far as the last look allows.
    pub(super) fn advance(&mut self) {
        for _ in 0..MOVES_MAX {
            self.note_progress();
            let Some(phase) = self.sight().and_then(Sight::next_phase) else { return };
            let entered = std::mem::discriminant(&phase) != std::mem::discriminant(&self.phase)
                || matches!((&phase, &self.phase), (Phase::Shift { step: a, .. }, Phase::Shift { step: b, .. }) if a != b);
            match phase {
                Phase::Restore { cause } if self.phase.forward() => self.go_back(cause),
                phase if entered => self.enter(phase),
                phase => self.phase = phase,
            }
        }
    }

    /// Moves the deadline where the phase came nearer to its end than ever before.
    fn note_progress(&mut self) {
        let Some(measure) = self.sight().map(Sight::progress) else { return };
        if measure > self.progress {
            self.progress = measure;
            self.progress_at = self.at;
            // What was asked for has been seen to begin: the next step of a fleet that comes up in several need not wait.
            if matches!(self.phase, Phase::Provision) && self.answered {
                self.repeats = 0;
                self.retry_at = self.at;
            }
        }
    }

    /// When the present phase is late; never, where it only lets time pass.
    #[must_use]
    pub fn due(&self) -> Time {
        let late = self.plan.deadlines;
        let from = |since: Time, span: Span| since.max(self.progress_at) + span;
        if self.paused && self.reversible() {
            return from(self.progress_at, late.hold);
        }
        match &self.phase {
            Phase::Provision => from(self.progress_at, late.provision),
            Phase::Register => from(self.progress_at, late.register),
            Phase::Settle { healthy_since: None } => from(self.progress_at, late.settle),
            Phase::Settle { healthy_since: Some(since) } => from(*since + self.plan.settle, late.settle),
            Phase::Shift { reached: None, .. } => from(self.progress_at, late.shift),
            Phase::Shift { step, reached: Some(since) } => {
                match self.plan.steps.get(*step).map(|step| step.hold) {
                    Some(Hold::For(span)) => from(*since + span, late.shift),
                    Some(Hold::Promote) => from(*since, late.hold),
                    None => from(*since, late.shift),
                }
            }
            Phase::Bake { since } => match self.plan.bake {
                Hold::For(span) => from(*since + span, late.hold),
                Hold::Promote => from(*since, late.hold),
            },
            Phase::Drain { empty_since: None } => from(self.progress_at, late.drain),
            Phase::Drain { empty_since: Some(since) } => from(*since + self.plan.quiet, late.drain),
            Phase::Retire => from(self.progress_at, late.retire),
            Phase::Restore { .. } => from(self.progress_at, late.restore),
            Phase::Withdraw { .. } => from(self.progress_at, late.withdraw),
            Phase::Ended(_) => Time(u64::MAX),
        }
    }
}

impl<'a> Sight<'a> {
    /// Whether everything was still as it should be when the time was over. Only a look that began then can tell: an
    /// order that comes long after the last look lets time pass that nobody watched.
    fn watched(self, since: Time, span: Span) -> bool {
        self.look.looked_at.since(since) >= span
    }

    fn held_for(self, since: Time, hold: Hold) -> bool {
        let over = match hold {
            Hold::For(span) => self.watched(since, span),
            Hold::Promote => false,
        };
        over || self.rollout.promoted || self.rollout.hurry
    }

    /// The phase that follows on this look, if any. First the guards, then the exit.
    fn next_phase(self) -> Option<Phase> {
        let rollout = self.rollout;
        if let Some(group) = self.sick().filter(|_| rollout.reversible()) {
            let healthy = self.healthy(group, self.green());
            let needed = rollout.plan.healthy_min();
            return Some(Phase::Restore { cause: Cause::Sick { group: group.clone(), healthy, needed } });
        }
        if let Some(reason) = self.failed() {
            return Some(Phase::Restore { cause: Cause::Failed { reason: reason.to_owned() } });
        }
        self.exit().or_else(|| self.late())
    }

    /// Why green will never come up, as long as that matters: once it carries everything, only its health does.
    fn failed(self) -> Option<&'a str> {
        let early = match &self.rollout.phase {
            Phase::Provision | Phase::Register | Phase::Settle { .. } | Phase::Shift { .. } => true,
            Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => false,
        };
        self.look.fleet(self.green()).and_then(|seen| seen.failed.as_deref()).filter(|_| early)
    }

    /// What a missed deadline leads to. `None` where the rollout is then held: that is the decision's to say.
    fn late(self) -> Option<Phase> {
        let rollout = self.rollout;
        let standing_still = rollout.paused && rollout.reversible();
        if standing_still || rollout.at < rollout.due() {
            return None;
        }
        let missed = Cause::Deadline { phase: rollout.phase.name().into() };
        match &rollout.phase {
            Phase::Provision | Phase::Register | Phase::Settle { .. } | Phase::Shift { .. } => {
                (rollout.plan.deadlines.then == OnDeadline::Rollback)
                    .then_some(Phase::Restore { cause: missed })
            }
            // Past the cut-over blue is the way back and green is well: holding is the safe end.
            Phase::Bake { .. } | Phase::Drain { .. } | Phase::Retire | Phase::Ended(_) => None,
            Phase::Restore { cause } | Phase::Withdraw { cause } => {
                Some(Phase::Ended(Verdict::Failed { cause: cause.clone(), stuck: self.stuck() }))
            }
        }
    }

    /// What stands in the way of a way back that is late, by name.
    fn stuck(self) -> String {
        let rollout = self.rollout;
        let back = matches!(rollout.phase, Phase::Restore { .. });
        let (what, groups): (_, Vec<_>) = if back {
            let open = rollout.served.iter().filter(|id| !self.restored(id));
            ("not proved to be back on blue", open.map(|id| format!("`{id}`")).collect())
        } else {
            let standing = self.look.groups_of(self.green());
            ("green still stands in", standing.iter().map(|id| format!("`{id}`")).collect())
        };
        let late = format!("no progress in `{}` before its deadline", rollout.phase.name());
        if groups.is_empty() { late } else { format!("{late}; {what}: {}", groups.join(", ")) }
    }

    fn exit(self) -> Option<Phase> {
        let (rollout, now) = (self.rollout, self.rollout.at);
        let groups = &rollout.expected;
        match &rollout.phase {
            Phase::Provision => (self.provisioned() && self.shielded()).then_some(Phase::Register),
            Phase::Register => {
                let joined = self.paired().all(|id| self.registered(id, self.green()));
                joined.then_some(Phase::Settle { healthy_since: None })
            }
            Phase::Settle { healthy_since } => {
                let well = self.paired().all(|id| self.well(id));
                match (well, healthy_since) {
                    (true, None) => Some(Phase::Settle { healthy_since: Some(now) }),
                    (true, Some(since)) => {
                        let settled = self.watched(*since, rollout.plan.settle);
                        settled.then_some(Phase::Shift { step: 0, reached: None })
                    }
                    (false, None) => None,
                    (false, Some(_)) => Some(Phase::Settle { healthy_since: None }),
                }
            }
            Phase::Shift { step, reached } => {
                let there = groups.iter().all(|(id, group)| self.reached(id, group, *step));
                self.shifted(*step, *reached, there)
            }
            Phase::Bake { since } => {
                let over = self.held_for(*since, rollout.plan.bake);
                let covered = over && self.gaps(now).is_empty();
                let next = if rollout.plan.blue.is_some() {
                    Phase::Drain { empty_since: None }
                } else {
                    Phase::Retire
                };
                covered.then_some(next)
            }
            Phase::Drain { empty_since } => self.drained(*empty_since),
            Phase::Retire => self.completed().then_some(Phase::Ended(Verdict::Completed)),
            Phase::Restore { cause } => {
                let back = self.look.unread.is_empty() && rollout.served.iter().all(|id| self.restored(id));
                back.then(|| Phase::Withdraw { cause: cause.clone() })
            }
            Phase::Withdraw { cause } => self.withdrawn(cause),
            Phase::Ended(_) => None,
        }
    }

    fn shifted(self, step: usize, reached: Option<Time>, there: bool) -> Option<Phase> {
        let (rollout, now) = (self.rollout, self.rollout.at);
        let last = rollout.plan.steps.len().saturating_sub(1);
        if rollout.hurry && step < last {
            return Some(Phase::Shift { step: last, reached: None });
        }
        match (there, reached) {
            (true, None) => Some(Phase::Shift { step, reached: Some(now) }),
            (true, Some(since)) => {
                let hold = rollout.plan.steps.get(step).map_or(Hold::For(Span::ZERO), |step| step.hold);
                let next = if step < last {
                    Phase::Shift { step: step + 1, reached: None }
                } else {
                    Phase::Bake { since: now }
                };
                self.held_for(since, hold).then_some(next)
            }
            (false, None) => None,
            (false, Some(_)) => Some(Phase::Shift { step, reached: None }),
        }
    }

    fn drained(self, empty_since: Option<Time>) -> Option<Phase> {
        let (rollout, now) = (self.rollout, self.rollout.at);
        let blue = self.blue()?;
        let left = coverage::stands(&self.question(blue, &self.required(), now)).is_empty();
        let empty = self.complete() && left && self.gaps(now).is_empty();
        match (empty, empty_since) {
            (true, None) => Some(Phase::Drain { empty_since: Some(now) }),
            (true, Some(since)) => self.watched(since, rollout.plan.quiet).then_some(Phase::Retire),
            (false, None) => None,
            (false, Some(_)) => Some(Phase::Drain { empty_since: None }),
        }
    }

    /// Proved once more at the very end: blue gone by our announced hand, every group lit, scaling given back.
    fn completed(self) -> bool {
        let blue_gone = self.blue().is_none_or(|blue| self.rollout.past_return() && self.gone(blue));
        blue_gone && self.thawed(self.green()) && self.gaps(self.rollout.at).is_empty()
    }

    /// Green may exist unseen if its creation was announced, so it counts as gone only after a good answer as well.
    fn withdrawn(self, cause: &Cause) -> Option<Phase> {
        let carries = |id: &GroupId| self.share(id, self.green()) > Share::NONE;
        if self.rollout.served.iter().any(carries) {
            return Some(Phase::Restore { cause: cause.clone() });
        }
        let asked = self.rollout.withdrawn || !self.rollout.provisioned;
        let left = self.rollout.served.iter().all(|id| self.left(id));
        let gone = asked && self.gone(self.green()) && self.complete() && left;
        let thawed = self.blue().is_none_or(|blue| self.thawed(blue));
        (gone && thawed).then(|| Phase::Ended(Verdict::RolledBack { cause: cause.clone() }))
    }

    /// How near the phase is to its end; only compared with itself.
    fn progress(self) -> u64 {
        let green = self.green();
        let instances = |fleet| self.look.fleet(fleet).map_or(0, |seen| seen.instances.len() as u64);
        let targets = |fleet| -> u64 {
            self.look
                .groups
                .values()
                .filter_map(|group| group.known()?.sides.get(fleet))
                .map(|s| s.targets.len() as u64)
                .sum()
        };
        let left = |count: u64| u64::from(u32::MAX) - count.min(u64::from(u32::MAX));
        let paired = || self.paired();
        match &self.rollout.phase {
            // An instance that is there has come half of its way.
            Phase::Provision => {
                let running = self.look.fleet(green).map_or(0, |seen| seen.running().len() as u64);
                instances(green) + running
            }
            Phase::Register => paired().filter(|id| self.registered(id, green)).count() as u64,
            Phase::Settle { .. } => paired().map(|id| u64::from(self.healthy(id, green))).sum(),
            Phase::Shift { step, .. } => {
                let there = |(id, group): &(&_, &_)| self.reached(id, group, *step);
                self.rollout.expected.iter().filter(there).count() as u64
            }
            Phase::Bake { .. } | Phase::Ended(_) => 0,
            Phase::Drain { .. } => self.blue().map_or(0, |blue| left(targets(blue))),
            Phase::Retire => self.blue().map_or(0, |blue| left(instances(blue))),
            Phase::Restore { .. } => {
                let back = self.rollout.served.iter().filter(|id| self.restored(id)).count() as u64;
                let healthy =
                    |blue| self.rollout.served.iter().map(|id| u64::from(self.healthy(id, blue))).sum();
                back + self.blue().map_or(0, healthy)
            }
            Phase::Withdraw { .. } => left(targets(green) + instances(green)),
        }
    }
}
