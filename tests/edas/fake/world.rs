//! The state of the fake: plain values, changed only by calls, by time and by a test's own hands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::jobs::Job;
use super::kube::KubeApp;
use super::oracle::Oracle;
use super::orders::{Failure, Kind, Order};
use super::settings::Settings;

pub const ACCOUNT: &str = "1234567890123456";
pub const REGION: &str = "cn-hongkong";
pub const SHANGHAI: &str = "cn-shanghai";
pub const KEY_ID: &str = "LTAIfakefakefakefakefake";
pub const SECRET: &str = "fakesecretfortestsonly00000000";
pub const VPC: &str = "vpc-fa4e0000000000000001";
pub const DEFAULT_GROUP: &str = "_DEFAULT_GROUP";

/// Milliseconds since the fake started.
pub type Ms = u64;

/// Where everything of a region is that was put nowhere else.
fn zones(region: &str) -> [&'static str; 2] {
    if region == SHANGHAI { ["cn-shanghai-b", "cn-shanghai-c"] } else { ["cn-hongkong-b", "cn-hongkong-c"] }
}

/// An ECS instance.
#[derive(Debug, Clone)]
pub struct Host {
    pub id: String,
    pub ip: String,
    /// Further interfaces by their ids, with an address each.
    pub interfaces: Vec<(String, String)>,
    /// `Pending`, `Running`, `Stopped`; one that is released is gone.
    pub state: &'static str,
    pub launched: Ms,
    pub security_groups: Vec<String>,
    pub zone: &'static str,
    /// The launch template it was bought with, and whether scaling in releases it.
    pub template: Option<(String, String)>,
    pub release: bool,
}

/// A host as EDAS knows it.
#[derive(Debug, Clone)]
pub struct Ecu {
    pub id: String,
    pub host: String,
    /// Whether its agent answers.
    pub online: bool,
}

/// A host that runs one application.
#[derive(Debug, Clone)]
pub struct Ecc {
    pub id: String,
    pub ecu: String,
    pub app: String,
    pub group: String,
    pub runs: bool,
    /// 1 running, 2 ok, 3 failed.
    pub task: u8,
    /// The identity of a package.
    pub package: Option<String>,
    pub since: Ms,
}

/// What was deployed once.
#[derive(Debug, Clone)]
pub struct Package {
    pub id: String,
    pub version: String,
    pub url: String,
    pub at: Ms,
}

/// A subset of an application's instances.
#[derive(Debug, Clone)]
pub struct DeployGroup {
    pub id: String,
    pub name: String,
    pub package: Option<String>,
    /// The intranet and the internet vServer group that EDAS keeps in step with it, with their ports.
    pub bound: [Option<(String, u16)>; 2],
    /// Scaling rules by mode, as `GetScalingRules` names their fields.
    pub rules: BTreeMap<&'static str, Map<String, Value>>,
    pub created: Ms,
}

/// A whole application bound to a load balancer.
#[derive(Debug, Clone)]
pub struct Binding {
    pub balancer: String,
    pub port: Option<u16>,
    pub group: String,
}

#[derive(Debug, Clone)]
pub struct App {
    pub id: String,
    pub name: String,
    /// 2 of ECS instances, 5 Kubernetes.
    pub cluster_type: u64,
    pub port: u16,
    pub groups: Vec<DeployGroup>,
    pub packages: Vec<Package>,
    /// To the intranet and to the internet.
    pub bindings: [Option<Binding>; 2],
    pub tags: BTreeMap<String, String>,
}

/// Which product a load balancer or a group of servers belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Alb,
    Nlb,
    Clb,
}

/// A load balancer.
#[derive(Debug, Clone)]
pub struct Balancer {
    pub id: String,
    pub name: String,
    pub family: Family,
    pub address: String,
    /// `Internet` or `Intranet`.
    pub scheme: &'static str,
    /// Where it has nodes; a CLB has a first one and a second.
    pub zones: Vec<&'static str>,
    /// Whether nodes of an NLB send into other zones.
    pub cross_zone: bool,
    pub busy_until: Ms,
}

/// Groups with their weights.
pub type Shares = Vec<(String, u64)>;

#[derive(Debug, Clone)]
pub struct Listener {
    pub id: String,
    pub balancer: String,
    pub port: u16,
    pub protocol: String,
    /// Where the default action sends traffic.
    pub shares: Shares,
    /// What a job that runs makes of it, and when.
    pub wanted: Option<(Ms, Option<Shares>)>,
    /// CLB: every other setting, as it was given.
    pub settings: Map<String, Value>,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub listener: String,
    pub priority: u64,
    pub name: String,
    pub conditions: Vec<Value>,
    pub actions: Vec<Value>,
    pub shares: Shares,
    pub wanted: Option<(Ms, Option<Shares>)>,
    /// When it is gone.
    pub deleting: Option<Ms>,
}

/// What a check of a server found so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Unused,
    Unavailable,
    Initial,
    Healthy,
    Unhealthy,
}

/// Where a server is on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Adding,
    Available,
    Configuring,
    Removing,
}

