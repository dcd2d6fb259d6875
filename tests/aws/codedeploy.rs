//! CodeDeploy-managed blue/green, by the real binary.

use serde_json::json;

use crate::fake::{CodeDeployOptions, Fault, On, Settings, TargetGroupSettings};
use crate::rig::{Rig, Setup, until};

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 11;
const HELD: i32 = 13;

/// Waits that outlast a slow machine: a minute of the fake is 60 ms.
fn patient() -> CodeDeployOptions {
    CodeDeployOptions {
        ready_wait_mins: Some(2880),
        termination_wait_mins: Some(2880),
        ..CodeDeployOptions::default()
    }
}

/// The incident's service: blue in two groups, and a deployment group that lists these.
fn managed_with(
    listed: &[&str],
    options: &CodeDeployOptions,
    complete: bool,
    edit: impl FnOnce(&mut Setup),
) -> Rig {
    let rig = Rig::new(|setup| {
        setup.twins = vec![];
        setup.shared = vec!["internal", "public"];
        "{ managed: codedeploy }".clone_into(&mut setup.fleets);
        setup.steps = "[100]";
        setup.provider = format!(
            "        revision_is: bundle\n        codedeploy:\n          application: api\n          \
             deployment_group: main\n          bundle: \"s3://releases/api/{{revision}}.zip\"\n          \
             complete: {complete}\n"
        );
        edit(setup);
    });
    rig.fake.world(|world| world.codedeploy_group("api", "main", "api", listed, options));
    rig
}

fn managed(listed: &[&str], options: &CodeDeployOptions, complete: bool) -> Rig {
    managed_with(listed, options, complete, |_| {})
}

fn whole(edit: impl FnOnce(&mut Setup)) -> Rig {
    managed_with(&["internal", "public"], &patient(), false, edit)
}

/// The Auto Scaling group that the only deployment made.
fn copy(rig: &Rig) -> String {
    rig.fake.world(|world| world.deployments[0].green_fleet.clone().unwrap())
}

fn status(rig: &Rig) -> &'static str {
    rig.fake.world(|world| world.deployments.first().map_or("none", |one| one.status))
}

fn exists(rig: &Rig, fleet: &str) -> bool {
    rig.fake.world(|world| world.fleets.contains_key(fleet))
}

/// How often `CodeDeploy` was told to terminate blue.
fn ended_by_us(rig: &Rig) -> usize {
    let calls = rig.fake.calls();
    calls
        .iter()
        .filter(|call| {
            call.action == "ContinueDeployment" && call.parameters.to_string().contains("TERMINATION_WAIT")
        })
        .count()
}

/// The rollout went back: blue serves as before, green has gone, and nothing was told to take blue.
fn went_back(rig: &Rig, status_now: &str) {
    rig.serves("api");
    assert_eq!(status(rig), status_now);
    assert!(!exists(rig, &copy(rig)), "green's group has gone");
    assert_eq!(ended_by_us(rig), 0);
    let named = rig.fake.world(|world| world.deployment_groups[0].settings["autoScalingGroups"].clone());
    assert_eq!(named, json!(["api"]), "the deployment group names the fleet that stays");
}

/// Refused before anything began.
fn nothing_begun(rig: &Rig, words: &str, args: &[&str]) {
    let done = rig.run(args);
    assert_ne!(done.code, 0);
    assert!(done.said().contains(words), "{}", done.said());
    assert_eq!(rig.fake.count("CreateDeployment"), 0);
    rig.unharmed();
}

#[test]
fn a_managed_rollout_moves_traffic_and_ends_blue_only_when_it_is_told() {
    let rig = whole(|_| {});
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    assert_eq!(ended_by_us(&rig), 1);
    assert!(!exists(&rig, "api"), "blue has gone");
    rig.serves(&copy(&rig));
    let fleet = copy(&rig);
    let suspended = rig.fake.world(|world| world.fleets[&fleet].suspended.clone());
    assert!(suspended.is_empty(), "green scales again: {suspended:?}");
}

#[test]
fn a_list_that_lacks_a_group_is_refused_by_its_name() {
    let rig = managed(&["internal"], &patient(), false);
    nothing_begun(&rig, "`public`", &["rollout", "api"]);
}

#[test]
fn a_list_that_lacks_a_group_is_completed_where_the_file_allows_it() {
    let rig = managed(&["internal"], &patient(), true);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves(&copy(&rig));
}

#[test]
fn a_list_with_a_group_that_nobody_declares_refuses_the_plan_by_its_name() {
    let rig = managed(&["internal", "public", "partner"], &patient(), false);
    rig.fake.world(|world| world.target_group("partner", &TargetGroupSettings::default()));
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let done = rig.run(args).ended_with(REFUSED);
        assert!(done.said().contains("CodeDeploy lists `partner`"), "{}", done.said());
    }
    assert_eq!(rig.fake.count("CreateDeployment"), 0);
    rig.unharmed();
}

