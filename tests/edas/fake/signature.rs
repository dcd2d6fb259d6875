//! Whether a request is signed, with ACS3-HMAC-SHA256, by the one key of the fake or by credentials that it gave out.

use std::collections::BTreeSet;

use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use super::input::pairs;
use super::service::ApiError;
use super::world::{KEY_ID, SECRET, Session};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// What a signature must cover.
const COVERED: [&str; 6] =
    ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"];
/// How old a request may be.
const AGE_SECS_MAX: i64 = 15 * 60;

/// Refuses a signature that no known secret makes, a date long past, and a nonce that was used.
pub fn check(
    parts: &Parts,
    body: &[u8],
    sessions: &[Session],
    nonces: &mut BTreeSet<String>,
) -> Result<(), ApiError> {
    let authorization = header(parts, "authorization").unwrap_or_default();
    let credential = field(&authorization, "Credential=");
    let (Some(credential), Some(signed), Some(given)) =
        (credential, field(&authorization, "SignedHeaders="), field(&authorization, "Signature="))
    else {
        return Err(ApiError::new("IncompleteSignature", "The request signature does not conform to ACS3."));
    };
    let secret = secret(credential, header(parts, "x-acs-security-token").as_deref(), sessions)?;
    let signed: Vec<&str> = signed.split(';').collect();
    if !signed.is_sorted() || COVERED.iter().any(|name| !signed.contains(name)) {
        return Err(mismatch("a header that must be signed is not"));
    }
    let open = |name: &str| name.starts_with("x-acs-") && !signed.contains(&name);
    if parts.headers.keys().any(|name| open(name.as_str())) {
        return Err(mismatch("an x-acs- header is not signed"));
    }
    if header(parts, "x-acs-content-sha256").as_deref() != Some(&hash(body)) {
        return Err(mismatch("the hash of the body is another"));
    }
    let made = sign(parts, &signed, secret).ok_or_else(|| mismatch("a signed header is missing"))?;
    if made != given {
        return Err(mismatch("the signature is another"));
    }
    let date = header(parts, "x-acs-date").and_then(|date| date.parse::<jiff::Timestamp>().ok());
    let age = date.map(|date| jiff::Timestamp::now().duration_since(date).as_secs());
    if age.is_none_or(|age| age.abs() > AGE_SECS_MAX) {
        return Err(ApiError::new(
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ));
    }
    if !nonces.insert(header(parts, "x-acs-signature-nonce").unwrap_or_default()) {
        return Err(ApiError::new("SignatureNonceUsed", "Specified signature nonce was used already."));
    }
    Ok(())
}

fn secret<'a>(key: &str, token: Option<&str>, sessions: &'a [Session]) -> Result<&'a str, ApiError> {
    if key == KEY_ID && token.is_none() {
        return Ok(SECRET);
    }
    match (sessions.iter().find(|session| session.key == key), token) {
        (Some(session), Some(token)) if session.token == token => Ok(&session.secret),
        (Some(_), _) => {
            Err(ApiError::new("InvalidSecurityToken.Malformed", "The security token is not valid.")
                .status(403))
        }
        (None, _) => {
            Err(ApiError::new("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
                .status(404))
        }
    }
}

fn mismatch(why: &str) -> ApiError {
    let text = format!("Specified signature does not match our calculation: {why}.");
    ApiError::new("SignatureDoesNotMatch", text)
}

/// The signature over these headers.
pub fn sign(parts: &Parts, signed: &[&str], secret: &str) -> Option<String> {
    let segments = parts.uri.path().split('/');
    let path: Vec<String> =
        segments.map(|segment| pairs(segment.replace('+', "%2B").as_bytes())).map(|of| named(&of)).collect();
    let mut query = pairs(parts.uri.query().unwrap_or_default().as_bytes());
    query.sort();
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let mut canonical = format!("{}\n{}\n{}\n", parts.method, path.join("/"), query.join("&"));
    for name in signed {
        canonical.extend([*name, ":", header(parts, name)?.trim(), "\n"]);
    }
    canonical.extend(["\n", &signed.join(";"), "\n", &header(parts, "x-acs-content-sha256")?]);
    let text = format!("{ALGORITHM}\n{}", hex(&Sha256::digest(canonical)));
    Some(hex(&hmac(secret.as_bytes(), text.as_bytes())))
}

/// A segment of a path, which was read like a query without values.
fn named(segment: &[(String, String)]) -> String {
    segment.first().map(|(name, _)| encoded(name)).unwrap_or_default()
}

/// A text as it stands in a query.
pub fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// How the hash of a body is written.
pub fn hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn header(parts: &Parts, name: &str) -> Option<String> {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.strip_prefix(ALGORITHM)?.split_once(name)?;
    Some(rest.split(',').next().unwrap_or(rest).trim())
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut padded = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    padded.resize(64, 0);
    let with = |pad: u8| padded.iter().map(|byte| byte ^ pad).collect::<Vec<u8>>();
    let inner = Sha256::digest([with(0x36), text.to_vec()].concat());
    Sha256::digest([with(0x5c), inner.to_vec()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
