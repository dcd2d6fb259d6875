//! `deployer doctor` on a live account: what it sees, what it says, and that it changes nothing.

use serde_json::Value;

use crate::desk::{Desk, Done};
use crate::fake::{CodeDeployOptions, Fake, Fault, On, Settings, TargetGroupSettings};

/// The findings of one severity, as `check: what`.
fn findings(done: &Done, severity: &str) -> Vec<String> {
    let document: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|bad| panic!("{bad}\n{}\n{}", done.out, done.err));
    let all = document["findings"].as_array().unwrap().iter();
    let these = all.filter(|finding| finding["severity"] == severity);
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    these.map(|finding| format!("{}: {}", word(finding, "check"), word(finding, "what"))).collect()
}

fn doctor(desk: &Desk) -> Done {
    desk.run(&["doctor", "api", "--output", "json"])
}

#[test]
fn a_sound_service_is_found_ready_and_nothing_is_changed() {
    let desk = Desk::new();
    desk.declare_all();
    let done = desk.run(&["doctor", "api"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let expected = "\
doctor  api in prod: 11 ok, 0 not checked, 0 warnings, 0 failures

  ok   account              `111122223333` in eu-west-1
  ok   permissions          everything that has to be read can be read
  ok   write permissions    IAM's simulator allows all 50 actions of `deployer policy aws`
  ok   fleets               `api-blue` in service
  ok   launch template      `api-blue` launches version 1 of `TEMPLATE`
  ok   twins                `public` and `public-2` have the same settings
  ok   undeclared groups    all 2 target groups in which blue stands are declared
  ok   security groups      `inner` reaches green through `internal` on 80 (health checks) and 80 (traffic)
  ok   security groups      `edge` reaches green through `public-2` on 80 (health checks) and 80 (traffic)
  ok   security groups      `edge` reaches green through `public` on 80 (health checks) and 80 (traffic)
  ok   quotas               3 target groups for one Auto Scaling group, of 50; attached ten at a time

Nothing was changed.  next   deployer plan api
";
    let template = desk.fake.world(|world| world.templates.keys().next().cloned().unwrap());
    assert_eq!(done.out.replace(&template, "TEMPLATE"), expected);
    assert_eq!(desk.writes(), [""; 0]);
}

#[test]
fn the_accident_is_seen_before_it_happens() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let forgotten = world.target_group("partner", &TargetGroupSettings::default());
        let alb = world.alb("partners");
        world.listener(&alb, 8443, &[(&forgotten, 1)]).unwrap();
        for instance in world.in_service("api-blue") {
            world.register_by_hand(&forgotten, &instance, None);
        }
    });
    let done = doctor(&desk);
    assert_eq!(done.code, 1);
    let expected =
        "undeclared groups: blue stands in the target group `partner`, which the file does not declare";
    assert_eq!(findings(&done, "fail"), [expected]);
    let text = desk.run(&["doctor", "api"]).out;
    let end = text.split("\n\n").skip(2).collect::<Vec<_>>().join("\n\n");
    let expected = "  \
  FAIL undeclared groups    blue stands in the target group `partner`, which the file does not declare
         why  whoever comes through it would lose the service with blue; a rollout is refused until it is covered
         mend declare it: `partner: {target_group: partner}` under `groups`

Nothing was changed.  when mended   deployer doctor api
";
    assert_eq!(end, expected, "{text}");
}

#[test]
fn a_template_that_drops_the_balancers_security_group_is_seen_for_green_alone() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let closed = world.security_group("closed", &[("0.0.0.0/0", 22, 22)]);
        let template = world.templates.values_mut().next().unwrap();
        template.versions[1].data["SecurityGroupId"] = serde_json::json!([closed]);
    });
    let failures = findings(&doctor(&desk), "fail");
    assert_eq!(failures.len(), 6, "{failures:#?}");
    assert!(
        failures.iter().all(|line| line.starts_with("security groups: green's security groups")),
        "{failures:#?}"
    );
    let text = desk.run(&["doctor", "api"]).out;
    assert!(
        text.contains("no rule opens the port to anybody") && text.contains("allow port 80 from"),
        "{text}"
    );
}

#[test]
fn twins_that_differ_and_drains_that_are_too_long_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let second = world.groups.get_mut(&desk.second).unwrap();
        second.attributes.insert("deregistration_delay.timeout_seconds".into(), "3600".into());
    });
    let failures = findings(&doctor(&desk), "fail");
    let twins = "twins: `public` and `public-2` differ in deregistration_delay.timeout_seconds (30 and 3600)";
    let drain = "drain: `public-2` drains for 1h, and `deadlines.drain` is 15m";
    assert_eq!(failures, [twins, drain]);
}

