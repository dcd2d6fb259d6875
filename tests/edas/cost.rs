//! How many requests a rollout makes, by how many target groups it has.
//!
//! ```sh
//! cargo test --test edas -- --ignored --nocapture what_a_rollout_asks
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fake::Settings;
use crate::job::{Job, Setup, is_read};
use crate::wide::Wide;

/// A cloud that takes its time, as in the table of AWS: a stage of a change order five seconds, a judgement of health ten.
fn slow(setup: &mut Setup) {
    setup.settings = Settings { step: 5_000, job: 1_000, health_after: 10_000, ..Settings::default() };
    setup.steps = "[{ share: 10, hold: 10s }, { share: 50, hold: 10s }, 100]";
    (setup.settle, setup.bake, setup.quiet) = ("0s", "10s", "0s");
    (setup.pace, setup.call_timeout) = ("5s", "10s");
}

/// The calls of one command, by operation.
fn asked(job: &Job, args: &[&str]) -> BTreeMap<String, usize> {
    let before = job.fake.calls().len();
    job.run(args).ended_with(0);
    let mut by = BTreeMap::new();
    for call in job.fake.calls().split_off(before) {
        *by.entry(call.action).or_default() += 1;
    }
    by
}

#[test]
#[ignore = "takes some minutes and prints a table: see the README"]
fn what_a_rollout_asks() {
    println!("groups  first  reads  writes  next one  reads  writes");
    std::thread::scope(|scope| {
        for groups in [1, 3, 10] {
            scope.spawn(move || println!("{}", of(groups)));
        }
    });
}

fn of(groups: u16) -> String {
    let wide = Wide::new(1, groups, slow);
    let mut row = format!("{groups:>6}");
    for revision in ["2.0.0", "3.0.0"] {
        let asked = asked(&wide.job, &["rollout", "api", "--revision", revision]);
        let reads: usize = asked.iter().filter(|(action, _)| is_read(action)).map(|(_, n)| n).sum();
        let all: usize = asked.values().sum();
        write!(row, "  {all:>5}  {reads:>5}  {:>6}", all - reads).unwrap();
    }
    wide.all_on("blue", "green");
    row
}

#[test]
fn a_rollout_asks_for_no_more_than_it_needs() {
    let wide = Wide::new(1, 3, |setup| {
        setup.settings = Settings { step: 300, job: 20, health_after: 1_000, ..Settings::default() };
        (setup.bake, setup.quiet, setup.pace) = ("1s", "500ms", "250ms");
    });
    let asked = asked(&wide.job, &["rollout", "api"]);
    wide.all_on("green", "blue");
    let count = |action: &str| asked.get(action).copied().unwrap_or(0);
    // Some thirty looks. Which fleets there are is spared in most of them, so nothing counts the looks themselves.
    assert!(count("QueryApplicationStatus") < 30, "what runs is not asked each time: {asked:?}");
    assert!(
        count("DescribeLoadBalancers") < 40,
        "where our instances stand is not asked each time: {asked:?}"
    );
    assert!(count("ListServerGroupServers") < 90, "who is well is not asked each time: {asked:?}");
    assert_eq!(count("GetChangeOrderInfo"), 0, "nobody reads how far a change order is");
    assert!(asked.values().sum::<usize>() < 900, "{asked:?}");
}
