//! What `CodeDeploy` does for us: it installs bundles on a fleet, and it makes fleets.
//!
//! Promises: one deployment for each rollout, found again by its description after a lost reply; nothing goes on past a
//! wait of `CodeDeploy` without our word; nothing is remembered that cannot be read again from AWS. Must not believe that
//! the deployment group's list of target groups is whole.

mod bundle;
mod deployment;
mod events;
mod group;
pub(super) mod inplace;
pub(super) mod managed;
mod progress;
mod ready;
mod retire;
mod search;
mod sighted;

pub(super) use group::current_group;
pub(super) use progress::{CONTINUED, DEPLOYMENT, Seen};
pub(super) use sighted::see;
