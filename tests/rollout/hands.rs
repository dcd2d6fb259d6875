//! What hands do under pressure: twice the same, at once, and too early.

use deployer::model::{FleetId, Hold, Purpose, Share, Side, Span, Step};
use deployer::rollout::{Phase, Rollout, Verdict};
use rustix::process::Signal;

use crate::rig::{Deployment, Rig, Running, signal, until};

/// A way back that can be met on its way: green has to stay well for a while before it takes traffic.
fn slow_to_settle(file: &mut Deployment) {
    file.settle = "3s";
}

/// 2.0.0 has taken 1.0.0's place, by rollout 2.
fn after_the_accident() -> Rig {
    let mut rig = Rig::with_blue(|_| {});
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.edit(slow_to_settle);
    rig
}

/// A way back by rollout 3, which takes a while.
fn a_way_back(rig: &Rig) -> Running {
    let running = rig.start(&["rollback", "api"]);
    rig.until_phase(3, "settle");
    running
}

fn brought_back_once(rig: &Rig) {
    assert_eq!(rig.latest(), 3);
    assert_eq!(rig.state(3).plan().purpose, Purpose::Rollback { of: 2 });
    assert_eq!(rig.state(3).verdict(), Some(&Verdict::Completed));
    rig.serves("1.0.0", 2);
    rig.verify();
}

#[test]
fn whoever_rolls_back_while_somebody_does_follows_the_way_back_and_does_not_turn_it_round() {
    let rig = after_the_accident();
    let first = a_way_back(&rig);
    let left = rig.run(&["rollback", "api", "--detach"]).ended_with(0);
    assert!(left.said().contains("rollout 3 brings 1.0.0 back already"), "{}", left.said());
    let second = rig.run(&["rollback", "api"]).ended_with(0);
    assert!(second.said().contains("rollout 3 brings 1.0.0 back already"), "{}", second.said());
    first.wait().ended_with(0);
    brought_back_once(&rig);
}

#[test]
fn whoever_rolls_back_takes_up_a_way_back_whose_driver_is_gone() {
    let rig = after_the_accident();
    a_way_back(&rig).kill();
    rig.run(&["rollback", "api"]).ended_with(0);
    brought_back_once(&rig);
}

#[test]
fn two_who_roll_back_at_the_same_moment_both_get_it_by_one_way_back() {
    let rig = after_the_accident();
    let both = [rig.start(&["rollback", "api"]), rig.start(&["rollback", "api"])];
    let ends = both.map(|running| running.wait().code);
    assert_eq!(ends, [0, 0]);
    brought_back_once(&rig);
}

#[test]
fn whoever_rolls_back_after_a_way_back_has_ended_is_told_so_and_nothing_moves() {
    let rig = after_the_accident();
    rig.run(&["rollback", "api"]).ended_with(0);
    let world = rig.world();
    let again = rig.run(&["rollback", "api"]).ended_with(0);
    assert!(again.said().contains("rollout 3 brought 1.0.0 back already"), "{}", again.said());
    assert!(again.said().contains("--to"), "{}", again.said());
    rig.run(&["rollback", "api", "--to", "1.0.0"]).ended_with(0);
    assert_eq!(rig.world(), world);
    brought_back_once(&rig);
    rig.run(&["rollback", "api", "--to", "0.9.0"]).ended_with(0);
    rig.serves("0.9.0", 2);
}

