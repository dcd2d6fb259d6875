//! Two applications on Kubernetes as fleets, by the real binary.

use std::fs;

use crate::fake::{Call, Failure, Fault, GroupOptions, Kind, NODE, On, Settings, World};
use crate::job::{Job, SIZE, image, is_read, until};
use crate::lanes::beside_each_other;

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 11;
/// What would move a pod into a group, or out of one.
const MEMBERSHIP: [&str; 7] = [
    "AddServersToServerGroup",
    "RemoveServersFromServerGroup",
    "UpdateServerGroupServersAttribute",
    "ReplaceServersInServerGroup",
    "AddVServerGroupBackendServers",
    "RemoveVServerGroupBackendServers",
    "SetVServerGroupAttribute",
];

fn job() -> Job {
    Job::on_kubernetes(|_| {})
}

pub fn pods(job: &Job, fleet: &str) -> Vec<String> {
    job.fake.world(|world| world.pods(&job.ids[fleet]))
}

/// This application alone serves, with this revision, and may scale as it did before; the other rests.
pub fn is_left_with(job: &Job, (fleet, revision): (&str, &str), (other, side): (&str, &str)) {
    job.unharmed();
    assert_eq!(pods(job, fleet).len(), SIZE, "{fleet}");
    for (route, group) in [("rule", "public"), ("listener", "whole")] {
        let weights = job.weights(route);
        let carrying: Vec<_> =
            weights.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id.clone()).collect();
        assert_eq!(carrying, [format!("{group}-{side}")], "{weights:?}");
        let states = job.servers(&carrying[0]);
        assert_eq!(states.values().filter(|state| *state == "healthy").count(), SIZE, "{states:?}");
    }
    for name in ["internal", "partner"].into_iter().filter(|name| job.ids.contains_key(*name)) {
        let twin = job.carrying(name);
        assert_eq!(twin.ends_with("-b"), side == "b", "{twin}");
        let states = job.servers(&twin);
        assert_eq!(states.values().filter(|state| *state == "healthy").count(), SIZE, "{states:?}");
    }
    let (previews, image_now, rules, tags, replicas) = job.fake.world(|world| {
        let previews: Vec<_> =
            world.rules.iter().filter(|rule| rule.name.contains("preview-")).cloned().collect();
        let tags = world.app(&job.ids[fleet]).unwrap().tags.clone();
        let other = world.kube_of(&job.ids[other]).unwrap().replicas;
        let own = world.kube_of(&job.ids[fleet]).unwrap();
        (previews, own.image.clone(), own.rules.clone(), tags, other)
    });
    assert!(previews.is_empty(), "{previews:?}");
    assert_eq!((image_now, replicas), (image(revision), 0));
    assert_eq!(rules, [("by-cpu".to_owned(), true), ("by-night".to_owned(), false)].into());
    assert!(tags.keys().all(|key| !key.starts_with("deployer:frozen")), "{tags:?}");
    assert_eq!(MEMBERSHIP.map(|action| job.fake.count(action)), [0; 7], "the cluster alone moves pods");
}

#[test]
fn a_rollout_on_kubernetes_moves_traffic_between_the_twins_and_pods_are_the_clusters_business() {
    let job = job();
    let done = job.run(&["rollout", "api"]).ended_with(0);
    assert!(done.said().contains("COMPLETED") && !done.said().contains("fault"), "{}", done.said());
    is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    assert_eq!([job.fake.count("DeployK8sApplication"), job.fake.count("ScaleK8sApplication")], [1, 1]);
    let done = job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
    assert!(!done.said().contains("fault"), "{}", done.said());
    is_left_with(&job, ("api-blue", "3.0.0"), ("api-green", "a"));
}

#[test]
fn a_rollout_on_kubernetes_that_is_given_up_leaves_blue_as_it_was() {
    let job = Job::on_kubernetes(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
    let blue = pods(&job, "api-blue");
    job.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(job.weights("rule")["public-b"], 100, "green carries the traffic");
    job.run(&["abort", "api"]).ended_with(0);
    assert_eq!(pods(&job, "api-blue"), blue, "blue ran on untouched");
    is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
}

#[test]
fn either_reading_of_what_a_deployment_says_of_pods_brings_green_up() {
    let settings = [
        Settings { deploys_replicas: false, code_as_text: true, ..Settings::default() },
        Settings { checks_weightless_tuples: true, page: Some(1), ..Settings::default() },
    ];
    beside_each_other(&settings, |settings| {
        let job = Job::on_kubernetes(|setup| setup.settings = settings.clone());
        // One page has one rule, and to know one of two is to know none.
        job.fake.world(|world| {
            world.kube.iter_mut().for_each(|own| own.rules.retain(|name, _| name == "by-cpu"));
        });
        job.run(&["rollout", "api"]).ended_with(0);
        job.unharmed();
        assert_eq!((pods(&job, "api-green").len(), pods(&job, "api-blue").len()), (SIZE, 0));
    });
}

/// The plan and the rollout are refused with this in their words, and nothing is changed.
pub fn refuses(job: &Job, what: &str) {
    let before = (pods(job, "api-blue"), job.weights("rule"), job.weights("listener"));
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let refused = job.run(args).ended_with(REFUSED);
        assert!(refused.said().contains(what), "{what}: {}", refused.said());
    }
    assert_eq!((pods(job, "api-blue"), job.weights("rule"), job.weights("listener")), before);
    let changed: Vec<_> = job.fake.calls().into_iter().filter(|call| !is_read(&call.action)).collect();
    assert!(changed.is_empty(), "nothing was changed: {changed:?}");
    job.unharmed();
}

