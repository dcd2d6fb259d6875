//! `deployer doctor` on a live account: what it sees, what it says, and that it changes nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::desk::{Desk, Done};
use crate::fake::{Binding, Fault, GroupOptions, Kind, On, Pace, Session, Work, World};

/// The findings of one severity, as `check: what`.
fn findings(desk: &Desk, done: &Done, severity: &str) -> Vec<String> {
    let document: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|bad| panic!("{bad}\n{}\n{}", done.out, done.err));
    let all = document["findings"].as_array().unwrap().iter();
    let these = all.filter(|finding| finding["severity"] == severity);
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    these
        .map(|finding| desk.named(&format!("{}: {}", word(finding, "check"), word(finding, "what"))))
        .collect()
}

fn doctor(desk: &Desk) -> Done {
    desk.run(&["doctor", "api", "--output", "json"])
}

fn failures(desk: &Desk) -> Vec<String> {
    let done = doctor(desk);
    let failures = findings(desk, &done, "fail");
    assert_eq!(done.code, i32::from(!failures.is_empty()), "{}{}", done.out, done.err);
    failures
}

fn warnings(desk: &Desk) -> Vec<String> {
    findings(desk, &doctor(desk), "warn")
}

#[test]
fn a_sound_service_is_found_ready_and_nothing_is_changed() {
    let desk = Desk::new();
    desk.declare_all();
    let done = desk.run(&["doctor", "api"]);
    let text = desk.named(&done.out);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{text}");
    let expected = "\
doctor  api in prod: 9 ok, 1 not checked, 0 warnings, 0 failures

  ok   account              `1234567890123456` in cn-hongkong
  ok   permissions          everything that has to be read can be read
  ok   application          `api` on ECS instances
  ok   deploy groups        `blue` in service
  ok   twins                `public-a` (ID-OF-public-a) and `public-b` (ID-OF-public-b) have the same settings
  ok   undeclared groups    all 3 server groups in which blue stands are declared
  ok   hosts                3 idle instances in the cluster; green needs 2
  ok   security groups      green's let in whoever blue's do, on 8080 and 9090
  ok   quotas               `LB-edge` has 1 of 100 rules, and a rollout needs 2 more for a while

  ?    write permissions    EDAS and CLB have no dry run, so they were not tried
         mend compare the role's policy with what `deployer policy ram` prints

Nothing was changed.  next   deployer plan api
";
    assert_eq!(text, expected);
    assert_eq!(desk.writes(), [""; 0]);
    assert_eq!((desk.fake.unknown(), desk.fake.strange()), (vec![], vec![]));
}

#[test]
fn the_accident_is_seen_before_it_happens() {
    for left_out in ["wire", "partner", "public"] {
        let desk = Desk::new();
        desk.declare("{ idle: cluster }", &desk.groups_but(&[left_out]));
        let failures = failures(&desk);
        let name = match left_out {
            "wire" => "`wire` (ID-OF-wire)",
            "partner" => "`ID-OF-partner`",
            _ => "`public-a` (ID-OF-public-a)",
        };
        let expected = format!(
            "undeclared groups: blue stands in the server group {name}, which the file does not declare"
        );
        assert_eq!(failures, [expected]);
    }
}

#[test]
fn a_group_that_somebody_attached_by_hand_is_seen_and_so_is_a_default_one() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let old = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
        world.clb_listener(&old, "tcp", 81, None);
        world.stand(&format!("{old}/default"), &desk.hosts[0], 8080, 100);
    });
    assert_eq!(
        failures(&desk),
        [
            "undeclared groups: blue stands in the server group `LB-old/default`, which the file does not declare"
        ]
    );
}

/// Nobody is registered there yet, and the plan refuses all the same.
#[test]
fn a_group_that_a_scaling_group_of_blue_is_attached_to_is_seen_though_nobody_stands_there() {
    let desk = Desk::new();
    desk.declare_all();
    let (scaling, group) = desk.fake.world(|world| {
        let balancer = world.alb("another");
        let group = world.alb_group("another", &GroupOptions::default());
        world.listener(&balancer, 7000, &group);
        let scaling = world.scaling_group("by-hand", &desk.hosts);
        world.attach(&scaling, &group, 8080);
        (scaling, group)
    });
    let expected = format!(
        "undeclared groups: blue's scaling group `{scaling}` is attached to the server group `another` ({group}), which \
         the file does not declare"
    );
    assert_eq!(failures(&desk), [expected]);
    assert_eq!(desk.run(&["plan", "api"]).code, 10);
}

