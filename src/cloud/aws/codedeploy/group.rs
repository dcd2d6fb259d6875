//! A deployment group: what it lists, and which of its settings would act behind our back.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_codedeploy::types::{
    BlueInstanceTerminationOption, DeploymentGroupInfo, DeploymentOption, DeploymentReadyAction,
    DeploymentReadyOption, DeploymentType, GreenFleetProvisioningAction, InstanceAction, LoadBalancerInfo,
    TargetGroupInfo,
};

use super::super::api::Api;
use super::super::asgs::Home;
use super::super::limit::Family;
use super::bundle;
use super::deployment::Post;
use crate::cloud::{Fault, FaultKind};
use crate::model::{GroupId, Revision};
use crate::spec::{AwsFleets, AwsRevision, CodeDeploy};

/// How many target groups a deployment group may list (`CodeDeploy` API reference: `targetGroupInfoList`).
const LISTED_MAX: usize = 10;
/// `Ready` must last at least this long: green settles in it, and steps of other groups are taken.
const READY_MINS_MIN: i32 = 30;
/// The wait before blue is terminated must last at least this long: the bake time and the quiet period lie in it, and
/// the group does not know them. A wait that ends before them is stopped by `managed::shield`.
const TERMINATION_MINS_MIN: i32 = 60;

/// How the service is installed.
///
/// # Errors
/// A service that `CodeDeploy` does not install.
pub(super) fn code(home: &Home) -> Result<&CodeDeploy, Fault> {
    match &home.spec.revision {
        AwsRevision::Bundle(code) => Ok(code),
        AwsRevision::LaunchTemplate | AwsRevision::Ami => {
            let message = "CodeDeploy has nothing to install: write `revision_is: bundle`";
            Err(Fault::new(FaultKind::Invalid, "GetDeploymentGroup", message))
        }
    }
}

/// The deployment group that makes the fleets.
///
/// # Errors
/// A file that names none.
pub(super) fn post(home: &Home) -> Result<Post<'_>, Fault> {
    let code = code(home)?;
    let group = code.deployment_groups.first().ok_or_else(|| {
        Fault::new(FaultKind::Invalid, "GetDeploymentGroup", "`codedeploy` names no deployment group")
    })?;
    Ok(Post { application: &code.application, group })
}

/// Reads a deployment group.
///
/// # Errors
/// The call's fault.
pub(super) async fn read(api: &Api, at: Post<'_>) -> Result<DeploymentGroupInfo, Fault> {
    let call = api.codedeploy.get_deployment_group().application_name(at.application);
    let call = call.deployment_group_name(at.group);
    let answer = api.send(Family::CodeDeploy, "GetDeploymentGroup", call.send()).await?;
    answer.deployment_group_info.ok_or_else(|| {
        Fault::new(FaultKind::Unexpected, "GetDeploymentGroup", "no deployment group in the answer")
    })
}

/// The target groups that the service's deployment groups list, by name. None where `CodeDeploy` installs nothing.
///
/// # Errors
/// The call's fault.
pub async fn listed(api: &Api, home: &Home) -> Result<BTreeSet<String>, Fault> {
    let AwsRevision::Bundle(code) = &home.spec.revision else { return Ok(BTreeSet::new()) };
    let mut all = BTreeSet::new();
    for group in &code.deployment_groups {
        let info = api.seen.group(api, home, Post { application: &code.application, group }).await?;
        all.extend(names(info.load_balancer_info()));
    }
    Ok(all)
}

/// The Auto Scaling group that the deployment group of a managed service lists now: blue, and green once `CodeDeploy` is
/// through. None where it lists none, and where fleets are not `CodeDeploy`'s.
///
/// # Errors
/// The call's fault.
pub async fn current_group(api: &Api, home: &Home) -> Result<Option<String>, Fault> {
    if home.spec.fleets != AwsFleets::Managed {
        return Ok(None);
    }
    let info = api.seen.group(api, home, post(home)?).await?;
    Ok(fleets(&info).into_iter().next())
}

/// The revision that the deployment group installed last, and installs on every instance that is launched: what a fleet
/// runs that has no tag of ours. None where it is no bundle of the file's.
///
/// # Errors
/// The call's fault.
pub async fn deployed(api: &Api, home: &Home) -> Result<Option<Revision>, Fault> {
    let info = api.seen.group(api, home, post(home)?).await?;
    let code = code(home)?;
    Ok(info.target_revision().and_then(|location| bundle::revision(&code.bundle, location)))
}

