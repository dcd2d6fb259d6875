//! Two Auto Scaling groups that alternate: one serves, the other rests, and neither is ever made or deleted.
//!
//! So whatever describes them elsewhere, such as Terraform, finds them again; it must only leave to us what changes with
//! every rollout (sizes, launch template, and the tag with the revision). A resting group is empty, stays as still as it
//! was in its last rollout, lest its schedules wake it, and is attached to its target groups as its configuration says.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, Tag, TrafficSourceIdentifier};

use super::api::Api;
use super::asgs::{Home, REVISION, by_name, given, tag};
use super::detach::ATTACHED_MAX;
use super::fleet::{self, PENDING, Sizes};
use super::limit::Family;
use super::template::Launch;
use super::{codedeploy, freeze};
use crate::cloud::{Fault, FaultKind};
use crate::coverage::Retirement;
use crate::model::{Fleet, FleetId, Token};
use crate::spec::{AwsGroup, AwsRevision};

/// How many target groups one `DescribeTargetGroups` is asked for by name.
const NAMES_MAX: usize = 20;

/// Wakes the resting group up as the fleet.
///
/// # Errors
/// [`FaultKind::Invalid`] where the fleet is none of the pair; [`FaultKind::Conflict`] where it does not rest; the
/// call's fault.
pub(super) async fn provision(
    api: &Api,
    home: &Home,
    names: &[String; 2],
    fleet: &Fleet,
    token: &Token,
) -> Result<(), Fault> {
    let (green, blue) = halves(api, names, &fleet.id).await?;
    let name = green.auto_scaling_group_name().unwrap_or_default();
    let runs = tag(&green, REVISION) == Some(fleet.revision.as_str());
    if runs && fleet::is_whole(&green, fleet) {
        return Ok(());
    }
    let awake = green.desired_capacity().unwrap_or(0) > 0 || !green.instances().is_empty();
    if awake && !runs {
        let message = format!(
            "`{name}` is to become green and does not rest: it wants {} instances and has {}. Set its desired and \
             minimum size to 0 once nothing needs it",
            green.desired_capacity().unwrap_or(0),
            green.instances().len()
        );
        return Err(Fault::new(FaultKind::Conflict, "UpdateAutoScalingGroup", message));
    }
    let launch = launch(&green, &blue, &home.spec.revision)?.at_revision(api, home, fleet).await?;
    if !awake {
        // An instance would join every attached group by itself as soon as it is up, and in a shared one take traffic
        // before anybody has judged it.
        detach(api, &green).await?;
    }
    freeze::thaw_group(api, &green).await?;
    mark(api, home, name, fleet).await?;
    let sizes = fleet::sizes(&blue, fleet.size);
    let call = api.autoscaling.update_auto_scaling_group().auto_scaling_group_name(name);
    let call = call.min_size(sizes.min).max_size(sizes.max).desired_capacity(sizes.desired);
    let call = match launch {
        Launch::Plain(template) => call.launch_template(template),
        Launch::Mixed(policy) => call.mixed_instances_policy(policy),
    };
    api.send(Family::AutoScaling, "UpdateAutoScalingGroup", call.send()).await?;
    fleet::install(api, home, fleet, name, token).await
}

/// Lays a fleet to rest: it is emptied, and waits for nothing. Once it is empty it stands attached again.
///
/// # Errors
/// As [`fleet::retire`].
pub(super) async fn retire(
    api: &Api,
    home: &Home,
    names: &[String; 2],
    proof: &Retirement,
) -> Result<(), Fault> {
    let (group, serving) = halves(api, names, proof.fleet()).await?;
    if is_empty(&group) {
        return attach_again(api, home, &group, &serving).await;
    }
    fleet::refuse_standing(api, home, proof).await?;
    if matches!(home.spec.revision, AwsRevision::Bundle(_)) {
        Box::pin(codedeploy::inplace::remove(api, home, &group)).await?;
        // That took calls, and somebody may have come in meanwhile.
        fleet::refuse_standing(api, home, proof).await?;
    }
    freeze::still(api, &group).await?;
    let max = group.max_size().unwrap_or(0);
    fleet::empty_out(api, &group, Sizes { min: 0, max, desired: 0 }).await
}

/// Finishes the rest of the other half, where it has been emptied meanwhile.
///
/// # Errors
/// The call's fault.
pub(super) async fn settle_other(
    api: &Api,
    home: &Home,
    names: &[String; 2],
    serving: &FleetId,
) -> Result<(), Fault> {
    let (serving, other) = halves(api, names, serving).await?;
    if is_empty(&other) { attach_again(api, home, &other, &serving).await } else { Ok(()) }
}

