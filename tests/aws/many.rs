//! Many services in one process: at once, over one set of clients, one budget of calls and one journal.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::fake::{Bucket, Buckets, Outcome, TargetGroupSettings};
use crate::rig::{Done, Rig, until};

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 11;
const PAUSED: i32 = 14;
const INTERRUPTED: i32 = 17;

/// So many services beside each other in one account, behind the same two load balancers.
struct Many {
    rig: Rig,
    names: Vec<String>,
}

impl Many {
    fn new(count: usize, bake: &str) -> Self {
        Self::over(
            Rig::new(|_| {}),
            count,
            &format!("bake: {bake}\n"),
            "reads_per_second: 5000\n        pace: 20ms",
        )
    }

    fn over(rig: Rig, count: usize, times: &str, provider: &str) -> Self {
        let names: Vec<_> = (0..count).map(|n| format!("s{n:02}")).collect();
        rig.fake.world(|world| {
            let (alb, nlb) = (world.alb("many"), world.nlb("many-inner"));
            let http = TargetGroupSettings::default();
            let tcp = TargetGroupSettings { protocol: "TCP", ..TargetGroupSettings::default() };
            for (n, name) in (0_u16..).zip(&names) {
                let twins = ["a", "b"].map(|side| world.target_group(&format!("{name}-{side}"), &http));
                let inner = world.target_group(&format!("{name}-inner"), &tcp);
                world.listener(&alb, 8100 + n, &[(&twins[0], 100), (&twins[1], 0)]).unwrap();
                world.listener(&nlb, 9100 + n, &[(&inner, 1)]).unwrap();
                world.asg(name, ("api", 1), 2, &[&twins[0], &inner], &[]);
            }
        });
        for name in &names {
            let text = format!(
                "service: {name}\nrevision: 2\nstrategies: {{ bluegreen: {{ steps: [{{ share: 10, hold: 50ms }}, 100] }} }}\n\
                 settle: 50ms\nquiet: 50ms\n{times}environments:\n  prod:\n    provider:\n      aws:\n        \
                 account: \"111122223333\"\n        region: eu-west-1\n        {provider}\n        fleets: {{ copy: {name} }}\n        groups:\n          \
                 public: {{ twins: [{name}-a, {name}-b] }}\n          inner: {{ target_group: {name}-inner, whole: accept }}\n"
            );
            fs::write(rig.dir().join(format!("deployments/{name}.yaml")), text).unwrap();
        }
        Self { rig, names }
    }

    /// A group in which this service's blue stands and which its file does not declare.
    fn forget(&self, service: &str) {
        self.rig.fake.world(|world| {
            let partner = world.target_group("partner", &TargetGroupSettings::default());
            let alb = world.alb("partners");
            world.listener(&alb, 8443, &[(&partner, 1)]).unwrap();
            world.attach(service, &partner);
        });
    }

    fn args<'a>(&'a self, verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let names = self.names.iter().map(String::as_str);
        [verb].into_iter().chain(names).chain(more.iter().copied()).collect()
    }

    fn run(&self, verb: &str, more: &[&str]) -> Done {
        self.rig.run(&self.args(verb, more))
    }

    /// Which fleets there are of a service, with how many instances in service.
    fn fleets(&self, service: &str) -> BTreeMap<String, usize> {
        let all = self.rig.fake.world(|world| world.fleets.keys().cloned().collect::<Vec<_>>());
        let own = all.into_iter().filter(|fleet| fleet.starts_with(service));
        own.map(|fleet| (fleet.clone(), self.rig.members(&fleet).len())).collect()
    }

    fn moved(&self, service: &str) {
        assert_eq!(self.fleets(service), BTreeMap::from([(format!("{service}-v001"), 2)]), "{service}");
    }

    fn untouched(&self, service: &str) {
        assert_eq!(self.fleets(service), BTreeMap::from([(service.to_owned(), 2)]), "{service}");
    }

    /// When each call of an operation came, by its order among all.
    fn places(&self, action: &str) -> Vec<usize> {
        let calls = self.rig.fake.calls().into_iter().enumerate();
        calls.filter(|(_, call)| call.action == action).map(|(n, _)| n).collect()
    }
}

