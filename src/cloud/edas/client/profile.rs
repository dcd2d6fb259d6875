//! The CLI's profiles, as the official chain reads them: keys, roles taken with them, with another profile's or with a token
//! in a file, an instance's role, what a command prints, and what a login to `CloudSSO` is good for. What needs a browser is
//! refused, with what to type.

use std::time::Duration;

use hyper::body::Bytes;
use reqsign_aliyun_oss::{Credential, EcsRamRoleCredentialProvider};
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, Error, ProvideCredential, Result};
use reqwest::Url;
use serde::Deserialize;
use tokio::process::Command;

use super::call::{Call, Product};
use super::credentials::Keys;
use super::endpoint::host;
use super::{oidc, sign};
use crate::cloud::clock;

/// Where the CLI keeps its profiles.
const FILE: &str = "~/.aliyun/config.json";
/// A profile may take its keys from another one, and that from a third; more than this is a ring.
const CHAIN_MAX: usize = 5;
/// How long a command may take that prints keys, and how much it may print.
const COMMAND_MAX: Duration = Duration::from_mins(1);
const PRINTED_MAX: usize = 64 << 10;
/// A session that ends this soon has ended; one that ends soon is replaced where it can be.
const MARGIN_SECS: i64 = 60;
const SOON_SECS: i64 = 15 * 60;
/// How long a role is taken for where the profile does not say it; every role allows it.
const SECS: u64 = 3600;
const ACTION: &str = "AssumeRole";

/// Keys by a profile of the CLI.
#[derive(Debug)]
pub struct Profile {
    pub(super) sts: Url,
}

impl Profile {
    /// With roles taken from the STS of a region, or where the environment says that it is.
    ///
    /// # Errors
    /// An address that is none, in words.
    pub fn of(region: &str, env: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Self, String> {
        oidc::Oidc::of(region, env).map(|oidc| Self { sts: oidc.sts })
    }
}

#[derive(Deserialize)]
struct File {
    current: Option<String>,
    #[serde(default)]
    profiles: Vec<Entry>,
}

/// One profile. What the CLI does not use for its mode it leaves empty.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry {
    pub name: String,
    pub mode: Option<String>,
    /// A section of the credentials file, and none of the CLI's profiles.
    #[serde(skip)]
    pub is_section: bool,
    pub access_key_id: Option<String>,
    pub access_key_secret: Option<String>,
    pub sts_token: Option<String>,
    pub security_token: Option<String>,
    /// Seconds since 1970.
    pub sts_expiration: Option<i64>,
    pub ram_role_arn: Option<String>,
    /// Of an instance.
    pub ram_role_name: Option<String>,
    pub oidc_provider_arn: Option<String>,
    pub oidc_token_file: Option<String>,
    pub cloud_sso_sign_in_url: Option<String>,
    pub cloud_sso_account_id: Option<String>,
    pub cloud_sso_access_config: Option<String>,
    pub access_token: Option<String>,
    /// Seconds since 1970.
    pub cloud_sso_access_token_expire: Option<i64>,
    pub ram_session_name: Option<String>,
    pub expired_seconds: Option<u64>,
    pub external_id: Option<String>,
    pub policy: Option<String>,
    pub source_profile: Option<String>,
    pub process_command: Option<String>,
}

impl ProvideCredential for Profile {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let set = |name: &str| context.env_var(name);
        let path = set("ALIBABA_CLOUD_CONFIG_FILE").unwrap_or_else(|| FILE.to_owned());
        let path = if path.starts_with("~/") { context.expand_home_dir(&path) } else { Some(path) };
        let Some(path) = path else { return Ok(None) };
        let Ok(text) = context.file_read(&path).await else { return Ok(None) };
        // The parser's own words could show what the file holds.
        let file: File = serde_json::from_slice(&text)
            .map_err(|_| Error::config_invalid(format!("`{path}` is no configuration of the CLI")))?;
        let current = file.current.clone().filter(|name| !name.is_empty());
        let name = set("ALIBABA_CLOUD_PROFILE").or(current).unwrap_or_else(|| "default".to_owned());
        self.keys_of(context, &file, name).await
    }
}

impl Profile {
    /// Follows a chain of profiles to its keys, and takes the roles on the way back.
    async fn keys_of(&self, context: &Context, file: &File, name: String) -> Result<Option<Credential>> {
        let (mut roles, mut next): (Vec<&Entry>, _) = (Vec::new(), name);
        let first = loop {
            let Some(entry) = file.profiles.iter().find(|entry| entry.name == next) else {
                return match roles.last() {
                    None => Ok(None),
                    Some(role) => {
                        Err(bad(role, &format!("names the source profile `{next}`, which is not there")))
                    }
                };
            };
            if entry.mode() != "chainableramrolearn" {
                break entry;
            }
            if roles.len() == CHAIN_MAX {
                return Err(bad(entry, "is one of a ring of profiles, or of too long a chain"));
            }
            roles.push(entry);
            next =
                given(entry.source_profile.as_ref()).ok_or_else(|| bad(entry, "names no source profile"))?;
        };
        let Some(mut keys) = self.first(context, first).await? else {
            return match roles.last() {
                None => Ok(None),
                Some(role) => Err(bad(role, &format!("has a source profile without keys, `{}`", first.name))),
            };
        };
        for role in roles.into_iter().rev() {
            keys = self.assume(context, role, &keys).await?;
        }
        Ok(Some(keys))
    }

