//! The drill's own test: bugs are planted, and the judges have to find each within a thousand seeds.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;
mod planted;
#[expect(dead_code, reason = "some scenes are for the simulation alone")]
mod scenes;

use std::collections::BTreeSet;
use std::sync::Mutex;

use deployer::cloud::sim::{Trouble, Violation};
use deployer::drill::{Scene, run_with};
use planted::{Mutant, mutants};
use scenes::scenes;

/// A bug that is not found by then is not found.
const SEEDS: u64 = 1_000;
const THREADS: usize = 2;

/// The first seed that shows a mutant, and what it shows.
fn found(mutant: &Mutant, scenes: &[(&'static str, Scene)]) -> Option<(u64, &'static str, Violation)> {
    let troubles = Trouble::ALL.into_iter().collect::<BTreeSet<_>>();
    (0..SEEDS).find_map(|seed| {
        let (name, scene) = &scenes[usize::try_from(seed).unwrap() % scenes.len()];
        let run = run_with(scene, seed, &troubles, mutant.parts(&scene.plan));
        let shown = run.broken.iter().find(|broken| mutant.shows.contains(&broken.invariant));
        Some((seed, *name, shown?.clone()))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let (mutants, scenes) = (mutants(), scenes());
    let only = std::env::var("MUTANT").unwrap_or_default();
    let chosen: Vec<_> = mutants.iter().filter(|mutant| mutant.name.contains(&only)).collect();
    let (next, rows) = (Mutex::new(chosen.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((n, mutant)) = next.lock().unwrap().next() else { break };
                    let row = found(mutant, &scenes);
                    rows.lock().unwrap().push((n, mutant.name, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(n, _, _)| *n);
    for (_, name, row) in &rows {
        match row {
            Some((seed, scene, shown)) => println!("{name:<48} {seed:>4} {scene:<14} {shown}"),
            None => println!("{name:<48} NOT FOUND"),
        }
    }
    let missed: Vec<_> = rows.iter().filter(|(_, _, row)| row.is_none()).map(|(_, name, _)| name).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
    assert!(only.is_empty().then_some(rows.len()).is_none_or(|count| count >= 25));
}

/// The other way round: where no bug is planted, nothing is found.
#[test]
fn the_product_itself_shows_nothing_behind_the_same_doors() {
    let scenes = scenes();
    let all = BTreeSet::from(["I1", "I2", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I13", "I14"]);
    let own = Mutant::new("nothing is planted", &[]);
    let troubles = Trouble::ALL.into_iter().collect::<BTreeSet<_>>();
    for seed in 0..60 {
        let (_, scene) = &scenes[usize::try_from(seed).unwrap() % scenes.len()];
        let run = run_with(scene, seed, &troubles, own.parts(&scene.plan));
        assert_eq!(run.broken, [], "seed {seed}");
    }
    let judged: BTreeSet<_> = mutants().iter().flat_map(|mutant| mutant.shows).copied().collect();
    assert_eq!(judged, all, "each invariant is shown by a planted bug");
}