#[test]
fn several_services_roll_out_at_once_and_one_that_is_refused_leaves_the_others_alone() {
    let many = Many::new(5, "100ms");
    many.forget("s03");
    let done = many.run("rollout", &["--parallel"]).ended_with(REFUSED);
    for service in ["s00", "s01", "s02", "s04"] {
        many.moved(service);
        assert!(done.err.lines().any(|line| line.starts_with(&format!("{service} | "))), "{}", done.err);
        let end = done.out.lines().find(|line| line.starts_with(service)).unwrap();
        assert!(end.contains("COMPLETED") && !end.contains("exit"), "{end}");
    }
    many.untouched("s03");
    assert!(done.out.contains("REFUSED") && done.out.contains("partner"), "{}", done.out);
    let last: Vec<_> = done.out.lines().rev().take(5).collect();
    assert!(last.iter().rev().zip(&many.names).all(|(line, name)| line.starts_with(name)), "{}", done.out);
    assert!(last[1].contains("refused") && last[1].ends_with("exit 10"), "{}", last[1]);
    assert!(
        done.err.lines().all(|line| line.starts_with('s') && line.get(3..6) == Some(" | ")),
        "{}",
        done.err
    );
    let (made, ended) = (many.places("CreateAutoScalingGroup"), many.places("DeleteAutoScalingGroup"));
    assert_eq!((made.len(), ended.len()), (4, 4));
    assert!(made.last() < ended.first(), "they went on beside each other: {made:?} {ended:?}");
    assert_eq!(many.places("GetCallerIdentity").len(), 1, "all share one way to the account");
    many.rig.unharmed();
}

#[test]
fn who_has_not_begun_does_not_begin_behind_a_failure_unless_that_is_asked_for() {
    let many = Many::new(4, "50ms");
    many.forget("s00");
    let done = many.run("rollout", &["--parallel", "2"]).ended_with(REFUSED);
    many.untouched("s00");
    many.moved("s01");
    for service in ["s02", "s03"] {
        many.untouched(service);
        assert!(done.out.lines().any(|line| line == format!("{service}   not begun")), "{}", done.out);
    }
    many.run("rollout", &["--parallel", "2", "--on-failure", "continue"]).ended_with(REFUSED);
    many.untouched("s00");
    assert_eq!(many.fleets("s02").keys().collect::<Vec<_>>(), ["s02-v001"]);
    many.rig.unharmed();
}

#[test]
fn a_failure_stops_the_others_at_a_safe_point_where_that_is_asked_for() {
    let many = Many::new(3, "30s");
    many.forget("s01");
    let done = many.run("rollout", &["--parallel", "--on-failure", "stop"]).ended_with(INTERRUPTED);
    let ends: Vec<_> = done.out.lines().rev().take(3).collect();
    assert!(ends[2].ends_with("exit 17") && ends[0].ends_with("exit 17"), "{}", done.out);
    assert!(ends[1].ends_with("exit 10"), "{}", done.out);
    many.untouched("s01");
    many.rig.unharmed();
}

#[test]
fn one_signal_stops_all_of_them_and_each_is_taken_up_by_itself_or_with_the_others() {
    let many = Many::new(3, "30s");
    let running = many.rig.start(&many.args("rollout", &["--parallel"]));
    let baking = |service: &str| {
        let said = many.rig.run(&["status", service, "--output", "json"]).out;
        serde_json::from_str::<Value>(&said).is_ok_and(|status| status["phase"] == "bake")
    };
    for service in &many.names {
        until(&format!("{service} to bake"), || baking(service));
    }
    let why = many.rig.run(&["status", "s01", "--output", "json"]).out;
    assert_eq!(serde_json::from_str::<Value>(&why).unwrap()["driven"], true, "each shows that it is driven");
    running.interrupt();
    let done = running.wait().ended_with(INTERRUPTED);
    assert_eq!(done.out.lines().filter(|line| line.ends_with("exit 17")).count(), 3, "{}", done.out);
    // All go back at once; nobody drives them, so this process does.
    let done = many.run("rollback", &[]).ended_with(0);
    assert_eq!(done.out.lines().filter(|line| line.contains("ROLLED BACK")).count(), 6, "{}", done.out);
    for service in &many.names {
        many.untouched(service);
    }
    many.rig.unharmed();
}

#[test]
fn machines_read_one_document_of_all_or_lines_that_each_name_their_service() {
    let many = Many::new(3, "50ms");
    many.forget("s02");
    let done = many.run("rollout", &["--parallel", "--output", "json"]).ended_with(REFUSED);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(document["exit_code"], 10);
    let of = |n: usize| &document["services"][n];
    assert_eq!((&of(0)["service"], &of(0)["exit_code"]), (&"s00".into(), &0.into()));
    assert_eq!(
        (&of(0)["document"]["state"], &of(2)["document"]["outcome"]),
        (&"completed".into(), &"refused".into())
    );
    assert_eq!((&of(2)["exit_code"], document["services"].as_array().unwrap().len()), (&10.into(), 3));

    let done =
        many.run("rollout", &["--parallel", "--revision", "1", "--output", "ndjson"]).ended_with(REFUSED);
    let rows: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let service =
        |row: &Value| row["rollout"]["service"].as_str().or(row["service"].as_str()).map(str::to_owned);
    assert!(rows.iter().all(|row| service(row).is_some()), "{}", done.out);
    let ends: Vec<_> = rows.iter().filter(|row| row["type"] == "service_end").collect();
    assert_eq!(ends.iter().map(|row| &row["exit_code"]).collect::<Vec<_>>(), [&0, &0, &10]);
    many.rig.unharmed();
}

