//! A bundle is installed on a fleet that we made ourselves.
//!
//! Each fleet has a deployment group of its own: the halves of a pair those of the file, a copy one that is cloned from
//! the file's. The deployment is only begun here; looks see how far it is by the tag that names it.

use aws_sdk_autoscaling::types::{AutoScalingGroup, Tag as GroupTag};
use aws_sdk_codedeploy::types::{
    AutoRollbackConfiguration, DeploymentGroupInfo, DeploymentOption, DeploymentStyle, DeploymentType, Tag,
};

use super::super::api::Api;
use super::super::asgs::{FLEET, Home, OWNER, by_name, tag};
use super::super::limit::Family;
use super::deployment::{Found, Post, active, begin, coded, id, look, read as read_deployments, stop};
use super::group::{code, fleets, read};
use super::progress::DEPLOYMENT;
use super::{bundle, ready};
use crate::cloud::{Fault, FaultKind};
use crate::model::{Fleet, FleetId, Token};
use crate::spec::AwsFleets;

/// Begins to install the fleet's revision on its Auto Scaling group, unless that has begun. Asked again until a look
/// shows it: a fleet without a begun deployment is absent.
///
/// # Errors
/// [`FaultKind::Conflict`] until every instance is in service, or while another deployment runs; a deployment group with
/// settings that fight ours; the calls' faults.
pub async fn install(
    api: &Api,
    home: &Home,
    fleet: &Fleet,
    group_name: &str,
    token: &Token,
) -> Result<(), Fault> {
    api.seen.forget();
    let code = code(home)?;
    let group = own_group(home, &fleet.id, group_name)?;
    let at = Post { application: &code.application, group: &group };
    let on = by_name(api, &[group_name.to_owned()].into()).await?.pop().ok_or_else(|| {
        let message = format!("`{group_name}` does not exist yet");
        Fault::new(FaultKind::Conflict, "CreateDeployment", message)
    })?;
    let found = match look(api, home, at, token).await {
        Err(fault) if fault.kind == FaultKind::Missing => Found::default(),
        found => found?,
    };
    // One that has failed is named too: a look tells why.
    if let Some(info) = &found.ours {
        return name_it(api, &on, group_name, id(info)).await;
    }
    // Left by an earlier rollout to the same half of a pair: it would tell that this one is installed.
    if tag(&on, DEPLOYMENT).is_some() {
        forget(api, group_name).await?;
    }
    if let Some(running) = &found.other {
        let message = format!("CodeDeploy {} runs in the deployment group `{group}`", id(running));
        return Err(Fault::new(FaultKind::Conflict, "CreateDeployment", message));
    }
    let up = ready::in_service(&on);
    if up < fleet.size {
        let message = format!("{up} of {} instances of `{group_name}` are in service", fleet.size);
        return Err(Fault::new(FaultKind::Conflict, "CreateDeployment", message));
    }
    Box::pin(exists(api, home, at, group_name)).await?;
    let revision = bundle::location(&code.bundle, &fleet.revision);
    let made = begin(api, home, at, (&fleet.id, token, revision)).await?;
    tracing::info!("CodeDeploy {made} installs {} on `{group_name}`", fleet.revision);
    name_it(api, &on, group_name, &made).await
}