    /// The keys of a profile that needs no other one.
    pub(super) async fn first(&self, context: &Context, entry: &Entry) -> Result<Option<Credential>> {
        match entry.mode().as_str() {
            "" | "ak" | "ststoken" | "sts_token" | "sts" => Ok(entry.keys()),
            "ramrolearn" => {
                let keys = entry.keys().ok_or_else(|| bad(entry, "takes a role and has no keys for it"))?;
                self.assume(context, entry, &keys).await.map(Some)
            }
            "external" => printed(entry).await.map(Some),
            "ecsramrole" => of_instance(context, entry).await.map(Some),
            "oidc" => self.vouched(context, entry).await.map(Some),
            "cloudsso" => signed_in(context, entry).await.map(Some),
            "oauth" => Err(bad(
                entry,
                "is one of OAuth, which needs a browser; use a role, a key or CloudSSO's cached session here",
            )),
            // The rest of the chain knows these by their own means.
            _ => Ok(None),
        }
    }

    /// Takes the role of a profile with the token in its file, which somebody else keeps new.
    async fn vouched(&self, context: &Context, entry: &Entry) -> Result<Credential> {
        let needs =
            |value: &Option<String>, what: &str| given(value.as_ref()).ok_or_else(|| bad(entry, what));
        let role = needs(&entry.ram_role_arn, "names no role")?;
        let provider = needs(&entry.oidc_provider_arn, "names no OIDC provider")?;
        let path = needs(&entry.oidc_token_file, "names no file with an OIDC token")?;
        let token = context
            .file_read_as_string(&path)
            .await
            .map_err(|_| bad(entry, &format!("names the OIDC token file `{path}`, which cannot be read")))?;
        let who = oidc::Who {
            role: &role,
            provider: &provider,
            session: &entry.session(),
            token: token.trim(),
            secs: entry.expired_seconds.filter(|secs| *secs > 0),
            policy: entry.policy.as_deref().map(str::trim).filter(|policy| !policy.is_empty()),
        };
        oidc::Oidc { sts: self.sts.clone() }.assume(context, &who).await
    }

    /// Takes the role of a profile with somebody's keys.
    async fn assume(&self, context: &Context, entry: &Entry, with: &Credential) -> Result<Credential> {
        let role = given(entry.ram_role_arn.as_ref()).ok_or_else(|| bad(entry, "names no role"))?;
        let session = entry.session();
        let secs = entry.expired_seconds.filter(|secs| *secs > 0).unwrap_or(SECS);
        let mut call =
            Call::rpc(Product::Sts, ACTION).with("RoleArn", &role).with("RoleSessionName", &session);
        call = call.with("DurationSeconds", secs);
        for (name, value) in [("ExternalId", &entry.external_id), ("Policy", &entry.policy)] {
            if let Some(value) = given(value.as_ref()) {
                call = call.with(name, &value);
            }
        }
        let (mut url, path, query) = (self.sts.clone(), call.path(), call.query());
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(query.as_str()));
        let keys = Keys::new(&with.access_key_id, &with.access_key_secret, with.security_token.as_deref());
        let body = call.body();
        let what = sign::Request {
            verb: "POST",
            path: &path,
            query: &query,
            host: &host(&url),
            action: ACTION,
            version: Product::Sts.version(),
            body: body.as_deref(),
        };
        let signed = sign::headers(&what, &keys, &sign::Stamp::new(clock::now()));
        let request = hyper::Request::post(url.as_str()).header("accept", "application/json");
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = context.http_send(request.body(Bytes::from(body.unwrap_or_default()))?).await?;
        oidc::taken(ACTION, answer)
    }
}

