//! CLBs and their default server groups.

use serde_json::{Value, json};

use super::super::groups::Asked;
use super::super::input::Input;
use super::super::pages::{among, by_number, commas};
use super::super::service::{Answer, Operation, read, write};
use super::super::wire;
use super::super::world::{Balancer, Family, VPC, World};
use super::groups::{backends, runs, shown_servers};
use super::{balancer, default_group, occupy};

pub const OPERATIONS: &[Operation] = &[
    read("DescribeLoadBalancers", list),
    read("DescribeLoadBalancerAttribute", attribute),
    write("AddBackendServers", add),
    write("SetBackendServers", set),
    write("RemoveBackendServers", remove),
];

fn shown(world: &World, balancer: &Balancer) -> Value {
    json!({
        "LoadBalancerId": balancer.id,
        "LoadBalancerName": balancer.name,
        "LoadBalancerStatus": "active",
        "Address": balancer.address,
        "AddressType": balancer.scheme.to_lowercase(),
        "RegionId": world.settings.region,
        "VpcId": VPC,
        "MasterZoneId": balancer.zones.first(),
        "SlaveZoneId": balancer.zones.get(1),
    })
}

/// Whether some server stands in a group of a CLB.
fn holds(world: &World, balancer: &str, server: &str) -> bool {
    let groups = world.groups.values().filter(|group| group.balancer.as_deref() == Some(balancer));
    groups.into_iter().any(|group| group.servers.iter().any(|one| one.id == server))
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = input.text("LoadBalancerId").map(commas).unwrap_or_default();
    let server = input.text("ServerId");
    let by_address = input.text("ServerIntranetAddress");
    let by_address =
        by_address.map(|ip| world.host_named(ip).map_or_else(|| ip.to_owned(), |host| host.id.clone()));
    let fits = |one: &&Balancer| {
        let holds = |server: &str| holds(world, &one.id, server);
        let asked = one.family == Family::Clb && among(&ids, &one.id);
        asked && server.is_none_or(holds) && by_address.as_deref().is_none_or(holds)
    };
    let found = world.balancers.iter().filter(fits).map(|one| shown(world, one)).collect();
    let (page, mut answer) = by_number(world, input, found, 50)?;
    answer.insert("LoadBalancers".to_owned(), json!({ "LoadBalancer": page }));
    Ok(Value::Object(answer))
}

fn attribute(world: &mut World, input: &Input) -> Answer {
    let found = balancer(world, input.need("LoadBalancerId")?)?;
    let listeners = world.listeners.iter().filter(|listener| listener.balancer == found.id);
    let ports: Vec<u16> = listeners.clone().map(|listener| listener.port).collect();
    let both: Vec<Value> = listeners
        .map(|one| json!({ "ListenerPort": one.port, "ListenerProtocol": one.protocol, "Description": "" }))
        .collect();
    let mut answer = shown(world, found);
    if let Value::Object(fields) = &mut answer {
        let servers = world.groups.get(&default_group(&found.id)).map(|group| shown_servers(group, false));
        fields.insert("BackendServers".to_owned(), json!({ "BackendServer": servers.unwrap_or_default() }));
        fields.insert("ListenerPorts".to_owned(), json!({ "ListenerPort": ports }));
        fields.insert("ListenerPortsAndProtocol".to_owned(), json!({ "ListenerPortAndProtocol": both }));
    }
    Ok(answer)
}

/// Two of the three operations tell weights as text.
fn answer(world: &World, input: &Input, id: &str) -> Value {
    let servers = world.groups.get(&default_group(id)).map(|group| shown_servers(group, false));
    let servers = servers.unwrap_or_default().into_iter().map(|mut server| {
        if let Value::Object(fields) = &mut server {
            fields.remove("ServerIp");
        }
        server
    });
    let servers: Vec<Value> = servers.collect();
    let answer = json!({ "LoadBalancerId": id, "BackendServers": { "BackendServer": servers } });
    let shape = wire::CLB.operations.get(&input.action).map(|shape| &shape.reply);
    wire::typed(answer, shape.unwrap_or(&Value::Null))
}

fn add(world: &mut World, input: &Input) -> Answer {
    let id = input.need("LoadBalancerId")?.to_owned();
    let asked = backends(input, "BackendServers", false)?;
    asked.iter().try_for_each(|one| runs(world, &one.id))?;
    occupy(world, &id)?;
    for one in asked {
        world.put(&default_group(&id), Asked { port: 0, ..one }, 0);
    }
    Ok(answer(world, input, &id))
}

fn set(world: &mut World, input: &Input) -> Answer {
    let id = input.need("LoadBalancerId")?.to_owned();
    let asked = backends(input, "BackendServers", false)?;
    occupy(world, &id)?;
    let group = world.groups.get_mut(&default_group(&id));
    for server in group.map(|group| group.servers.iter_mut()).into_iter().flatten() {
        let new = asked.iter().find(|one| one.id == server.id);
        server.weight = new.map_or(server.weight, |one| one.weight);
    }
    Ok(answer(world, input, &id))
}

fn remove(world: &mut World, input: &Input) -> Answer {
    let id = input.need("LoadBalancerId")?.to_owned();
    let asked = backends(input, "BackendServers", false)?;
    occupy(world, &id)?;
    for one in asked {
        world.take(&default_group(&id), &one.id, 0, 0);
    }
    Ok(answer(world, input, &id))
}
