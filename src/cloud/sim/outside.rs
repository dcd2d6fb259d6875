//! What others do to the world: operators by hand, autoscaling, failing machines.

use std::collections::BTreeSet;

use super::world::{SimFleet, SimGroup, World};
use crate::model::{FleetId, GroupId, InstanceId, Revision, Scaling, Share, Sharing};

impl World {
    /// A fleet that is there and up from the beginning.
    pub fn found(&mut self, id: &FleetId, revision: &Revision, size: u32, scaling: Scaling) {
        let fleet = SimFleet {
            revision: revision.clone(),
            desired: size,
            scaling,
            instances: std::collections::BTreeMap::new(),
            attached: BTreeSet::new(),
            launched: 0,
        };
        self.fleets.insert(id.clone(), fleet);
        let launch = std::mem::take(&mut self.launch);
        self.replace();
        self.launch = launch;
    }

    /// Somebody makes a group, or replaces one.
    pub fn build(&mut self, id: &GroupId, group: SimGroup) {
        self.groups.insert(id.clone(), group);
    }

    /// Somebody attaches a fleet to a group by hand; where nobody carries the group, it does from now on.
    pub fn attach(&mut self, id: &FleetId, group: &GroupId) {
        let (Some(fleet), Some(to)) = (self.fleets.get_mut(id), self.groups.get_mut(group)) else { return };
        fleet.attached.insert(group.clone());
        if to.sharing != Sharing::Shared && to.weights.is_empty() {
            to.weights.insert(id.clone(), Share::ALL);
        }
        let up: Vec<_> = fleet.instances.iter().filter(|(_, i)| i.joined).map(|(id, _)| id.clone()).collect();
        for instance in up {
            self.register_target(group, id, &instance, self.now);
        }
    }

    /// Targets of a revision begin to fail their checks in a group.
    pub fn sicken(&mut self, group: &GroupId, revision: &Revision) {
        if let Some(group) = self.groups.get_mut(group) {
            group.sick.insert(revision.clone());
        }
    }

    /// They pass again.
    pub fn recover(&mut self, group: &GroupId, revision: &Revision) {
        if let Some(group) = self.groups.get_mut(group) {
            group.sick.remove(revision);
        }
    }

    /// A group is deleted by hand.
    pub fn vanish(&mut self, group: &GroupId) {
        self.groups.remove(group);
        for fleet in self.fleets.values_mut() {
            fleet.attached.remove(group);
        }
    }

    /// One target of a fleet is deregistered by hand, and at once.
    pub fn drop_target(&mut self, id: &GroupId, fleet: &FleetId) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let first = group.targets.iter().find(|(_, target)| target.fleet == *fleet).map(|(id, _)| id.clone());
        if let Some(target) = first {
            group.targets.remove(&target);
        }
    }

    /// An instance dies; its fleet launches another.
    pub fn kill(&mut self, fleet: &FleetId, instance: &InstanceId) {
        if let Some(known) = self.fleets.get_mut(fleet) {
            known.instances.remove(instance);
        }
        for group in self.groups.values_mut() {
            group.targets.retain(|_, target| target.instance != *instance);
        }
        self.replace();
    }

    /// Autoscaling wants another size. A fleet that is held still, or has a fixed size, keeps its own.
    pub fn scale(&mut self, fleet: &FleetId, desired: u32) {
        let Some(known) = self.fleets.get_mut(fleet).filter(|known| known.scaling == Scaling::Active) else {
            return;
        };
        known.desired = desired;
        let surplus = known.instances.len().saturating_sub(desired as usize);
        let leaving: Vec<_> = known.instances.keys().rev().take(surplus).cloned().collect();
        for instance in leaving {
            self.kill(fleet, &instance);
        }
        self.replace();
    }
}
