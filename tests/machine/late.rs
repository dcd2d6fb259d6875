//! The loop over a journal that confirms late: nobody acts on what may be over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use deployer::cloud::sim::World;
use deployer::cloud::{Backend, Capability, Change, Fault, Scope};
use deployer::coverage::Retirement;
use deployer::drive::{Clock, DriveError, Hands, Outcome, Settings, Stop, open, resume};
use deployer::journal::{Journal, Key, MemoryStore, Put, Store, StoreFault};
use deployer::model::{Inventory, Plan, RolloutId, Span, Time, Token};
use deployer::rollout::{Event, Verdict};

use crate::common::{NOW, actor, plan};
use crate::rig::two_groups;

/// Longer than the slack, and shorter than what a store that is unwell is asked for.
const LATE: Duration = Duration::from_secs(50);

/// Writes at once, and is late to say so of entries of one kind.
#[derive(Clone)]
pub struct Late {
    store: MemoryStore,
    /// Which, such as `changing`; each of them once.
    kinds: Arc<Mutex<Vec<&'static str>>>,
}

impl Late {
    pub fn with(store: &MemoryStore, kinds: &[&'static str]) -> Self {
        Self { store: store.clone(), kinds: Arc::new(Mutex::new(kinds.to_vec())) }
    }

    fn late(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        let mut kinds = self.kinds.lock().unwrap();
        let found = kinds.iter().position(|kind| text.contains(&format!("\"event\":{{\"{kind}\"")));
        found.map(|n| kinds.remove(n)).is_some()
    }
}

impl Store for Late {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        let put = self.store.put_new(key, bytes).await;
        if self.late(bytes) {
            tokio::time::sleep(LATE).await;
        }
        put
    }
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        self.store.get(key).await
    }
    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.store.list(folder).await
    }
    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.store.children(folder).await
    }
    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        self.store.put(key, bytes).await
    }
    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        self.store.age(key).await
    }
    fn place(&self, key: &Key) -> String {
        self.store.place(key)
    }
}

/// A world behind the port, and when it was sent a change.
pub struct Cloud {
    pub world: Mutex<World>,
    pub clock: Clock,
    pub sent: Mutex<Vec<Time>>,
    /// Changes are never answered.
    mute: bool,
}

impl Cloud {
    pub fn new(clock: Clock, mute: bool) -> Self {
        Self { world: Mutex::new(two_groups(1)), clock, sent: Mutex::default(), mute }
    }
}

impl Backend for Cloud {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        let mut world = self.world.lock().unwrap();
        world.tick(self.clock.now());
        Ok(world.inventory(scope))
    }
    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        self.sent.lock().unwrap().push(self.clock.now());
        if self.mute {
            std::future::pending::<()>().await;
        }
        self.world.lock().unwrap().apply(change, token)
    }
    async fn retire(&self, proof: Retirement, _: &Token) -> Result<(), Fault> {
        self.world.lock().unwrap().retire(proof.fleet());
        Ok(())
    }
    fn capability(&self) -> Capability {
        Capability { freeze: true, pace: Span::secs(1), lands: crate::common::LANDS, look: Span::ZERO }
    }
}

pub fn planned() -> (Plan, RolloutId) {
    let plan = plan(&two_groups(1), &["internal", "public"]);
    let id = plan.rollout.clone();
    (plan, id)
}

pub fn hands(
    nonce: &str,
    clock: Clock,
) -> Hands<impl FnMut(&deployer::rollout::Rollout, &deployer::drive::Notice<'_>) + Send> {
    let (asked, stop) = tokio::sync::watch::channel(Stop::No);
    // Nobody asks for a stop, and nobody is gone who could.
    std::mem::forget(asked);
    Hands {
        me: actor(nonce),
        clock,
        settings: Settings::default(),
        stop,
        onlooker: |_: &deployer::rollout::Rollout, _: &deployer::drive::Notice<'_>| {},
    }
}

async fn drive(cloud: &Cloud, store: Late) -> Result<Outcome, DriveError> {
    let journal = Journal::new(store, "first");
    let mut driver = open(&journal, cloud, planned().0, hands("first", cloud.clock)).await?;
    driver.run().await
}

/// Claims the rollout as another process would, and leaves it at that.
async fn take_over(store: &MemoryStore, clock: Clock) -> Time {
    let journal = Journal::new(store.clone(), "next");
    let idle = Cloud::new(clock, true);
    resume(&journal, &idle, &planned().1, hands("next", clock)).await.map(drop).unwrap();
    clock.now()
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_is_confirmed_after_another_driver_took_over_is_not_acted_on() {
    let (store, clock) = (MemoryStore::new(), Clock::starting(NOW));
    let cloud = Cloud::new(clock, false);
    let other = async {
        tokio::time::sleep(LATE / 2).await;
        take_over(&store, clock).await
    };
    let (outcome, _) = futures_util::join!(drive(&cloud, Late::with(&store, &["changing"])), other);
    assert!(matches!(outcome.unwrap(), Outcome::Fenced { by } if by.nonce == "next"));
    assert_eq!(*cloud.sent.lock().unwrap(), [], "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_is_confirmed_late_is_acted_on_where_nobody_took_over() {
    let (store, clock) = (MemoryStore::new(), Clock::starting(NOW));
    let cloud = Cloud::new(clock, false);
    let outcome = drive(&cloud, Late::with(&store, &["changing", "changing", "changing"])).await;
    assert_eq!(outcome.unwrap(), Outcome::Ended(Verdict::Completed));
    assert!(cloud.sent.lock().unwrap()[0] >= NOW + Span::secs(LATE.as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_replaced_in_the_middle_of_a_call_stops_within_two_seconds() {
    let (store, clock) = (MemoryStore::new(), Clock::starting(NOW));
    let cloud = Cloud::new(clock, true);
    let other = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        take_over(&store, clock).await
    };
    let first = async {
        let outcome = drive(&cloud, Late::with(&store, &[])).await.unwrap();
        (outcome, clock.now())
    };
    let ((outcome, stopped), taken) = futures_util::join!(first, other);
    assert!(matches!(outcome, Outcome::Fenced { by } if by.nonce == "next"));
    assert!(stopped.since(taken) <= Span::secs(2), "{}", stopped.since(taken));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_confirmed_late_is_made_again_so_that_the_wait_for_old_calls_is_whole() {
    let (store, clock) = (MemoryStore::new(), Clock::starting(NOW));
    let cloud = Cloud::new(clock, true);
    let left = tokio::time::timeout(Duration::from_secs(5), drive(&cloud, Late::with(&store, &[]))).await;
    assert!(left.is_err(), "its driver is gone in the middle of a call");
    let journal = Journal::new(Late::with(&store, &["resumed"]), "next");
    let driver = resume(&journal, &cloud, &planned().1, hands("next", clock)).await.unwrap();
    let confirmed = clock.now();
    let history = journal.read(&planned().1).await.unwrap().into_recorded().unwrap();
    let claims = history.iter().filter(|fact| matches!(fact.event, Event::Resumed { .. })).count();
    assert_eq!(claims, 2);
    let until = match driver.state().decide(confirmed) {
        deployer::rollout::Next::Wait { until } => until,
        next => panic!("{next:?}"),
    };
    assert_eq!(until, confirmed + crate::common::LANDS);
}
