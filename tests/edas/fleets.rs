//! How a fleet comes up on EDAS, is held still, and what becomes of it when EDAS fails.

use std::collections::BTreeSet;

use deployer::cloud::{Backend, Change, FaultKind};
use deployer::model::{FleetSeen, Scaling};
use deployer::spec::Hosts;

use crate::fake::{Failure, Fault, Kind, On, Settings};
use crate::rig::{Rig, fleet, green, look, provision, provision_until, token};

fn up(size: usize, revision: &'static str) -> impl Fn(&FleetSeen) -> bool {
    move |seen| seen.running().len() == size && seen.revision.as_str() == revision
}

/// Every other reading of what no source tells.
fn readings() -> [Settings; 3] {
    let usual = Settings::default();
    let other = Settings { newest_for_empty_groups: false, group_package_first: true, ..usual.clone() };
    let spelt = Settings { misspelt: true, code_as_text: true, page: Some(1), ..usual.clone() };
    [usual, other, spelt]
}

/// EDAS names it, and ECS, asked a moment later, does not know it any more.
#[tokio::test]
async fn instances_that_go_while_a_look_is_taken_are_seen_to_be_gone() {
    for leavers in 1..=2 {
        let rig = Rig::new(Settings::default(), Hosts::Idle);
        let backend = rig.backend();
        rig.fake.world(|world| {
            for host in &rig.blue[..leavers] {
                world.release_behind("QueryApplicationStatus", host);
            }
        });
        let seen = look(&backend).await;
        assert_eq!(seen.unread, BTreeSet::new());
        assert_eq!(seen.fleet(&fleet("blue")).map_or(0, |blue| blue.instances.len()), 2 - leavers);
        assert_eq!(rig.fake.count("QueryApplicationStatus"), leavers + 1, "once more for each");
    }
}

/// It stays as unknown as it was, and the next look asks anew.
#[tokio::test]
async fn an_instance_that_edas_names_and_ecs_does_not_know_is_unread() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let backend = rig.backend();
    rig.fake.world(|world| world.hidden.insert(rig.blue[0].clone()));
    let seen = look(&backend).await;
    assert!(seen.unread.iter().any(|what| what.contains("which ECS does not know")), "{seen:#?}");
    assert_eq!(rig.fake.count("QueryApplicationStatus"), 2, "asked once more, and no further");
    rig.fake.world(|world| world.hidden.clear());
    assert_eq!(look(&backend).await.unread, BTreeSet::new());
}

#[tokio::test]
async fn a_fleet_gets_its_instances_and_then_its_package_and_blue_is_left_alone() {
    for settings in readings() {
        for hosts in [Hosts::Idle, Hosts::Template { id: "lt-1".into(), version: None }] {
            let rig = Rig::new(settings.clone(), hosts);
            let backend = rig.backend();
            let seen = provision_until(&backend, &green("2.0.0", 2), up(2, "2.0.0")).await;
            let blue = seen.fleet(&fleet("blue")).unwrap();
            assert_eq!((blue.revision.as_str(), blue.running().len()), ("1.0.0", 2));
            assert_eq!(seen.fleet(&fleet("green")).unwrap().failed, None);
            assert_eq!(rig.fake.count("DeployApplication"), 1);
            let grown = ["ScaleOutApplication", "ScaleoutApplicationWithNewInstances"];
            assert_eq!(grown.map(|action| rig.fake.count(action)).iter().sum::<usize>(), 1);
            assert_eq!((rig.fake.unknown(), rig.fake.strange()), (vec![], vec![]));
        }
    }
}

#[tokio::test]
async fn a_change_order_that_ends_anywhere_but_everywhere_done_fails_the_fleet_with_its_reason() {
    for (status, how) in
        [(3, "failed"), (6, "was aborted"), (7, "on some instances only"), (10, "in EDAS itself")]
    {
        let rig = Rig::new(Settings::default(), Hosts::Idle);
        let backend = rig.backend();
        let failure = Failure { status, batch: 0, code: "EDAS-10015", message: "package URL 404" };
        rig.fake.world(|world| world.fail_order(Kind::Deploy, failure));
        let seen = provision_until(&backend, &green("2.0.0", 2), |seen| seen.failed.is_some()).await;
        let why = seen.fleet(&fleet("green")).unwrap().failed.clone().unwrap();
        assert!(why.contains(how), "{why}");
        assert_eq!(seen.fleet(&fleet("blue")).unwrap().failed, None);
    }
}

