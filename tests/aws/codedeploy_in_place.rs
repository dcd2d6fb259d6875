//! Bundles that `CodeDeploy` installs on fleets which we make, by the real binary.

use std::collections::BTreeSet;

use crate::fake::{CodeDeployOptions, Fault, On};
use crate::rig::{Rig, Setup, until};

const ROLLED_BACK: i32 = 11;

fn in_place() -> CodeDeployOptions {
    CodeDeployOptions {
        blue_green: false,
        ready_wait_mins: None,
        termination_wait_mins: None,
        ..CodeDeployOptions::default()
    }
}

fn provider(groups: &str) -> String {
    format!(
        "        revision_is: bundle\n        codedeploy:\n          application: api\n          {groups}\n          \
         bundle: \"s3://releases/api/{{revision}}.zip\"\n"
    )
}

/// A service of copied fleets, in two kinds of target groups.
pub fn copied(edit: impl FnOnce(&mut Setup)) -> Rig {
    let rig = Rig::new(|setup| {
        setup.provider = provider("deployment_group: main");
        edit(setup);
    });
    rig.fake.world(|world| world.codedeploy_group("api", "main", "api", &[], &in_place()));
    rig
}

/// The names of the deployment groups.
fn groups(rig: &Rig) -> BTreeSet<String> {
    rig.fake.world(|world| world.deployment_groups.iter().map(|group| group.name.clone()).collect())
}

/// Every instance of a fleet runs this bundle.
pub fn runs(rig: &Rig, fleet: &str, bundle: &str) {
    let installed = rig.members(fleet).into_iter().map(|id| {
        rig.fake.world(|world| world.instances.get(&id).and_then(|instance| instance.revision.clone()))
    });
    let installed: Vec<_> = installed.collect();
    assert!(!installed.is_empty(), "{fleet} has instances");
    assert!(installed.iter().all(|found| found.as_deref() == Some(bundle)), "{fleet}: {installed:?}");
}

