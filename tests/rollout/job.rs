//! The main job: from nothing to 1.0.0, to 2.0.0, and on.

use deployer::model::GroupId;
use deployer::rollout::Verdict;

use crate::rig::Rig;

#[test]
fn from_nothing_a_rollout_brings_up_blue_replaces_it_and_what_serves_outlives_the_command() {
    let mut rig = Rig::new(|file| file.bootstrap = true);
    rig.run(&["rollout", "api", "--strategy", "bluegreen"]).ended_with(0);
    rig.serves("2.0.0", 2);
    assert_eq!(rig.latest(), 2);
    let revisions = [1, 2].map(|number| rig.state(number).plan().green.revision.to_string());
    assert_eq!(revisions, ["1.0.0", "2.0.0"]);
    for number in [1, 2] {
        let state = rig.state(number);
        assert_eq!(state.verdict(), Some(&Verdict::Completed));
        let covered: Vec<_> = state.expected().keys().map(GroupId::as_str).collect();
        assert_eq!(covered, ["internal", "public"]);
    }
    // The same revision again is a fresh fleet.
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    assert_ne!(rig.state(3).plan().blue.as_ref().unwrap().id, rig.state(3).plan().green.id);
    rig.edit(|file| file.size = 3);
    rig.run(&["rollout", "api", "--revision", "3.0.0", "--strategy", "switch"]).ended_with(0);
    rig.serves("3.0.0", 3);
    rig.edit(|file| file.size = 1);
    rig.run(&["rollout", "api", "--revision", "4.0.0", "--strategy", "switch"]).ended_with(0);
    rig.serves("4.0.0", 1);
    rig.verify();
}

#[test]
fn what_is_asked_for_in_vain_is_refused_before_anything_runs() {
    let rig = Rig::new(|file| file.bootstrap = true);
    let unknown = rig.run(&["rollout", "api", "--strategy", "bluegren"]);
    assert!([2, 10].contains(&unknown.code), "{unknown:?}");
    for known in ["bluegreen", "canary", "switch"] {
        assert!(unknown.said().contains(known), "{}", unknown.said());
    }
    rig.run(&["rollout", "web"]).ended_with(2);
    rig.run(&["rollout", "api", "--config", "nowhere"]).ended_with(2);
    rig.run(&["rollout", "api", "--environment", "moon"]).ended_with(2);
    rig.run(&["rollout"]).ended_with(2);
    for verb in ["promote", "pause", "resume", "abort", "rollback"] {
        rig.run(&[verb, "api"]).ended_with(1);
    }
    assert_eq!(rig.latest(), 0);
    assert_eq!(rig.status().supervisor, None);
    assert!(!rig.dir().join(".deployer/local").exists(), "nothing was started");
}

#[test]
fn a_group_that_is_new_in_the_file_is_taken_up_step_by_step_and_left_again_on_the_way_back() {
    let mut rig = Rig::with_blue(|_| {});
    rig.edit(|file| file.declare("partner"));
    rig.run(&["rollout", "api", "--strategy", "canary"]).ended_with(14);
    rig.run(&["abort", "api"]).ended_with(0);
    rig.edit(|file| file.leave_out("partner"));
    rig.serves("1.0.0", 2);
    rig.edit(|file| file.declare("partner"));
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
    rig.answers_in("partner", "2.0.0");
    rig.verify();
}
