//! The sentences. Each is true of every backend, and takes one harness.

pub mod fleets;
pub mod groups;
pub mod leaving;
pub mod looks;
pub mod mishaps;
pub mod rollouts;
pub mod scaling;
pub mod shares;
