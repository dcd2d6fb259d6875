//! The world does not stand still while a rollout runs: others end instances, scale, and edit what we edit.

use std::process::Stdio;

use deployer::rollout::Verdict;
use serde_json::{Value, json};

use crate::fake::TargetGroupSettings;
use crate::lanes::is_read;
use crate::rig::{Rig, Running, Setup, until};

/// A rollout that stands with all traffic on green and waits.
fn at_the_bake(edit: impl FnOnce(&mut Setup)) -> Rig {
    let rig = Rig::new(|setup| {
        setup.bake = "promote";
        edit(setup);
    });
    rig.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(rig.weight("public-b"), 100);
    rig
}

fn actions(rig: &Rig, listener: &str) -> Vec<Value> {
    let arn = &rig.arns[listener];
    rig.fake.world(|world| world.listeners.iter().find(|one| one.arn == *arn).unwrap().actions.clone())
}

/// Somebody edits the actions of a listener by hand.
fn edit_actions(rig: &Rig, listener: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let arn = &rig.arns[listener];
    rig.fake.world(|world| {
        edit(&mut world.listeners.iter_mut().find(|one| one.arn == *arn).unwrap().actions);
    });
}

fn rolled_back(rig: &Rig) -> bool {
    matches!(rig.state(1).verdict(), Some(Verdict::RolledBack { .. }))
}

#[test]
fn an_instance_of_green_that_ends_is_replaced_and_the_rollout_is_proved_with_the_new_one() {
    let rig = Rig::new(|setup| setup.settle = "800ms");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(1, "settle");
    let ended = rig.members("api-v001").remove(0);
    rig.fake.world(|world| world.kill(&ended, "terminated"));
    rollout.wait().ended_with(0);
    assert!(!rig.members("api-v001").contains(&ended));
    rig.is_left_with("api-v001");
}

#[test]
fn a_driver_that_is_interrupted_lets_go_and_the_next_one_goes_on() {
    let rig = Rig::new(|setup| setup.bake = "20s");
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(1, "bake");
    rollout.interrupt();
    rollout.wait().ended_with(17);
    rig.run(&["abort", "api"]).ended_with(0);
    rig.is_left_with("api");
}

#[test]
fn an_instance_of_blue_that_ends_is_replaced_although_blue_is_held_still() {
    let rig = at_the_bake(|_| {});
    let ended = rig.members("api").remove(0);
    rig.fake.world(|world| world.kill(&ended, "terminated"));
    until("blue to be whole", || {
        let members = rig.members("api");
        members.len() == 2 && !members.contains(&ended)
    });
    rig.run(&["abort", "api"]).ended_with(0);
    rig.is_left_with("api");
}

/// Auto Scaling ends whoever fails the checks of any group, in every group, once the grace period is over. Here it
/// comes too late for that.
fn with_patience(rig: &Rig) {
    rig.fake.world(|world| {
        let blue = world.fleets.get_mut("api").unwrap();
        blue.settings.insert("HealthCheckGracePeriod".into(), json!("60000"));
    });
}

#[test]
fn green_that_is_ill_in_one_group_only_goes_back_whichever_group_it_is() {
    for (sick, deadline) in [("public-b", "settle: 1s"), ("internal", "shift: 1s")] {
        let rig = Rig::new(|setup| setup.deadlines = vec![deadline]);
        with_patience(&rig);
        let blue = rig.members("api");
        rig.fake.world(|world| world.sicken(sick, "api:2"));
        let done = rig.run(&["rollout", "api"]).ended_with(11);
        assert!(rolled_back(&rig), "{}", done.said());
        rig.is_left_with("api");
        assert_eq!(rig.members("api"), blue);
    }
}

