//! The preflight: what would go wrong with a rollout, seen before one begins.
//!
//! Promises: it changes nothing, and the only write it sends is EC2's own dry run, permissions to
//! write being asked of IAM's simulator; what could not be read is said, never
//! passed over. Must not decide whether a rollout may begin: that is the gate's.

mod codedeploy;
mod examine;
mod facts;
mod fleets;
mod groups;
mod path;
mod permissions;
mod quotas;
mod routes;

pub use examine::examine;
pub(super) use facts::template;