/// The names in a list of target groups.
pub(super) fn names(info: Option<&LoadBalancerInfo>) -> BTreeSet<String> {
    let listed = info.map(LoadBalancerInfo::target_group_info_list).unwrap_or_default();
    listed.iter().filter_map(|group| group.name().map(str::to_owned)).collect()
}

/// The names of its Auto Scaling groups.
pub(super) fn fleets(info: &DeploymentGroupInfo) -> Vec<String> {
    info.auto_scaling_groups().iter().filter_map(|group| group.name().map(str::to_owned)).collect()
}

/// The target groups that the list must hold: every declared one, and every one that blue is attached to.
pub(super) fn required(home: &Home, blue: &AutoScalingGroup) -> BTreeSet<String> {
    let declared = home.spec.groups.values().flat_map(|group| group.names().iter().cloned());
    declared.chain(attached(blue).iter().map(|arn| name(arn))).collect()
}

/// The target groups of an Auto Scaling group by ARN, attached in either way.
pub(super) fn attached(fleet: &AutoScalingGroup) -> BTreeSet<String> {
    let sources = fleet.traffic_sources().iter().filter_map(|source| source.identifier());
    let sources =
        sources.filter(|arn| arn.contains(":targetgroup/") && arn.contains(":elasticloadbalancing:"));
    fleet.target_group_arns().iter().map(String::as_str).chain(sources).map(str::to_owned).collect()
}

/// The name of a target group in its ARN `…:targetgroup/NAME/ID`; a name stays as it is.
pub(super) fn name(arn: &str) -> String {
    let inside = arn.split_once(":targetgroup/").and_then(|(_, rest)| rest.split('/').next());
    inside.unwrap_or(arn).to_owned()
}

/// The names of a group of the file's; of one that the file does not know, its own.
pub(super) fn named(home: &Home, id: &GroupId) -> BTreeSet<String> {
    match home.spec.groups.get(id) {
        Some(group) => group.names().iter().cloned().collect(),
        None => [name(id.as_str())].into(),
    }
}

/// What stands in the way of a managed rollout, each with the setting to change (`CodeDeploy` API reference:
/// `DeploymentStyle`, `BlueGreenDeploymentConfiguration`, `DeploymentReadyOption`, `BlueInstanceTerminationOption`).
///
/// Automatic rollbacks and alarms of the group are no reason to refuse: a deployment of ours switches the first off for
/// itself, and one that an alarm stopped has failed.
pub(super) fn refusals(info: &DeploymentGroupInfo) -> Vec<String> {
    let mut found = Vec::new();
    let mut refuse = |holds: bool, words: String| {
        if !holds {
            found.push(words);
        }
    };
    let style = info.deployment_style();
    let kind = style.and_then(|style| style.deployment_type());
    refuse(
        kind == Some(&DeploymentType::BlueGreen),
        "set deploymentStyle.deploymentType to BLUE_GREEN".into(),
    );
    let option = style.and_then(|style| style.deployment_option());
    refuse(
        option == Some(&DeploymentOption::WithTrafficControl),
        "set deploymentStyle.deploymentOption to WITH_TRAFFIC_CONTROL".into(),
    );
    let config = info.blue_green_deployment_configuration();
    let fleet = config.and_then(|config| config.green_fleet_provisioning_option()?.action());
    refuse(
        fleet == Some(&GreenFleetProvisioningAction::CopyAutoScalingGroup),
        "set greenFleetProvisioningOption.action to COPY_AUTO_SCALING_GROUP".into(),
    );
    let count = info.auto_scaling_groups().len();
    refuse(count == 1, format!("autoScalingGroups must name one group, and names {count}"));
    let tagged = !info.ec2_tag_filters().is_empty()
        || info.ec2_tag_set().is_some_and(|set| !set.ec2_tag_set_list().is_empty());
    refuse(
        !tagged,
        "take ec2TagFilters and ec2TagSet away: instances outside blue would be replaced too".into(),
    );
    let ready = config.and_then(|config| config.deployment_ready_option());
    let stops =
        ready.and_then(|ready| ready.action_on_timeout()) == Some(&DeploymentReadyAction::StopDeployment);
    let mins = ready.map_or(0, DeploymentReadyOption::wait_time_in_minutes);
    refuse(
        stops && mins >= READY_MINS_MIN,
        format!(
            "set deploymentReadyOption to STOP_DEPLOYMENT with waitTimeInMinutes {READY_MINS_MIN} or more: traffic \
             would move without being asked for"
        ),
    );
    let end = config.and_then(|config| config.terminate_blue_instances_on_deployment_success());
    let mins = end.map_or(0, BlueInstanceTerminationOption::termination_wait_time_in_minutes);
    let safe = match end.and_then(|end| end.action()) {
        Some(InstanceAction::KeepAlive) => true,
        Some(InstanceAction::Terminate) => mins >= TERMINATION_MINS_MIN,
        _ => false,
    };
    refuse(
        safe,
        format!(
            "set terminateBlueInstancesOnDeploymentSuccess to KEEP_ALIVE, or to TERMINATE with \
             terminationWaitTimeInMinutes {TERMINATION_MINS_MIN} or more: blue would go by itself"
        ),
    );
    found
}

