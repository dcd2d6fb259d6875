//! Change orders come to an end, each in its own way.

use serde_json::{Value, json};

use super::{each, scene, texts};
use crate::fake::{Failure, Kind, Settings};

/// The codes that an order has shown, in order, each once.
fn passed(scene: &super::Scene, order: &Value) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    let mut waited = 0..super::PATIENCE;
    while seen.last().is_none_or(|last| [0, 1, 9].contains(last)) {
        let info = scene.edas("GetChangeOrderInfo", &[("ChangeOrderId", order.as_str().unwrap())]);
        let status = info["changeOrderInfo"]["Status"].as_u64().unwrap();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        assert!(waited.next().is_some(), "{info}");
        scene.fake.pass(5);
    }
    seen
}

#[test]
fn a_version_comes_into_one_group_and_leaves_the_other_alone() {
    let scene = scene(Settings { step: 80, ..Settings::default() });
    let green = scene.grow("2");
    let order = scene.deploy(&scene.green, "2", &[("Desc", "a token of ours"), ("Batch", "2")]);
    assert_eq!(passed(&scene, &order["ChangeOrderId"]), [0, 1, 2]);
    let running = |group: &str, version: &str| {
        scene.fake.world(|world| world.running(&scene.app, group, Some(version)))
    };
    assert_eq!(running("green", "2"), green);
    assert_eq!(running("blue", "1"), scene.hosts);
    let groups = scene.app("ListDeployGroup", &[])["DeployGroupList"]["DeployGroup"].clone();
    assert_eq!(each(&groups, "GroupName"), ["_DEFAULT_GROUP", "blue", "green"]);
    assert_eq!(each(&groups, "PackageVersion"), ["", "1", "2"]);
    let recent = scene.app("ListRecentChangeOrder", &[])["ChangeOrderList"]["ChangeOrder"].clone();
    assert_eq!(each(&recent, "CoTypeCode"), ["CoDeploy", "CoScaleOut"]);
    assert_eq!(each(&recent, "GroupId"), [&json!(scene.green), &json!(scene.green)]);
    assert_eq!(each(&recent, "ChangeOrderDescription"), ["a token of ours", ""]);
    let info =
        scene.edas("GetChangeOrderInfo", &[("ChangeOrderId", order["ChangeOrderId"].as_str().unwrap())]);
    let pipelines = &info["changeOrderInfo"]["PipelineInfoList"]["PipelineInfo"];
    assert_eq!(each(pipelines, "PipelineStatus"), [2, 2]);
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    assert_eq!(each(&status["EccList"]["Ecc"], "AppState"), [7, 7, 7, 7]);
    scene.honest();
}

#[test]
fn one_application_takes_one_change_at_a_time() {
    let scene = scene(Settings { step: 200, ..Settings::default() });
    let first = scene.deploy(&scene.blue, "2", &[]);
    for action in ["RestartApplication", "StopApplication"] {
        let refusal = scene.app(action, &[]);
        assert_eq!(refusal["Code"], 601);
        let id = first["ChangeOrderId"].as_str().unwrap();
        assert!(refusal["Message"].as_str().unwrap().contains(id), "{refusal}");
    }
    assert_eq!(scene.deploy(&scene.blue, "3", &[])["Code"], 601);
    assert_eq!(scene.ended(&first), 2);
}

#[test]
fn an_order_fails_in_every_way_there_is() {
    let scene = scene(Settings::default());
    scene.grow("2");
    for status in [3, 6, 7, 10] {
        let failure = Failure { status, batch: 0, code: "EDAS-10015", message: "the package is not there" };
        scene.fake.world(|world| world.fail_order(Kind::Deploy, failure));
        let order = scene.deploy(&scene.green, &format!("2.{status}"), &[]);
        assert_eq!(scene.ended(&order), u64::from(status));
        let has = scene.fake.world(|world| world.running(&scene.app, "green", Some(&format!("2.{status}"))));
        assert_eq!(has.len(), usize::from(status == 7), "all but the last, where it partly succeeds");
        let id = order["ChangeOrderId"].as_str().unwrap();
        let info = scene.edas("GetChangeOrderInfo", &[("ChangeOrderId", id)])["changeOrderInfo"].clone();
        let stages = &info["PipelineInfoList"]["PipelineInfo"][0]["StageDetailList"]["StageDetailDTO"];
        let tasks = &stages[2]["TaskList"]["TaskInfoDTO"];
        assert!(each(tasks, "TaskErrorCode").contains(&&json!("EDAS-10015")), "{tasks}");
    }
    // A task that is tried again is the way out of a failure, and this order has no other.
    let failure = Failure { status: 3, batch: 0, code: "EDAS-10002", message: "took too long" };
    scene.fake.world(|world| world.fail_order(Kind::Deploy, failure));
    let order = scene.deploy(&scene.green, "3", &[]);
    assert_eq!(scene.ended(&order), 3);
    let id = order["ChangeOrderId"].as_str().unwrap();
    let info = scene.edas("GetChangeOrderInfo", &[("ChangeOrderId", id)])["changeOrderInfo"].clone();
    let stages = &info["PipelineInfoList"]["PipelineInfo"][0]["StageDetailList"]["StageDetailDTO"];
    let task = stages[2]["TaskList"]["TaskInfoDTO"][0]["TaskId"].as_str().unwrap();
    assert_eq!(scene.edas("RetryChangeOrderTask", &[("TaskId", task)])["Code"], 200);
    assert_eq!(scene.ended(&order), 2);
    scene.honest();
}

