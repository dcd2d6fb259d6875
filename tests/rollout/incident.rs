//! The incident that this product exists for: a group that blue serves and that no list names.

use deployer::model::GroupId;
use deployer::rollout::{Event, Verdict};

use crate::rig::{Rig, get, until};

fn three_groups() -> Rig {
    let mut rig = Rig::with_blue(|file| file.declare("partner"));
    rig.edit(|file| file.leave_out("partner"));
    rig
}

#[test]
fn a_group_left_out_of_the_file_refuses_the_plan_and_the_rollout_and_changes_nothing() {
    let rig = three_groups();
    let before = rig.world();
    for args in
        [&["plan", "api"][..], &["rollout", "api", "--yes"], &["rollout", "api", "--strategy", "switch"]]
    {
        let refused = rig.run(args).ended_with(10);
        assert!(refused.said().contains("partner"), "{}", refused.said());
    }
    assert_eq!(rig.world(), before);
    assert_eq!(rig.latest(), 1, "no rollout was opened");
    rig.answers_in("partner", "1.0.0");
}

#[test]
fn a_group_left_out_of_the_file_can_be_amended_and_is_then_served_by_green() {
    let rig = three_groups();
    rig.run(&["rollout", "api", "--amend", "partner"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.answers_in("partner", "2.0.0");
    // What was covered once is not forgotten by leaving it out again.
    rig.run(&["plan", "api"]).ended_with(10);
}

/// A rollout that finds blue in a group that nobody declared, attached while it baked; it holds before blue leaves.
fn held_by_a_group_attached_in_the_bake(hold: &'static str) -> (Rig, crate::rig::Running) {
    let rig = Rig::with_blue(|file| {
        file.bake = "1500ms";
        file.deadlines = vec![hold];
    });
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    rig.attach(&rig.fleet("1.0.0"), "partner");
    (rig, rollout)
}

#[test]
fn a_group_left_out_of_the_file_and_attached_in_the_bake_holds_until_it_is_amended() {
    let (rig, mut rollout) = held_by_a_group_attached_in_the_bake("hold: 20s");
    rig.until(2, "the gap to be seen", |state| {
        state.gaps().iter().any(|gap| gap.group.as_ref().map(GroupId::as_str) == Some("partner"))
    });
    let baking = std::time::Instant::now();
    until("longer than the bake to be over", || {
        assert!(
            rollout.runs() && rig.phase(2) == "bake" && rig.status().fleets.len() == 2,
            "it holds, blue stays"
        );
        baking.elapsed().as_secs() >= 2
    });
    rig.answers_in("partner", "1.0.0");
    rig.run(&["resume", "api", "--amend", "partner"]).ended_with(0);
    rollout.wait().ended_with(0);
    rig.serves("2.0.0", 2);
    rig.answers_in("partner", "2.0.0");
    assert_eq!(rig.facts(2).iter().filter(|fact| fact.event.name() == "resumed").count(), 0, "one driver");
    rig.verify();
}

#[test]
fn a_group_left_out_of_the_file_holds_past_the_deadline_and_a_waiver_with_its_reason_ends_it() {
    let (rig, rollout) = held_by_a_group_attached_in_the_bake("hold: 1s");
    let follower = rig.start(&["resume", "api"]);
    rollout.wait().ended_with(13);
    follower.wait().ended_with(13);
    assert_eq!(rig.facts(2).last().unwrap().event.name(), "released");
    rig.answers("2.0.0");
    rig.answers_in("partner", "1.0.0");
    // Held again, for as long, where nothing was done about it.
    rig.run(&["resume", "api"]).ended_with(13);
    rig.answers_in("partner", "1.0.0");
    rig.run(&["resume", "api", "--waive", "partner"]).ended_with(2);
    rig.run(&["resume", "api", "--waive", "partner", "--reason", "moved to another service"]).ended_with(0);
    rig.serves("2.0.0", 2);
    assert_eq!(get(rig.address("partner")).0, 503, "dark, as somebody agreed to");
    let state = rig.state(2);
    assert_eq!(state.verdict(), Some(&Verdict::Completed));
    let facts = rig.facts(2);
    let proof = facts.iter().find_map(|fact| match &fact.event {
        Event::Retiring { covered, .. } => Some(covered),
        _ => None,
    });
    let waived: Vec<_> =
        proof.unwrap().iter().map(|(group, seen)| (group.as_str(), seen.waived.as_deref())).collect();
    let expected = [("internal", None), ("partner", Some("moved to another service")), ("public", None)];
    assert_eq!(waived, expected);
    rig.verify();
}

#[test]
fn a_group_left_out_of_the_file_and_attached_while_blue_is_quiet_still_keeps_blue() {
    let rig = Rig::with_blue(|file| {
        file.quiet = "1500ms";
        file.deadlines = vec!["hold: 1s", "drain: 2s"];
    });
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "drain");
    rig.attach(&rig.fleet("1.0.0"), "partner");
    rollout.wait().ended_with(13);
    rig.answers_in("partner", "1.0.0");
    rig.run(&["rollback", "api"]).ended_with(0);
    rig.answers("1.0.0");
    rig.answers_in("partner", "1.0.0");
    assert!(matches!(rig.state(2).verdict(), Some(Verdict::RolledBack { .. })));
    rig.verify();
}
