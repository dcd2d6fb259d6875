//! A log that was packed says what it said, whatever happens on the way and afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deployer::journal::{
    Appended, Flaw, Journal, JournalFault, JournalKey, Key, MemoryStore, Mishap, Packed, Provider, Put,
    Signed, Signing, Store, StoreAction, StoreFault, StoreFaultKind, Sweep, Verdict,
};
use deployer::model::Span;

use crate::facts::{all, body, released, rollout, sealed, write};
use crate::fake_bucket::Fake;

fn archive() -> Key {
    "api/local/00000007/entries.ndjson".parse().unwrap()
}

async fn written() -> MemoryStore {
    let store = MemoryStore::new();
    write(&Journal::new(store.clone(), "w"), &all()).await;
    store
}

async fn packed() -> MemoryStore {
    let store = written().await;
    assert_eq!(Journal::new(store.clone(), "p").pack(&rollout()).await.unwrap(), Packed::Done(14));
    store
}

/// Whoever reads it reads all of it, and nothing else.
async fn says_the_same<S: Store>(store: S) {
    let journal = Journal::new(store, "r");
    assert_eq!(journal.read(&rollout()).await.unwrap().into_recorded().unwrap(), all());
}

async fn damage(store: MemoryStore) -> (Key, Flaw) {
    match Journal::new(store, "r").read(&rollout()).await {
        Err(JournalFault::Damaged(damage)) => (damage.key, damage.flaw),
        other => panic!("{other:?}"),
    }
}

/// The packed log with its bytes changed.
fn changed(store: &MemoryStore, change: impl FnOnce(&mut Vec<u8>)) -> MemoryStore {
    let (mut objects, other) = (store.objects(), MemoryStore::new());
    change(objects.get_mut(&archive()).unwrap());
    other.tamper(objects);
    other
}

#[tokio::test]
async fn a_packed_log_is_one_object_with_the_same_entries_and_the_same_digest() {
    let store = written().await;
    let before = Journal::new(store.clone(), "r").read(&rollout()).await.unwrap();
    let lines: Vec<u8> = store.objects().into_values().flatten().collect();
    let journal = Journal::new(store.clone(), "p");
    assert_eq!(journal.pack(&rollout()).await.unwrap(), Packed::Done(14));
    assert_eq!(journal.pack(&rollout()).await.unwrap(), Packed::Already);
    let objects = store.objects();
    assert_eq!(objects.keys().collect::<Vec<_>>(), [&archive()]);
    assert!(objects[&archive()].starts_with(&lines), "every byte is there, in order");
    let after = journal.read(&rollout()).await.unwrap();
    assert_eq!((&after.entries, &after.head, after.packed), (&before.entries, &before.head, true));
    let Verdict::Sound { head, .. } = journal.verify(&rollout()).await.unwrap().verdict else { panic!() };
    assert_eq!(head, before.head);
    // Nobody adds to it, and its number is nobody else's.
    assert!(matches!(journal.log(&after), Err(JournalFault::Packed { .. })));
    assert!(matches!(journal.open(&rollout(), &all()[0]).await, Err(JournalFault::Taken { .. })));
    says_the_same(store).await;
}

#[tokio::test]
async fn a_packing_that_fails_at_any_call_loses_nothing_and_is_done_by_the_next() {
    for mishap in [Mishap::LostBefore, Mishap::LostAfter] {
        let mut failed_calls = 0;
        for failing in 0..60 {
            let store = written().await;
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            store.on_call(move |_| {
                let this = counted.fetch_add(1, Ordering::Relaxed) == failing;
                if this { mishap(StoreFaultKind::Unreachable) } else { Mishap::None }
            });
            let journal = Journal::new(store.clone(), "p");
            let done = journal.pack(&rollout()).await;
            store.calm();
            says_the_same(store.clone()).await;
            if done.is_err() {
                failed_calls += 1;
                assert!(matches!(journal.pack(&rollout()).await, Ok(Packed::Done(_) | Packed::Already)));
            }
            assert_eq!(store.objects().keys().collect::<Vec<_>>(), [&archive()], "call {failing}");
            says_the_same(store).await;
            if calls.load(Ordering::Relaxed) < failing {
                break;
            }
        }
        assert!(failed_calls > 30, "{failed_calls}: two looks, 14 reads, a write, a look back, 14 removals");
    }
}