#[test]
fn a_way_back_ends_where_it_began_only_by_an_abort_or_by_name_and_can_then_be_begun_again() {
    let rig = after_the_accident();
    let first = a_way_back(&rig);
    let other = rig.run(&["rollback", "api", "--to", "0.9.0"]).ended_with(15);
    assert!(other.said().contains("deployer abort api"), "{}", other.said());
    assert!(matches!(rig.state(3).phase(), Phase::Settle { .. }));
    rig.run(&["rollback", "api", "--to", "2.0.0"]).ended_with(0);
    first.wait().ended_with(11);
    rig.serves("2.0.0", 2);
    // What was to be undone is still there.
    let second = rig.start(&["rollback", "api"]);
    rig.until_phase(4, "settle");
    rig.run(&["abort", "api"]).ended_with(0);
    second.wait().ended_with(11);
    rig.run(&["rollback", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
    assert_eq!(rig.state(5).plan().purpose, Purpose::Rollback { of: 2 });
    rig.verify();
}

#[test]
fn whoever_follows_a_way_back_that_does_not_succeed_is_not_told_that_it_did() {
    let mut rig = after_the_accident();
    rig.edit(|file| {
        file.env = vec![("SAMPLE_FAIL", "never-healthy"), ("SAMPLE_FAIL_REVISION", "1.0.0")];
        file.deadlines = vec!["settle: 2s"];
    });
    let first = a_way_back(&rig);
    rig.run(&["rollback", "api"]).ended_with(11);
    first.wait().ended_with(11);
    rig.serves("2.0.0", 2);
}

#[test]
fn a_rollback_job_that_is_run_again_after_its_end_changes_nothing() {
    let rig = after_the_accident();
    let job = || {
        let mut command = rig.command(&["rollback", "api"]);
        command.env("GITHUB_SERVER_URL", "https://github.example").env("GITHUB_REPOSITORY", "kim/api");
        command.env("GITHUB_RUN_ID", "7");
        rig.launch(command, "job")
    };
    let first = job();
    rig.until_phase(3, "settle");
    first.signal(Signal::INT);
    first.wait().ended_with(17);
    job().wait().ended_with(0);
    let world = rig.world();
    job().wait().ended_with(0);
    assert_eq!(rig.world(), world);
    brought_back_once(&rig);
}

#[test]
fn a_way_back_waits_for_no_promote_and_takes_no_steps_and_proves_what_every_rollout_proves() {
    let mut rig = after_the_accident();
    rig.edit(|file| {
        (file.strategy, file.bake) = ("canary", "promote");
        (file.settle, file.quiet) = ("200ms", "300ms");
    });
    rig.run(&["rollback", "api"]).ended_with(0);
    brought_back_once(&rig);
    let state = rig.state(3);
    let plan = state.plan();
    assert_eq!(plan.steps, [Step { share: Share::ALL, hold: Hold::For(Span::ZERO) }]);
    assert_eq!((plan.bake, plan.settle, plan.quiet), (Hold::For(Span::ZERO), Span(200), Span(300)));
    let phases: Vec<_> = (1..=rig.entries(3))
        .map(|entries| Rollout::fold(&rig.facts(3)[..entries]).unwrap().phase().name())
        .collect();
    for phase in ["register", "settle", "shift", "drain", "retire"] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
}

#[test]
fn a_way_back_takes_the_steps_of_a_strategy_that_is_named_with_its_holds() {
    let mut rig = after_the_accident();
    rig.edit(|file| (file.settle, file.bake) = ("100ms", "promote"));
    let unknown = rig.run(&["rollback", "api", "--strategy", "canari"]).ended_with(2);
    assert!(unknown.said().contains("canary"), "{}", unknown.said());
    assert_eq!(rig.latest(), 2);
    rig.run(&["rollback", "api", "--strategy", "canary"]).ended_with(14);
    assert_eq!(rig.phase(3), "shift");
    rig.run(&["promote", "api"]).ended_with(14);
    assert_eq!(rig.phase(3), "bake");
    rig.run(&["promote", "api"]).ended_with(0);
    brought_back_once(&rig);
}

/// A rollout that waits for a promote, and nobody drives it.
fn waiting(rig: &mut Rig) {
    rig.edit(|file| file.strategy = "canary");
    rig.run(&["rollout", "api"]).ended_with(14);
}

#[test]
fn a_rollout_is_not_taken_up_by_a_file_that_lost_one_of_its_groups() {
    let mut rig = Rig::with_blue(|_| {});
    waiting(&mut rig);
    rig.edit(|file| file.leave_out("internal"));
    let (entries, world) = (rig.entries(2), rig.world());
    for args in [&["resume", "api"][..], &["resume", "api", "--take-over"], &["rollout", "api"]] {
        let refused = rig.run(args);
        assert_eq!(refused.code, if args[0] == "rollout" { 15 } else { 2 }, "{refused:?}");
        if args[0] == "resume" {
            assert!(refused.said().contains("`internal` is not in it"), "{}", refused.said());
            assert!(refused.said().contains("as it was when rollout 2 was opened"), "{}", refused.said());
        }
        assert_eq!(rig.entries(2), entries, "nothing was written");
    }
    // The order is left for whoever has the right file.
    let left = rig.run(&["rollback", "api"]).ended_with(2);
    assert!(left.said().contains("`internal` is not in it"), "{}", left.said());
    assert!(left.said().contains("your order is in the journal"), "{}", left.said());
    assert_eq!(rig.entries(2), entries + 1);
    assert_eq!(rig.world(), world);
    rig.edit(|file| file.declare("internal"));
    rig.run(&["resume", "api"]).ended_with(11);
    rig.serves("1.0.0", 2);
    rig.verify();
}

#[test]
fn a_living_driver_obeys_whatever_has_become_of_the_file() {
    let mut rig = Rig::with_blue(|file| file.bake = "30s");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    rig.edit(|file| {
        file.leave_out("internal");
        file.settle = "soon";
    });
    rig.run(&["pause", "api"]).ended_with(0);
    rollout.wait().ended_with(14);
    rig.edit(|file| {
        file.declare("internal");
        file.settle = "100ms";
    });
    let again = rig.start(&["resume", "api"]);
    rig.until(2, "another to drive it", |state| state.epoch() == 2);
    rig.edit(|file| {
        file.leave_out("internal");
        file.settle = "soon";
    });
    rig.run(&["rollback", "api"]).ended_with(0);
    again.wait().ended_with(11);
    rig.edit(|file| {
        file.declare("internal");
        file.settle = "100ms";
    });
    rig.serves("1.0.0", 2);
}

#[test]
fn an_order_that_nobody_can_obey_for_the_file_is_left_and_the_command_says_so() {
    let mut rig = Rig::with_blue(|_| {});
    waiting(&mut rig);
    rig.edit(|file| file.settle = "soon");
    let world = rig.world();
    let left = rig.run(&["abort", "api"]).ended_with(2);
    for said in
        ["settle: soon", "your order is in the journal", "nobody drives rollout 2", "deployer resume api"]
    {
        assert!(left.said().contains(said), "{said}: {}", left.said());
    }
    assert_eq!(rig.world(), world);
    rig.edit(|file| file.settle = "100ms");
    rig.run(&["resume", "api"]).ended_with(11);
    rig.serves("1.0.0", 2);
}

#[test]
fn an_order_needs_the_environment_by_name_where_the_file_tells_none() {
    let mut rig = Rig::with_blue(|file| file.bake = "30s");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    std::fs::write(rig.dir().join("deployments/api.yaml"), "service: [api\n").unwrap();
    for verb in ["abort", "rollback", "pause", "status"] {
        let unknown = rig.run(&[verb, "api"]).ended_with(2);
        assert!(unknown.said().contains("--environment NAME"), "{}", unknown.said());
    }
    rig.run(&["abort", "api", "--environment", "local"]).ended_with(0);
    rollout.wait().ended_with(11);
    rig.edit(|_| {});
    rig.serves("1.0.0", 2);
}

/// A rollout whose way back is stuck: its blue answers nobody, though its processes live.
fn stuck() -> (Rig, Vec<u32>) {
    let rig = Rig::with_blue(|file| {
        file.bake = "60s";
        file.deadlines = vec!["restore: 1s"];
    });
    let blue = rig.fleet("1.0.0");
    let pids: Vec<_> = rig.processes().into_keys().collect();
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    for pid in &pids {
        signal(*pid, Signal::STOP);
    }
    until("blue to be ill", || healthy(&rig, &blue) == 0);
    let receipt = rig.run(&["abort", "api"]).ended_with(12);
    assert!(receipt.said().contains("when repaired   deployer resume api"), "{}", receipt.said());
    rollout.wait().ended_with(12);
    (rig, pids)
}

fn healthy(rig: &Rig, fleet: &FleetId) -> u32 {
    let groups = rig.status().groups;
    groups.values().filter_map(|group| group.seen.sides.get(fleet)).map(Side::healthy).sum()
}

#[test]
fn behind_a_way_back_that_is_stuck_nothing_is_begun_and_what_is_advised_goes_on_with_it() {
    let (rig, pids) = stuck();
    let blue = rig.fleet("1.0.0");
    let world = rig.world();
    let entries = rig.entries(2);
    let further: [&[&str]; 3] = [
        &["rollout", "api"],
        &["rollout", "api", "--wait-lock", "1h"],
        &["rollback", "api", "--to", "0.9.0"],
    ];
    for args in further {
        let refused = rig.run(args).ended_with(15);
        for said in ["the way back of rollout 2", "deployer resume api", "--abandon"] {
            assert!(refused.said().contains(said), "{said}: {}", refused.said());
        }
    }
    assert_eq!((rig.latest(), rig.entries(2)), (2, entries));
    assert_eq!(rig.world(), world);
    for pid in &pids {
        signal(*pid, Signal::CONT);
    }
    until("blue to be well", || healthy(&rig, &blue) == 4);
    rig.run(&["resume", "api"]).ended_with(11);
    rig.serves("1.0.0", 2);
    assert_eq!(rig.processes().into_keys().collect::<Vec<_>>(), pids, "it is the blue that there was");
    rig.verify();
}

#[test]
fn a_blue_that_nothing_can_mend_can_be_given_up() {
    let (rig, pids) = stuck();
    let done = rig.start(&["rollout", "api", "--revision", "3.0.0", "--abandon", "--strategy", "switch"]);
    rig.until_phase(3, "bake");
    rig.answers("3.0.0");
    rig.run(&["promote", "api", "--full"]).ended_with(0);
    done.wait().ended_with(0);
    for pid in &pids {
        signal(*pid, Signal::CONT);
    }
    assert_eq!(rig.latest(), 3);
    assert_eq!(rig.state(3).plan().blue.as_ref().unwrap().revision.as_str(), "2.0.0");
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_waits_for_a_turn_or_follows_lets_go_at_the_first_signal_and_the_rollout_goes_on() {
    let rig = Rig::with_blue(|file| file.bake = "60s");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    let waits: [(&[&str], _); 3] = [
        (&["rollout", "api", "--revision", "3.0.0", "--wait-lock", "1h"], "waiting for rollout 2"),
        (&["resume", "api"], "following"),
        (&["status", "api", "--watch"], ""),
    ];
    for (args, says) in waits {
        let waiting = rig.start(args);
        until("it to wait", || waiting.listens() && waiting.says(says));
        waiting.signal(Signal::INT);
        let done = waiting.wait().ended_with(17);
        assert!(done.took.as_secs() < 20, "{done:?}");
    }
    rig.run(&["promote", "api", "--full"]).ended_with(0);
    rollout.wait().ended_with(0);
    assert_eq!(rig.latest(), 2);
    rig.serves("2.0.0", 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_stop_while_it_plans_opens_no_rollout() {
    let rig = Rig::with_blue(|_| {});
    let supervisor = rig.status().supervisor.unwrap();
    for args in [&["rollout", "api"][..], &["rollback", "api", "--to", "0.9.0"]] {
        // Nobody answers the look until the stop was asked for.
        signal(supervisor, Signal::STOP);
        let planning = rig.start(args);
        until("it to listen", || planning.listens());
        planning.signal(Signal::INT);
        until("the signal to be taken", || !planning.pending());
        rig.run(&["validate"]).ended_with(0);
        signal(supervisor, Signal::CONT);
        let done = planning.wait().ended_with(17);
        assert!(done.said().contains("nothing was changed"), "{}", done.said());
        assert_eq!(rig.latest(), 1);
    }
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
}

#[test]
fn scaling_is_given_back_without_a_journal_where_somebody_says_anyway() {
    let rig = Rig::with_blue(|_| {});
    let journal = rig.dir().join(".deployer/journal");
    std::fs::rename(&journal, rig.dir().join("aside")).unwrap();
    std::fs::write(&journal, "not a folder").unwrap();
    let refused = rig.run(&["thaw", "api"]).ended_with(1);
    assert!(refused.said().contains("--anyway"), "{}", refused.said());
    let thawed = rig.run(&["thaw", "api", "--anyway"]).ended_with(0);
    assert!(thawed.err.contains("warning") && thawed.err.contains("journal"), "{}", thawed.said());
}
