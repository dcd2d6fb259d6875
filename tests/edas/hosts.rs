//! Several services take their instances from the idle hosts of one cluster.

use crate::job::Setup;
use crate::wide::Wide;

/// What was done a moment ago is not read at once, so that everybody finds the same hosts idle.
fn late(setup: &mut Setup) {
    setup.settings.lag = 400;
    setup.call_timeout = "5s";
}

#[test]
fn services_of_one_process_never_ask_for_the_same_idle_host() {
    let wide = Wide::new(4, 1, late);
    wide.job.run(&["rollout", "s00", "s01", "s02", "s03", "--parallel"]).ended_with(0);
    wide.all_on("green", "blue");
    let asked = wide.job.fake.calls().into_iter().filter(|call| call.action == "ScaleOutApplication").count();
    assert_eq!(asked, 4, "none is refused");
}

#[test]
fn who_comes_second_for_an_idle_host_chooses_another_one() {
    let wide = Wide::new(3, 1, late);
    let running: Vec<_> =
        ["s00", "s01", "s02"].map(|service| wide.job.start(&["rollout", service])).into_iter().collect();
    for one in running {
        one.wait().ended_with(0);
    }
    wide.all_on("green", "blue");
    let asked = wide.job.fake.calls().into_iter().filter(|call| call.action == "ScaleOutApplication").count();
    assert!(asked > 3, "somebody came second");
}
