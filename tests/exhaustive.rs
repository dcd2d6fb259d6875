//! No interleaving of faults, outside changes, orders and drivers makes a call of ours darken a group, and an end is in
//! reach from everywhere.

mod check;
mod common;

use check::{Budget, DELAY, HOLD, Mutant, Outside, Setup, search};
use common::{group, plan, served, world_with_blue};
use deployer::cloud::sim::{SimGroup, World};
use deployer::model::{Hold, Sharing, Span, Steps};
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
    assert!(report.ends.contains_key("completed"));
}

#[test]
fn two_paired_groups_never_go_dark() {
    holds(&setup("paired", two_groups(), &["internal", "public"]));
}
