//! Alibaba Cloud as it is spoken on the wire, with two applications on Kubernetes as fleets: the cluster fills the groups.

use std::marker::PhantomData;
use std::time::SystemTime;

use deployer::cloud::edas::{EdasBackend, Over};
use deployer::model::{FleetId, GroupId, Revision, Span, Time};
use deployer::spec::{EdasFleets, EdasServers, EdasSpec, Kubernetes};

use crate::edas::{CHANGING, JUDGED, PORT, STACK, declared, fleet, names};
use crate::edas_fake::{ACCOUNT, Fake, Fault, GroupOptions, KEY_ID, On, REGION, SECRET, Settings, World};
use crate::harness::{Given, Hand, Harness, Mishap, Ways};
use crate::story;

/// Seconds of a drain: pods stay where they stand, so whoever looks waits them out by a real clock.
const DRAIN_SECS: u64 = 1;

/// What stands before the two applications.
pub trait Front {
    /// Whether its routes divide their traffic.
    const DIVIDES: bool;
    /// Whether a twin that carries nothing is checked.
    const PROVES: bool;

    /// The balancers that all the groups are behind.
    fn balancer(world: &mut World) -> String;

    /// Twins by these names behind a route of their own at this port, which leads to the first; `whole` where the route is to
    /// take all or nothing.
    fn twins(world: &mut World, balancer: &str, place: (u16, bool), names: [String; 2]) -> [String; 2];

    /// How the file names them.
    fn declared(twins: [String; 2]) -> EdasServers;
}

/// Rules of an ALB, and a default action.
pub struct Alb;
/// Listeners of an NLB: nobody checks a twin that none of them leads to.
pub struct Nlb;
/// Listeners and rules of a CLB that take requests: each twin is checked by a rule of its own.
pub struct Clb;

impl Front for Alb {
    const DIVIDES: bool = true;
    const PROVES: bool = true;

    fn balancer(world: &mut World) -> String {
        world.alb("edge")
    }

    fn twins(
        world: &mut World,
        balancer: &str,
        (port, whole): (u16, bool),
        names: [String; 2],
    ) -> [String; 2] {
        let twins = names.map(|name| world.alb_group(&name, &options("HTTP")));
        if whole {
            world.listener(balancer, port, &twins[0]);
            return twins;
        }
        let spare = world.alb_group(&format!("spare-{port}"), &options("HTTP"));
        let listener = world.listener(balancer, port, &spare);
        world.rule(&listener, 10, &[(&twins[0], 100), (&twins[1], 0)]);
        twins
    }

    fn declared(twins: [String; 2]) -> EdasServers {
        EdasServers::AlbTwins(twins)
    }
}

impl Front for Nlb {
    const DIVIDES: bool = false;
    const PROVES: bool = false;

    fn balancer(world: &mut World) -> String {
        world.nlb("inner")
    }

    fn twins(world: &mut World, balancer: &str, (port, _): (u16, bool), names: [String; 2]) -> [String; 2] {
        let twins = names.map(|name| world.nlb_group(&name, &options("TCP")));
        world.listener(balancer, port, &twins[0]);
        twins
    }

    fn declared(twins: [String; 2]) -> EdasServers {
        EdasServers::NlbTwins(twins)
    }
}

impl Front for Clb {
    const DIVIDES: bool = false;
    const PROVES: bool = true;

    fn balancer(world: &mut World) -> String {
        world.clb("old")
    }

    fn twins(
        world: &mut World,
        balancer: &str,
        (port, whole): (u16, bool),
        names: [String; 2],
    ) -> [String; 2] {
        let twins = names.map(|name| world.vserver_group(balancer, &name));
        if whole {
            world.clb_listener(balancer, "https", port, Some(&twins[0]));
        } else {
            let listener = world.clb_listener(balancer, "http", port, None);
            world.rule(&listener, 0, &[(&twins[0], 100)]);
        }
        twins
    }

    fn declared(twins: [String; 2]) -> EdasServers {
        EdasServers::ClbTwins(twins)
    }
}

fn options(protocol: &'static str) -> GroupOptions {
    GroupOptions { kind: "Ip", drain: Some(DRAIN_SECS), protocol, ..GroupOptions::default() }
}

pub struct EdasKube<F> {
    backend: EdasBackend,
    fake: Fake,
    given: Given,
    /// The ids of the two applications.
    apps: [String; 2],
    front: PhantomData<F>,
}

