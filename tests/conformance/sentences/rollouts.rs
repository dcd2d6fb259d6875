//! The product's own driver, from the plan to the receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use deployer::cloud::Backend;
use deployer::drive::{self, Clock, Hands, Outcome, Settings, Stop};
use deployer::journal::{Journal, MemoryStore};
use deployer::model::{
    Because, Deadlines, Expect, Fleet, GroupPlan, Hold, Inventory, OnDeadline, PLAN_FORMAT, Pace, Plan,
    Purpose, RolloutId, Share, Span, Step,
};
use deployer::report::{Hints, Snapshot, Timeline, receipt};
use deployer::rollout::{Actor, Event, Rollout, Verdict};
use tokio::sync::watch;

use crate::harness::{Hand, Harness};
use crate::story::{at_rest, group, look, same_but, share, side, until, well};

pub async fn a_rollout_completes_with_a_receipt_that_covers_every_group<H: Harness>(h: H) {
    let given = h.given();
    let ended = roll_out(&h, &given.green, h.ways().patience).await;
    assert_eq!(ended.outcome, Outcome::Ended(Verdict::Completed), "{}", ended.receipt);
    let covered: Vec<BTreeSet<_>> = ended.covered();
    assert_eq!(covered, [given.declared()], "blue went by one proof");
    for line in ["COMPLETED", given.green.id.as_str()].into_iter().chain(names(&given.declared())) {
        assert!(ended.receipt.contains(line), "`{line}` is not in\n{}", ended.receipt);
    }
    let seen = until(&h, "blue is gone", |seen| !seen.fleets.contains_key(&given.blue.id)).await;
    assert!(well(&seen, &given.green, &given.declared()), "{seen:#?}");
    for id in &given.declared() {
        assert_eq!(side(&seen, &given.green.id, id).share, Share::ALL);
        assert_eq!(group(&seen, id).sides.values().filter(|side| side.stands()).count(), 1);
    }
    assert_ne!(seen.fleet(&given.green.id).unwrap().scaling, deployer::model::Scaling::Frozen);
}

pub async fn a_rollout_of_an_ill_revision_goes_back_and_leaves_blue_as_it_was<H: Harness>(h: H) {
    let given = h.given();
    let before = look(&h).await;
    let soon = Span(h.ways().patience.0 / 8);
    let ended = roll_out(&h, &given.ill, soon).await;
    let Outcome::Ended(Verdict::RolledBack { .. }) = &ended.outcome else {
        panic!("{:?}\n{}", ended.outcome, ended.receipt)
    };
    assert!(ended.receipt.contains("ROLLED BACK"), "{}", ended.receipt);
    let gone = |seen: &Inventory| !seen.fleets.contains_key(&given.ill.id);
    until(&h, "green is gone", gone).await;
    let after = at_rest(&h).await;
    same_but(&given.ill.id, &before, &after);
    for id in &given.declared() {
        assert_eq!(side(&after, &given.blue.id, id), side(&before, &given.blue.id, id));
    }
    let had = ended.shares.iter().any(|share| *share > Share::NONE);
    assert_eq!(had, !h.ways().proves, "an ill green gets traffic only where nobody can know before");
}

/// The incident, driven: the plan does not name a group that blue serves. Nothing that green does elsewhere makes it
/// safe for blue to go.
pub async fn a_rollout_that_leaves_out_a_group_of_blue_holds_and_keeps_blue<H: Harness>(h: H) {
    let given = h.given();
    h.by_hand(Hand::Attach(given.blue.id.clone(), given.stranger.clone())).await;
    at_rest(&h).await;
    let ended = roll_out(&h, &given.green, Span(h.ways().patience.0 / 8)).await;
    assert_ne!(ended.outcome, Outcome::Ended(Verdict::Completed), "{}", ended.receipt);
    assert_eq!(ended.covered(), Vec::<BTreeSet<_>>::new(), "nobody announced that blue goes");
    assert!(ended.receipt.contains(given.stranger.as_str()), "{}", ended.receipt);
    let seen = at_rest(&h).await;
    assert!(well(&seen, &given.blue, &[given.stranger.clone()].into()), "{seen:#?}");
}

fn names(groups: &BTreeSet<deployer::model::GroupId>) -> impl Iterator<Item = &str> {
    groups.iter().map(deployer::model::GroupId::as_str)
}