#[test]
fn a_vserver_group_that_edas_binds_to_the_deploy_group_is_seen_though_nobody_stands_there() {
    let desk = Desk::new();
    desk.declare_all();
    let group = desk.fake.world(|world| {
        let balancer = world.clb("another");
        let group = world.vserver_group(&balancer, "by-edas");
        let app = world.app_mut(&desk.app).unwrap();
        let blue = app.groups.iter_mut().find(|own| own.name == "blue").unwrap();
        blue.bound[0] = Some((group.clone(), 8080));
        group
    });
    let bound = |group: &str| {
        format!(
            "bindings: not known: where EDAS puts new instances: it binds the vServer group `{group}` to `blue`, so they \
             would take its traffic while they are scaled out, and nobody could take them out of it. Unbind it in EDAS and \
             declare it here"
        )
    };
    let undeclared = format!(
        "undeclared groups: EDAS binds blue to the server group `{group}`, which the file does not declare"
    );
    let all: BTreeSet<_> = failures(&desk).into_iter().collect();
    assert_eq!(all, [bound(&group), undeclared].into());
    assert_eq!(desk.run(&["plan", "api"]).code, 10);
    // One that the file declares is no better: EDAS would put back whom a rollout takes out.
    desk.fake.world(|world| {
        let app = world.app_mut(&desk.app).unwrap();
        let blue = app.groups.iter_mut().find(|own| own.name == "blue").unwrap();
        blue.bound[0] = Some((desk.id("partner").to_owned(), 8080));
    });
    assert_eq!(failures(&desk), [bound("ID-OF-partner")]);
    assert_eq!(desk.run(&["plan", "api"]).code, 10);
}

#[test]
fn what_may_not_be_read_is_said_and_fails() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.fail(On::call("DescribeSecurityGroupAttribute"), Fault::Denied);
    desk.fake.fail(On::call("GetListenerHealthStatus"), Fault::Denied);
    let failures = failures(&desk).join("\n");
    assert!(failures.contains("permissions: `DescribeSecurityGroupAttribute` is denied"), "{failures}");
    assert!(failures.contains("permissions: `GetListenerHealthStatus` is denied"), "{failures}");
    for action in ["ListServerGroups", "DescribeLoadBalancers", "ListDeployGroup", "ListRecentChangeOrder"] {
        let desk = Desk::new();
        desk.declare_all();
        desk.fake.fail(On::call(action), Fault::Denied);
        let done = doctor(&desk);
        let said = findings(&desk, &done, "fail").join("\n");
        assert!(done.code == 1 && said.contains(action), "{action}: {said}");
    }
}

#[test]
fn an_agent_that_does_not_answer_and_an_instance_that_does_not_run_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| world.agent(&desk.hosts[1], false));
    assert_eq!(failures(&desk), ["agents: the EDAS agent of `HOST-2` in `blue` does not answer"]);
    assert_eq!(warnings(&desk), ["instances: 1 of 2 instances of `blue` do not run"]);
}

#[test]
fn a_balancer_that_edas_binds_to_the_whole_application_is_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        let balancer = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
        let group = desk.id("partner").to_owned();
        world.apps[0].bindings[0] = Some(Binding { balancer, port: Some(80), group });
    });
    let failures = failures(&desk);
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(
        failures[0].starts_with("bindings: not known: where EDAS puts new instances: it binds `LB-old`"),
        "{failures:?}"
    );
}

#[test]
fn green_that_does_not_rest_and_too_few_idle_hosts_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        world.deployed(&desk.app, "green", "0.9.0", 1);
        let idle: Vec<_> = world.ecus.iter().skip(2).take(2).map(|ecu| ecu.host.clone()).collect();
        for host in &idle {
            world.agent(host, false);
        }
    });
    let failures = failures(&desk);
    let expected = [
        "deploy groups: `green` is to become green and has 1 instances already",
        "hosts: 1 idle instances in the cluster, and 2 whose agent does not answer; green needs 2",
    ];
    assert_eq!(failures, expected);
}

