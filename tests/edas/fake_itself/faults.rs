//! What goes wrong goes wrong as it was told to.

use std::time::Instant;

use serde_json::json;

use super::scene;
use crate::caller::{Draft, call};
use crate::fake::{Call, Fault, On, Outcome, Settings};

#[test]
fn every_fault_is_what_it_says() {
    let scene = scene(Settings::default());
    let fake = &scene.fake;
    let draft =
        |name: &str| Draft::new("edas", "InsertDeployGroup", &[("AppId", &scene.app), ("GroupName", name)]);
    let there = |name: &str| fake.world(|world| world.app(&scene.app).unwrap().group_named(name).is_some());
    let insert = On::call("InsertDeployGroup");
    for (fault, status, code) in [
        (Fault::Throttle, 400, "Throttling.User"),
        (Fault::Denied, 403, "Forbidden.RAM"),
        (Fault::Status(503), 503, "ServiceUnavailable"),
        (Fault::Status(500), 500, "InternalError"),
    ] {
        fake.heal();
        fake.fail(insert.clone().first(1), fault);
        let reply = draft("one").send(fake).unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        assert!(!there("one"));
    }
    for (fault, applied) in [(Fault::Reset, false), (Fault::LostReply, true), (Fault::Truncated, true)] {
        fake.heal();
        fake.fail(insert.clone().first(1), fault);
        let name = format!("{fault:?}");
        assert!(draft(&name).send(fake).is_none());
        assert_eq!(there(&name), applied, "{name}");
    }
    for (fault, name) in [(Fault::Slow(80), "slow"), (Fault::Late(80), "late")] {
        fake.heal();
        fake.fail(insert.clone().first(1), fault);
        let began = Instant::now();
        assert_eq!(draft(name).send(fake).unwrap().body["Code"], 200);
        assert!(began.elapsed().as_millis() >= 80 && there(name), "{name}");
    }
    assert_eq!(fake.fired(), 9);
    let outcomes: Vec<_> = fake.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Lost).count(), 2);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Reset).count(), 1);
    assert_eq!(fake.count("InsertDeployGroup"), 4, "two of them without an answer");
    let logged = fake.calls();
    let first: &Call = logged.first().unwrap();
    assert_eq!((first.service.as_str(), first.method.as_str()), ("edas", "POST"));
    assert_eq!((first.path.as_str(), first.query["GroupName"].as_str()), ("/pop/v5/deploy_group", "one"));
    assert_eq!(first.parameters["GroupName"], json!("one"));
    assert!(first.form.is_empty() && first.at < 20_000);
}

#[test]
fn a_fault_is_for_the_calls_that_it_names() {
    let scene = scene(Settings::default());
    let status = || call(&scene.fake, "edas", "GetApplication", &[("AppId", &scene.app)]).status;
    scene.fake.fail(On::any().containing(&scene.app).nth(2), Fault::Throttle);
    assert_eq!([status(), status(), status()], [200, 400, 200]);
    scene.fake.heal();
    scene.fake.fail(On::call("GetApplication").between(2, 3), Fault::Denied);
    assert_eq!([status(), status(), status(), status()], [200, 403, 403, 200]);
}
