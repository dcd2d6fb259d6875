//! What a CLB says of health: of every server of every listener.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::service::{Answer, Operation, read};
use super::super::world::{Server, Verdict, World};
use super::balancer;
use super::groups::{ENI, is_pod};

pub const OPERATIONS: &[Operation] = &[read("DescribeHealthStatus", health)];

fn status(server: &Server) -> &'static str {
    match server.verdict {
        Verdict::Healthy => "normal",
        Verdict::Unhealthy | Verdict::Initial => "abnormal",
        Verdict::Unused | Verdict::Unavailable => "unavailable",
    }
}

fn health(world: &mut World, input: &Input) -> Answer {
    let owner = balancer(world, input.need("LoadBalancerId")?)?;
    let (port, protocol) = (input.number("ListenerPort")?, input.text("ListenerProtocol"));
    let asked = world.listeners.iter().filter(|one| {
        let same = one.balancer == owner.id && protocol.is_none_or(|protocol| protocol == one.protocol);
        same && port.is_none_or(|port| port == u64::from(one.port))
    });
    let shown = asked.flat_map(|listener| {
        let rules = world.rules.iter().filter(|rule| rule.listener == listener.id);
        let shares = rules.flat_map(|rule| &rule.shares).chain(&listener.shares);
        let mut groups: Vec<&String> = shares.map(|(id, _)| id).collect();
        groups.sort();
        groups.dedup();
        let servers =
            groups.into_iter().filter_map(|id| world.groups.get(id)).flat_map(|group| &group.servers);
        servers.map(|server| {
            let id = if is_pod(&server.id) { ENI } else { &server.id };
            let ip = world.host_named(&server.id).map(|host| host.ip.clone()).unwrap_or_default();
            json!({
                "ServerId": id,
                "ServerIp": ip,
                "Port": server.port,
                "ListenerPort": listener.port,
                "Protocol": listener.protocol,
                "ServerHealthStatus": status(server),
            })
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "BackendServers": { "BackendServer": shown } }))
}
