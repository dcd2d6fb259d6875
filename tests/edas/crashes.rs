//! The real binary, killed at every boundary of its journal, over the wire of Alibaba Cloud.

use std::sync::Mutex;

use deployer::rollout::Verdict;

use crate::job::{Job, Scaling, Setup};
use crate::lanes::{beside_each_other, kill_at};

/// Accounts in which rollouts crash one after another, each at every sixth boundary.
const LANES: [usize; 6] = [1, 2, 3, 4, 5, 6];
/// No rollout of these tests has as many entries.
const ENTRIES_MAX: usize = 120;

/// At which boundaries drivers were killed, and how many those rollouts had that came to their end before theirs. Looks
/// are entries, so two rollouts need not have as many.
#[derive(Default)]
pub struct Boundaries {
    killed: Mutex<Vec<usize>>,
    ended: Mutex<Vec<usize>>,
}

impl Boundaries {
    pub fn killed(&self, boundary: usize) {
        self.killed.lock().unwrap().push(boundary);
    }

    pub fn ended(&self, entries: usize) {
        self.ended.lock().unwrap().push(entries);
    }

    /// The lanes together leave out none of each so many that every rollout has.
    pub fn all(self, every: usize, least: usize, what: &str) {
        let (mut killed, ended) = (self.killed.into_inner().unwrap(), self.ended.into_inner().unwrap());
        killed.sort_unstable();
        eprintln!("{} boundaries of {what}", killed.len());
        let shortest = ended.iter().copied().min().expect("each lane comes to an end");
        assert!(shortest >= least, "{ended:?}");
        let common: Vec<_> = killed.iter().copied().filter(|boundary| *boundary <= shortest).collect();
        assert_eq!(common, (1..=shortest).step_by(every).collect::<Vec<_>>(), "{ended:?}");
    }
}

#[test]
fn killed_at_every_boundary_a_rollout_on_alibaba_cloud_is_resumed_to_its_end() {
    forward(|setup| (setup.call_timeout, setup.scaling) = ("1s", Scaling::Together));
}

#[test]
fn killed_at_every_boundary_a_rollout_by_weights_is_resumed_to_its_end() {
    forward(|setup| {
        (setup.call_timeout, setup.by, setup.weights) = ("1s", "weights", [90, 40]);
        setup.scaling = Scaling::Apart;
        setup.steps = "[{ share: 10, hold: 50ms }, 80, 100]";
    });
}

fn forward(edit: impl Fn(&mut Setup) + Sync) {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        for seq in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            let job = Job::new(&edit);
            let crashed = kill_at(&job, job.start(&["rollout", "api"]), 1, seq);
            if !crashed && job.entries(1) < seq {
                boundaries.ended(job.entries(1));
                break; // It ended before the boundary: there is none behind.
            }
            job.run(&["resume", "api"]).ended_with(0);
            assert_eq!(job.state(1).verdict(), Some(&Verdict::Completed), "killed at {seq}");
            job.is_left_with("green", "blue");
            assert_eq!(job.notes(), Vec::<String>::new());
            boundaries.killed(seq);
        }
    });
    boundaries.all(1, 20, "the way forward");
}

#[test]
fn killed_at_every_boundary_of_the_way_back_a_rollout_on_alibaba_cloud_is_resumed_to_blue() {
    back(|setup| {
        (setup.steps, setup.bake, setup.call_timeout) = ("[100]", "promote", "1s");
        setup.scaling = Scaling::Apart;
    });
}

#[test]
fn killed_at_every_boundary_of_the_way_back_by_weights_blue_has_its_own_weights_again() {
    back(|setup| {
        (setup.steps, setup.bake, setup.call_timeout) = ("[80, 100]", "promote", "1s");
        (setup.by, setup.weights, setup.scaling) = ("weights", [90, 40], Scaling::Together);
    });
}

fn back(edit: impl Fn(&mut Setup) + Sync) {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        for boundary in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            let job = Job::new(&edit);
            let blue = job.members("blue");
            let weights = || ["internal", "partner"].map(|group| job.heavy(group, "blue"));
            let heavy = weights();
            job.run(&["rollout", "api"]).ended_with(14);
            assert_eq!(job.weights("rule")["public-b"], 100, "green carries the traffic");
            let before = job.entries(1);
            let seq = before + boundary;
            let crashed = kill_at(&job, job.start(&["abort", "api"]), 1, seq);
            if !crashed && job.entries(1) < seq {
                boundaries.ended(job.entries(1) - before);
                break;
            }
            job.run(&["resume", "api"]).ended_with(11);
            let verdict = job.state(1).verdict().cloned();
            assert!(matches!(verdict, Some(Verdict::RolledBack { .. })), "at {boundary}: {verdict:?}");
            job.is_left_with("blue", "green");
            assert_eq!(job.members("blue"), blue, "blue ran on untouched");
            if job.by() == "weights" {
                assert_eq!((weights(), job.notes()), (heavy, vec![]));
            }
            boundaries.killed(boundary);
        }
    });
    boundaries.all(1, 8, "the way back");
}
