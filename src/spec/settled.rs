//! What a deployment file says for one environment, with nothing left open.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::settled_aws::{AwsFleets, AwsSpec};
use super::settled_edas::EdasSpec;
use crate::model::{
    Deadlines, EnvironmentName, GroupId, Hold, Revision, ServiceName, Share, Span, Step, StrategyName,
};

/// One service in one environment, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The service.
    pub service: ServiceName,
    /// The environment that was asked for, or the file's default one.
    pub environment: EnvironmentName,
    /// What a rollout without `--revision` deploys.
    pub revision: Revision,
    /// The strategy that a rollout without `--strategy` takes.
    pub strategy: StrategyName,
    /// Every strategy that the file defines.
    pub strategies: BTreeMap<StrategyName, Strategy>,
    /// Green's size; blue's where it is not given.
    pub instances: Option<u32>,
    /// How long green must stay healthy before it takes traffic.
    pub settle: Span,
    /// How long green carries everything before blue is drained.
    pub bake: Hold,
    /// How long drained blue is kept running.
    pub quiet: Span,
    /// How much of green must be healthy in each group, in percent of its size.
    pub min_healthy: Share,
    /// Whether the fleets' scaling is held still during a rollout.
    pub freeze: bool,
    /// When each phase must have made progress.
    pub deadlines: Deadlines,
    /// Where it runs, with every declared target group.
    pub provider: Provider,
}

impl Spec {
    /// Every target group that the file declares.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        match &self.provider {
            Provider::Local(local) => local.groups.keys().cloned().collect(),
            Provider::Aws(aws) => aws.groups.keys().cloned().collect(),
            Provider::Edas(edas) => edas.groups.keys().cloned().collect(),
        }
    }

    /// Groups in which both fleets stand, and which are to be shared by the weights of the targets.
    #[must_use]
    pub fn weighed(&self) -> Vec<GroupId> {
        match &self.provider {
            Provider::Local(_) | Provider::Aws(_) => Vec::new(),
            Provider::Edas(edas) => edas.weighed(),
        }
    }

    /// Groups of which the file accepts that green takes everything before its health there is known.
    #[must_use]
    pub fn accepts_unproved(&self) -> Vec<GroupId> {
        match &self.provider {
            Provider::Local(_) | Provider::Aws(_) => Vec::new(),
            Provider::Edas(edas) => edas.accepts_unproved(),
        }
    }

    /// Groups of which the file accepts that they take none of a strategy's steps but the last.
    #[must_use]
    pub fn accepts_whole(&self) -> Vec<GroupId> {
        match &self.provider {
            Provider::Local(_) => Vec::new(),
            Provider::Aws(aws) => aws.accepts_whole(),
            Provider::Edas(edas) => edas.accepts_whole(),
        }
    }

    /// The two fleets that alternate, where they do: green is then the one that does not serve.
    #[must_use]
    pub fn pair(&self) -> Option<&[String; 2]> {
        match &self.provider {
            Provider::Local(_) => None,
            Provider::Aws(aws) => match &aws.fleets {
                AwsFleets::Pair(pair) => Some(pair),
                AwsFleets::Copy { .. } | AwsFleets::Managed => None,
            },
            Provider::Edas(edas) => Some(edas.pair()),
        }
    }
}

/// A named schedule: how the traffic is shifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// Shares rise, the last is 100. `[100]` is the plain switch.
    pub steps: Vec<Step>,
}

/// Where a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Processes on this host.
    Local(LocalSpec),
    /// Auto Scaling groups behind load balancers.
    Aws(AwsSpec),
    /// Applications of EDAS behind load balancers.
    Edas(EdasSpec),
}

/// A service as processes on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSpec {
    /// The revision that is brought up first where nothing runs yet, so that there is a blue to replace.
    pub bootstrap: Option<Revision>,
    /// The program and its arguments. The word `deployer` as program means this very binary. Never a shell.
    /// Each instance gets `PORT`, `REVISION`, `INSTANCE` and `SERVICE` in its environment.
    pub command: Vec<String>,
    /// Further environment variables of each instance.
    pub env: BTreeMap<String, String>,
    /// The path that must answer with a 2xx status.
    pub health_path: String,
    /// How often each target is checked.
    pub health_interval: Span,
    /// How long a check may take.
    pub health_timeout: Span,
    /// How many passed checks in a row make a target healthy.
    pub healthy_after: u32,
    /// How many failed checks in a row make a target unhealthy.
    pub unhealthy_after: u32,
    /// Every target group.
    pub groups: BTreeMap<GroupId, LocalGroup>,
}

/// A local target group: an address that the proxy serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalGroup {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long a deregistered target keeps its open connections.
    pub deregistration_delay: Span,
}
