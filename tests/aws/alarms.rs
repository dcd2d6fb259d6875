//! What scales blue comes to green when blue goes, and not before; and a sick green is not taken from its target groups.

use std::collections::{BTreeMap, BTreeSet};

use deployer::rollout::Verdict;
use serde_json::{Value, json};

use crate::fake::{Fault, On};
use crate::incident::one_more;
use crate::rig::{Rig, Setup, until};

const SNS: &str = "arn:aws:sns:eu-west-1:111122223333:ops";

fn quick(setup: &mut Setup) {
    (setup.steps, setup.bake) = ("[100]", "50ms");
}

/// The end of an ARN, as metrics name a target group.
fn label(rig: &Rig, group: &str) -> String {
    rig.arns[group].rsplit(':').next().unwrap().to_owned()
}

fn arn(fleet: &str, policy: &str) -> String {
    format!(
        "arn:aws:autoscaling:eu-west-1:111122223333:scalingPolicy:1:autoScalingGroupName/{fleet}:policyName/{policy}"
    )
}

fn put_policy(rig: &Rig, name: &str, more: &Value) {
    let mut policy =
        json!({ "PolicyName": name, "AutoScalingGroupName": "api", "PolicyARN": arn("api", name) });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rig.fake
        .world(|world| drop(world.fleets.get_mut("api").unwrap().policies.insert(name.to_owned(), policy)));
}

fn dimensions(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
}

fn driven(edit: impl FnOnce(&mut Setup)) -> Rig {
    let rig = Rig::new(|setup| {
        setup.call_timeout = "2s";
        edit(setup);
    });
    drive(&rig);
    rig
}

