//! Cancelled jobs, and jobs that are run again.

use std::time::Duration;

use deployer::rollout::{Event, Phase, Rollout};
use rustix::process::Signal;

use crate::rig::Rig;
use crate::runner::Step;

fn slow() -> Rig {
    Rig::with_blue(|file| file.steps = "[{ share: 50, hold: 3s }, 100]")
}

fn in_mid_shift(state: &Rollout) -> bool {
    matches!(state.phase(), Phase::Shift { step: 0, reached: Some(_) })
}

#[test]
fn a_cancelled_job_stops_at_a_safe_point_and_the_same_job_once_more_resumes() {
    let rig = slow();
    let step = Step::new(&rig, "rollout");
    let running = step.start();
    rig.until(2, "half of the traffic on green", in_mid_shift);
    running.signal(Signal::INT);
    let left = step.finish(running).ended_with(17, "interrupted");
    left.obeys_only_us();
    assert_eq!(left.outputs["rollout-id"], "api/local/2");
    assert!(matches!(rig.facts(2).last().unwrap().event, Event::Released { .. }));

    // Another run finds it open, and leaves it alone.
    let other = Step::new(&rig, "rollout").set("GITHUB_RUN_ID", "78").run().ended_with(15, "locked");
    other.obeys_only_us();
    // So does a step of this run that wants something else.
    Step::new(&rig, "rollout").set("INPUT_REVISION", "3.0.0").run().ended_with(15, "locked");
    // The same job once more goes on with it.
    let again = Step::new(&rig, "rollout").run().ended_with(0, "completed");
    assert_eq!(again.outputs["rollout-id"], "api/local/2");
    assert_eq!(rig.latest(), 2);
    rig.serves("2.0.0", 2);
    rig.verify();
}

#[test]
fn what_the_runner_sends_on_cancel_in_its_order_leaves_a_rollout_that_can_be_resumed() {
    for (ends_with, signals) in [
        (Some(17), &[Signal::INT, Signal::TERM][..]),
        (None, &[Signal::INT, Signal::TERM, Signal::KILL][..]),
        (None, &[Signal::KILL][..]),
    ] {
        let rig = slow();
        let step = Step::new(&rig, "rollout");
        let running = step.start();
        rig.until(2, "half of the traffic on green", in_mid_shift);
        for signal in signals {
            running.signal(*signal);
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = running.wait();
        if let Some(code) = ends_with {
            assert_eq!(done.code, code, "{}", done.out);
        } else {
            assert!([17, -1].contains(&done.code), "{}", done.out);
        }
        let again = Step::new(&rig, "rollout").run().ended_with(0, "completed");
        assert_eq!(again.outputs["rollout-id"], "api/local/2");
        rig.serves("2.0.0", 2);
        rig.verify();
    }
}

#[test]
fn a_rollback_job_once_more_goes_on_with_the_way_back_and_not_back_from_it() {
    let mut rig = Rig::with_blue(|_| {});
    Step::new(&rig, "rollout").run().ended_with(0, "completed");
    rig.edit(|file| file.settle = "3s");
    let step = Step::new(&rig, "rollback");
    let running = step.start();
    rig.until_phase(3, "settle");
    running.signal(Signal::INT);
    step.finish(running).ended_with(17, "interrupted");
    // In mid-way, and when it is done already.
    for _ in 0..2 {
        Step::new(&rig, "rollback").run().ended_with(0, "completed");
    }
    rig.serves("1.0.0", 2);
    assert_eq!(rig.latest(), 3);
    rig.verify();
}
