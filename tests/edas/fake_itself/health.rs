//! Who is well, who says so, and who goes dark.

use serde_json::{Value, json};

use super::{Scene, each, scene};
use crate::fake::{Darkness, GroupOptions, Oracle, Settings, World};

/// What a listener of the ALB says of a group, by its rule: how many, and who is not well.
fn told(scene: &Scene, group: &str) -> (Value, Vec<String>) {
    let asked = [("ListenerId", scene.listener.as_str()), ("IncludeRule", "true"), ("MaxResults", "30")];
    let reply = scene.done("alb", "GetListenerHealthStatus", &asked).body;
    let rule = &reply["RuleHealthStatus"][0];
    assert_eq!(rule["RuleId"], json!(scene.rule));
    let infos = rule["ServerGroupInfos"].as_array().unwrap();
    let info = infos.iter().find(|info| info["ServerGroupId"] == group).unwrap();
    let ill =
        each(&info["NonNormalServers"], "Status").into_iter().map(|one| one.as_str().unwrap().to_owned());
    (info["ServerCount"].clone(), ill.collect())
}

#[test]
fn an_application_load_balancer_tells_only_of_who_is_not_well() {
    let scene = scene(Settings::default());
    let none = Vec::<String>::new;
    let plain = scene.done("alb", "GetListenerHealthStatus", &[("ListenerId", &scene.listener)]).body;
    assert_eq!(plain["RuleHealthStatus"], json!([]), "of rules only where that is asked for");
    assert_eq!(told(&scene, &scene.own), (json!(2), none()));
    assert_eq!(told(&scene, &scene.other), (json!(0), none()), "nobody is not well where nobody is");
    let green = scene.fake.world(World::host);
    scene.fake.world(|world| world.add(&scene.other, &green, 8080));
    assert_eq!(told(&scene, &scene.other).1, ["Unused"], "a weight of 0 is not checked");
    scene.fake.world(|world| world.sicken("public-a", &scene.hosts[0]));
    scene.until("the one to be found ill", |world| world.healthy(&scene.own) == 1);
    assert_eq!(told(&scene, &scene.own), (json!(2), vec!["Unhealthy".to_owned()]));
    scene.fake.world(|world| world.recover("public-a", &scene.hosts[0]));
    scene.until("it to be well again", |world| world.healthy(&scene.own) == 2);
    assert!(scene.fake.oracle().darknesses.is_empty());
    scene.honest();
}

#[test]
fn a_group_that_nobody_checked_is_dark_when_traffic_comes() {
    let scene = scene(Settings { health_after: 300, ..Settings::default() });
    let green = scene.fake.world(World::host);
    scene.fake.world(|world| world.add(&scene.other, &green, 8080));
    scene.until("it to be there", |world| {
        world.server_states(&scene.other).values().any(|state| state == "unused")
    });
    assert_eq!(scene.shift("0", "100").status, 200);
    scene.shifted(0, 100);
    assert_eq!(scene.fake.oracle().dark().into_iter().collect::<Vec<_>>(), ["public-b"]);
    scene.until("somebody to have looked", |world| world.healthy(&scene.other) == 1);
    let [darkness]: [Darkness; 1] = scene.fake.oracle().darknesses.try_into().unwrap();
    assert_eq!((darkness.group.as_str(), darkness.by.as_str()), ("public-b", "time"));
    assert!(darkness.until.is_some());
}

#[test]
fn a_preview_rule_has_a_group_checked_and_is_nobodys_traffic() {
    let scene = scene(Settings { job: 0, ..Settings::default() });
    let green = scene.fake.world(World::host);
    scene.fake.world(|world| world.add(&scene.other, &green, 8080));
    let rule = [
        ("ListenerId", scene.listener.as_str()),
        ("Priority", "9000"),
        ("RuleName", "preview"),
        ("RuleConditions.1.Type", "Header"),
        ("RuleConditions.1.HeaderConfig.Key", "X-Deployer-Preview"),
        ("RuleConditions.1.HeaderConfig.Values.1", &scene.other),
        ("RuleActions.1.Order", "1"),
        ("RuleActions.1.Type", "ForwardGroup"),
        ("RuleActions.1.ForwardGroupConfig.ServerGroupTuples.1.ServerGroupId", &scene.other),
    ];
    scene.done("alb", "CreateRule", &rule);
    scene.until("green to be well", |world| {
        world.server_states(&scene.other).values().any(|state| state == "healthy")
    });
    scene.fake.world(|world| world.kill(&green, "Stopped"));
    scene.until("green to be ill", |world| {
        world.server_states(&scene.other).values().all(|state| state == "unhealthy")
    });
    assert!(scene.fake.oracle().darknesses.is_empty(), "nobody was sent there");
    // In production it would be dark, and gets traffic all the same.
    assert_eq!(scene.shift("50", "50").status, 200);
    scene.shifted(50, 50);
    assert_eq!(scene.fake.oracle().dark().into_iter().collect::<Vec<_>>(), ["public-b"]);
    scene.honest();
}

