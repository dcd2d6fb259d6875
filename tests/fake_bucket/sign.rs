//! The signatures of both clouds, made anew from what arrived and compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use super::{KEY_ID, REGION, SECRET};

/// Whether a request is signed with our key, for our region, over exactly what arrived.
pub fn verified(oss: bool, head: &Parts, _bucket: &str) -> bool {
    expected(oss, head).is_some_and(|(expected, found)| expected == found)
}

struct Scheme {
    algorithm: &'static str,
    seed: &'static str,
    service: &'static str,
    end: &'static str,
    date: &'static str,
}

const AWS: Scheme = Scheme {
    algorithm: "AWS4-HMAC-SHA256",
    seed: "AWS4",
    service: "s3",
    end: "aws4_request",
    date: "x-amz-date",
};
const OSS: Scheme = Scheme {
    algorithm: "OSS4-HMAC-SHA256",
    seed: "aliyun_v4",
    service: "oss",
    end: "aliyun_v4_request",
    date: "x-oss-date",
};

fn expected(oss: bool, head: &Parts) -> Option<(String, String)> {
    let scheme = if oss { OSS } else { AWS };
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let fields = text("authorization")?.strip_prefix(scheme.algorithm)?.trim();
    let fields: BTreeMap<_, _> = fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let date = text(scheme.date)?;
    let day = date.get(..8)?;
    let scope = format!("{day}/{REGION}/{}/{}", scheme.service, scheme.end);
    if *fields.get("Credential")? != format!("{KEY_ID}/{scope}") {
        return None;
    }
    let named =
        fields.get(if oss { "AdditionalHeaders" } else { "SignedHeaders" }).copied().unwrap_or_default();
    let named: Vec<&str> = named.split(';').filter(|name| !name.is_empty()).collect();
    let counts = |name: &str| {
        let always = oss && (name.starts_with("x-oss-") || matches!(name, "content-type" | "content-md5"));
        always || named.contains(&name)
    };
    // Whatever carries the condition must be signed, or somebody on the way could take it off.
    let condition = if oss { "x-oss-forbid-overwrite" } else { "if-none-match" };
    if head.headers.contains_key(condition) && !counts(condition) {
        return None;
    }
    let mut headers: Vec<_> =
        head.headers.keys().map(hyper::http::HeaderName::as_str).filter(|name| counts(name)).collect();
    headers.sort_unstable();
    let lines = headers.iter().fold(String::new(), |mut lines, name| {
        let _ = writeln!(lines, "{name}:{}", text(name).unwrap_or_default().trim());
        lines
    });
    let payload = if oss { "UNSIGNED-PAYLOAD" } else { text("x-amz-content-sha256")? };
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{}\n{payload}",
        head.method,
        head.uri.path(),
        query(head.uri.query().unwrap_or_default(), oss),
        named.join(";"),
    );
    let to_sign =
        format!("{}\n{date}\n{scope}\n{}", scheme.algorithm, hex(&Sha256::digest(canonical.as_bytes())));
    let seed = format!("{}{SECRET}", scheme.seed);
    let parts = [day, REGION, scheme.service, scheme.end, &to_sign];
    let signed = parts.iter().fold(seed.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    Some((hex(&signed), (*fields.get("Signature")?).to_owned()))
}

/// The query, sorted; AWS keeps the `=` of an empty value, OSS does not.
fn query(query: &str, oss: bool) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<_> =
        pairs.map(|(name, value)| (escape(&unescape(name)), escape(&unescape(value)))).collect();
    pairs.sort();
    let shown = pairs
        .iter()
        .map(|(name, value)| if value.is_empty() && oss { name.clone() } else { format!("{name}={value}") });
    shown.collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

pub fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%');
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<_>>();
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
