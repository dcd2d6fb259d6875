//! A deployment file from a service that runs.
//!
//! Promises: every server group in which the service is found is in it, whoever put the service there; what cannot be
//! read is an error and no shorter list. Makes no change, and writes nothing but the text that it returns.

mod find;
mod kubernetes;
mod write;

pub use find::{Found, find};
pub use write::write;
