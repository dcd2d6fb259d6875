//! Who stands in a group, and how many come at once.

use serde_json::{Value, json};

use super::{each, scene};
use crate::caller::call;
use crate::fake::{Settings, World};

/// `Servers.N` of an ALB or NLB.
fn servers(ids: &[String], weight: Option<&str>) -> Vec<(String, String)> {
    let one = |(n, id): (usize, &String)| {
        let name = |field: &str| format!("Servers.{}.{field}", n + 1);
        let own = [("ServerId", id.as_str()), ("ServerType", "Ecs"), ("Port", "8080")];
        let own = own.into_iter().chain(weight.map(|weight| ("Weight", weight)));
        own.map(|(field, value)| (name(field), value.to_owned())).collect::<Vec<_>>()
    };
    ids.iter().enumerate().flat_map(one).collect()
}

fn with<'a>(group: &'a str, servers: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let servers = servers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    [("ServerGroupId", group)].into_iter().chain(servers).collect()
}

#[test]
fn a_server_comes_is_checked_drains_and_goes() {
    let scene = scene(Settings { job: 300, second: 10.0, ..Settings::default() });
    let host = scene.fake.world(World::host);
    let new = servers(std::slice::from_ref(&host), None);
    let read = || {
        let asked = [("ServerGroupId", scene.own.as_str()), ("ServerIds.1", host.as_str())];
        scene.done("alb", "ListServerGroupServers", &asked).body["Servers"].clone()
    };
    let added = scene.done("alb", "AddServersToServerGroup", &with(&scene.own, &new));
    assert_eq!(each(&read(), "Status"), ["Adding"]);
    assert_eq!(each(&read(), "Weight"), [100], "its default");
    let busy = scene.refused("alb", "AddServersToServerGroup", &with(&scene.own, &new));
    assert_eq!(busy, "IncorrectStatus.ServerGroup");
    let job = |id: &Value| {
        let jobs = scene.done("alb", "ListAsynJobs", &[("JobIds.1", id.as_str().unwrap())]);
        jobs.body["Jobs"][0]["Status"].clone()
    };
    assert_eq!(job(&added.body["JobId"]), "Processing");
    let state = |word: &'static str| {
        let key = (host.clone(), 8080);
        scene.until(word, |world| {
            world.server_states(&scene.own).get(&key).is_some_and(|state| state == word)
        });
    };
    state("healthy");
    assert_eq!(job(&added.body["JobId"]), "Succeeded");
    let light = servers(std::slice::from_ref(&host), Some("0"));
    scene.done("alb", "UpdateServerGroupServersAttribute", &with(&scene.own, &light));
    state("unused");
    scene.until("the job to end", |world| world.groups[&scene.own].busy_until <= world.now);
    let gone = servers(std::slice::from_ref(&host), None);
    let asked = scene.fake.world(|world| world.now);
    scene.done("alb", "RemoveServersFromServerGroup", &with(&scene.own, &gone));
    assert_eq!(each(&read(), "Status"), ["Removing"]);
    scene.until("its connections to have had their time", |world| !world.stands(&scene.own, &host));
    let taken = scene.fake.world(|world| world.now) - asked;
    assert_eq!(taken, 300 + 500, "the job, and 50 seconds of 10 milliseconds each");
    assert_eq!(
        scene.refused("alb", "RemoveServersFromServerGroup", &with(&scene.own, &gone)),
        "ResourceNotFound.BackendServer"
    );
    assert!(scene.fake.oracle().darknesses.is_empty());
    scene.honest();
}

#[test]
fn a_call_takes_so_many_servers_and_no_more() {
    let scene = scene(Settings { job: 0, busy: 0, ..Settings::default() });
    let hosts: Vec<String> = scene.fake.world(|world| (0..201).map(|_| world.host()).collect());
    let many = |count: usize| servers(&hosts[..count], None);
    let too_many = scene.refused("alb", "AddServersToServerGroup", &with(&scene.other, &many(201)));
    assert_eq!(too_many, "IllegalParamSize.Servers");
    scene.done("alb", "AddServersToServerGroup", &with(&scene.other, &many(200)));
    let weights = |count: usize| servers(&hosts[..count], Some("50"));
    let name = "UpdateServerGroupServersAttribute";
    assert_eq!(scene.refused("alb", name, &with(&scene.other, &weights(41))), "IllegalParamSize.Servers");
    scene.done("alb", name, &with(&scene.other, &weights(40)));
    let heavy = servers(&hosts[..1], Some("101"));
    assert_eq!(scene.refused("alb", name, &with(&scene.other, &heavy)), "IllegalParam.Weight");
    scene.done("nlb", "AddServersToServerGroup", &with(&scene.flows, &many(41)));
    scene.done("nlb", name, &with(&scene.flows, &weights(41)));
    let nobody = servers(&["i-nobody".to_owned()], None);
    let unknown = scene.refused("alb", "AddServersToServerGroup", &with(&scene.own, &nobody));
    assert_eq!(unknown, "ResourceNotFound.BackendServer");
    // Pages, though nobody asked for small ones.
    let first = scene.done("alb", "ListServerGroupServers", &[("ServerGroupId", &scene.other)]).body;
    assert_eq!((first["Servers"].as_array().unwrap().len(), &first["TotalCount"]), (20, &json!(200)));
    let token = first["NextToken"].as_str().unwrap();
    let next = [("ServerGroupId", scene.other.as_str()), ("NextToken", token), ("MaxResults", "100")];
    let next = scene.done("alb", "ListServerGroupServers", &next).body;
    assert_eq!(next["Servers"].as_array().unwrap().len(), 100);
    let backends = |count: usize| {
        let one = |id: &String| json!({ "ServerId": id, "Weight": "100", "Port": "8080", "Type": "ecs" });
        Value::Array(hosts[..count].iter().map(one).collect()).to_string()
    };
    let add = |count: usize| {
        let list = backends(count);
        let group = [("RegionId", "cn-hongkong"), ("VServerGroupId", scene.vserver.as_str())];
        call(
            &scene.fake,
            "slb",
            "AddVServerGroupBackendServers",
            &[&group[..], &[("BackendServers", &list)]].concat(),
        )
    };
    assert_eq!(add(21).code(), "BackendServer.TooMany");
    assert_eq!(add(20).status, 200);
    scene.honest();
}

