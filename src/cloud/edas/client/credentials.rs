//! Who we are: the official chain of credentials in its order, asked for again before they expire.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use reqsign_aliyun_oss::{
    Credential, CredentialsUriCredentialProvider, EcsRamRoleCredentialProvider, EnvCredentialProvider,
};
use reqsign_core::{Context, Env as _, Error, HttpSend, OsEnv, ProvideCredentialDyn, StaticEnv};
use reqsign_file_read_tokio::TokioFileRead;
use reqwest::Url;
use tokio::sync::Mutex;

use super::fault;
use super::keys_file::KeysFile;
use super::oidc::Oidc;
use super::profile::Profile;
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{Span, Time};

/// Credentials that expire this soon are asked for again.
const MARGIN: Span = Span::mins(15);
/// After an asking that failed, those which are still good are used at least so long before the next.
const PATIENCE: Span = Span::secs(30);
/// How long a service on this host's own network may take.
const NEAR_MAX: Duration = Duration::from_secs(1);
/// How long any other may take.
const FAR_MAX: Duration = Duration::from_secs(5);
/// The metadata service of ECS.
const METADATA: &str = "100.100.100.200";

/// A key. Nothing of it is in any output.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Keys {
    pub fn new(id: &str, secret: &str, token: Option<&str>) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned(), token: token.map(str::to_owned) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// How long keys are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cloud::edas) enum Session {
    /// Until somebody takes them back.
    Lasting,
    /// Until they expire, and before that there are new ones.
    Renewed,
    /// Until nobody knows when: somebody else got them for a while, and here they cannot be renewed.
    Borrowed,
}

type Provider = Box<dyn ProvideCredentialDyn<Credential = Credential>>;

