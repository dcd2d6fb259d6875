//! Alibaba Cloud as it is spoken on the wire, with two applications on Kubernetes as fleets: the cluster fills the groups.

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

pub struct EdasKube {
    backend: EdasBackend,
    fake: Fake,
    given: Given,
    /// The ids of the two applications.
    apps: [String; 2],
}

impl Harness for EdasKube {
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
            // The cluster would put it in again.
            drops_targets: false,
            ill_in_one_group: true,
            one_call_a_change: false,
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

impl EdasKube {
    fn app(&self, fleet: &FleetId) -> &str {
        &self.apps[usize::from(*fleet != self.given.blue.id)]
    }

    fn revision(&self, fleet: &FleetId) -> Revision {
        let known = [&self.given.blue, &self.given.green];
        known.into_iter().find(|known| known.id == *fleet).unwrap().revision.clone()
    }
}

fn run_here(sentence: impl AsyncFnOnce(EdasKube)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings { health_after: JUDGED, ..Settings::default() };
        let fake = Fake::start(settings);
        let (given, spec, apps) = fake.world(build);
        let over = Over { endpoint: fake.url(), id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        let backend = EdasBackend::new(given.service.clone(), spec).over(over);
        let edas = EdasKube { backend, fake, given, apps };
        let (blue, declared) = (edas.given.blue.clone(), edas.given.declared());
        Box::pin(story::until(&edas, "blue serves", |seen| story::well(seen, &blue, &declared))).await;
        sentence(edas).await;
    });
}

/// Version 1 runs in one application, behind rules of an ALB with twins and a default action with twins.
fn build(world: &mut World) -> (Given, EdasSpec, [String; 2]) {
    let (blue, green, ill) = (fleet("blue", "1"), fleet("green", "2"), fleet("green", "3"));
    let paired = ["internal", "public"].map(|name| GroupId::new(name).unwrap());
    let whole = GroupId::new("whole").unwrap();
    let http = GroupOptions { kind: "Ip", drain: Some(DRAIN_SECS), ..GroupOptions::default() };
    let alb = world.alb("edge");
    let mut groups = Vec::new();
    for (port, id) in (8000_u16..).zip(&paired) {
        let twins = names(id).map(|name| world.alb_group(&name, &http));
        let spare = world.alb_group(&format!("spare-{id}"), &http);
        let listener = world.listener(&alb, port, &spare);
        world.rule(&listener, 10, &[(&twins[0], 100), (&twins[1], 0)]);
        groups.push((id.clone(), twins));
    }
    let twins = names(&whole).map(|name| world.alb_group(&name, &http));
    world.listener(&alb, 8090, &twins[0]);
    groups.push((whole.clone(), twins));
    let stranger = world.alb_group("stranger", &http);
    world.listener(&alb, 8100, &stranger);
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
        groups: groups.into_iter().map(|(id, twins)| (id, declared(EdasServers::AlbTwins(twins)))).collect(),
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
