//! Traffic moves.

use deployer::cloud::{Change, FaultKind};
use deployer::model::Share;

use crate::harness::Harness;
use crate::story::{
    at_rest, change, green_in, group, look, only, refused, same, share, shift, side, stands_nowhere, until,
    well,
};

pub async fn a_shift_is_seen_exactly_and_moves_no_other_group<H: Harness>(h: H) {
    let given = h.given();
    let before = green_in(&h, &given.paired.iter().cloned().collect()).await;
    let [moved, other] = &given.paired;
    let parts: &[u64] = if h.ways().divides { &[10, 50, 100, 0, 100, 50, 0] } else { &[100, 0, 100, 0] };
    for percent in parts.iter().copied() {
        let shift = shift(moved, &given.green, &given.blue, percent);
        change(&h, &shift).await;
        let seen = judged(&h).await;
        assert_eq!(side(&seen, &given.green.id, moved).share, share(percent));
        assert_eq!(side(&seen, &given.blue.id, moved).share, share(100 - percent));
        assert_eq!(group(&seen, other), group(&before, other));
        assert_eq!(seen.fleets, before.fleets);
        change(&h, &shift).await;
        same(&seen, &look(&h).await);
    }
    same(&before, &look(&h).await);
    let part = if h.ways().divides { 30 } else { 0 };
    change(&h, &shift(moved, &given.blue, &given.green, part)).await;
    let seen = look(&h).await;
    assert_eq!(side(&seen, &given.green.id, moved).share, share(100 - part), "the same from the other side");
}

/// Where traffic alone has somebody judged, a shift is followed by that.
async fn judged<H: Harness>(h: &H) -> deployer::model::Inventory {
    if h.ways().proves { look(h).await } else { at_rest(h).await }
}

pub async fn a_share_that_nobody_takes_the_rest_of_is_invalid<H: Harness>(h: H) {
    let given = h.given();
    green_in(&h, &only(&given.paired[0])).await;
    for percent in [1, 50, 99] {
        let to = given.green.id.clone();
        let alone = Change::Shift { group: given.paired[0].clone(), to, from: None, share: share(percent) };
        refused(&h, &alone, FaultKind::Invalid).await;
    }
}

pub async fn a_route_that_cannot_divide_takes_all_or_nothing_and_refuses_a_part<H: Harness>(h: H) {
    let given = h.given();
    let Some(whole) = &given.whole else {
        return only_whole_numbers(&h).await;
    };
    green_in(&h, &only(whole)).await;
    for percent in [1, 50, 99] {
        refused(&h, &shift(whole, &given.green, &given.blue, percent), FaultKind::Invalid).await;
    }
    for percent in [100, 0, 100] {
        change(&h, &shift(whole, &given.green, &given.blue, percent)).await;
        assert_eq!(side(&look(&h).await, &given.green.id, whole).share, share(percent));
    }
}

/// Where every route divides, a look says so, and the machine never has to take all at once.
async fn only_whole_numbers<H: Harness>(h: &H) {
    let seen = look(h).await;
    for id in &h.given().paired {
        assert_eq!(group(&seen, id).steps, deployer::model::Steps::Any);
    }
}

pub async fn a_shared_group_takes_all_or_nothing_and_refuses_a_part<H: Harness>(h: H) {
    let given = h.given();
    let Some(shared) = &given.shared else {
        // Where a cloud has no group for both, the other sentence of shared groups says that there is none.
        return;
    };
    green_in(&h, &only(shared)).await;
    for percent in [1, 50, 99] {
        refused(&h, &shift(shared, &given.green, &given.blue, percent), FaultKind::Invalid).await;
    }
    change(&h, &shift(shared, &given.green, &given.blue, 100)).await;
    let seen = look(&h).await;
    assert!(!seen.fleet(&given.blue.id).unwrap().attached.contains(shared), "nobody new joins");
    let seen = until(&h, "blue has left", |seen| !side(seen, &given.blue.id, shared).stands()).await;
    assert_eq!(side(&seen, &given.green.id, shared).share, Share::ALL);
    change(&h, &shift(shared, &given.green, &given.blue, 100)).await;
    same(&seen, &at_rest(&h).await);
    // The way back: blue stands again, and then it has everything.
    change(&h, &crate::story::register(&given.blue, &only(shared))).await;
    until(&h, "blue is well again", |seen| well(seen, &given.blue, &only(shared))).await;
    change(&h, &shift(shared, &given.green, &given.blue, 0)).await;
    let seen = until(&h, "green has left", |seen| stands_nowhere(seen, &given.green.id)).await;
    assert_eq!(side(&seen, &given.blue.id, shared).share, Share::ALL);
}
