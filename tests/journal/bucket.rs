//! The store in a bucket of S3 and of OSS: over HTTP, signed, with everything that can go wrong on the way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deployer::journal::{
    Appended, Journal, JournalFault, Key, Provider, Put, Store, StoreFault, StoreFaultKind, Verdict,
};
use hyper::Method;

use crate::facts::{all, key, read, released, rollout, write};
use crate::fake_bucket::{Fake, Mishap, SECRET};

const BOTH: [Provider; 2] = [Provider::S3, Provider::Oss];

fn nonce() -> String {
    static NONCES: AtomicUsize = AtomicUsize::new(0);
    format!("n{}", NONCES.fetch_add(1, Ordering::Relaxed))
}

/// Breaks the first of the calls that write this entry.
fn once_on_entry(fake: &Fake, seq: u64, mishap: Mishap) {
    let (name, mut done) = (key(seq).to_string(), false);
    fake.on_call(move |call| {
        if call.method == Method::PUT && call.key == name && !std::mem::replace(&mut done, true) {
            mishap
        } else {
            Mishap::None
        }
    });
}

fn store_fault(fault: JournalFault) -> StoreFault {
    match fault {
        JournalFault::Store(fault) => fault,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_was_written_is_read_back_by_another_process_under_verified_signatures() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        write(&Journal::new(fake.store(&nonce()), "w"), &all()).await;
        assert_eq!(read(fake.store(&nonce())).await.unwrap(), all());
        assert_eq!((fake.refused_signatures(), fake.overwritten()), (0, vec![]));
        let names: Vec<_> = fake.objects().into_keys().collect();
        assert!(names.iter().all(|name| name.starts_with("prefix/of-ours/")), "{names:?}");
        let journal = Journal::new(fake.store(&nonce()), "r");
        let Verdict::Sound { head, .. } = journal.verify(&rollout()).await.unwrap().verdict else { panic!() };
        assert_eq!(head.seq, 14);
        let id = rollout();
        assert_eq!(journal.services().await.unwrap(), std::slice::from_ref(&id.service));
        assert_eq!(journal.environments(&id.service).await.unwrap(), std::slice::from_ref(&id.environment));
        assert_eq!(journal.latest(&id.service, &id.environment).await.unwrap(), Some(id));
    }
}

