//! The way back: traffic first, proved group by group, and then green.

use deployer::cloud::{Change, Fault, FaultKind};
use deployer::coverage::Why;
use deployer::model::{Inventory, Scaling, Seen, Span};
use deployer::rollout::{Cause, Event, Next, Order, Phase, Verdict};

use crate::common::{blue, green, group, new, old};
use crate::forward::first;
use crate::rig::{Reply, Rig, both, gap, ordered, rolled_back};

fn blue_has_everything(rig: &Rig) {
    for name in ["internal", "public"] {
        assert_eq!((rig.share(name, &blue()), rig.share(name, &green())), (100, 0), "{name}");
        assert!(rig.world.groups[&group(name)].stands(&blue()), "{name}");
    }
    assert_eq!(rig.world.fleets.keys().collect::<Vec<_>>(), [&blue()]);
}

#[test]
fn an_abort_in_any_phase_before_the_retirement_gives_blue_everything_back() {
    for phase in ["provision", "register", "settle", "shift", "bake", "drain", "retire"] {
        let mut rig = both(|_| {});
        rig.until_phase(phase).order(Order::Abort);
        assert!(matches!(rig.phase().name(), "restore" | "withdraw"), "{phase}");
        rig.run_out();
        assert_eq!(*rig.phase(), rolled_back(ordered()), "{phase}");
        blue_has_everything(&rig);
    }
}

#[test]
fn an_abort_in_the_middle_of_the_shift_gives_blue_everything_back() {
    let mut rig = both(|_| {});
    rig.until(|rig| rig.share("public", &green()) == 50).order(Order::Rollback);
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    assert_eq!(rig.shifts("public"), [50, 0]);
    blue_has_everything(&rig);
}

#[test]
fn an_abort_on_the_way_back_changes_nothing() {
    let mut rig = both(|_| {});
    rig.until_phase("bake").order(Order::Abort);
    rig.until_phase("withdraw").order(Order::Abort);
    assert_eq!(*rig.phase(), Phase::Withdraw { cause: ordered() });
    rig.run_out();
    blue_has_everything(&rig);
}

#[test]
fn a_first_deployment_that_carries_nothing_yet_is_taken_away_again() {
    for phase in ["provision", "register", "settle", "shift"] {
        let mut rig = first();
        rig.until_phase(phase).order(Order::Abort);
        assert_eq!(*rig.phase(), Phase::Withdraw { cause: ordered() }, "{phase}");
        rig.run_out();
        assert_eq!(*rig.phase(), rolled_back(ordered()), "{phase}");
        assert!(rig.world.fleets.is_empty(), "{phase}");
    }
}

#[test]
fn a_first_deployment_that_carries_traffic_is_left_as_it_is() {
    for phase in ["bake", "retire"] {
        let mut rig = first();
        rig.until_phase(phase).order(Order::Abort);
        let stuck = "there is no earlier fleet to go back to; green is left as it is".to_owned();
        assert_eq!(*rig.phase(), Phase::Ended(Verdict::Failed { cause: ordered(), stuck }));
        assert!(!rig.state.resumable());
        assert_eq!(rig.share("public", &green()), 100);
        assert_eq!(rig.retired, []);
    }
}

#[test]
fn green_that_falls_ill_sends_the_rollout_back_by_name() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.world.sicken(&group("public"), &new());
    rig.run_out();
    let cause = Cause::Sick { group: group("public"), healthy: 0, needed: 1 };
    assert_eq!(*rig.phase(), rolled_back(cause));
    blue_has_everything(&rig);
}

#[test]
fn a_group_where_blue_is_sick_keeps_green_until_the_deadline_names_it_and_a_resumption_tries_again() {
    for phase in ["bake", "drain", "retire"] {
        let mut rig = both(|_| {});
        rig.until_phase(phase);
        rig.world.sicken(&group("internal"), &old());
        rig.look();
        rig.order(Order::Abort);
        rig.run_out();
        let stuck = "no progress in `restore` before its deadline; not proved to be back on blue: `internal`"
            .to_owned();
        assert_eq!(*rig.phase(), Phase::Ended(Verdict::Failed { cause: ordered(), stuck }), "{phase}");
        assert_eq!((rig.share("internal", &green()), rig.share("public", &green())), (100, 0), "{phase}");
        assert_eq!(rig.share("public", &blue()), 100, "{phase}");
        rig.world.recover(&group("internal"), &old());
        rig.resume();
        assert_eq!(*rig.phase(), Phase::Restore { cause: ordered() }, "{phase}");
        rig.run_out();
        assert_eq!(*rig.phase(), rolled_back(ordered()), "{phase}");
        blue_has_everything(&rig);
    }
}

#[test]
fn blue_is_called_back_only_where_it_is_seen_to_carry_everything() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.world.groups.get_mut(&group("internal")).unwrap().weights.clear();
    rig.look();
    let cause = Cause::Sick { group: group("internal"), healthy: 1, needed: 1 };
    assert_eq!(*rig.phase(), Phase::Restore { cause: cause.clone() });
    rig.replies = vec![Reply::Unseen];
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(cause));
    blue_has_everything(&rig);
}

#[test]
fn green_that_does_not_go_is_said_by_name_at_the_deadline() {
    let mut rig = both(|_| {});
    rig.until_phase("bake").order(Order::Abort);
    rig.until_phase("withdraw");
    for group in rig.world.groups.values_mut() {
        group.deregistration_delay = Span::mins(600);
    }
    rig.run_out();
    let stuck = "no progress in `withdraw` before its deadline; green still stands in: `internal`, `public`"
        .to_owned();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Failed { cause: ordered(), stuck }));
    assert!(rig.world.fleets.contains_key(&green()));
}

