//! The fake keeps its word: driven by the official SDK, as the product drives it.

use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

use super::fake::{Fake, Settings};

async fn config(fake: &Fake) -> SdkConfig {
    let env: std::collections::BTreeMap<String, String> = fake.env().into_iter().collect();
    let (id, secret) = (env["AWS_ACCESS_KEY_ID"].clone(), env["AWS_SECRET_ACCESS_KEY"].clone());
    let credentials = Credentials::new(id, secret, None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(fake.url())
        .region(Region::new(env["AWS_REGION"].clone()))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

#[tokio::test]
async fn a_signed_call_names_the_account() {
    let fake = Fake::start(Settings::default());
    let sts = aws_sdk_sts::Client::new(&config(&fake).await);
    let identity = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("111122223333"));
}
