//! The way forward: what is done, in which order, what holds it and where each wait ends.

use std::collections::BTreeMap;

use deployer::cloud::sim::{SimGroup, World};
use deployer::cloud::{Change, FaultKind};
use deployer::coverage::{Evidence, Gap, Why};
use deployer::model::{
    Fleet, FleetId, Health, Hold, InstanceState, OnDeadline, Scaling, Seen, Share, Sharing, Span, Steps, Time,
};
use deployer::rollout::{Next, Order, Phase, Verdict};

use crate::common::{DEADLINE, NOW, blue, green, group, new, old, plan, served, share, world_with_blue};
use crate::rig::{Reply, Rig, both, edit, forgotten, gap, late, names, rolled_back, two_groups, waive};

const COMPLETED: Phase = Phase::Ended(Verdict::Completed);

fn shift(name: &str, from: Option<FleetId>, percent: u64) -> Change {
    Change::Shift { group: group(name), to: green(), from, share: share(percent) }
}

fn proved(percent: u64) -> Evidence {
    Evidence { healthy: 1, share: share(percent), waived: None }
}

#[test]
fn a_rollout_does_this_and_nothing_else() {
    let mut rig = both(|_| {});
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    let all = names(["internal", "public"]);
    let expected = [
        Change::Freeze { fleet: blue() },
        Change::Provision { fleet: Fleet { id: green(), revision: new(), size: 1 } },
        Change::Freeze { fleet: green() },
        Change::Register { fleet: green(), groups: all.clone() },
        shift("internal", Some(blue()), 50),
        shift("public", Some(blue()), 50),
        shift("internal", Some(blue()), 100),
        shift("public", Some(blue()), 100),
        Change::Deregister { fleet: blue(), groups: all },
        Change::Thaw { fleet: green() },
    ];
    assert_eq!(rig.changes, expected);
    let covered = BTreeMap::from(["internal", "public"].map(|name| (group(name), proved(100))));
    assert_eq!(
        rig.retired.iter().map(|(id, _, proof)| (id, proof)).collect::<Vec<_>>(),
        [(&blue(), &covered)]
    );
    assert_eq!(rig.world.fleets.keys().collect::<Vec<_>>(), [&green()]);
    assert_eq!(rig.world.fleets[&green()].scaling, Scaling::Active);
    assert_eq!(rig.state.serving().map(|fleet| &fleet.id), Some(&green()));
}

pub fn first() -> Rig {
    let mut world = World::new(NOW, Span::ZERO);
    for name in ["internal", "public"] {
        world.build(&group(name), SimGroup::new(Sharing::Paired, Steps::Any, "listener:443"));
    }
    let plan = plan(&world, &["internal", "public"]);
    assert_eq!(plan.blue, None);
    Rig::new(world, plan)
}

#[test]
fn a_first_deployment_takes_every_group_whole_and_retires_nobody() {
    let mut rig = first();
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    assert_eq!((rig.shifts("internal"), rig.shifts("public")), (vec![100], vec![100]));
    assert!(rig.changes.contains(&shift("public", None, 100)));
    assert_eq!(rig.retired, []);
    assert_eq!(rig.changes.last(), Some(&Change::Thaw { fleet: green() }));
}

#[test]
fn a_first_deployment_does_not_complete_while_a_group_is_uncovered() {
    let mut rig = first();
    rig.until_phase("bake");
    rig.blur = |look| drop(look.groups.remove(&group("internal")));
    assert_eq!(rig.held_by(), [gap("internal", 0, Why::Unseen)]);
}

#[test]
fn the_same_revision_is_deployed_again_on_a_fresh_fleet() {
    let mut rig = both(|plan| plan.green.revision = old());
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    assert_eq!(rig.world.fleets.keys().collect::<Vec<_>>(), [&green()]);
}

#[test]
fn a_fleet_that_has_its_instances_and_runs_something_else_is_asked_for_again() {
    let mut rig = both(|_| {});
    // It comes up in two steps: its instances, and then, asked once more, its revision.
    rig.blur = |look| {
        if let Some(Seen::Known(seen)) = look.fleets.get_mut(&green())
            && look.looked_at < NOW + Span::secs(1)
        {
            seen.revision = old();
        }
    };
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    let asked = rig.changes.iter().filter(|change| matches!(change, Change::Provision { .. })).count();
    assert!(asked > 1, "{:?}", rig.changes);
}

