//! Auto Scaling.

use aws_sdk_autoscaling::types::{
    Filter, LaunchTemplateSpecification, LifecycleHookSpecification, Tag, TrafficSourceIdentifier,
};

use super::{code, scene};
use crate::fake::{Settings, TargetGroupSettings, World};

fn version(number: &str) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder().launch_template_name("api").version(number).build()
}

#[tokio::test]
async fn what_is_given_at_creation_is_given_back() {
    let scene = scene(Settings::default()).await;
    let tag = Tag::builder().key("rollout").value("r-1").propagate_at_launch(true).build();
    let create =
        scene.asg.create_auto_scaling_group().auto_scaling_group_name("green").launch_template(version("2"));
    let create = create.min_size(0).max_size(3).desired_capacity(1).tags(tag).health_check_type("ELB");
    let create = create.health_check_grace_period(30).target_group_arns(&scene.green).default_cooldown(7);
    create.clone().send().await.unwrap();
    assert_eq!(code(&create.send().await.unwrap_err()), "AlreadyExists");
    let filter = Filter::builder().name("tag:rollout").values("r-1").build();
    let found = scene.asg.describe_auto_scaling_groups().filters(filter).send().await.unwrap();
    let group = &found.auto_scaling_groups()[0];
    assert_eq!(group.auto_scaling_group_name(), Some("green"));
    assert_eq!((group.min_size(), group.max_size(), group.desired_capacity()), (Some(0), Some(3), Some(1)));
    assert_eq!((group.health_check_type(), group.health_check_grace_period()), (Some("ELB"), Some(30)));
    assert_eq!(group.launch_template().unwrap().version(), Some("2"));
    assert_eq!(group.target_group_arns(), std::slice::from_ref(&scene.green));
    scene.until("an instance in service", |world| world.in_service("green").len() == 1).await;
    scene.fake.world(|world| {
        let id = world.in_service("green").remove(0);
        assert_eq!(world.instances[&id].image, "ami-2");
        assert_eq!(world.instances[&id].tags["rollout"], "r-1");
    });
    let found = scene.asg.describe_auto_scaling_instances().send().await.unwrap();
    assert_eq!(found.auto_scaling_instances().len(), 3);
    let unknown =
        scene.asg.create_auto_scaling_group().auto_scaling_group_name("x").launch_template(version("1"));
    let unknown = unknown.min_size(0).max_size(1).target_group_arns("arn:aws:none");
    assert_eq!(code(&unknown.send().await.unwrap_err()), "ValidationError");
    scene.quiet();
}

#[tokio::test]
async fn instances_launched_while_registration_is_suspended_never_stand_in_a_group() {
    let scene = scene(Settings::default()).await;
    let suspend = scene.asg.suspend_processes().auto_scaling_group_name("blue");
    suspend.scaling_processes("AddToLoadBalancer").send().await.unwrap();
    scene
        .asg
        .set_desired_capacity()
        .auto_scaling_group_name("blue")
        .desired_capacity(3)
        .send()
        .await
        .unwrap();
    scene.until("three in service", |world| world.in_service("blue").len() == 3).await;
    scene.asg.resume_processes().auto_scaling_group_name("blue").send().await.unwrap();
    scene.asg.describe_scaling_activities().auto_scaling_group_name("blue").send().await.unwrap();
    assert_eq!(scene.states(&scene.blue).await.len(), 2);
}

#[tokio::test]
async fn suspended_processes_hold_a_fleet_still() {
    let scene = scene(Settings::default()).await;
    let suspend = scene.asg.suspend_processes().auto_scaling_group_name("blue");
    suspend.scaling_processes("AlarmNotification").scaling_processes("Launch").send().await.unwrap();
    scene.fake.world(|world| {
        assert!(!world.scale_outside("blue", "AlarmNotification", 4));
        assert!(world.scale_outside("blue", "ScheduledActions", 4));
    });
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    assert_eq!(scene.fake.world(|world| world.members("blue").count()), 2);
    let refused = scene.asg.set_desired_capacity().auto_scaling_group_name("blue").desired_capacity(5);
    assert_eq!(code(&refused.send().await.unwrap_err()), "ValidationError");
}

