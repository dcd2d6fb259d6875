//! The way to AWS: credentials, endpoints, limits, and one place through which every call goes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::OnceCell;

use super::cloudwatch::{CLOUDWATCH, CloudWatch};
use super::commons::{Commons, Sent, Wanted};
use super::ec2::{EC2, Ec2};
use super::fault;
use super::iam::{IAM, Iam};
use super::limit::{Family, Limits};
use super::query::Wire;
use super::whole::Whole;
use crate::cloud::{Fault, FaultKind};
use crate::model::{Span, Time};
use crate::spec::AwsSpec;

/// What an account may make whose deployment file does not say.
const READS_PER_SECOND: u32 = 10;

/// Clients of one account and region, as one service uses them. They, their credentials and their limits are the same
/// ones for every service of this process.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub autoscaling: aws_sdk_autoscaling::Client,
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    pub codedeploy: aws_sdk_codedeploy::Client,
    pub ec2: Ec2,
    pub cloudwatch: CloudWatch,
    pub iam: Iam,
    /// Whose the credentials are, by ARN.
    pub caller: String,
    /// What looks have read of CodeDeploy.
    pub seen: Arc<super::codedeploy::Seen>,
    /// What all services read together.
    pub commons: Arc<Commons>,
    limits: Arc<Limits>,
    /// Whether traffic waits for what is called now.
    hurries: Arc<AtomicBool>,
    /// Told when the first call is sent.
    sent: Sent,
}

impl Api {
    /// Finds credentials by the SDK's own chain, and refuses those of another account than the file names.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] without credentials, or with another account's.
    pub async fn connect(spec: &AwsSpec, sdk: Option<&SdkConfig>) -> Result<Self, Fault> {
        static ALL: OnceLock<Mutex<BTreeMap<String, Arc<OnceCell<Api>>>>> = OnceLock::new();
        if sdk.is_some() {
            return Self::connect_alone(spec, sdk).await;
        }
        let shared = {
            let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
            let AwsSpec { account, region, reads_per_second, call_timeout, .. } = spec;
            let key = format!("{account}/{region}/{reads_per_second}/{call_timeout}");
            Arc::clone(all.entry(key).or_default())
        };
        let first = shared.get_or_try_init(|| Box::pin(Self::connect_alone(spec, None))).await?;
        Ok(Self { seen: Arc::default(), hurries: Arc::default(), ..first.clone() })
    }

    async fn connect_alone(spec: &AwsSpec, sdk: Option<&SdkConfig>) -> Result<Self, Fault> {
        let config = config(Some(spec.region.clone()), spec.call_timeout.into(), sdk).await;
        let limits = match sdk {
            Some(_) => Limits::none(),
            None => Limits::of(&spec.account, &spec.region, spec.reads_per_second),
        };
        let mut api = Self::of(&config, limits, spec.call_timeout)?;
        match api.account(&config).await? {
            Some(account) if account == spec.account => Ok(api),
            other => {
                let message = format!(
                    "the credentials are for account {}, and the deployment file says {}",
                    other.as_deref().unwrap_or("unknown"),
                    spec.account
                );
                Err(Fault::new(FaultKind::Denied, "GetCallerIdentity", message))
            }
        }
    }

    /// Takes the account that the credentials are for, and the region that was asked for or is configured.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] without credentials; [`FaultKind::Invalid`] without a region.
    pub async fn anywhere(
        region: Option<String>,
        call_timeout: Span,
    ) -> Result<(Self, String, String), Fault> {
        let config = config(region, call_timeout.into(), None).await;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            let message = "no region is configured: name one with --region or AWS_REGION";
            Fault::new(FaultKind::Invalid, "GetCallerIdentity", message)
        })?;
        let mut api = Self::of(&config, Limits::of("unknown", &region, READS_PER_SECOND), call_timeout)?;
        let account = api.account(&config).await?.ok_or_else(|| {
            Fault::new(FaultKind::Unexpected, "GetCallerIdentity", "the answer names no account")
        })?;
        Ok((api, account, region))
    }

    fn of(config: &SdkConfig, limits: Arc<Limits>, call_timeout: Span) -> Result<Self, Fault> {
        let wire = Wire::new(config, call_timeout.into())?;
        Ok(Self {
            autoscaling: aws_sdk_autoscaling::Client::from_conf(
                aws_sdk_autoscaling::config::Builder::from(config).interceptor(Whole).build(),
            ),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(config),
            codedeploy: aws_sdk_codedeploy::Client::new(config),
            ec2: Ec2(wire.to(&EC2)?),
            cloudwatch: CloudWatch(wire.to(&CLOUDWATCH)?),
            iam: Iam(wire.to(&IAM)?),
            caller: String::new(),
            seen: Arc::default(),
            commons: Arc::default(),
            limits,
            hurries: Arc::default(),
            sent: Sent::default(),
        })
    }

    /// Whether traffic waits for the next calls. The limits are our own guess at what AWS allows: whoever has to bring
    /// traffic back asks AWS itself, and all others wait behind.
    pub fn hurry(&self, hurries: bool) {
        self.hurries.store(hurries, Ordering::Relaxed);
    }

    /// The same, for a reading that others may wait for as well: it says when it is sent.
    pub fn telling(&self, sent: Sent) -> Self {
        Self { sent, ..self.clone() }
    }

    /// How fresh what is read now has to be.
    pub fn wanted(&self, after: Time) -> Wanted {
        Wanted { after, urgent: self.hurries.load(Ordering::Relaxed) }
    }

    /// How long it takes at least to ask for the targets of so many target groups.
    pub fn sweep(&self, groups: usize) -> Span {
        self.limits.lasts(Family::ElbRead, groups)
    }

    async fn turn(&self, family: Family) {
        if self.hurries.load(Ordering::Relaxed) {
            self.limits.borrow(family).await;
        } else {
            self.limits.take(family).await;
        }
        self.sent.now();
    }

    /// Whose account the credentials are for; the caller is kept.
    async fn account(&mut self, config: &SdkConfig) -> Result<Option<String>, Fault> {
        let sts = aws_sdk_sts::Client::new(config);
        let who = self.send(Family::Sts, "GetCallerIdentity", sts.get_caller_identity().send()).await?;
        self.caller = who.arn.unwrap_or_default();
        Ok(who.account)
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
        self.turn(family).await;
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
        self.send_query(Family::Ec2, action, call).await
    }

    /// Sends one call that is spoken by hand likewise.
    ///
    /// # Errors
    /// The call's [`Fault`].
    pub async fn send_query<T>(
        &self,
        family: Family,
        action: &'static str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.turn(family).await;
        let answer = call.await;
        self.noted(family, action, answer)
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
async fn config(region: Option<String>, attempt: Duration, sdk: Option<&SdkConfig>) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(attempt.min(Duration::from_secs(3)))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 3)
        .build();
    if let Some(sdk) = sdk {
        return sdk.clone().into_builder().timeout_config(timeouts).build();
    }
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts);
    match region {
        Some(region) => loader.region(Region::new(region)).load().await,
        None => loader.load().await,
    }
}

/// For calls that would be made twice by being sent twice: `CreateDeployment` has no token.
pub(super) fn once() -> aws_sdk_codedeploy::config::Builder {
    aws_sdk_codedeploy::config::Builder::new().retry_config(RetryConfig::disabled())
}
