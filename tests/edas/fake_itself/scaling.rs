//! ESS and the little of ECS.

use serde_json::json;

use super::{each, scene};
use crate::fake::Settings;

#[test]
fn attaching_a_group_brings_whoever_is_there_only_where_that_is_asked_for() {
    let scene = scene(Settings { job: 0, ..Settings::default() });
    let (group, hosts) = scene.fake.world(|world| {
        let hosts = vec![world.host(), world.host()];
        (world.scaling_group("api", &hosts), hosts)
    });
    let base = [("RegionId", "cn-hongkong"), ("ScalingGroupId", group.as_str())];
    let alb = [
        ("AlbServerGroups.1.AlbServerGroupId", scene.other.as_str()),
        ("AlbServerGroups.1.Port", "8080"),
        ("AlbServerGroups.1.Weight", "100"),
    ];
    let quiet = scene.done("ess", "AttachAlbServerGroups", &[&base[..], &alb].concat());
    assert!(quiet.body.get("ScalingActivityId").is_none());
    let stands =
        |id: &str| scene.fake.world(|world| hosts.iter().filter(|host| world.stands(id, host)).count());
    assert_eq!(stands(&scene.other), 0);
    let read = || {
        let reply = scene.done("ess", "DescribeScalingGroups", &base[..1]);
        reply.body["ScalingGroups"][0].clone()
    };
    assert_eq!(each(&read()["AlbServerGroups"], "AlbServerGroupId"), [&json!(scene.other)]);
    let vserver = [
        ("VServerGroups.1.LoadBalancerId", scene.clb.as_str()),
        ("VServerGroups.1.VServerGroupAttributes.1.VServerGroupId", scene.vserver.as_str()),
        ("VServerGroups.1.VServerGroupAttributes.1.Port", "8080"),
        ("ForceAttach", "true"),
    ];
    let loud = scene.done("ess", "AttachVServerGroups", &[&base[..], &vserver].concat());
    assert!(loud.body.get("ScalingActivityId").is_none(), "it tells of none");
    assert_eq!(stands(&scene.vserver), 2);
    assert_eq!(read()["VServerGroups"][0]["VServerGroupAttributes"][0]["Weight"], 50, "its default");
    let nlb = [
        ("ServerGroups.1.ServerGroupId", scene.flows.as_str()),
        ("ServerGroups.1.Type", "NLB"),
        ("ServerGroups.1.Port", "8080"),
        ("ForceAttach", "true"),
    ];
    let activity = scene.done("ess", "AttachServerGroups", &[&base[..], &nlb].concat());
    let id = activity.body["ScalingActivityId"].as_str().unwrap();
    let seen = scene.done(
        "ess",
        "DescribeScalingActivities",
        &[&base[..1], &[("ScalingActivityIds.1", id)]].concat(),
    );
    assert_eq!(each(&seen.body["ScalingActivities"], "StatusCode"), ["Successful"]);
    assert_eq!(stands(&scene.flows), 2);
    let off = [&nlb[..3], &[("ForceDetach", "true")]].concat();
    scene.done("ess", "DetachServerGroups", &[&base[..], &off].concat());
    scene.until("who was attached to be gone", |world| !world.stands(&scene.flows, &hosts[0]));
    assert_eq!(read()["ServerGroups"], json!([]));
    let off = [&vserver[..3]].concat();
    scene.done("ess", "DetachVServerGroups", &[&base[..], &off].concat());
    assert_eq!(stands(&scene.vserver), 2, "nobody asked that they leave");
    scene.done("ess", "DetachAlbServerGroups", &[&base[..], &alb[..2]].concat());
    scene.honest();
}

#[test]
fn processes_are_suspended_and_instances_protected_and_found() {
    let scene = scene(Settings { page: Some(1), ..Settings::default() });
    let group = scene.fake.world(|world| world.scaling_group("api", &scene.hosts));
    scene.fake.world(|world| world.attach(&group, &scene.own, 8080));
    let base = [("RegionId", "cn-hongkong"), ("ScalingGroupId", group.as_str())];
    let processes = [("Processes.1", "ScaleIn"), ("Processes.2", "ScaleOut")];
    scene.done("ess", "SuspendProcesses", &[&base[..], &processes].concat());
    let suspended = || {
        let reply = scene.done("ess", "DescribeScalingGroups", &base[..1]);
        reply.body["ScalingGroups"][0]["SuspendedProcesses"].clone()
    };
    assert_eq!(suspended(), json!(["ScaleIn", "ScaleOut"]));
    scene.done("ess", "ResumeProcesses", &[&base[..], &processes[..1]].concat());
    assert_eq!(suspended(), json!(["ScaleOut"]));
    let unknown = [&base[..], &[("Processes.1", "Everything")]].concat();
    assert_eq!(scene.refused("ess", "SuspendProcesses", &unknown), "InvalidParameter.Processes");
    let protect = [
        ("ScalingGroupId", group.as_str()),
        ("InstanceIds.1", scene.hosts[0].as_str()),
        ("ProtectedFromScaleIn", "true"),
    ];
    scene.done("ess", "SetInstancesProtection", &protect);
    let mut found = Vec::new();
    for number in ["1", "2"] {
        let asked = [
            ("RegionId", "cn-hongkong"),
            ("InstanceIds.1", scene.hosts[0].as_str()),
            ("InstanceIds.2", scene.hosts[1].as_str()),
            ("PageNumber", number),
        ];
        let reply = scene.done("ess", "DescribeScalingInstances", &asked);
        assert_eq!(reply.body["TotalCount"], 2);
        found.push(reply.body["ScalingInstances"][0]["LifecycleState"].clone());
    }
    assert_eq!(found, ["Protected", "InService"]);
    let tags = [
        ("RegionId", "cn-hongkong"),
        ("ResourceType", "scalinggroup"),
        ("ResourceIds.1", group.as_str()),
        ("Tags.1.Key", "deployer:suspended"),
        ("Tags.1.Value", "ScaleIn"),
    ];
    scene.done("ess", "TagResources", &tags);
    let listed = scene.done("ess", "ListTagResources", &tags[..3]);
    assert_eq!(each(&listed.body["TagResources"], "TagValue"), ["ScaleIn"]);
    let key = [&tags[..3], &[("TagKeys.1", "deployer:suspended")]].concat();
    scene.done("ess", "UntagResources", &key);
    assert_eq!(scene.done("ess", "ListTagResources", &tags[..3]).body["TagResources"], json!([]));
    scene.honest();
}

