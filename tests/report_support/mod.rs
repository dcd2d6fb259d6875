//! A rollout on a toy world, fact by fact through the real machine, for reports to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use deployer::cloud::{Change, Fault};
use deployer::drive::{Notice, Outcome};
use deployer::model::{
    Because, Deadlines, Fleet, FleetId, FleetSeen, GroupId, GroupPlan, GroupSeen, Health, Hold, InstanceId,
    InstanceState, Inventory, OnDeadline, PLAN_FORMAT, Pace, Plan, Purpose, RolloutId, Scaling, Seen, Share,
    Sharing, Side, Span, Step, Steps, TargetId, TargetSeen, Time, Token,
};
use deployer::report::{Account, Form, Hints, Manner, Screen, Snapshot};
use deployer::rollout::{Actor, Event, Next, Order, Recorded, Rollout};

/// When every story begins.
pub const START: Time = Time(1_796_000_000_000);

/// What a writer was given.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A rollout and its world.
pub struct Story {
    pub facts: Vec<Recorded>,
    pub state: Rollout,
    pub world: Inventory,
    /// Groups in which a fleet's targets do not get healthy, with the reason.
    pub ill: BTreeMap<(GroupId, FleetId), String>,
    /// What the next calls answer.
    pub faults: Vec<Fault>,
    pub now: Time,
    pub screen: Screen,
    pub out: Buffer,
    pub err: Buffer,
}

pub fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

pub fn fleet(name: &str) -> FleetId {
    FleetId::new(name).unwrap()
}

pub fn hints() -> Hints {
    Hints::new("api".parse().unwrap())
}

pub fn me() -> Actor {
    Actor { user: "mia".into(), host: "build-7".into(), pid: 4711, run_url: None, nonce: "n1".into() }
}

/// Three groups, 10 % and then everything, short waits.
pub fn plan(groups: &[&str]) -> Plan {
    let expected = GroupPlan {
        because: BTreeSet::from([Because::Declared, Because::BlueStands]),
        sharing: Sharing::Paired,
        steps: Steps::Any,
    };
    let step = |share, hold| Step { share: Share::new(share).unwrap(), hold };
    Plan {
        format: PLAN_FORMAT,
        rollout: RolloutId {
            service: "api".parse().unwrap(),
            environment: "local".parse().unwrap(),
            number: 7,
        },
        purpose: Purpose::Deploy,
        strategy: "bluegreen".parse().unwrap(),
        blue: Some(Fleet { id: fleet("api-v1"), revision: "1.0.0".parse().unwrap(), size: 2 }),
        green: Fleet { id: fleet("api-v2"), revision: "2.0.0".parse().unwrap(), size: 2 },
        groups: groups.iter().map(|name| (group(name), expected.clone())).collect(),
        steps: vec![step(10, Hold::For(Span::secs(5))), step(100, Hold::For(Span::ZERO))],
        settle: Span::secs(5),
        bake: Hold::For(Span::secs(10)),
        quiet: Span::secs(8),
        min_healthy: Share::ALL,
        freeze: false,
        deadlines: Deadlines {
            provision: Span::mins(10),
            register: Span::mins(5),
            settle: Span::mins(5),
            shift: Span::mins(5),
            drain: Span::mins(15),
            retire: Span::mins(10),
            hold: Span::mins(60),
            restore: Span::mins(10),
            withdraw: Span::mins(10),
            then: OnDeadline::Rollback,
        },
        pace: Pace { soon: Span::secs(1), watch: Span::secs(2), fresh: Span::secs(30), lands: Span::ZERO },
        expect: deployer::model::Expect::default(),
        waivers: Vec::new(),
        world: "w".into(),
        release: None,
        home: std::collections::BTreeMap::new(),
    }
}

/// Blue, healthy and alone, in these groups.
pub fn world(groups: &[&str]) -> Inventory {
    let mut world = Inventory { looked_at: START, ..Inventory::default() };
    raise(&mut world, &fleet("api-v1"), "1.0.0", 2);
    for name in groups {
        let seen = GroupSeen {
            sharing: Sharing::Paired,
            steps: Steps::Any,
            routes: BTreeSet::from([format!("127.0.0.1:80 for {name}")]),
            deregistration_delay: Span::secs(3),
            health_interval: Span::secs(1),
            sides: BTreeMap::new(),
        };
        world.groups.insert(group(name), Seen::Known(seen));
        join(&mut world, &fleet("api-v1"), &group(name), Health::Healthy);
        share(&mut world, &group(name), &fleet("api-v1"), Share::ALL);
    }
    world
}

fn raise(world: &mut Inventory, id: &FleetId, revision: &str, size: u32) {
    let instance = |n| (InstanceId::new(format!("{id}-{n}")).unwrap(), InstanceState::Running);
    let seen = FleetSeen {
        revision: revision.parse().unwrap(),
        desired: size,
        instances: (1..=size).map(instance).collect(),
        scaling: Scaling::Fixed,
        attached: BTreeSet::new(),
        failed: None,
    };
    world.fleets.insert(id.clone(), Seen::Known(seen));
}

fn side<'a>(world: &'a mut Inventory, group: &GroupId, fleet: &FleetId) -> Option<&'a mut Side> {
    match world.groups.get_mut(group)? {
        Seen::Known(seen) => Some(seen.sides.entry(fleet.clone()).or_default()),
        Seen::Unknown(_) => None,
    }
}

pub fn join(world: &mut Inventory, fleet: &FleetId, group: &GroupId, health: Health) {
    let instances: Vec<_> = world.fleet(fleet).unwrap().instances.keys().cloned().collect();
    let Some(side) = side(world, group, fleet) else { return };
    for instance in instances {
        let target = TargetId::new(format!("{instance}:8080")).unwrap();
        side.targets.insert(target, TargetSeen { instance, health, reason: None });
    }
}

