//! What reaches a bucket: endpoint, region, credentials and one HTTP client, made at the first call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use opendal::services::{Oss, S3};
use opendal::{HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_aliyun_oss::{
    DefaultCredentialProvider, OssProfileCredentialProvider, RequestSigner, SigningVersion,
    StaticCredentialProvider,
};
use reqsign_aws_v4::StaticCredentialProvider as FixedKeys;
use reqsign_core::{Context, OsEnv, ProvideCredentialChain, Signer};
use reqsign_file_read_tokio::TokioFileRead;

use super::address::{Bucket, Provider};
use super::ask::{Asker, Hand};
use super::credentials::AwsChain;
use super::sign::{Seen, Transport};
use crate::cloud::{RamFile, RamOidc, RamProfile};

/// How long a connection may take to come up.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// How a bucket is reached, where its cloud's own settings do not say it.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The endpoint, such as `http://127.0.0.1:9000`; the region's own otherwise.
    pub endpoint: Option<String>,
    /// The region; the cloud's own settings, or the endpoint, say it otherwise.
    pub region: Option<String>,
    /// Fixed keys; the cloud's own chain of credentials otherwise.
    pub keys: Option<Keys>,
    /// Names this process and no other: `Actor::nonce`.
    pub nonce: String,
}

impl Reach {
    /// What the environment says of a bucket's endpoint and region, beyond what its cloud's own chain reads.
    #[must_use]
    pub fn from_env(bucket: &Bucket, nonce: &str, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let first =
            |names: &[&str]| names.iter().find_map(|name| env(name).filter(|value| !value.is_empty()));
        let (endpoint, region) = match bucket.provider {
            Provider::S3 => (first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]), None),
            Provider::Oss => (
                first(&["DEPLOYER_ENDPOINT_OSS"]),
                first(&["OSS_REGION", "ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_REGION"]),
            ),
        };
        Self { endpoint, region, keys: None, nonce: nonce.to_owned() }
    }
}

/// A fixed access key. Its secret is in no output.
#[derive(Clone)]
pub struct Keys {
    /// The key's name.
    pub id: String,
    /// The key.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// A bucket at hand.
pub(super) struct Client {
    pub operator: Operator,
    pub seen: Arc<Seen>,
    /// Asks about the bucket itself.
    pub asker: Asker,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("operator", &self.operator).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes everything that a call needs, and no call. An error says what is missing, and what helps.
    pub async fn new(bucket: &Bucket, reach: &Reach) -> Result<Self, String> {
        // First: where it fails, the AWS chain's own clients would do worse than fail.
        let http = http_client()?;
        let seen = Arc::new(Seen::default());
        let client = ReqwestTransport::new(http);
        let (operator, signer, asker) = match bucket.provider {
            Provider::S3 => {
                let road = S3Road::new(bucket, reach).await?;
                (road.operator(bucket)?, None, road.asker(bucket, client.clone()))
            }
            Provider::Oss => {
                let region = oss_region(reach)?;
                let sign = || oss_signer(bucket, reach, &region, client.clone());
                let road = OssRoad::new(reach, &region);
                let (hand, address) = (Hand::Oss(sign()), road.address(bucket));
                let asker = Asker { address, client: client.clone(), hand };
                (road.operator(bucket)?, Some(sign()), asker)
            }
        };
        let transport = HttpTransporter::new(Transport { client, signer, seen: Arc::clone(&seen) });
        let context = operator.context().with_http_transport(transport);
        Ok(Self { operator: operator.with_context(context), seen, asker })
    }
}

fn http_client() -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        // A signature is for one place: what is moved has to be named anew.
        .redirect(reqwest::redirect::Policy::none());
    builder.build().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!(
            "no HTTPS client ({error}{cause}); install the system's `ca-certificates`, or set SSL_CERT_FILE"
        )
    })
}

