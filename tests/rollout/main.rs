//! The product end to end: the real binary, real processes, real traffic, real signals.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "what is waited for and measured here happens in real time")]

mod bucket;
mod compact;
mod crashes;
mod failing;
#[path = "../fake_bucket/mod.rs"]
mod fake_bucket;
mod hands;
mod incident;
mod job;
mod loss;
mod orders;
mod plans;
mod races;
mod rig;
mod secrets;
mod signals;
mod signed;
mod trouble;
mod weather;