fn tag(rig: &Rig, fleet: &str, key: &str) -> Option<String> {
    rig.fake.world(|world| world.fleets.get(fleet)?.tags.get(key).map(|(value, _)| value.clone()))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_copied_fleet_is_installed_by_a_deployment_group_of_its_own_that_goes_with_it() {
    let rig = copied(|_| {});
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("api-v001");
    runs(&rig, "api-v001", "api/2.zip");
    assert_eq!(groups(&rig), set(&["main", "api-v1"]), "blue's own is not ours to delete");
    let first = tag(&rig, "api-v001", "deployer:deployment");
    assert_eq!(first, rig.fake.world(|world| Some(world.deployments[0].id.clone())));
    assert_eq!(tag(&rig, "api-v001", "deployer:pending"), None);

    rig.run(&["rollout", "api", "--revision", "3"]).ended_with(0);
    rig.serves("api-v002");
    runs(&rig, "api-v002", "api/3.zip");
    assert_eq!(groups(&rig), set(&["main", "api-v2"]));
    assert_eq!(rig.fake.count("CreateDeployment"), 2);
    let second = tag(&rig, "api-v002", "deployer:deployment");
    assert_eq!(second, rig.fake.world(|world| Some(world.deployments[1].id.clone())), "not the copied one's");
    let hooks = rig.fake.world(|world| world.fleets["api-v002"].hooks.keys().cloned().collect::<Vec<_>>());
    assert!(hooks.iter().all(|hook| hook.contains("-hook-api-v2-")) && hooks.len() == 1, "{hooks:?}");
}

#[test]
fn the_halves_of_a_pair_are_installed_in_turn_and_an_earlier_deployment_says_nothing() {
    let rig = Rig::new(|setup| {
        setup.fleets = "{ pair: [api, api-b] }".to_owned();
        setup.provider = provider("deployment_groups: [a, b]");
    });
    rig.fake.world(|world| {
        world.asg("api-b", ("api", 1), 0, &[], &[]);
        world.codedeploy_group("api", "a", "api", &[], &in_place());
        world.codedeploy_group("api", "b", "api-b", &[], &in_place());
    });
    for (n, (revision, fleet)) in [("2", "api-b"), ("3", "api"), ("4", "api-b")].into_iter().enumerate() {
        rig.run(&["rollout", "api", "--revision", revision]).ended_with(0);
        rig.serves(fleet);
        runs(&rig, fleet, &format!("api/{revision}.zip"));
        assert_eq!(rig.fake.count("CreateDeployment"), n + 1);
    }
    assert_eq!(rig.fake.count("CreateDeploymentGroup") + rig.fake.count("DeleteDeploymentGroup"), 0);
}

#[test]
fn a_script_that_fails_takes_the_rollout_back_at_once_and_is_told_with_its_instance() {
    let rig = copied(|_| {});
    rig.fake.world(|world| world.break_event("ValidateService", "api/2.zip"));
    let done = rig.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    let id = rig.fake.world(|world| world.deployments[0].id.clone());
    let words = format!("CodeDeploy {id} failed: ScriptFailed in ValidateService on i-");
    assert!(done.said().contains(&words), "{}", done.said());
    assert!(done.said().contains("Script exited with status 3"), "{}", done.said());
    rig.serves("api");
    assert_eq!(groups(&rig), set(&["main"]));
    assert!(!rig.fake.world(|world| world.fleets.contains_key("api-v001")));
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    assert_eq!(rig.fake.count("ModifyListener") + rig.fake.count("DeregisterTargets"), 0);
}

#[test]
fn an_abort_while_it_installs_stops_the_deployment_before_the_fleet_goes() {
    let rig = copied(|setup| setup.settings.step = 400);
    let rollout = rig.start(&["rollout", "api"]);
    until("the deployment to run", || {
        rig.fake.world(|world| world.deployments.iter().any(|one| one.started.is_some()))
    });
    rig.run(&["abort", "api"]).ended_with(0);
    rollout.wait().ended_with(ROLLED_BACK);
    rig.serves("api");
    assert_eq!(rig.fake.world(|world| world.deployments[0].status), "Stopped");
    assert_eq!(groups(&rig), set(&["main"]));
    assert!(!rig.fake.world(|world| world.fleets.contains_key("api-v001")));
}

#[test]
fn lost_replies_make_no_second_group_and_no_second_deployment() {
    let rig = copied(|_| {});
    for action in ["CreateDeploymentGroup", "CreateDeployment", "CreateOrUpdateTags", "DeleteTags"] {
        rig.fake.fail(On::call(action).first(1), Fault::LostReply);
    }
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("api-v001");
    runs(&rig, "api-v001", "api/2.zip");
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    assert_eq!(groups(&rig), set(&["main", "api-v1"]));
}

#[test]
fn a_list_of_instances_that_is_not_there_is_no_empty_one() {
    for action in ["ListDeploymentTargets", "BatchGetDeploymentTargets"] {
        let rig = copied(|setup| setup.settings.step = 400);
        rig.fake.fail(On::call(action).first(2), Fault::Bare);
        rig.run(&["rollout", "api"]).ended_with(0);
        assert!(rig.fake.fired() >= 1, "{action}");
        let noted = serde_json::to_string(&rig.facts(1)).unwrap();
        assert!(noted.contains("without the list that was asked for"), "{action} is told as unknown");
        rig.serves("api-v001");
        runs(&rig, "api-v001", "api/2.zip");
    }
}

#[test]
fn a_group_of_the_fleets_name_that_is_not_ours_is_refused_and_not_deleted() {
    let rig = copied(|_| {});
    rig.fake.world(|world| {
        world.asg("other", ("api", 1), 1, &[], &[]);
        world.codedeploy_group("api", "api-v1", "other", &[], &in_place());
    });
    let done = rig.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    assert!(done.said().contains("autoScalingGroups must be `api-v001` alone"), "{}", done.said());
    rig.serves("api");
    assert_eq!(groups(&rig), set(&["main", "api-v1"]));
    assert_eq!(rig.fake.count("CreateDeployment"), 0);
}
