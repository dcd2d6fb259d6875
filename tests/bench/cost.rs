//! What the product itself costs, for anyone to measure: `cargo bench`.
//!
//! Prints figures and judges none: a loaded machine must not fail a build.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "a measurement takes the time")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use deployer::drill::{Run, rehearsal, run};
use deployer::journal::{FileStore, Journal};
use deployer::model::{Span, Time};
use deployer::rollout::{Actor, Event, Recorded};
use deployer::spec::{Ask, Source, read};

/// How long an instance of the simulated cloud takes to come up.
const LAUNCH: Span = Span::secs(45);
const SEEDS: u64 = 20;

fn main() {
    // `cargo test` builds benches with its own flag and must not measure.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    overhead();
    start_up();
    journal();
}

/// A file with `groups` target groups and the times of a real service.
fn file(groups: usize) -> String {
    let mut text = String::from(
        "service: api\nrevision: 2.0.0\ninstances: 6\nsettle: 30s\nbake: 5m\nquiet: 5m\n\
         strategies: { bluegreen: { steps: [{ share: 10, hold: 1m }, { share: 50, hold: 1m }, 100] } }\n\
         environments: { local: { provider: { local: { bootstrap: 1.0.0, command: [deployer, sample], \
         health: { interval: 10s, timeout: 5s }, groups: {",
    );
    for n in 0..groups {
        let port = 20_000 + n;
        write!(text, " g{n}: {{ listen: \"127.0.0.1:{port}\", deregistration_delay: 5m }},").unwrap();
    }
    text.push_str(" } } } } }\n");
    text
}

/// What cannot be shorter, whoever drives it: launch, first health check, settling, holds, bake, drain, quiet.
const CRITICAL: Span = Span(LAUNCH.0 + 1_000 * (10 + 30 + 60 + 60 + 300 + 300 + 300));

fn overhead() {
    println!("overhead = (makespan - critical path) / critical path, simulated cloud, {SEEDS} seeds");
    for groups in [1, 20, 200] {
        let text = file(groups);
        let source = Source { name: "bench.yaml", text: &text };
        let spec = read(&source, &Ask::default(), &|_| None).unwrap();
        let scene = rehearsal(&spec, None, Time(1_767_225_600_000)).unwrap();
        let began = Instant::now();
        let runs: Vec<Run> = (0..SEEDS).map(|seed| run(&scene, seed, &BTreeSet::new())).collect();
        let wall = began.elapsed() / u32::try_from(SEEDS).unwrap();
        let mut took: Vec<u64> = runs.iter().map(|run| run.took.0).collect();
        took.sort_unstable();
        let median = took[took.len() / 2];
        let (took, critical) =
            (Duration::from(Span(median)).as_secs_f64(), Duration::from(CRITICAL).as_secs_f64());
        let (over, percent) = (took - critical, (took - critical) / critical * 100.0);
        let calls = runs.iter().map(|run| run.calls).sum::<u64>() / SEEDS;
        println!(
            "  {groups:>3} groups: {percent:.2} % ({over:.1} s over {critical:.0} s), {calls} calls, {wall:.1?} to simulate"
        );
    }
}

fn start_up() {
    let once = || {
        let began = Instant::now();
        let done = Command::new(env!("CARGO_BIN_EXE_deployer")).arg("--version").output().unwrap();
        assert!(done.status.success());
        began.elapsed()
    };
    let times = sorted((0..50).map(|_| once()).collect());
    println!("start-up of `deployer --version`: median {:.1?}, slowest of 50 {:.1?}", times[25], times[49]);
}

fn journal() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let by =
        Actor { user: "bench".into(), host: "here".into(), pid: 1, run_url: None, nonce: "bench".into() };
    let text = file(20);
    let source = Source { name: "bench.yaml", text: &text };
    let spec = read(&source, &Ask::default(), &|_| None).unwrap();
    let plan = rehearsal(&spec, None, Time(1)).unwrap().plan;
    let times = runtime.block_on(async {
        let journal = Journal::new(FileStore::new(folder.path()), "bench");
        let id = plan.rollout.clone();
        let opened = Event::Opened { plan: Box::new(plan), by };
        let mut log = journal.open(&id, &Recorded { at: Time(1), event: opened }).await.unwrap();
        let mut times = Vec::new();
        for n in 0..500 {
            let fact = Recorded { at: Time(n), event: Event::Released { why: "measured".into() } };
            let began = Instant::now();
            let _ = log.append(&fact).await.unwrap();
            times.push(began.elapsed());
        }
        sorted(times)
    });
    println!("journal append, durable on this disk: median {:.2?}, p99 {:.2?}", times[250], times[495]);
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}
