//! Server groups of ALB, and what NLB's have in common with them.

use serde_json::{Value, json};

use super::super::groups::Asked;
use super::super::input::{Input, number, text};
use super::super::pages::{among, by_token, tagged};
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::settings::CrossGroup;
use super::super::world::{Family, Group, Server, State, World, tag_list};

pub const OPERATIONS: &[Operation] = &[
    write("CreateServerGroup", create),
    write("DeleteServerGroup", delete),
    write("AddServersToServerGroup", |world, input| add(world, input, Family::Alb)),
    write("RemoveServersFromServerGroup", |world, input| remove(world, input, Family::Alb)),
    write("ReplaceServersInServerGroup", replace),
    write("UpdateServerGroupServersAttribute", |world, input| reweigh(world, input, Family::Alb)),
    write("UpdateServerGroupAttribute", |world, input| update(world, input, Family::Alb)),
    read("ListServerGroupServers", |world, input| servers(world, input, Family::Alb)),
    read("ListServerGroups", list),
];

/// Servers in one call.
const SERVERS_MAX: usize = 200;
/// Weights in one call to an ALB.
const WEIGHTS_MAX: usize = 40;
/// Servers in one group.
const GROUP_MAX: usize = 1000;

/// A server group, if it belongs to the product that was asked.
pub fn group<'a>(world: &'a World, id: &str, family: Family) -> Result<&'a Group, ApiError> {
    let found = world.groups.get(id).filter(|group| group.family == family);
    found.ok_or_else(|| missing("ResourceNotFound.ServerGroup", id))
}

fn free<'a>(world: &'a World, id: &str, family: Family) -> Result<&'a Group, ApiError> {
    let group = group(world, id, family)?;
    let busy = ApiError::new("IncorrectStatus.ServerGroup", format!("The status of {id} is incorrect."));
    if group.busy(world.now) { Err(busy) } else { Ok(group) }
}

fn some(items: &[Value], name: &str, most: usize) -> Result<Vec<Value>, ApiError> {
    if items.is_empty() {
        return Err(ApiError::new(format!("Missing{name}"), format!("{name} is mandatory for this action.")));
    }
    if items.len() > most {
        let text = format!("At most {most} {name} are taken in one call.");
        return Err(ApiError::new(format!("IllegalParamSize.{name}"), text));
    }
    Ok(items.to_vec())
}

fn port(item: &Value) -> Result<u16, ApiError> {
    let illegal = || ApiError::new("IllegalParam.Port", "The param of Port is illegal.");
    number(item, "Port")?
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .ok_or_else(illegal)
}

fn weight(item: &Value) -> Result<u64, ApiError> {
    let weight = number(item, "Weight")?.unwrap_or(100);
    let illegal = ApiError::new("IllegalParam.Weight", "The param of Weight is illegal.");
    if weight > 100 { Err(illegal) } else { Ok(weight) }
}

fn asked(item: &Value) -> Result<Asked, ApiError> {
    let need = |name: &str| {
        let absent =
            || ApiError::new(format!("Missing{name}"), format!("{name} is mandatory for this action."));
        text(item, name).filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(absent)
    };
    Ok(Asked {
        kind: need("ServerType")?,
        id: need("ServerId")?,
        port: port(item)?,
        weight: weight(item)?,
        description: text(item, "Description").unwrap_or_default().to_owned(),
    })
}

/// Whether a group takes a server.
fn takes(world: &World, group: &Group, asked: &Asked) -> Result<(), ApiError> {
    let by_address = group.kind == "Ip";
    if by_address != (asked.kind == "Ip") {
        return Err(ApiError::new("Mismatch.ServerType", format!("{} takes no {}.", group.id, asked.kind)));
    }
    let host = world.host_named(&asked.id).filter(|host| (host.ip == asked.id) == by_address);
    if !by_address && host.is_none() {
        return Err(missing("ResourceNotFound.BackendServer", &asked.id));
    }
    let own = |server: &&Server| server.is(&asked.id, asked.port) && server.state != State::Removing;
    if group.servers.iter().any(|server| own(&server)) {
        let text = format!("{} with port {} is in the server group.", asked.id, asked.port);
        return Err(ApiError::new("ResourceAlreadyExist.BackendServer", text));
    }
    Ok(())
}

