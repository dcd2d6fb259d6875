//! The world: what exists, how it looks, and how it moves on by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::{Change, Scope};
use crate::model::{
    FleetId, FleetSeen, GroupId, GroupSeen, Health, InstanceId, InstanceState, Inventory, Revision, Scaling,
    Seen, Share, Sharing, Side, Span, Steps, TargetId, TargetSeen, Time, Token, share_of,
};

/// A whole simulated cloud, as a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The time in it.
    pub now: Time,
    /// How long an instance takes to come up.
    pub launch: Span,
    /// How many instances it can run in all; none for no limit.
    pub capacity: Option<u32>,
    /// Every fleet.
    pub fleets: BTreeMap<FleetId, SimFleet>,
    /// Every target group.
    pub groups: BTreeMap<GroupId, SimGroup>,
    /// What was applied under each token: repeated, it changes nothing more.
    pub(super) applied: BTreeMap<Token, Vec<Change>>,
}

/// A fleet: a number of instances that the world keeps up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SimFleet {
    /// What it runs.
    pub revision: Revision,
    /// How many instances it should have.
    pub desired: u32,
    /// Whether the world may change `desired` by itself.
    pub scaling: Scaling,
    /// The instances it has.
    pub instances: BTreeMap<InstanceId, SimInstance>,
    /// The groups that every present and future instance joins.
    pub attached: BTreeSet<GroupId>,
    /// How many instances it has launched: their names are never used twice.
    pub(super) launched: u32,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SimInstance {
    /// When it is up.
    pub up_at: Time,
    /// Whether it has joined its fleet's groups, which happens once, when it comes up.
    pub(super) joined: bool,
}

/// A target group: twin groups behind one weighted route, or one group in which the fleets stand together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SimGroup {
    /// How the fleets share it.
    pub sharing: Sharing,
    /// Which shares its route can take.
    pub steps: Steps,
    /// The routes that lead to it; without one its targets are never checked.
    pub routes: BTreeSet<String>,
    /// How long a deregistered target stays.
    pub deregistration_delay: Span,
    /// How long a new target waits for its verdict.
    pub health_interval: Span,
    /// The route's weights, where twin groups make the share. A weight outlives its fleet, as on a real cloud.
    pub weights: BTreeMap<FleetId, Share>,
    /// Every registered target.
    pub targets: BTreeMap<TargetId, SimTarget>,
    /// The revisions that fail their checks here.
    pub sick: BTreeSet<Revision>,
}