#[test]
fn green_that_falls_ill_when_it_carries_everything_gives_it_back() {
    let rig = Rig::new(|setup| setup.bake = "20s");
    with_patience(&rig);
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(1, "bake");
    rig.fake.world(|world| world.sicken("public-b", "api:2"));
    rollout.wait().ended_with(11);
    assert_eq!(rig.weight("public-a"), 100);
    assert_eq!(rig.fake.unknown(), Vec::<String>::new());
    // Green was dark where it fell ill, until blue had it back; nothing else ever was.
    let darknesses = rig.fake.oracle().darknesses;
    assert!(darknesses.iter().all(|dark| dark.group == "public-b" && dark.until.is_some()), "{darknesses:?}");
}

#[test]
fn blue_that_is_ill_is_said() {
    let rig = Rig::new(|_| {});
    rig.fake.world(|world| world.sicken("public-a", "api:1"));
    until("blue to be ill", || rig.targets("public-a").values().all(|state| state == "unhealthy"));
    let plan = rig.run(&["plan", "api"]);
    assert!(plan.said().contains("0/2 healthy"), "{}", plan.said());
}

#[test]
fn nobody_scales_a_fleet_in_mid_rollout_and_everybody_does_after_it() {
    let rig = at_the_bake(|_| {});
    for process in ["AlarmNotification", "ScheduledActions"] {
        for fleet in ["api", "api-v001"] {
            assert!(!rig.fake.world(|world| world.scale_outside(fleet, process, 4)), "{fleet} {process}");
        }
    }
    rig.run(&["promote", "api"]);
    rig.run(&["resume", "api"]).ended_with(0);
    rig.is_left_with("api-v001");
    assert!(rig.fake.world(|world| world.scale_outside("api-v001", "AlarmNotification", 3)));
}

#[test]
fn a_login_and_stickiness_that_somebody_adds_in_mid_rollout_stay() {
    let login = json!({
        "Type": "authenticate-oidc", "Order": "1",
        "AuthenticateOidcConfig": {
            "Issuer": "https://id.example.com", "AuthorizationEndpoint": "https://id.example.com/a",
            "TokenEndpoint": "https://id.example.com/t", "UserInfoEndpoint": "https://id.example.com/u",
            "ClientId": "api",
        },
    });
    let rig = at_the_bake(|_| {});
    edit_actions(&rig, "public-listener", |actions| {
        actions[0]["Order"] = json!("2");
        actions[0]["ForwardConfig"]["TargetGroupStickinessConfig"] =
            json!({ "Enabled": "true", "DurationSeconds": "300" });
        actions.insert(0, login.clone());
    });
    rig.run(&["abort", "api"]).ended_with(0);
    let after = actions(&rig, "public-listener");
    assert_eq!(after[0], login);
    assert_eq!(after[1]["Order"], "2");
    assert_eq!(
        after[1]["ForwardConfig"]["TargetGroupStickinessConfig"],
        json!({ "Enabled": "true", "DurationSeconds": "300" })
    );
    rig.is_left_with("api");
}

/// Another service with a target group of its own.
fn neighbour(rig: &mut Rig) -> String {
    let arn = rig.fake.world(|world| {
        let arn = world.target_group("neighbour", &TargetGroupSettings::default());
        world.launch_template("other", &["ami-0000000000000009a"]);
        world.asg("other", ("other", 1), 1, &[&arn], &[]);
        arn
    });
    rig.arns.insert("neighbour".to_owned(), arn.clone());
    arn
}

/// Somebody adds it to the action in which our twins stand, and gives it its share as soon as it is healthy.
fn add_beside(rig: &Rig, arn: &str, weight: u64) {
    let forward = |weight: u64| {
        edit_actions(rig, "public-listener", |actions| {
            let groups = actions[0]["ForwardConfig"]["TargetGroups"].as_array_mut().unwrap();
            groups.retain(|group| group["TargetGroupArn"] != arn);
            groups.push(json!({ "TargetGroupArn": arn, "Weight": weight.to_string() }));
        });
    };
    forward(0);
    until("the neighbour to be healthy", || {
        rig.targets("neighbour").values().all(|state| state == "healthy")
    });
    forward(weight);
}

