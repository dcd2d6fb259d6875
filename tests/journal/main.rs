//! The journal, through its public door.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

mod beside;
mod bucket;
mod damage;
mod disk;
mod doctor;
mod facts;
#[path = "../fake_bucket/mod.rs"]
mod fake_bucket;
mod golden;
mod packed;
mod races;
mod replies;
mod servers;
mod signed;
