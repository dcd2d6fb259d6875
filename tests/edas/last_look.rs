//! The last look before blue goes, when the world has moved behind the proof.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deployer::cloud::edas::EdasBackend;
use deployer::cloud::{Backend as _, Change, FaultKind};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{GroupId, Inventory, Share, Span, Time};
use deployer::spec::{EdasGroup, EdasServers, Hosts, ShareBy};

use crate::fake::{GroupOptions, Kind, Pace, Settings, Work};
use crate::rig::{PATIENCE, Rig, fleet, green, look, provision_until, token};

/// The service also stands behind an NLB, in one group for both fleets.
fn rig() -> (Rig, String) {
    let mut rig = Rig::new(Settings::default(), Hosts::Idle);
    let wire = rig.fake.world(|world| {
        let nlb = world.nlb("inner");
        let tcp = GroupOptions { protocol: "TCP", drain: Some(1), ..GroupOptions::default() };
        let wire = world.nlb_group("wire", &tcp);
        world.listener(&nlb, 9000, &wire);
        for host in &rig.blue {
            world.stand(&wire, host, 8080, 100);
        }
        wire
    });
    let shared = EdasGroup {
        port: 8080,
        servers: EdasServers::Nlb(wire.clone()),
        by: ShareBy::Membership,
        accepts_unproved: false,
        accepts_whole: true,
    };
    rig.spec.groups.insert(group("wire"), shared);
    (rig, wire)
}

fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

fn both() -> BTreeSet<GroupId> {
    ["public", "wire"].map(group).into()
}

async fn until(backend: &EdasBackend, what: &str, is_so: impl Fn(&Inventory) -> bool) -> Inventory {
    let begun = Instant::now();
    loop {
        let seen = look(backend).await;
        if is_so(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn well(seen: &Inventory) -> bool {
    let healthy = |id: &GroupId| Some(seen.group(id)?.sides.get(&fleet("green"))?.healthy());
    both().iter().all(|id| healthy(id) == Some(2))
}

/// Green carries everything and blue has left: what the gate says to that.
async fn proof(backend: &EdasBackend) -> Retirement {
    provision_until(backend, &green("2.0.0", 2), |seen| seen.running().len() == 2).await;
    let (one, other) = (fleet("green"), fleet("blue"));
    let change = async |n: u32, change: Change| backend.change(&change, &token(n)).await.unwrap();
    change(100, Change::Register { fleet: one.clone(), groups: both() }).await;
    until(backend, "green is well", well).await;
    for (n, id) in (101..).zip(both()) {
        let (to, from) = (one.clone(), Some(other.clone()));
        change(n, Change::Shift { group: id, to, from, share: Share::ALL }).await;
    }
    look(backend).await;
    change(110, Change::Deregister { fleet: other.clone(), groups: both() }).await;
    let seen = until(backend, "blue has left", |seen| seen.groups_of(&other).is_empty() && well(seen)).await;
    let question = Question {
        leaving: &other,
        staying: &one,
        required: &both(),
        healthy_min: 1,
        waivers: &[],
        look: &seen,
        not_before: Time(0),
        fresh: Span::mins(1),
        now: seen.looked_at,
    };
    coverage::prove(&question).unwrap_or_else(|gaps| panic!("{gaps:#?} in {seen:#?}"))
}

#[tokio::test]
async fn a_stranger_that_is_well_does_not_stand_in_for_a_green_that_fell_ill_behind_the_proof() {
    for stranger in [false, true] {
        let (rig, wire) = rig();
        let backend = rig.backend();
        let proof = proof(&backend).await;
        let host = rig.fake.world(|world| {
            world.sicken("wire", "2.0.0");
            stranger.then(|| {
                let host = world.host();
                world.stand(&wire, &host, 8080, 100);
                host
            })
        });
        let begun = Instant::now();
        while rig.fake.world(|world| world.healthy(&wire)) != usize::from(stranger) {
            assert!(begun.elapsed() < PATIENCE, "green falls ill, {host:?} does not");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let fault = backend.retire(proof, &token(120)).await.unwrap_err();
        assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Conflict, false), "{fault}");
        assert!(fault.message.contains("nobody else is healthy any more in `wire`"), "{fault}");
        assert_eq!(rig.fake.count("ScaleInApplication"), 0, "blue stays");
    }
}

/// Nothing of it can have harmed blue, and the way back stays open.
#[tokio::test]
async fn what_fails_before_blue_is_told_to_go_is_a_certain_refusal() {
    let (rig, _) = rig();
    let backend = rig.backend();
    let proof = proof(&backend).await;
    rig.fake.world(|world| world.fail_job("DeleteRule", "SystemBroken"));
    let fault = backend.retire(proof, &token(120)).await.unwrap_err();
    assert!(!fault.ambiguous && fault.message.contains("SystemBroken"), "{fault}");
    assert_eq!(rig.fake.count("ScaleInApplication"), 0, "blue stays");
}

#[tokio::test]
async fn blue_that_stays_for_another_change_order_keeps_what_was_noted_of_it() {
    let (mut rig, wire) = rig();
    rig.spec.groups.get_mut(&group("wire")).unwrap().by = ShareBy::Weights;
    rig.fake.world(|world| world.scaling_group("blue", &rig.blue));
    let backend = rig.backend();
    backend.change(&Change::Freeze { fleet: fleet("blue") }, &token(99)).await.unwrap();
    let proof = proof(&backend).await;
    let noted = || {
        rig.fake.world(|world| {
            let tags = &world.app(&rig.app).unwrap().tags;
            let weights = tags.keys().filter(|key| key.contains(&wire)).count();
            (weights, world.scaling_groups[0].tags.len())
        })
    };
    assert_eq!(noted(), (1, 1));
    rig.fake.world(|world| {
        world.settings.step = 60_000;
        let blue = world.app(&rig.app).unwrap().group_named("blue").unwrap().id.clone();
        world.order(Kind::Deploy, (&rig.app, &blue), Work::Run(true), &[], Pace::default());
    });
    let fault = backend.retire(proof, &token(120)).await.unwrap_err();
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Conflict, false), "{fault}");
    assert_eq!(noted(), (1, 1), "it could still be given back");
    assert_eq!(rig.fake.count("ScaleInApplication"), 0, "blue stays");
}

#[tokio::test]
async fn whoever_leaves_a_shared_group_without_a_drain_gets_nothing_new_for_a_while_before() {
    let (mut rig, wire) = rig();
    rig.spec.call_timeout = Span::secs(1);
    rig.fake.world(|world| world.groups.get_mut(&wire).unwrap().drain = None);
    let backend = rig.backend();
    proof(&backend).await;
    let calls = rig.fake.calls();
    let at = |action: &str| {
        let own = calls.iter().filter(|call| call.parameters["ServerGroupId"] == wire.as_str());
        own.filter(|call| call.action == action).map(|call| call.at).next_back().unwrap()
    };
    let waited = at("RemoveServersFromServerGroup") - at("UpdateServerGroupServersAttribute");
    assert!(waited >= 1000, "{waited} ms");
}
