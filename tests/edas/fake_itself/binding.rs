//! What EDAS keeps in step by itself.

use serde_json::json;

use super::{each, scene};
use crate::fake::Settings;

#[test]
fn a_load_balancer_bound_to_the_application_gets_whoever_comes() {
    let scene = scene(Settings::default());
    let (clb, vserver) = (scene.clb.clone(), scene.vserver.clone());
    let bind = [("SlbId", clb.as_str()), ("SlbIp", "x"), ("Type", "intranet"), ("VServerGroupId", &vserver)];
    assert_eq!(scene.app("BindSlb", &bind)["Data"]["VServerGroupId"], json!(vserver));
    let shown = scene.app("GetApplication", &[])["Application"].clone();
    assert_eq!(shown["SlbId"], json!(clb));
    let green = scene.grow("1");
    let stands = || scene.fake.world(|world| world.stands(&vserver, &green[0]));
    assert!(stands(), "it is in production before anybody looked at it");
    let of = [("SlbId", clb.as_str()), ("Type", "intranet"), ("DeleteListener", "false")];
    assert_eq!(scene.app("UnbindSlb", &of)["Code"], 200);
    assert_eq!(scene.app("UnbindSlb", &of)["Code"], 601);
    assert!(scene.app("GetApplication", &[])["Application"].get("SlbId").is_none());
    assert!(stands(), "who stands there stays");
    scene.honest();
}

#[test]
fn a_vserver_group_bound_to_one_group_follows_that_group() {
    let scene = scene(Settings::default());
    let vserver = scene.fake.world(|world| world.vserver_group(&scene.clb, "green-own"));
    let bind = [
        ("SlbId", scene.clb.as_str()),
        ("ListenerPort", "81"),
        ("ListenerProtocol", "TCP"),
        ("DeployGroupId", &scene.green),
        ("VServerGroupId", &vserver),
    ];
    assert_eq!(scene.ended(&scene.app("BindEcsSlb", &bind)), 2);
    let groups = scene.app("ListDeployGroup", &[])["DeployGroupList"]["DeployGroup"].clone();
    assert_eq!(each(&groups, "VServerGroupId"), [&json!(""), &json!(""), &json!(vserver)]);
    let green = scene.grow("1");
    assert!(scene.fake.world(|world| world.stands(&vserver, &green[0])));
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    let ecc = status["EccList"]["Ecc"][2]["EccId"].as_str().unwrap().to_owned();
    assert_eq!(scene.ended(&scene.app("ScaleInApplication", &[("EccInfo", &ecc)])), 2);
    assert!(!scene.fake.world(|world| world.stands(&vserver, &green[0])));
    scene.honest();
}

#[test]
fn what_a_change_of_scaling_rules_does_not_mention_is_forgotten() {
    let scene = scene(Settings::default());
    scene.fake.world(|world| world.scaling_rules(&scene.app, "blue", true, true));
    let of = [("GroupId", scene.blue.as_str())];
    let rules = || scene.app("GetScalingRules", &of)["Data"]["RuleList"]["Rule"].clone();
    assert_eq!(each(&rules(), "Mode"), ["SCALE_IN", "SCALE_OUT"]);
    assert_eq!(each(&rules(), "Cpu"), [70, 70]);
    let off = [&of[..], &[("InEnable", "false"), ("OutEnable", "false"), ("OutCPU", "70")]].concat();
    assert_eq!(scene.app("ModifyScalingRule", &off)["Code"], 200);
    assert_eq!(each(&rules(), "Enable"), [&json!(false), &json!(false)]);
    assert_eq!(each(&rules(), "Cpu"), [&json!(null), &json!(70)], "the one was not mentioned");
    let on = [&of[..], &[("InEnable", "true")]].concat();
    assert_eq!(scene.app("ModifyScalingRule", &on)["Code"], 400, "the terms must be accepted");
    let on = [&on[..], &[("AcceptEULA", "true")]].concat();
    assert_eq!(scene.app("ModifyScalingRule", &on)["Code"], 200);
    let one = [&of[..], &[("Mode", "SCALE_IN")]].concat();
    let in_only = scene.app("GetScalingRules", &one)["Data"]["RuleList"]["Rule"].clone();
    assert_eq!(each(&in_only, "Enable"), [&json!(true)]);
    scene.honest();
}

#[test]
fn an_application_remembers_by_tags() {
    let scene = scene(Settings::default());
    let resources = json!([scene.app]).to_string();
    let of = [
        ("ResourceIds", resources.as_str()),
        ("ResourceRegionId", "cn-hongkong"),
        ("ResourceType", "application"),
    ];
    let tag = |key: &str, value: &str| {
        let tags = json!([{ "Key": key, "Value": value }]).to_string();
        scene.edas("TagResources", &[&of[..], &[("Tags", &tags)]].concat())["Code"].clone()
    };
    assert_eq!(tag("deployer:frozen:blue", "in,out"), 200);
    assert_eq!(tag("deployer:frozen:_DEFAULT_GROUP", "in"), 400, "no underscore");
    assert_eq!(tag("acs:owner", "us"), 400);
    let list = || scene.edas("ListTagResources", &of)["TagResources"]["TagResource"].clone();
    assert_eq!(each(&list(), "TagKey"), ["deployer:frozen:blue"]);
    assert_eq!(each(&list(), "TagValue"), ["in,out"]);
    let keys = json!(["deployer:frozen:blue"]).to_string();
    assert_eq!(scene.edas("UntagResources", &[&of[..], &[("TagKeys", &keys)]].concat())["Code"], 200);
    assert_eq!(list(), json!([]));
    scene.honest();
}