#[test]
fn whoever_does_not_answer_is_not_changed() {
    let scene = scene(Settings::default());
    scene.fake.world(|world| world.agent(&scene.hosts[0], false));
    let order = scene.deploy(&scene.blue, "2", &[]);
    assert_eq!(scene.ended(&order), 7);
    let has = scene.fake.world(|world| world.running(&scene.app, "blue", Some("2")));
    assert_eq!(has, scene.hosts[1..]);
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    assert_eq!(each(&status["EccList"]["Ecc"], "AppState"), [0, 7]);
    assert_eq!(each(&status["EcuList"]["Ecu"], "Online"), [&json!(false), &json!(true)]);
    scene.fake.world(|world| world.agent(&scene.hosts[1], false));
    assert_eq!(scene.ended(&scene.deploy(&scene.blue, "3", &[])), 3);
}

#[test]
fn batches_wait_for_time_or_for_somebody() {
    let scene = scene(Settings { second: 3.0, step: 80, ..Settings::default() });
    let order = scene.deploy(&scene.blue, "2", &[("Batch", "2"), ("BatchWaitTime", "1")]);
    assert_eq!(passed(&scene, &order["ChangeOrderId"]), [0, 1, 9, 1, 2]);
    let order = scene.deploy(&scene.blue, "3", &[("Batch", "2"), ("ReleaseType", "1")]);
    assert_eq!(passed(&scene, &order["ChangeOrderId"]), [0, 1, 8]);
    let has = scene.fake.world(|world| world.running(&scene.app, "blue", Some("3")));
    assert_eq!(has, scene.hosts[..1]);
    let id = order["ChangeOrderId"].as_str().unwrap();
    let info = scene.edas("GetChangeOrderInfo", &[("ChangeOrderId", id)])["changeOrderInfo"].clone();
    assert_eq!(info["BatchType"], "Manual");
    let pipeline = info["PipelineInfoList"]["PipelineInfo"][0]["PipelineId"].as_str().unwrap();
    assert_eq!(scene.edas("ContinuePipeline", &[("PipelineId", pipeline), ("Confirm", "true")])["Code"], 200);
    assert_eq!(scene.ended(&order), 2);
    assert_eq!(scene.edas("ContinuePipeline", &[("PipelineId", pipeline)])["Code"], 601);
    assert_eq!(scene.deploy(&scene.blue, "4", &[("Batch", "3")])["Code"], 400, "more batches than instances");
}

#[test]
fn an_order_is_stopped_and_taken_back() {
    let scene = scene(Settings { step: 100, ..Settings::default() });
    let failure = Failure { status: 1, batch: 0, code: "", message: "" };
    for action in ["AbortChangeOrder", "AbortAndRollbackChangeOrder"] {
        scene.fake.world(|world| world.fail_order(Kind::Deploy, failure.clone()));
        let order = scene.deploy(&scene.blue, "2", &[]);
        let id = order["ChangeOrderId"].as_str().unwrap();
        scene.until("blue to be in the middle of it", |world| {
            world.running(&scene.app, "blue", None).is_empty()
        });
        let stopped = scene.edas(action, &[("ChangeOrderId", id)]);
        assert_eq!(stopped["Code"], 200);
        assert_eq!(scene.ended(&order), 6);
        assert_eq!(scene.edas(action, &[("ChangeOrderId", id)])["Code"], 601, "it has ended");
        if action == "AbortChangeOrder" {
            assert!(scene.fake.world(|world| world.running(&scene.app, "blue", None)).is_empty());
            assert_eq!(scene.ended(&scene.app("StartApplication", &[])), 2);
        } else {
            assert_eq!(scene.ended(&stopped["Data"]), 2);
            let runs = scene.fake.world(|world| world.running(&scene.app, "blue", Some("1")));
            assert_eq!(runs, scene.hosts);
        }
    }
    scene.honest();
}

#[test]
fn nobody_named_is_everybody() {
    let scene = scene(Settings::default());
    scene.grow("1");
    let all = |group: &str| scene.fake.world(|world| world.running(&scene.app, group, None)).len();
    assert_eq!((all("blue"), all("green")), (2, 1));
    assert_eq!(scene.ended(&scene.app("StopApplication", &[])), 2);
    assert_eq!((all("blue"), all("green")), (0, 0));
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    assert_eq!(each(&status["EccList"]["Ecc"], "AppState"), [1, 1, 1]);
    assert_eq!(scene.ended(&scene.app("StartApplication", &[])), 2);
    assert_eq!((all("blue"), all("green")), (2, 1));
    // And `all` is every group.
    assert_eq!(scene.ended(&scene.deploy("all", "9", &[])), 2);
    let nine = |group: &str| scene.fake.world(|world| world.running(&scene.app, group, Some("9"))).len();
    assert_eq!((nine("blue"), nine("green")), (2, 1));
}

