//! Thousands of rollouts by the real loop, each with its own trouble, in virtual time.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;
mod scenes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{NOW, actor, green, opened};
use deployer::cloud::Change;
use deployer::cloud::sim::{Oracle, SimCloud, Trouble};
use deployer::drill::{Ending, Run, Scene, run, summary};
use deployer::drive::{self, Clock, Hands, Notice, Outcome, Settings, Stop};
use deployer::journal::{Journal, MemoryStore, Mishap, StoreAction, StoreFaultKind};
use deployer::model::{Share, Span, Token};
use deployer::rollout::{Event, Order, Recorded, Rollout, Verdict};
use scenes::{declared, scenes, unproved, weighed};
use tokio::sync::watch;

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

fn fails(run: &Run) -> bool {
    !run.broken.is_empty() || run.ending == Ending::Endless
}

fn all() -> BTreeSet<Trouble> {
    Trouble::ALL.into_iter().collect()
}

#[test]
fn no_seed_makes_a_group_go_dark() {
    none_goes_dark(&scenes(), seeds());
}

#[test]
fn no_seed_makes_a_group_go_dark_that_is_shared_by_weight_or_switched_unproved() {
    none_goes_dark(&[("weighed", weighed()), ("unproved", unproved())], seeds() / 8);
}

fn none_goes_dark(scenes: &[(&'static str, Scene)], seeds: u64) {
    let scene = |seed: u64| &scenes[usize::try_from(seed).unwrap() % scenes.len()].1;
    let only = std::env::var("SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = only.map_or_else(|| (0..seeds).collect(), |seed| vec![seed]);
    let half = seeds.len().div_ceil(2).max(1);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let parts: Vec<_> = seeds
            .chunks(half)
            .map(|part| {
                scope.spawn(|| part.iter().map(|seed| run(scene(*seed), *seed, &all())).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    for (n, (name, _)) in scenes.iter().enumerate() {
        let own = runs.iter().filter(|run| usize::try_from(run.seed).unwrap() % scenes.len() == n);
        println!("{name}: {:?}", summary(own));
    }
    if let Some(run) = runs.iter().find(|run| fails(run)) {
        for (at, what) in &run.timeline {
            println!("{at:>9} {what}");
        }
        let mut kinds = std::collections::BTreeMap::<_, (usize, u64)>::new();
        for run in runs.iter().filter(|run| fails(run)) {
            for broken in &run.broken {
                kinds.entry(broken.to_string()).or_insert((0, run.seed)).0 += 1;
            }
        }
        println!("{kinds:#?}");
        let count = runs.iter().filter(|run| fails(run)).count();
        panic!(
            "{count} failing: SEED={} cargo nextest run --test simulation: {:?} {:?}",
            run.seed, run.ending, run.broken
        );
    }
}

#[test]
fn without_trouble_it_completes() {
    let run = run(&declared(), 1, &BTreeSet::new());
    assert_eq!(
        (run.ending, run.broken.as_slice()),
        (Ending::Completed, [].as_slice()),
        "{:#?}",
        run.timeline
    );
}

#[test]
fn blue_goes_back_into_a_group_that_only_a_waiver_let_it_leave() {
    let scenes = scenes();
    let (_, waived) = scenes.iter().find(|(name, _)| *name == "waived").unwrap();
    let troubles = BTreeSet::from([Trouble::SickenGreen, Trouble::KillInstance, Trouble::AbortOrder]);
    let runs: Vec<Run> = (0..100).map(|seed| run(waived, seed, &troubles)).collect();
    let left = |run: &&Run| run.timeline.iter().any(|(_, what)| what.contains("deregister `api-1` from"));
    assert!(runs.iter().filter(left).any(|run| run.ending == Ending::RolledBack));
    if let Some(run) = runs.iter().find(|run| fails(run)) {
        panic!("seed {}: {:?} {:#?}", run.seed, run.broken, run.timeline);
    }
}

/// Without a blue an abort is the end, also where a call of green's first shift is on its way.
#[test]
fn an_answer_behind_the_end_of_a_first_deployment_can_be_read() {
    let scenes = scenes();
    let (_, first) = scenes.iter().find(|(name, _)| *name == "first").unwrap();
    let (token, shift) = (Token::new("one").unwrap(), first.plan.groups.keys().next().unwrap().clone());
    let shift = Change::Shift { group: shift, to: green(), from: None, share: Share::ALL };
    let events = [
        Event::Changing { changes: vec![shift], token: token.clone() },
        Event::Ordered { order: Order::Abort, by: actor("operator") },
        Event::Settled { token, faults: Vec::new() },
        Event::Looked { inventory: Box::default(), waited: Span::ZERO },
    ];
    let state = events
        .into_iter()
        .fold(opened(first.plan.clone()), |state, event| state.evolve(&Recorded { at: NOW, event }).unwrap());
    assert!(matches!(state.verdict(), Some(Verdict::Failed { .. })));
}

/// Whatever the driver was writing: its entry arrives, neither the answer nor the look for it does, and before it can
/// ask again another driver has taken over. Where the entry announced calls, they are not sent.
#[tokio::test(start_paused = true)]
async fn who_wrote_under_a_lost_answer_and_was_fenced_meanwhile_sends_nothing_more() {
    let mut announced = 0;
    for nth in 1..=12 {
        let scene = declared();
        let (clock, store) = (Clock::starting(scene.world.now), MemoryStore::new());
        let oracle = Oracle::of(scene.world.clone(), &scene.plan);
        let cloud = SimCloud::new(scene.world.clone(), oracle, 1, BTreeSet::new(), Vec::new());
        let (_keep, stop) = watch::channel(Stop::No);
        let hands = |nonce| {
            let onlooker = |_: &Rollout, _: &Notice<'_>| {};
            Hands { me: actor(nonce), clock, settings: Settings::default(), stop: stop.clone(), onlooker }
        };
        let (one, two) = (Journal::new(store.clone(), "one"), Journal::new(store.clone(), "two"));
        let id = scene.plan.rollout.clone();
        let mut first = drive::open(&one, &cloud, scene.plan.clone(), hands("one")).await.unwrap();
        let lost = Arc::new(AtomicBool::new(false));
        let (noted, mut writes, mut silent) = (Arc::clone(&lost), 0, false);
        store.on_call(move |call| {
            writes += usize::from(call.action == StoreAction::Write);
            if writes == nth && !noted.swap(true, Ordering::Relaxed) {
                silent = true;
                return Mishap::LostAfter(StoreFaultKind::Unreachable);
            }
            if std::mem::take(&mut silent) {
                Mishap::LostBefore(StoreFaultKind::Unreachable)
            } else {
                Mishap::None
            }
        });
        let rival = async {
            while !lost.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let before = cloud.log().len();
            drop(drive::resume(&two, &cloud, &id, hands("two")).await.unwrap());
            before
        };
        let (outcome, before) = tokio::join!(first.run(), rival);
        assert!(matches!(outcome, Ok(Outcome::Fenced { by }) if by.nonce == "two"), "write {nth}");
        assert_eq!(cloud.log().len(), before, "write {nth}: {:#?}", cloud.log());
        let entries = one.read(&id).await.unwrap().into_recorded().unwrap();
        let before = entries.iter().rev().find(|fact| !matches!(fact.event, Event::Resumed { .. })).unwrap();
        announced += usize::from(matches!(before.event, Event::Changing { .. }));
    }
    assert!(announced >= 3, "calls were announced under a lost answer: {announced}");
}

#[test]
fn the_same_seed_makes_the_same_run_to_the_byte() {
    for seed in 0..50 {
        let (one, other) = (run(&declared(), seed, &all()), run(&declared(), seed, &all()));
        assert_eq!(one.journal, other.journal, "seed {seed}");
        assert_eq!(one.timeline, other.timeline, "seed {seed}");
    }
}
