//! What goes over the wire, what comes back, and what is sent again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqsign_core::StaticEnv;
use reqwest::Url;
use serde_json::Value;

use super::call::{Call, Method, Product};
use super::credentials::{Credentials, Session};
use super::endpoint::Over;
use super::limit;
use super::send::Client;
use super::server::{Act, Seen, Server};
use crate::cloud::{Fault, FaultKind};
use crate::model::{Span, Time};
use crate::spec::{DeployGroups, EdasFleets, EdasSpec, Hosts};

const ACCOUNT: &str = "1234567890123456";
const RECORDINGS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edas/recorded/recordings.json"));

fn spec(account: &str, call_timeout: u64) -> EdasSpec {
    EdasSpec {
        account: account.into(),
        region: "cn-hongkong".into(),
        fleets: EdasFleets::Groups(DeployGroups {
            application: "app-1".into(),
            pair: ["blue".into(), "green".into()],
            hosts: Hosts::Idle,
            package: "https://example.com/api-{revision}.jar".into(),
        }),
        call_timeout: Span(call_timeout),
        pace: Span::secs(5),
        groups: BTreeMap::new(),
    }
}

fn over(server: &Server) -> Over {
    Over { endpoint: server.url.clone(), id: "testAccessKeyId".into(), secret: "hush".into() }
}