#[derive(Debug, Clone)]
pub struct Server {
    /// An instance, or its address in a group of addresses.
    pub id: String,
    /// Of a CLB's default group the listener says it: 0.
    pub port: u16,
    pub weight: u64,
    pub kind: String,
    pub description: String,
    pub state: State,
    /// When this state ends.
    pub until: Ms,
    pub verdict: Verdict,
    pub turning: Option<Ms>,
}

/// A server group of an ALB or an NLB, a vServer group, or the default server group of a CLB.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub family: Family,
    /// The CLB that it belongs to.
    pub balancer: Option<String>,
    /// `Instance` or `Ip`.
    pub kind: String,
    pub protocol: String,
    /// The drain of its connections in seconds, where it is on.
    pub drain: Option<u64>,
    pub checked: bool,
    /// How it chooses among its servers; a CLB's listener says it.
    pub scheduler: &'static str,
    /// Whether nodes of an ALB send into other zones.
    pub cross_zone: bool,
    pub servers: Vec<Server>,
    pub busy_until: Ms,
    pub created: Ms,
    pub tags: BTreeMap<String, String>,
}

/// A scaling group of ESS.
#[derive(Debug, Clone)]
pub struct ScalingGroup {
    pub id: String,
    pub name: String,
    /// Hosts with their lifecycle states and whether they are protected.
    pub instances: BTreeMap<String, (String, bool)>,
    pub suspended: BTreeSet<String>,
    /// Declared groups, with port and weight; of a vServer group also its CLB.
    pub attached: Vec<Attached>,
    pub tags: BTreeMap<String, String>,
    pub activities: Vec<(String, Ms)>,
    /// Where it brings instances up.
    pub vswitches: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub group: String,
    pub family: Family,
    /// Whether it was attached by the operation for ALB alone.
    pub old: bool,
    pub port: u16,
    pub weight: u64,
}

/// A rule of a security group.
#[derive(Debug, Clone)]
pub struct Permission {
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    pub source: String,
    pub ports: (u16, u16),
    /// `Accept` or `Drop`.
    pub policy: &'static str,
    /// From 1 to 100; the lower is asked before, and of two with the same the one that drops.
    pub priority: u64,
}

#[derive(Debug, Clone)]
pub struct Template {
    pub id: String,
    pub default: u64,
    /// Whether each version names a vSwitch.
    pub versions: Vec<bool>,
    /// Which one.
    pub vswitch: &'static str,
}

/// Credentials for a while.
#[derive(Debug, Clone)]
pub struct Session {
    pub key: String,
    pub secret: String,
    pub token: String,
}

/// Everything there is.
#[derive(Debug, Clone)]
pub struct World {
    pub now: Ms,
    pub started: Timestamp,
    pub settings: Settings,
    pub cluster: String,
    pub hosts: BTreeMap<String, Host>,
    pub ecus: Vec<Ecu>,
    pub eccs: Vec<Ecc>,
    pub apps: Vec<App>,
    pub orders: Vec<Order>,
    /// Applications on Kubernetes, and the Ingresses of their cluster.
    pub kube: Vec<KubeApp>,
    pub ingresses: Vec<Value>,
    pub balancers: Vec<Balancer>,
    pub listeners: Vec<Listener>,
    pub rules: Vec<Rule>,
    pub groups: BTreeMap<String, Group>,
    pub jobs: Vec<Job>,
    pub scaling_groups: Vec<ScalingGroup>,
    /// Who may come in, and who may not.
    pub security_groups: BTreeMap<String, Vec<Permission>>,
    /// The zone of the vSwitch that launch templates name.
    pub vswitch_zone: &'static str,
    pub templates: BTreeMap<String, Template>,
    pub sessions: Vec<Session>,
    /// Which package version or instance fails its checks in which group, by its name; `*` is every group.
    pub sick: BTreeSet<(String, String)>,
    /// What will become of the next change order of a kind.
    pub failures: Vec<(Kind, Failure)>,
    /// Operations that EDAS will refuse inside a body, once each, with a code and a message.
    pub refusals: Vec<(String, u64, String)>,
    /// Instances that are gone right behind the next answer of an operation, once each.
    pub leavers: Vec<(String, String)>,
    /// Instances that ECS does not name.
    pub hidden: BTreeSet<String>,
    /// Jobs that will fail, once each, by operation, with an error code.
    pub failing_jobs: Vec<(String, String)>,
    /// Answers by operation and client token, with what was asked for.
    pub answers: BTreeMap<(String, String), (Value, Value)>,
    pub oracle: Oracle,
    pub last_id: u64,
    /// Whether a call or a test's own hand has changed something since time last looked at everything.
    pub stirred: bool,
}

