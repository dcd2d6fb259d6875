//! Scaling groups of Auto Scaling around whole rollouts: whatever was held still acts by itself again, whoever goes.

use deployer::rollout::Verdict;

use crate::job::{Job, Scaling, Setup, is_read};
use crate::lanes::beside_each_other;

const WAYS: [Scaling; 2] = [Scaling::Together, Scaling::Apart];

fn job(scaling: Scaling, edit: impl FnOnce(&mut Setup)) -> Job {
    Job::new(|setup| {
        setup.scaling = scaling;
        edit(setup);
    })
}

fn suspensions(job: &Job) -> usize {
    job.fake.count("SuspendProcesses")
}

#[test]
fn scaling_groups_act_by_themselves_again_behind_a_rollout_and_the_next_one() {
    beside_each_other(&WAYS, |scaling| {
        let job = job(*scaling, |_| {});
        job.run(&["rollout", "api"]).ended_with(0);
        job.is_left_with("green", "blue");
        let (first, groups) = (suspensions(&job), job.fake.world(|world| world.scaling_groups.len()));
        assert!(first >= groups, "each was held still");
        job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
        job.is_left_with("blue", "green");
        assert!(suspensions(&job) > first, "and again");
    });
}

#[test]
fn scaling_groups_act_by_themselves_again_behind_a_way_back() {
    beside_each_other(&WAYS, |scaling| {
        let job = job(*scaling, |setup| setup.bake = "promote");
        job.run(&["rollout", "api"]).ended_with(14);
        assert!(suspensions(&job) > 0, "they are held still");
        job.run(&["abort", "api"]).ended_with(0);
        assert!(matches!(job.state(1).verdict(), Some(Verdict::RolledBack { .. })));
        job.is_left_with("blue", "green");
    });
}

/// An older rollout could leave the note of a fleet that had gone: nobody would have let it go again.
#[test]
fn what_an_earlier_rollout_left_held_still_is_let_go_before_the_fleet_is_filled() {
    let job = job(Scaling::Apart, |_| {});
    let key = format!("deployer:frozen:{}", job.app);
    job.fake.world(|world| {
        let idle = world.scaling_groups.iter_mut().find(|own| own.name == "idle").unwrap();
        let all = ["AlarmNotification", "HealthCheck", "ScheduledAction"].map(str::to_owned);
        idle.suspended.extend(all.clone());
        idle.tags.insert(key, all.join(","));
    });
    job.run(&["rollout", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
}

#[test]
fn thaw_lets_scaling_groups_go_and_says_whose_they_were() {
    let job = job(Scaling::Apart, |setup| setup.bake = "promote");
    job.run(&["rollout", "api"]).ended_with(14);
    let thawed = job.run(&["thaw", "api", "--anyway"]).ended_with(0);
    assert_eq!(thawed.out.lines().collect::<Vec<_>>(), ["blue", "green"]);
    let resumed = job.fake.calls().into_iter().filter(|call| call.action == "ResumeProcesses").count();
    assert_eq!(resumed, 2);
    let calls = job.fake.calls().len();
    let none = job.run(&["thaw", "api", "--anyway"]).ended_with(0);
    assert!(none.said().contains("no fleet is held still"), "{}", none.said());
    assert!(job.fake.calls()[calls..].iter().all(|call| is_read(&call.action)));
}
