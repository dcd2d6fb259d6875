//! A managed fleet goes: by `CodeDeploy`'s hand where that takes nothing else away, and by our own otherwise.

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types::{DeploymentInfo, DeploymentWaitType};

use super::super::api::Api;
use super::super::asgs::{FLEET, Home, by_name, given, tag};
use super::super::fleet::refuse_dark;
use super::super::limit::Family;
use super::super::look::stands_anywhere;
use super::deployment::{Post, active, go_on, id, look, stop};
use super::events;
use super::group::{fleets, named, point_at, post, read};
use super::managed::{copy_of, makes};
use super::progress::{CONTINUED, Stage, stage};
use crate::cloud::{Fault, FaultKind};
use crate::coverage::Retirement;
use crate::model::{FleetId, Token};

/// How many instances one call may name (Auto Scaling API reference: `DescribeAutoScalingInstances`).
const INSTANCES_MAX: usize = 50;

/// Takes a fleet away for good.
///
/// # Errors
/// [`FaultKind::Conflict`] while `CodeDeploy` is not where that is safe; the calls' faults.
pub async fn retire(api: &Api, home: &Home, proof: Retirement, token: &Token) -> Result<(), Fault> {
    api.seen.forget();
    let done = Box::pin(leave(api, home, &proof, token)).await;
    api.seen.forget();
    done
}

async fn leave(api: &Api, home: &Home, proof: &Retirement, token: &Token) -> Result<(), Fault> {
    let fleet = proof.fleet();
    refuse_standing(api, home, proof).await?;
    let at = post(home)?;
    let ours = look(api, home, at, token).await?.ours;
    let green = ours.as_ref().map(|info| copy_of(at, info));
    match ours {
        Some(info) if makes(&info, fleet) => withdraw(api, home, at, proof, &info).await,
        ours => {
            let Some(name) = group_of(api, home, fleet).await? else { return Ok(()) };
            if let Some(info) = ours.filter(active) {
                return by_codedeploy(api, home, at, proof, (&info, &name)).await;
            }
            // Stopped, or kept alive: CodeDeploy has no more to say, and its group may still point here.
            remove(api, home, at, proof, (&name, green.as_deref())).await
        }
    }
}

/// The last look before the one step without a way back: afresh, at every target group of the region.
async fn refuse_standing(api: &Api, home: &Home, proof: &Retirement) -> Result<(), Fault> {
    let (mut standing, lit) = stands_anywhere(api, home, proof.fleet()).await?;
    refuse_dark(home, proof, &lit)?;
    for (id, _) in proof.covered().iter().filter(|(_, evidence)| evidence.waived.is_some()) {
        for name in named(home, id) {
            standing.remove(&name);
        }
    }
    if standing.is_empty() {
        return Ok(());
    }
    let message = format!("`{}` still stands in {standing:?}", proof.fleet());
    Err(Fault::new(FaultKind::Conflict, "DescribeTargetHealth", message))
}

/// Green goes on the way back: `CodeDeploy` stops first, so that it does not work on instances that go.
async fn withdraw(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    proof: &Retirement,
    info: &DeploymentInfo,
) -> Result<(), Fault> {
    if active(info) {
        stop(api, id(info)).await?;
        // Stopping takes its time (StopDeployment answers `Pending`).
        let message = format!("CodeDeploy {} is stopping; the fleet goes when it has", id(info));
        return Err(Fault::new(FaultKind::Conflict, "StopDeployment", message));
    }
    let mut others = home.fleets(api, &BTreeSet::new()).await?;
    others.remove(proof.fleet());
    let copy = copy_of(at, info);
    let names = others.into_values().filter_map(|group| group.auto_scaling_group_name);
    let names: Vec<_> = names.filter(|name| *name != copy).collect();
    let blue = if let [only] = names.as_slice() { Some(only.as_str()) } else { None };
    remove(api, home, at, proof, (&copy, blue)).await
}

