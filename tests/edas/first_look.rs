//! The look before a rollout is opened, where the cloud does not answer it: by the real binary.

use std::time::Instant;

use crate::fake::{Fault, On};
use crate::job::{Job, Setup, until};
use crate::lanes::beside_each_other;

/// Said of each attempt after which there is another.
const AGAIN: &str = "the look failed and is tried again";
/// Longer than anything here may take, and shorter than what hangs.
const LONG_SECS: u64 = 90;

fn quick(setup: &mut Setup) {
    setup.call_timeout = "3s";
}

/// Nobody answers a question that every look asks.
fn deafen(job: &Job) {
    job.fake.fail(On::call("QueryApplicationStatus"), Fault::Throttle);
}

#[test]
fn a_plans_look_is_tried_again_until_the_cloud_answers_and_then_goes_on() {
    let dresses = ["plan", "rollout", "rollout of a plan", "rollback"];
    beside_each_other(&dresses, |dress| {
        let job = Job::new(quick);
        let (args, code): (&[&str], _) = match *dress {
            "plan" => (&["plan", "api"], 0),
            "rollout" => (&["rollout", "api"], 0),
            "rollout of a plan" => {
                job.run(&["plan", "api", "--out", "plan.json"]).ended_with(0);
                (&["rollout", "api", "--plan", "plan.json"], 0)
            }
            _ => {
                job.run(&["rollout", "api"]).ended_with(0);
                (&["rollback", "api"], 0)
            }
        };
        let before = job.entries(1) + job.entries(2);
        deafen(&job);
        let running = job.start(args);
        until("the look to be tried again twice", || running.talk().matches(AGAIN).count() >= 2);
        assert_eq!(job.entries(1) + job.entries(2), before, "nothing was begun: {dress}");
        assert!(running.talk().contains("QueryApplicationStatus (throttled)"), "{}", running.talk());
        job.fake.heal();
        running.wait().ended_with(code);
        match *dress {
            "plan" => assert_eq!(job.entries(1), 0),
            "rollback" => job.is_left_with("blue", "green"),
            _ => job.is_left_with("green", "blue"),
        }
    });
}

#[test]
fn a_plans_look_that_is_refused_fails_at_once() {
    beside_each_other(&["plan", "rollout"], |verb| {
        let job = Job::new(quick);
        job.fake.fail(On::call("QueryApplicationStatus"), Fault::Denied);
        let done = job.run(&[verb, "api"]).ended_with(1);
        assert!(
            done.err.contains("failed to look at the world: QueryApplicationStatus (denied)"),
            "{}",
            done.err
        );
        assert!(!done.err.contains(AGAIN), "{}", done.err);
        let asked = job.fake.calls().iter().filter(|call| call.action == "QueryApplicationStatus").count();
        assert_eq!((asked, job.entries(1)), (1, 0), "{verb}");
    });
}

#[test]
fn ctrl_c_ends_a_plans_look_at_once_that_hangs_or_is_tried_again() {
    beside_each_other(&["hangs", "is tried again"], |dress| {
        let job = Job::new(|setup| {
            setup.call_timeout = if *dress == "hangs" { "5m" } else { "3s" };
        });
        let running = if *dress == "hangs" {
            job.fake.fail(On::call("QueryApplicationStatus"), Fault::Slow(LONG_SECS * 2 * 1000));
            let running = job.start(&["rollout", "api"]);
            until("the question to be asked", || job.fake.fired() > 0);
            running
        } else {
            deafen(&job);
            let running = job.start(&["rollout", "api"]);
            until("the look to be tried again", || running.talk().contains(AGAIN));
            running
        };
        let asked = Instant::now();
        running.interrupt();
        let done = running.wait().ended_with(17);
        assert!(asked.elapsed().as_secs() < LONG_SECS, "{dress}");
        assert!(done.err.contains("stopped before rollout 1 of `api` was opened"), "{}", done.err);
        assert_eq!(job.entries(1), 0, "{dress}");
        job.unharmed();
    });
}