#[test]
fn a_green_of_another_size_is_judged_by_its_own_size() {
    for (blue_size, green_size) in [(1, 3), (3, 1)] {
        let world = two_groups(blue_size);
        let mut plan = plan(&world, &["internal", "public"]);
        plan.green.size = green_size;
        let mut rig = Rig::new(world, plan);
        rig.run_out();
        assert_eq!(*rig.phase(), COMPLETED);
        let healthy: Vec<_> = rig.retired[0].2.values().map(|evidence| evidence.healthy).collect();
        assert_eq!(healthy, [green_size, green_size]);
    }
}

#[test]
fn a_route_that_takes_nothing_or_everything_moves_at_the_last_step_only() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Paired, Steps::AllOrNothing);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    rig.until(|rig| rig.share("public", &green()) == 50);
    assert_eq!(rig.share("internal", &green()), 0);
    rig.run_out();
    assert_eq!((rig.shifts("internal"), rig.shifts("public")), (vec![100], vec![50, 100]));
    assert_eq!(*rig.phase(), COMPLETED);
}

#[test]
fn a_shared_group_is_joined_only_in_the_shift_and_not_called_sick_before_it_is_judged() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Shared, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    world.groups.get_mut(&group("internal")).unwrap().health_interval = Span::secs(20);
    world.tick(NOW + Span::secs(20));
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    rig.until_phase("shift");
    assert!(!rig.world.groups[&group("internal")].stands(&green()));
    rig.until(|rig| {
        rig.state.look().unwrap().group(&group("internal")).unwrap().sides.contains_key(&green())
    });
    let side = rig.state.look().unwrap().group(&group("internal")).unwrap().sides[&green()].clone();
    assert_eq!((side.count(Health::Initial), side.share), (1, share(50)));
    assert_eq!(rig.phase().name(), "shift");
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
}

#[test]
fn a_group_shared_by_weight_is_joined_with_the_least_proved_there_and_then_takes_every_step() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Weighed, Steps::Any);
    world.groups.get_mut(&group("internal")).unwrap().health_interval = Span::secs(20);
    world.tick(NOW + Span::secs(20));
    let plan = plan(&world, &["internal"]);
    let mut rig = Rig::new(world, plan);
    rig.until_phase("shift");
    assert!(!rig.world.groups[&group("internal")].stands(&green()));
    rig.until(|rig| {
        rig.state.look().unwrap().group(&group("internal")).unwrap().sides.contains_key(&green())
    });
    let side = rig.state.look().unwrap().group(&group("internal")).unwrap().sides[&green()].clone();
    assert_eq!((side.count(Health::Initial), side.share), (1, share(1)));
    assert_eq!((rig.phase().name(), rig.shifts("internal")), ("shift", vec![]));
    rig.run_out();
    assert_eq!(rig.shifts("internal"), [50, 100]);
    assert_eq!(*rig.phase(), COMPLETED);
}

#[test]
fn green_that_falls_ill_with_a_part_of_a_group_shared_by_weight_leaves_it_to_blue() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Weighed, Steps::Any);
    let plan = plan(&world, &["internal"]);
    let mut rig = Rig::new(world, plan);
    rig.until(|rig| rig.share("internal", &green()) == 50);
    rig.world.sicken(&group("internal"), &new());
    rig.run_out();
    assert!(matches!(rig.phase(), Phase::Ended(Verdict::RolledBack { .. })), "{:?}", rig.phase());
    assert_eq!(rig.shifts("internal"), [50, 0]);
    assert_eq!(rig.world.groups[&group("internal")].share(&blue()), Share::ALL);
}

#[test]
fn twins_that_nobody_checks_before_are_switched_last_and_proved_before_blue_may_go() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Unproved, Steps::AllOrNothing);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    rig.until(|rig| rig.share("public", &green()) == 50);
    assert!(!rig.world.groups[&group("internal")].stands(&green()), "it waits for the last step");
    rig.until(|rig| rig.share("internal", &green()) == 100);
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    assert_eq!(rig.shifts("internal"), [100]);
    assert_eq!(rig.retired[0].2[&group("internal")], proved(100));
}