#[tokio::test]
async fn an_object_is_created_once_and_a_hint_is_written_over() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        let store = fake.store(&nonce());
        assert_eq!(store.put_new(&key(1), b"one").await, Ok(Put::Created));
        assert_eq!(store.put_new(&key(1), b"two").await, Ok(Put::Exists));
        assert_eq!(store.get(&key(1)).await.unwrap().unwrap(), b"one");
        assert_eq!(store.get(&key(2)).await, Ok(None));
        let hint: Key = "api/local/00000007/driver.json".parse().unwrap();
        assert_eq!(store.age(&hint).await, Ok(None));
        store.put(&hint, b"a").await.unwrap();
        store.put(&hint, b"b").await.unwrap();
        assert_eq!(store.get(&hint).await.unwrap().unwrap(), b"b");
        assert!(store.age(&hint).await.unwrap().unwrap().0 <= 2_000, "by the bucket's clock it is new");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_writers_to_one_bucket_each_number_has_one_winner_and_nothing_is_lost() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        crate::races::race(|| fake.store(&nonce())).await;
        assert_eq!((fake.refused_signatures(), fake.overwritten()), (0, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_writers_to_a_bucket_that_loses_replies_each_number_has_one_winner() {
    let fake = Fake::start(Provider::S3);
    let mut n = 0_u32;
    fake.on_call(move |call| {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Rare enough that no writer meets one at each of its tries.
        match (call.method == Method::PUT, (n >> 16) % 200) {
            (true, 0) => Mishap::LostAfter,
            (true, 1) => Mishap::LostBefore,
            (true, 2) => Mishap::Refused(409, "ConditionalRequestConflict"),
            (_, 3) => Mishap::Refused(503, "SlowDown"),
            _ => Mishap::None,
        }
    });
    crate::races::race(|| fake.store(&nonce())).await;
    assert_eq!(fake.overwritten(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reply_that_is_lost_is_found_to_be_ours_and_stored_once() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        let mut log = write(&Journal::new(fake.store(&nonce()), "w"), &[released("first")]).await;
        for (seq, mishap) in [
            (2, Mishap::LostAfter),
            (3, Mishap::LostBefore),
            (4, Mishap::Refused(503, "SlowDown")),
            (5, Mishap::Refused(500, "InternalError")),
            (6, Mishap::Refused(409, "ConditionalRequestConflict")),
        ] {
            // Only S3 knows that conflict.
            if provider == Provider::Oss && seq == 6 {
                continue;
            }
            once_on_entry(&fake, seq, mishap);
            assert_eq!(log.append(&released("more")).await.unwrap(), Appended::Created(seq), "{mishap:?}");
        }
        assert_eq!(fake.overwritten(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn another_ones_entry_is_not_taken_for_ours_after_a_lost_reply() {
    let fake = Fake::start(Provider::S3);
    let mut ours = write(&Journal::new(fake.store(&nonce()), "a"), &[released("first")]).await;
    let other = Journal::new(fake.store(&nonce()), "b");
    let mut theirs = other.log(&other.read(&rollout()).await.unwrap()).unwrap();
    once_on_entry(&fake, 2, Mishap::LostAfter);
    assert_eq!(theirs.append(&released("same words")).await.unwrap(), Appended::Created(2));
    once_on_entry(&fake, 2, Mishap::LostAfter);
    let Appended::Overtaken(entries) = ours.append(&released("same words")).await.unwrap() else { panic!() };
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn a_listing_is_read_to_its_last_page() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        fake.page_max(3);
        let store = fake.store(&nonce());
        for n in 1..=10 {
            fake.insert(&format!("prefix/of-ours/api/local/{n:08}/00000001.json"), b"{}");
            fake.insert(&format!("prefix/of-ours/api/local/00000001/{n:08}.json"), b"{}");
        }
        fake.insert("prefix/of-oursapi/local/00000001/00000001.json", b"a stranger");
        let folder: Key = "api/local".parse().unwrap();
        let children = store.children(&folder).await.unwrap();
        assert_eq!(children.len(), 10);
        assert_eq!(children[9].as_str(), "api/local/00000010");
        assert_eq!(store.list(&children[0]).await.unwrap().len(), 10);
        assert_eq!(store.list(&folder).await.unwrap(), []);
        assert_eq!(store.children(&Key::root()).await.unwrap(), ["api".parse().unwrap()]);
    }
}

#[tokio::test]
async fn a_bucket_that_does_not_keep_create_if_absent_is_refused_before_the_first_entry() {
    for (provider, why) in [(Provider::S3, "created twice"), (Provider::Oss, "versioning is on or suspended")]
    {
        let fake = Fake::start(provider);
        match provider {
            Provider::S3 => fake.ignore_conditions(),
            Provider::Oss => fake.version(),
        }
        let journal = Journal::new(fake.store(&nonce()), "w");
        let refused = journal.open(&rollout(), &released("first")).await.map(drop).unwrap_err();
        let fault = store_fault(refused);
        assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::Unfit, false), "{fault}");
        assert!(fault.message.contains(why), "{fault}");
        let entries = fake.objects().into_keys().filter(|name| name.ends_with("00000001.json")).count();
        assert_eq!(entries, 0);
    }
}

#[tokio::test]
async fn a_proof_is_made_once_and_a_bucket_that_gets_versions_later_is_refused_all_the_same() {
    let fake = Fake::start(Provider::Oss);
    let mut log = write(&Journal::new(fake.store(&nonce()), "w"), &[released("first")]).await;
    let canaries = || fake.objects().into_keys().filter(|name| name.contains("/canary-")).count();
    assert_eq!(canaries(), 1);
    write_second(&fake).await;
    assert_eq!(canaries(), 1, "the marker saves the proof");
    fake.version();
    let fault = store_fault(log.append(&released("late")).await.unwrap_err());
    assert_eq!(fault.kind, StoreFaultKind::Unfit, "{fault}");
    let next = Journal::new(fake.store(&nonce()), "w");
    let mut log = next.log(&next.read(&rollout()).await.unwrap()).unwrap();
    let fault = store_fault(log.append(&released("later")).await.unwrap_err());
    assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::Unfit, false), "{fault}");
}

async fn write_second(fake: &Fake) {
    let journal = Journal::new(fake.store(&nonce()), "second");
    let mut log = journal.log(&journal.read(&rollout()).await.unwrap()).unwrap();
    assert!(matches!(log.append(&released("second")).await, Ok(Appended::Created(2))));
}

#[tokio::test]
async fn what_is_refused_is_named_and_no_secret_is_shown() {
    for provider in BOTH {
        let fake = Fake::start(provider);
        let strange = fake.store_with("n", "prefix", "another-secret");
        for fault in
            [strange.get(&key(1)).await.unwrap_err(), strange.put_new(&key(1), b"x").await.unwrap_err()]
        {
            assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::Denied, false), "{fault}");
            let shown = format!("{fault} {fault:?} {strange:?}");
            assert!(shown.contains("SignatureDoesNotMatch"), "{shown}");
            assert!(!shown.contains(SECRET) && !shown.contains("another-secret"), "{shown}");
        }
        let missing = fake.elsewhere("no-such-bucket").get(&key(1)).await.unwrap_err();
        assert!(missing.message.contains("NoSuchBucket"), "{missing}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_unwell_for_long_is_given_up_in_bounded_time_and_may_be_tried_again() {
    let fake = Fake::start(Provider::S3);
    let mut log = write(&Journal::new(fake.store(&nonce()), "w"), &[released("first")]).await;
    fake.on_call(|_| Mishap::Refused(503, "ServiceUnavailable"));
    let fault = store_fault(log.append(&released("second")).await.unwrap_err());
    assert!(fault.kind.retryable() && fault.ambiguous, "{fault}");
    fake.calm();
    assert_eq!(log.append(&released("second")).await.unwrap(), Appended::Created(2));
    fake.on_call(|_| Mishap::Refused(403, "ExpiredToken"));
    let fault = store_fault(log.append(&released("third")).await.unwrap_err());
    assert_eq!((fault.kind, fault.ambiguous), (StoreFaultKind::Denied, false), "{fault}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
async fn a_long_log_costs_few_waits() {
    const DELAY: Duration = Duration::from_millis(40);
    let fake = Fake::start(Provider::S3);
    let journal = Journal::new(fake.store(&nonce()), "w");
    let facts: Vec<_> = (0..50).map(|n| released(&n.to_string())).collect();
    write(&journal, &facts).await;
    fake.delay(DELAY);
    let began = std::time::Instant::now();
    assert_eq!(read(fake.store(&nonce())).await.unwrap(), facts);
    let took = began.elapsed();
    println!("50 entries at {DELAY:?} a call: {took:?}");
    // A list, two rounds of reads, and one look for what came meanwhile; one by one it would be 51 waits.
    assert!(took < DELAY * 12, "{took:?}");
}
