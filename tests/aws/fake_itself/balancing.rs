//! Load balancing.

use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, DescribeTargetHealthInputIncludeEnum, ForwardActionConfig, ProtocolEnum,
    TargetDescription, TargetGroupAttribute, TargetGroupTuple, TargetTypeEnum,
};

use super::{Scene, code, scene};
use crate::fake::{Settings, TargetGroupSettings};

fn forward(groups: &[(&str, i32)]) -> Action {
    let tuple = |(arn, weight): &(&str, i32)| {
        TargetGroupTuple::builder().target_group_arn(*arn).weight(*weight).build()
    };
    let config =
        ForwardActionConfig::builder().set_target_groups(Some(groups.iter().map(tuple).collect())).build();
    Action::builder().r#type(ActionTypeEnum::Forward).forward_config(config).build()
}

fn target(id: &str) -> TargetDescription {
    TargetDescription::builder().id(id).build()
}

async fn shift(scene: &Scene, blue: i32, green: i32) {
    let action = forward(&[(&scene.blue, blue), (&scene.green, green)]);
    scene.elb.modify_listener().listener_arn(&scene.listener).default_actions(action).send().await.unwrap();
}

#[tokio::test]
async fn a_whole_blue_green_by_hand_darkens_nothing() {
    let scene = scene(Settings { second: 10.0, ..Settings::default() }).await;
    let template = LaunchTemplateSpecification::builder().launch_template_name("api").version("2").build();
    let create =
        scene.asg.create_auto_scaling_group().auto_scaling_group_name("green").launch_template(template);
    create.min_size(1).max_size(4).desired_capacity(2).target_group_arns(&scene.green).send().await.unwrap();
    scene.until("a healthy green", |world| world.healthy(&scene.green) == 2).await;
    shift(&scene, 50, 50).await;
    shift(&scene, 0, 100).await;
    let detach = scene.asg.detach_load_balancer_target_groups().auto_scaling_group_name("blue");
    detach.target_group_arns(&scene.blue).send().await.unwrap();
    let draining = ("draining".to_owned(), Some("Target.DeregistrationInProgress".to_owned()));
    assert_eq!(scene.states(&scene.blue).await, [draining.clone(), draining]);
    scene.until("a drained blue", |world| world.target_states(&scene.blue).is_empty()).await;
    let refused =
        scene.asg.delete_auto_scaling_group().auto_scaling_group_name("blue").send().await.unwrap_err();
    assert_eq!(code(&refused), "ResourceInUse");
    let delete = scene.asg.delete_auto_scaling_group().auto_scaling_group_name("blue").force_delete(true);
    delete.send().await.unwrap();
    scene.until("no blue", |world| !world.fleets.contains_key("blue")).await;
    assert_eq!(scene.fake.count("ModifyListener"), 2);
    scene.quiet();
}

#[tokio::test]
async fn a_target_that_nobody_deregistered_darkens_its_group_when_its_fleet_goes() {
    let scene = scene(Settings::default()).await;
    let group = scene.fake.world(|world| {
        let group = world.target_group("internal", &TargetGroupSettings::default());
        let balancer = world.nlb("internal");
        world.listener(&balancer, 8080, &[(&group, 1)]).unwrap();
        for id in world.in_service("blue") {
            world.register_by_hand(&group, &id, Some(8080));
        }
        group
    });
    scene.until("a healthy internal group", |world| world.healthy(&group) == 2).await;
    let delete = scene.asg.delete_auto_scaling_group().auto_scaling_group_name("blue").force_delete(true);
    delete.send().await.unwrap();
    let invalid = ("unused".to_owned(), Some("Target.InvalidState".to_owned()));
    assert_eq!(scene.states(&group).await, [invalid.clone(), invalid]);
    let oracle = scene.fake.oracle();
    assert_eq!(oracle.dark(), ["internal", "public-blue"].map(str::to_owned).into());
    assert!(oracle.darknesses.iter().all(|one| one.by == "DeleteAutoScalingGroup" && one.until.is_none()));
}

#[tokio::test]
async fn traffic_sent_to_nobody_is_dark_until_it_is_sent_back() {
    let scene = scene(Settings::default()).await;
    shift(&scene, 0, 100).await;
    assert_eq!(scene.fake.oracle().dark(), ["public-green".to_owned()].into());
    shift(&scene, 100, 0).await;
    let oracle = scene.fake.oracle();
    assert!(oracle.dark().is_empty());
    assert_eq!(oracle.darknesses.len(), 1);
    assert!(oracle.darknesses[0].since <= oracle.darknesses[0].until.unwrap());
}