/// How a bucket of S3 is reached.
struct S3Road {
    region: String,
    endpoint: String,
    /// Whether the bucket is named by host; by path otherwise.
    by_host: bool,
    keys: S3Keys,
}

enum S3Keys {
    Fixed(Keys),
    Chain(SharedCredentialsProvider),
}

impl S3Road {
    async fn new(bucket: &Bucket, reach: &Reach) -> Result<Self, String> {
        let (mut region, mut endpoint) = (reach.region.clone(), reach.endpoint.clone());
        let keys = if let Some(keys) = &reach.keys {
            S3Keys::Fixed(keys.clone())
        } else {
            let chain = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load().await;
            region = region.or_else(|| chain.region().map(ToString::to_string));
            endpoint = endpoint.or_else(|| chain.endpoint_url().map(str::to_owned));
            S3Keys::Chain(chain.credentials_provider().ok_or("there is no chain of AWS credentials")?)
        };
        let given = endpoint.is_some();
        let region = match region {
            Some(region) => region,
            None if given => "us-east-1".to_owned(),
            None => return Err("no region is known; set AWS_REGION to the bucket's".to_owned()),
        };
        let endpoint = endpoint.unwrap_or_else(|| s3_endpoint(&region));
        // A certificate for `*.s3…` does not cover a name with dots, and few other servers know buckets by host.
        Ok(Self { by_host: !given && !bucket.name.contains('.'), region, endpoint, keys })
    }

    fn chain(&self) -> ProvideCredentialChain<reqsign_aws_v4::Credential> {
        match &self.keys {
            S3Keys::Fixed(keys) => ProvideCredentialChain::new().push(FixedKeys::new(&keys.id, &keys.secret)),
            S3Keys::Chain(provider) => ProvideCredentialChain::new().push(AwsChain(provider.clone())),
        }
    }

    fn operator(&self, bucket: &Bucket) -> Result<Operator, String> {
        let builder = S3::default().bucket(&bucket.name).root(&root(bucket)).disable_config_load();
        let mut builder = builder.region(&self.region).endpoint(&self.endpoint);
        builder = builder.credential_provider_chain(self.chain());
        if self.by_host {
            builder = builder.enable_virtual_host_style();
        }
        Operator::new(builder).map_err(|error| error.message().to_owned())
    }

    fn asker(&self, bucket: &Bucket, client: ReqwestTransport) -> Asker {
        let request = reqsign_aws_v4::RequestSigner::new("s3", &self.region);
        let hand = Hand::S3(Signer::new(Context::new(), self.chain(), request));
        Asker { address: address(&self.endpoint, &bucket.name, self.by_host), client, hand }
    }
}

/// A bucket's own address below an endpoint.
fn address(endpoint: &str, bucket: &str, by_host: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    if by_host { format!("{scheme}://{bucket}.{host}/") } else { format!("{scheme}://{host}/{bucket}/") }
}

fn s3_endpoint(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{china}")
}

/// How a bucket of OSS is reached.
struct OssRoad {
    endpoint: String,
}

impl OssRoad {
    fn new(reach: &Reach, region: &str) -> Self {
        let own = || format!("https://oss-{region}.aliyuncs.com");
        Self { endpoint: reach.endpoint.clone().unwrap_or_else(own) }
    }

    /// OSS itself knows buckets by host only; what stands in for it knows them by path.
    fn by_host(&self) -> bool {
        self.endpoint.contains("aliyuncs.com")
    }

    fn operator(&self, bucket: &Bucket) -> Result<Operator, String> {
        let style = if self.by_host() { "virtual" } else { "path" };
        let builder = Oss::default().bucket(&bucket.name).root(&root(bucket)).endpoint(&self.endpoint);
        Operator::new(builder.addressing_style(style).skip_signature())
            .map_err(|error| error.message().to_owned())
    }

    fn address(&self, bucket: &Bucket) -> String {
        address(&self.endpoint, &bucket.name, self.by_host())
    }
}

