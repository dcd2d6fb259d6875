//! Fleets join groups, and are judged there.

use std::collections::BTreeSet;

use deployer::cloud::Backend;
use deployer::model::{Health, Inventory, Share, Sharing};

use crate::harness::{Hand, Harness};
use crate::story::{
    at_rest, bring_up, change, green_in, in_place, look, only, register, same, same_but, shift, side,
    stands_whole, token, until, up_without, watch, well,
};

pub async fn registering_puts_every_instance_into_each_group_and_moves_no_traffic<H: Harness>(h: H) {
    let given = h.given();
    let before = bring_up(&h, &given.green).await;
    let (twins, once) = (given.twins(), token());
    h.backend().change(&register(&given.green, &twins), &once).await.unwrap();
    let without = |seen: &Inventory| {
        for id in &given.declared() {
            assert_eq!(side(seen, &given.green.id, id).share, Share::NONE, "in `{id}`");
            assert_eq!(side(seen, &given.blue.id, id), side(&before, &given.blue.id, id), "in `{id}`");
        }
    };
    let whole = |seen: &Inventory| in_place(&h, seen, &given.green, &twins);
    let seen = watch(&h, "green is well in each", without, whole).await;
    assert_eq!(seen.fleet(&given.green.id).unwrap().attached, twins);
    assert_eq!(seen.groups_of(&given.green.id), twins);
    assert_eq!(seen.fleet(&given.blue.id), before.fleet(&given.blue.id));
    h.backend().change(&register(&given.green, &twins), &once).await.unwrap();
    same(&seen, &look(&h).await);
    change(&h, &register(&given.green, &twins)).await;
    same(&seen, &look(&h).await);
}

/// Where a cloud has no group for both, there is none in a look either.
pub async fn in_a_shared_group_to_stand_is_to_share<H: Harness>(h: H) {
    let given = h.given();
    let Some(shared) = &given.shared else {
        let seen = look(&h).await;
        let groups = seen.groups.values().filter_map(|seen| seen.known());
        assert!(
            groups.into_iter().all(|group| matches!(group.sharing, Sharing::Paired | Sharing::Unproved)),
            "{seen:#?}"
        );
        return;
    };
    let seen = green_in(&h, &only(shared)).await;
    let parts = [&given.blue, &given.green].map(|fleet| side(&seen, &fleet.id, shared).share);
    assert!(parts.iter().all(|part| Share::NONE < *part && *part < Share::ALL), "{parts:?}");
    assert_eq!(parts[0].percent() + parts[1].percent(), 100, "the fleets are of one size");
}

pub async fn nobody_is_called_healthy_before_a_check_could_have_passed<H: Harness>(h: H) {
    let given = h.given();
    bring_up(&h, &given.green).await;
    let (group, mut asked) = (&given.paired[0], h.now());
    change(&h, &register(&given.green, &only(group))).await;
    if !h.ways().proves {
        asked = h.now();
        change(&h, &shift(group, &given.green, &given.blue, 100)).await;
    }
    let mut judged: BTreeSet<_> = BTreeSet::new();
    let each = |seen: &Inventory| {
        let early = h.now().since(asked) < h.ways().verdict_min;
        for (id, target) in side(seen, &given.green.id, group).targets {
            match target.health {
                Health::Healthy => {
                    assert!(!early, "{id} is healthy before anybody can know");
                    judged.insert(id);
                }
                Health::Initial | Health::Unused | Health::Unhealthy => {
                    assert!(!judged.contains(&id), "{id} was well, and nothing happened to it: {target:?}");
                }
                Health::Draining | Health::Unavailable => panic!("{id} is {:?}", target.health),
            }
        }
    };
    watch(&h, "green is well", each, |seen| well(seen, &given.green, &only(group))).await;
}

