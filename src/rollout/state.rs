//! The state of a rollout, and the fold that makes it from facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{Actor, Event, Order, Recorded};
use super::phase::{Cause, Phase, Verdict};
use super::sight::Sight;
use crate::cloud::{Change, Fault};
use crate::model::{
    Because, Fleet, FleetId, GroupId, GroupPlan, Inventory, Plan, Seen, Share, Sharing, Span, Time, Token,
    Waiver,
};

/// A rollout as its facts tell it. Built only by [`Rollout::fold`] and [`Rollout::evolve`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rollout {
    pub(super) plan: Arc<Plan>,
    pub(super) driver: Actor,
    /// The nonce of whoever opened it: part of every token, so that no two journals share one.
    pub(super) opener: String,
    /// How many drivers there have been; a driver that finds a higher one is fenced.
    pub(super) epoch: u64,
    pub(super) phase: Phase,
    /// When the phase was entered.
    pub(super) entered_at: Time,
    /// When the phase last came nearer to its end.
    pub(super) progress_at: Time,
    /// The best measure of progress in this phase.
    pub(super) progress: u64,
    /// The time of the last fact; time never runs backwards in a fold.
    pub(super) at: Time,
    pub(super) look: Option<Inventory>,
    /// A look that began before this moment may miss our last change. None was made before the rollout was opened.
    pub(super) not_before: Time,
    /// Announced and not settled.
    pub(super) calls: Option<Calls>,
    /// The last announced calls, settled or cut off.
    pub(super) last: Option<Calls>,
    /// Whether `last` was answered well.
    pub(super) answered: bool,
    /// How often in a row the same calls were announced.
    pub(super) repeats: u32,
    /// Before this moment the same calls are not made again.
    pub(super) retry_at: Time,
    pub(super) fault: Option<Fault>,
    /// Groups that must be lit at the end: the plan's and the amended.
    pub(super) expected: BTreeMap<GroupId, GroupPlan>,
    /// Amended groups that no look could tell of yet.
    pub(super) unjudged: BTreeSet<GroupId>,
    /// Groups in which blue was ever seen to stand.
    pub(super) served: BTreeSet<GroupId>,
    /// Groups whose traffic green has carried.
    pub(super) lit: BTreeSet<GroupId>,
    /// Groups whose traffic green was told to carry, and not told with a good answer to give back. A look that does not
    /// show it carry them may only lag behind.
    pub(super) told: BTreeSet<GroupId>,
    /// Groups that blue was told to leave. On the way back it stands there again, whether green ever carried them or not.
    pub(super) parted: BTreeSet<GroupId>,
    /// Fleets whose scaling we hold still.
    pub(super) froze: BTreeSet<FleetId>,
    /// Those of them that were given back with a good answer since.
    pub(super) thawed: BTreeSet<FleetId>,
    pub(super) waivers: Vec<Waiver>,
    pub(super) paused: bool,
    /// The present hold was ended by an order.
    pub(super) promoted: bool,
    /// All later holds were, too.
    pub(super) hurry: bool,
    /// Green's creation was announced, so it may exist even where a look does not show it.
    pub(super) provisioned: bool,
    /// Whether blue was told to go.
    pub(super) parting: Parting,
    /// Green's retirement was answered well.
    pub(super) withdrawn: bool,
    pub(super) tokens: u64,
}

/// What blue was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Parting {
    /// Nothing: it stays as long as it is wanted.
    Stays,
    /// To go, and the answer is awaited.
    Asked,
    /// To go, and each time that was certainly refused. Once it is seen to run as it was planned, it stays.
    Refused,
    /// To go, and that was answered well, or may have been done.
    Told,
}

/// Calls that were announced together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Calls {
    pub(super) action: Action,
    pub(super) token: Token,
}

/// What was announced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Change(Vec<Change>),
    Retire(FleetId),
}