#[tokio::test]
async fn a_lost_reply_buys_no_instance_twice_and_deploys_no_package_twice() {
    for action in ["ScaleoutApplicationWithNewInstances", "DeployApplication"] {
        let rig = Rig::new(Settings::default(), Hosts::Template { id: "lt-1".into(), version: None });
        let backend = rig.backend();
        rig.fake.fail(On::call(action).first(1), Fault::LostReply);
        let wanted = green("2.0.0", 2);
        let mut ambiguous = false;
        let begun = std::time::Instant::now();
        for number in 1.. {
            let seen = look(&backend).await;
            if seen.fleet(&wanted.id).is_some_and(up(2, "2.0.0")) {
                break;
            }
            let answer = provision(&backend, &wanted, number).await;
            ambiguous |= answer.as_ref().is_err_and(|fault| fault.ambiguous);
            assert!(begun.elapsed() < crate::rig::PATIENCE, "{answer:?} {:?}", seen.fleets);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let seen = look(&backend).await;
        assert!(ambiguous, "{action}");
        assert_eq!(seen.fleet(&wanted.id).unwrap().running().len(), 2, "{action}");
        assert_eq!(rig.fake.count(action), 1, "{action}");
    }
}

#[tokio::test]
async fn while_edas_works_on_another_group_nothing_is_begun() {
    let rig = Rig::new(Settings { step: 60_000, ..Settings::default() }, Hosts::Idle);
    let backend = rig.backend();
    look(&backend).await;
    // Somebody deploys on blue.
    let other = deployer::model::Fleet { id: fleet("blue"), ..green("1.0.0", 3) };
    let fault = provision(&backend, &other, 1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict, "blue does not rest: {fault}");
    provision(&backend, &green("2.0.0", 2), 2).await.unwrap();
    // Green's own order runs: it is adopted. Blue's would be a second one.
    provision(&backend, &green("2.0.0", 2), 3).await.unwrap();
    assert_eq!(rig.fake.count("ScaleOutApplication"), 1);
    let fault = provision(&backend, &other, 4).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    assert!(fault.message.contains("one at a time"), "{fault}");
}

#[tokio::test]
async fn a_group_that_does_not_rest_is_not_taken_and_a_fleet_that_is_none_of_the_pair_is_invalid() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    rig.fake.world(|world| world.deployed(&rig.app, "green", "0.9.0", 1));
    let backend = rig.backend();
    let fault = provision(&backend, &green("2.0.0", 2), 1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    let stranger = deployer::model::Fleet { id: fleet("grey"), ..green("2.0.0", 1) };
    assert_eq!(provision(&backend, &stranger, 2).await.unwrap_err().kind, FaultKind::Invalid);
    let writes = ["ScaleOutApplication", "DeployApplication", "InsertDeployGroup"];
    assert_eq!(writes.map(|action| rig.fake.count(action)), [0, 0, 0]);
}

#[tokio::test]
async fn without_enough_idle_hosts_whose_agent_answers_it_is_said_and_nothing_begun() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let fault = provision(&rig.backend(), &green("2.0.0", 7), 1).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Quota);
    assert!(fault.message.contains("needs 7 more instances, and 6"), "{fault}");
    assert_eq!(rig.fake.count("ScaleOutApplication"), 0);
}

#[tokio::test]
async fn a_freeze_is_given_back_to_the_letter_even_where_what_is_left_unsaid_is_reset() {
    for (inwards, outwards) in [(true, true), (true, false), (false, true)] {
        let rig = Rig::new(Settings::default(), Hosts::Idle);
        rig.fake.world(|world| world.scaling_rules(&rig.app, "blue", inwards, outwards));
        let rules = || {
            rig.fake.world(|world| world.app(&rig.app).unwrap().group_named("blue").unwrap().rules.clone())
        };
        let (backend, before) = (rig.backend(), rules());
        assert_eq!(look(&backend).await.fleet(&fleet("blue")).unwrap().scaling, Scaling::Active);
        let freeze = Change::Freeze { fleet: fleet("blue") };
        backend.change(&freeze, &token(1)).await.unwrap();
        backend.change(&freeze, &token(1)).await.unwrap();
        assert_eq!(look(&backend).await.fleet(&fleet("blue")).unwrap().scaling, Scaling::Frozen);
        // Another process, which knows nothing, gives it back.
        let thawed = rig.backend().thaw_all().await.unwrap();
        assert_eq!(thawed, [fleet("blue")].into());
        assert_eq!(rules(), before);
        assert_eq!(rig.backend().thaw_all().await.unwrap(), [].into());
    }
}

#[tokio::test]
async fn a_freeze_whose_reply_is_lost_is_given_back_all_the_same() {
    for action in ["TagResources", "ModifyScalingRule"] {
        let rig = Rig::new(Settings::default(), Hosts::Idle);
        rig.fake.world(|world| world.scaling_rules(&rig.app, "blue", true, true));
        let rules = || {
            rig.fake.world(|world| world.app(&rig.app).unwrap().group_named("blue").unwrap().rules.clone())
        };
        let (backend, before) = (rig.backend(), rules());
        rig.fake.fail(On::call(action).first(1), Fault::LostReply);
        let freeze = Change::Freeze { fleet: fleet("blue") };
        let _ = backend.change(&freeze, &token(1)).await;
        rig.fake.heal();
        backend.change(&freeze, &token(1)).await.unwrap();
        backend.change(&Change::Thaw { fleet: fleet("blue") }, &token(2)).await.unwrap();
        assert_eq!(rules(), before, "{action}");
    }
}

