//! What is said of a plan: why there is none, and what an operator should know before agreeing to one.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{FleetId, GroupId, Share, StrategyName};

/// A remark on a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Nothing serves yet: there is no way back in this rollout.
    FirstDeployment,
    /// Blue runs this revision already; a fresh fleet replaces it.
    SameRevision,
    /// Green will be smaller than blue.
    Smaller {
        /// Blue's size.
        blue: u32,
        /// Green's size.
        green: u32,
    },
    /// Blue is not healthy here, so the way back is not safe.
    BlueUnwell {
        /// The group.
        group: GroupId,
        /// Healthy targets of blue there.
        healthy: u32,
    },
    /// A fleet that carries nothing stands about.
    Idle {
        /// The fleet.
        fleet: FleetId,
    },
    /// The group's route cannot take a part of the traffic: it is switched whole at the last step.
    AllAtOnce {
        /// The group.
        group: GroupId,
    },
    /// Registering green in this group is already a share of its traffic.
    SharedAtOnce {
        /// The group.
        group: GroupId,
        /// About how much.
        share: Share,
    },
    /// Both fleets stand in this group itself, by weight: green enters with a little of its traffic, before its health there
    /// is known.
    Weighed {
        /// The group.
        group: GroupId,
        /// How much green enters with, where every weight may be what it takes.
        first: Share,
        /// What the steps really come to, where whole weights do not make what is asked for.
        steps: Vec<(Share, Share)>,
    },
    /// Green takes all of the group at once, before its health there is known.
    Unproved {
        /// The group.
        group: GroupId,
    },
    /// The group may go dark by a recorded exception.
    Waived {
        /// The group.
        group: GroupId,
        /// Why.
        reason: String,
    },
}

/// Why there is no plan: every reason at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the plan is refused for {} reason(s)", .reasons.len())]
pub struct Refusal {
    /// Never empty.
    pub reasons: Vec<Refused>,
    /// How many groups were looked at.
    pub groups: usize,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// Blue stands in a group that the file does not declare: it would go dark.
    Undeclared {
        /// The group.
        group: GroupId,
        /// Healthy targets of blue there.
        blue_healthy: u32,
        /// How it is reached.
        routes: BTreeSet<String>,
    },
    /// The last completed rollout covered a group that the file no longer declares.
    Dropped {
        /// The group.
        group: GroupId,
    },
    /// A declared group does not exist.
    Unseen {
        /// The group.
        group: GroupId,
    },
    /// A group or fleet could not be read.
    Unknown {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// Something could not be searched, so a group may be missing.
    Unread {
        /// What and why.
        what: String,
    },
    /// More than one fleet carries traffic: which one is blue cannot be told.
    TwoBlues {
        /// All of them.
        fleets: BTreeSet<FleetId>,
    },
    /// Somebody who belongs to no fleet of the service carries traffic: whose it is has to be said first.
    Stranger {
        /// The group.
        group: GroupId,
        /// The instance, address or twin that carries it.
        who: FleetId,
    },
    /// The strategy is not defined.
    NoStrategy {
        /// What was asked for.
        asked: StrategyName,
        /// What there is.
        known: BTreeSet<StrategyName>,
    },
    /// A group to amend or waive is not in the world.
    NoSuchGroup {
        /// The group.
        group: GroupId,
    },
    /// The file asks for shares by weight in a group whose routes heed no weights.
    Weightless {
        /// The group.
        group: GroupId,
        /// How it is reached.
        routes: BTreeSet<String>,
    },
    /// Nobody checks the twin that carries nothing, and the file does not accept that.
    Unproved {
        /// The group.
        group: GroupId,
        /// How it is reached.
        routes: BTreeSet<String>,
    },
    /// The strategy asks for a part of a group that takes none, and the file does not accept that.
    Whole {
        /// The group.
        group: GroupId,
        /// The strategy.
        strategy: StrategyName,
        /// The shares that it asks for before everything.
        parts: Vec<Share>,
        /// About how much green would have as soon as it joins, where both fleets stand in the group itself.
        joined: Option<Share>,
        /// How it is reached.
        routes: BTreeSet<String>,
        /// A strategy of the file that asks for no parts.
        switch: Option<StrategyName>,
    },
    /// The name that green would get cannot be made.
    NoName {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared { group, blue_healthy, .. } => {
                write!(
                    f,
                    "blue serves `{group}` ({blue_healthy} healthy) and the deployment file does not declare it"
                )
            }
            Self::Dropped { group } => {
                write!(
                    f,
                    "the last completed rollout covered `{group}` and the deployment file no longer declares it"
                )
            }
            Self::Unseen { group } => {
                write!(f, "the deployment file declares `{group}`, which does not exist")
            }
            Self::Unknown { what, reason } => write!(f, "{what} could not be read: {reason}"),
            Self::Unread { what } => write!(f, "could not be searched: {what}"),
            Self::TwoBlues { fleets } => {
                let fleets: Vec<_> = fleets.iter().map(|id| format!("`{id}`")).collect();
                write!(f, "more than one fleet carries traffic: {}", fleets.join(", "))
            }
            Self::Stranger { group, who } => write!(
                f,
                "`{group}` is served by `{who}`, which belongs to no fleet of the service: name its fleet in the \
                 deployment file, or take it out"
            ),
            Self::NoStrategy { asked, known } => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "strategy `{asked}` is not defined; the file defines {}", known.join(", "))
            }
            Self::NoSuchGroup { group } => write!(f, "target group `{group}` does not exist here"),
            Self::Weightless { group, routes } => {
                let routes = listed(routes);
                write!(
                    f,
                    "`{group}` is to be shared by weight, and not all that leads to it heeds weights: {routes}"
                )
            }
            Self::Unproved { group, routes } => {
                let routes = listed(routes);
                write!(
                    f,
                    "nobody checks the twin of `{group}` that carries nothing, so green would take all at once: {routes}"
                )
            }
            Self::Whole { group, strategy, parts, joined, routes, .. } => {
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                let parts = parts.join(", ");
                write!(f, "strategy `{strategy}` asks for {parts} of `{group}`, which takes no steps: ")?;
                match joined {
                    Some(share) => write!(
                        f,
                        "green would have about {share} as soon as it joins, and the rest at the last step"
                    ),
                    None => write!(f, "green would have none of it until the last step, and all of it there"),
                }?;
                write!(f, ": {}", listed(routes))
            }
            Self::NoName { why } => write!(f, "green cannot be named: {why}"),
        }
    }
}

