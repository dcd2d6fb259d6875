//! One request and its answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use reqwest::{Client, Response, Url};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::super::fault::{chain, coded, not_spoken};
use super::{Tree, answer, sign, tree};
use crate::cloud::clock;
use crate::cloud::{Fault, FaultKind};

/// How often a call is sent that changes nothing by being sent twice.
const ATTEMPTS: u32 = 3;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// An answer is a few hundred instances at most; more than this is not one.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Credentials that expire this soon are asked for again.
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);

/// How the text of an answer becomes what is asked for.
type Read<T> = fn(&str) -> Result<T, String>;

/// What every service is reached with.
#[derive(Debug)]
pub(in crate::cloud::aws) struct Wire {
    /// On a machine without certificates there is none, and each call says so.
    http: Result<Client, String>,
    provider: SharedCredentialsProvider,
    /// The provider does not remember: each asking may be a call to another service.
    credentials: Mutex<Option<Credentials>>,
    region: String,
    /// An endpoint for every service, where one is configured.
    endpoint: Option<String>,
    fips: bool,
}

/// What tells one service from another.
#[derive(Debug)]
pub(in crate::cloud::aws) struct Service {
    /// The first word of its host's name.
    pub host: &'static str,
    /// Its name in a signature.
    pub signed_as: &'static str,
    /// The version of its API.
    pub version: &'static str,
    /// The variable with an endpoint for it alone.
    pub variable: &'static str,
    /// Whether there is one for all regions.
    pub everywhere: bool,
}

/// A client for one service.
#[derive(Debug, Clone)]
pub(in crate::cloud::aws) struct Query {
    wire: Arc<Wire>,
    service: &'static Service,
    endpoint: Url,
    /// The region that it is signed for.
    region: String,
}

/// The fields of one call.
#[derive(Debug, Clone)]
pub(in crate::cloud::aws) struct Form {
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

    /// With a list: `NAME.member.1` and so on.
    pub fn list<'a>(self, name: &str, items: impl IntoIterator<Item = &'a str>) -> Self {
        let items = items.into_iter().enumerate();
        items.fold(self, |form, (n, item)| form.with(format!("{name}.member.{}", n + 1), item))
    }

    /// As it is sent and signed.
    fn encoded(&self, version: &str) -> Option<String> {
        let fixed = [("Action", self.action), ("Version", version)];
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = Url::parse_with_params("http://form/", fixed.into_iter().chain(fields)).ok()?;
        url.query().map(str::to_owned)
    }
}

