//! Strategies in steps over groups that take all or nothing: refused, unless the file accepts that they are switched whole.

use std::fs;

use deployer::rollout::Verdict;

use crate::job::{Job, TWINS, is_read};

/// Takes the consent out of the file.
fn unaccepted(job: &Job) {
    let text = fs::read_to_string(job.file()).unwrap();
    assert!(text.contains(", whole: accept"), "{text}");
    fs::write(job.file(), text.replace(", whole: accept", "")).unwrap();
}

/// The plan and the rollout are refused for just these groups, and nothing is changed.
fn refuses(job: &Job, groups: &[(&str, &str)]) {
    for args in [&["plan", "api"][..], &["rollout", "api", "--yes"]] {
        let said = job.run(args).ended_with(10).said();
        for (group, what) in groups {
            let asked = format!(
                "strategy `bluegreen` asks for 10% of `{group}`, which takes no steps: green would have {what}"
            );
            assert!(said.contains(&asked), "{asked}\n{said}");
            let mend = format!("write `whole: accept` for `{group}` in deployments/api.yaml");
            assert!(said.contains(&mend), "{mend}\n{said}");
        }
        assert_eq!(said.matches("which takes no steps").count(), groups.len(), "{said}");
        assert!(said.contains("take a strategy with the one step 100"), "{said}");
    }
    assert!(job.fake.calls().iter().all(|call| is_read(&call.action)), "nothing was changed");
}

#[test]
fn default_actions_and_membership_refuse_steps_unless_the_file_accepts_it_and_the_way_back_does_not_ask() {
    const HALF: &str = "about 50% as soon as it joins, and the rest at the last step";
    let job = Job::new(|_| {});
    let accepted = fs::read_to_string(job.file()).unwrap();
    unaccepted(&job);
    refuses(&job, &[("internal", HALF), ("partner", HALF), ("whole", "none of it until the last step")]);
    fs::write(job.file(), &accepted).unwrap();
    let said = job.run(&["plan", "api"]).ended_with(0).said();
    assert!(said.contains("`whole` can only be switched whole: it moves at the last step"), "{said}");
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
    // Blue is gone, so the way back is a rollout of its own: it takes what it can get.
    unaccepted(&job);
    job.run(&["rollback", "api", "--to", "1.0.0"]).ended_with(0);
    assert_eq!(job.state(2).verdict(), Some(&Verdict::Completed));
    job.is_left_with("blue", "green");
}

#[test]
fn a_strategy_of_one_step_asks_for_nothing_that_a_group_cannot_take() {
    let job = Job::new(|setup| setup.steps = "[100]");
    unaccepted(&job);
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
}

#[test]
fn twins_that_are_switched_whole_refuse_steps_and_weights_of_servers_take_them() {
    let job = Job::new(|setup| setup.by = TWINS);
    unaccepted(&job);
    let none = "none of it until the last step, and all of it there";
    refuses(&job, &[("internal", none), ("partner", none), ("whole", none)]);
    let job = Job::new(|setup| setup.by = "weights");
    unaccepted(&job);
    refuses(&job, &[("whole", none)]);
    let job = Job::on_kubernetes(|setup| setup.by = TWINS);
    unaccepted(&job);
    refuses(&job, &[("internal", none), ("partner", none), ("whole", none)]);
}
