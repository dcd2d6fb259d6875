//! A rollout and its world, driven fact by fact as the loop does it.

use std::collections::BTreeSet;

use deployer::cloud::sim::World;
use deployer::cloud::{Change, Fault, FaultKind};
use deployer::coverage::{Evidence, Gap, Why};
use deployer::model::{
    FleetId, GroupId, GroupSeen, Hold, Inventory, Plan, Seen, Share, Sharing, Span, Steps, Time, Token,
    Waiver,
};
use deployer::rollout::{Cause, Event, Next, Order, Phase, Recorded, Rollout, Verdict};

use crate::common::{actor, green, group, look, opened, plan, served, world_with_blue};

/// More steps than any story here takes.
const STEPS_MAX: usize = 20_000;

/// How the next announced calls end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Applied, and the answer is lost.
    Lost,
    /// Not applied, and said so.
    Refused(FaultKind),
    /// Answered well, and not applied: a look does not show it.
    Unseen,
}

pub struct Rig {
    pub world: World,
    pub state: Rollout,
    /// What becomes of a look before it is folded.
    pub blur: fn(&mut Inventory),
    /// The replies to the next calls; all others are good.
    pub replies: Vec<Reply>,
    /// Every change that was announced.
    pub changes: Vec<Change>,
    /// Every announcement of a retirement.
    pub retired: Vec<(FleetId, Token, std::collections::BTreeMap<GroupId, Evidence>)>,
}

