//! `deployer policy ram`: least privilege for exactly what the file says, without a call.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::desk::Desk;

fn policy(desk: &Desk, options: &[&str]) -> Value {
    let done = desk.run(&[&["policy", "ram", "api"], options].concat());
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(desk.fake.calls(), [], "it makes no call");
    serde_json::from_str(&desk.named(&done.out)).unwrap()
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let lists = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    lists.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_service_behind_every_kind_of_balancer_needs_this_and_no_more() {
    let desk = Desk::new();
    desk.declare_all();
    let own =
        |product: &str, resource: &str| format!("acs:{product}:cn-hongkong:1234567890123456:{resource}");
    let document = policy(&desk, &["--store", "oss://deployments/journal"]);
    let statements = document["Statement"].as_array().unwrap();
    assert_eq!(document["Version"], "1");
    assert_eq!(statements[0]["Resource"], json!(["*"]));
    let reads = statements[0]["Action"].as_array().unwrap();
    let word = |action: &Value| action.as_str().unwrap().split_once(':').unwrap().1.to_owned();
    assert!(
        reads
            .iter()
            .map(word)
            .all(|action| ["Get", "List", "Describe"].iter().any(|read| action.starts_with(read)))
    );
    let servers = |product: &str, resources: Vec<String>| {
        let actions =
            ["AddServersToServerGroup", "RemoveServersFromServerGroup", "UpdateServerGroupServersAttribute"];
        json!({ "Effect": "Allow", "Action": actions.map(|action| format!("{product}:{action}")), "Resource": resources })
    };
    let expected = json!([
        {
            "Effect": "Allow", "Action": ["edas:ReadApplication"],
            "Resource": [own("edas", "namespace/*/application/APPLICATION")],
        },
        { "Effect": "Allow", "Action": ["edas:ReadCluster"], "Resource": [own("edas", "namespace/*/cluster/*")] },
        {
            "Effect": "Allow", "Action": ["edas:ManageApplication"],
            "Resource": [own("edas", "namespace/*/application/APPLICATION")],
        },
        {
            "Effect": "Allow",
            "Action": ["ess:ResumeProcesses", "ess:SuspendProcesses", "ess:TagResources", "ess:UntagResources"],
            "Resource": [own("ess", "scalinggroup/*")],
        },
        servers("alb", vec![
            own("alb", "servergroup/ID-OF-public-a"), own("alb", "servergroup/ID-OF-public-b"), own("ecs", "instance/*"),
        ]),
        servers("nlb", vec![own("nlb", "servergroup/ID-OF-wire"), own("ecs", "instance/*")]),
        {
            "Effect": "Allow",
            "Action": [
                "slb:AddVServerGroupBackendServers", "slb:RemoveVServerGroupBackendServers",
                "slb:SetVServerGroupAttribute",
            ],
            "Resource": [own("slb", "loadbalancer/*"), own("ecs", "instance/*")],
        },
        {
            "Effect": "Allow",
            "Action": ["alb:CreateRule", "alb:DeleteRule", "alb:UpdateListenerAttribute", "alb:UpdateRuleAttribute"],
            "Resource": [own("alb", "*")],
        },
        {
            "Effect": "Allow",
            "Action": [
                "oss:GetBucketAcl", "oss:GetBucketEncryption", "oss:GetBucketPolicyStatus",
                "oss:GetBucketPublicAccessBlock", "oss:GetBucketVersioning",
            ],
            "Resource": ["acs:oss:*:1234567890123456:deployments"],
        },
        {
            "Effect": "Allow", "Action": ["oss:ListObjects"], "Resource": ["acs:oss:*:1234567890123456:deployments"],
            "Condition": { "StringLike": { "oss:Prefix": ["journal/*"] } },
        },
        {
            "Effect": "Allow", "Action": ["oss:GetObject", "oss:PutObject"],
            "Resource": ["acs:oss:*:1234567890123456:deployments/journal/*"],
        },
    ]);
    assert_eq!(json!(statements[1..]), expected);
}

#[test]
fn read_only_changes_nothing_and_what_the_file_does_not_name_is_not_granted() {
    let desk = Desk::new();
    desk.declare_all();
    let read_only = actions(&policy(&desk, &["--read-only", "--store", "oss://deployments/journal"]));
    let reads = ["Get", "List", "Describe", "Read"];
    let reading =
        |action: &String| reads.iter().any(|read| action.split_once(':').unwrap().1.starts_with(read));
    assert!(read_only.iter().all(reading), "{read_only:?}");
    assert!(read_only.contains("oss:GetBucketVersioning"), "`doctor` asks it: {read_only:?}");
    assert!(
        !actions(&policy(&desk, &[])).iter().any(|action| action.starts_with("oss:")),
        "no bucket, nothing of OSS"
    );
    desk.declare("{ idle: cluster }", &desk.groups_but(&["public", "wire"]));
    let text = std::fs::read_to_string(desk.file()).unwrap();
    std::fs::write(desk.file(), format!("freeze: false\n{text}")).unwrap();
    let writes: Vec<_> = actions(&policy(&desk, &[])).into_iter().filter(|action| !reading(action)).collect();
    let classic =
        ["AddVServerGroupBackendServers", "RemoveVServerGroupBackendServers", "SetVServerGroupAttribute"];
    let expected: Vec<_> = std::iter::once("edas:ManageApplication".to_owned())
        .chain(classic.iter().map(|action| format!("slb:{action}")))
        .collect();
    assert_eq!(writes, expected);
}

/// What was called and is not granted. EDAS has a permission for many operations, and who we are may be asked by anybody.
fn lacking(desk: &Desk, granted: &BTreeSet<String>) -> Vec<String> {
    let called: BTreeSet<_> = desk.fake.calls().into_iter().map(|call| (call.service, call.action)).collect();
    let ours = called.into_iter().filter(|(service, _)| service != "edas" && service != "sts");
    ours.map(|(service, action)| format!("{service}:{action}"))
        .filter(|action| !granted.contains(action))
        .collect()
}

#[test]
fn everything_that_is_called_to_look_and_to_describe_is_granted_to_who_only_reads() {
    let desk = Desk::new();
    desk.declare_all();
    let granted = actions(&policy(&desk, &["--read-only"]));
    for verb in [
        &["doctor", "api"][..],
        &["plan", "api"],
        &["init", "other", "--from-edas", "api", "--environment", "prod"],
    ] {
        assert_eq!(desk.run(verb).code, 0, "{verb:?}");
    }
    assert!(desk.fake.calls().len() > 20);
    assert_eq!(lacking(&desk, &granted), [""; 0]);
}

#[test]
fn everything_that_a_rollout_and_its_way_back_call_is_granted() {
    let desk = Desk::new();
    desk.declare_all();
    let text = std::fs::read_to_string(desk.file())
        .unwrap()
        .replace("port: 8080", "pace: 250ms\n        port: 8080");
    std::fs::write(desk.file(), format!("settle: 0s\nbake: 0s\nquiet: 0s\n{text}")).unwrap();
    let granted = actions(&policy(&desk, &[]));
    for verb in [&["rollout", "api"][..], &["rollback", "api"]] {
        let done = desk.run(verb);
        assert_eq!(done.code, 0, "{verb:?}: {}{}", done.out, done.err);
    }
    let written: BTreeSet<_> = desk.writes().into_iter().collect();
    for action in ["UpdateRuleAttribute", "AddVServerGroupBackendServers", "ScaleInApplication"] {
        assert!(written.contains(action), "{written:?}");
    }
    assert_eq!(lacking(&desk, &granted), [""; 0]);
}

#[test]
fn a_default_server_group_and_a_template_add_their_own() {
    let desk = Desk::new();
    desk.declare("{ template: lt-api }", "          old: { clb: lb-1/default }\n");
    let document = policy(&desk, &[]);
    let defaults = ["slb:AddBackendServers", "slb:RemoveBackendServers", "slb:SetBackendServers"];
    let statements = document["Statement"].as_array().unwrap();
    assert_eq!(statements.last().unwrap()["Action"], json!(defaults));
    assert_eq!(
        statements.last().unwrap()["Resource"][0],
        "acs:slb:cn-hongkong:1234567890123456:loadbalancer/lb-1"
    );
    assert!(actions(&document).contains("edas:ManageCluster"));
}

#[test]
fn a_service_elsewhere_has_no_such_policy() {
    let desk = Desk::new();
    desk.declare_all();
    let done = desk.run(&["policy", "aws", "api"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("`api` does not run on AWS in the environment `prod`"), "{}", done.err);
}