#[tokio::test]
async fn a_packed_log_that_is_cut_or_changed_is_named_and_never_a_shorter_log() {
    let store = packed().await;
    let len = store.objects()[&archive()].len();
    for cut in (0..len).step_by(7).chain(len - 200..len) {
        assert_eq!(damage(changed(&store, |bytes| bytes.truncate(cut))).await.0, archive(), "cut to {cut}");
    }
    for bit in (0..len * 8).step_by(101) {
        let other = changed(&store, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert_eq!(damage(other).await.0, archive(), "bit {bit}");
    }
    // A line less, and a last line that fits its own sum.
    let lines =
        |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    for gone in 0..14 {
        let other = changed(&store, |bytes| {
            let mut lines = lines(bytes);
            lines.remove(gone);
            *bytes = lines.concat();
        });
        assert_eq!(damage(other).await.0, archive(), "without line {gone}");
    }
    let other = changed(&store, |bytes| {
        let mut lines = lines(bytes);
        let seal = body(&lines.pop().unwrap()).replace("\"number\":7", "\"number\":8");
        *bytes = [lines.concat(), sealed(&seal)].concat();
    });
    assert_eq!(damage(other).await, (archive(), Flaw::Edited));
}

fn ours(store: MemoryStore) -> Journal<MemoryStore> {
    let key = JournalKey::new(b"a-key-of-the-team-that-no-store-knows").unwrap();
    Journal::new(store, "ours").signing(Signing { key: Some(key), allow_unsigned: false })
}

#[tokio::test]
async fn a_signed_log_is_packed_by_who_has_the_key_and_stays_signed() {
    let store = MemoryStore::new();
    write(&ours(store.clone()), &all()).await;
    let refused = Journal::new(store.clone(), "theirs").pack(&rollout()).await.unwrap_err();
    assert!(matches!(refused, JournalFault::Keyless { .. }), "{refused}");
    assert_eq!(store.objects().len(), 14);
    assert_eq!(ours(store.clone()).pack(&rollout()).await.unwrap(), Packed::Done(14));
    let report = ours(store.clone()).verify(&rollout()).await.unwrap();
    assert!(matches!(report.verdict, Verdict::Sound { signed: Signed::Fits, .. }), "{report:?}");
    says_the_same(store.clone()).await;
    // A shorter log, with a last line that somebody without the key made for it.
    let other = changed(&store, |bytes| {
        let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let seal = body(&lines.pop().unwrap());
        let last = lines.pop().unwrap();
        let digest = crate::facts::sha256(&last);
        let short = seal.replace("\"entries\":14", "\"entries\":13");
        let short = short.replace(&digest, &crate::facts::sha256(lines.last().unwrap()));
        *bytes = [lines.concat(), sealed(&short)].concat();
    });
    let Err(JournalFault::Damaged(found)) = ours(other).read(&rollout()).await else { panic!("believed") };
    assert_eq!((found.key, found.flaw), (archive(), Flaw::Forged));
}

#[tokio::test]
async fn a_log_that_one_object_cannot_hold_stays_as_it_is() {
    let store = MemoryStore::new();
    let large: Vec<_> = (0..9).map(|_| released(&"x".repeat(1 << 20))).collect();
    write(&Journal::new(store.clone(), "w"), &large).await;
    let before = store.objects();
    assert_eq!(Journal::new(store.clone(), "p").pack(&rollout()).await.unwrap(), Packed::TooLarge);
    assert_eq!(store.objects(), before);
}

#[tokio::test]
async fn a_log_that_somebody_adds_to_is_not_packed() {
    let store = MemoryStore::new();
    let journal = Journal::new(store.clone(), "w");
    let mut log = write(&journal, &all()).await;
    store.on_call(|call| match call.action {
        StoreAction::Remove => Mishap::Refused(StoreFaultKind::Denied),
        _ => Mishap::None,
    });
    let refused = journal.pack(&rollout()).await.unwrap_err();
    assert!(
        matches!(&refused, JournalFault::Store(fault) if fault.kind == StoreFaultKind::Denied),
        "{refused}"
    );
    store.calm();
    assert_eq!(log.append(&released("late")).await.unwrap(), Appended::Created(15));
    let refused = journal.pack(&rollout()).await.unwrap_err();
    assert!(matches!(refused, JournalFault::Busy { .. }), "{refused}");
    let entries = store.objects().into_keys().filter(|key| *key != archive()).count();
    assert_eq!((entries, journal.read(&rollout()).await.unwrap().head.seq), (15, 15));
}

/// A store whose list is as old as the log was.
struct Stale(MemoryStore, Vec<Key>);

impl Store for Stale {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        self.0.put_new(key, bytes).await
    }
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        self.0.get(key).await
    }
    async fn list(&self, _: &Key) -> Result<Vec<Key>, StoreFault> {
        Ok(self.1.clone())
    }
    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.0.children(folder).await
    }
    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        self.0.put(key, bytes).await
    }
    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        self.0.age(key).await
    }
    fn place(&self, key: &Key) -> String {
        self.0.place(key)
    }
}

#[tokio::test]
async fn who_reads_while_it_is_packed_reads_all_of_it() {
    let keys: Vec<_> = written().await.objects().into_keys().collect();
    // However far the removal has come since the list was read.
    for gone in 1..=14 {
        let store = packed().await;
        let mut objects = store.objects();
        objects.extend(written().await.objects().into_iter().skip(gone));
        store.tamper(objects);
        says_the_same(Stale(store.clone(), keys.clone())).await;
        says_the_same(store).await;
    }
}

#[tokio::test]
async fn a_log_in_a_bucket_is_packed_under_verified_signatures() {
    for provider in [Provider::S3, Provider::Oss] {
        let fake = Fake::start(provider);
        write(&Journal::new(fake.store("w"), "w"), &all()).await;
        assert_eq!(Journal::new(fake.store("p"), "p").pack(&rollout()).await.unwrap(), Packed::Done(14));
        says_the_same(fake.store("r")).await;
        let names: Vec<_> =
            fake.objects().into_keys().filter(|name| !name.contains("deployer.probe")).collect();
        assert_eq!(names, ["prefix/of-ours/api/local/00000007/entries.ndjson"]);
        assert_eq!((fake.refused_signatures(), fake.overwritten()), (0, vec![]));
        fake.store("p").remove(&archive()).await.unwrap();
        fake.store("p").remove(&archive()).await.unwrap(); // It is gone already.
    }
}
