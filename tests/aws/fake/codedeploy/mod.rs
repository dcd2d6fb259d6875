//! `CodeDeploy`.

mod deployments;
mod groups;
mod targets;

pub use groups::hook;

use super::input::{Input, Paging};
use super::service::{ApiError, Operation};

pub const OPERATIONS: &[&[Operation]] = &[groups::OPERATIONS, deployments::OPERATIONS, targets::OPERATIONS];

const PAGING: Paging = Paging {
    token: "nextToken",
    size: "pageSize",
    next: "nextToken",
    refusal: "InvalidNextTokenException",
    most: 100,
};

fn needed<'a>(input: &'a Input, name: &str, code: &str) -> Result<&'a str, ApiError> {
    let missing = || ApiError::new(code, format!("{name} is required"));
    input.text(name).filter(|text| !text.is_empty()).ok_or_else(missing)
}
