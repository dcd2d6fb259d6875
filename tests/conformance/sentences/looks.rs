//! What a look is.

use std::collections::BTreeSet;

use deployer::model::{Share, Sharing, Steps};

use crate::harness::{Hand, Harness};
use crate::story::{group, look, same, side, stands_nowhere, up, well};

pub async fn two_looks_at_a_world_at_rest_see_the_same<H: Harness>(h: H) {
    let asked = h.now();
    let first = look(&h).await;
    let between = h.now();
    let second = look(&h).await;
    same(&first, &second);
    assert!(asked <= first.looked_at && first.looked_at <= between, "{asked:?} {first:?} {between:?}");
    assert!(between <= second.looked_at && second.looked_at <= h.now(), "{between:?} {second:?}");
}

pub async fn a_look_shows_who_stands_where_with_which_share<H: Harness>(h: H) {
    let (given, seen) = (h.given(), look(&h).await);
    assert!(up(&seen, &given.blue) && well(&seen, &given.blue, &given.declared()), "{seen:#?}");
    let blue = seen.fleet(&given.blue.id).unwrap();
    assert_eq!((&blue.revision, blue.desired), (&given.blue.revision, given.blue.size));
    assert_eq!(blue.attached, given.declared());
    assert_eq!(seen.groups_of(&given.blue.id), given.declared());
    assert!(stands_nowhere(&seen, &given.green.id), "{seen:#?}");
    // The stranger is nobody's, and of no interest.
    assert_eq!(seen.groups.keys().cloned().collect::<BTreeSet<_>>(), given.declared());
    for id in &given.declared() {
        let seen_group = group(&seen, id);
        assert_eq!(side(&seen, &given.blue.id, id).share, Share::ALL, "{seen_group:#?}");
        assert!(!seen_group.routes.is_empty());
        let sharing = match (given.twins().contains(id), h.ways().proves) {
            (true, true) => Sharing::Paired,
            (true, false) => Sharing::Unproved,
            (false, _) => Sharing::Shared,
        };
        assert_eq!(seen_group.sharing, sharing);
        if given.paired.contains(id) {
            assert_eq!(seen_group.steps, if h.ways().divides { Steps::Any } else { Steps::AllOrNothing });
        }
        if given.whole.as_ref() == Some(id) {
            assert_eq!(seen_group.steps, Steps::AllOrNothing);
        }
    }
}

/// The incident: the list that somebody typed does not have it, and the fleet that is to go serves it.
pub async fn blue_attached_by_hand_to_a_group_that_nobody_declared_is_in_the_next_look<H: Harness>(h: H) {
    let given = h.given();
    let before = look(&h).await;
    assert!(!before.groups.contains_key(&given.stranger), "{before:#?}");
    h.by_hand(Hand::Attach(given.blue.id.clone(), given.stranger.clone())).await;
    let seen = look(&h).await;
    assert!(seen.groups_of(&given.blue.id).contains(&given.stranger), "{seen:#?}");
    let seen = crate::story::until(&h, "the stranger's targets are seen", |seen| {
        well(seen, &given.blue, &[given.stranger.clone()].into())
    })
    .await;
    assert_eq!(side(&seen, &given.blue.id, &given.stranger).share, Share::ALL);
    for id in &given.declared() {
        assert_eq!(group(&before, id), group(&seen, id));
    }
}
