//! Twins behind an NLB's listener, and behind a CLB's listeners and rule: switched whole.

use deployer::rollout::Verdict;

use crate::fake::{Fault, On, Outcome};
use crate::job::{Job, PROVED, Setup, TWINS, until};
use crate::lanes::beside_each_other;

/// What a switch writes: one call for each route.
const WRITES: [&str; 4] = [
    "UpdateListenerAttribute",
    "SetLoadBalancerTCPListenerAttribute",
    "SetLoadBalancerHTTPSListenerAttribute",
    "SetRule",
];

fn twins(setup: &mut Setup) {
    (setup.by, setup.steps) = (TWINS, "[{ share: 50, hold: 20ms }, 100]");
}

fn writes(job: &Job, action: &str) -> usize {
    job.fake.calls().iter().filter(|call| call.action == action).count()
}

#[test]
fn twins_that_nobody_checks_before_are_refused_unless_the_file_accepts_it() {
    let job = Job::new(|setup| setup.by = "twins, not accepted");
    let said = job.run(&["rollout", "api"]).ended_with(10).said();
    for group in ["internal", "partner"] {
        assert!(said.contains(&format!("nobody checks the twin of `{group}`")), "{said}");
    }
    assert!(said.contains("with `by: weights`, for `internal`"), "{said}");
    assert!(said.contains("write `unproved: accept` for `partner`"), "{said}");
    assert_eq!(WRITES.map(|action| writes(&job, action)), [0; 4]);
    let job = Job::new(twins);
    let said = job.run(&["plan", "api"]).ended_with(0).said();
    assert!(said.contains("no preview of `internal`") && said.contains("twin groups, unproved"), "{said}");
}

#[test]
fn every_route_of_twins_is_switched_once_at_the_last_step_and_proved_there() {
    let job = Job::new(twins);
    job.run(&["rollout", "api"]).ended_with(0);
    assert_eq!(job.state(1).verdict(), Some(&Verdict::Completed));
    job.is_left_with("green", "blue");
    assert_eq!([job.carrying("internal"), job.carrying("partner")], ["internal-b", "partner-b"]);
    // `whole` is switched by a call of the same name. What a balancer refuses because it is busy is asked for again.
    assert_eq!(WRITES.map(|action| job.fake.count(action)), [2, 1, 1, 1]);
    assert_eq!(writes(&job, "SetLoadBalancerHTTPListenerAttribute"), 0, "its default group is nobody's here");
    // The next one goes the other way.
    job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
    job.is_left_with("blue", "green");
    assert_eq!([job.carrying("internal"), job.carrying("partner")], ["internal", "partner"]);
}

/// One of UDP may have the port of another one. Both are written before anybody waits to see the switch.
#[test]
fn listeners_of_tcp_and_of_udp_at_one_port_are_both_switched_once_and_at_once() {
    let job = Job::new(|setup| {
        twins(setup);
        setup.call_timeout = "4s";
    });
    job.fake.world(|world| {
        let partner = &job.ids["partner"];
        let clb = world.groups[partner].balancer.clone().unwrap();
        for protocol in ["tcp", "udp"] {
            world.clb_listener(&clb, protocol, 53, Some(partner));
        }
    });
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
    assert_eq!(job.carrying("partner"), "partner-b");
    let calls = job.fake.calls();
    let switched: Vec<_> = calls
        .iter()
        .filter(|call| call.parameters["ListenerPort"] == "53" && call.outcome == Outcome::Done)
        .map(|call| (call.at, call.action.as_str()))
        .collect();
    let mut actions: Vec<_> = switched.iter().map(|(_, action)| *action).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["SetLoadBalancerTCPListenerAttribute", "SetLoadBalancerUDPListenerAttribute"]);
    let between = switched[1].0 - switched[0].0;
    assert!(between < 4_000, "nobody waited for the other one: {between} ms");
}

#[test]
fn a_way_back_switches_to_blue_which_stands_there_though_nobody_checks_it() {
    let job = Job::new(|setup| {
        twins(setup);
        setup.bake = "promote";
    });
    job.run(&["rollout", "api"]).ended_with(14);
    job.serves("green");
    job.run(&["rollback", "api"]).ended_with(0);
    job.is_left_with("blue", "green");
    assert_eq!([job.carrying("internal"), job.carrying("partner")], ["internal", "partner"]);
}

#[test]
fn green_that_shows_to_be_ill_gives_it_back() {
    for group in ["internal-b", "partner-b"] {
        let job = Job::new(twins);
        job.fake.world(|world| world.sicken(group, "2.0.0"));
        job.run(&["rollout", "api"]).ended_with(11);
        job.is_left_with("blue", "green");
    }
}

