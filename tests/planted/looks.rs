//! Lies about what there is to be seen.

use deployer::model::{FleetId, GroupSeen, Health, Inventory, Seen, Share, Sharing, Side, Span};

use super::Memory;
use crate::common::{blue, green};

fn groups(seen: &mut Inventory) -> impl Iterator<Item = &mut GroupSeen> {
    seen.groups.values_mut().filter_map(|group| match group {
        Seen::Known(group) => Some(group),
        Seen::Unknown(_) => None,
    })
}

fn each_side(seen: &mut Inventory, fleet: &FleetId, mut make: impl FnMut(&mut Side)) {
    groups(seen).filter_map(|group| group.sides.get_mut(fleet)).for_each(&mut make);
}

fn health(seen: &mut Inventory, fleet: &FleetId, from: Health) {
    each_side(seen, fleet, |side| {
        for target in side.targets.values_mut().filter(|target| target.health == from) {
            target.health = Health::Healthy;
        }
    });
}

/// Only what the plan names is looked for.
pub fn undeclared_hidden(memory: &mut Memory, seen: &mut Inventory) {
    let named = |id: &deployer::model::GroupId| memory.plan.groups.contains_key(id);
    seen.groups.retain(|id, _| named(id));
    for fleet in seen.fleets.values_mut() {
        if let Seen::Known(fleet) = fleet {
            fleet.attached.retain(named);
        }
    }
}

/// A group more or less does not matter where both fleets stand in as many.
pub fn counts_compared(memory: &mut Memory, seen: &mut Inventory) {
    let standing = |fleet| seen.groups_of(fleet).len();
    if standing(&green()) >= standing(&blue()) {
        undeclared_hidden(memory, seen);
    }
}

pub fn initial_is_healthy(_: &mut Memory, seen: &mut Inventory) {
    health(seen, &green(), Health::Initial);
}

pub fn unhealthy_is_healthy(_: &mut Memory, seen: &mut Inventory) {
    health(seen, &green(), Health::Unhealthy);
}

pub fn blue_is_healthy(_: &mut Memory, seen: &mut Inventory) {
    health(seen, &blue(), Health::Initial);
    health(seen, &blue(), Health::Unhealthy);
}

/// What is draining is gone.
pub fn draining_is_gone(_: &mut Memory, seen: &mut Inventory) {
    each_side(seen, &blue(), |side| side.targets.retain(|_, target| target.health != Health::Draining));
}

/// Most of the traffic is all of it.
pub fn half_is_all(_: &mut Memory, seen: &mut Inventory) {
    for group in groups(seen) {
        if group.sides.get(&green()).is_some_and(|side| side.share.percent() >= 50) {
            group.sides.values_mut().for_each(|side| side.share = Share::NONE);
            group.sides.entry(green()).or_default().share = Share::ALL;
        }
    }
}

/// A group that once could not be read is taken for covered from then on.
pub fn unread_is_covered(memory: &mut Memory, seen: &mut Inventory) {
    for (id, group) in &seen.groups {
        if matches!(group, Seen::Unknown(_)) {
            memory.groups.insert(id.clone());
        }
    }
    let example = groups(seen).find(|group| group.sides.contains_key(&green())).cloned();
    let Some(mut example) = example else { return };
    example.sharing = Sharing::Paired;
    example.sides.retain(|fleet, _| *fleet == green());
    for side in example.sides.values_mut() {
        side.share = Share::ALL;
    }
    for (id, group) in &mut seen.groups {
        if memory.groups.contains(id) {
            *group = Seen::Known(example.clone());
        }
    }
}

/// What was read less than two minutes ago is not read again.
pub fn cached(memory: &mut Memory, seen: &mut Inventory) {
    match &memory.last {
        Some(last) if seen.looked_at.since(last.looked_at) < Span::secs(120) => *seen = last.clone(),
        _ => memory.last = Some(seen.clone()),
    }
}

/// The changes that were kept back are shown as made.
pub fn imagined(memory: &mut Memory, seen: &mut Inventory) {
    for change in &memory.kept {
        match change {
            deployer::cloud::Change::Shift { group, to, share, .. } => {
                if let Some(Seen::Known(group)) = seen.groups.get_mut(group) {
                    group.sides.values_mut().for_each(|side| side.share = Share::NONE);
                    let rest = share.rest();
                    group.sides.entry(blue()).or_default().share = rest;
                    group.sides.entry(to.clone()).or_default().share = *share;
                }
            }
            deployer::cloud::Change::Thaw { fleet } => {
                if let Some(Seen::Known(fleet)) = seen.fleets.get_mut(fleet) {
                    fleet.scaling = deployer::model::Scaling::Active;
                }
            }
            deployer::cloud::Change::Register { groups: missing, .. } => joined(seen, missing),
            _ => {}
        }
    }
    if let Some(gone) = &memory.gone {
        seen.fleets.remove(gone);
        groups(seen).for_each(|group| drop(group.sides.remove(gone)));
    }
}

/// Green is shown in groups as it stands in another.
fn joined(seen: &mut Inventory, missing: &std::collections::BTreeSet<deployer::model::GroupId>) {
    let other =
        groups(seen).find_map(|group| group.sides.get(&green()).filter(|side| !side.targets.is_empty()));
    let Some(targets) = other.map(|side| side.targets.clone()) else { return };
    for (_, group) in seen.groups.iter_mut().filter(|(id, _)| missing.contains(*id)) {
        if let Seen::Known(group) = group {
            group.sides.entry(green()).or_default().targets.clone_from(&targets);
        }
    }
}
