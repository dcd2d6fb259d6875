//! Calls: tokens, lost replies, refusals, and looks that are too early or too old to act on.

use deployer::cloud::{Change, Fault, FaultKind};
use deployer::model::{Fleet, Span};
use deployer::rollout::{Cause, Event, Next, Phase, Verdict};

use crate::common::{DEADLINE, LANDS, blue, green, new};
use crate::rig::{Reply, Rig, both, rolled_back};

/// At the first change to a fleet that is to be made.
fn provisioning() -> Rig {
    let mut rig = both(|plan| plan.freeze = false);
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    let provision = Change::Provision { fleet: Fleet { id: green(), revision: new(), size: 1 } };
    assert!(matches!(rig.next(), Next::Change(changes, _) if changes == [provision.clone()]));
    rig
}

fn unanswered() -> Fault {
    Fault::new(FaultKind::Unreachable, "Provision", "no answer").ambiguous()
}

#[test]
fn a_call_whose_reply_was_lost_is_repeated_under_its_token_after_a_look_and_a_wait() {
    let mut rig = provisioning();
    let (changes, token) = rig.announce();
    rig.settle(token.clone(), vec![unanswered()]);
    assert_eq!(rig.next(), Next::Look);
    rig.look();
    let until = rig.now() + Span(500);
    assert_eq!(rig.next(), Next::Wait { until });
    rig.world.tick(until);
    assert_eq!(rig.next(), Next::Change(changes, token));
}

#[test]
fn a_call_that_was_answered_well_and_is_not_seen_gets_a_new_token_after_a_wait() {
    let mut rig = provisioning();
    let (changes, token) = rig.announce();
    rig.settle(token.clone(), Vec::new());
    rig.look();
    let until = rig.now() + Span(500);
    assert_eq!(rig.next(), Next::Wait { until });
    rig.world.tick(until);
    let Next::Change(again, other) = rig.next() else { panic!("it is made again") };
    assert_eq!((again, other != token), (changes, true));
}

#[test]
fn waits_between_attempts_grow_to_half_a_minute_and_no_further() {
    let mut rig = provisioning();
    let mut waits = Vec::new();
    for _ in 0..9 {
        rig.until(|rig| matches!(rig.next(), Next::Change(..)));
        let (_, token) = rig.announce();
        rig.settle(token, vec![Fault::new(FaultKind::Throttled, "Provision", "slow down")]);
        let settled = rig.now();
        rig.until(|rig| matches!(rig.next(), Next::Change(..)));
        waits.push(rig.now().since(settled));
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000].map(Span));
}

#[test]
fn a_call_that_was_cut_off_is_waited_out_before_any_look_counts() {
    let mut rig = provisioning();
    rig.announce();
    rig.pass(Span::secs(5));
    rig.resume();
    let over = rig.now() + LANDS;
    assert_eq!(rig.next(), Next::Wait { until: over });
    rig.pass(Span::secs(5));
    rig.look();
    assert_eq!(rig.next(), Next::Wait { until: over });
    rig.resume();
    assert_eq!(rig.next(), Next::Wait { until: over }, "whoever takes over in turn waits as long");
    rig.world.tick(over);
    assert_eq!(rig.next(), Next::Look);
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_take_over_with_no_call_under_way_waits_for_nothing() {
    let mut rig = provisioning();
    rig.pass(Span::secs(5));
    rig.resume();
    assert_eq!((rig.next(), rig.state.epoch()), (Next::Look, 2));
}

#[test]
fn a_look_that_began_before_the_last_change_settled_is_not_acted_on() {
    let mut rig = provisioning();
    let began_before = rig.seen();
    let (changes, token) = rig.announce();
    rig.land(&changes, &token);
    rig.settle(token, Vec::new());
    rig.fact(Event::Looked { inventory: Box::new(began_before), waited: Span::ZERO });
    assert_eq!(rig.next(), Next::Look);
    rig.look();
    assert_ne!(rig.next(), Next::Look);
}

#[test]
fn no_change_is_made_and_no_fleet_retired_on_a_look_that_has_aged() {
    let mut rig = provisioning();
    rig.pass(Span::secs(31));
    assert_eq!(rig.next(), Next::Look);
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Retire(..)));
    rig.pass(Span::secs(30));
    assert!(matches!(rig.next(), Next::Retire(..)));
    rig.pass(Span(1));
    assert_eq!(rig.next(), Next::Look);
}

#[test]
fn a_refusal_for_good_before_the_cut_over_sends_the_rollout_back() {
    let mut rig = both(|_| {});
    rig.until_phase("register");
    rig.replies = vec![Reply::Refused(FaultKind::Denied)];
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(Cause::Refused { fault: "Call (denied): no".into() }));
}

#[test]
fn a_refusal_for_good_after_the_cut_over_is_tried_again() {
    let mut rig = both(|_| {});
    rig.until_phase("drain");
    rig.replies = vec![Reply::Refused(FaultKind::Denied); 3];
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn replies_that_are_lost_do_not_keep_a_rollout_from_completing() {
    let mut rig = both(|_| {});
    rig.replies = vec![Reply::Lost; 6];
    rig.run_out();
    assert_eq!((*rig.phase() == Phase::Ended(Verdict::Completed), rig.replies.len()), (true, 0));
}

#[test]
fn blue_is_taken_away_under_one_token_however_slowly_it_goes() {
    let mut rig = both(|_| {});
    rig.until_phase("retire");
    rig.replies = vec![
        Reply::Unseen,
        Reply::Refused(FaultKind::Throttled),
        Reply::Unseen,
        Reply::Refused(FaultKind::Denied),
    ];
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
    assert_eq!(rig.retired.len(), 5);
    assert!(rig.retired.iter().all(|(fleet, token, _)| (fleet, token) == (&blue(), &rig.retired[0].1)));
}

#[test]
fn a_retirement_that_never_takes_effect_is_held_at_its_deadline() {
    let mut rig = both(|_| {});
    rig.until_phase("retire");
    rig.replies = vec![Reply::Unseen; 1_000];
    let began = rig.now();
    rig.run_out();
    assert_eq!(rig.next(), Next::Held { gaps: Vec::new() });
    assert!(rig.now() <= began + DEADLINE + Span::mins(1));
}
