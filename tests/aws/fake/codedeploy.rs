//! CodeDeploy.
use super::service::Operation;
pub const OPERATIONS: &[&[Operation]] = &[];
