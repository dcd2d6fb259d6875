//! Alibaba Cloud as it is spoken on the wire: the product's own client against a fake on a loopback port.

use std::time::SystemTime;

use deployer::cloud::edas::{EdasBackend, Over};
use deployer::model::{Fleet, FleetId, GroupId, Revision, Span, Time};
use deployer::spec::{DeployGroups, EdasFleets, EdasGroup, EdasServers, EdasSpec, Hosts, ShareBy};

use crate::edas_fake::{ACCOUNT, Fake, Fault, GroupOptions, KEY_ID, On, REGION, SECRET, Settings, World};
use crate::harness::{Given, Hand, Harness, Mishap, Ways};
use crate::story;

/// Calls that change something, as far as a change of the port makes them.
pub const CHANGING: [&str; 27] = [
    "AddServersToServerGroup",
    "CreateRule",
    "CreateRules",
    "DeleteRule",
    "DeleteRules",
    "DeployApplication",
    "DeployK8sApplication",
    "DisableApplicationScalingRule",
    "EnableApplicationScalingRule",
    "InsertDeployGroup",
    "ModifyScalingRule",
    "RemoveServersFromServerGroup",
    "ScaleInApplication",
    "ScaleK8sApplication",
    "ScaleOutApplication",
    "ScaleoutApplicationWithNewInstances",
    "SetLoadBalancerHTTPListenerAttribute",
    "SetLoadBalancerHTTPSListenerAttribute",
    "SetLoadBalancerTCPListenerAttribute",
    "SetRule",
    "SetVServerGroupAttribute",
    "TagResources",
    "UnTagResources",
    "UntagResources",
    "UpdateListenerAttribute",
    "UpdateRuleAttribute",
    "UpdateServerGroupServersAttribute",
];
/// Milliseconds until a server is judged.
pub const JUDGED: u64 = 60;
/// Seconds of a drain, each of which takes a millisecond here.
const DRAIN_SECS: u64 = 1500;
pub const PORT: u16 = 8080;
pub const STACK: usize = 16 << 20;

/// Every reading comes so many milliseconds late.
pub struct Edas<const LAG: u64 = 0> {
    backend: EdasBackend,
    fake: Fake,
    given: Given,
    app: String,
    spec: EdasSpec,
}

impl<const LAG: u64> Harness for Edas<LAG> {
    type Backend = EdasBackend;

    fn run(sentence: impl AsyncFnOnce(Self) + Send) {
        let roomy = std::thread::Builder::new().stack_size(STACK);
        let outcome =
            std::thread::scope(|scope| roomy.spawn_scoped(scope, || run_here(sentence)).unwrap().join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn backend(&self) -> &EdasBackend {
        &self.backend
    }

    fn given(&self) -> &Given {
        &self.given
    }

    fn ways(&self) -> Ways {
        Ways {
            pace: Span(20),
            patience: Span::secs(40),
            verdict_min: Span(JUDGED - 1),
            lingers: true,
            drops_targets: true,
            ill_in_one_group: true,
            // Several calls make one change: what a lost one leaves behind is a part of it.
            one_call_a_change: false,
            divides: true,
            proves: true,
            // EDAS knows nothing of the server groups of ALB and NLB.
            joins: false,
            mishaps: &[Mishap::Throttled, Mishap::Lost, Mishap::ReplyLost],
        }
    }

    #[expect(clippy::disallowed_methods, reason = "looks have the time of this host")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time(u64::try_from(since.as_millis()).unwrap())
    }

    async fn by_hand(&self, hand: Hand) {
        self.fake.world(|world| match hand {
            // As somebody does it in the console.
            Hand::Attach(fleet, group) => {
                for host in world.running(&self.app, fleet.as_str(), None) {
                    world.add(group.as_str(), &host, PORT);
                }
            }
            Hand::Sicken(fleet, group) => {
                let revision = self.revision(&fleet);
                for name in names(&group) {
                    world.sicken(&name, revision.as_str());
                }
            }
            Hand::Recover(fleet, group) => {
                let revision = self.revision(&fleet);
                for name in names(&group) {
                    world.recover(&name, revision.as_str());
                }
            }
            Hand::Drop(fleet, group) => {
                let hosts = world.running(&self.app, fleet.as_str(), None);
                for id in self.spec.groups[&group].servers.ids() {
                    let victim = hosts.iter().find(|host| world.stands(id, host)).cloned();
                    if let Some(host) = victim {
                        world.remove(id, &host);
                    }
                }
            }
            Hand::Kill(fleet, instance) => self.replace(world, &fleet, instance.as_str()),
        });
    }

    async fn next_change_meets(&self, mishap: Mishap) {
        let fault = match mishap {
            Mishap::Throttled => Fault::Throttle,
            Mishap::Lost => Fault::Reset,
            Mishap::ReplyLost => Fault::LostReply,
        };
        for action in CHANGING {
            self.fake.fail(On::call(action), fault);
        }
    }

    async fn calm(&self) {
        self.fake.heal();
    }
}

fn run_here<const LAG: u64>(sentence: impl AsyncFnOnce(Edas<LAG>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings { health_after: JUDGED, lag: LAG, ..Settings::default() };
        let fake = Fake::start(settings);
        let (given, spec, app) = fake.world(build);
        let over = Over { endpoint: fake.url(), id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        let backend = EdasBackend::new(given.service.clone(), spec.clone()).over(over);
        let edas = Edas::<LAG> { backend, fake, given, app, spec };
        let (blue, declared) = (edas.given.blue.clone(), edas.given.declared());
        Box::pin(story::until(&edas, "blue serves", |seen| story::well(seen, &blue, &declared))).await;
        sentence(edas).await;
    });
}

impl<const LAG: u64> Edas<LAG> {
    fn revision(&self, fleet: &FleetId) -> Revision {
        let known = [&self.given.blue, &self.given.green];
        known.into_iter().find(|known| known.id == *fleet).unwrap().revision.clone()
    }