/// What a rollout came to.
struct Ended {
    outcome: Outcome,
    receipt: String,
    facts: Vec<deployer::rollout::Recorded>,
    /// Green's share in the first group, as it was seen along the way.
    shares: BTreeSet<Share>,
}

impl Ended {
    /// What each announced retirement of blue rests on.
    fn covered(&self) -> Vec<BTreeSet<deployer::model::GroupId>> {
        let Event::Opened { plan, .. } = &self.facts[0].event else { panic!("a log opens") };
        let blue = plan.blue.as_ref().map(|blue| &blue.id);
        let retiring = self.facts.iter().filter_map(|fact| match &fact.event {
            Event::Retiring { fleet, covered, .. } if Some(fleet) == blue => Some(covered),
            _ => None,
        });
        retiring.map(|covered| covered.keys().cloned().collect()).collect()
    }
}

async fn roll_out<H: Harness>(h: &H, green: &Fleet, deadline: Span) -> Ended {
    let plan = plan(h, green, deadline).await;
    let (id, hints) = (plan.rollout.clone(), Hints::new(plan.rollout.service.clone()));
    let journal = Journal::new(MemoryStore::new(), "conformance");
    let seen: Arc<Mutex<(Timeline, BTreeSet<Share>)>> = Arc::default();
    let notes = Arc::clone(&seen);
    let (fleet, first) = (green.id.clone(), h.given().paired[0].clone());
    let onlooker = move |state: &Rollout, _: &drive::Notice<'_>| {
        let (timeline, shares) = &mut *notes.lock().unwrap();
        timeline.note(state);
        shares.extend(state.look().map(|look| side(look, &fleet, &first).share));
    };
    let (_keep, stop) = watch::channel(Stop::No);
    let me = Actor { user: "kim".into(), host: "here".into(), pid: 1, run_url: None, nonce: "one".into() };
    let clock = Clock::starting(h.now());
    let settings = Settings { orders_every: h.ways().pace, ..Settings::default() };
    let hands = Hands { me, clock, settings, stop, onlooker };
    let mut driver = drive::open(&journal, h.backend(), plan, hands).await.unwrap();
    let outcome = driver.run().await.unwrap();
    let (timeline, shares) = seen.lock().unwrap().clone();
    let snapshot =
        Snapshot::of(driver.state(), &timeline, &hints, clock.now(), None).closed(&outcome, &hints);
    let receipt = receipt(&snapshot, &hints).paint(false);
    let facts = journal.read(&id).await.unwrap().into_recorded().unwrap();
    Ended { outcome, receipt, facts, shares }
}

/// A plan as the planner makes it, with every wait as short as this cloud allows.
async fn plan<H: Harness>(h: &H, green: &Fleet, deadline: Span) -> Plan {
    let (given, ways, capability) = (h.given(), h.ways(), h.backend().capability());
    let seen = look(h).await;
    let groups: BTreeMap<_, _> = given
        .declared()
        .into_iter()
        .map(|id| {
            let group = group(&seen, &id);
            let because = [Because::Declared, Because::BlueStands].into();
            (id, GroupPlan { because, sharing: group.sharing, steps: group.steps })
        })
        .collect();
    Plan {
        release: None,
        home: std::collections::BTreeMap::new(),
        format: PLAN_FORMAT,
        rollout: RolloutId {
            service: given.service.clone(),
            environment: "conformance".parse().unwrap(),
            number: 1,
        },
        purpose: Purpose::Deploy,
        strategy: "bluegreen".parse().unwrap(),
        blue: Some(given.blue.clone()),
        green: green.clone(),
        groups,
        steps: [10, 50, 100]
            .map(|percent| Step { share: share(percent), hold: Hold::For(ways.pace) })
            .to_vec(),
        settle: ways.pace,
        bake: Hold::For(ways.pace),
        quiet: ways.pace,
        min_healthy: Share::ALL,
        freeze: capability.freeze,
        deadlines: Deadlines {
            settle: deadline,
            hold: deadline,
            provision: ways.patience,
            register: ways.patience,
            shift: ways.patience,
            drain: ways.patience,
            retire: ways.patience,
            restore: ways.patience,
            withdraw: ways.patience,
            then: OnDeadline::Rollback,
        },
        expect: Expect::default(),
        pace: Pace { soon: ways.pace, watch: ways.pace, fresh: Span::mins(1), lands: capability.lands },
        waivers: Vec::new(),
        world: "conformance".into(),
    }
}