#[tokio::test]
async fn health_is_unused_then_initial_then_what_the_checks_say() {
    let scene = scene(Settings { health_after: 300, ..Settings::default() }).await;
    let (group, id) = scene.fake.world(|world| {
        let group = world.target_group("lonely", &TargetGroupSettings::default());
        (group, world.in_service("blue").remove(0))
    });
    scene.elb.register_targets().target_group_arn(&group).targets(target(&id)).send().await.unwrap();
    assert_eq!(scene.states(&group).await, [("unused".to_owned(), Some("Target.NotInUse".to_owned()))]);
    scene.fake.world(|world| {
        let balancer = world.nlb("other");
        world.listener(&balancer, 81, &[(&group, 0)]).unwrap();
    });
    let initial = ("initial".to_owned(), Some("Elb.InitialHealthChecking".to_owned()));
    assert_eq!(scene.states(&group).await, [initial]);
    scene.until("health at weight 0", |world| world.healthy(&group) == 1).await;
    scene.fake.world(|world| world.sicken("lonely", "ami-1"));
    scene.until("sickness", |world| world.healthy(&group) == 0).await;
    let unhealthy = ("unhealthy".to_owned(), Some("Target.ResponseCodeMismatch".to_owned()));
    assert_eq!(scene.states(&group).await, [unhealthy]);
    scene.fake.world(|world| world.recover("lonely", "ami-1"));
    scene.until("recovery", |world| world.healthy(&group) == 1).await;
    scene.fake.world(|world| world.kill(&id, "stopped"));
    assert_eq!(scene.states(&group).await, [("unused".to_owned(), Some("Target.InvalidState".to_owned()))]);
}

#[tokio::test]
async fn a_target_that_is_not_registered_is_named_and_not_left_out() {
    let scene = scene(Settings::default()).await;
    let id = scene.fake.world(|world| world.in_service("blue").remove(0));
    let ask = scene.elb.describe_target_health().target_group_arn(&scene.green).targets(target(&id));
    let answer = ask.include(DescribeTargetHealthInputIncludeEnum::Anomaly).send().await.unwrap();
    let health = answer.target_health_descriptions()[0].target_health().unwrap();
    assert_eq!(health.reason().unwrap().as_str(), "Target.NotRegistered");
    let refused = scene.elb.register_targets().target_group_arn(&scene.green).targets(target("i-0none"));
    assert_eq!(code(&refused.send().await.unwrap_err()), "InvalidTarget");
    // The same instance at another port is another target.
    let other = TargetDescription::builder().id(&id).port(8081).build();
    scene.elb.register_targets().target_group_arn(&scene.blue).targets(other.clone()).send().await.unwrap();
    assert_eq!(scene.states(&scene.blue).await.len(), 3);
    scene.elb.deregister_targets().target_group_arn(&scene.blue).targets(other).send().await.unwrap();
    assert!(scene.fake.world(|world| world.target_states(&scene.blue)[&(id, 80)] == "healthy"));
}

#[tokio::test]
async fn actions_that_aws_refuses_are_refused() {
    let scene = scene(Settings::default()).await;
    let many: Vec<String> = scene.fake.world(|world| {
        (0..6).map(|n| world.target_group(&format!("many-{n}"), &TargetGroupSettings::default())).collect()
    });
    let six: Vec<(&str, i32)> = many.iter().map(|arn| (arn.as_str(), 1)).collect();
    let nowhere = scene.blue.replace("public-blue", "nowhere");
    for (groups, expected) in [
        (vec![(scene.blue.as_str(), 1000)], "ValidationError"),
        (six, "ValidationError"),
        (vec![(nowhere.as_str(), 1)], "TargetGroupNotFound"),
    ] {
        let modify =
            scene.elb.modify_listener().listener_arn(&scene.listener).default_actions(forward(&groups));
        assert_eq!(code(&modify.send().await.unwrap_err()), expected);
    }
    let weights = scene.fake.world(|world| world.weights(&scene.listener));
    assert_eq!(weights, [("public-blue".to_owned(), 100), ("public-green".to_owned(), 0)].into());
    let refused = scene.elb.delete_target_group().target_group_arn(&scene.green).send().await.unwrap_err();
    assert_eq!(code(&refused), "ResourceInUse");
}

#[tokio::test]
async fn rules_are_listed_with_the_default_one_and_modified_whole() {
    let scene = scene(Settings::default()).await;
    let rule =
        scene.fake.world(|world| world.rule(&scene.listener, 10, "/admin/*", &[(&scene.blue, 1)]).unwrap());
    let rules = scene.elb.describe_rules().listener_arn(&scene.listener).send().await.unwrap();
    let priorities: Vec<_> = rules.rules().iter().map(|rule| rule.priority().unwrap()).collect();
    assert_eq!(priorities, ["10", "default"]);
    let default = rules.rules()[1].rule_arn().unwrap();
    assert_eq!(rules.rules()[0].actions()[0].target_group_arn(), Some(scene.blue.as_str()));
    assert_eq!(rules.rules()[1].actions()[0].target_group_arn(), None);
    let action = forward(&[(&scene.green, 999)]);
    let refused = scene.elb.modify_rule().rule_arn(default).actions(action.clone()).send().await.unwrap_err();
    assert_eq!(code(&refused), "OperationNotPermitted");
    scene.elb.modify_rule().rule_arn(&rule).actions(action).send().await.unwrap();
    assert_eq!(scene.fake.world(|world| world.weights(&rule)), [("public-green".to_owned(), 999)].into());
    let by_arn = scene.elb.describe_rules().rule_arns(&rule).rule_arns(default).send().await.unwrap();
    assert_eq!(by_arn.rules().len(), 2);
}