impl<F: Front> Harness for EdasKube<F> {
    type Backend = EdasBackend;

    fn run(sentence: impl AsyncFnOnce(Self) + Send) {
        let roomy = std::thread::Builder::new().stack_size(STACK);
        let outcome =
            std::thread::scope(|scope| roomy.spawn_scoped(scope, || run_here::<F>(sentence)).unwrap().join());
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
            // The cluster would put it in again.
            drops_targets: false,
            ill_in_one_group: true,
            one_call_a_change: false,
            divides: F::DIVIDES,
            proves: F::PROVES,
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
        self.fake.world(|world| match hand {
            // As another Service does it.
            Hand::Attach(fleet, group) => {
                for pod in world.pods(self.app(&fleet)) {
                    let address = world.hosts[&pod].ip.clone();
                    world.add(group.as_str(), &address, PORT);
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
            Hand::Drop(..) => unreachable!("nobody takes a pod out of a group that the cluster fills"),
            Hand::Kill(fleet, pod) => world.evict(self.app(&fleet), pod.as_str()),
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

impl<F> EdasKube<F> {
    fn app(&self, fleet: &FleetId) -> &str {
        &self.apps[usize::from(*fleet != self.given.blue.id)]
    }

    fn revision(&self, fleet: &FleetId) -> Revision {
        let known = [&self.given.blue, &self.given.green];
        known.into_iter().find(|known| known.id == *fleet).unwrap().revision.clone()
    }
}

fn run_here<F: Front>(sentence: impl AsyncFnOnce(EdasKube<F>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings { health_after: JUDGED, ..Settings::default() };
        let fake = Fake::start(settings);
        let (given, spec, apps) = fake.world(build::<F>);
        let over = Over { endpoint: fake.url(), id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        let backend = EdasBackend::new(given.service.clone(), spec).over(over);
        let edas = EdasKube { backend, fake, given, apps, front: PhantomData::<F> };
        let (blue, declared) = (edas.given.blue.clone(), edas.given.declared());
        Box::pin(story::until(&edas, "blue serves", |seen| story::well(seen, &blue, &declared))).await;
        sentence(edas).await;
    });
}

/// Version 1 runs in one application, behind twins of what stands before it, and one of them takes all or nothing.
fn build<F: Front>(world: &mut World) -> (Given, EdasSpec, [String; 2]) {
    let (blue, green, ill) = (fleet("blue", "1"), fleet("green", "2"), fleet("green", "3"));
    let paired = ["internal", "public"].map(|name| GroupId::new(name).unwrap());
    let whole = GroupId::new("whole").unwrap();
    let balancer = F::balancer(world);
    let mut groups = Vec::new();
    for (port, id) in (8000_u16..).zip(paired.iter().chain([&whole])) {
        groups.push((id.clone(), F::twins(world, &balancer, (port, *id == whole), names(id))));
    }
    let edge = world.alb("another");
    let stranger = world.alb_group("stranger", &options("HTTP"));
    world.listener(&edge, 8100, &stranger);
    for name in names(&paired[0]) {
        world.sicken(&name, ill.revision.as_str());
    }
    let image = "cr.example.com/shop/api:{revision}";
    let apps = [(&blue, 0, 2), (&green, 1, 0)].map(|(fleet, side, pods)| {
        let keeps: Vec<(&str, u16)> = groups.iter().map(|(_, twins)| (twins[side].as_str(), PORT)).collect();
        let image = image.replace("{revision}", "1");
        let id = world.kube_app(fleet.id.as_str(), &image, pods, &keeps);
        world.kube_of(&id).unwrap().rules =
            [("by-cpu".to_owned(), true), ("by-night".to_owned(), false)].into();
        id
    });
    let spec = EdasSpec {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        fleets: EdasFleets::Kubernetes(Kubernetes {
            applications: [&blue, &green].map(|fleet| fleet.id.to_string()),
            image: image.to_owned(),
            nodes_serve_others: false,
        }),
        call_timeout: Span::secs(3),
        pace: Span(20),
        groups: groups.into_iter().map(|(id, twins)| (id, declared(F::declared(twins)))).collect(),
    };
    let given = Given {
        service: "api".parse().unwrap(),
        blue,
        green,
        ill,
        paired,
        shared: None,
        whole: Some(whole),
        stranger: GroupId::new(stranger).unwrap(),
    };
    (given, spec, apps)
}
