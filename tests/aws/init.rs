//! `deployer init`: a file from a live service, with every target group in it.

use crate::desk::Desk;
use crate::fake::{CodeDeployOptions, TargetGroupSettings};

#[test]
fn every_target_group_is_found_whoever_put_the_instances_there() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        let forgotten = world.target_group("partner", &TargetGroupSettings::default());
        let alb = world.alb("partners");
        world.listener(&alb, 8443, &[(&forgotten, 1)]).unwrap();
        for instance in world.in_service("api-blue") {
            world.register_by_hand(&forgotten, &instance, None);
        }
        world.target_group("somebody-elses", &TargetGroupSettings::default());
    });
    let done = desk.run(&["init", "api", "--from-asg", "api-blue", "--environment", "prod"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let expected = "\
wrote deployments/api.yaml
next   deployer doctor api
       deployer plan api
       deployer rollout api --revision REVISION
";
    assert_eq!(done.out, expected);
    let file = std::fs::read_to_string(desk.file()).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write("tests/aws/golden/init.yaml", &file).unwrap();
    }
    assert_eq!(file, std::fs::read_to_string("tests/aws/golden/init.yaml").unwrap());
    assert_eq!(desk.writes(), [""; 0]);
    // The file is good: the preflight that it names finds nothing to mend.
    let checked = desk.run(&["doctor", "api"]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    let plan = desk.run(&["plan", "api"]);
    assert_eq!(plan.code, 0, "{}{}", plan.out, plan.err);
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let desk = Desk::new();
    desk.declare_all();
    let before = std::fs::read_to_string(desk.file()).unwrap();
    let done = desk.run(&["init", "api", "--from-asg", "api-blue", "--environment", "prod"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("is there already") && done.err.contains("hint:"), "{}", done.err);
    assert_eq!(std::fs::read_to_string(desk.file()).unwrap(), before);
}

#[test]
fn a_group_that_does_not_exist_writes_nothing() {
    let desk = Desk::new();
    let done = desk.run(&["init", "api", "--from-asg", "nobody", "--environment", "prod"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("there is no Auto Scaling group `nobody` in eu-west-1"), "{}", done.err);
    assert!(!desk.file().exists());
}

#[test]
fn a_deployment_group_is_described_with_what_it_installed_last() {
    let desk = Desk::new();
    desk.fake.world(|world| {
        world.codedeploy_group("app", "dg", "api-blue", &["public"], &CodeDeployOptions::default());
        let location =
            serde_json::json!({ "bucket": "builds", "key": "api/api-41.tar.gz", "bundleType": "tgz" });
        let revision = serde_json::json!({ "revisionType": "S3", "s3Location": location });
        world.deployment_groups[0].settings.insert("targetRevision".into(), revision);
    });
    let done = desk.run(&["init", "api", "--from-codedeploy", "app/dg", "--environment", "prod"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    let file = std::fs::read_to_string(desk.file()).unwrap();
    for line in [
        "revision: \"api-41\"",
        "          managed: codedeploy",
        "          bundle: \"s3://builds/api/{revision}.tar.gz\"",
        "            target_group: \"internal\"",
        "CodeDeploy lists it",
        "strategy: switch       # no group here takes steps",
    ] {
        assert!(file.contains(line), "{line}\n{file}");
    }
}
