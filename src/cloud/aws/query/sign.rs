//! Signature Version 4 for one request.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;

/// What a form is sent as; it is signed too.
pub(super) const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The headers that prove who sends this form, when, and that nobody changed it.
///
/// # Errors
/// What the signer says: an address or a header that cannot be signed.
pub(super) fn headers(
    url: &str,
    form: &str,
    credentials: &Credentials,
    (service, region): (&str, &str),
    now: SystemTime,
) -> Result<Vec<(String, String)>, String> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let head = [("content-type", FORM)];
    let request = SignableRequest::new("POST", url, head.into_iter(), SignableBody::Bytes(form.as_bytes()))
        .map_err(|error| error.to_string())?;
    let signed = sign(request, &params.into()).map_err(|error| error.to_string())?;
    let headers = signed.output().headers();
    Ok(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// 2026-01-02T03:04:05Z; the signatures are botocore 1.43.11's (`SigV4Auth`) for the same request.
    #[test]
    fn a_request_is_signed_as_botocore_signs_it() {
        let form = "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=instance-id&Filter.1.Value.1=i-0123456789abcdef0";
        let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for (token, names, signature) in [
            (
                None,
                "content-type;host;x-amz-date",
                "09c5d2339d8b11bc143e5f0195220e6762c3ec2bf79ab143113e9e69a689d900",
            ),
            (
                Some("session+token/=="),
                "content-type;host;x-amz-date;x-amz-security-token",
                "410e0463a7007baddfc88c550b84211154cccd5e6410dc5ab36956cdbdf228c5",
            ),
        ] {
            let credentials = Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                token.map(str::to_owned),
                None,
                "test",
            );
            let url = "https://ec2.ap-east-1.amazonaws.com/";
            let headers = headers(url, form, &credentials, ("ec2", "ap-east-1"), now).unwrap();
            let find = |wanted: &str| {
                headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
            };
            let scope = "20260102/ap-east-1/ec2/aws4_request";
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(find("authorization"), Some(expected.as_str()));
            assert_eq!(find("x-amz-date"), Some("20260102T030405Z"));
            assert_eq!(find("x-amz-security-token"), token);
        }
    }
}
