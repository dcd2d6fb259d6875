//! A reply that is lost is settled by reading back, and never by hope.

use std::sync::atomic::{AtomicU32, Ordering};

use deployer::journal::{
    Appended, Journal, JournalFault, Log, MemoryStore, Mishap, Report, StoreAction, StoreFaultKind, Verdict,
};

use crate::facts::{all, key, read, released, rollout, stored, write};

/// A log with one entry, whose next write meets a mishap; reads are fine unless `reads` says otherwise.
async fn log_with(mishap: Mishap, reads: Mishap) -> (MemoryStore, Log<MemoryStore>) {
    let store = MemoryStore::new();
    let log = write(&Journal::new(store.clone(), "w"), &[released("first")]).await;
    let writes = AtomicU32::new(0);
    store.on_call(move |call| match call.action {
        StoreAction::Write if writes.fetch_add(1, Ordering::Relaxed) == 0 => mishap,
        StoreAction::Read => reads,
        StoreAction::Write | StoreAction::List | StoreAction::Remove => Mishap::None,
    });
    (store, log)
}

#[tokio::test]
async fn a_reply_lost_after_the_write_is_found_to_be_ours_and_stored_once() {
    let (store, mut log) = log_with(Mishap::LostAfter(StoreFaultKind::Unreachable), Mishap::None).await;
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
    assert_eq!(log.append(&released("third")).await.unwrap(), Appended::Created(3));
    assert_eq!(read(store).await.unwrap(), ["first", "second", "third"].map(released));
}

#[tokio::test]
async fn a_call_lost_before_the_write_leaves_nothing_and_says_that_it_cannot_know() {
    let (store, mut log) = log_with(Mishap::LostBefore(StoreFaultKind::Unreachable), Mishap::None).await;
    let fault = log.append(&released("second")).await.unwrap_err();
    assert!(
        matches!(&fault, JournalFault::Store(fault) if fault.ambiguous && fault.kind.retryable()),
        "{fault}"
    );
    assert_eq!(store.objects().len(), 1);
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
}

#[tokio::test]
async fn a_reply_that_stays_unknown_is_settled_by_the_next_try() {
    let lost = Mishap::LostAfter(StoreFaultKind::Unreachable);
    let (store, mut log) = log_with(lost, Mishap::Refused(StoreFaultKind::Unreachable)).await;
    let fault = log.append(&released("second")).await.unwrap_err();
    assert!(matches!(&fault, JournalFault::Store(fault) if fault.ambiguous), "{fault}");
    let fault = log.append(&released("second")).await.unwrap_err();
    assert!(matches!(&fault, JournalFault::Store(fault) if fault.ambiguous), "still unread: {fault}");
    store.calm();
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
    assert_eq!(store.objects().len(), 2);
}

#[tokio::test]
async fn a_full_disk_appends_nothing_and_is_named() {
    let (store, mut log) = log_with(Mishap::Refused(StoreFaultKind::Full), Mishap::None).await;
    let fault = log.append(&released("second")).await.unwrap_err();
    assert_eq!(
        format!("failed to {fault}"),
        "failed to write `memory:api/local/00000007/00000002.json`: no room is left on the disk, in the quota or \
         under the file size limit: injected"
    );
    assert_eq!(store.objects().len(), 1);
}

#[tokio::test]
async fn a_rollout_has_one_opener_and_the_other_is_told() {
    let store = MemoryStore::new();
    let first = Journal::new(store.clone(), "w");
    write(&first, &[released("mine")]).await;
    let same_words = first.open(&rollout(), &released("mine")).await.unwrap_err();
    assert_eq!(same_words, JournalFault::Taken { rollout: rollout() });
    let lost = MemoryStore::new();
    lost.on_call(|call| match call.action {
        StoreAction::Write => Mishap::LostAfter(StoreFaultKind::Unreachable),
        StoreAction::Read | StoreAction::List | StoreAction::Remove => Mishap::None,
    });
    let unconfirmed = Journal::new(lost.clone(), "w").open(&rollout(), &released("mine")).await.map(drop);
    assert!(matches!(&unconfirmed, Err(JournalFault::Store(fault)) if fault.ambiguous), "{unconfirmed:?}");
}

