//! Facts that cannot follow, and clocks that run backwards.

use deployer::model::{Span, Time, Token};
use deployer::rollout::{Event, Next, Phase, Recorded, Rollout};

use crate::common::{NOW, actor, plan};
use crate::rig::{Rig, both, two_groups};

fn opened() -> Event {
    Event::Opened { plan: Box::new(plan(&two_groups(1), &["public"])), by: actor("first") }
}

fn settled() -> Event {
    Event::Settled { token: Token::new("nobody").unwrap(), faults: Vec::new() }
}

fn refused(rig: &Rig, event: Event) -> String {
    rig.state.clone().evolve(&Recorded { at: rig.now(), event }).unwrap_err().to_string()
}

#[test]
fn a_log_begins_with_its_opening() {
    let none: [&Recorded; 0] = [];
    let empty = Rollout::fold(none).unwrap_err().to_string();
    assert_eq!(empty, "fold `nothing` onto a rollout in `nothing`: the log is empty");
    let settled = Recorded { at: NOW, event: settled() };
    let wrong = Rollout::fold([&settled]).unwrap_err().to_string();
    assert_eq!(wrong, "fold `settled` onto a rollout in `nothing`: a log begins with `opened`");
}

#[test]
fn a_second_opening_is_refused_by_name() {
    let rig = both(|_| {});
    let text = "fold `opened` onto a rollout in `provision`: it is open already";
    assert_eq!(refused(&rig, opened()), text);
}

#[test]
fn calls_settle_only_under_the_token_they_were_announced_with() {
    let mut rig = both(|_| {});
    let text = "fold `settled` onto a rollout in `provision`: no calls were announced under its token";
    assert_eq!(refused(&rig, settled()), text);
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    rig.announce();
    assert_eq!(refused(&rig, settled()), text);
}

#[test]
fn no_calls_are_announced_before_the_last_ones_are_settled() {
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    let (changes, token) = rig.announce();
    let text = "fold `changing` onto a rollout in `provision`: other calls are not settled";
    assert_eq!(refused(&rig, Event::Changing { changes, token }), text);
}

#[test]
fn nothing_is_seen_or_done_after_the_end() {
    let mut rig = both(|_| {});
    rig.run_out();
    let changing = Event::Changing { changes: Vec::new(), token: Token::new("late").unwrap() };
    assert_eq!(refused(&rig, changing), "fold `changing` onto a rollout in `ended`: it has ended");
    let before = rig.phase().clone();
    // An order can end a rollout while a look or a call is on its way; what comes back is written down and changes nothing.
    rig.fact(Event::Looked { inventory: Box::new(rig.seen()), waited: Span::ZERO });
    rig.fact(settled());
    rig.fact(Event::Released { why: "done".into() });
    assert_eq!((rig.phase(), rig.next()), (&before, Next::Done(rig.state.verdict().unwrap().clone())));
}

#[test]
fn a_fold_of_the_whole_log_is_the_state_that_was_driven() {
    let mut rig = both(|_| {});
    let opened = Event::Opened { plan: Box::new(rig.state.plan().clone()), by: actor("first") };
    let mut log = vec![Recorded { at: NOW, event: opened }];
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    let looked = Event::Looked { inventory: Box::new(rig.seen()), waited: Span::ZERO };
    log.push(Recorded { at: rig.now(), event: looked });
    assert_eq!(Rollout::fold(&log).unwrap(), rig.state);
}

#[test]
fn a_clock_that_runs_backwards_shortens_no_wait() {
    let mut rig = both(|plan| plan.settle = Span::mins(5));
    rig.until(|rig| matches!(rig.phase(), Phase::Settle { healthy_since: Some(_) }));
    let (due, at, before) = (rig.state.due(), rig.now(), rig.phase().clone());
    for hours in 1..5 {
        let mut inventory = rig.seen();
        inventory.looked_at = Time(at.0 - hours * 3_600_000);
        rig.fact_at(
            inventory.looked_at,
            Event::Looked { inventory: Box::new(inventory), waited: Span::ZERO },
        );
    }
    assert_eq!((rig.state.at(), rig.state.due(), rig.phase()), (at, due, &before));
    rig.pass(Span::mins(4));
    rig.look();
    assert_eq!(*rig.phase(), before);
    rig.pass(Span::mins(1));
    rig.look();
    assert_eq!(*rig.phase(), Phase::Shift { step: 0, reached: None });
}
