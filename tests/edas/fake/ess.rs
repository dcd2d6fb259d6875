//! ESS 2022-02-22: scaling groups, what they are attached to, and what of them is suspended.

use serde_json::{Value, json};

use super::groups::Asked;
use super::input::{Input, items, list, number, text};
use super::pages::{among, by_number, tagged};
use super::service::{Answer, ApiError, Operation, missing, read, write};
use super::world::{Attached, Family, ScalingGroup, World};

pub const OPERATIONS: &[&[Operation]] = &[&[
    read("DescribeScalingGroups", groups),
    read("DescribeScalingInstances", instances),
    read("DescribeScalingActivities", activities),
    write("AttachAlbServerGroups", |world, input| attach(world, input, "AlbServerGroups")),
    write("DetachAlbServerGroups", |world, input| detach(world, input, "AlbServerGroups")),
    write("AttachServerGroups", |world, input| attach(world, input, "ServerGroups")),
    write("DetachServerGroups", |world, input| detach(world, input, "ServerGroups")),
    write("AttachVServerGroups", |world, input| attach(world, input, "VServerGroups")),
    write("DetachVServerGroups", |world, input| detach(world, input, "VServerGroups")),
    write("SuspendProcesses", |world, input| hold(world, input, true)),
    write("ResumeProcesses", |world, input| hold(world, input, false)),
    write("SetInstancesProtection", protect),
    write("TagResources", tag),
    write("UntagResources", untag),
    read("ListTagResources", list_tags),
]];

/// What can be suspended.
const PROCESSES: [&str; 5] = ["ScaleIn", "ScaleOut", "HealthCheck", "AlarmNotification", "ScheduledAction"];

fn group<'a>(world: &'a mut World, id: &str) -> Result<&'a mut ScalingGroup, ApiError> {
    let found = world.scaling_groups.iter_mut().find(|group| group.id == id);
    found.ok_or_else(|| missing("InvalidScalingGroupId.NotFound", id))
}

fn groups(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("ScalingGroupIds");
    let mut names = input.list("ScalingGroupNames");
    names.extend(input.text("ScalingGroupName").map(str::to_owned));
    let fits = |group: &&ScalingGroup| {
        among(&ids, &group.id) && among(&names, &group.name) && tagged(input, "Tags", &group.tags)
    };
    let shown = world.scaling_groups.iter().filter(fits).map(|group| shown(world, group)).collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    answer.insert("ScalingGroups".to_owned(), Value::Array(page));
    Ok(Value::Object(answer))
}

fn shown(world: &World, group: &ScalingGroup) -> Value {
    let of = |family: Family, old: bool| {
        group.attached.iter().filter(move |one| one.family == family && one.old == old)
    };
    let alb = of(Family::Alb, true)
        .map(|one| json!({ "AlbServerGroupId": one.group, "Port": one.port, "Weight": one.weight }));
    let newer = [(Family::Alb, "ALB"), (Family::Nlb, "NLB")].into_iter().flat_map(|(family, kind)| {
        of(family, false).map(move |one| {
            json!({ "ServerGroupId": one.group, "Type": kind, "Port": one.port, "Weight": one.weight })
        })
    });
    let vserver = of(Family::Clb, true).map(|one| {
        let owner = world.groups.get(&one.group).and_then(|group| group.balancer.clone());
        let own = json!({ "VServerGroupId": one.group, "Port": one.port, "Weight": one.weight });
        json!({ "LoadBalancerId": owner.unwrap_or_default(), "VServerGroupAttributes": [own] })
    });
    json!({
        "ScalingGroupId": group.id,
        "ScalingGroupName": group.name,
        "LifecycleState": "Active",
        "RegionId": world.settings.region,
        "TotalCapacity": group.instances.len(),
        "ActiveCapacity": group.instances.len(),
        "SuspendedProcesses": group.suspended,
        "VSwitchIds": group.vswitches,
        "VSwitchId": group.vswitches.first(),
        "AlbServerGroups": alb.collect::<Vec<_>>(),
        "ServerGroups": newer.collect::<Vec<_>>(),
        "VServerGroups": vserver.collect::<Vec<_>>(),
        "Tags": group.tags.iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect::<Vec<_>>(),
    })
}