impl Entry {
    fn mode(&self) -> String {
        self.mode.as_deref().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn session(&self) -> String {
        given(self.ram_session_name.as_ref()).unwrap_or_else(|| "deployer".to_owned())
    }

    fn keys(&self) -> Option<Credential> {
        // A profile that was of another mode once keeps the token that it had then.
        let lent = matches!(self.mode().as_str(), "ststoken" | "sts_token" | "sts" | "cloudsso");
        let token = given(self.sts_token.as_ref()).or_else(|| given(self.security_token.as_ref()));
        let token = token.filter(|_| lent);
        Some(Credential {
            access_key_id: given(self.access_key_id.as_ref())?,
            access_key_secret: given(self.access_key_secret.as_ref())?,
            security_token: token,
            expires_in: None,
        })
    }
}

/// The role of the instance that this is, by the name that the profile gives it.
async fn of_instance(context: &Context, entry: &Entry) -> Result<Credential> {
    let provider = EcsRamRoleCredentialProvider::new();
    let provider = match given(entry.ram_role_name.as_ref()) {
        Some(name) => provider.with_role_name(name),
        None => provider,
    };
    let off = "is of an instance's role, and ALIBABA_CLOUD_ECS_METADATA_DISABLED forbids to ask for it";
    provider.provide_credential(context).await?.ok_or_else(|| bad(entry, off))
}

/// What the CLI left of a login in a browser: keys for a while, and as long as the login is good others for it.
async fn signed_in(context: &Context, entry: &Entry) -> Result<Credential> {
    let now = i64::try_from(clock::now().0 / 1000).unwrap_or(i64::MAX);
    let left = entry.keys().filter(|keys| keys.security_token.is_some());
    let until = entry.sts_expiration.filter(|at| *at > now + MARGIN_SECS);
    let left = left.zip(until.and_then(|at| Timestamp::from_second(at).ok()));
    let left = left.map(|(keys, until)| Credential { expires_in: Some(until), ..keys });
    let lasts = |keys: &Credential| keys.expires_in.is_some_and(|at| at.as_second() > now + SOON_SECS);
    if let Some(keys) = left.as_ref().filter(|keys| lasts(keys)) {
        return Ok(keys.clone());
    }
    let good = entry.cloud_sso_access_token_expire.is_some_and(|at| at > now + MARGIN_SECS);
    let login = given(entry.access_token.as_ref()).filter(|_| good);
    match (login, left) {
        (Some(token), _) => exchanged(context, entry, &token).await,
        (None, Some(keys)) => Ok(keys),
        (None, None) => Err(bad(
            entry,
            &format!(
                "has no CloudSSO session that still goes on, and a new one needs a browser: sign in with `aliyun configure --mode CloudSSO --profile {}`",
                entry.name
            ),
        )),
    }
}

/// Keys of an account for a login to `CloudSSO`, as the official SDK for Node.js asks for them (2026-11).
async fn exchanged(context: &Context, entry: &Entry, token: &str) -> Result<Credential> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        cloud_credential: oidc::Given,
    }
    let needs = |value: &Option<String>, what: &str| given(value.as_ref()).ok_or_else(|| bad(entry, what));
    let url = needs(&entry.cloud_sso_sign_in_url, "names no address to sign in at")?;
    let account = needs(&entry.cloud_sso_account_id, "names no account of CloudSSO")?;
    let config = needs(&entry.cloud_sso_access_config, "names no access configuration of CloudSSO")?;
    let near = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    // Whoever reads the token on its way has the account.
    let mut url = Url::parse(&url)
        .ok()
        .filter(|url| url.scheme() == "https" || near(url))
        .ok_or_else(|| bad(entry, "names an address to sign in at that is none of https"))?;
    url.set_path("/cloud-credentials");
    url.set_query(None);
    let body = serde_json::json!({ "AccountId": account, "AccessConfigurationId": config }).to_string();
    let request = hyper::Request::post(url.as_str())
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from(body))?;
    let answer = context.http_send(request).await?;
    let status = answer.status();
    let said = serde_json::from_slice::<Answer>(answer.body()).ok().filter(|_| status.is_success());
    let said = said.ok_or_else(|| {
        let again = status.is_server_error() || status.as_u16() == 429;
        Error::permission_denied(format!("CloudSSO gave no credentials (HTTP {})", status.as_u16()))
            .set_retryable(again)
    })?;
    oidc::lent("CloudSSO", said.cloud_credential)
}

/// What a command of the user's own prints: a profile with keys.
async fn printed(entry: &Entry) -> Result<Credential> {
    let line = given(entry.process_command.as_ref()).ok_or_else(|| bad(entry, "names no command"))?;
    let words =
        shlex::split(&line).ok_or_else(|| bad(entry, "has a command with a quote that does not end"))?;
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).kill_on_drop(true).stdin(std::process::Stdio::null());
    // What it prints may be a secret, so nothing of it is told.
    let ended = tokio::time::timeout(COMMAND_MAX, command.output()).await;
    let output = ended
        .map_err(|_| bad(entry, "has a command that does not end"))?
        .map_err(|error| bad(entry, &format!("has a command that cannot be run: {}", error.kind())))?;
    if !output.status.success() {
        return Err(bad(entry, &format!("has a command that failed ({})", output.status)));
    }
    let said = Some(&output.stdout).filter(|said| said.len() <= PRINTED_MAX);
    let said = said.and_then(|said| serde_json::from_slice::<Entry>(said).ok());
    let said = said.filter(|said| ["", "ak", "ststoken"].contains(&said.mode().as_str()));
    said.and_then(|said| said.keys()).ok_or_else(|| {
        bad(entry, "has a command that does not print a profile of the mode AK or StsToken, as JSON")
    })
}

fn given(value: Option<&String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

pub(super) fn bad(entry: &Entry, what: &str) -> Error {
    let whose = if entry.is_section { "the credentials file's section" } else { "the CLI's profile" };
    Error::config_invalid(format!("{whose} `{}` {what}", entry.name))
}