#[test]
fn twins_that_differ_ports_that_differ_and_checks_that_are_off_are_seen() {
    let desk = Desk::new();
    desk.declare("{ idle: cluster }", &desk.groups_but(&[]).replace(", port: 9090", ""));
    desk.fake.world(|world| {
        world.groups.get_mut(desk.id("public-b")).unwrap().checked = false;
    });
    let expected = [
        "twins: `public-a` (ID-OF-public-a) and `public-b` (ID-OF-public-b) differ in \
         HealthCheckConfig.HealthCheckEnabled (true and false)",
        "health checks: `public-b` (ID-OF-public-b) checks nobody's health",
        "ports: blue serves `wire` (ID-OF-wire) on port 9090, and the file says 8080",
    ];
    assert_eq!(failures(&desk), expected);
}

#[test]
fn a_drain_that_outlasts_its_deadline_fails_and_none_is_told() {
    let desk = Desk::new();
    desk.declare_all();
    let text = std::fs::read_to_string(desk.file()).unwrap();
    std::fs::write(desk.file(), format!("deadlines: {{ drain: 2m }}\n{text}")).unwrap();
    desk.fake.world(|world| world.groups.get_mut(desk.id("wire")).unwrap().drain = None);
    let drains =
        |name: &str| format!("drain: `{name}` (ID-OF-{name}) drains for 5m, and `deadlines.drain` is 2m");
    assert_eq!(failures(&desk), [drains("public-a"), drains("public-b")]);
    assert_eq!(warnings(&desk), ["drain: `wire` (ID-OF-wire) has no connection drain"]);
}

#[test]
fn a_template_without_a_vswitch_or_a_version_is_seen() {
    let desk = Desk::new();
    desk.fake.world(|world| world.launch_template("lt-api", &[true, false]));
    desk.declare("{ template: lt-api, template_version: 2 }", &desk.groups_but(&[]));
    assert_eq!(failures(&desk), ["launch template: version 2 of `lt-api` names no vSwitch"]);
    desk.declare("{ template: lt-api }", &desk.groups_but(&[]));
    assert_eq!(failures(&desk), [""; 0]);
    let expected = [
        "security groups: version 1 of `lt-api` names no security group",
        "launch template: green is bought from the default version of `lt-api`, which is 1 today",
    ];
    assert_eq!(warnings(&desk), expected);
    for hosts in ["{ template: lt-other }", "{ template: lt-api, template_version: 7 }"] {
        desk.declare(hosts, &desk.groups_but(&[]));
        let failures = failures(&desk);
        assert!(
            failures.len() == 1 && failures[0].starts_with("launch template: there is no "),
            "{failures:?}"
        );
    }
}

#[test]
fn a_template_whose_vswitch_is_of_another_vpc_or_of_none_is_seen() {
    let desk = Desk::new();
    desk.declare("{ template: lt-api, template_version: 1 }", &desk.groups_but(&[]));
    let named = |vswitch: &'static str| {
        desk.fake.world(|world| {
            world.launch_template("lt-api", &[true]);
            world.templates.get_mut("lt-api").unwrap().vswitch = vswitch;
        });
        failures(&desk)
    };
    assert_eq!(
        named("vsw-elsewhere"),
        [
            "launch template: version 1 of `lt-api` names the vSwitch `vsw-elsewhere` of `vpc-elsewhere`, and blue is in \
             `vpc-fa4e0000000000000001`"
        ]
    );
    assert_eq!(
        named("vsw-gone"),
        ["launch template: `lt-api` names the vSwitch `vsw-gone`, which is not in this region"]
    );
    assert_eq!(named("vsw-of-cn-hongkong-c"), [""; 0]);
}

#[test]
fn idle_hosts_behind_closed_security_groups_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        world.security_group("sg-blue", &[("10.0.0.0/8", 8080, 9090)]);
        world.security_group("sg-shut", &[("10.0.0.0/8", 8080, 8080)]);
        for (id, host) in &mut world.hosts {
            let group = if desk.hosts.contains(id) { "sg-blue" } else { "sg-shut" };
            host.security_groups = vec![group.into()];
        }
    });
    let expected = "security groups: green's security groups `sg-shut` do not let `10.0.0.0/8` in to port 9090, and \
                    blue's do";
    assert_eq!(failures(&desk), [expected]);
}

