//! `doctor`, `policy ram` and `init` for two applications on Kubernetes.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::fake::{GroupOptions, Pace, Work};
use crate::job::{Job, TWINS, image, is_read};
use crate::kube::{one_more, serve};

/// The findings of one severity, as `check: what`.
fn findings(job: &Job, severity: &str) -> Vec<String> {
    let done = job.run(&["doctor", "api", "--output", "json"]);
    let document: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|bad| panic!("{bad}\n{}", done.said()));
    let all = document["findings"].as_array().unwrap().iter();
    let these = all.filter(|finding| finding["severity"] == severity);
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    these.map(|finding| format!("{}: {}", word(finding, "check"), word(finding, "what"))).collect()
}

fn told(findings: &[String], what: &str) -> bool {
    findings.iter().any(|finding| finding.contains(what))
}

#[test]
fn a_sound_service_on_kubernetes_is_found_ready_and_nothing_is_changed() {
    let job = Job::on_kubernetes(|setup| setup.deadlines = vec!["drain: 10m", "settle: 10m"]);
    assert_eq!(findings(&job, "fail"), Vec::<String>::new());
    let ok = findings(&job, "ok");
    for what in [
        "application: `api-blue` on Kubernetes",
        "application: `api-green` on Kubernetes",
        "applications: `api-blue` in service",
        "all 2 server groups in which blue stands are declared",
    ] {
        assert!(told(&ok, what), "{what}: {ok:#?}");
    }
    assert!(job.fake.calls().iter().all(|call| is_read(&call.action)));
    job.unharmed();
}

#[test]
fn what_would_fail_a_rollout_on_kubernetes_is_found_before() {
    let job = Job::on_kubernetes(|setup| setup.deadlines = vec!["drain: 10m", "settle: 10m"]);
    let third = job.fake.world(|world| {
        let alb = world.alb("another");
        let group = world.alb_group("another", &GroupOptions { kind: "Ip", ..GroupOptions::default() });
        world.listener(&alb, 7000, &group);
        for pod in world.pods(&job.ids["api-blue"]) {
            let address = world.hosts[&pod].ip.clone();
            world.stand(&group, &address, 8080, 100);
        }
        let (blue, green) = (job.ids["api-blue"].clone(), job.ids["api-green"].clone());
        world.kube_of(&blue).unwrap().slb_info = r#"[{"slbId":"lb-1"}]"#.to_owned();
        world.kube_of(&blue).unwrap().image = "docker.io/elsewhere/api:1".to_owned();
        world.rescale(&green, None, 1, true);
        let pods = Work::Pods { image: None, replicas: 1 };
        world.order(crate::fake::Kind::Restart, (&green, ""), pods, &[], Pace::default());
        world.settings.step = 3_600_000;
        group
    });
    let failures = findings(&job, "fail");
    for what in [
        third.as_str(),
        "UnbindK8sSlb",
        "`api-green` is to become green, and has 1 pods",
        "EDAS works on Restart Application",
    ] {
        assert!(told(&failures, what), "{what}: {failures:#?}");
    }
    let warnings = findings(&job, "warn");
    assert!(
        told(&warnings, "docker.io/elsewhere/api:1, which is not of the form of `image`"),
        "{warnings:#?}"
    );
    fs::write(job.file(), fs::read_to_string(job.file()).unwrap().replace("api-green", "api-grey")).unwrap();
    let failures = findings(&job, "fail");
    assert!(told(&failures, "there is no application `api-grey` on Kubernetes"), "{failures:#?}");
}

#[test]
fn tags_that_do_not_suffice_to_note_what_was_left_are_seen() {
    let job = Job::on_kubernetes(|setup| setup.deadlines = vec!["drain: 10m", "settle: 10m"]);
    let tag = |count: usize| {
        job.fake.world(|world| {
            let app = world.app_mut(&job.ids["api-blue"]).unwrap();
            app.tags = (0..count).map(|n| (format!("team-{n}"), "shop".to_owned())).collect();
        });
    };
    // Two twins, a rule that is on, and what it is filled with.
    tag(16);
    assert_eq!(findings(&job, "fail"), Vec::<String>::new());
    tag(17);
    assert_eq!(findings(&job, "fail"), ["quotas: `api-blue` has 17 of 20 tags, and a rollout needs 4 more"]);
    // What is noted already needs no other tag.
    job.fake.world(|world| {
        let app = world.app_mut(&job.ids["api-blue"]).unwrap();
        app.tags.insert(format!("deployer:left:{}", job.ids["public-a"]), "1".to_owned());
    });
    assert_eq!(findings(&job, "fail"), ["quotas: `api-blue` has 18 of 20 tags, and a rollout needs 3 more"]);
}