    /// An instance is released, which takes it out of every group, and somebody brings another one up in its place.
    fn replace(&self, world: &mut World, fleet: &FleetId, instance: &str) {
        let groups: Vec<String> = world.groups.keys().cloned().collect();
        for group in groups {
            let own = world.groups.get_mut(&group).unwrap();
            own.servers.retain(|server| server.id != instance);
        }
        world.kill(instance, "released");
        let revision = self.revision(fleet);
        world.deployed(&self.app, fleet.as_str(), revision.as_str(), 1);
    }
}

pub fn fleet(id: &str, revision: &str) -> Fleet {
    Fleet { id: FleetId::new(id).unwrap(), revision: revision.parse().unwrap(), size: 2 }
}

pub fn declared(servers: EdasServers) -> EdasGroup {
    EdasGroup { port: PORT, servers, by: ShareBy::Membership, accepts_unproved: false, accepts_whole: false }
}

/// The names of the server groups behind a paired group.
pub fn names(group: &GroupId) -> [String; 2] {
    ["a", "b"].map(|side| format!("{group}-{side}"))
}

/// Version 1 runs in one deploy group, behind rules of an ALB with twins, a default action with twins, and an NLB.
fn build(world: &mut World) -> (Given, EdasSpec, String) {
    let (blue, green, ill) = (fleet("blue", "1"), fleet("green", "2"), fleet("green", "3"));
    let paired = ["internal", "public"].map(|name| GroupId::new(name).unwrap());
    let (shared, whole) = (GroupId::new("stream").unwrap(), GroupId::new("whole").unwrap());
    let app = world.application("api", PORT);
    world.deploy_group(&app, blue.id.as_str());
    let hosts = world.deployed(&app, blue.id.as_str(), blue.revision.as_str(), 2);
    world.scaling_rules(&app, blue.id.as_str(), true, true);
    world.launch_template("lt-1", &[true]);
    let http = GroupOptions { drain: Some(DRAIN_SECS), ..GroupOptions::default() };
    let tcp = GroupOptions { protocol: "TCP", ..http.clone() };
    let (alb, nlb) = (world.alb("edge"), world.nlb("inner"));
    let mut groups = Vec::new();
    for (port, id) in (8000_u16..).zip(&paired) {
        let twins = names(id).map(|name| world.alb_group(&name, &http));
        let spare = world.alb_group(&format!("spare-{id}"), &http);
        let listener = world.listener(&alb, port, &spare);
        world.rule(&listener, 10, &[(&twins[0], 100), (&twins[1], 0)]);
        groups.push((id.clone(), EdasServers::AlbTwins(twins)));
    }
    let twins = names(&whole).map(|name| world.alb_group(&name, &http));
    world.listener(&alb, 8090, &twins[0]);
    groups.push((whole.clone(), EdasServers::AlbTwins(twins)));
    let stream = world.nlb_group(shared.as_str(), &tcp);
    world.listener(&nlb, 9000, &stream);
    groups.push((shared.clone(), EdasServers::Nlb(stream)));
    for host in &hosts {
        for (_, servers) in &groups {
            world.stand(&servers.ids()[0], host, PORT, 100);
        }
    }
    let stranger = world.alb_group("stranger", &http);
    world.listener(&alb, 8100, &stranger);
    for name in names(&paired[0]) {
        world.sicken(&name, ill.revision.as_str());
    }
    let spec = EdasSpec {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        fleets: EdasFleets::Groups(DeployGroups {
            application: app.clone(),
            pair: [&blue, &green].map(|fleet| fleet.id.to_string()),
            hosts: Hosts::Template { id: "lt-1".to_owned(), version: None },
            package: "https://bucket.oss-cn-hongkong.aliyuncs.com/api-{revision}.jar".to_owned(),
        }),
        call_timeout: Span::secs(3),
        pace: Span(20),
        groups: groups.into_iter().map(|(id, servers)| (id, declared(servers))).collect(),
    };
    let given = Given {
        service: "api".parse().unwrap(),
        blue,
        green,
        ill,
        paired,
        shared: Some(shared),
        whole: Some(whole),
        stranger: GroupId::new(stranger).unwrap(),
    };
    (given, spec, app)
}
