//! What our calls do to the world.

use std::collections::BTreeSet;

use super::world::{SimFleet, World};
use crate::cloud::{Change, Fault, FaultKind};
use crate::model::{Fleet, FleetId, GroupId, Scaling, Share, Sharing, Steps, Token};

impl World {
    /// Makes one change. Under a token that it knows for this change already it does nothing.
    ///
    /// # Errors
    /// A [`Fault`] of a call that was certainly not applied.
    pub fn apply(&mut self, change: &Change, token: &Token) -> Result<(), Fault> {
        if self.applied.get(token).is_some_and(|done| done.contains(change)) {
            return Ok(());
        }
        match change {
            Change::Provision { fleet } => self.provision(fleet),
            Change::Register { fleet, groups } => self.register(fleet, groups),
            Change::Shift { group, to, from, share } => self.shift(group, to, from.as_ref(), *share),
            Change::Deregister { fleet, groups } => {
                self.deregister(fleet, groups);
                Ok(())
            }
            Change::Freeze { fleet } => self.scaling(fleet, Scaling::Active, Scaling::Frozen),
            Change::Thaw { fleet } => self.scaling(fleet, Scaling::Frozen, Scaling::Active),
        }?;
        self.applied.entry(token.clone()).or_default().push(change.clone());
        Ok(())
    }

    /// Takes a fleet away with its instances, targets and attachments. Its weights stay, as on a real cloud. One that
    /// does not exist is gone already.
    pub fn retire(&mut self, fleet: &FleetId) {
        self.fleets.remove(fleet);
        for group in self.groups.values_mut() {
            group.targets.retain(|_, target| target.fleet != *fleet);
        }
    }

    fn provision(&mut self, fleet: &Fleet) -> Result<(), Fault> {
        let known = self.fleets.entry(fleet.id.clone()).or_insert_with(|| SimFleet {
            revision: fleet.revision.clone(),
            desired: 0,
            scaling: Scaling::Active,
            instances: std::collections::BTreeMap::new(),
            attached: BTreeSet::new(),
            launched: 0,
        });
        if known.revision != fleet.revision {
            return Err(invalid("Provision", format!("{} runs {} already", fleet.id, known.revision)));
        }
        known.desired = known.desired.max(fleet.size);
        self.replace();
        Ok(())
    }

    fn register(&mut self, fleet: &FleetId, groups: &BTreeSet<GroupId>) -> Result<(), Fault> {
        self.all_exist("Register", groups)?;
        let now = self.now;
        let known = self.fleets.get_mut(fleet).ok_or_else(|| missing("Register", fleet.as_str()))?;
        known.attached.extend(groups.iter().cloned());
        let up: Vec<_> = known.instances.iter().filter(|(_, i)| i.joined).map(|(id, _)| id.clone()).collect();
        for group in groups {
            for instance in &up {
                self.register_target(group, fleet, instance, now);
            }
        }
        Ok(())
    }

    fn deregister(&mut self, fleet: &FleetId, groups: &BTreeSet<GroupId>) {
        for group in groups {
            self.leave(group, fleet); // A group that is gone has been left.
        }
    }

    fn leave(&mut self, id: &GroupId, fleet: &FleetId) {
        if let Some(known) = self.fleets.get_mut(fleet) {
            known.attached.remove(id);
        }
        let Some(group) = self.groups.get_mut(id) else { return };
        let gone_at = self.now + group.deregistration_delay;
        for target in group.targets.values_mut().filter(|target| target.fleet == *fleet) {
            target.gone_at.get_or_insert(gone_at);
        }
        self.tick(self.now);
    }

    fn shift(
        &mut self,
        id: &GroupId,
        to: &FleetId,
        from: Option<&FleetId>,
        share: Share,
    ) -> Result<(), Fault> {
        let group = self.groups.get_mut(id).ok_or_else(|| missing("Shift", id.as_str()))?;
        let end = share == Share::ALL || share == Share::NONE;
        if from.is_none() && !end {
            return Err(invalid("Shift", format!("nobody is named for the other {} of {id}", share.rest())));
        }
        let carriers = [(Some(to), share), (from, share.rest())];
        let carriers = carriers.into_iter().filter(|(_, share)| *share > Share::NONE);
        if let Some(absent) = carriers.filter_map(|(id, _)| id).find(|id| !self.fleets.contains_key(*id)) {
            return Err(missing("Shift", absent.as_str()));
        }
        if group.steps == Steps::AllOrNothing && !end {
            return Err(invalid("Shift", format!("{id} takes nothing or everything")));
        }
        match group.sharing {
            Sharing::Paired | Sharing::Unproved => {
                for target in group.targets.values_mut() {
                    // Whoever begins to carry something is looked at from now on.
                    let begins = group.weights.get(&target.fleet).is_none_or(|share| *share == Share::NONE);
                    if group.sharing == Sharing::Unproved && begins {
                        target.since = self.now;
                    }
                }
                group.weights = [(Some(to), share), (from, share.rest())]
                    .into_iter()
                    .filter(|(_, share)| *share > Share::NONE)
                    .filter_map(|(fleet, share)| Some((fleet?.clone(), share)))
                    .collect();
                Ok(())
            }
            Sharing::Weighed => {
                group.weigh(to, from, share);
                match (share, from) {
                    (Share::ALL, Some(leaving)) => self.leave(id, leaving),
                    (Share::NONE, _) => self.leave(id, to),
                    _ => {}
                }
                Ok(())
            }
            Sharing::Shared if !end => {
                Err(invalid("Shift", format!("the share of {id} follows its members")))
            }
            Sharing::Shared => {
                if let Some(leaving) = if share == Share::ALL { from } else { Some(to) } {
                    self.leave(id, leaving);
                }
                Ok(())
            }
        }
    }

    fn scaling(&mut self, fleet: &FleetId, from: Scaling, to: Scaling) -> Result<(), Fault> {
        let known = self.fleets.get_mut(fleet).ok_or_else(|| missing("Scaling", fleet.as_str()))?;
        if known.scaling == from {
            known.scaling = to;
        }
        Ok(())
    }

    fn all_exist(&self, action: &str, groups: &BTreeSet<GroupId>) -> Result<(), Fault> {
        match groups.iter().find(|id| !self.groups.contains_key(*id)) {
            Some(absent) => Err(missing(action, absent.as_str())),
            None => Ok(()),
        }
    }
}

fn missing(action: &str, what: &str) -> Fault {
    Fault::new(FaultKind::Missing, action, format!("{what} does not exist"))
}

fn invalid(action: &str, message: String) -> Fault {
    Fault::new(FaultKind::Invalid, action, message)
}