/// One more server group behind a listener of its own, of an ALB, an NLB or a CLB.
pub fn one_more(job: &Job, family: &str) -> String {
    job.fake.world(|world| match family {
        "alb" => {
            let balancer = world.alb("another");
            let group = world.alb_group("another", &GroupOptions { kind: "Ip", ..GroupOptions::default() });
            world.listener(&balancer, 7000, &group);
            group
        }
        "nlb" => {
            let balancer = world.nlb("another");
            let tcp = GroupOptions { kind: "Ip", protocol: "TCP", ..GroupOptions::default() };
            let group = world.nlb_group("another", &tcp);
            world.listener(&balancer, 7000, &group);
            group
        }
        _ => {
            let balancer = world.clb("another");
            let group = world.vserver_group(&balancer, "another");
            world.clb_listener(&balancer, "tcp", 7000, Some(&group));
            group
        }
    })
}

/// Somebody gives the application another Service, and the cluster follows it.
pub fn serve(job: &Job, fleet: &str, group: &str) {
    job.fake.world(|world| {
        for host in world.pods(&job.ids[fleet]) {
            let ip = world.hosts[&host].ip.clone();
            world.stand(group, &ip, 8080, 100);
        }
    });
}

#[test]
fn a_third_group_in_which_the_cluster_keeps_blue_refuses_the_plan_whatever_balancer_it_is_of() {
    beside_each_other(&["alb", "nlb", "clb"], |family| {
        let job = job();
        let group = one_more(&job, family);
        serve(&job, "api-blue", &group);
        refuses(&job, &group);
    });
}

/// A name, and what somebody does to the world: what the refusal says then.
type Dress<'a> = (&'a str, &'a (dyn Fn(&Job) -> String + Sync));

#[test]
fn what_edas_or_the_cluster_would_move_by_itself_refuses_the_plan_with_the_way_out() {
    let balancer = |job: &Job| {
        job.fake.world(|world| {
            world.kube_of(&job.ids["api-green"]).unwrap().slb_info = r#"[{"slbId":"lb-1"}]"#.to_owned();
        });
        "UnbindK8sSlb".to_owned()
    };
    let by_application = |job: &Job| {
        let path = serde_json::json!({ "AppId": job.ids["api-blue"], "Backend": { "ServiceName": "shop", "ServicePort": "80" } });
        ingress(job, &path)
    };
    let by_service = |job: &Job| {
        ingress(
            job,
            &serde_json::json!({ "AppId": "", "Backend": { "ServiceName": "api-blue", "ServicePort": "80" } }),
        )
    };
    let nodes = |job: &Job| {
        let group = one_more(job, "nlb");
        job.fake.world(|world| {
            world.kube_of(&job.ids["api-blue"]).unwrap().services[0]["ServicePorts"][0]["NodePort"] =
                31234.into();
            let node = world.host();
            world.stand(&group, &node, 31234, 100);
        });
        "backend-type: eni".to_owned()
    };
    let unknown_nodes = |job: &Job| {
        let group = one_more(job, "nlb");
        job.fake.world(|world| stand_node(world, &group));
        "write `nodes_serve_others: true`".to_owned()
    };
    let misplaced = |job: &Job| {
        serve(job, "api-blue", &job.ids["public-b"]);
        "write the twins in the order of `applications`".to_owned()
    };
    let unreadable = |job: &Job| {
        job.fake
            .world(|world| world.kube_of(&job.ids["api-blue"]).unwrap().pods[0].raw = Some("{".to_owned()));
        "the description of a pod".to_owned()
    };
    let restless = |job: &Job| {
        job.fake.world(|world| world.rescale(&job.ids["api-green"], None, 1, false));
        "does not rest".to_owned()
    };
    let dresses: [Dress<'_>; 8] = [
        ("balancer", &balancer),
        ("by_application", &by_application),
        ("by_service", &by_service),
        ("nodes", &nodes),
        ("unknown_nodes", &unknown_nodes),
        ("misplaced", &misplaced),
        ("unreadable", &unreadable),
        ("restless", &restless),
    ];
    let names = dresses.map(|(name, _)| name);
    beside_each_other(&names, |name| {
        let job = job();
        let (_, dress) = dresses.iter().find(|(own, _)| own == name).unwrap();
        let what = dress(&job);
        refuses(&job, &what);
    });
}