/// One registered target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SimTarget {
    /// Whose it is.
    pub fleet: FleetId,
    /// The instance behind it.
    pub instance: InstanceId,
    /// Registered when.
    pub since: Time,
    /// When it is gone, once it was deregistered.
    pub gone_at: Option<Time>,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(now: Time, launch: Span) -> Self {
        Self {
            now,
            launch,
            capacity: None,
            fleets: BTreeMap::new(),
            groups: BTreeMap::new(),
            applied: BTreeMap::new(),
        }
    }

    /// Lets time pass: instances come up and join their groups, drained targets go. Never runs backwards.
    pub fn tick(&mut self, to: Time) {
        self.now = self.now.max(to);
        let now = self.now;
        for group in self.groups.values_mut() {
            group.targets.retain(|_, target| target.gone_at.is_none_or(|gone| gone > now));
        }
        let mut joins = Vec::new();
        for (id, fleet) in &mut self.fleets {
            for (instance, state) in &mut fleet.instances {
                if !state.joined && state.up_at <= now {
                    state.joined = true;
                    joins.extend(
                        fleet
                            .attached
                            .iter()
                            .map(|group| (group.clone(), id.clone(), instance.clone(), state.up_at)),
                    );
                }
            }
        }
        for (group, fleet, instance, up_at) in joins {
            self.register_target(&group, &fleet, &instance, up_at);
        }
        self.replace();
    }

    /// The next moment at which something happens by itself.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        let ups =
            self.fleets.values().flat_map(|fleet| fleet.instances.values().map(|instance| instance.up_at));
        let targets = self.groups.values().flat_map(|group| {
            let judged = |target: &SimTarget| target.gone_at.unwrap_or(target.since + group.health_interval);
            group.targets.values().map(judged).collect::<Vec<_>>()
        });
        ups.chain(targets).filter(|time| *time > self.now).min()
    }

    /// Keeps every fleet at its size, as far as there is room.
    pub(super) fn replace(&mut self) {
        let mut running: usize = self.fleets.values().map(|fleet| fleet.instances.len()).sum();
        let room = self.capacity.map_or(usize::MAX, |most| most as usize);
        let up_at = self.now + self.launch;
        for (id, fleet) in &mut self.fleets {
            while fleet.instances.len() < fleet.desired as usize && running < room {
                fleet.launched += 1;
                let Ok(name) = InstanceId::new(format!("{id}-i{}", fleet.launched)) else { break };
                fleet.instances.insert(name, SimInstance { up_at, joined: false });
                running += 1;
            }
        }
        if self.launch == Span::ZERO && self.fleets.values().any(|f| f.instances.values().any(|i| !i.joined))
        {
            self.tick(self.now);
        }
    }

    /// Puts one instance into a group, or takes back that it was leaving.
    pub(super) fn register_target(
        &mut self,
        group: &GroupId,
        fleet: &FleetId,
        instance: &InstanceId,
        since: Time,
    ) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let Ok(id) = TargetId::new(format!("{instance}:8080")) else { return };
        let staying = group.targets.get(&id).is_some_and(|target| target.gone_at.is_none());
        if !staying {
            let target = SimTarget { fleet: fleet.clone(), instance: instance.clone(), since, gone_at: None };
            group.targets.insert(id, target);
        }
    }

    /// The health of one target, as the load balancer judges it.
    #[must_use]
    pub fn health(&self, group: &SimGroup, target: &SimTarget) -> Health {
        let revision = self.fleets.get(&target.fleet).map(|fleet| &fleet.revision);
        let sick = revision.is_none_or(|revision| group.sick.contains(revision));
        if target.gone_at.is_some() {
            Health::Draining
        } else if group.routes.is_empty() || group.is_unchecked(&target.fleet) {
            Health::Unused
        } else if self.now < target.since + group.health_interval {
            Health::Initial
        } else if sick {
            Health::Unhealthy
        } else {
            Health::Healthy
        }
    }

    /// How many healthy targets a fleet has in a group.
    #[must_use]
    pub fn healthy(&self, group: &SimGroup, fleet: &FleetId) -> u32 {
        let healthy =
            |target: &&SimTarget| target.fleet == *fleet && self.health(group, target) == Health::Healthy;
        u32::try_from(group.targets.values().filter(healthy).count()).unwrap_or(u32::MAX)
    }

    /// Whether somebody of a fleet stands in a group who was not found ill.
    pub(super) fn may_be_well(&self, group: &SimGroup, fleet: &FleetId) -> bool {
        let well = |health| matches!(health, Health::Healthy | Health::Initial);
        group.targets.values().any(|target| target.fleet == *fleet && well(self.health(group, target)))
    }

    /// The groups in which a fleet has a target, a weight or an attachment.
    #[must_use]
    pub fn groups_of(&self, fleet: &FleetId) -> BTreeSet<GroupId> {
        let standing = self.groups.iter().filter(|(_, group)| group.stands(fleet)).map(|(id, _)| id.clone());
        let attached = self.fleets.get(fleet).into_iter().flat_map(|fleet| fleet.attached.iter().cloned());
        standing.chain(attached).collect()
    }

    /// What a perfect look would see now.
    #[must_use]
    pub fn inventory(&self, scope: &Scope) -> Inventory {
        let mut groups: BTreeSet<_> = scope.groups.clone();
        groups.extend(self.fleets.keys().flat_map(|fleet| self.groups_of(fleet)));
        groups.extend(scope.fleets.iter().flat_map(|fleet| self.groups_of(fleet)));
        let seen = |id: &GroupId| Some((id.clone(), Seen::Known(self.group_seen(self.groups.get(id)?))));
        Inventory {
            looked_at: self.now,
            fleets: self
                .fleets
                .iter()
                .map(|(id, fleet)| (id.clone(), Seen::Known(self.fleet_seen(fleet))))
                .collect(),
            groups: groups.iter().filter_map(seen).collect(),
            unread: BTreeSet::new(),
            busy: self
                .fleets
                .iter()
                .filter(|(_, fleet)| self.is_busy(fleet))
                .map(|(id, _)| id.clone())
                .collect(),
        }
    }

    /// Whether instances are coming up.
    fn is_busy(&self, fleet: &SimFleet) -> bool {
        fleet.instances.values().any(|instance| instance.up_at > self.now)
    }

    fn fleet_seen(&self, fleet: &SimFleet) -> FleetSeen {
        let state = |instance: &SimInstance| {
            if instance.up_at <= self.now { InstanceState::Running } else { InstanceState::Pending }
        };
        FleetSeen {
            revision: fleet.revision.clone(),
            desired: fleet.desired,
            instances: fleet.instances.iter().map(|(id, instance)| (id.clone(), state(instance))).collect(),
            scaling: fleet.scaling,
            attached: fleet.attached.clone(),
            failed: None,
        }
    }

    fn group_seen(&self, group: &SimGroup) -> GroupSeen {
        let mut sides: BTreeMap<FleetId, Side> = BTreeMap::new();
        for (id, target) in &group.targets {
            let side = sides.entry(target.fleet.clone()).or_default();
            let health = self.health(group, target);
            let seen = TargetSeen { instance: target.instance.clone(), health, reason: None };
            side.targets.insert(id.clone(), seen);
        }
        for (fleet, share) in group.shares() {
            sides.entry(fleet).or_default().share = share;
        }
        GroupSeen {
            sharing: group.sharing,
            steps: group.steps,
            routes: group.routes.clone(),
            deregistration_delay: group.deregistration_delay,
            health_interval: group.health_interval,
            sides,
        }
    }

    /// The same world with every time mapped and every token renamed, so that a checker can tell that two worlds differ
    /// in nothing that matters.
    #[doc(hidden)]
    #[must_use]
    pub fn rebased(mut self, map: impl Fn(Time) -> Time, rename: impl Fn(&Token) -> Option<Token>) -> Self {
        self.now = map(self.now);
        for instance in self.fleets.values_mut().flat_map(|fleet| fleet.instances.values_mut()) {
            instance.up_at = map(instance.up_at);
        }
        for target in self.groups.values_mut().flat_map(|group| group.targets.values_mut()) {
            target.since = map(target.since);
            target.gone_at = target.gone_at.map(&map);
        }
        self.applied =
            self.applied.into_iter().filter_map(|(token, done)| Some((rename(&token)?, done))).collect();
        self
    }
}