impl Wire {
    /// With the credentials, region and endpoint of the SDK's configuration.
    ///
    /// # Errors
    /// A configuration without region or credentials.
    pub fn new(config: &SdkConfig, timeout: Duration) -> Result<Arc<Self>, Fault> {
        let lacking =
            |what: &str| Fault::new(FaultKind::Denied, "AWS", format!("the AWS configuration has no {what}"));
        let region = config.region().ok_or_else(|| lacking("region"))?.to_string();
        let provider = config.credentials_provider().ok_or_else(|| lacking("credentials"))?;
        let http = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("deployer/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error));
        let endpoint = config.endpoint_url().map(str::to_owned);
        let fips = config.use_fips() == Some(true);
        Ok(Arc::new(Self { http, provider, credentials: Mutex::default(), region, endpoint, fips }))
    }

    /// A client for one service.
    ///
    /// # Errors
    /// An endpoint that is no address.
    pub fn to(self: &Arc<Self>, service: &'static Service) -> Result<Query, Fault> {
        let own = std::env::var(service.variable).ok().filter(|own| !own.is_empty() && !ignored());
        let configured = own.or_else(|| self.endpoint.clone());
        let (endpoint, region) = place(service, configured.as_deref(), &self.region, self.fips)?;
        Ok(Query { wire: Arc::clone(self), service, endpoint, region })
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

impl Query {
    /// Sends a call that changes nothing by being sent again; again where that may help.
    ///
    /// # Errors
    /// The last attempt's fault.
    pub async fn ask<T: DeserializeOwned>(&self, form: &Form) -> Result<T, Fault> {
        self.repeated(form, answer::read).await
    }

    /// The same, with the answer as it stands: what is in `ACTIONResult`.
    ///
    /// # Errors
    /// As [`Query::ask`]; an answer without it.
    pub async fn ask_tree(&self, form: &Form) -> Result<Tree, Fault> {
        let answer = self.repeated(form, tree::read).await?;
        let result = answer.get(&format!("{}Result", form.action)).cloned();
        result.ok_or_else(|| Fault::new(FaultKind::Unexpected, form.action, "an answer without a result"))
    }

    /// Sends a call of which nothing is told but that it was done.
    ///
    /// # Errors
    /// As [`Query::ask`].
    pub async fn order(&self, form: &Form) -> Result<(), Fault> {
        self.repeated(form, tree::read).await.map(drop)
    }

    async fn repeated<T>(&self, form: &Form, read: Read<T>) -> Result<T, Fault> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(form, read).await {
                Err(fault) if matches!(fault.kind, FaultKind::Throttled | FaultKind::Unreachable) => {
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::Rng::new().f64() / 2.0)).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        self.once(form, read).await
    }

    async fn once<T>(&self, form: &Form, read: Read<T>) -> Result<T, Fault> {
        let action = form.action;
        let invalid = |why: String| Fault::new(FaultKind::Invalid, action, why);
        let http = self.wire.http.as_ref().map_err(|why| {
            invalid(format!("no HTTPS client: {why}; install the system's CA certificates (ca-certificates) or set SSL_CERT_FILE"))
        })?;
        let body =
            form.encoded(self.service.version).ok_or_else(|| invalid("the form cannot be encoded".into()))?;
        let credentials = self.wire.credentials(action).await?;
        let scope = (self.service.signed_as, self.region.as_str());
        let headers = sign::headers(self.endpoint.as_str(), &body, &credentials, scope, now());
        let headers = headers.map_err(|why| invalid(format!("the request cannot be signed: {why}")))?;
        let request = http.post(self.endpoint.clone()).header("content-type", sign::FORM);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.body(body).send().await.map_err(|error| unanswered(action, &error))?;
        heard(action, response, read).await
    }
}

/// Reads an answer, whatever it says.
async fn heard<T>(action: &str, mut response: Response, read: Read<T>) -> Result<T, Fault> {
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
        return read(text).map_err(|why| unreadable(action, &why, header));
    }
    let said = answer::refusal(text);
    if said.is_none()
        && let Some(fault) = not_spoken(action, status, &body)
    {
        return Err(Fault { request_id: header, ..fault });
    }
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

/// Where a service is, and the region that its calls are signed for. What is configured wins.
fn place(
    service: &Service,
    configured: Option<&str>,
    region: &str,
    fips: bool,
) -> Result<(Url, String), Fault> {
    let host = if fips { format!("{}-fips", service.host) } else { service.host.to_owned() };
    let china = region.starts_with("cn-");
    let domain = if china { "amazonaws.com.cn" } else { "amazonaws.com" };
    // A service for all regions of a partition lives in one of them (endpoints of IAM in the AWS General Reference).
    let (usual, region) = match (service.everywhere, china) {
        (false, _) => (format!("https://{host}.{region}.{domain}/"), region),
        (true, true) => (format!("https://{host}.cn-north-1.{domain}/"), "cn-north-1"),
        (true, false) if region.starts_with("us-gov-") => {
            (format!("https://{host}.us-gov.{domain}/"), "us-gov-west-1")
        }
        (true, false) => (format!("https://{host}.{domain}/"), "us-east-1"),
    };
    let text = configured.unwrap_or(&usual);
    let url = Url::parse(text).map_err(|error| {
        let message = format!("the endpoint `{text}` is no address: {error}");
        Fault::new(FaultKind::Invalid, service.host, message)
    })?;
    Ok((url, region.to_owned()))
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
    use super::super::super::ec2::EC2;
    use super::super::super::iam::IAM;
    use super::*;

    #[test]
    fn an_endpoint_that_is_configured_wins_and_each_partition_has_its_own_domain() {
        let at = |configured, region, fips| place(&EC2, configured, region, fips).unwrap().0.to_string();
        assert_eq!(at(None, "ap-east-1", false), "https://ec2.ap-east-1.amazonaws.com/");
        assert_eq!(at(None, "us-east-1", true), "https://ec2-fips.us-east-1.amazonaws.com/");
        assert_eq!(at(None, "cn-north-1", false), "https://ec2.cn-north-1.amazonaws.com.cn/");
        assert_eq!(at(Some("http://127.0.0.1:5000"), "ap-east-1", false), "http://127.0.0.1:5000/");
        assert_eq!(place(&EC2, Some("nonsense"), "ap-east-1", false).unwrap_err().kind, FaultKind::Invalid);
    }

    #[test]
    fn a_service_for_all_regions_is_signed_for_the_one_that_it_lives_in() {
        let at = |region| {
            let (url, region) = place(&IAM, None, region, false).unwrap();
            (url.to_string(), region)
        };
        assert_eq!(at("ap-east-1"), ("https://iam.amazonaws.com/".into(), "us-east-1".into()));
        assert_eq!(
            at("cn-northwest-1"),
            ("https://iam.cn-north-1.amazonaws.com.cn/".into(), "cn-north-1".into())
        );
        assert_eq!(at("us-gov-east-1"), ("https://iam.us-gov.amazonaws.com/".into(), "us-gov-west-1".into()));
    }

    #[test]
    fn a_form_is_encoded_as_it_is_signed() {
        let form = Form::new("DescribeLaunchTemplateVersions")
            .with("LaunchTemplateVersion.1", "$Latest")
            .maybe("NextToken", None)
            .list("Names", ["i-1", "i 2"]);
        let expected = "Action=DescribeLaunchTemplateVersions&Version=2016-11-15&LaunchTemplateVersion.1=%24Latest\
            &Names.member.1=i-1&Names.member.2=i+2";
        assert_eq!(form.encoded("2016-11-15").unwrap(), expected);
    }
}
