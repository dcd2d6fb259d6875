//! Where traffic is sent, and when that changes.

use serde_json::{Value, json};

use super::{each, scene};
use crate::caller::call;
use crate::fake::{GroupOptions, Settings};

#[test]
fn a_rule_moves_when_its_job_is_done_and_takes_no_other_change_meanwhile() {
    let scene = scene(Settings { job: 200, ..Settings::default() });
    let hosts = scene.grow("2");
    scene.fake.world(|world| hosts.iter().for_each(|host| world.stand(&scene.other, host, 8080, 100)));
    let read = || scene.done("alb", "ListRules", &[("RuleIds.1", &scene.rule)]).body["Rules"][0].clone();
    assert_eq!(read()["RuleStatus"], "Available");
    assert_eq!(scene.shift("90", "10").status, 200);
    assert_eq!(read()["RuleStatus"], "Configuring");
    assert_eq!(scene.fake.world(|world| world.weights(&scene.rule))["public-b"], 0, "not yet");
    assert_eq!(scene.shift("50", "50").code(), "IncorrectStatus.Rule");
    let default = [
        ("ListenerId", scene.listener.as_str()),
        ("DefaultActions.1.Type", "ForwardGroup"),
        ("DefaultActions.1.ForwardGroupConfig.ServerGroupTuples.1.ServerGroupId", &scene.other),
    ];
    assert_eq!(scene.refused("alb", "UpdateListenerAttribute", &default), "ResourceInConfiguring.Listener");
    scene.shifted(90, 10);
    let tuples = read()["RuleActions"][0]["ForwardGroupConfig"]["ServerGroupTuples"].clone();
    assert_eq!(each(&tuples, "Weight"), [90, 10]);
    scene.done("alb", "UpdateListenerAttribute", &default);
    assert_eq!(scene.shift("50", "50").code(), "IncorrectStatus.Listener");
    let attribute = scene.done("alb", "GetListenerAttribute", &default[..1]).body;
    assert_eq!(attribute["ListenerStatus"], "Configuring");
    scene.until("the listener to be moved", |world| world.weights(&scene.listener).contains_key("public-b"));
    let listed =
        scene.done("alb", "ListListeners", &[("LoadBalancerIds.1", &scene.alb)]).body["Listeners"].clone();
    assert_eq!(each(&listed, "ListenerStatus"), ["Running"]);
    scene.done("alb", "GetLoadBalancerAttribute", &[("LoadBalancerId", &scene.alb)]);
    assert_eq!(scene.done("alb", "ListLoadBalancers", &[]).body["TotalCount"], 1);
    scene.honest();
}

#[test]
fn a_job_that_fails_has_moved_nothing() {
    let scene = scene(Settings::default());
    scene.fake.world(|world| world.fail_job("UpdateRuleAttribute", "SystemBusy"));
    let reply = scene.shift("0", "100");
    let id = reply.body["JobId"].as_str().unwrap();
    scene.until("the rule to be still", |world| world.rules.iter().all(|rule| rule.wanted.is_none()));
    let job = scene.done("alb", "ListAsynJobs", &[("JobIds.1", id)]).body["Jobs"][0].clone();
    assert_eq!((&job["Status"], &job["ErrorCode"]), (&json!("Failed"), &json!("SystemBusy")));
    assert_eq!(scene.fake.world(|world| world.weights(&scene.rule))["public-a"], 100);
    scene.honest();
}