fn answer(family: Family, group: &str, job: &str) -> Value {
    match family {
        Family::Nlb => json!({ "JobId": job, "ServerGroupId": group }),
        Family::Alb | Family::Clb => json!({ "JobId": job }),
    }
}

fn occupy(world: &mut World, group: &str, until: u64) {
    if let Some(group) = world.groups.get_mut(group) {
        group.busy_until = until;
    }
}

pub fn add(world: &mut World, input: &Input, family: Family) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    let group = free(world, &id, family)?.clone();
    let items = some(input.items("Servers"), "Servers", SERVERS_MAX)?;
    let asked = items.iter().map(asked).collect::<Result<Vec<_>, _>>()?;
    asked.iter().try_for_each(|one| takes(world, &group, one))?;
    if group.servers.len() + asked.len() > GROUP_MAX {
        return Err(ApiError::new("QuotaExceeded.ServersNum", "The quota of servers is exceeded."));
    }
    let (job, ends, succeeds) = world.job(&input.action, "servergroup", &id);
    occupy(world, &id, ends);
    for one in asked.into_iter().filter(|_| succeeds) {
        world.put(&id, one, ends);
    }
    Ok(answer(family, &id, &job))
}

fn leaving(group: &Group, items: &[Value]) -> Result<Vec<(String, u16)>, ApiError> {
    let one = |item: &Value| {
        let (id, port) = (text(item, "ServerId").unwrap_or_default(), port(item)?);
        let found = group.servers.iter().any(|server| server.is(id, port));
        found.then(|| (id.to_owned(), port)).ok_or_else(|| missing("ResourceNotFound.BackendServer", id))
    };
    items.iter().map(one).collect()
}

pub fn remove(world: &mut World, input: &Input, family: Family) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    let group = free(world, &id, family)?.clone();
    let leaving = leaving(&group, &some(input.items("Servers"), "Servers", SERVERS_MAX)?)?;
    let (job, ends, succeeds) = world.job(&input.action, "servergroup", &id);
    occupy(world, &id, ends);
    for (server, port) in leaving.into_iter().filter(|_| succeeds) {
        world.take(&id, &server, port, ends);
    }
    Ok(answer(family, &id, &job))
}

fn replace(world: &mut World, input: &Input) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    let group = free(world, &id, Family::Alb)?.clone();
    let leaving = leaving(&group, &some(input.items("RemovedServers"), "RemovedServers", SERVERS_MAX)?)?;
    let items = some(input.items("AddedServers"), "AddedServers", SERVERS_MAX)?;
    let asked = items.iter().map(asked).collect::<Result<Vec<_>, _>>()?;
    asked.iter().try_for_each(|one| takes(world, &group, one))?;
    let (job, ends, succeeds) = world.job(&input.action, "servergroup", &id);
    occupy(world, &id, ends);
    if succeeds {
        for (server, port) in &leaving {
            world.take(&id, server, *port, ends);
        }
        for one in asked {
            world.put(&id, one, ends);
        }
    }
    Ok(answer(Family::Alb, &id, &job))
}

/// New weights.
pub fn reweigh(world: &mut World, input: &Input, family: Family) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    let group = free(world, &id, family)?.clone();
    let most = if family == Family::Alb { WEIGHTS_MAX } else { SERVERS_MAX };
    let items = some(input.items("Servers"), "Servers", most)?;
    leaving(&group, &items)?;
    let weights = items.iter().map(|item| Ok((leaving(&group, std::slice::from_ref(item))?, weight(item)?)));
    let weights = weights.collect::<Result<Vec<_>, ApiError>>()?;
    let (job, ends, succeeds) = world.job(&input.action, "servergroup", &id);
    occupy(world, &id, ends);
    let servers = world.groups.get_mut(&id).map(|group| group.servers.iter_mut()).into_iter().flatten();
    for server in servers.filter(|server| succeeds && server.state != State::Removing) {
        let new = weights.iter().find(|(of, _)| of.iter().any(|(id, port)| server.is(id, *port)));
        if let Some((_, weight)) = new {
            server.weight = *weight;
            (server.state, server.until) = (State::Configuring, ends);
        }
    }
    Ok(answer(family, &id, &job))
}