#[test]
fn a_rule_that_lets_in_under_one_that_drops_is_found_and_so_is_a_part_that_is_dropped() {
    let shut = |drop: (&'static str, u64), dropped: &str| {
        let desk = Desk::new();
        desk.declare_all();
        desk.fake.world(|world| {
            world.security_group("sg-blue", &[("10.0.0.0/8", 8080, 9090)]);
            world.security_group("sg-shut", &[]);
            world.permission("sg-shut", ("Accept", 10), "10.0.0.0/8", (8080, 9090));
            world.permission("sg-shut", drop, dropped, (9000, 9999));
            for (id, host) in &mut world.hosts {
                let group = if desk.hosts.contains(id) { "sg-blue" } else { "sg-shut" };
                host.security_groups = vec![group.into()];
            }
        });
        failures(&desk)
    };
    let lacking = |who: &str| {
        format!(
            "security groups: green's security groups `sg-shut` do not let `{who}` in to port 9090, and blue's do"
        )
    };
    assert_eq!(shut(("Drop", 1), "0.0.0.0/0"), [lacking("10.0.0.0/8")]);
    assert_eq!(
        shut(("Drop", 10), "10.0.0.0/8"),
        [lacking("10.0.0.0/8")],
        "of the same number the one that drops"
    );
    assert_eq!(shut(("Drop", 1), "10.1.0.0/16"), [lacking("10.1.0.0/16")]);
    assert_eq!(shut(("Drop", 11), "0.0.0.0/0"), [""; 0]);
    // Blue has the same walls, and somebody believes that one of them is open.
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| world.permission("sg-web", ("Drop", 1), "10.0.0.0/8", (9090, 9090)));
    assert_eq!(failures(&desk), [""; 0]);
    assert_eq!(
        warnings(&desk),
        [
            "security groups: green's security groups `sg-web` let `10.0.0.0/8` in to port 9090, under a rule that drops them before"
        ]
    );
}

#[test]
fn the_port_that_a_clb_checks_has_to_be_open_too() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| {
        world.security_group("sg-blue", &[("10.0.0.0/8", 8080, 9090), ("100.64.0.0/10", 7000, 7000)]);
        world.security_group("sg-shut", &[("10.0.0.0/8", 8080, 9090)]);
        for (id, host) in &mut world.hosts {
            let group = if desk.hosts.contains(id) { "sg-blue" } else { "sg-shut" };
            host.security_groups = vec![group.into()];
        }
        let listener = world.listeners.iter_mut().find(|own| own.protocol == "tcp").unwrap();
        listener.settings.insert("HealthCheckConnectPort".to_owned(), 7000.into());
    });
    let expected = "security groups: green's security groups `sg-shut` do not let `100.64.0.0/10` in to port 7000, and \
                    blue's do";
    assert_eq!(failures(&desk), [expected]);
}

/// Blue's security group and the idle hosts' one.
fn walls(desk: &Desk, world: &mut World, blue: &[(&str, u16, u16)], shut: &[(&str, u16, u16)]) {
    world.security_group("sg-blue", blue);
    world.security_group("sg-shut", shut);
    for (id, host) in &mut world.hosts {
        let group = if desk.hosts.contains(id) { "sg-blue" } else { "sg-shut" };
        host.security_groups = vec![group.into()];
    }
}

#[test]
fn the_port_that_a_default_group_or_a_rule_of_a_clb_checks_has_to_be_open_too() {
    let traffic = ("10.0.0.0/8", 8080, 9090);
    let checks = [7000, 7100].map(|port| ("100.64.0.0/10", port, port));
    let seen = |prepare: &dyn Fn(&Desk, &mut World, &str)| {
        let desk = Desk::new();
        let old = desk.fake.world(|world| {
            let old = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
            walls(&desk, world, &[traffic, checks[0], checks[1]], &[traffic]);
            prepare(&desk, world, &old);
            old
        });
        let default = format!("          old: {{ clb: {old}/default, whole: accept }}\n");
        desk.declare("{ idle: cluster }", &format!("{}{default}", desk.groups_but(&[])));
        failures(&desk)
    };
    let lacking = |port: u16| {
        format!(
            "security groups: green's security groups `sg-shut` do not let `100.64.0.0/10` in to port {port}, and blue's do"
        )
    };
    let stands = |desk: &Desk, world: &mut World, old: &str| {
        desk.hosts.iter().for_each(|host| world.stand(&format!("{old}/default"), host, 8080, 100));
    };
    let checked = |world: &mut World, listener: &str, port: u16| {
        let own = world.listeners.iter_mut().find(|own| own.id == listener).unwrap();
        own.settings.insert("HealthCheckConnectPort".to_owned(), port.into());
    };
    let default = seen(&|desk, world, old| {
        stands(desk, world, old);
        let listener = world.clb_listener(old, "tcp", 81, None);
        checked(world, &listener, 7000);
    });
    assert_eq!(default, [lacking(7000)]);
    // A rule does as its listener does, though that leads elsewhere itself, or has a check of its own.
    for own in [None, Some(7100_u16)] {
        let by_rule = seen(&|desk, world, old| {
            stands(desk, world, old);
            world.clb_listener(old, "tcp", 81, None);
            let elsewhere = world.vserver_group(old, "elsewhere");
            let front = world.clb_listener(old, "http", 82, Some(&elsewhere));
            checked(world, &front, 7000);
            world.rule(&front, 0, &[(desk.id("partner"), 100)]);
            if let Some(port) = own {
                world.rules.last_mut().unwrap().conditions[0]["HealthCheckConnectPort"] = port.into();
            }
        });
        assert_eq!(by_rule, [lacking(own.unwrap_or(7000))]);
    }
}