/// The group of a fleet, and the other one.
async fn halves(
    api: &Api,
    names: &[String; 2],
    fleet: &FleetId,
) -> Result<(AutoScalingGroup, AutoScalingGroup), Fault> {
    let action = "DescribeAutoScalingGroups";
    let [one, two] = names;
    let (this, other) = match fleet.as_str() {
        id if id == one => (one, two),
        id if id == two => (two, one),
        id => {
            let message = format!("the fleet `{id}` is none of the pair `{one}` and `{two}`");
            return Err(Fault::new(FaultKind::Invalid, action, message));
        }
    };
    let mut found: BTreeMap<_, _> = by_name(api, &names.iter().cloned().collect())
        .await?
        .into_iter()
        .filter_map(|group| Some((group.auto_scaling_group_name()?.to_owned(), group)))
        .collect();
    let mut take = |name: &String| {
        found.remove(name).ok_or_else(|| {
            let message = format!("the Auto Scaling group `{name}` of the pair does not exist: create it");
            Fault::new(FaultKind::Missing, action, message)
        })
    };
    Ok((take(this)?, take(other)?))
}

fn is_empty(group: &AutoScalingGroup) -> bool {
    group.desired_capacity().unwrap_or(0) == 0 && group.instances().is_empty()
}

/// What green is launched from: its own launch template, or what both share where the revision is a version of it.
fn launch(
    green: &AutoScalingGroup,
    blue: &AutoScalingGroup,
    revision: &AwsRevision,
) -> Result<Launch, Fault> {
    let name = green.auto_scaling_group_name().unwrap_or_default();
    let refuse = |why: String| {
        let message = format!("`{name}` cannot become green: {why}");
        Err(Fault::new(FaultKind::Invalid, "UpdateAutoScalingGroup", message))
    };
    let Some(own) = Launch::of(green) else {
        return refuse(
            "it has a launch configuration, which has no versions: move it to a launch template".into(),
        );
    };
    let refusals = own.refusals(revision);
    if !refusals.is_empty() {
        return refuse(refusals.join("; "));
    }
    let theirs = Launch::of(blue).and_then(|launch| launch.id().ok());
    let differs = *revision == AwsRevision::LaunchTemplate && theirs.is_some() && theirs != own.id().ok();
    if differs {
        return refuse(
            "its launch template is not the other one's, so a version number does not mean the same in both: give \
             both groups one launch template"
                .into(),
        );
    }
    Ok(own)
}

/// What the fleet runs. The pair needs no other tag of ours: the file names both groups.
async fn mark(api: &Api, home: &Home, name: &str, fleet: &Fleet) -> Result<(), Fault> {
    let one = |key: &str, value: &str| {
        let tag = Tag::builder().resource_id(name).resource_type("auto-scaling-group");
        tag.key(key).value(value).propagate_at_launch(false).build()
    };
    let pending = matches!(home.spec.revision, AwsRevision::Bundle(_)).then(|| one(PENDING, "install"));
    let tags = [one(REVISION, fleet.revision.as_str())].into_iter().chain(pending).collect();
    let call = api.autoscaling.create_or_update_tags().set_tags(Some(tags));
    api.send(Family::AutoScaling, "CreateOrUpdateTags", call.send()).await.map(drop)
}