pub async fn an_ill_revision_is_seen_unhealthy_and_never_healthy<H: Harness>(h: H) {
    let (given, ill) = (h.given(), &h.given().ill);
    let before = look(&h).await;
    bring_up(&h, ill).await;
    let [sick, other] = &given.paired;
    change(&h, &register(ill, &[sick.clone(), other.clone()].into())).await;
    if !h.ways().proves {
        both_to(&h, ill, 100).await;
    }
    let never = |seen: &Inventory| assert_eq!(side(seen, &ill.id, sick).healthy(), 0, "{seen:#?}");
    let judged = |seen: &Inventory| {
        let elsewhere = side(seen, &ill.id, other);
        let there = if h.ways().ill_in_one_group { Health::Healthy } else { Health::Unhealthy };
        side(seen, &ill.id, sick).count(Health::Unhealthy) == ill.size && elsewhere.count(there) == ill.size
    };
    let seen = watch(&h, "every target is judged", never, judged).await;
    if h.ways().proves {
        same_but(&ill.id, &before, &seen);
    } else {
        both_to(&h, ill, 0).await;
        same_but(&ill.id, &before, &at_rest(&h).await);
    }
}

async fn both_to<H: Harness>(h: &H, green: &deployer::model::Fleet, percent: u64) {
    for group in &h.given().paired {
        change(h, &shift(group, green, &h.given().blue, percent)).await;
    }
}

pub async fn a_fleet_that_falls_ill_is_seen_unhealthy_and_healthy_again_when_it_has_recovered<H: Harness>(
    h: H,
) {
    let (green, group) = (&h.given().green, &h.given().paired[0]);
    green_in(&h, &only(group)).await;
    if !h.ways().proves {
        change(&h, &shift(group, green, &h.given().blue, 100)).await;
        until(&h, "green is well", |seen| well(seen, green, &only(group))).await;
    }
    h.by_hand(Hand::Sicken(green.id.clone(), group.clone())).await;
    let ill = |seen: &Inventory| side(seen, &green.id, group).count(Health::Unhealthy) == green.size;
    until(&h, "green is ill", ill).await;
    h.by_hand(Hand::Recover(green.id.clone(), group.clone())).await;
    until(&h, "green is well again", |seen| well(seen, green, &only(group))).await;
}

pub async fn what_was_taken_out_by_hand_comes_back_by_registering_again<H: Harness>(h: H) {
    let (green, group) = (&h.given().green, &h.given().paired[0]);
    if !h.ways().drops_targets {
        return; // Nobody can do this to it.
    }
    green_in(&h, &only(group)).await;
    h.by_hand(Hand::Drop(green.id.clone(), group.clone())).await;
    let out = |seen: &Inventory| !stands_whole(seen, &green.id, group);
    until(&h, "one is seen to be out", out).await;
    at_peace(&h).await;
    change(&h, &register(green, &only(group))).await;
    until(&h, "green is whole again", |seen| well(seen, green, &only(group))).await;
}

/// Whoever was taken out has left.
async fn at_peace<H: Harness>(h: &H) {
    let (green, group) = (&h.given().green, &h.given().paired[0]);
    until(h, "nobody drains", |seen| side(seen, &green.id, group).count(Health::Draining) == 0).await;
}

pub async fn an_instance_that_comes_later_joins_the_groups_of_its_fleet<H: Harness>(h: H) {
    let (green, group) = (&h.given().green, &h.given().paired[0]);
    let before = green_in(&h, &only(group)).await;
    let victim = before.fleet(&green.id).unwrap().instances.keys().next().unwrap().clone();
    let known: BTreeSet<_> = side(&before, &green.id, group).targets.into_keys().collect();
    h.by_hand(Hand::Kill(green.id.clone(), victim.clone())).await;
    let replaced = |seen: &Inventory| {
        let now: BTreeSet<_> = side(seen, &green.id, group).targets.into_keys().collect();
        in_place(&h, seen, green, &only(group)) && now != known
    };
    if !h.ways().joins {
        until(&h, "its successor is up", |seen| up_without(seen, green, &victim)).await;
        change(&h, &register(green, &only(group))).await;
    }
    until(&h, "its successor is well", replaced).await;
    at_rest(&h).await;
}
