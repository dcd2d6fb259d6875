//! The way to AWS: credentials, endpoints, limits, and one place through which every call goes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::ec2::Ec2;
use super::fault;
use super::limit::{Family, Limits};
use crate::cloud::{Fault, FaultKind};
use crate::spec::AwsSpec;

/// Clients of one account and region.
#[derive(Debug)]
pub(super) struct Api {
    pub autoscaling: aws_sdk_autoscaling::Client,
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    pub codedeploy: aws_sdk_codedeploy::Client,
    pub ec2: Ec2,
    limits: Arc<Limits>,
}

impl Api {
    /// Finds credentials by the SDK's own chain, and refuses those of another account than the file names.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] without credentials, or with another account's.
    pub async fn connect(spec: &AwsSpec, sdk: Option<&SdkConfig>) -> Result<Self, Fault> {
        let config = config(spec, sdk).await;
        let limits = match sdk {
            Some(_) => Limits::none(),
            None => Limits::of(&spec.account, &spec.region),
        };
        let api = Self {
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
            codedeploy: aws_sdk_codedeploy::Client::new(&config),
            ec2: Ec2::new(&config, spec.call_timeout.into())?,
            limits,
        };
        let sts = aws_sdk_sts::Client::new(&config);
        let who = api.send(Family::Sts, "GetCallerIdentity", sts.get_caller_identity().send()).await?;
        match who.account() {
            Some(account) if account == spec.account => Ok(api),
            other => {
                let message = format!(
                    "the credentials are for account {}, and the deployment file says {}",
                    other.unwrap_or("unknown"),
                    spec.account
                );
                Err(Fault::new(FaultKind::Denied, "GetCallerIdentity", message))
            }
        }
    }

    /// Sends one call: in its turn, traced, with its fault in the port's shape.
    ///
    /// # Errors
    /// The call's [`Fault`].
    pub async fn send<T, E>(
        &self,
        family: Family,
        action: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.limits.take(family).await;
        let answer = call.await.map_err(|error| fault::of(action, &error));
        self.noted(family, action, answer)
    }

    /// Sends one EC2 call likewise.
    ///
    /// # Errors
    /// The call's [`Fault`].
    pub async fn send_ec2<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.limits.take(Family::Ec2).await;
        let answer = call.await;
        self.noted(Family::Ec2, action, answer)
    }

    fn noted<T>(&self, family: Family, action: &str, answer: Result<T, Fault>) -> Result<T, Fault> {
        match &answer {
            Ok(_) => tracing::debug!(action, "answered"),
            Err(fault) => {
                let id = fault.request_id.as_deref().unwrap_or("none");
                tracing::debug!(action, kind = %fault.kind, request_id = id, "failed: {}", fault.message);
                if fault.kind == FaultKind::Throttled {
                    self.limits.refused(family);
                }
            }
        }
        answer
    }
}

/// What every client shares. How often to try again is left to `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE`, which code would
/// override.
async fn config(spec: &AwsSpec, sdk: Option<&SdkConfig>) -> SdkConfig {
    let attempt: Duration = spec.call_timeout.into();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(attempt.min(Duration::from_secs(3)))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 4)
        .build();
    if let Some(sdk) = sdk {
        return sdk.clone().into_builder().timeout_config(timeouts).build();
    }
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(spec.region.clone()))
        .timeout_config(timeouts)
        .load()
        .await
}

/// For calls that would be made twice by being sent twice: CreateDeployment has no token.
pub(super) fn once() -> aws_sdk_codedeploy::config::Builder {
    aws_sdk_codedeploy::config::Builder::new().retry_config(RetryConfig::disabled())
}
