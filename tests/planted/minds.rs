//! What is wrong with the machine: another decision, or another reading of a fact.

use std::collections::BTreeSet;

use deployer::cloud::Change;
use deployer::model::{FleetId, Health, Share, Span, Time, Token};
use deployer::rollout::{Event, Next, Order, OutOfOrder, Phase, Recorded, Rollout};

use super::forged;
use crate::common::{blue, green};

type Folded = Result<Rollout, OutOfOrder>;

/// A mutant's own call instead of what the machine would do, unless that is to look first or the call was made already.
fn own(rollout: &Rollout, now: Time, changes: Vec<Change>) -> Next {
    match rollout.decide(now) {
        next @ (Next::Look | Next::Done(_)) => next,
        next if changes.is_empty() => next,
        _ => Next::Change(changes, own_token(now)),
    }
}

fn own_retirement(rollout: &Rollout, now: Time, fleet: &FleetId) -> Next {
    let there = rollout.look().is_some_and(|look| look.fleet(fleet).is_some());
    match rollout.decide(now) {
        next @ (Next::Look | Next::Done(_)) => next,
        next if !there || rollout.past_return() => next,
        _ => Next::Retire(forged(fleet), own_token(now)),
    }
}

fn own_token(now: Time) -> Token {
    Token::new(format!("own-{}", now.0)).unwrap()
}

/// Blue goes as soon as green carries everything.
pub fn retired_in_the_bake(rollout: &Rollout, now: Time) -> Next {
    match rollout.phase() {
        Phase::Bake { .. } => own_retirement(rollout, now, &blue()),
        _ => rollout.decide(now),
    }
}

/// Blue goes when the clock says so, whatever was attached to it meanwhile.
pub fn not_rechecked(rollout: &Rollout, now: Time) -> Next {
    let over = now.since(rollout.entered_at()) > Span::secs(100);
    match rollout.phase() {
        Phase::Drain { .. } if over => own_retirement(rollout, now, &blue()),
        _ => rollout.decide(now),
    }
}

/// Blue goes as soon as it was told to leave.
pub fn drain_not_awaited(rollout: &Rollout, now: Time) -> Next {
    let blue_seen = rollout.look().and_then(|look| look.fleet(&blue()));
    let told = blue_seen.is_some_and(|seen| seen.attached.is_empty());
    match rollout.phase() {
        Phase::Drain { .. } if told => own_retirement(rollout, now, &blue()),
        _ => rollout.decide(now),
    }
}

/// Blue leaves while the traffic is still being moved.
pub fn left_before_cut_over(rollout: &Rollout, now: Time) -> Next {
    let standing: BTreeSet<_> = rollout
        .look()
        .into_iter()
        .flat_map(|look| look.groups.iter())
        .filter(|(_, seen)| {
            let side = seen.known().and_then(|group| group.sides.get(&blue()));
            side.is_some_and(|side| side.targets.values().any(|target| target.health != Health::Draining))
        })
        .map(|(id, _)| id.clone())
        .collect();
    match rollout.phase() {
        Phase::Shift { step: 1, .. } if !standing.is_empty() => {
            own(rollout, now, vec![Change::Deregister { fleet: blue(), groups: standing }])
        }
        _ => rollout.decide(now),
    }
}

/// Traffic goes back to blue without a look at blue.
pub fn restored_unproved(rollout: &Rollout, now: Time) -> Next {
    let Some(look) = rollout.look() else { return rollout.decide(now) };
    let carried = |id: &&deployer::model::GroupId| {
        let side = look.group(id).and_then(|group| group.sides.get(&green()));
        side.is_some_and(|side| side.share > Share::NONE)
    };
    let back = rollout.served().iter().filter(carried).map(|group| Change::Shift {
        group: group.clone(),
        to: green(),
        from: Some(blue()),
        share: Share::NONE,
    });
    match rollout.phase() {
        Phase::Restore { .. } => own(rollout, now, back.collect()),
        _ => rollout.decide(now),
    }
}

/// Green goes as soon as the way back begins.
pub fn withdrawn_first(rollout: &Rollout, now: Time) -> Next {
    match rollout.phase() {
        Phase::Restore { .. } => own_retirement(rollout, now, &green()),
        _ => rollout.decide(now),
    }
}

fn renamed(next: Next, name: impl Fn(&Token) -> String) -> Next {
    match next {
        Next::Change(changes, token) => Next::Change(changes, Token::new(name(&token)).unwrap()),
        Next::Retire(proof, token) => Next::Retire(proof, Token::new(name(&token)).unwrap()),
        next => next,
    }
}

/// What may have been done is asked for again as something new.
pub fn token_new_each_time(rollout: &Rollout, now: Time) -> Next {
    renamed(rollout.decide(now), |token| format!("{token}-{}", now.0))
}

/// Whatever is asked for, it has the same name.
pub fn token_always_the_same(rollout: &Rollout, now: Time) -> Next {
    renamed(rollout.decide(now), |_| "token".into())
}

fn ordered(fact: &Recorded, order: Order) -> Recorded {
    Recorded { at: fact.at, event: Event::Ordered { order, by: crate::common::actor("nobody") } }
}

fn nothing(fact: &Recorded) -> Recorded {
    Recorded { at: fact.at, event: Event::Released { why: "nothing".into() } }
}

pub fn abort_ignored(rollout: Rollout, fact: &Recorded) -> Folded {
    match &fact.event {
        Event::Ordered { order: Order::Abort, .. } => rollout.evolve(&nothing(fact)),
        _ => rollout.evolve(fact),
    }
}

pub fn pause_ignored(rollout: Rollout, fact: &Recorded) -> Folded {
    match &fact.event {
        Event::Ordered { order: Order::Pause, .. } => rollout.evolve(&nothing(fact)),
        _ => rollout.evolve(fact),
    }
}

/// Whoever takes over takes every hold for over.
pub fn holds_end_at_a_resume(rollout: Rollout, fact: &Recorded) -> Folded {
    let resumed = rollout.evolve(fact)?;
    match &fact.event {
        Event::Resumed { .. } => resumed.evolve(&ordered(fact, Order::Promote { full: true })),
        _ => Ok(resumed),
    }
}

/// Whoever takes over takes what was on its way for done.
pub fn in_flight_is_done(rollout: Rollout, fact: &Recorded) -> Folded {
    let token = rollout.token_used().cloned().filter(|_| rollout.in_flight());
    match (&fact.event, token) {
        (Event::Resumed { .. }, Some(token)) => {
            let settled = Recorded { at: fact.at, event: Event::Settled { token, faults: Vec::new() } };
            rollout.evolve(&settled)?.evolve(fact)
        }
        _ => rollout.evolve(fact),
    }
}

/// A call that failed is taken for one that was answered well.
pub fn faults_ignored(rollout: Rollout, fact: &Recorded) -> Folded {
    match &fact.event {
        Event::Settled { token, .. } => rollout.evolve(&Recorded {
            at: fact.at,
            event: Event::Settled { token: token.clone(), faults: Vec::new() },
        }),
        _ => rollout.evolve(fact),
    }
}
