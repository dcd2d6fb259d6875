//! The steps that lead on from a state.

use deployer::cloud::sim::{Oracle, World};
use deployer::cloud::{Fault, FaultKind};
use deployer::coverage::Evidence;
use deployer::model::{Health, Inventory, Seen, Span, Time};
use deployer::rollout::{Event, Next, Order, Phase, Recorded, Verdict};

use super::{Call, DELAY, Edge, Flight, HOLD, Mutant, Outside, Setup, State};
use crate::common::{DEADLINE, actor, blue, green, look, new};

/// How calls in flight can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Answered,
    Lost,
    Throttled,
    Denied,
    Half,
}

/// How much of the world a look can miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Clear,
    OneUnknown,
    OneMissing,
    Unread,
}

pub struct Steps<'a> {
    setup: &'a Setup,
    oracle: &'a Oracle,
    from: &'a State,
    edges: Vec<Edge>,
}

/// Every step from a state.
pub fn edges(setup: &Setup, oracle: &Oracle, from: &State) -> Vec<Edge> {
    let mut steps = Steps { setup, oracle, from, edges: Vec::new() };
    if from.rollout.verdict().is_none() {
        match &from.flight {
            Some(flight) => steps.replies(flight),
            None => steps.drive(),
        }
        steps.crash();
        steps.outside();
        steps.orders();
        steps.tick();
    }
    steps.late();
    steps.edges
}

