//! A deployment file from a service that runs.
//!
//! Promises: every target group in which an instance of the service stands now is in it, whoever put it there; what was
//! guessed is said in a comment. It changes nothing in the cloud.

mod find;
mod write;

pub use find::{Found, From, find};
pub use write::write;