#[test]
fn green_that_shows_to_be_ill_after_a_switch_gives_everything_back_to_a_blue_that_nobody_checks() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Unproved, Steps::AllOrNothing);
    world.sicken(&group("internal"), &new());
    let plan = plan(&world, &["internal"]);
    let mut rig = Rig::new(world, plan);
    rig.run_out();
    assert!(matches!(rig.phase(), Phase::Ended(Verdict::RolledBack { .. })), "{:?}", rig.phase());
    assert_eq!(rig.shifts("internal"), [100, 0]);
    let internal = &rig.world.groups[&group("internal")];
    assert_eq!((internal.share(&blue()), rig.world.healthy(internal, &blue())), (Share::ALL, 1));
}

#[test]
fn a_group_left_out_holds_the_rollout_and_an_amendment_completes_it_without_a_step_back() {
    let mut rig = forgotten();
    let dark = gap("internal", 1, Why::NotRegistered);
    assert_eq!(rig.held_by(), std::slice::from_ref(&dark));
    let until = rig.state.look().unwrap().looked_at + Span::secs(1);
    assert_eq!(rig.next(), Next::Hold { gaps: vec![dark], until });
    assert_eq!(rig.phase().name(), "bake");
    rig.order(Order::Amend { group: group("internal") });
    assert_eq!(*rig.phase(), Phase::Register);
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    assert_eq!((rig.shifts("public"), rig.shifts("internal")), (vec![50, 100], vec![50, 100]));
    assert_eq!(
        rig.retired[0].2.keys().cloned().collect::<std::collections::BTreeSet<_>>(),
        names(["internal", "public"])
    );
}

#[test]
fn a_group_left_out_is_waived_and_the_proof_tells_of_it() {
    let mut rig = forgotten();
    rig.held_by();
    rig.order(waive("internal", NOW + DEADLINE));
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
    let waived = Evidence { healthy: 0, share: Share::NONE, waived: Some("unused".into()) };
    assert_eq!(
        rig.retired[0].2,
        BTreeMap::from([(group("internal"), waived), (group("public"), proved(100))])
    );
}

#[test]
fn a_waiver_that_has_expired_holds_as_before() {
    let mut rig = forgotten();
    let gaps = rig.held_by();
    rig.order(waive("internal", rig.now()));
    assert_eq!(rig.held_by(), gaps);
}

#[test]
fn an_uncovered_group_holds_until_the_deadline_and_then_both_fleets_stay() {
    let mut rig = forgotten();
    rig.run_out();
    assert_eq!(rig.next(), Next::Held { gaps: vec![gap("internal", 1, Why::NotRegistered)] });
    assert_eq!((rig.phase().name(), rig.retired.len()), ("bake", 0));
    assert_eq!(rig.share("internal", &blue()), 100);
}

#[test]
fn a_group_that_loses_green_while_blue_drains_is_not_taken_from_blue() {
    let mut rig = both(|plan| plan.min_healthy = share(50));
    rig.until_phase("drain");
    rig.blur = |look| {
        look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    };
    rig.look();
    let unknown: Vec<Gap> = vec![gap("internal", 0, Why::Unknown("throttled".into()))];
    assert_eq!(rig.held_by(), unknown);
    assert!(!rig.changes.iter().any(|change| matches!(change, Change::Deregister { .. })));
}

/// Lets a phase never end, without a sign of sickness.
fn block(rig: &mut Rig, phase: &str) {
    match phase {
        "provision" => rig.world.capacity = Some(1),
        "register" => rig.blur = |look| each_green(look, |side| side.targets.clear()),
        "settle" => rig.world.sicken(&group("public"), &new()),
        "shift" => rig.blur = |look| each_green(look, |side| side.share = Share::NONE),
        "drain" => {
            for group in rig.world.groups.values_mut() {
                group.deregistration_delay = Span(DEADLINE.0 * 10);
            }
        }
        "retire" => rig.replies = vec![Reply::Refused(FaultKind::Denied); 1_000],
        other => panic!("no block for {other}"),
    }
}

fn each_green(look: &mut deployer::model::Inventory, change: fn(&mut deployer::model::Side)) {
    for name in ["internal", "public"] {
        edit(look, name, |seen| {
            seen.sides.get_mut(&green()).map(change);
        });
    }
}

