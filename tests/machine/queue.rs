//! The loop where many want to look and act, and where the world does not answer.

use std::sync::Mutex;
use std::time::Duration;

use deployer::cloud::{Backend, Capability, Change, Fault, FaultKind, Floor, Leeway, Scope};
use deployer::coverage::Retirement;
use deployer::drive::{Clock, DriveError, Outcome, open, order};
use deployer::journal::{Journal, MemoryStore};
use deployer::model::{Inventory, Span, Time, Token};
use deployer::rollout::{Cause, Event, Order, Verdict};

use crate::common::{NOW, actor};
use crate::late::{Cloud, hands, planned};

/// When something is the case.
type When = fn(Time) -> bool;

/// A cloud before which others stand in a queue, and which sometimes does not answer.
struct Busy {
    cloud: Cloud,
    /// When those that have moved traffic wait, and those that have not.
    full: [When; 2],
    /// When a look fails.
    blind: When,
    /// When one for which no traffic waits takes a minute.
    slow: When,
    /// When such a one fails.
    deaf: When,
    looks: Mutex<Vec<Time>>,
}

impl Busy {
    fn new() -> Self {
        let cloud = Cloud::new(Clock::starting(NOW), false);
        let never: When = |_| false;
        Self { cloud, full: [never; 2], blind: never, slow: never, deaf: never, looks: Mutex::default() }
    }

    /// Drives the planned rollout.
    async fn drive(&self, store: &MemoryStore) -> Result<Outcome, DriveError> {
        let (plan, _) = planned();
        let journal = Journal::new(store.clone(), "first");
        let mut driver = open(&journal, self, plan, hands("first", self.cloud.clock)).await?;
        driver.run().await
    }
}

impl Backend for Busy {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        let now = self.cloud.clock.now();
        self.looks.lock().unwrap().push(now);
        if (self.blind)(now) {
            return Err(Fault::new(FaultKind::Throttled, "Look", "too much"));
        }
        self.cloud.look(scope).await
    }
    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        let now = self.cloud.clock.now();
        if !leeway.urgent && (self.deaf)(now) {
            return Err(Fault::new(FaultKind::Unreachable, "Look", "no answer"));
        }
        if !leeway.urgent && (self.slow)(now) {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        self.look(scope).await
    }
    async fn floor(&self, moved: bool) -> Floor {
        while (self.full[usize::from(!moved)])(self.cloud.clock.now()) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Floor::default()
    }
    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        self.cloud.change(change, token).await
    }
    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        self.cloud.retire(proof, token).await
    }
    fn capability(&self) -> Capability {
        self.cloud.capability()
    }
}

fn after(minutes: u64) -> Time {
    NOW + Span::mins(minutes)
}

#[tokio::test(start_paused = true)]
async fn an_order_to_go_back_does_not_wait_for_its_turn() {
    let busy = Busy { full: [|now| now < after(60 * 24); 2], ..Busy::new() };
    let store = MemoryStore::new();
    let operator = async {
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(*busy.looks.lock().unwrap(), [], "it stands in the queue");
        let (journal, clock) = (Journal::new(store.clone(), "operator"), busy.cloud.clock);
        order(&journal, &planned().1, Order::Rollback, &actor("operator"), &clock).await.map(drop).unwrap();
        clock.now()
    };
    let (outcome, ordered) = futures_util::join!(busy.drive(&store), operator);
    assert!(matches!(outcome.unwrap(), Outcome::Ended(Verdict::RolledBack { .. })));
    let looked = busy.looks.lock().unwrap()[0];
    assert!(looked.since(ordered) <= Span::secs(2), "{}", looked.since(ordered));
}

