//! Each cloud's own chain of credentials, as the signers ask for them.

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use reqsign_aws_v4::Credential;
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, Error, ProvideCredential, Result};

/// The AWS SDK's chain for the signer of S3: profiles, SSO, OIDC, a process, an instance's role.
#[derive(Debug)]
pub(super) struct AwsChain(pub SharedCredentialsProvider);

impl ProvideCredential for AwsChain {
    type Credential = Credential;

    async fn provide_credential(&self, _: &Context) -> Result<Option<Credential>> {
        let found = self.0.provide_credentials().await.map_err(|error| {
            // The signer's caller prints causes; the provider's own text says only that it failed.
            Error::credential_invalid(format!("no AWS credentials: {}", causes(&error)))
        })?;
        let since = found.expiry().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let expires_in =
            since.and_then(|since| Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok());
        Ok(Some(Credential {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: found.secret_access_key().to_owned(),
            session_token: found.session_token().map(str::to_owned),
            expires_in,
        }))
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}
