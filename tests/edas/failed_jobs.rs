//! Writes that were answered, and of which nothing came: the same write is made again.

use deployer::cloud::{Backend as _, Change};
use deployer::model::{GroupId, Share};
use deployer::rollout::Verdict;
use deployer::spec::Hosts;

use crate::fake::{Fault, On, Settings};
use crate::job::{Job, Setup, TWINS};
use crate::lanes::beside_each_other;
use crate::rig::{Rig, fleet, look, token};
use crate::wide::Wide;

/// More than a rollout meets before it is given up.
const FOR_EVER: usize = 50;

fn fail(job: &Job, action: &str, times: usize) {
    job.fake.world(|world| (0..times).for_each(|_| world.fail_job(action, "SystemBusy")));
}

/// How many jobs were to fail and have not been begun.
fn left(job: &Job) -> usize {
    job.fake.world(|world| world.failing_jobs.len())
}

fn quick(setup: &mut Setup) {
    (setup.steps, setup.bake) = ("[{ share: 50, hold: 20ms }, 100]", "50ms");
}

/// What a case changes of the usual service.
type Edit = fn(&mut Setup);

#[test]
fn a_write_whose_job_failed_is_made_again_and_the_rollout_ends_as_if_nothing_had_happened() {
    // Twice: the second time it is the only one that is left to do.
    let weighed = |setup: &mut Setup| {
        quick(setup);
        (setup.steps, setup.by, setup.weights) = ("[80, 100]", "weights", [90, 40]);
    };
    let twins = |setup: &mut Setup| {
        quick(setup);
        setup.by = TWINS;
    };
    let cases: [(&str, usize, Edit); 6] = [
        ("UpdateRuleAttribute", 2, quick),
        // Of the ALB, and of the NLB.
        ("UpdateListenerAttribute", 4, twins),
        ("CreateRule", 2, quick),
        ("AddServersToServerGroup", 4, quick),
        ("RemoveServersFromServerGroup", 4, quick),
        ("UpdateServerGroupServersAttribute", 2, weighed),
    ];
    beside_each_other(&cases, |(action, times, edit)| {
        let job = Job::new(edit);
        fail(&job, action, *times);
        job.run(&["rollout", "api"]).ended_with(0);
        assert_eq!(left(&job), 0, "all of them failed");
        assert_eq!(job.state(1).verdict(), Some(&Verdict::Completed));
        job.is_left_with("green", "blue");
        assert_eq!(job.notes(), Vec::<String>::new());
    });
}

#[test]
fn a_job_that_failed_on_the_way_back_is_tried_again_and_the_traffic_is_blues() {
    let cases = [("UpdateRuleAttribute", 2), ("UpdateListenerAttribute", 4)];
    beside_each_other(&cases, |(action, times)| {
        let job = Job::new(|setup| (setup.by, setup.bake) = (TWINS, "promote"));
        job.run(&["rollout", "api"]).ended_with(14);
        fail(&job, action, *times);
        job.run(&["rollback", "api"]).ended_with(0);
        assert_eq!(left(&job), 0, "all of them failed");
        job.is_left_with("blue", "green");
    });
}

#[test]
fn with_one_group_of_twins_a_way_back_whose_jobs_failed_is_resumed_to_its_end() {
    let wide = Wide::new(1, 1, |setup| (setup.bake, setup.deadlines) = ("promote", vec!["restore: 2s"]));
    let job = &wide.job;
    job.run(&["rollout", "api"]).ended_with(14);
    fail(job, "UpdateRuleAttribute", FOR_EVER);
    job.run(&["rollback", "api"]).ended_with(12);
    assert!(left(job) < FOR_EVER - 1, "one job after the other failed");
    job.fake.world(|world| world.failing_jobs.clear());
    job.run(&["resume", "api"]).ended_with(11);
    wide.all_on("blue", "green");
}

#[tokio::test]
async fn what_somebody_undid_is_written_again_under_the_same_token_and_a_lost_answer_is_asked_for_again() {
    let rig = Rig::new(Settings::default(), Hosts::Idle);
    let (rule, undone) = rig.fake.world(|world| {
        let old = world.rules.remove(0);
        let halves: Vec<_> = old.shares.iter().map(|(twin, _)| (twin.as_str(), 50)).collect();
        (world.rule(&old.listener, old.priority, &halves), world.rules.clone())
    });
    let backend = rig.backend();
    let (group, to) = (GroupId::new("public").unwrap(), fleet("blue"));
    let all_to_blue = Change::Shift { group, to, from: None, share: Share::ALL };
    let written = async |number| {
        look(&backend).await;
        backend.change(&all_to_blue, &token(number)).await.unwrap();
        assert_eq!(rig.fake.world(|world| world.weights(&rule))["public-a"], 100);
        rig.fake.world(|world| world.rules.clone_from(&undone));
    };
    let tokens = || {
        let calls = rig.fake.calls().into_iter().filter(|call| call.action == "UpdateRuleAttribute");
        calls.map(|call| call.query["ClientToken"].clone()).collect::<Vec<_>>()
    };
    written(1).await;
    written(1).await;
    let seen = tokens();
    assert!(seen.len() == 2 && seen[0] != seen[1], "{seen:?}");
    rig.fake.fail(On::call("UpdateRuleAttribute").first(1), Fault::LostReply);
    written(1).await;
    let lost = &tokens()[2..];
    assert!(lost.len() == 2 && lost[0] == lost[1] && !seen.contains(&lost[0]), "{lost:?}");
}