/// A step policy for either way with alarms of two kinds, and policies that follow the requests of both target groups.
pub fn drive(rig: &Rig) {
    let step = json!({ "PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{ "MetricIntervalLowerBound": "0", "ScalingAdjustment": "1" }] });
    put_policy(rig, "up", &step);
    put_policy(
        rig,
        "down",
        &json!({ "PolicyType": "SimpleScaling", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": "-1" }),
    );
    for group in ["public-a", "internal"] {
        let label = format!("app/edge/1/{}", label(rig, group));
        let metric = json!({ "PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label });
        let tracking = json!({ "TargetValue": "100.0", "PredefinedMetricSpecification": metric });
        put_policy(
            rig,
            &format!("requests-{group}"),
            &json!({ "PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": tracking }),
        );
    }
    let (busy, slow) = (busy("api", "up", "down"), slow("api", &label(rig, "public-a"), "up"));
    rig.fake.world(|world| {
        world.alarm("busy", &busy, &[("team", "payments")]);
        world.alarm("slow & queued", &slow, &[]);
        world.alarm("unrelated", &json!({ "AlarmActions": [SNS] }), &[]);
    });
}

fn busy(fleet: &str, up: &str, down: &str) -> Value {
    let arn = |policy: &str| if policy.starts_with("arn:") { policy.to_owned() } else { arn(fleet, policy) };
    json!({
        "AlarmDescription": "CPU > 70 %", "ActionsEnabled": "true", "AlarmActions": [arn(up), SNS], "OKActions": [arn(down)],
        "MetricName": "CPUUtilization", "Namespace": "AWS/EC2", "Statistic": "Average", "Period": "60",
        "Dimensions": dimensions(&[("AutoScalingGroupName", fleet), ("Other", "api")]),
        "EvaluationPeriods": "2", "Threshold": "70.0", "ComparisonOperator": "GreaterThanThreshold",
    })
}

fn slow(fleet: &str, target_group: &str, up: &str) -> Value {
    let up = if up.starts_with("arn:") { up.to_owned() } else { arn(fleet, up) };
    let metric = |name: &str, dimensions: Value| {
        let metric =
            json!({ "Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions });
        json!({ "Metric": metric, "Period": "60", "Stat": "Sum" })
    };
    json!({
        "ActionsEnabled": "false", "AlarmActions": [up], "EvaluationPeriods": "1", "Threshold": "9.0", "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": [
            { "Id": "m1", "MetricStat": metric("RequestCount", dimensions(&[("TargetGroup", target_group)])), "ReturnData": "false" },
            { "Id": "m2", "MetricStat": metric("Size", dimensions(&[("AutoScalingGroupName", fleet)])), "ReturnData": "false" },
            { "Id": "e1", "Expression": "m1 / m2", "ReturnData": "true" },
        ],
    })
}

/// Every alarm there is: its settings and its tags.
fn alarms(rig: &Rig) -> BTreeMap<String, (Value, BTreeMap<String, String>)> {
    rig.fake.world(|world| {
        let each = world.alarms.values();
        each.map(|one| (one.name.clone(), (Value::Object(one.settings.clone()), one.tags.clone()))).collect()
    })
}

fn policy(rig: &Rig, fleet: &str, name: &str) -> Value {
    rig.fake.world(|world| world.fleets[fleet].policies.get(name).cloned().unwrap_or(Value::Null))
}

fn own(rig: &Rig, fleet: &str, name: &str) -> String {
    policy(rig, fleet, name)["PolicyARN"].as_str().unwrap().to_owned()
}

/// What is to be of blue's alarms and policies on this fleet, which stands in this twin.
pub fn scales_like_blue(rig: &Rig, fleet: &str, twin: &str) {
    let (up, down) = (own(rig, fleet, "up"), own(rig, fleet, "down"));
    assert_ne!(up, arn("api", "up"));
    let tags = |more: &[(&str, &str)]| {
        let ours = [("deployer:service", "api/prod"), ("deployer:group", fleet)];
        ours.iter()
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let all = alarms(rig);
    assert_eq!(all[&format!("busy-{fleet}")], (busy(fleet, &up, &down), tags(&[("team", "payments")])));
    assert_eq!(all[&format!("slow & queued-{fleet}")], (slow(fleet, &label(rig, twin), &up), tags(&[])));
    for (name, group) in [("requests-public-a", twin), ("requests-internal", "internal")] {
        let at = "/TargetTrackingConfiguration/PredefinedMetricSpecification/ResourceLabel";
        let expected = format!("app/edge/1/{}", label(rig, group));
        assert_eq!(policy(rig, fleet, name).pointer(at), Some(&json!(expected)), "{name}");
    }
}

fn names(rig: &Rig) -> BTreeSet<String> {
    alarms(rig).into_keys().collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_scales_blue_scales_green_when_blue_has_gone() {
    let rig = driven(quick);
    rig.run(&["rollout", "api", "--revision", "2"]).ended_with(0);
    rig.is_left_with("api-v001");
    scales_like_blue(&rig, "api-v001", "public-b");
    // Those of the operator stay: nobody but they knows what they are for.
    let operators = ["busy", "slow & queued", "unrelated"];
    assert_eq!(names(&rig), set(&[&operators[..], &["busy-api-v001", "slow & queued-api-v001"]].concat()));

    rig.run(&["rollout", "api", "--revision", "1"]).ended_with(0);
    rig.is_left_with("api-v002");
    scales_like_blue(&rig, "api-v002", "public-a");
    assert_eq!(names(&rig), set(&[&operators[..], &["busy-api-v002", "slow & queued-api-v002"]].concat()));
    assert_eq!(rig.fake.unknown(), [""; 0]);
}

#[test]
fn no_alarm_is_made_or_deleted_before_blue_goes_and_none_on_the_way_back() {
    let rig = driven(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
    let before = alarms(&rig);
    rig.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(alarms(&rig), before);
    assert_eq!(policy(&rig, "api-v001", "requests-internal"), Value::Null);
    let frozen = rig.fake.world(|world| {
        let still = |fleet: &str| !world.fleets[fleet].runs("AlarmNotification");
        still("api") && still("api-v001")
    });
    assert!(frozen, "no alarm changes either fleet meanwhile");
    rig.run(&["abort", "api"]).ended_with(0);
    rig.is_left_with("api");
    assert_eq!(alarms(&rig), before);
    assert_eq!((rig.fake.count("PutMetricAlarm"), rig.fake.count("DeleteAlarms")), (0, 0));
}

#[test]
fn whatever_is_lost_on_the_wire_green_scales_in_the_end() {
    for action in [
        "DescribePolicies",
        "DescribeAlarms",
        "ListTagsForResource",
        "PutScalingPolicy",
        "PutMetricAlarm",
        "DeleteAlarms",
    ] {
        let rig = driven(quick);
        rig.run(&["rollout", "api", "--revision", "2"]).ended_with(0);
        for fault in [Fault::LostReply, Fault::Throttle, Fault::Truncated] {
            rig.fake.fail(On::call(action).first(1), fault);
        }
        rig.run(&["rollout", "api", "--revision", "1"]).ended_with(0);
        assert!(rig.fake.fired() > 0, "{action}");
        scales_like_blue(&rig, "api-v002", "public-a");
        let expected = ["busy", "busy-api-v002", "slow & queued", "slow & queued-api-v002", "unrelated"];
        assert_eq!(names(&rig), set(&expected), "{action}");
    }
}

/// What is said of an account in which something more is so.
type Case = (&'static str, fn(&Rig));

#[test]
fn what_green_could_not_have_is_refused_before_anything_is_made() {
    let cases: [Case; 3] = [
        ("`both` is a composite one", |rig| {
            let rule = json!({ "AlarmRule": "ALARM(busy)", "AlarmActions": [arn("api", "up")] });
            rig.fake.world(|world| world.alarm("both", &rule, &[]));
        }),
        ("computes with metrics of another group, `worker`", |rig| {
            let math = slow("worker", &label(rig, "public-a"), &arn("api", "up"));
            rig.fake.world(|world| world.alarm("math", &math, &[]));
        }),
        ("the alarm `ghost`, which CloudWatch does not show", |rig| {
            put_policy(
                rig,
                "down",
                &json!({ "PolicyType": "SimpleScaling", "Alarms": [{ "AlarmName": "ghost" }] }),
            );
        }),
    ];
    for (words, build) in cases {
        let rig = driven(quick);
        build(&rig);
        let done = rig.run(&["rollout", "api"]);
        assert_ne!(done.code, 0, "{words}");
        assert!(done.said().contains(words), "{words}: {}", done.said());
        assert_eq!(rig.fake.count("CreateAutoScalingGroup"), 0, "{words}");
        rig.unharmed();
    }
}

#[test]
fn blue_stays_until_green_has_what_scales_it() {
    let rig = driven(|setup| {
        quick(setup);
        setup.deadlines = vec!["retire: 1s"];
    });
    rig.fake.world(|world| world.alarm("busy-api-v001", &json!({ "AlarmActions": [SNS] }), &[]));
    let done = rig.run(&["rollout", "api"]).ended_with(13);
    assert!(done_says(&rig, "no tag says that it was made for `api-v001`"), "{done:?}");
    assert_eq!(rig.members("api").len(), 2, "blue stands");
    rig.fake.world(|world| drop(world.alarms.remove("busy-api-v001")));
    rig.run(&["resume", "api"]).ended_with(0);
    scales_like_blue(&rig, "api-v001", "public-b");
    rig.is_left_with("api-v001");
}

#[test]
fn blue_that_is_attached_somewhere_while_its_alarms_are_handed_over_stays() {
    let mut rig = driven(|setup| {
        quick(setup);
        setup.deadlines = vec!["hold: 1s", "retire: 1s"];
    });
    let partner = one_more(&mut rig, "partner", "instance");
    rig.fake.fail(On::call("PutMetricAlarm").first(1), Fault::Slow(1_000));
    let rollout = rig.start(&["rollout", "api"]);
    until("the alarms to be handed over", || rig.fake.count("PutMetricAlarm") > 0);
    rig.fake.world(|world| world.attach("api", &partner));
    let held = rollout.wait().ended_with(13);
    assert!(held.said().contains("partner"), "{}", held.said());
    assert_eq!(rig.members("api").len(), 2, "blue stands");
    assert_eq!(rig.fake.count("DeleteAutoScalingGroup"), 0);
}

fn done_says(rig: &Rig, words: &str) -> bool {
    serde_json::to_string(&rig.facts(1)).unwrap().contains(words)
}

#[test]
fn a_green_that_falls_ill_in_every_group_at_once_is_left_to_stand() {
    let rig = Rig::new(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
    rig.run(&["rollout", "api"]).ended_with(14);
    let green = rig.members("api-v001");
    let states = || rig.targets("internal").into_values().collect::<BTreeSet<_>>();
    // Long past the grace period, which is the same as blue's.
    let past = |more: u64| {
        let from = rig.fake.world(|world| world.now);
        until("time to pass", || rig.fake.world(|world| world.now) > from + more);
    };
    past(400);
    rig.fake.world(|world| world.sicken("*", "2"));
    until("green to be ill", || states() == set(&["unhealthy"]));
    past(100);
    assert_eq!((rig.members("api-v001"), states()), (green.clone(), set(&["unhealthy"])), "it stands");
    rig.fake.world(|world| world.recover("*", "2"));
    until("green to be well", || states() == set(&["healthy"]));
    rig.run(&["promote", "api"]).ended_with(0);
    until("the end", || rig.state(1).verdict().is_some());
    assert_eq!(rig.state(1).verdict(), Some(&Verdict::Completed));
    past(100);
    rig.scales("api-v001");
    assert_eq!(rig.members("api-v001"), green, "and nobody ends it for what it once was");
}
