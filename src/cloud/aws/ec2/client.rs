//! One request to EC2 and its answer.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::super::fault::{chain, coded};
use super::{sign, wire};
use crate::cloud::clock;
use crate::cloud::{Fault, FaultKind};

/// The version of the API (botocore's model of EC2).
const VERSION: &str = "2016-11-15";
/// How often a call is sent that changes nothing by being sent twice.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// An answer is a few hundred instances at most; more than this is not one.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Credentials that expire this soon are asked for again.
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);

/// A client for EC2.
#[derive(Debug)]
pub(in crate::cloud::aws) struct Ec2 {
    /// On a machine without certificates there is none, and each call says so.
    http: Result<Client, String>,
    endpoint: Url,
    region: String,
    provider: SharedCredentialsProvider,
    /// The provider does not remember: each asking may be a call to another service.
    credentials: Mutex<Option<Credentials>>,
}

/// The fields of one call.
#[derive(Debug, Clone)]
pub(super) struct Form {
    action: &'static str,
    fields: Vec<(String, String)>,
}

impl Form {
    /// A call without fields.
    pub fn new(action: &'static str) -> Self {
        Self { action, fields: Vec::new() }
    }

    /// With one more field.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With one more field, where there is a value.
    pub fn maybe(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Only things that have one of these values: those which do not exist are left out of the answer, where naming
    /// them as ids fails the whole call.
    pub fn among(self, filter: &str, values: &[String]) -> Self {
        let named = self.with("Filter.1.Name", filter);
        let values = values.iter().enumerate();
        values.fold(named, |form, (n, value)| form.with(format!("Filter.1.Value.{}", n + 1), value))
    }

    /// As it is sent and signed.
    fn encoded(&self) -> Option<String> {
        let fixed = [("Action", self.action), ("Version", VERSION)];
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = Url::parse_with_params("http://form/", fixed.into_iter().chain(fields)).ok()?;
        url.query().map(str::to_owned)
    }
}

impl Ec2 {
    /// A client with the credentials, region and endpoint of the SDK's configuration.
    ///
    /// # Errors
    /// A configuration without region or credentials; an endpoint that is no address.
    pub fn new(config: &SdkConfig, timeout: Duration) -> Result<Self, Fault> {
        let lacking =
            |what: &str| Fault::new(FaultKind::Denied, "EC2", format!("the AWS configuration has no {what}"));
        let region = config.region().ok_or_else(|| lacking("region"))?.to_string();
        let provider = config.credentials_provider().ok_or_else(|| lacking("credentials"))?;
        let own = std::env::var("AWS_ENDPOINT_URL_EC2").ok().filter(|own| !own.is_empty() && !ignored());
        let endpoint =
            endpoint(own.as_deref().or(config.endpoint_url()), &region, config.use_fips() == Some(true))?;
        let http = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("deployer/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error));
        Ok(Self { http, endpoint, region, provider, credentials: Mutex::default() })
    }

    /// Sends a call that changes nothing by being sent again; again where that may help.
    ///
    /// # Errors
    /// The last attempt's fault.
    pub(super) async fn ask<T: DeserializeOwned>(&self, form: &Form) -> Result<T, Fault> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(form).await {
                Err(fault) if matches!(fault.kind, FaultKind::Throttled | FaultKind::Unreachable) => {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::Rng::new().f64() / 2.0)).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        self.once(form).await
    }

    async fn once<T: DeserializeOwned>(&self, form: &Form) -> Result<T, Fault> {
        let action = form.action;
        let invalid = |why: String| Fault::new(FaultKind::Invalid, action, why);
        let http = self.http.as_ref().map_err(|why| {
            invalid(format!("no HTTPS client: {why}; install the system's CA certificates (ca-certificates) or set SSL_CERT_FILE"))
        })?;
        let body = form.encoded().ok_or_else(|| invalid("the form cannot be encoded".into()))?;
        let credentials = self.credentials(action).await?;
        let headers = sign::headers(self.endpoint.as_str(), &body, &credentials, &self.region, now());
        let headers = headers.map_err(|why| invalid(format!("the request cannot be signed: {why}")))?;
        let request = http.post(self.endpoint.clone()).header("content-type", sign::FORM);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.body(body).send().await.map_err(|error| unanswered(action, &error))?;
        read(action, response).await
    }

