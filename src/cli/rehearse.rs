//! `drill`: a rehearsal of the user's own file.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Drill, Output, Wish};
use super::context::Context;
use super::error::CliError;
use super::{exit, show};
use crate::cloud::sim::Trouble;
use crate::drill::{Ending, Run, Scene, Summary, Unfit, rehearsal, run, summary};
use crate::model::{Deadlines, Span, Time};
use crate::spec::Spec;

/// When every rehearsal begins, so that a seed makes the same run on every day.
const BEGINS: Time = Time(1_767_225_600_000);

/// `drill`: one seed with its timeline, or many with a summary.
pub async fn drill(context: &Context, args: Drill) -> Result<u8, CliError> {
    let spec = context.spec(&args.service, &Wish { strategy: args.strategy.clone(), ..Wish::default() })?;
    let scene = match rehearsal(&spec, args.strategy.clone(), BEGINS) {
        Ok(scene) => scene,
        Err(Unfit::Refused(refusal)) => {
            show::refusal(context, &args.service, &refusal)?;
            return Err(CliError::shown(exit::REFUSED));
        }
        Err(unfit) => return Err(CliError::new(format!("failed to {unfit}"))),
    };
    let troubles = troubles(args.faults.as_deref())?;
    let seeds: Vec<u64> = args.seed.map_or_else(|| (0..args.seeds).collect(), |seed| vec![seed]);
    let runs = rehearse(&scene, &seeds, &troubles, context.stop.clone()).await?;
    let summary = summary(&runs);
    match context.global.output {
        Output::Json if args.seed.is_some() => {
            print(&serde_json::json!({ "schema": 1, "run": runs.first() }))?;
        }
        Output::Json => print(&serde_json::json!({ "schema": 1, "summary": summary }))?,
        Output::Ndjson => runs.iter().try_for_each(print)?,
        Output::Text if args.seed.is_some() => runs.iter().for_each(timeline),
        Output::Text => report(&spec, &scene, &summary, &runs),
    }
    let sound = summary.broken.is_empty() && summary.endless.is_empty();
    Ok(if sound { exit::DONE } else { exit::ERROR })
}

fn troubles(names: Option<&[String]>) -> Result<BTreeSet<Trouble>, CliError> {
    let Some(names) = names else { return Ok(Trouble::ALL.into_iter().collect()) };
    let known = || Trouble::ALL.map(Trouble::name).join(", ");
    let read = |name: &String| {
        name.parse()
            .map_err(|bad| CliError::usage(format!("{bad}")).hint(format!("the faults are: {}", known())))
    };
    names.iter().filter(|name| !name.is_empty() && *name != "none").map(read).collect()
}

/// Every core takes its part of the seeds; a stop ends the row early.
async fn rehearse(
    scene: &Scene,
    seeds: &[u64],
    troubles: &BTreeSet<Trouble>,
    stop: tokio::sync::watch::Receiver<crate::drive::Stop>,
) -> Result<Vec<Run>, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parts = seeds.chunks(seeds.len().div_ceil(cores).max(1)).map(<[u64]>::to_vec);
    let workers: Vec<_> = parts
        .map(|part| {
            let (scene, troubles, stop) = (scene.clone(), troubles.clone(), stop.clone());
            let go_on = move || *stop.borrow() == crate::drive::Stop::No;
            tokio::task::spawn_blocking(move || {
                part.into_iter()
                    .take_while(|_| go_on())
                    .map(|seed| run(&scene, seed, &troubles))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut runs = Vec::new();
    for worker in workers {
        let part = worker.await.map_err(|error| CliError::new(format!("a rehearsal broke off: {error}")))?;
        runs.extend(part);
    }
    Ok(runs)
}

fn print(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value);
    println!("{}", text.map_err(|error| CliError::new(format!("failed to print: {error}")))?);
    Ok(())
}

fn timeline(run: &Run) {
    for (at, what) in &run.timeline {
        println!("{:>10}  {}", clock(Span(*at)), crate::report::escape(what));
    }
    println!(
        "\nseed {}: {} after {}, {} drivers, {} calls",
        run.seed,
        words(run.ending),
        clock(run.took),
        run.drivers,
        run.calls
    );
    for broken in &run.broken {
        println!("BROKEN {}: {}", broken.invariant, broken.what);
    }
}

fn report(spec: &Spec, scene: &Scene, summary: &Summary, runs: &[Run]) {
    println!(
        "DRILL  {}  {} rehearsals of `{}` on a simulated cloud",
        spec.service, summary.runs, scene.plan.strategy
    );
    for (ending, count) in &summary.endings {
        let example = runs.iter().find(|run| run.ending == *ending).map_or(0, |run| run.seed);
        println!("  {count:>6}  {:<44} such as --seed {example}", words(*ending));
    }
    println!("\n  phase        longest  deadline");
    for (phase, longest) in summary.slowest.iter().filter(|(phase, _)| **phase != "ended") {
        let deadline = deadline(&scene.plan.deadlines, phase);
        let limit = deadline.map_or_else(|| "-".into(), clock);
        // A phase may take longer than its deadline by making progress, or by waiting for people.
        let over = if deadline.is_some_and(|deadline| *longest > deadline) {
            "   longer than its deadline"
        } else {
            ""
        };
        println!("  {phase:<10}  {:>8}  {limit:>8}{over}", clock(*longest));
    }
    println!("\n{}", verdict(summary));
}

fn verdict(summary: &Summary) -> String {
    if summary.broken.is_empty() && summary.endless.is_empty() {
        return "No target group that was lit went dark by our hand, and every rehearsal came to a stated end.".into();
    }
    let broken = summary
        .broken
        .iter()
        .map(|(seed, broken)| format!("seed {seed}: {} {}", broken.invariant, broken.what));
    let endless = summary.endless.iter().map(|seed| format!("seed {seed}: came to no end"));
    let lines: BTreeMap<_, _> = broken.chain(endless).take(20).enumerate().collect();
    let lines: Vec<_> = lines.into_values().collect();
    format!("BROKEN, please report this with your deployment file:\n  {}", lines.join("\n  "))
}

fn deadline(deadlines: &Deadlines, phase: &str) -> Option<Span> {
    let known = [
        ("provision", deadlines.provision),
        ("register", deadlines.register),
        ("settle", deadlines.settle),
        ("shift", deadlines.shift),
        ("bake", deadlines.hold),
        ("drain", deadlines.drain),
        ("retire", deadlines.retire),
        ("restore", deadlines.restore),
        ("withdraw", deadlines.withdraw),
    ];
    known.into_iter().find(|(name, _)| *name == phase).map(|(_, deadline)| deadline)
}

fn words(ending: Ending) -> &'static str {
    match ending {
        Ending::Completed => "completed, green serves",
        Ending::RolledBack => "rolled back, blue serves",
        Ending::Failed => "the way back got stuck, a human is needed",
        Ending::Held => "held, both fleets stay",
        Ending::Endless => "came to no end",
    }
}

fn clock(span: Span) -> String {
    let secs = span.0 / 1_000;
    format!("{:02}:{:02}.{}", secs / 60, secs % 60, span.0 % 1_000 / 100)
}