/// Routes as people name them.
fn listed(routes: &BTreeSet<String>) -> String {
    let routes: Vec<_> = routes.iter().map(|route| format!("`{route}`")).collect();
    if routes.is_empty() { "nothing leads there".to_owned() } else { routes.join(", ") }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstDeployment => {
                f.write_str("nothing serves yet: this first rollout has no blue to go back to")
            }
            Self::SameRevision => f.write_str("blue runs this revision already: a fresh fleet replaces it"),
            Self::Smaller { blue, green } => {
                write!(f, "green will be smaller than blue: {green} instead of {blue}")
            }
            Self::BlueUnwell { group, healthy } => {
                write!(f, "blue has only {healthy} healthy in `{group}`: the way back is not safe there")
            }
            Self::Idle { fleet } => write!(f, "fleet `{fleet}` carries nothing and is left alone"),
            Self::AllAtOnce { group } => {
                write!(f, "`{group}` can only be switched whole: it moves at the last step")
            }
            Self::SharedAtOnce { group, share } => {
                write!(
                    f,
                    "both fleets stand in `{group}` itself: joining it gives green about {share} at once"
                )
            }
            Self::Weighed { group, first, steps } => {
                write!(
                    f,
                    "both fleets stand in `{group}` itself, with no preview: green enters with {first} of its traffic \
                     before its health there is known"
                )?;
                steps.iter().try_for_each(|(asked, real)| write!(f, "; {asked} becomes {real}"))
            }
            Self::Unproved { group } => {
                write!(
                    f,
                    "no preview of `{group}`: green takes all of it at once, before its health there is known"
                )
            }
            Self::Waived { group, reason } => write!(f, "`{group}` may go dark, waived: {reason}"),
        }
    }
}
