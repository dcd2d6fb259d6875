//! The main job on Alibaba Cloud by the real binary, and the incident that this product exists for in each of its dresses:
//! a server group that blue serves and that no list names. Blue never goes, and what would go dark is named.

use crate::fake::{CrossGroup, Fault, GroupOptions, On, Settings};
use crate::job::{Job, is_read, until};
use crate::lanes::beside_each_other;

const REFUSED: i32 = 10;
const HELD: i32 = 13;

#[test]
fn a_rollout_moves_rules_by_weight_default_actions_whole_and_shared_groups_by_membership_and_back_again() {
    let job = Job::new(|_| {});
    let done = job.run(&["rollout", "api"]).ended_with(0);
    assert!(done.said().contains("COMPLETED"), "{}", done.said());
    assert!(!done.said().contains("fault"), "{}", done.said());
    assert_eq!(job.weights("rule")["public-b"], 100);
    job.is_left_with("green", "blue");
    job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
    assert_eq!(job.weights("rule")["public-a"], 100);
    job.is_left_with("blue", "green");
}

#[test]
fn a_rollout_that_is_given_up_leaves_blue_as_it_was() {
    let job = Job::new(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
    let blue = job.members("blue");
    job.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(job.weights("rule")["public-b"], 100, "green carries the traffic");
    job.run(&["abort", "api"]).ended_with(0);
    assert_eq!(job.members("blue"), blue, "blue ran on untouched");
    job.is_left_with("blue", "green");
}

/// The plan and the rollout are refused with this in their words, and nothing is changed.
fn refuses(job: &Job, what: &str) {
    let before = (job.members("blue"), job.weights("rule"), job.weights("listener"));
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let refused = job.run(args).ended_with(REFUSED);
        assert!(refused.said().contains(what), "{}", refused.said());
    }
    assert_eq!((job.members("blue"), job.weights("rule"), job.weights("listener")), before);
    let changed: Vec<_> = job.fake.calls().into_iter().filter(|call| !is_read(&call.action)).collect();
    assert!(changed.is_empty(), "nothing was changed: {changed:?}");
    job.unharmed();
}

/// One more server group of an ALB behind a listener of its own, in which nobody stands yet.
fn one_more(job: &Job, options: &GroupOptions) -> String {
    job.fake.world(|world| {
        let balancer = world.alb("another");
        let group = world.alb_group("another", options);
        world.listener(&balancer, 7000, &group);
        group
    })
}

fn by_hand(settings: Settings) {
    let job = Job::new(|setup| setup.settings = settings);
    let group = one_more(&job, &GroupOptions::default());
    let host = job.members("blue").remove(0);
    job.fake.world(|world| world.stand(&group, &host, 9000, 100));
    refuses(&job, &group);
}

#[test]
fn a_group_in_which_blue_was_put_by_hand_and_that_is_on_no_list_refuses_the_plan() {
    by_hand(Settings::default());
}

#[test]
fn a_group_of_another_page_refuses_the_plan_however_short_the_pages_are() {
    by_hand(Settings { page: Some(1), ..Settings::default() });
}

#[test]
fn where_nobody_may_ask_for_servers_over_all_groups_or_the_answer_is_empty_the_list_of_everything_finds_it() {
    for cross_group in [CrossGroup::Refused, CrossGroup::Empty] {
        by_hand(Settings { cross_group, ..Settings::default() });
    }
}

#[test]
fn a_group_in_which_blue_stands_by_its_address_refuses_the_plan() {
    let job = Job::new(|_| {});
    let group = one_more(&job, &GroupOptions { kind: "Ip", ..GroupOptions::default() });
    let host = job.members("blue").remove(0);
    job.fake.world(|world| {
        let address = world.hosts[&host].ip.clone();
        world.stand(&group, &address, 8080, 100);
    });
    refuses(&job, &group);
}