/// A node that pods are on stands in a group, at a port that no Service has which EDAS knows.
fn stand_node(world: &mut World, group: &str) {
    let node = world.host();
    NODE.clone_into(&mut world.hosts.get_mut(&node).unwrap().ip);
    world.stand(group, &node, 31999, 100);
}

#[test]
fn nodes_that_serve_others_by_the_files_own_word_are_no_reason_to_refuse() {
    let job = job();
    let group = one_more(&job, "nlb");
    job.fake.world(|world| stand_node(world, &group));
    let text = fs::read_to_string(job.file()).unwrap();
    fs::write(job.file(), text.replace("api-green], image", "api-green], nodes_serve_others: true, image"))
        .unwrap();
    job.run(&["plan", "api"]).ended_with(0);
}

/// The tag by which an application says that it has left a group.
pub fn left(job: &Job, group: &str) -> String {
    format!("deployer:left:{}", job.ids[group])
}

/// The milliseconds between the note that blue has left its last twin and the order that takes its pods away.
pub fn kept(job: &Job) -> u64 {
    let calls = job.fake.calls();
    let last = |what: &dyn Fn(&Call) -> bool| calls.iter().rfind(|call| what(call)).unwrap().at;
    let left =
        last(&|call| call.action == "TagResources" && call.parameters.to_string().contains("deployer:left:"));
    let taken = last(&|call| call.action == "ScaleK8sApplication");
    taken.checked_sub(left).unwrap()
}

#[test]
fn pods_stay_until_the_drain_of_their_twin_is_over_and_a_note_of_long_ago_does_not_count() {
    let job = job();
    job.fake.world(|world| {
        for name in ["public-a", "whole-a"] {
            let app = world.app_mut(&job.ids["api-blue"]).unwrap();
            app.tags.insert(left(&job, name), "1".to_owned());
        }
    });
    job.run(&["rollout", "api"]).ended_with(0);
    is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    assert!(kept(&job) >= 1000, "{} ms", kept(&job));
}

#[test]
fn a_third_group_into_which_the_cluster_puts_blue_while_it_is_quiet_keeps_blue() {
    let job = Job::on_kubernetes(|setup| {
        setup.quiet = "4s";
        setup.deadlines = vec!["hold: 1s", "retire: 1s", "drain: 6s"];
    });
    let group = one_more(&job, "clb");
    let blue = pods(&job, "api-blue");
    let rollout = job.start(&["rollout", "api"]);
    until("blue to have left", || {
        let tags = job.fake.world(|world| world.app(&job.ids["api-blue"]).unwrap().tags.clone());
        job.phase(1) == "drain" && tags.contains_key(&left(&job, "whole-a"))
    });
    serve(&job, "api-blue", &group);
    let held = rollout.wait().ended_with(13);
    assert!(held.said().contains(&group), "{}", held.said());
    assert_eq!(pods(&job, "api-blue"), blue, "blue stays");
}

fn ingress(job: &Job, path: &serde_json::Value) -> String {
    let ingress = serde_json::json!({ "Name": "front", "Namespace": "default", "IngressType": "NginxIngress",
        "Rules": [{ "Host": "shop.example.com", "Paths": [path] }] });
    job.fake.world(|world| world.ingresses.push(ingress));
    "its Ingress `front` leads to the application".to_owned()
}

#[test]
fn what_is_denied_or_says_nothing_is_never_taken_for_an_answer() {
    let reads = [
        "ListApplication",
        "GetK8sApplication",
        "DescribeAppInstanceList",
        "ListRecentChangeOrder",
        "GetApplication",
        "GetK8sServices",
        "ListK8sIngressRules",
        "DescribeApplicationScalingRules",
        "ListTagResources",
    ];
    beside_each_other(&reads, |action| {
        for fault in [Fault::Denied, Fault::Bare, Fault::Truncated] {
            // An application itself is described without a list.
            if fault == Fault::Bare && ["GetK8sApplication", "GetApplication"].contains(action) {
                continue;
            }
            let job = job();
            job.fake.fail(On::call(action), fault);
            let failed = job.run(&["plan", "api"]);
            assert!([1, REFUSED].contains(&failed.code), "{action} {fault:?}: {}", failed.said());
            assert!(failed.said().contains(action), "{action} {fault:?}: {}", failed.said());
        }
    });
}

