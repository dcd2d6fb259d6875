//! Orders from other processes.

use deployer::rollout::{Event, Phase, Verdict};

use crate::rig::{Deployment, Rig, beside_each_other, get, obeyed_after, until};

/// Within this an order that came while a rollout runs is obeyed.
const OBEYED_MS: u64 = 1_000;

struct Standstill {
    phase: &'static str,
    order: &'static str,
    edit: fn(&mut Deployment),
    args: &'static [&'static str],
}

fn standstill(
    phase: &'static str,
    order: &'static str,
    args: &'static [&'static str],
    edit: fn(&mut Deployment),
) -> Standstill {
    Standstill { phase, order, edit, args }
}

/// A program that looks as if it could be run, and cannot: its interpreter is missing.
fn never_up(file: &mut Deployment) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/broken");
    std::fs::write(path, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    file.command = concat!("[", env!("CARGO_TARGET_TMPDIR"), "/broken]");
}
fn never_healthy(file: &mut Deployment) {
    file.env = vec![("SAMPLE_FAIL", "never-healthy"), ("SAMPLE_FAIL_REVISION", "2.0.0")];
}
fn slow_to_settle(file: &mut Deployment) {
    file.settle = "30s";
}
fn slow_to_shift(file: &mut Deployment) {
    file.steps = "[{ share: 50, hold: 30s }, 100]";
}
fn slow_to_bake(file: &mut Deployment) {
    file.bake = "30s";
}
fn slow_to_drain(file: &mut Deployment) {
    file.quiet = "30s";
}

#[test]
fn an_order_to_go_back_is_obeyed_within_a_second_in_every_phase_and_leaves_nothing_of_green() {
    let plain: &[&str] = &["rollout", "api"];
    let canary: &[&str] = &["rollout", "api", "--strategy", "canary", "--wait-promote", "60s"];
    let cases = [
        standstill("provision", "abort", plain, never_up),
        standstill("settle", "rollback", plain, never_healthy),
        standstill("settle", "abort", plain, slow_to_settle),
        standstill("shift", "abort", plain, slow_to_shift),
        standstill("shift", "rollback", canary, |_| {}),
        standstill("bake", "rollback", plain, slow_to_bake),
        standstill("bake", "abort", plain, slow_to_bake),
        standstill("drain", "abort", plain, slow_to_drain),
        standstill("drain", "rollback", plain, slow_to_drain),
    ];
    beside_each_other(&cases, |case| {
        let rig = Rig::with_blue(case.edit);
        let blue = rig.fleet("1.0.0");
        let pids: Vec<_> = rig.processes().into_keys().collect();
        let rollout = rig.start(case.args);
        rig.until(2, &format!("`{}` to stand still", case.phase), |state| match state.phase() {
            Phase::Shift { reached, .. } => reached.is_some() && case.phase == "shift",
            Phase::Drain { empty_since } => empty_since.is_some() && case.phase == "drain",
            phase => phase.name() == case.phase,
        });
        rig.run(&[case.order, "api"]).ended_with(0);
        rollout.wait().ended_with(11);
        let after = obeyed_after(&rig.facts(2));
        eprintln!("{} in `{}` obeyed after {after} ms", case.order, case.phase);
        assert!(after < OBEYED_MS, "`{}` in `{}` took {after} ms", case.order, case.phase);
        assert!(matches!(rig.state(2).verdict(), Some(Verdict::RolledBack { .. })));
        rig.serves("1.0.0", 2);
        assert_eq!(rig.fleet("1.0.0"), blue);
        assert_eq!(rig.processes().into_keys().collect::<Vec<_>>(), pids, "blue ran on untouched");
        rig.verify();
    });
}

#[test]
fn a_rollback_while_drained_blue_is_quiet_brings_traffic_back_to_it_within_two_seconds() {
    let rig = Rig::with_blue(slow_to_drain);
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "blue to be quiet", |state| matches!(state.phase(), Phase::Drain { empty_since: Some(_) }));
    rig.answers("2.0.0");
    let began = std::time::Instant::now();
    let order = rig.start(&["rollback", "api"]);
    until("both groups to answer from blue", || {
        ["internal", "public"].iter().all(|group| get(rig.address(group)) == (200, "1.0.0".to_owned()))
    });
    let took = began.elapsed();
    eprintln!("traffic is back on blue {} ms after the command was started", took.as_millis());
    assert!(took.as_millis() < 2_000, "{took:?}");
    order.wait().ended_with(0);
    rollout.wait().ended_with(11);
    rig.serves("1.0.0", 2);
}

