//! Many cases beside each other, each with an account of its own.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::job::{Job, Running};

/// How many cases run at the same time: they wait far more than they work.
const LANES: usize = 6;
/// How long a command may run without an entry before a test gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tries every case, whatever becomes of the others, and names all that failed.
pub fn beside_each_other<T: Sync + Debug>(cases: &[T], test: impl Fn(&T) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| test(case))).is_err() {
                        failed.lock().unwrap().push(format!("{case:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Kills a command as soon as its rollout has so many entries. Says whether it still ran then.
pub fn kill_at(job: &Job, mut running: Running, number: u64, seq: usize) -> bool {
    let (entry, began) = (job.entry(number, seq), Instant::now());
    while running.runs() && !entry.exists() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for entry {seq}");
        std::thread::sleep(Duration::from_millis(1));
    }
    let crashed = running.runs();
    running.kill();
    crashed
}
