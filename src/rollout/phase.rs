//! Where a rollout stands, and how it can end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{GroupId, Time};

/// The phases. Forward from `Provision` to `Retire`; the way back is `Restore`, then `Withdraw`.
///
/// ```text
/// Provision → Register → Settle → Shift → Bake → Drain → Retire → Ended(Completed)
/// any of them, until blue's retirement is announced → Restore → Withdraw → Ended(RolledBack)
/// an amended group sends Settle … Retire back to Register; shares never fall on the way forward
/// Restore, Withdraw past their deadline → Ended(Failed)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Green comes up. Left when it runs at its planned size, and blue is shielded.
    Provision,
    /// Green joins every paired group. Left when each running instance stands in each.
    Register,
    /// Green proves healthy there. Left when it stayed so for the planned time.
    Settle {
        /// Since when every group is healthy without a break.
        healthy_since: Option<Time>,
    },
    /// Traffic moves, step by step. Left when the last step is seen and its hold is over.
    Shift {
        /// The step, counted from 0.
        step: usize,
        /// Since when the step's share is seen in every group.
        reached: Option<Time>,
    },
    /// Green carries everything. Left when the time is over and no group would go dark without blue.
    Bake {
        /// Since when.
        since: Time,
    },
    /// Blue leaves every group and stays up for the quiet period.
    Drain {
        /// Since when blue stands in no group.
        empty_since: Option<Time>,
    },
    /// Blue goes. Left when it is gone and every group is proved once more.
    Retire,
    /// Traffic goes back to blue, group by group, where blue is proved healthy.
    Restore {
        /// Why.
        cause: Cause,
    },
    /// Green goes.
    Withdraw {
        /// Why.
        cause: Cause,
    },
    /// The end.
    Ended(Verdict),
}

/// Why a rollout goes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An operator's order.
    Ordered {
        /// Who gave it.
        by: String,
    },
    /// Green fell ill in a group that it carried.
    Sick {
        /// The group.
        group: GroupId,
        /// Healthy instances seen there.
        healthy: u32,
        /// Needed.
        needed: u32,
    },
    /// A phase made no progress in time.
    Deadline {
        /// The phase's name.
        phase: String,
    },
    /// Green will never come up: the cloud says so.
    Failed {
        /// Its words.
        reason: String,
    },
    /// The cloud refused a change for good.
    Refused {
        /// Its words.
        fault: String,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Green serves everything, proved; blue is gone.
    Completed,
    /// Blue serves everything, proved; green is gone.
    RolledBack {
        /// Why.
        cause: Cause,
    },
    /// The way back did not succeed: both fleets are left as they are and a human is needed.
    Failed {
        /// Why it went back.
        cause: Cause,
        /// What stood in the way.
        stuck: String,
    },
}

impl Phase {
    /// The phase's name, as the design and every report call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Register => "register",
            Self::Settle { .. } => "settle",
            Self::Shift { .. } => "shift",
            Self::Bake { .. } => "bake",
            Self::Drain { .. } => "drain",
            Self::Retire => "retire",
            Self::Restore { .. } => "restore",
            Self::Withdraw { .. } => "withdraw",
            Self::Ended(_) => "ended",
        }
    }

    /// Whether the rollout still goes towards green.
    #[must_use]
    pub fn forward(&self) -> bool {
        match self {
            Self::Provision
            | Self::Register
            | Self::Settle { .. }
            | Self::Shift { .. }
            | Self::Bake { .. }
            | Self::Drain { .. }
            | Self::Retire => true,
            Self::Restore { .. } | Self::Withdraw { .. } | Self::Ended(_) => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordered { by } => write!(f, "ordered by {by}"),
            Self::Sick { group, healthy, needed } => {
                write!(f, "green fell ill in `{group}`: {healthy} healthy of {needed} needed")
            }
            Self::Deadline { phase } => write!(f, "no progress in `{phase}` before its deadline"),
            Self::Failed { reason } => write!(f, "green will not come up: {reason}"),
            Self::Refused { fault } => write!(f, "the cloud refused a change: {fault}"),
        }
    }
}