#[test]
fn an_earlier_version_comes_back_by_its_name() {
    let scene = scene(Settings::default());
    assert_eq!(scene.ended(&scene.deploy(&scene.blue, "2", &[])), 2);
    let history = scene.app("ListHistoryDeployVersion", &[])["PackageVersionList"]["PackageVersion"].clone();
    assert_eq!(each(&history, "PackageVersion"), ["2", "1"]);
    let back = [("GroupId", scene.blue.as_str()), ("HistoryVersion", "1")];
    assert_eq!(scene.ended(&scene.app("RollbackApplication", &back)), 2);
    assert_eq!(scene.fake.world(|world| world.running(&scene.app, "blue", Some("1"))), scene.hosts);
    let empty = scene.app("RollbackApplication", &[("GroupId", &scene.green), ("HistoryVersion", "1")]);
    assert!(empty["Message"].as_str().unwrap().contains("ex.app.deploy.group.empty"), "{empty}");
    scene.honest();
}

#[test]
fn instances_come_from_a_template_or_from_the_idle_and_go_again() {
    let scene = scene(Settings::default());
    let idle = scene.fake.world(|world| world.idle(2));
    let listed = scene.app("ListScaleOutEcu", &[("InstanceNum", "5")])["EcuInfoList"]["EcuInfo"].clone();
    assert_eq!(each(&listed, "EcuId"), [&json!(idle[0]), &json!(idle[1])]);
    let both = idle.join(",");
    let out = [("DeployGroup", scene.green.as_str()), ("EcuInfo", both.as_str())];
    assert_eq!(scene.ended(&scene.app("ScaleOutApplication", &out)), 2);
    assert_eq!(scene.app("ScaleOutApplication", &out)["Code"], 601, "they are idle no more");
    let bought = scene.grow("1");
    let of = |scene: &super::Scene| {
        let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
        let all = status["EccList"]["Ecc"].as_array().unwrap().clone();
        let own = all.iter().filter(|ecc| ecc["GroupId"] == scene.green.as_str());
        own.map(|ecc| ecc["EccId"].clone()).collect::<Vec<_>>()
    };
    let eccs = texts(&json!(of(&scene)));
    assert_eq!(eccs.len(), 3);
    let delete = [("GroupName", "green")];
    assert_eq!(scene.app("DeleteDeployGroup", &delete)["Code"], 601, "somebody is in it");
    assert_eq!(scene.ended(&scene.app("ScaleInApplication", &[("EccInfo", &eccs.join(","))])), 2);
    assert!(of(&scene).is_empty());
    let hosts = scene.fake.world(|world| world.hosts.contains_key(&bought[0]));
    assert!(!hosts, "what was bought for it is released");
    let listed = scene.app("ListScaleOutEcu", &[])["EcuInfoList"]["EcuInfo"].clone();
    assert_eq!(each(&listed, "EcuId"), [&json!(idle[0]), &json!(idle[1])]);
    assert_eq!(scene.app("DeleteDeployGroup", &delete)["Code"], 200);
    let nobody = scene.refused("edas", "ScaleInApplication", &[("AppId", &scene.app), ("EccInfo", "")]);
    assert_eq!(nobody, "ValidationError", "nobody is not everybody here");
    let version = [
        ("GroupId", scene.blue.as_str()),
        ("ScalingNum", "1"),
        ("TemplateId", "lt-api"),
        ("TemplateVersion", "2"),
    ];
    let refusal = scene.app("ScaleoutApplicationWithNewInstances", &version);
    assert!(refusal["Message"].as_str().unwrap().contains("vSwitch"), "{refusal}");
    scene.honest();
}

#[test]
fn one_instance_moves_into_another_group() {
    let scene = scene(Settings::default());
    let status = scene.app("QueryApplicationStatus", &[])["AppInfo"].clone();
    let ecc = status["EccList"]["Ecc"][0]["EccId"].as_str().unwrap().to_owned();
    let to = [("EccInfo", ecc.as_str()), ("GroupName", "green")];
    assert_eq!(scene.app("ChangeDeployGroup", &to)["Code"], 601, "their versions differ");
    let forced = [&to[..], &[("ForceStatus", "true")]].concat();
    assert_eq!(scene.ended(&scene.app("ChangeDeployGroup", &forced)), 2);
    let own = scene.fake.world(|world| world.running(&scene.app, "green", Some("1")));
    assert_eq!(own, scene.hosts[..1]);
    let info = scene.edas("QueryEccInfo", &[("EccId", &ecc)])["EccInfo"].clone();
    assert_eq!((info["GroupName"].as_str(), info["PackageVersion"].as_str()), (Some("green"), Some("1")));
    scene.honest();
}
