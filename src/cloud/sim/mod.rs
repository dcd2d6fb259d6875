//! A simulated cloud: one small world with rules of its own, for checks, drills and tests.
//!
//! Promises: the [`World`] is a plain value without a clock, chance or a lock: the same calls at the same times make
//! the same world, so that a checker can copy, compare and enumerate it. The rules of every fake cloud live here in
//! one place. The [`Oracle`] reads the world and never the rollout, so that neither can excuse the other.

mod act;
mod aged;
mod cloud;
mod oracle;
mod outside;
mod trouble;
mod waits;
mod words;
mod world;

pub use cloud::{Call, SimCloud};
pub(crate) use oracle::violation;
pub use oracle::{Oracle, Violation};
pub use trouble::{Outside, Trouble, UnknownTrouble};
pub use world::{SimFleet, SimGroup, SimInstance, SimTarget, World};
