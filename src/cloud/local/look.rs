//! What a supervisor answers when it is asked what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::Paths;
use super::process;
use super::state::State;
use super::status::{FleetStatus, GroupStatus, InstanceStatus, LocalStatus};
use super::world::{FleetRun, Held, Slot, World, lock};
use crate::cloud::clock;
use crate::model::{
    FleetId, FleetSeen, GroupId, GroupSeen, InstanceState, Inventory, Scaling, Seen, ServiceName, Side,
};

impl World {
    /// A service: its fleets, and every group that is asked for or in which one of its fleets stands.
    pub(super) fn inventory(
        &self,
        service: &ServiceName,
        fleets: &BTreeSet<FleetId>,
        groups: &BTreeSet<GroupId>,
    ) -> Inventory {
        let looked_at = clock::now();
        let held = lock(&self.held);
        let wanted = |id: &FleetId, run: &FleetRun| run.settings.service == *service || fleets.contains(id);
        let ours: BTreeMap<_, _> = held
            .fleets
            .iter()
            .filter(|(id, run)| wanted(id, run))
            .map(|(id, run)| (id.clone(), Seen::Known(held.fleet_seen(id, run))))
            .collect();
        let stands = |standing: &BTreeSet<FleetId>| standing.iter().any(|fleet| ours.contains_key(fleet));
        let all = held.groups.iter().filter(|(id, group)| groups.contains(id) || stands(&group.fleets()));
        let seen = all.map(|(id, group)| {
            let seen = group.dark().map_or_else(|| Seen::Known(group.seen()), Seen::Unknown);
            (id.clone(), seen)
        });
        let groups = seen.collect();
        Inventory { looked_at, fleets: ours, groups, unread: BTreeSet::new(), busy: BTreeSet::new() }
    }

    /// Everything, for people.
    pub(super) fn status(&self) -> LocalStatus {
        let held = lock(&self.held);
        let fleets =
            held.fleets.iter().map(|(id, run)| (id.clone(), held.fleet_status(id, run, &self.paths)));
        let group = |(id, group): (&GroupId, &std::sync::Arc<super::group::Group>)| {
            (id.clone(), GroupStatus { dark: group.dark(), seen: group.seen() })
        };
        LocalStatus {
            dir: self.paths.dir().to_owned(),
            supervisor: Some(std::process::id()),
            fleets: fleets.collect(),
            groups: held.groups.iter().map(group).collect(),
        }
    }
}

impl Held {
    fn fleet_seen(&self, id: &FleetId, run: &FleetRun) -> FleetSeen {
        FleetSeen {
            revision: run.settings.revision.clone(),
            desired: if run.leaving { 0 } else { run.settings.size },
            instances: run.slots.iter().map(|(name, slot)| (name.clone(), slot.state())).collect(),
            scaling: Scaling::Fixed,
            attached: self.memberships(id),
            failed: None,
        }
    }

    fn memberships(&self, fleet: &FleetId) -> BTreeSet<GroupId> {
        self.groups.iter().filter(|(_, group)| group.is_member(fleet)).map(|(id, _)| id.clone()).collect()
    }

    fn fleet_status(&self, id: &FleetId, run: &FleetRun, paths: &Paths) -> FleetStatus {
        let instance = |slot: &Slot, name: &str| InstanceStatus {
            state: slot.state(),
            pid: slot.birth.as_ref().map(|birth| birth.pid),
            port: slot.birth.as_ref().map(|birth| birth.port),
            restarts: slot.restarts,
            reason: slot.reason.clone(),
            since: slot.since,
            log: paths.log(name),
        };
        FleetStatus {
            service: run.settings.service.clone(),
            revision: run.settings.revision.clone(),
            size: run.settings.size,
            leaving: run.leaving,
            groups: self.memberships(id),
            instances: run.slots.iter().map(|(n, slot)| (n.clone(), instance(slot, n.as_str()))).collect(),
        }
    }
}

impl Slot {
    fn state(&self) -> InstanceState {
        match (&self.birth, self.leaving) {
            (_, true) => InstanceState::Leaving,
            (Some(_), false) => InstanceState::Running,
            (None, false) => InstanceState::Pending,
        }
    }
}

/// What a state file remembers, where no supervisor runs: the processes are really looked for, and no group is served.
pub(super) fn remembered(paths: &Paths, state: &State) -> LocalStatus {
    let groups = &state.groups;
    let memberships = |id: &FleetId| {
        groups.iter().filter(|(_, g)| g.shares.contains_key(id)).map(|(id, _)| id.clone()).collect()
    };
    let fleets = state.fleets.iter().map(|(id, fleet)| {
        let instances = fleet.instances.iter().map(|(name, birth)| {
            let lives = process::lives(birth);
            let status = InstanceStatus {
                state: if lives { InstanceState::Running } else { InstanceState::Pending },
                pid: lives.then_some(birth.pid),
                port: lives.then_some(birth.port),
                restarts: 0,
                reason: None,
                since: clock::now(),
                log: paths.log(name.as_str()),
            };
            (name.clone(), status)
        });
        let status = FleetStatus {
            service: fleet.settings.service.clone(),
            revision: fleet.settings.revision.clone(),
            size: fleet.settings.size,
            leaving: fleet.leaving,
            groups: memberships(id),
            instances: instances.collect(),
        };
        (id.clone(), status)
    });
    let dark = |(id, group): (&GroupId, &super::state::StoredGroup)| {
        let side = |(fleet, share): (&FleetId, &crate::model::Share)| {
            (fleet.clone(), Side { share: *share, targets: BTreeMap::new() })
        };
        let seen = GroupSeen {
            sides: group.shares.iter().map(side).collect(),
            ..super::group::empty(&group.settings)
        };
        (id.clone(), GroupStatus { dark: Some("no supervisor runs".to_owned()), seen })
    };
    LocalStatus {
        dir: paths.dir().to_owned(),
        supervisor: None,
        fleets: fleets.collect(),
        groups: groups.iter().map(dark).collect(),
    }
}
