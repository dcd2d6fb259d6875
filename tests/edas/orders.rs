//! Change orders that hang or fail: what stands in whose way, and who is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deployer::cloud::edas::EdasBackend;
use deployer::cloud::{Backend as _, Change, Fault, FaultKind};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{Fleet, GroupId, Inventory, Share, Span, Time, Token};
use deployer::spec::Hosts;

use crate::fake::{Failure, Kind, On, Pace, Settings, Work};
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

/// An order to which nobody comes: neither a host nor a pod.
fn nobody(status: u8) -> Failure {
    Failure { status, batch: 0, code: Failure::NOBODY_CAME, message: "the agent cannot be installed" }
}

/// Asks once for a fleet, in the n-th rollout of the service.
async fn ask(backend: &EdasBackend, wanted: &Fleet, rollout: usize, count: u32) -> Result<(), Fault> {
    let token = Token::new(format!("api-hongkong-{rollout}-opener-{count}.0")).unwrap();
    backend.change(&Change::Provision { fleet: wanted.clone() }, &token).await
}

/// Asks for a fleet as a rollout does, until it is there or that is refused.
async fn asked(backend: &EdasBackend, wanted: &Fleet, rollout: usize) -> Result<(), Fault> {
    let begun = Instant::now();
    for count in 1.. {
        ask(backend, wanted, rollout, count).await?;
        let seen = look(backend).await;
        let there = seen.fleet(&wanted.id).is_some_and(|seen| {
            seen.revision == wanted.revision && seen.running().len() == wanted.size as usize
        });
        if there {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:#?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_scale_out_to_which_nobody_comes_is_begun_once_in_a_rollout_and_again_in_the_next() {
    let template = Hosts::Template { id: "lt-1".into(), version: None };
    let ways = [(Hosts::Idle, "ScaleOutApplication"), (template, "ScaleoutApplicationWithNewInstances")];
    for (hosts, action) in ways {
        for (status, how) in [(3, "failed"), (6, "was aborted"), (10, "failed in EDAS itself")] {
            let rig = Rig::new(Settings::default(), hosts.clone());
            let backend = rig.backend();
            // Of the same revision, and of another.
            for (rollout, revision) in ["2.0.0", "2.0.0", "3.0.0"].into_iter().enumerate() {
                rig.fake.world(|world| world.fail_order(Kind::ScaleOut, nobody(status)));
                let wanted = green(revision, 2);
                let fault = asked(&backend, &wanted, rollout).await.unwrap_err();
                assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Unexpected, false), "{fault}");
                assert!(!fault.kind.retryable(), "the rollout goes back");
                for word in
                    ["`green` stays empty", how, Failure::NOBODY_CAME, "the agent cannot be installed"]
                {
                    assert!(fault.message.contains(word), "{fault}");
                }
                // A process that knows nothing of it says the same.
                let again = ask(&rig.backend(), &wanted, rollout, 99).await.unwrap_err();
                assert_eq!(again.message, fault.message);
                assert_eq!(rig.fake.count(action), rollout + 1, "{status}: one order each");
            }
            asked(&backend, &green("3.0.0", 2), 3).await.unwrap();
            assert_eq!(rig.fake.count(action), 4);
            assert_eq!((rig.fake.unknown(), rig.fake.strange()), (vec![], vec![]));
        }
    }
}

/// It has written down that the group is its own, and then something came between.
#[tokio::test]
async fn who_took_the_group_and_began_nothing_is_not_refused_for_what_failed_before() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let (backend, wanted) = (rig.backend(), green("2.0.0", 2));
    rig.fake.world(|world| world.fail_order(Kind::ScaleOut, nobody(3)));
    asked(&backend, &wanted, 1).await.unwrap_err();
    rig.fake.fail(On::call("ScaleOutApplication").first(1), crate::fake::Fault::Denied);
    assert_eq!(ask(&backend, &wanted, 2, 1).await.unwrap_err().kind, FaultKind::Denied);
    asked(&rig.backend(), &wanted, 2).await.unwrap();
    assert_eq!(rig.fake.count("ScaleOutApplication"), 2);
}

