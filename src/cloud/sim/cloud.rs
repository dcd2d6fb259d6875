//! The world behind the port, in virtual time, with trouble drawn from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::aged::Aged;
use super::oracle::{Oracle, Violation};
use super::trouble::{Outside, Trouble};
use super::waits::Waits;
use super::words::told;
use super::world::World;
use crate::cloud::{Backend, Capability, Change, Fault, FaultKind, Leeway, Scope};
use crate::coverage::Retirement;
use crate::model::{FleetId, GroupId, Inventory, Plan, Seen, Share, Sharing, Span, Time, Token, Waiver};

/// A call takes effect within this time of being sent, or never.
const LANDS: Span = Span::secs(30);
/// The longest lag of a configuration read.
const LAG_MAX: Span = Span::secs(5);
/// Tokens of the two families of calls: how many at most, and how many a second.
const READS: (u64, u64) = (40, 10);
const CHANGES: (u64, u64) = (20, 3);

/// One driver's door to a simulated cloud. A clone is another door to the same world.
#[derive(Clone)]
pub struct SimCloud {
    inner: Arc<Mutex<Inner>>,
    /// Which door this is: each remembers its own last look.
    door: usize,
}

/// A call of ours, as the world saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// One change.
    Change(Change),
    /// A fleet goes.
    Retire(FleetId),
}

struct Inner {
    world: World,
    oracle: Oracle,
    rng: fastrand::Rng,
    troubles: BTreeSet<Trouble>,
    /// What the next call meets for certain.
    doom: Option<Trouble>,
    base: (Time, Instant),
    /// Calls on their way, by when they land.
    flying: BTreeMap<(Time, u64), Flying>,
    serial: u64,
    /// What others will do.
    weather: VecDeque<(Time, Outside)>,
    /// When others last did something.
    disturbed_at: Option<Time>,
    /// As when each door last saw the world.
    looks: Vec<Time>,
    /// What each door has seen of late.
    aged: Vec<Aged>,
    /// The world as it was, for reads that lag.
    past: VecDeque<World>,
    excused: Vec<Waiver>,
    waits: Option<Waits>,
    broken: Vec<Violation>,
    log: Vec<(Time, String)>,
    buckets: [(u64, Time); 2],
    calls: u64,
}

struct Flying {
    call: Call,
    token: Token,
    /// As when its driver had last seen the world.
    seen: Time,
    done: Option<Result<(), Fault>>,
}

