//! What a rollout costs beside what it cannot do without: calls, time and memory, over a moto to which [`timeline`] gives
//! the time that a cloud takes. Prints a table and judges nothing but that every rollout completes:
//!
//! ```sh
//! cargo test --release --test witness -- --ignored --nocapture what_a_rollout_costs
//! ```
//!
//! [`timeline`]: crate::timeline

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::account::{ACCOUNT, Account, REGION, Running, first};
use crate::timeline::Times;

/// 40 ms a call, 10 s to launch, 15 s to start, a check every 10 s, 20 s to drain.
const TIMES: Times = Times {
    call: Duration::from_millis(40),
    launch: Duration::from_secs(10),
    start: Duration::from_secs(15),
    check: Duration::from_secs(10),
    drain: Duration::from_secs(20),
};
/// Two holds and a bake of 10 s each.
const HOLDS: Duration = Duration::from_secs(30);
const STEPS: &str = "[{ share: 10, hold: 10s }, { share: 50, hold: 10s }, 100]";
/// A cloud that takes no time, and the same steps.
const AT_ONCE: &str = "[10, 50, 100]";

/// No limit of ours: the scripts beside which the README puts these figures have none, and moto throttles nobody.
const UNLIMITED: &str = "reads_per_second: 1000";

#[test]
#[ignore = "takes twelve minutes and prints a table: see the README"]
fn what_a_rollout_costs() {
    println!("groups  limit    history  calls  makespan  critical  overhead       CPU     memory");
    for (groups, limit) in [(1, UNLIMITED), (5, UNLIMITED), (20, UNLIMITED), (20, "")] {
        let account = Wide { groups, limit, ..Wide::default() }.account();
        for (history, revision) in [("no", "2"), ("yes", "1")] {
            let limit = if limit.is_empty() { "default" } else { "none" };
            println!("{groups:>6}  {limit:<7}  {history:<7}  {}", rollout(&account, revision));
        }
    }
}

#[test]
#[ignore = "takes four minutes and prints a table: see the README"]
fn what_a_rollback_costs() {
    println!("rollback of 20 groups: command started to the last listener answered");
    for living in [true, false] {
        let account = Wide { groups: 20, bake: "promote", ..Wide::default() }.account();
        let driver = account.start(&["rollout", "api", "--yes", "--wait-promote", "5m"]);
        account.until("green to carry everything", || shifts(&account).len() == 60);
        if !living {
            interrupt(&driver);
            driver.wait().ended_with(17);
        }
        let began = Instant::now();
        account.run(&["rollback", "api"]).ended_with(0);
        let back = shifts(&account);
        assert_eq!(back.len(), 80, "each listener once");
        let took = *back.last().unwrap() - began;
        println!(
            "  {:<26} {:.2} s",
            if living { "obeyed by its driver" } else { "by a new process" },
            took.as_secs_f64()
        );
    }
}

#[test]
#[ignore = "prints a table: see the README"]
fn what_it_costs_where_the_cloud_takes_no_time() {
    println!("groups  calls  makespan       CPU     memory");
    for groups in [1, 5, 20] {
        let wide = Wide { groups, times: Times::default(), steps: AT_ONCE, bake: "0s", limit: UNLIMITED };
        let account = wide.account();
        account.front().begin();
        let (began, cpu) = (Instant::now(), cpu_of_children());
        let mut running = account.start(&["rollout", "api", "--yes"]);
        let memory = running.peak();
        let took = began.elapsed().as_secs_f64();
        running.wait().ended_with(0);
        let (calls, cpu) =
            (account.front().calls().len(), cpu_of_children().saturating_sub(cpu).as_secs_f64());
        println!("{groups:>6}  {calls:>5}  {took:>6.2} s  {cpu:>6.2} s  {memory:>5.1} MB");
    }
}

fn shifts(account: &Account) -> Vec<Instant> {
    let calls = account.front().calls().into_iter();
    calls.filter(|(action, _)| action == "ModifyListener").map(|(_, at)| at).collect()
}

fn interrupt(running: &Running) {
    let id = rustix::process::Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
}

