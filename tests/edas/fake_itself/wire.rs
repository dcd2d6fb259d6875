//! What is asked for as no SDK asks for it is refused.

use serde_json::Value;

use super::scene;
use crate::caller::{Draft, call, product};
use crate::fake::wire::Wrong;
use crate::fake::{Settings, World};

#[test]
fn what_no_sdk_would_send_is_refused_and_noted() {
    let scene = scene(Settings::default());
    let more = |draft: Draft, name: &str, value: &str| {
        let pair = (name.to_owned(), value.to_owned());
        Draft { query: [draft.query.clone(), vec![pair]].concat(), ..draft }
    };
    let draft = || Draft::new("alb", "ListRules", &[]);
    let code = |draft: Draft| draft.send(&scene.fake).unwrap().code();
    assert_eq!(code(more(draft(), "Rules", "1")), "UnsupportedParameter");
    assert_eq!(code(more(draft(), "RegionId", "cn-hongkong")), "UnsupportedParameter");
    assert_eq!(code(more(draft(), "MaxResults", "many")), "InvalidParameter.MaxResults");
    assert_eq!(code(Draft { path: "/pop".to_owned(), ..draft() }), "InvalidAction.NotFound");
    assert_eq!(code(draft().header("x-acs-version", "2020-06-17")), "InvalidVersion");
    assert_eq!(code(draft().header("x-acs-action", "ListDeployGroup")), "InvalidAction.NotFound");
    assert_eq!(code(Draft { method: "PUT".to_owned(), ..draft() }), "InvalidAction.NotFound");
    // Servers travel in the form.
    let servers = Draft::new("alb", "AddServersToServerGroup", &[("ServerGroupId", &scene.own)]);
    let servers = more(more(servers, "Servers.1.ServerId", &scene.hosts[0]), "Servers.1.Port", "80");
    assert_eq!(code(servers), "UnsupportedParameter");
    assert_eq!(scene.fake.unknown().len(), 7, "{:?}", scene.fake.unknown());
    assert_eq!(scene.refused("alb", "DeleteRule", &[]), "MissingRuleId");
    assert_eq!(scene.refused("alb", "AddServersToServerGroup", &[("ServerGroupId", "x")]), "MissingServers");
    assert_eq!(scene.refused("slb", "DescribeLoadBalancers", &[]), "MissingRegionId");
    let elsewhere = [("RegionId", "cn-shanghai")];
    assert_eq!(scene.refused("ess", "DescribeScalingGroups", &elsewhere), "InvalidRegionId.NotFound");
}

#[test]
fn every_recorded_request_of_an_operation_that_is_known_fits_its_table() {
    let all: Value = serde_json::from_str(include_str!("../recorded/recordings.json")).unwrap();
    let (mut compared, mut unknown) = (0, Vec::new());
    for one in all["recordings"].as_array().unwrap() {
        let name = one["service"].as_str().unwrap();
        let action = one["operation"].as_str().unwrap();
        if name == "imds" || name == "sts" {
            continue;
        }
        let Some(shape) = product(name).operations.get(action) else {
            unknown.push(action);
            continue;
        };
        assert_eq!(one["method"], shape.method.as_str(), "{action}");
        assert_eq!(one["path"], shape.path.as_str(), "{action}");
        let tree = |part: &Value| {
            let pairs = part.as_object().into_iter().flatten();
            let pairs =
                pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap().replace('&', "%26")));
            crate::fake::wire::tree(&pairs.collect::<Vec<_>>().join("&"))
        };
        let wrong = shape.wrong(&tree(&one["query"]), &tree(&one["body_form"]));
        // A recording of one parameter of a list leaves out what the list needs beside it.
        assert!(wrong.is_none() || matches!(wrong, Some(Wrong::Missing(_))), "{action}: {wrong:?}");
        compared += 1;
    }
    assert_eq!(unknown, ["AddLogPath"]);
    assert_eq!(compared, 48);
}

#[test]
fn a_token_makes_one_change_and_a_dry_run_none() {
    let scene = scene(Settings { job: 0, ..Settings::default() });
    let host = scene.fake.world(World::host);
    let servers = |token: &'static str, port: &'static str| {
        [
            ("ServerGroupId", scene.other.clone()),
            ("ClientToken", token.to_owned()),
            ("Servers.1.ServerId", host.clone()),
            ("Servers.1.ServerType", "Ecs".to_owned()),
            ("Servers.1.Port", port.to_owned()),
        ]
    };
    let send = |parameters: &[(&str, String)], more: &[(&str, &str)]| {
        let own = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        call(&scene.fake, "alb", "AddServersToServerGroup", &all)
    };
    let dry = send(&servers("t-0", "80"), &[("DryRun", "true")]);
    assert_eq!((dry.status, dry.code().as_str()), (400, "DryRunOperation"));
    assert!(!scene.fake.world(|world| world.stands(&scene.other, &host)));
    let first = send(&servers("t-1", "80"), &[]);
    assert_eq!(first.code(), "");
    assert_eq!(send(&servers("t-1", "80"), &[]).body["JobId"], first.body["JobId"]);
    assert_eq!(send(&servers("t-1", "81"), &[]).code(), "IdempotentParameterMismatch");
    assert_eq!(send(&servers("t-2", "80"), &[]).code(), "ResourceAlreadyExist.BackendServer");
    scene.honest();
}