#[test]
fn a_third_group_without_a_share_in_the_same_action_stays_where_it_is() {
    let mut rig = Rig::new(|_| {});
    let arn = neighbour(&mut rig);
    add_beside(&rig, &arn, 0);
    rig.run(&["rollout", "api"]).ended_with(0);
    let groups = actions(&rig, "public-listener")[0]["ForwardConfig"]["TargetGroups"].clone();
    assert!(groups.as_array().unwrap().iter().any(|group| group["TargetGroupArn"] == arn), "{groups}");
    rig.serves("api-v001");
}

#[test]
fn a_third_group_that_takes_a_share_does_not_keep_the_traffic_on_green() {
    let mut rig = at_the_bake(|setup| setup.deadlines = vec!["restore: 1s"]);
    let arn = neighbour(&mut rig);
    add_beside(&rig, &arn, 20);
    let back = rig.run(&["abort", "api"]);
    let weights = rig.fake.world(|world| world.weights(&rig.arns["public-listener"]));
    let expected = [("public-a", 100), ("public-b", 0), ("neighbour", 20)];
    assert_eq!(weights, expected.map(|(name, weight)| (name.to_owned(), weight)).into(), "{}", back.said());
    assert_eq!(rig.members("api").len(), 2, "blue is up");
    rig.unharmed();
}

#[test]
fn rules_and_further_listeners_of_the_same_twins_move_with_the_default_action() {
    let mut rig = Rig::new(|_| {});
    let (first, second) = (rig.arns["public-a"].clone(), rig.arns["public-b"].clone());
    let listener = rig.arns["public-listener"].clone();
    let rules = rig.fake.world(|world| {
        let balancer = world.balancers.iter().find(|one| one.name == "edge").unwrap().arn.clone();
        let other = world.listener(&balancer, 8443, &[(&first, 1)]).unwrap();
        let both = world.rule(&listener, 10, "/both/*", &[(&first, 7), (&second, 0)]).unwrap();
        [other.clone(), both, world.rule(&other, 20, "/one/*", &[(&first, 1)]).unwrap()]
    });
    for (name, arn) in ["other", "both", "one"].into_iter().zip(rules) {
        rig.arns.insert(name.to_owned(), arn);
    }
    let carried = |twin: &str| {
        ["public-listener", "other", "both", "one"]
            .map(|route| rig.fake.world(|world| world.weights(&rig.arns[route])[twin]))
    };
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!((carried("public-a"), carried("public-b")), ([0; 4], [100; 4]));
    rig.is_left_with("api-v001");
    rig.run(&["rollout", "api", "--revision", "1"]).ended_with(0);
    assert_eq!((carried("public-a"), carried("public-b")), ([100; 4], [0; 4]));
    rig.is_left_with("api-v002");
}

#[test]
fn a_rule_that_somebody_adds_in_mid_rollout_goes_back_with_the_rest() {
    let mut rig = at_the_bake(|_| {});
    let (second, listener) = (rig.arns["public-b"].clone(), rig.arns["public-listener"].clone());
    let rule = rig.fake.world(|world| world.rule(&listener, 5, "/new/*", &[(&second, 1)]).unwrap());
    rig.arns.insert("rule".to_owned(), rule.clone());
    rig.run(&["abort", "api"]).ended_with(0);
    let weights = rig.fake.world(|world| world.weights(&rule));
    assert_eq!(weights["public-a"], 100, "{weights:?}");
    assert_eq!(weights["public-b"], 0, "{weights:?}");
    rig.unharmed();
}

#[test]
fn twins_behind_a_network_load_balancer_move_by_weight_too() {
    let rig = Rig::new(|setup| (setup.twins, setup.flows) = (vec!["public", "stream"], vec!["stream"]));
    rig.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(rig.weight("stream-b"), 100);
    rig.is_left_with("api-v001");
}