/// Two paired groups that blue serves.
pub fn two_groups(size: u32) -> World {
    let mut world = world_with_blue(size);
    served(&mut world, "internal", Sharing::Paired, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    world
}

/// Blue serves `public`, which is planned, and `internal`, which nobody thought of.
pub fn forgotten() -> Rig {
    let world = two_groups(1);
    let plan = plan(&world, &["public"]);
    Rig::new(world, plan)
}

pub fn both(edit: impl FnOnce(&mut Plan)) -> Rig {
    let world = two_groups(1);
    let mut plan = plan(&world, &["internal", "public"]);
    edit(&mut plan);
    Rig::new(world, plan)
}

pub fn gap(name: &str, leaving_healthy: u32, why: Why) -> Gap {
    Gap { group: Some(group(name)), leaving_healthy, why }
}

pub fn blind(why: Why) -> Gap {
    Gap { group: None, leaving_healthy: 0, why }
}

pub fn names<const N: usize>(names: [&str; N]) -> BTreeSet<GroupId> {
    names.map(group).into()
}

pub fn waiver(name: &str, until: Time) -> Waiver {
    Waiver { group: group(name), reason: "unused".into(), until, by: "eve".into() }
}

pub fn waive(name: &str, until: Time) -> Order {
    Order::Waive { group: group(name), reason: "unused".into(), until }
}

pub fn ordered() -> Cause {
    Cause::Ordered { by: "eve".into() }
}

pub fn rolled_back(cause: Cause) -> Phase {
    Phase::Ended(Verdict::RolledBack { cause })
}

pub fn late(phase: &str) -> Cause {
    Cause::Deadline { phase: phase.into() }
}

/// Edits a group of a look that was seen.
pub fn edit(look: &mut Inventory, name: &str, edit: impl FnOnce(&mut GroupSeen)) {
    if let Some(Seen::Known(seen)) = look.groups.get_mut(&group(name)) {
        edit(seen);
    }
}

impl Rig {
    /// Every wait takes a moment, so that each phase can be seen.
    pub fn new(world: World, mut plan: Plan) -> Self {
        for wait in [&mut plan.settle, &mut plan.quiet] {
            *wait = (*wait).max(Span::secs(2));
        }
        if plan.bake == Hold::For(Span::ZERO) {
            plan.bake = Hold::For(Span::secs(2));
        }
        Self {
            world,
            state: opened(plan),
            blur: |_| {},
            replies: Vec::new(),
            changes: Vec::new(),
            retired: Vec::new(),
        }
    }

    pub fn now(&self) -> Time {
        self.world.now
    }

    pub fn next(&self) -> Next {
        self.state.decide(self.now())
    }

    pub fn phase(&self) -> &Phase {
        self.state.phase()
    }

    pub fn fact(&mut self, event: Event) {
        self.fact_at(self.now(), event);
    }

    pub fn fact_at(&mut self, at: Time, event: Event) {
        self.state = self.state.clone().evolve(&Recorded { at, event }).unwrap();
    }

    pub fn order(&mut self, order: Order) {
        self.fact(Event::Ordered { order, by: actor("operator") });
    }

    pub fn resume(&mut self) {
        let next = format!("next-{}", self.state.epoch());
        self.fact(Event::Resumed { by: actor(&next) });
    }

    /// What a look would show now.
    pub fn seen(&self) -> Inventory {
        let mut seen = look(&self.world, &self.state);
        (self.blur)(&mut seen);
        seen
    }

    pub fn look(&mut self) {
        let inventory = Box::new(self.seen());
        self.fact(Event::Looked { inventory, waited: Span::ZERO });
    }

    pub fn pass(&mut self, span: Span) {
        let to = self.now() + span;
        self.world.tick(to);
    }

    /// Announces what is to be done, and leaves it open.
    pub fn announce(&mut self) -> (Vec<Change>, Token) {
        let Next::Change(changes, token) = self.next() else { panic!("no changes: {:?}", self.next()) };
        self.fact(Event::Changing { changes: changes.clone(), token: token.clone() });
        self.changes.extend(changes.clone());
        (changes, token)
    }

    pub fn settle(&mut self, token: Token, faults: Vec<Fault>) {
        self.pass(Span(1));
        self.fact(Event::Settled { token, faults });
    }

    /// Applies calls to the world, as they land.
    pub fn land(&mut self, changes: &[Change], token: &Token) -> Vec<Fault> {
        changes.iter().filter_map(|change| self.world.apply(change, token).err()).collect()
    }

    fn reply(&mut self) -> Option<Reply> {
        if self.replies.is_empty() { None } else { Some(self.replies.remove(0)) }
    }

    fn change(&mut self) {
        let (changes, token) = self.announce();
        let faults = match self.reply() {
            None => self.land(&changes, &token),
            Some(Reply::Lost) => {
                self.land(&changes, &token);
                vec![Fault::new(FaultKind::Unreachable, "Call", "no answer").ambiguous()]
            }
            Some(Reply::Refused(kind)) => vec![Fault::new(kind, "Call", "no")],
            Some(Reply::Unseen) => Vec::new(),
        };
        self.settle(token, faults);
    }

    /// Does what is to be done next.
    pub fn step(&mut self) {
        match self.next() {
            Next::Look => self.look(),
            Next::Change(..) => self.change(),
            Next::Retire(proof, token) => {
                let (fleet, covered) = (proof.fleet().clone(), proof.covered().clone());
                self.retired.push((fleet.clone(), token.clone(), covered.clone()));
                self.fact(Event::Retiring { fleet: fleet.clone(), covered, token: token.clone() });
                let faults = match self.reply() {
                    None => {
                        self.world.retire(&fleet);
                        Vec::new()
                    }
                    Some(Reply::Refused(kind)) => vec![Fault::new(kind, "Retire", "no")],
                    Some(Reply::Unseen) => Vec::new(),
                    Some(Reply::Lost) => panic!("no story loses the reply to a retirement"),
                };
                self.settle(token, faults);
            }
            Next::Wait { until }
            | Next::Hold { until, .. }
            | Next::Promote { until }
            | Next::Paused { until } => self.world.tick(until),
            Next::Held { .. } | Next::Done(_) => {}
        }
    }

    /// Goes on until then.
    pub fn until(&mut self, there: impl Fn(&Self) -> bool) -> &mut Self {
        for _ in 0..STEPS_MAX {
            if there(self) {
                return self;
            }
            self.step();
        }
        panic!("never got there: {:?} in {:?}", self.next(), self.phase());
    }

    pub fn until_phase(&mut self, name: &str) -> &mut Self {
        self.until(|rig| rig.phase().name() == name)
    }

    /// Goes on until it ends, or holds for good.
    pub fn run_out(&mut self) -> &mut Self {
        self.until(|rig| matches!(rig.next(), Next::Done(_) | Next::Held { .. }))
    }

    /// Goes on until a gap holds it, and says which.
    pub fn held_by(&mut self) -> Vec<Gap> {
        self.until(|rig| matches!(rig.next(), Next::Hold { .. }));
        let Next::Hold { gaps, .. } = self.next() else { panic!("it holds") };
        gaps
    }

    pub fn share(&self, name: &str, fleet: &FleetId) -> u8 {
        self.world.groups[&group(name)].share(fleet).percent()
    }

    /// Green's shares that were asked for in a group, in order.
    pub fn shifts(&self, name: &str) -> Vec<u8> {
        let shifts = self.changes.iter().filter_map(|change| match change {
            Change::Shift { group: id, to, share, .. } if *id == group(name) && *to == green() => {
                Some(*share)
            }
            _ => None,
        });
        shifts.map(Share::percent).collect()
    }
}