#[test]
fn the_port_of_a_group_of_datagrams_has_to_be_open_for_datagrams() {
    let seen = |family: &str, shut: &[(&str, u16, u16)], datagrams: bool| {
        let desk = Desk::new();
        let group = desk.fake.world(|world| {
            let group = if family == "nlb" {
                let options = GroupOptions { protocol: "UDP", ..GroupOptions::default() };
                let (nlb, group) = (world.nlb("names"), world.nlb_group("names", &options));
                world.listener(&nlb, 53, &group);
                world.listeners.last_mut().unwrap().protocol = "UDP".to_owned();
                group
            } else {
                let clb = world.clb("names");
                let group = world.vserver_group(&clb, "names");
                world.clb_listener(&clb, "udp", 53, Some(&group));
                group
            };
            desk.hosts.iter().for_each(|host| world.stand(&group, host, 9053, 100));
            walls(&desk, world, &[("10.0.0.0/8", 8080, 9090)], shut);
            world.datagrams("sg-blue", "10.0.0.0/8", (9053, 9053));
            if datagrams {
                world.datagrams("sg-shut", "10.0.0.0/8", (9053, 9053));
            }
            group
        });
        let line = format!("          names: {{ {family}: {group}, port: 9053, whole: accept }}\n");
        desk.declare("{ idle: cluster }", &format!("{}{line}", desk.groups_but(&[])));
        failures(&desk)
    };
    let lacking = |port: &str| {
        format!(
            "security groups: green's security groups `sg-shut` do not let `10.0.0.0/8` in to port {port}, and blue's do"
        )
    };
    let streams = [("10.0.0.0/8", 8080, 9090)];
    for family in ["nlb", "clb"] {
        assert_eq!(seen(family, &streams, false), [lacking("9053 (UDP)")], "{family}");
        assert_eq!(seen(family, &streams, true), [""; 0], "{family}");
    }
    // The check of an NLB goes there by TCP; that of a CLB's listener of datagrams does not.
    let others = [("10.0.0.0/8", 8080, 8080), ("10.0.0.0/8", 9090, 9090)];
    assert_eq!(seen("nlb", &others, true), [lacking("9053")]);
    assert_eq!(seen("clb", &others, true), [""; 0]);
}

#[test]
fn green_in_a_zone_without_its_balancer_is_told_and_fails_where_nothing_crosses_zones() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        world.launch_template("lt-api", &[true]);
        world.vswitch_zone = "cn-hongkong-d";
    });
    desk.declare("{ template: lt-api, template_version: 1 }", &desk.groups_but(&[]));
    let zones =
        |all: Vec<String>| all.into_iter().filter(|line| line.starts_with("zones:")).collect::<Vec<_>>();
    let outside = |name: &str| format!("zones: `lt-api` is in `cn-hongkong-d`, where `{name}` is not");
    assert_eq!(zones(failures(&desk)), [""; 0]);
    let told = zones(warnings(&desk));
    assert_eq!(told, ["LB-old", "LB-edge", "LB-edge", "LB-wires"].map(outside));
    desk.fake.world(|world| {
        for group in ["public-a", "public-b"] {
            world.groups.get_mut(desk.id(group)).unwrap().cross_zone = false;
        }
        world.balancers.iter_mut().find(|own| own.name == "wires").unwrap().cross_zone = false;
    });
    assert_eq!(zones(failures(&desk)), ["LB-edge", "LB-edge", "LB-wires"].map(outside));
    assert_eq!(zones(warnings(&desk)), [outside("LB-old")]);
    // An idle host is where it is, and one beside blue gets what blue gets.
    let idle = desk.fake.world(|world| {
        let idle =
            world.ecus.iter().map(|ecu| ecu.host.clone()).find(|host| !desk.hosts.contains(host)).unwrap();
        world.hosts.get_mut(&idle).unwrap().zone = "cn-hongkong-d";
        idle
    });
    desk.declare_all();
    let failed = zones(failures(&desk));
    assert_eq!(failed.len(), 3, "{failed:?}");
    assert!(failed.iter().all(|line| line.contains("is in `cn-hongkong-d`")), "{failed:?} {idle}");
    desk.fake.world(|world| {
        desk.hosts.iter().for_each(|host| world.hosts.get_mut(host).unwrap().zone = "cn-hongkong-d");
    });
    assert_eq!(zones(warnings(&desk)), [""; 0], "what crosses zones does so for blue");
    assert_eq!(zones(failures(&desk)).len(), 3);
}