#[test]
fn after_blues_retirement_is_announced_an_abort_does_nothing() {
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Retire(..)));
    rig.step();
    assert!(rig.state.past_return());
    rig.order(Order::Abort);
    assert_eq!(*rig.phase(), Phase::Retire);
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

/// At the moment in which blue is told to go.
fn parting() -> Rig {
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Retire(..)));
    rig
}

#[test]
fn a_retirement_that_was_certainly_refused_leaves_the_way_back_open() {
    let mut rig = parting();
    rig.replies = vec![Reply::Refused(FaultKind::Denied)];
    rig.step();
    assert!(rig.state.past_return(), "until blue is seen to stand");
    rig.look();
    assert!(!rig.state.past_return());
    rig.order(Order::Rollback);
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    blue_has_everything(&rig);
}

#[test]
fn a_green_that_falls_ill_behind_a_refused_retirement_gives_blue_everything_back() {
    let mut rig = parting();
    rig.replies = vec![Reply::Refused(FaultKind::Conflict)];
    rig.step();
    rig.world.sicken(&group("public"), &new());
    rig.run_out();
    let sick = Cause::Sick { group: group("public"), healthy: 0, needed: 1 };
    assert_eq!(*rig.phase(), rolled_back(sick));
    blue_has_everything(&rig);
}

#[test]
fn a_retirement_that_is_refused_once_and_done_then_completes() {
    let mut rig = parting();
    rig.replies = vec![Reply::Refused(FaultKind::Throttled)];
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
    assert_eq!(rig.retired.len(), 2);
}

#[test]
fn a_retirement_that_may_have_been_done_once_is_past_return_whatever_is_refused_later() {
    let unanswered = || Fault::new(FaultKind::Unreachable, "Retire", "no answer").ambiguous();
    for cut_off in [true, false] {
        let mut rig = parting();
        let Next::Retire(proof, token) = rig.next() else { panic!("it is to go") };
        let (fleet, covered) = (proof.fleet().clone(), proof.covered().clone());
        rig.fact(Event::Retiring { fleet, covered, token: token.clone() });
        if cut_off {
            rig.resume();
        } else {
            rig.settle(token, vec![unanswered()]);
        }
        rig.until(|rig| matches!(rig.next(), Next::Retire(..)));
        rig.replies = vec![Reply::Refused(FaultKind::Denied)];
        rig.step();
        rig.look();
        assert!(rig.state.past_return(), "{cut_off}");
        rig.order(Order::Abort);
        assert_eq!(*rig.phase(), Phase::Retire, "{cut_off}");
    }
}

#[test]
fn there_is_no_way_back_to_a_blue_that_has_lost_some_of_itself_behind_a_refused_retirement() {
    let mut rig = parting();
    rig.replies = vec![Reply::Refused(FaultKind::Denied)];
    rig.step();
    rig.world.fleets.get_mut(&blue()).unwrap().instances.clear();
    rig.look();
    assert!(rig.state.past_return());
}

#[test]
fn a_blue_that_somebody_lets_scale_again_is_held_still_again_for_the_way_back() {
    for phase in ["settle", "bake", "drain"] {
        let mut rig = both(|plan| plan.freeze = true);
        rig.until_phase(phase);
        let freeze = Change::Freeze { fleet: blue() };
        let before = rig.changes.iter().filter(|change| **change == freeze).count();
        rig.world.fleets.get_mut(&blue()).unwrap().scaling = Scaling::Active;
        rig.run_out();
        assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed), "{phase}");
        assert_eq!(rig.changes.iter().filter(|change| **change == freeze).count(), before + 1, "{phase}");
    }
}

#[test]
fn green_that_falls_ill_after_blue_is_gone_does_not_complete() {
    let mut rig = both(|_| {});
    rig.until(|rig| !rig.retired.is_empty());
    rig.world.sicken(&group("public"), &new());
    assert_eq!(rig.held_by(), [gap("public", 0, Why::Unhealthy { healthy: 0, needed: 1 })]);
    rig.run_out();
    assert_eq!(rig.phase().name(), "retire");
}

/// A look in which the cloud says that green will never come up.
fn given_up(rig: &Rig, reason: &str) -> Inventory {
    let mut seen = rig.seen();
    if let Some(Seen::Known(fleet)) = seen.fleets.get_mut(&green()) {
        fleet.failed = Some(reason.into());
    }
    seen
}

#[test]
fn a_green_that_the_cloud_gave_up_goes_back_at_once_and_not_at_a_deadline() {
    for phase in ["provision", "register", "settle", "shift"] {
        let mut rig = both(|_| {});
        rig.until(|rig| rig.world.fleets.contains_key(&green())).until_phase(phase);
        let inventory = Box::new(given_up(&rig, "CodeDeploy d-1 failed"));
        rig.fact(Event::Looked { inventory, waited: Span::ZERO });
        rig.run_out();
        assert_eq!(
            *rig.phase(),
            rolled_back(Cause::Failed { reason: "CodeDeploy d-1 failed".into() }),
            "{phase}"
        );
        blue_has_everything(&rig);
    }
}

#[test]
fn a_green_that_carries_everything_is_judged_by_its_health_and_not_by_what_the_cloud_says_of_it() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    let inventory = Box::new(given_up(&rig, "CodeDeploy d-1 failed"));
    rig.fact(Event::Looked { inventory, waited: Span::ZERO });
    assert_eq!(rig.phase().name(), "bake");
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_stored_look_without_the_clouds_judgement_reads_as_before() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    let seen = rig.seen();
    let stored = serde_json::to_string(&seen).unwrap();
    assert!(!stored.contains("failed"), "{stored}");
    assert_eq!(serde_json::from_str::<Inventory>(&stored).unwrap(), seen);
}
