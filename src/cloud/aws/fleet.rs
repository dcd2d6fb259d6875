//! Fleets come and go.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, DeletionProtection, ScalingPolicy, Tag};

use super::api::Api;
use super::arn;
use super::asgs::{Home, OWNER, tag};
use super::belongings;
use super::freeze;
use super::handover::hand_over;
use super::limit::Family;
use super::memory::Memory;
use super::{codedeploy, copy, look, pair};
use crate::cloud::{Fault, FaultKind};
use crate::coverage::Retirement;
use crate::model::{Fleet, FleetId, GroupId, Token};
use crate::spec::{AwsFleets, AwsRevision};

/// That a fleet's bundle has not been handed to CodeDeploy yet: whatever sizes it has, it is not complete. Written together
/// with the revision, and taken away once the deployment has its own tag.
pub(super) const PENDING: &str = "deployer:pending";

const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// The fleet exists, of its revision, and wants as many instances as planned.
///
/// # Errors
/// What stands against it, with the way out; the call's fault.
pub(super) async fn provision(
    api: &Api,
    home: &Home,
    memory: &Memory,
    fleet: &Fleet,
    token: &Token,
) -> Result<(), Fault> {
    match &home.spec.fleets {
        AwsFleets::Copy { from } => Box::pin(copy::provision(api, home, memory, from, (fleet, token))).await,
        AwsFleets::Pair(names) => Box::pin(pair::provision(api, home, names, fleet, token)).await,
        AwsFleets::Managed => {
            let message = "CodeDeploy makes the fleets of this service";
            Err(Fault::new(FaultKind::Invalid, "CreateAutoScalingGroup", message))
        }
    }
}

/// Takes a fleet away: a copied one for good, one of a pair to rest. Launch template versions stay, for the way back.
///
/// # Errors
/// [`FaultKind::Conflict`] where the fleet stands in a target group after all, or cannot go yet; the call's fault.
pub(super) async fn retire(api: &Api, home: &Home, proof: Retirement) -> Result<(), Fault> {
    let id = proof.fleet();
    if let AwsFleets::Pair(names) = &home.spec.fleets {
        return Box::pin(pair::retire(api, home, names, &proof)).await;
    }
    // What is asked last is asked at once: nothing changes while one answer waits for another.
    let (going, standing) = tokio::join!(going(api, home, id), refuse_standing(api, home, &proof));
    let Some(Going { group, by_hook, policies, others }) = going? else { return Ok(()) };
    standing?;
    let bundle = matches!(home.spec.revision, AwsRevision::Bundle(_));
    if bundle {
        Box::pin(codedeploy::inplace::remove(api, home, &group)).await?;
    }
    let copied = matches!(home.spec.fleets, AwsFleets::Copy { .. });
    let bare = copied && Box::pin(hand_over(api, home, (&group, &policies), &others)).await?;
    // Without its alarms or its warm pool it is no longer what it was, though the last call may be refused.
    let touched = bare || group.warm_pool_configuration().is_some();
    let refused = |fault: Fault| if touched { fault.ambiguous() } else { fault };
    // What was handed over took calls, and somebody may have come in meanwhile.
    if bundle || copied && !policies.is_empty() {
        Box::pin(refuse_standing(api, home, &proof)).await.map_err(refused)?;
    }
    delete(api, &group, by_hook).await.or_else(gone).map_err(refused)
}

/// A group that can go.
struct Going {
    group: AutoScalingGroup,
    /// Whether its instances end by a hook.
    by_hook: bool,
    /// What scales it.
    policies: Vec<ScalingPolicy>,
    /// The service's other fleets.
    others: BTreeMap<FleetId, AutoScalingGroup>,
}

/// The fleet's group, unless it is gone or being deleted already.
async fn going(api: &Api, home: &Home, id: &FleetId) -> Result<Option<Going>, Fault> {
    let mut fleets = home.fleets(api, &[id.clone()].into()).await?;
    let group = fleets.remove(id).filter(|group| is_ours(home, group));
    let Some(group) = group.filter(|group| group.status().is_none()) else { return Ok(None) };
    let empty = group.instances().is_empty() && group.warm_pool_configuration().is_none();
    let name = group.auto_scaling_group_name().unwrap_or_default();
    let by_hook = async { if empty { Ok(false) } else { ends_by_hook(api, name).await } };
    let (by_hook, policies) = tokio::try_join!(by_hook, belongings::policies(api, name))?;
    Ok(Some(Going { group, by_hook, policies, others: fleets }))
}

/// How many instances the group wants, as far as the fleet is complete; none before that, so that it is provisioned
/// again.
pub(super) fn desired(group: &AutoScalingGroup) -> i32 {
    if tag(group, PENDING).is_some() { 0 } else { group.desired_capacity().unwrap_or(0) }
}