impl Steps<'_> {
    fn push(&mut self, label: String, next: State, mut broken: Vec<deployer::cloud::sim::Violation>) {
        if self.from.rollout.verdict().is_none() {
            let excused = next.excused();
            match next.rollout.verdict() {
                Some(Verdict::Completed) if !next.disturbed => {
                    broken.extend(self.oracle.completed(&next.world, &excused));
                }
                Some(Verdict::RolledBack { .. }) if !next.disturbed => {
                    broken.extend(self.oracle.rolled_back(&next.world));
                }
                Some(_) | None => {}
            }
        }
        self.edges.push(Edge { label, next: next.canonical(), broken });
    }

    fn fold(&self, mut state: State, event: Event) -> State {
        let fact = Recorded { at: state.world.now, event };
        state.rollout =
            state.rollout.evolve(&fact).unwrap_or_else(|error| panic!("{}: {error}", self.setup.name));
        state
    }

    fn drive(&mut self) {
        let now = self.from.world.now;
        let next = self.from.rollout.decide(now);
        match next {
            Next::Look => drop(self.look("look")),
            Next::Change(changes, token) => {
                if self.from.rollout.repeats() {
                    self.age(DEADLINE);
                }
                let event = Event::Changing { changes: changes.clone(), token: token.clone() };
                self.announce(event, Flight { call: Call::Change(changes), token, disturbed: false });
            }
            Next::Retire(proof, token) => {
                if self.from.rollout.repeats() {
                    self.age(DEADLINE);
                }
                let fleet = proof.fleet().clone();
                let covered: std::collections::BTreeMap<_, Evidence> = proof.covered().clone();
                let event = Event::Retiring { fleet: fleet.clone(), covered, token: token.clone() };
                self.announce(event, Flight { call: Call::Retire(fleet), token, disturbed: false });
            }
            Next::Wait { .. }
            | Next::Hold { .. }
            | Next::Promote { .. }
            | Next::Paused { .. }
            | Next::Held { .. } => {
                let waited = format!("wait ({})", name(&next));
                let seen = self.look(&waited);
                if seen.key() == self.from.key() {
                    self.age(HOLD);
                    self.age(DEADLINE);
                }
            }
            Next::Done(_) => {}
        }
    }

    fn announce(&mut self, event: Event, mut flight: Flight) {
        flight.disturbed = self.from.disturbed;
        let label = match &flight.call {
            Call::Change(changes) => format!("announce {changes:?}"),
            Call::Retire(fleet) => format!("announce retire {fleet}"),
        };
        let mut next = self.fold(self.from.clone(), event);
        next.flight = Some(flight);
        self.push(label, next, Vec::new());
    }

    /// A clear look, and the blind ones that the budget allows.
    fn look(&mut self, label: &str) -> State {
        let seen = self.looked(Sight::Clear);
        let same = seen.clone().canonical();
        self.push(label.to_owned(), seen, Vec::new());
        if self.from.budget.faults > 0 {
            for sight in [Sight::OneUnknown, Sight::OneMissing, Sight::Unread] {
                let mut next = self.looked(sight);
                next.budget.faults -= 1;
                self.push(format!("{label}, {sight:?}"), next, Vec::new());
            }
        }
        same
    }

    fn looked(&self, sight: Sight) -> State {
        let mut state = self.from.clone();
        let mut seen = match &mut state.imagined {
            Some(imagined) => {
                imagined.tick(state.world.now);
                look(imagined, &state.rollout)
            }
            None => look(&state.world, &state.rollout),
        };
        self.doctor(&mut seen);
        let first = seen.groups.keys().next().cloned();
        match (sight, first) {
            (Sight::OneUnknown, Some(first)) => {
                seen.groups.insert(first, Seen::Unknown("throttled".into()));
            }
            (Sight::OneMissing, Some(first)) => drop(seen.groups.remove(&first)),
            (Sight::Unread, _) => {
                seen = Inventory { looked_at: seen.looked_at, ..Inventory::default() };
                seen.unread.insert("denied".into());
            }
            (Sight::Clear | Sight::OneUnknown | Sight::OneMissing, _) => {}
        }
        state.disturbed &= sight != Sight::Clear;
        self.fold(state, Event::Looked { inventory: Box::new(seen), waited: Span::ZERO })
    }

    /// What a planted fault makes of a look.
    fn doctor(&self, seen: &mut Inventory) {
        match self.setup.mutant {
            Some(Mutant::PlanOnly) => {
                let planned = &self.setup.plan.groups;
                seen.groups.retain(|id, _| planned.contains_key(id));
                for fleet in seen.fleets.values_mut() {
                    if let Seen::Known(fleet) = fleet {
                        fleet.attached.retain(|id| planned.contains_key(id));
                    }
                }
            }
            Some(Mutant::NoHealthGuard) => {
                let groups = seen.groups.values_mut().filter_map(|group| match group {
                    Seen::Known(group) => group.sides.get_mut(&green()),
                    Seen::Unknown(_) => None,
                });
                for target in groups.flat_map(|side| side.targets.values_mut()) {
                    target.health = Health::Healthy;
                }
            }
            Some(Mutant::RepliesTrusted | Mutant::FenceIgnored) | None => {}
        }
    }

    fn replies(&mut self, flight: &Flight) {
        let many = matches!(&flight.call, Call::Change(changes) if changes.len() > 1);
        for reply in [Reply::Answered, Reply::Lost, Reply::Throttled, Reply::Denied, Reply::Half] {
            let free = reply == Reply::Answered;
            if !free && self.from.budget.faults == 0 || reply == Reply::Half && !many {
                continue;
            }
            let mut next = self.from.clone();
            next.budget.faults -= u8::from(!free);
            let before = next.world.clone();
            let mut faults = match reply {
                Reply::Answered | Reply::Lost => reach(&mut next.world, flight, usize::MAX),
                Reply::Half => reach(&mut next.world, flight, 1),
                Reply::Throttled | Reply::Denied => Vec::new(),
            };
            if let Some(imagined) = &mut next.imagined {
                drop(reach(imagined, flight, usize::MAX));
            }
            let fault = |kind| Fault::new(kind, "Call", "as drawn");
            match reply {
                Reply::Answered => {}
                Reply::Lost => faults = vec![fault(FaultKind::Unreachable).ambiguous()],
                Reply::Throttled | Reply::Half => faults.push(fault(FaultKind::Throttled)),
                Reply::Denied => faults.push(fault(FaultKind::Denied)),
            }
            let mut broken = self.oracle.call(&before, &next.world, &next.excused());
            if flight.disturbed || self.from.disturbed {
                broken.clear();
            }
            next.flight = None;
            let now = next.world.now + Span(1);
            next.world.tick(now);
            let next = self.fold(next, Event::Settled { token: flight.token.clone(), faults });
            self.push(format!("{reply:?}"), next, broken);
        }
    }

    /// The driver dies, and another takes over; what was announced may still reach the world, or never.
    fn crash(&mut self) {
        if self.from.budget.faults == 0 {
            return;
        }
        let mut next = self.from.clone();
        next.budget.faults -= 1;
        next.late = next.flight.take().or(next.late);
        let next = self.fold(next, Event::Resumed { by: actor("next") });
        self.push("crash and resume".into(), next, Vec::new());
    }

    /// An earlier driver's call reaches the world.
    fn late(&mut self) {
        let Some(late) = &self.from.late else { return };
        let mut next = self.from.clone();
        let before = next.world.clone();
        drop(reach(&mut next.world, late, usize::MAX));
        next.late = None;
        let mut broken = self.oracle.call(&before, &next.world, &next.excused());
        if late.disturbed || self.from.disturbed {
            broken.clear();
        }
        self.push(format!("late {:?}", late.call), next, broken);
    }

    fn outside(&mut self) {
        if self.from.budget.outside == 0 {
            return;
        }
        for outside in &self.setup.outside {
            let mut next = self.from.clone();
            happen(&mut next.world, outside);
            if next.world == self.from.world {
                continue;
            }
            next.budget.outside -= 1;
            next.disturbed = true;
            for flight in [&mut next.flight, &mut next.late].into_iter().flatten() {
                flight.disturbed = true;
            }
            self.push(format!("{outside:?}"), next, Vec::new());
        }
    }

    fn orders(&mut self) {
        if self.from.budget.orders == 0 {
            return;
        }
        for order in &self.setup.orders {
            let mut next = self.from.clone();
            next.budget.orders -= 1;
            let event = Event::Ordered { order: order.clone(), by: actor("operator") };
            let next = self.fold(next, event);
            self.push(format!("order {order:?}"), next, Vec::new());
        }
        let release = Event::Ordered { order: Order::Resume, by: actor("operator") };
        if self.from.rollout.paused() {
            let next = self.fold(self.from.clone(), release);
            self.push("order Resume".into(), next, Vec::new());
        }
    }

    /// A moment passes: instances come up, targets are judged, drained ones go.
    fn tick(&mut self) {
        let mut next = self.from.clone();
        let now = next.world.now + DELAY;
        next.world.tick(now);
        let next = next.canonical();
        if next.world != self.from.world {
            self.push("moment".into(), next, Vec::new());
        }
    }

    fn age(&mut self, span: Span) {
        let mut next = self.from.clone();
        let now: Time = next.world.now + span;
        next.world.tick(now);
        if self.setup.mutant != Some(Mutant::FenceIgnored) {
            next.late = None;
        }
        self.push(format!("{span} pass"), next, Vec::new());
    }
}