/// Where keys come from.
enum Source {
    Fixed(Keys),
    Chain { providers: Vec<(&'static str, Provider)>, context: Context },
}

/// Keys that are good now.
pub(super) struct Credentials {
    source: Source,
    clock: Box<dyn Fn() -> Time + Send + Sync>,
    held: Mutex<Held>,
}

/// What was given, and by whom.
#[derive(Default)]
struct Held {
    /// The provider that answered first. From then on it alone is asked: another one may speak for somebody else, of another
    /// account, and whose account it is was looked at once.
    by: Option<usize>,
    kept: Option<Kept>,
}

struct Kept {
    keys: Keys,
    expires: Option<Time>,
    /// When to ask again.
    due: Option<Time>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What of this process's environment counts here. The rest, such as OSS's own keys, is for others.
pub(super) fn environment() -> StaticEnv {
    let ours = ["ALIBABA_CLOUD_", "ACTIONS_ID_TOKEN_REQUEST_", "DEPLOYER_ENDPOINT_"];
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| !value.is_empty() && ours.iter().any(|prefix| name.starts_with(prefix)));
    StaticEnv { home_dir: OsEnv.home_dir(), envs: vars.collect() }
}

impl Credentials {
    /// Always these.
    pub fn fixed(keys: Keys) -> Self {
        Self::of(Source::Fixed(keys), Box::new(clock::now))
    }

    /// The official chain (`alibabacloud-credentials` 1.0.12): environment, OIDC, the CLI's configuration, the credentials
    /// file, an instance's role, an address.
    pub fn chain(env: StaticEnv, http: reqwest::Client, sts: Url) -> Self {
        Self::clocked(env, http, sts, Box::new(clock::now))
    }

    pub(super) fn clocked(
        env: StaticEnv,
        http: reqwest::Client,
        sts: Url,
        clock: Box<dyn Fn() -> Time + Send + Sync>,
    ) -> Self {
        let profiles = env.var("ALIBABA_CLOUD_CLI_PROFILE_DISABLED").is_none_or(|off| off != "true");
        let mut providers: Vec<(&'static str, Provider)> = vec![
            ("the environment", Box::new(EnvCredentialProvider::new())),
            ("OIDC", Box::new(Oidc { sts: sts.clone() })),
        ];
        if profiles {
            providers.push(("the CLI's profile", Box::new(Profile { sts: sts.clone() })));
        }
        providers.push(("the credentials file", Box::new(KeysFile { sts })));
        providers.push((INSTANCE, Box::new(EcsRamRoleCredentialProvider::new())));
        providers.push(("the credentials URI", Box::new(CredentialsUriCredentialProvider::new())));
        let context = Context::new().with_file_read(TokioFileRead).with_env(env).with_http_send(Http(http));
        Self::of(Source::Chain { providers, context }, clock)
    }

    fn of(source: Source, clock: Box<dyn Fn() -> Time + Send + Sync>) -> Self {
        Self { source, clock, held: Mutex::default() }
    }

    /// Keys that are good now.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] where there are none; [`FaultKind::Unreachable`] where somebody who should know them did not
    /// answer.
    pub async fn keys(&self, action: &str) -> Result<Keys, Fault> {
        let (providers, context) = match &self.source {
            Source::Fixed(keys) => return Ok(keys.clone()),
            Source::Chain { providers, context } => (providers, context),
        };
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        if let Some(good) = held.kept.as_ref().filter(|kept| kept.due.is_none_or(|due| now < due)) {
            return Ok(good.keys.clone());
        }
        match ask(action, providers, context, held.by).await {
            Ok((by, fresh)) => {
                held.by = Some(by);
                Ok(held.kept.insert(Kept::new(fresh, now)).keys.clone())
            }
            Err(fault) => match held.kept.as_mut() {
                Some(old) if old.expires.is_none_or(|at| now < at) => {
                    tracing::warn!("credentials cannot be renewed yet: {}", fault.message);
                    old.due = Some(now + PATIENCE);
                    Ok(old.keys.clone())
                }
                _ => Err(fault),
            },
        }
    }

    /// The provider refused these keys as expired or taken back. Whether there are others now.
    pub async fn renewed(&self, action: &str, refused: &Keys) -> bool {
        let mut held = self.held.lock().await;
        if held.kept.as_ref().is_some_and(|kept| kept.keys == *refused) {
            held.kept = None;
        }
        drop(held);
        self.keys(action).await.is_ok_and(|keys| keys != *refused)
    }

    /// How long the keys that were used last are good.
    pub async fn session(&self) -> Session {
        match self.held.lock().await.kept.as_ref() {
            Some(kept) if kept.expires.is_some() => Session::Renewed,
            Some(kept) if kept.keys.token.is_some() => Session::Borrowed,
            Some(_) | None => Session::Lasting,
        }
    }

    /// When the keys that were used last expire, where they do.
    #[cfg(test)]
    pub async fn expires(&self) -> Option<Time> {
        self.held.lock().await.kept.as_ref().and_then(|kept| kept.expires)
    }
}

impl Kept {
    fn new(given: Credential, now: Time) -> Self {
        let expires = given
            .expires_in
            .map(|at| Time(u64::try_from(at.as_second()).unwrap_or_default().saturating_mul(1000)));
        let keys =
            Keys { id: given.access_key_id, secret: given.access_key_secret, token: given.security_token };
        Self { keys, expires, due: expires.map(|at| due(now, at)) }
    }
}

/// When to ask again: before they expire, and of a short life not before its half.
fn due(now: Time, expires: Time) -> Time {
    let margin = MARGIN.0.min(expires.since(now).0 / 2);
    Time(expires.0.saturating_sub(margin))
}

const INSTANCE: &str = "the instance's role";

/// Asks one after the other, or only the one that answered before.
async fn ask(
    action: &str,
    providers: &[(&'static str, Provider)],
    context: &Context,
    before: Option<usize>,
) -> Result<(usize, Credential), Fault> {
    let (mut said, mut again) = (Vec::new(), false);
    let asked = providers.iter().enumerate().filter(|(n, _)| before.is_none_or(|before| before == *n));
    for (n, (name, provider)) in asked {
        match provider.provide_credential_dyn(context).await {
            Ok(Some(found)) if !found.access_key_id.is_empty() && !found.access_key_secret.is_empty() => {
                return Ok((n, found));
            }
            Ok(_) if before.is_some() => {
                said.push(format!("{name} gave them before, and gives none any more"));
            }
            Ok(_) => {}
            Err(error) => {
                // Most hosts are no instances, and nobody answers there.
                again |= error.is_retryable() && (*name != INSTANCE || before == Some(n));
                said.push(format!("{name}: {error}"));
            }
        }
    }
    let kind = if again { FaultKind::Unreachable } else { FaultKind::Denied };
    let tried = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
    let message = format!("no Alibaba Cloud credentials were found{tried}");
    Err(Fault::new(kind, action, message))
}

/// Our HTTP client for whoever asks for credentials. An error names no address: a token may stand in one.
#[derive(Debug)]
struct Http(reqwest::Client);

impl HttpSend for Http {
    async fn http_send(&self, request: hyper::Request<Bytes>) -> Result<hyper::Response<Bytes>, Error> {
        let near = request.uri().host() == Some(METADATA);
        let failed = |error: reqwest::Error| Error::unexpected(fault::chain(error)).set_retryable(true);
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        *request.timeout_mut() = Some(if near { NEAR_MAX } else { FAR_MAX });
        // What is of this host must not be asked of a proxy.
        let client = if near {
            reqwest::Client::builder().no_proxy().build().map_err(failed)?
        } else {
            self.0.clone()
        };
        let answer = client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        Ok(hyper::Response::builder().status(status).body(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_renewed_a_quarter_of_an_hour_before_they_expire_or_at_half_of_a_short_life() {
        let minute = |n: u64| Time(n * 60_000);
        assert_eq!(due(minute(0), minute(60)), minute(45));
        assert_eq!(due(minute(0), minute(30)), minute(15));
        assert_eq!(due(minute(0), minute(10)), minute(5));
        assert_eq!(due(minute(20), minute(10)), minute(10));
    }

    #[test]
    fn no_secret_is_in_any_output() {
        let keys = Keys::new("LTAI-visible", "hush", Some("whisper"));
        let shown = format!("{keys:?} {:?}", Credentials::fixed(keys.clone()));
        assert_eq!(shown, "Keys(…) Credentials(…)");
    }
}