#[test]
fn weights_and_priorities_are_as_they_must_be() {
    let scene = scene(Settings { job: 0, ..Settings::default() });
    for (own, other) in [("101", "0"), ("-1", "100"), ("", "100")] {
        let code = scene.shift(own, other).code();
        assert!(
            [
                "IllegalParam.Weight",
                "ValidationError",
                "InvalidParameter.RuleActions[].ForwardGroupConfig.ServerGroupTuples[].Weight"
            ]
            .contains(&code.as_str()),
            "{own} {other}: {code}"
        );
    }
    let tuple = "RuleActions.1.ForwardGroupConfig.ServerGroupTuples";
    let (first, second) = (format!("{tuple}.1.ServerGroupId"), format!("{tuple}.2.ServerGroupId"));
    let head = [
        ("ListenerId", scene.listener.as_str()),
        ("RuleName", "preview"),
        ("RuleConditions.1.Type", "Header"),
        ("RuleConditions.1.HeaderConfig.Key", "x-deployer-preview"),
        ("RuleConditions.1.HeaderConfig.Values.1", &scene.other),
        ("RuleActions.1.Order", "1"),
        ("RuleActions.1.Type", "ForwardGroup"),
        (&first, &scene.other),
    ];
    let create = |more: &[(&str, &str)]| call(&scene.fake, "alb", "CreateRule", &[&head[..], more].concat());
    assert_eq!(create(&[("Priority", "10")]).code(), "Conflict.Priority");
    assert_eq!(create(&[("Priority", "10001")]).code(), "IllegalParam.Priority");
    assert_eq!(create(&[("Priority", "9"), (&second, &scene.own)]).code(), "IllegalParam.Weight");
    let made = create(&[("Priority", "9")]);
    let id = made.body["RuleId"].as_str().unwrap();
    scene.until("the rule to be there", |world| !world.weights(id).is_empty());
    let tuple = "Rules.1.RuleActions.1.ForwardGroupConfig.ServerGroupTuples.1.ServerGroupId";
    let many = [
        ("Rules.1.RuleId", id),
        ("Rules.1.RuleActions.1.Order", "1"),
        ("Rules.1.RuleActions.1.Type", "ForwardGroup"),
        (tuple, &scene.own),
        ("Rules.2.RuleId", &scene.rule),
        ("Rules.2.Priority", "11"),
    ];
    scene.done("alb", "UpdateRulesAttribute", &many);
    scene.until("the rule to be moved", |world| world.weights(id).contains_key("public-a"));
    let listed = scene.done("alb", "ListRules", &[("ListenerIds.1", &scene.listener)]).body["Rules"].clone();
    assert_eq!(each(&listed, "Priority"), [11, 9]);
    scene.done("alb", "DeleteRule", &[("RuleId", id)]);
    scene.until("the rule to be gone", |world| world.rules.len() == 1);
    assert_eq!(scene.refused("alb", "DeleteRule", &[("RuleId", id)]), "ResourceNotFound.Rule");
    scene.honest();
}

#[test]
fn a_stream_has_one_group_and_moves_whole() {
    let scene = scene(Settings::default());
    let options = GroupOptions { protocol: "TCP", ..GroupOptions::default() };
    let group = scene.fake.world(|world| {
        let group = world.nlb_group("internal-2", &options);
        scene.hosts.iter().for_each(|host| world.stand(&group, host, 8080, 100));
        group
    });
    let asked = [("ListenerId", scene.stream.as_str()), ("ServerGroupId", &group)];
    let job = scene.done("nlb", "UpdateListenerAttribute", &asked).body["JobId"].clone();
    scene.until("the listener to be moved", |world| world.weights(&scene.stream).contains_key("internal-2"));
    let status = scene.done("nlb", "GetJobStatus", &[("JobId", job.as_str().unwrap())]);
    assert_eq!(status.body["Status"], "Succeeded");
    let shown = scene.done("nlb", "GetListenerAttribute", &asked[..1]).body;
    assert_eq!(shown["ServerGroupId"], json!(group));
    let listed = scene.done("nlb", "ListListeners", &[]).body["Listeners"].clone();
    assert_eq!(each(&listed, "ServerGroupId"), [&json!(group)]);
    let groups = scene.done("nlb", "ListServerGroups", &[("ServerGroupNames.1", "internal-2")]).body;
    assert_eq!(each(&groups["ServerGroups"], "ConnectionDrainEnabled"), [true]);
    let balancer =
        scene.done("nlb", "ListLoadBalancers", &[]).body["LoadBalancers"][0]["LoadBalancerId"].clone();
    scene.done("nlb", "GetLoadBalancerAttribute", &[("LoadBalancerId", balancer.as_str().unwrap())]);
    scene.fake.world(|world| world.fail_job("UpdateListenerAttribute", "SystemBusy"));
    let job = scene.done("nlb", "UpdateListenerAttribute", &asked).body["JobId"].clone();
    scene.until("the listener to be still", |world| world.listeners.iter().all(|one| one.wanted.is_none()));
    assert_eq!(scene.refused("nlb", "GetJobStatus", &[("JobId", job.as_str().unwrap())]), "SystemBusy");
    scene.honest();
}

