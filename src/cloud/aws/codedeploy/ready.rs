//! The gate at `Ready`: green is compared with blue before `CodeDeploy` may move traffic.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleState, Tag};
use aws_sdk_codedeploy::types::{AutoRollbackConfiguration, DeploymentInfo, DeploymentWaitType};

use super::super::api::Api;
use super::super::asgs::{Home, by_name};
use super::super::detach::ATTACHED_MAX;
use super::super::limit::Family;
use super::deployment::{Post, go_on, id};
use super::group::{attached, fleets, incomplete, lacking, named, names, read, required};
use super::progress::CONTINUED;
use crate::cloud::{Fault, FaultKind};
use crate::model::GroupId;

/// How a copy differs from its original.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Target groups that the copy is not attached to. What `CodeDeploy` registered is served without an attachment, but
    /// an instance that is launched later is not.
    pub attach: BTreeSet<String>,
    /// The kind of health check that the original has, and for how many seconds it is put off.
    pub check: Option<(String, Option<i32>)>,
    /// What cannot be mended.
    pub refuse: Vec<String>,
}

/// Compares a copy with its original. The copy has as many instances as were healthy in the original at the moment
/// (`CodeDeploy` user guide), which may be too few.
pub(super) fn compare(copy: &AutoScalingGroup, blue: &AutoScalingGroup) -> Differences {
    let mut differences =
        Differences { attach: lacking(&attached(blue), &attached(copy)), ..Differences::default() };
    if copy.health_check_type() != blue.health_check_type() {
        differences.check =
            blue.health_check_type().map(|kind| (kind.to_owned(), blue.health_check_grace_period()));
    }
    let (has, needs) = (copy.desired_capacity().unwrap_or(0), blue.desired_capacity().unwrap_or(0));
    if has < needs {
        differences.refuse.push(format!("it wants {has} instances and blue {needs}"));
    }
    // Lattice groups, and whatever kinds there will be: nothing of ours can attach these.
    let strange = |group: &AutoScalingGroup| -> BTreeSet<String> {
        let known = attached(group);
        let sources = group.traffic_sources().iter().filter_map(|source| source.identifier());
        sources.filter(|source| !known.contains(*source)).map(str::to_owned).collect()
    };
    let lost = lacking(&strange(blue), &strange(copy));
    differences.refuse.extend(lost.iter().map(|source| format!("it lacks blue's traffic source `{source}`")));
    differences
}

/// Lets `CodeDeploy` move traffic: only where it will reach every group that is asked for, every declared one and every
/// one that blue is attached to, and where green is no less than blue.
///
/// Target groups are attached here, while blue still carries them all: green, which is installed and validated, is
/// registered by that, a moment before `CodeDeploy` does it.
///
/// # Errors
/// A refusal with every reason; the calls' faults.
pub(super) async fn open(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    (info, copy): (&DeploymentInfo, &AutoScalingGroup),
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    let now = read(api, at).await?;
    let blues: BTreeSet<_> = fleets(&now).into_iter().collect();
    let blue = by_name(api, &blues).await?.into_iter().next();
    let blue =
        blue.ok_or_else(|| refuse(info, "the deployment group's Auto Scaling group does not exist"))?;
    // The list that this deployment works by, where it is told, and the group's own in any case.
    let mut wanted = required(home, &blue);
    wanted.extend(groups.iter().flat_map(|id| named(home, id)));
    let mut missing = lacking(&wanted, &names(now.load_balancer_info()));
    if let Some(own) = info.load_balancer_info() {
        missing.extend(lacking(&wanted, &names(Some(own))));
    }
    if !missing.is_empty() {
        return Err(incomplete(at, &missing));
    }
    if info.auto_rollback_configuration().is_some_and(AutoRollbackConfiguration::enabled) {
        return Err(refuse(
            info,
            "its autoRollbackConfiguration is enabled: CodeDeploy would roll back by itself",
        ));
    }
    let name = copy.auto_scaling_group_name().unwrap_or_default();
    if blue.auto_scaling_group_name() != Some(name) {
        let differences = compare(copy, &blue);
        if !differences.refuse.is_empty() {
            return Err(refuse(info, &format!("its group `{name}`: {}", differences.refuse.join("; "))));
        }
        mend(api, name, &differences).await?;
    }
    mark(api, name, &[(CONTINUED, id(info))]).await?;
    go_on(api, id(info), DeploymentWaitType::ReadyWait).await
}

