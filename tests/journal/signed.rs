//! Logs that are signed with a journal key: what a stranger who can write to the store can still do, and cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use deployer::journal::{
    Appended, FileStore, Flaw, Journal, JournalFault, JournalKey, Key, MemoryStore, Signed, Signing, Store,
    Verdict,
};

use crate::facts::{all, body, key, released, rollout, sealed, sha256, write};

const SECRET: &[u8] = b"a-key-of-the-team-that-no-store-knows";

fn signing(secret: &[u8], allow_unsigned: bool) -> Signing {
    Signing { key: Some(JournalKey::new(secret).unwrap()), allow_unsigned }
}

fn ours<S: Store>(store: S) -> Journal<S> {
    Journal::new(store, "ours").signing(signing(SECRET, false))
}

fn lenient<S: Store>(store: S) -> Journal<S> {
    Journal::new(store, "ours").signing(signing(SECRET, true))
}

/// Somebody without the key.
fn keyless<S: Store>(store: S) -> Journal<S> {
    Journal::new(store, "theirs")
}

async fn signed() -> MemoryStore {
    let store = MemoryStore::new();
    write(&ours(store.clone()), &all()).await;
    store
}

/// The same objects with some changed.
fn changed(store: &MemoryStore, change: impl FnOnce(&mut BTreeMap<Key, Vec<u8>>)) -> MemoryStore {
    let (mut objects, other) = (store.objects(), MemoryStore::new());
    change(&mut objects);
    other.tamper(objects);
    other
}

/// The place and the flaw that a reader names.
async fn flaw<S: Store>(journal: Journal<S>) -> (Key, Flaw) {
    match journal.read(&rollout()).await {
        Err(JournalFault::Damaged(damage)) => (damage.key, damage.flaw),
        other => panic!("{other:?}"),
    }
}

async fn verdict<S: Store>(journal: Journal<S>) -> Signed {
    match journal.verify(&rollout()).await.unwrap().verdict {
        Verdict::Sound { signed, .. } => signed,
        Verdict::Damaged(damage) => panic!("{damage}"),
    }
}

/// An entry as somebody without a key would write it: format 1, without the signature.
fn stripped(object: &[u8]) -> String {
    let body = body(object);
    body[..body.rfind(",\"mac\":").unwrap()].replacen("{\"v\":2", "{\"v\":1", 1)
}

/// A whole log written anew without signatures, each entry after the one before.
fn forged_plain(objects: &mut BTreeMap<Key, Vec<u8>>) {
    let mut prev = "0".repeat(64);
    for seq in 1..=14 {
        let text = stripped(&objects[&key(seq)]);
        let from = text.find("\"prev\":\"").unwrap() + 8;
        let entry = sealed(&format!("{}{prev}{}", &text[..from], &text[from + 64..]));
        prev = sha256(&entry);
        objects.insert(key(seq), entry);
    }
}

#[tokio::test]
async fn with_the_key_a_signed_log_is_proved_and_without_it_is_read_and_not_added_to() {
    let store = signed().await;
    for seq in 1..=14 {
        let text = String::from_utf8(store.objects()[&key(seq)].clone()).unwrap();
        assert!(text.starts_with("{\"v\":2,") && text.contains(",\"mac\":\""), "{text}");
        assert!(!text.contains("a-key-of-the-team"));
    }
    assert_eq!(verdict(ours(store.clone())).await, Signed::Fits);
    assert_eq!(ours(store.clone()).read(&rollout()).await.unwrap().into_recorded().unwrap(), all());

    let theirs = keyless(store.clone());
    assert_eq!(verdict(keyless(store.clone())).await, Signed::Unchecked);
    let history = theirs.read(&rollout()).await.unwrap();
    let refused = theirs.log(&history).unwrap_err();
    assert!(matches!(refused, JournalFault::Keyless { .. }), "{refused}");
    assert_eq!(history.into_recorded().unwrap(), all());

    let journal = ours(store);
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    assert_eq!(log.append(&released("more")).await.unwrap(), Appended::Created(15));
    assert_eq!(journal.read(&rollout()).await.unwrap().head.seq, 15);
}

#[tokio::test]
async fn what_was_written_with_another_key_is_refused_at_its_first_entry() {
    let other =
        Journal::new(signed().await, "x").signing(signing(b"another-key-that-is-long-enough-too", true));
    assert_eq!(flaw(other).await, (key(1), Flaw::Forged));
}

