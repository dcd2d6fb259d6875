//! Signals, and two processes that want the same rollout.

use deployer::rollout::{Event, Phase, Rollout, Verdict};
use rustix::process::Signal;

use crate::rig::{Rig, beside_each_other, until};

fn in_mid_shift(state: &Rollout) -> bool {
    matches!(state.phase(), Phase::Shift { step: 0, reached: Some(_) })
}

fn slow() -> Rig {
    Rig::with_blue(|file| file.steps = "[{ share: 50, hold: 3s }, 100]")
}

#[test]
fn a_signal_in_mid_shift_lets_go_at_a_safe_point_and_resume_completes() {
    beside_each_other(&[Signal::INT, Signal::TERM, Signal::HUP], |what| {
        let rig = slow();
        let rollout = rig.start(&["rollout", "api"]);
        rig.until(2, "half of the traffic on green", in_mid_shift);
        rollout.signal(*what);
        let done = rollout.wait().ended_with(17);
        assert!(done.took.as_secs() < 10);
        let facts = rig.facts(2);
        assert!(matches!(facts.last().unwrap().event, Event::Released { .. }));
        assert!(!rig.state(2).in_flight());
        assert_eq!(rig.status().fleets.len(), 2);
        rig.run(&["resume", "api"]).ended_with(0);
        rig.serves("2.0.0", 2);
        rig.verify();
    });
}

#[test]
fn a_second_signal_leaves_at_once_and_the_rollout_can_be_resumed() {
    let rig = slow();
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "green", |state| state.phase().name() == "provision" || state.phase().name() == "register");
    rollout.signal(Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(5)); // Two at once are one to the system.
    rollout.signal(Signal::INT);
    rollout.wait().ended_with(17);
    rig.run(&["resume", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn of_two_rollouts_at_once_one_runs_and_the_other_is_locked_out() {
    let rig = Rig::with_blue(|_| {});
    let both = [rig.start(&["rollout", "api"]), rig.start(&["rollout", "api", "--revision", "3.0.0"])];
    let ends = both.map(|running| running.wait().code);
    let mut codes = ends;
    codes.sort_unstable();
    assert_eq!(codes, [0, 15], "the first and the second ended with {ends:?}");
    assert_eq!(rig.latest(), 2);
    rig.serves(if ends[0] == 0 { "2.0.0" } else { "3.0.0" }, 2);
    rig.verify();
}

#[test]
fn a_rollout_that_waits_for_the_lock_takes_its_turn() {
    let rig = Rig::with_blue(|_| {});
    let first = rig.start(&["rollout", "api"]);
    rig.until(2, "the first to be open", |_| true);
    rig.run(&["rollout", "api", "--revision", "3.0.0", "--wait-lock", "1m"]).ended_with(0);
    first.wait().ended_with(0);
    rig.serves("3.0.0", 2);
    assert_eq!(rig.latest(), 3);
}

#[test]
fn a_resume_of_a_rollout_that_is_driven_follows_it() {
    let rig = slow();
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "half of the traffic on green", in_mid_shift);
    rig.run(&["resume", "api"]).ended_with(0);
    rollout.wait().ended_with(0);
    assert!(rig.facts(2).iter().all(|fact| !matches!(fact.event, Event::Resumed { .. })));
    rig.serves("2.0.0", 2);
}

#[test]
fn whoever_begins_to_follow_while_the_journal_grows_folds_each_fact_once() {
    // Many steps without a hold between: something is written at every moment.
    let rig = Rig::with_blue(|file| {
        file.steps = "[4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 70, 80, 90, 100]";
    });
    let mut rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "the rollout to be open", |_| true);
    let mut followers = Vec::new();
    while rollout.runs() && followers.len() < 16 {
        followers.push(rig.start(&["resume", "api"]));
    }
    rollout.wait().ended_with(0);
    for follower in followers {
        follower.wait().ended_with(0);
    }
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn a_resume_that_takes_over_fences_the_driver_before_it() {
    let rig = slow();
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "half of the traffic on green", in_mid_shift);
    rig.run(&["resume", "api", "--take-over"]).ended_with(0);
    rollout.wait().ended_with(15);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn of_two_resumes_at_once_one_owns_the_rollout_and_no_damage_is_done() {
    for _ in 0..3 {
        let rig = slow();
        let rollout = rig.start(&["rollout", "api"]);
        rig.until(2, "half of the traffic on green", in_mid_shift);
        rollout.kill();
        let both = [rig.start(&["resume", "api"]), rig.start(&["resume", "api"])];
        let codes = both.map(|running| running.wait().code);
        assert!(codes.contains(&0) && codes.iter().all(|code| [0, 15].contains(code)), "{codes:?}");
        assert_eq!(rig.state(2).verdict(), Some(&Verdict::Completed));
        rig.serves("2.0.0", 2);
        rig.verify();
    }
}

#[test]
fn a_driver_that_dies_while_another_follows_is_replaced_by_the_follower() {
    let rig = slow();
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "half of the traffic on green", in_mid_shift);
    let mut follower = rig.start(&["resume", "api"]);
    until("the follower to follow", || follower.runs());
    std::thread::sleep(std::time::Duration::from_millis(500));
    rollout.kill();
    follower.wait().ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}