/// Writes missing target groups into the list, and reads it again.
///
/// `loadBalancerInfo` is replaced as a whole, and a group that copies its Auto Scaling group must be told it again
/// (`CodeDeploy` user guide, and hashicorp/terraform-provider-aws issues 2233 and 5827), so everything read is sent back.
///
/// # Errors
/// More than `CodeDeploy` takes; the call's fault; a list that is not whole afterwards.
pub(super) async fn complete(
    api: &Api,
    at: Post<'_>,
    info: &DeploymentGroupInfo,
    missing: &BTreeSet<String>,
) -> Result<(), Fault> {
    let before = info.load_balancer_info();
    let mut list = before.map(LoadBalancerInfo::target_group_info_list).unwrap_or_default().to_vec();
    list.extend(missing.iter().map(|name| TargetGroupInfo::builder().name(name).build()));
    let whole = LoadBalancerInfo::builder()
        .set_elb_info_list(before.and_then(|before| before.elb_info_list.clone()))
        .set_target_group_pair_info_list(before.and_then(|before| before.target_group_pair_info_list.clone()))
        .set_target_group_info_list(Some(list))
        .build();
    update(api, at, info, fleets(info), Some(whole)).await?;
    let after = read(api, at).await?;
    let absent = lacking(missing, &names(after.load_balancer_info()));
    if absent.is_empty() { Ok(()) } else { Err(incomplete(at, &absent)) }
}

/// Lets the deployment group point at another Auto Scaling group.
///
/// # Errors
/// The call's fault.
pub(super) async fn point_at(
    api: &Api,
    at: Post<'_>,
    info: &DeploymentGroupInfo,
    fleet: &str,
) -> Result<(), Fault> {
    update(api, at, info, vec![fleet.to_owned()], info.load_balancer_info().cloned()).await
}

async fn update(
    api: &Api,
    at: Post<'_>,
    info: &DeploymentGroupInfo,
    fleets: Vec<String>,
    balancers: Option<LoadBalancerInfo>,
) -> Result<(), Fault> {
    let call = api.codedeploy.update_deployment_group().application_name(at.application);
    let call = call.current_deployment_group_name(at.group).set_auto_scaling_groups(Some(fleets));
    let call = call.set_load_balancer_info(balancers).set_deployment_style(info.deployment_style().cloned());
    let call =
        call.set_blue_green_deployment_configuration(info.blue_green_deployment_configuration().cloned());
    let answer = api.send(Family::CodeDeploy, "UpdateDeploymentGroup", call.send()).await?;
    for hook in answer.hooks_not_cleaned_up() {
        let fleet = hook.name().unwrap_or("a group without a name");
        tracing::warn!(
            "CodeDeploy left its lifecycle hook on `{fleet}`: take it away, or its launches time out"
        );
    }
    Ok(())
}

/// The required groups that a list lacks.
pub(super) fn lacking(required: &BTreeSet<String>, listed: &BTreeSet<String>) -> BTreeSet<String> {
    required.difference(listed).cloned().collect()
}

/// Whether a list of this many can be written at all.
pub(super) fn expressible(required: &BTreeSet<String>, listed: &BTreeSet<String>) -> bool {
    required.union(listed).count() <= LISTED_MAX
}

/// The refusal of a list that lacks target groups: the incident itself.
pub(super) fn incomplete(at: Post<'_>, missing: &BTreeSet<String>) -> Fault {
    let names: Vec<_> = missing.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "the deployment group `{}` does not list {}: these would go dark with blue; add them to \
         loadBalancerInfo.targetGroupInfoList, or write `complete: true`",
        at.group,
        names.join(", ")
    );
    Fault::new(FaultKind::Invalid, "GetDeploymentGroup", message)
}

#[cfg(test)]
mod tests {
    use aws_sdk_codedeploy::types::{
        AutoScalingGroup as Listed, BlueGreenDeploymentConfiguration, DeploymentStyle, Ec2TagFilter,
        GreenFleetProvisioningOption,
    };

    use super::*;

