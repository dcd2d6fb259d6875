//! `CodeDeploy`.

use aws_sdk_codedeploy::types::{
    DeploymentStatus, DeploymentWaitType, LoadBalancerInfo, RevisionLocation, RevisionLocationType,
    S3Location, TargetFilterName, TargetGroupInfo,
};

use super::{Scene, code, scene};
use crate::fake::{CodeDeployOptions, Settings, TargetGroupSettings};

async fn prepared(settings: Settings, options: CodeDeployOptions) -> Scene {
    let scene = scene(settings).await;
    scene.fake.world(|world| world.codedeploy_group("shop", "api", "blue", &["public-blue"], &options));
    scene
}

fn revision(key: &str) -> RevisionLocation {
    let place = S3Location::builder().bucket("revisions").key(key).build();
    RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(place).build()
}

async fn deploy(scene: &Scene, key: &str) -> Result<String, String> {
    let create = scene.deploy.create_deployment().application_name("shop").deployment_group_name("api");
    let sent = create.revision(revision(key)).description("r-1").send().await;
    sent.map(|answer| answer.deployment_id().unwrap().to_owned()).map_err(|error| code(&error))
}

async fn status(scene: &Scene, id: &str) -> DeploymentStatus {
    let answer = scene.deploy.get_deployment().deployment_id(id).send().await.unwrap();
    answer.deployment_info().unwrap().status().unwrap().clone()
}

async fn go_on(scene: &Scene, id: &str, wait: DeploymentWaitType) -> Result<(), String> {
    let sent = scene.deploy.continue_deployment().deployment_id(id).deployment_wait_type(wait).send().await;
    sent.map(drop).map_err(|error| code(&error))
}

async fn until(scene: &Scene, status: &str) {
    scene.until(status, |world| world.deployments.last().unwrap().status == status).await;
}

#[tokio::test]
async fn a_blue_green_deployment_waits_twice_and_ends_with_green() {
    let options = CodeDeployOptions {
        termination_wait_mins: Some(600),
        ready_wait_mins: Some(600),
        ..Default::default()
    };
    let scene = prepared(Settings::default(), options).await;
    let id = deploy(&scene, "v2").await.unwrap();
    assert_eq!(deploy(&scene, "v3").await, Err("DeploymentLimitExceededException".to_owned()));
    until(&scene, "Ready").await;
    let early = go_on(&scene, &id, DeploymentWaitType::TerminationWait).await;
    assert_eq!(early, Err("InvalidDeploymentStatusException".to_owned()));
    let green = scene.fake.world(|world| world.deployments[0].green_fleet.clone().unwrap());
    assert_eq!(green, format!("CodeDeploy_api_{id}"));
    go_on(&scene, &id, DeploymentWaitType::ReadyWait).await.unwrap();
    scene.until("the second wait", |world| world.deployments[0].termination_wait).await;
    let info = scene.deploy.get_deployment().deployment_id(&id).send().await.unwrap();
    assert!(info.deployment_info().unwrap().instance_termination_wait_time_started());
    let label = TargetFilterName::ServerInstanceLabel;
    let listed = scene.deploy.list_deployment_targets().deployment_id(&id);
    let listed = listed.target_filters(label, vec!["Green".to_owned()]).send().await.unwrap();
    assert_eq!(listed.target_ids(), scene.fake.world(|world| world.in_service(&green)));
    let ids = Some(listed.target_ids().to_vec());
    let targets = scene
        .deploy
        .batch_get_deployment_targets()
        .deployment_id(&id)
        .set_target_ids(ids)
        .send()
        .await
        .unwrap();
    let events = targets.deployment_targets()[0].instance_target().unwrap().lifecycle_events();
    assert_eq!(events.len(), 10);
    go_on(&scene, &id, DeploymentWaitType::TerminationWait).await.unwrap();
    until(&scene, "Succeeded").await;
    assert!(!scene.fake.world(|world| world.fleets.contains_key("blue")));
    let group = scene.deploy.get_deployment_group().application_name("shop").deployment_group_name("api");
    let group = group.send().await.unwrap();
    assert_eq!(group.deployment_group_info().unwrap().auto_scaling_groups()[0].name(), Some(green.as_str()));
    let done = go_on(&scene, &id, DeploymentWaitType::ReadyWait).await;
    assert_eq!(done, Err("DeploymentAlreadyCompletedException".to_owned()));
    scene.quiet();
}

#[tokio::test]
async fn a_group_that_is_not_listed_goes_dark_when_blue_is_terminated() {
    let options =
        CodeDeployOptions { ready_wait_mins: None, termination_wait_mins: Some(0), ..Default::default() };
    let scene = prepared(Settings::default(), options).await;
    let internal = scene.fake.world(|world| {
        let group = world.target_group("internal", &TargetGroupSettings::default());
        let balancer = world.nlb("internal");
        world.listener(&balancer, 8080, &[(&group, 1)]).unwrap();
        world.in_service("blue").iter().for_each(|id| world.register_by_hand(&group, id, None));
        group
    });
    scene.until("a healthy internal group", |world| world.healthy(&internal) == 2).await;
    let id = deploy(&scene, "v2").await.unwrap();
    until(&scene, "Succeeded").await;
    assert_eq!(status(&scene, &id).await, DeploymentStatus::Succeeded);
    assert_eq!(scene.fake.oracle().dark(), ["internal".to_owned()].into());
    assert_eq!(scene.fake.oracle().darknesses[0].by, "time");
}

