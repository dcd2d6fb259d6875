//! The fake keeps its word: driven by the official SDK, as the product drives it.

mod balancing;
mod deployments;
mod fleets;
mod wire;

use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;

use super::fake::{Darkness, Fake, Oracle, Settings, TargetGroupSettings, World};

/// How long anything may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

async fn config(fake: &Fake) -> SdkConfig {
    let env: std::collections::BTreeMap<String, String> = fake.env().into_iter().collect();
    let (id, secret) = (env["AWS_ACCESS_KEY_ID"].clone(), env["AWS_SECRET_ACCESS_KEY"].clone());
    let credentials = Credentials::new(id, secret, None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(env["AWS_ENDPOINT_URL"].clone())
        .region(Region::new(env["AWS_REGION"].clone()))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

/// A fleet `blue` of two behind one listener, with an empty group for green beside its own.
struct Scene {
    fake: Fake,
    listener: String,
    blue: String,
    green: String,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    asg: aws_sdk_autoscaling::Client,
    deploy: aws_sdk_codedeploy::Client,
}

async fn scene(settings: Settings) -> Scene {
    let fake = Fake::start(settings);
    let (listener, blue, green) = fake.world(|world| {
        world.network();
        world.launch_template("api", &["ami-1", "ami-2"]);
        let blue = world.target_group("public-blue", &TargetGroupSettings::default());
        let green = world.target_group("public-green", &TargetGroupSettings::default());
        let balancer = world.alb("public");
        let listener = world.listener(&balancer, 80, &[(&blue, 100), (&green, 0)]).unwrap();
        world.asg("blue", ("api", 1), 2, &[&blue], &[("service", "api")]);
        (listener, blue, green)
    });
    let config = config(&fake).await;
    Scene {
        fake,
        listener,
        blue,
        green,
        elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
        asg: aws_sdk_autoscaling::Client::new(&config),
        deploy: aws_sdk_codedeploy::Client::new(&config),
    }
}

impl Scene {
    /// Waits until the world is as it should be.
    async fn until(&self, what: &str, test: impl Fn(&World) -> bool) {
        let began = Instant::now();
        while !self.fake.world(|world| test(world)) {
            assert!(
                began.elapsed() < PATIENCE,
                "{what} never came; {:#?}",
                self.fake.world(|world| world.deployments.clone())
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The state and the reason of every target of a group, as the API says them.
    async fn states(&self, group: &str) -> Vec<(String, Option<String>)> {
        let answer = self.elb.describe_target_health().target_group_arn(group).send().await.unwrap();
        let shown = answer.target_health_descriptions().iter().filter_map(|one| one.target_health());
        let text = |one: &aws_sdk_elasticloadbalancingv2::types::TargetHealth| {
            let state = one.state().unwrap().as_str().to_owned();
            (state, one.reason().map(|reason| reason.as_str().to_owned()))
        };
        shown.map(text).collect()
    }

    fn quiet(&self) {
        assert_eq!(self.fake.unknown(), Vec::<String>::new());
        let Oracle { darknesses, .. } = self.fake.oracle();
        assert_eq!(darknesses, Vec::<Darkness>::new());
    }
}

/// The wire code of an SDK error.
fn code<E, R>(error: &aws_smithy_runtime_api::client::result::SdkError<E, R>) -> String
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata,
{
    error.as_service_error().and_then(|error| error.code()).unwrap_or("none").to_owned()
}