/// It noted the revision, and no rollout.
#[tokio::test]
async fn who_came_for_the_revision_by_the_note_of_an_earlier_version_is_taken_and_for_no_other() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let (backend, wanted) = (rig.backend(), green("2.0.0", 2));
    ask(&backend, &wanted, 1, 1).await.unwrap();
    seen(&backend, "they have come", |seen| seen.busy.is_empty() && seen.fleet(&wanted.id).is_some()).await;
    rig.fake.world(|world| {
        let tags = &mut world.app_mut(&rig.app).unwrap().tags;
        let (_, note) = tags.iter_mut().find(|(key, _)| key.starts_with("deployer:filling:")).unwrap();
        assert_eq!(note.split(',').count(), 3, "{note}");
        *note = note.split(',').next().unwrap().to_owned();
    });
    let fault = ask(&backend, &green("3.0.0", 2), 2, 1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    assert!(fault.message.contains("does not rest"), "{fault}");
    asked(&backend, &wanted, 1).await.unwrap();
    assert_eq!((rig.fake.count("ScaleOutApplication"), rig.fake.count("DeployApplication")), (1, 1));
}

#[test]
fn a_rollout_to_which_nobody_comes_goes_back_with_the_reason_and_the_next_one_completes() {
    let job = Job::new(|_| {});
    job.fake.world(|world| world.fail_order(Kind::ScaleOut, nobody(6)));
    let back = job.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    for word in ["was aborted", "the agent cannot be installed"] {
        assert!(back.said().contains(word), "{word}: {}", back.said());
    }
    assert_eq!(job.fake.count("ScaleOutApplication"), 1, "who aborted it is not overruled");
    job.is_left_with("blue", "green");
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
}

#[test]
fn on_kubernetes_a_rollout_to_which_no_pod_comes_goes_back_with_the_reason_and_the_next_one_completes() {
    // The image and the pods come with one order, or with two.
    let cases = [
        (Settings::default(), Kind::Deploy, [1, 0]),
        (Settings { deploys_replicas: false, ..Settings::default() }, Kind::ScaleOut, [1, 1]),
    ];
    for (settings, kind, begun) in cases {
        let job = Job::on_kubernetes(|setup| setup.settings = settings);
        job.fake.world(|world| world.fail_order(kind, nobody(3)));
        let back = job.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
        assert!(back.said().contains("the agent cannot be installed"), "{kind:?}: {}", back.said());
        let orders = ["DeployK8sApplication", "ScaleK8sApplication"].map(|action| job.fake.count(action));
        assert_eq!(orders, begun, "{kind:?}");
        is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
        job.run(&["rollout", "api"]).ended_with(0);
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    }
}

#[test]
fn the_stage_of_a_deployment_and_the_error_of_a_task_of_it_are_told_while_it_runs() {
    for job in [Job::new(|_| {}), Job::on_kubernetes(|_| {})] {
        job.fake.world(|world| world.fail_order(Kind::Deploy, hanging()));
        let rollout = job.start(&["--log", "info", "rollout", "api"]);
        let order = at_work(&job, Kind::Deploy);
        let told = "stage 3/3: EDAS-10013 no JDK is there (Process after change)";
        until("it to be told", || rollout.talk().contains(told));
        let talk = rollout.talk();
        let line = talk.lines().find(|line| line.contains(told)).unwrap();
        for word in ["EDAS Deploy Application", order.as_str(), "green`: Process after change"] {
            assert!(line.contains(word), "{line}");
        }
        let status = job.fake.world(|world| world.orders.iter().find(|own| own.id == order).unwrap().status);
        assert_eq!(status, 1, "it runs on");
        assert_eq!(talk.matches(told).count(), 1, "what has not changed is told once");
        rollout.kill();
    }
}

#[tokio::test]
async fn why_an_order_failed_is_asked_again_where_edas_did_not_answer_and_not_where_it_did() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let (backend, wanted) = (rig.backend(), green("2.0.0", 2));
    let failure = Failure { status: 3, batch: 0, code: "EDAS-10015", message: "package URL 404" };
    rig.fake.world(|world| world.fail_order(Kind::Deploy, failure));
    rig.fake.fail(On::call("GetChangeOrderInfo").first(1), crate::fake::Fault::Denied);
    let before = provision_until(&backend, &wanted, |seen| seen.failed.is_some()).await;
    let told = |seen: &Inventory| seen.fleet(&wanted.id).and_then(|seen| seen.failed.clone()).unwrap();
    assert!(told(&before).ends_with(" failed"), "{}", told(&before));
    let after =
        seen(&backend, "EDAS says why", |seen| told(seen).contains("EDAS-10015 package URL 404")).await;
    assert!(told(&after).starts_with(&told(&before)), "{}", told(&after));
    look(&backend).await;
    let asked = rig.fake.calls().iter().filter(|call| call.action == "GetChangeOrderInfo").count();
    assert_eq!(asked, 2);
}
