//! Thousands of rollouts by the real loop, each with its own trouble, in virtual time.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{blue, group, plan, served, world_with_blue};
use deployer::cloud::sim::{SimGroup, Trouble};
use deployer::drill::{Ending, Run, Scene, run, summary};
use deployer::model::{Deadlines, Hold, Pace, Sharing, Span, Steps};

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

fn scene() -> Scene {
    let mut world = world_with_blue(2);
    served(&mut world, "internal", Sharing::Paired, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    served(&mut world, "stream", Sharing::Shared, Steps::AllOrNothing);
    for group in world.groups.values_mut() {
        group.deregistration_delay = Span::secs(20);
    }
    let mut plan = plan(&world, &["internal", "public", "stream"]);
    plan.settle = Span::secs(20);
    plan.steps[0].hold = Hold::For(Span::secs(30));
    plan.bake = Hold::For(Span::secs(60));
    plan.quiet = Span::secs(60);
    let minutes = Span::mins(10);
    plan.deadlines = Deadlines {
        provision: minutes,
        register: minutes,
        settle: minutes,
        shift: minutes,
        drain: minutes,
        retire: minutes,
        hold: minutes,
        restore: minutes,
        withdraw: minutes,
        ..plan.deadlines
    };
    plan.pace =
        Pace { soon: Span::secs(5), watch: Span::secs(10), fresh: Span::secs(50), lands: Span::secs(30) };
    world.build(&group("spare"), SimGroup::new(Sharing::Paired, Steps::Any, "listener spare"));
    world.launch = Span::secs(20);
    assert!(world.fleets.contains_key(&blue()));
    Scene { world, plan }
}

fn fails(run: &Run) -> bool {
    !run.broken.is_empty() || run.ending == Ending::Endless
}

fn all() -> BTreeSet<Trouble> {
    Trouble::ALL.into_iter().collect()
}

#[test]
fn no_seed_makes_a_group_go_dark() {
    let scene = scene();
    let only = std::env::var("SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = only.map_or_else(|| (0..seeds()).collect(), |seed| vec![seed]);
    let half = seeds.len().div_ceil(2).max(1);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let parts: Vec<_> = seeds
            .chunks(half)
            .map(|part| {
                scope.spawn(|| part.iter().map(|seed| run(&scene, *seed, &all())).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    println!("{:?}", summary(&runs));
    if let Some(run) = runs.iter().find(|run| fails(run)) {
        for (at, what) in &run.timeline {
            println!("{at:>9} {what}");
        }
        let count = runs.iter().filter(|run| fails(run)).count();
        panic!(
            "{count} failing: SEED={} cargo nextest run --test simulation: {:?} {:?}",
            run.seed, run.ending, run.broken
        );
    }
}

#[test]
fn without_trouble_it_completes() {
    let run = run(&scene(), 1, &BTreeSet::new());
    assert_eq!(
        (run.ending, run.broken.as_slice()),
        (Ending::Completed, [].as_slice()),
        "{:#?}",
        run.timeline
    );
}

#[test]
fn the_same_seed_makes_the_same_run_to_the_byte() {
    for seed in 0..50 {
        let (one, other) = (run(&scene(), seed, &all()), run(&scene(), seed, &all()));
        assert_eq!(one.journal, other.journal, "seed {seed}");
        assert_eq!(one.timeline, other.timeline, "seed {seed}");
    }
}
