//! Pairs of real processes that want the same rollout at the same time, on two runners, over one bucket.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deployer::journal::Provider;
use deployer::rollout::{Event, Verdict};

use crate::bucket::Site;
use crate::fake_bucket::Mishap;
use crate::rig::{Rig, beside_each_other, until};

/// Two buckets of each kind, raced for beside each other.
const LANES: [Provider; 4] = [Provider::S3, Provider::Oss, Provider::S3, Provider::Oss];

/// How many races there are in all; `RACES=1000` for more.
fn races() -> usize {
    std::env::var("RACES").ok().and_then(|races| races.parse().ok()).unwrap_or(200)
}

/// What became of one race: whether somebody lost it while the other was at it.
fn race(site: &Site, number: u64) -> bool {
    let revisions = ["one", "two"].map(|runner| format!("{number}.0.0-{runner}"));
    let running = [("one", &revisions[0]), ("two", &revisions[1])]
        .map(|(runner, revision)| site.start(runner, &["rollout", "api", "--revision", revision]));
    let mut others = ["two@", "one@"].into_iter();
    let codes = running.map(|running| {
        let (done, other) = (running.wait(), others.next().unwrap());
        assert!([0, 15].contains(&done.code), "{done:?}");
        assert!(done.code == 0 || done.err.contains(other), "who lost names the winner: {done:?}");
        done.code
    });
    assert!(codes.contains(&0), "somebody wins");
    // Who came when the other was done already has a rollout of its own, and lost nothing.
    let numbers = number..=number + codes.iter().filter(|code| **code == 0).count() as u64 - 1;
    for number in numbers.clone() {
        let facts = site.rig.block(site.journal().read(&Rig::id(number))).unwrap().into_recorded().unwrap();
        let drivers: BTreeSet<_> = facts
            .iter()
            .filter_map(|fact| match &fact.event {
                Event::Opened { by, .. } | Event::Resumed { by } => Some(by.nonce.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(drivers.len(), 1, "one owner of rollout {number}: {facts:?}");
        let state = site.state(number);
        assert_eq!(state.verdict(), Some(&Verdict::Completed));
        let owner = &state.driver().user;
        let won = usize::from(owner == "two");
        assert_eq!((codes[won], state.plan().green.revision.as_str()), (0, revisions[won].as_str()));
    }
    assert!(!site.has(numbers.end() + 1, 1), "and nobody else began one");
    codes.contains(&15)
}

/// Between two lists another may begin, and its rollout is then no reason to take the number behind it.
#[test]
fn a_rollout_that_began_while_another_was_being_planned_is_not_stepped_over() {
    let site = Site::new(Provider::S3, |file| file.settle = "6s");
    let waits = Arc::new(AtomicBool::new(false));
    let reached = Arc::clone(&waits);
    site.fake.on_call(move |call| {
        let first = call.key == "api/local/00000001/summary.json" && !reached.swap(true, Ordering::Relaxed);
        if first { Mishap::Slow(Duration::from_secs(3)) } else { Mishap::None }
    });
    let mut late = site.start("one", &["rollout", "api"]);
    until("one to have seen that the last rollout is over", || waits.load(Ordering::Relaxed));
    let early = site.start("two", &["rollout", "api"]);
    until("two to begin", || site.has(2, 1));
    assert!(late.runs(), "it was to be late");
    let late = late.wait().ended_with(15);
    assert!(late.err.contains("rollout 2 of `api` is driven by two@"), "{}", late.err);
    assert!(!site.has(3, 1), "nobody else began a rollout");
    early.wait().ended_with(0);
    site.sound();
}

#[test]
fn of_two_processes_that_begin_a_rollout_at_the_same_time_one_owns_it_and_the_other_says_so() {
    let (began, contests) = (Instant::now(), Mutex::new(Vec::new()));
    beside_each_other(&LANES, |provider| {
        let site = Site::new(*provider, |file| {
            (file.size, file.strategy, file.deregistration_delay) = (1, "switch", "0s");
            (file.settle, file.bake, file.quiet) = ("0s", "0s", "0s");
            file.leave_out("internal");
        });
        for _ in 0..races().div_ceil(LANES.len()) {
            let next = site.latest() + 1;
            let contested = race(&site, next);
            contests.lock().unwrap().push(contested);
        }
        site.sound();
    });
    let contests = contests.into_inner().unwrap();
    let lost = contests.iter().filter(|contested| **contested).count();
    eprintln!("{} races, {lost} of them contested, {:?}", contests.len(), began.elapsed());
    assert!(contests.len() >= races() && lost * 2 > contests.len(), "{lost} of {}", contests.len());
}
