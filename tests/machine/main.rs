//! The pure core through the public door: the gate, the planner and the machine, a sentence at a time.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod back;
mod calls;
mod facts;
mod forward;
mod gate;
mod late;
mod leeway;
mod orders;
mod planner;
mod queue;
mod regressions;
mod rig;
mod unread;
