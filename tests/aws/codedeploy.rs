//! CodeDeploy-managed blue/green, by the real binary.

use crate::fake::{CodeDeployOptions, Fault, On};
use crate::rig::Rig;

/// Waits that outlast a slow machine: a minute of the fake is 60 ms.
fn patient() -> CodeDeployOptions {
    CodeDeployOptions {
        ready_wait_mins: Some(2880),
        termination_wait_mins: Some(2880),
        ..CodeDeployOptions::default()
    }
}

/// The incident's service: blue in two groups, and a deployment group that lists these.
fn managed(listed: &[&str], options: &CodeDeployOptions, complete: bool) -> Rig {
    let rig = Rig::new(|setup| {
        setup.twins = vec![];
        setup.shared = vec!["internal", "public"];
        setup.fleets = "{ managed: codedeploy }".to_owned();
        setup.steps = "[100]";
        setup.quiet = "50ms\nfreeze: false";
        setup.provider = format!(
            "        revision_is: bundle\n        codedeploy:\n          application: api\n          \
             deployment_group: main\n          bundle: \"s3://releases/api/{{revision}}.zip\"\n          \
             complete: {complete}\n"
        );
    });
    rig.fake.world(|world| world.codedeploy_group("api", "main", "api", listed, options));
    rig
}

#[test]
fn a_managed_rollout_moves_traffic_and_ends_blue_only_when_it_is_told() {
    let rig = managed(&["internal", "public"], &patient(), false);
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    assert!(rig.fake.count("ContinueDeployment") >= 2);
    rig.unharmed();
}

#[test]
fn a_list_that_lacks_a_group_is_refused_by_its_name() {
    let rig = managed(&["internal"], &patient(), false);
    let done = rig.run(&["rollout", "api"]);
    assert_ne!(done.code, 0);
    assert!(done.said().contains("`public`"), "{}", done.said());
    assert_eq!(rig.fake.count("CreateDeployment"), 0);
    rig.unharmed();
}

#[test]
fn a_list_that_lacks_a_group_is_completed_where_the_file_allows_it() {
    let rig = managed(&["internal"], &patient(), true);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.unharmed();
}

#[test]
fn a_group_that_continues_by_itself_is_refused_with_the_setting_to_change() {
    let options = CodeDeployOptions { ready_wait_mins: None, ..patient() };
    let rig = managed(&["internal", "public"], &options, false);
    let done = rig.run(&["rollout", "api"]);
    assert_ne!(done.code, 0);
    assert!(done.said().contains("STOP_DEPLOYMENT"), "{}", done.said());
    assert_eq!(rig.fake.count("CreateDeployment"), 0);
    rig.unharmed();
}

#[test]
fn a_lost_reply_of_the_creation_makes_no_second_deployment() {
    let rig = managed(&["internal", "public"], &patient(), false);
    rig.fake.fail(On::call("CreateDeployment").first(1), Fault::LostReply);
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    rig.unharmed();
}