#[tokio::test]
async fn a_copy_may_lose_its_attachments_and_be_too_small() {
    let settings = Settings { copy_loses_attachments: true, copy_short_by: 1, ..Settings::default() };
    let scene =
        prepared(settings, CodeDeployOptions { termination_wait_mins: None, ..Default::default() }).await;
    deploy(&scene, "v2").await.unwrap();
    until(&scene, "Ready").await;
    scene.fake.world(|world| {
        let green = &world.fleets[world.deployments[0].green_fleet.as_ref().unwrap()];
        assert_eq!((green.desired, green.attachments.len()), (1, 0));
    });
}

#[tokio::test]
async fn a_deployment_that_is_not_continued_stops() {
    let options = CodeDeployOptions { ready_wait_mins: Some(1), ..Default::default() };
    let scene = prepared(Settings::default(), options).await;
    let id = deploy(&scene, "v2").await.unwrap();
    until(&scene, "Stopped").await;
    assert_eq!(status(&scene, &id).await, DeploymentStatus::Stopped);
    assert!(scene.fake.world(|world| world.healthy(&scene.blue) >= 2));
    scene.quiet();
}

#[tokio::test]
async fn a_deployment_that_is_stopped_in_its_second_wait_is_rolled_back() {
    let options =
        CodeDeployOptions { ready_wait_mins: None, termination_wait_mins: Some(600), ..Default::default() };
    let scene = prepared(Settings::default(), options).await;
    let id = deploy(&scene, "v2").await.unwrap();
    scene.until("the second wait", |world| world.deployments[0].termination_wait).await;
    let before = scene.fake.world(|world| world.deployments[0].green.clone());
    let stop = scene.deploy.stop_deployment().deployment_id(&id).auto_rollback_enabled(true);
    stop.send().await.unwrap();
    until(&scene, "Succeeded").await;
    let listed = scene.deploy.list_deployments().application_name("shop").deployment_group_name("api");
    let listed = listed.send().await.unwrap();
    assert_eq!(listed.deployments().len(), 2);
    let ids = Some(listed.deployments().to_vec());
    let both = scene.deploy.batch_get_deployments().set_deployment_ids(ids).send().await.unwrap();
    let creators: Vec<_> =
        both.deployments_info().iter().map(|one| one.creator().unwrap().as_str().to_owned()).collect();
    assert_eq!(creators, ["user", "codeDeployRollback"]);
    let only = scene
        .deploy
        .list_deployments()
        .include_only_statuses(DeploymentStatus::Stopped)
        .send()
        .await
        .unwrap();
    assert_eq!(only.deployments(), [id]);
    scene.fake.world(|world| {
        let blue = world.in_service("blue");
        let states = world.target_states(&scene.blue);
        assert!(blue.iter().all(|id| states[&(id.clone(), 80)] == "healthy"));
        assert!(before.iter().all(|id| !states.contains_key(&(id.clone(), 80))));
    });
    scene.quiet();
}

#[tokio::test]
async fn a_failing_event_in_place_fails_the_deployment_and_rolls_back() {
    let options = CodeDeployOptions { blue_green: false, rollback: true, ..Default::default() };
    let scene = prepared(Settings::default(), options).await;
    scene.fake.world(|world| world.break_event("ValidateService", "v2"));
    let id = deploy(&scene, "v2").await.unwrap();
    until(&scene, "Succeeded").await;
    assert_eq!(status(&scene, &id).await, DeploymentStatus::Failed);
    // All at once takes every instance out first.
    assert!(!scene.fake.oracle().darknesses.is_empty());
    assert!(scene.fake.oracle().dark().is_empty());
}

#[tokio::test]
async fn a_deployment_group_is_read_and_replaced_list_by_list() {
    let scene = prepared(Settings::default(), CodeDeployOptions::default()).await;
    scene.deploy.get_application().application_name("shop").send().await.unwrap();
    let unknown = scene.deploy.get_application().application_name("none").send().await.unwrap_err();
    assert_eq!(code(&unknown), "ApplicationDoesNotExistException");
    let names = scene.deploy.list_deployment_groups().application_name("shop").send().await.unwrap();
    assert_eq!(names.deployment_groups(), ["api"]);
    let info = |count: usize| {
        let group = |n| TargetGroupInfo::builder().name(format!("g-{n}")).build();
        LoadBalancerInfo::builder().set_target_group_info_list(Some((0..count).map(group).collect())).build()
    };
    let update = |count| {
        let update = scene.deploy.update_deployment_group().application_name("shop");
        update.current_deployment_group_name("api").load_balancer_info(info(count)).send()
    };
    update(2).await.unwrap();
    assert_eq!(code(&update(11).await.unwrap_err()), "InvalidLoadBalancerInfoException");
    let groups =
        scene.deploy.batch_get_deployment_groups().application_name("shop").deployment_group_names("api");
    let groups = groups.send().await.unwrap();
    let group = &groups.deployment_groups_info()[0];
    assert_eq!(group.load_balancer_info().unwrap().target_group_info_list().len(), 2);
    assert_eq!(group.auto_scaling_groups()[0].name(), Some("blue"));
    scene.quiet();
}
