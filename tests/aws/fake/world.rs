//! The state of the fake: plain values, changed only by calls, by time and by a test's own hands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::oracle::Oracle;

pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "eu-west-1";
pub const KEY_ID: &str = "AKIAFAKEFAKEFAKEFAKE";
pub const SECRET: &str = "fake/secret/for/tests/only/0123456789abcd";

/// Milliseconds since the fake started.
pub type Ms = u64;

/// How fast time runs, and how the answers are cut.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Milliseconds from the launch of an instance until it runs.
    pub launch: Ms,
    /// Milliseconds from the first check of a target until it is healthy or unhealthy, and from a change until it shows.
    pub health_after: Ms,
    /// Milliseconds from an attachment until it shows as added.
    pub attach: Ms,
    /// Milliseconds that one step of a deployment takes.
    pub step: Ms,
    /// Milliseconds for one second of a setting: a deregistration delay, a hook's heartbeat, a deployment's wait.
    pub second: f64,
    /// The largest page of any listing.
    pub page: Option<usize>,
    /// Whether a target passes its checks only if its security groups let the load balancer in.
    pub security_groups: bool,
    /// Whether a copied fleet loses its attachments to target groups.
    pub copy_loses_attachments: bool,
    /// How many instances a copied fleet is short of.
    pub copy_short_by: u64,
    /// Limits on calls; none by default.
    pub buckets: Option<Buckets>,
    /// In how many steps time passes between two calls, at most: a world of many services takes its time for each.
    pub steps: Ms,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            launch: 20,
            health_after: 20,
            attach: 10,
            step: 5,
            second: 1.0,
            page: None,
            security_groups: false,
            copy_loses_attachments: false,
            copy_short_by: 0,
            buckets: None,
            steps: 200,
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    pub burst: f64,
    pub per_second: f64,
}

/// The buckets of the API families.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Buckets {
    pub elb_reads: Bucket,
    pub elb_writes: Bucket,
    pub autoscaling: Bucket,
    pub ec2: Bucket,
    pub codedeploy: Bucket,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            elb_reads: Bucket { burst: 40.0, per_second: 10.0 },
            elb_writes: Bucket { burst: 20.0, per_second: 3.0 },
            autoscaling: Bucket { burst: 40.0, per_second: 10.0 },
            ec2: Bucket { burst: 100.0, per_second: 20.0 },
            codedeploy: Bucket { burst: 20.0, per_second: 5.0 },
        }
    }
}

/// An EC2 instance.
#[derive(Debug, Clone)]
pub struct Instance {
    pub id: String,
    /// `pending`, `running`, `stopped`, `terminated`.
    pub state: &'static str,
    pub launched: Ms,
    pub ended: Ms,
    /// The identity and the version of its launch template.
    pub template: Option<(String, u64)>,
    pub image: String,
    pub kind: String,
    pub subnet: String,
    pub zone: String,
    pub vpc: String,
    pub security_groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub member: Option<Member>,
    /// What a deployment put on it.
    pub revision: Option<String>,
}

/// An instance as part of an Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Member {
    pub fleet: String,
    pub lifecycle: &'static str,
    pub since: Ms,
    pub in_service: Option<Ms>,
    pub protected: bool,
    pub healthy: bool,
    /// Hooks that have been completed in this transition.
    pub hooks_done: BTreeSet<String>,
    pub token: String,
}

/// How a target group came to be on an Auto Scaling group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    TargetGroups,
    TrafficSources,
}

impl Instance {
    /// Its private address.
    pub fn address(&self) -> String {
        let last = self.id.get(self.id.len().saturating_sub(2)..).unwrap_or("00");
        format!("10.0.0.{}", u8::from_str_radix(last, 16).unwrap_or(0))
    }
}

/// A target group, or another source of traffic, on an Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Attachment {
    pub id: String,
    pub kind: String,
    pub via: Via,
    /// `Adding`, `Added`, `InService`, `Removing`.
    pub state: &'static str,
    pub since: Ms,
}

/// An Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub name: String,
    pub arn: String,
    pub created: Ms,
    pub min: u64,
    pub max: u64,
    pub desired: u64,
    /// Every other setting, as it was given.
    pub settings: Map<String, Value>,
    pub attachments: Vec<Attachment>,
    pub suspended: BTreeMap<String, String>,
    pub tags: BTreeMap<String, (String, bool)>,
    pub hooks: BTreeMap<String, Value>,
    pub policies: BTreeMap<String, Value>,
    pub schedules: BTreeMap<String, Value>,
    pub notifications: Vec<Value>,
    pub warm_pool: Option<Value>,
    pub refreshes: Vec<Value>,
    pub activities: Vec<Value>,
    pub deleting: bool,
    pub scaled: Option<Ms>,
}