/// Takes away what [`install`] left behind: a running deployment, and a copy's own deployment group. Asked before the
/// Auto Scaling group goes, for its lifecycle hook would keep every later launch waiting (`CodeDeploy` user guide,
/// "Integrating with Auto Scaling").
///
/// # Errors
/// [`FaultKind::Conflict`] while the deployment stops; the calls' faults. What is gone already is no fault.
pub async fn remove(api: &Api, home: &Home, on: &AutoScalingGroup) -> Result<(), Fault> {
    api.seen.forget();
    if let Some(deployment) = tag(on, DEPLOYMENT) {
        let infos = read_deployments(api, &[deployment.to_owned()]).await;
        if infos.is_ok_and(|infos| infos.first().is_some_and(active)) {
            stop(api, deployment).await?;
            // Stopping takes its time (StopDeployment answers `Pending`).
            let message = format!("CodeDeploy {deployment} is stopping; the fleet goes when it has");
            return Err(Fault::new(FaultKind::Conflict, "StopDeployment", message));
        }
    }
    let AwsFleets::Copy { .. } = home.spec.fleets else { return Ok(()) };
    // Without this tag the group was there before us, and so was whatever has its name.
    let Some(fleet) = tag(on, FLEET) else { return Ok(()) };
    let at = Post { application: &code(home)?.application, group: fleet };
    let info = match read(api, at).await {
        Err(fault) if fault.kind == FaultKind::Missing => return Ok(()),
        info => info?,
    };
    if fleets(&info).iter().map(String::as_str).ne(on.auto_scaling_group_name()) {
        return Ok(());
    }
    let call = api.codedeploy.delete_deployment_group().application_name(at.application);
    let call = call.deployment_group_name(at.group);
    match api.send(Family::CodeDeploy, "DeleteDeploymentGroup", call.send()).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind == FaultKind::Missing => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// The deployment group of one fleet alone.
fn own_group(home: &Home, fleet: &FleetId, group_name: &str) -> Result<String, Fault> {
    let own = match &home.spec.fleets {
        AwsFleets::Copy { .. } => Some(fleet.to_string()),
        AwsFleets::Pair(pair) => {
            let half = pair.iter().position(|name| name == group_name);
            half.and_then(|half| code(home).ok()?.deployment_groups.get(half).cloned())
        }
        AwsFleets::Managed => None,
    };
    own.ok_or_else(|| {
        let message = format!("no deployment group of the file installs on `{group_name}`");
        Fault::new(FaultKind::Invalid, "CreateDeployment", message)
    })
}

/// The fleet's deployment group is there, with settings that leave traffic to us.
async fn exists(api: &Api, home: &Home, at: Post<'_>, group_name: &str) -> Result<(), Fault> {
    let info = match read(api, at).await {
        Err(fault)
            if fault.kind == FaultKind::Missing && matches!(home.spec.fleets, AwsFleets::Copy { .. }) =>
        {
            clone(api, home, at, group_name).await?;
            read(api, at).await?
        }
        info => info?,
    };
    let reasons = refusals(&info, group_name);
    if reasons.is_empty() {
        return Ok(());
    }
    let message = format!("the deployment group `{}`: {}", at.group, reasons.join("; "));
    Err(Fault::new(FaultKind::Invalid, "GetDeploymentGroup", message))
}

/// What stands in the way of an installation without traffic (`CodeDeploy` API reference: `DeploymentStyle`).
fn refusals(info: &DeploymentGroupInfo, group_name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let style = info.deployment_style();
    // In place and without traffic control is what a group does that says nothing.
    if style.and_then(DeploymentStyle::deployment_type).is_some_and(|kind| *kind != DeploymentType::InPlace) {
        found.push("set deploymentStyle.deploymentType to IN_PLACE".to_owned());
    }
    let option = style.and_then(DeploymentStyle::deployment_option);
    if option.is_some_and(|option| *option != DeploymentOption::WithoutTrafficControl) {
        found.push(
            "set deploymentStyle.deploymentOption to WITHOUT_TRAFFIC_CONTROL: traffic is moved here"
                .to_owned(),
        );
    }
    let fleets = fleets(info);
    if fleets != [group_name] {
        found.push(format!("autoScalingGroups must be `{group_name}` alone, and is {fleets:?}"));
    }
    let tagged = !info.ec2_tag_filters().is_empty()
        || info.ec2_tag_set().is_some_and(|set| !set.ec2_tag_set_list().is_empty());
    if tagged {
        found
            .push("take ec2TagFilters and ec2TagSet away: other instances would be installed too".to_owned());
    }
    found
}

/// A deployment group like the file's for one new fleet. One that exists already is read and judged by the caller.
async fn clone(api: &Api, home: &Home, at: Post<'_>, group_name: &str) -> Result<(), Fault> {
    let like = read(api, super::group::post(home)?).await?;
    let style = DeploymentStyle::builder()
        .deployment_type(DeploymentType::InPlace)
        .deployment_option(DeploymentOption::WithoutTrafficControl)
        .build();
    let call = api.codedeploy.create_deployment_group().application_name(at.application);
    let call = call.deployment_group_name(at.group).auto_scaling_groups(group_name).deployment_style(style);
    let call = call
        .set_service_role_arn(like.service_role_arn.clone())
        .set_deployment_config_name(like.deployment_config_name.clone())
        .set_trigger_configurations(like.trigger_configurations.clone())
        .set_alarm_configuration(like.alarm_configuration.clone())
        .set_outdated_instances_strategy(like.outdated_instances_strategy.clone())
        .auto_rollback_configuration(AutoRollbackConfiguration::builder().enabled(false).build())
        .tags(Tag::builder().key(OWNER).value(home.owner()).build());
    match api.send(Family::CodeDeploy, "CreateDeploymentGroup", call.send()).await {
        Ok(_) => Ok(()),
        Err(fault) if coded(&fault, &["DeploymentGroupAlreadyExists"]) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Writes down which deployment installs the fleet, where a look finds it.
async fn name_it(api: &Api, on: &AutoScalingGroup, group_name: &str, deployment: &str) -> Result<(), Fault> {
    if tag(on, DEPLOYMENT) == Some(deployment) {
        return Ok(());
    }
    ready::mark(api, group_name, &[(DEPLOYMENT, deployment)]).await
}

async fn forget(api: &Api, group_name: &str) -> Result<(), Fault> {
    let tag = GroupTag::builder().resource_id(group_name).resource_type("auto-scaling-group").key(DEPLOYMENT);
    let call = api.autoscaling.delete_tags().tags(tag.build());
    api.send(Family::AutoScaling, "DeleteTags", call.send()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_codedeploy::types::{AutoScalingGroup as Listed, Ec2TagFilter};

    use super::*;

    #[test]
    fn a_group_that_would_move_traffic_or_install_elsewhere_is_refused_by_its_setting() {
        let made = |kind: &str, option: &str, fleets: &[&str]| {
            let style =
                DeploymentStyle::builder().deployment_type(kind.into()).deployment_option(option.into());
            let fleets = fleets.iter().map(|name| Listed::builder().name(*name).build()).collect();
            DeploymentGroupInfo::builder()
                .deployment_style(style.build())
                .set_auto_scaling_groups(Some(fleets))
        };
        let (place, without) = ("IN_PLACE", "WITHOUT_TRAFFIC_CONTROL");
        for (info, words) in [
            (made(place, without, &["api-b"]), ""),
            (made("BLUE_GREEN", without, &["api-b"]), "IN_PLACE"),
            (made(place, "WITH_TRAFFIC_CONTROL", &["api-b"]), "WITHOUT_TRAFFIC_CONTROL"),
            (made(place, without, &[]), "`api-b` alone"),
            (made(place, without, &["api-a", "api-b"]), "`api-b` alone"),
            (
                made(place, without, &["api-b"]).ec2_tag_filters(Ec2TagFilter::builder().build()),
                "ec2TagFilters",
            ),
        ] {
            let found = refusals(&info.build(), "api-b");
            assert_eq!(found.len(), usize::from(!words.is_empty()), "{words}: {found:?}");
            assert!(found.concat().contains(words), "{words}: {found:?}");
        }
    }
}
