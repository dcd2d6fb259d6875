//! Orders, and drivers that take over.

use deployer::coverage::Why;
use deployer::model::{Hold, Span, Time};
use deployer::rollout::{Cause, Next, Order, Phase, Verdict};

use crate::common::{group, new};
use crate::rig::{Rig, both, forgotten, gap};

const HELD_FOR: Span = Span::mins(5);

/// Every hold lasts a while.
fn unhurried() -> Rig {
    both(|plan| {
        plan.settle = HELD_FOR;
        plan.steps[0].hold = Hold::For(HELD_FOR);
        plan.bake = Hold::For(HELD_FOR);
        plan.quiet = HELD_FOR;
    })
}

/// Since when the hold that it stands in is held.
fn since(rig: &Rig) -> Option<Time> {
    match rig.phase() {
        Phase::Settle { healthy_since: since }
        | Phase::Shift { reached: since, .. }
        | Phase::Drain { empty_since: since } => *since,
        Phase::Bake { since } => Some(*since),
        _ => None,
    }
}

fn into_hold<'a>(rig: &'a mut Rig, phase: &str) -> &'a mut Rig {
    rig.until(|rig| rig.phase().name() == phase && since(rig).is_some())
}

fn awaits(rig: &Rig) -> bool {
    matches!(rig.next(), Next::Promote { .. })
}

fn asked() -> Rig {
    both(|plan| {
        plan.steps[0].hold = Hold::Promote;
        plan.bake = Hold::Promote;
    })
}

#[test]
fn a_promotion_ends_the_present_hold_and_no_other() {
    let mut rig = asked();
    rig.until(awaits);
    assert!(matches!(rig.phase(), Phase::Shift { step: 0, reached: Some(_) }));
    rig.order(Order::Promote { full: false });
    assert_eq!(*rig.phase(), Phase::Shift { step: 1, reached: None });
    rig.until(awaits);
    assert_eq!(rig.phase().name(), "bake");
    rig.order(Order::Promote { full: false });
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_full_promotion_ends_every_hold() {
    let mut rig = asked();
    rig.until(awaits).order(Order::Promote { full: true });
    rig.until(|rig| {
        assert!(!awaits(rig));
        matches!(rig.next(), Next::Done(_))
    });
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_promotion_outside_a_hold_is_not_remembered() {
    for phase in ["provision", "settle", "shift"] {
        let mut rig = asked();
        rig.until_phase(phase).order(Order::Promote { full: false });
        rig.until(awaits);
        assert!(matches!(rig.phase(), Phase::Shift { step: 0, reached: Some(_) }), "{phase}");
    }
}

#[test]
fn a_promotion_does_not_excuse_a_gap() {
    let mut rig = forgotten();
    rig.held_by();
    rig.order(Order::Promote { full: true });
    assert_eq!(rig.held_by(), [gap("internal", 1, Why::NotRegistered)]);
}

#[test]
fn a_pause_makes_no_change_and_ends_where_it_began() {
    for phase in ["provision", "register", "shift", "drain", "retire"] {
        let mut rig = both(|_| {});
        rig.until_phase(phase).order(Order::Pause);
        let (made, paused_at) = (rig.changes.len(), rig.now());
        rig.until(|rig| rig.now() >= paused_at + Span::mins(30));
        assert_eq!((rig.changes.len(), rig.retired.len()), (made, 0), "{phase}");
        assert!(matches!(rig.next(), Next::Paused { .. } | Next::Look), "{phase}");
        rig.order(Order::Resume);
        rig.run_out();
        assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed), "{phase}");
    }
}

#[test]
fn the_guards_go_on_in_a_pause() {
    let mut rig = both(|_| {});
    rig.until_phase("bake").order(Order::Pause);
    rig.world.sicken(&group("public"), &new());
    rig.until_phase("restore");
    let cause = Cause::Sick { group: group("public"), healthy: 0, needed: 1 };
    assert_eq!(*rig.phase(), Phase::Restore { cause: cause.clone() });
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::RolledBack { cause }));
}

#[test]
fn a_pause_ends_held_at_its_deadline() {
    let mut rig = both(|_| {});
    rig.until_phase("register").order(Order::Pause);
    rig.run_out();
    assert_eq!((rig.next(), rig.phase().name()), (Next::Held { gaps: Vec::new() }, "register"));
}

#[test]
fn a_resumption_starts_every_wait_for_staying_well_again() {
    for phase in ["settle", "shift", "bake", "drain"] {
        let mut rig = unhurried();
        let began = since(into_hold(&mut rig, phase)).unwrap();
        rig.pass(Span::mins(4));
        rig.look();
        assert_eq!(since(&rig), Some(began), "{phase}");
        rig.resume();
        let taken_over = rig.now();
        rig.pass(Span::secs(1));
        rig.look();
        assert!(since(&rig).unwrap() >= taken_over, "{phase}");
        rig.pass(Span::mins(4));
        rig.look();
        assert_eq!(rig.phase().name(), phase, "{phase}");
    }
}

#[test]
fn an_order_long_after_the_last_look_ends_no_wait_that_nobody_watched() {
    for phase in ["settle", "shift", "bake", "drain"] {
        let mut rig = unhurried();
        into_hold(&mut rig, phase);
        let before = rig.phase().clone();
        rig.pass(Span::mins(60));
        rig.order(Order::Resume);
        let drained_again = Phase::Drain { empty_since: None };
        let unmoved = *rig.phase() == before || phase == "drain" && *rig.phase() == drained_again;
        assert!(unmoved, "{phase}: {:?}", rig.phase());
    }
}

#[test]
fn an_amendment_of_a_group_that_nobody_has_seen_is_ignored() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    let before = rig.state.expected().clone();
    rig.order(Order::Amend { group: group("intrenal") });
    assert_eq!((rig.state.expected(), rig.phase().name()), (&before, "bake"));
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_group_amended_before_the_first_look_is_taken_up_as_that_look_shows_it() {
    let mut rig = forgotten();
    rig.order(Order::Amend { group: group("internal") });
    rig.order(Order::Amend { group: group("intrenal") });
    assert_eq!(rig.state.expected().len(), 1);
    rig.look();
    let expected: Vec<_> = rig.state.expected().keys().cloned().collect();
    assert_eq!(expected, [group("internal"), group("public")]);
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}
