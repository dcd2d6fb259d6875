//! One rollout, from its first fact to its end, with everything that a seed has in store for it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use tokio::sync::watch;

use super::ledger::{Ledger, Watched};
use super::parts::Parts;
use super::scene::{Scene, weather};
use crate::cloud::Backend;
use crate::cloud::sim::{Oracle, SimCloud, Trouble, Violation, violation};
use crate::drive::{self, Clock, Hands, Notice, Outcome, Settings, Stop};
use crate::journal::{self, Journal, Key, MemoryStore, Mishap, Store, StoreFaultKind};
use crate::model::{Deadlines, GroupId, Hold, Plan, RolloutId, Span, Time};
use crate::rollout::{Actor, Order, Rollout, Verdict};

/// More drivers than this are not needed by any rollout once the trouble is over.
const DRIVERS_MAX: u32 = 60;
/// After this many drivers everything works.
const CALM_AFTER: u32 = 12;
/// A rollout that takes longer than so often the sum of its deadlines and waits has no end.
const PATIENCE: u64 = 4;
/// An operator comes back to a rollout that was let go after this time.
const ATTENTION: Span = Span::secs(5);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Green serves.
    Completed,
    /// Blue serves.
    RolledBack,
    /// The way back got stuck.
    Failed,
    /// It holds, and both fleets stay.
    Held,
    /// It came to no end: always a fault of the product.
    Endless,
}

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The seed that makes it again.
    pub seed: u64,
    /// How it ended.
    pub ending: Ending,
    /// Which invariants were broken, which must be none.
    pub broken: Vec<Violation>,
    /// What happened when, in milliseconds since the start.
    pub timeline: Vec<(u64, String)>,
    /// How long each phase took in all.
    pub phases: BTreeMap<&'static str, Span>,
    /// How long it took.
    pub took: Span,
    /// How many drivers it needed.
    pub drivers: u32,
    /// How many calls the cloud was sent.
    pub calls: u64,
    /// Every object of the journal, to compare two runs to the byte.
    #[serde(skip)]
    pub journal: BTreeMap<Key, Vec<u8>>,
}

type Drive<'a> = Pin<Box<dyn Future<Output = Result<Outcome, String>> + 'a>>;
type Aside<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Shown = Arc<Mutex<Vec<(Time, &'static str)>>>;

/// Runs one rollout of a scene.
#[must_use]
pub fn run(scene: &Scene, seed: u64, troubles: &BTreeSet<Trouble>) -> Run {
    run_with(scene, seed, troubles, Parts::own())
}

/// Runs one rollout made of these parts.
///
/// # Panics
/// Where the system has no room for a runtime.
#[must_use]
pub fn run_with<B: Backend, S: Store>(
    scene: &Scene,
    seed: u64,
    troubles: &BTreeSet<Trouble>,
    parts: Parts<B, S>,
) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime on the present thread needs nothing but memory");
    // The clocks are set inside the runtime: outside it they would show the real time, and no run would be like another.
    runtime.block_on(async { Stage::set(scene, seed, troubles, parts).play().await })
}

struct Stage<B, S> {
    parts: Parts<B, S>,
    scene: Scene,
    seed: u64,
    rng: fastrand::Rng,
    troubles: BTreeSet<Trouble>,
    oracle: Oracle,
    cloud: SimCloud,
    store: MemoryStore,
    ledger: Ledger,
    clock: Clock,
    shown: Shown,
    drivers: u32,
    held: u32,
    /// Groups that were excused when the rollout ended.
    excused: BTreeSet<GroupId>,
}

impl<B: Backend, S: Store> Stage<B, S> {
    fn set(scene: &Scene, seed: u64, troubles: &BTreeSet<Trouble>, parts: Parts<B, S>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let oracle = Oracle::of(scene.world.clone(), &scene.plan);
        let weather = weather(scene, &mut rng, troubles);
        let store = MemoryStore::new();
        if troubles.contains(&Trouble::Journal) {
            let mut rng = fastrand::Rng::with_seed(rng.u64(..));
            store.on_call(move |_| match rng.u64(0..100) {
                0 => Mishap::LostBefore(StoreFaultKind::Unreachable),
                1 => Mishap::LostAfter(StoreFaultKind::Unreachable),
                _ => Mishap::None,
            });
        }
        let drawn = rng.u64(..);
        let cloud = SimCloud::new(scene.world.clone(), oracle.clone(), drawn, troubles.clone(), weather);
        cloud.time(scene.plan.clone());
        cloud.excuse(scene.plan.waivers.clone());
        Self {
            parts,
            scene: scene.clone(),
            seed,
            troubles: troubles.clone(),
            cloud,
            oracle,
            ledger: Ledger::new(scene.plan.clone(), store.clone()),
            store,
            clock: Clock::starting(scene.world.now),
            shown: Shown::default(),
            drivers: 0,
            held: 0,
            excused: BTreeSet::new(),
            rng,
        }
    }

