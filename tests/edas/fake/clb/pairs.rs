//! Groups of a master and a slave: the slave gets everything once the master fails.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::service::{Answer, Operation, missing, read};
use super::super::world::{Group, World};
use super::{balancer, is_gone};

pub const OPERATIONS: &[Operation] = &[
    read("DescribeMasterSlaveServerGroups", list),
    read("DescribeMasterSlaveServerGroupAttribute", attribute),
];

/// What the kind of such a group is called here.
pub const PAIR: &str = "MasterSlave";

pub fn is_pair(group: &Group) -> bool {
    group.kind == PAIR
}

fn list(world: &mut World, input: &Input) -> Answer {
    let owner = balancer(world, input.need("LoadBalancerId")?)?;
    let own =
        world.groups.values().filter(|group| is_pair(group) && group.balancer.as_ref() == Some(&owner.id));
    let shown = own.map(|group| {
        json!({
            "MasterSlaveServerGroupId": group.id,
            "MasterSlaveServerGroupName": group.name,
            "CreateTime": world.iso(group.created),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "MasterSlaveServerGroups": { "MasterSlaveServerGroup": shown } }))
}

fn attribute(world: &mut World, input: &Input) -> Answer {
    let id = input.need("MasterSlaveServerGroupId")?;
    let found = world.groups.get(id).filter(|group| is_pair(group) && !is_gone(group));
    let found = found.ok_or_else(|| missing("InvalidParameter.MasterSlaveServerGroupId", id))?;
    let shown = found.servers.iter().enumerate().map(|(n, server)| {
        json!({
            "ServerId": server.id,
            "Port": server.port,
            "Weight": server.weight,
            "Type": server.kind,
            "ServerType": if n == 0 { "Master" } else { "Slave" },
            "Description": server.description,
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({
        "MasterSlaveServerGroupId": found.id,
        "MasterSlaveServerGroupName": found.name,
        "LoadBalancerId": found.balancer,
        "CreateTime": world.iso(found.created),
        "MasterSlaveBackendServers": { "MasterSlaveBackendServer": shown },
    }))
}
