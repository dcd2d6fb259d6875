//! The real binary and a bucket in bad weather: cut off, closed, or of another time. Whatever happens, everything stays as
//! it is, and the rollout can be resumed.

use std::time::{Duration, Instant};

use deployer::journal::Provider;
use deployer::rollout::{Phase, Rollout};
use rustix::process::Signal;

use crate::bucket::{Site, in_mid_shift};
use crate::fake_bucket::Mishap;

fn bakes(state: &Rollout) -> bool {
    matches!(state.phase(), Phase::Bake { .. })
}

/// How long a bucket is cut off: more than one call may take. `CUT_OFF_SECS=90` for more than all of its tries take.
fn cut_off() -> Duration {
    let secs = std::env::var("CUT_OFF_SECS").ok().and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or(12))
}

#[test]
fn a_bucket_that_is_cut_off_in_mid_shift_holds_everything_as_it_is_until_it_is_back() {
    let site = Site::new(Provider::S3, |file| file.steps = "[{ share: 50, hold: 1s }, 100]");
    let mut first = site.start("one", &["rollout", "api"]);
    site.until(2, "half of the traffic on green", in_mid_shift);
    site.fake.partition();
    let (before, began) = (site.rig.world(), Instant::now());
    while began.elapsed() < cut_off() {
        assert_eq!(site.rig.world(), before, "after {:?}", began.elapsed());
        assert!(first.runs());
        std::thread::sleep(Duration::from_millis(500));
    }
    site.fake.calm();
    first.wait().ended_with(0);
    site.rig.answers("2.0.0");
    site.sound();
}

#[test]
fn a_driver_that_is_cut_off_can_be_stopped_and_its_rollout_is_resumed_elsewhere() {
    let site = Site::new(Provider::S3, |file| file.steps = "[{ share: 50, hold: 1s }, 100]");
    let first = site.start("one", &["rollout", "api"]);
    site.until(2, "half of the traffic on green", in_mid_shift);
    site.fake.partition();
    let before = site.rig.world();
    // As GitHub does, which does not wait for long: the first asks for a safe point, and none can be written down.
    first.signal(Signal::INT);
    first.signal(Signal::TERM);
    let left = first.wait();
    assert_eq!(left.code, 17, "{left:?}");
    assert!(left.took < Duration::from_secs(30), "{:?}", left.took);
    assert_eq!(site.rig.world(), before);
    site.fake.calm();
    site.run("two", &["resume", "api", "--take-over"]).ended_with(0);
    site.rig.answers("2.0.0");
    site.sound();
}

#[test]
fn credentials_that_expire_in_mid_bake_leave_both_fleets_and_new_ones_end_the_rollout() {
    for (provider, code) in [(Provider::S3, "ExpiredToken"), (Provider::Oss, "SecurityTokenExpired")] {
        let site = Site::new(provider, |file| file.bake = "1s");
        let first = site.start("one", &["rollout", "api"]);
        site.until(2, "the bake", bakes);
        site.fake.on_call(move |_| Mishap::Refused(403, code));
        let stopped = first.wait().ended_with(1);
        assert!(stopped.err.contains(code) && stopped.err.contains("hint:"), "{}", stopped.err);
        let world = site.rig.world();
        assert_eq!(site.rig.status().fleets.len(), 2, "both fleets stay");
        site.run("two", &["resume", "api"]).ended_with(1);
        assert_eq!(site.rig.world(), world);
        site.fake.calm();
        assert!(bakes(&site.state(2)));
        site.run("two", &["resume", "api", "--take-over"]).ended_with(0);
        site.rig.answers("2.0.0");
        site.sound();
    }
}

#[test]
fn a_runner_whose_clock_is_an_hour_wrong_changes_nothing_and_says_why() {
    for (provider, ahead, words) in [
        (Provider::S3, 3_600, "minutes slow"),
        (Provider::S3, -3_600, "minutes fast"),
        (Provider::Oss, 3_600, "slow"),
    ] {
        let site = Site::new(provider, |file| file.strategy = "canary");
        site.run("one", &["rollout", "api"]).ended_with(14);
        let world = site.rig.world();
        let entries = site.fake.objects().len();
        site.fake.skew_secs(ahead);
        // Both clouds refuse it themselves; a server that does not is no reason to cut a hold short.
        for strict in [true, false] {
            site.fake.strict_clock(strict);
            for args in [&["promote", "api"][..], &["resume", "api", "--take-over"], &["abort", "api"]] {
                let refused = site.run("two", args).ended_with(1);
                assert!(refused.err.contains(words) && refused.err.contains("clock is"), "{}", refused.err);
            }
        }
        assert_eq!((site.rig.world() == world, site.fake.objects().len()), (true, entries));
        site.run("two", &["status", "api"]).ended_with(0);
        site.fake.skew_secs(0);
        site.run("two", &["promote", "api"]).ended_with(0);
        site.rig.answers("2.0.0");
        site.sound();
    }
}
