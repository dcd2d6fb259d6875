//! A target group: who stands in it, with which share, and who gets the next request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use super::balance::{self, Turn};
use super::state::{Birth, GroupSettings, StoredGroup};
use super::target::{Hold, Target};
use super::world::lock;
use crate::model::{
    FleetId, GroupId, GroupSeen, InstanceId, Share, Sharing, Side as SideSeen, Steps, TargetId,
};

/// One group. What every request reads has a lock of its own, held for the choice alone.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    settings: Mutex<Arc<GroupSettings>>,
    sides: Mutex<Vec<Side>>,
    listening: Mutex<Listening>,
}

/// Whether the group's address is served.
#[derive(Debug)]
enum Listening {
    Yes(AbortHandle),
    No(String),
}

/// A fleet's standing.
#[derive(Debug)]
struct Side {
    fleet: FleetId,
    /// Whether the fleet is a member; a side that is not is draining.
    registered: bool,
    /// Counts registrations, so that a drain that was called off knows it.
    epoch: u64,
    share: Share,
    turn: Turn,
    /// Where the next search among equals begins.
    cursor: usize,
    targets: Vec<Arc<Target>>,
}

/// Who drains: a later registration of the same fleet makes it void.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) fleet: FleetId,
    epoch: u64,
}

impl Group {
    pub(super) fn new(id: GroupId, settings: GroupSettings) -> Arc<Self> {
        let dark = Listening::No("not started".to_owned());
        Arc::new(Self {
            id,
            settings: Mutex::new(Arc::new(settings)),
            sides: Mutex::default(),
            listening: Mutex::new(dark),
        })
    }

    pub(super) fn settings(&self) -> Arc<GroupSettings> {
        Arc::clone(&lock(&self.settings))
    }

    pub(super) fn set_settings(&self, settings: GroupSettings) {
        *lock(&self.settings) = Arc::new(settings);
    }

    /// The group is served by this task, and no longer by an earlier one.
    pub(super) fn listens(&self, task: AbortHandle) {
        if let Listening::Yes(earlier) = std::mem::replace(&mut *lock(&self.listening), Listening::Yes(task))
        {
            earlier.abort();
        }
    }

    /// The group cannot be served.
    pub(super) fn is_dark(&self, why: String) {
        *lock(&self.listening) = Listening::No(why);
    }

    /// Why the group is not served, where it is not.
    pub(super) fn dark(&self) -> Option<String> {
        match &*lock(&self.listening) {
            Listening::Yes(_) => None,
            Listening::No(why) => Some(why.clone()),
        }
    }

    /// Makes the fleet a member; its share stays what it is.
    pub(super) fn register(&self, fleet: &FleetId) {
        let mut sides = lock(&self.sides);
        let index = sides.iter().position(|side| side.fleet == *fleet).unwrap_or_else(|| {
            sides.push(Side::new(fleet));
            sides.len() - 1
        });
        let side = &mut sides[index];
        if !side.registered {
            side.registered = true;
            side.epoch += 1;
            for target in &side.targets {
                target.resume();
            }
        }
    }

    pub(super) fn is_member(&self, fleet: &FleetId) -> bool {
        lock(&self.sides).iter().any(|side| side.fleet == *fleet && side.registered)
    }

    /// Adds an instance of a member; none where it is there already or the fleet is no member.
    pub(super) fn add(&self, fleet: &FleetId, instance: &InstanceId, birth: &Birth) -> Option<Arc<Target>> {
        let mut sides = lock(&self.sides);
        let side = sides.iter_mut().find(|side| side.fleet == *fleet && side.registered)?;
        // The name of an instance is bounded where it is made, so that this one is well formed.
        let id = TargetId::new(format!("{instance}:{}", birth.port)).ok()?;
        if side.targets.iter().any(|target| target.id == id) {
            return None;
        }
        let target = Target::new(id, fleet.clone(), instance.clone(), birth.port);
        side.targets.push(Arc::clone(&target));
        Some(target)
    }

    /// Takes a dead or leaving instance out; what was in flight to it is ended by the instance itself.
    pub(super) fn remove(&self, instance: &InstanceId) -> Vec<Arc<Target>> {
        let mut gone = Vec::new();
        for side in lock(&self.sides).iter_mut() {
            let (leaving, staying) = side.targets.drain(..).partition(|t| t.instance == *instance);
            side.targets = staying;
            gone.extend::<Vec<_>>(leaving);
        }
        for target in &gone {
            target.drain();
        }
        gone
    }

    /// Sets the share of every fleet: one that is not named has none.
    pub(super) fn share_out(&self, shares: &BTreeMap<FleetId, Share>) {
        for side in lock(&self.sides).iter_mut() {
            side.share = shares.get(&side.fleet).copied().unwrap_or_default();
        }
        self.restart_rotation();
    }

    /// Begins a rotation with no debts, so that shares are exact from the first request on.
    fn restart_rotation(&self) {
        for side in lock(&self.sides).iter_mut() {
            side.turn = Turn { weight: i64::from(side.share.percent()), credit: 0 };
        }
    }

