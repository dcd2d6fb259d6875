//! The Auto Scaling groups of a service: which they are, and what they are called.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, Filter, TagDescription};

use super::api::Api;
use super::limit::Family;
use super::memory::Memory;
use crate::cloud::{Fault, FaultKind};
use crate::model::{EnvironmentName, FleetId, ServiceName, Span, Time};
use crate::spec::{AwsFleets, AwsSpec};

/// Whose fleet it is: `SERVICE/ENVIRONMENT`.
pub(super) const OWNER: &str = "deployer:service";
/// What we call the fleet, where its group is called otherwise.
pub(super) const FLEET: &str = "deployer:fleet";
/// What it runs, where its launch template does not say it.
pub(super) const REVISION: &str = "deployer:revision";
/// The group for which [`FLEET`] and [`REVISION`] were written. CodeDeploy copies a group with its tags, and a copy is not
/// the fleet that its tags name.
pub(super) const GROUP: &str = "deployer:group";
/// What we changed to hold it still, so that just that can be put back.
pub(super) const FROZEN: &str = "deployer:frozen";

/// How many groups one call may name (Auto Scaling API reference: `AutoScalingGroupNames`, `MaxRecords` 100).
const NAMES_MAX: usize = 50;
/// No service has this many groups; pages beyond it mean that AWS never stops.
const PAGES_MAX: usize = 200;

/// Which service this is about, in which environment.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub spec: AwsSpec,
}

impl Home {
    /// The value of [`OWNER`].
    pub fn owner(&self) -> String {
        format!("{}/{}", self.service, self.environment)
    }

    /// Groups that are the service's by the file, with or without a tag.
    pub fn named(&self) -> BTreeSet<String> {
        match &self.spec.fleets {
            AwsFleets::Copy { from } => [from.clone()].into(),
            AwsFleets::Pair(pair) => pair.iter().cloned().collect(),
            AwsFleets::Managed => BTreeSet::new(),
        }
    }

    /// Every group of the service, by fleet: those with its tag, those that the file names, and these. A group of a pair
    /// that is empty and wants nothing is no fleet.
    ///
    /// # Errors
    /// The call's fault; groups that cannot be told apart.
    pub async fn fleets(
        &self,
        api: &Api,
        also: &BTreeSet<FleetId>,
    ) -> Result<BTreeMap<FleetId, AutoScalingGroup>, Fault> {
        let names = self.names(also);
        let (tagged, by_file) = tokio::try_join!(Box::pin(self.tagged(api)), Box::pin(by_name(api, &names)))?;
        self.told_apart(tagged.into_iter().chain(by_file))
    }

    /// The same for a look, in one call of the two where the tags were searched at most so long ago: what they showed is
    /// read by its name. A fleet that somebody else tags meanwhile is seen with the next search.
    ///
    /// # Errors
    /// As [`Home::fleets`].
    pub async fn fleets_for_look(
        &self,
        api: &Api,
        memory: &Memory,
        (now, searched_for): (Time, Span),
        also: &BTreeSet<FleetId>,
    ) -> Result<BTreeMap<FleetId, AutoScalingGroup>, Fault> {
        let known = memory.recall(now, searched_for, |memory| memory.tagged.as_ref());
        // CodeDeploy's copies come into being by its hand, not by ours.
        if let Some(known) = known.filter(|_| self.spec.fleets != AwsFleets::Managed) {
            let names = self.names(also).into_iter().chain(known).collect();
            return self.told_apart(Box::pin(by_name(api, &names)).await?);
        }
        let names = self.names(also);
        let (tagged, by_file) = tokio::try_join!(Box::pin(self.tagged(api)), Box::pin(by_name(api, &names)))?;
        let found = tagged.iter().filter_map(|group| group.auto_scaling_group_name.clone()).collect();
        memory.keep(now, |memory, now| memory.tagged = Some((now, found)));
        self.told_apart(tagged.into_iter().chain(by_file))
    }

    fn names(&self, also: &BTreeSet<FleetId>) -> BTreeSet<String> {
        self.named().into_iter().chain(also.iter().map(FleetId::to_string)).collect()
    }

    fn told_apart(
        &self,
        groups: impl IntoIterator<Item = AutoScalingGroup>,
    ) -> Result<BTreeMap<FleetId, AutoScalingGroup>, Fault> {
        let mut fleets = BTreeMap::new();
        for group in groups {
            let Some(name) = group.auto_scaling_group_name().map(str::to_owned) else { continue };
            let foreign = tag(&group, OWNER).is_some_and(|owner| owner != self.owner());
            if foreign && !self.named().contains(&name) {
                continue; // Another service's fleet that happens to have a name of ours.
            }
            if self.is_idle(&group) {
                continue;
            }
            let id = fleet_of(&group)?;
            let before: Option<AutoScalingGroup> = fleets.insert(id.clone(), group);
            let twice =
                before.and_then(|before| before.auto_scaling_group_name).filter(|other| *other != name);
            if let Some(other) = twice {
                let message = format!("both `{other}` and `{name}` say that they are the fleet `{id}`");
                return Err(Fault::new(FaultKind::Conflict, "DescribeAutoScalingGroups", message));
            }
        }
        Ok(fleets)
    }