/// Whether nothing of the fleet is left to be provisioned.
pub(super) fn is_whole(group: &AutoScalingGroup, fleet: &Fleet) -> bool {
    group.status().is_none() && i64::from(desired(group)) >= i64::from(fleet.size)
}

/// The smallest, largest and wanted number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub min: i32,
    pub max: i32,
    pub desired: i32,
}

impl Sizes {
    /// Room for nobody.
    pub const NONE: Self = Self { min: 0, max: 0, desired: 0 };
}

/// As blue may scale, and never below the plan.
pub(super) fn sizes(blue: &AutoScalingGroup, size: u32) -> Sizes {
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    let (min, max) = (blue.min_size().unwrap_or(0), blue.max_size().unwrap_or(0));
    Sizes { min: min.min(size), max: max.max(size), desired: size }
}

/// Gives a group its sizes.
///
/// # Errors
/// The call's fault.
pub(super) async fn size(api: &Api, group: &str, sizes: Sizes) -> Result<(), Fault> {
    let call = api.autoscaling.update_auto_scaling_group().auto_scaling_group_name(group);
    let call = call.min_size(sizes.min).max_size(sizes.max).desired_capacity(sizes.desired);
    api.send(Family::AutoScaling, "UpdateAutoScalingGroup", call.send()).await.map(drop)
}

/// Has CodeDeploy install the bundle where the revision is one, and takes [`PENDING`] away once it does.
///
/// # Errors
/// The call's fault.
pub(super) async fn install(
    api: &Api,
    home: &Home,
    fleet: &Fleet,
    group: &str,
    token: &Token,
) -> Result<(), Fault> {
    match &home.spec.revision {
        AwsRevision::LaunchTemplate | AwsRevision::Ami => Ok(()),
        AwsRevision::Bundle(_) => {
            Box::pin(codedeploy::inplace::install(api, home, fleet, group, token)).await?;
            let tag =
                Tag::builder().resource_id(group).resource_type("auto-scaling-group").key(PENDING).build();
            let call = api.autoscaling.delete_tags().tags(tag);
            api.send(Family::AutoScaling, "DeleteTags", call.send()).await.map(drop)
        }
    }
}

/// The last look before the one step without a way back: afresh, and at every target group of the region.
///
/// # Errors
/// [`FaultKind::Conflict`] with the groups in which it stands, but for those that may go dark.
pub(super) async fn refuse_standing(api: &Api, home: &Home, proof: &Retirement) -> Result<(), Fault> {
    let fleet = proof.fleet();
    let (standing, lit) = look::stands_anywhere(api, home, fleet).await?;
    refuse_dark(home, proof, &lit)?;
    let waived = waived(home, proof);
    let left: Vec<_> =
        standing.iter().filter(|name| !waived.contains(*name)).map(|name| format!("`{name}`")).collect();
    if left.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the fleet `{fleet}` stands in {} and would leave it dark: it was attached or registered there just now. \
         Deregister it, or declare the target group in the deployment file",
        left.join(", ")
    );
    Err(Fault::new(FaultKind::Conflict, "DeleteAutoScalingGroup", message))
}

/// What was proved a moment ago still holds: somebody else is healthy wherever somebody was. A look may remember for a few
/// seconds who was well; this does not.
///
/// # Errors
/// [`FaultKind::Conflict`] with the groups that would go dark.
pub(super) fn refuse_dark(home: &Home, proof: &Retirement, lit: &BTreeSet<String>) -> Result<(), Fault> {
    let proved = proof.covered().iter().filter(|(_, seen)| seen.waived.is_none() && seen.healthy > 0);
    let dark: Vec<_> = proved
        .filter(|(id, _)| !names(home, id).iter().any(|name| lit.contains(name)))
        .map(|(id, _)| format!("`{id}`"))
        .collect();
    if !dark.is_empty() {
        let message = format!(
            "the fleet `{}` stays: nobody else is healthy any more in {}, where somebody was when it was proved",
            proof.fleet(),
            dark.join(", ")
        );
        return Err(Fault::new(FaultKind::Conflict, "DeleteAutoScalingGroup", message));
    }
    Ok(())
}

fn waived(home: &Home, proof: &Retirement) -> BTreeSet<String> {
    let ids = proof.covered().iter().filter(|(_, evidence)| evidence.waived.is_some()).map(|(id, _)| id);
    ids.flat_map(|id| names(home, id)).collect()
}

/// What the target groups of a group are called. One that is known by its ARN has its name in it.
fn names(home: &Home, id: &GroupId) -> BTreeSet<String> {
    let declared = home.spec.groups.get(id).map(|group| group.names().to_vec()).unwrap_or_default();
    declared.into_iter().chain([arn::target_group(id.as_str()).to_owned()]).collect()
}