#[test]
fn a_zone_in_which_auto_scaling_or_a_rule_of_edas_brings_instances_up_without_its_balancer_is_told() {
    let desk = Desk::new();
    desk.declare_all();
    let zones =
        |all: Vec<String>| all.into_iter().filter(|line| line.starts_with("zones:")).collect::<Vec<_>>();
    let group = desk.fake.world(|world| {
        let id = world.scaling_group("blue", &desk.hosts);
        for name in ["public-a", "public-b"] {
            world.groups.get_mut(desk.id(name)).unwrap().cross_zone = false;
        }
        id
    });
    assert_eq!(zones(failures(&desk)), [""; 0], "a vSwitch in a zone of the balancers is as it should be");
    desk.fake.world(|world| {
        let own = world.scaling_groups.iter_mut().find(|own| own.id == group).unwrap();
        own.vswitches.push("vsw-of-cn-hongkong-d".to_owned());
    });
    let outside =
        |who: &str, name: &str| format!("zones: {who} is in `cn-hongkong-d`, where `{name}` is not");
    let who = format!("the scaling group `{group}`");
    assert_eq!(zones(failures(&desk)), ["LB-edge"; 2].map(|name| outside(&who, name)));
    assert_eq!(zones(warnings(&desk)), ["LB-old", "LB-wires"].map(|name| outside(&who, name)));
    desk.fake.world(|world| {
        world.scaling_groups.clear();
        world.scaling_rules(&desk.app, "blue", false, true);
        let rules =
            world.app_mut(&desk.app).unwrap().groups.iter_mut().flat_map(|own| own.rules.values_mut());
        for rule in rules.filter(|rule| rule["Enable"] == true) {
            rule.insert("VSwitchIds".to_owned(), "vsw-of-cn-hongkong-b, vsw-of-cn-hongkong-d".into());
        }
    });
    let who = "a scaling rule of `blue`";
    assert_eq!(zones(failures(&desk)), ["LB-edge"; 2].map(|name| outside(who, name)));
}

#[test]
fn twins_of_a_clb_that_cannot_be_switched_and_weights_that_differ_are_seen() {
    let desk = Desk::new();
    let (other, foreign) = desk.fake.world(|world| {
        let old = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
        let clb = world.clb("foreign");
        (world.vserver_group(&old, "partner-b"), world.vserver_group(&clb, "foreign"))
    });
    let twins = |second: &str| {
        let groups = desk.groups_but(&["partner"]);
        let line = format!(
            "          partner: {{ clb_twins: [{}, {second}], whole: accept }}\n",
            desk.id("partner")
        );
        desk.declare("{ idle: cluster }", &format!("{groups}{line}"));
    };
    twins(&foreign);
    let failed = failures(&desk);
    assert!(failed[0].contains("are of different balancers, `LB-old` and `LB-foreign`"), "{failed:?}");
    twins(&other);
    assert_eq!(failures(&desk), [""; 0]);
    desk.fake.world(|world| {
        let old = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
        world.clb_listener(&old, "tcp", 81, Some(&other));
        let server = &mut world.groups.get_mut(desk.id("wire")).unwrap().servers[0];
        server.weight = 40;
    });
    let failed: Vec<_> = failures(&desk).into_iter().map(|line| line.replace(&other, "OTHER")).collect();
    assert_eq!(
        failed,
        [
            "twins: of `partner`, `listener LB-old:80` leads to `ID-OF-partner` and `listener LB-old:81` to `OTHER`"
        ]
    );
    assert_eq!(
        warnings(&desk),
        [
            "weights: blue's servers weigh 40 and 100 in `wire` (ID-OF-wire), and each of green's will weigh 100"
        ]
    );
}