    /// That a fleet has no group.
    pub fn absent(&self, id: &FleetId) -> Fault {
        let message = format!("no Auto Scaling group of {} is the fleet `{id}`", self.owner());
        Fault::new(FaultKind::Missing, "DescribeAutoScalingGroups", message)
    }

    /// The resting half of a pair: it exists, and has and wants nothing.
    fn is_idle(&self, group: &AutoScalingGroup) -> bool {
        let pair = matches!(self.spec.fleets, AwsFleets::Pair(_));
        pair && group.desired_capacity().unwrap_or(0) == 0 && group.instances().is_empty()
    }

    async fn tagged(&self, api: &Api) -> Result<Vec<AutoScalingGroup>, Fault> {
        let filter = &Filter::builder().name(format!("tag:{OWNER}")).values(self.owner()).build();
        pages(|token| async move {
            let call = api.autoscaling.describe_auto_scaling_groups();
            let call = call.filters(filter.clone()).max_records(100).set_next_token(token);
            let page = api.send(Family::AutoScaling, "DescribeAutoScalingGroups", call.send()).await?;
            Ok((given("DescribeAutoScalingGroups", page.auto_scaling_groups)?, page.next_token))
        })
        .await
    }
}

/// The groups of these names, as far as they exist.
///
/// # Errors
/// The call's fault.
pub(super) async fn by_name(api: &Api, names: &BTreeSet<String>) -> Result<Vec<AutoScalingGroup>, Fault> {
    let names: Vec<_> = names.iter().cloned().collect();
    let mut found = Vec::new();
    for some in names.chunks(NAMES_MAX) {
        let groups = pages(|token| async move {
            let call = api.autoscaling.describe_auto_scaling_groups();
            let call = call.set_auto_scaling_group_names(Some(some.to_vec())).set_next_token(token);
            let page = api.send(Family::AutoScaling, "DescribeAutoScalingGroups", call.send()).await?;
            Ok((given("DescribeAutoScalingGroups", page.auto_scaling_groups)?, page.next_token))
        });
        found.extend(groups.await?);
    }
    Ok(found)
}

/// Every page to the last. A page may be short or empty although more follow: only the token says when to stop.
///
/// # Errors
/// The call's fault; a listing that does not end.
pub(super) async fn pages<T, P>(mut page: impl FnMut(Option<String>) -> P) -> Result<Vec<T>, Fault>
where
    P: Future<Output = Result<(Vec<T>, Option<String>), Fault>>,
{
    let (mut all, mut token) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let (items, next) = page(token).await?;
        all.extend(items);
        token = next.filter(|next| !next.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
    Err(Fault::new(FaultKind::Unexpected, "paging", format!("more than {PAGES_MAX} pages")))
}

/// The list of an answer. An empty one is there and empty; one that is not there at all is no answer, and whatever should
/// have stood in it would be taken for absent.
///
/// # Errors
/// [`FaultKind::Unexpected`] without the list.
pub(super) fn given<T>(action: &str, list: Option<Vec<T>>) -> Result<Vec<T>, Fault> {
    list.ok_or_else(|| {
        Fault::new(FaultKind::Unexpected, action, "an answer without the list that was asked for")
    })
}

/// What we call the fleet of a group.
///
/// # Errors
/// A name that cannot be a fleet's.
pub(super) fn fleet_of(group: &AutoScalingGroup) -> Result<FleetId, Fault> {
    let name = tag(group, FLEET).or(group.auto_scaling_group_name()).unwrap_or_default();
    FleetId::new(name).map_err(|bad| {
        Fault::new(FaultKind::Invalid, "DescribeAutoScalingGroups", format!("`{name}`: {bad}"))
    })
}

/// The value of a tag; none where it was written for the group that this one is a copy of.
pub(super) fn tag<'a>(group: &'a AutoScalingGroup, key: &str) -> Option<&'a str> {
    let value = |key: &str| {
        group
            .tags()
            .iter()
            .find(|tag: &&TagDescription| tag.key() == Some(key))
            .and_then(TagDescription::value)
    };
    let copied = value(GROUP).is_some_and(|name| group.auto_scaling_group_name() != Some(name));
    value(key).filter(|_| !(copied && [FLEET, REVISION].contains(&key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_not_the_fleet_that_its_copied_tags_name() {
        let tag_of = |key: &str, value: &str| TagDescription::builder().key(key).value(value).build();
        let group = |name: &str| {
            AutoScalingGroup::builder()
                .auto_scaling_group_name(name)
                .tags(tag_of(OWNER, "api/prod"))
                .tags(tag_of(FLEET, "api-v7"))
                .tags(tag_of(GROUP, "blue"))
                .build()
        };
        assert_eq!(tag(&group("blue"), FLEET), Some("api-v7"));
        assert_eq!((tag(&group("copy"), FLEET), tag(&group("copy"), OWNER)), (None, Some("api/prod")));
        assert_eq!(fleet_of(&group("copy")).unwrap().as_str(), "copy");
    }
}