impl Action {
    /// Whether it asks for the fleet to come, or to go.
    pub(super) fn is_about(&self, fleet: &FleetId) -> bool {
        match self {
            Self::Retire(own) => own == fleet,
            Self::Change(changes) => {
                matches!(changes.as_slice(), [Change::Provision { fleet: own }] if own.id == *fleet)
            }
        }
    }
}

/// A fact that cannot follow the facts before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fold `{event}` onto a rollout in `{phase}`: {why}")]
pub struct OutOfOrder {
    event: &'static str,
    phase: &'static str,
    why: &'static str,
}

/// How the wait before the same calls are made again grows, and where it ends.
const RETRY_FIRST_MS: u64 = 500;
const RETRY_MAX: Span = Span::secs(30);

impl Rollout {
    /// Folds a whole log.
    ///
    /// # Errors
    /// [`OutOfOrder`] with the first fact that does not fit; an empty log is one that does not open.
    pub fn fold<'a>(facts: impl IntoIterator<Item = &'a Recorded>) -> Result<Self, OutOfOrder> {
        let mut facts = facts.into_iter();
        let missing = OutOfOrder { event: "nothing", phase: "nothing", why: "the log is empty" };
        let mut rollout = Self::open(facts.next().ok_or(missing)?)?;
        for fact in facts {
            rollout = rollout.evolve(fact)?;
        }
        Ok(rollout)
    }

    /// The state after the first fact.
    ///
    /// # Errors
    /// [`OutOfOrder`] unless it is `Opened`.
    pub fn open(fact: &Recorded) -> Result<Self, OutOfOrder> {
        let Event::Opened { plan, by } = &fact.event else {
            return Err(OutOfOrder {
                event: fact.event.name(),
                phase: "nothing",
                why: "a log begins with `opened`",
            });
        };
        let stands = |group: &&GroupId| {
            plan.groups.get(*group).is_some_and(|group| group.because.contains(&Because::BlueStands))
        };
        Ok(Self {
            driver: by.clone(),
            opener: by.nonce.clone(),
            epoch: 1,
            phase: Phase::Provision,
            entered_at: fact.at,
            progress_at: fact.at,
            progress: 0,
            at: fact.at,
            look: None,
            not_before: Time::default(),
            calls: None,
            last: None,
            answered: false,
            repeats: 0,
            retry_at: Time::default(),
            fault: None,
            expected: plan.groups.clone(),
            unjudged: BTreeSet::new(),
            served: plan.groups.keys().filter(stands).cloned().collect(),
            lit: BTreeSet::new(),
            told: BTreeSet::new(),
            parted: BTreeSet::new(),
            froze: BTreeSet::new(),
            thawed: BTreeSet::new(),
            waivers: plan.waivers.clone(),
            paused: false,
            promoted: false,
            hurry: false,
            provisioned: false,
            parting: Parting::Stays,
            withdrawn: false,
            tokens: 0,
            plan: Arc::new((**plan).clone()),
        })
    }

    /// The state after one more fact.
    ///
    /// # Errors
    /// [`OutOfOrder`] where the fact cannot follow.
    pub fn evolve(mut self, fact: &Recorded) -> Result<Self, OutOfOrder> {
        // An order carries the clock of whoever gave it, which may be wrong by an hour: only a driver's facts move the time.
        if !matches!(fact.event, Event::Ordered { .. }) {
            self.at = self.at.max(fact.at);
        }
        let ended = matches!(self.phase, Phase::Ended(_));
        match &fact.event {
            Event::Opened { .. } => return Err(self.refuse(fact, "it is open already")),
            Event::Resumed { by } => self.resumed(by),
            Event::Released { .. } => {}
            Event::Ordered { order, by } => self.ordered(order, by),
            // An order can end a rollout in the middle of a call: its answer, or a look, is then written down behind the end.
            Event::Settled { .. } if ended => drop(self.calls.take()),
            Event::Looked { .. } if ended => {}
            _ if ended => return Err(self.refuse(fact, "it has ended")),
            Event::Looked { inventory, waited } => {
                self.progress_at = self.progress_at.max(self.at.min(self.progress_at + *waited));
                self.looked(inventory);
            }
            Event::Changing { .. } | Event::Retiring { .. } if self.calls.is_some() => {
                return Err(self.refuse(fact, "other calls are not settled"));
            }
            Event::Changing { changes, token } => self.changing(changes, token),
            Event::Retiring { fleet, token, .. } => self.retiring(fleet, token),
            Event::Settled { token, .. } if self.calls.as_ref().is_none_or(|calls| calls.token != *token) => {
                return Err(self.refuse(fact, "no calls were announced under its token"));
            }
            Event::Settled { faults, .. } => self.settled(faults),
        }
        Ok(self)
    }

    fn refuse(&self, fact: &Recorded, why: &'static str) -> OutOfOrder {
        OutOfOrder { event: fact.event.name(), phase: self.phase.name(), why }
    }

    /// A new driver knows neither what became of the last calls nor how long nobody watched. Every wait for *staying*
    /// healthy or quiet starts again, so that neither a gap nor a clock that was set can shorten one.
    fn resumed(&mut self, by: &Actor) {
        // Its first claim was long on its way, and until it was there the driver before could still send.
        let again = self.driver.nonce == by.nonce;
        self.driver = by.clone();
        self.epoch += 1;
        self.look = None;
        if let (Phase::Ended(Verdict::Failed { cause, .. }), true) = (&self.phase, self.resumable()) {
            let cause = cause.clone();
            self.enter(Phase::Restore { cause });
        }
        // What was announced may still be on its way, and a look before it lands shows a world that is about to change.
        self.not_before = self.not_before.max(self.at);
        let cut_off = self.calls.take().is_some();
        if cut_off {
            self.answered = false;
        }
        if self.parting == Parting::Asked {
            self.parting = Parting::Told;
        }
        if cut_off || again {
            self.not_before = self.not_before.max(self.at + self.plan.pace.lands);
        }
        self.progress_at = self.not_before;
        self.retry_at = self.at;
        match &mut self.phase {
            Phase::Settle { healthy_since: since }
            | Phase::Shift { reached: since, .. }
            | Phase::Drain { empty_since: since } => *since = None,
            Phase::Bake { since } => *since = self.not_before,
            Phase::Provision
            | Phase::Register
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => {}
        }
    }

    fn ordered(&mut self, order: &Order, by: &Actor) {
        match order {
            Order::Promote { full } => {
                self.hurry |= *full;
                self.promoted |=
                    matches!(self.phase, Phase::Shift { reached: Some(_), .. } | Phase::Bake { .. });
            }
            Order::Pause => self.paused = true,
            Order::Resume => self.paused = false,
            Order::Abort | Order::Rollback => {
                if self.reversible() {
                    self.go_back(Cause::Ordered { by: by.user.clone() });
                    // The last look may be a while old, and blue may have fallen ill since.
                    self.look = None;
                }
            }
            Order::Amend { group } => self.amended(group),
            Order::Waive { group, reason, until } => {
                let waiver = Waiver {
                    group: group.clone(),
                    reason: reason.clone(),
                    until: *until,
                    by: by.user.clone(),
                };
                self.waivers.push(waiver);
            }
        }
        self.progress_at = self.at;
        self.advance();
    }

    /// Expects one more group. One that a whole look did not see is a slip of the finger: taking it up would only send
    /// the rollout back when the cloud refuses it. One that no look could tell of waits for a look that can.
    fn amended(&mut self, group: &GroupId) {
        if self.expected.contains_key(group) {
            return;
        }
        let seen = self.look.as_ref().map(|look| (look.groups.get(group), look.unread.is_empty()));
        let (sharing, steps) = match seen {
            Some((Some(Seen::Known(seen)), _)) => (seen.sharing, seen.steps),
            Some((None, true)) => return,
            Some((Some(Seen::Unknown(_)), _) | (None, false)) | None => {
                self.unjudged.insert(group.clone());
                return;
            }
        };
        let because = BTreeSet::from([Because::Amended]);
        self.expected.insert(group.clone(), GroupPlan { because, sharing, steps });
        let begun = !matches!(self.phase, Phase::Provision | Phase::Register);
        if begun && self.reversible() {
            self.enter(Phase::Register);
        }
    }

    fn changing(&mut self, changes: &[Change], token: &Token) {
        for change in changes {
            match change {
                Change::Provision { .. } => self.provisioned = true,
                Change::Freeze { fleet } => {
                    self.froze.insert(fleet.clone());
                    self.thawed.remove(fleet);
                }
                Change::Shift { group, to, share, .. }
                    if *to == self.plan.green.id && *share > Share::NONE =>
                {
                    self.told.insert(group.clone());
                }
                Change::Register { fleet, groups } if *fleet == self.plan.green.id => {
                    // In a shared group registering is already a share of the traffic.
                    let shared = |id: &&GroupId| {
                        self.expected
                            .get(*id)
                            .is_none_or(|group| matches!(group.sharing, Sharing::Shared | Sharing::Weighed))
                    };
                    self.told.extend(groups.iter().filter(shared).cloned());
                }
                Change::Deregister { fleet, groups } if *fleet != self.plan.green.id => {
                    self.parted.extend(groups.iter().cloned());
                }
                Change::Thaw { .. }
                | Change::Register { .. }
                | Change::Shift { .. }
                | Change::Deregister { .. } => {}
            }
        }
        self.announce(Action::Change(changes.to_vec()), token);
    }

    fn retiring(&mut self, fleet: &FleetId, token: &Token) {
        if self.plan.blue.as_ref().is_some_and(|blue| blue.id == *fleet) && self.parting != Parting::Told {
            self.parting = Parting::Asked;
        }
        self.announce(Action::Retire(fleet.clone()), token);
    }

    fn announce(&mut self, action: Action, token: &Token) {
        let again = self.last.as_ref().is_some_and(|last| last.action == action);
        self.repeats = if again { self.repeats.saturating_add(1) } else { 0 };
        let calls = Calls { action, token: token.clone() };
        if self.last.as_ref().is_none_or(|last| last.token != *token) {
            self.tokens += 1;
        }
        self.last = Some(calls.clone());
        self.calls = Some(calls);
        self.answered = false;
    }

    fn settled(&mut self, faults: &[Fault]) {
        let calls = self.calls.take();
        self.not_before = self.at;
        self.answered = faults.is_empty();
        if self.parting == Parting::Asked {
            let refused = !faults.is_empty() && faults.iter().all(|fault| !fault.ambiguous);
            self.parting = if refused { Parting::Refused } else { Parting::Told };
        }
        let wait = Span(RETRY_FIRST_MS.saturating_mul(1 << self.repeats.min(10))).min(RETRY_MAX);
        self.retry_at = self.at + wait;
        let Some(fault) = faults.iter().find(|fault| !fault.kind.retryable()).or(faults.first()) else {
            if let Some(calls) = calls {
                self.answered_well(&calls.action);
            }
            return;
        };
        self.fault = Some(fault.clone());
        let early = match self.phase {
            Phase::Provision | Phase::Register | Phase::Settle { .. } | Phase::Shift { .. } => true,
            Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => false,
        };
        if early && !fault.kind.retryable() && !fault.ambiguous {
            self.go_back(Cause::Refused { fault: fault.to_string() });
        }
    }

    /// What a good answer settles for which a look alone is not enough: one that lags behind looks the same.
    fn answered_well(&mut self, action: &Action) {
        let green = &self.plan.green.id;
        match action {
            Action::Retire(fleet) => self.withdrawn |= fleet == green,
            Action::Change(changes) => {
                for change in changes {
                    match change {
                        Change::Shift { group, to, share: Share::NONE, .. } if to == green => {
                            self.told.remove(group);
                        }
                        Change::Thaw { fleet } => drop(self.thawed.insert(fleet.clone())),
                        Change::Provision { .. }
                        | Change::Register { .. }
                        | Change::Shift { .. }
                        | Change::Deregister { .. }
                        | Change::Freeze { .. } => {}
                    }
                }
            }
        }
    }

    fn looked(&mut self, inventory: &Inventory) {
        self.look = Some(inventory.clone());
        if let Some(blue) = &self.plan.blue {
            self.served.extend(inventory.groups_of(&blue.id));
        }
        for (id, group) in &inventory.groups {
            let side = group.known().and_then(|group| group.sides.get(&self.plan.green.id));
            if side.is_some_and(|side| side.share > Share::NONE) {
                self.lit.insert(id.clone());
            }
        }
        for group in std::mem::take(&mut self.unjudged) {
            self.amended(&group);
        }
        if self.parting == Parting::Refused && self.sight().is_some_and(Sight::blue_is_whole) {
            self.parting = Parting::Stays;
        }
        self.advance();
    }

    /// Whether the rollout goes forward and can still go back.
    pub(super) fn reversible(&self) -> bool {
        self.phase.forward() && !self.past_return()
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.entered_at = self.at;
        self.progress_at = self.at;
        self.progress = 0;
        self.promoted = false;
    }

    /// Turns round. Without a blue there is nowhere to go back to once green carries traffic.
    pub(super) fn go_back(&mut self, cause: Cause) {
        let dark = self.dark();
        let phase = match (&self.plan.blue, dark) {
            (Some(_), _) => Phase::Restore { cause },
            (None, true) => Phase::Withdraw { cause },
            (None, false) => Phase::Ended(Verdict::Failed {
                cause,
                stuck: "there is no earlier fleet to go back to; green is left as it is".into(),
            }),
        };
        self.enter(phase);
    }

    /// The plan that it follows.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When the present phase was entered.
    #[must_use]
    pub fn entered_at(&self) -> Time {
        self.entered_at
    }

    /// The time of the last fact.
    #[must_use]
    pub fn at(&self) -> Time {
        self.at
    }

    /// How many drivers there have been.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether calls were announced and not settled: some may yet take effect.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        self.calls.is_some()
    }

    /// Who drives it, or drove it last.
    #[must_use]
    pub fn driver(&self) -> &Actor {
        &self.driver
    }

    /// The last look.
    #[must_use]
    pub fn look(&self) -> Option<&Inventory> {
        self.look.as_ref()
    }

    /// The last fault of a call.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Every group that must be lit at the end, with why.
    #[must_use]
    pub fn expected(&self) -> &BTreeMap<GroupId, GroupPlan> {
        &self.expected
    }

    /// Every group in which blue was ever seen to stand.
    #[must_use]
    pub fn served(&self) -> &BTreeSet<GroupId> {
        &self.served
    }

    /// The exceptions granted so far, expired ones included.
    #[must_use]
    pub fn waivers(&self) -> &[Waiver] {
        &self.waivers
    }

    /// Whether an operator paused it.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Whether there is no way back within this rollout: blue was told to go, and it was not seen since that this had been
    /// refused and nothing done.
    #[must_use]
    pub fn past_return(&self) -> bool {
        self.parting != Parting::Stays
    }

    /// How it ended, where it has.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.phase {
            Phase::Ended(verdict) => Some(verdict),
            Phase::Provision
            | Phase::Register
            | Phase::Settle { .. }
            | Phase::Shift { .. }
            | Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. } => None,
        }
    }

    /// Whether a driver can take it up: it is open, or its way back failed and can be tried again.
    #[must_use]
    pub fn resumable(&self) -> bool {
        match self.verdict() {
            None => true,
            Some(Verdict::Failed { .. }) => self.plan.blue.is_some(),
            Some(Verdict::Completed | Verdict::RolledBack { .. }) => false,
        }
    }

    /// The fleet that carries the service now: green once blue's retirement was announced or it completed.
    #[must_use]
    pub fn serving(&self) -> Option<&Fleet> {
        let green = self.past_return() || matches!(self.phase, Phase::Ended(Verdict::Completed));
        if green { Some(&self.plan.green) } else { self.plan.blue.as_ref() }
    }
}
