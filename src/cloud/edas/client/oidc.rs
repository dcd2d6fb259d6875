//! A role for an identity that somebody else vouches for: GitHub's runner, or a file with a token.
//!
//! The exchange is a form, so that no token stands in an address, and is not signed: there is no key yet.

use hyper::body::Bytes;
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, Error, ProvideCredential, Result};
use reqwest::Url;
use serde::Deserialize;

use super::call::Product;
use super::endpoint::Endpoints;
use super::reply::{self, Reply};
use super::sign;
use crate::cloud::clock;

/// What the official GitHub action asks for, and what the provider in RAM has to list.
const AUDIENCE: &str = "sts.aliyuncs.com";
const ACTION: &str = "AssumeRoleWithOIDC";

/// Who takes which role, by whose word.
pub(super) struct Who<'a> {
    pub role: &'a str,
    pub provider: &'a str,
    pub session: &'a str,
    pub token: &'a str,
    /// For how long, and what at most, where that is said.
    pub secs: Option<u64>,
    pub policy: Option<&'a str>,
}

/// Takes a role by `AssumeRoleWithOIDC`, where the environment names one.
#[derive(Debug)]
pub struct Oidc {
    pub(super) sts: Url,
}

impl Oidc {
    /// By the STS of a region, or where the environment says that it is.
    ///
    /// # Errors
    /// An address that is none, in words.
    pub fn of(region: &str, env: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Self, String> {
        let endpoints = Endpoints::of(region, env).map_err(|fault| fault.message)?;
        let sts = endpoints.url(Product::Sts).map_err(|fault| fault.message)?.clone();
        Ok(Self { sts })
    }
}

#[derive(Deserialize)]
struct Vouched {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Given {
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

impl ProvideCredential for Oidc {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let set = |name: &str| context.env_var(name);
        let (Some(role), Some(provider)) =
            (set("ALIBABA_CLOUD_ROLE_ARN"), set("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"))
        else {
            return Ok(None);
        };
        let token = match set("ALIBABA_CLOUD_OIDC_TOKEN_FILE") {
            Some(path) => context
                .file_read_as_string(&path)
                .await
                .map_err(|_| Error::config_invalid(format!("the OIDC token file `{path}` cannot be read")))?,
            None => github(context).await?,
        };
        let session = set("ALIBABA_CLOUD_ROLE_SESSION_NAME").unwrap_or_else(|| "deployer".to_owned());
        let (role, provider, session, token) = (&role, &provider, &session, token.trim());
        self.assume(context, &Who { role, provider, session, token, secs: None, policy: None })
            .await
            .map(Some)
    }
}

impl Oidc {
    pub(super) async fn assume(&self, context: &Context, who: &Who<'_>) -> Result<Credential> {
        let now = sign::date(clock::now());
        let secs = who.secs.map(|secs| secs.to_string());
        let mut fields = vec![
            ("Action", ACTION),
            ("Version", Product::Sts.version()),
            ("Format", "JSON"),
            ("Timestamp", &now),
            ("RoleArn", who.role),
            ("OIDCProviderArn", who.provider),
            ("RoleSessionName", who.session),
            ("OIDCToken", who.token),
        ];
        fields.extend(secs.as_deref().map(|secs| ("DurationSeconds", secs)));
        fields.extend(who.policy.map(|policy| ("Policy", policy)));
        let form = Url::parse_with_params("http://form/", fields).ok();
        let form = form.as_ref().and_then(Url::query).unwrap_or_default().to_owned();
        let request = hyper::Request::post(self.sts.as_str())
            .header("content-type", sign::FORM)
            .header("accept", "application/json")
            .body(Bytes::from(form))?;
        taken(ACTION, context.http_send(request).await?)
    }
}

/// The keys of a role, in the answer of whoever was asked for it.
pub(super) fn taken(action: &'static str, answer: hyper::Response<Bytes>) -> Result<Credential> {
    let reply = Reply { status: answer.status().as_u16(), wait: None, body: answer.into_body().to_vec() };
    let said = reply::read(Product::Sts, action, &reply).map_err(|failure| {
        let again = failure.fault.kind.retryable();
        Error::permission_denied(failure.fault.to_string()).set_retryable(again)
    })?;
    let assumed = serde_json::from_value::<Assumed>(said);
    // Its own words could show what the answer holds.
    let assumed =
        assumed.map_err(|_| Error::unexpected(format!("{action}: the answer holds no credentials")))?;
    lent(action, assumed.credentials)
}

/// Keys for a while, as they are written.
pub(super) fn lent(action: &str, given: Given) -> Result<Credential> {
    let expires = given.expiration.parse().map_err(|_| {
        Error::credential_invalid(format!("{action}: `{}` is no time of expiry", given.expiration))
    })?;
    Ok(Credential {
        access_key_id: given.access_key_id,
        access_key_secret: given.access_key_secret,
        security_token: Some(given.security_token),
        expires_in: Some(expires),
    })
}

/// The token with which GitHub vouches for this job.
async fn github(context: &Context) -> Result<String> {
    let set = |name: &str| context.env_var(name);
    let (Some(url), Some(bearer)) =
        (set("ACTIONS_ID_TOKEN_REQUEST_URL"), set("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
    else {
        return Err(Error::config_invalid(
            "a role and an OIDC provider are set, and no token: give the job `permissions: { id-token: write }`, or set ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        ));
    };
    let mut url =
        Url::parse(&url).map_err(|_| Error::config_invalid("ACTIONS_ID_TOKEN_REQUEST_URL is no address"))?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let request = hyper::Request::get(url.as_str())
        .header("authorization", format!("bearer {bearer}"))
        .header("accept", "application/json")
        .body(Bytes::new())?;
    let answer = context.http_send(request).await?;
    let status = answer.status();
    let vouched = serde_json::from_slice::<Vouched>(answer.body()).ok().filter(|_| status.is_success());
    vouched.map(|vouched| vouched.value).ok_or_else(|| {
        let again = status.is_server_error() || status.as_u16() == 429;
        Error::permission_denied(format!("GitHub gave no OIDC token (HTTP {})", status.as_u16()))
            .set_retryable(again)
    })
}
