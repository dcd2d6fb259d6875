//! What to do next, from the state alone.

use std::collections::BTreeSet;

use super::phase::{Phase, Verdict};
use super::sight::Sight;
use super::state::{Action, Rollout};
use crate::cloud::Change;
use crate::coverage::{self, Gap, Question, Retirement};
use crate::model::{
    Fleet, FleetId, FleetSeen, GroupId, GroupSeen, Health, Hold, Scaling, Seen, Share, Sharing, Side, Span,
    Time, Token,
};

/// How often a wait is looked at in its own length: a look comes late by some 2.5 % of what was waited for.
const LOOKS_IN_A_WAIT: u64 = 20;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Look at the world.
    Look,
    /// Announce these changes, then make them, all at once.
    Change(Vec<Change>, Token),
    /// Announce this, then take the fleet away.
    Retire(Retirement, Token),
    /// Nothing until then.
    Wait {
        /// When to decide again.
        until: Time,
    },
    /// A group would go dark: wait until it is covered, amended or waived.
    Hold {
        /// Every reason.
        gaps: Vec<Gap>,
        /// When to look again.
        until: Time,
    },
    /// An operator has to say `promote`.
    Promote {
        /// When to look again.
        until: Time,
    },
    /// An operator said `pause`.
    Paused {
        /// When to look again.
        until: Time,
    },
    /// A deadline passed, and standing still is the safe end: both fleets stay, the rollout stays open.
    Held {
        /// Every reason, where a gap is it.
        gaps: Vec<Gap>,
    },
    /// It has ended.
    Done(Verdict),
}

/// Whether nothing is left to be asked for. Where a fleet comes up in several steps, such as an empty one that gets its
/// instances and then its revision, the next step is asked for as long as it runs something else.
fn is_as_planned(seen: &FleetSeen, fleet: &Fleet) -> bool {
    seen.desired >= fleet.size && seen.revision == fleet.revision
}

/// What the present phase still wants.
enum Want {
    Nothing,
    Changes(Vec<Change>),
    Retire(Retirement),
    Covered(Vec<Gap>),
}

impl Rollout {
    /// Decides what to do at `now`.
    #[must_use]
    pub fn decide(&self, now: Time) -> Next {
        if let Phase::Ended(verdict) = &self.phase {
            return Next::Done(verdict.clone());
        }
        let now = now.max(self.at);
        if now < self.not_before {
            return Next::Wait { until: self.not_before };
        }
        let Some(sight) = self.sight() else { return Next::Look };
        let want = if self.paused && self.reversible() { Want::Nothing } else { sight.want(now) };
        if sight.look.looked_at >= self.due() {
            let gaps = if let Want::Covered(gaps) = want { gaps } else { Vec::new() };
            return Next::Held { gaps };
        }
        let aged = now.since(sight.look.looked_at);
        match want {
            Want::Changes(changes) => {
                self.act(&Action::Change(changes.clone()), now, aged, |token| Next::Change(changes, token))
            }
            Want::Retire(proof) => self
                .act(&Action::Retire(proof.fleet().clone()), now, aged, |token| Next::Retire(proof, token)),
            Want::Covered(gaps) => self.until(now, self.plan.pace.soon, |until| Next::Hold { gaps, until }),
            Want::Nothing if self.paused && self.reversible() => {
                self.until(now, self.plan.pace.watch, |until| Next::Paused { until })
            }
            Want::Nothing if self.awaits_promotion() => {
                self.until(now, self.plan.pace.watch, |until| Next::Promote { until })
            }
            Want::Nothing => {
                let pace = if self.watching() { self.plan.pace.watch } else { sight.patience(now) };
                self.until(now, pace, |until| Next::Wait { until })
            }
        }
    }

    /// Acts, unless the look is too old to act on, or the same calls were made just now and may not be seen yet.
    fn act(&self, action: &Action, now: Time, aged: Span, next: impl FnOnce(Token) -> Next) -> Next {
        let last = self.last.as_ref().filter(|last| last.action == *action);
        if aged > self.plan.pace.fresh {
            return Next::Look;
        }
        match last {
            Some(_) if now < self.retry_at => {
                self.until(now, self.plan.pace.soon, |until| Next::Wait { until: until.min(self.retry_at) })
            }
            // Not known to have been applied: under the same token it cannot be applied twice. A fleet is taken away
            // under one token for good: a slow end is no reason for a second one.
            Some(last) if !self.answered || matches!(action, Action::Retire(_)) => next(last.token.clone()),
            Some(_) | None => self.token().map_or(Next::Look, next),
        }
    }