#[test]
fn the_policy_for_kubernetes_moves_no_server() {
    let job = Job::on_kubernetes(|_| {});
    let done = job.run(&["policy", "ram", "api"]).ended_with(0);
    let policy: Value = serde_json::from_str(&done.out).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions: BTreeSet<&str> = statements
        .iter()
        .flat_map(|own| own["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap())
        .collect();
    let writes: Vec<_> = actions
        .iter()
        .filter(|action| !is_read(action.split_once(':').unwrap().1) && !action.starts_with("edas:Read"))
        .collect();
    let expected = [
        "alb:CreateRule",
        "alb:DeleteRule",
        "alb:UpdateListenerAttribute",
        "alb:UpdateRuleAttribute",
        "edas:ManageApplication",
    ];
    assert_eq!(writes, expected.iter().collect::<Vec<_>>());
    assert_eq!(job.fake.calls().len(), 0, "it makes no call");
}

#[test]
fn doctor_and_policy_know_twins_of_an_nlb_and_of_a_clb() {
    let job = Job::on_kubernetes(|setup| {
        (setup.by, setup.deadlines) = (TWINS, vec!["drain: 10m", "settle: 10m"]);
    });
    assert_eq!(findings(&job, "fail"), Vec::<String>::new());
    assert!(told(&findings(&job, "ok"), "all 4 server groups in which blue stands are declared"));
    for family in ["nlb", "clb"] {
        let group = one_more(&job, family);
        serve(&job, "api-blue", &group);
        let done = job.run(&["doctor", "api"]);
        assert!(done.said().contains(&format!("NAME: {{{family}_twins: [A, B]}}")), "{}", done.said());
    }
    let done = job.run(&["policy", "ram", "api"]).ended_with(0);
    for action in ["nlb:UpdateListenerAttribute", "slb:SetLoadBalancerTCPListenerAttribute", "slb:SetRule"] {
        assert!(done.out.contains(action), "{action}: {}", done.out);
    }
    for action in ["AddServersToServerGroup", "AddVServerGroupBackendServers", "alb:TagResources"] {
        assert!(!done.out.contains(action), "{action}: {}", done.out);
    }
}

#[test]
fn init_writes_the_two_applications_with_their_twins_in_their_order() {
    for (from, serving) in [("api-blue", "a"), ("api-green,api-blue", "b")] {
        let job = Job::on_kubernetes(|_| {});
        let before = fs::read_to_string(job.file()).unwrap();
        fs::remove_file(job.file()).unwrap();
        let third = job.fake.world(|world| {
            let nlb = world.nlb("another");
            let group = world.nlb_group(
                "another",
                &GroupOptions { kind: "Ip", protocol: "TCP", ..GroupOptions::default() },
            );
            world.listener(&nlb, 7000, &group);
            let pod = world.pods(&job.ids["api-blue"]).remove(0);
            let address = world.hosts[&pod].ip.clone();
            world.stand(&group, &address, 8080, 100);
            group
        });
        // Only what stands in one rule with its twin can be told to be one; a listener of an NLB has one of the two.
        job.run(&["init", "api", "--from-edas", from, "--environment", "prod"]).ended_with(0);
        let text = fs::read_to_string(job.file()).unwrap();
        let other = if serving == "a" { "b" } else { "a" };
        let twins = format!(
            "alb_twins: [\"{}\", \"{}\"]",
            job.ids[&format!("public-{serving}")],
            job.ids[&format!("public-{other}")]
        );
        assert!(text.contains(&twins), "{twins}\n{text}");
        assert!(text.contains(&format!("image: \"{}\"", image("{revision}"))), "{text}");
        assert!(text.contains("revision: \"1.0.0\""), "{text}");
        let beware = text.lines().filter(|line| line.starts_with("# Beware")).collect::<Vec<_>>().join("\n");
        assert!(beware.contains("another") && beware.contains("whole-a"), "{third} {beware}");
        let unknown = if serving == "a" {
            [third.clone(), format!("TWIN-OF-{third}")]
        } else {
            [format!("TWIN-OF-{third}"), third]
        };
        let twins = format!("nlb_twins: [\"{}\", \"{}\"]", unknown[0], unknown[1]);
        assert!(text.contains(&twins), "{twins}\n{text}");
        job.run(&["validate"]).ended_with(0);
        assert!(job.fake.calls().iter().all(|call| is_read(&call.action)));
        drop(before);
    }
}