#[test]
fn a_group_in_which_blue_stands_by_another_of_its_addresses_or_by_an_interface_refuses_the_plan() {
    beside_each_other(&["10.77.0.1", "eni-second", "2001:db8::77"], |name| {
        let job = Job::new(|_| {});
        let kind = if name.starts_with("eni") { "Instance" } else { "Ip" };
        let group = one_more(&job, &GroupOptions { kind, ..GroupOptions::default() });
        let host = job.members("blue").remove(0);
        job.fake.world(|world| {
            let others = [("eni-second", "10.77.0.1"), ("eni-third", "2001:db8::77")];
            let others = others.map(|(id, ip)| (id.to_owned(), ip.to_owned()));
            world.hosts.get_mut(&host).unwrap().interfaces.extend(others);
            world.stand(&group, name, 8080, 100);
        });
        refuses(&job, &group);
    });
}

/// What ECS does not say of an instance, or of none, is unknown.
#[test]
fn whose_other_addresses_nobody_knows_refuses_the_plan() {
    beside_each_other(&[Fault::Denied, Fault::Bare], |fault| {
        let job = Job::new(|_| {});
        job.fake.fail(On::call("DescribeInstances"), *fault);
        let refused = job.run(&["plan", "api"]).ended_with(REFUSED);
        assert!(refused.said().contains("under which other addresses"), "{}", refused.said());
    });
}

#[test]
fn a_group_of_an_nlb_and_a_vserver_group_and_the_default_group_of_a_clb_refuse_the_plan() {
    let nlb = |job: &Job| {
        job.fake.world(|world| {
            let balancer = world.nlb("another");
            let group =
                world.nlb_group("another", &GroupOptions { protocol: "TCP", ..GroupOptions::default() });
            world.listener(&balancer, 7000, &group);
            group
        })
    };
    let vserver = |job: &Job| {
        job.fake.world(|world| {
            let balancer = world.clb("another");
            let group = world.vserver_group(&balancer, "another");
            world.clb_listener(&balancer, "http", 7000, Some(&group));
            group
        })
    };
    let default = |job: &Job| {
        job.fake.world(|world| {
            let balancer = world.clb("another");
            world.clb_listener(&balancer, "tcp", 7000, None);
            format!("{balancer}/default")
        })
    };
    let dresses: [&dyn Fn(&Job) -> String; 3] = [&nlb, &vserver, &default];
    for dress in dresses {
        let job = Job::new(|_| {});
        let group = dress(&job);
        let port = if group.ends_with("/default") { 0 } else { 8080 };
        let host = job.members("blue").remove(0);
        job.fake.world(|world| world.stand(&group, &host, port, 100));
        refuses(&job, &group);
    }
}

/// An instance of blue's, by a name of its own or by a further interface, of which CLB does not say where it stands.
fn by_either_name(job: &Job, by_interface: bool) -> String {
    let host = job.members("blue").remove(0);
    if !by_interface {
        return host;
    }
    job.fake.world(|world| {
        let (id, ip) = ("eni-second".to_owned(), "10.77.0.1".to_owned());
        world.hosts.get_mut(&host).unwrap().interfaces.push((id.clone(), ip));
        id
    })
}

#[test]
fn a_pair_of_a_master_and_a_slave_in_which_blue_stands_and_that_is_on_no_list_refuses_the_plan() {
    beside_each_other(&[false, true], |by_interface| {
        let job = Job::new(|_| {});
        let name = by_either_name(&job, *by_interface);
        let pair = job.fake.world(|world| {
            let balancer = world.clb("another");
            let pair = world.master_slave_group(&balancer, "pair");
            world.clb_listener(&balancer, "tcp", 7000, Some(&pair));
            world.stand(&pair, &name, 8080, 100);
            pair
        });
        refuses(&job, &pair);
        assert!(job.fake.count("DescribeMasterSlaveServerGroupAttribute") > 0, "somebody asked who is in it");
    });
}