    fn token(&self) -> Option<Token> {
        let id = &self.plan.rollout;
        Token::new(format!(
            "{}-{}-{}-{}-{}",
            id.service,
            id.environment,
            id.number,
            self.opener,
            self.tokens + 1
        ))
        .ok()
    }

    /// Looks again after `pace`, or earlier where a hold or a deadline ends earlier.
    fn until(&self, now: Time, pace: Span, next: impl FnOnce(Time) -> Next) -> Next {
        let looked = self.look.as_ref().map_or(now, |look| look.looked_at);
        let mut until = (looked + pace).min(self.due());
        if let Some(end) = self.hold_ends().filter(|end| *end > looked) {
            // One look serves both where a hold would end just after it.
            until = if end <= looked + pace + Span(pace.0 / 4) { end.min(self.due()) } else { until };
        }
        if now >= until { Next::Look } else { next(until) }
    }

    /// When the hold that the rollout is in ends by itself.
    #[must_use]
    pub fn hold_ends(&self) -> Option<Time> {
        let (since, hold) = match &self.phase {
            Phase::Settle { healthy_since: Some(since) } => (*since, Hold::For(self.plan.settle)),
            Phase::Shift { step, reached: Some(since) } => (*since, self.plan.steps.get(*step)?.hold),
            Phase::Bake { since } => (*since, self.plan.bake),
            Phase::Drain { empty_since: Some(since) } => (*since, Hold::For(self.plan.quiet)),
            Phase::Settle { healthy_since: None }
            | Phase::Shift { reached: None, .. }
            | Phase::Drain { empty_since: None }
            | Phase::Provision
            | Phase::Register
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => return None,
        };
        match hold {
            Hold::For(span) => Some(since + span),
            Hold::Promote => None,
        }
    }

    fn watching(&self) -> bool {
        self.hold_ends().is_some()
    }

    /// Whether it stands in a hold that only an order ends.
    #[must_use]
    pub fn awaits_promotion(&self) -> bool {
        let hold = match &self.phase {
            Phase::Shift { step, reached: Some(_) } => self.plan.steps.get(*step).map(|step| step.hold),
            Phase::Bake { .. } => Some(self.plan.bake),
            Phase::Shift { reached: None, .. }
            | Phase::Settle { .. }
            | Phase::Drain { .. }
            | Phase::Provision
            | Phase::Register
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => None,
        };
        hold == Some(Hold::Promote) && !self.promoted && !self.hurry
    }

    /// Every group that would go dark if blue went now, on the last look; for people to read at any time.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        match &self.look {
            Some(look) => Sight { rollout: self, look }.gaps(look.looked_at),
            None => Vec::new(),
        }
    }
}

impl<'a> Sight<'a> {
    fn want(self, now: Time) -> Want {
        match (self.wants(now), self.loosened()) {
            (want, None) | (want @ (Want::Retire(_) | Want::Covered(_)), _) => want,
            (Want::Nothing, Some(freeze)) => Want::Changes(vec![freeze]),
            (Want::Changes(changes), Some(freeze)) => {
                Want::Changes(changes.into_iter().chain([freeze]).collect())
            }
        }
    }

    /// Blue, where somebody has let it scale again that we hold still: without traffic it would shrink, and be too small for
    /// the way back.
    fn loosened(self) -> Option<Change> {
        let rollout = self.rollout;
        let kept = match &rollout.phase {
            Phase::Register
            | Phase::Settle { .. }
            | Phase::Shift { .. }
            | Phase::Bake { .. }
            | Phase::Drain { .. } => true,
            Phase::Provision
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => false,
        };
        let blue = self.blue().filter(|blue| kept && rollout.froze.contains(*blue))?;
        let loose = self.look.fleet(blue).is_some_and(|seen| seen.scaling == Scaling::Active);
        loose.then(|| Change::Freeze { fleet: blue.clone() })
    }

