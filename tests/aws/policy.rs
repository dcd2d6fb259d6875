//! `deployer policy aws`: least privilege for exactly what the file says, without a call.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::desk::Desk;

const SHARED: &str = "          internal: { target_group: internal }\n";

fn policy(desk: &Desk, options: &[&str]) -> Value {
    let done = desk.run(&[&["policy", "aws", "api"], options].concat());
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(desk.fake.calls(), []);
    serde_json::from_str(&done.out).unwrap()
}

/// The file with other fleets.
fn rewrite(desk: &Desk, from: &str, to: &str) {
    let text = std::fs::read_to_string(desk.file()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(desk.file(), text.replace(from, to)).unwrap();
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let lists = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    lists.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pair_of_fleets_needs_this_and_no_more() {
    let desk = Desk::new();
    desk.declare(SHARED);
    rewrite(&desk, "{ copy: api-blue }", "{ pair: [api-a, api-b] }");
    let group = |name: &str| {
        format!("arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName/{name}")
    };
    let expected = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Look", "Effect": "Allow",
                "Action": [
                    "autoscaling:DescribeAccountLimits", "autoscaling:DescribeAutoScalingGroups",
                    "autoscaling:DescribeLifecycleHooks", "autoscaling:DescribeTrafficSources",
                    "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions",
                    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
                    "elasticloadbalancing:DescribeAccountLimits", "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTargetGroupAttributes",
                    "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
                ],
                "Resource": ["*"],
            },
            {
                "Sid": "MoveTargets", "Effect": "Allow",
                "Action": ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"],
                "Resource": ["arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/internal/*"],
            },
            {
                "Sid": "ChangeFleets", "Effect": "Allow",
                "Action": [
                    "autoscaling:AttachLoadBalancerTargetGroups", "autoscaling:AttachTrafficSources",
                    "autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags",
                    "autoscaling:DetachLoadBalancerTargetGroups", "autoscaling:DetachTrafficSources",
                    "autoscaling:ResumeProcesses", "autoscaling:SetInstanceProtection",
                    "autoscaling:SuspendProcesses", "autoscaling:UpdateAutoScalingGroup",
                ],
                "Resource": [group("api-a"), group("api-b")],
            },
            {
                "Sid": "Launch", "Effect": "Allow", "Action": ["ec2:CreateTags", "ec2:RunInstances"],
                "Resource": ["*"],
                "Condition": { "ArnLike": { "ec2:LaunchTemplate": "arn:aws:ec2:eu-west-1:111122223333:launch-template/*" } },
            },
            {
                "Sid": "PassInstanceRole", "Effect": "Allow", "Action": ["iam:PassRole"],
                "Resource": ["arn:aws:iam::111122223333:role/*"],
                "Condition": { "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } },
            },
        ],
    });
    assert_eq!(policy(&desk, &[]), expected);
}

#[test]
fn read_only_changes_nothing_and_each_way_of_deploying_adds_its_own() {
    let desk = Desk::new();
    desk.declare_all();
    let read_only = actions(&policy(&desk, &["--read-only"]));
    let reads = |action: &String| [":Describe", ":ListTags"].iter().any(|read| action.contains(read));
    assert!(read_only.iter().all(reads), "{read_only:?}");
    let copy = actions(&policy(&desk, &[]));
    for needed in [
        "autoscaling:CreateAutoScalingGroup",
        "autoscaling:DeleteAutoScalingGroup",
        "elasticloadbalancing:ModifyRule",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",
    ] {
        assert!(copy.contains(needed), "{needed}");
    }
    assert!(!copy.iter().any(|action| action.starts_with("codedeploy:")), "{copy:?}");
    let managed = "fleets: { managed: codedeploy }\n        revision_is: bundle\n        codedeploy: { application: app, \
        deployment_group: dg, bundle: 's3://b/{revision}.zip' }";
    rewrite(&desk, "fleets: { copy: api-blue }", managed);
    rewrite(&desk, "twins: [public, public-2]", "target_group: public");
    let managed = actions(&policy(&desk, &[]));
    for needed in ["codedeploy:ContinueDeployment", "codedeploy:UpdateDeploymentGroup"] {
        assert!(managed.contains(needed), "{needed}: {managed:?}");
    }
    for foreign in [
        "autoscaling:CreateAutoScalingGroup",
        "ec2:RunInstances",
        "iam:PassRole",
        "cloudwatch:PutMetricAlarm",
    ] {
        assert!(!managed.contains(foreign), "{foreign}");
    }
    rewrite(&desk, "deployment_group: dg,", "deployment_group: dg, complete: true,");
    let completing = actions(&policy(&desk, &[]));
    let more: Vec<_> = completing.difference(&managed).collect();
    assert_eq!(more, ["iam:PassRole"]);
}

/// Every call that the backend makes, as IAM names it; found in its source.
fn called() -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cloud/aws")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (begin, service) in [
                ("Family::ElbRead,", "elasticloadbalancing"),
                ("Family::ElbModify,", "elasticloadbalancing"),
                ("Family::ElbRegister,", "elasticloadbalancing"),
                ("Family::AutoScaling,", "autoscaling"),
                ("Family::CodeDeploy,", "codedeploy"),
                ("send_ec2(", "ec2"),
                ("Family::CloudWatch,", "cloudwatch"),
            ] {
                for call in text.split(begin).skip(1) {
                    let Some(action) =
                        call.trim_start().strip_prefix('"').and_then(|call| call.split('"').next())
                    else {
                        continue;
                    };
                    called.insert(format!("{service}:{action}"));
                }
            }
        }
    }
    assert!(called.len() > 20, "the calls are where this test looks for them: {called:?}");
    called
}

#[test]
fn every_call_that_is_made_is_granted() {
    let desk = Desk::new();
    desk.declare("          public: { twins: [public, public-2], create: true }\n          internal: { target_group: internal }\n");
    let mut granted = actions(&policy(&desk, &[]));
    rewrite(&desk, "fleets: { copy: api-blue }", "fleets: { copy: api-blue }\n        revision_is: ami");
    granted.extend(actions(&policy(&desk, &[])));
    let bundle = "revision_is: bundle\n        codedeploy: { application: app, deployment_group: dg, complete: true, \
        bundle: 's3://b/{revision}.zip' }";
    rewrite(&desk, "revision_is: ami", bundle);
    granted.extend(actions(&policy(&desk, &[])));
    rewrite(&desk, "fleets: { copy: api-blue }", "fleets: { managed: codedeploy }");
    rewrite(&desk, "twins: [public, public-2], create: true", "target_group: public");
    granted.extend(actions(&policy(&desk, &[])));
    let lacking: Vec<_> = called().into_iter().filter(|call| !granted.contains(call)).collect();
    assert_eq!(lacking, [""; 0]);
}
