//! The real binary, killed at every boundary of its journal and in the middle of its calls, over the wire of AWS.

use std::sync::Mutex;

use deployer::rollout::Verdict;
use serde_json::json;

use crate::alarms::{drive, scales_like_blue};
use crate::codedeploy_in_place::{copied, runs};
use crate::fake::{Fault, On};
use crate::lanes::{beside_each_other, is_read, kill_at};
use crate::rig::{Rig, Setup, until};

/// Accounts in which rollouts crash one after another, each at every sixth boundary.
const LANES: [usize; 6] = [1, 2, 3, 4, 5, 6];
/// No rollout of these tests has as many entries.
const ENTRIES_MAX: usize = 90;
/// How long a held reply is held: longer than the test needs to kill its caller.
const HELD_FOR: u64 = 5_000;

/// At which boundaries drivers were killed, and how many those rollouts had that came to their end before theirs. Looks
/// are entries, so two rollouts need not have as many.
#[derive(Default)]
struct Boundaries {
    killed: Mutex<Vec<usize>>,
    ended: Mutex<Vec<usize>>,
}

impl Boundaries {
    /// The lanes together leave out none that every rollout has.
    fn all(self, least: usize, what: &str) {
        let (mut killed, ended) = (self.killed.into_inner().unwrap(), self.ended.into_inner().unwrap());
        killed.sort_unstable();
        eprintln!("{} boundaries of {what}", killed.len());
        let shortest = ended.iter().copied().min().expect("each lane comes to an end");
        assert!(shortest >= least, "{ended:?}");
        let common: Vec<_> = killed.iter().copied().filter(|boundary| *boundary <= shortest).collect();
        assert_eq!(common, (1..=shortest).collect::<Vec<_>>(), "{ended:?}");
    }
}

fn fleet(number: u64) -> String {
    if number == 0 { "api".to_owned() } else { format!("api-v{number:03}") }
}

#[test]
fn killed_at_every_boundary_a_rollout_on_aws_is_resumed_to_its_end() {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        let rig = Rig::new(|_| {});
        let mut number = 0;
        for seq in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            number += 1;
            let revision = if number % 2 == 1 { "2" } else { "1" };
            let crashed = kill_at(&rig, rig.start(&["rollout", "api", "--revision", revision]), number, seq);
            if !crashed && rig.entries(number) < seq {
                boundaries.ended.lock().unwrap().push(rig.entries(number));
                break; // It ended before the boundary: there is none behind.
            }
            rig.run(&["resume", "api"]).ended_with(0);
            assert_eq!(rig.state(number).verdict(), Some(&Verdict::Completed), "killed at {seq}");
            rig.is_left_with(&fleet(number));
            boundaries.killed.lock().unwrap().push(seq);
        }
    });
    boundaries.all(20, "the way forward");
}