#[test]
fn any_write_of_a_switch_may_fail_in_any_way_and_the_rollout_ends_as_if_nothing_had_happened() {
    let ways = [
        (Fault::Throttle, 2),
        (Fault::Status(500), 1),
        (Fault::Status(503), 1),
        (Fault::Reset, 1),
        (Fault::LostReply, 1),
        (Fault::Truncated, 1),
        (Fault::Slow(3_500), 1),
    ];
    let cases: Vec<_> = ways.iter().flat_map(|way| WRITES.map(|action| (action, *way))).collect();
    beside_each_other(&cases, |(action, (fault, times))| {
        let job = Job::new(|setup| {
            twins(setup);
            setup.call_timeout = "3s";
        });
        job.fake.fail(On::call(action).between(1, *times), *fault);
        job.run(&["rollout", "api"]).ended_with(0);
        assert!(job.fake.fired() > 0, "a fault was met");
        job.is_left_with("green", "blue");
        assert_eq!([job.carrying("internal"), job.carrying("partner")], ["internal-b", "partner-b"]);
    });
}

#[test]
fn twins_of_a_clb_that_takes_requests_are_proved_before_they_are_switched() {
    let job = Job::new(|setup| {
        (setup.by, setup.bake, setup.deadlines) = (PROVED, "promote", vec!["settle: 4s"]);
        setup.steps = "[{ share: 50, hold: 20ms }, 100]";
    });
    job.run(&["rollout", "api"]).ended_with(14);
    job.serves("green");
    assert_eq!(job.carrying("partner"), "partner-b");
    // What a balancer refuses because it is busy is asked for again.
    assert_eq!(job.fake.count("CreateRules"), 4, "on each listener for each twin");
    job.run(&["rollback", "api"]).ended_with(0);
    job.is_left_with("blue", "green");
    assert_eq!(job.carrying("partner"), "partner");
    // Green that is ill there never gets anything.
    job.fake.world(|world| world.sicken("partner-b", "2.0.0"));
    let switched = writes(&job, "SetRule");
    let done = job.run(&["rollout", "api"]);
    done.ended_with(11);
    job.is_left_with("blue", "green");
    assert_eq!(writes(&job, "SetRule"), switched, "nothing was switched");
}

/// A CLB drains by what leads to a group, and nothing leads to blue's any more: for six seconds by its listener's setting,
/// and, where its listeners take requests and have none, for as long as one call may take.
#[test]
fn blue_leaves_a_twin_of_a_clb_once_its_drain_is_over_though_nothing_leads_there_any_more() {
    beside_each_other(&["a listener's", "a call's", "a call's, without the rule that proved it"], |dress| {
        let by = if *dress == "a listener's" { TWINS } else { PROVED };
        let job = Job::new(|setup| {
            twins(setup);
            (setup.by, setup.call_timeout) = (by, if by == TWINS { "2s" } else { "6s" });
        });
        if by == TWINS {
            drains(&job, 6);
        }
        let rollout = job.start(&["rollout", "api"]);
        if dress.ends_with("proved it") {
            until("the rollout to be in `drain`", || ["bake", "drain"].contains(&job.phase(1)));
            let id = &job.ids["partner"];
            job.fake.world(|world| {
                world.rules.retain(|rule| {
                    !(rule.name.contains("preview-") && rule.shares.iter().any(|(own, _)| own == id))
                });
            });
        }
        rollout.wait().ended_with(0);
        job.is_left_with("green", "blue");
        let calls = job.fake.calls();
        let last =
            |actions: &[&str]| calls.iter().rfind(|call| actions.contains(&call.action.as_str())).unwrap().at;
        let taken = last(&["RemoveVServerGroupBackendServers"]);
        let kept = taken.checked_sub(last(&WRITES[1..])).unwrap();
        assert!(kept >= 6_000, "{dress}: {kept} ms");
    });
}

#[test]
fn blue_that_is_called_back_while_it_leaves_a_twin_of_a_clb_stands_there_as_before() {
    let job = Job::new(|setup| {
        twins(setup);
        setup.deadlines = vec!["settle: 10s"];
    });
    drains(&job, 8);
    let rollout = job.start(&["rollout", "api"]);
    // Elsewhere it is on its way out at once.
    until("blue to be leaving", || writes(&job, "RemoveServersFromServerGroup") > 0);
    let back = job.start(&["rollback", "api"]);
    rollout.wait().ended_with(11);
    back.wait();
    job.is_left_with("blue", "green");
    assert_eq!([job.carrying("internal"), job.carrying("partner")], ["internal", "partner"]);
    let calls = job.fake.calls();
    let mut taken = calls.iter().filter(|call| call.action == "RemoveVServerGroupBackendServers");
    assert!(
        taken.all(|call| call.parameters["VServerGroupId"] != job.ids["partner"].as_str()),
        "blue stayed"
    );
}

/// The CLB's listener of connections drains for so long.
fn drains(job: &Job, secs: u64) {
    job.fake.world(|world| {
        let own = world.listeners.iter_mut().find(|own| own.port == 9100).unwrap();
        own.settings.insert("ConnectionDrain".to_owned(), "on".into());
        own.settings.insert("ConnectionDrainTimeout".to_owned(), secs.into());
    });
}
