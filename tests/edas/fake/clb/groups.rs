//! vServer groups.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::groups::Asked;
use super::super::input::{Input, number, text};
use super::super::pages::json_list;
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::world::{Family, Group, World};
use super::pairs::is_pair;
use super::{balancer, is_gone, occupy};

pub const OPERATIONS: &[Operation] = &[
    write("CreateVServerGroup", create),
    write("DeleteVServerGroup", delete),
    write("AddVServerGroupBackendServers", add),
    write("SetVServerGroupAttribute", set),
    write("ModifyVServerGroupBackendServers", modify),
    write("RemoveVServerGroupBackendServers", remove),
    read("DescribeVServerGroups", list),
    read("DescribeVServerGroupAttribute", attribute),
];

/// Servers in one call.
const SERVERS_MAX: usize = 20;

/// The interface that the pods of the node share.
pub const ENI: &str = "eni-fa4e000000000001";

/// A pod is known by its address alone.
pub fn is_pod(server: &str) -> bool {
    server.contains('.')
}

fn group<'a>(world: &'a World, id: &str) -> Result<&'a Group, ApiError> {
    let found = world.groups.get(id).filter(|group| plain(group) && !is_gone(group));
    found.ok_or_else(|| missing("InvalidParameter.VServerGroupIdNotExist", id))
}

/// Whether it is a vServer group, and no pair and no default.
fn plain(group: &Group) -> bool {
    group.family == Family::Clb && !is_pair(group) && !group.id.ends_with("/default")
}

/// The CLB of a group.
fn owner(world: &World, id: &str) -> Result<String, ApiError> {
    Ok(group(world, id)?.balancer.clone().unwrap_or_default())
}

/// Backend servers as one JSON text, numbers as texts.
pub fn backends(input: &Input, name: &str, ports: bool) -> Result<Vec<Asked>, ApiError> {
    let illegal = |what: &str| {
        ApiError::new("InvalidParameter", format!("The specified parameter {what} of {name} is not valid."))
    };
    let items = json_list(input, name)?;
    if items.len() > SERVERS_MAX {
        let text = format!("At most {SERVERS_MAX} servers are taken in one call.");
        return Err(ApiError::new("BackendServer.TooMany", text));
    }
    let one = |item: &Value| {
        let port = number(item, "Port")?.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        let weight = number(item, "Weight")?.unwrap_or(100);
        if weight > 100 {
            return Err(illegal("Weight"));
        }
        Ok(Asked {
            id: text(item, "ServerId").ok_or_else(|| illegal("ServerId"))?.to_owned(),
            port: if ports { port.ok_or_else(|| illegal("Port"))? } else { port.unwrap_or(0) },
            weight,
            kind: text(item, "Type").unwrap_or("ecs").to_owned(),
            description: text(item, "Description").unwrap_or_default().to_owned(),
        })
    };
    items.iter().map(one).collect()
}

/// Only who runs may come in.
pub fn runs(world: &World, id: &str) -> Result<(), ApiError> {
    let running = world.hosts.get(id).is_some_and(|host| host.state == "Running");
    let text = format!("The specified ECS instance {id} is not running or does not exist.");
    if running { Ok(()) } else { Err(ApiError::new("BackendServer.NotRunning", text)) }
}

pub fn shown_servers(group: &Group, ports: bool) -> Vec<Value> {
    let shown = group.servers.iter().map(|server| {
        let mut one = json!({
            "ServerId": server.id,
            "Weight": server.weight,
            "Type": server.kind,
            "Description": server.description,
        });
        if let (true, Value::Object(fields)) = (ports, &mut one) {
            fields.insert("Port".to_owned(), json!(server.port));
        }
        if is_pod(&server.id) {
            (one["ServerId"], one["ServerIp"], one["Type"]) = (json!(ENI), json!(server.id), json!("eni"));
        }
        one
    });
    shown.collect()
}

fn answer(world: &World, id: &str) -> Answer {
    let servers = shown_servers(group(world, id)?, true);
    Ok(json!({ "VServerGroupId": id, "BackendServers": { "BackendServer": servers } }))
}

fn create(world: &mut World, input: &Input) -> Answer {
    let owner = input.need("LoadBalancerId")?.to_owned();
    balancer(world, &owner)?;
    let asked = backends(input, "BackendServers", true)?;
    asked.iter().try_for_each(|one| runs(world, &one.id))?;
    occupy(world, &owner)?;
    let id = format!("rsp-fa4e{:08x}", world.fresh());
    let group = Group {
        id: id.clone(),
        name: input.text("VServerGroupName").unwrap_or("Group").to_owned(),
        family: Family::Clb,
        balancer: Some(owner),
        kind: "Instance".to_owned(),
        protocol: String::new(),
        drain: None,
        checked: true,
        scheduler: "wrr",
        cross_zone: true,
        servers: Vec::new(),
        busy_until: 0,
        created: world.now,
        tags: BTreeMap::new(),
    };
    world.groups.insert(id.clone(), group);
    for one in asked {
        world.put(&id, one, 0);
    }
    answer(world, &id)
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let id = input.need("VServerGroupId")?.to_owned();
    let owner = owner(world, &id)?;
    if world.all_shares().any(|(group, _)| *group == id) {
        return Err(ApiError::new("RspoolVipExist", "There are vips associating with this vServer group."));
    }
    occupy(world, &owner)?;
    world.groups.remove(&id);
    Ok(json!({}))
}