#[test]
fn a_third_group_into_which_the_cluster_puts_blue_in_mid_rollout_keeps_blue_until_it_is_out_again() {
    let job = Job::on_kubernetes(|setup| {
        setup.bake = "promote";
        setup.deadlines = vec!["hold: 60s"];
    });
    let group = one_more(&job, "nlb");
    let rollout = job.start(&["rollout", "api", "--wait-promote", "2m"]);
    until("the rollout to be in `bake`", || job.phase(1) == "bake");
    let blue = pods(&job, "api-blue");
    serve(&job, "api-blue", &group);
    let promote = job.start(&["promote", "api", "--full"]);
    until("the gap to be seen", || {
        job.state(1).gaps().iter().any(|gap| gap.group.as_ref().is_some_and(|own| own.as_str() == group))
    });
    assert_eq!(pods(&job, "api-blue"), blue, "blue stays");
    job.fake.world(|world| {
        // Somebody else serves there from now on.
        let host = world.host();
        world.stand(&group, &host, 8080, 100);
        world.groups.get_mut(&group).unwrap().servers.retain(|server| server.id == host);
    });
    job.run(&["resume", "api", "--waive", &group, "--reason", "the Service does not name it any more"])
        .ended_with(0);
    rollout.wait().ended_with(0);
    promote.wait().ended_with(0);
    is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
}

#[test]
fn green_whose_service_names_no_twin_goes_back_and_says_which_pods_are_missing_where() {
    let job = Job::on_kubernetes(|setup| {
        setup.call_timeout = "1s";
        setup.deadlines = vec!["register: 3s"];
    });
    job.fake.world(|world| world.kube_of(&job.ids["api-green"]).unwrap().keeps.clear());
    let back = job.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
    let said = back.said();
    assert!(
        said.contains("a Service of theirs to name each of them") && said.contains(&job.ids["public-b"]),
        "{said}"
    );
    is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
}

#[test]
fn a_change_order_that_ends_anywhere_but_everywhere_done_takes_green_back_with_its_reason() {
    let ends = [(3, "failed"), (6, "was aborted"), (7, "on some instances only"), (10, "in EDAS itself")];
    beside_each_other(&ends, |(status, how)| {
        let job = job();
        let failure = Failure { status: *status, batch: 0, code: "EDAS-10015", message: "image not found" };
        job.fake.world(|world| world.fail_order(Kind::Deploy, failure));
        let back = job.run(&["rollout", "api"]).ended_with(ROLLED_BACK);
        assert!(back.said().contains(how), "{}", back.said());
        is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
    });
}

#[test]
fn a_lost_reply_begins_nothing_twice_and_gives_everything_back() {
    let writes = [
        ("DeployK8sApplication", false),
        ("ScaleK8sApplication", false),
        ("DisableApplicationScalingRule", false),
        ("EnableApplicationScalingRule", false),
        ("TagResources", false),
        ("UntagResources", false),
        // Only a twin that was left once has a note to take off.
        ("UntagResources", true),
    ];
    beside_each_other(&writes, |(action, later)| {
        let (job, later) = (job(), *later);
        if later {
            job.run(&["rollout", "api"]).ended_with(0);
            job.run(&["rollout", "api", "--revision", "1.5.0"]).ended_with(0);
        }
        let orders =
            |job: &Job| ["DeployK8sApplication", "ScaleK8sApplication"].map(|action| job.fake.count(action));
        let before = orders(&job);
        job.fake.fail(On::call(action).first(1), Fault::LostReply);
        job.run(&["rollout", "api"]).ended_with(0);
        assert_eq!(job.fake.fired(), 1, "{action}");
        let after = orders(&job);
        // An application that has the image already is only scaled.
        let begun = if later { [0, 2] } else { [1, 1] };
        assert_eq!([after[0] - before[0], after[1] - before[1]], begun, "{action}");
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    });
}

#[test]
fn pods_that_kubernetes_replaces_meanwhile_are_looked_at_as_they_are() {
    let job = Job::on_kubernetes(|setup| setup.bake = "promote");
    let rollout = job.start(&["rollout", "api", "--wait-promote", "2m"]);
    until("the rollout to be in `bake`", || job.phase(1) == "bake");
    for fleet in ["api-blue", "api-green"] {
        let victim = pods(&job, fleet).remove(0);
        job.fake.world(|world| world.evict(&job.ids[fleet], &victim));
        until("the next pod to be up", || {
            pods(&job, fleet).len() == SIZE && !pods(&job, fleet).contains(&victim)
        });
    }
    // Whoever goes on while a new one is not judged yet finds green ill, and goes back.
    until("the next pods to be well", || {
        let well = |twin: &str| job.servers(twin).values().filter(|state| *state == "healthy").count();
        ["public-a", "public-b", "whole-a", "whole-b"].iter().all(|twin| well(twin) == SIZE)
    });
    let promote = job.start(&["promote", "api", "--full"]);
    rollout.wait().ended_with(0);
    promote.wait().ended_with(0);
    is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
}