/// The first `most` calls of a flight reach the world.
fn reach(world: &mut World, flight: &Flight, most: usize) -> Vec<Fault> {
    match &flight.call {
        Call::Change(changes) => {
            let calls = changes.iter().take(most);
            calls.filter_map(|change| world.apply(change, &flight.token).err()).collect()
        }
        Call::Retire(fleet) => {
            world.retire(fleet);
            Vec::new()
        }
    }
}

fn happen(world: &mut World, outside: &Outside) {
    match outside {
        Outside::AttachBlue(group) => world.attach(&blue(), group),
        Outside::SickenGreen(group) => world.sicken(group, &new()),
        Outside::RecoverGreen(group) => world.recover(group, &new()),
        Outside::DropGreen(group) => world.drop_target(group, &green()),
        Outside::KillGreen => {
            let first = world.fleets.get(&green()).and_then(|fleet| fleet.instances.keys().next().cloned());
            if let Some(first) = first {
                world.kill(&green(), &first);
            }
        }
        Outside::ScaleBlue(size) => world.scale(&blue(), *size),
        Outside::Vanish(group) => world.vanish(group),
    }
}

fn name(next: &Next) -> &'static str {
    match next {
        Next::Look => "look",
        Next::Change(..) => "change",
        Next::Retire(..) => "retire",
        Next::Wait { .. } => "wait",
        Next::Hold { .. } => "hold",
        Next::Promote { .. } => "promote",
        Next::Paused { .. } => "paused",
        Next::Held { .. } => "held",
        Next::Done(_) => "done",
    }
}

/// Whether a state is an end, or a stand that is stated and that an operator can release.
pub fn rests(state: &State) -> bool {
    let ended = matches!(state.rollout.phase(), Phase::Ended(_));
    let held = || matches!(state.rollout.decide(state.world.now), Next::Held { .. });
    ended || (state.flight.is_none() && held())
}
