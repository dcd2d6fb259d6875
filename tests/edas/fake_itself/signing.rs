//! Who is let in.

use hyper::Request;
use serde_json::{Value, json};

use super::scene;
use crate::caller::{Draft, Reply, call};
use crate::fake::{Fake, Settings, signature};

fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../recorded/signing-vectors.json")).unwrap();
    all["vectors"].as_array().unwrap().clone()
}

/// The signature over these headers of a recorded request.
fn signed(vector: &Value, headers: &Value, names: &str) -> String {
    let query = vector["query"].as_object().unwrap().iter();
    let query = query.map(|(name, value)| {
        format!("{}={}", signature::encoded(name), signature::encoded(value.as_str().unwrap()))
    });
    let target = format!("{}?{}", vector["path"].as_str().unwrap(), query.collect::<Vec<_>>().join("&"));
    let mut request = Request::builder().method(vector["method"].as_str().unwrap()).uri(target);
    for (name, value) in headers.as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let names: Vec<&str> = names.split(';').collect();
    signature::sign(&parts, &names, vector["access_key_secret"].as_str().unwrap()).unwrap()
}

#[test]
fn every_recorded_signature_is_made_again_in_both_of_its_forms() {
    let mut made = 0;
    for vector in &vectors() {
        for form in [vector, &vector["minimal"]] {
            let Some(of) = form["authorization"].as_str().filter(|of| of.starts_with("ACS3-HMAC-SHA256"))
            else {
                continue;
            };
            let (_, of) = of.split_once("SignedHeaders=").unwrap();
            let (names, signature) = of.split_once(",Signature=").unwrap();
            assert_eq!(signed(vector, &form["headers"], names), signature, "{}", vector["name"]);
            made += 1;
        }
    }
    assert_eq!(made, 15, "six requests in two forms, one that is published, and two with a token");
}

fn draft() -> Draft {
    Draft::new("sts", "GetCallerIdentity", &[])
}

fn code(fake: &Fake, draft: Draft) -> String {
    let reply: Reply = draft.send(fake).unwrap();
    reply.code()
}

#[test]
fn only_what_is_signed_whole_and_now_and_once_is_answered() {
    let fake = Fake::start(Settings::default());
    assert_eq!(code(&fake, draft()), "");
    let env: std::collections::BTreeMap<String, String> = fake.env().into_iter().collect();
    assert_eq!(env["DEPLOYER_ENDPOINT_ALIBABA"], fake.url());
    let pair =
        ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"].map(|name| env[name].clone());
    assert_eq!(pair, [draft().key, draft().secret]);
    let other_secret = Draft { secret: "another".to_owned(), ..draft() };
    assert_eq!(code(&fake, other_secret), "SignatureDoesNotMatch");
    let other_key = Draft { key: "LTAIsomebody".to_owned(), ..draft() };
    assert_eq!(code(&fake, other_key), "InvalidAccessKeyId.NotFound");
    for name in [
        "host",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
    ] {
        assert_eq!(code(&fake, Draft { unsigned: vec![name], ..draft() }), "SignatureDoesNotMatch", "{name}");
    }
    let more = draft().header("x-acs-security-token", "token");
    assert_eq!(
        code(&fake, Draft { unsigned: vec!["x-acs-security-token"], ..more }),
        "InvalidAccessKeyId.NotFound"
    );
    let agent = draft().header("user-agent", "deployer");
    assert_eq!(code(&fake, agent), "", "more may be signed");
    for date in ["2026-01-02T03:04:05Z", "yesterday"] {
        assert_eq!(code(&fake, draft().header("x-acs-date", date)), "InvalidTimeStamp.Expired");
    }
    let once = draft();
    assert_eq!(code(&fake, once.clone()), "");
    assert_eq!(code(&fake, once), "SignatureNonceUsed");
    let body = Draft { other_body: Some("Servers.1.Port=1".to_owned()), ..draft() };
    assert_eq!(code(&fake, body), "SignatureDoesNotMatch");
}

#[test]
fn credentials_for_a_while_are_given_out_and_taken() {
    let scene = scene(Settings::default());
    let role = [("RoleArn", "acs:ram::1234567890123456:role/ci"), ("RoleSessionName", "ci")];
    let reply = scene.done("sts", "AssumeRole", &role);
    let text = |name: &str| reply.body["Credentials"][name].as_str().unwrap().to_owned();
    let assumed = |token: &str| {
        let draft = draft().header("x-acs-security-token", token);
        Draft { key: text("AccessKeyId"), secret: text("AccessKeySecret"), ..draft }
    };
    assert_eq!(code(&scene.fake, assumed(&text("SecurityToken"))), "");
    assert_eq!(code(&scene.fake, assumed("another")), "InvalidSecurityToken.Malformed");
    let account = call(&scene.fake, "sts", "GetCallerIdentity", &[]).body["AccountId"].clone();
    assert_eq!(account, json!(crate::fake::ACCOUNT));
    scene.honest();
}

#[test]
fn a_token_of_another_party_is_exchanged_without_a_signature() {
    let fake = Fake::start(Settings::default());
    let all: Value = serde_json::from_str(include_str!("../recorded/recordings.json")).unwrap();
    let recorded = all["recordings"].as_array().unwrap().iter();
    let recorded = recorded.clone().find(|one| one["operation"] == "AssumeRoleWithOIDC").unwrap();
    let query = recorded["query"].as_object().unwrap().iter();
    let query = query.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    let method = recorded["method"].as_str().unwrap().to_owned();
    let exchange = Draft { method, query, plain: true, ..Draft::new("sts", "AssumeRoleWithOIDC", &[]) };
    let reply = exchange.send(&fake).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = |name: &str| reply.body["Credentials"][name].as_str().unwrap().to_owned();
    let own = draft().header("x-acs-security-token", &text("SecurityToken"));
    let own = Draft { key: text("AccessKeyId"), secret: text("AccessKeySecret"), ..own };
    assert_eq!(code(&fake, own), "");
    assert_eq!(fake.unknown(), Vec::<String>::new());
}
