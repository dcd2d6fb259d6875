//! Fleets join target groups, routes send them their share, fleets leave again.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_elasticloadbalancingv2::types::{Action, TargetDescription, TargetGroup};

use super::api::Api;
use super::arn;
use super::asgs::Home;
use super::detach::ATTACHED_MAX;
use super::limit::Family;
use super::memory::Memory;
use super::route::{Place, Route};
use super::survey::is_draining;
use super::twin::{self, Map, Standing};
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, GroupId, Share};

/// The fleet's instances, present and future, stand in the groups; among twins with nothing of the traffic.
///
/// # Errors
/// The first fault; what was done stays done, and is not done twice.
pub(super) async fn register(
    api: &Api,
    home: &Home,
    memory: &Memory,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    let map = Map::read(api, home, memory, fleet, groups).await?;
    let mut join = Vec::new();
    for id in groups {
        match map.standing(id, fleet)? {
            Standing::Shared(group) => join.push(*group),
            Standing::Twins { own, other } => {
                let group = match (own.group, &other.group) {
                    (Some(group), _) => group,
                    (None, Some(sibling)) => {
                        let absent = twin::Twin { name: own.name, group: None };
                        twin::create(api, home, &absent, sibling).await?
                    }
                    (None, None) => return Err(nothing(id)),
                };
                if let Some(sibling) = &other.group {
                    introduce(api, memory, &group, sibling).await?;
                }
                join.push(group);
            }
        }
    }
    let asg = map.survey.fleets.get(fleet).ok_or_else(|| absent(fleet))?;
    memory.forget_sources(asg);
    attach(api, asg, &join).await?;
    for group in &join {
        memory.forget_targets(name(group));
        add_targets(api, &map, asg, group).await?;
    }
    Ok(())
}

/// The twin joins every action in which its sibling stands, with weight 0: a target group that nobody forwards to is
/// never checked (ELB user guide: `unused`, `Target.NotInUse`).
async fn introduce(
    api: &Api,
    memory: &Memory,
    group: &TargetGroup,
    sibling: &TargetGroup,
) -> Result<(), Fault> {
    let (own, other) = (name(group), name(sibling));
    for route in routes(api, memory, &[group, sibling]).await? {
        if route.names(other) && !route.names(own) {
            write(api, memory, &route, route.shifted([own, other], Share::NONE), [own, other], Share::NONE)
                .await?;
        }
    }
    Ok(())
}

/// Attaches the Auto Scaling group to what it is not attached to yet.
async fn attach(api: &Api, asg: &AutoScalingGroup, groups: &[TargetGroup]) -> Result<(), Fault> {
    let known: BTreeSet<_> = super::survey::listed(asg).collect();
    let by_instance = groups.iter().filter(|group| !by_address(group)).map(name);
    let absent: Vec<String> = by_instance.filter(|arn| !known.contains(*arn)).map(str::to_owned).collect();
    for some in absent.chunks(ATTACHED_MAX) {
        let call = api.autoscaling.attach_load_balancer_target_groups();
        let call = call.set_auto_scaling_group_name(asg.auto_scaling_group_name.clone());
        let call = call.set_target_group_arns(Some(some.to_vec()));
        api.send(Family::AutoScaling, "AttachLoadBalancerTargetGroups", call.send()).await?;
    }
    Ok(())
}

/// Registers by hand what Auto Scaling does not: addresses, and instances that came while it was told not to, or that
/// somebody took out (Auto Scaling user guide: they are not registered later either).
async fn add_targets(
    api: &Api,
    map: &Map<'_>,
    asg: &AutoScalingGroup,
    group: &TargetGroup,
) -> Result<(), Fault> {
    let arn = name(group);
    let attached = super::survey::listed(asg).any(|own| own == arn);
    let suspended = asg.suspended_processes().iter().any(|p| p.process_name() == Some("AddToLoadBalancer"));
    if !(attached || suspended || by_address(group)) {
        return Ok(()); // It was attached just now, and registers them itself.
    }
    let standing: BTreeSet<String> = match map.survey.targets.get(arn) {
        Some(Ok(targets)) => {
            let staying = targets.iter().filter(|target| !is_draining(target));
            staying.filter_map(|target| Some(map.survey.owner(target)?.1.to_owned())).collect()
        }
        _ => BTreeSet::new(),
    };
    let in_service = asg
        .instances()
        .iter()
        .filter(|member| member.lifecycle_state().is_some_and(|state| state.as_str() == "InService"));
    let absent = in_service.filter_map(|member| member.instance_id()).filter(|id| !standing.contains(*id));
    let target = |id: &str| -> Option<TargetDescription> {
        let target = TargetDescription::builder();
        if by_address(group) {
            let address = map.survey.instances.get(id)?.addresses.first()?;
            return Some(target.id(address).build());
        }
        Some(target.id(id).build())
    };
    let targets: Vec<_> = absent.filter_map(target).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let call = api.elb.register_targets().target_group_arn(arn).set_targets(Some(targets));
    api.send(Family::ElbRegister, "RegisterTargets", call.send()).await.map(drop)
}

