//! An Auto Scaling group leaves target groups, by the way in which it came to each.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::TrafficSourceIdentifier;

use super::api::Api;
use super::asgs::by_name;
use super::limit::Family;
use super::survey::listed;
use crate::cloud::{Fault, FaultKind};

/// Target groups that one attachment or detachment may name (Auto Scaling API reference; not adjustable).
pub(super) const ATTACHED_MAX: usize = 10;

/// Detaches the group from these: what one call attached the other cannot detach (Auto Scaling API reference,
/// `DetachLoadBalancerTargetGroups`).
///
/// # Errors
/// The call's fault; [`FaultKind::Conflict`] where only a part of it is left to be detached.
pub(super) async fn detach(
    api: &Api,
    group: &str,
    by_group: &BTreeSet<String>,
    by_source: &BTreeSet<String>,
) -> Result<(), Fault> {
    for some in by_group.iter().cloned().collect::<Vec<_>>().chunks(ATTACHED_MAX) {
        let call = api.autoscaling.detach_load_balancer_target_groups().auto_scaling_group_name(group);
        let call = call.set_target_group_arns(Some(some.to_vec()));
        let sent = api.send(Family::AutoScaling, "DetachLoadBalancerTargetGroups", call.send()).await;
        unless_done(api, group, some, sent.map(drop)).await?;
    }
    for some in by_source.iter().cloned().collect::<Vec<_>>().chunks(ATTACHED_MAX) {
        let sources =
            some.iter().map(|arn| TrafficSourceIdentifier::builder().identifier(arn).r#type("elbv2").build());
        let call = api.autoscaling.detach_traffic_sources().auto_scaling_group_name(group);
        let call = call.set_traffic_sources(Some(sources.collect()));
        let sent = api.send(Family::AutoScaling, "DetachTrafficSources", call.send()).await;
        unless_done(api, group, some, sent.map(drop)).await?;
    }
    Ok(())
}

/// What is not attached cannot be detached: AWS refuses it as a bad request. So a call that was made twice, because the
/// first answer was lost on the way, is refused although everything is as it should be, and the group itself tells.
async fn unless_done(api: &Api, name: &str, arns: &[String], sent: Result<(), Fault>) -> Result<(), Fault> {
    let fault = match sent {
        Err(fault) if matches!(fault.kind, FaultKind::Invalid | FaultKind::Missing) => fault,
        other => return other,
    };
    let groups = by_name(api, &[name.to_owned()].into()).await?;
    let Some(group) = groups.first() else { return Err(Fault { kind: FaultKind::Conflict, ..fault }) };
    let attached: BTreeSet<String> = listed(group).collect();
    match arns.iter().filter(|arn| attached.contains(*arn)).count() {
        0 => Ok(()),
        left if left < arns.len() => Err(Fault { kind: FaultKind::Conflict, ..fault }),
        _ => Err(fault),
    }
}
