//! The append-only log of a rollout, and the stores that keep it.
//!
//! Promises: an object is created whole or not at all, is durable when the call returns, and never changes.

mod file;
mod key;
mod memory;
mod store;
mod temp;

pub use file::FileStore;
pub use key::{BadKey, Key};
pub use memory::{Call, MemoryStore, Mishap};
pub use store::{OBJECT_MAX, Put, Store, StoreAction, StoreFault, StoreFaultKind};
