//! Instances, also those that are terminated: EC2 shows them for a while.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, Instance, World};
use super::{PAGING, passes, tag_set};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeInstances",
        knows: &["InstanceId[]", "Filter[].Name", "Filter[].Value[]", "MaxResults", "NextToken"],
        run: describe,
    },
    Operation {
        name: "DescribeInstanceStatus",
        knows: &[
            "InstanceId[]",
            "Filter[].Name",
            "Filter[].Value[]",
            "MaxResults",
            "NextToken",
            "IncludeAllInstances",
        ],
        run: status,
    },
];

fn asked<'a>(world: &'a World, input: &Input) -> Result<Vec<&'a Instance>, ApiError> {
    let ids = input.list("InstanceId");
    if !ids.is_empty() && input.has("MaxResults") {
        let text = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::new("InvalidParameterCombination", text));
    }
    if let Some(unknown) = ids.iter().find(|id| !world.instances.contains_key(*id)) {
        let text = format!("The instance ID '{unknown}' does not exist");
        return Err(ApiError::new("InvalidInstanceID.NotFound", text));
    }
    let mut found = Vec::new();
    for instance in world.instances.values().filter(|one| ids.is_empty() || ids.contains(&one.id)) {
        let field = |name: &str| match name {
            "instance-id" => Some(vec![instance.id.clone()]),
            "instance-state-name" => Some(vec![instance.state.to_owned()]),
            "image-id" => Some(vec![instance.image.clone()]),
            "subnet-id" => Some(vec![instance.subnet.clone()]),
            "vpc-id" => Some(vec![instance.vpc.clone()]),
            "availability-zone" => Some(vec![instance.zone.clone()]),
            "instance.group-id" => Some(instance.security_groups.clone()),
            _ => None,
        };
        if passes(input, &instance.tags, field)? {
            found.push(instance);
        }
    }
    Ok(found)
}

fn state(instance: &Instance) -> Value {
    let code = match instance.state {
        "pending" => 0,
        "running" => 16,
        "stopped" => 80,
        _ => 48,
    };
    json!({ "code": code, "name": instance.state })
}

fn limit(world: &World, input: &Input) -> Option<usize> {
    world.settings.page.filter(|_| input.list("InstanceId").is_empty())
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let found = asked(world, input)?;
    let shown = found.into_iter().map(|instance| reservation(world, instance)).collect();
    input.page(PAGING, limit(world, input), shown, "reservationSet")
}

fn reservation(world: &World, instance: &Instance) -> Value {
    let groups: Value = instance
        .security_groups
        .iter()
        .map(|id| json!({ "groupId": id, "groupName": world.security_groups.get(id).map(|group| &group.name) }))
        .collect();
    let template =
        instance.template.as_ref().map(|(id, version)| json!({ "launchTemplateId": id, "version": version }));
    let shown = json!({
        "instanceId": instance.id, "imageId": instance.image, "instanceState": state(instance),
        "instanceType": instance.kind, "launchTime": world.iso(instance.launched),
        "placement": { "availabilityZone": instance.zone }, "subnetId": instance.subnet, "vpcId": instance.vpc,
        "privateIpAddress": instance.address(), "groupSet": groups, "tagSet": tag_set(&instance.tags),
        "launchTemplate": template,
    });
    let id = instance.id.replacen("i-", "r-", 1);
    json!({ "reservationId": id, "ownerId": ACCOUNT, "groupSet": [], "instancesSet": [shown] })
}

fn status(world: &mut World, input: &Input) -> Answer {
    let all = input.flag("IncludeAllInstances")?.unwrap_or(false);
    let show = |instance: &Instance| {
        let status = if instance.state == "running" { "ok" } else { "not-applicable" };
        json!({
            "instanceId": instance.id, "availabilityZone": instance.zone, "instanceState": state(instance),
            "systemStatus": { "status": status }, "instanceStatus": { "status": status },
        })
    };
    let found = asked(world, input)?.into_iter().filter(|one| all || one.state == "running");
    input.page(PAGING, limit(world, input), found.map(show).collect(), "instanceStatusSet")
}