fn refuse(info: &DeploymentInfo, words: &str) -> Fault {
    Fault::new(FaultKind::Invalid, "ContinueDeployment", format!("CodeDeploy {}: {words}", id(info)))
}

async fn mend(api: &Api, name: &str, differences: &Differences) -> Result<(), Fault> {
    let arns: Vec<_> = differences.attach.iter().cloned().collect();
    for some in arns.chunks(ATTACHED_MAX) {
        let call = api.autoscaling.attach_load_balancer_target_groups().auto_scaling_group_name(name);
        let call = call.set_target_group_arns(Some(some.to_vec()));
        api.send(Family::AutoScaling, "AttachLoadBalancerTargetGroups", call.send()).await?;
    }
    if let Some((kind, grace)) = &differences.check {
        let call = api.autoscaling.update_auto_scaling_group().auto_scaling_group_name(name);
        let call = call.health_check_type(kind).set_health_check_grace_period(*grace);
        api.send(Family::AutoScaling, "UpdateAutoScalingGroup", call.send()).await?;
    }
    Ok(())
}

/// Writes tags on an Auto Scaling group; its instances do not get them.
///
/// # Errors
/// The call's fault.
pub(super) async fn mark(api: &Api, name: &str, tags: &[(&str, &str)]) -> Result<(), Fault> {
    let tag = |(key, value): &(&str, &str)| {
        let tag = Tag::builder().resource_id(name).resource_type("auto-scaling-group");
        tag.key(*key).value(*value).propagate_at_launch(false).build()
    };
    let call = api.autoscaling.create_or_update_tags().set_tags(Some(tags.iter().map(tag).collect()));
    api.send(Family::AutoScaling, "CreateOrUpdateTags", call.send()).await?;
    Ok(())
}

/// How many instances are in service and healthy.
pub(super) fn in_service(group: &AutoScalingGroup) -> u32 {
    let well = group.instances().iter().filter(|instance| {
        let healthy = instance.health_status().is_some_and(|status| status.eq_ignore_ascii_case("healthy"));
        healthy && instance.lifecycle_state() == Some(&LifecycleState::InService)
    });
    u32::try_from(well.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::TrafficSourceIdentifier;

    use super::*;

    const ONE: &str = "arn:aws:elasticloadbalancing:r:1:targetgroup/one/1";
    const TWO: &str = "arn:aws:elasticloadbalancing:r:1:targetgroup/two/2";
    const LATTICE: &str = "arn:aws:vpc-lattice:r:1:targetgroup/tg-3";

    fn group(arns: &[&str], sources: &[&str], check: &str, desired: i32) -> AutoScalingGroup {
        let source = |arn: &&str| TrafficSourceIdentifier::builder().identifier(*arn).build();
        AutoScalingGroup::builder()
            .set_target_group_arns(Some(arns.iter().map(ToString::to_string).collect()))
            .set_traffic_sources(Some(sources.iter().map(source).collect()))
            .health_check_type(check)
            .health_check_grace_period(90)
            .desired_capacity(desired)
            .build()
    }

    #[test]
    fn a_copy_gets_what_it_lacks_and_is_refused_for_what_cannot_be_mended() {
        let blue = group(&[ONE], &[ONE, TWO, LATTICE], "ELB", 3);
        let same = group(&[ONE, TWO], &[ONE, TWO, LATTICE], "ELB", 3);
        assert_eq!(compare(&same, &blue), Differences::default());
        let bare = compare(&group(&[], &[], "EC2", 2), &blue);
        assert_eq!(bare.attach, [ONE.to_owned(), TWO.to_owned()].into());
        assert_eq!(bare.check, Some(("ELB".to_owned(), Some(90))));
        assert_eq!(bare.refuse.len(), 2, "{:?}", bare.refuse);
        assert!(bare.refuse[0].contains("2 instances and blue 3"), "{:?}", bare.refuse);
        assert!(bare.refuse[1].contains("vpc-lattice"), "{:?}", bare.refuse);
    }
}
