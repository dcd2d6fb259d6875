//! Target groups and other traffic sources of a fleet: two interfaces that do not see all of each other.

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{Attachment, Via, World};
use super::PAGING;

const GROUPS_PER_CALL_MAX: usize = 10;
const GROUPS_PER_FLEET_MAX: usize = 50;

const SOURCES: &[&str] = &[
    "AutoScalingGroupName",
    "TrafficSources[].Identifier",
    "TrafficSources[].Type",
    "SkipZonalShiftValidation",
];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "AttachLoadBalancerTargetGroups",
        knows: &["AutoScalingGroupName", "TargetGroupARNs[]", "SkipZonalShiftValidation"],
        run: |world, input| attach(world, input, groups(input), Via::TargetGroups),
    },
    Operation {
        name: "DetachLoadBalancerTargetGroups",
        knows: &["AutoScalingGroupName", "TargetGroupARNs[]"],
        run: |world, input| detach(world, input, &groups(input), Via::TargetGroups),
    },
    Operation {
        name: "AttachTrafficSources",
        knows: SOURCES,
        run: |world, input| attach(world, input, sources(input), Via::TrafficSources),
    },
    Operation {
        name: "DetachTrafficSources",
        knows: SOURCES,
        run: |world, input| detach(world, input, &sources(input), Via::TrafficSources),
    },
    Operation {
        name: "DescribeLoadBalancerTargetGroups",
        knows: &["AutoScalingGroupName", "NextToken", "MaxRecords"],
        run: describe_groups,
    },
    Operation {
        name: "DescribeTrafficSources",
        knows: &["AutoScalingGroupName", "TrafficSourceType", "NextToken", "MaxRecords"],
        run: describe_sources,
    },
];

pub fn unknown_group(arn: &str) -> ApiError {
    let text =
        format!("Provided Target Groups may not be valid. Please ensure they exist and try again: {arn}");
    ApiError::new("ValidationError", text)
}

/// What kind of source this is; where nothing is said, its name tells.
pub fn kind_of(source: &Value) -> &str {
    let id = text(source, "Identifier").unwrap_or_default();
    let guess = if id.contains(":vpc-lattice:") { "vpc-lattice" } else { "elbv2" };
    text(source, "Type").unwrap_or(guess)
}

fn groups(input: &Input) -> Vec<(String, String)> {
    input.list("TargetGroupARNs").into_iter().map(|arn| (arn, "elbv2".to_owned())).collect()
}

fn sources(input: &Input) -> Vec<(String, String)> {
    let given = input.items("TrafficSources").iter();
    given
        .map(|one| (text(one, "Identifier").unwrap_or_default().to_owned(), kind_of(one).to_owned()))
        .collect()
}

fn check(given: &[(String, String)]) -> Result<(), ApiError> {
    if given.is_empty() || given.len() > GROUPS_PER_CALL_MAX {
        return Err(ApiError::new(
            "ValidationError",
            "Between 1 and 10 target groups may be given at a time",
        ));
    }
    Ok(())
}

fn attach(world: &mut World, input: &Input, given: Vec<(String, String)>, via: Via) -> Answer {
    check(&given)?;
    if let Some((unknown, _)) =
        given.iter().find(|(id, kind)| kind == "elbv2" && !world.groups.contains_key(id))
    {
        return Err(unknown_group(unknown));
    }
    let name = input.need("AutoScalingGroupName")?;
    let now = world.now;
    let in_service: Vec<String> = world
        .members(name)
        .filter(|(_, member)| member.lifecycle == "InService")
        .map(|(instance, _)| instance.id.clone())
        .collect();
    let fleet = world.fleet_mut(name)?;
    if fleet.refreshes.iter().any(|refresh| text(refresh, "Status") == Some("InProgress")) {
        return Err(ApiError::new("InstanceRefreshInProgress", "An instance refresh is in progress"));
    }
    let mut fresh = Vec::new();
    for (id, kind) in given {
        if fleet.attachments.iter().any(|one| one.id == id && one.state != "Removing") {
            continue;
        }
        fleet.attachments.retain(|one| one.id != id);
        fleet.attachments.push(Attachment { id: id.clone(), kind, via, state: "Adding", since: now });
        fresh.push(id);
    }
    if fleet.attachments.len() > GROUPS_PER_FLEET_MAX {
        let kept = |one: &Attachment| !fresh.contains(&one.id);
        fleet.attachments.retain(kept);
        return Err(ApiError::new(
            "LimitExceeded",
            "The quota of 50 target groups for this group has been reached",
        ));
    }
    for group in &fresh {
        for id in &in_service {
            world.register(group, id, None);
        }
    }
    Ok(json!({}))
}

fn detach(world: &mut World, input: &Input, given: &[(String, String)], via: Via) -> Answer {
    check(given)?;
    let name = input.need("AutoScalingGroupName")?;
    let now = world.now;
    let fleet = world.fleet_mut(name)?;
    for (id, _) in given {
        let known = fleet.attachments.iter().any(|one| one.id == *id && one.via == via);
        if !known {
            let text = format!("Failed to detach, {id} is not attached through this API");
            return Err(ApiError::new("ValidationError", text));
        }
    }
    for (id, _) in given {
        for one in fleet.attachments.iter_mut().filter(|one| one.id == *id && one.state != "Removing") {
            (one.state, one.since) = ("Removing", now);
        }
    }
    let members: Vec<String> = world.members(name).map(|(instance, _)| instance.id.clone()).collect();
    for (group, _) in given {
        for id in &members {
            world.deregister(group, id, None);
        }
    }
    Ok(json!({}))
}

fn describe_groups(world: &mut World, input: &Input) -> Answer {
    let fleet = world.fleet(input.need("AutoScalingGroupName")?)?;
    let own = fleet.attachments.iter().filter(|one| one.via == Via::TargetGroups);
    let shown = own.map(|one| json!({ "LoadBalancerTargetGroupARN": one.id, "State": one.state })).collect();
    input.page(PAGING, world.settings.page, shown, "LoadBalancerTargetGroups")
}

fn describe_sources(world: &mut World, input: &Input) -> Answer {
    let fleet = world.fleet(input.need("AutoScalingGroupName")?)?;
    let kind = input.text("TrafficSourceType");
    let own = fleet.attachments.iter().filter(|one| kind.is_none_or(|kind| one.kind == kind));
    let show = |one: &Attachment| json!({ "Identifier": one.id, "TrafficSource": one.id, "Type": one.kind, "State": one.state });
    let paging = super::Paging { most: 50, ..PAGING };
    input.page(paging, world.settings.page, own.map(show).collect(), "TrafficSources")
}