/// The region that OSS's signature names.
fn oss_region(reach: &Reach) -> Result<String, String> {
    let named = reach.endpoint.as_deref().and_then(|endpoint| {
        let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
        let region = host.split('.').next()?.strip_prefix("oss-")?;
        Some(region.strip_suffix("-internal").unwrap_or(region).to_owned())
    });
    let known = reach.region.clone().or(named);
    known.ok_or_else(|| "no region is known; set OSS_REGION to the bucket's, such as cn-hongkong".to_owned())
}

fn oss_signer(
    bucket: &Bucket,
    reach: &Reach,
    region: &str,
    client: ReqwestTransport,
) -> Signer<reqsign_aliyun_oss::Credential> {
    let context = Context::new()
        .with_file_read(TokioFileRead)
        .with_env(OsEnv)
        .with_http_send(HttpTransporter::new(client));
    let request =
        RequestSigner::new(&bucket.name).with_region(region).with_signing_version(SigningVersion::V4);
    match &reach.keys {
        Some(keys) => Signer::new(context, StaticCredentialProvider::new(&keys.id, &keys.secret), request),
        None => Signer::new(context, oss_chain(region), request),
    }
}

/// The chain of OSS, and before it, where the environment has no key, the role that a job takes for itself, the CLI's
/// profile and the credentials file: of both that chain knows only those with keys.
fn oss_chain(region: &str) -> ProvideCredentialChain<reqsign_aliyun_oss::Credential> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let chain = ProvideCredentialChain::new();
    let keys = ["ALIBABA_CLOUD_ACCESS_KEY_ID", "OSS_ACCESS_KEY_ID"];
    let ram = || Ok((RamOidc::of(region, &set)?, RamProfile::of(region, &set)?, RamFile::of(region, &set)?));
    let chain = match ram() {
        _ if keys.iter().any(|name| set(name).is_some()) => chain,
        Ok((oidc, profile, file)) => {
            let chain = chain.push(oidc).push(OssProfileCredentialProvider::new());
            let off = set("ALIBABA_CLOUD_CLI_PROFILE_DISABLED").as_deref() == Some("true");
            let chain = if off { chain } else { chain.push(profile) };
            chain.push(file)
        }
        Err(why) => {
            let why: String = why;
            tracing::warn!("no role is taken for the journal: {why}");
            chain
        }
    };
    chain.push(DefaultCredentialProvider::new())
}

fn root(bucket: &Bucket) -> String {
    format!("/{}", bucket.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(endpoint: Option<&str>, region: Option<&str>) -> Reach {
        Reach { endpoint: endpoint.map(Into::into), region: region.map(Into::into), ..Reach::default() }
    }

    #[test]
    fn an_oss_endpoint_says_its_region_and_what_is_set_counts_more() {
        let said = |endpoint, region| oss_region(&reach(endpoint, region)).ok();
        assert_eq!(
            said(Some("https://oss-cn-hongkong-internal.aliyuncs.com"), None).as_deref(),
            Some("cn-hongkong")
        );
        assert_eq!(said(Some("oss-cn-shanghai.aliyuncs.com"), None).as_deref(), Some("cn-shanghai"));
        assert_eq!(said(Some("http://127.0.0.1:1"), Some("cn-hongkong")).as_deref(), Some("cn-hongkong"));
        assert_eq!(said(Some("http://127.0.0.1:1"), None), None);
    }

    #[test]
    fn a_region_of_china_has_its_own_domain() {
        assert_eq!(s3_endpoint("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(s3_endpoint("ap-east-1"), "https://s3.ap-east-1.amazonaws.com");
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let keys = Keys { id: "AKIA1".into(), secret: "hush".into() };
        let shown = format!("{:?}", Reach { keys: Some(keys), ..Reach::default() });
        assert!(!shown.contains("hush") && !shown.contains("AKIA1"), "{shown}");
    }
}
