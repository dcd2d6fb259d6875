//! Every operation that a rollout uses goes wrong in every way that the wire knows, and the rollout still ends well.
//!
//! The operations are those of a clean run, so a new one is covered by being used.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use deployer::rollout::Verdict;

use crate::fake::{Fault, On};
use crate::job::{Done, Job, Setup, is_read};
use crate::lanes::beside_each_other;

/// Longer than one call may take in these tests.
const TOO_LONG: u64 = 3_500;
/// How many operations go wrong in one rollout.
const AT_ONCE: usize = 5;
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
    setup.call_timeout = "3s";
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
    let job = Job::new(quick);
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
    let calls = job.fake.calls();
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

fn ends_as_clean(job: &Job, done: Done) {
    done.ended_with(0);
    assert_eq!(job.state(1).verdict(), Some(&Verdict::Completed));
    job.is_left_with("green", "blue");
    assert_eq!(job.weights("rule")["public-b"], 100);
    let hosts = job.fake.world(|world| world.hosts.len());
    assert_eq!(hosts, 8, "no host was bought or lost");
}

/// Rollouts in which a few operations each go wrong in another way. Together they are every operation in every way.
fn all_end_well(operations: &[Operation]) {
    let mut cases = Vec::new();
    for round in 0..FAULTS.len() {
        for some in operations.chunks(AT_ONCE) {
            let wrong = some.iter().enumerate().map(|(at, one)| {
                let (fault, times) = FAULTS[(round + at) % FAULTS.len()];
                (one.action.clone(), one.before, fault, times)
            });
            cases.push(wrong.collect::<Vec<_>>());
        }
    }
    eprintln!("{} operations in {} ways by {} rollouts", operations.len(), FAULTS.len(), cases.len());
    assert!(operations.len() >= 8, "{operations:?}");
    beside_each_other(&cases, |wrong| {
        let job = Job::new(quick);
        for (action, before, fault, times) in wrong {
            job.fake.fail(On::call(action).between(before + 1, before + times), *fault);
        }
        let done = job.run(&["rollout", "api"]);
        // How often a thing is asked depends on the time that others take; a change is made once at least.
        let certain = wrong.iter().filter(|(action, ..)| !is_read(action)).count().max(1);
        assert!(job.fake.fired() >= certain, "{} of {certain} faults were met", job.fake.fired());
        ends_as_clean(&job, done);
    });
}

#[test]
fn any_change_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let changes: Vec<_> = operations().into_iter().filter(|one| !is_read(&one.action)).collect();
    all_end_well(&changes);
}

/// What a share by weight writes.
const WEIGHING: [&str; 5] = [
    "SetVServerGroupAttribute",
    "TagResources",
    "UntagResources",
    "UpdateServerGroupServersAttribute",
    "AddVServerGroupBackendServers",
];

#[test]
fn any_write_of_weights_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let ways = FAULTS.iter().flat_map(|fault| (0..2).map(move |nth| (*fault, nth)));
    let cases: Vec<_> = ways.flat_map(|way| WEIGHING.map(|action| (action, way))).collect();
    beside_each_other(&cases, |(action, ((fault, times), nth))| {
        let job = Job::new(|setup| {
            quick(setup);
            (setup.steps, setup.by, setup.weights) = ("[80, 100]", "weights", [90, 40]);
        });
        job.fake.fail(On::call(action).between(nth + 1, nth + times), *fault);
        let done = job.run(&["rollout", "api"]);
        assert!(job.fake.fired() > 0 || *nth > 0, "a fault was met");
        ends_as_clean(&job, done);
        assert_eq!(job.notes(), Vec::<String>::new());
    });
}

#[test]
fn any_reading_in_mid_rollout_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let reads: Vec<_> =
        operations().into_iter().filter(|one| is_read(&one.action) && one.after > 1).collect();
    all_end_well(&reads);
}

#[test]
fn whatever_change_is_denied_blue_or_green_serves_and_the_operation_is_named() {
    let changes: BTreeSet<_> =
        operations().into_iter().map(|one| one.action).filter(|action| !is_read(action)).collect();
    let changes: Vec<_> = changes.into_iter().collect();
    beside_each_other(&changes, |action| {
        let job = Job::new(|setup| {
            quick(setup);
            setup.deadlines = vec!["hold: 2s", "retire: 2s", "drain: 2s", "restore: 2s", "withdraw: 2s"];
        });
        let blue = job.members("blue");
        job.fake.fail(On::call(action), Fault::Denied);
        let done = job.run(&["rollout", "api"]);
        let (code, said) = (done.code, done.said());
        eprintln!("{action}: {code} in {:?}, {:?}", job.phase(1), job.state(1).verdict());
        assert!([11, 12, 13].contains(&code), "{said}");
        assert!(said.contains(action.as_str()), "{said}");
        job.unharmed();
        if job.members("blue") != blue {
            job.serves("green");
        }
        match code {
            11 => job.is_left_with("blue", "green"),
            13 => {
                job.fake.heal();
                job.run(&["resume", "api"]).ended_with(0);
                job.is_left_with("green", "blue");
            }
            _ => {}
        }
    });
}