#[test]
fn a_group_that_continues_by_itself_is_refused_with_the_setting_to_change() {
    let options = CodeDeployOptions { ready_wait_mins: None, ..patient() };
    let rig = managed(&["internal", "public"], &options, false);
    nothing_begun(&rig, "STOP_DEPLOYMENT", &["rollout", "api"]);
}

#[test]
fn twins_are_refused_by_the_file_and_addresses_before_anything_begins() {
    let rig = whole(|setup| {
        setup.twins = vec!["edge"];
    });
    nothing_begun(&rig, "`edge` has twins", &["plan", "api"]);
    assert_eq!(rig.fake.calls().len(), 0);

    let rig = whole(|_| {});
    let arn = rig.arns["internal"].clone();
    rig.fake.world(|world| world.by_address(&arn));
    nothing_begun(&rig, "internal", &["rollout", "api"]);
}

#[test]
fn a_lost_reply_of_the_creation_makes_no_second_deployment() {
    let rig = whole(|_| {});
    rig.fake.fail(On::call("CreateDeployment").first(1), Fault::LostReply);
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(rig.fake.count("CreateDeployment"), 1);
    rig.unharmed();
}

#[test]
fn a_script_that_fails_takes_the_rollout_back_at_once_and_is_told_with_its_instance() {
    let rig = whole(|_| {});
    rig.fake.world(|world| world.break_event("ApplicationStart", "api/2.zip"));
    let done = rig.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    let id = rig.fake.world(|world| world.deployments[0].id.clone());
    let words = format!("CodeDeploy {id} failed: ScriptFailed in ApplicationStart on i-");
    assert!(done.said().contains(&words), "{}", done.said());
    assert!(done.said().contains("Script exited with status 3"), "{}", done.said());
    went_back(&rig, "Failed");
    assert_eq!(rig.fake.count("ContinueDeployment") + rig.fake.count("DeregisterTargets"), 0);
}

#[test]
fn a_copy_that_lost_its_attachments_gets_them_back_before_traffic_moves() {
    let rig =
        whole(|setup| setup.settings = Settings { copy_loses_attachments: true, ..Settings::default() });
    rig.run(&["rollout", "api"]).ended_with(0);
    let fleet = copy(&rig);
    rig.serves(&fleet);
    let attached = rig.fake.world(|world| world.fleets[&fleet].attachments.len());
    assert_eq!(attached, 2);
}

#[test]
fn a_copy_that_is_too_small_goes_back_and_blue_serves() {
    let rig = whole(|setup| {
        setup.settings = Settings { copy_short_by: 1, ..Settings::default() };
    });
    let done = rig.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    assert!(done.said().contains("1 of 2 instances"), "{}", done.said());
    went_back(&rig, "Stopped");
}

#[test]
fn blue_that_is_kept_alive_goes_by_our_own_hand() {
    let options = CodeDeployOptions { termination_wait_mins: None, ..patient() };
    let rig = managed(&["internal", "public"], &options, false);
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves(&copy(&rig));
    assert!(!exists(&rig, "api"));
    assert_eq!((ended_by_us(&rig), status(&rig)), (0, "Succeeded"));
}

#[test]
fn an_abort_at_ready_leaves_traffic_where_it_is() {
    let rig = whole(|_| {});
    rig.fake.fail(On::call("ContinueDeployment"), Fault::Throttle);
    let rollout = rig.start(&["rollout", "api"]);
    until("Ready", || rig.fake.fired() > 0);
    rig.run(&["abort", "api"]).ended_with(0);
    rollout.wait().ended_with(ROLLED_BACK);
    went_back(&rig, "Stopped");
}

#[test]
fn an_abort_in_mid_shift_brings_traffic_back() {
    // Not attached, it is registered by CodeDeploy's event alone, which then waits for it.
    let slow = Settings { health_after: 1000, copy_loses_attachments: true, ..Settings::default() };
    let rig = whole(|setup| setup.settings = slow);
    let rollout = rig.start(&["rollout", "api"]);
    until("green to be registered", || {
        rig.fake.world(|world| {
            world.deployments.iter().any(|one| {
                one.events.values().flatten().any(|event| event.name == "AllowTraffic" && event.end.is_none())
            })
        })
    });
    rig.run(&["abort", "api"]).ended_with(0);
    rollout.wait().ended_with(ROLLED_BACK);
    went_back(&rig, "Stopped");
}