fn share(world: &mut Inventory, group: &GroupId, fleet: &FleetId, share: Share) {
    if let Some(side) = side(world, group, fleet) {
        side.share = share;
    }
}

impl Story {
    pub fn new(form: Form, plan: Plan, world: Inventory) -> Self {
        let (out, err) = (Buffer::default(), Buffer::default());
        let manner = Manner { form, colour_out: false, colour_err: false, hints: hints() };
        let mut screen = Screen::new(manner, Box::new(out.clone()), Box::new(err.clone()));
        let opened = Recorded { at: START, event: Event::Opened { plan: Box::new(plan), by: me() } };
        let state = Rollout::open(&opened).unwrap();
        screen.notice(&state, &Notice::Recorded(&opened), START);
        let (ill, faults) = (BTreeMap::new(), Vec::new());
        Self { facts: vec![opened], state, world, ill, faults, now: START, screen, out, err }
    }

    pub fn fact(&mut self, event: Event) {
        let fact = Recorded { at: self.now, event };
        self.state = self.state.clone().evolve(&fact).unwrap();
        self.screen.notice(&self.state, &Notice::Recorded(&fact), self.now);
        self.facts.push(fact);
    }

    pub fn order(&mut self, order: Order) {
        self.fact(Event::Ordered { order, by: me() });
    }

    /// Goes on as a driver would, until then or the end, at most some steps.
    pub fn until(&mut self, there: impl Fn(&Rollout) -> bool) -> &mut Self {
        for _ in 0..5_000 {
            if there(&self.state) || self.state.verdict().is_some() {
                return self;
            }
            self.step();
        }
        panic!("never got there: {:?}", self.state.phase());
    }

    pub fn until_phase(&mut self, name: &str) -> &mut Self {
        self.until(|state| state.phase().name() == name)
    }

    pub fn steps(&mut self, steps: usize) -> &mut Self {
        for _ in 0..steps {
            self.step();
        }
        self
    }

    fn step(&mut self) {
        let next = self.state.decide(self.now);
        self.screen.notice(&self.state, &Notice::Next(&next), self.now);
        match next {
            Next::Look => self.look(),
            Next::Change(changes, token) => {
                self.fact(Event::Changing { changes: changes.clone(), token: token.clone() });
                let faults = std::mem::take(&mut self.faults);
                if faults.is_empty() {
                    for change in &changes {
                        self.apply(change);
                    }
                }
                self.settle(token, faults);
            }
            Next::Retire(proof, token) => {
                let (fleet, covered) = (proof.fleet().clone(), proof.covered().clone());
                self.fact(Event::Retiring { fleet: fleet.clone(), covered, token: token.clone() });
                self.world.fleets.remove(&fleet);
                self.settle(token, Vec::new());
            }
            Next::Wait { until }
            | Next::Hold { until, .. }
            | Next::Promote { until }
            | Next::Paused { until } => {
                self.now = until;
            }
            Next::Held { .. } => self.now = self.now + Span::secs(1),
            Next::Done(_) => {}
        }
    }

    fn settle(&mut self, token: Token, faults: Vec<Fault>) {
        self.now = self.now + Span(300);
        self.fact(Event::Settled { token, faults });
    }

    pub fn look(&mut self) {
        self.now = self.now + Span(200);
        self.world.looked_at = self.now;
        let unchanged = self.state.look().is_some_and(|look| look.same_world(&self.world));
        let looked = Event::Looked { inventory: Box::new(self.world.clone()), waited: Span::ZERO };
        let before = self.state.phase().clone();
        let fact = Recorded { at: self.now, event: looked };
        let after = self.state.clone().evolve(&fact).unwrap();
        if unchanged && *after.phase() == before {
            self.state = after;
            self.screen.notice(&self.state, &Notice::Looked, self.now);
        } else {
            self.fact(fact.event);
        }
        self.heal();
    }

    /// What is registered becomes healthy after one look, unless it is ill.
    fn heal(&mut self) {
        for (id, seen) in &mut self.world.groups {
            let Seen::Known(seen) = seen else { continue };
            for (fleet, side) in &mut seen.sides {
                let ill = self.ill.get(&(id.clone(), fleet.clone()));
                for (n, target) in side.targets.values_mut().enumerate() {
                    let well = ill.is_none() || n == 0;
                    target.health = if well { Health::Healthy } else { Health::Unhealthy };
                    target.reason = if well { None } else { ill.cloned() };
                }
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        let world = &mut self.world;
        match change {
            Change::Provision { fleet } => raise(world, &fleet.id, fleet.revision.as_str(), fleet.size),
            Change::Register { fleet, groups } => {
                for group in groups {
                    join(world, fleet, group, Health::Initial);
                }
            }
            Change::Shift { group, to, from, share: part } => {
                share(world, group, to, *part);
                if let Some(from) = from {
                    share(world, group, from, part.rest());
                }
            }
            Change::Deregister { fleet, groups } => {
                for id in groups {
                    if let Some(Seen::Known(seen)) = world.groups.get_mut(id) {
                        seen.sides.remove(fleet);
                    }
                }
            }
            Change::Freeze { .. } | Change::Thaw { .. } => {}
        }
    }

    pub fn end(&mut self, outcome: &Outcome) -> String {
        self.screen.end(&self.state, outcome).unwrap();
        self.out.text()
    }

    pub fn ended(&mut self) -> String {
        let verdict = self.state.verdict().cloned().unwrap();
        self.end(&Outcome::Ended(verdict))
    }

    pub fn account(&self) -> Account {
        Account::of(&self.facts).unwrap()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.account().snapshot(&hints(), self.now, Some(true))
    }
}
