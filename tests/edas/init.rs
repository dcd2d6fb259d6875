//! `deployer init --from-edas`: a deployment file from the live service.

use crate::desk::Desk;
use crate::fake::{Fault, GroupOptions, On};

fn init(desk: &Desk, from: &str) -> crate::desk::Done {
    desk.run(&["init", "api", "--from-edas", from, "--environment", "prod"])
}

#[test]
fn the_file_holds_every_server_group_in_which_the_service_is_found() {
    let desk = Desk::new();
    let done = init(&desk, "api");
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let text = desk.named(&std::fs::read_to_string(desk.file()).unwrap());
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edas/golden/init.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
    assert_eq!(desk.writes(), [""; 0]);
    let next = desk.run(&["validate"]);
    assert_eq!(next.code, 0, "{}", next.err);
    let plan = desk.run(&["plan", "api"]);
    assert_eq!(plan.code, 0, "{}{}", plan.out, plan.err);
    assert_eq!((desk.fake.unknown(), desk.fake.strange()), (vec![], vec![]));
}

#[test]
fn a_group_that_somebody_attached_by_hand_is_found_too_by_name_or_by_id() {
    for by_id in [true, false] {
        let desk = Desk::new();
        desk.fake.world(|world| {
            let forgotten = world.alb_group("forgotten", &GroupOptions::default());
            let alb = world.alb("partners");
            world.listener(&alb, 8443, &forgotten);
            desk.hosts.iter().for_each(|host| world.stand(&forgotten, host, 8080, 100));
            let old = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
            world.clb_listener(&old, "tcp", 81, None);
            world.stand(&format!("{old}/default"), &desk.hosts[0], 8080, 100);
        });
        let from = if by_id { desk.app.clone() } else { "api".to_owned() };
        assert_eq!(init(&desk, &from).code, 0);
        let text = std::fs::read_to_string(desk.file()).unwrap();
        assert!(text.contains("\"forgotten\":\n            alb: \"sgp-"), "{text}");
        let text = desk.named(&text);
        assert!(text.contains("\"LB-old/default\":\n            clb: \"LB-old/default\""), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_shorter_file() {
    for action in ["ListServerGroups", "DescribeVServerGroupAttribute", "QueryApplicationStatus", "ListRules"]
    {
        let desk = Desk::new();
        desk.fake.fail(On::call(action), Fault::Denied);
        let done = init(&desk, "api");
        assert_eq!(done.code, 1, "{action}: {}{}", done.out, done.err);
        assert!(done.err.contains(action) && !desk.file().exists(), "{action}: {}", done.err);
    }
}

#[test]
fn a_name_that_is_not_there_is_told_and_a_file_that_is_there_stays() {
    let desk = Desk::new();
    let done = init(&desk, "ap");
    assert_eq!(done.code, 1);
    assert!(done.err.contains("there is no application `ap` in cn-hongkong"), "{}", done.err);
    desk.declare_all();
    let before = std::fs::read_to_string(desk.file()).unwrap();
    assert_eq!(init(&desk, "api").code, 2);
    assert_eq!(std::fs::read_to_string(desk.file()).unwrap(), before);
}

#[test]
fn an_application_whose_balancer_edas_itself_binds_is_written_with_a_warning() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        let balancer = world.balancers.iter().find(|own| own.name == "old").unwrap().id.clone();
        let binding = crate::fake::Binding { balancer, port: Some(80), group: desk.id("partner").to_owned() };
        world.apps[0].bindings[0] = Some(binding);
    });
    assert_eq!(init(&desk, "api").code, 0);
    let text = std::fs::read_to_string(desk.file()).unwrap();
    assert!(text.contains("# Beware: not known: where EDAS puts new instances"), "{text}");
}

#[test]
fn deploy_groups_that_cannot_alternate_are_refused() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        world.deploy_group(&desk.app, "grey");
        world.deployed(&desk.app, "green", "1.0.0", 1);
        world.deployed(&desk.app, "grey", "1.0.0", 1);
    });
    let done = init(&desk, "api");
    assert_eq!(done.code, 1);
    assert!(done.err.contains("3 deploy groups have instances (blue, green, grey)"), "{}", done.err);
}