/// `CodeDeploy` terminates blue now, if it would take exactly this fleet.
async fn by_codedeploy(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    proof: &Retirement,
    (info, leaving): (&DeploymentInfo, &str),
) -> Result<(), Fault> {
    let wait = |words: &str| {
        let message = format!("CodeDeploy {}: {words}", id(info));
        Err(Fault::new(FaultKind::Conflict, "ContinueDeployment", message))
    };
    let copy = copy_of(at, info);
    let groups = by_name(api, &[copy.clone()].into()).await?;
    let continued = groups.first().and_then(|group| tag(group, CONTINUED)) == info.deployment_id();
    if stage(info, &[], continued) != Stage::Counting {
        return wait("it is not in its wait before the end of blue");
    }
    let blue = events::blue(&events::look(api, id(info)).await?);
    let strangers = strangers(api, &blue, leaving).await?;
    if blue.is_empty() || !strangers.is_empty() || leaving == copy {
        // It would take others too, or does not tell whom. Stopped, it takes nobody, and the fleet goes by our own hand.
        stop(api, id(info)).await?;
        let whom = if blue.is_empty() { "nobody knows whom".to_owned() } else { format!("{strangers:?}") };
        return wait(&format!("it would terminate more than `{leaving}`: {whom}; stopped instead"));
    }
    // All of this took calls, and somebody may have come in meanwhile.
    refuse_standing(api, home, proof).await?;
    go_on(api, id(info), DeploymentWaitType::TerminationWait).await
}

/// The instances of a list that belong to another Auto Scaling group. Those of none are gone already: the deployment
/// group was refused if it could hold instances outside its Auto Scaling group.
async fn strangers(api: &Api, instances: &[String], leaving: &str) -> Result<Vec<String>, Fault> {
    let mut strangers = Vec::new();
    for some in instances.chunks(INSTANCES_MAX) {
        let call = api.autoscaling.describe_auto_scaling_instances();
        let call = call.set_instance_ids(Some(some.to_vec()));
        let page = api.send(Family::AutoScaling, "DescribeAutoScalingInstances", call.send()).await?;
        let others = given("DescribeAutoScalingInstances", page.auto_scaling_instances)?.into_iter();
        let others = others.filter(|instance| instance.auto_scaling_group_name() != Some(leaving));
        strangers.extend(others.filter_map(|instance| instance.instance_id));
    }
    Ok(strangers)
}

/// The Auto Scaling group of a fleet, if it exists.
async fn group_of(api: &Api, home: &Home, fleet: &FleetId) -> Result<Option<String>, Fault> {
    let mut found = home.fleets(api, &[fleet.clone()].into()).await?;
    let group = found.remove(fleet);
    Ok(group
        .filter(|group| tag(group, FLEET).is_none_or(|name| name == fleet.as_str()))
        .and_then(|group| group.auto_scaling_group_name))
}

/// Deletes a group with its instances. The deployment group points at the fleet that stays first: one that names a group
/// which does not exist can make no deployment any more.
async fn remove(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    proof: &Retirement,
    (leaving, staying): (&str, Option<&str>),
) -> Result<(), Fault> {
    let info = read(api, at).await?;
    if fleets(&info).iter().any(|name| name == leaving) {
        let Some(staying) = staying else {
            let message = format!(
                "the deployment group `{}` names `{leaving}`, which goes: set autoScalingGroups to the fleet that stays",
                at.group
            );
            return Err(Fault::new(FaultKind::Invalid, "UpdateDeploymentGroup", message));
        };
        point_at(api, at, &info, staying).await?;
    }
    // All of this took calls, and somebody may have come in meanwhile.
    refuse_standing(api, home, proof).await?;
    let call =
        api.autoscaling.delete_auto_scaling_group().auto_scaling_group_name(leaving).force_delete(true);
    match api.send(Family::AutoScaling, "DeleteAutoScalingGroup", call.send()).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind == FaultKind::Missing => Ok(()),
        // It is on its way: a look sees when it has gone.
        Err(fault) if fault.message.contains("pending delete") => Ok(()),
        Err(fault) => Err(fault),
    }
}