#[test]
fn what_may_not_be_read_is_said_and_fails() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.fail(On::call("DescribeSecurityGroups"), Fault::Denied);
    desk.fake.fail(On::call("DescribeLifecycleHooks"), Fault::Denied);
    let done = doctor(&desk);
    let failures = findings(&done, "fail").join("\n");
    assert_eq!(done.code, 1);
    assert!(failures.contains("permissions: `DescribeSecurityGroups` is denied"), "{failures}");
    assert!(failures.contains("permissions: `DescribeLifecycleHooks` is denied"), "{failures}");
}

#[test]
fn what_may_not_be_written_is_found_action_by_action() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        world.may_not = ["autoscaling:DeleteAutoScalingGroup", "iam:PassRole"].map(str::to_owned).into();
    });
    let done = doctor(&desk);
    let group = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:*:autoScalingGroupName";
    let expected = [
        format!("write permissions: `autoscaling:DeleteAutoScalingGroup` is denied on `{group}/*`"),
        format!("write permissions: `autoscaling:DeleteAutoScalingGroup` is denied on `{group}/api-blue`"),
        "write permissions: `iam:PassRole` is denied on `arn:aws:iam::111122223333:role/*`".to_owned(),
    ];
    assert_eq!((done.code, findings(&done, "fail")), (1, expected.to_vec()));
    assert_eq!((desk.writes(), desk.fake.unknown()), (vec![], vec![]));
}

/// What `policy aws` prints and what the simulator was asked, statement by statement.
#[test]
fn the_simulator_is_asked_exactly_what_the_policy_prints() {
    let desk = Desk::new();
    desk.declare_all();
    let printed: Value = serde_json::from_str(&desk.run(&["policy", "aws", "api"]).out).unwrap();
    assert_eq!(doctor(&desk).code, 0);
    let calls = desk.fake.calls().into_iter().filter(|call| call.action == "SimulatePrincipalPolicy");
    let asked: Vec<_> = calls.map(|call| call.parameters).collect();
    for (nth, statement) in printed["Statement"].as_array().unwrap().iter().enumerate() {
        // The first question is asked twice: it also finds out what the role is called.
        let asked = &asked[nth + 1];
        assert_eq!(asked["ActionNames"], statement["Action"]);
        assert_eq!(asked["ResourceArns"], statement["Resource"]);
        assert_eq!(asked["PolicySourceArn"], "arn:aws:iam::111122223333:role/deployer");
        let keys: Vec<_> = asked["ContextEntries"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| &one["ContextKeyName"])
            .collect();
        let conditions = statement["Condition"].as_object().into_iter().flat_map(serde_json::Map::values);
        let expected: Vec<_> = conditions.flat_map(|pairs| pairs.as_object().unwrap().keys()).collect();
        assert_eq!(keys, expected, "{statement}");
    }
    assert_eq!(asked.len(), printed["Statement"].as_array().unwrap().len() + 1);
}

#[test]
fn where_the_simulator_tells_nothing_permissions_to_write_are_not_passed() {
    for (fault, words) in [
        (Fault::Denied, "may not ask IAM's simulator"),
        (Fault::Page(501), "does not speak this operation (HTTP 501)"),
        (Fault::Bare, "the answer does not judge"),
    ] {
        let desk = Desk::new();
        desk.declare_all();
        desk.fake.fail(On::call("SimulatePrincipalPolicy"), fault);
        let done = doctor(&desk);
        let unchecked = findings(&done, "unchecked").join("\n");
        assert!(unchecked.starts_with("write permissions: not checked: "), "{fault:?}: {unchecked}");
        assert!(unchecked.contains(words), "{fault:?}: {unchecked}");
        assert!(done.out.contains("allow the role `iam:SimulatePrincipalPolicy`"), "{}", done.out);
        assert!(!findings(&done, "ok").iter().any(|line| line.starts_with("write permissions")));
    }
}

#[test]
fn a_role_with_a_path_is_found_by_its_name() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| world.role_path = "/ci/".to_owned());
    assert!(findings(&doctor(&desk), "ok").iter().any(|line| line.starts_with("write permissions")));
    desk.fake.fail(On::call("GetRole"), Fault::Denied);
    let done = doctor(&desk);
    assert_eq!((done.code, findings(&done, "unchecked").len()), (0, 1), "{}", done.out);
}

#[test]
fn iam_is_asked_where_its_own_endpoint_is() {
    let (desk, iam) = (Desk::new(), Fake::start(Settings::default()));
    desk.declare_all();
    let done = desk.run_with(&["doctor", "api"], &[("AWS_ENDPOINT_URL_IAM", &iam.url())]);
    assert_eq!(done.code, 0, "{}", done.out);
    let asked = |fake: &Fake| fake.count("SimulatePrincipalPolicy") > 0;
    assert_eq!((asked(&desk.fake), asked(&iam)), (false, true));
}

