//! What green gets from blue only once it stands where blue stood.
//!
//! A policy that follows the requests of a target group is taken by AWS only on a group that is attached to it
//! (`PredefinedMetricSpecification` in the Auto Scaling API reference), and alarms would only wake people before. So both
//! come when blue goes, which does not go without having given them. Scaling is held still until then in any case.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::{AutoScalingGroup, ScalingPolicy};
use futures_util::future::{self, TryFutureExt as _};

use super::alarms::{Driving, Renaming, is_driven};
use super::api::Api;
use super::arn;
use super::asgs::Home;
use super::belongings::{is_late, put_policy};
use super::survey::listed;
use crate::cloud::{Fault, FaultKind};
use crate::model::FleetId;
use crate::spec::AwsGroup;

/// Gives to the group that stays what the leaving one has, where it is the newer one, and takes away the alarms that we
/// had made for the leaving one; whether there were any, it says. Repeated it changes nothing more.
///
/// # Errors
/// [`FaultKind::Invalid`] with what cannot be given; the calls' faults.
pub(super) async fn hand_over(
    api: &Api,
    home: &Home,
    (leaving, policies): (&AutoScalingGroup, &[ScalingPolicy]),
    others: &BTreeMap<FleetId, AutoScalingGroup>,
) -> Result<bool, Fault> {
    let from = leaving.auto_scaling_group_name().unwrap_or_default();
    if leaving.created_time().is_none() {
        // Who is the older one could not be told, and who inherits from whom.
        let message = format!("the answer does not say when `{from}` was made");
        return Err(Fault::new(FaultKind::Unexpected, "DescribeAutoScalingGroups", message));
    }
    let driving = Driving::of(api, policies).await?;
    if let Some(heir) = heir(leaving, others) {
        let to = heir.auto_scaling_group_name().unwrap_or_default();
        let refusals = driving.refusals(from);
        if !refusals.is_empty() {
            let message = format!("`{from}` cannot give `{to}` what scales it: {}", refusals.join("; "));
            return Err(Fault::new(FaultKind::Invalid, "PutMetricAlarm", message));
        }
        let mut renaming = Renaming { from, to, groups: twins(home, heir), policies: BTreeMap::new() };
        let given = policies.iter().filter(|policy| is_driven(policy) || is_late(policy));
        let puts = given.map(|policy| {
            put_policy(api, &renaming, policy).map_ok(|made| policy.policy_arn.clone().zip(made))
        });
        let made = future::try_join_all(puts).await?;
        renaming.policies = made.into_iter().flatten().collect();
        driving.give(api, home, &renaming).await?;
    }
    driving.remove(api, home, from).await
}

/// The group that was made after the leaving one: green on the way forward, and nobody on the way back.
fn heir<'a>(
    leaving: &AutoScalingGroup,
    others: &'a BTreeMap<FleetId, AutoScalingGroup>,
) -> Option<&'a AutoScalingGroup> {
    let made_at = |group: &AutoScalingGroup| group.created_time().and_then(|at| at.to_millis().ok());
    let younger = others.values().filter(|group| {
        group.status().is_none() && !group.instances().is_empty() && made_at(group) > made_at(leaving)
    });
    younger.max_by_key(|group| made_at(group))
}

/// The twin that a group is attached to, as metrics name it, by the name of either.
fn twins(home: &Home, heir: &AutoScalingGroup) -> BTreeMap<String, String> {
    let attached: Vec<_> = listed(heir).collect();
    let declared = home.spec.groups.values().filter_map(|group| match group {
        AwsGroup::Twins { names, .. } => Some(names),
        AwsGroup::Shared { .. } => None,
    });
    let mut twins = BTreeMap::new();
    for names in declared {
        let own = attached.iter().find(|own| names.iter().any(|name| name == arn::target_group(own)));
        let label = own.and_then(|own| own.split_once(":targetgroup/")).map(|(_, label)| label);
        twins.extend(
            label.into_iter().flat_map(|label| names.iter().map(|name| (name.clone(), label.to_owned()))),
        );
    }
    twins
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn only_a_younger_group_inherits() {
        let group = |name: &str, at: i64, instances: usize| {
            let instance = aws_sdk_autoscaling::types::Instance::builder().instance_id("i-1").build();
            AutoScalingGroup::builder()
                .auto_scaling_group_name(name)
                .created_time(DateTime::from_secs(at))
                .set_instances(Some(vec![instance; instances]))
                .build()
        };
        let others = |groups: &[AutoScalingGroup]| {
            let named = groups.iter().map(|group| {
                (FleetId::new(group.auto_scaling_group_name().unwrap()).unwrap(), group.clone())
            });
            named.collect::<BTreeMap<_, _>>()
        };
        let leaving = group("api", 10, 2);
        let named = |groups: &[AutoScalingGroup]| {
            heir(&leaving, &others(groups)).and_then(|group| group.auto_scaling_group_name.clone())
        };
        assert_eq!(named(&[group("green", 20, 2), group("old", 5, 2)]).as_deref(), Some("green"));
        assert_eq!(named(&[group("old", 5, 2)]), None, "the way back");
        assert_eq!(named(&[group("empty", 20, 0)]), None);
    }
}