#[tokio::test(start_paused = true)]
async fn an_order_to_go_back_waits_neither_for_a_look_under_way_nor_until_one_that_failed_is_tried_again() {
    let then: When = |now| (after(10)..after(20)).contains(&now);
    for secs in 0..10 {
        for busy in [Busy { slow: then, ..Busy::new() }, Busy { deaf: then, ..Busy::new() }] {
            busy.cloud.world.lock().unwrap().launch = Span::mins(600);
            let store = MemoryStore::new();
            let operator = async {
                tokio::time::sleep(Duration::from_secs(11 * 60 + secs)).await;
                let (journal, clock) = (Journal::new(store.clone(), "operator"), busy.cloud.clock);
                let ordered =
                    order(&journal, &planned().1, Order::Rollback, &actor("operator"), &clock).await;
                ordered.map(drop).unwrap();
                clock.now()
            };
            let (outcome, ordered) = futures_util::join!(busy.drive(&store), operator);
            assert!(matches!(outcome.unwrap(), Outcome::Ended(Verdict::RolledBack { .. })));
            let looks = busy.looks.lock().unwrap();
            let looked = looks.iter().find(|at| **at >= ordered).unwrap().since(ordered);
            assert!(looked <= Span::secs(2), "after {looked}, ordered {secs} s past the minute");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_phase_is_late_by_the_time_for_which_others_had_their_turn() {
    // Two hours in the queue, and a deadline of one.
    let busy = Busy { full: [|_| false, |now| (after(0)..after(120)).contains(&now)], ..Busy::new() };
    assert_eq!(busy.drive(&MemoryStore::new()).await.unwrap(), Outcome::Ended(Verdict::Completed));
    assert!(busy.cloud.clock.now() > after(120));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_moved_traffic_queues_apart_from_those_that_have_not() {
    let busy = Busy { full: [|now| (after(0)..after(30)).contains(&now), |_| false], ..Busy::new() };
    assert_eq!(busy.drive(&MemoryStore::new()).await.unwrap(), Outcome::Ended(Verdict::Completed));
    assert!(busy.cloud.clock.now() > after(30), "it waited once it had moved some");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_just_at_a_deadline_is_asked_again_and_the_way_back_is_taken() {
    // Green never comes up, and the world does not answer for three minutes around the deadline of an hour.
    let busy = Busy { blind: |now| (after(59)..after(62)).contains(&now), ..Busy::new() };
    busy.cloud.world.lock().unwrap().launch = Span::mins(600);
    let outcome = busy.drive(&MemoryStore::new()).await.unwrap();
    let Outcome::Ended(Verdict::RolledBack { cause }) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(cause, Cause::Deadline { .. }), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_world_that_does_not_answer_for_long_after_a_deadline_is_let_go() {
    let busy = Busy { blind: |now| now >= after(1), ..Busy::new() };
    busy.cloud.world.lock().unwrap().launch = Span::mins(600);
    let fault = busy.drive(&MemoryStore::new()).await.unwrap_err();
    assert!(matches!(fault, DriveError::Blind { .. }), "{fault:?}");
    assert!(busy.cloud.clock.now() >= after(60), "not before it is late");
}

#[tokio::test(start_paused = true)]
async fn the_look_of_a_plan_is_gone_on_from_unless_it_has_grown_too_old() {
    for (minutes, spared) in [(0, true), (60, false)] {
        let busy = Busy::new();
        let (plan, id) = planned();
        let groups = plan.groups.keys().cloned().collect();
        let scope = Scope { service: id.service, groups, fleets: [].into() };
        let mut look = busy.cloud.look(&scope).await.unwrap();
        look.looked_at = busy.cloud.clock.now();
        tokio::time::sleep(Duration::from_mins(minutes)).await;
        let journal = Journal::new(MemoryStore::new(), "first");
        let driver = open(&journal, &busy, plan, hands("first", busy.cloud.clock)).await.unwrap();
        assert_eq!(driver.planned_on(look).run().await.unwrap(), Outcome::Ended(Verdict::Completed));
        let facts = journal.read(&planned().1).await.unwrap().into_recorded().unwrap();
        let first = facts.iter().find_map(|fact| match &fact.event {
            Event::Looked { inventory, .. } => Some(inventory.looked_at),
            _ => None,
        });
        assert_eq!(first == Some(NOW), spared, "{first:?}");
    }
}
