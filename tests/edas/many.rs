//! Many services in one process, over the calls that an operation may have in a minute.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fake::{Call, Outcome, Settings};
use crate::job::{SIZE, Setup, is_read};
use crate::wide::Wide;

/// How often each operation may be called in a minute (help.aliyun.com, 2026-11; EDAS's from an older page).
const LIMITS: [(&str, usize); 9] = [
    ("DeployApplication", 40),
    ("GetApplication", 40),
    ("GetChangeOrderInfo", 100),
    ("InsertApplication", 40),
    ("ListApplication", 60),
    ("ListDeployGroup", 200),
    ("ListScaleOutEcu", 20),
    ("QueryApplicationStatus", 100),
    ("ScaleOutApplication", 40),
];
const ROLLED_BACK: i32 = 11;

/// The writes of a product, each for itself.
fn limit(call: &Call) -> Option<usize> {
    let documented = LIMITS.iter().find(|(action, _)| *action == call.action).map(|(_, most)| *most);
    documented.or_else(|| match call.service.as_str() {
        "slb" if !is_read(&call.action) => Some(90),
        "alb" | "nlb" if !is_read(&call.action) => Some(200),
        _ => None,
    })
}

/// The calls of one operation.
struct Asked {
    calls: usize,
    /// In the busiest minute.
    most: usize,
    throttled: usize,
    limit: Option<usize>,
}

fn asked(calls: &[Call]) -> BTreeMap<(String, String), Asked> {
    let mut by: BTreeMap<(String, String), Vec<&Call>> = BTreeMap::new();
    for call in calls {
        by.entry((call.service.clone(), call.action.clone())).or_default().push(call);
    }
    let one = |own: Vec<&Call>| {
        let minute = |n: usize| own[n..].iter().take_while(|later| later.at < own[n].at + 60_000).count();
        let refused =
            |call: &&&Call| matches!(&call.outcome, Outcome::Refused(code) if code.contains("Throttling"));
        Asked {
            calls: own.len(),
            most: (0..own.len()).map(minute).max().unwrap_or(0),
            throttled: own.iter().filter(refused).count(),
            limit: limit(own[0]),
        }
    };
    by.into_iter().map(|(operation, own)| (operation, one(own))).collect()
}

/// A cloud that keeps its documented limits.
fn limited(setup: &mut Setup) {
    setup.settings.per_minute = LIMITS.into();
    setup.call_timeout = "10s";
}

fn names(wide: &Wide) -> Vec<&str> {
    wide.apps.keys().map(String::as_str).collect()
}

#[test]
fn several_services_at_once_keep_every_documented_limit_and_all_complete() {
    let wide = Wide::new(4, 3, limited);
    let args: Vec<&str> = ["rollout"].into_iter().chain(names(&wide)).chain(["--parallel"]).collect();
    wide.job.run(&args).ended_with(0);
    wide.all_on("green", "blue");
    for ((service, action), asked) in asked(&wide.job.fake.calls()) {
        assert_eq!(asked.throttled, 0, "{service}:{action}");
        assert!(asked.limit.is_none_or(|most| asked.most <= most), "{service}:{action}: {}", asked.most);
    }
}

#[test]
#[ignore = "takes half an hour and prints a table: see the README"]
fn what_several_services_cost() {
    for count in [1, 5, 50] {
        let wide = Wide::new(count, 3, |setup| {
            setup.settings =
                Settings { step: 5_000, job: 1_000, health_after: 10_000, ..Settings::default() };
            setup.steps = "[{ share: 10, hold: 10s }, 100]";
            (setup.settle, setup.bake, setup.quiet, setup.pace) = ("0s", "10s", "0s", "5s");
            limited(setup);
        });
        let began = Instant::now();
        let args: Vec<&str> = ["rollout"].into_iter().chain(names(&wide)).chain(["--parallel"]).collect();
        let mut running = wide.job.start(&args);
        let memory = running.peak();
        let took = began.elapsed().as_secs_f64();
        let done = running.wait();
        // Who waits for its turn until a deadline has passed goes back; nobody is left in between.
        let serving =
            |app: &str, fleet: &str| wide.job.fake.world(|world| world.running(app, fleet, None)).len();
        let mut moved = 0;
        for (service, app) in &wide.apps {
            let both = (serving(app, "green"), serving(app, "blue"));
            assert!([(SIZE, 0), (0, SIZE)].contains(&both), "{service}: {both:?}");
            moved += usize::from(both.1 == 0);
        }
        wide.job.unharmed();
        let calls = wide.job.fake.calls();
        println!("{count} services: {moved} moved, {} calls, {took:.0} s, {memory:.0} MB", calls.len());
        for ((service, action), asked) in asked(&calls) {
            let most = asked.limit.map_or_else(String::new, |most| format!(" of {most}"));
            println!(
                "  {:<48} {:>6}  in a minute at most {:>5}{most:<7}  throttled {}",
                format!("{service}:{action}"),
                asked.calls,
                asked.most,
                asked.throttled
            );
        }
        assert_eq!(done.code, if moved == count { 0 } else { ROLLED_BACK }, "{}", done.out);
    }
}