#[tokio::test]
async fn an_entry_that_was_edited_with_a_new_sum_is_seen_by_whoever_has_the_key_alone() {
    let store = changed(&signed().await, |objects| {
        let last = objects.get_mut(&key(14)).unwrap();
        *last = sealed(&body(last).replace("\"writer\":\"ours-0\"", "\"writer\":\"ours-7\""));
    });
    assert_eq!(verdict(keyless(store.clone())).await, Signed::Unchecked);
    assert_eq!(flaw(ours(store.clone())).await, (key(14), Flaw::Forged));
    assert_eq!(flaw(lenient(store)).await, (key(14), Flaw::Forged));
}

#[tokio::test]
async fn a_signature_that_was_taken_off_is_missed_by_everybody() {
    let store = changed(&signed().await, |objects| {
        let last = objects.get_mut(&key(14)).unwrap();
        *last = sealed(&stripped(last));
    });
    for journal in [ours(store.clone()), lenient(store.clone()), keyless(store)] {
        assert_eq!(flaw(journal).await, (key(14), Flaw::Unsigned));
    }
}

#[tokio::test]
async fn an_entry_that_somebody_without_the_key_appends_stops_whoever_reads_on() {
    let store = signed().await;
    let journal = ours(store.clone());
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    let stranger = stripped(&store.objects()[&key(14)]).replace("\"seq\":14", "\"seq\":15");
    let from = stranger.find("\"prev\":\"").unwrap() + 8;
    let prev = sha256(&store.objects()[&key(14)]);
    let stranger = sealed(&format!("{}{prev}{}", &stranger[..from], &stranger[from + 64..]));
    let later = store.clone();
    later.put_new(&key(15), &stranger).await.unwrap();
    let refused = log.append(&released("ours")).await.unwrap_err();
    assert!(matches!(&refused, JournalFault::Damaged(damage) if damage.flaw == Flaw::Unsigned), "{refused}");
}

#[tokio::test]
async fn a_log_that_was_written_anew_without_signatures_is_refused_unless_such_logs_are_allowed() {
    let store = changed(&signed().await, forged_plain);
    assert_eq!(flaw(ours(store.clone())).await, (key(1), Flaw::Unsigned));
    assert_eq!(verdict(lenient(store)).await, Signed::Not);
}

#[tokio::test]
async fn a_log_that_began_before_the_key_goes_on_without_it_where_that_is_allowed() {
    let store = MemoryStore::new();
    write(&keyless(store.clone()), &[released("first")]).await;
    assert_eq!(flaw(ours(store.clone())).await, (key(1), Flaw::Unsigned));
    let journal = lenient(store.clone());
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
    // Those without the key, and older versions, read it as ever.
    assert_eq!(keyless(store.clone()).read(&rollout()).await.unwrap().entries.len(), 2);
    assert!(store.objects()[&key(2)].starts_with(b"{\"v\":1,"));
    // What is signed from the middle on is no log of ours.
    let mixed = signed().await.objects()[&key(2)].clone();
    let prev = sha256(&store.objects()[&key(1)]);
    let text = body(&mixed);
    let from = text.find("\"prev\":\"").unwrap() + 8;
    let mixed = sealed(&format!("{}{prev}{}", &text[..from], &text[from + 64..]));
    let store = changed(&store, |objects| drop(objects.insert(key(2), mixed)));
    assert!(matches!(flaw(keyless(store)).await, (at, Flaw::Malformed { .. }) if at == key(2)));
}

#[tokio::test]
async fn a_signature_counts_at_its_own_place_only() {
    let store = changed(&signed().await, |objects| {
        let last = objects.get_mut(&key(14)).unwrap();
        let text = body(last);
        let (rest, mac) = text.split_at(text.rfind(",\"mac\":").unwrap());
        *last = sealed(&rest.replacen("{\"v\":2", &format!("{{\"v\":2{mac}"), 1));
    });
    for journal in [ours(store.clone()), lenient(store.clone()), keyless(store)] {
        let (at, flaw) = flaw(journal).await;
        assert!(matches!(flaw, Flaw::Malformed { .. }) && at == key(14), "{flaw}");
    }
}

fn v2() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/history/v2")
}

#[tokio::test]
async fn the_log_of_format_2_says_what_it_always_said() {
    let journal = ours(FileStore::new(v2()));
    let history = journal.read(&rollout()).await.unwrap();
    assert_eq!((history.head.seq, history.head.signed), (14, true));
    assert_eq!(history.into_recorded().unwrap(), all());
}

#[tokio::test]
#[ignore = "writes tests/history/v2, where there is none yet"]
async fn writes_the_golden_log_of_format_2() {
    assert!(!v2().exists(), "it is there already, and stays as it is");
    write(&ours(FileStore::new(v2())), &all()).await;
}