#[test]
fn a_rollback_after_blue_is_gone_is_a_new_rollout_of_the_earlier_revision() {
    let rig = Rig::with_blue(|_| {});
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.run(&["rollback", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
    assert_eq!(rig.latest(), 3);
    let purpose = rig.state(3).plan().purpose.clone();
    assert_eq!(purpose, deployer::model::Purpose::Rollback { of: 2 });
    rig.run(&["rollback", "api", "--to", "7.0.0"]).ended_with(0);
    rig.serves("7.0.0", 2);
    // Nothing to stop, and nothing to promote.
    rig.run(&["abort", "api"]).ended_with(1);
    rig.run(&["promote", "api"]).ended_with(1);
    assert_eq!(rig.latest(), 4);
}

#[test]
fn a_hold_for_promote_lets_go_and_promote_from_another_process_completes_it() {
    let rig = Rig::with_blue(|file| file.strategy = "canary");
    rig.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(rig.facts(2).last().unwrap().event.name(), "released");
    rig.run(&["resume", "api"]).ended_with(14);
    rig.run(&["rollout", "api"]).ended_with(15);
    rig.run(&["promote", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn a_process_that_waits_for_promote_stays_and_obeys_it() {
    let rig = Rig::with_blue(|file| file.strategy = "canary");
    let mut rollout = rig.start(&["rollout", "api", "--wait-promote", "60s"]);
    rig.until(2, "the hold", deployer::rollout::Rollout::awaits_promotion);
    assert!(rollout.runs());
    rig.run(&["promote", "api"]).ended_with(0);
    rollout.wait().ended_with(0);
    assert!(rig.facts(2).iter().all(|fact| !matches!(fact.event, Event::Resumed { .. })));
    rig.serves("2.0.0", 2);
}

#[test]
fn a_wait_for_promote_ends_when_its_time_is_up() {
    let rig = Rig::with_blue(|file| file.strategy = "canary");
    let done = rig.run(&["rollout", "api", "--wait-promote", "1s"]).ended_with(14);
    assert!(done.took.as_millis() >= 1_000, "{:?}", done.took);
    rig.run(&["abort", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
}

#[test]
fn promote_full_ends_every_hold_and_a_bake() {
    let rig = Rig::with_blue(|file| {
        file.strategy = "canary";
        file.bake = "promote";
    });
    rig.run(&["rollout", "api"]).ended_with(14);
    rig.run(&["promote", "api"]).ended_with(14);
    assert_eq!(rig.phase(2), "bake");
    rig.answers("2.0.0");
    rig.run(&["promote", "api", "--full"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(14);
    rig.run(&["promote", "api", "--full"]).ended_with(0);
    rig.serves("3.0.0", 2);
}

#[test]
fn a_pause_stops_the_rollout_until_it_is_resumed() {
    let rig = Rig::with_blue(slow_to_bake);
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    rig.run(&["pause", "api"]).ended_with(0);
    rollout.wait().ended_with(14);
    rig.answers("2.0.0");
    assert_eq!(rig.status().fleets.len(), 2);
    // Paused before any change, and gone back from there.
    let order = rig.start(&["resume", "api"]);
    rig.until(2, "the pause to be lifted", |state| !state.paused());
    rig.run(&["promote", "api"]).ended_with(0);
    order.wait().ended_with(0);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn a_paused_rollout_can_be_aborted_by_another_process() {
    let rig = Rig::with_blue(slow_to_shift);
    let rollout = rig.start(&["rollout", "api"]);
    rig.until(2, "half of it", |state| matches!(state.phase(), Phase::Shift { reached: Some(_), .. }));
    rig.run(&["pause", "api"]).ended_with(0);
    rollout.wait().ended_with(14);
    rig.run(&["abort", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
    rig.run(&["rollout", "api", "--strategy", "switch"]).ended_with(0);
    rig.serves("2.0.0", 2);
}

#[test]
fn an_order_left_in_the_journal_is_obeyed_by_whoever_drives() {
    let rig = Rig::with_blue(slow_to_bake);
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    rig.run(&["abort", "api", "--detach"]).ended_with(0);
    rollout.wait().ended_with(11);
    rig.serves("1.0.0", 2);
}