#[tokio::test]
async fn a_fleet_that_shrinks_drains_first_and_one_that_loses_an_instance_replaces_it() {
    let scene = scene(Settings { second: 10.0, ..Settings::default() }).await;
    let before = scene.fake.world(|world| world.in_service("blue"));
    scene
        .asg
        .set_desired_capacity()
        .auto_scaling_group_name("blue")
        .desired_capacity(1)
        .send()
        .await
        .unwrap();
    let draining = |state: &String| state == "draining";
    let one_drains =
        |world: &World| world.target_states(&scene.blue).values().filter(|s| draining(s)).count() == 1;
    scene.until("one that drains", one_drains).await;
    scene
        .until("one left", |world| {
            world.members("blue").count() == 1 && world.target_states(&scene.blue).len() == 1
        })
        .await;
    scene.quiet();
    let last = scene.fake.world(|world| world.in_service("blue").remove(0));
    assert!(before.contains(&last));
    scene.fake.world(|world| world.kill(&last, "terminated"));
    scene
        .until("a replacement", |world| {
            world.healthy(&scene.blue) == 1 && !world.in_service("blue").contains(&last)
        })
        .await;
    assert_eq!(scene.fake.oracle().darknesses.len(), 1);
}

#[tokio::test]
async fn a_launching_hook_holds_an_instance_until_it_is_completed() {
    let scene = scene(Settings::default()).await;
    let hook = LifecycleHookSpecification::builder().lifecycle_hook_name("warm").heartbeat_timeout(3600);
    let hook =
        hook.lifecycle_transition("autoscaling:EC2_INSTANCE_LAUNCHING").default_result("ABANDON").build();
    let create =
        scene.asg.create_auto_scaling_group().auto_scaling_group_name("green").launch_template(version("2"));
    let create = create.min_size(1).max_size(1).lifecycle_hook_specification_list(hook);
    create.target_group_arns(&scene.green).send().await.unwrap();
    scene
        .until("a waiting instance", |world| {
            world.members("green").any(|(_, one)| one.lifecycle == "Pending:Wait")
        })
        .await;
    assert!(scene.states(&scene.green).await.is_empty());
    let id = scene.fake.world(|world| world.members("green").next().unwrap().0.id.clone());
    let complete =
        scene.asg.complete_lifecycle_action().auto_scaling_group_name("green").lifecycle_hook_name("warm");
    let complete = complete.instance_id(&id).lifecycle_action_result("CONTINUE");
    complete.clone().send().await.unwrap();
    scene.until("service", |world| world.in_service("green") == [id.clone()]).await;
    assert_eq!(code(&complete.send().await.unwrap_err()), "ValidationError");
    let hooks = scene.asg.describe_lifecycle_hooks().auto_scaling_group_name("green").send().await.unwrap();
    assert_eq!(hooks.lifecycle_hooks()[0].lifecycle_hook_name(), Some("warm"));
    scene
        .asg
        .delete_lifecycle_hook()
        .auto_scaling_group_name("green")
        .lifecycle_hook_name("warm")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn traffic_sources_and_target_groups_are_two_lists() {
    let scene = scene(Settings::default()).await;
    let source = TrafficSourceIdentifier::builder().identifier(&scene.green).r#type("elbv2").build();
    let lattice = "arn:aws:vpc-lattice:eu-west-1:111122223333:targetgroup/tg-1";
    let other = TrafficSourceIdentifier::builder().identifier(lattice).r#type("vpc-lattice").build();
    let attach = scene.asg.attach_traffic_sources().auto_scaling_group_name("blue");
    attach.traffic_sources(source.clone()).traffic_sources(other).send().await.unwrap();
    scene.until("health in green's group", |world| world.healthy(&scene.green) == 2).await;
    let old = scene
        .asg
        .describe_load_balancer_target_groups()
        .auto_scaling_group_name("blue")
        .send()
        .await
        .unwrap();
    assert_eq!(old.load_balancer_target_groups().len(), 1);
    let new = scene.asg.describe_traffic_sources().auto_scaling_group_name("blue").send().await.unwrap();
    assert_eq!(new.traffic_sources().len(), 3);
    let group =
        scene.asg.describe_auto_scaling_groups().auto_scaling_group_names("blue").send().await.unwrap();
    assert_eq!(group.auto_scaling_groups()[0].traffic_sources().len(), 2);
    let wrong = scene.asg.detach_load_balancer_target_groups().auto_scaling_group_name("blue");
    assert_eq!(code(&wrong.target_group_arns(&scene.green).send().await.unwrap_err()), "ValidationError");
    let detach = scene.asg.detach_traffic_sources().auto_scaling_group_name("blue").traffic_sources(source);
    detach.send().await.unwrap();
    scene.until("an empty green group", |world| world.target_states(&scene.green).is_empty()).await;
    let eleven = vec![scene.green.clone(); 11];
    let attach = scene.asg.attach_load_balancer_target_groups().auto_scaling_group_name("blue");
    assert_eq!(
        code(&attach.set_target_group_arns(Some(eleven)).send().await.unwrap_err()),
        "ValidationError"
    );
}

#[tokio::test]
async fn every_listing_pages_when_pages_are_small() {
    let scene = scene(Settings { page: Some(1), ..Settings::default() }).await;
    scene.fake.world(|world| {
        world.asg("other", ("api", 1), 1, &[], &[("service", "other")]);
        world.target_group("third", &TargetGroupSettings::default());
    });
    let first = scene.asg.describe_auto_scaling_groups().send().await.unwrap();
    assert_eq!(first.auto_scaling_groups().len(), 1);
    let wrong =
        scene.asg.describe_policies().next_token(first.next_token().unwrap()).send().await.unwrap_err();
    assert_eq!(code(&wrong), "InvalidNextToken");
    let all = scene.asg.describe_auto_scaling_groups().into_paginator().items().send();
    assert_eq!(all.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 2);
    let all = scene.elb.describe_target_groups().into_paginator().items().send();
    assert_eq!(all.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 3);
    let all = scene.asg.describe_tags().into_paginator().items().send();
    assert_eq!(all.collect::<Result<Vec<_>, _>>().await.unwrap().len(), 2);
    scene.quiet();
}

#[tokio::test]
async fn what_hangs_on_a_fleet_is_stored_and_listed() {
    let scene = scene(Settings::default()).await;
    let blue = "blue";
    let policy = scene.asg.put_scaling_policy().auto_scaling_group_name(blue).policy_name("busy");
    policy.adjustment_type("ChangeInCapacity").scaling_adjustment(1).send().await.unwrap();
    let found = scene.asg.describe_policies().auto_scaling_group_name(blue).send().await.unwrap();
    assert_eq!(found.scaling_policies()[0].scaling_adjustment(), Some(1));
    let action = scene.asg.put_scheduled_update_group_action().auto_scaling_group_name(blue);
    action.scheduled_action_name("night").recurrence("0 0 * * *").desired_capacity(1).send().await.unwrap();
    let found = scene.asg.describe_scheduled_actions().auto_scaling_group_name(blue).send().await.unwrap();
    assert_eq!(found.scheduled_update_group_actions()[0].recurrence(), Some("0 0 * * *"));
    let notify =
        scene.asg.put_notification_configuration().auto_scaling_group_name(blue).topic_arn("arn:aws:sns:t");
    notify.notification_types("autoscaling:EC2_INSTANCE_LAUNCH").send().await.unwrap();
    let found = scene.asg.describe_notification_configurations().send().await.unwrap();
    assert_eq!(found.notification_configurations().len(), 1);
    scene
        .asg
        .enable_metrics_collection()
        .auto_scaling_group_name(blue)
        .granularity("1Minute")
        .send()
        .await
        .unwrap();
    scene.asg.put_warm_pool().auto_scaling_group_name(blue).min_size(1).send().await.unwrap();
    let pool = scene.asg.describe_warm_pool().auto_scaling_group_name(blue).send().await.unwrap();
    assert_eq!(pool.warm_pool_configuration().unwrap().min_size(), Some(1));
    let refreshes =
        scene.asg.describe_instance_refreshes().auto_scaling_group_name(blue).send().await.unwrap();
    assert!(refreshes.instance_refreshes().is_empty());
    let tag =
        Tag::builder().key("rollout").value("r-1").resource_id(blue).resource_type("auto-scaling-group");
    let tag = tag.propagate_at_launch(false).build();
    scene.asg.create_or_update_tags().tags(tag.clone()).send().await.unwrap();
    scene.asg.delete_tags().tags(tag).send().await.unwrap();
    let id = scene.fake.world(|world| world.in_service(blue).remove(0));
    let protect = scene.asg.set_instance_protection().auto_scaling_group_name(blue).instance_ids(&id);
    protect.protected_from_scale_in(true).send().await.unwrap();
    scene.asg.update_auto_scaling_group().auto_scaling_group_name(blue).max_size(9).send().await.unwrap();
    let terminate = scene.asg.terminate_instance_in_auto_scaling_group().instance_id(&id);
    terminate.should_decrement_desired_capacity(true).send().await.unwrap();
    scene.until("one left", |world| world.members(blue).count() == 1).await;
    assert_eq!(
        scene.asg.describe_account_limits().send().await.unwrap().number_of_auto_scaling_groups(),
        Some(1)
    );
    scene.quiet();
}
