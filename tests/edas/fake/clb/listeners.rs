//! Listeners of CLBs.

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::pages::{among, by_token};
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::world::{Listener, World};
use super::pairs::is_pair;
use super::{balancer, default_group, occupy};

pub const OPERATIONS: &[Operation] = &[
    read("DescribeLoadBalancerListeners", list),
    read("DescribeLoadBalancerTCPListenerAttribute", |world, input| attribute(world, input, "tcp")),
    read("DescribeLoadBalancerUDPListenerAttribute", |world, input| attribute(world, input, "udp")),
    read("DescribeLoadBalancerHTTPListenerAttribute", |world, input| attribute(world, input, "http")),
    read("DescribeLoadBalancerHTTPSListenerAttribute", |world, input| attribute(world, input, "https")),
    write("SetLoadBalancerTCPListenerAttribute", |world, input| set(world, input, "tcp")),
    write("SetLoadBalancerUDPListenerAttribute", |world, input| set(world, input, "udp")),
    write("SetLoadBalancerHTTPListenerAttribute", |world, input| set(world, input, "http")),
    write("SetLoadBalancerHTTPSListenerAttribute", |world, input| set(world, input, "https")),
];

pub fn find<'a>(
    world: &'a World,
    balancer: &str,
    protocol: &str,
    port: u64,
) -> Result<&'a Listener, ApiError> {
    let of =
        |one: &&Listener| one.balancer == balancer && one.protocol == protocol && u64::from(one.port) == port;
    world.listeners.iter().find(of).ok_or_else(|| missing("ListenerNotFound", &format!("{protocol}:{port}")))
}

fn asked<'a>(world: &'a World, input: &Input, protocol: &str) -> Result<&'a Listener, ApiError> {
    let owner = balancer(world, input.need("LoadBalancerId")?)?;
    find(world, &owner.id, protocol, input.number("ListenerPort")?.unwrap_or_default())
}

fn drains(listener: &Listener) -> (Value, Value) {
    let drain = listener.settings.get("ConnectionDrain").cloned().unwrap_or_else(|| json!("off"));
    let timeout = listener.settings.get("ConnectionDrainTimeout").cloned();
    (drain, timeout.unwrap_or_else(|| json!(0)))
}

impl World {
    /// A listener of a CLB that sends whoever comes over HTTP to a port of HTTPS, and nobody to a server.
    pub fn clb_redirect(&mut self, clb: &str, port: u16, to: u16) {
        let id = self.clb_listener(clb, "http", port, None);
        for own in self.listeners.iter_mut().filter(|own| own.id == id) {
            own.shares.clear();
            own.settings.insert("ForwardPort".to_owned(), json!(to));
        }
    }
}

/// Whether a listener of HTTP redirects, and whereto. It chooses among no servers then.
fn redirects(listener: &Listener) -> Vec<(&'static str, Value)> {
    match listener.settings.get("ForwardPort") {
        Some(to) => vec![("ListenerForward", json!("on")), ("ForwardPort", to.clone())],
        None => vec![("ListenerForward", json!("off"))],
    }
}

