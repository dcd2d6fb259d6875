//! Many ways back at once, where EDAS answers few questions in a minute.

use std::collections::BTreeMap;

use deployer::cloud::{Backend as _, Leeway, Scope};
use deployer::model::{GroupId, Seen};
use deployer::spec::Hosts;
use futures_util::future::join_all;

use crate::fake::Settings;
use crate::rig::{Rig, fleet};

/// How many services go back.
const SERVICES: usize = 30;
/// How often EDAS may be asked for an application.
const FEW: usize = 5;

#[tokio::test]
async fn a_way_back_waits_for_nothing_that_no_traffic_goes_back_by_and_does_not_end_without_it() {
    let per_minute = BTreeMap::from([("GetApplication", FEW)]);
    let rig = Rig::new(Settings { per_minute, ..Settings::default() }, Hosts::Idle);
    let group = GroupId::new("public").unwrap();
    let scope = Scope {
        service: "api".parse().unwrap(),
        groups: [group.clone()].into(),
        fleets: [fleet("blue"), fleet("green")].into(),
    };
    let urgent = Leeway { urgent: true, ..Leeway::default() };
    let services: Vec<_> = (0..SERVICES).map(|_| rig.backend()).collect();
    let looks = async || {
        let seen = join_all(services.iter().map(|service| service.look_with(&scope, &urgent))).await;
        let seen: Vec<_> = seen.into_iter().map(Result::unwrap).collect();
        for look in &seen {
            let group = look.groups.get(&group).and_then(Seen::known).unwrap();
            assert_eq!(group.sides[&fleet("blue")].healthy(), 2, "all that traffic goes back by is known");
        }
        seen.into_iter().filter(|look| look.unread.is_empty()).count()
    };
    let asked = || rig.fake.calls().iter().filter(|call| call.action == "GetApplication").count();
    assert_eq!((looks().await, asked()), (0, 0));
    assert_eq!(looks().await, FEW, "a refusal is no reason to see nothing");
    assert!(asked() >= SERVICES, "traffic had its chance: {}", asked());
}
