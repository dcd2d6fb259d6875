//! What several services of one process read of AWS, and one of them asks for.

use aws_sdk_elasticloadbalancingv2::types::{Listener, Rule, TargetHealthDescription};

use super::reader::Groups;
use crate::cloud::{Fault, FaultKind};

pub(super) use crate::cloud::shelf::{Sent, Shelf, Wanted};

/// How often a reading is tried that was throttled, on top of what the SDK tries.
const ATTEMPTS: u32 = 2;

/// What the services of an account and region read together.
#[derive(Debug, Default)]
pub(super) struct Commons {
    pub groups: Shelf<Groups>,
    /// By target group.
    pub targets: Shelf<Vec<TargetHealthDescription>>,
    /// By load balancer.
    pub listeners: Shelf<Vec<Listener>>,
    /// By listener.
    pub rules: Shelf<Vec<Rule>>,
}

/// Reads again what was refused because there was too much at once: each time it waits for its turn.
///
/// # Errors
/// The last fault.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Fault>>>(
    read: impl Fn() -> F,
) -> Result<T, Fault> {
    for _ in 1..ATTEMPTS {
        match read().await {
            Err(fault) if fault.kind == FaultKind::Throttled => {}
            answer => return answer,
        }
    }
    read().await
}