fn instances(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("InstanceIds");
    let of = input.text("ScalingGroupId");
    let state = input.text("LifecycleState");
    let groups = world.scaling_groups.iter().filter(|group| of.is_none_or(|of| of == group.id));
    let shown = groups.flat_map(|group| {
        let own = group
            .instances
            .iter()
            .filter(|(id, (now, _))| among(&ids, id) && state.is_none_or(|state| state == now));
        own.map(|(id, (state, _))| {
            json!({
                "ScalingGroupId": group.id,
                "InstanceId": id,
                "LifecycleState": state,
                "HealthStatus": "Healthy",
                "CreationType": "AutoCreated",
            })
        })
    });
    let shown = shown.collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    answer.insert("ScalingInstances".to_owned(), Value::Array(page));
    Ok(Value::Object(answer))
}

fn activities(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("ScalingActivityIds");
    let of = input.text("ScalingGroupId");
    let groups = world.scaling_groups.iter().filter(|group| of.is_none_or(|of| of == group.id));
    let shown = groups.flat_map(|group| {
        let own = group.activities.iter().filter(|(id, _)| among(&ids, id));
        own.map(|(id, ends)| {
            let over = world.now >= *ends;
            json!({
                "ScalingActivityId": id,
                "ScalingGroupId": group.id,
                "StatusCode": if over { "Successful" } else { "InProgress" },
            })
        })
    });
    let shown = shown.collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    answer.insert("ScalingActivities".to_owned(), Value::Array(page));
    Ok(Value::Object(answer))
}

/// What somebody asks to attach or to detach.
fn asked(input: &Input, name: &str) -> Result<Vec<Attached>, ApiError> {
    let one = |item: &Value, id: &str, family: Family| {
        let port = number(item, "Port")?.and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        let default = if family == Family::Clb { 50 } else { 100 };
        let weight = number(item, "Weight")?.unwrap_or(default);
        let (group, old) = (text(item, id).unwrap_or_default().to_owned(), name != "ServerGroups");
        Ok(Attached { group, family, old, port, weight })
    };
    let given = input.items(name).iter();
    match name {
        "AlbServerGroups" => given.map(|item| one(item, "AlbServerGroupId", Family::Alb)).collect(),
        "ServerGroups" => given
            .map(|item| {
                let family = if text(item, "Type") == Some("NLB") { Family::Nlb } else { Family::Alb };
                one(item, "ServerGroupId", family)
            })
            .collect(),
        _ => given
            .flat_map(|item| items(item, "VServerGroupAttributes"))
            .map(|item| one(item, "VServerGroupId", Family::Clb))
            .collect(),
    }
}

/// An activity, where an operation tells of one.
fn activity(world: &mut World, id: &str, name: &str, forced: bool) -> Answer {
    if !forced || name == "VServerGroups" {
        return Ok(json!({}));
    }
    let activity = format!("asa-fa4e{:08x}", world.fresh());
    let ends = world.now + world.settings.job;
    group(world, id)?.activities.push((activity.clone(), ends));
    Ok(json!({ "ScalingActivityId": activity }))
}

fn attach(world: &mut World, input: &Input, name: &str) -> Answer {
    let id = input.need("ScalingGroupId")?.to_owned();
    let new = asked(input, name)?;
    let forced = input.flag("ForceAttach")? == Some(true);
    for one in &new {
        if world.groups.get(&one.group).is_none_or(|group| group.family != one.family) {
            return Err(missing("InvalidServerGroup.NotFound", &one.group));
        }
    }
    let members: Vec<String> = group(world, &id)?.instances.keys().cloned().collect();
    group(world, &id)?.attached.extend(new.clone());
    let ends = world.now + world.settings.job;
    // Whoever is there already comes along only where that is asked for.
    for one in new.iter().filter(|_| forced) {
        for host in &members {
            let (port, weight, kind) = (one.port, one.weight, kind(one.family));
            let description = String::new();
            world.put(&one.group, Asked { id: host.clone(), port, weight, kind, description }, ends);
        }
    }
    activity(world, &id, name, forced)
}

