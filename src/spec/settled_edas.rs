//! A service on Alibaba Cloud, with nothing left open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{GroupId, Revision, Span};

/// A service as applications of EDAS behind load balancers, in one region of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdasSpec {
    /// The account's uid, 16 digits. Credentials of any other account are refused.
    pub account: String,
    /// The region.
    pub region: String,
    /// What the two fleets are.
    pub fleets: EdasFleets,
    /// How long one call may take.
    pub call_timeout: Span,
    /// The shortest time between two looks while something is expected.
    pub pace: Span,
    /// Every declared target group.
    pub groups: BTreeMap<GroupId, EdasGroup>,
}

impl EdasSpec {
    /// The names of the two fleets that alternate.
    #[must_use]
    pub fn pair(&self) -> &[String; 2] {
        match &self.fleets {
            EdasFleets::Groups(own) => &own.pair,
            EdasFleets::Kubernetes(own) => &own.applications,
        }
    }

    pub(super) fn accepts_unproved(&self) -> Vec<GroupId> {
        self.groups.iter().filter(|(_, group)| group.accepts_unproved).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn accepts_whole(&self) -> Vec<GroupId> {
        self.groups.iter().filter(|(_, group)| group.accepts_whole).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn weighed(&self) -> Vec<GroupId> {
        let groups = self.groups.iter().filter(|(_, group)| group.by == ShareBy::Weights);
        groups.map(|(id, _)| id.clone()).collect()
    }
}

/// What the two fleets are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdasFleets {
    /// Deploy groups of one application, on ECS instances.
    Groups(DeployGroups),
    /// Applications of their own, on Kubernetes.
    Kubernetes(Kubernetes),
}

/// Two deploy groups of one application on ECS instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployGroups {
    /// The id of the EDAS application.
    pub application: String,
    /// The names of the two deploy groups that alternate.
    pub pair: [String; 2],
    /// Where green's instances come from.
    pub hosts: Hosts,
    /// The URL of a revision's package, with `{revision}` where the revision stands.
    pub package: String,
}

impl DeployGroups {
    /// The URL of a revision's package.
    #[must_use]
    pub fn package_of(&self, revision: &Revision) -> String {
        self.package.replace(REVISION, revision.as_str())
    }
}

/// Two applications on Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The names, or the ids, of the two applications that alternate.
    pub applications: [String; 2],
    /// The image of a revision, with `{revision}` where the revision stands.
    pub image: String,
    /// Whether no port of a node leads to them.
    pub nodes_serve_others: bool,
}

/// Where the revision stands in the address of a package or an image.
const REVISION: &str = "{revision}";

impl Kubernetes {
    /// The image of a revision.
    #[must_use]
    pub fn image_of(&self, revision: &Revision) -> String {
        self.image.replace(REVISION, revision.as_str())
    }

    /// The revision that an image is of; none of an image from elsewhere.
    #[must_use]
    pub fn revision_of(&self, image: &str) -> Option<Revision> {
        let (before, after) = self.image.split_once(REVISION)?;
        let revision = Revision::new(image.strip_prefix(before)?.strip_suffix(after)?).ok()?;
        (self.image_of(&revision) == image).then_some(revision)
    }

    /// Which of the two an application is.
    #[must_use]
    pub fn place_of(&self, fleet: &str) -> Option<usize> {
        self.applications.iter().position(|own| own == fleet)
    }
}

/// Where green's instances come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosts {
    /// Instances of the application's cluster that run nothing; they stay there when the fleet goes.
    Idle,
    /// New instances from a launch template, released when the fleet goes.
    Template {
        /// Its id.
        id: String,
        /// Its version; the template's default one where it is not given.
        version: Option<String>,
    },
}

/// A declared target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdasGroup {
    /// The port on which an instance serves it.
    pub port: u16,
    /// Which server groups it is.
    pub servers: EdasServers,
    /// What makes a fleet's share, where both fleets stand in one server group.
    #[serde(default)]
    pub by: ShareBy,
    /// Of twins behind a route that checks one server group only: whether green may take everything before its health is
    /// known.
    #[serde(default)]
    pub accepts_unproved: bool,
    /// Whether it is accepted that it takes no steps, where its routes take all or nothing.
    #[serde(default)]
    pub accepts_whole: bool,
}

/// What makes a fleet's share of a server group in which both stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareBy {
    /// Who stands in it: nothing or everything.
    #[default]
    Membership,
    /// The weights of its servers: any step.
    Weights,
}

/// The server groups behind a declared target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdasServers {
    /// Each fleet stands in its own ALB server group, behind the same listeners and rules: their ids.
    AlbTwins([String; 2]),
    /// Each fleet stands in its own NLB server group, behind the same listeners: their ids.
    NlbTwins([String; 2]),
    /// Each fleet stands in its own vServer group of a CLB, behind the same listeners and rules: their ids.
    ClbTwins([String; 2]),
    /// Both fleets stand in one ALB server group: its id.
    Alb(String),
    /// Both fleets stand in one NLB server group: its id.
    Nlb(String),
    /// Both fleets stand in one vServer group of a CLB: its id.
    Clb(String),
}

impl EdasServers {
    /// The ids, where each fleet stands in its own server group.
    #[must_use]
    pub fn twins(&self) -> Option<&[String; 2]> {
        match self {
            Self::AlbTwins(ids) | Self::NlbTwins(ids) | Self::ClbTwins(ids) => Some(ids),
            Self::Alb(_) | Self::Nlb(_) | Self::Clb(_) => None,
        }
    }

    /// The ids of its server groups.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        match self {
            Self::AlbTwins(ids) | Self::NlbTwins(ids) | Self::ClbTwins(ids) => ids,
            Self::Alb(id) | Self::Nlb(id) | Self::Clb(id) => std::slice::from_ref(id),
        }
    }
}
