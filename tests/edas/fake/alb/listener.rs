//! Load balancers and listeners of ALB.

use serde_json::{Value, json};

use super::super::input::{Input, items, text};
use super::super::pages::{among, by_token};
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::world::{Balancer, Family, Listener, Shares, VPC, World};
use super::groups::group;

pub const OPERATIONS: &[Operation] = &[
    read("ListListeners", list),
    read("GetListenerAttribute", |world, input| {
        Ok(shown(listener(world, input.need("ListenerId")?, Family::Alb)?))
    }),
    write("UpdateListenerAttribute", update),
    read("ListLoadBalancers", balancers),
    read("GetLoadBalancerAttribute", balancer),
];

/// A listener, if it belongs to the product that was asked.
pub fn listener<'a>(world: &'a World, id: &str, family: Family) -> Result<&'a Listener, ApiError> {
    let of = |listener: &&Listener| {
        world.balancer(&listener.balancer).is_some_and(|balancer| balancer.family == family)
    };
    world.listener_named(id).filter(of).ok_or_else(|| missing("ResourceNotFound.Listener", id))
}

/// The same, where nothing is changing it.
pub fn free<'a>(world: &'a World, id: &str, family: Family) -> Result<&'a Listener, ApiError> {
    let found = listener(world, id, family)?;
    let busy = ApiError::new("IncorrectStatus.Listener", format!("The status of {id} is incorrect."));
    if found.wanted.is_some() { Err(busy) } else { Ok(found) }
}

/// Listeners of a product that are asked for.
pub fn listeners<'a>(world: &'a World, input: &Input, family: Family) -> Vec<&'a Listener> {
    let (ids, balancers) = (input.list("ListenerIds"), input.list("LoadBalancerIds"));
    let fits = |found: &&Listener| {
        let named = among(&ids, &found.id) && among(&balancers, &found.balancer);
        named && listener(world, &found.id, family).is_ok()
    };
    world.listeners.iter().filter(fits).collect()
}

fn list(world: &mut World, input: &Input) -> Answer {
    let found = listeners(world, input, Family::Alb).into_iter().map(shown).collect();
    by_token(world, input, found, "Listeners")
}

pub fn status(listener: &Listener) -> &'static str {
    if listener.wanted.is_some() { "Configuring" } else { "Running" }
}

/// What a listener is set to, though it may not be so yet.
pub fn set_to(listener: &Listener) -> &Shares {
    listener.wanted.as_ref().and_then(|(_, wanted)| wanted.as_ref()).unwrap_or(&listener.shares)
}

fn shown(listener: &Listener) -> Value {
    let tuples: Vec<Value> = set_to(listener).iter().map(|(id, _)| json!({ "ServerGroupId": id })).collect();
    json!({
        "ListenerId": listener.id,
        "LoadBalancerId": listener.balancer,
        "ListenerPort": listener.port,
        "ListenerProtocol": listener.protocol,
        "ListenerStatus": status(listener),
        "RequestTimeout": 60,
        "IdleTimeout": 15,
        "DefaultActions": [{ "Type": "ForwardGroup", "ForwardGroupConfig": { "ServerGroupTuples": tuples } }],
    })
}

fn update(world: &mut World, input: &Input) -> Answer {
    let id = input.need("ListenerId")?.to_owned();
    free(world, &id, Family::Alb)?;
    let rules = world.rules.iter().filter(|rule| rule.listener == id);
    if rules.into_iter().any(|rule| rule.wanted.is_some() || rule.deleting.is_some()) {
        let text = format!("The specified listener {id} is being configured.");
        return Err(ApiError::new("ResourceInConfiguring.Listener", text));
    }
    let wanted = match input.items("DefaultActions") {
        [] => None,
        [action] if text(action, "Type") == Some("ForwardGroup") => Some(only(world, action)?),
        _ => {
            return Err(ApiError::new(
                "IllegalParam.DefaultActions",
                "The param of DefaultActions is illegal.",
            ));
        }
    };
    let (job, ends, succeeds) = world.job(&input.action, "listener", &id);
    if let Some(listener) = world.listeners.iter_mut().find(|listener| listener.id == id) {
        listener.wanted = Some((ends, wanted.filter(|_| succeeds)));
    }
    Ok(json!({ "JobId": job }))
}

/// The one group of a default action, which takes no weights.
fn only(world: &World, action: &Value) -> Result<Shares, ApiError> {
    let tuples = items(action.get("ForwardGroupConfig").unwrap_or(&Value::Null), "ServerGroupTuples");
    let [tuple] = tuples else {
        let text = "A default action forwards to exactly one server group.";
        return Err(ApiError::new("IllegalParamSize.ServerGroupTuples", text));
    };
    let id = text(tuple, "ServerGroupId").unwrap_or_default();
    Ok(vec![(group(world, id, Family::Alb)?.id.clone(), 100)])
}

fn shown_balancer(balancer: &Balancer) -> Value {
    json!({
        "LoadBalancerId": balancer.id,
        "LoadBalancerName": balancer.name,
        "LoadBalancerStatus": "Active",
        "LoadBalancerBussinessStatus": "Normal",
        "LoadBalancerEdition": "Standard",
        "AddressType": balancer.scheme,
        "DNSName": balancer.address,
        "VpcId": VPC,
    })
}

/// The zones in which a balancer has nodes.
pub fn zones(balancer: &Balancer) -> Value {
    balancer
        .zones
        .iter()
        .map(|zone| json!({ "ZoneId": zone, "VSwitchId": format!("vsw-of-{zone}") }))
        .collect()
}

fn balancers(world: &mut World, input: &Input) -> Answer {
    let (ids, names) = (input.list("LoadBalancerIds"), input.list("LoadBalancerNames"));
    let fits =
        |one: &&Balancer| one.family == Family::Alb && among(&ids, &one.id) && among(&names, &one.name);
    let found = world.balancers.iter().filter(fits).map(shown_balancer).collect();
    by_token(world, input, found, "LoadBalancers")
}

fn balancer(world: &mut World, input: &Input) -> Answer {
    let id = input.need("LoadBalancerId")?;
    let found = world.balancer(id).filter(|balancer| balancer.family == Family::Alb);
    let found = found.ok_or_else(|| missing("ResourceNotFound.LoadBalancer", id))?;
    let mut answer = shown_balancer(found);
    answer["ZoneMappings"] = zones(found);
    Ok(answer)
}
