//! The incident that this product exists for, in each of its dresses on AWS: a target group that blue serves and that no
//! list names. Blue never goes, and says which group would go dark.

use crate::fake::TargetGroupSettings;
use crate::rig::{Rig, Setup, until};

const REFUSED: i32 = 10;
const HELD: i32 = 13;

/// One more target group behind a listener of its own, in which nobody stands yet.
pub fn one_more(rig: &mut Rig, name: &str, kind: &'static str) -> String {
    let settings = TargetGroupSettings { protocol: "HTTP", ..TargetGroupSettings::default() };
    let arn = rig.fake.world(|world| {
        let balancer = world.alb(&format!("behind-{name}"));
        let arn = world.target_group(name, &settings);
        if kind == "ip" {
            world.by_address(&arn);
        }
        world.listener(&balancer, 7000, &[(&arn, 1)]).unwrap();
        arn
    });
    rig.arns.insert(name.to_owned(), arn.clone());
    arn
}

fn refuses(rig: &Rig, name: &str) {
    let before =
        rig.fake.world(|world| (world.in_service("api"), world.weights(&rig.arns["public-listener"])));
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let refused = rig.run(args).ended_with(REFUSED);
        assert!(refused.said().contains(name), "{}", refused.said());
    }
    let after =
        rig.fake.world(|world| (world.in_service("api"), world.weights(&rig.arns["public-listener"])));
    assert_eq!(before, after);
    let changed: Vec<_> = rig.fake.calls().into_iter().filter(|call| !is_read(&call.action)).collect();
    assert!(changed.is_empty(), "nothing was changed: {changed:?}");
    rig.unharmed();
}

fn is_read(action: &str) -> bool {
    action.starts_with("Describe") || action.starts_with("Get") || action.starts_with("List")
}

#[test]
fn a_group_that_is_attached_to_blue_and_not_declared_refuses_the_plan() {
    let mut rig = Rig::new(|_| {});
    let arn = one_more(&mut rig, "partner", "instance");
    rig.fake.world(|world| world.attach("api", &arn));
    refuses(&rig, "partner");
}

#[test]
fn a_group_in_which_blue_was_registered_by_hand_and_that_is_on_no_list_refuses_the_plan() {
    let mut rig = Rig::new(|_| {});
    let arn = one_more(&mut rig, "partner", "instance");
    let instance = rig.members("api").remove(0);
    rig.fake.world(|world| world.register_by_hand(&arn, &instance, Some(9000)));
    refuses(&rig, "partner");
}

#[test]
fn a_group_in_which_blue_was_registered_by_its_address_refuses_the_plan() {
    let mut rig = Rig::new(|_| {});
    let arn = one_more(&mut rig, "partner", "ip");
    let instance = rig.members("api").remove(0);
    rig.fake.world(|world| {
        let address = world.address_of(&instance);
        world.register_by_hand(&arn, &address, Some(80));
    });
    refuses(&rig, "partner");
}

#[test]
fn a_group_that_is_attached_through_a_traffic_source_refuses_the_plan() {
    let mut rig = Rig::new(|_| {});
    let arn = one_more(&mut rig, "partner", "instance");
    rig.fake.world(|world| world.attach_source("api", &arn, "elbv2"));
    refuses(&rig, "partner");
}

#[test]
fn a_way_in_through_vpc_lattice_refuses_the_plan() {
    let rig = Rig::new(|_| {});
    rig.fake.world(|world| {
        world.attach_source(
            "api",
            "arn:aws:vpc-lattice:eu-west-1:111122223333:targetgroup/tg-0a",
            "vpc-lattice",
        );
    });
    refuses(&rig, "Lattice");
}

#[test]
fn a_group_of_another_page_refuses_the_plan_however_short_the_pages_are() {
    let mut rig = Rig::new(|setup| setup.settings.page = Some(1));
    let arn = one_more(&mut rig, "partner", "instance");
    rig.fake.world(|world| world.attach("api", &arn));
    refuses(&rig, "partner");
}

#[test]
fn more_than_ten_groups_are_attached_in_several_calls_and_all_of_them_are_proved() {
    let names = ["g01", "g02", "g03", "g04", "g05", "g06", "g07", "g08", "g09", "g10", "g11", "g12", "g13"];
    let rig = Rig::new(|setup: &mut Setup| setup.twins = names.to_vec());
    let done = rig.run(&["rollout", "api"]).ended_with(0);
    assert!(names.iter().all(|name| done.out.contains(&format!("`{name}`"))), "{}", done.out);
    assert_eq!(rig.fake.count("AttachLoadBalancerTargetGroups"), 3, "ten, three, and the shared one");
    rig.serves("api-v001");
}

#[test]
fn a_group_that_is_attached_in_mid_rollout_holds_until_it_is_amended() {
    let mut rig = Rig::new(|setup| {
        setup.bake = "promote";
        setup.deadlines = vec!["hold: 30s"];
    });
    let arn = one_more(&mut rig, "partner", "instance");
    let rollout = rig.start(&["rollout", "api", "--wait-promote", "1m"]);
    rig.until_phase(1, "bake");
    rig.fake.world(|world| world.attach("api", &arn));
    let promote = rig.start(&["promote", "api", "--full"]);
    until("the gap to be seen", || {
        rig.state(1)
            .gaps()
            .iter()
            .any(|gap| gap.group.as_ref().is_some_and(|group| group.as_str() == "partner"))
    });
    assert_eq!(rig.members("api").len(), 2, "blue stays");
    rig.run(&["resume", "api", "--amend", "partner"]).ended_with(0);
    rollout.wait().ended_with(0);
    promote.wait().ended_with(0);
    rig.serves("api-v001");
    let targets = rig.targets("partner");
    assert_eq!(targets.values().filter(|state| *state == "healthy").count(), 2, "{targets:?}");
}

#[test]
fn a_group_that_is_attached_while_blue_is_quiet_keeps_blue() {
    let mut rig = Rig::new(|setup| {
        setup.quiet = "1500ms";
        setup.deadlines = vec!["hold: 1s", "retire: 1s", "drain: 3s"];
    });
    let arn = one_more(&mut rig, "partner", "instance");
    let rollout = rig.start(&["rollout", "api"]);
    until("blue to be drained", || {
        rig.phase(1) == "drain" && rig.targets("internal").len() == 2 && rig.targets("public-a").is_empty()
    });
    rig.fake.world(|world| world.attach("api", &arn));
    let held = rollout.wait().ended_with(HELD);
    assert!(held.said().contains("partner"), "{}", held.said());
    assert_eq!(rig.members("api").len(), 2, "blue stays");
}

#[test]
fn what_is_denied_or_throttled_to_the_end_is_unknown_and_refuses() {
    use crate::fake::{Fault, On};
    for action in ["DescribeTargetHealth", "DescribeTrafficSources", "DescribeListeners", "DescribeRules"] {
        let rig = Rig::new(|_| {});
        rig.fake.fail(On::call(action), Fault::Denied);
        let refused = rig.run(&["plan", "api"]).ended_with(REFUSED);
        assert!(refused.said().contains(action), "{}", refused.said());
    }
    for action in ["DescribeAutoScalingGroups", "DescribeTargetGroups", "DescribeInstances"] {
        let rig = Rig::new(|_| {});
        rig.fake.fail(On::call(action), Fault::Throttle);
        let failed = rig.run(&["plan", "api"]).ended_with(1);
        assert!(failed.said().contains(action), "{}", failed.said());
    }
}
