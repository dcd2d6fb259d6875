//! The real binary, killed at every boundary of its journal.

use std::sync::Mutex;

use deployer::rollout::Verdict;

use crate::rig::{Rig, Running, beside_each_other, until};

/// Folders that crash beside each other, each at every fourth boundary.
const LANES: [usize; 4] = [1, 2, 3, 4];
/// No rollout of these tests has as many entries.
const ENTRIES_MAX: usize = 80;

/// Kills a command as soon as a rollout has so many entries. Says whether it still ran.
fn kill_at(rig: &Rig, mut running: Running, number: u64, seq: usize) -> bool {
    let entry = rig.entry(number, seq);
    let mut ran = true;
    until("the entry or the end", || {
        ran = running.runs();
        entry.exists() || !ran
    });
    let crashed = running.runs();
    running.kill();
    crashed
}

#[test]
fn killed_at_every_boundary_a_rollout_is_resumed_to_its_end() {
    let killed = Mutex::new(Vec::new());
    beside_each_other(&LANES, |lane| {
        let rig = Rig::with_blue(|_| {});
        let (mut number, mut blue) = (1, "1.0.0".to_owned());
        for seq in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            number += 1;
            let revision = format!("{number}.0.0");
            let running = rig.start(&["rollout", "api", "--revision", &revision]);
            let crashed = kill_at(&rig, running, number, seq);
            if !crashed && rig.entries(number) < seq {
                break; // It ended before the boundary: there is none behind.
            }
            let fleets =
                rig.status().fleets.values().map(|fleet| fleet.revision.to_string()).collect::<Vec<_>>();
            let driver = rig.facts(number).len();
            rig.run(&["resume", "api"]).ended_with(0);
            assert_eq!(rig.state(number).verdict(), Some(&Verdict::Completed), "killed at {seq}");
            assert!(fleets.contains(&revision) || fleets.contains(&blue), "killed at {seq}: {fleets:?}");
            rig.serves(&revision, 2);
            blue = revision;
            killed.lock().unwrap().push((seq, driver, crashed));
        }
        rig.verify();
    });
    let mut killed = killed.into_inner().unwrap();
    killed.sort_unstable();
    let crashed = killed.iter().filter(|(_, _, crashed)| *crashed).count();
    let exact = killed.iter().filter(|(seq, entries, _)| seq == entries).count();
    eprintln!("{} boundaries, {crashed} kills, {exact} of them before the next entry", killed.len());
    let boundaries: Vec<_> = killed.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(boundaries, (1..=killed.len()).collect::<Vec<_>>());
    assert!(killed.len() >= 20, "{killed:?}");
}

#[test]
fn killed_at_every_boundary_of_the_way_back_a_rollout_is_resumed_to_blue() {
    let killed = Mutex::new(Vec::new());
    beside_each_other(&LANES, |lane| {
        let rig = Rig::with_blue(|file| file.strategy = "canary");
        let pids: Vec<_> = rig.processes().into_keys().collect();
        let mut number = 1;
        for boundary in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            number += 1;
            rig.run(&["rollout", "api"]).ended_with(14);
            let seq = rig.entries(number) + boundary;
            let crashed = kill_at(&rig, rig.start(&["abort", "api"]), number, seq);
            if !crashed && rig.entries(number) < seq {
                break;
            }
            rig.run(&["resume", "api"]).ended_with(11);
            assert!(matches!(rig.state(number).verdict(), Some(Verdict::RolledBack { .. })), "at {boundary}");
            rig.serves("1.0.0", 2);
            assert_eq!(rig.processes().into_keys().collect::<Vec<_>>(), pids, "blue ran on untouched");
            killed.lock().unwrap().push(boundary);
        }
        rig.verify();
    });
    let mut killed = killed.into_inner().unwrap();
    killed.sort_unstable();
    eprintln!("{} boundaries of the way back", killed.len());
    assert_eq!(killed, (1..=killed.len()).collect::<Vec<_>>());
    assert!(killed.len() >= 8, "{killed:?}");
}

#[test]
fn a_rollout_that_is_killed_again_and_again_still_ends() {
    let rig = Rig::with_blue(|_| {});
    let mut running = rig.start(&["rollout", "api"]);
    for kills in 1..ENTRIES_MAX {
        let next = rig.entries(2) + 3;
        let crashed = kill_at(&rig, running, 2, next);
        if rig.state(2).verdict().is_some() {
            eprintln!("it ended after {kills} drivers");
            rig.run(&["resume", "api"]).ended_with(0);
            rig.serves("2.0.0", 2);
            return rig.verify();
        }
        assert!(crashed, "only a kill ends it before its end");
        running = rig.start(&["resume", "api"]);
    }
    panic!("it does not end");
}

#[test]
fn a_supervisor_that_is_killed_in_mid_rollout_is_replaced_and_the_rollout_ends_proven_on_one_fleet() {
    let rig = Rig::with_blue(|file| file.steps = "[{ share: 50, hold: 1s }, 100]");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "shift");
    let supervisor = rig.status().supervisor.unwrap();
    crate::rig::signal(supervisor, rustix::process::Signal::KILL);
    let done = rollout.wait();
    assert!([0, 11].contains(&done.code), "{done:?}");
    rig.serves(if done.code == 0 { "2.0.0" } else { "1.0.0" }, 2);
    eprintln!("the rollout ended with {}", done.code);
    rig.verify();
}
