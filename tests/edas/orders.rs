//! Change orders that hang or fail: what stands in whose way, and who is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deployer::cloud::edas::EdasBackend;
use deployer::cloud::{Backend as _, Change, FaultKind};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{GroupId, Inventory, Share, Span, Time};
use deployer::spec::Hosts;

use crate::fake::{Failure, Kind, Pace, Settings, Work};
use crate::job::{Job, until};
use crate::kube::is_left_with;
use crate::rig::{PATIENCE, Rig, fleet, green, look, provision_until, token};

const ROLLED_BACK: i32 = 11;
/// Longer than any test waits, in milliseconds.
const NEVER: u64 = 3_600_000;

/// An order that goes on for ever.
fn hanging() -> Failure {
    Failure { status: 1, batch: 0, code: "EDAS-10013", message: "no JDK is there" }
}

/// The change order of this kind, once EDAS is in the middle of it.
fn at_work(job: &Job, kind: Kind) -> String {
    let find = || {
        job.fake.world(|world| {
            let mut orders = world.orders.iter();
            orders.find(|order| order.kind == kind && order.status == 1).map(|order| order.id.clone())
        })
    };
    until("EDAS to be at work", || find().is_some());
    find().unwrap()
}

/// A rollout whose deployment hangs is aborted: green is still there, and why is told, until the order has ended.
fn goes_once_it_has_ended(job: &Job) {
    job.fake.world(|world| world.fail_order(Kind::Deploy, hanging()));
    let rollout = job.start(&["rollout", "api"]);
    let order = at_work(job, Kind::Deploy);
    let abort = job.start(&["abort", "api"]);
    until("the answer to name the order", || {
        job.state(1).fault().is_some_and(|fault| fault.message.contains(&order))
    });
    let state = job.state(1);
    assert_eq!(state.phase().name(), "withdraw");
    let fault = state.fault().unwrap();
    assert_eq!(fault.kind, FaultKind::Conflict);
    for word in ["cannot go", "Deploy Application", "let it end, or abort it in the EDAS console"] {
        assert!(fault.message.contains(word), "{fault}");
    }
    // Somebody does so.
    job.fake.world(|world| world.abort(&order, false)).unwrap();
    let back = rollout.wait().ended_with(ROLLED_BACK);
    assert!(back.said().contains(&order), "{}", back.said());
    abort.wait().ended_with(0);
}

#[test]
fn a_green_whose_deployment_hangs_goes_once_that_has_ended_and_until_then_the_order_is_named() {
    let job = Job::new(|_| {});
    let blue = job.members("blue");
    goes_once_it_has_ended(&job);
    job.is_left_with("blue", "green");
    assert_eq!(job.members("blue"), blue, "blue ran on untouched");
    let left = job.fake.world(|world| world.eccs.len());
    assert_eq!(left, blue.len(), "nobody of green is left, running or not");
    assert_eq!(job.fake.count("ScaleInApplication"), 1);
}

#[test]
fn on_kubernetes_a_green_whose_deployment_hangs_goes_once_that_has_ended_and_until_then_the_order_is_named() {
    let job = Job::on_kubernetes(|_| {});
    goes_once_it_has_ended(&job);
    is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
    assert_eq!(job.fake.count("ScaleK8sApplication"), 1);
}

fn public() -> BTreeSet<GroupId> {
    [GroupId::new("public").unwrap()].into()
}

async fn seen(backend: &EdasBackend, what: &str, is_so: impl Fn(&Inventory) -> bool) -> Inventory {
    let begun = Instant::now();
    loop {
        let seen = look(backend).await;
        if is_so(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Green carries everything and blue has left: what the gate says to that.
async fn proof(backend: &EdasBackend) -> Retirement {
    provision_until(backend, &green("2.0.0", 2), |seen| seen.running().len() == 2).await;
    let (to, blue, groups) = (fleet("green"), fleet("blue"), public());
    let well = |seen: &Inventory| {
        groups.iter().all(|id| {
            seen.group(id).and_then(|own| own.sides.get(&to)).is_some_and(|side| side.healthy() == 2)
        })
    };
    let change = async |n: u32, change: Change| backend.change(&change, &token(n)).await.unwrap();
    change(100, Change::Register { fleet: to.clone(), groups: groups.clone() }).await;
    seen(backend, "green is well", well).await;
    for group in groups.clone() {
        let (to, from) = (to.clone(), Some(blue.clone()));
        change(101, Change::Shift { group, to, from, share: Share::ALL }).await;
    }
    look(backend).await;
    change(110, Change::Deregister { fleet: blue.clone(), groups: groups.clone() }).await;
    let left = seen(backend, "blue has left", |seen| seen.groups_of(&blue).is_empty() && well(seen)).await;
    let question = Question {
        leaving: &blue,
        staying: &to,
        required: &groups,
        healthy_min: 1,
        waivers: &[],
        look: &left,
        not_before: Time(0),
        fresh: Span::mins(1),
        now: left.looked_at,
    };
    coverage::prove(&question).unwrap_or_else(|gaps| panic!("{gaps:#?} in {left:#?}"))
}

#[tokio::test]
async fn blue_was_told_to_go_only_where_an_order_takes_its_instances_away() {
    for (kind, goes) in [(Kind::Restart, false), (Kind::Deploy, false), (Kind::ScaleIn, true)] {
        let rig = Rig::new(Settings::default(), Hosts::Idle);
        let backend = rig.backend();
        let proof = proof(&backend).await;
        // Somebody begins it at this very moment, and it does not end.
        let order = rig.fake.world(|world| {
            world.settings.step = NEVER;
            let group = world.app(&rig.app).unwrap().group_named("blue").unwrap().id.clone();
            world.order(kind, (&rig.app, &group), Work::Run(true), &[Vec::new()], Pace::default())
        });
        let answer = backend.retire(proof, &token(120)).await;
        assert_eq!(answer.is_ok(), goes, "{kind:?}: {answer:?}");
        if let Err(fault) = answer {
            assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Conflict, false), "{fault}");
            for word in [order.as_str(), kind.names().1, "EDAS console"] {
                assert!(fault.message.contains(word), "{fault}");
            }
        }
        assert_eq!(rig.fake.count("ScaleInApplication"), 0, "EDAS does one at a time");
        assert_eq!(rig.fake.count("AbortChangeOrder"), 0, "it is somebody else's");
        assert_eq!(rig.fake.world(|world| world.running(&rig.app, "blue", None)), rig.blue);
    }
}
