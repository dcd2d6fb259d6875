//! Steps that do what they are for.

use crate::rig::{Rig, beside_each_other};
use crate::runner::Step;

#[test]
fn a_step_rolls_out_tells_later_steps_and_people_and_rolls_back() {
    let rig = Rig::with_blue(|_| {});
    let plan = Step::new(&rig, "rollout").set("INPUT_PLAN_ONLY", "true").run().ended_with(0, "planned");
    plan.obeys_only_us();
    assert_eq!(rig.latest(), 1, "a plan changes nothing");
    assert_eq!(
        (plan.outputs["version"].as_str(), plan.outputs["target-groups-healthy"].as_str()),
        ("2.0.0", "")
    );
    assert!(plan.summary.contains("| <code>internal</code> | declared, blue is in it"), "{}", plan.summary);

    let left = Step::new(&rig, "rollout").set("INPUT_STRATEGY", "bluegreen").run().ended_with(0, "completed");
    left.obeys_only_us();
    rig.serves("2.0.0", 2);
    let expected = [
        ("rollout-id", "api/local/2"),
        ("state", "completed"),
        ("version", "2.0.0"),
        ("previous-version", "1.0.0"),
        ("target-groups-expected", "2"),
        ("target-groups-healthy", "2"),
        ("missing-target-groups", "[]"),
        ("rollback-command", "deployer rollback api"),
    ];
    for (name, value) in expected {
        assert_eq!(left.outputs[name], value, "{name}");
    }
    assert!(left.outputs["duration-seconds"].parse::<u64>().unwrap() < 60);
    assert_eq!(left.outputs.len(), 11, "{:?}", left.outputs);
    let groups: Vec<_> = left.annotations("group").iter().map(|group| group.message.clone()).collect();
    assert_eq!(groups.first().unwrap(), "api/local/2: provision");
    assert_eq!(groups.len(), 7, "{groups:?}");
    let notice = left.annotations("notice");
    assert!(notice[0].message.contains("To go back: deployer rollback api"), "{notice:?}");
    for part in [
        "### :white_check_mark: Completed: <code>api</code>",
        "| <code>public</code> | healthy |",
        "| drain |",
    ] {
        assert!(left.summary.contains(part), "{part}: {}", left.summary);
    }

    let back = Step::new(&rig, "rollback").run().ended_with(0, "completed");
    back.obeys_only_us();
    assert_eq!(
        (back.outputs["version"].as_str(), back.outputs["rollout-id"].as_str()),
        ("1.0.0", "api/local/3")
    );
    rig.serves("1.0.0", 2);
    rig.verify();
}

#[test]
fn a_group_that_nobody_declared_fails_the_job_at_the_line_of_the_groups() {
    let mut rig = Rig::with_blue(|_| {});
    rig.edit(|file| file.leave_out("internal"));
    for plan_only in ["true", "false"] {
        let step = Step::new(&rig, "rollout").set("INPUT_PLAN_ONLY", plan_only);
        let left = step.run().ended_with(10, "refused");
        left.obeys_only_us();
        assert_eq!(left.outputs["missing-target-groups"], r#"["internal"]"#);
        let error = left.annotations("error")[0].clone();
        assert_eq!(error.properties["title"], "Target group missing on green: internal");
        assert_eq!(error.properties["file"], "deployments/api.yaml");
        let text = std::fs::read_to_string(rig.dir().join("deployments/api.yaml")).unwrap();
        let line: usize = error.properties["line"].parse().unwrap();
        assert_eq!(text.lines().nth(line - 1).unwrap().trim(), "groups:");
        assert!(left.summary.contains("Refused: <code>api</code>"), "{}", left.summary);
    }
    assert_eq!(rig.latest(), 1);
}

#[test]
fn a_fault_of_the_file_stands_at_its_line() {
    let mut rig = Rig::new(|_| {});
    rig.edit(|file| file.settle = "soon");
    let left = Step::new(&rig, "rollout").run().ended_with(2, "usage");
    left.obeys_only_us();
    let error = left.annotations("error")[0].clone();
    let text = std::fs::read_to_string(rig.dir().join("deployments/api.yaml")).unwrap();
    let line: usize = error.properties["line"].parse().unwrap();
    assert!(text.lines().nth(line - 1).unwrap().contains("settle: soon"), "{error:?}");
}

#[test]
fn a_rollout_that_rolls_back_is_held_or_waits_fails_the_job_and_says_which() {
    let ends = [
        ("settle: 1s", "bluegreen", 11, "rolled_back", "error"),
        ("settle: 1s, then: hold", "bluegreen", 13, "held", "error"),
        ("settle: 1m", "canary", 14, "awaits_promotion", "warning"),
    ];
    beside_each_other(&ends, |(deadlines, strategy, code, result, level)| {
        let mut rig = Rig::with_blue(|_| {});
        rig.edit(|file| {
            file.deadlines = deadlines.split(", ").collect();
            if *strategy == "bluegreen" {
                file.env = vec![("SAMPLE_FAIL", "never-healthy"), ("SAMPLE_FAIL_REVISION", "2.0.0")];
            }
        });
        let left = Step::new(&rig, "rollout").set("INPUT_STRATEGY", strategy).run().ended_with(*code, result);
        left.obeys_only_us();
        let told = left.annotations(level);
        assert_eq!(told.len(), 1, "{:?}", left.commands);
        let title = &told[0].properties["title"];
        assert_eq!(*title, format!("api/local/2: {} (exit {code})", result.replace('_', " ")));
        assert!(left.summary.contains("<code>1.0.0</code> → <code>2.0.0</code>"), "{}", left.summary);
        let back = Step::new(&rig, "rollback").set("GITHUB_RUN_ID", "80").run().ended_with(0, "rolled_back");
        back.obeys_only_us();
        rig.serves("1.0.0", 2);
    });
}