impl SimCloud {
    /// A cloud over a world. `weather` is what others will do, in order of time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "virtual time begins with the cloud")]
    pub fn new(
        world: World,
        oracle: Oracle,
        seed: u64,
        troubles: BTreeSet<Trouble>,
        weather: Vec<(Time, Outside)>,
    ) -> Self {
        let now = world.now;
        let inner = Inner {
            past: VecDeque::from([world.clone()]),
            world,
            oracle,
            rng: fastrand::Rng::with_seed(seed),
            troubles,
            doom: None,
            base: (now, Instant::now()),
            flying: BTreeMap::new(),
            serial: 0,
            weather: weather.into(),
            disturbed_at: None,
            looks: vec![now],
            aged: vec![Aged::default()],
            excused: Vec::new(),
            waits: None,
            broken: Vec::new(),
            log: Vec::new(),
            buckets: [(READS.0 * 1000, now), (CHANGES.0 * 1000, now)],
            calls: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), door: 0 }
    }

    /// A door for another driver.
    #[must_use]
    pub fn another_door(&self) -> Self {
        let mut inner = self.inner();
        let now = inner.now();
        inner.looks.push(now);
        inner.aged.push(Aged::default());
        Self { inner: Arc::clone(&self.inner), door: inner.looks.len() - 1 }
    }

    /// From now on these groups may go dark, until their waivers expire.
    pub fn excuse(&self, waivers: impl IntoIterator<Item = Waiver>) {
        self.inner().excused.extend(waivers);
    }

    /// From now on the waits of this plan are judged, too.
    pub fn time(&self, plan: Plan) {
        self.inner().waits = Some(Waits::new(plan));
    }

    /// The trouble is over: from now on everything works.
    pub fn calm(&self) {
        let mut inner = self.inner();
        inner.troubles.clear();
        inner.weather.clear();
    }

    /// The next call that can meet this trouble does.
    pub fn meet(&self, trouble: Trouble) {
        self.inner().doom = Some(trouble);
    }

    /// Others do something now.
    pub fn happen(&self, outside: &Outside) {
        let mut inner = self.inner();
        let now = inner.now();
        inner.pass(now);
        inner.others(now, outside);
    }

    /// What was broken so far.
    #[must_use]
    pub fn broken(&self) -> Vec<Violation> {
        self.inner().broken.clone()
    }

    /// What happened so far.
    #[must_use]
    pub fn log(&self) -> Vec<(Time, String)> {
        self.inner().log.clone()
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    /// The world as it is now, and the groups that are excused from an end that rests on this door's last look.
    #[must_use]
    pub fn world(&self) -> (World, BTreeSet<GroupId>) {
        let mut inner = self.inner();
        let now = inner.now();
        inner.pass(now);
        let seen = inner.looks.get(self.door).copied().unwrap_or_default();
        (inner.world.clone(), inner.excused(seen))
    }

    /// Whether others did something after a door last saw the world.
    #[must_use]
    pub fn disturbed(&self) -> bool {
        let inner = self.inner();
        let seen = inner.looks.get(self.door).copied().unwrap_or_default();
        inner.disturbed_at.is_some_and(|at| at >= seen)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics with the lock held but a bug in the simulation itself, which then shows anyway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call on its way and waits for its answer. It lands even if nobody waits any more.
    async fn send(&self, call: Call, token: &Token) -> Result<(), Fault> {
        let action = match &call {
            Call::Change(_) => "Change",
            Call::Retire(_) => "Retire",
        };
        let (key, reply, lost) = {
            let mut inner = self.inner();
            inner.calls += 1;
            let now = inner.now();
            inner.pass(now);
            if inner.dry(1, CHANGES) || inner.draw(Trouble::Throttle, 10) {
                return Err(Fault::new(FaultKind::Throttled, action, "rate exceeded"));
            }
            if inner.draw(Trouble::DeniedOnce, 2) {
                inner.troubles.remove(&Trouble::DeniedOnce);
                return Err(Fault::new(FaultKind::Denied, action, "not authorised"));
            }
            if inner.draw(Trouble::Unreachable, 5) {
                return Err(Fault::new(FaultKind::Unreachable, action, "connection reset").ambiguous());
            }
            let lands = now + inner.latency();
            let lost = inner.draw(Trouble::LostReply, 10);
            let seen = inner.looks.get(self.door).copied().unwrap_or_default();
            if let Some(aged) = inner.aged.get_mut(self.door) {
                aged.sent(now, &call);
            }
            inner.serial += 1;
            let key = (lands, inner.serial);
            inner.flying.insert(key, Flying { call, token: token.clone(), seen, done: None });
            (key, lands + inner.latency(), lost)
        };
        self.sleep_until(key.0).await;
        self.sleep_until(reply).await;
        let mut inner = self.inner();
        let now = inner.now();
        inner.pass(now);
        let done = inner.flying.remove(&key).and_then(|flying| flying.done);
        if lost {
            return Err(Fault::new(FaultKind::Unreachable, action, "no answer").ambiguous());
        }
        done.unwrap_or_else(|| Err(Fault::new(FaultKind::Unreachable, action, "no answer").ambiguous()))
    }

    async fn sleep_until(&self, until: Time) {
        let wait = until.since(self.inner().now());
        tokio::time::sleep(wait.into()).await;
    }
}

impl Backend for SimCloud {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        self.look_with(scope, &Leeway::default()).await
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        let (there, back) = {
            let mut inner = self.inner();
            inner.calls += 1;
            let now = inner.now();
            inner.pass(now);
            if inner.dry(0, READS) || inner.draw(Trouble::Throttle, 5) {
                return Err(Fault::new(FaultKind::Throttled, "Look", "rate exceeded"));
            }
            if inner.draw(Trouble::Unreachable, 5) {
                return Err(Fault::new(FaultKind::Unreachable, "Look", "connection reset"));
            }
            (inner.latency(), inner.latency())
        };
        tokio::time::sleep(there.into()).await;
        let seen = {
            let mut inner = self.inner();
            let now = inner.now();
            inner.pass(now);
            let seen = inner.read(scope, self.door);
            match inner.aged.get_mut(self.door) {
                Some(aged) => aged.tell(now, seen, leeway),
                None => seen,
            }
        };
        tokio::time::sleep(back.into()).await;
        Ok(seen)
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        self.send(Call::Change(change.clone()), token).await
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        self.send(Call::Retire(proof.fleet().clone()), token).await
    }

    fn capability(&self) -> Capability {
        Capability { freeze: true, pace: Span::secs(5), lands: LANDS, look: Span::ZERO }
    }
}