#[test]
fn groups_are_made_found_changed_exchanged_and_deleted() {
    let scene = scene(Settings { job: 0, ..Settings::default() });
    let made = [
        ("ServerGroupName", "public-c"),
        ("VpcId", "vpc-1"),
        ("HealthCheckConfig.HealthCheckEnabled", "true"),
        ("ConnectionDrainConfig.ConnectionDrainEnabled", "true"),
        ("ConnectionDrainConfig.ConnectionDrainTimeout", "60"),
        ("Tag.1.Key", "service"),
        ("Tag.1.Value", "api"),
    ];
    let id = scene.done("alb", "CreateServerGroup", &made).body["ServerGroupId"].as_str().unwrap().to_owned();
    let find =
        |asked: &[(&str, &str)]| scene.done("alb", "ListServerGroups", asked).body["ServerGroups"].clone();
    assert_eq!(each(&find(&[("Tag.1.Key", "service")]), "ServerGroupId"), [&json!(id)]);
    assert_eq!(find(&[("ServerGroupIds.1", &id)])[0]["ConnectionDrainConfig"]["ConnectionDrainTimeout"], 60);
    let named = find(&[("ServerGroupNames.1", "public-a")]);
    assert_eq!(each(&named, "RelatedLoadBalancerIds"), [&json!([scene.alb])]);
    let update = [("ServerGroupId", id.as_str()), ("ConnectionDrainConfig.ConnectionDrainEnabled", "false")];
    scene.done("alb", "UpdateServerGroupAttribute", &update);
    assert_eq!(
        find(&[("ServerGroupIds.1", &id)])[0]["ConnectionDrainConfig"]["ConnectionDrainEnabled"],
        false
    );
    let [first, second] = scene.fake.world(|world| [world.host(), world.host()]);
    scene.done("alb", "AddServersToServerGroup", &with(&id, &servers(std::slice::from_ref(&first), None)));
    let exchange = [
        ("ServerGroupId", id.as_str()),
        ("RemovedServers.1.ServerId", &first),
        ("RemovedServers.1.ServerType", "Ecs"),
        ("RemovedServers.1.Port", "8080"),
        ("AddedServers.1.ServerId", &second),
        ("AddedServers.1.ServerType", "Ecs"),
        ("AddedServers.1.Port", "8080"),
    ];
    scene.done("alb", "ReplaceServersInServerGroup", &exchange);
    scene.until("the one to have gone", |world| !world.stands(&id, &first) && world.stands(&id, &second));
    let tags = [("ResourceType", "servergroup"), ("ResourceId.1", id.as_str())];
    let more = [&tags[..], &[("Tag.1.Key", "colour"), ("Tag.1.Value", "green")]].concat();
    scene.done("alb", "TagResources", &more);
    let listed = || scene.done("alb", "ListTagResources", &tags).body["TagResources"].clone();
    assert_eq!(each(&listed(), "TagValue"), ["green", "api"]);
    scene.done("alb", "UnTagResources", &[&tags[..], &[("TagKey.1", "colour")]].concat());
    assert_eq!(each(&listed(), "TagKey"), ["service"]);
    scene.done("alb", "DeleteServerGroup", &[("ServerGroupId", &id)]);
    let used = scene.refused("alb", "DeleteServerGroup", &[("ServerGroupId", &scene.other)]);
    assert_eq!(used, "ResourceInUse.ServerGroup");
    scene.honest();
}

