//! Many cases beside each other, each with an account of its own, and what every one of them has to leave behind.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::rig::{Rig, Running};

/// How many cases run at the same time: they wait far more than they work.
const LANES: usize = 6;
/// How long a command may run without an entry before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

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
pub fn kill_at(rig: &Rig, mut running: Running, number: u64, seq: usize) -> bool {
    let (entry, began) = (rig.entry(number, seq), Instant::now());
    while running.runs() && !entry.exists() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for entry {seq}");
        std::thread::sleep(Duration::from_millis(1));
    }
    let crashed = running.runs();
    running.kill();
    crashed
}

/// Whether an operation only reads.
pub fn is_read(action: &str) -> bool {
    ["Describe", "Get", "List", "BatchGet"].iter().any(|begin| action.starts_with(begin))
}

impl Rig {
    /// The other half of a pair rests beside `api`, attached where it belongs.
    pub fn second_half(&self) {
        let twins = self.setup.twins.iter().map(|name| &self.arns[&format!("{name}-b")]);
        let shared = self.setup.shared.iter().map(|name| &self.arns[*name]);
        let groups: Vec<_> = twins.chain(shared).map(String::as_str).collect();
        self.fake.world(|world| world.asg("api-b", ("api", 1), 0, &groups, &[]));
    }

    /// How many entries a rollout has.
    pub fn entries(&self, number: u64) -> usize {
        (1..10_000).take_while(|seq| self.entry(number, *seq).exists()).count()
    }

    /// This fleet serves everything, alone in the account, and may scale as it did before anybody touched it.
    pub fn is_left_with(&self, fleet: &str) {
        self.serves(fleet);
        let left: Vec<_> = self.fake.world(|world| world.fleets.keys().cloned().collect());
        assert_eq!(left, [fleet], "one fleet is left");
        self.scales(fleet);
    }

    /// Nothing of ours holds the fleet still.
    pub fn scales(&self, fleet: &str) {
        let (tags, suspended, protected) = self.fake.world(|world| {
            let protected = world.members(fleet).filter(|(_, member)| member.protected).count();
            let fleet = &world.fleets[fleet];
            let ours: Vec<_> = fleet.tags.keys().filter(|key| *key == "deployer:frozen").cloned().collect();
            (ours, fleet.suspended.clone(), protected)
        });
        assert_eq!((tags.len(), suspended.len(), protected), (0, 0, 0), "{fleet}: {tags:?} {suspended:?}");
    }
}
