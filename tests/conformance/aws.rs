//! AWS as it is spoken on the wire: the product's own clients against a fake on a loopback port.

use std::time::SystemTime;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use deployer::cloud::aws::AwsBackend;
use deployer::model::{Fleet, FleetId, GroupId, Revision, Span, Time};
use deployer::spec::{AwsFleets, AwsGroup, AwsRevision, AwsSpec};

use crate::fake::{Fake, Fault, On, Settings, TargetGroupSettings, World};
use crate::harness::{Given, Hand, Harness, Mishap, Ways};
use crate::story;

/// Calls that change something, as far as a change of the port makes them.
const CHANGING: [&str; 20] = [
    "AttachLoadBalancerTargetGroups",
    "AttachTrafficSources",
    "CreateAutoScalingGroup",
    "CreateOrUpdateTags",
    "DeleteAutoScalingGroup",
    "DeleteTags",
    "DeregisterTargets",
    "DetachLoadBalancerTargetGroups",
    "DetachTrafficSources",
    "EnableMetricsCollection",
    "ModifyListener",
    "ModifyRule",
    "PutLifecycleHook",
    "PutNotificationConfiguration",
    "PutScalingPolicy",
    "RegisterTargets",
    "ResumeProcesses",
    "SetInstanceProtection",
    "SuspendProcesses",
    "UpdateAutoScalingGroup",
];
/// Milliseconds until a target is judged.
const JUDGED: u64 = 60;
const STACK: usize = 32 << 20;
/// Seconds of a setting, each of which takes a millisecond here.
const DELAY_SECS: u32 = 400;

/// How fleets come into being.
pub trait Fleets {
    const PAIR: bool;
}

/// A fleet is a copy of the one that serves.
pub struct Copied;
/// Two Auto Scaling groups alternate.
pub struct Paired;

impl Fleets for Copied {
    const PAIR: bool = false;
}

impl Fleets for Paired {
    const PAIR: bool = true;
}

pub struct Aws<F> {
    backend: AwsBackend,
    fake: Fake,
    given: Given,
    fleets: std::marker::PhantomData<F>,
}

impl<F: Fleets> Harness for Aws<F> {
    type Backend = AwsBackend;

    fn run(sentence: impl AsyncFnOnce(Self) + Send) {
        // The futures of the SDK are large where nobody optimises them.
        let roomy = std::thread::Builder::new().stack_size(STACK);
        let outcome =
            std::thread::scope(|scope| roomy.spawn_scoped(scope, || run_here::<F>(sentence)).unwrap().join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn backend(&self) -> &AwsBackend {
        &self.backend
    }

    fn given(&self) -> &Given {
        &self.given
    }

    fn ways(&self) -> Ways {
        Ways {
            pace: Span(20),
            patience: Span::secs(20),
            verdict_min: Span(JUDGED - 1),
            lingers: true,
            drops_targets: true,
            ill_in_one_group: true,
            // Several calls of AWS make one change: what a lost one leaves behind is a part of it.
            one_call_a_change: false,
            divides: true,
            proves: true,
            joins: true,
            mishaps: &[Mishap::Throttled, Mishap::Lost, Mishap::ReplyLost],
        }
    }

    #[expect(clippy::disallowed_methods, reason = "looks have the time of this host")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time(u64::try_from(since.as_millis()).unwrap())
    }

    async fn by_hand(&self, hand: Hand) {
        match hand {
            Hand::Attach(fleet, group) => self.attach(fleet.as_str(), group.as_str()).await,
            Hand::Sicken(fleet, group) => {
                let revision = self.revision(&fleet);
                self.fake.world(|world| sicken(world, &group, &revision));
            }
            Hand::Recover(fleet, group) => {
                let revision = self.revision(&fleet);
                self.fake.world(|world| {
                    for name in names(&group) {
                        world.recover(&name, revision.as_str());
                    }
                });
            }
            Hand::Drop(fleet, group) => self.fake.world(|world| {
                let instances = world.in_service(&scaling_group(world, &fleet));
                for name in names(&group) {
                    let arn = world.group_by_name(&name).unwrap().arn.clone();
                    let victim = instances.iter().find(|id| world.stands(&arn, id));
                    if let Some(id) = victim {
                        world.deregister(&arn, id, None);
                    }
                }
            }),
            Hand::Kill(_, instance) => self.fake.world(|world| world.kill(instance.as_str(), "terminated")),
        }
    }

    async fn next_change_meets(&self, mishap: Mishap) {
        let fault = match mishap {
            Mishap::Throttled => Fault::Throttle,
            Mishap::Lost => Fault::Reset,
            Mishap::ReplyLost => Fault::LostReply,
        };
        for action in CHANGING {
            self.fake.fail(On::call(action).first(1), fault);
        }
    }

    async fn calm(&self) {
        self.fake.heal();
    }
}

fn run_here<F: Fleets>(sentence: impl AsyncFnOnce(Aws<F>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings { health_after: JUDGED, ..Settings::default() };
        let (fake, given) = (Fake::start(settings), given());
        fake.world(|world| build(world, &given, F::PAIR));
        let environment = "conformance".parse().unwrap();
        let backend = AwsBackend::new(given.service.clone(), environment, spec(&given, F::PAIR));
        let backend = backend.over(sdk(&fake).await);
        let aws = Aws { backend, fake, given, fleets: std::marker::PhantomData };
        let (blue, declared) = (aws.given.blue.clone(), aws.given.declared());
        Box::pin(story::until(&aws, "blue serves", |seen| story::well(seen, &blue, &declared))).await;
        sentence(aws).await;
    });
}