fn create(world: &mut World, input: &Input) -> Answer {
    let name = input.need("ServerGroupName")?.to_owned();
    if !(2..=128).contains(&name.chars().count()) {
        return Err(ApiError::new(
            "IllegalParam.ServerGroupName",
            "The param of ServerGroupName is illegal.",
        ));
    }
    let id = format!("sgp-fa4e{:012x}", world.fresh());
    let config = input.tree.get("ConnectionDrainConfig").cloned().unwrap_or_default();
    let drain = text(&config, "ConnectionDrainEnabled") == Some("true");
    let drain = drain.then_some(number(&config, "ConnectionDrainTimeout")?.unwrap_or(300));
    let check = input.tree.get("HealthCheckConfig").cloned().unwrap_or_default();
    let absent =
        || ApiError::new("MissingHealthCheckConfig", "HealthCheckConfig is mandatory for this action.");
    let checked = text(&check, "HealthCheckEnabled").ok_or_else(absent)? == "true";
    let tags = input.items("Tag").iter();
    let tags = tags.filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())));
    let (job, ends, _) = world.job(&input.action, "servergroup", &id);
    let group = Group {
        id: id.clone(),
        name,
        family: Family::Alb,
        balancer: None,
        kind: input.text("ServerGroupType").unwrap_or("Instance").to_owned(),
        protocol: input.text("Protocol").unwrap_or("HTTP").to_owned(),
        drain,
        checked,
        scheduler: "Wrr",
        cross_zone: true,
        servers: Vec::new(),
        busy_until: ends,
        created: world.now,
        tags: tags.collect(),
    };
    world.groups.insert(id.clone(), group);
    Ok(json!({ "ServerGroupId": id, "JobId": job }))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    free(world, &id, Family::Alb)?;
    if world.all_shares().any(|(group, _)| *group == id) {
        return Err(ApiError::new(
            "ResourceInUse.ServerGroup",
            format!("The specified resource {id} is in use."),
        ));
    }
    let (job, _, succeeds) = world.job(&input.action, "servergroup", &id);
    if succeeds {
        world.groups.remove(&id);
    }
    Ok(json!({ "JobId": job }))
}

/// New settings: of an ALB's group the drain is a part of its own, of an NLB's it is not.
pub fn update(world: &mut World, input: &Input, family: Family) -> Answer {
    let id = input.need("ServerGroupId")?.to_owned();
    free(world, &id, family)?;
    let config = match family {
        Family::Nlb => input.tree.clone(),
        Family::Alb | Family::Clb => input.tree.get("ConnectionDrainConfig").cloned().unwrap_or_default(),
    };
    let timeout = number(&config, "ConnectionDrainTimeout")?.unwrap_or(300);
    let check = input.tree.get("HealthCheckConfig").and_then(|check| text(check, "HealthCheckEnabled"));
    let (job, ends, succeeds) = world.job(&input.action, "servergroup", &id);
    if let Some(group) = world.groups.get_mut(&id).filter(|_| succeeds) {
        match text(&config, "ConnectionDrainEnabled") {
            Some("true") => group.drain = Some(timeout),
            Some(_) => group.drain = None,
            None => {}
        }
        group.checked = check.map_or(group.checked, |check| check == "true");
    }
    occupy(world, &id, ends);
    Ok(answer(family, &id, &job))
}

fn status(state: State) -> &'static str {
    match state {
        State::Adding => "Adding",
        State::Available => "Available",
        State::Configuring => "Configuring",
        State::Removing => "Removing",
    }
}