#[test]
fn a_strategy_whose_plan_would_be_refused_fails() {
    let desk = Desk::new();
    desk.declare("{ idle: cluster }", &desk.groups_but(&[]).replace(", whole: accept", ""));
    assert_eq!(failures(&desk), [""; 0], "one step asks for no part");
    let text = std::fs::read_to_string(desk.file()).unwrap();
    let steps = "strategies: { canary: { steps: [10, 100] } }\n";
    std::fs::write(desk.file(), format!("{steps}{text}")).unwrap();
    let asks =
        |name: &str| format!("steps: strategy `canary` asks for 10% of `{name}`, which takes no steps");
    assert_eq!(failures(&desk), ["partner", "wire"].map(asks));
    std::fs::write(
        desk.file(),
        format!("{steps}{}", text.replace("port: 9090", "port: 9090, whole: accept")),
    )
    .unwrap();
    assert_eq!(failures(&desk), ["partner"].map(asks));
}

#[test]
fn what_edas_works_on_and_what_an_old_rollout_left_behind_are_seen() {
    let desk = Desk::new();
    desk.declare_all();
    let group = desk.fake.world(|world| {
        let group = world.apps[0].groups.iter().find(|group| group.name == "blue").unwrap().id.clone();
        world.apps[0].tags.insert(format!("deployer:frozen:{group}"), "in,out".into());
        group
    });
    let held = |name| format!("frozen: `{name}` is held still by a rollout that is not open any more");
    assert_eq!(warnings(&desk), [held("blue")]);
    // A scaling group that is held says for whom, where it was not an earlier version that noted it.
    desk.fake.world(|world| {
        world.scaling_group("idle", &[]);
        let own = world.scaling_groups.last_mut().unwrap();
        own.tags.insert(format!("deployer:frozen:{}", desk.app), "HealthCheck".into());
    });
    assert_eq!(warnings(&desk), [held("blue"), held("green")]);
    desk.fake.world(|world| {
        world.settings.step = 60_000;
        world.order(Kind::Deploy, (&desk.app, &group), Work::Run(true), &[], Pace::default());
    });
    let failures = failures(&desk);
    assert!(failures.len() == 1 && failures[0].starts_with("change orders: EDAS works on "), "{failures:?}");
}

#[test]
fn weights_that_nobody_heeds_are_seen() {
    let desk = Desk::new();
    let groups = desk.groups_but(&["wire", "partner"]);
    let (wire, partner) = (desk.id("wire"), desk.id("partner"));
    let weighed = format!(
        "{groups}          wire: {{ nlb: {wire}, port: 9090, by: weights }}\n          partner: {{ clb: {partner}, by: weights }}\n"
    );
    desk.declare("{ idle: cluster }", &weighed);
    assert_eq!(failures(&desk), Vec::<String>::new());
    desk.fake.world(|world| {
        world.groups.get_mut(wire).unwrap().scheduler = "sch";
        for listener in world.listeners.iter_mut().filter(|listener| listener.protocol == "tcp") {
            listener.settings.insert("Scheduler".to_owned(), "rr".into());
        }
    });
    let seen = failures(&desk);
    assert_eq!(seen.len(), 2, "{seen:?}");
    for name in ["ID-OF-wire", "ID-OF-partner"] {
        assert!(seen.iter().any(|line| line.starts_with("weights: ") && line.contains(name)), "{seen:?}");
    }
}

