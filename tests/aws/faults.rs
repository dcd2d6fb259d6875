//! Every operation that a rollout uses goes wrong in every way that the wire knows, and the rollout still ends well.
//!
//! The operations are those of a clean run, so a new one is covered by being used.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use deployer::rollout::{Cause, Verdict};

use crate::fake::{Fault, On};
use crate::lanes::{beside_each_other, is_read};
use crate::rig::{Done, Rig, Setup};

/// Longer than one call may take in these tests.
const TOO_LONG: u64 = 2_500;

/// How many operations go wrong in one rollout.
const AT_ONCE: usize = 6;
/// What goes wrong, and how often.
const FAULTS: [(Fault, usize); 7] = [
    (Fault::Throttle, 2),
    (Fault::Status(500), 1),
    (Fault::Status(503), 1),
    (Fault::Reset, 1),
    (Fault::LostReply, 1),
    (Fault::Truncated, 1),
    (Fault::Slow(TOO_LONG), 1),
];

fn quick(setup: &mut Setup) {
    (setup.steps, setup.bake) = ("[{ share: 50, hold: 20ms }, 100]", "50ms");
    setup.call_timeout = "1500ms";
}

/// One operation, and how many calls of it a clean run makes before it changes anything, and after.
#[derive(Debug, Clone)]
struct Operation {
    action: String,
    before: usize,
    after: usize,
}

/// The operations of a clean run, in the order of their first call.
fn operations() -> Vec<Operation> {
    static KNOWN: OnceLock<Vec<Operation>> = OnceLock::new();
    KNOWN.get_or_init(of_a_clean_run).clone()
}

fn of_a_clean_run() -> Vec<Operation> {
    let rig = Rig::new(quick);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.is_left_with("api-v001");
    let calls = rig.fake.calls();
    let opened = calls.iter().position(|call| !is_read(&call.action)).unwrap();
    let mut found: Vec<Operation> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        if !found.iter().any(|known| known.action == call.action) {
            found.push(Operation { action: call.action.clone(), before: 0, after: 0 });
        }
        let known = found.iter_mut().find(|known| known.action == call.action).unwrap();
        *(if at < opened { &mut known.before } else { &mut known.after }) += 1;
    }
    found
}

/// The command with as many tries of a call as the SDK makes by itself, or with one: then the rollout is on its own.
fn rollout(rig: &Rig, tries: &str) -> Done {
    rig.start_with(&["rollout", "api"], &[("AWS_MAX_ATTEMPTS", tries)]).wait()
}

fn ends_as_clean(rig: &Rig, done: Done) {
    done.ended_with(0);
    assert!(rig.fake.fired() > 0, "the fault was met");
    assert_eq!(rig.state(1).verdict(), Some(&Verdict::Completed));
    rig.is_left_with("api-v001");
    assert_eq!(rig.weight("public-b"), 100);
    let versions = rig.fake.world(|world| world.templates[&rig.template].versions.len());
    assert_eq!(versions, 2, "no version of the launch template was added");
}

/// Rollouts in which a few operations each go wrong in another way. Together they are every operation in every way.
fn cases_of(operations: &[Operation]) -> Vec<Vec<(String, usize, Fault, usize)>> {
    let mut cases = Vec::new();
    for round in 0..FAULTS.len() {
        for some in operations.chunks(AT_ONCE) {
            let wrong = some.iter().enumerate().map(|(at, one)| {
                let (fault, times) = FAULTS[(round + at) % FAULTS.len()];
                (one.action.clone(), one.before, fault, times)
            });
            cases.push(wrong.collect());
        }
    }
    cases
}

/// Only the driver's own tries: the SDK makes none again.
fn all_end_well(operations: &[Operation]) {
    let cases = cases_of(operations);
    eprintln!("{} operations in {} ways by {} rollouts", operations.len(), FAULTS.len(), cases.len());
    assert!(operations.len() >= 8, "{operations:?}");
    beside_each_other(&cases, |wrong| {
        let rig = Rig::new(quick);
        for (action, before, fault, times) in wrong {
            rig.fake.fail(On::call(action).between(before + 1, before + times), *fault);
        }
        let done = rollout(&rig, "1");
        assert!(rig.fake.fired() >= wrong.len(), "the faults were met");
        ends_as_clean(&rig, done);
    });
}

#[test]
fn any_change_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let changes: Vec<_> = operations().into_iter().filter(|one| !is_read(&one.action)).collect();
    all_end_well(&changes);
}