impl Inner {
    fn now(&self) -> Time {
        let gone = self.base.1.elapsed().as_millis();
        self.base.0 + Span(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    fn draw(&mut self, trouble: Trouble, percent: u64) -> bool {
        let drawn = self.rng.u64(0..100) < percent;
        if self.doom == Some(trouble) {
            self.doom = None;
            return true;
        }
        drawn && self.troubles.contains(&trouble)
    }

    fn latency(&mut self) -> Span {
        let usual = Span(self.rng.u64(5..200));
        let slow = Span(self.rng.u64(1_000..12_000));
        if self.draw(Trouble::Slow, 5) { slow } else { usual }
    }

    /// Whether the family's bucket has no token left; takes one otherwise.
    fn dry(&mut self, family: usize, (burst, per_sec): (u64, u64)) -> bool {
        let now = self.now();
        let throttles = self.troubles.contains(&Trouble::Throttle);
        let (level, filled_at) = &mut self.buckets[family];
        *level = (*level + now.since(*filled_at).0 * per_sec).min(burst * 1000);
        *filled_at = now;
        let dry = throttles && *level < 1000;
        if !dry {
            *level = level.saturating_sub(1000);
        }
        dry
    }

    /// Lets everything happen that is due, in order of time.
    fn pass(&mut self, now: Time) {
        loop {
            let call = self.flying.iter().find(|(_, flying)| flying.done.is_none()).map(|(key, _)| *key);
            let weather = self.weather.front().map(|(at, _)| *at);
            let call_first = call.filter(|(at, _)| *at <= now && weather.is_none_or(|other| *at <= other));
            if let Some(key) = call_first {
                self.remember(key.0);
                self.land(key);
            } else if weather.is_some_and(|at| at <= now) {
                if let Some((at, outside)) = self.weather.pop_front() {
                    self.remember(at);
                    self.others(at, &outside);
                }
            } else {
                break;
            }
        }
        self.remember(now);
    }

    fn others(&mut self, at: Time, outside: &Outside) {
        self.world.happen(outside);
        self.disturbed_at = Some(at);
        self.log.push((at, outside.to_string()));
    }

    fn remember(&mut self, to: Time) {
        self.past.push_back(self.world.clone());
        while self.past.get(1).is_some_and(|world| to.since(world.now) > LAG_MAX) {
            self.past.pop_front();
        }
        self.world.tick(to);
        if let Some(waits) = &mut self.waits {
            waits.passed(&self.world);
        }
    }

    /// The groups whose waivers counted then.
    fn excused(&self, then: Time) -> BTreeSet<GroupId> {
        self.excused.iter().filter(|waiver| waiver.until > then).map(|waiver| waiver.group.clone()).collect()
    }

    fn land(&mut self, key: (Time, u64)) {
        let Some(flying) = self.flying.get_mut(&key) else { return };
        let before = self.world.clone();
        let answer = match &flying.call {
            Call::Change(change) => self.world.apply(change, &flying.token),
            Call::Retire(fleet) => {
                self.world.retire(fleet);
                Ok(())
            }
        };
        self.log.push((key.0, told(&flying.call, &answer)));
        flying.done = Some(answer);
        let (seen, call) = (flying.seen, flying.call.clone());
        let undisturbed = self.disturbed_at.is_none();
        let hasty = self.waits.as_mut().map(|waits| waits.call(&call, &before, &self.world, undisturbed));
        // Nobody can prevent what others did after the look that the call rests on.
        if self.disturbed_at.is_none_or(|at| at < seen) {
            let excused = self.excused(seen);
            self.broken.extend(self.oracle.call(&before, &self.world, &excused));
            self.broken.extend(hasty.into_iter().flatten());
        }
    }

    fn read(&mut self, scope: &Scope, door: usize) -> Inventory {
        let lag = Span(self.rng.u64(0..=LAG_MAX.0));
        let lags = self.draw(Trouble::StaleRead, 30);
        let asof = if lags { Time(self.world.now.0.saturating_sub(lag.0)) } else { self.world.now };
        let mut seen = self.world.inventory(scope);
        if lags {
            let then = self.past.iter().rev().find(|world| world.now <= asof).unwrap_or(&self.world);
            seen = lagging(&then.inventory(scope), &seen);
        }
        if let Some(look) = self.looks.get_mut(door) {
            *look = asof;
        }
        if self.draw(Trouble::BlindRead, 3) {
            let first = seen.groups.keys().nth(self.rng.usize(0..seen.groups.len().max(1))).cloned();
            if let Some(first) = first {
                seen.groups.insert(first, Seen::Unknown("throttled".into()));
            }
        }
        seen
    }
}

/// Weights and attachments as they were; targets with their health as they are, for those come from one fresh answer.
fn lagging(then: &Inventory, now: &Inventory) -> Inventory {
    let mut seen = now.clone();
    for (id, fleet) in &mut seen.fleets {
        if let (Seen::Known(fleet), Some(then)) = (fleet, then.fleet(id)) {
            fleet.attached.clone_from(&then.attached);
            fleet.scaling = then.scaling;
        }
    }
    for (id, group) in &mut seen.groups {
        let (Seen::Known(group), Some(then)) = (group, then.group(id)) else { continue };
        if group.sharing == Sharing::Shared {
            continue;
        }
        for side in group.sides.values_mut() {
            side.share = Share::NONE;
        }
        for (fleet, side) in then.sides.iter().filter(|(_, side)| side.share > Share::NONE) {
            group.sides.entry(fleet.clone()).or_default().share = side.share;
        }
    }
    seen
}