/// The group's routes send `share` to one fleet and the rest to the other.
///
/// # Errors
/// [`FaultKind::Invalid`] for a share that the group cannot take; the call's fault.
pub(super) async fn shift(
    api: &Api,
    home: &Home,
    memory: &Memory,
    group: &GroupId,
    (to, from): (&FleetId, Option<&FleetId>),
    share: Share,
) -> Result<(), Fault> {
    let ends = share == Share::ALL || share == Share::NONE;
    if from.is_none() && !ends {
        let message = format!("nobody is named for the other {} of `{group}`", share.rest());
        return Err(Fault::new(FaultKind::Invalid, "ModifyListener", message));
    }
    let map = Map::read(api, home, memory, to, &[group.clone()].into()).await?;
    let standing = map.standing(group, to)?;
    // Without this an empty twin would get the traffic of somebody who is not there.
    if share > Share::NONE && !map.survey.fleets.contains_key(to) {
        return Err(absent(to));
    }
    match standing {
        Standing::Shared(_) if share != Share::ALL && share != Share::NONE => {
            let message = format!("the share of `{group}` follows its members: {share} cannot be had");
            Err(Fault::new(FaultKind::Invalid, "ModifyListener", message))
        }
        Standing::Shared(_) => match if share == Share::ALL { from } else { Some(to) } {
            Some(leaving) => deregister(api, home, memory, leaving, &[group.clone()].into()).await,
            None => Ok(()),
        },
        Standing::Twins { own, other } => {
            let (Some(own), Some(other)) = (&own.group, &other.group) else {
                return alone(&own, share, group);
            };
            let twins = [name(own), name(other)];
            let routes = routes(api, memory, &[own, other]).await?;
            if routes.is_empty() {
                return Err(nothing(group));
            }
            for route in routes.iter().filter(|route| route.share(twins[0]) != share) {
                // Whoever gives everything up can do so whatever stands beside: nothing may keep the traffic on a sick fleet.
                if share != Share::NONE {
                    beside(route, twins, group)?;
                }
                write(api, memory, route, route.shifted(twins, share), twins, share).await?;
            }
            Ok(())
        }
    }
}

/// A twin without a sibling has everything already.
fn alone(own: &twin::Twin, share: Share, group: &GroupId) -> Result<(), Fault> {
    if own.group.is_some() && share == Share::ALL { Ok(()) } else { Err(nothing(group)) }
}

/// Whoever forwards to a third target group shares its traffic in three: 100 % cannot be reached there.
fn beside(route: &Route, twins: [&str; 2], group: &GroupId) -> Result<(), Fault> {
    let others: Vec<_> =
        route.beside(twins).into_iter().map(|arn| format!("`{}`", arn::target_group(arn))).collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} sends traffic of `{group}` to {} as well: take it out, or declare it",
        route.name,
        others.join(", ")
    );
    Err(Fault::new(FaultKind::Invalid, "ModifyListener", message))
}

/// Writes a route's whole list of actions, and checks what AWS says it is now.
async fn write(
    api: &Api,
    memory: &Memory,
    route: &Route,
    actions: Vec<Action>,
    [own, other]: [&str; 2],
    share: Share,
) -> Result<(), Fault> {
    memory.route_written(&route.place);
    if !route.names(own) {
        memory.forget_groups(); // They say which load balancer is in front of them.
    }
    let (action, written) = match &route.place {
        Place::Listener(listener) => {
            let call = api.elb.modify_listener().listener_arn(listener).set_default_actions(Some(actions));
            let answer = api.send(Family::ElbModify, "ModifyListener", call.send()).await?;
            let listeners = answer.listeners.unwrap_or_default();
            ("ModifyListener", listeners.into_iter().next().and_then(|listener| listener.default_actions))
        }
        Place::Rule(rule) => {
            let call = api.elb.modify_rule().rule_arn(rule).set_actions(Some(actions));
            let answer = api.send(Family::ElbModify, "ModifyRule", call.send()).await?;
            ("ModifyRule", answer.rules.unwrap_or_default().into_iter().next().and_then(|rule| rule.actions))
        }
    };
    let now = Route { actions: written.unwrap_or_default(), ..route.clone() };
    let seen = (now.names(own), now.names(other), now.share(own));
    if seen == (true, true, share) {
        return Ok(());
    }
    let message =
        format!("{} was to send {share} to `{}` and answers {}", route.name, arn::target_group(own), seen.2);
    Err(Fault::new(FaultKind::Conflict, action, message).ambiguous())
}