/// One rollout, as a row of the table.
fn rollout(account: &Account, revision: &str) -> String {
    account.front().begin();
    let (began, cpu) = (Instant::now(), cpu_of_children());
    let mut running = account.start(&["rollout", "api", "--yes", "--revision", revision]);
    let memory = running.peak();
    let took = began.elapsed();
    running.wait().ended_with(0);
    let critical = account.front().timeline().critical() + HOLDS + TIMES.drain;
    let over = took.saturating_sub(critical);
    format!(
        "{:>5}  {:>6.1} s  {:>6.1} s  {:>4.1} % {:>4.1} s  {:>4.2} s  {memory:>4.1} MB",
        account.front().calls().len(),
        took.as_secs_f64(),
        critical.as_secs_f64(),
        over.as_secs_f64() / critical.as_secs_f64() * 100.0,
        over.as_secs_f64(),
        cpu_of_children().saturating_sub(cpu).as_secs_f64(),
    )
}

/// What children that have ended took, where the system tells it in files.
fn cpu_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10) // A hundred to the second on every Linux.
}

/// A service behind so many listeners of one balancer, each with twins, and its file.
struct Wide {
    groups: usize,
    times: Times,
    steps: &'static str,
    bake: &'static str,
    limit: &'static str,
}

impl Default for Wide {
    fn default() -> Self {
        Self { groups: 1, times: TIMES, steps: STEPS, bake: "10s", limit: "" }
    }
}

impl Wide {
    fn account(&self) -> Account {
        let Self { groups, times, steps, bake, limit } = *self;
        let mut account = Account::empty(times);
        let subnets = account.ground();
        let balancer = account.balancer("edge", "application", &subnets);
        let (mut attached, mut declared) = (Vec::new(), String::new());
        for n in 0..groups {
            let port = (8_000 + n).to_string();
            let twins = ["a", "b"].map(|side| twin(&account, &format!("g{n:02}-{side}"), &port, times));
            let [one, two] = &twins;
            account.listener(&balancer, ("HTTP", &port), &[(one.clone(), "100"), (two.clone(), "0")]);
            attached.push(one.clone());
            writeln!(declared, "          g{n:02}: {{ twins: [g{n:02}-a, g{n:02}-b] }}").unwrap();
        }
        let zones = subnets.join(",");
        let fixed = [
            ("AutoScalingGroupName", "api"),
            ("LaunchTemplate.LaunchTemplateName", "api"),
            ("LaunchTemplate.Version", "1"),
            ("MinSize", "2"),
            ("MaxSize", "2"),
            ("DesiredCapacity", "2"),
            ("VPCZoneIdentifier", &zones),
        ];
        let names: Vec<_> = (1..=groups).map(|n| format!("TargetGroupARNs.member.{n}")).collect();
        let of = names.iter().map(String::as_str).zip(attached.iter().map(String::as_str));
        let of: Vec<_> = fixed.into_iter().chain(of).collect();
        account.autoscaling("CreateAutoScalingGroup", &of);
        let text = format!(
            "service: api\nrevision: 2\nstrategies: {{ bluegreen: {{ steps: {steps} }} }}\nsettle: 0s\nbake: {bake}\nquiet: 0s\n\
         environments:\n  prod:\n    provider:\n      aws:\n        account: \"{ACCOUNT}\"\n        region: {REGION}\n        \
         {limit}\n        fleets: {{ copy: api }}\n        groups:\n{declared}"
        );
        fs::create_dir(account.folder().join("deployments")).unwrap();
        fs::write(account.folder().join("deployments/api.yaml"), text).unwrap();
        account.front().begin();
        account
    }
}

fn twin(account: &Account, name: &str, port: &str, times: Times) -> String {
    let check = times.check.as_secs().max(5).to_string(); // No load balancer checks more often.
    let of = [
        ("Name", name),
        ("Protocol", "HTTP"),
        ("Port", port),
        ("VpcId", account.vpc()),
        ("HealthCheckIntervalSeconds", &check),
    ];
    let arn = first(&account.elb("CreateTargetGroup", &of), "TargetGroupArn");
    let delay = times.drain.as_secs().to_string();
    let of = [
        ("TargetGroupArn", arn.as_str()),
        ("Attributes.member.1.Key", "deregistration_delay.timeout_seconds"),
        ("Attributes.member.1.Value", &delay),
    ];
    account.elb("ModifyTargetGroupAttributes", &of);
    arn
}