    async fn play(mut self) -> Run {
        let mut asides: FuturesUnordered<Aside<'_>> = self.orders();
        let run_max = patience(&self.scene.plan);
        let (mut ending, mut failed) = (Ending::Endless, false);
        while self.drivers < DRIVERS_MAX && self.clock.now().since(self.scene.world.now) < run_max {
            if self.drivers == CALM_AFTER {
                self.calm();
            }
            let eyes = self.cloud.another_door();
            let mut drive = self.drive((self.parts.door)(eyes.clone()));
            let cut = self.cut();
            let left = run_max.0.saturating_sub(self.clock.now().since(self.scene.world.now).0);
            let outcome = tokio::select! {
                biased;
                () = async { while asides.next().await.is_some() {} std::future::pending().await } => None,
                outcome = &mut drive => Some(outcome),
                () = tokio::time::sleep(cut.min(Span(left)).into()) => None,
            };
            match outcome {
                None if self.troubles.contains(&Trouble::Zombie) && self.rng.bool() => {
                    asides.push(Box::pin(async move { drop(drive.await) }));
                }
                None => drop(drive),
                Some(Ok(Outcome::Ended(Verdict::Failed { .. })))
                    if !failed && self.scene.plan.blue.is_some() =>
                {
                    failed = true;
                    self.mend(&mut asides);
                }
                Some(Ok(Outcome::Ended(verdict))) => {
                    ending = self.judge(&verdict, &eyes);
                    break;
                }
                Some(Ok(Outcome::Held { .. })) if self.held >= 2 => {
                    ending = Ending::Held;
                    break;
                }
                Some(outcome) => self.attend(outcome).await,
            }
        }
        self.report(ending, failed).await
    }

    /// From now on everything works.
    fn calm(&mut self) {
        self.cloud.calm();
        self.store.calm();
    }

    /// What an operator does about a way back that got stuck: sees to it that everything works again, excuses what was
    /// deleted, and has it tried once more.
    fn mend(&mut self, asides: &mut FuturesUnordered<Aside<'_>>) {
        self.drivers = self.drivers.max(CALM_AFTER);
        self.held = 0;
        self.calm();
        let (world, _) = self.cloud.world();
        let deleted = self.scene.world.groups.keys().filter(|id| !world.groups.contains_key(*id));
        for group in deleted.cloned() {
            let (store, clock, id) = (self.store.clone(), self.clock, self.scene.plan.rollout.clone());
            let until = clock.now() + Span::mins(60 * 24);
            asides.push(Box::pin(async move {
                clock.sleep_until(clock.now() + ATTENTION).await;
                let order = Order::Waive { group, reason: "it was deleted".into(), until };
                say(store, &id, order, clock).await;
            }));
        }
    }

    /// How long the next driver lives.
    fn cut(&mut self) -> Span {
        let dies = self.rng.bool() && self.drivers < CALM_AFTER;
        let cut = Span(self.rng.u64(1..180_000));
        let kinds = [Trouble::Crash, Trouble::Zombie];
        if dies && kinds.iter().any(|kind| self.troubles.contains(kind)) { cut } else { Span(u64::MAX) }
    }