#[test]
fn killed_at_every_boundary_of_the_way_back_a_rollout_on_aws_is_resumed_to_blue() {
    let boundaries = Boundaries::default();
    beside_each_other(&LANES, |lane| {
        let rig = Rig::new(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
        let blue = rig.members("api");
        let mut number = 0;
        for boundary in (*lane..ENTRIES_MAX).step_by(LANES.len()) {
            number += 1;
            rig.run(&["rollout", "api"]).ended_with(14);
            assert_eq!(rig.weight("public-b"), 100, "green carries the traffic");
            let before = rig.entries(number);
            let seq = before + boundary;
            let crashed = kill_at(&rig, rig.start(&["abort", "api"]), number, seq);
            if !crashed && rig.entries(number) < seq {
                boundaries.ended.lock().unwrap().push(rig.entries(number) - before);
                break;
            }
            rig.run(&["resume", "api"]).ended_with(11);
            let verdict = rig.state(number).verdict().cloned();
            assert!(matches!(verdict, Some(Verdict::RolledBack { .. })), "at {boundary}: {verdict:?}");
            rig.is_left_with("api");
            assert_eq!(rig.members("api"), blue, "blue ran on untouched");
            boundaries.killed.lock().unwrap().push(boundary);
        }
    });
    boundaries.all(8, "the way back");
}

#[test]
fn killed_at_every_fourth_boundary_a_pair_is_resumed_to_its_end() {
    let killed = Mutex::new(Vec::new());
    beside_each_other(&LANES, |lane| {
        let rig = Rig::new(|setup| setup.fleets = "{ pair: [api, api-b] }".to_owned());
        rig.second_half();
        let mut number = 0;
        for seq in (lane * 4 - 2..ENTRIES_MAX).step_by(LANES.len() * 4) {
            number += 1;
            let odd = number % 2 == 1;
            let (revision, green) = if odd { ("2", "api-b") } else { ("1", "api") };
            let crashed = kill_at(&rig, rig.start(&["rollout", "api", "--revision", revision]), number, seq);
            if !crashed && rig.entries(number) < seq {
                break;
            }
            rig.run(&["resume", "api"]).ended_with(0);
            rig.serves(green);
            rig.scales(green);
            killed.lock().unwrap().push(seq);
        }
    });
    let killed = killed.into_inner().unwrap();
    eprintln!("{} boundaries of a pair", killed.len());
    assert!(killed.len() >= 6, "{killed:?}");
}

/// A service whose bundle is installed in place on fleets that have a warm pool, and alarms.
fn furnished() -> Rig {
    let rig = copied(|setup| {
        setup.call_timeout = "2s";
        quick(setup);
    });
    drive(&rig);
    let pool = json!({ "MinSize": "1", "PoolState": "Stopped" });
    rig.fake.world(|world| world.fleets.get_mut("api").unwrap().warm_pool = Some(pool));
    rig
}

/// The fleet has what blue had: its bundle, its warm pool, and what scales it.
fn is_furnished(rig: &Rig, number: u64, bundle: &str) {
    let (fleet, twin) = (fleet(number), if number % 2 == 1 { "public-b" } else { "public-a" });
    rig.is_left_with(&fleet);
    runs(rig, &fleet, bundle);
    scales_like_blue(rig, &fleet, twin);
    rig.fake.world(|world| {
        let groups: Vec<_> = world.deployment_groups.iter().map(|group| group.name.clone()).collect();
        assert_eq!(groups, ["main".to_owned(), format!("api-v{number}")]);
        let pool = world.fleets[&fleet].warm_pool.clone();
        assert_eq!(pool, Some(json!({ "MinSize": "1", "PoolState": "Stopped" })));
        let ours = world.alarms.values().filter(|alarm| alarm.tags.contains_key("deployer:group"));
        assert_eq!(
            ours.filter(|alarm| !alarm.name.ends_with(&fleet)).count(),
            0,
            "no alarm of an older fleet"
        );
    });
}

#[test]
fn killed_at_every_fourth_boundary_a_furnished_fleet_is_installed_and_furnished_in_the_end() {
    let killed = Mutex::new(Vec::new());
    beside_each_other(&LANES, |lane| {
        let rig = furnished();
        let mut number = 0;
        for seq in (lane * 4 - 2..ENTRIES_MAX).step_by(LANES.len() * 4) {
            number += 1;
            let revision = (number + 1).to_string();
            let crashed = kill_at(&rig, rig.start(&["rollout", "api", "--revision", &revision]), number, seq);
            if !crashed && rig.entries(number) < seq {
                break;
            }
            rig.run(&["resume", "api"]).ended_with(0);
            is_furnished(&rig, number, &format!("api/{revision}.zip"));
            killed.lock().unwrap().push(seq);
        }
    });
    let killed = killed.into_inner().unwrap();
    eprintln!("{} boundaries of furnished fleets", killed.len());
    assert!(killed.len() >= 6, "{killed:?}");
}

#[test]
fn killed_in_the_calls_that_furnish_and_install_a_fleet_a_rollout_is_resumed_to_its_end() {
    let calls = [
        "CreateDeploymentGroup",
        "CreateDeployment",
        "PutWarmPool",
        "PutScalingPolicy",
        "PutMetricAlarm",
        "DeleteAlarms",
        "DeleteDeploymentGroup",
        "DeleteAutoScalingGroup",
    ];
    let late = |call: &&'static str| (*call, Fault::Late(400));
    let cases: Vec<_> =
        calls.iter().map(|call| (*call, Fault::Slow(HELD_FOR))).chain(calls.iter().map(late)).collect();
    beside_each_other(&cases, |(action, fault)| {
        let rig = furnished();
        rig.run(&["rollout", "api", "--revision", "2"]).ended_with(0);
        rig.fake.fail(On::call(action).first(1), *fault);
        let mut running = rig.start(&["rollout", "api", "--revision", "3"]);
        until("the call to be under way", || rig.fake.fired() > 0 || !running.runs());
        assert!(running.runs(), "it waits for the reply");
        running.kill();
        rig.run(&["resume", "api"]).ended_with(0);
        is_furnished(&rig, 2, "api/3.zip");
    });
}

#[test]
fn a_rollout_on_aws_that_is_killed_again_and_again_still_ends() {
    let rig = Rig::new(|_| {});
    let mut running = rig.start(&["rollout", "api"]);
    for kills in 1..ENTRIES_MAX {
        // Every driver gets as far as one change and its answer: it takes over, looks, announces and settles.
        let crashed = kill_at(&rig, running, 1, rig.entries(1) + 4);
        if rig.state(1).verdict().is_some() {
            eprintln!("it ended after {kills} drivers");
            rig.run(&["resume", "api"]).ended_with(0);
            return rig.is_left_with("api-v001");
        }
        assert!(crashed, "only a kill ends it before its end");
        running = rig.start(&["resume", "api"]);
    }
    panic!("it does not end");
}

/// Every call of a clean run that changes something: the operation and which one of its kind.
fn changes_of(rig: &Rig) -> Vec<(String, usize)> {
    let mut changes: Vec<(String, usize)> = Vec::new();
    for call in rig.fake.calls().into_iter().filter(|call| !is_read(&call.action)) {
        let nth = changes.iter().filter(|(action, _)| *action == call.action).count() + 1;
        changes.push((call.action, nth));
    }
    changes
}

/// Kills the driver while it waits for the reply to one call, and resumes.
fn killed_in(action: &str, nth: usize, fault: Fault) {
    let rig = Rig::new(quick);
    rig.fake.fail(On::call(action).nth(nth), fault);
    let mut running = rig.start(&["rollout", "api"]);
    until("the call to be under way", || rig.fake.fired() > 0 || !running.runs());
    assert!(running.runs(), "it waits for the reply");
    running.kill();
    rig.run(&["resume", "api"]).ended_with(0);
    assert_eq!(rig.state(1).verdict(), Some(&Verdict::Completed));
    rig.is_left_with("api-v001");
}

fn quick(setup: &mut Setup) {
    (setup.steps, setup.bake) = ("[100]", "50ms");
}

#[test]
fn killed_while_a_call_is_under_way_that_lands_a_rollout_is_resumed_to_its_end() {
    let clean = Rig::new(quick);
    clean.run(&["rollout", "api"]).ended_with(0);
    let mut cases = changes_of(&clean);
    cases.retain(|(_, nth)| *nth == 1);
    eprintln!("{} operations to be killed in", cases.len());
    assert!(cases.len() >= 8, "{cases:?}");
    beside_each_other(&cases, |(action, nth)| killed_in(action, *nth, Fault::Slow(HELD_FOR)));
}

#[test]
fn killed_while_a_call_is_under_way_that_lands_behind_its_back_a_rollout_is_resumed_to_its_end() {
    let clean = Rig::new(quick);
    clean.run(&["rollout", "api"]).ended_with(0);
    let cases = changes_of(&clean);
    eprintln!("{} calls to be killed in", cases.len());
    beside_each_other(&cases, |(action, nth)| killed_in(action, *nth, Fault::Late(400)));
}