/// The servers of a group, or of every group in which some servers stand.
pub fn servers(world: &mut World, input: &Input, family: Family) -> Answer {
    let ids = input.list("ServerIds");
    let most = if family == Family::Nlb { WEIGHTS_MAX } else { SERVERS_MAX };
    if ids.len() > most {
        return Err(ApiError::new("IllegalParamSize.ServerIds", "The size of ServerIds is illegal."));
    }
    let groups: Vec<&Group> = match input.text("ServerGroupId") {
        Some(id) => vec![group(world, id, family)?],
        None => match world.settings.cross_group {
            CrossGroup::Works => world.groups.values().filter(|group| group.family == family).collect(),
            CrossGroup::Refused => {
                let text = "ServerGroupId is mandatory for this action.";
                return Err(ApiError::new("MissingServerGroupId", text));
            }
            CrossGroup::Empty => Vec::new(),
        },
    };
    let shown = groups.iter().flat_map(|group| {
        let servers = group.servers.iter().filter(|server| among(&ids, &server.id));
        servers.map(|server| shown(world, group, server))
    });
    let shown = shown.collect();
    by_token(world, input, shown, "Servers")
}

fn shown(world: &World, group: &Group, server: &Server) -> Value {
    let ip = world.address_of(&server.id);
    json!({
        "ServerGroupId": group.id,
        "ServerId": server.id,
        "ServerIp": ip,
        "ServerType": server.kind,
        "Port": server.port,
        "Weight": server.weight,
        "Description": server.description,
        "Status": status(server.state),
    })
}

/// The load balancers that send traffic to a group.
pub fn related(world: &World, group: &str) -> Vec<String> {
    let names = |shares: &[(String, u64)]| shares.iter().any(|(id, _)| id == group);
    let by_rule =
        |listener: &str| world.rules.iter().any(|rule| rule.listener == listener && names(&rule.shares));
    let listeners = world.listeners.iter().filter(|one| names(&one.shares) || by_rule(&one.id));
    let mut found: Vec<String> = listeners.map(|listener| listener.balancer.clone()).collect();
    found.sort();
    found.dedup();
    found
}

fn list(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("ServerGroupIds"), input.list("ServerGroupNames"));
    let fits = |group: &&Group| {
        let asked = among(&ids, &group.id) && among(&names, &group.name);
        group.family == Family::Alb && asked && tagged(input, "Tag", &group.tags)
    };
    let shown = world.groups.values().filter(fits).map(|group| {
        let busy = group.busy(world.now);
        json!({
            "ServerGroupId": group.id,
            "ServerGroupName": group.name,
            "ServerGroupStatus": if busy { "Configuring" } else { "Available" },
            "ServerGroupType": group.kind,
            "ServerCount": group.servers.len(),
            "Protocol": group.protocol,
            "Scheduler": group.scheduler,
            "CrossZoneEnabled": group.cross_zone,
            "VpcId": super::super::world::VPC,
            "CreateTime": world.iso(group.created),
            "RelatedLoadBalancerIds": related(world, &group.id),
            "ConnectionDrainConfig": {
                "ConnectionDrainEnabled": group.drain.is_some(),
                "ConnectionDrainTimeout": group.drain.unwrap_or(300),
            },
            "HealthCheckConfig": {
                "HealthCheckEnabled": group.checked,
                "HealthCheckProtocol": "HTTP",
                "HealthCheckPath": "/",
                "HealthCheckInterval": 2,
                "HealthCheckTimeout": 5,
                "HealthyThreshold": 3,
                "UnhealthyThreshold": 3,
                "HealthCheckCodes": ["http_2xx", "http_3xx"],
            },
            "SlowStartConfig": { "SlowStartEnabled": false },
            "StickySessionConfig": { "StickySessionEnabled": false },
            "Tags": tag_list(&group.tags),
        })
    });
    let shown = shown.collect();
    by_token(world, input, shown, "ServerGroups")
}