    /// The settings that the refusals are about.
    #[derive(Clone, Copy)]
    struct Settings {
        style: (&'static str, &'static str),
        fleet: &'static str,
        ready: (&'static str, i32),
        end: (&'static str, i32),
        fleets: usize,
        tags: bool,
    }

    const GOOD: Settings = Settings {
        style: ("BLUE_GREEN", "WITH_TRAFFIC_CONTROL"),
        fleet: "COPY_AUTO_SCALING_GROUP",
        ready: ("STOP_DEPLOYMENT", 60),
        end: ("TERMINATE", 120),
        fleets: 1,
        tags: false,
    };

    fn made(of: Settings) -> DeploymentGroupInfo {
        let ready = DeploymentReadyOption::builder().action_on_timeout(of.ready.0.into());
        let end = BlueInstanceTerminationOption::builder().action(of.end.0.into());
        let config = BlueGreenDeploymentConfiguration::builder()
            .deployment_ready_option(ready.wait_time_in_minutes(of.ready.1).build())
            .terminate_blue_instances_on_deployment_success(
                end.termination_wait_time_in_minutes(of.end.1).build(),
            )
            .green_fleet_provisioning_option(
                GreenFleetProvisioningOption::builder().action(of.fleet.into()).build(),
            )
            .build();
        let style = DeploymentStyle::builder().deployment_type(of.style.0.into());
        let fleets = (0..of.fleets).map(|n| Listed::builder().name(format!("api-{n}")).build()).collect();
        DeploymentGroupInfo::builder()
            .deployment_style(style.deployment_option(of.style.1.into()).build())
            .blue_green_deployment_configuration(config)
            .set_auto_scaling_groups(Some(fleets))
            .set_ec2_tag_filters(of.tags.then(|| vec![Ec2TagFilter::builder().key("role").build()]))
            .build()
    }

    #[test]
    fn every_setting_that_acts_behind_our_back_is_refused_by_its_name() {
        for (settings, words) in [
            (GOOD, ""),
            (Settings { end: ("KEEP_ALIVE", 0), ..GOOD }, ""),
            (
                Settings { style: ("IN_PLACE", "WITH_TRAFFIC_CONTROL"), ..GOOD },
                "deploymentType to BLUE_GREEN",
            ),
            (Settings { style: ("BLUE_GREEN", "WITHOUT_TRAFFIC_CONTROL"), ..GOOD }, "WITH_TRAFFIC_CONTROL"),
            (Settings { fleet: "DISCOVER_EXISTING", ..GOOD }, "COPY_AUTO_SCALING_GROUP"),
            (Settings { fleet: "DREAM", ..GOOD }, "COPY_AUTO_SCALING_GROUP"),
            (Settings { fleets: 0, ..GOOD }, "names 0"),
            (Settings { fleets: 2, ..GOOD }, "names 2"),
            (Settings { tags: true, ..GOOD }, "ec2TagFilters"),
            (Settings { ready: ("CONTINUE_DEPLOYMENT", 0), ..GOOD }, "STOP_DEPLOYMENT"),
            (Settings { ready: ("CONTINUE_DEPLOYMENT", 60), ..GOOD }, "STOP_DEPLOYMENT"),
            (Settings { ready: ("STOP_DEPLOYMENT", 0), ..GOOD }, "waitTimeInMinutes"),
            (Settings { ready: ("DREAM", 60), ..GOOD }, "STOP_DEPLOYMENT"),
            (Settings { end: ("TERMINATE", 0), ..GOOD }, "terminationWaitTimeInMinutes"),
            (Settings { end: ("TERMINATE", 59), ..GOOD }, "terminationWaitTimeInMinutes"),
            (Settings { end: ("DREAM", 120), ..GOOD }, "KEEP_ALIVE"),
        ] {
            let found = refusals(&made(settings));
            assert_eq!(found.len(), usize::from(!words.is_empty()), "{words}: {found:?}");
            assert!(found.concat().contains(words), "{words}: {found:?}");
        }
        assert!(refusals(&DeploymentGroupInfo::builder().build()).len() >= 5);
    }

    #[test]
    fn a_target_group_is_named_by_its_arn_or_by_itself() {
        assert_eq!(name("arn:aws:elasticloadbalancing:r:1:targetgroup/api-internal/50dc6c"), "api-internal");
        assert_eq!(name("api-internal"), "api-internal");
    }

    #[test]
    fn a_list_of_ten_can_be_written_and_one_of_eleven_cannot() {
        let some = |to: u32| -> BTreeSet<_> { (0..to).map(|n| n.to_string()).collect() };
        assert!(expressible(&some(10), &some(3)));
        assert!(!expressible(&some(10), &["other".into()].into()));
        assert_eq!(lacking(&some(3), &some(2)), ["2".to_owned()].into());
    }
}