impl<F> Aws<F> {
    fn revision(&self, fleet: &FleetId) -> Revision {
        let known = [&self.given.blue, &self.given.green];
        known.into_iter().find(|known| known.id == *fleet).unwrap().revision.clone()
    }

    /// As somebody does it with the AWS CLI.
    async fn attach(&self, fleet: &str, group: &str) {
        let arn = self.fake.world(|world| world.group_by_name(group).unwrap().arn.clone());
        let client = aws_sdk_autoscaling::Client::new(&sdk(&self.fake).await);
        let call = client.attach_load_balancer_target_groups();
        call.auto_scaling_group_name(fleet).target_group_arns(arn).send().await.unwrap();
    }
}

async fn sdk(fake: &Fake) -> SdkConfig {
    let env: std::collections::BTreeMap<String, String> = fake.env().into_iter().collect();
    let (id, secret) = (env["AWS_ACCESS_KEY_ID"].clone(), env["AWS_SECRET_ACCESS_KEY"].clone());
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(fake.url())
        .region(Region::new(env["AWS_REGION"].clone()))
        .credentials_provider(Credentials::new(id, secret, None, None, "conformance"))
        // What meets a call is to be seen, and not tried again inside.
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

fn given() -> Given {
    let group = |name: &str| GroupId::new(name).unwrap();
    let fleet = |id: &str, version: &str| Fleet {
        id: FleetId::new(id).unwrap(),
        revision: version.parse().unwrap(),
        size: 2,
    };
    Given {
        service: "api".parse().unwrap(),
        blue: fleet("api", "1"),
        green: fleet("api-2", "2"),
        ill: fleet("api-2", "3"),
        paired: [group("internal"), group("public")],
        shared: Some(group("stream")),
        // Every listener and rule that forwards takes weights.
        whole: None,
        stranger: group("stranger"),
    }
}

/// The Auto Scaling group of a fleet: the one that is tagged so, or called so.
fn scaling_group(world: &World, fleet: &FleetId) -> String {
    let says = |tags: &std::collections::BTreeMap<String, (String, bool)>| {
        tags.get("deployer:fleet").is_some_and(|(value, _)| value == fleet.as_str())
    };
    let tagged = world.fleets.iter().find(|(_, group)| says(&group.tags)).map(|(name, _)| name.clone());
    tagged.unwrap_or_else(|| fleet.to_string())
}

/// The target groups behind a paired group.
fn names(group: &GroupId) -> [String; 2] {
    ["a", "b"].map(|side| format!("{group}-{side}"))
}

fn sicken(world: &mut World, group: &GroupId, revision: &Revision) {
    for name in names(group) {
        world.sicken(&name, revision.as_str());
    }
}

fn spec(given: &Given, pair: bool) -> AwsSpec {
    let twins =
        given.paired.iter().map(|id| (id.clone(), AwsGroup::Twins { names: names(id), create: false }));
    let shared = given
        .shared
        .iter()
        .map(|id| (id.clone(), AwsGroup::Shared { name: id.to_string(), accepts_whole: false }));
    let fleets = if pair {
        AwsFleets::Pair([&given.blue, &given.green].map(|fleet| fleet.id.to_string()))
    } else {
        AwsFleets::Copy { from: given.blue.id.to_string() }
    };
    AwsSpec {
        reads_per_second: 5000,
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        fleets,
        revision: AwsRevision::LaunchTemplate,
        call_timeout: Span::secs(5),
        pace: Span(20),
        groups: twins.chain(shared).collect(),
    }
}

/// Version 1 runs in one Auto Scaling group, behind two listeners of an ALB with twins, and one of an NLB.
fn build(world: &mut World, given: &Given, pair: bool) {
    world.network();
    world
        .launch_template("api", &["ami-0000000000000001a", "ami-0000000000000002a", "ami-0000000000000003a"]);
    let (alb, nlb) = (world.alb("edge"), world.nlb("inner"));
    let http =
        TargetGroupSettings { deregistration_delay_secs: DELAY_SECS, ..TargetGroupSettings::default() };
    let tcp = TargetGroupSettings { protocol: "TCP", ..http.clone() };
    let mut stands = Vec::new();
    for (port, id) in (8000_u16..).zip(&given.paired) {
        let [own, other] = names(id).map(|name| world.target_group(&name, &http));
        world.listener(&alb, port, &[(&own, 100), (&other, 0)]).unwrap();
        stands.push(own);
    }
    if let Some(id) = &given.shared {
        let group = world.target_group(id.as_str(), &tcp);
        world.listener(&nlb, 9000, &[(&group, 1)]).unwrap();
        stands.push(group);
    }
    let stranger = world.target_group(given.stranger.as_str(), &http);
    world.listener(&alb, 8100, &[(&stranger, 1)]).unwrap();
    let stands: Vec<&str> = stands.iter().map(String::as_str).collect();
    world.asg(given.blue.id.as_str(), ("api", 1), u64::from(given.blue.size), &stands, &[]);
    if pair {
        world.asg(given.green.id.as_str(), ("api", 1), 0, &[], &[]);
    }
    sicken(world, &given.paired[0], &given.ill.revision);
}