#[test]
fn tags_that_do_not_suffice_to_note_weights_and_scaling_rules_are_seen() {
    let desk = Desk::new();
    let (wire, partner) = (desk.id("wire"), desk.id("partner"));
    let weighed = format!(
        "{}          wire: {{ nlb: {wire}, port: 9090, by: weights }}\n          partner: {{ clb: {partner}, by: weights }}\n",
        desk.groups_but(&["wire", "partner"])
    );
    desk.declare("{ idle: cluster }", &weighed);
    let tag = |count: usize, own: &[String]| {
        desk.fake.world(|world| {
            let teams = (0..count).map(|n| (format!("team-{n}"), "shop".to_owned()));
            let own = own.iter().map(|key| (key.clone(), "x".to_owned()));
            world.app_mut(&desk.app).unwrap().tags = teams.chain(own).collect();
        });
        failures(&desk).into_iter().filter(|line| line.starts_with("quotas:")).collect::<Vec<_>>()
    };
    let lacks = |are: usize, more: usize| {
        format!("quotas: `api` has {are} of 20 tags, and a rollout needs {more} more")
    };
    // What green is filled with, and what blue's servers weigh in two groups.
    assert_eq!(tag(17, &[]), [""; 0]);
    assert_eq!(tag(18, &[]), [lacks(18, 3)]);
    // Where a tag is there already it is written over.
    let noted = format!("deployer:weights:{partner}:0");
    assert_eq!(tag(17, std::slice::from_ref(&noted)), [""; 0]);
    assert_eq!(tag(18, &[noted]), [lacks(19, 2)]);
    // Rules that are on are switched off, unless the file says that they stay.
    desk.fake.world(|world| world.scaling_rules(&desk.app, "blue", true, true));
    assert_eq!(tag(16, &[]), [""; 0]);
    assert_eq!(tag(17, &[]), [lacks(17, 4)]);
    let text = std::fs::read_to_string(desk.file()).unwrap();
    std::fs::write(desk.file(), format!("freeze: false\n{text}")).unwrap();
    assert_eq!(tag(17, &[]), [""; 0]);
    // Eight weights beside the usual one have room in a tag.
    desk.fake.world(|world| {
        for n in 0..20_u16 {
            world.stand(wire, &desk.hosts[0], 9200 + n, u64::from(40 + n));
        }
    });
    assert_eq!(tag(15, &[]), [""; 0]);
    assert_eq!(tag(16, &[]), [lacks(16, 5)]);
}

#[test]
fn a_default_action_is_told_and_a_group_that_nothing_leads_to_fails() {
    let desk = Desk::new();
    let alone = desk.fake.world(|world| {
        let alb = world.alb("whole");
        let listener = world.listener(&alb, 80, desk.id("public-a"));
        assert!(!listener.is_empty());
        let alone = world.alb_group("alone", &GroupOptions::default());
        desk.hosts.iter().for_each(|host| world.stand(&alone, host, 8080, 100));
        alone
    });
    desk.declare(
        "{ idle: cluster }",
        &format!("{}          alone: {{ alb: {alone} }}\n", desk.groups_but(&[])),
    );
    let failures: Vec<_> = failures(&desk).into_iter().map(|line| line.replace(&alone, "ID")).collect();
    assert_eq!(failures, ["routes: no listener or rule forwards to `alone` (ID)"]);
    let warnings = warnings(&desk);
    assert_eq!(warnings, ["steps: the default action of `listener LB-whole:80` leads to `public`"]);
}

#[test]
fn a_session_that_nobody_here_can_renew_is_told_where_the_rollout_outlives_it() {
    let desk = Desk::new();
    desk.declare_all();
    let text = std::fs::read_to_string(desk.file()).unwrap();
    std::fs::write(desk.file(), format!("quiet: 1h\n{text}")).unwrap();
    let (id, secret, token) = desk.fake.world(|world| {
        let session = Session { key: "STS.x".into(), secret: "s".into(), token: "t".into() };
        world.sessions.push(session.clone());
        (session.key, session.secret, session.token)
    });
    let vars = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", id.as_str()),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret.as_str()),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", token.as_str()),
    ];
    let done = desk.run_with(&["doctor", "api", "--output", "json"], &vars);
    let warnings = findings(&desk, &done, "warn");
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("session: a session token in the environment"),
        "{warnings:?}"
    );
    assert_eq!(findings(&desk, &doctor(&desk), "warn"), [""; 0]);
}

#[test]
fn credentials_of_another_account_are_no_way_in() {
    let desk = Desk::new();
    desk.declare_all();
    let text = std::fs::read_to_string(desk.file()).unwrap().replace("1234567890123456", "9999999999999999");
    std::fs::write(desk.file(), text).unwrap();
    let failures = failures(&desk);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("the credentials are for account 1234567890123456"), "{failures:?}");
    assert_eq!(desk.fake.count("GetApplication"), 0);
}

#[test]
fn an_application_that_is_not_there_or_not_on_instances_is_told() {
    let desk = Desk::new();
    desk.declare_all();
    desk.fake.world(|world| world.apps[0].cluster_type = 5);
    assert_eq!(failures(&desk), ["application: `APPLICATION` does not run in a cluster of ECS instances"]);
    desk.fake.world(|world| world.apps.clear());
    assert_eq!(failures(&desk).len(), 1);
}