fn insert(value: &mut Value, fields: Vec<(&'static str, Value)>) {
    if let Value::Object(own) = value {
        own.extend(fields.into_iter().map(|(name, field)| (name.to_owned(), field)));
    }
}

/// The vServer group of a listener, and its pair of a master and a slave; neither where the default server group serves.
fn groups(world: &World, listener: &Listener) -> (Value, Value) {
    let own = listener.shares.first().filter(|(id, _)| *id != default_group(&listener.balancer));
    let Some((id, _)) = own else { return (json!(""), json!("")) };
    if world.groups.get(id).is_some_and(is_pair) { (json!(""), json!(id)) } else { (json!(id), json!("")) }
}

/// How a listener chooses among its servers.
pub fn scheduler(listener: &Listener) -> &str {
    listener.settings.get("Scheduler").and_then(Value::as_str).unwrap_or("wrr")
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("LoadBalancerId");
    if ids.len() > 10 {
        return Err(ApiError::new("InvalidParameter.LoadBalancerId", "At most 10 load balancers are taken."));
    }
    let (protocol, port) = (input.text("ListenerProtocol"), input.number("ListenerPort")?);
    let fits = |one: &&Listener| {
        let named = balancer(world, &one.balancer).is_ok() && among(&ids, &one.balancer);
        let port = port.is_none_or(|port| port == u64::from(one.port));
        named && port && protocol.is_none_or(|protocol| protocol == one.protocol)
    };
    let shown = world.listeners.iter().filter(fits).map(|listener| {
        let ((drain, timeout), (group, pair)) = (drains(listener), groups(world, listener));
        let mut config = match listener.protocol.as_str() {
            "tcp" | "udp" => json!({
                "ConnectionDrain": drain,
                "ConnectionDrainTimeout": timeout,
                "HealthCheck": "on",
                "HealthCheckInterval": 2,
                "MasterSlaveServerGroupId": pair,
            }),
            _ => json!({ "HealthCheck": "on", "HealthCheckInterval": 2 }),
        };
        if listener.protocol == "http" {
            insert(&mut config, redirects(listener));
        }
        if let Some(port) = listener.settings.get("HealthCheckConnectPort") {
            config["HealthCheckConnectPort"] = port.clone();
        }
        let mut one = json!({
            "LoadBalancerId": listener.balancer,
            "ListenerPort": listener.port,
            "ListenerProtocol": listener.protocol,
            "Status": "running",
            "VServerGroupId": group,
        });
        if let Value::Object(fields) = &mut one {
            fields.insert(format!("{}ListenerConfig", listener.protocol.to_uppercase()), config);
            if !listener.settings.contains_key("ForwardPort") {
                fields.insert("Scheduler".to_owned(), json!(scheduler(listener)));
            }
        }
        one
    });
    let shown = shown.collect();
    by_token(world, input, shown, "Listeners")
}

fn attribute(world: &mut World, input: &Input, protocol: &str) -> Answer {
    let listener = asked(world, input, protocol)?;
    let mut answer = json!({
        "LoadBalancerId": listener.balancer,
        "ListenerPort": listener.port,
        "Status": "running",
        "VServerGroupId": groups(world, listener).0,
        "HealthCheck": "on",
    });
    match protocol {
        "tcp" => {
            let (drain, timeout) = drains(listener);
            insert(&mut answer, vec![("ConnectionDrain", drain), ("ConnectionDrainTimeout", timeout)]);
        }
        "http" => insert(&mut answer, redirects(listener)),
        _ => {}
    }
    Ok(answer)
}

fn set(world: &mut World, input: &Input, protocol: &str) -> Answer {
    let listener = asked(world, input, protocol)?.clone();
    let named = input.text("VServerGroupId");
    let shares = match (input.text("VServerGroup"), named) {
        (Some("off"), _) => Some(default_group(&listener.balancer)),
        (Some("on"), None) => {
            return Err(ApiError::new(
                "MissingParam.VServerGroupId",
                "The parameter VServerGroupId is missing.",
            ));
        }
        (_, Some(id)) => {
            let own =
                world.groups.get(id).filter(|group| group.balancer.as_ref() == Some(&listener.balancer));
            Some(own.ok_or_else(|| missing("InvalidParameter.VServerGroupIdNotExist", id))?.id.clone())
        }
        (_, None) => None,
    };
    occupy(world, &listener.balancer)?;
    let Some(place) = world.listeners.iter_mut().find(|one| one.id == listener.id) else {
        return Ok(json!({}));
    };
    if let Some(group) = shares {
        place.shares = vec![(group, 100)];
    }
    if let Some(scheduler) = input.text("Scheduler") {
        place.settings.insert("Scheduler".to_owned(), json!(scheduler));
    }
    if let Some(drain) = input.text("ConnectionDrain") {
        place.settings.insert("ConnectionDrain".to_owned(), json!(drain));
    }
    if let Some(timeout) =
        text(&input.tree, "ConnectionDrainTimeout").and_then(|text| text.parse::<u64>().ok())
    {
        place.settings.insert("ConnectionDrainTimeout".to_owned(), json!(timeout));
    }
    Ok(json!({}))
}