    fn drive<'a>(&mut self, door: B) -> Drive<'a>
    where
        B: 'a,
    {
        let first = self.drivers == 0;
        self.drivers += 1;
        let me = actor(&(self.parts.nonce)(self.seed, self.drivers));
        let journal =
            Journal::new((self.parts.store)(self.store.clone()), format!("{}-{}", self.seed, self.drivers));
        let (mut plan, clock, machine) = (self.scene.plan.clone(), self.clock, self.parts.machine);
        (self.parts.plan)(&mut plan);
        let door = Watched { door, ledger: self.ledger.clone() };
        let shown = Arc::clone(&self.shown);
        let onlooker = move |state: &Rollout, _: &Notice<'_>| {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let phase = state.phase().name();
            if shown.last().is_none_or(|(_, last)| *last != phase) {
                shown.push((state.at(), phase));
            }
        };
        Box::pin(async move {
            let id = plan.rollout.clone();
            if let Ok(history) = journal.read(&id).await
                && let Ok(facts) = history.into_recorded()
                && let Ok(state) = machine.fold(&facts)
                && let Some(verdict) = state.verdict()
                && !state.resumable()
            {
                // The driver before this one died, or was taken for dead, after its last word.
                return Ok(Outcome::Ended(verdict.clone()));
            }
            let fresh = first || matches!(journal.latest(&id.service, &id.environment).await, Ok(None));
            let (_keep, stop) = watch::channel(Stop::No);
            let settings = Settings { machine, ..Settings::default() };
            let hands = Hands { me, clock, settings, stop, onlooker };
            let driver = if fresh {
                drive::open(&journal, &door, plan, hands).await
            } else {
                drive::resume(&journal, &door, &id, hands).await
            };
            let mut driver = driver.map_err(|error| error.to_string())?;
            driver.run().await.map_err(|error| error.to_string())
        })
    }

    /// The orders that the seed has in store.
    fn orders<'a>(&mut self) -> FuturesUnordered<Aside<'a>> {
        let orders = FuturesUnordered::new();
        let drawn = [(Trouble::AbortOrder, Order::Abort, 15), (Trouble::PauseOrder, Order::Pause, 15)];
        for (trouble, order, percent) in drawn {
            let (likely, at) = (self.rng.u64(0..100) < percent, Span(self.rng.u64(0..900_000)));
            if likely && self.troubles.contains(&trouble) {
                let (store, clock) = (self.store.clone(), self.clock);
                let (id, at) = (self.scene.plan.rollout.clone(), self.clock.now() + at);
                let aside = async move {
                    clock.sleep_until(at).await;
                    say(store, &id, order, clock).await;
                };
                orders.push(Box::pin(aside) as Aside<'a>);
            }
        }
        orders
    }

    /// What an operator does about a rollout that was let go.
    async fn attend(&mut self, outcome: Result<Outcome, String>) {
        tokio::time::sleep(ATTENTION.into()).await;
        let order = match outcome {
            Ok(Outcome::Paused) => Order::Resume,
            Ok(Outcome::AwaitsPromotion) => Order::Promote { full: false },
            Ok(Outcome::Held { .. }) => {
                self.held += 1;
                Order::Abort
            }
            Ok(Outcome::Interrupted | Outcome::Fenced { .. } | Outcome::Ended(_)) | Err(_) => return,
        };
        say(self.store.clone(), &self.scene.plan.rollout, order, self.clock).await;
    }

    fn judge(&mut self, verdict: &Verdict, eyes: &SimCloud) -> Ending {
        // What others did after the last look is nobody's fault.
        if eyes.disturbed() {
            self.oracle = self.oracle.clone().blind();
        }
        self.excused = eyes.world().1;
        match verdict {
            Verdict::Completed => Ending::Completed,
            Verdict::RolledBack { .. } => Ending::RolledBack,
            Verdict::Failed { .. } => Ending::Failed,
        }
    }

    /// Whether the journal can be believed to the last bit.
    async fn damage(&self) -> Option<Violation> {
        self.store.calm();
        let journal = Journal::new(self.store.clone(), "judge");
        match journal.verify(&self.scene.plan.rollout).await {
            Ok(report) => match report.verdict {
                journal::Verdict::Damaged(damage) => Some(violation("I9", damage.to_string())),
                journal::Verdict::Sound { .. } => None,
            },
            Err(fault) => Some(violation("I9", fault.to_string())),
        }
    }

    async fn report(self, ending: Ending, failed: bool) -> Run {
        let (world, _) = self.cloud.world();
        let mut broken = self.cloud.broken();
        broken.extend(self.ledger.broken(ending == Ending::Completed));
        match ending {
            Ending::Completed => broken.extend(self.oracle.completed(&world, &self.excused)),
            Ending::RolledBack => broken.extend(self.oracle.rolled_back(&world)),
            Ending::Endless => broken.push(violation("I10", "it came to no end".into())),
            Ending::Failed | Ending::Held => {}
        }
        if failed && ending != Ending::RolledBack {
            broken.push(violation("I7", format!("a failed way back that was tried again ended {ending:?}")));
        }
        broken.extend(self.damage().await);
        let ending = if failed { Ending::Failed } else { ending };
        let start = self.scene.world.now;
        let now = self.clock.now();
        let shown = std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let mut phases: BTreeMap<&'static str, Span> = BTreeMap::new();
        for (at, phase) in shown.iter().enumerate() {
            let until = shown.get(at + 1).map_or(now, |next| next.0);
            let sum = phases.entry(phase.1).or_default();
            *sum = Span(sum.0 + until.since(phase.0).0);
        }
        let mut timeline: Vec<_> =
            self.cloud.log().into_iter().map(|(at, what)| (at.since(start).0, what)).collect();
        timeline.extend(shown.into_iter().map(|(at, phase)| (at.since(start).0, format!("phase: {phase}"))));
        timeline.sort();
        Run {
            seed: self.seed,
            ending,
            broken,
            timeline,
            phases,
            took: now.since(start),
            drivers: self.drivers,
            calls: self.cloud.calls(),
            journal: self.store.objects(),
        }
    }
}

/// How long a rollout may take.
fn patience(plan: &Plan) -> Span {
    let Deadlines { provision, register, settle, shift, drain, retire, hold, restore, withdraw, then: _ } =
        plan.deadlines;
    let late = [provision, register, settle, shift, drain, retire, hold, restore, withdraw];
    let held = plan.steps.iter().map(|step| step.hold).chain([plan.bake]).map(|hold| match hold {
        Hold::For(span) => span,
        Hold::Promote => Span::ZERO,
    });
    let waits = late.into_iter().chain(held).chain([plan.settle, plan.quiet]);
    Span(waits.map(|span| span.0).fold(0, u64::saturating_add).saturating_mul(PATIENCE))
}

async fn say(store: MemoryStore, id: &RolloutId, order: Order, clock: Clock) {
    let journal = Journal::new(store, "operator");
    // An order that is lost is not given again: the drill needs no order to come to an end.
    drop(drive::order(&journal, id, order, &actor("operator"), &clock).await);
}

fn actor(nonce: &str) -> Actor {
    Actor { user: "drill".into(), host: "simulated".into(), pid: 1, run_url: None, nonce: nonce.into() }
}