#[tokio::test]
async fn an_application_that_edas_itself_puts_behind_a_balancer_is_refused_with_the_way_out() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    rig.fake.world(|world| {
        let clb = world.clb("old");
        let group = world.vserver_group(&clb, "by-edas");
        world.bind(&rig.app, &clb, &group);
    });
    let seen = look(&rig.backend()).await;
    assert!(seen.unread.iter().any(|why| why.contains("UnbindSlb")), "{:?}", seen.unread);
}

#[tokio::test]
async fn a_scaling_group_is_kept_from_acting_by_itself_and_what_others_suspended_stays_suspended() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let id = rig.fake.world(|world| {
        let id = world.scaling_group("blue", &rig.blue);
        for group in &mut world.scaling_groups {
            group.suspended.insert("HealthCheck".into());
        }
        id
    });
    let suspended = || {
        rig.fake.world(|world| {
            world.scaling_groups.iter().find(|group| group.id == id).unwrap().suspended.clone()
        })
    };
    let (backend, before) = (rig.backend(), suspended());
    assert_eq!(look(&backend).await.fleet(&fleet("blue")).unwrap().scaling, Scaling::Active);
    let freeze = Change::Freeze { fleet: fleet("blue") };
    backend.change(&freeze, &token(1)).await.unwrap();
    backend.change(&freeze, &token(1)).await.unwrap();
    assert_eq!(look(&backend).await.fleet(&fleet("blue")).unwrap().scaling, Scaling::Frozen);
    // EDAS itself goes on buying and releasing through it.
    let still = ["AlarmNotification", "HealthCheck", "ScheduledAction"].map(str::to_owned);
    assert_eq!(suspended(), still.into());
    rig.backend().thaw_all().await.unwrap();
    assert_eq!(suspended(), before);
    backend.change(&freeze, &token(2)).await.unwrap();
    backend.change(&Change::Thaw { fleet: fleet("blue") }, &token(3)).await.unwrap();
    assert_eq!(suspended(), before);
    assert_ne!(look(&backend).await.fleet(&fleet("blue")).unwrap().scaling, Scaling::Frozen);
}

/// Whoever stays would have nobody who lets it go, if it were taken to be held for itself too.
#[tokio::test]
async fn a_scaling_group_of_both_fleets_is_held_for_each_of_them_and_let_go_with_whoever_stays() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let backend = rig.backend();
    provision_until(&backend, &green("2.0.0", 2), up(2, "2.0.0")).await;
    let hosts = rig.fake.world(|world| {
        let hosts = [rig.blue.clone(), world.running(&rig.app, "green", None)].concat();
        world.scaling_group("all", &hosts);
        hosts
    });
    assert_eq!(hosts.len(), 4);
    let scaling = async || {
        let seen = look(&rig.backend()).await;
        ["blue", "green"].map(|name| seen.fleet(&fleet(name)).unwrap().scaling)
    };
    let freeze = async |name, n| {
        backend.change(&Change::Freeze { fleet: fleet(name) }, &token(n)).await.unwrap();
    };
    assert_eq!(scaling().await, [Scaling::Active, Scaling::Active]);
    freeze("blue", 1).await;
    assert_eq!(scaling().await, [Scaling::Frozen, Scaling::Active]);
    freeze("green", 2).await;
    assert_eq!(scaling().await, [Scaling::Frozen, Scaling::Frozen]);
    backend.change(&Change::Thaw { fleet: fleet("green") }, &token(3)).await.unwrap();
    assert_eq!(scaling().await, [Scaling::Active, Scaling::Active]);
    freeze("green", 4).await;
    assert_eq!(rig.backend().thaw_all().await.unwrap(), [fleet("green")].into(), "it says whose it was");
    let left = rig.fake.world(|world| {
        let own = &world.scaling_groups[0];
        (own.suspended.clone(), own.tags.clone())
    });
    assert_eq!(left, Default::default());
}

#[tokio::test]
async fn a_list_that_an_answer_lacks_is_never_an_empty_one_and_a_page_for_people_no_answer() {
    let reads = ["QueryApplicationStatus", "ListDeployGroup", "ListRecentChangeOrder", "ListServerGroups"];
    for fault in [Fault::Bare, Fault::Page(404)] {
        for action in
            reads.into_iter().chain(["DescribeLoadBalancers", "DescribeScalingInstances", "ListRules"])
        {
            let rig = Rig::new(Settings::default(), Hosts::Idle);
            rig.fake.world(|world| {
                // CLB says of a list that has nothing that it has nothing, and leaves it out.
                world.clb("old");
                world.scaling_group("blue", &rig.blue);
            });
            rig.fake.fail(On::call(action), fault);
            let scope = deployer::cloud::Scope {
                service: "api".parse().unwrap(),
                groups: ["public".parse().unwrap()].into(),
                fleets: [fleet("blue"), fleet("green")].into(),
            };
            let Ok(seen) = rig.backend().look(&scope).await else { continue };
            let blind = !seen.unread.is_empty() || seen.groups.values().any(|group| group.known().is_none());
            assert!(blind, "{action} {fault:?}: {seen:?}");
        }
    }
}