#[tokio::test]
async fn target_groups_are_made_once_and_found_by_name_and_balancer() {
    let scene = scene(Settings::default()).await;
    let vpc = scene.fake.world(|world| world.vpc.clone());
    let create = |port: i32| {
        let create = scene.elb.create_target_group().name("made").protocol(ProtocolEnum::Http).port(port);
        create.vpc_id(&vpc).target_type(TargetTypeEnum::Instance).send()
    };
    let first = create(80).await.unwrap();
    let arn = first.target_groups()[0].target_group_arn().unwrap().to_owned();
    assert_eq!(create(80).await.unwrap().target_groups()[0].target_group_arn(), Some(arn.as_str()));
    assert_eq!(code(&create(81).await.unwrap_err()), "DuplicateTargetGroupName");
    let delay = |seconds: &str| {
        let key = "deregistration_delay.timeout_seconds";
        let attribute = TargetGroupAttribute::builder().key(key).value(seconds).build();
        scene.elb.modify_target_group_attributes().target_group_arn(&arn).attributes(attribute).send()
    };
    delay("3600").await.unwrap();
    assert_eq!(code(&delay("3601").await.unwrap_err()), "InvalidConfigurationRequest");
    let read = scene.elb.describe_target_group_attributes().target_group_arn(&arn).send().await.unwrap();
    assert!(read.attributes().iter().any(|one| one.value() == Some("3600")));
    let nowhere = scene.elb.describe_target_groups().names("nowhere").send().await.unwrap_err();
    assert_eq!(code(&nowhere), "TargetGroupNotFound");
    let found = scene.elb.describe_load_balancers().names("public").send().await.unwrap();
    let balancer = found.load_balancers()[0].load_balancer_arn().unwrap();
    let of = scene.elb.describe_target_groups().load_balancer_arn(balancer).send().await.unwrap();
    let names: Vec<_> = of.target_groups().iter().map(|one| one.target_group_name().unwrap()).collect();
    assert_eq!(names, ["public-blue", "public-green"]);
    assert_eq!(of.target_groups()[0].load_balancer_arns(), [balancer]);
    assert!(scene.fake.world(|world| world.described(&arn).is_some()));
    scene.elb.delete_target_group().target_group_arn(&arn).send().await.unwrap();
    let limits = scene.elb.describe_account_limits().send().await.unwrap();
    assert!(!limits.limits().is_empty());
}

#[tokio::test]
async fn tags_of_twenty_resources_are_read_and_of_no_more() {
    let scene = scene(Settings::default()).await;
    let tag =
        aws_sdk_elasticloadbalancingv2::types::Tag::builder().key("rollout").value("r-1 & <more>").build();
    scene.elb.add_tags().resource_arns(&scene.green).tags(tag.clone()).send().await.unwrap();
    let read = scene.elb.describe_tags().resource_arns(&scene.green).send().await.unwrap();
    assert_eq!(read.tag_descriptions()[0].tags(), [tag]);
    let many = vec![scene.green.clone(); 21];
    let refused = scene.elb.describe_tags().set_resource_arns(Some(many)).send().await.unwrap_err();
    assert_eq!(code(&refused), "ValidationError");
    scene.elb.remove_tags().resource_arns(&scene.green).tag_keys("rollout").send().await.unwrap();
    let read = scene.elb.describe_tags().resource_arns(&scene.green).send().await.unwrap();
    assert!(read.tag_descriptions()[0].tags().is_empty());
}

#[tokio::test]
async fn a_security_group_that_keeps_the_balancer_out_makes_a_target_unhealthy() {
    let scene = scene(Settings { security_groups: true, ..Settings::default() }).await;
    scene.until("a healthy blue", |world| world.healthy(&scene.blue) == 2).await;
    scene.fake.world(|world| {
        let closed = world.security_group("closed", &[("sg-other", 80, 80)]);
        for instance in world.instances.values_mut() {
            instance.security_groups = vec![closed.clone()];
        }
    });
    scene.until("an unhealthy blue", |world| world.healthy(&scene.blue) == 0).await;
    assert_eq!(scene.fake.oracle().dark(), ["public-blue".to_owned()].into());
}
