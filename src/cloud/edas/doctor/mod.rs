//! The preflight: what would go wrong with a rollout, seen before one begins.
//!
//! Promises: it changes nothing; what could not be read is said, never passed over. Must not decide whether a rollout may
//! begin: that is the gate's.

mod examine;
mod facts;
mod fleets;
mod groups;
mod hosts;
mod kubernetes;
mod quotas;
mod walls;
mod zones;

pub use examine::examine;
