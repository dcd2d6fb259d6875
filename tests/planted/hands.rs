//! Lies about what was done.

use deployer::cloud::Change;
use deployer::model::{Fleet, FleetId, Share};

use super::Memory;
use crate::common::{blue, green, group};

/// A fleet is created once more under another name.
pub fn created_twice(_: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Provision { fleet } => {
            let id = FleetId::new(format!("{}-again", fleet.id)).unwrap();
            vec![change.clone(), Change::Provision { fleet: Fleet { id, ..fleet.clone() } }]
        }
        _ => vec![change.clone()],
    }
}

/// Twice as many instances as were asked for.
pub fn doubled(_: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Provision { fleet } => {
            vec![Change::Provision { fleet: Fleet { size: fleet.size * 2, ..fleet.clone() } }]
        }
        _ => vec![change.clone()],
    }
}

/// Before the weights are set, all of them are taken away.
pub fn emptied_first(_: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Shift { group, to, from: Some(_), .. } => {
            let none = Change::Shift { group: group.clone(), to: to.clone(), from: None, share: Share::NONE };
            vec![none, change.clone()]
        }
        _ => vec![change.clone()],
    }
}

/// Whoever leaves takes the other fleet along.
pub fn both_leave(_: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Deregister { groups, .. } => {
            [blue(), green()].map(|fleet| Change::Deregister { fleet, groups: groups.clone() }).to_vec()
        }
        _ => vec![change.clone()],
    }
}

/// The first step goes all the way.
pub fn step_skipped(_: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Shift { group, to, from, share } if *share > Share::NONE => vec![Change::Shift {
            group: group.clone(),
            to: to.clone(),
            from: from.clone(),
            share: Share::ALL,
        }],
        _ => vec![change.clone()],
    }
}

/// One group's traffic is not moved, and shown as moved.
pub fn shift_swallowed(memory: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Shift { group: id, .. } if *id == group("public") => kept(memory, change),
        _ => vec![change.clone()],
    }
}

/// Green does not join one of the groups, and is shown there.
pub fn group_skipped(memory: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Register { fleet, groups } if *fleet == green() => {
            let (skipped, others) = groups.iter().cloned().partition(|id| *id == group("public"));
            memory.kept.push(Change::Register { fleet: fleet.clone(), groups: skipped });
            vec![Change::Register { fleet: fleet.clone(), groups: others }]
        }
        _ => vec![change.clone()],
    }
}

pub fn thaw_swallowed(memory: &mut Memory, change: &Change) -> Vec<Change> {
    match change {
        Change::Thaw { .. } => kept(memory, change),
        _ => vec![change.clone()],
    }
}

fn kept(memory: &mut Memory, change: &Change) -> Vec<Change> {
    memory.kept.push(change.clone());
    Vec::new()
}

/// The other fleet goes.
#[expect(clippy::unnecessary_wraps, reason = "it stands in a table of its kind")]
pub fn other_retired(_: &mut Memory, fleet: &FleetId) -> Option<FleetId> {
    Some(if *fleet == green() { blue() } else { green() })
}

/// Green stays, and is not seen any more.
pub fn green_leaked(memory: &mut Memory, fleet: &FleetId) -> Option<FleetId> {
    leaked(memory, fleet, &green())
}

/// Blue stays, and is not seen any more.
pub fn blue_leaked(memory: &mut Memory, fleet: &FleetId) -> Option<FleetId> {
    leaked(memory, fleet, &blue())
}

fn leaked(memory: &mut Memory, fleet: &FleetId, whose: &FleetId) -> Option<FleetId> {
    let stays = fleet == whose;
    memory.gone = stays.then(|| fleet.clone()).or(memory.gone.take());
    (!stays).then(|| fleet.clone())
}