#[test]
fn the_cluster_and_its_hosts_are_told() {
    let scene = scene(Settings::default());
    scene.fake.world(|world| world.security_group("sg-1", &[("10.0.0.0/8", 8080, 8080)]));
    let ids = json!(scene.hosts).to_string();
    let hosts = scene.done("ecs", "DescribeInstances", &[("RegionId", "cn-hongkong"), ("InstanceIds", &ids)]);
    assert_eq!(each(&hosts.body["Instances"]["Instance"], "Status"), ["Running", "Running"]);
    let group = [("RegionId", "cn-hongkong"), ("SecurityGroupId", "sg-1")];
    let rules = scene.done("ecs", "DescribeSecurityGroupAttribute", &group).body["Permissions"].clone();
    assert_eq!(each(&rules["Permission"], "PortRange"), ["8080/8080"]);
    let template = [("RegionId", "cn-hongkong"), ("LaunchTemplateId", "lt-api")];
    let versions = scene.done("ecs", "DescribeLaunchTemplateVersions", &template).body;
    let versions = versions["LaunchTemplateVersionSets"]["LaunchTemplateVersionSet"].clone();
    assert_eq!(each(&versions, "VersionNumber"), [1, 2]);
    assert_eq!(versions[1]["LaunchTemplateData"]["VSwitchId"], "");
    let named = [("RegionId", "cn-hongkong"), ("LaunchTemplateId.1", "lt-api")];
    let templates = scene.done("ecs", "DescribeLaunchTemplates", &named).body;
    assert_eq!(templates["LaunchTemplateSets"]["LaunchTemplateSet"][0]["DefaultVersionNumber"], 1);
    let cluster = scene.edas("ListCluster", &[])["ClusterList"]["Cluster"][0]["ClusterId"].clone();
    let members = scene.edas("ListClusterMembers", &[("ClusterId", cluster.as_str().unwrap())]);
    let listed = each(&members["ClusterMemberPage"]["ClusterMemberList"]["ClusterMember"], "EcsId");
    assert_eq!(listed, [&json!(scene.hosts[0]), &json!(scene.hosts[1])]);
    let apps = scene.edas("ListApplication", &[])["ApplicationList"]["Application"].clone();
    assert_eq!(each(&apps, "RunningInstanceCount"), [2]);
    let slb = scene.edas("ListSlb", &[("SlbType", "clb")])["SlbList"]["SlbEntity"].clone();
    assert_eq!(each(&slb, "SlbId"), [&json!(scene.clb)]);
    scene.edas("SynchronizeResource", &[("Type", "slb")]);
    scene.app("UpdateHealthCheckUrl", &[("hcURL", "http://127.0.0.1/healthz")]);
    scene.honest();
}

#[test]
fn scaling_goes_on_by_itself_until_it_is_held() {
    let scene = scene(Settings { bought_through_ess: true, ..Settings::default() });
    let grows = || scene.fake.world(|world| world.rule_scales_out(&scene.app, "blue"));
    assert!(!grows(), "nobody has set a rule");
    scene.fake.world(|world| world.scaling_rules(&scene.app, "blue", true, true));
    assert!(grows());
    assert!(!grows(), "one change at a time");
    scene.until("the new one to run", |world| world.running(&scene.app, "blue", Some("1")).len() == 3);
    let off = [("GroupId", scene.blue.as_str()), ("InEnable", "false"), ("OutEnable", "false")];
    assert_eq!(scene.app("ModifyScalingRule", &off)["Code"], 200);
    assert!(!grows(), "it is off");

    let group = scene.fake.world(|world| world.scaling_group("api", &[]));
    scene.fake.world(|world| world.attach(&group, &scene.flows, 8080));
    let one = scene.fake.world(|world| world.ess_scales_out(&group)).unwrap();
    assert!(scene.fake.world(|world| world.stands(&scene.flows, &one)));
    let hold = [("RegionId", "cn-hongkong"), ("ScalingGroupId", group.as_str()), ("Processes.1", "ScaleOut")];
    scene.done("ess", "SuspendProcesses", &hold);
    assert_eq!(scene.fake.world(|world| world.ess_scales_out(&group)), None);

    let bought = scene.grow("1");
    let asked = [("RegionId", "cn-hongkong"), ("InstanceIds.1", bought[0].as_str())];
    let found = || scene.done("ess", "DescribeScalingInstances", &asked).body["ScalingInstances"].clone();
    assert_eq!(each(&found(), "LifecycleState"), ["InService"]);
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    let eccs = status["EccList"]["Ecc"].as_array().unwrap().clone();
    let own = eccs.iter().find(|ecc| ecc["GroupId"] == scene.green.as_str()).unwrap();
    assert_eq!(
        scene.ended(&scene.app("ScaleInApplication", &[("EccInfo", own["EccId"].as_str().unwrap())])),
        2
    );
    assert_eq!(found(), json!([]));
    scene.honest();
}