#[test]
fn listeners_and_rules_of_a_classic_load_balancer_go_to_one_group_each() {
    let scene = scene(Settings { busy: 0, ..Settings::default() });
    let other = scene.fake.world(|world| {
        world.clb_listener(&scene.clb, "http", 8000, None);
        world.vserver_group(&scene.clb, "more")
    });
    let base = [("RegionId", "cn-hongkong"), ("LoadBalancerId", scene.clb.as_str())];
    let with = |more: &[(&'static str, String)]| -> Vec<(&'static str, String)> {
        let base = base.map(|(name, value)| (name, value.to_owned()));
        base.into_iter().chain(more.iter().cloned()).collect()
    };
    let done = |action: &str, more: &[(&'static str, &str)]| -> Value {
        let more: Vec<_> = more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let all = with(&more);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        scene.done("slb", action, &all).body
    };
    let drain = [("ListenerPort", "80"), ("ConnectionDrain", "on"), ("ConnectionDrainTimeout", "30")];
    done("SetLoadBalancerTCPListenerAttribute", &drain);
    let seen = done("DescribeLoadBalancerTCPListenerAttribute", &drain[..1]);
    assert_eq!(seen["ConnectionDrainTimeout"], 30);
    assert_eq!(seen["VServerGroupId"], json!(scene.vserver));
    let front = [("ListenerPort", "8000")];
    assert_eq!(done("DescribeLoadBalancerHTTPListenerAttribute", &front)["VServerGroupId"], "");
    done(
        "SetLoadBalancerHTTPListenerAttribute",
        &[front[0], ("VServerGroup", "on"), ("VServerGroupId", &other)],
    );
    assert_eq!(done("DescribeLoadBalancerHTTPListenerAttribute", &front)["VServerGroupId"], json!(other));
    let list = json!([{ "RuleName": "by-path", "Domain": "a.test", "Url": "/a", "VServerGroupId": other }]);
    let listener = [front[0], ("ListenerProtocol", "http")];
    let made = done("CreateRules", &[listener[0], listener[1], ("RuleList", &list.to_string())]);
    let id = made["Rules"]["Rule"][0]["RuleId"].as_str().unwrap().to_owned();
    let region = [("RegionId", "cn-hongkong"), ("RuleId", id.as_str())];
    scene.done("slb", "SetRule", &[&region[..], &[("VServerGroupId", &scene.vserver)]].concat());
    let rules = done("DescribeRules", &listener)["Rules"]["Rule"].clone();
    assert_eq!(each(&rules, "VServerGroupId"), [&json!(scene.vserver)]);
    assert_eq!(scene.done("slb", "DescribeRuleAttribute", &region).body["Domain"], "a.test");
    let groups = done("DescribeVServerGroups", &[("IncludeListener", "true"), ("IncludeRule", "true")]);
    let groups = &groups["VServerGroups"]["VServerGroup"];
    let listeners: Vec<_> = each(groups, "AssociatedObjects")
        .into_iter()
        .map(|all| &all["Listeners"]["Listener"][0]["Port"])
        .collect();
    assert_eq!(listeners, [80, 8000]);
    let by_rule: Vec<_> = each(groups, "AssociatedObjects")
        .into_iter()
        .map(|all| all["Rules"]["Rule"].as_array().unwrap().len())
        .collect();
    assert_eq!(by_rule, [1, 0]);
    let ids = json!([id]).to_string();
    scene.done("slb", "DeleteRules", &[("RegionId", "cn-hongkong"), ("RuleIds", &ids)]);
    done("SetLoadBalancerHTTPListenerAttribute", &[front[0], ("VServerGroup", "off")]);
    let all = scene.done(
        "slb",
        "DescribeLoadBalancerListeners",
        &[("RegionId", "cn-hongkong"), ("LoadBalancerId.1", &scene.clb)],
    );
    assert_eq!(each(&all.body["Listeners"], "VServerGroupId"), [&json!(scene.vserver), &json!("")]);
    scene.honest();
}