impl SimGroup {
    /// An empty group with one route.
    #[must_use]
    pub fn new(sharing: Sharing, steps: Steps, route: &str) -> Self {
        Self {
            sharing,
            steps,
            routes: BTreeSet::from([route.to_owned()]),
            deregistration_delay: Span::ZERO,
            health_interval: Span::ZERO,
            weights: BTreeMap::new(),
            targets: BTreeMap::new(),
            sick: BTreeSet::new(),
        }
    }

    /// How much of the traffic each fleet gets; fleets that get nothing are left out.
    #[must_use]
    pub fn shares(&self) -> BTreeMap<FleetId, Share> {
        match self.sharing {
            Sharing::Paired | Sharing::Unproved => self
                .weights
                .iter()
                .filter(|(_, share)| **share > Share::NONE)
                .map(|(id, share)| (id.clone(), *share))
                .collect(),
            Sharing::Shared => self.by_membership(),
            Sharing::Weighed => self.by_weight(),
        }
    }

    /// The share of one fleet.
    #[must_use]
    pub fn share(&self, fleet: &FleetId) -> Share {
        self.shares().get(fleet).copied().unwrap_or_default()
    }

    /// Each member counts for the same; a fleet with any member is never said to have nothing or, beside another,
    /// everything.
    fn by_membership(&self) -> BTreeMap<FleetId, Share> {
        let mut members: BTreeMap<&FleetId, u64> = BTreeMap::new();
        for target in self.targets.values().filter(|target| target.gone_at.is_none()) {
            *members.entry(&target.fleet).or_default() += 1;
        }
        let (all, alone) = (members.values().sum::<u64>(), members.len() == 1);
        let share = |count: u64| if alone { 100 } else { (count * 100 / all.max(1)).clamp(1, 99) };
        members
            .into_iter()
            .filter_map(|(id, count)| Some((id.clone(), Share::new(share(count)).ok()?)))
            .collect()
    }

    /// What targets in one group are told to carry together. One that nobody told anything has the smallest weight.
    pub(super) fn weigh(&mut self, to: &FleetId, from: Option<&FleetId>, share: Share) {
        self.weights = [(Some(to), share), (from, share.rest())]
            .into_iter()
            .filter_map(|(fleet, share)| Some((fleet?.clone(), share)))
            .collect();
    }

    fn by_weight(&self) -> BTreeMap<FleetId, Share> {
        let here = self.targets.values().filter(|target| target.gone_at.is_none());
        let members: BTreeSet<&FleetId> = here.map(|target| &target.fleet).collect();
        let weight = |id: &FleetId| self.weights.get(id).map_or(1, |share| u64::from(share.percent())).max(1);
        let all: u64 = members.iter().map(|id| weight(id)).sum();
        members.into_iter().map(|id| (id.clone(), share_of(weight(id), all - weight(id)))).collect()
    }

    /// Whether nobody looks at a fleet here: of twins that are switched whole, the one that carries nothing.
    pub(super) fn is_unchecked(&self, fleet: &FleetId) -> bool {
        let carries = self.weights.get(fleet).is_some_and(|share| *share > Share::NONE);
        self.sharing == Sharing::Unproved && !carries
    }

    /// Whether a fleet has a target or a weight here.
    #[must_use]
    pub fn stands(&self, fleet: &FleetId) -> bool {
        self.targets.values().any(|target| target.fleet == *fleet) || self.share(fleet) > Share::NONE
    }
}
