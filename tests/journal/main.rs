//! The journal, through its public door.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

mod damage;
mod disk;
mod facts;
mod golden;
mod races;
mod replies;