#[test]
fn a_classic_load_balancer_takes_one_change_at_a_time_and_weights_by_server() {
    let scene = scene(Settings { busy: 300, ..Settings::default() });
    let base = [("RegionId", "cn-hongkong"), ("VServerGroupId", scene.vserver.as_str())];
    let list = |weight: &str| {
        let one = json!({ "ServerId": scene.hosts[0], "Weight": weight, "Port": "8080", "Type": "ecs" });
        json!([one]).to_string()
    };
    let set = |weight: &str| {
        let servers = list(weight);
        call(
            &scene.fake,
            "slb",
            "SetVServerGroupAttribute",
            &[&base[..], &[("BackendServers", &servers)]].concat(),
        )
    };
    assert_eq!(set("0").status, 200);
    assert_eq!(set("10").code(), "OperationBusy");
    assert_eq!(set("101").code(), "InvalidParameter");
    let read = || {
        let reply = scene.done("slb", "DescribeVServerGroupAttribute", &base);
        reply.body["BackendServers"]["BackendServer"].clone()
    };
    assert_eq!(each(&read(), "Weight"), [0, 100]);
    let later = |action: &str, more: &[(&str, &str)]| {
        scene.until("the load balancer to be still", |world| {
            world.balancer(&scene.clb).unwrap().busy_until <= world.now
        });
        scene.done("slb", action, &[&base[..1], more].concat()).body
    };
    let (own, none) = (list("100"), "[]".to_owned());
    let group = ("VServerGroupId", scene.vserver.as_str());
    later("RemoveVServerGroupBackendServers", &[group, ("BackendServers", &own)]);
    assert_eq!(each(&read(), "ServerId"), [&json!(scene.hosts[1])], "at once");
    later(
        "ModifyVServerGroupBackendServers",
        &[group, ("OldBackendServers", &none), ("NewBackendServers", &own)],
    );
    assert_eq!(read().as_array().unwrap().len(), 2);
    let owner = ("LoadBalancerId", scene.clb.as_str());
    let made = later("CreateVServerGroup", &[owner, ("VServerGroupName", "more"), ("BackendServers", &own)]);
    let id = made["VServerGroupId"].as_str().unwrap();
    later("DeleteVServerGroup", &[("VServerGroupId", id)]);
    scene.until("the load balancer to be still", |world| {
        world.balancer(&scene.clb).unwrap().busy_until <= world.now
    });
    assert_eq!(scene.refused("slb", "DeleteVServerGroup", &base), "RspoolVipExist");
    // The group that a load balancer always has.
    later("AddBackendServers", &[owner, ("BackendServers", &own)]);
    later("SetBackendServers", &[owner, ("BackendServers", &list("40"))]);
    let seen = later("DescribeLoadBalancerAttribute", &[owner]);
    assert_eq!(each(&seen["BackendServers"]["BackendServer"], "Weight"), [40]);
    let holding = later("DescribeLoadBalancers", &[("ServerId", &scene.hosts[0])]);
    assert_eq!(each(&holding["LoadBalancers"]["LoadBalancer"], "LoadBalancerId"), [&json!(scene.clb)]);
    later("RemoveBackendServers", &[owner, ("BackendServers", &own)]);
    assert!(scene.fake.world(|world| world.server_states(&format!("{}/default", scene.clb))).is_empty());
    scene.honest();
}

#[test]
fn a_pair_of_a_master_and_a_slave_is_a_group_of_another_kind() {
    let scene = scene(Settings::default());
    let pair = scene.fake.world(|world| {
        let pair = world.master_slave_group(&scene.clb, "pair");
        world.clb_listener(&scene.clb, "tcp", 90, Some(&pair));
        for host in &scene.hosts {
            world.stand(&pair, host, 8080, 100);
        }
        pair
    });
    let owner = [("RegionId", "cn-hongkong"), ("LoadBalancerId", scene.clb.as_str())];
    let plain = scene.done("slb", "DescribeVServerGroups", &owner).body["VServerGroups"].clone();
    assert_eq!(each(&plain["VServerGroup"], "VServerGroupId"), [&json!(scene.vserver)]);
    let pairs =
        scene.done("slb", "DescribeMasterSlaveServerGroups", &owner).body["MasterSlaveServerGroups"].clone();
    assert_eq!(each(&pairs["MasterSlaveServerGroup"], "MasterSlaveServerGroupId"), [&json!(pair)]);
    let asked = [("RegionId", "cn-hongkong"), ("MasterSlaveServerGroupId", pair.as_str())];
    let seen = scene.done("slb", "DescribeMasterSlaveServerGroupAttribute", &asked).body;
    let servers = &seen["MasterSlaveBackendServers"]["MasterSlaveBackendServer"];
    assert_eq!(each(servers, "ServerType"), ["Master", "Slave"]);
    let listeners = [("RegionId", "cn-hongkong"), ("LoadBalancerId.1", scene.clb.as_str())];
    let listeners = scene.done("slb", "DescribeLoadBalancerListeners", &listeners).body["Listeners"].clone();
    assert_eq!(each(&listeners, "VServerGroupId"), [&json!(scene.vserver), &json!("")]);
    assert_eq!(listeners[1]["TCPListenerConfig"]["MasterSlaveServerGroupId"], json!(pair));
    let as_plain = [("RegionId", "cn-hongkong"), ("VServerGroupId", pair.as_str())];
    let refused = scene.refused("slb", "DescribeVServerGroupAttribute", &as_plain);
    assert_eq!(refused, "InvalidParameter.VServerGroupIdNotExist");
    scene.honest();
}