pub fn kind(family: Family) -> String {
    if family == Family::Clb { "ecs".to_owned() } else { "Ecs".to_owned() }
}

fn detach(world: &mut World, input: &Input, name: &str) -> Answer {
    let id = input.need("ScalingGroupId")?.to_owned();
    let old = asked(input, name)?;
    let forced = input.flag("ForceDetach")? == Some(true);
    let same = |one: &Attached| old.iter().any(|old| old.group == one.group && old.family == one.family);
    let own = group(world, &id)?;
    let members: Vec<String> = own.instances.keys().cloned().collect();
    let gone: Vec<Attached> = own.attached.iter().filter(|one| same(one)).cloned().collect();
    own.attached.retain(|one| !same(one));
    let ends = world.now + world.settings.job;
    for one in gone.iter().filter(|_| forced) {
        for host in &members {
            world.take(&one.group, host, one.port, ends);
        }
    }
    activity(world, &id, name, forced)
}

fn hold(world: &mut World, input: &Input, suspend: bool) -> Answer {
    let processes = input.list("Processes");
    if processes.iter().any(|one| !PROCESSES.contains(&one.as_str())) {
        return Err(ApiError::new("InvalidParameter.Processes", "The specified Processes are not valid."));
    }
    let group = group(world, input.need("ScalingGroupId")?)?;
    if suspend {
        group.suspended.extend(processes);
    } else {
        group.suspended.retain(|one| !processes.contains(one));
    }
    Ok(json!({}))
}

fn protect(world: &mut World, input: &Input) -> Answer {
    let (ids, protected) = (input.list("InstanceIds"), input.flag("ProtectedFromScaleIn")? == Some(true));
    let group = group(world, input.need("ScalingGroupId")?)?;
    for id in ids {
        let instance =
            group.instances.get_mut(&id).ok_or_else(|| missing("InvalidInstanceId.NotFound", &id))?;
        let state = if protected { "Protected" } else { "InService" };
        *instance = (state.to_owned(), protected);
    }
    Ok(json!({}))
}

fn named(input: &Input) -> Result<Vec<String>, ApiError> {
    if input.need("ResourceType")? != "scalinggroup" {
        return Err(ApiError::new(
            "InvalidParameter.ResourceType",
            "The specified ResourceType is not valid.",
        ));
    }
    Ok(input.list("ResourceIds"))
}

fn tag(world: &mut World, input: &Input) -> Answer {
    let tags = input.items("Tags").iter();
    let tags = tags.filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())));
    let tags: Vec<_> = tags.collect();
    for id in named(input)? {
        group(world, &id)?.tags.extend(tags.clone());
    }
    Ok(json!({}))
}

fn untag(world: &mut World, input: &Input) -> Answer {
    let (keys, all) = (list(&input.tree, "TagKeys"), input.flag("All")? == Some(true));
    for id in named(input)? {
        group(world, &id)?.tags.retain(|key, _| !(keys.contains(key) || all && keys.is_empty()));
    }
    Ok(json!({}))
}

fn list_tags(world: &mut World, input: &Input) -> Answer {
    let ids = named(input)?;
    let groups = world.scaling_groups.iter().filter(|group| among(&ids, &group.id));
    let groups = groups.filter(|group| tagged(input, "Tags", &group.tags));
    let shown = groups.flat_map(|group| {
        group.tags.iter().map(|(key, value)| {
            json!({ "ResourceId": group.id, "ResourceType": "scalinggroup", "TagKey": key, "TagValue": value })
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "TagResources": shown }))
}
