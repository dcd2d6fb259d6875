//! EC2 Auto Scaling.

mod attachments;
mod extras;
mod groups;
mod instances;
mod show;
mod tags;

use super::input::Paging;
use super::service::Operation;

pub use extras::put_hook;

pub const OPERATIONS: &[&[Operation]] = &[
    groups::OPERATIONS,
    attachments::OPERATIONS,
    instances::OPERATIONS,
    extras::OPERATIONS,
    tags::OPERATIONS,
];

const PAGING: Paging = Paging {
    token: "NextToken",
    size: "MaxRecords",
    next: "NextToken",
    refusal: "InvalidNextToken",
    most: 100,
};

/// Every process that can be suspended.
const PROCESSES: [&str; 9] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];