/// A group without our tag that only has a fleet's name is somebody else's.
fn is_ours(home: &Home, group: &AutoScalingGroup) -> bool {
    let named = group.auto_scaling_group_name().is_some_and(|name| home.named().contains(name));
    named || tag(group, OWNER) == Some(home.owner().as_str())
}

/// A forced deletion ends every instance in one call, whatever protects it, and drops what its termination hooks still
/// wait for. So a group with such hooks, or protected from it, is emptied first and deleted by a later try.
async fn delete(api: &Api, group: &AutoScalingGroup, by_hook: bool) -> Result<(), Fault> {
    let name = group.auto_scaling_group_name().unwrap_or_default();
    let protection = group.deletion_protection();
    if protection == Some(&DeletionProtection::PreventAllDeletion) {
        let message = format!("`{name}` is protected from deletion: set its deletion protection to `none`");
        return Err(Fault::new(FaultKind::Conflict, "DeleteAutoScalingGroup", message));
    }
    let pool = group.warm_pool_configuration().is_some();
    let empty = group.instances().is_empty() && !pool;
    let gently = protection == Some(&DeletionProtection::PreventForceDeletion) || by_hook;
    if gently && !empty {
        if pool {
            let call = api.autoscaling.delete_warm_pool().auto_scaling_group_name(name).force_delete(false);
            api.send(Family::AutoScaling, "DeleteWarmPool", call.send()).await?;
        }
        return empty_out(api, group, Sizes { min: 0, max: 0, desired: 0 }).await;
    }
    // An empty group is not forced: an instance that was launched just now refuses it.
    let call = api.autoscaling.delete_auto_scaling_group().auto_scaling_group_name(name).force_delete(!empty);
    api.send(Family::AutoScaling, "DeleteAutoScalingGroup", call.send()).await.map(drop)
}

async fn ends_by_hook(api: &Api, name: &str) -> Result<bool, Fault> {
    let hooks = belongings::hooks(api, name).await?;
    Ok(hooks.iter().any(|hook| hook.lifecycle_transition() == Some(TERMINATING)))
}

/// Lets every instance go. Protected ones would stay, and so would all while nothing may terminate.
///
/// # Errors
/// [`FaultKind::Conflict`] where termination is suspended; the call's fault.
pub(super) async fn empty_out(api: &Api, group: &AutoScalingGroup, to: Sizes) -> Result<(), Fault> {
    let name = group.auto_scaling_group_name().unwrap_or_default();
    if group.suspended_processes().iter().any(|process| process.process_name() == Some("Terminate")) {
        let message = format!(
            "the process Terminate of `{name}` is suspended, so its instances would stay for ever: resume it with \
             `aws autoscaling resume-processes --auto-scaling-group-name {name} --scaling-processes Terminate`"
        );
        return Err(Fault::new(FaultKind::Conflict, "UpdateAutoScalingGroup", message));
    }
    freeze::protect(api, name, &freeze::in_service(group, true), false).await?;
    let at = (group.min_size(), group.max_size(), group.desired_capacity());
    if at == (Some(to.min), Some(to.max), Some(to.desired)) {
        return Ok(());
    }
    size(api, name, to).await
}

/// What is not there has gone.
pub(super) fn gone(fault: Fault) -> Result<(), Fault> {
    if fault.kind == FaultKind::Missing { Ok(()) } else { Err(fault) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::TagDescription;

    use super::*;
    use crate::model::Revision;

    #[test]
    fn green_scales_as_blue_does_and_never_below_the_plan() {
        let blue = AutoScalingGroup::builder().min_size(2).max_size(8).desired_capacity(4).build();
        assert_eq!(sizes(&blue, 4), Sizes { min: 2, max: 8, desired: 4 });
        assert_eq!(sizes(&blue, 12), Sizes { min: 2, max: 12, desired: 12 });
        assert_eq!(sizes(&blue, 1), Sizes { min: 1, max: 8, desired: 1 });
    }

    #[test]
    fn a_fleet_is_complete_when_it_wants_what_was_planned_and_nothing_is_pending() {
        let fleet =
            Fleet { id: FleetId::new("api-v7").unwrap(), revision: Revision::new("7").unwrap(), size: 3 };
        let group = AutoScalingGroup::builder().desired_capacity(3);
        assert!(is_whole(&group.clone().build(), &fleet));
        assert!(!is_whole(&group.clone().desired_capacity(2).build(), &fleet));
        assert!(!is_whole(&group.clone().status("Delete in progress").build(), &fleet));
        let pending = TagDescription::builder().key(PENDING).value("install").build();
        let pending = group.tags(pending).build();
        assert_eq!(desired(&pending), 0);
        assert!(!is_whole(&pending, &fleet));
    }
}
