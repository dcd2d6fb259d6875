//! Fleets come and go.

use std::collections::BTreeSet;

use deployer::cloud::{Backend, Change, FaultKind};
use deployer::model::{Fleet, FleetId, GroupId, InstanceState, Inventory, Share};

use crate::harness::Harness;
use crate::story::{
    at_rest, blue_drained, bring_up, change, come_up, deregister, freeze, green_in, group, leave_for_blue,
    leave_for_idle, look, only, provision, put_in, refused, register, same, same_but, shift, side,
    stands_nowhere, stands_whole, token, until, well,
};

pub async fn provisioning_once_or_more_makes_one_fleet_as_planned_and_leaves_blue_alone<H: Harness>(h: H) {
    let (green, before) = (&h.given().green, look(&h).await);
    let once = token();
    for token in [&once, &once, &token()] {
        h.backend().change(&provision(green), token).await.unwrap();
    }
    let mut names = BTreeSet::new();
    let each = |seen: &deployer::model::Inventory| {
        same_but(&green.id, &before, seen);
        let Some(fleet) = seen.fleet(&green.id) else { return };
        assert!(fleet.instances.values().all(|state| *state != InstanceState::Leaving), "{fleet:?}");
        names.extend(fleet.instances.keys().cloned());
    };
    let seen = come_up(&h, green, each).await;
    let seen = if h.ways().proves { seen } else { put_in(&h, green).await };
    let fleet = seen.fleet(&green.id).unwrap();
    assert_eq!((&fleet.revision, fleet.desired), (&green.revision, green.size));
    assert_eq!(names, fleet.instances.keys().cloned().collect(), "as many were launched as are there");
    if h.ways().proves {
        assert!(fleet.attached.is_empty() && stands_nowhere(&seen, &green.id), "{fleet:?}");
    }
    for id in &h.given().declared() {
        assert_eq!(side(&seen, &green.id, id).share, Share::NONE, "in `{id}`");
    }
    h.backend().change(&provision(green), &once).await.unwrap();
    change(&h, &provision(green)).await;
    same(&seen, &at_rest(&h).await);
}

pub async fn a_covered_blue_goes_with_its_instances_and_nobody_else_does<H: Harness>(h: H) {
    let given = h.given();
    let before = blue_drained(&h).await;
    let (proof, again, once) = (leave_for_blue(&h).await, leave_for_blue(&h).await, token());
    assert_eq!(proof.covered().keys().cloned().collect::<BTreeSet<_>>(), given.declared());
    h.backend().retire(proof, &once).await.unwrap();
    let gone = |seen: &deployer::model::Inventory| !seen.fleets.contains_key(&given.blue.id);
    let after = until(&h, "blue is gone", gone).await;
    same_but(&given.blue.id, &before, &after);
    assert!(well(&after, &given.green, &given.declared()), "{after:#?}");
    h.backend().retire(again, &once).await.unwrap();
    same(&after, &look(&h).await);
}

pub async fn a_green_that_carries_nothing_goes_again_and_blue_stays_as_it_is<H: Harness>(h: H) {
    let (given, before) = (h.given(), look(&h).await);
    green_in(&h, &given.twins()).await;
    change(&h, &deregister(&given.green, &given.twins())).await;
    until(&h, "green stands nowhere", |seen| stands_nowhere(seen, &given.green.id)).await;
    let once = token();
    let proofs = [leave_for_idle(&h, &given.green.id).await, leave_for_idle(&h, &given.green.id).await];
    for proof in proofs {
        h.backend().retire(proof, &once).await.unwrap();
    }
    let gone = |seen: &deployer::model::Inventory| !seen.fleets.contains_key(&given.green.id);
    same_but(&given.green.id, &before, &until(&h, "green is gone", gone).await);
}

pub async fn a_fleet_that_does_not_exist_is_missing_and_what_is_gone_has_left<H: Harness>(h: H) {
    let given = h.given();
    let nobody = Fleet { id: FleetId::new("api-9").unwrap(), ..given.green.clone() };
    let before = at_rest(&h).await;
    for absent in [&nobody, &given.green] {
        refused(&h, &register(absent, &only(&given.paired[0])), FaultKind::Missing).await;
        refused(&h, &shift(&given.paired[0], absent, &given.blue, 100), FaultKind::Missing).await;
        if h.backend().capability().freeze {
            refused(&h, &freeze(absent), FaultKind::Missing).await;
        }
        change(&h, &deregister(absent, &only(&given.paired[0]))).await;
    }
    // Nobody outside a pair can ever have been one of its fleets, so only green can be gone everywhere.
    let proof = leave_for_idle(&h, &given.green.id).await;
    h.backend().retire(proof, &token()).await.unwrap();
    same(&before, &look(&h).await);
}

pub async fn a_group_that_does_not_exist_is_missing_and_what_is_gone_was_left<H: Harness>(h: H) {
    let given = h.given();
    let nowhere = GroupId::new("nowhere").unwrap();
    let before = bring_up(&h, &given.green).await;
    refused(&h, &register(&given.green, &only(&nowhere)), FaultKind::Missing).await;
    // Half of it would be worse than nothing.
    let half = [nowhere.clone(), given.paired[0].clone()].into();
    refused(&h, &register(&given.green, &half), FaultKind::Missing).await;
    let moved = Change::Shift {
        group: nowhere.clone(),
        to: given.green.id.clone(),
        from: Some(given.blue.id.clone()),
        share: Share::ALL,
    };
    refused(&h, &moved, FaultKind::Missing).await;
    change(&h, &deregister(&given.green, &only(&nowhere))).await;
    same(&before, &look(&h).await);
    // What can be left is left all the same.
    change(&h, &register(&given.green, &only(&given.paired[0]))).await;
    until(&h, "green stands", |seen| stands_whole(seen, &given.green.id, &given.paired[0])).await;
    change(&h, &deregister(&given.green, &half)).await;
    let out = |seen: &Inventory| !side(seen, &given.green.id, &given.paired[0]).stands();
    let seen = until(&h, "green is out", out).await;
    assert!(!h.ways().proves || stands_nowhere(&seen, &given.green.id), "{seen:#?}");
    assert_eq!(side(&seen, &given.blue.id, &given.paired[0]).share, Share::ALL);
    assert_eq!(group(&seen, &given.paired[1]), group(&before, &given.paired[1]));
}
