//! Calls fail, and are made again under their token.

use deployer::cloud::{Backend, Change, Fault, FaultKind};
use deployer::coverage::Retirement;
use deployer::model::{Inventory, Token};

use crate::harness::{Harness, Mishap};
use crate::story::{
    at_rest, come_up, deregister, freeze, leave_for_idle, provision, put_in, register, same, shift, thaw,
    token, until,
};

pub async fn a_change_whose_reply_was_lost_is_made_once_however_often_it_is_sent<H: Harness>(h: H) {
    every_change_meets(&h, Mishap::ReplyLost).await;
}

pub async fn a_change_that_was_lost_on_its_way_is_made_when_it_is_sent_again<H: Harness>(h: H) {
    every_change_meets(&h, Mishap::Lost).await;
}

pub async fn a_change_that_was_refused_for_too_many_calls_is_certainly_not_made<H: Harness>(h: H) {
    every_change_meets(&h, Mishap::Throttled).await;
}

/// From green's coming to its going, each change meets it once.
async fn every_change_meets<H: Harness>(h: &H, mishap: Mishap) {
    if !h.ways().mishaps.contains(&mishap) {
        return; // It does not happen there.
    }
    let (given, green) = (h.given(), &h.given().green);
    let (twins, first) = (given.twins(), &given.paired[0]);
    let comes = async |token: &Token| {
        send(h, &provision(green), token).await?;
        come_up(h, green, |_| {}).await;
        if !h.ways().proves {
            put_in(h, green).await;
        }
        Ok(())
    };
    one_meets(h, mishap, "provision", comes, |_| true).await;
    // Where a fleet stands as soon as it is up, to register it is a change only once it has left.
    let left = if h.ways().proves { vec![] } else { vec![deregister(green, &twins)] };
    let mut changes = left;
    changes.extend([
        register(green, &twins),
        shift(first, green, &given.blue, if h.ways().divides { 50 } else { 100 }),
        shift(first, green, &given.blue, 0),
        deregister(green, &twins),
    ]);
    if h.backend().capability().freeze {
        changes.extend([freeze(&given.blue), thaw(&given.blue)]);
    }
    for change in changes {
        one_meets(h, mishap, &format!("{change:?}"), async |token| send(h, &change, token).await, |_| true)
            .await;
    }
    retiring_meets(h, mishap).await;
}

async fn send<H: Harness>(h: &H, change: &Change, token: &Token) -> Result<(), Fault> {
    h.backend().change(change, token).await
}

async fn retiring_meets<H: Harness>(h: &H, mishap: Mishap) {
    let green = &h.given().green.id;
    let mut proofs: Vec<Retirement> = Vec::new();
    for _ in 0..3 {
        proofs.push(leave_for_idle(h, green).await);
    }
    let retire = async |token: &Token| h.backend().retire(proofs.pop().unwrap(), token).await;
    // Some clouds answer before the fleet is gone.
    one_meets(h, mishap, RETIRE, retire, |seen| !seen.fleets.contains_key(green)).await;
}

const RETIRE: &str = "retire";

/// Whether what was lost came before the fleet was told to go, where several calls make one change: it stands as it did, and
/// that is certain.
async fn came_before<H: Harness>(h: &H, what: &str, before: &Inventory) -> bool {
    let green = &h.given().green.id;
    let stands = async || at_rest(h).await.fleets.get(green) == before.fleets.get(green);
    what == RETIRE && !h.ways().one_call_a_change && stands().await
}

async fn one_meets<H: Harness>(
    h: &H,
    mishap: Mishap,
    what: &str,
    mut send: impl AsyncFnMut(&Token) -> Result<(), Fault>,
    done: impl Fn(&Inventory) -> bool,
) {
    let (before, once) = (at_rest(h).await, token());
    h.next_change_meets(mishap).await;
    let Err(fault) = send(&once).await else { panic!("{what} met nothing") };
    h.calm().await;
    assert!(fault.kind.retryable(), "{what}: {fault}");
    let after: Option<Inventory> = match mishap {
        Mishap::Throttled => {
            assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Throttled, false), "{what}: {fault}");
            same(&before, &at_rest(h).await);
            None
        }
        Mishap::Lost => {
            assert!(
                fault.ambiguous || came_before(h, what, &before).await,
                "{what}: whoever sent it cannot know where it was lost: {fault}"
            );
            same(&before, &at_rest(h).await);
            None
        }
        Mishap::ReplyLost => {
            assert!(fault.ambiguous || came_before(h, what, &before).await, "{what}: {fault}");
            let after = at_rest(h).await;
            assert!(!h.ways().one_call_a_change || !before.same_world(&after), "{what} was made");
            h.ways().one_call_a_change.then_some(after)
        }
    };
    send(&once).await.unwrap_or_else(|fault| panic!("{what}, again: {fault}"));
    until(h, "it is done", done).await;
    let now = at_rest(h).await;
    assert!(!before.same_world(&now), "{what} was made");
    if let Some(after) = after {
        same(&after, &now);
    }
    send(&once).await.unwrap_or_else(|fault| panic!("{what}, once more: {fault}"));
    same(&now, &at_rest(h).await);
}
