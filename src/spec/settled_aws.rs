//! A service on AWS, with nothing left open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{GroupId, Revision, Span};

/// A service as Auto Scaling groups behind load balancers, in one region of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSpec {
    /// The account's number, 12 digits. Credentials of any other account are refused.
    pub account: String,
    /// The region.
    pub region: String,
    /// How a fleet comes into being.
    pub fleets: AwsFleets,
    /// What a revision names.
    pub revision: AwsRevision,
    /// How long one call may take.
    pub call_timeout: Span,
    /// The shortest time between two looks while something is expected.
    pub pace: Span,
    /// How many reads of load balancers a second the account may make; all other limits are in proportion.
    pub reads_per_second: u32,
    /// Every declared target group.
    pub groups: BTreeMap<GroupId, AwsGroup>,
}

impl AwsSpec {
    pub(super) fn accepts_whole(&self) -> Vec<GroupId> {
        let accepts = |group: &AwsGroup| matches!(group, AwsGroup::Shared { accepts_whole: true, .. });
        self.groups.iter().filter(|(_, group)| accepts(group)).map(|(id, _)| id.clone()).collect()
    }
}

/// How a fleet comes into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsFleets {
    /// A new Auto Scaling group with everything that blue has.
    Copy {
        /// Blue as long as no other group of the service carries traffic.
        from: String,
    },
    /// Two Auto Scaling groups that alternate.
    Pair([String; 2]),
    /// CodeDeploy copies blue's group in a blue/green deployment of [`CodeDeploy::deployment_groups`]'s first.
    Managed,
}

/// What a revision names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsRevision {
    /// The number of a version of blue's launch template.
    LaunchTemplate,
    /// The id of a machine image.
    Ami,
    /// What CodeDeploy installs.
    Bundle(CodeDeploy),
}

/// How CodeDeploy installs a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeDeploy {
    /// The application.
    pub application: String,
    /// One deployment group, or one for each Auto Scaling group of a pair, in the same order.
    pub deployment_groups: Vec<String>,
    /// Where a revision lies.
    pub bundle: Bundle,
    /// Whether the deployment group's list of target groups is completed where it lacks one.
    pub complete: bool,
}

/// Where a revision lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bundle {
    /// An object in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, with `{revision}` where the revision stands.
        key: String,
    },
    /// A commit in a repository on GitHub.
    GitHub {
        /// `OWNER/REPOSITORY`.
        repository: String,
    },
}

impl Bundle {
    /// The key of a revision's object; the revision itself on GitHub.
    #[must_use]
    pub fn name(&self, revision: &Revision) -> String {
        match self {
            Self::S3 { key, .. } => key.replace("{revision}", revision.as_str()),
            Self::GitHub { .. } => revision.to_string(),
        }
    }
}

/// A declared target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwsGroup {
    /// Both fleets stand in one target group.
    Shared {
        /// Its name.
        name: String,
        /// Whether it is accepted that it takes no steps.
        #[serde(default)]
        accepts_whole: bool,
    },
    /// Each fleet stands in its own, behind the same listeners and rules.
    Twins {
        /// Their names.
        names: [String; 2],
        /// Whether the second is made, with the settings of the first, where it does not exist.
        create: bool,
    },
}

impl AwsGroup {
    /// The names of its target groups.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Shared { name, .. } => std::slice::from_ref(name),
            Self::Twins { names, .. } => names,
        }
    }
}