fn add(world: &mut World, input: &Input) -> Answer {
    let id = input.need("VServerGroupId")?.to_owned();
    let owner = owner(world, &id)?;
    let asked = backends(input, "BackendServers", true)?;
    asked.iter().try_for_each(|one| runs(world, &one.id))?;
    occupy(world, &owner)?;
    for one in asked {
        world.put(&id, one, 0);
    }
    answer(world, &id)
}

fn set(world: &mut World, input: &Input) -> Answer {
    let id = input.need("VServerGroupId")?.to_owned();
    let owner = owner(world, &id)?;
    let asked = backends(input, "BackendServers", true)?;
    let known = |one: &Asked| {
        group(world, &id).is_ok_and(|group| group.servers.iter().any(|own| own.is(&one.id, one.port)))
    };
    if let Some(stranger) = asked.iter().find(|one| !known(one)) {
        let text = format!("The specified BackendServer {} does not exist.", stranger.id);
        return Err(ApiError::new("InvalidBackendServers.NotFound", text));
    }
    occupy(world, &owner)?;
    let name = input.text("VServerGroupName").map(str::to_owned);
    if let Some(group) = world.groups.get_mut(&id) {
        group.name = name.unwrap_or_else(|| group.name.clone());
        for server in &mut group.servers {
            let new = asked.iter().find(|one| server.is(&one.id, one.port));
            server.weight = new.map_or(server.weight, |one| one.weight);
        }
    }
    let mut answer = answer(world, &id)?;
    if let Value::Object(fields) = &mut answer {
        fields.insert("VServerGroupName".to_owned(), json!(group(world, &id)?.name));
    }
    Ok(answer)
}

fn modify(world: &mut World, input: &Input) -> Answer {
    let id = input.need("VServerGroupId")?.to_owned();
    let owner = owner(world, &id)?;
    let old = backends(input, "OldBackendServers", true)?;
    let new = backends(input, "NewBackendServers", true)?;
    new.iter().try_for_each(|one| runs(world, &one.id))?;
    occupy(world, &owner)?;
    for one in &old {
        world.take(&id, &one.id, one.port, 0);
    }
    for one in new {
        world.put(&id, one, 0);
    }
    answer(world, &id)
}

fn remove(world: &mut World, input: &Input) -> Answer {
    let id = input.need("VServerGroupId")?.to_owned();
    let owner = owner(world, &id)?;
    let asked = backends(input, "BackendServers", true)?;
    occupy(world, &owner)?;
    for one in &asked {
        world.take(&id, &one.id, one.port, 0);
    }
    let servers = shown_servers(group(world, &id)?, true).into_iter().map(|mut server| {
        if let Value::Object(fields) = &mut server {
            fields.remove("Description");
        }
        server
    });
    let servers: Vec<Value> = servers.collect();
    Ok(json!({ "VServerGroupId": id, "BackendServers": { "BackendServer": servers } }))
}

fn list(world: &mut World, input: &Input) -> Answer {
    let owner = balancer(world, input.need("LoadBalancerId")?)?;
    let groups = world.groups.values().filter(|group| group.balancer.as_ref() == Some(&owner.id));
    let groups = groups.filter(|group| plain(group));
    let shown: Vec<Value> = groups.map(|group| shown(world, input, group)).collect();
    Ok(json!({ "VServerGroups": { "VServerGroup": shown } }))
}

fn shown(world: &World, input: &Input, group: &Group) -> Value {
    let names = |shares: &[(String, u64)]| shares.iter().any(|(id, _)| *id == group.id);
    let with = |name: &str| input.text(name) == Some("true");
    let listeners = world.listeners.iter().filter(|one| with("IncludeListener") && names(&one.shares));
    let listeners: Vec<Value> =
        listeners.map(|one| json!({ "Port": one.port, "Protocol": one.protocol })).collect();
    let rules = world.rules.iter().filter(|rule| with("IncludeRule") && names(&rule.shares));
    let rules: Vec<Value> = rules.map(super::rules::named).collect();
    json!({
        "VServerGroupId": group.id,
        "VServerGroupName": group.name,
        "ServerCount": group.servers.len(),
        "CreateTime": world.iso(group.created),
        "AssociatedObjects": { "Listeners": { "Listener": listeners }, "Rules": { "Rule": rules } },
    })
}

fn attribute(world: &mut World, input: &Input) -> Answer {
    let found = group(world, input.need("VServerGroupId")?)?;
    Ok(json!({
        "VServerGroupId": found.id,
        "VServerGroupName": found.name,
        "LoadBalancerId": found.balancer,
        "CreateTime": world.iso(found.created),
        "BackendServers": { "BackendServer": shown_servers(found, true) },
    }))
}