#[test]
fn before_the_cut_over_a_missed_deadline_rolls_back_or_holds_as_the_plan_says() {
    for phase in ["provision", "register", "settle", "shift"] {
        for then in [OnDeadline::Rollback, OnDeadline::Hold] {
            let mut rig = both(|plan| plan.deadlines.then = then);
            rig.until_phase(phase);
            block(&mut rig, phase);
            rig.run_out();
            match then {
                OnDeadline::Rollback => assert_eq!(*rig.phase(), rolled_back(late(phase))),
                OnDeadline::Hold => {
                    assert_eq!((rig.next(), rig.phase().name()), (Next::Held { gaps: Vec::new() }, phase));
                }
            }
            assert!(rig.now() < NOW + Span(DEADLINE.0 * 2), "{phase}");
        }
    }
}

#[test]
fn after_the_cut_over_a_missed_deadline_holds_whatever_the_plan_says() {
    for phase in ["drain", "retire"] {
        let mut rig = both(|plan| plan.deadlines.then = OnDeadline::Rollback);
        rig.until_phase(phase);
        block(&mut rig, phase);
        rig.run_out();
        assert_eq!((rig.next(), rig.phase().name()), (Next::Held { gaps: Vec::new() }, phase));
        assert!(rig.now() < NOW + Span(DEADLINE.0 * 2), "{phase}");
        assert!(rig.world.fleets.contains_key(&blue()), "{phase}");
    }
}

#[test]
fn a_bake_that_waits_for_a_promotion_is_held_at_its_deadline() {
    let mut rig = both(|plan| plan.bake = Hold::Promote);
    rig.until_phase("bake");
    let due = rig.state.due();
    rig.run_out();
    assert_eq!((rig.next(), rig.phase().name()), (Next::Held { gaps: Vec::new() }, "bake"));
    assert!(rig.now() >= due);
}

#[test]
fn progress_moves_the_deadline_and_attempts_do_not() {
    let mut world = two_groups(2);
    world.capacity = Some(2);
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    let due = NOW + DEADLINE;
    rig.until(|rig| rig.now() >= NOW + Span::mins(30));
    assert_eq!((rig.state.due(), rig.phase()), (due, &Phase::Provision));
    rig.world.capacity = Some(3);
    rig.pass(Span::mins(1));
    rig.look();
    let came_up: Time = rig.now();
    assert_eq!(rig.state.due(), came_up + DEADLINE);
    rig.until(|rig| rig.now() >= came_up + Span::mins(30));
    assert_eq!(rig.state.due(), came_up + DEADLINE);
}

#[test]
fn scaling_is_held_still_before_green_comes_and_given_back_at_the_end_both_ways() {
    for abort in [false, true] {
        let mut rig = both(|_| {});
        rig.until_phase("bake");
        for fleet in [blue(), green()] {
            assert_eq!(rig.world.fleets[&fleet].scaling, Scaling::Frozen);
        }
        assert_eq!(rig.changes[0], Change::Freeze { fleet: blue() });
        if abort {
            rig.order(Order::Abort);
        }
        rig.run_out();
        let left: Vec<_> = rig.world.fleets.iter().map(|(id, fleet)| (id.clone(), fleet.scaling)).collect();
        assert_eq!(left, [(if abort { blue() } else { green() }, Scaling::Active)]);
    }
}

#[test]
fn scaling_that_somebody_else_holds_still_is_left_as_it_is() {
    let mut world = two_groups(1);
    world.fleets.get_mut(&blue()).unwrap().scaling = Scaling::Frozen;
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    rig.until_phase("bake").order(Order::Abort);
    rig.run_out();
    assert_eq!(rig.world.fleets[&blue()].scaling, Scaling::Frozen);
    let touched = [Change::Freeze { fleet: blue() }, Change::Thaw { fleet: blue() }];
    assert!(!rig.changes.iter().any(|change| touched.contains(change)));
}

#[test]
fn an_instance_that_is_still_coming_up_does_not_count() {
    let mut rig = both(|_| {});
    rig.world.launch = Span::mins(5);
    rig.until(|rig| rig.state.look().is_some_and(|look| look.fleet(&green()).is_some()));
    let seen = rig.state.look().unwrap().fleet(&green()).unwrap();
    assert_eq!(seen.instances.values().collect::<Vec<_>>(), [&InstanceState::Pending]);
    assert_eq!(*rig.phase(), Phase::Provision);
    rig.run_out();
    assert_eq!(*rig.phase(), COMPLETED);
}