/// The routes that name one of these target groups, read now.
async fn routes(api: &Api, memory: &Memory, groups: &[&TargetGroup]) -> Result<Vec<Route>, Fault> {
    let ours: BTreeSet<String> = groups.iter().map(|group| name(group).to_owned()).collect();
    let balancers: BTreeSet<String> =
        groups.iter().flat_map(|group| group.load_balancer_arns().iter().cloned()).collect();
    let mut routes = memory.routes_now(api, &balancers, &ours).await?;
    routes.retain(|route| ours.iter().any(|arn| route.names(arn)));
    Ok(routes)
}

/// The fleet leaves the groups: its configuration first, or Auto Scaling would put new instances in; then every target
/// that is still there.
///
/// # Errors
/// The first fault; what was done stays done, and is not done twice.
pub(super) async fn deregister(
    api: &Api,
    home: &Home,
    memory: &Memory,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    let map = Map::read(api, home, memory, fleet, groups).await?;
    let mut leave: BTreeMap<String, TargetGroup> = BTreeMap::new();
    // A group that is gone has been left.
    for id in groups.iter().filter(|id| !map.gone(id)) {
        let group = match map.standing(id, fleet)? {
            Standing::Shared(group) => Some(*group),
            Standing::Twins { own, .. } => own.group,
        };
        leave.extend(group.and_then(|group| Some((group.target_group_arn.clone()?, group))));
    }
    let Some(asg) = map.survey.fleets.get(fleet) else {
        return Ok(()); // Its instances go with it, and Auto Scaling takes them out.
    };
    for arn in leave.keys() {
        memory.forget_targets(arn);
    }
    memory.forget_sources(asg);
    let attached = detach(api, asg, &map, fleet, &leave).await;
    memory.fleets_changed();
    let attached = attached?;
    for arn in leave.keys().filter(|arn| !attached.contains(*arn)) {
        remove_targets(api, &map, fleet, arn).await?;
    }
    Ok(())
}

/// Detaches the Auto Scaling group from those of the target groups to which it is attached, and says which these are.
async fn detach(
    api: &Api,
    asg: &AutoScalingGroup,
    map: &Map<'_>,
    fleet: &FleetId,
    leave: &BTreeMap<String, TargetGroup>,
) -> Result<BTreeSet<String>, Fault> {
    let by_group: BTreeSet<String> =
        asg.target_group_arns().iter().filter(|arn| leave.contains_key(*arn)).cloned().collect();
    let states = map.survey.sources.get(fleet).and_then(|states| states.as_ref().ok());
    let states = states.into_iter().flatten().filter(super::survey::is_held);
    let states = states.filter_map(|source| source.identifier.clone());
    let sources = asg.traffic_sources().iter().filter_map(|source| source.identifier.clone()).chain(states);
    let by_source: BTreeSet<String> =
        sources.filter(|arn| leave.contains_key(arn) && !by_group.contains(arn)).collect();
    super::detach::detach(api, asg.auto_scaling_group_name().unwrap_or_default(), &by_group, &by_source)
        .await?;
    Ok(by_group.into_iter().chain(by_source).collect())
}

/// Takes out the targets that no configuration put in.
async fn remove_targets(api: &Api, map: &Map<'_>, fleet: &FleetId, arn: &str) -> Result<(), Fault> {
    let targets = match map.survey.targets.get(arn) {
        Some(Ok(targets)) => targets,
        Some(Err(fault)) => return Err(fault.clone()),
        None => return Ok(()),
    };
    let own = targets.iter().filter(|target| !is_draining(target));
    let own = own.filter(|target| map.survey.owner(target).is_some_and(|(owner, _)| owner == fleet));
    let own: Vec<TargetDescription> = own.filter_map(|target| target.target.clone()).collect();
    if own.is_empty() {
        return Ok(());
    }
    let call = api.elb.deregister_targets().target_group_arn(arn).set_targets(Some(own));
    api.send(Family::ElbRegister, "DeregisterTargets", call.send()).await.map(drop)
}

fn by_address(group: &TargetGroup) -> bool {
    group.target_type().is_some_and(|kind| kind.as_str() == "ip")
}

fn name(group: &TargetGroup) -> &str {
    group.target_group_arn().unwrap_or_default()
}

fn absent(fleet: &FleetId) -> Fault {
    let message = format!("the fleet `{fleet}` does not exist");
    Fault::new(FaultKind::Missing, "DescribeAutoScalingGroups", message)
}

fn nothing(group: &GroupId) -> Fault {
    let message =
        format!("no listener or rule forwards to `{group}`: put one of its target groups behind a listener");
    Fault::new(FaultKind::Invalid, "DescribeListeners", message)
}
