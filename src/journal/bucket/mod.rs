//! A store in a bucket of S3 or OSS, so that any runner with access to it can see, resume and order any rollout.
//!
//! Promises: an object is created only if absent, by the bucket's own condition and never by looking first; a bucket
//! that does not keep that is refused before the first write; nothing here waits for ever. Must not know what an
//! object means.

mod address;
mod ask;
mod client;
mod credentials;
mod doctor;
mod fault;
mod probe;
mod sign;
mod store;

pub use address::{Address, BadAddress, Bucket, Provider};
pub use client::{Keys, Reach};
pub use store::BucketStore;
