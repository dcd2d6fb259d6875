//! Fleets that are two applications of EDAS on Kubernetes: one serves, the other rests, with no pods.
//!
//! Promises: a fleet stands where the addresses of its pods are registered, whoever put them there; traffic is moved by the
//! routes of a balancer alone, between a server group for each application; what EDAS or the cluster would move by itself
//! refuses. Must not put a pod into a group or take one out: that is the cluster's business, and it would do it again.

mod change;
mod fleets;
mod freeze;
mod left;
mod pods;
mod settings;
mod twins;

pub(super) use change::{empty_out, provision};
pub(super) use fleets::read;
pub(super) use freeze::{freeze, frozen_key, is_noted, thaw, thaw_all};
pub(super) use left::{left_key, stay};
pub(super) use settings::Settings;
pub(super) use twins::{deregister, has_strangers, misplaced, register, settle, unseen_nodes};
