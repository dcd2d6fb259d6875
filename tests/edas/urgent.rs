//! Many ways back at once, where EDAS answers few questions in a minute.

use std::collections::BTreeMap;

use deployer::cloud::edas::{EdasBackend, Over};
use deployer::cloud::{Backend as _, Leeway, Scope};
use deployer::model::{GroupId, Scaling, Seen, Span};
use deployer::spec::{EdasFleets, EdasGroup, EdasServers, EdasSpec, Hosts, Kubernetes, ShareBy};
use futures_util::future::join_all;

use crate::fake::{ACCOUNT, Fake, GroupOptions, KEY_ID, REGION, SECRET, Settings};
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

/// A service of two applications on Kubernetes behind twins of an ALB, and how often EDAS may be asked for an application.
fn on_kubernetes(per_minute: BTreeMap<&'static str, usize>) -> (Fake, EdasSpec) {
    let fake = Fake::start(Settings { per_minute, ..Settings::default() });
    let twins = fake.world(|world| {
        let ip = GroupOptions { kind: "Ip", ..GroupOptions::default() };
        let alb = world.alb("edge");
        let [one, two, spare] = ["public-a", "public-b", "spare"].map(|name| world.alb_group(name, &ip));
        let listener = world.listener(&alb, 443, &spare);
        world.rule(&listener, 10, &[(&one, 100), (&two, 0)]);
        for (name, twin, pods) in [("blue", &one, 2), ("green", &two, 0)] {
            world.kube_app(name, "cr.example.com/shop/api:1", pods, &[(twin, 8080)]);
        }
        [one, two]
    });
    let public = EdasGroup {
        port: 8080,
        servers: EdasServers::AlbTwins(twins),
        by: ShareBy::Membership,
        accepts_unproved: false,
        accepts_whole: false,
    };
    let spec = EdasSpec {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        fleets: EdasFleets::Kubernetes(Kubernetes {
            applications: ["blue", "green"].map(str::to_owned),
            image: "cr.example.com/shop/api:{revision}".to_owned(),
            nodes_serve_others: false,
        }),
        call_timeout: Span::secs(5),
        pace: Span(20),
        groups: BTreeMap::from([(GroupId::new("public").unwrap(), public)]),
    };
    (fake, spec)
}

#[tokio::test]
async fn on_kubernetes_a_way_back_asks_for_what_no_traffic_goes_back_by_once_that_had_its_chance() {
    const SPARED: [&str; 4] =
        ["GetApplication", "GetK8sServices", "ListK8sIngressRules", "DescribeApplicationScalingRules"];
    let group = GroupId::new("public").unwrap();
    let scope = Scope {
        service: "api".parse().unwrap(),
        groups: [group.clone()].into(),
        fleets: [fleet("blue"), fleet("green")].into(),
    };
    let urgent = Leeway { urgent: true, ..Leeway::default() };
    for (most, knows) in [(40, true), (0, false)] {
        let (fake, spec) = on_kubernetes(BTreeMap::from([("GetApplication", most)]));
        let over = Over { endpoint: fake.url(), id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        let backend = EdasBackend::new("api".parse().unwrap(), spec).over(over);
        let asked = || {
            let calls = fake.calls();
            SPARED.map(|action| calls.iter().filter(|call| call.action == action).count())
        };
        let look = async || {
            let seen = backend.look_with(&scope, &urgent).await.unwrap();
            let known = seen.groups.get(&group).and_then(Seen::known).unwrap();
            assert_eq!(known.sides[&fleet("blue")].healthy(), 2, "all that traffic goes back by is known");
            seen
        };
        let first = look().await;
        assert_eq!(asked(), [0; 4]);
        let why = first.unread.iter().next().unwrap();
        assert!(why.contains("not asked for yet, while traffic waits"), "{why}");
        assert_eq!(
            first.fleet(&fleet("blue")).unwrap().scaling,
            Scaling::Active,
            "what is not known may be on"
        );
        let second = look().await;
        assert_eq!(second.unread.is_empty(), knows, "{:?}", second.unread);
        assert!(asked()[0] >= 1, "traffic had its chance: {:?}", asked());
        if knows {
            assert_eq!(asked(), [2, 2, 2, 2]);
            assert_eq!(
                look().await.unread.len() + asked()[0],
                2,
                "what is known need not be asked for again"
            );
        }
    }
}
