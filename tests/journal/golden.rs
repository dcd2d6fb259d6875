//! Logs of earlier versions are read for ever.
//!
//! `tests/history/v1` was written once by [`writes_the_golden_log`] (`cargo test --test journal golden -- --ignored`)
//! and is never written again: a new format gets a folder of its own.

use std::path::PathBuf;

use deployer::journal::{Fact, FileStore, Journal};

use crate::facts::{all, rollout, write};

fn v1() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/history/v1")
}

#[tokio::test]
async fn the_log_of_format_1_says_what_it_always_said() {
    let history = Journal::new(FileStore::new(v1()), "reader").read(&rollout()).await.unwrap();
    let digest = "339068a8fb79115eadd331b089413c3d82b2e8798bbaf4f2714ad75c0ab9c755";
    assert_eq!((history.head.seq, history.head.digest.as_str()), (14, digest));
    for entry in &history.entries {
        let file = v1().join(format!("api/local/00000007/{:08}.json", entry.seq));
        let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let Fact::Known(event) = &entry.fact else { panic!("not known any more: {entry:?}") };
        assert_eq!(serde_json::to_value(event).unwrap(), stored["event"], "entry {}", entry.seq);
    }
    assert_eq!(history.into_recorded().unwrap(), all());
}

#[tokio::test]
#[ignore = "writes tests/history/v1, where there is none yet"]
async fn writes_the_golden_log() {
    assert!(!v1().exists(), "it is there already, and stays as it is");
    write(&Journal::new(FileStore::new(v1()), "golden"), &all()).await;
}
