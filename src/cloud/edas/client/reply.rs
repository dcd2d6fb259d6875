//! What an answer says: yes with its contents, or no with a code. EDAS says no with HTTP 200 as well.

use std::time::Duration;

use serde_json::{Map, Value};

use super::call::Product;
use super::fault;
use crate::cloud::{Fault, FaultKind};

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    /// How long the provider wants to be left alone.
    pub wait: Option<Duration>,
    pub body: Vec<u8>,
}

/// A call that failed, and what helps.
#[derive(Debug)]
pub(super) struct Failure {
    pub fault: Fault,
    /// How long the provider wants to be left alone.
    pub wait: Option<Duration>,
    /// Whether other credentials may help.
    pub stale: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, wait: None, stale: false }
    }
}

/// The contents of an answer that says yes.
///
/// # Errors
/// An answer that says no, and one that says nothing: cut short, empty, not JSON, of EDAS without a code.
pub(super) fn read(product: Product, action: &str, reply: &Reply) -> Result<Value, Failure> {
    let good = (200..300).contains(&reply.status);
    let body = match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(body)) => body,
        Ok(_) if good => return Err(unreadable(action, "it is no JSON object").into()),
        Err(error) if good => return Err(unreadable(action, &error.to_string()).into()),
        // What stands between, such as a proxy, has its own words.
        _ => Map::new(),
    };
    let code = text(&body, &["Code", "code"]);
    let id = text(&body, &["RequestId", "requestId", "request_id"]);
    let success = ["Success", "success"].iter().find_map(|key| body.get(*key)?.as_bool());
    let yes = match code.as_deref() {
        Some("200") => true,
        Some(word) => product != Product::Edas && (word == "OK" || word.eq_ignore_ascii_case("success")),
        None => product != Product::Edas,
    };
    if good && yes && success != Some(false) {
        return Ok(spelt(Value::Object(body)));
    }
    if good && code.is_none() && product == Product::Edas {
        let fault = unreadable(action, "it does not say whether the call succeeded");
        return Err(Fault { request_id: id, ..fault }.into());
    }
    let code = code.unwrap_or_else(|| format!("HTTP {}", reply.status));
    let message = text(&body, &["Message", "message"]).unwrap_or_else(|| "no reason given".to_owned());
    let message = shortened(&message);
    let said = match denied(&body) {
        Some(action) => format!("{message} (the permission {action})"),
        None => message,
    };
    let fault = Fault { request_id: id, ..fault::coded(action, &code, &said, reply.status) };
    // Whoever is told how long to wait is told to come again, whatever the code is called (the official SDK).
    let kind = if !good && reply.wait.is_some() { FaultKind::Throttled } else { fault.kind };
    let fault = Fault { kind, ..fault };
    Err(Failure { wait: reply.wait, stale: fault::stale(&code), fault })
}

/// Names that were misspelt once, or are not spelt as all others, and the right ones. A server that mends one of them has to
/// send both, for whoever reads the old one.
const SPELLINGS: [(&str, &str); 3] = [
    ("Applcation", "Application"),
    ("changeOrderInfo", "ChangeOrderInfo"),
    ("HeathCheckEnabled", "HealthCheckEnabled"),
];

/// The same with the right names only.
fn spelt(mut said: Value) -> Value {
    match &mut said {
        Value::Object(fields) => {
            for (wrong, right) in SPELLINGS {
                if let Some(value) = fields.remove(wrong) {
                    fields.entry(right).or_insert(value);
                }
            }
            for field in fields.values_mut() {
                *field = spelt(field.take());
            }
        }
        Value::Array(list) => {
            for one in list {
                *one = spelt(one.take());
            }
        }
        _ => {}
    }
    said
}

/// An answer from which nothing can be learned: the call may have been applied.
pub(super) fn unreadable(action: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Unreachable, action, format!("the answer cannot be read: {why}")).ambiguous()
}

/// The permission that was missing, where the answer says it.
fn denied(body: &Map<String, Value>) -> Option<String> {
    body.get("AccessDeniedDetail")?.get("AuthAction")?.as_str().map(str::to_owned)
}