#[test]
fn the_gravest_end_gives_the_exit_code_of_all() {
    let many = Many::new(2, "50ms");
    let file = many.rig.dir().join("deployments/s01.yaml");
    let text = fs::read_to_string(&file).unwrap().replace("bake: 50ms\n", "bake: promote\n");
    fs::write(&file, text).unwrap();
    let done = many.run("rollout", &["--parallel"]).ended_with(PAUSED);
    many.moved("s00");
    assert!(done.out.lines().last().unwrap().ends_with("exit 14"), "{}", done.out);
    many.rig.run(&["promote", "s01"]).ended_with(0);
    many.moved("s01");
    many.rig.run(&["rollout", "s00", "s00", "--parallel"]).ended_with(2);
}

/// An account whose limits are so many times those of AWS, as the fake keeps them.
fn limited(factor: f64, steps: u64) -> Rig {
    let times =
        |bucket: Bucket| Bucket { burst: bucket.burst * factor, per_second: bucket.per_second * factor };
    let usual = Buckets::default();
    let buckets = Buckets {
        elb_reads: times(usual.elb_reads),
        elb_writes: times(usual.elb_writes),
        autoscaling: times(usual.autoscaling),
        ec2: times(usual.ec2),
        codedeploy: times(usual.codedeploy),
    };
    Rig::new(|setup| (setup.settings.buckets, setup.settings.steps) = (Some(buckets), steps))
}

/// How many calls were made, and how many of them were one too many.
fn calls(rig: &Rig) -> (usize, usize) {
    let calls = rig.fake.calls();
    let throttled = |outcome: &Outcome| matches!(outcome, Outcome::Refused(code) if code.contains("Throttling") || code == "RequestLimitExceeded");
    (calls.len(), calls.iter().filter(|call| throttled(&call.outcome)).count())
}

#[test]
fn five_services_at_once_stay_inside_one_budget_and_read_what_they_share_once() {
    let of = |count: usize| {
        let many = Many::over(
            limited(10.0, 200),
            count,
            "bake: 100ms\n",
            "reads_per_second: 100\n        pace: 20ms",
        );
        many.run("rollout", &["--parallel"]).ended_with(0);
        many.names.iter().for_each(|service| many.moved(service));
        let (calls, throttled) = calls(&many.rig);
        assert_eq!(throttled, 0, "of {calls} calls");
        many.places("DescribeTargetHealth").len()
    };
    let (alone, together) = (of(1), of(5));
    // Each has three target groups, and looks at those of all others as well.
    assert!(together < alone * 10, "{alone} readings of targets for one, {together} for five");
}

#[test]
#[ignore = "takes some minutes and prints a table: see the README"]
fn what_fifty_services_cost() {
    println!("AWS's usual limits; each service has twins and a shared group, bakes 10 s");
    println!("services  moved  calls  reads of targets  throttled  makespan  memory");
    for count in [1, 10, 50] {
        let many = Many::over(limited(1.0, 1), count, "bake: 10s\n", "");
        let began = Instant::now();
        let mut running = many.rig.start(&many.args("rollout", &["--parallel"]));
        let memory = running.peak();
        let took = began.elapsed().as_secs_f64();
        let done = running.wait();
        // Who waits for its turn until a deadline has passed goes back; nobody is left in between.
        let (mut moved, all) = (0, many.names.len());
        for service in &many.names {
            let fleets = many.fleets(service);
            assert_eq!(fleets.values().collect::<Vec<_>>(), [&2], "{service}: {fleets:?}");
            moved += usize::from(fleets.contains_key(&format!("{service}-v001")));
        }
        assert_eq!(done.code, if moved == all { 0 } else { ROLLED_BACK }, "{}", done.out);
        many.rig.unharmed();
        let ((calls, throttled), targets) = (calls(&many.rig), many.places("DescribeTargetHealth").len());
        println!(
            "{count:>8}  {moved:>5}  {calls:>5}  {targets:>16}  {throttled:>9}  {took:>6.1} s  {memory:>4.1} MB"
        );
        assert!(memory < 150.0, "{memory} MB");
        assert!(throttled * 50 <= calls, "no storm: {throttled} of {calls}");
    }
}
