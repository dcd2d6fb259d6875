//! A fleet leaves groups, and may come back.

use std::collections::BTreeSet;

use deployer::cloud::Backend;
use deployer::model::{GroupId, Health, Inventory};

use crate::harness::{Hand, Harness};
use crate::story::{
    at_rest, change, deregister, green_in, group, in_place, look, only, register, same, side, stands_whole,
    token, until, up, up_without, watch,
};

pub async fn a_fleet_that_leaves_drains_goes_and_stays_away_and_can_come_back<H: Harness>(h: H) {
    let (given, green) = (h.given(), &h.given().green);
    let [left, kept] = &given.paired;
    let before = green_in(&h, &[left.clone(), kept.clone()].into()).await;
    let once = token();
    h.backend().change(&deregister(green, &only(left)), &once).await.unwrap();
    let mut attached = before.fleet(&green.id).unwrap().attached.clone();
    assert!(attached.remove(left));
    let mut drained = BTreeSet::new();
    let each = |seen: &Inventory| {
        let side = side(seen, &green.id, left);
        assert_eq!(side.count(Health::Draining) as usize, side.targets.len(), "{side:#?}");
        drained.extend(side.targets.into_keys());
        assert_eq!(seen.fleet(&green.id).unwrap().attached, attached);
        assert_eq!(group(seen, kept), group(&before, kept));
    };
    let seen = watch(&h, "green is out", each, |seen| gone(seen, &green.id, left)).await;
    if h.ways().lingers {
        assert_eq!(drained, side(&before, &green.id, left).targets.into_keys().collect());
    }
    assert_eq!(side(&seen, &given.blue.id, left), side(&before, &given.blue.id, left));
    h.backend().change(&deregister(green, &only(left)), &once).await.unwrap();
    change(&h, &deregister(green, &only(left))).await;
    same(&seen, &look(&h).await);
    replace_one(&h, left, kept).await;
    change(&h, &register(green, &only(left))).await;
    let both = [left.clone(), kept.clone()].into();
    until(&h, "green is back", |seen| in_place(&h, seen, green, &both)).await;
}

/// Whoever comes later joins where the fleet stands, and not where it has left.
async fn replace_one<H: Harness>(h: &H, left: &GroupId, kept: &GroupId) {
    let green = &h.given().green;
    let before = at_rest(h).await;
    let victim = before.fleet(&green.id).unwrap().instances.keys().next().unwrap().clone();
    let known: BTreeSet<_> = side(&before, &green.id, kept).targets.into_keys().collect();
    h.by_hand(Hand::Kill(green.id.clone(), victim.clone())).await;
    let each = |seen: &Inventory| assert!(gone(seen, &green.id, left), "{seen:#?}");
    let replaced = |seen: &Inventory| {
        let now: BTreeSet<_> = side(seen, &green.id, kept).targets.into_keys().collect();
        up(seen, green) && stands_whole(seen, &green.id, kept) && now != known
    };
    if !h.ways().joins {
        until(h, "a successor is up", |seen| up_without(seen, green, &victim)).await;
        change(h, &register(green, &only(kept))).await;
    }
    watch(h, "a successor has joined", each, replaced).await;
}

fn gone(seen: &Inventory, fleet: &deployer::model::FleetId, group: &GroupId) -> bool {
    side(seen, fleet, group).targets.is_empty()
}

pub async fn a_fleet_may_come_back_while_it_still_drains<H: Harness>(h: H) {
    let (green, left) = (&h.given().green, &h.given().paired[0]);
    green_in(&h, &only(left)).await;
    change(&h, &deregister(green, &only(left))).await;
    look(&h).await;
    change(&h, &register(green, &only(left))).await;
    until(&h, "green is back", |seen| in_place(&h, seen, green, &only(left))).await;
    assert!(at_rest(&h).await.fleet(&green.id).unwrap().attached.contains(left));
}
