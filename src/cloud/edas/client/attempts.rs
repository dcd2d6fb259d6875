//! Under which client token a write goes.
//!
//! A product that gets a write again under the same token gives the answer that it gave before, and does nothing. That is
//! what a lost answer asks for. A write that was answered, came to its end and is wanted all the same is another one: its
//! job failed, or somebody undid it, and the old answer would be given for as long as the product keeps it. So is one of
//! another process, which knows nothing of the ends that this one saw. Writes go by what was read just before them, so one
//! that is made once more makes nothing twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// How many writes are remembered. Whoever is forgotten is at worst answered once as it was before.
const KNOWN_MAX: usize = 4096;

/// The writes of this process that are under way, and those that have come to an end.
#[derive(Debug)]
pub(super) struct Attempts {
    /// No other process has it.
    own: u64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// What a job carries out.
    jobs: BTreeMap<String, String>,
    /// The number of the attempt that a write has come to; none is the first.
    later: BTreeMap<String, u64>,
    last: u64,
}

impl Attempts {
    pub fn new() -> Self {
        Self { own: fastrand::Rng::new().u64(..), known: Mutex::default() }
    }

    /// The client token of a write's present attempt: at most 64 signs of ASCII (official SDKs, 2026-10).
    pub fn name(&self, write: &str) -> String {
        let attempt = self.known().later.get(write).copied().unwrap_or(0);
        format!("deployer-{}", digest(&format!("{}\n{attempt}\n{write}", self.own)))
    }

    /// A write was answered. Without a job it is done.
    pub fn answered(&self, write: String, job: Option<&str>) {
        let mut known = self.known();
        match job {
            Some(job) => drop(bounded(&mut known.jobs).insert(job.to_owned(), write)),
            None => known.over(write),
        }
    }

    /// A job has come to its end, whichever: the next write of the same kind is not it.
    pub fn ended(&self, job: &str) {
        let mut known = self.known();
        if let Some(write) = known.jobs.remove(job) {
            known.over(write);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn over(&mut self, write: String) {
        self.last += 1;
        bounded(&mut self.later).insert(write, self.last);
    }
}

/// What tells one text from another.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// With room for one more.
fn bounded<T>(kept: &mut BTreeMap<String, T>) -> &mut BTreeMap<String, T> {
    if kept.len() >= KNOWN_MAX {
        kept.clear();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_keeps_its_token_until_its_end_is_known_and_never_has_an_old_one_again() {
        let attempts = Attempts::new();
        let first = attempts.name("a");
        assert_eq!(first, attempts.name("a"), "its answer was lost");
        attempts.answered("a".to_owned(), Some("job-1"));
        assert_eq!(first, attempts.name("a"), "it is under way");
        attempts.ended("job-1");
        let second = attempts.name("a");
        attempts.ended("job-1");
        assert_eq!(second, attempts.name("a"), "an end that is told twice is one");
        attempts.answered("a".to_owned(), None);
        let third = attempts.name("a");
        let all = [&first, &second, &third, &attempts.name("b"), &Attempts::new().name("a")];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|name| name.is_ascii() && name.len() <= 64));
        for n in 0..2 * KNOWN_MAX {
            attempts.answered(format!("write {n}"), Some(&format!("job {n}")));
            attempts.answered(format!("done {n}"), None);
        }
        let known = attempts.known();
        assert!(known.jobs.len() <= KNOWN_MAX && known.later.len() <= KNOWN_MAX);
    }
}