/// A field that is written as a string or as a number.
fn text(body: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| match body.get(*key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The most of a provider's words that is kept: they go into a journal.
const WORDS_MAX: usize = 600;

/// Where a refusal of a signature begins to repeat what was signed, in which the session's token stands.
const REPEATS: [&str; 3] = ["server stringtosign", "server canonicalrequest", "server string to sign"];

fn shortened(words: &str) -> String {
    let lower = words.to_ascii_lowercase();
    let repeats = REPEATS.iter().filter_map(|begin| lower.find(begin)).min();
    let words = repeats.map_or(words, |at| words[..at].trim_end());
    match words.char_indices().nth(WORDS_MAX) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(product: Product, status: u16, body: &str) -> Result<Value, (FaultKind, bool, String)> {
        let reply = Reply { status, wait: None, body: body.into() };
        read(product, "Do", &reply)
            .map_err(|failure| (failure.fault.kind, failure.fault.ambiguous, failure.fault.message))
    }

    #[test]
    fn edas_says_yes_by_a_code_in_the_body_however_it_is_spelled() {
        for body in [r#"{"Code":200}"#, r#"{"Code":"200","Message":"success"}"#, r#"{"code":200,"data":{}}"#]
        {
            assert!(said(Product::Edas, 200, body).is_ok(), "{body}");
        }
        for (body, kind, words) in [
            (r#"{"Code":601,"Message":"instances run"}"#, FaultKind::Unexpected, "601: instances run"),
            (r#"{"Code":"601","Message":"x"}"#, FaultKind::Unexpected, "601: x"),
            (r#"{"code":403,"message":"no"}"#, FaultKind::Denied, "403: no"),
            (r#"{"Code":200,"Success":false,"Message":"not done"}"#, FaultKind::Unexpected, "200: not done"),
        ] {
            assert_eq!(said(Product::Edas, 200, body), Err((kind, false, words.to_owned())), "{body}");
        }
    }

    #[test]
    fn a_name_in_two_spellings_is_one_name_and_the_right_one_counts() {
        for (body, expected) in [
            (r#"{"Code":200,"Applcation":{"AppId":1}}"#, 1),
            (r#"{"Code":200,"Application":{"AppId":2}}"#, 2),
            (r#"{"Code":200,"Applcation":{"AppId":1},"Application":{"AppId":2}}"#, 2),
        ] {
            let said = said(Product::Edas, 200, body).unwrap();
            assert_eq!(said["Application"]["AppId"], expected, "{body}");
            assert_eq!(said.get("Applcation"), None);
        }
        let report = r#"{"Listeners":[{"HeathCheckEnabled":true}]}"#;
        assert_eq!(said(Product::Nlb, 200, report).unwrap()["Listeners"][0]["HealthCheckEnabled"], true);
    }

    #[test]
    fn a_refused_signature_does_not_repeat_what_was_signed() {
        let body = r#"{"Code":"SignatureDoesNotMatch","Message":"Specified signature does not match our calculation. server StringToSign is [ACS3], server CanonicalRequest is [POST\nx-acs-security-token:whisper]"}"#;
        for body in [body.to_owned(), body.replace("server StringToSign is [ACS3], ", "")] {
            let (kind, _, words) = said(Product::Sts, 400, &body).unwrap_err();
            assert_eq!(kind, FaultKind::Denied);
            let expected = "SignatureDoesNotMatch: Specified signature does not match our calculation.";
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn whoever_is_told_when_to_come_again_is_throttled_whatever_the_code_is() {
        let of = |status, wait| {
            let body = br#"{"Code":"Flow.Control","Message":"later"}"#.to_vec();
            let reply = Reply { status, wait, body };
            let fault = read(Product::Clb, "Do", &reply).unwrap_err().fault;
            (fault.kind, fault.ambiguous)
        };
        let wait = Some(Duration::from_millis(40));
        assert_eq!(of(400, None), (FaultKind::Invalid, false));
        assert_eq!(of(400, wait), (FaultKind::Throttled, false));
        assert_eq!(of(503, wait), (FaultKind::Throttled, true), "whether it was done is as open as without");
    }

    #[test]
    fn an_answer_that_says_nothing_is_none() {
        let whole = r#"{"Code":200,"Message":"success","AppInfo":{"GroupList":{"Group":[]}}}"#;
        for n in 0..whole.len() {
            let failed = said(Product::Edas, 200, &whole[..n]).unwrap_err();
            assert_eq!((failed.0, failed.1), (FaultKind::Unreachable, true), "cut at {n}");
        }
        for body in ["[]", "null", "<html/>", "{}", r#"{"Code":null}"#, r#"{"Code":{}}"#] {
            let failed = said(Product::Edas, 200, body).unwrap_err();
            assert_eq!((failed.0, failed.1), (FaultKind::Unreachable, true), "{body}");
        }
        assert!(said(Product::Alb, 200, r#"{"RequestId":"r"}"#).is_ok());
    }

    #[test]
    fn a_refusal_is_read_whatever_stands_between() {
        let ram = r#"{"Code":"NoPermission","Message":"no","RequestId":"r-1","AccessDeniedDetail":{"AuthAction":"alb:ListRules"}}"#;
        let failed = said(Product::Alb, 403, ram).unwrap_err();
        assert_eq!(
            failed,
            (FaultKind::Denied, false, "NoPermission: no (the permission alb:ListRules)".into())
        );
        let proxy = said(Product::Alb, 502, "<html>Bad Gateway</html>").unwrap_err();
        assert_eq!(proxy, (FaultKind::Unreachable, true, "HTTP 502: no reason given".into()));
        assert_eq!(said(Product::Alb, 400, "").unwrap_err().0, FaultKind::Invalid);
    }
}
