//! ALB 2020-06-16, and what NLB has in common with it.

pub mod groups;
mod health;
pub mod listener;
mod rules;
mod tags;

use super::service::Operation;
pub use health::not_well as unwell;
pub use listener::status as status_of;

pub const OPERATIONS: &[&[Operation]] =
    &[groups::OPERATIONS, listener::OPERATIONS, rules::OPERATIONS, health::OPERATIONS, tags::OPERATIONS];