/// Takes an empty group out of every target group.
async fn detach(api: &Api, group: &AutoScalingGroup) -> Result<(), Fault> {
    let sources = group.traffic_sources().iter().filter(|source| source.r#type() == Some("elbv2"));
    let by_source: BTreeSet<_> =
        sources.filter_map(|source| source.identifier().map(str::to_owned)).collect();
    let by_group =
        group.target_group_arns().iter().filter(|arn| !by_source.contains(*arn)).cloned().collect();
    super::detach::detach(api, group.auto_scaling_group_name().unwrap_or_default(), &by_group, &by_source)
        .await
}

/// Attaches the empty group where it belongs: beside the serving one in a shared target group, in the other of two twins.
/// Only an empty one, for attaching registers every instance there is.
async fn attach_again(
    api: &Api,
    home: &Home,
    resting: &AutoScalingGroup,
    serving: &AutoScalingGroup,
) -> Result<(), Fault> {
    let arns = match arns(api, home).await {
        Err(fault) if fault.kind == FaultKind::Missing => return Ok(()), // A twin that is still to be made.
        arns => arns?,
    };
    let wanted = beside(home.spec.groups.values(), &arns, &attached(serving));
    let missing: Vec<_> = wanted.difference(&attached(resting)).cloned().collect();
    let name = resting.auto_scaling_group_name().unwrap_or_default();
    for some in missing.chunks(ATTACHED_MAX) {
        let sources = some.iter().filter_map(|arn| {
            TrafficSourceIdentifier::builder().identifier(arn).r#type("elbv2").build().into()
        });
        let call = api.autoscaling.attach_traffic_sources().auto_scaling_group_name(name);
        let call = call.set_traffic_sources(Some(sources.collect()));
        api.send(Family::AutoScaling, "AttachTrafficSources", call.send()).await?;
    }
    Ok(())
}

fn attached(group: &AutoScalingGroup) -> BTreeSet<String> {
    let sources = group.traffic_sources().iter().filter_map(|source| source.identifier().map(str::to_owned));
    group.target_group_arns().iter().cloned().chain(sources).collect()
}

/// Where the resting group belongs, as the serving one stands.
fn beside<'a>(
    groups: impl Iterator<Item = &'a AwsGroup>,
    arns: &BTreeMap<String, String>,
    serving: &BTreeSet<String>,
) -> BTreeSet<String> {
    let stands = |name: &String| arns.get(name).is_some_and(|arn| serving.contains(arn));
    let names = groups.filter_map(|group| match group {
        AwsGroup::Shared { name, .. } => stands(name).then_some(name),
        AwsGroup::Twins { names: [one, two], .. } => match (stands(one), stands(two)) {
            (true, false) => Some(two),
            (false, true) => Some(one),
            (true, true) | (false, false) => None,
        },
    });
    names.filter_map(|name| arns.get(name).cloned()).collect()
}

/// The declared target groups by name.
async fn arns(api: &Api, home: &Home) -> Result<BTreeMap<String, String>, Fault> {
    let names: Vec<_> = home.spec.groups.values().flat_map(|group| group.names().to_vec()).collect();
    let mut arns = BTreeMap::new();
    for some in names.chunks(NAMES_MAX) {
        let call = api.elb.describe_target_groups().set_names(Some(some.to_vec()));
        let page = api.send(Family::ElbRead, "DescribeTargetGroups", call.send()).await?;
        let found = given("DescribeTargetGroups", page.target_groups)?.into_iter();
        arns.extend(found.filter_map(|group| Some((group.target_group_name?, group.target_group_arn?))));
    }
    Ok(arns)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::LaunchTemplateSpecification;

    use super::*;

    #[test]
    fn the_resting_group_belongs_beside_the_serving_one_and_in_the_other_twin() {
        let shared = AwsGroup::Shared { name: "internal".into(), accepts_whole: false };
        let twins = AwsGroup::Twins { names: ["web-a".into(), "web-b".into()], create: false };
        let arns = ["internal", "web-a", "web-b"].map(|name| (name.to_owned(), format!("arn/{name}"))).into();
        let set = |names: &[&str]| names.iter().map(|name| format!("arn/{name}")).collect::<BTreeSet<_>>();
        let place = |serving: &[&str]| beside([&shared, &twins].into_iter(), &arns, &set(serving));
        assert_eq!(place(&["internal", "web-a"]), set(&["internal", "web-b"]));
        assert_eq!(place(&["web-b"]), set(&["web-a"]));
        // Where the serving one stands in both or in none, which one is the other's cannot be told.
        assert_eq!(place(&["web-a", "web-b"]), set(&[]));
        assert_eq!(place(&[]), set(&[]));
    }

    #[test]
    fn a_version_number_counts_only_where_both_groups_have_one_launch_template() {
        let group = |id: &str| {
            let template = LaunchTemplateSpecification::builder().launch_template_id(id).version("3").build();
            AutoScalingGroup::builder().auto_scaling_group_name("api-b").launch_template(template).build()
        };
        let (one, two) = (group("lt-1"), group("lt-2"));
        assert!(launch(&one, &one, &AwsRevision::LaunchTemplate).is_ok());
        assert_eq!(launch(&one, &two, &AwsRevision::LaunchTemplate).unwrap_err().kind, FaultKind::Invalid);
        assert!(launch(&one, &two, &AwsRevision::Ami).is_ok());
    }
}
