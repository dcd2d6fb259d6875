//! Both readings of what no source tells.

use std::collections::BTreeMap;

use serde_json::json;

use super::{each, scene};
use crate::caller::call;
use crate::fake::{CrossGroup, Settings, World};

#[test]
fn servers_are_looked_for_over_all_groups_or_not() {
    for (reading, status, found) in
        [(CrossGroup::Works, 200, 1), (CrossGroup::Refused, 400, 0), (CrossGroup::Empty, 200, 0)]
    {
        let scene = scene(Settings { cross_group: reading, ..Settings::default() });
        for name in ["alb", "nlb"] {
            let reply =
                call(&scene.fake, name, "ListServerGroupServers", &[("ServerIds.1", &scene.hosts[0])]);
            let servers = reply.body["Servers"].as_array().map_or(0, Vec::len);
            assert_eq!((reply.status, servers), (status, found), "{name} {reading:?}");
        }
    }
}

#[test]
fn an_answer_is_spelt_one_way_or_the_other() {
    let scene = scene(Settings { misspelt: true, code_as_text: true, ..Settings::default() });
    let reply = scene.app("GetApplication", &[]);
    assert_eq!((&reply["Code"], &reply["Applcation"]["Name"]), (&json!("200"), &json!("api")));
    assert!(reply.get("Application").is_none());
    scene.fake.world(|world| world.refuse("ListDeployGroup", 601, "not now"));
    let refusal = scene.app("ListDeployGroup", &[]);
    assert_eq!((&refusal["Code"], &refusal["Message"]), (&json!("601"), &json!("not now")));
    assert_eq!(scene.app("ListDeployGroup", &[])["Code"], "200", "once");
}

#[test]
fn a_write_is_seen_late() {
    let scene = scene(Settings { lag: 400, ..Settings::default() });
    let groups = || {
        let reply = scene.app("ListDeployGroup", &[])["DeployGroupList"]["DeployGroup"].clone();
        reply.as_array().unwrap().len()
    };
    assert_eq!(groups(), 3, "what a test does by hand is seen at once");
    scene.app("InsertDeployGroup", &[("GroupName", "late")]);
    assert_eq!(groups(), 3, "not yet");
    assert_eq!(scene.app("InsertDeployGroup", &[("GroupName", "late")])["Code"], 601, "though it is there");
    scene.fake.pass(399);
    assert_eq!(groups(), 3, "not yet");
    scene.fake.pass(1);
    assert_eq!(groups(), 4);
}

#[test]
fn groups_and_servers_of_no_weight_are_checked_or_not() {
    let readings =
        Settings { checks_weightless_tuples: true, clb_checks_weightless: true, ..Settings::default() };
    let scene = scene(readings);
    let green = scene.fake.world(World::host);
    scene.fake.world(|world| {
        world.stand(&scene.vserver, &green, 8080, 0);
        world.add(&scene.other, &green, 8080);
    });
    scene.until("green to be well at a weight of 0", |world| {
        let states = [&scene.other, &scene.vserver].map(|group| world.server_states(group));
        states.iter().all(|states| states[&(green.clone(), 8080)] == "healthy")
    });
    assert_eq!(scene.fake.world(|world| world.healthy(&scene.vserver)), 2, "and yet nobody is sent to it");
    let asked = [("ListenerId", scene.listener.as_str()), ("IncludeRule", "true")];
    let told = scene.done("alb", "GetListenerHealthStatus", &asked).body;
    let infos = told["RuleHealthStatus"][0]["ServerGroupInfos"].clone();
    assert_eq!(each(&infos, "NonNormalServers"), [&json!([]), &json!([])]);
    scene.honest();
}

#[test]
fn a_group_without_a_package_gets_the_newest_or_none() {
    for (newest, running) in [(true, 1), (false, 0)] {
        let scene = scene(Settings { newest_for_empty_groups: newest, ..Settings::default() });
        scene.grow("1");
        let found = scene.fake.world(|world| world.running(&scene.app, "green", None)).len();
        assert_eq!(found, running);
    }
}

#[test]
fn a_group_names_its_package_before_or_after() {
    for first in [true, false] {
        let scene = scene(Settings { group_package_first: first, step: 60, ..Settings::default() });
        let order = scene.deploy(&scene.blue, "2", &[]);
        scene.until("the change to be under way", |world| world.running(&scene.app, "blue", None).is_empty());
        let groups = scene.app("ListDeployGroup", &[])["DeployGroupList"]["DeployGroup"].clone();
        assert_eq!(groups[1]["PackageVersion"], if first { "2" } else { "1" });
        assert_eq!(scene.ended(&order), 2);
        let groups = scene.app("ListDeployGroup", &[])["DeployGroupList"]["DeployGroup"].clone();
        assert_eq!(groups[1]["PackageVersion"], "2");
    }
}

#[test]
fn pages_are_small_and_calls_are_counted() {
    let per_minute = BTreeMap::from([("GetChangeOrderInfo", 2)]);
    let scene = scene(Settings { page: Some(1), per_minute, ..Settings::default() });
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let own = [("ServerGroupId", scene.own.clone()), ("MaxResults", "100".to_owned())];
        let more = token.take().map(|token: String| ("NextToken", token));
        let all: Vec<_> = own.into_iter().chain(more).collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = scene.done("alb", "ListServerGroupServers", &all).body;
        found.extend(each(&reply["Servers"], "ServerId").into_iter().cloned());
        match reply["NextToken"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, scene.hosts.iter().map(|host| json!(host)).collect::<Vec<_>>());
    let mut balancers = Vec::new();
    scene.fake.world(|world| world.clb("second"));
    for number in ["1", "2"] {
        let asked = [("RegionId", "cn-hongkong"), ("PageNumber", number), ("PageSize", "100")];
        let reply = scene.done("slb", "DescribeLoadBalancers", &asked).body;
        assert_eq!(reply["TotalCount"], 2);
        balancers
            .extend(each(&reply["LoadBalancers"]["LoadBalancer"], "LoadBalancerName").into_iter().cloned());
    }
    assert_eq!(balancers, ["old", "second"]);
    let asked = [("ChangeOrderId", "none")];
    let codes: Vec<u16> =
        (0..3).map(|_| call(&scene.fake, "edas", "GetChangeOrderInfo", &asked).status).collect();
    assert_eq!(codes, [200, 200, 400]);
    let last = call(&scene.fake, "edas", "GetChangeOrderInfo", &asked);
    assert_eq!(last.code(), "Throttling.User");
    assert_eq!(last.headers["x-acs-retry-after"], "20");
    scene.honest();
}

#[test]
fn a_firewall_keeps_out_who_is_not_let_in() {
    let scene = scene(Settings { security_groups: true, ..Settings::default() });
    scene.until("nobody to get through", |world| world.healthy(&scene.flows) == 0);
    scene.fake.world(|world| {
        world.security_group("sg-1", &[("10.0.0.0/8", 8080, 8080)]);
        for host in world.hosts.values_mut() {
            host.security_groups = vec!["sg-1".to_owned()];
        }
    });
    scene.until("everybody to get through", |world| world.healthy(&scene.flows) == 2);
    scene.fake.world(|world| world.security_group("sg-1", &[("10.0.0.0/8", 80, 80)]));
    scene.until("nobody to get through", |world| world.healthy(&scene.flows) == 0);
}