    fn wants(self, now: Time) -> Want {
        match &self.rollout.phase {
            Phase::Provision => Want::from(self.want_provisioned()),
            Phase::Register => Want::from(self.want_registered(self.paired().collect())),
            Phase::Settle { .. } | Phase::Ended(_) => Want::Nothing,
            Phase::Shift { step, .. } => Want::from(self.want_shifted(*step)),
            Phase::Bake { since } => self.want_covered(*since, now),
            Phase::Drain { .. } => self.want_drained(now),
            Phase::Retire => self.want_retired(now),
            Phase::Restore { .. } => Want::from(self.want_restored()),
            Phase::Withdraw { .. } => self.want_withdrawn(now),
        }
    }

    /// How long after the last look the next one is worth its calls, while something is awaited: not before the earliest
    /// moment at which it can have come, and what has taken long is not looked at as often as what has just begun.
    fn patience(self, now: Time) -> Span {
        let (rollout, pace) = (self.rollout, self.rollout.plan.pace);
        let since = rollout.entered_at.max(rollout.not_before);
        let usual = |since: Time, soon: Span| {
            Span(now.since(since).0 / LOOKS_IN_A_WAIT).clamp(soon, pace.watch.max(soon))
        };
        if let Some(ripe) = rollout.ripe_at() {
            // From then on it may come at any moment, and not before.
            let eager = Span(pace.soon.0 / 2);
            return usual(since.max(ripe), eager).max(ripe.since(self.look.looked_at));
        }
        match &rollout.phase {
            // Green carries everything meanwhile, and is watched.
            Phase::Drain { empty_since: None } => {
                let (over, looked) = (self.drained_by(), self.look.looked_at);
                usual(since.max(over), pace.soon).max(over.min(looked + pace.watch).since(looked))
            }
            _ => usual(since, pace.soon),
        }
    }

    /// When the last connection of blue has ended, as far as that is known.
    pub(super) fn drained_by(self) -> Time {
        self.rollout.entered_at.max(self.rollout.not_before) + self.longest_delay()
    }

    /// How long blue keeps its open connections, in the slowest of the groups that it is leaving.
    fn longest_delay(self) -> Span {
        let Some(blue) = self.blue() else { return Span::ZERO };
        let leaving = self.look.groups.values().filter_map(Seen::known).filter(|group| {
            let side = group.sides.get(blue);
            side.is_some_and(|side| side.count(Health::Draining) > 0)
        });
        leaving.map(|group| group.deregistration_delay).max().unwrap_or(Span::ZERO)
    }

