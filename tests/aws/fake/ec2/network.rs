//! Subnets and security groups.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, SecurityGroup, World};
use super::{PAGING, passes};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeSubnets",
        knows: &["SubnetId[]", "Filter[].Name", "Filter[].Value[]", "MaxResults", "NextToken"],
        run: subnets,
    },
    Operation {
        name: "DescribeSecurityGroups",
        knows: &["GroupId[]", "GroupName[]", "Filter[].Name", "Filter[].Value[]", "MaxResults", "NextToken"],
        run: security_groups,
    },
];

fn subnets(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("SubnetId");
    if let Some(unknown) = ids.iter().find(|id| !world.subnets.contains_key(*id)) {
        let text = format!("The subnet ID '{unknown}' does not exist");
        return Err(ApiError::new("InvalidSubnetID.NotFound", text));
    }
    let mut shown = Vec::new();
    for (id, zone) in world.subnets.iter().filter(|(id, _)| ids.is_empty() || ids.contains(id)) {
        let field = |name: &str| match name {
            "subnet-id" => Some(vec![id.clone()]),
            "vpc-id" => Some(vec![world.vpc.clone()]),
            "availability-zone" => Some(vec![zone.clone()]),
            _ => None,
        };
        if passes(input, &BTreeMap::new(), field)? {
            shown.push(json!({
                "subnetId": id, "vpcId": world.vpc, "availabilityZone": zone, "state": "available",
                "cidrBlock": "10.0.0.0/24", "availableIpAddressCount": 200, "ownerId": ACCOUNT,
            }));
        }
    }
    input.page(PAGING, world.settings.page.filter(|_| ids.is_empty()), shown, "subnetSet")
}

fn security_groups(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("GroupId"), input.list("GroupName"));
    if let Some(unknown) = ids.iter().find(|id| !world.security_groups.contains_key(*id)) {
        let text = format!("The security group '{unknown}' does not exist");
        return Err(ApiError::new("InvalidGroup.NotFound", text));
    }
    let asked = |group: &&SecurityGroup| {
        (ids.is_empty() || ids.contains(&group.id)) && (names.is_empty() || names.contains(&group.name))
    };
    let mut shown = Vec::new();
    for group in world.security_groups.values().filter(asked) {
        let field = |name: &str| match name {
            "group-id" => Some(vec![group.id.clone()]),
            "group-name" => Some(vec![group.name.clone()]),
            "vpc-id" => Some(vec![world.vpc.clone()]),
            _ => None,
        };
        if passes(input, &BTreeMap::new(), field)? {
            shown.push(show(world, group));
        }
    }
    input.page(PAGING, world.settings.page.filter(|_| ids.is_empty()), shown, "securityGroupInfo")
}

fn show(world: &World, group: &SecurityGroup) -> Value {
    let permission = |(source, low, high): &(String, u16, u16)| {
        let (groups, ranges) = if source.contains('/') {
            (json!([]), json!([{ "cidrIp": source }]))
        } else {
            (json!([{ "groupId": source, "userId": ACCOUNT }]), json!([]))
        };
        json!({ "ipProtocol": "tcp", "fromPort": low, "toPort": high, "groups": groups, "ipRanges": ranges })
    };
    let permissions: Value = group.ingress.iter().map(permission).collect();
    json!({
        "groupId": group.id, "groupName": group.name, "groupDescription": group.name, "vpcId": world.vpc,
        "ownerId": ACCOUNT, "ipPermissions": permissions,
    })
}