#[tokio::test]
async fn whoever_is_overtaken_reads_everything_that_overtook_it() {
    let store = MemoryStore::new();
    let mut ours = write(&Journal::new(store.clone(), "a"), &[released("first")]).await;
    let other = Journal::new(store.clone(), "b");
    let mut theirs = other.log(&other.read(&rollout()).await.unwrap()).unwrap();
    for why in ["second", "third"] {
        assert!(matches!(theirs.append(&released(why)).await, Ok(Appended::Created(_))));
    }
    let Ok(Appended::Overtaken(entries)) = ours.append(&released("late")).await else {
        panic!("not overtaken")
    };
    let said: Vec<_> = entries.into_iter().map(|entry| entry.into_recorded(&rollout()).unwrap()).collect();
    assert_eq!(said, ["second", "third"].map(released));
    assert_eq!(ours.append(&released("late")).await.unwrap(), Appended::Created(4));
    assert_eq!(theirs.news().await.unwrap().len(), 1);
    assert_eq!(theirs.news().await.unwrap(), []);
    assert_eq!(ours.head(), theirs.head());
}

#[tokio::test]
async fn nothing_is_appended_behind_damage() {
    let store = stored(&[released("first")]).await;
    let journal = Journal::new(store.clone(), "w");
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    let mut objects = store.objects();
    objects.insert(key(2), b"{}".to_vec());
    store.tamper(objects);
    for _ in 0..2 {
        let fault = log.append(&released("second")).await.unwrap_err();
        assert!(matches!(&fault, JournalFault::Damaged(damage) if damage.key == key(2)), "{fault}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_before_it_is_sent() {
    let store = MemoryStore::new();
    let mut log = write(&Journal::new(store.clone(), "w"), &[released("first")]).await;
    let fault = log.append(&released(&"x".repeat(deployer::journal::OBJECT_MAX))).await.unwrap_err();
    assert!(matches!(fault, JournalFault::TooLarge { event: "released", .. }), "{fault}");
    assert_eq!(store.objects().len(), 1);
}

#[tokio::test]
async fn the_journal_lists_what_there_is() {
    let journal = Journal::new(MemoryStore::new(), "w");
    let mut id = rollout();
    assert_eq!(journal.latest(&id.service, &id.environment).await.unwrap(), None);
    assert_eq!(journal.read(&id).await.unwrap_err(), JournalFault::Missing { rollout: id.clone() });
    for number in [9, 10, 2] {
        id.number = number;
        journal.open(&id, &all()[0]).await.map(drop).unwrap();
    }
    let numbers = journal.rollouts(&id.service, &id.environment).await.unwrap();
    assert_eq!(numbers.iter().map(|id| id.number).collect::<Vec<_>>(), [2, 9, 10]);
    assert_eq!(journal.latest(&id.service, &id.environment).await.unwrap().unwrap().number, 10);
    assert_eq!(journal.services().await.unwrap(), std::slice::from_ref(&id.service));
    assert_eq!(journal.environments(&id.service).await.unwrap(), std::slice::from_ref(&id.environment));
    for number in [0, 100_000_000] {
        id.number = number;
        let fault = journal.open(&id, &all()[0]).await.unwrap_err();
        assert!(matches!(fault, JournalFault::Number { .. }), "{fault}");
    }
}

#[tokio::test]
async fn a_check_reports_soundness_and_damage_alike() {
    let store = stored(&all()).await;
    let journal = Journal::new(store.clone(), "reader");
    let Report { verdict: Verdict::Sound { head, unknown, .. }, .. } =
        journal.verify(&rollout()).await.unwrap()
    else {
        panic!("sound log reported as damaged")
    };
    assert_eq!(
        (head.seq, head.digest, unknown),
        (14, crate::facts::sha256(&store.objects()[&key(14)]), vec![])
    );
    let mut objects = store.objects();
    objects.get_mut(&key(5)).unwrap().pop();
    store.tamper(objects);
    let Verdict::Damaged(damage) = journal.verify(&rollout()).await.unwrap().verdict else {
        panic!("missed")
    };
    assert_eq!(
        format!("failed to {damage}"),
        "failed to read `memory:api/local/00000007/00000005.json`: it is cut short, or was never an entry"
    );
}
