//! Many writers, one log.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use deployer::journal::{Appended, FileStore, Journal, Log, MemoryStore, Store, Verdict};
use deployer::model::Time;
use deployer::rollout::{Event, Recorded};

use crate::facts::{released, rollout, write};

const WRITERS: usize = 64;
const FACTS_EACH: usize = 3;

/// Nobody is overtaken more often than others have something to say.
const TRIES_MAX: usize = WRITERS * FACTS_EACH + 1;

/// Appends until the fact is in; gives back its number.
async fn insist<S: Store>(log: &mut Log<S>, why: &str) -> u64 {
    for _ in 0..TRIES_MAX {
        match log.append(&released(why)).await.unwrap() {
            Appended::Created(seq) => return seq,
            Appended::Overtaken(entries) => assert!(!entries.is_empty()),
        }
    }
    panic!("overtaken by more than there is: {why}");
}

/// Every writer has its own journal over its own handle, as processes have, and insists on each of its facts.
pub async fn race<S: Store>(store: impl Fn() -> S) {
    write(&Journal::new(store(), "opener"), &[released("opened")]).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let journal = Journal::new(store(), format!("w{writer}"));
        writers.push(tokio::spawn(async move {
            let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
            let mut won = Vec::new();
            for fact in 0..FACTS_EACH {
                let why = format!("{writer}/{fact}");
                won.push((insist(&mut log, &why).await, why));
            }
            won
        }));
    }
    let mut won = vec![(1, "opened".to_owned())];
    for writer in writers {
        won.extend(writer.await.unwrap());
    }
    won.sort();
    let journal = Journal::new(store(), "reader");
    let history = journal.read(&rollout()).await.unwrap();
    let told = |fact: Recorded| match fact.event {
        Event::Released { why } => why,
        other => panic!("{other:?}"),
    };
    let stored: Vec<_> = history.into_recorded().unwrap().into_iter().map(told).collect();
    assert_eq!(won, (1..).zip(stored).collect::<Vec<_>>(), "each number has the winner that was told so");
    assert_eq!(won.len(), 1 + WRITERS * FACTS_EACH);
    let Verdict::Sound { head, .. } = journal.verify(&rollout()).await.unwrap().verdict else { panic!() };
    assert_eq!(head.seq, won.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_64_writers_to_one_folder_each_number_has_one_winner_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    race(|| FileStore::new(folder.path())).await;
    let left: BTreeSet<_> = std::fs::read_dir(folder.path().join("api/local/00000007"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, BTreeSet::new(), "temporary files were left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_64_writers_to_one_memory_each_number_has_one_winner_and_nothing_is_lost() {
    let store = MemoryStore::new();
    race(|| store.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_64_openers_one_opens() {
    let folder = tempfile::tempdir().unwrap();
    let open = |n: usize| {
        let journal = Journal::new(FileStore::new(folder.path()), format!("w{n}"));
        tokio::spawn(async move { journal.open(&rollout(), &released("same words")).await.is_ok() })
    };
    let mut opened = 0;
    for opener in (0..WRITERS).map(open).collect::<Vec<_>>() {
        opened += usize::from(opener.await.unwrap());
    }
    assert_eq!(opened, 1);
}

/// `cargo test --release --test journal cost -- --ignored --nocapture`; `JOURNAL_DIR` picks the disk.
#[tokio::test]
#[ignore = "measures this host"]
#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
async fn the_cost_of_an_append_and_of_a_long_read() {
    const APPENDS: u32 = 500;
    let folder =
        std::env::var("JOURNAL_DIR").map_or_else(|_| tempfile::tempdir(), tempfile::tempdir_in).unwrap();
    let mut log = write(&Journal::new(FileStore::new(folder.path()), "w"), &[released("first")]).await;
    let mut each = Vec::new();
    for n in 0..APPENDS {
        let began = Instant::now();
        insist(&mut log, &n.to_string()).await;
        each.push(began.elapsed());
    }
    each.sort();
    let mean = each.iter().sum::<Duration>() / APPENDS;
    println!(
        "append: mean {mean:?}, median {:?}, p99 {:?}",
        each[each.len() / 2],
        each[each.len() * 99 / 100]
    );

    let memory = MemoryStore::new();
    let mut log = write(&Journal::new(memory.clone(), "w"), &[released("first")]).await;
    for n in 2..=10_000_u64 {
        let fact = Recorded { at: Time(n), event: Event::Released { why: "x".repeat(100) } };
        assert_eq!(log.append(&fact).await.unwrap(), Appended::Created(n));
    }
    let big = folder.path().join("long");
    std::fs::create_dir_all(big.join("api/local/00000007")).unwrap();
    for (key, bytes) in memory.objects() {
        std::fs::write(big.join(key.as_str()), bytes).unwrap();
    }
    for round in 1..=3 {
        for (name, taken) in [
            ("memory", timed(Journal::new(memory.clone(), "r")).await),
            ("folder", timed(Journal::new(FileStore::new(&big), "r")).await),
        ] {
            println!("read 10,000 entries from {name}, round {round}: {taken:?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
async fn timed<S: Store>(journal: Journal<S>) -> Duration {
    let began = Instant::now();
    assert_eq!(journal.read(&rollout()).await.unwrap().entries.len(), 10_000);
    began.elapsed()
}
