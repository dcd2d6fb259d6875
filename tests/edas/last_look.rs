//! The last look before blue goes, when the world has moved behind the proof.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deployer::cloud::edas::EdasBackend;
use deployer::cloud::{Backend as _, Change, FaultKind};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{GroupId, Inventory, Share, Span, Time};
use deployer::spec::{EdasGroup, EdasServers, Hosts, ShareBy};

use crate::fake::{GroupOptions, Settings};
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