    /// Ends the membership: no new request; the share is given up. None where the fleet is no member.
    pub(super) fn drain(&self, fleet: &FleetId) -> Option<Drain> {
        let drain = {
            let mut sides = lock(&self.sides);
            let side = sides.iter_mut().find(|side| side.fleet == *fleet && side.registered)?;
            side.registered = false;
            side.share = Share::NONE;
            for target in &side.targets {
                target.drain();
            }
            Drain { fleet: fleet.clone(), epoch: side.epoch }
        };
        self.restart_rotation();
        Some(drain)
    }

    /// How many requests the drain still waits for; none where it was called off or is over.
    pub(super) fn draining(&self, drain: &Drain) -> Option<usize> {
        let sides = lock(&self.sides);
        let side = sides.iter().find(|side| drain.is_of(side))?;
        Some(side.targets.iter().map(|target| target.in_flight()).sum())
    }

    /// Ends a drain: whatever is left is cut, and the side is gone.
    pub(super) fn drained(&self, drain: &Drain) {
        let mut sides = lock(&self.sides);
        for side in sides.iter().filter(|side| drain.is_of(side)) {
            for target in &side.targets {
                target.cut();
            }
        }
        sides.retain(|side| !drain.is_of(side));
    }

    /// Takes the fleet out at once; what is in flight goes on until its process ends.
    pub(super) fn leave(&self, fleet: &FleetId) -> Vec<Arc<Target>> {
        let gone = {
            let mut sides = lock(&self.sides);
            let index = sides.iter().position(|side| side.fleet == *fleet);
            index.map(|index| sides.remove(index).targets).unwrap_or_default()
        };
        for target in &gone {
            target.drain();
        }
        gone
    }

    /// Chooses who gets a request, and counts it as in flight in the same breath, so that a drain cannot miss it.
    /// `tried` could not be connected to: the next is of the same fleet where it can be, else of another with a share.
    pub(super) fn pick(&self, tried: &[Arc<Target>]) -> Option<Hold> {
        let mut sides = lock(&self.sides);
        let first = match tried.first() {
            None => balance::next(sides.iter_mut().map(|side| &mut side.turn))?,
            Some(target) => sides.iter().position(|side| side.fleet == target.fleet).unwrap_or_default(),
        };
        let others = (0..sides.len()).filter(|index| *index != first);
        let mut order = std::iter::once(first).chain(others);
        order.find_map(|index| sides.get_mut(index).and_then(|side| side.pick(tried)))
    }

    /// The members, with their shares.
    pub(super) fn stored(&self) -> StoredGroup {
        let sides = lock(&self.sides);
        let shares = sides
            .iter()
            .filter(|side| side.registered)
            .map(|side| (side.fleet.clone(), side.share))
            .collect();
        StoredGroup { settings: self.settings().as_ref().clone(), shares }
    }

    /// Every fleet that stands here, draining ones too.
    pub(super) fn fleets(&self) -> BTreeSet<FleetId> {
        lock(&self.sides).iter().map(|side| side.fleet.clone()).collect()
    }

    /// What a look says of it.
    pub(super) fn seen(&self) -> GroupSeen {
        let sides = lock(&self.sides);
        let side = |side: &Side| {
            let targets = side.targets.iter().map(|t| (t.id.clone(), t.seen())).collect();
            (side.fleet.clone(), SideSeen { share: side.share, targets })
        };
        GroupSeen { sides: sides.iter().map(side).collect(), ..empty(&self.settings()) }
    }
}

/// A group in which nobody stands.
pub(super) fn empty(settings: &GroupSettings) -> GroupSeen {
    GroupSeen {
        sharing: Sharing::Paired,
        steps: Steps::Any,
        routes: BTreeSet::from([settings.listen.to_string()]),
        deregistration_delay: settings.deregistration_delay,
        health_interval: settings.health_interval,
        sides: BTreeMap::new(),
    }
}

impl Drain {
    fn is_of(&self, side: &Side) -> bool {
        side.fleet == self.fleet && side.epoch == self.epoch && !side.registered
    }
}

impl Side {
    fn new(fleet: &FleetId) -> Self {
        Self {
            fleet: fleet.clone(),
            registered: true,
            epoch: 0,
            share: Share::NONE,
            turn: Turn::default(),
            cursor: 0,
            targets: Vec::new(),
        }
    }

    fn pick(&mut self, tried: &[Arc<Target>]) -> Option<Hold> {
        if self.share == Share::NONE {
            return None;
        }
        let fresh = |target: &Arc<Target>| !tried.iter().any(|t| t.id == target.id);
        let loads: Vec<_> =
            self.targets.iter().map(|target| target.load().filter(|_| fresh(target))).collect();
        let index = balance::least(&loads, self.cursor)?;
        self.cursor = index + 1;
        Some(Hold::new(&self.targets[index]))
    }
}
