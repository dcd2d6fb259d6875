//! The real binary, killed at every second boundary of its journal, over two applications on Kubernetes: behind an ALB alone,
//! and behind twins of an NLB and of a CLB as well, which nobody checks before they are switched, or which are proved.

use deployer::rollout::Verdict;

use crate::crashes::Boundaries;
use crate::job::{Job, PROVED, Setup, TWINS};
use crate::kube::{is_left_with, pods};
use crate::lanes::{beside_each_other, kill_at};

const ROLLED_BACK: i32 = 11;
/// No rollout of these tests has as many entries.
const ENTRIES_MAX: usize = 120;
/// Rollouts that crash one after another, each at every twelfth boundary: together at every second one.
const LANES: [usize; 6] = [1, 3, 5, 7, 9, 11];
const EVERY: usize = 2;

#[test]
fn killed_at_its_boundaries_a_rollout_on_kubernetes_is_resumed_to_its_end() {
    forward(|_| {});
}

#[test]
fn killed_at_its_boundaries_a_rollout_that_switches_unproved_twins_is_resumed_to_its_end() {
    forward(|setup| setup.by = TWINS);
}

#[test]
fn killed_at_its_boundaries_a_rollout_that_switches_proved_twins_is_resumed_to_its_end() {
    forward(|setup| setup.by = PROVED);
}

fn forward(edit: impl Fn(&mut Setup) + Sync) {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        for seq in (*lane..ENTRIES_MAX).step_by(EVERY * LANES.len()) {
            let job = job(&edit);
            let crashed = kill_at(&job, job.start(&["rollout", "api"]), 1, seq);
            if !crashed && job.entries(1) < seq {
                boundaries.ended(job.entries(1));
                break; // It ended before the boundary: there is none behind.
            }
            job.run(&["resume", "api"]).ended_with(0);
            assert_eq!(job.state(1).verdict(), Some(&Verdict::Completed), "killed at {seq}");
            is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
            boundaries.killed(seq);
        }
    });
    boundaries.all(EVERY, 20, "the way forward");
}

#[test]
fn killed_at_its_boundaries_the_way_back_on_kubernetes_is_resumed_to_blue() {
    back(|_| {});
}

#[test]
fn killed_at_its_boundaries_the_way_back_over_unproved_twins_is_resumed_to_blue() {
    back(|setup| setup.by = TWINS);
}

#[test]
fn killed_at_its_boundaries_the_way_back_over_proved_twins_is_resumed_to_blue() {
    back(|setup| setup.by = PROVED);
}

fn back(edit: impl Fn(&mut Setup) + Sync) {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        for boundary in (*lane..ENTRIES_MAX).step_by(EVERY * LANES.len()) {
            let job = job(|setup| {
                edit(setup);
                (setup.steps, setup.bake) = ("[100]", "promote");
            });
            let blue = pods(&job, "api-blue");
            job.run(&["rollout", "api"]).ended_with(14);
            assert_eq!(job.weights("rule")["public-b"], 100, "green carries the traffic");
            let before = job.entries(1);
            let seq = before + boundary;
            let crashed = kill_at(&job, job.start(&["abort", "api"]), 1, seq);
            if !crashed && job.entries(1) < seq {
                boundaries.ended(job.entries(1) - before);
                break;
            }
            job.run(&["resume", "api"]).ended_with(ROLLED_BACK);
            let verdict = job.state(1).verdict().cloned();
            assert!(matches!(verdict, Some(Verdict::RolledBack { .. })), "at {boundary}: {verdict:?}");
            assert_eq!(pods(&job, "api-blue"), blue, "blue ran on untouched");
            is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
            boundaries.killed(boundary);
        }
    });
    boundaries.all(EVERY, 8, "the way back");
}

fn job(edit: impl FnOnce(&mut Setup)) -> Job {
    Job::on_kubernetes(|setup| {
        (setup.call_timeout, setup.deadlines) = ("1s", vec!["settle: 10s"]);
        edit(setup);
    })
}
