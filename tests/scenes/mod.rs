//! What is drilled: one scene for each shape of rollout.

use deployer::cloud::sim::{SimGroup, World};
use deployer::drill::Scene;
use deployer::model::{Deadlines, Hold, Pace, Plan, Sharing, Span, Steps, Time, Waiver};

use crate::common::{NOW, group, plan, served, world_with_blue};

/// How long a new target waits for its verdict.
const INTERVAL: Span = Span::secs(10);

/// Every scene, by name.
pub fn scenes() -> Vec<(&'static str, Scene)> {
    vec![
        ("declared", declared()),
        ("undeclared", undeclared()),
        ("first", first()),
        ("promoted", promoted()),
        ("waived", waived(Span::mins(180))),
        ("waiver expires", waived(Span::secs(100))),
    ]
}

/// Blue carries three groups that the plan names, and one more stands about.
pub fn declared() -> Scene {
    let world = world();
    let plan = plan(&world, &["internal", "public", "stream"]);
    scene(world, plan)
}

/// Blue also carries a group that the plan does not name, and the plan names one that blue does not carry: there are as
/// many of the ones as of the others.
fn undeclared() -> Scene {
    let mut world = world();
    served(&mut world, "hidden", Sharing::Paired, Steps::Any);
    world.build(&group("fresh"), SimGroup::new(Sharing::Paired, Steps::Any, "listener fresh"));
    let plan = plan(&world, &["fresh", "internal", "public", "stream"]);
    scene(world, plan)
}

/// The one that the plan does not name may go dark for a while.
fn waived(span: Span) -> Scene {
    let mut scene = undeclared();
    scene.plan.waivers =
        vec![Waiver { group: group("hidden"), reason: "unused".into(), until: NOW + span, by: "eve".into() }];
    scene
}

/// There is no blue.
fn first() -> Scene {
    let mut world = World::new(NOW, Span::ZERO);
    for name in ["internal", "public"] {
        world.build(&group(name), SimGroup::new(Sharing::Paired, Steps::Any, "listener"));
    }
    let plan = plan(&world, &["internal", "public"]);
    scene(world, plan)
}

/// One of the groups is shared by the weights of its servers.
pub fn weighed() -> Scene {
    let mut world = world();
    served(&mut world, "internal", Sharing::Weighed, Steps::Any);
    let plan = plan(&world, &["internal", "public", "stream"]);
    scene(world, plan)
}

/// One of the groups is twins of which nobody checks the one that carries nothing.
pub fn unproved() -> Scene {
    let mut world = world();
    served(&mut world, "internal", Sharing::Unproved, Steps::AllOrNothing);
    let plan = plan(&world, &["internal", "public", "stream"]);
    scene(world, plan)
}

/// Every hold waits for an order.
fn promoted() -> Scene {
    let mut scene = declared();
    scene.plan.steps[0].hold = Hold::Promote;
    scene.plan.bake = Hold::Promote;
    scene
}

fn world() -> World {
    let mut world = world_with_blue(2);
    served(&mut world, "internal", Sharing::Paired, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    served(&mut world, "stream", Sharing::Shared, Steps::AllOrNothing);
    world.build(&group("spare"), SimGroup::new(Sharing::Paired, Steps::Any, "listener spare"));
    world
}

/// The world as it is after blue has served for long, and a plan with every wait and deadline short.
fn scene(mut world: World, mut plan: Plan) -> Scene {
    for group in world.groups.values_mut() {
        group.deregistration_delay = Span::secs(20);
        group.health_interval = INTERVAL;
    }
    world.launch = Span::secs(20);
    let mut world = world.rebased(|time| Time(time.0.saturating_sub(INTERVAL.0)), |_| None);
    world.tick(NOW);
    plan.settle = Span::secs(20);
    plan.steps[0].hold = Hold::For(Span::secs(30));
    plan.bake = Hold::For(Span::secs(60));
    plan.quiet = Span::secs(60);
    let minutes = Span::mins(10);
    plan.deadlines = Deadlines {
        provision: minutes,
        register: minutes,
        settle: minutes,
        shift: minutes,
        drain: minutes,
        retire: minutes,
        hold: minutes,
        restore: minutes,
        withdraw: minutes,
        ..plan.deadlines
    };
    plan.pace =
        Pace { soon: Span::secs(5), watch: Span::secs(10), fresh: Span::secs(50), lands: Span::secs(30) };
    Scene { world, plan }
}
