//! `Spec` and `Inventory` in, an immutable [`Plan`](crate::model::Plan) with no choices left out, or every reason
//! against it.
//!
//! Promises: a plan expects every group that the file declares, every one in which blue stands, and every one that the
//! last completed rollout covered; a group that is in the world and not in the file refuses the plan. Must not call a
//! cloud.

mod draft;
mod reasons;
mod whole;
mod world;

pub use draft::{Ask, Draft, draft};
pub use reasons::{Note, Refusal, Refused};
pub use world::digest;
