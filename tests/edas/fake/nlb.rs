//! NLB 2022-04-30: a listener has exactly one server group, and health says nothing of how many there are.

use serde_json::{Value, json};

use super::alb::groups::{self, group, related};
use super::alb::listener::zones;
use super::alb::{listener, status_of, unwell};
use super::input::Input;
use super::pages::{among, by_token, tagged};
use super::service::{Answer, ApiError, Operation, missing, read, write};
use super::world::{Balancer, Family, Group, Listener, VPC, World, tag_list};

pub const OPERATIONS: &[&[Operation]] = &[&[
    read("ListServerGroups", list_groups),
    read("ListServerGroupServers", |world, input| groups::servers(world, input, Family::Nlb)),
    write("AddServersToServerGroup", |world, input| groups::add(world, input, Family::Nlb)),
    write("RemoveServersFromServerGroup", |world, input| groups::remove(world, input, Family::Nlb)),
    write("UpdateServerGroupServersAttribute", |world, input| groups::reweigh(world, input, Family::Nlb)),
    write("UpdateServerGroupAttribute", |world, input| groups::update(world, input, Family::Nlb)),
    read("ListListeners", list_listeners),
    read("GetListenerAttribute", |world, input| {
        Ok(shown(world, listener::listener(world, input.need("ListenerId")?, Family::Nlb)?))
    }),
    write("UpdateListenerAttribute", update),
    read("GetListenerHealthStatus", health),
    read("GetJobStatus", job),
    read("ListLoadBalancers", balancers),
    read("GetLoadBalancerAttribute", balancer),
]];

fn list_groups(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("ServerGroupIds"), input.list("ServerGroupNames"));
    let fits = |group: &&Group| {
        let asked = among(&ids, &group.id) && among(&names, &group.name);
        group.family == Family::Nlb && asked && tagged(input, "Tag", &group.tags)
    };
    let shown = world.groups.values().filter(fits).map(|group| {
        json!({
            "ServerGroupId": group.id,
            "ServerGroupName": group.name,
            "ServerGroupStatus": if group.busy(world.now) { "Configuring" } else { "Available" },
            "ServerGroupType": group.kind,
            "ServerCount": group.servers.len(),
            "Scheduler": group.scheduler,
            "Protocol": group.protocol,
            "RegionId": world.settings.region,
            "VpcId": VPC,
            "RelatedLoadBalancerIds": related(world, &group.id),
            "ConnectionDrainEnabled": group.drain.is_some(),
            "ConnectionDrainTimeout": group.drain.unwrap_or(10),
            "HealthCheck": { "HealthCheckEnabled": group.checked, "HealthCheckType": "TCP" },
            "Tags": tag_list(&group.tags),
        })
    });
    let shown = shown.collect();
    by_token(world, input, shown, "ServerGroups")
}

fn list_listeners(world: &mut World, input: &Input) -> Answer {
    let found = listener::listeners(world, input, Family::Nlb).into_iter();
    let found = found.map(|one| shown(world, one)).collect();
    by_token(world, input, found, "Listeners")
}

fn shown(world: &World, of: &Listener) -> Value {
    let group = listener::set_to(of).first().map(|(id, _)| id.clone());
    json!({
        "ListenerId": of.id,
        "LoadBalancerId": of.balancer,
        "ListenerPort": of.port,
        "ListenerProtocol": of.protocol,
        "ListenerStatus": status_of(of),
        "ServerGroupId": group.unwrap_or_default(),
        "RegionId": world.settings.region,
    })
}

fn update(world: &mut World, input: &Input) -> Answer {
    let id = input.need("ListenerId")?.to_owned();
    listener::free(world, &id, Family::Nlb)?;
    let wanted = match input.text("ServerGroupId") {
        Some(of) => Some(vec![(group(world, of, Family::Nlb)?.id.clone(), 100)]),
        None => None,
    };
    let (job, ends, succeeds) = world.job(&input.action, "listener", &id);
    if let Some(listener) = world.listeners.iter_mut().find(|listener| listener.id == id) {
        listener.wanted = Some((ends, wanted.filter(|_| succeeds)));
    }
    Ok(json!({ "JobId": job }))
}

fn health(world: &mut World, input: &Input) -> Answer {
    let of = listener::listener(world, input.need("ListenerId")?, Family::Nlb)?;
    let infos = of.shares.iter().filter_map(|(id, weight)| {
        let group = world.groups.get(id)?;
        Some(json!({
            "ServerGroupId": id,
            "HeathCheckEnabled": group.checked,
            "NonNormalServers": unwell(world, group, *weight),
        }))
    });
    let infos: Vec<Value> = infos.collect();
    let own = json!({
        "ListenerId": of.id,
        "ListenerPort": of.port,
        "ListenerProtocol": of.protocol,
        "ServerGroupInfos": infos,
    });
    Ok(json!({ "ListenerHealthStatus": [own], "TotalCount": 1 }))
}

fn job(world: &mut World, input: &Input) -> Answer {
    let id = input.need("JobId")?;
    let job =
        world.jobs.iter().find(|job| job.id == id).ok_or_else(|| missing("ResourceNotFound.Job", id))?;
    match job.status(world.now) {
        "Failed" => Err(ApiError::new(job.error.clone().unwrap_or_default(), "The job failed.")),
        status => Ok(json!({ "Status": status })),
    }
}

fn shown_balancer(world: &World, balancer: &Balancer) -> Value {
    json!({
        "LoadBalancerId": balancer.id,
        "LoadBalancerName": balancer.name,
        "LoadBalancerStatus": "Active",
        "LoadBalancerBusinessStatus": "Normal",
        "LoadBalancerType": "Network",
        "AddressType": balancer.scheme,
        "DNSName": balancer.address,
        "RegionId": world.settings.region,
        "VpcId": VPC,
        "CrossZoneEnabled": balancer.cross_zone,
        "ZoneMappings": zones(balancer),
    })
}

fn balancers(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("LoadBalancerIds"), input.list("LoadBalancerNames"));
    let fits =
        |one: &&Balancer| one.family == Family::Nlb && among(&ids, &one.id) && among(&names, &one.name);
    let found = world.balancers.iter().filter(fits).map(|one| shown_balancer(world, one)).collect();
    by_token(world, input, found, "LoadBalancers")
}

fn balancer(world: &mut World, input: &Input) -> Answer {
    let id = input.need("LoadBalancerId")?;
    let found = world.balancer(id).filter(|balancer| balancer.family == Family::Nlb);
    found.map(|one| shown_balancer(world, one)).ok_or_else(|| missing("ResourceNotFound.LoadBalancer", id))
}