#[test]
fn a_group_that_is_gone_though_it_is_listed_hides_no_other_group_of_its_balancer() {
    beside_each_other(&[false, true], |by_interface| {
        let job = Job::new(|_| {});
        let name = by_either_name(&job, *by_interface);
        let [group, default] = job.fake.world(|world| {
            let balancer = world.clb("another");
            let group = world.vserver_group(&balancer, "another");
            world.clb_listener(&balancer, "http", 7000, Some(&group));
            world.clb_listener(&balancer, "tcp", 7001, None);
            let gone = [
                world.master_slave_group(&balancer, "a pair that is gone"),
                world.vserver_group(&balancer, "a group that is gone"),
            ];
            for gone in &gone {
                world.delete_behind_the_list(gone);
            }
            let default = format!("{balancer}/default");
            world.stand(&group, &name, 8080, 100);
            world.stand(&default, &name, 0, 100);
            [group, default]
        });
        refuses(&job, &group);
        let said = job.run(&["plan", "api"]).ended_with(REFUSED).said();
        assert!(said.contains(&default), "{said}");
    });
}

/// CLB says of an instance's id alone behind which balancers it stands, so nobody knows that blue is not in it.
#[test]
fn a_group_that_is_gone_though_it_is_listed_refuses_until_it_is_on_no_list() {
    beside_each_other(&["a pair", "a vServer group"], |dress| {
        let job = Job::new(|_| {});
        let gone = job.fake.world(|world| {
            let balancer = world.clb("another");
            let gone = if *dress == "a pair" {
                world.master_slave_group(&balancer, "gone")
            } else {
                world.vserver_group(&balancer, "gone")
            };
            world.delete_behind_the_list(&gone);
            gone
        });
        refuses(&job, &gone);
        let host = job.members("blue").remove(0);
        job.fake.world(|world| world.stand(&gone, &host, 8080, 100));
        refuses(&job, &gone);
        job.fake.world(|world| world.groups.remove(&gone));
        job.run(&["plan", "api"]).ended_with(0);
    });
}

/// What takes its time is done before the last look: whoever attached blue somewhere behind that would not be seen.
#[test]
fn nothing_lies_between_the_last_look_and_the_order_that_takes_blue_away() {
    let job = Job::new(|setup| setup.settings.job = 300);
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
    let calls = job.fake.calls();
    let before =
        |end: usize, action: &str| calls[..end].iter().rposition(|call| call.action == action).unwrap();
    let taken = before(calls.len(), "ScaleInApplication");
    let (swept, looked) = (before(taken, "DeleteRule"), before(taken, "ListServerGroups"));
    assert!(swept < looked, "{swept} {looked} {taken}");
    let first = calls[swept..].iter().position(|call| call.action == "DescribeLoadBalancers").unwrap();
    let waited = calls[swept + first].at - calls[swept].at;
    assert!(waited >= 300, "the last rule is gone before anybody looks: {waited} ms");
    let between: Vec<_> = calls[swept + 1..taken]
        .iter()
        .filter(|call| !is_read(&call.action))
        .map(|call| &call.action)
        .collect();
    assert!(between.is_empty(), "{between:?}");
}

#[test]
fn a_group_that_a_scaling_group_of_blue_is_attached_to_refuses_the_plan() {
    let job = Job::new(|_| {});
    let group = one_more(&job, &GroupOptions::default());
    let blue = job.members("blue");
    job.fake.world(|world| {
        let scaling = world.scaling_group("by-hand", &blue);
        world.attach(&scaling, &group, 8080);
    });
    refuses(&job, &group);
}

#[test]
fn a_vserver_group_that_edas_binds_to_the_deploy_group_refuses_the_plan() {
    let job = Job::new(|_| {});
    let group = job.fake.world(|world| {
        let balancer = world.clb("another");
        let group = world.vserver_group(&balancer, "by-edas");
        let app = world.app_mut(&job.app).unwrap();
        let blue = app.groups.iter_mut().find(|own| own.name == "blue").unwrap();
        blue.bound[0] = Some((group.clone(), 8080));
        group
    });
    refuses(&job, &group);
}

