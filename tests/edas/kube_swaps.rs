//! Applications on Kubernetes behind twins of an NLB and of a CLB, which are switched whole, by the real binary.

use deployer::rollout::Verdict;

use crate::fake::{Fault, On};
use crate::job::{Job, PROVED, Setup, TWINS, until};
use crate::kube::{is_left_with, kept, left, one_more, pods, refuses, serve};
use crate::lanes::beside_each_other;

/// What a switch of the unproved twins writes, and of the proved ones.
const UNPROVED_WRITES: [&str; 2] = ["UpdateListenerAttribute", "SetLoadBalancerTCPListenerAttribute"];
const PROVED_WRITES: [&str; 2] = ["SetLoadBalancerHTTPSListenerAttribute", "SetRule"];

fn job(by: &'static str, edit: impl FnOnce(&mut Setup)) -> Job {
    Job::on_kubernetes(|setup| {
        (setup.by, setup.deadlines) = (by, vec!["settle: 10s"]);
        edit(setup);
    })
}

#[test]
fn a_rollout_on_kubernetes_switches_twins_of_an_nlb_and_of_a_clb_forward_and_back() {
    beside_each_other(&[TWINS, PROVED], |by| {
        let job = job(by, |_| {});
        job.run(&["rollout", "api"]).ended_with(0);
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
        let writes = if *by == TWINS { UNPROVED_WRITES } else { PROVED_WRITES };
        assert!(writes.iter().all(|action| job.fake.count(action) > 0), "{by}");
        assert_eq!(
            job.fake.count("CreateRules"),
            if *by == TWINS { 0 } else { 4 },
            "on each listener for each twin"
        );
        job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
        is_left_with(&job, ("api-blue", "3.0.0"), ("api-green", "a"));
    });
}

#[test]
fn a_rollout_that_is_taken_back_switches_to_blue_which_never_left() {
    beside_each_other(&[TWINS, PROVED], |by| {
        let job = job(by, |setup| setup.bake = "promote");
        let blue = pods(&job, "api-blue");
        job.run(&["rollout", "api"]).ended_with(14);
        assert_eq!(job.carrying("partner"), "partner-b", "green carries the traffic");
        job.run(&["rollback", "api"]).ended_with(0);
        assert_eq!(pods(&job, "api-blue"), blue, "blue ran on untouched");
        is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
    });
}

#[test]
fn what_nobody_checks_before_is_refused_unless_the_file_accepts_it() {
    let job = job("twins, not accepted", |_| {});
    refuses(&job, "nobody checks the twin of `internal`");
}

#[test]
fn green_that_is_ill_there_gives_it_back_and_gets_nothing_where_it_can_be_proved() {
    beside_each_other(&[TWINS, PROVED], |by| {
        let job = job(by, |setup| setup.deadlines = vec!["settle: 4s"]);
        job.fake.world(|world| world.sicken("partner-b", "2.0.0"));
        job.run(&["rollout", "api"]).ended_with(11);
        is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
        if *by == PROVED {
            assert_eq!(PROVED_WRITES.map(|action| job.fake.count(action)), [0; 2], "nothing was switched");
        }
    });
}

#[test]
fn a_third_group_in_which_the_cluster_keeps_blue_refuses_here_as_well() {
    let cases: Vec<_> =
        [TWINS, PROVED].into_iter().flat_map(|by| ["nlb", "clb"].map(|other| (by, other))).collect();
    beside_each_other(&cases, |(by, family)| {
        let job = job(by, |_| {});
        let group = one_more(&job, family);
        serve(&job, "api-blue", &group);
        refuses(&job, &group);
    });
}

#[test]
fn a_third_group_that_comes_in_mid_rollout_keeps_blue() {
    let job = job(TWINS, |setup| {
        setup.bake = "promote";
        setup.deadlines = vec!["settle: 10s", "hold: 1s", "retire: 1s"];
    });
    let group = one_more(&job, "clb");
    let rollout = job.start(&["rollout", "api", "--wait-promote", "2m"]);
    until("the rollout to be in `bake`", || job.phase(1) == "bake");
    let blue = pods(&job, "api-blue");
    serve(&job, "api-blue", &group);
    let promote = job.start(&["promote", "api", "--full"]);
    let held = rollout.wait().ended_with(13);
    promote.wait();
    assert!(held.said().contains(&group), "{}", held.said());
    assert_eq!(pods(&job, "api-blue"), blue, "blue stays");
    job.unharmed();
}

