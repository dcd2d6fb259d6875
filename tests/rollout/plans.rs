//! A plan that was agreed on, and a world that moves.

use std::fs;

use crate::rig::Rig;

#[test]
fn a_stored_plan_is_followed_while_the_world_stands_still() {
    let mut rig = Rig::with_blue(|_| {});
    rig.run(&["plan", "api", "--revision", "5.0.0", "--out", "plan.json"]).ended_with(0);
    assert_eq!(rig.latest(), 1, "planning opens nothing");
    // The file may change meanwhile: what was agreed on is what is done.
    rig.edit(|file| file.size = 4);
    rig.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(0);
    rig.serves("5.0.0", 2);
    let stored: deployer::model::Plan =
        serde_json::from_str(&fs::read_to_string(rig.dir().join("plan.json")).unwrap()).unwrap();
    assert_eq!(*rig.state(2).plan(), stored);
    // It was for one rollout.
    rig.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(16);
    assert_eq!(rig.latest(), 2);
}

#[test]
fn a_stored_plan_is_refused_where_the_world_has_moved() {
    let rig = Rig::with_blue(|_| {});
    rig.run(&["plan", "api", "--out", "plan.json"]).ended_with(0);
    rig.attach(&rig.fleet("1.0.0"), "partner");
    let before = rig.world();
    rig.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(16);
    assert_eq!((rig.latest(), rig.world() == before), (1, true));
    // A plan that is none is the caller's mistake.
    fs::write(rig.dir().join("plan.json"), "{}").unwrap();
    rig.run(&["rollout", "api", "--plan", "plan.json"]).ended_with(2);
    rig.run(&["rollout", "api", "--plan", "nowhere.json"]).ended_with(2);
}

#[test]
fn a_plan_says_by_its_code_whether_something_would_change_and_changes_nothing() {
    let rig = Rig::with_blue(|_| {});
    let before = rig.world();
    rig.run(&["plan", "api"]).ended_with(0);
    rig.run(&["plan", "api", "--detailed-exitcode"]).ended_with(3);
    assert_eq!((rig.latest(), rig.world() == before), (1, true));
}
