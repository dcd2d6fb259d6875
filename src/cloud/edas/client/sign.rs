//! Alibaba Cloud's signature for one request: ACS3-HMAC-SHA256.
//!
//! Only the documented headers are signed: whatever stands between may rewrite any other.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::credentials::Keys;
use crate::model::Time;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// What a form is sent as.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// What is signed.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub verb: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub host: &'a str,
    pub action: &'a str,
    pub version: &'a str,
    pub body: Option<&'a str>,
}

/// What makes each attempt its own: a nonce is good for one.
#[derive(Debug)]
pub(super) struct Stamp {
    pub date: String,
    pub nonce: String,
}

impl Stamp {
    pub fn new(now: Time) -> Self {
        Self { date: date(now), nonce: format!("{:032x}", fastrand::Rng::new().u128(..)) }
    }
}

/// A time as Alibaba Cloud writes it.
pub(super) fn date(now: Time) -> String {
    let at = i64::try_from(now.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The headers that prove who sends this, when, and that nobody changed it; `host` is for the HTTP client to send.
pub(super) fn headers(request: &Request<'_>, keys: &Keys, stamp: &Stamp) -> Vec<(&'static str, String)> {
    let payload = hex(&Sha256::digest(request.body.unwrap_or_default()));
    let mut signed = Vec::with_capacity(9);
    if request.body.is_some() {
        signed.push(("content-type", FORM.to_owned()));
    }
    // In the order of their names.
    signed.extend([
        ("host", request.host.to_owned()),
        ("x-acs-action", request.action.to_owned()),
        ("x-acs-content-sha256", payload.clone()),
        ("x-acs-date", stamp.date.clone()),
    ]);
    if let Some(token) = &keys.token {
        signed.push(("x-acs-security-token", token.clone()));
    }
    signed.push(("x-acs-signature-nonce", stamp.nonce.clone()));
    signed.push(("x-acs-version", request.version.to_owned()));

    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: Vec<_> = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let lines = lines.concat();
    let Request { verb, path, query, .. } = request;
    let canonical = format!("{verb}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let signature = hmac(&keys.secret, &format!("{ALGORITHM}\n{}", hex(&Sha256::digest(canonical))));
    let authorization =
        format!("{ALGORITHM} Credential={},SignedHeaders={names},Signature={signature}", keys.id);

    signed.retain(|(name, _)| *name != "host");
    signed.push(("authorization", authorization));
    signed
}

fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::edas::client::{Call, Method, Product};

    const VECTORS: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edas/recorded/signing-vectors.json"));

    fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
        value[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {value}"))
    }

    /// The vector's parameters as a call of ours: the query and the body are made here, and not taken from it.
    fn call(vector: &serde_json::Value) -> Call {
        let method = match text(vector, "method") {
            "GET" => Method::Get,
            "DELETE" => Method::Delete,
            _ => Method::Post,
        };
        let path = Box::leak(text(vector, "path").to_owned().into_boxed_str());
        let mut call = Call::roa(Product::Edas, "Any", method, path);
        for (key, value) in vector["query"].as_object().unwrap() {
            call = call.with(key, value.as_str().unwrap());
        }
        let fields = reqwest::Url::parse(&format!("http://form/?{}", text(vector, "body"))).unwrap();
        fields.query_pairs().fold(call, |call, (key, value)| call.form(key, value))
    }

    #[test]
    fn every_vector_of_the_official_sdk_and_the_published_one_are_met() {
        let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let mut met = Vec::new();
        for vector in file["vectors"].as_array().unwrap() {
            let name = text(vector, "name");
            if name.starts_with("v2_") {
                continue; // The legacy forms, for comparison only.
            }
            let wanted = if vector["minimal"].is_object() { &vector["minimal"] } else { vector };
            let head = &wanted["headers"];
            let call = call(vector);
            let (path, query, body) = (call.path(), call.query(), call.body());
            assert_eq!(query, text(vector, "canonical_query"), "{name}");
            assert_eq!(body.as_deref().unwrap_or_default(), text(vector, "body"), "{name}");
            let verb = call.method.verb();
            let request = Request {
                verb: verb.as_str(),
                path: &path,
                query: &query,
                host: text(head, "host"),
                action: text(head, "x-acs-action"),
                version: text(head, "x-acs-version"),
                body: body.as_deref(),
            };
            let keys = Keys::new(
                text(vector, "access_key_id"),
                text(vector, "access_key_secret"),
                vector["security_token"].as_str(),
            );
            let stamp = Stamp {
                date: text(head, "x-acs-date").into(),
                nonce: text(head, "x-acs-signature-nonce").into(),
            };
            let made = headers(&request, &keys, &stamp);
            let authorization = made.iter().find(|(name, _)| *name == "authorization").unwrap();
            assert_eq!(authorization.1, text(wanted, "authorization"), "{name}");
            for (header, value) in head.as_object().unwrap() {
                let ours = made.iter().find(|(name, _)| name == header).map(|(_, value)| value.as_str());
                assert!(header == "host" || ours == value.as_str(), "{name}: {header}");
            }
            met.push(name);
        }
        let all = [
            "roa_get",
            "roa_post_query_only",
            "roa_post_form_body",
            "roa_delete",
            "rpc_query",
            "rpc_form_body",
            "published_example",
            "sts_hard_characters",
            "sts_form",
        ];
        assert_eq!(met, all);
    }

    #[test]
    fn a_nonce_is_new_each_time_and_a_date_is_in_whole_seconds() {
        let [one, other] = [Stamp::new(Time(1_767_323_045_678)), Stamp::new(Time(1_767_323_045_678))];
        assert_ne!(one.nonce, other.nonce);
        assert_eq!((one.date.as_str(), one.nonce.len()), ("2026-01-02T03:04:05Z", 32));
    }
}
