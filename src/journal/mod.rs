//! The append-only log of a rollout: intent, orders and time, one object per event.
//!
//! Promises: an entry that was appended is durable and never changes; each number has one winner, and the loser
//! reads what overtook it; a lost reply is settled by reading back; whatever is read was checked to the last bit
//! (every entry carries its own digest and the digest of the one before), and what fails the check is named and
//! refused, never guessed. Must not decide who drives: a `Resumed` in the log does, and the fold that reads it.
//!
//! `<service>/<environment>/<rollout, 8 digits>/<entry, 8 digits>.json` holds one JSON document on one line:
//! `{"v":1,"seq":2,"rollout":{…},"writer":"…","prev":"…","at":…,"event":{…},"sum":"…"}`. `prev` is the SHA-256 of
//! the previous object's exact bytes (zeros in the first), `sum` that of this object's own bytes before `,"sum"`.
//!
//! In a log that was begun with a journal key every entry has format 2, and `"mac":"…"` before its sum: an HMAC over all
//! that stands before it. With the key, an entry that lacks it or does not fit it is refused.
//!
//! A log that has been over for long may be packed into `entries.ndjson`: its entries as they are, a line each, and a last
//! line that says how many and with which digest; see `archive.rs`.
//!
//! Beside the entries lie two objects that nothing depends on: `driver.json`, the driver's sign of life, written over,
//! and `summary.json`, what a rollout that is over came to, written once. The store is a folder or a bucket.

mod any;
mod archive;
mod bucket;
mod entry;
mod fault;
mod file;
mod key;
mod log;
mod memory;
mod pulse;
mod read;
mod sign;
mod store;
mod summary;
mod temp;
mod verify;

pub use any::AnyStore;
pub use archive::{Packed, UNTOUCHED_MAX};
pub use bucket::{Address, BadAddress, Bucket, BucketStore, Keys, Provider, Reach};
pub use entry::{EVENTS_MAX, Entry, Fact, JOURNAL_FORMAT, UnknownEvent};
pub use fault::{Damage, Flaw, JournalFault};
pub use file::FileStore;
pub use key::{BadKey, Key};
pub use log::{Appended, Log};
pub use memory::{Call, MemoryStore, Mishap};
pub use pulse::Pulse;
pub use read::{Head, History, Journal};
pub use sign::{BadJournalKey, JournalKey, KEY_MAX, KEY_MIN, Signing};
pub use store::{OBJECT_MAX, Put, Store, StoreAction, StoreFault, StoreFaultKind, Sweep};
pub use summary::{Content, Summary};
pub use verify::{Report, Signed, Verdict};
