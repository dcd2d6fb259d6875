//! Plans and worlds for tests.
#![expect(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

use deployer::cloud::Scope;
use deployer::cloud::sim::{SimGroup, World};
use deployer::model::{
    Because, Deadlines, Fleet, FleetId, GroupId, GroupPlan, Hold, Inventory, OnDeadline, PLAN_FORMAT, Pace,
    Plan, Purpose, Revision, RolloutId, Scaling, Share, Sharing, Span, Step, Steps, Time,
};
use deployer::rollout::{Actor, Event, Recorded, Rollout};

pub const NOW: Time = Time(1_000_000_000_000);
pub const LANDS: Span = Span::secs(60);
pub const DEADLINE: Span = Span::mins(60);

pub fn blue() -> FleetId {
    FleetId::new("api-1").unwrap()
}

pub fn green() -> FleetId {
    FleetId::new("api-2").unwrap()
}

pub fn old() -> Revision {
    Revision::new("r1").unwrap()
}

pub fn new() -> Revision {
    Revision::new("r2").unwrap()
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

pub fn share(percent: u64) -> Share {
    Share::new(percent).unwrap()
}

pub fn actor(nonce: &str) -> Actor {
    Actor { user: "eve".into(), host: "runner".into(), pid: 1, run_url: None, nonce: nonce.into() }
}

/// A world in which blue runs with one instance and no group.
pub fn world_with_blue(size: u32) -> World {
    let mut world = World::new(NOW, Span::ZERO);
    world.found(&blue(), &old(), size, Scaling::Active);
    world
}

/// A group that blue carries.
pub fn served(world: &mut World, name: &str, sharing: Sharing, steps: Steps) {
    let id = group(name);
    world.build(&id, SimGroup::new(sharing, steps, &format!("listener {name}:443")));
    world.attach(&blue(), &id);
}

/// A plan for the groups of the world that it names; blue stands in those where the world says so.
pub fn plan(world: &World, named: &[&str]) -> Plan {
    let groups = named.iter().map(|name| {
        let id = group(name);
        let known = world.groups.get(&id);
        let mut because = BTreeSet::from([Because::Declared]);
        if known.is_some_and(|group| group.stands(&blue())) {
            because.insert(Because::BlueStands);
        }
        let (sharing, steps) =
            known.map_or((Sharing::Paired, Steps::Any), |group| (group.sharing, group.steps));
        (id, GroupPlan { because, sharing, steps })
    });
    let seen = world.fleets.get(&blue());
    let size = seen.map_or(1, |fleet| fleet.desired);
    Plan {
        format: PLAN_FORMAT,
        rollout: RolloutId {
            service: "api".parse().unwrap(),
            environment: "sim".parse().unwrap(),
            number: 2,
        },
        purpose: Purpose::Deploy,
        strategy: "bluegreen".parse().unwrap(),
        blue: seen.map(|fleet| Fleet { id: blue(), revision: fleet.revision.clone(), size }),
        green: Fleet { id: green(), revision: new(), size },
        groups: groups.collect(),
        steps: [50, 100].map(|percent| Step { share: share(percent), hold: Hold::For(Span::ZERO) }).to_vec(),
        settle: Span::ZERO,
        bake: Hold::For(Span::ZERO),
        quiet: Span::ZERO,
        min_healthy: Share::ALL,
        freeze: true,
        deadlines: deadlines(),
        pace: Pace { soon: Span::secs(1), watch: Span::secs(10), fresh: Span::secs(30), lands: LANDS },
        expect: deployer::model::Expect::default(),
        waivers: Vec::new(),
        world: "digest".into(),
        release: None,
        home: std::collections::BTreeMap::new(),
    }
}

pub fn deadlines() -> Deadlines {
    Deadlines {
        provision: DEADLINE,
        register: DEADLINE,
        settle: DEADLINE,
        shift: DEADLINE,
        drain: DEADLINE,
        retire: DEADLINE,
        hold: DEADLINE,
        restore: DEADLINE,
        withdraw: DEADLINE,
        then: OnDeadline::Rollback,
    }
}

pub fn opened(plan: Plan) -> Rollout {
    let event = Event::Opened { plan: Box::new(plan), by: actor("first") };
    Rollout::open(&Recorded { at: NOW, event }).unwrap()
}

/// What a driver looks for.
pub fn scope(rollout: &Rollout) -> Scope {
    let plan = rollout.plan();
    let blue = plan.blue.as_ref().map(|blue| blue.id.clone());
    Scope {
        service: plan.rollout.service.clone(),
        groups: rollout.expected().keys().chain(rollout.served()).cloned().collect(),
        fleets: blue.into_iter().chain([plan.green.id.clone()]).collect(),
    }
}

/// What a driver sees.
pub fn look(world: &World, rollout: &Rollout) -> Inventory {
    world.inventory(&scope(rollout))
}

pub type Groups = BTreeMap<GroupId, GroupPlan>;