impl World {
    pub fn new(settings: Settings, started: Timestamp) -> Self {
        let [vswitch_zone, _] = zones(settings.region);
        Self {
            now: 0,
            started,
            settings,
            cluster: "fa4ec105-0000-4000-8000-000000000001".to_owned(),
            hosts: BTreeMap::new(),
            ecus: Vec::new(),
            eccs: Vec::new(),
            apps: Vec::new(),
            orders: Vec::new(),
            kube: Vec::new(),
            ingresses: Vec::new(),
            balancers: Vec::new(),
            listeners: Vec::new(),
            rules: Vec::new(),
            groups: BTreeMap::new(),
            jobs: Vec::new(),
            scaling_groups: Vec::new(),
            security_groups: BTreeMap::new(),
            vswitch_zone,
            templates: BTreeMap::new(),
            sessions: Vec::new(),
            sick: BTreeSet::new(),
            failures: Vec::new(),
            refusals: Vec::new(),
            leavers: Vec::new(),
            hidden: BTreeSet::new(),
            failing_jobs: Vec::new(),
            answers: BTreeMap::new(),
            oracle: Oracle::default(),
            last_id: 0,
            stirred: false,
        }
    }

    /// Where everything is that was put nowhere else.
    pub fn zones(&self) -> [&'static str; 2] {
        zones(self.settings.region)
    }

    /// A number that was never given out.
    pub fn fresh(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An identity as EDAS writes them.
    pub fn uuid(&mut self) -> String {
        format!("{:08x}-fa4e-4000-8000-0123456789ab", self.fresh())
    }

    fn at(&self, at: Ms) -> Timestamp {
        let since = SignedDuration::from_millis(i64::try_from(at).unwrap_or(i64::MAX));
        self.started.checked_add(since).unwrap_or(self.started)
    }

    /// A time as the RPC products write it.
    pub fn iso(&self, at: Ms) -> Value {
        json!(self.at(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// A time as EDAS writes it in change orders: to the second, and a second of a setting is one, so that two orders
    /// are as far apart as they would be.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "as below"
    )]
    pub fn spoken(&self, at: Ms) -> Value {
        let scaled = (at as f64 / self.settings.second.max(0.001) * 1000.0) as Ms;
        json!(self.at(scaled).strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// A time as EDAS writes it elsewhere.
    pub fn epoch(&self, at: Ms) -> Value {
        json!(self.at(at).as_millisecond())
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

    /// Lets time run to `now`, from one thing that happens to the next, and in steps small enough that what follows from
    /// what comes in order.
    pub fn tick(&mut self, now: Ms) {
        while self.now < now {
            let step = (now - self.now).div_ceil(200).max(2);
            let Some(due) = self.due().filter(|due| *due <= now) else {
                self.now = now;
                return;
            };
            self.now = (self.now + step).max(due).min(now);
            self.settle();
            self.judge("time");
        }
    }

    /// What is due now happens.
    fn settle(&mut self) {
        self.stirred = false;
        for host in self.hosts.values_mut().filter(|host| host.state == "Pending") {
            if self.now >= host.launched.saturating_add(self.settings.launch) {
                host.state = "Running";
            }
        }
        self.settle_orders();
        self.settle_kube();
        self.settle_routes();
        // Last, so that a server shows at once what became of its instance.
        self.settle_servers();
    }

    /// What writes have brought about where a job was to do it.
    fn settle_routes(&mut self) {
        let now = self.now;
        self.rules.retain(|rule| rule.deleting.is_none_or(|at| now < at));
        let rules = self.rules.iter_mut().map(|rule| (&mut rule.shares, &mut rule.wanted));
        let listeners =
            self.listeners.iter_mut().map(|listener| (&mut listener.shares, &mut listener.wanted));
        for (shares, wanted) in rules.chain(listeners) {
            if let Some((_, new)) = wanted.take_if(|(at, _)| now >= *at) {
                *shares = new.unwrap_or_else(|| shares.clone());
            }
        }
    }

    pub fn app(&self, id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub fn app_mut(&mut self, id: &str) -> Option<&mut App> {
        self.apps.iter_mut().find(|app| app.id == id)
    }

    pub fn ecu(&self, id: &str) -> Option<&Ecu> {
        self.ecus.iter().find(|ecu| ecu.id == id)
    }

    pub fn host_of(&self, ecc: &Ecc) -> Option<&Host> {
        self.hosts.get(&self.ecu(&ecc.ecu)?.host)
    }

    /// The instance of EDAS that runs on a host.
    pub fn ecc_on(&self, host: &str) -> Option<&Ecc> {
        let ecu = self.ecus.iter().find(|ecu| ecu.host == host)?;
        self.eccs.iter().find(|ecc| ecc.ecu == ecu.id)
    }

    pub fn balancer(&self, id: &str) -> Option<&Balancer> {
        self.balancers.iter().find(|balancer| balancer.id == id)
    }

    pub fn listener_named(&self, id: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.id == id)
    }

    pub fn group_by_name(&self, name: &str) -> Option<&Group> {
        self.groups.values().find(|group| group.name == name)
    }
}

impl App {
    pub fn group(&self, id: &str) -> Option<&DeployGroup> {
        self.groups.iter().find(|group| group.id == id)
    }

    pub fn group_named(&self, name: &str) -> Option<&DeployGroup> {
        self.groups.iter().find(|group| group.name == name)
    }

    pub fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }
}

pub fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
