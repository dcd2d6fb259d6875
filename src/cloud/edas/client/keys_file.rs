//! The credentials file of the official SDKs: sections with a key each, or with how to come by one.

use ini::{Ini, ParseOption, Properties};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, Error, ProvideCredential, Result};
use reqwest::Url;

use super::oidc::Oidc;
use super::profile::{Entry, Profile, bad};

/// Where it is: of the SDKs, and of older tools.
const FILES: [&str; 2] = ["~/.alibabacloud/credentials.ini", "~/.aliyun/credentials.ini"];

/// Keys by a section of the credentials file.
#[derive(Debug)]
pub struct KeysFile {
    pub(super) sts: Url,
}

impl KeysFile {
    /// With roles taken from the STS of a region, or where the environment says that it is.
    ///
    /// # Errors
    /// An address that is none, in words.
    pub fn of(region: &str, env: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Self, String> {
        Oidc::of(region, env).map(|oidc| Self { sts: oidc.sts })
    }
}

impl ProvideCredential for KeysFile {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        let name = context.env_var("ALIBABA_CLOUD_PROFILE").unwrap_or_else(|| "default".to_owned());
        let own = context.env_var("ALIBABA_CLOUD_CREDENTIALS_FILE");
        let paths = own.map_or_else(|| FILES.map(str::to_owned).to_vec(), |path| vec![path]);
        for path in paths {
            let path = if path.starts_with("~/") { context.expand_home_dir(&path) } else { Some(path) };
            let Some(path) = path else { continue };
            let Ok(text) = context.file_read_as_string(&path).await else { continue };
            // Quotes and backslashes are a secret's own. The parser's words could show what the file holds.
            let plain = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
            let file = Ini::load_from_str_opt(&text, plain)
                .map_err(|_| Error::config_invalid(format!("`{path}` is no file of sections and values")))?;
            let Some(section) = file.section(Some(name.as_str())) else { continue };
            if let Some(keys) = self.of_section(context, &name, section).await? {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }
}

impl KeysFile {
    /// As the official chain takes it (`alibabacloud-credentials` 1.0.12).
    async fn of_section(
        &self,
        context: &Context,
        name: &str,
        section: &Properties,
    ) -> Result<Option<Credential>> {
        let said = |key: &str| {
            let value = section.get(key)?.split('#').next().unwrap_or_default().trim();
            Some(value.to_owned()).filter(|value| !value.is_empty())
        };
        let on = |word: String| ["true", "1", "yes", "on"].contains(&word.to_ascii_lowercase().as_str());
        if !said("enable").is_none_or(on) {
            return Ok(None);
        }
        let kind = said("type").map(|kind| kind.to_ascii_lowercase());
        let mode = match kind.as_deref() {
            None if said("security_token").is_none() => "ak",
            Some("access_key") => "ak",
            None | Some("sts" | "sts_token") => "ststoken",
            Some("ram_role_arn") => "ramrolearn",
            Some("oidc_role_arn") => "oidc",
            Some("ecs_ram_role") => "ecsramrole",
            Some(_) => "",
        };
        let entry = Entry {
            name: name.to_owned(),
            mode: Some(mode.to_owned()),
            is_section: true,
            access_key_id: said("access_key_id"),
            access_key_secret: said("access_key_secret"),
            sts_token: said("security_token").or_else(|| said("sts_token")),
            ram_role_arn: said("role_arn"),
            ram_role_name: said("role_name"),
            ram_session_name: said("role_session_name"),
            oidc_provider_arn: said("oidc_provider_arn"),
            oidc_token_file: said("oidc_token_file_path"),
            policy: said("policy"),
            ..Entry::default()
        };
        if let ("", Some(kind)) = (mode, kind) {
            let what = format!(
                "is of the type `{kind}`, and here are access_key, sts, ram_role_arn, oidc_role_arn and ecs_ram_role"
            );
            return Err(bad(&entry, &what));
        }
        Profile { sts: self.sts.clone() }.first(context, &entry).await
    }
}
