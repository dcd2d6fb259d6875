//! The parts of a run that the drill's own test puts others in place of, to see that what is wrong with them is found.

use crate::cloud::Backend;
use crate::cloud::sim::SimCloud;
use crate::drive::Machine;
use crate::journal::{MemoryStore, Store};
use crate::model::Plan;

/// What a run is made of.
pub struct Parts<B, S> {
    /// How each driver reaches the cloud.
    pub door: Box<dyn Fn(SimCloud) -> B>,
    /// How each driver reaches the journal.
    pub store: Box<dyn Fn(MemoryStore) -> S>,
    /// What decides.
    pub machine: Machine,
    /// What becomes of the plan before a driver follows it. The judges know it as it was.
    pub plan: fn(&mut Plan),
    /// The name by which a driver knows itself.
    pub nonce: fn(seed: u64, driver: u32) -> String,
}

impl Parts<SimCloud, MemoryStore> {
    /// The product's own.
    #[must_use]
    pub fn own() -> Self {
        Parts::with(|cloud| cloud, |store| store)
    }
}

impl<B: Backend, S: Store> Parts<B, S> {
    /// The product's own behind these doors.
    pub fn with(door: impl Fn(SimCloud) -> B + 'static, store: impl Fn(MemoryStore) -> S + 'static) -> Self {
        Self {
            door: Box::new(door),
            store: Box::new(store),
            machine: Machine::default(),
            plan: |_| (),
            nonce: |seed, driver| format!("{seed}-{driver}"),
        }
    }
}