#[test]
fn a_pair_goes_back_and_forth_twice() {
    let rig = Rig::new(|setup| setup.fleets = "{ pair: [api, api-b] }".to_owned());
    rig.second_half();
    for (revision, green, twin) in [
        ("2", "api-b", "public-b"),
        ("1", "api", "public-a"),
        ("2", "api-b", "public-b"),
        ("1", "api", "public-a"),
    ] {
        rig.run(&["rollout", "api", "--revision", revision]).ended_with(0);
        assert_eq!(rig.weight(twin), 100);
        rig.serves(green);
        rig.scales(green);
        let resting = if green == "api" { "api-b" } else { "api" };
        assert_eq!(rig.members(resting), Vec::<String>::new());
    }
}

#[test]
fn green_that_auto_scaling_was_told_not_to_register_is_registered_by_hand() {
    let rig = Rig::new(|setup| setup.fleets = "{ pair: [api, api-b] }".to_owned());
    rig.second_half();
    rig.fake.world(|world| {
        let green = world.fleets.get_mut("api-b").unwrap();
        green.suspended.insert("AddToLoadBalancer".into(), "User suspended".into());
    });
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("api-b");
    let left = rig.fake.world(|world| world.fleets["api-b"].suspended.keys().cloned().collect::<Vec<_>>());
    assert_eq!(left, ["AddToLoadBalancer"], "what others suspended stays so");
}

#[test]
fn blue_that_does_not_register_its_instances_is_not_copied() {
    let rig = Rig::new(|_| {});
    rig.fake.world(|world| {
        let blue = world.fleets.get_mut("api").unwrap();
        blue.suspended.insert("AddToLoadBalancer".into(), "User suspended".into());
    });
    let done = rig.run(&["rollout", "api"]).ended_with(11);
    assert!(done.said().contains("AddToLoadBalancer"), "{}", done.said());
    rig.serves("api");
    rig.unharmed();
}

#[test]
fn a_template_whose_version_moves_is_pinned_on_green() {
    let rig = Rig::new(|_| {});
    rig.fake.world(|world| {
        let template = json!({ "LaunchTemplateName": "api", "Version": "$Latest" });
        world.fleets.get_mut("api").unwrap().settings.insert("LaunchTemplate".into(), template);
    });
    rig.run(&["rollout", "api"]).ended_with(0);
    let version = rig.fake.world(|world| {
        world.fleets["api-v001"].launch_template().unwrap()["Version"].as_str().unwrap().to_owned()
    });
    assert_eq!(version, "2");
    rig.is_left_with("api-v001");
}

#[test]
fn another_account_than_the_file_names_is_refused_before_any_other_call() {
    let rig = Rig::new(|_| {});
    let file = rig.dir().join("deployments/api.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("111122223333", "999988887777")).unwrap();
    for args in [&["plan", "api"][..], &["rollout", "api"]] {
        let refused = rig.run(args).ended_with(1);
        for said in ["111122223333", "999988887777"] {
            assert!(refused.said().contains(said), "{}", refused.said());
        }
    }
    assert!(rig.fake.calls().iter().all(|call| call.action == "GetCallerIdentity"));
}

#[test]
fn without_credentials_it_says_so_and_makes_no_call() {
    let rig = Rig::new(|_| {});
    let mut command = rig.command(&["plan", "api"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", rig.dir());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("GetCallerIdentity") && said.contains("credentials"), "{said}");
    assert!(rig.fake.calls().is_empty());
}

#[test]
fn a_driver_that_is_denied_everything_in_mid_rollout_leaves_everything_as_it_is() {
    use crate::fake::{Fault, On};
    let rig = at_the_bake(|_| {});
    rig.fake.fail(On::any(), Fault::Denied);
    let mut resume: Running = rig.start(&["resume", "api", "--wait-promote", "1m"]);
    until("it to give up", || !resume.runs());
    let done = resume.wait();
    assert!(done.said().contains("not authorized"), "{}", done.said());
    assert_eq!(done.code, 1, "{}", done.said());
    rig.fake.heal();
    let changed = rig.fake.calls().into_iter().rev().take_while(|call| is_read(&call.action)).count();
    assert!(changed > 0, "it only looked");
    rig.run(&["abort", "api"]).ended_with(0);
    rig.is_left_with("api");
}
