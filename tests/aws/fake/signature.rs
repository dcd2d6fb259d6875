//! Whether a request is signed by the one key of the fake, and for which service.

use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use super::service::ApiError;
use super::world::{KEY_ID, REGION, SECRET};

/// The service that a request is signed for.
pub fn service(parts: &Parts) -> Result<String, ApiError> {
    let missing = || ApiError::new("MissingAuthenticationToken", "Missing Authentication Token").status(403);
    let header = header(parts, "authorization").ok_or_else(missing)?;
    let credential = field(&header, "Credential=").ok_or_else(missing)?;
    let scope: Vec<&str> = credential.split('/').collect();
    match scope.as_slice() {
        // IAM is one for all regions, and lives in this one.
        [KEY_ID, _, "us-east-1", "iam", "aws4_request"] => Ok("iam".to_owned()),
        [KEY_ID, _, REGION, service, "aws4_request"] if *service != "iam" => Ok((*service).to_owned()),
        [KEY_ID, ..] => Err(ApiError::new(
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region and service",
        )
        .status(403)),
        _ => Err(ApiError::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
        .status(403)),
    }
}

/// Refuses a signature that the secret does not make.
pub fn check(parts: &Parts, body: &[u8]) -> Result<(), ApiError> {
    let refused = || {
        let text = "The request signature we calculated does not match the signature you provided.";
        ApiError::new("SignatureDoesNotMatch", text).status(403)
    };
    let authorization = header(parts, "authorization").ok_or_else(refused)?;
    let signed = field(&authorization, "SignedHeaders=").ok_or_else(refused)?;
    let given = field(&authorization, "Signature=").ok_or_else(refused)?;
    let scope =
        field(&authorization, "Credential=").and_then(|all| all.split_once('/')).ok_or_else(refused)?.1;
    let time = header(parts, "x-amz-date").ok_or_else(refused)?;
    let mut canonical = format!("{}\n{}\n", parts.method, parts.uri.path());
    let mut query: Vec<&str> =
        parts.uri.query().unwrap_or_default().split('&').filter(|one| !one.is_empty()).collect();
    query.sort_unstable();
    canonical.push_str(&query.join("&"));
    canonical.push('\n');
    for name in signed.split(';') {
        let value = header(parts, name).ok_or_else(refused)?;
        canonical.extend([name, ":", value.trim(), "\n"]);
    }
    canonical.extend(["\n", signed, "\n", &hex(&Sha256::digest(body))]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = hmac(&key, part.as_bytes());
    }
    if hex(&hmac(&key, text.as_bytes())) == given { Ok(()) } else { Err(refused()) }
}

fn header(parts: &Parts, name: &str) -> Option<String> {
    parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(name)?;
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
