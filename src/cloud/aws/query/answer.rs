//! What comes back.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An answer as a type that says what has to be in it.
///
/// # Errors
/// What is wrong with it.
pub(in crate::cloud::aws) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

/// An answer that says no.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

/// Reads an error document; `None` where it is none.
pub(super) fn refusal(text: &str) -> Option<Refusal> {
    let document: ErrorDocument = read(text).ok()?;
    let among = document.errors.and_then(|errors| errors.error.into_iter().next());
    let error = document.error.or(among)?;
    let message = error.message.unwrap_or_else(|| "no reason given".to_owned());
    Some(Refusal { code: error.code, message, request_id: document.request_id })
}

/// EC2 has a list of errors where every other service has one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDocument {
    errors: Option<Errors>,
    error: Option<ErrorItem>,
    #[serde(rename = "RequestID", alias = "RequestId")]
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Errors {
    #[serde(default)]
    error: Vec<ErrorItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorItem {
    code: String,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_error_document_tell_their_code_and_anything_else_is_none() {
        let said = |code: &str| Refusal {
            code: code.into(),
            message: "You are not authorized.".into(),
            request_id: Some("abc".into()),
        };
        let of_ec2 = r"<?xml version='1.0'?><Response><Errors><Error><Code>UnauthorizedOperation</Code>
            <Message>You are not authorized.</Message></Error></Errors><RequestID>abc</RequestID></Response>";
        let usual = r"<ErrorResponse xmlns='http://monitoring.amazonaws.com/doc/2010-08-01/'><Error><Type>Sender</Type>
            <Code>AccessDenied</Code><Message>You are not authorized.</Message></Error><RequestId>abc</RequestId></ErrorResponse>";
        assert_eq!(refusal(of_ec2), Some(said("UnauthorizedOperation")));
        assert_eq!(refusal(usual), Some(said("AccessDenied")));
        for text in ["", "Service Unavailable", "<html/>", "<Response><Errors/></Response>", &of_ec2[..100]] {
            assert_eq!(refusal(text), None, "{text:?}");
        }
    }
}
