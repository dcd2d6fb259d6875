//! Where a service runs, as a few words to compare.

use std::collections::BTreeMap;

use super::settled::{Provider, Spec};
use super::settled_aws::{AwsFleets, AwsRevision, AwsSpec};
use super::settled_edas::{EdasFleets, EdasSpec};
use crate::model::GroupId;

type Home = BTreeMap<String, String>;

impl Spec {
    /// What makes its fleets and groups the ones they are. With anything of it changed, a fleet or a group of an open
    /// rollout would be looked for where it is not.
    #[must_use]
    pub fn home(&self) -> BTreeMap<String, String> {
        match &self.provider {
            Provider::Local(_) => home("local", [], []),
            Provider::Aws(aws) => of_aws(aws),
            Provider::Edas(edas) => of_edas(edas),
        }
    }
}

fn home<'a>(
    provider: &str,
    facts: impl IntoIterator<Item = (&'a str, String)>,
    groups: impl IntoIterator<Item = (&'a GroupId, &'a [String])>,
) -> Home {
    let facts = facts.into_iter().map(|(what, value)| (what.to_owned(), value));
    let groups = groups.into_iter().map(|(id, names)| (format!("target group {id}"), names.join(", ")));
    let provider = ("provider".to_owned(), provider.to_owned());
    facts.chain(groups).chain([provider]).collect()
}

fn of_aws(aws: &AwsSpec) -> Home {
    let fleets = match (&aws.fleets, &aws.revision) {
        (AwsFleets::Copy { from }, _) => format!("copy {from}"),
        (AwsFleets::Pair(pair), _) => format!("pair {}", pair.join(", ")),
        (AwsFleets::Managed, AwsRevision::Bundle(deploy)) => {
            format!("managed {}/{}", deploy.application, deploy.deployment_groups.join(", "))
        }
        (AwsFleets::Managed, AwsRevision::LaunchTemplate | AwsRevision::Ami) => "managed".to_owned(),
    };
    let facts = [("account", aws.account.clone()), ("region", aws.region.clone()), ("fleets", fleets)];
    home("aws", facts, aws.groups.iter().map(|(id, group)| (id, group.names())))
}

fn of_edas(edas: &EdasSpec) -> Home {
    let fleets = match &edas.fleets {
        EdasFleets::Groups(own) => format!("pair {} of {}", own.pair.join(", "), own.application),
        EdasFleets::Kubernetes(own) => format!("kubernetes {}", own.applications.join(", ")),
    };
    let facts = [("account", edas.account.clone()), ("region", edas.region.clone()), ("fleets", fleets)];
    home("edas", facts, edas.groups.iter().map(|(id, group)| (id, group.servers.ids())))
}