#[test]
fn an_instance_is_well_where_its_application_runs() {
    let scene = scene(Settings::default());
    assert_eq!(scene.ended(&scene.app("StopApplication", &[])), 2);
    scene.until("everybody to be found ill", |world| {
        [&scene.own, &scene.flows, &scene.vserver].into_iter().all(|group| world.healthy(group) == 0)
    });
    let dark: Vec<String> = scene.fake.oracle().dark().into_iter().collect();
    assert_eq!(dark, ["internal", "partner", "public-a"]);
    assert_eq!(scene.ended(&scene.app("StartApplication", &[])), 2);
    scene.until("everybody to be well", |world| {
        [&scene.own, &scene.flows, &scene.vserver].into_iter().all(|group| world.healthy(group) == 2)
    });
    assert!(scene.fake.oracle().dark().is_empty());
}

#[test]
fn a_stream_tells_who_is_not_well_and_not_how_many_there_are() {
    let scene = scene(Settings::default());
    let read = || {
        let reply = scene.done("nlb", "GetListenerHealthStatus", &[("ListenerId", &scene.stream)]).body;
        reply["ListenerHealthStatus"][0]["ServerGroupInfos"][0].clone()
    };
    assert_eq!(read()["NonNormalServers"], json!([]));
    assert_eq!(read()["HeathCheckEnabled"], true);
    assert!(read().get("ServerCount").is_none());
    scene.fake.world(|world| world.sicken("internal", "1"));
    scene.until("everybody to be ill", |world| world.healthy(&scene.flows) == 0);
    assert_eq!(each(&read()["NonNormalServers"], "Status"), ["Unhealthy", "Unhealthy"]);
    let dark: Vec<String> = scene.fake.oracle().dark().into_iter().collect();
    assert_eq!(dark, ["internal"]);
    scene.honest();
}

#[test]
fn a_classic_load_balancer_tells_of_everybody() {
    let scene = scene(Settings::default());
    let read = || {
        let asked =
            [("LoadBalancerId", scene.clb.as_str()), ("RegionId", "cn-hongkong"), ("ListenerPort", "80")];
        let reply = scene.done("slb", "DescribeHealthStatus", &asked).body;
        let list = reply["BackendServers"]["BackendServer"].clone();
        each(&list, "ServerHealthStatus")
            .into_iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(read(), ["normal", "normal"]);
    scene.fake.world(|world| world.sicken("*", &scene.hosts[0]));
    scene.until("the one to be ill", |world| world.healthy(&scene.vserver) == 1);
    assert_eq!(read(), ["abnormal", "normal"]);
    let light = json!([{ "ServerId": scene.hosts[1], "Weight": "0", "Port": "8080" }]).to_string();
    let set =
        [("RegionId", "cn-hongkong"), ("VServerGroupId", scene.vserver.as_str()), ("BackendServers", &light)];
    scene.done("slb", "SetVServerGroupAttribute", &set);
    assert_eq!(read(), ["abnormal", "unavailable"]);
    assert!(scene.fake.oracle().dark().contains("partner"), "the only one who was well carries nothing");
    scene.honest();
}

#[test]
fn a_group_that_is_not_checked_says_so() {
    let scene = scene(Settings::default());
    let group = scene.fake.world(|world| {
        let group = world
            .alb_group("unchecked", &GroupOptions { checked: false, kind: "Ip", ..GroupOptions::default() });
        let listener = world.listener(&scene.alb, 81, &group);
        let ip = world.hosts[&scene.hosts[0]].ip.clone();
        world.stand(&group, &ip, 8080, 100);
        listener
    });
    let told = scene.done("alb", "GetListenerHealthStatus", &[("ListenerId", &group)]).body;
    let info = &told["ListenerHealthStatus"][0]["ServerGroupInfos"][0];
    assert_eq!(each(&info["NonNormalServers"], "Status"), ["Unavailable"]);
    assert_eq!(told["RuleHealthStatus"], json!([]));
    scene.fake.world(|world| world.kill(&scene.hosts[0], "released"));
    assert!(scene.fake.oracle().dark().contains("unchecked"), "whoever says what, nobody is there");
    scene.honest();
}

#[test]
fn whoever_takes_the_last_one_out_is_told_by_name() {
    let scene = scene(Settings::default());
    let group = scene.fake.world(|world| world.group_by_name("public-a").unwrap().id.clone());
    scene.fake.world(|world| {
        for host in &scene.hosts {
            world.remove(&group, host);
        }
    });
    let oracle: Oracle = scene.fake.oracle();
    assert_eq!(oracle.dark().into_iter().collect::<Vec<_>>(), ["public-a"]);
    assert_eq!(oracle.darknesses[0].by, "the test's own hands");
    assert_eq!(oracle.darknesses[0].until, None);
}
