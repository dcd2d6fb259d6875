//! What a driver is told where it left leeway: everything as old as it may be.

use std::collections::VecDeque;

use super::cloud::Call;
use crate::cloud::{Change, Leeway};
use crate::model::{FleetId, GroupSeen, Health, Inventory, Seen, Share, Sharing, Side, Span, Time};

/// How old may be the groups beside the one that is looked at.
const OTHERS_FOR: Span = Span::secs(20);
/// How old may be where routes lead, and the health of those who were well.
const WELL_FOR: Span = Span::secs(60);

/// What one door has seen of late.
#[derive(Debug, Default)]
pub(super) struct Aged {
    pictures: VecDeque<(Time, Inventory)>,
    /// When this door last sent a change of any kind, and one that moves targets.
    changed_at: Time,
    moved_at: Time,
    /// And the change before.
    before_at: Time,
}

impl Aged {
    /// A call is sent: what it may touch is not remembered.
    pub fn sent(&mut self, now: Time, call: &Call) {
        self.before_at = self.changed_at;
        self.changed_at = now;
        let still =
            matches!(call, Call::Change(Change::Shift { .. } | Change::Freeze { .. } | Change::Thaw { .. }));
        if !still {
            self.moved_at = now;
        }
    }

    /// A look that saw this tells it with so much leeway.
    pub fn tell(&mut self, now: Time, seen: Inventory, leeway: &Leeway) -> Inventory {
        self.pictures.retain(|(at, _)| now.since(*at) < WELL_FOR);
        let mut told = seen.clone();
        if let Some(then) = self.oldest(self.before_at, now, WELL_FOR)
            && leeway.busy.as_ref().is_some_and(|fleet| seen.busy.contains(fleet))
        {
            told = Inventory { looked_at: seen.looked_at, busy: seen.busy.clone(), ..then.clone() };
            self.pictures.push_back((now, seen));
            return told;
        }
        if let Some(then) = self.oldest(self.changed_at, now, WELL_FOR).filter(|_| leeway.routes) {
            each(&mut told, then, shares);
        }
        if let Some(then) = self.oldest(self.moved_at, now, WELL_FOR) {
            each(&mut told, then, |group, then| {
                if then.sides.iter().all(|(id, side)| leeway.settled.contains(id) && well(side)) {
                    healths(group, then, &leeway.settled.iter().collect::<Vec<_>>());
                }
            });
        }
        if let (Some(fleet), Some(then)) = (&leeway.awaited, self.oldest(self.moved_at, now, OTHERS_FOR)) {
            let alone = |group: &GroupSeen| group.sides.keys().all(|id| id == fleet);
            let restless = |seen: &Seen<GroupSeen>| {
                seen.known().is_some_and(|group| alone(group) && group.sides.values().any(|side| !well(side)))
            };
            let lead = then.groups.iter().find(|(_, group)| restless(group)).map(|(id, _)| id);
            let waiting = lead.filter(|id| seen.groups.get(*id).is_some_and(restless));
            if let Some(lead) = waiting {
                let others = told.groups.iter_mut().filter(|(id, _)| *id != lead);
                for (group, then) in others.filter_map(|(id, group)| Some((group, then.groups.get(id)?))) {
                    if let (Seen::Known(group), Seen::Known(then)) = (group, then)
                        && alone(then)
                    {
                        healths(group, then, &[fleet]);
                    }
                }
            }
        }
        self.pictures.push_back((now, seen));
        told
    }

    fn oldest(&self, since: Time, now: Time, most: Span) -> Option<&Inventory> {
        let recent = self.pictures.iter().find(|(at, _)| *at > since && now.since(*at) < most);
        recent.map(|(_, picture)| picture)
    }
}

fn each(told: &mut Inventory, then: &Inventory, age: impl Fn(&mut GroupSeen, &GroupSeen)) {
    for (id, group) in &mut told.groups {
        if let (Seen::Known(group), Some(then)) = (group, then.group(id)) {
            age(group, then);
        }
    }
}

fn well(side: &Side) -> bool {
    side.targets.values().all(|target| target.health == Health::Healthy)
}

/// Who has which share as it was then; by membership it follows the targets.
fn shares(group: &mut GroupSeen, then: &GroupSeen) {
    if group.sharing == Sharing::Shared {
        return;
    }
    for side in group.sides.values_mut() {
        side.share = Share::NONE;
    }
    for (fleet, side) in then.sides.iter().filter(|(_, side)| side.share > Share::NONE) {
        group.sides.entry(fleet.clone()).or_default().share = side.share;
    }
}

/// The targets of these fleets as they were then.
fn healths(group: &mut GroupSeen, then: &GroupSeen, fleets: &[&FleetId]) {
    for fleet in fleets {
        if let Some(then) = then.sides.get(*fleet).filter(|side| !side.targets.is_empty()) {
            group.sides.entry((*fleet).clone()).or_default().targets.clone_from(&then.targets);
        }
    }
}
