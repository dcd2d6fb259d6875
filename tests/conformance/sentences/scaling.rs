//! A fleet is held still, and given back.

use deployer::cloud::Backend;
use deployer::model::Scaling;

use crate::harness::Harness;
use crate::story::{change, freeze, look, same, same_but, scaling, thaw, token};

/// Where sizes never change by themselves, both are taken and change nothing.
pub async fn a_thaw_gives_back_exactly_what_a_freeze_took_however_often<H: Harness>(h: H) {
    let (blue, before) = (&h.given().blue, look(&h).await);
    let held = if h.backend().capability().freeze { Scaling::Frozen } else { Scaling::Fixed };
    assert_eq!(scaling(&before, blue), if held == Scaling::Fixed { held } else { Scaling::Active });
    for _ in 0..2 {
        let once = token();
        h.backend().change(&freeze(blue), &once).await.unwrap();
        let frozen = look(&h).await;
        assert_eq!(scaling(&frozen, blue), held);
        same_but(&blue.id, &before, &frozen);
        h.backend().change(&freeze(blue), &once).await.unwrap();
        change(&h, &freeze(blue)).await;
        same(&frozen, &look(&h).await);
        let once = token();
        for token in [&once, &once, &token()] {
            h.backend().change(&thaw(blue), token).await.unwrap();
            same(&before, &look(&h).await);
        }
    }
}
