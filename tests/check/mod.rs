//! Every interleaving of one rollout with its world, a step at a time.
//!
//! A state is the world, the folded rollout and the calls in flight. From each, every next step is taken: the driver's
//! own, each way in which a call can fail, what others can do to the world, and what an operator can order, the latter
//! ones within a budget. Time is reduced to what a decision can tell: now, a moment ago, a hold ago, a deadline ago.

mod search;
mod step;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use deployer::cloud::Change;
use deployer::cloud::sim::{Oracle, Violation, World};
use deployer::model::{FleetId, GroupId, Plan, Span, Time, Token};
use deployer::rollout::{Order, Rollout};

use crate::common::{DEADLINE, NOW, blue, green, opened};

pub use search::{Report, search};

/// The length of every hold in a checked plan that has one.
pub const HOLD: Span = Span::mins(10);
/// The length of every delay in a checked world that has one.
pub const DELAY: Span = Span(10);

/// What is checked.
pub struct Setup {
    pub name: &'static str,
    pub world: World,
    pub plan: Plan,
    pub budget: Budget,
    pub orders: Vec<Order>,
    pub outside: Vec<Outside>,
    pub mutant: Option<Mutant>,
}

/// How many of each may happen on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    pub outside: u8,
    pub faults: u8,
    pub orders: u8,
}

/// What others do to the world.
#[derive(Debug, Clone)]
pub enum Outside {
    AttachBlue(GroupId),
    SickenGreen(GroupId),
    RecoverGreen(GroupId),
    DropGreen(GroupId),
    KillGreen,
    ScaleBlue(u32),
    Vanish(GroupId),
}

/// Faults planted into the machine's view or its surroundings, to see that the checker finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The gate knows the plan's groups and never asks where blue stands.
    PlanOnly,
    /// A change counts as done when it was asked for.
    RepliesTrusted,
    /// Every registered target of green counts as healthy.
    NoHealthGuard,
    /// A fenced driver goes on with what it had announced.
    FenceIgnored,
}

/// Calls that were announced and have not reached the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flight {
    pub call: Call,
    pub token: Token,
    /// Whether somebody else changed the world after the look that the calls rest on.
    pub disturbed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Call {
    Change(Vec<Change>),
    Retire(FleetId),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub world: World,
    pub rollout: Rollout,
    pub flight: Option<Flight>,
    /// A call of an earlier driver that has not reached the world yet.
    pub late: Option<Flight>,
    /// Whether somebody else changed the world after the last look, and no call of ours since.
    pub disturbed: bool,
    /// Whether the last look showed the world as it was.
    pub budget: Budget,
    /// What a machine that trusts replies takes the world for.
    pub imagined: Option<World>,
}

/// One step from a state.
pub struct Edge {
    pub label: String,
    pub next: State,
    pub broken: Vec<Violation>,
}

impl Setup {
    pub fn first(&self) -> State {
        let imagined = (self.mutant == Some(Mutant::RepliesTrusted)).then(|| self.world.clone());
        State {
            world: self.world.clone(),
            rollout: opened(self.plan.clone()),
            flight: None,
            late: None,
            disturbed: false,
            budget: self.budget,
            imagined,
        }
        .canonical()
    }

    pub fn oracle(&self) -> Oracle {
        Oracle::new(self.world.clone(), self.plan.blue.as_ref().map(|_| blue()), green())
    }
}

/// A quick hash, wide enough that two of a few million states never share one.
struct Wide(u64, u64);

impl Hasher for Wide {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.1 = (self.1.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ (self.1 >> 29);
    }
}

impl State {
    /// The groups with a waiver that counts now.
    pub fn excused(&self) -> BTreeSet<GroupId> {
        let now = self.world.now;
        self.rollout.waivers().iter().filter(|w| w.until > now).map(|w| w.group.clone()).collect()
    }

    pub fn key(&self) -> u128 {
        let mut hasher = Wide(0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03);
        self.hash(&mut hasher);
        u128::from(hasher.0) << 64 | u128::from(hasher.1)
    }

    /// The one state that stands for all that differ from it in nothing that matters.
    pub fn canonical(mut self) -> Self {
        let now = self.world.now;
        let last = self.rollout.token_used().cloned();
        let named = self.rollout.last_token();
        let late = self.late.as_ref().map(|late| late.token.clone());
        let rename = |token: &Token| {
            if Some(token) == last.as_ref() {
                named.clone()
            } else if Some(token) == late.as_ref() {
                Token::new("late").ok()
            } else {
                None
            }
        };
        self.rollout = self.rollout.rebased(|time| passed(now, time, &[Span(1), HOLD, DEADLINE, double()]));
        self.world = self.world.rebased(|time| passed(now, time, &[DELAY]), rename);
        self.imagined = self.imagined.map(|w| w.rebased(|time| passed(now, time, &[DELAY]), rename));
        for flight in [&mut self.flight, &mut self.late].into_iter().flatten() {
            flight.token = rename(&flight.token).unwrap_or_else(|| flight.token.clone());
        }
        self
    }
}

fn double() -> Span {
    Span(DEADLINE.0 * 2)
}

/// Keeps of a time how long ago it was, in classes, seen from one fixed now.
fn passed(now: Time, time: Time, classes: &[Span]) -> Time {
    if time >= now {
        // Rounded up, so that the moments between two steps do not add up to another state.
        return NOW + Span(time.since(now).0.div_ceil(HOLD.0) * HOLD.0);
    }
    let ago = now.since(time);
    let class = classes.iter().rev().find(|class| ago >= **class).copied().unwrap_or_default();
    Time(NOW.0 - class.0)
}