#[test]
fn a_reply_that_is_lost_switches_and_notes_once_more_and_does_no_harm() {
    let unproved = UNPROVED_WRITES.map(|action| (TWINS, action, false));
    let proved = PROVED_WRITES.map(|action| (PROVED, action, false));
    let notes = [
        (PROVED, "CreateRules", false),
        (PROVED, "DeleteRules", false),
        (TWINS, "TagResources", false),
        (TWINS, "UntagResources", true),
    ];
    let cases: Vec<_> = unproved.into_iter().chain(proved).chain(notes).collect();
    beside_each_other(&cases, |(by, action, later)| {
        let job = job(by, |_| {});
        // Only a twin that was left once has a note to take off.
        if *later {
            job.run(&["rollout", "api"]).ended_with(0);
            job.run(&["rollout", "api", "--revision", "1.5.0"]).ended_with(0);
        }
        job.fake.fail(On::call(action).first(1), Fault::LostReply);
        job.run(&["rollout", "api"]).ended_with(0);
        assert_eq!(job.fake.fired(), 1, "{action}");
        let number = if *later { 3 } else { 1 };
        assert_eq!(job.state(number).verdict(), Some(&Verdict::Completed), "{action}");
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    });
}

/// The other twins drain for a second, and these for three: an NLB by its own setting, a CLB's listener of connections
/// by its own, and one of requests, which has none, for as long as one call may take.
#[test]
fn pods_stay_until_the_drain_is_over_though_nothing_leads_to_their_twin_any_more() {
    let dresses = ["an NLB's", "a CLB's listener's", "a call's", "of long ago"];
    beside_each_other(&dresses, |dress| {
        let by = if *dress == "a call's" { PROVED } else { TWINS };
        let job = job(by, |setup| setup.call_timeout = "3s");
        job.fake.world(|world| match *dress {
            "an NLB's" => world.groups.get_mut(&job.ids["internal"]).unwrap().drain = Some(3),
            "a CLB's listener's" => {
                let own = world.listeners.iter_mut().find(|own| own.port == 9100).unwrap();
                own.settings.insert("ConnectionDrain".to_owned(), "on".into());
                own.settings.insert("ConnectionDrainTimeout".to_owned(), 3.into());
            }
            "of long ago" => {
                world.groups.get_mut(&job.ids["internal"]).unwrap().drain = Some(3);
                for name in ["internal", "partner"] {
                    let key = left(&job, name);
                    world.app_mut(&job.ids["api-blue"]).unwrap().tags.insert(key, "1".to_owned());
                }
            }
            _ => {}
        });
        job.run(&["rollout", "api"]).ended_with(0);
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
        assert!(kept(&job) >= 2_900, "{dress}: {} ms", kept(&job));
    });
}

/// The group drains for eight seconds, the others for one; nobody notes that blue leaves a twin which nobody checks.
#[test]
fn a_rule_that_somebody_takes_away_by_which_blue_was_proved_does_not_cut_its_drain_short() {
    beside_each_other(&["partner", "public-a"], |twin| {
        let job = job(PROVED, |setup| {
            (setup.bake, setup.call_timeout) = ("promote", if *twin == "partner" { "8s" } else { "2s" });
        });
        if *twin == "public-a" {
            job.fake.world(|world| world.groups.get_mut(&job.ids["public-a"]).unwrap().drain = Some(8));
        }
        let rollout = job.start(&["rollout", "api", "--wait-promote", "2m"]);
        until("the rollout to be in `bake`", || job.phase(1) == "bake");
        let id = &job.ids[*twin];
        let taken_at = job.fake.world(|world| {
            let before = world.rules.len();
            world.rules.retain(|rule| {
                !(rule.name.contains("preview-") && rule.shares.iter().any(|(own, _)| own == id))
            });
            assert!(world.rules.len() < before, "there was a rule");
            world.now
        });
        let promote = job.start(&["promote", "api", "--full"]);
        rollout.wait().ended_with(0);
        promote.wait();
        is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
        let calls = job.fake.calls();
        let emptied = calls.iter().rfind(|call| call.action == "ScaleK8sApplication").unwrap().at;
        let kept = emptied.checked_sub(taken_at).unwrap();
        assert!(kept >= 8_000, "{twin}: {kept} ms");
    });
}