#[test]
fn suspended_processes_and_moving_templates_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let fleet = world.fleets.get_mut("api-blue").unwrap();
        fleet.suspended.insert("AddToLoadBalancer".into(), "by hand".into());
        fleet.settings["LaunchTemplate"]["Version"] = "$Latest".into();
    });
    let failures = findings(&doctor(&desk), "fail");
    assert!(
        failures.iter().any(|line| line.contains("launches `$Latest`") && line.ends_with("which is 2 today")),
        "{failures:#?}"
    );
    assert!(
        failures.contains(&"suspended processes: `AddToLoadBalancer` of `api-blue` is suspended".to_owned()),
        "{failures:#?}"
    );
}

#[test]
fn credentials_of_another_account_are_no_way_in() {
    let desk = Desk::new();
    desk.declare_all();
    let text = std::fs::read_to_string(desk.file()).unwrap().replace("111122223333", "999999999999");
    std::fs::write(desk.file(), text).unwrap();
    let done = doctor(&desk);
    let failures = findings(&done, "fail");
    assert_eq!((done.code, failures.len()), (1, 1), "{failures:?}");
    assert!(failures[0].contains("the credentials are for account 111122223333"), "{failures:?}");
    assert_eq!(desk.fake.count("DescribeAutoScalingGroups"), 0);
}

#[test]
fn a_deployment_group_that_lacks_a_target_group_is_the_accident_and_is_seen() {
    let desk = Desk::new();
    let managed = "{ managed: codedeploy }\n        revision_is: bundle\n        codedeploy: { application: app, deployment_group: dg, bundle: 's3://b/{revision}.zip' }";
    desk.declare(
        "          public: { target_group: public }\n          internal: { target_group: internal }\n",
    );
    let text = std::fs::read_to_string(desk.file()).unwrap().replace("{ copy: api-blue }", managed);
    std::fs::write(desk.file(), text).unwrap();
    desk.fake.world(|world| {
        world
            .fleets
            .get_mut("api-blue")
            .unwrap()
            .tags
            .insert("deployer:service".into(), ("api/prod".into(), true));
        let options = CodeDeployOptions {
            ready_wait_mins: None,
            termination_wait_mins: Some(0),
            ..CodeDeployOptions::default()
        };
        world.codedeploy_group("app", "dg", "api-blue", &["public"], &options);
    });
    let failures = findings(&doctor(&desk), "fail");
    let expected = [
        "codedeploy list: `app/dg` does not list the target group `internal`",
        "codedeploy: `app/dg` sends traffic to green as soon as it can",
        "codedeploy: `app/dg` terminates blue at once when green serves",
    ];
    assert_eq!(failures, expected);
}

#[test]
fn this_host_is_looked_at_too() {
    let desk = Desk::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "service: web\nrevision: r1\nenvironments:\n  local:\n    provider:\n      local:\n        command: [no-such-program-here]\n        \
         health: {{ path: /health }}\n        groups:\n          public: {{ listen: \"{}\" }}\n",
        held.local_addr().unwrap()
    );
    std::fs::create_dir_all(desk.file().parent().unwrap()).unwrap();
    std::fs::write(desk.file().with_file_name("web.yaml"), text).unwrap();
    let done = desk.run(&["doctor", "web", "--output", "json"]);
    let failures = findings(&done, "fail");
    assert_eq!((done.code, failures.len()), (1, 2), "{failures:?} {}", done.err);
    assert_eq!(failures[0], "command: `no-such-program-here` is not a program that can be run here");
    assert!(failures[1].starts_with("ports: `public` cannot listen on 127.0.0.1:"), "{failures:?}");
}

#[test]
fn a_network_load_balancers_clients_come_with_their_own_addresses() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        let tcp = world
            .target_group("wire", &TargetGroupSettings { protocol: "TCP", ..TargetGroupSettings::default() });
        let nlb = world.nlb("wires");
        world.listener(&nlb, 9000, &[(&tcp, 1)]).unwrap();
        for instance in world.in_service("api-blue") {
            world.register_by_hand(&tcp, &instance, None);
        }
        let inside = world.security_group("inside", &[("10.0.0.0/8", 80, 80)]);
        let template = world.templates.values_mut().next().unwrap();
        template.versions[1].data["SecurityGroupId"] = serde_json::json!([inside]);
    });
    desk.declare(
        "          public: { twins: [public, public-2] }\n          internal: { target_group: internal }\n          \
         wire: { target_group: wire }\n",
    );
    let done = doctor(&desk);
    let failures = findings(&done, "fail");
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(failures[0].contains("do not let `wires` in to port 80 (traffic of `wire`)"), "{failures:#?}");
    assert!(done.out.contains("blue lets in `0.0.0.0/0` besides"), "{}", done.out);
    let warnings = findings(&done, "warn");
    assert!(warnings[0].starts_with("open connections: `wire` does not end connections"), "{warnings:#?}");
}