/// A client whose first call has been answered; `script` is told of the others, which it counts from 0.
async fn client(
    call_timeout: u64,
    script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
) -> (Client, Server) {
    let server = Server::start(move |n, seen| match n {
        0 => Act::ok(&format!(r#"{{"AccountId":"{ACCOUNT}","RequestId":"r"}}"#)),
        _ => script(n - 1, seen),
    })
    .await;
    let client = Client::connect(&spec(ACCOUNT, call_timeout), Some(&over(&server))).await.unwrap();
    (client, server)
}

fn deploy() -> Call {
    let call = Call::roa(Product::Edas, "DeployApplication", Method::Post, "/pop/v5/changeorder/co_deploy");
    call.with("AppId", "app-1").with("GroupId", "g-1")
}

fn look() -> Call {
    Call::roa(Product::Edas, "QueryApplicationStatus", Method::Get, "/pop/v5/app/app_status").read()
}

fn rule() -> Call {
    Call::rpc(Product::Alb, "UpdateRuleAttribute").with("RuleId", "rule-1").token("ct-1")
}

fn throttled(wait_ms: u64) -> Act {
    let headers = vec![("x-acs-retry-after", wait_ms.to_string())];
    Act::Say(400, headers, r#"{"Code":"Throttling.User","Message":"slow down","RequestId":"r-9"}"#.into())
}

async fn fails(client: &Client, call: Call) -> Fault {
    client.send::<Value>(call).await.unwrap_err()
}

#[tokio::test]
async fn requests_are_those_that_the_official_clients_send() {
    let file: Value = serde_json::from_str(RECORDINGS).unwrap();
    let (client, server) = client(5_000, |_, _| Act::ok(r#"{"Code":200}"#)).await;
    let mut sent = 1;
    for recorded in file["recordings"].as_array().unwrap() {
        let text = |key: &str| recorded[key].as_str().unwrap_or_default().to_owned();
        let product = match text("service").as_str() {
            "edas" => Product::Edas,
            "alb" => Product::Alb,
            "slb" => Product::Clb,
            "ess" => Product::Ess,
            _ => continue, // Credentials have their own tests.
        };
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let method = match text("method").as_str() {
            "GET" => Method::Get,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            _ => Method::Post,
        };
        let (action, path) = (leak(text("operation")), leak(text("path")));
        let mut call = Call::roa(product, action, method, path);
        let pairs = |key: &str| -> BTreeMap<String, String> {
            let pairs = recorded[key].as_object().cloned().unwrap_or_default();
            pairs.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
        };
        for (key, value) in pairs("query") {
            call = call.with(key, value);
        }
        for (key, value) in pairs("body_form") {
            call = call.form(key, value);
        }
        client.send::<Value>(call).await.unwrap();
        let seen = server.seen().swap_remove(sent);
        sent += 1;

        let read = |text: &str| -> BTreeMap<String, String> {
            Url::parse(&format!("http://x/?{text}")).unwrap().query_pairs().into_owned().collect()
        };
        assert_eq!((seen.method, seen.path), (text("method"), text("path")), "{action}");
        assert_eq!(read(&seen.query), pairs("query"), "{action}");
        assert_eq!(seen.body, text("body"), "{action}");
        let head = |name: &str| seen.headers.get(name).map(String::as_str);
        assert_eq!(head("x-acs-action"), Some(action));
        assert_eq!(head("x-acs-version"), Some(product.version()));
        assert_eq!(head("content-type").is_some(), recorded["body"].is_string(), "{action}");
        assert_eq!(head("host"), server.url.strip_prefix("http://"));
    }
    assert!(sent > 40, "{sent} were compared");
}

#[tokio::test]
async fn each_attempt_has_its_own_nonce_and_signs_only_what_is_documented() {
    let script = |n, _: &Seen| if n < 2 { Act::Drop } else { Act::ok(r#"{"Code":200}"#) };
    let (client, server) = client(5_000, script).await;
    client.send::<Value>(look()).await.unwrap();
    let seen = &server.seen()[1..];
    let nonces: Vec<_> = seen.iter().map(|one| &one.headers["x-acs-signature-nonce"]).collect();
    assert!(nonces.len() == 3 && nonces[0] != nonces[1] && nonces[1] != nonces[2], "{nonces:?}");
    for one in seen {
        let names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
        let said = &one.headers["authorization"];
        let expected =
            format!("ACS3-HMAC-SHA256 Credential=testAccessKeyId,SignedHeaders={names},Signature=");
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[tokio::test]
async fn a_region_is_named_where_one_endpoint_serves_many() {
    let (client, server) = client(5_000, |_, _| Act::ok(r#"{"Code":200}"#)).await;
    client.send::<Value>(Call::rpc(Product::Clb, "DescribeLoadBalancers").read()).await.unwrap();
    client
        .send::<Value>(Call::rpc(Product::Ecs, "DescribeInstances").with("RegionId", "x").read())
        .await
        .unwrap();
    client.send::<Value>(rule()).await.unwrap();
    let queries: Vec<_> = server.seen()[1..].iter().map(|one| one.query.clone()).collect();
    assert_eq!(queries, ["RegionId=cn-hongkong", "RegionId=x", "ClientToken=ct-1&RuleId=rule-1"]);
}

#[tokio::test]
async fn credentials_of_another_account_are_refused_before_any_other_call() {
    let server = Server::start(|_, _| Act::ok(r#"{"AccountId":"6543210987654321"}"#)).await;
    let fault = Client::connect(&spec(ACCOUNT, 5_000), Some(&over(&server))).await.unwrap_err();
    assert_eq!((fault.kind, fault.action.as_str()), (FaultKind::Denied, "GetCallerIdentity"));
    assert!(fault.message.contains("6543210987654321") && fault.message.contains(ACCOUNT), "{fault}");
    assert_eq!(server.seen().len(), 1);
    let nobody = Server::start(|_, _| Act::ok(r#"{"RequestId":"r"}"#)).await;
    assert!(Client::connect(&spec(ACCOUNT, 5_000), Some(&over(&nobody))).await.is_err());
}

#[tokio::test]
async fn after_a_lost_reply_only_what_may_come_twice_is_sent_again() {
    for (call, sent, kind) in
        [(look(), 2, None), (rule(), 2, None), (deploy(), 1, Some(FaultKind::Unreachable))]
    {
        for end in [|| Act::Drop, || Act::Cut(r#"{"Code":200"#.into()), || Act::ok(r#"{"Code":2"#)] {
            let script = move |n, _: &Seen| if n == 0 { end() } else { Act::ok(r#"{"Code":200}"#) };
            let (client, server) = client(5_000, script).await;
            let answer = client.send::<Value>(call.clone()).await;
            assert_eq!(server.seen().len() - 1, sent, "{call:?}");
            assert_eq!(answer.as_ref().err().map(|fault| fault.kind), kind, "{call:?}");
            assert!(answer.err().is_none_or(|fault| fault.ambiguous), "{call:?}");
        }
    }
}

#[tokio::test]
async fn what_may_have_been_applied_stays_in_doubt_whatever_is_said_later() {
    let no = r#"{"Code":"InvalidParameter","Message":"no"}"#;
    let script = move |n, _: &Seen| if n == 0 { Act::Drop } else { Act::Say(400, vec![], no.into()) };
    let (client, server) = client(5_000, script).await;
    let fault = fails(&client, rule()).await;
    assert_eq!((fault.kind, fault.ambiguous, server.seen().len() - 1), (FaultKind::Invalid, true, 2));
    let (client, _server) = client_that_drops().await;
    let fault = fails(&client, look()).await;
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Unreachable, false), "a read changes nothing");
}

async fn client_that_drops() -> (Client, Server) {
    client(1_000, |_, _| Act::Drop).await
}

#[tokio::test]
async fn a_call_that_never_connects_was_not_applied() {
    let (client, server) = client(400, |_, _| Act::Drop).await;
    drop(server);
    tokio::task::yield_now().await;
    let fault = fails(&client, deploy()).await;
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Unreachable, false), "{fault}");
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_it_is_told_even_a_write() {
    let script = |n, _: &Seen| if n < 2 { throttled(60) } else { Act::ok(r#"{"Code":200}"#) };
    let (client, server) = client(5_000, script).await;
    let begun = limit::now();
    client.send::<Value>(deploy()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(server.seen().len() - 1, 3);
}

#[tokio::test]
async fn a_call_that_is_throttled_to_the_end_says_so() {
    let (short, server) = client(5_000, |_, _| throttled(5)).await;
    let fault = fails(&short, deploy()).await;
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Throttled, false));
    assert_eq!((fault.action.as_str(), fault.request_id.as_deref()), ("DeployApplication", Some("r-9")));
    assert_eq!(fault.message, "Throttling.User: slow down");
    assert_eq!(server.seen().len() - 1, 6);
    // What it is told to wait is longer than a call may take.
    let (long, server) = client(1_000, |_, _| throttled(u64::MAX)).await;
    let begun = limit::now();
    assert_eq!(fails(&long, look()).await.kind, FaultKind::Throttled);
    assert_eq!(server.seen().len() - 1, 1);
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_refusal_in_the_body_is_a_fault_and_is_not_tried_again() {
    let (client, server) =
        client(5_000, |_, _| Act::ok(r#"{"Code":601,"Message":"instances run","RequestId":"r-2"}"#)).await;
    let fault = fails(&client, deploy()).await;
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Unexpected, false));
    assert_eq!(fault.to_string(), "DeployApplication (unexpected): 601: instances run [request r-2]");
    assert_eq!(server.seen().len() - 1, 1);
}

#[tokio::test]
async fn a_write_waits_for_nobody_who_is_in_the_way_and_a_read_does() {
    let busy = |n, _: &Seen| match n {
        0 => Act::Say(400, vec![], r#"{"Code":"SystemBusy","Message":"wait"}"#.into()),
        _ => Act::ok(r#"{"Code":200}"#),
    };
    for (call, sent) in [(look(), 2), (rule(), 1), (deploy(), 1)] {
        let (client, server) = client(5_000, busy).await;
        let answer = client.send::<Value>(call).await;
        assert_eq!(server.seen().len() - 1, sent);
        assert_eq!(answer.is_err(), sent == 1);
    }
}

/// An environment of these variables, and a home without files.
fn env(vars: &[(&str, &str)], home: &std::path::Path) -> StaticEnv {
    let envs: HashMap<_, _> = vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    StaticEnv { home_dir: Some(home.into()), envs }
}

pub(super) struct Desk {
    pub credentials: Credentials,
    pub server: Server,
    now: Arc<AtomicU64>,
    _home: tempfile::TempDir,
}

/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045_000;

/// A chain in an environment that names the server as `{server}`, whose STS says `script`.
pub(super) async fn desk(
    vars: &[(&str, &str)],
    files: &[(&str, &str)],
    script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
) -> Desk {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let server = Server::start(script).await;
    let vars: Vec<_> =
        vars.iter().map(|(name, value)| (*name, value.replace("{server}", &server.url))).collect();
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let credentials = Credentials::clocked(
        env(&[&[("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")], vars.as_slice()].concat(), home.path()),
        http,
        Url::parse(&server.url).unwrap(),
        Box::new(move || Time(clock.load(Ordering::Relaxed))),
    );
    Desk { credentials, server, now, _home: home }
}

const GITHUB: [(&str, &str); 4] = [
    ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1234567890123456:role/deploy"),
    ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1234567890123456:oidc-provider/GitHub"),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", "{server}/token?api-version=2.0"),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer-secret"),
];

pub(super) fn sts(n: usize, expiration: &str) -> Act {
    Act::ok(&format!(
        r#"{{"RequestId":"r","Credentials":{{"AccessKeyId":"STS.{n}","AccessKeySecret":"s","SecurityToken":"t","Expiration":"{expiration}"}}}}"#
    ))
}

fn github(n: usize, seen: &Seen) -> Act {
    match seen.path.as_str() {
        "/token" => Act::ok(r#"{"count":1,"value":"header.payload.sig"}"#),
        _ => sts(n, if n < 2 { "2026-01-02T04:04:05Z" } else { "2026-01-02T05:00:00Z" }),
    }
}

#[tokio::test]
async fn a_github_job_takes_its_role_by_itself_and_again_before_the_session_ends() {
    let desk = desk(&GITHUB, &[], github).await;
    let first = desk.credentials.keys("Do").await.unwrap();
    assert_eq!((first.id.as_str(), first.token.as_deref()), ("STS.1", Some("t")));
    assert_eq!(desk.credentials.expires().await, Some(Time(NOW + 3_600_000)));
    assert_eq!(desk.credentials.session().await, Session::Renewed);
    let [asked, assumed] = &desk.server.seen()[..] else { panic!("{:?}", desk.server.seen()) };
    assert_eq!(
        (asked.method.as_str(), asked.query.as_str()),
        ("GET", "api-version=2.0&audience=sts.aliyuncs.com")
    );
    assert_eq!(asked.headers["authorization"], "bearer bearer-secret");
    assert_eq!((assumed.method.as_str(), assumed.path.as_str(), assumed.query.as_str()), ("POST", "/", ""));
    let form: BTreeMap<String, String> =
        Url::parse(&format!("http://x/?{}", assumed.body)).unwrap().query_pairs().into_owned().collect();
    for (name, value) in [
        ("Action", "AssumeRoleWithOIDC"),
        ("Version", "2015-04-01"),
        ("RoleArn", "acs:ram::1234567890123456:role/deploy"),
        ("OIDCProviderArn", "acs:ram::1234567890123456:oidc-provider/GitHub"),
        ("OIDCToken", "header.payload.sig"),
        ("RoleSessionName", "deployer"),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!assumed.headers.contains_key("authorization"), "it is not signed");

    // 44 minutes on they are still used, 45 minutes on there are new ones.
    desk.now.store(NOW + 44 * 60_000, Ordering::Relaxed);
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1");
    desk.now.store(NOW + 45 * 60_000, Ordering::Relaxed);
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.3");
    assert_eq!(desk.server.seen().len(), 4);
}

#[tokio::test]
async fn keys_that_are_still_good_are_used_while_sts_does_not_answer_and_no_longer() {
    let desk = desk(&GITHUB, &[], |n, seen| if n < 2 { github(n, seen) } else { Act::Drop }).await;
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1");
    desk.now.store(NOW + 50 * 60_000, Ordering::Relaxed);
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1");
    let asked = desk.server.seen().len();
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1");
    assert_eq!(desk.server.seen().len(), asked, "it is not asked with every call");
    desk.now.store(NOW + 60 * 60_000, Ordering::Relaxed);
    let fault = desk.credentials.keys("Do").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
}

/// Whoever is next in the chain may be somebody else, of another account than the one that was looked at.
#[tokio::test]
async fn whoever_gave_the_keys_is_asked_for_new_ones_and_nobody_else() {
    let profile = r#"{"current":"it","profiles":[{"name":"it","mode":"AK","access_key_id":"else","access_key_secret":"s"}]}"#;
    let files = [(".aliyun/config.json", profile)];
    let desk = desk(&GITHUB, &files, |n, seen| if n < 2 { github(n, seen) } else { Act::Drop }).await;
    let first = desk.credentials.keys("Do").await.unwrap();
    assert_eq!(first.id, "STS.1");
    desk.now.store(NOW + 50 * 60_000, Ordering::Relaxed);
    assert_eq!(desk.credentials.keys("Do").await.unwrap().id, "STS.1", "they are still good");
    assert!(!desk.credentials.renewed("Do", &first).await);
    let fault = desk.credentials.keys("Do").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    assert!(fault.message.contains("OIDC"), "{fault}");
}

#[tokio::test]
async fn keys_that_are_refused_as_expired_are_asked_for_anew() {
    let desk = desk(&GITHUB, &[], github).await;
    let first = desk.credentials.keys("Do").await.unwrap();
    assert!(desk.credentials.renewed("Do", &first).await);
    assert_ne!(desk.credentials.keys("Do").await.unwrap(), first);
}

#[tokio::test]
async fn why_there_are_no_credentials_is_said_without_a_secret() {
    let no = r#"{"Code":"AuthenticationFail.NoPermission","Message":"This operator is not authorized","RequestId":"r"}"#;
    let refused =
        move |n, seen: &Seen| if n == 0 { github(n, seen) } else { Act::Say(403, vec![], no.into()) };
    let desk_refused = desk(&GITHUB, &[], refused).await;
    let fault = desk_refused.credentials.keys("Do").await.unwrap_err();
    assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Denied, false));
    assert!(fault.message.contains("OIDC: AssumeRoleWithOIDC (denied): AuthenticationFail"), "{fault}");
    let unset = desk(&GITHUB[..2], &[], |_, _| Act::Drop).await;
    let without = unset.credentials.keys("Do").await.unwrap_err();
    assert!(without.message.contains("id-token: write"), "{without}");
    let lost = desk(&GITHUB, &[], |_, _| Act::Drop).await;
    let unanswered = lost.credentials.keys("Do").await.unwrap_err();
    assert_eq!(unanswered.kind, FaultKind::Unreachable);
    let none = desk(&[], &[], |_, _| Act::Drop).await.credentials.keys("Do").await.unwrap_err();
    assert_eq!(none.kind, FaultKind::Denied);
    assert!(none.message.starts_with("no Alibaba Cloud credentials were found"), "{none}");
    for fault in [fault, without, unanswered] {
        let text = format!("{fault} {fault:?}");
        for secret in ["bearer-secret", "payload", "api-version"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn the_chain_keeps_the_official_order() {
    let profile = r#"{"current":"default","profiles":[{"name":"default","mode":"AK","access_key_id":"profile","access_key_secret":"s"}]}"#;
    let file = "[default]\ntype = access_key\naccess_key_id = file\naccess_key_secret = s\n";
    let files = [(".aliyun/config.json", profile), (".alibabacloud/credentials.ini", file)];
    let uri = [("ALIBABA_CLOUD_CREDENTIALS_URI", "{server}/uri")];
    let keys = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "env"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")];
    let said = |n: usize, seen: &Seen| match seen.path.as_str() {
        "/uri" => Act::ok(
            r#"{"Code":"Success","AccessKeyId":"uri","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2026-01-02T05:00:00Z"}"#,
        ),
        "/latest/api/token" => Act::ok("tok"),
        "/latest/meta-data/ram/security-credentials/deploy" => Act::ok(
            r#"{"Code":"Success","AccessKeyId":"instance","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2026-01-02T05:00:00Z"}"#,
        ),
        _ => github(n, seen),
    };
    let off = [("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true")];
    let instance = [
        ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "false"),
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "{server}"),
        ("ALIBABA_CLOUD_ECS_METADATA", "deploy"),
    ];
    for (vars, files, expected) in [
        ([&keys[..], &GITHUB, &uri].concat(), &files[..], "env"),
        ([&GITHUB[..], &uri].concat(), &files, "STS.1"),
        (uri.to_vec(), &files, "profile"),
        ([&uri[..], &off].concat(), &files, "file"),
        (uri.to_vec(), &files[1..], "file"),
        ([&uri[..], &instance].concat(), &files[1..], "file"),
        ([&uri[..], &instance].concat(), &[], "instance"),
        (uri.to_vec(), &[], "uri"),
        // Half a pair is none.
        ([&keys[..1], &uri].concat(), &[], "uri"),
    ] {
        let desk = desk(&vars, files, said).await;
        assert_eq!(desk.credentials.keys("Do").await.unwrap().id, expected);
    }
}

#[tokio::test]
async fn keys_that_somebody_else_got_for_a_while_are_known_as_such() {
    let keys = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "env"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")];
    let token = [("ALIBABA_CLOUD_SECURITY_TOKEN", "t")];
    for (vars, session) in
        [(keys.to_vec(), Session::Lasting), ([&keys[..], &token].concat(), Session::Borrowed)]
    {
        let desk = desk(&vars, &[], |_, _| Act::Drop).await;
        desk.credentials.keys("Do").await.unwrap();
        assert_eq!(desk.credentials.session().await, session);
    }
}

#[tokio::test]
async fn a_token_in_a_file_is_read_anew_each_time() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    std::fs::write(&path, "from.the.file\n").unwrap();
    let vars = [&GITHUB[..], &[("ALIBABA_CLOUD_OIDC_TOKEN_FILE", path.to_str().unwrap())]].concat();
    let desk = desk(&vars, &[], |n, _| sts(n, "2026-01-02T04:04:05Z")).await;
    let first = desk.credentials.keys("Do").await.unwrap();
    std::fs::write(&path, "another.one").unwrap();
    assert!(desk.credentials.renewed("Do", &first).await);
    let bodies: Vec<_> = desk.server.seen().into_iter().map(|one| one.body).collect();
    assert!(bodies.len() == 2 && bodies[0].contains("OIDCToken=from.the.file"), "{bodies:?}");
    assert!(!bodies[0].contains("%0A") && bodies[1].contains("OIDCToken=another.one"), "{bodies:?}");
}