#[test]
fn any_reading_in_mid_rollout_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let reads: Vec<_> =
        operations().into_iter().filter(|one| is_read(&one.action) && one.after > 0).collect();
    all_end_well(&reads);
}

#[test]
fn every_first_call_may_fail_in_any_way_and_the_sdk_tries_again() {
    let operations = operations();
    beside_each_other(&FAULTS, |(fault, _)| {
        let rig = Rig::new(quick);
        for one in &operations {
            rig.fake.fail(On::call(&one.action).nth(1), *fault);
        }
        let done = rollout(&rig, "3");
        assert!(rig.fake.fired() >= operations.len());
        ends_as_clean(&rig, done);
    });
}

#[test]
fn a_rollout_that_cannot_look_at_all_has_changed_nothing_and_is_begun_again() {
    let first: Vec<_> = operations().into_iter().filter(|one| one.before > 0).collect();
    beside_each_other(&first, |one| {
        let rig = Rig::new(quick);
        rig.fake.fail(On::call(&one.action).nth(1), Fault::Reset);
        let done = rollout(&rig, "1");
        if done.code != 0 {
            assert!([1, 10].contains(&done.code), "{done:?}");
            assert!(done.said().contains(&one.action), "{}", done.said());
            assert!(rig.fake.calls().iter().all(|call| is_read(&call.action)), "nothing was changed");
            assert_eq!(rig.phase(1), "nothing", "no rollout was opened");
            rollout(&rig, "1").ended_with(0);
        }
        rig.is_left_with("api-v001");
    });
}

#[test]
fn whatever_change_is_denied_blue_or_green_serves_and_the_operation_is_named() {
    let changes: BTreeSet<_> =
        operations().into_iter().map(|one| one.action).filter(|action| !is_read(action)).collect();
    let changes: Vec<_> = changes.into_iter().collect();
    beside_each_other(&changes, |action| {
        let rig = Rig::new(|setup| {
            quick(setup);
            setup.deadlines = vec!["hold: 1s", "retire: 1s", "drain: 1s", "restore: 1s", "withdraw: 1s"];
        });
        let blue = rig.members("api");
        rig.fake.fail(On::call(action), Fault::Denied);
        let done = rollout(&rig, "1");
        let (code, said) = (done.code, done.said());
        eprintln!("{action}: {code} in {:?}, {:?}", rig.phase(1), rig.state(1).verdict());
        assert!([11, 12, 13].contains(&code), "{said}");
        assert!(said.contains(action.as_str()) && said.contains("not authorized"), "{said}");
        rig.unharmed();
        let gone = rig.fake.count("DeleteAutoScalingGroup") > 0
            && rig.fake.world(|world| !world.fleets.contains_key("api"));
        if gone {
            rig.serves("api-v001");
        } else {
            assert_eq!(rig.members("api"), blue, "blue is up");
        }
        match code {
            11 => rig.is_left_with("api"),
            13 => {
                rig.fake.heal();
                rig.run(&["resume", "api"]).ended_with(0);
                rig.is_left_with("api-v001");
            }
            _ => {}
        }
    });
}

#[test]
fn a_role_that_may_not_delete_the_old_group_keeps_the_way_back() {
    let held = || {
        let rig = Rig::new(|setup| {
            quick(setup);
            setup.deadlines = vec!["retire: 1s"];
        });
        rig.fake.fail(On::call("DeleteAutoScalingGroup"), Fault::Denied);
        rollout(&rig, "1").ended_with(13);
        rig.serves("api-v001");
        rig
    };
    // By hand, from another process.
    let rig = held();
    rig.fake.heal();
    rig.run(&["rollback", "api"]).ended_with(0);
    rig.is_left_with("api");
    assert!(matches!(rig.state(1).verdict(), Some(Verdict::RolledBack { .. })));
    // By itself, once green falls ill.
    let rig = held();
    rig.fake.heal();
    rig.fake.fail(On::call("DeleteAutoScalingGroup").nth(1), Fault::Denied);
    rig.fake.world(|world| world.sicken("public-b", "api:2"));
    rig.run(&["resume", "api"]).ended_with(11);
    // It was dark there until that was seen.
    assert_eq!(["public-a", "public-b"].map(|twin| rig.weight(twin) > 0), [true, false]);
    assert!(matches!(rig.state(1).verdict(), Some(Verdict::RolledBack { cause: Cause::Sick { .. } })));
}
