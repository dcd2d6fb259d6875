//! Elastic Load Balancing, version 2.

mod groups;
mod routes;
mod tags;
mod targets;

use super::service::Operation;

pub use groups::describe as describe_group;

pub const OPERATIONS: &[&[Operation]] =
    &[groups::OPERATIONS, routes::OPERATIONS, targets::OPERATIONS, tags::OPERATIONS];

const PAGING: super::input::Paging = super::input::Paging {
    token: "Marker",
    size: "PageSize",
    next: "NextMarker",
    refusal: "ValidationError",
    most: 400,
};