    /// Who we are, asked for again shortly before it expires.
    async fn credentials(&self, action: &str) -> Result<Credentials, Fault> {
        let mut kept = self.credentials.lock().await;
        if let Some(credentials) = kept.as_ref()
            && credentials.expiry().is_none_or(|expiry| expiry > now() + EXPIRY_MARGIN)
        {
            return Ok(credentials.clone());
        }
        let fresh = self.provider.provide_credentials().await;
        let fresh = fresh.map_err(|error| Fault::new(FaultKind::Denied, action, chain(&error)))?;
        Ok(kept.insert(fresh).clone())
    }
}

/// Reads an answer, whatever it says.
async fn read<T: DeserializeOwned>(action: &str, mut response: Response) -> Result<T, Fault> {
    let status = response.status().as_u16();
    let header =
        response.headers().get("x-amzn-requestid").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(action, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(unreadable(action, "the answer does not end", header));
        }
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return Err(unreadable(action, "the answer is not text", header));
    };
    if (200..300).contains(&status) {
        return wire::read(text).map_err(|why| unreadable(action, &why, header));
    }
    let said = wire::refusal(text);
    let (code, message) = match &said {
        Some(said) => (said.code.as_str(), said.message.as_str()),
        None => ("an error without a code", "no reason given"),
    };
    let request_id = header.or(said.as_ref().and_then(|said| said.request_id.clone()));
    Err(Fault { request_id, ..coded(action, code, &format!("{message} (HTTP {status})"), status) })
}

fn unreadable(action: &str, why: &str, request_id: Option<String>) -> Fault {
    let message = format!("the answer cannot be read: {why}");
    Fault { request_id, ..Fault::new(FaultKind::Unreachable, action, message).ambiguous() }
}

/// No answer. What could not even connect was never sent.
fn unanswered(action: &str, error: &reqwest::Error) -> Fault {
    let fault = Fault::new(FaultKind::Unreachable, action, chain(error));
    if error.is_connect() || error.is_builder() { fault } else { fault.ambiguous() }
}

/// Where EC2 is. What is configured wins.
fn endpoint(configured: Option<&str>, region: &str, fips: bool) -> Result<Url, Fault> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let product = if fips { "ec2-fips" } else { "ec2" };
    let usual = format!("https://{product}.{region}.{domain}/");
    let text = configured.unwrap_or(&usual);
    Url::parse(text).map_err(|error| {
        let message = format!("the endpoint `{text}` is no address: {error}");
        Fault::new(FaultKind::Invalid, "EC2", message)
    })
}

/// Whether endpoints that are configured outside of the deployment are to be passed over.
fn ignored() -> bool {
    std::env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_ok_and(|flag| flag.eq_ignore_ascii_case("true"))
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_configured_wins_and_china_has_its_own_domain() {
        let at = |configured, region, fips| endpoint(configured, region, fips).unwrap().to_string();
        assert_eq!(at(None, "ap-east-1", false), "https://ec2.ap-east-1.amazonaws.com/");
        assert_eq!(at(None, "us-east-1", true), "https://ec2-fips.us-east-1.amazonaws.com/");
        assert_eq!(at(None, "cn-north-1", false), "https://ec2.cn-north-1.amazonaws.com.cn/");
        assert_eq!(at(Some("http://127.0.0.1:5000"), "ap-east-1", false), "http://127.0.0.1:5000/");
        assert_eq!(endpoint(Some("nonsense"), "ap-east-1", false).unwrap_err().kind, FaultKind::Invalid);
    }

    #[test]
    fn a_form_is_encoded_as_it_is_signed() {
        let form = Form::new("DescribeLaunchTemplateVersions")
            .with("LaunchTemplateVersion.1", "$Latest")
            .maybe("NextToken", None)
            .among("instance-id", &["i-1".into(), "i 2".into()]);
        let expected = "Action=DescribeLaunchTemplateVersions&Version=2016-11-15&LaunchTemplateVersion.1=%24Latest\
            &Filter.1.Name=instance-id&Filter.1.Value.1=i-1&Filter.1.Value.2=i+2";
        assert_eq!(form.encoded().unwrap(), expected);
    }
}