fn abort_in_the_bake(termination_wait_mins: Option<u64>, status_now: &str) {
    let options = CodeDeployOptions { termination_wait_mins, ..patient() };
    let rig = managed_with(&["internal", "public"], &options, false, |setup| setup.bake = "promote");
    let rollout = rig.start(&["rollout", "api", "--wait-promote", "1m"]);
    rig.until_phase(1, "bake");
    rig.run(&["abort", "api"]).ended_with(0);
    rollout.wait().ended_with(ROLLED_BACK);
    went_back(&rig, status_now);
}

#[test]
fn an_abort_during_the_bake_brings_traffic_back() {
    abort_in_the_bake(Some(2880), "Stopped");
}

#[test]
fn an_abort_during_the_bake_of_a_deployment_that_is_over_brings_traffic_back() {
    abort_in_the_bake(None, "Succeeded");
}

#[test]
fn a_group_that_is_attached_to_blue_during_the_bake_holds_and_codedeploy_is_not_told_to_end_blue() {
    let rig = whole(|setup| {
        setup.bake = "promote";
        setup.deadlines = vec!["hold: 1s", "retire: 1s", "drain: 1s"];
    });
    let partner = rig.fake.world(|world| {
        let balancer = world.alb("behind-partner");
        let arn = world.target_group("partner", &TargetGroupSettings::default());
        world.listener(&balancer, 7000, &[(&arn, 1)]).unwrap();
        arn
    });
    let rollout = rig.start(&["rollout", "api", "--wait-promote", "1m"]);
    rig.until_phase(1, "bake");
    rig.fake.world(|world| world.attach("api", &partner));
    let promote = rig.start(&["promote", "api", "--full"]);
    let held = rollout.wait().ended_with(HELD);
    drop(promote);
    assert!(held.said().contains("partner"), "{}", held.said());
    assert_eq!(ended_by_us(&rig), 0);
    assert_eq!(rig.members("api").len(), 2, "blue lives");
}

#[test]
fn a_clock_that_runs_out_while_the_rollout_is_held_is_stopped_and_blue_goes_by_our_own_hand() {
    let rig = whole(|setup| setup.bake = "promote");
    let rollout = rig.start(&["rollout", "api", "--wait-promote", "1m"]);
    rig.until_phase(1, "bake");
    assert_eq!(status(&rig), "InProgress");
    // Nine minutes are left, and they are real ones.
    rig.fake.world(|world| {
        world.settings.second = 1000.0;
        let settings = &mut world.deployments[0].settings["blueGreenDeploymentConfiguration"];
        settings["terminateBlueInstancesOnDeploymentSuccess"]["terminationWaitTimeInMinutes"] = json!(9);
    });
    until("the deployment to be stopped", || status(&rig) == "Stopped");
    assert_eq!(rig.members("api").len(), 2, "blue lives");
    rig.fake.world(|world| world.settings.second = 1.0);
    rig.run(&["promote", "api", "--full"]).ended_with(0);
    rollout.wait().ended_with(0);
    assert_eq!(ended_by_us(&rig), 0);
    assert!(!exists(&rig, "api"));
    rig.serves(&copy(&rig));
}

/// Ten target groups, which is as many as `CodeDeploy` lists.
const TEN: [&str; 10] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9"];

#[test]
fn a_way_back_finds_its_deployment_once_for_all_groups_however_many_old_ones_there_are() {
    let rig = managed_with(&TEN, &patient(), false, |setup| {
        (setup.shared, setup.bake) = (TEN.to_vec(), "promote");
    });
    rig.run(&["rollout", "api"]).ended_with(14);
    rig.fake.world(|world| {
        let model = world.deployments[0].clone();
        let old = (0..100).map(|n| {
            let mut old = model.clone();
            (old.id, old.description) = (format!("d-OLD{n:03}"), None);
            (old.created, old.completed, old.status) = (0, Some(1), "Succeeded");
            old
        });
        world.deployments.splice(0..0, old);
    });
    let before = rig.fake.calls().len();
    rig.run(&["rollback", "api"]).ended_with(0);
    rig.serves("api");
    let calls = rig.fake.calls().split_off(before);
    let count = |action: &str| calls.iter().filter(|call| call.action == action).count();
    let lists: Vec<_> = calls.iter().filter(|call| call.action == "ListDeployments").collect();
    let first = lists.iter().filter(|call| call.parameters.get("nextToken").is_none()).count();
    assert_eq!(first, 1, "found once: {lists:#?}");
    let stops = count("StopDeployment");
    assert!((1..=4).contains(&stops), "{stops}: of all groups together, and before green goes");
    let reads = count("BatchGetDeployments");
    assert!(reads <= 20, "{reads}");
}