#[test]
fn a_balancer_that_edas_binds_to_the_whole_application_refuses_the_plan_with_the_way_out() {
    let job = Job::new(|_| {});
    job.fake.world(|world| {
        let balancer = world.clb("another");
        let group = world.vserver_group(&balancer, "by-edas");
        world.bind(&job.app, &balancer, &group);
    });
    refuses(&job, "UnbindSlb");
}

#[test]
fn a_group_into_which_blue_is_put_in_mid_rollout_holds_until_it_is_amended() {
    let job = Job::new(|setup| {
        setup.bake = "promote";
        setup.deadlines = vec!["hold: 60s"];
    });
    let group = one_more(&job, &GroupOptions::default());
    let rollout = job.start(&["rollout", "api", "--wait-promote", "2m"]);
    until("the rollout to be in `bake`", || job.phase(1) == "bake");
    let blue = job.members("blue");
    job.fake.world(|world| {
        for host in &blue {
            world.stand(&group, host, 8080, 100);
        }
    });
    let promote = job.start(&["promote", "api", "--full"]);
    until("the gap to be seen", || {
        job.state(1).gaps().iter().any(|gap| gap.group.as_ref().is_some_and(|own| own.as_str() == group))
    });
    assert_eq!(job.members("blue"), blue, "blue stays");
    job.run(&["resume", "api", "--amend", &group]).ended_with(0);
    rollout.wait().ended_with(0);
    promote.wait().ended_with(0);
    job.is_left_with("green", "blue");
}

#[test]
fn a_group_into_which_blue_is_put_while_it_is_quiet_keeps_blue() {
    let job = Job::new(|setup| {
        setup.quiet = "3s";
        setup.deadlines = vec!["hold: 1s", "retire: 1s", "drain: 4s"];
    });
    let group = one_more(&job, &GroupOptions::default());
    let blue = job.members("blue");
    let rollout = job.start(&["rollout", "api"]);
    until("blue to be drained", || {
        job.phase(1) == "drain" && job.servers("public-a").is_empty() && job.servers("partner").len() == 2
    });
    job.fake.world(|world| world.stand(&group, &blue[0], 8080, 100));
    let held = rollout.wait().ended_with(HELD);
    assert!(held.said().contains(&group), "{}", held.said());
    assert_eq!(job.members("blue"), blue, "blue stays");
}

#[test]
fn what_is_denied_is_unknown_and_refuses() {
    for action in [
        "ListServerGroupServers",
        "ListServerGroups",
        "ListListeners",
        "ListRules",
        "GetListenerHealthStatus",
        "DescribeLoadBalancers",
        "DescribeVServerGroups",
        "DescribeVServerGroupAttribute",
        "DescribeLoadBalancerAttribute",
        "DescribeHealthStatus",
        "DescribeScalingInstances",
    ] {
        let job = Job::new(|_| {});
        job.fake.fail(On::call(action), Fault::Denied);
        let refused = job.run(&["plan", "api"]).ended_with(REFUSED);
        assert!(refused.said().contains(action), "{action}: {}", refused.said());
    }
}

#[test]
fn what_is_throttled_to_the_end_or_cut_short_is_unknown_and_refuses() {
    let reads = [
        ("ListServerGroups", REFUSED),
        ("ListServerGroupServers", REFUSED),
        ("DescribeVServerGroups", REFUSED),
        // Without this nothing is seen at all: it is asked for again for a while, and that has an end.
        ("QueryApplicationStatus", 1),
    ];
    let cases: Vec<_> = [Fault::Throttle, Fault::Truncated]
        .into_iter()
        .flat_map(|fault| reads.map(|read| (fault, read)))
        .collect();
    beside_each_other(&cases, |(fault, (action, code))| {
        let job = Job::new(|setup| setup.call_timeout = "500ms");
        job.fake.fail(On::call(action), *fault);
        let failed = job.run(&["plan", "api"]).ended_with(*code);
        assert!(failed.said().contains(action), "{action}: {}", failed.said());
    });
}