/// A launch template with its versions, numbered from 1.
#[derive(Debug, Clone)]
pub struct Template {
    pub id: String,
    pub name: String,
    pub default: u64,
    pub versions: Vec<TemplateVersion>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct TemplateVersion {
    pub data: Value,
    pub description: Option<String>,
    pub client_token: Option<String>,
}

/// A load balancer.
#[derive(Debug, Clone)]
pub struct Balancer {
    pub arn: String,
    pub name: String,
    /// `application` or `network`.
    pub kind: &'static str,
    pub scheme: &'static str,
    pub security_groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

/// A listener's default action or a rule: wherever traffic is sent on.
#[derive(Debug, Clone)]
pub struct Listener {
    pub arn: String,
    pub balancer: String,
    pub port: u16,
    pub protocol: String,
    pub actions: Vec<Value>,
    pub settings: Map<String, Value>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub arn: String,
    pub listener: String,
    pub priority: u32,
    pub conditions: Vec<Value>,
    pub actions: Vec<Value>,
    pub tags: BTreeMap<String, String>,
}

/// A target group.
#[derive(Debug, Clone)]
pub struct TargetGroup {
    pub arn: String,
    pub name: String,
    pub port: u16,
    /// Every setting, as it was given or by default.
    pub settings: Map<String, Value>,
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub targets: Vec<Target>,
}

/// What a check of a target found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Unused,
    Invalid,
    Initial,
    Healthy,
    Unhealthy,
}

/// One registered target.
#[derive(Debug, Clone)]
pub struct Target {
    pub id: String,
    pub port: u16,
    pub verdict: Verdict,
    /// Since when it is checked, or since when its checks say otherwise.
    pub turning: Option<Ms>,
    pub draining: Option<Ms>,
}

#[derive(Debug, Clone)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    /// Who may come in: a security group or a range, and from which to which port.
    pub ingress: Vec<(String, u16, u16)>,
}

/// A `CodeDeploy` deployment group.
#[derive(Debug, Clone)]
pub struct DeploymentGroup {
    pub id: String,
    pub application: String,
    pub name: String,
    /// Its settings, as the API gives them back.
    pub settings: Map<String, Value>,
    pub current: Option<Value>,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub now: Ms,
    pub started: Timestamp,
    pub settings: Settings,
    pub subnets: BTreeMap<String, String>,
    pub vpc: String,
    pub security_groups: BTreeMap<String, SecurityGroup>,
    pub templates: BTreeMap<String, Template>,
    pub instances: BTreeMap<String, Instance>,
    pub fleets: BTreeMap<String, Fleet>,
    pub balancers: Vec<Balancer>,
    pub listeners: Vec<Listener>,
    pub rules: Vec<Rule>,
    pub groups: BTreeMap<String, TargetGroup>,
    pub applications: BTreeSet<String>,
    pub deployment_groups: Vec<DeploymentGroup>,
    pub deployments: Vec<super::engine::Deployment>,
    /// Which revision, image, template version or instance fails its checks in which group; `*` is every group.
    pub sick: BTreeSet<(String, String)>,
    /// Which lifecycle event fails for which deployed revision.
    pub broken: BTreeSet<(String, String)>,
    /// By name.
    pub alarms: BTreeMap<String, super::cloudwatch::Alarm>,
    /// Actions that IAM's simulator denies to the role of the fake, and the path of that role.
    pub may_not: BTreeSet<String>,
    pub role_path: String,
    pub oracle: Oracle,
    pub last_id: u64,
}

impl World {
    pub fn new(settings: Settings, started: Timestamp) -> Self {
        Self {
            now: 0,
            started,
            settings,
            subnets: BTreeMap::new(),
            vpc: "vpc-0fa4e000000000001".to_owned(),
            security_groups: BTreeMap::new(),
            templates: BTreeMap::new(),
            instances: BTreeMap::new(),
            fleets: BTreeMap::new(),
            balancers: Vec::new(),
            listeners: Vec::new(),
            rules: Vec::new(),
            groups: BTreeMap::new(),
            applications: BTreeSet::new(),
            deployment_groups: Vec::new(),
            deployments: Vec::new(),
            sick: BTreeSet::new(),
            broken: BTreeSet::new(),
            alarms: BTreeMap::new(),
            may_not: BTreeSet::new(),
            role_path: "/".to_owned(),
            oracle: Oracle::default(),
            last_id: 0,
        }
    }

    /// A number that was never given out.
    pub fn fresh(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn at(&self, at: Ms) -> Timestamp {
        let since = SignedDuration::from_millis(i64::try_from(at).unwrap_or(i64::MAX));
        self.started.checked_add(since).unwrap_or(self.started)
    }

    /// A time as the Query protocols write it.
    pub fn iso(&self, at: Ms) -> Value {
        Value::String(format!("{:.3}", self.at(at)))
    }

    /// A time as JSON 1.1 writes it.
    pub fn epoch(&self, at: Ms) -> Value {
        let millis = self.at(at).as_millisecond();
        json!(Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64())
    }

    /// How many milliseconds this many seconds of a setting take.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "scaled time is rough"
    )]
    pub fn scaled(&self, seconds: u64) -> Ms {
        (seconds as f64 * self.settings.second) as Ms
    }

    /// Lets time run to `now`, in steps small enough that what follows from what comes in order.
    pub fn tick(&mut self, now: Ms) {
        while self.now < now {
            let step = (now - self.now).div_ceil(self.settings.steps).max(2);
            self.now = (self.now + step).min(now);
            self.settle();
            self.judge("time");
        }
    }

    /// What is due now happens.
    fn settle(&mut self) {
        self.settle_fleets();
        self.settle_deployments();
        // Last, so that a target shows at once what became of its instance.
        self.settle_targets();
    }

    pub fn group_by_name(&self, name: &str) -> Option<&TargetGroup> {
        self.groups.values().find(|group| group.name == name)
    }

    /// All instances of a fleet that are not gone.
    pub fn members(&self, fleet: &str) -> impl Iterator<Item = (&Instance, &Member)> {
        let of = move |instance: &'_ Instance| {
            instance.member.as_ref().is_some_and(|member| member.fleet == fleet)
        };
        self.instances.values().filter(move |i| of(i)).filter_map(|i| Some((i, i.member.as_ref()?)))
    }
}

pub fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
