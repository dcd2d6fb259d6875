//! Faults of the machine that the checkers found, each by name. See the history of `src/rollout`.

use deployer::cloud::sim::SimGroup;
use deployer::cloud::{Change, Fault, FaultKind};
use deployer::model::{Scaling, Seen, Share, Sharing, Span, Steps};
use deployer::rollout::{Next, Order, Phase, Verdict};

use crate::common::{DEADLINE, LANDS, NOW, blue, green, group, old, plan};
use crate::forward::first;
use crate::rig::{Rig, both, edit, forgotten, ordered, rolled_back, two_groups, waive};

/// A rollout that takes up `partner`, in which blue does not stand.
fn with_a_new_group() -> Rig {
    let mut world = two_groups(1);
    world.build(&group("partner"), SimGroup::new(Sharing::Paired, Steps::Any, "listener partner:443"));
    let plan = plan(&world, &["internal", "partner", "public"]);
    Rig::new(world, plan)
}

fn blue_carries(rig: &Rig, names: &[&str]) {
    for name in names {
        assert_eq!((rig.share(name, &blue()), rig.share(name, &green())), (100, 0), "{name}");
    }
}

#[test]
fn a_late_call_of_a_driver_that_was_cut_off_does_not_take_a_group_from_blue() {
    let mut rig = both(|_| {});
    rig.until(
        |rig| matches!(rig.next(), Next::Change(changes, _) if matches!(changes[0], Change::Shift { .. })),
    );
    let (changes, token) = rig.announce();
    rig.resume();
    let resumed = rig.now();
    rig.order(Order::Abort);
    rig.pass(Span::secs(30));
    rig.look();
    assert_eq!(rig.next(), Next::Wait { until: resumed + LANDS });
    rig.land(&changes, &token);
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    blue_carries(&rig, &["internal", "public"]);
}

#[test]
fn a_late_freeze_of_a_driver_that_was_cut_off_is_given_back() {
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    let (changes, token) = rig.announce();
    assert_eq!(changes, [Change::Freeze { fleet: blue() }]);
    rig.resume();
    rig.order(Order::Abort);
    rig.pass(Span::secs(30));
    rig.look();
    rig.land(&changes, &token);
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    assert_eq!(rig.world.fleets[&blue()].scaling, Scaling::Active);
}

#[test]
fn a_group_that_one_look_misses_on_the_way_back_does_not_lose_green() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.world.sicken(&group("internal"), &old());
    rig.look();
    rig.order(Order::Abort);
    rig.blur = |look| drop(look.groups.remove(&group("internal")));
    let asked = rig.now();
    rig.until(|rig| rig.now() >= asked + Span::mins(1));
    assert_eq!(rig.phase().name(), "restore");
    assert_eq!(rig.share("internal", &green()), 100);
    assert!(rig.world.groups[&group("internal")].stands(&green()));
    rig.blur = |_| {};
    rig.world.recover(&group("internal"), &old());
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    blue_carries(&rig, &["internal", "public"]);
}

#[test]
fn a_shift_that_was_announced_and_never_seen_is_taken_back_after_an_abort() {
    let mut rig = both(|_| {});
    rig.until(
        |rig| matches!(rig.next(), Next::Change(changes, _) if matches!(changes[0], Change::Shift { .. })),
    );
    let (_, token) = rig.announce();
    rig.settle(token, vec![Fault::new(FaultKind::Unreachable, "Shift", "no answer").ambiguous()]);
    rig.order(Order::Abort);
    rig.look();
    assert_eq!(rig.phase().name(), "restore");
    rig.run_out();
    assert_eq!((rig.shifts("internal"), rig.shifts("public")), (vec![50, 0], vec![50, 0]));
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    blue_carries(&rig, &["internal", "public"]);
}

#[test]
fn a_waived_group_with_a_weighted_route_lets_blue_be_drained() {
    let mut rig = forgotten();
    rig.held_by();
    rig.order(waive("internal", NOW + DEADLINE));
    rig.until_phase("drain");
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
    assert_eq!(
        rig.share("internal", &blue()),
        100,
        "the route's weight outlives blue: that is what was waived"
    );
}

