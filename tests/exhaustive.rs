//! No interleaving of faults, outside changes, orders and drivers makes a call of ours darken a group, and an end is in
//! reach from everywhere.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod check;
mod common;

use check::{Budget, DELAY, HOLD, Mutant, Outside, Setup, search};
use common::{DEADLINE, NOW, group, plan, served, world_with_blue};
use deployer::cloud::sim::{SimGroup, World};
use deployer::model::{Hold, OnDeadline, Sharing, Span, Steps};
use deployer::rollout::Order;

fn two_groups() -> World {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Paired, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    world
}

fn setup(name: &'static str, world: World, named: &[&str]) -> Setup {
    let plan = plan(&world, named);
    Setup {
        name,
        plan,
        world,
        budget: Budget { outside: 1, faults: 1, orders: 1 },
        orders: vec![Order::Abort, Order::Pause],
        outside: vec![Outside::SickenGreen(group("public")), Outside::KillGreen],
        mutant: None,
    }
}

fn holds(setup: &Setup) {
    let report = search(setup);
    println!("{}: {} states, {} steps, {:?}", setup.name, report.states, report.steps, report.ends);
    for broken in &report.broken {
        println!("BROKEN {broken}\n");
    }
    for stuck in &report.stuck {
        println!("STUCK {stuck}\n");
    }
    assert!(report.broken.is_empty(), "{}", setup.name);
    assert!(report.stuck.is_empty(), "{}", setup.name);
    assert!(report.ends.contains_key("completed"), "{}", setup.name);
}

#[test]
fn two_paired_groups_never_go_dark() {
    holds(&setup("paired", two_groups(), &["internal", "public"]));
}

#[test]
fn a_group_that_both_fleets_share_never_goes_dark() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Shared, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let mut setup = setup("shared", world, &["internal", "public"]);
    setup.outside.push(Outside::SickenGreen(group("internal")));
    holds(&setup);
}

#[test]
fn a_group_that_both_fleets_share_by_weight_never_goes_dark() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Weighed, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let mut setup = setup("by weight", world, &["internal", "public"]);
    setup.outside.push(Outside::SickenGreen(group("internal")));
    holds(&setup);
}

#[test]
fn a_route_that_knows_only_nothing_or_everything_never_goes_dark() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Shared, Steps::AllOrNothing);
    served(&mut world, "public", Sharing::Paired, Steps::AllOrNothing);
    let mut setup = setup("all or nothing", world, &["internal", "public"]);
    setup.outside.push(Outside::SickenGreen(group("internal")));
    holds(&setup);
}

/// Blue also serves a group that the plan does not name, and is attached to another one at any time.
fn undeclared() -> Setup {
    let mut world = world_with_blue(1);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let mut setup = setup("undeclared", world, &["public"]);
    served(&mut setup.world, "hidden", Sharing::Paired, Steps::Any);
    setup.world.build(&group("late"), SimGroup::new(Sharing::Paired, Steps::Any, "listener late:443"));
    let until = NOW + Span(DEADLINE.0 * 3 / 2);
    let waive = |name| Order::Waive { group: group(name), reason: "unused".into(), until };
    setup.outside = vec![Outside::AttachBlue(group("late")), Outside::Vanish(group("hidden"))];
    setup.orders = vec![
        Order::Abort,
        Order::Amend { group: group("hidden") },
        Order::Amend { group: group("late") },
        waive("hidden"),
    ];
    setup
}

#[test]
fn a_group_left_out_of_the_plan_never_goes_dark() {
    holds(&undeclared());
}

#[test]
fn a_first_deployment_ends() {
    let mut world = World::new(NOW, DELAY);
    for name in ["internal", "public"] {
        world.build(&group(name), SimGroup::new(Sharing::Paired, Steps::Any, "listener:443"));
    }
    holds(&setup("first", world, &["internal", "public"]));
}

#[test]
fn holds_and_promotions_never_let_a_group_go_dark() {
    let mut world = world_with_blue(1);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let mut setup = setup("holds", world, &["public"]);
    setup.plan.settle = HOLD;
    setup.plan.steps[0].hold = Hold::For(HOLD);
    setup.plan.bake = Hold::Promote;
    setup.plan.quiet = HOLD;
    setup.orders =
        vec![Order::Promote { full: false }, Order::Promote { full: true }, Order::Pause, Order::Rollback];
    setup.outside = vec![
        Outside::SickenGreen(group("public")),
        Outside::RecoverGreen(group("public")),
        Outside::DropGreen(group("public")),
    ];
    setup.budget = Budget { outside: 2, faults: 0, orders: 2 };
    holds(&setup);
}

#[test]
fn slow_launches_checks_and_drains_never_let_a_group_go_dark() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Shared, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    world.launch = DELAY;
    for group in world.groups.values_mut() {
        group.deregistration_delay = DELAY;
        group.health_interval = DELAY;
    }
    holds(&setup("delays", world, &["internal", "public"]));
}

#[test]
fn fleets_that_scale_never_let_a_group_go_dark() {
    let mut world = world_with_blue(2);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    served(&mut world, "internal", Sharing::Shared, Steps::Any);
    let mut setup = setup("scaling", world, &["public", "internal"]);
    setup.plan.freeze = false;
    setup.plan.min_healthy = common::share(50);
    setup.plan.deadlines.then = OnDeadline::Hold;
    setup.outside = vec![Outside::ScaleBlue(3), Outside::KillGreen, Outside::DropGreen(group("public"))];
    holds(&setup);
}

/// The checker's own test: a planted fault must be found.
fn finds(mut setup: Setup, mutant: Mutant, invariant: &str) {
    setup.mutant = Some(mutant);
    let report = search(&setup);
    println!("{mutant:?}: {} states, {:?}", report.states, report.broken.first());
    assert!(report.broken.iter().any(|broken| broken.starts_with(invariant)), "{mutant:?}");
}

#[test]
fn a_gate_that_reads_only_the_plan_is_found() {
    finds(undeclared(), Mutant::PlanOnly, "I2");
}

#[test]
fn a_machine_that_trusts_replies_is_found() {
    finds(setup("paired", two_groups(), &["internal", "public"]), Mutant::RepliesTrusted, "I1");
}

#[test]
fn a_machine_without_a_health_guard_is_found() {
    finds(setup("paired", two_groups(), &["internal", "public"]), Mutant::NoHealthGuard, "I1");
}

#[test]
fn a_driver_that_ignores_its_fence_is_found() {
    finds(setup("paired", two_groups(), &["internal", "public"]), Mutant::FenceIgnored, "I1");
}
