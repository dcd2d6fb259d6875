//! What lies beside a log: a summary that is believed only whole, and a sign of life that is never needed.

use std::collections::BTreeSet;

use deployer::journal::{Content, Journal, JournalKey, Key, MemoryStore, Pulse, Signing, Verdict};
use deployer::model::{Release, Span, Time};
use deployer::rollout::{Event, Recorded};

use crate::facts::{all, body, rollout, sealed, write};

fn content() -> Content {
    let Event::Opened { plan, by } = all().remove(0).event else { panic!("a log begins with `opened`") };
    let release = Some(Release { source: "given".into(), number: 7, overtakes: None });
    Content {
        began: Time(1),
        took: Span::secs(9),
        purpose: plan.purpose,
        strategy: plan.strategy,
        blue: plan.blue,
        green: plan.green,
        groups: BTreeSet::from(["public".parse().unwrap()]),
        completed: true,
        cause: None,
        driver: by,
        release,
    }
}

#[tokio::test]
async fn a_summary_is_written_once_read_back_and_believed_only_whole() {
    let store = MemoryStore::new();
    let journal = Journal::new(store.clone(), "w");
    let log = write(&journal, &all()).await;
    assert_eq!(journal.summary(&rollout()).await.unwrap(), None);
    journal.sum_up(&rollout(), log.head(), content()).await.unwrap();
    journal.sum_up(&rollout(), log.head(), Content { completed: false, ..content() }).await.unwrap();
    let summary = journal.summary(&rollout()).await.unwrap().unwrap();
    assert_eq!((summary.seq, &summary.digest, &summary.content), (14, &log.head().digest, &content()));
    // A log with a summary beside it is read, listed and checked as ever.
    let facts: Vec<Recorded> = journal.read(&rollout()).await.unwrap().into_recorded().unwrap();
    assert_eq!(facts, all());
    assert!(matches!(journal.verify(&rollout()).await.unwrap().verdict, Verdict::Sound { .. }));

    let key = "api/local/00000007/summary.json".parse().unwrap();
    let sound = store.objects()[&key].clone();
    let with = |bytes: Vec<u8>| {
        let mut objects = store.objects();
        objects.insert(key.clone(), bytes);
        let other = MemoryStore::new();
        other.tamper(objects);
        Journal::new(other, "r")
    };
    for len in 0..sound.len() {
        assert_eq!(with(sound[..len].to_vec()).summary(&rollout()).await.unwrap(), None, "cut to {len}");
    }
    for change in [("\"v\":1", "\"v\":2"), ("\"number\":7", "\"number\":8"), ("\"took\"", "\"lasted\"")] {
        let other = with(sealed(&body(&sound).replacen(change.0, change.1, 1)));
        assert_eq!(other.summary(&rollout()).await.unwrap(), None, "{change:?}");
    }
    let lying = with(sealed(&body(&sound).replacen(&log.head().digest, &"0".repeat(64), 1)));
    let Verdict::Damaged(damage) = lying.verify(&rollout()).await.unwrap().verdict else {
        panic!("believed")
    };
    assert_eq!(damage.key, key);
}

#[tokio::test]
async fn a_sign_of_life_is_written_over_and_one_that_cannot_be_read_is_none() {
    let store = MemoryStore::new();
    let journal = Journal::new(store.clone(), "w");
    write(&journal, &all()[..2]).await;
    assert_eq!(journal.pulse(&rollout()).await.unwrap(), None);
    let mut pulse = Pulse { by: content().driver, home: None, lives: Span::secs(30), left: false };
    journal.beat(&rollout(), &pulse).await.unwrap();
    pulse.left = true;
    journal.beat(&rollout(), &pulse).await.unwrap();
    assert_eq!(journal.pulse(&rollout()).await.unwrap(), Some((pulse, Span::ZERO)));
    let mut objects = store.objects();
    objects.insert("api/local/00000007/driver.json".parse().unwrap(), b"{".to_vec());
    store.tamper(objects);
    assert_eq!(journal.pulse(&rollout()).await.unwrap(), None);
    assert_eq!(journal.read(&rollout()).await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn a_summary_of_a_signed_log_is_signed_and_believed_with_its_signature_alone() {
    let key = || JournalKey::new(b"a-key-of-the-team-that-no-store-knows").unwrap();
    let ours = |store: MemoryStore| {
        Journal::new(store, "w").signing(Signing { key: Some(key()), allow_unsigned: false })
    };
    let store = MemoryStore::new();
    let log = write(&ours(store.clone()), &all()).await;
    // Who cannot sign it leaves its place to somebody who can.
    Journal::new(store.clone(), "r").sum_up(&rollout(), log.head(), content()).await.unwrap();
    assert_eq!(ours(store.clone()).summary(&rollout()).await.unwrap(), None);
    ours(store.clone()).sum_up(&rollout(), log.head(), content()).await.unwrap();
    assert_eq!(ours(store.clone()).summary(&rollout()).await.unwrap().unwrap().content, content());
    assert!(Journal::new(store.clone(), "r").summary(&rollout()).await.unwrap().is_some());

    let place: Key = "api/local/00000007/summary.json".parse().unwrap();
    let text = body(&store.objects()[&place]);
    let plain = text[..text.rfind(",\"mac\":").unwrap()].replacen("\"v\":2", "\"v\":1", 1);
    for forged in [
        text.replace("\"completed\":true", "\"completed\":false"),
        plain,
        text.replacen("\"v\":2", "\"v\":1", 1),
    ] {
        let mut objects = store.objects();
        objects.insert(place.clone(), sealed(&forged));
        let other = MemoryStore::new();
        other.tamper(objects);
        assert_eq!(ours(other).summary(&rollout()).await.unwrap(), None, "{forged}");
    }
}