    /// Groups in which green can stand without carrying anything.
    pub(super) fn paired(self) -> impl Iterator<Item = &'a GroupId> {
        self.rollout.expected.iter().filter(|(_, group)| group.sharing == Sharing::Paired).map(|(id, _)| id)
    }

    /// First the shield over blue, then green.
    fn want_provisioned(self) -> Vec<Change> {
        if let Some(blue) = self.blue().filter(|blue| !self.held_still(blue)) {
            // One that could not be read may be held still by somebody else, and would then not be ours to give back.
            let loose = self.look.fleet(blue).is_some();
            return loose.then(|| Change::Freeze { fleet: blue.clone() }).into_iter().collect();
        }
        let green = &self.rollout.plan.green;
        match self.look.fleets.get(&green.id) {
            Some(seen) if seen.known().is_none_or(|seen| is_as_planned(seen, green)) => {
                let loose = seen.known().is_some() && !self.held_still(&green.id);
                loose.then(|| Change::Freeze { fleet: green.id.clone() }).into_iter().collect()
            }
            Some(_) | None if self.rollout.provisioned && self.busy(&green.id) => Vec::new(),
            Some(_) | None => vec![Change::Provision { fleet: green.clone() }],
        }
    }

    /// Whether the fleet's size cannot change under us, as far as the plan asks for it. One that is not there has none.
    fn held_still(self, fleet: &FleetId) -> bool {
        let scaling = self.look.fleet(fleet).map(|seen| seen.scaling);
        let still = match scaling {
            Some(Scaling::Frozen | Scaling::Fixed) => true,
            Some(Scaling::Active) => false,
            None => !self.unread(fleet),
        };
        !self.rollout.plan.freeze || still
    }

    pub(super) fn shielded(self) -> bool {
        self.held_still(self.green()) && self.blue().is_none_or(|blue| self.held_still(blue))
    }

    /// Whether we have given back the scaling of a fleet that we held still.
    pub(super) fn thawed(self, fleet: &FleetId) -> bool {
        let frozen = self.look.fleet(fleet).is_some_and(|seen| seen.scaling == Scaling::Frozen);
        // A look that does not show our freeze may lag behind, so a good answer to the thaw is asked for as well.
        let given_back = self.rollout.thawed.contains(fleet) && !frozen;
        !self.rollout.froze.contains(fleet) || given_back || self.gone(fleet)
    }

    fn want_registered(self, groups: BTreeSet<&GroupId>) -> Vec<Change> {
        let missing: BTreeSet<_> =
            groups.into_iter().filter(|id| !self.registered(id, self.green())).cloned().collect();
        if missing.is_empty() {
            return Vec::new();
        }
        vec![Change::Register { fleet: self.green().clone(), groups: missing }]
    }

    fn want_shifted(self, step: usize) -> Vec<Change> {
        let behind: Vec<_> =
            self.rollout.expected.iter().filter(|(id, group)| !self.reached(id, group, step)).collect();
        let absent = behind.iter().map(|(id, _)| *id).filter(|id| !self.registered(id, self.green()));
        let register = self.want_registered(absent.collect());
        if !register.is_empty() {
            return register;
        }
        let ready = behind.into_iter().filter(|(id, _)| self.well(id) || self.is_unproved(id));
        let short = ready.filter(|(id, group)| match group.sharing {
            Sharing::Paired | Sharing::Weighed => true,
            Sharing::Unproved => self.share(id, self.green()) < self.target_share(group, step),
            Sharing::Shared => {
                self.target_share(group, step) == Share::ALL && self.share(id, self.green()) < Share::ALL
            }
        });
        short
            .map(|(id, group)| {
                // Where blue stands in no way, a share that is left to it would be answered by nobody.
                let beside = self.blue().is_some_and(|blue| self.side(id, blue).is_some_and(Side::stands));
                let share = if beside { self.target_share(group, step) } else { Share::ALL };
                self.shift(id, share)
            })
            .collect()
    }

    /// Blue keeps the rest only where it stands: in a group that is new in the file it cannot carry any.
    fn shift(self, group: &GroupId, share: Share) -> Change {
        let from = self.blue().filter(|blue| self.look.groups_of(blue).contains(group)).cloned();
        Change::Shift { group: group.clone(), to: self.green().clone(), from, share }
    }

    fn want_covered(self, since: Time, now: Time) -> Want {
        let over = match self.rollout.plan.bake {
            Hold::For(span) => now.since(since) >= span,
            Hold::Promote => false,
        };
        let gaps =
            if over || self.rollout.promoted || self.rollout.hurry { self.gaps(now) } else { Vec::new() };
        // A look that has only grown old is taken again, not complained about.
        if gaps.is_empty() || self.stale(now) { Want::Nothing } else { Want::Covered(gaps) }
    }

    fn stale(self, now: Time) -> bool {
        now.since(self.look.looked_at) > self.rollout.plan.pace.fresh
    }

    fn want_drained(self, now: Time) -> Want {
        let Some(blue) = self.blue() else { return Want::Nothing };
        if self.stale(now) {
            return Want::Nothing;
        }
        let gaps = self.gaps(now);
        if gaps.is_empty() { Want::from(self.want_deregistered(blue)) } else { Want::Covered(gaps) }
    }

    /// Whether blue is on its way out of every group: what stands of it drains.
    pub(super) fn leaves(self) -> bool {
        self.blue().is_some_and(|blue| {
            let draining =
                |id: &GroupId| self.side(id, blue).is_some_and(|side| side.count(Health::Draining) > 0);
            self.want_deregistered(blue).is_empty() && self.look.groups_of(blue).iter().any(draining)
        })
    }

    fn want_deregistered(self, fleet: &FleetId) -> Vec<Change> {
        let attached = self.look.fleet(fleet).map(|seen| &seen.attached);
        let stays = |id: &GroupId, side: Option<&Side>| {
            let active = |side: &Side| side.targets.values().any(|target| target.health != Health::Draining);
            side.is_some_and(active) || attached.is_some_and(|groups| groups.contains(id))
        };
        let groups: BTreeSet<_> =
            self.look.groups_of(fleet).into_iter().filter(|id| stays(id, self.side(id, fleet))).collect();
        if groups.is_empty() {
            return Vec::new();
        }
        vec![Change::Deregister { fleet: fleet.clone(), groups }]
    }

    fn want_retired(self, now: Time) -> Want {
        let blue = self.blue().filter(|blue| !(self.rollout.past_return() && self.gone(blue)));
        let Some(blue) = blue else {
            let green = self.green();
            if !self.thawed(green) {
                return Want::Changes(vec![Change::Thaw { fleet: green.clone() }]);
            }
            let gaps = if self.stale(now) { Vec::new() } else { self.gaps(now) };
            return if gaps.is_empty() { Want::Nothing } else { Want::Covered(gaps) };
        };
        if self.stale(now) || self.rollout.past_return() && self.busy(blue) {
            return Want::Nothing;
        }
        match coverage::prove(&self.question(blue, &self.required(), now)) {
            Ok(proof) => Want::Retire(proof),
            Err(gaps) => Want::Covered(gaps),
        }
    }

    /// First blue stands everywhere again, then traffic goes back wherever blue is proved.
    fn want_restored(self) -> Vec<Change> {
        let Some(blue) = self.blue() else { return Vec::new() };
        let back =
            self.rollout.served.iter().filter(|id| self.look.group(id).is_some() && !self.restored(id));
        let (joined, absent): (Vec<_>, Vec<_>) = back.partition(|id| self.registered(id, blue));
        let mut changes: Vec<_> = joined
            .into_iter()
            .filter(|id| self.blue_ready(id))
            .map(|id| self.shift(id, Share::NONE))
            .collect();
        if !absent.is_empty() {
            let groups = absent.into_iter().cloned().collect();
            changes.push(Change::Register { fleet: blue.clone(), groups });
        }
        changes
    }

    fn want_withdrawn(self, now: Time) -> Want {
        let green = self.green();
        // A group that this look does not show may be green's still: it must not lose green on a guess.
        if !self.rollout.served.iter().all(|id| self.left(id)) {
            return Want::Nothing;
        }
        // Groups that blue never served were nobody's before, and are nobody's again.
        let own = self.look.groups.iter().filter(|(_, seen)| {
            let twins = |group: &GroupSeen| matches!(group.sharing, Sharing::Paired | Sharing::Unproved);
            seen.known().is_some_and(twins)
        });
        let alone: Vec<_> = own
            .map(|(id, _)| id)
            .filter(|id| !self.rollout.served.contains(*id) && self.share(id, green) > Share::NONE)
            .map(|id| Change::Shift { group: id.clone(), to: green.clone(), from: None, share: Share::NONE })
            .collect();
        if !alone.is_empty() {
            return Want::Changes(alone);
        }
        let leave = self.want_deregistered(green);
        if !leave.is_empty() {
            return Want::Changes(leave);
        }
        if self.rollout.provisioned && !(self.rollout.withdrawn && self.gone(green)) {
            if self.stale(now) || self.rollout.withdrawn && self.busy(green) {
                return Want::Nothing;
            }
            let carried = self.rollout.served.intersection(&self.rollout.lit).cloned().collect();
            let question = Question {
                leaving: green,
                staying: self.blue().unwrap_or(green),
                healthy_min: 1,
                ..self.question(green, &carried, now)
            };
            return match coverage::prove_idle(&question) {
                Ok(proof) => Want::Retire(proof),
                // Draining targets leave by themselves; everything else is the deadline's matter.
                Err(_) => Want::Nothing,
            };
        }
        match self.blue().filter(|blue| !self.thawed(blue)) {
            Some(blue) => Want::Changes(vec![Change::Thaw { fleet: blue.clone() }]),
            None => Want::Nothing,
        }
    }
}

impl From<Vec<Change>> for Want {
    fn from(changes: Vec<Change>) -> Self {
        if changes.is_empty() { Self::Nothing } else { Self::Changes(changes) }
    }
}
