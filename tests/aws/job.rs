//! The main job on AWS, by the real binary.

use crate::rig::Rig;

#[test]
fn a_rollout_moves_twins_by_weight_and_shared_groups_by_membership_and_leaves_green_alone() {
    let rig = Rig::new(|_| {});
    let done = rig.run(&["rollout", "api"]).ended_with(0);
    assert!(done.said().contains("COMPLETED"), "{}", done.said());
    assert!(!done.said().contains("fault"), "{}", done.said());
    assert_eq!(rig.weight("public-b"), 100);
    rig.serves("api-v001");
    assert_eq!(rig.members("api"), Vec::<String>::new());
    // And back to the other twin, with another fleet.
    rig.run(&["rollout", "api", "--revision", "1"]).ended_with(0);
    assert_eq!(rig.weight("public-a"), 100);
    rig.serves("api-v002");
}

#[test]
fn a_plan_shows_where_blue_stands_and_changes_nothing() {
    let rig = Rig::new(|_| {});
    let done = rig.run(&["plan", "api"]).ended_with(0);
    assert!(done.out.contains("public") && done.out.contains("internal"), "{}", done.said());
    assert!(
        rig.fake
            .calls()
            .iter()
            .all(|call| call.action.starts_with("Describe") || call.action.starts_with("Get"))
    );
    rig.unharmed();
}
