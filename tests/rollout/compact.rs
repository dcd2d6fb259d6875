//! `journal compact`, on a history that is a hundred days old.

use std::collections::BTreeSet;

use deployer::journal::{FileStore, Journal};
use deployer::rollout::Recorded;

use crate::rig::Rig;

/// A hundred days.
const AGE_MS: u64 = 100 * 24 * 60 * 60 * 1_000;

/// The same facts, so much earlier: every number that can only be a time.
fn aged(value: &mut serde_json::Value, by: u64) {
    match value {
        serde_json::Value::Number(number) => {
            if let Some(ms) = number.as_u64().filter(|ms| *ms > 1_500_000_000_000) {
                *value = (ms - by).into();
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| aged(item, by)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| aged(field, by)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

/// Writes what this folder's journal says of a rollout into another one, so much earlier.
fn write_aged(rig: &Rig, to: &Journal<FileStore>, number: u64, by: u64) {
    let old: Vec<Recorded> = rig
        .facts(number)
        .iter()
        .map(|fact| {
            let mut value = serde_json::to_value(&fact.event).unwrap();
            aged(&mut value, by);
            let at = deployer::model::Time(fact.at.0 - by);
            Recorded { at, event: serde_json::from_value(value).unwrap() }
        })
        .collect();
    rig.block(async {
        let mut log = to.open(&Rig::id(number), &old[0]).await.unwrap();
        for fact in &old[1..] {
            let _ = log.append(fact).await.unwrap();
        }
    });
}

#[test]
fn what_was_over_long_ago_is_packed_and_says_what_it_said() {
    let rig = Rig::with_blue(|file| {
        (file.strategy, file.settle, file.bake, file.quiet) = ("switch", "0s", "0s", "0s");
    });
    for revision in ["2.0.0", "3.0.0", "4.0.0"] {
        rig.run(&["rollout", "api", "--revision", revision]).ended_with(0);
    }
    rig.run(&["rollout", "api", "--strategy", "canary", "--revision", "5.0.0"]).ended_with(14);
    let old = rig.dir().join("old");
    let journal = Journal::new(FileStore::new(&old), "test");
    (1..=5).for_each(|number| write_aged(&rig, &journal, number, if number == 5 { 0 } else { AGE_MS }));

    let store = "file:old";
    let run = |args: &[&str]| rig.run(&[args, &["--store", store]].concat());
    let told = |number: u64| {
        let shown = run(&["show", &format!("api/local/{number}"), "--output", "json"]).ended_with(0);
        let mut shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        shown["events"].take()
    };
    let before: Vec<_> = (1..=5).map(told).collect();
    let tried = run(&["journal", "compact", "--keep", "1", "--dry-run"]).ended_with(0);
    assert!(tried.out.ends_with("3 logs would be packed\n"), "{}", tried.out);
    run(&["journal", "compact", "--keep", "1", "--older-than", "101d"]).ended_with(0);
    run(&["journal", "compact", "--keep", "1", "--older-than", "6d"]).ended_with(2);
    let objects = |number: u64| -> BTreeSet<String> {
        let names = std::fs::read_dir(old.join(format!("api/local/{number:08}"))).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!((1..=5).all(|number| objects(number).contains("00000001.json")), "nothing went yet");

    // Neither the last one that completed, 4, nor the one that is open, 5, whatever is to be kept.
    let done = run(&["journal", "compact", "--keep", "1"]).ended_with(0);
    assert!(done.out.ends_with("3 logs packed\n"), "{}", done.out);
    for number in 1..=3 {
        assert_eq!(objects(number), BTreeSet::from(["entries.ndjson".to_owned()]));
    }
    assert!(objects(4).contains("00000001.json") && objects(5).contains("00000001.json"));
    assert!(run(&["journal", "compact", "--keep", "1"]).ended_with(0).out.ends_with("0 logs packed\n"));

    run(&["journal", "verify"]).ended_with(0);
    let after: Vec<_> = (1..=5).map(told).collect();
    assert!(after == before, "a packed log says what it said");
    assert_eq!(run(&["history", "api"]).ended_with(0).out.matches("completed").count(), 4);
    // The open one goes on, and the way back finds its revision.
    run(&["promote", "api"]).ended_with(0);
    rig.answers("5.0.0");
    run(&["rollback", "api", "--to", "2.0.0"]).ended_with(0);
    rig.answers("2.0.0");
    run(&["journal", "verify"]).ended_with(0);
}
