//! The nouns of a rollout, as plain data.
//!
//! Promises: every value that can be built is well formed (names hold nothing that could break a path, a terminal
//! or a workflow command), and nothing here reads a clock, a file or a network.

mod inventory;
mod name;
mod plan;
mod share;
mod time;
mod weigh;

pub use inventory::{
    FleetSeen, GroupSeen, Health, InstanceState, Inventory, Scaling, Seen, Sharing, Side, Steps, TargetSeen,
};
pub use name::{
    BadName, EnvironmentName, FleetId, GroupId, InstanceId, Revision, RolloutId, ServiceName, StrategyName,
    TargetId, Token,
};
pub use plan::{
    Because, Deadlines, Expect, Fleet, GroupPlan, Hold, OnDeadline, PLAN_FORMAT, Pace, Plan, Purpose,
    Release, Step, Waiver,
};
pub use share::{BadShare, Share};
pub use time::{BadSpan, Span, Time};
pub use weigh::{WEIGHT_MAX, Weights, nearest, share_of};