#[test]
fn a_group_in_which_blue_does_not_stand_is_given_to_green_whole() {
    let mut rig = with_a_new_group();
    rig.until(|rig| rig.share("public", &green()) == 50);
    assert_eq!(rig.share("partner", &green()), 100);
    assert!(rig.changes.contains(&Change::Shift {
        group: group("partner"),
        to: green(),
        from: None,
        share: Share::ALL
    }));
    rig.run_out();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Completed));
}

#[test]
fn a_group_in_which_blue_does_not_stand_is_nobodys_again_after_the_way_back() {
    let mut rig = with_a_new_group();
    rig.until_phase("bake").order(Order::Abort);
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    blue_carries(&rig, &["internal", "public"]);
    assert_eq!((rig.share("partner", &green()), rig.share("partner", &blue())), (0, 0));
}

#[test]
fn a_first_deployment_aborted_between_its_shift_and_the_answer_keeps_the_only_fleet() {
    let mut rig = first();
    rig.until(
        |rig| matches!(rig.next(), Next::Change(changes, _) if matches!(changes[0], Change::Shift { .. })),
    );
    let (changes, token) = rig.announce();
    rig.order(Order::Abort);
    rig.land(&changes, &token);
    let stuck = "there is no earlier fleet to go back to; green is left as it is".to_owned();
    assert_eq!(*rig.phase(), Phase::Ended(Verdict::Failed { cause: ordered(), stuck }));
    assert_eq!((rig.share("public", &green()), rig.retired.len()), (100, 0));
}

#[test]
fn a_group_that_cannot_be_read_while_green_withdraws_moves_no_deadline() {
    let mut rig = both(|_| {});
    rig.until_phase("bake").order(Order::Abort);
    rig.until_phase("withdraw");
    let entered = rig.state.entered_at();
    rig.blur = |look| {
        look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    };
    rig.pass(Span::secs(1));
    rig.look();
    assert_eq!((rig.phase().name(), rig.state.entered_at()), ("withdraw", entered));
    rig.blur = |_| {};
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
}

#[test]
fn a_late_look_right_after_a_shift_does_not_take_green_from_a_group_that_it_carries() {
    let mut rig = both(|plan| plan.steps.remove(0).hold = deployer::model::Hold::Promote);
    rig.until(
        |rig| matches!(rig.next(), Next::Change(changes, _) if matches!(changes[0], Change::Shift { .. })),
    );
    rig.step();
    rig.order(Order::Abort);
    rig.blur = |look| {
        for name in ["internal", "public"] {
            edit(look, name, |seen| {
                seen.sides.get_mut(&green()).unwrap().share = Share::NONE;
                seen.sides.get_mut(&blue()).unwrap().share = Share::ALL;
            });
        }
    };
    rig.look();
    assert_eq!(rig.phase().name(), "restore");
    let Next::Change(changes, _) = rig.next() else { panic!("it is given back: {:?}", rig.next()) };
    let back =
        |name| Change::Shift { group: group(name), to: green(), from: Some(blue()), share: Share::NONE };
    assert_eq!(changes, [back("internal"), back("public")]);
    rig.blur = |_| {};
    rig.run_out();
    blue_carries(&rig, &["internal", "public"]);
}

#[test]
fn a_late_look_that_hides_our_freeze_does_not_end_with_blue_held_still() {
    let mut rig = both(|_| {});
    rig.until_phase("bake").order(Order::Abort);
    rig.blur = |look| {
        if let Some(Seen::Known(fleet)) = look.fleets.get_mut(&blue()) {
            fleet.scaling = Scaling::Active;
        }
    };
    rig.run_out();
    assert_eq!(*rig.phase(), rolled_back(ordered()));
    assert_eq!(rig.world.fleets[&blue()].scaling, Scaling::Active);
}
