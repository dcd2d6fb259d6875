//! The simulated cloud, in virtual time.

use deployer::cloud::sim::{Oracle, Outside, SimCloud, SimGroup, Trouble, World};
use deployer::drive::Clock;
use deployer::model::{Fleet, FleetId, GroupId, Scaling, Sharing, Span, Steps, Time};

use crate::harness::{Given, Hand, Harness, Mishap, Ways};

const START: Time = Time(1_000_000_000_000);
const LAUNCH: Span = Span::secs(20);
const INTERVAL: Span = Span::secs(10);
const DELAY: Span = Span::secs(30);

pub struct Sim {
    cloud: SimCloud,
    clock: Clock,
    given: Given,
}

impl Harness for Sim {
    type Backend = SimCloud;

    fn run(sentence: impl AsyncFnOnce(Self) + Send) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let given = given();
            let mut world = world(&given);
            // Blue has served for long.
            world.tick(START);
            let oracle = Oracle::new(world.clone(), Some(given.blue.id.clone()), given.green.id.clone());
            let cloud = SimCloud::new(world, oracle, 1, [].into(), Vec::new());
            sentence(Self { cloud, clock: Clock::starting(START), given }).await;
        });
    }

    fn backend(&self) -> &SimCloud {
        &self.cloud
    }

    fn given(&self) -> &Given {
        &self.given
    }

    fn ways(&self) -> Ways {
        Ways {
            pace: Span::secs(1),
            patience: Span::mins(10),
            verdict_min: INTERVAL,
            lingers: true,
            drops_targets: true,
            ill_in_one_group: true,
            one_call_a_change: true,
            divides: true,
            proves: true,
            joins: true,
            mishaps: &[Mishap::Throttled, Mishap::Lost, Mishap::ReplyLost],
        }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn by_hand(&self, hand: Hand) {
        let revision = |fleet: &FleetId| self.cloud.world().0.fleets[fleet].revision.clone();
        self.cloud.happen(&match hand {
            Hand::Attach(fleet, group) => Outside::Attach(fleet, group),
            Hand::Sicken(fleet, group) => Outside::Sicken(group, revision(&fleet)),
            Hand::Recover(fleet, group) => Outside::Recover(group, revision(&fleet)),
            Hand::Drop(fleet, group) => Outside::Drop(fleet, group),
            Hand::Kill(fleet, instance) => {
                assert_eq!(self.cloud.world().0.fleets[&fleet].instances.keys().next(), Some(&instance));
                Outside::Kill(fleet)
            }
        });
    }

    async fn next_change_meets(&self, mishap: Mishap) {
        self.cloud.meet(match mishap {
            Mishap::Throttled => Trouble::Throttle,
            Mishap::Lost => Trouble::Unreachable,
            Mishap::ReplyLost => Trouble::LostReply,
        });
    }

    async fn calm(&self) {
        self.cloud.calm();
    }
}

fn given() -> Given {
    let group = |name: &str| GroupId::new(name).unwrap();
    let fleet = |id: &str, revision: &str| Fleet {
        id: FleetId::new(id).unwrap(),
        revision: revision.parse().unwrap(),
        size: 2,
    };
    Given {
        service: "api".parse().unwrap(),
        blue: fleet("api-1", "r1"),
        green: fleet("api-2", "r2"),
        ill: fleet("api-2", "ill"),
        paired: [group("internal"), group("public")],
        shared: Some(group("stream")),
        whole: Some(group("switch")),
        stranger: group("stranger"),
    }
}

fn world(given: &Given) -> World {
    let mut world = World::new(Time(START.0 - Span::mins(60).0), LAUNCH);
    world.found(&given.blue.id, &given.blue.revision, given.blue.size, Scaling::Active);
    world.tick(world.now);
    for id in given.declared().iter().chain([&given.stranger]) {
        let shared = given.shared.as_ref() == Some(id);
        let whole = shared || given.whole.as_ref() == Some(id);
        let sharing = if shared { Sharing::Shared } else { Sharing::Paired };
        let steps = if whole { Steps::AllOrNothing } else { Steps::Any };
        let mut built = SimGroup::new(sharing, steps, &format!("listener {id}:443"));
        (built.health_interval, built.deregistration_delay) = (INTERVAL, DELAY);
        world.build(id, built);
        if *id != given.stranger {
            world.attach(&given.blue.id, id);
        }
    }
    world.sicken(&given.paired[0], &given.ill.revision);
    world
}
