//! Forwarding rules of CLBs: by domain and path, to one vServer group, without weights.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::pages::json_list;
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::world::{Family, Rule, World};
use super::listeners::find;
use super::{balancer, occupy};

pub const OPERATIONS: &[Operation] = &[
    read("DescribeRules", list),
    read("DescribeRuleAttribute", attribute),
    write("SetRule", set),
    write("CreateRules", create),
    write("DeleteRules", delete),
];

fn of<'a>(rule: &'a Rule, name: &str) -> &'a str {
    rule.conditions.first().and_then(|condition| text(condition, name)).unwrap_or_default()
}

/// A rule in a list of what refers to a group.
pub fn named(rule: &Rule) -> Value {
    json!({ "RuleId": rule.id, "RuleName": rule.name, "Domain": of(rule, "Domain"), "Url": of(rule, "Url") })
}

fn shown(rule: &Rule) -> Value {
    let mut one = named(rule);
    if let (Value::Object(fields), Some((group, _))) = (&mut one, rule.shares.first()) {
        fields.insert("VServerGroupId".to_owned(), json!(group));
    }
    one
}

fn rule<'a>(world: &'a World, id: &str) -> Result<(&'a Rule, String), ApiError> {
    let absent = || missing("InvalidParameter.RuleIdNotExist", id);
    let rule = world.rules.iter().find(|rule| rule.id == id).ok_or_else(absent)?;
    let owner = &world.listener_named(&rule.listener).ok_or_else(absent)?.balancer;
    Ok((rule, balancer(world, owner)?.id.clone()))
}

fn list(world: &mut World, input: &Input) -> Answer {
    let owner = balancer(world, input.need("LoadBalancerId")?)?;
    let port = input.number("ListenerPort")?.unwrap_or_default();
    let listener = find(world, &owner.id, input.need("ListenerProtocol")?, port)?;
    let rules = world.rules.iter().filter(|rule| rule.listener == listener.id);
    let rules: Vec<Value> = rules.map(shown).collect();
    Ok(json!({ "Rules": { "Rule": rules } }))
}

fn attribute(world: &mut World, input: &Input) -> Answer {
    let (rule, owner) = rule(world, input.need("RuleId")?)?;
    let port = world.listener_named(&rule.listener).map_or_else(String::new, |own| own.port.to_string());
    let mut one = shown(rule);
    if let Value::Object(fields) = &mut one {
        fields.insert("LoadBalancerId".to_owned(), json!(owner));
        fields.insert("ListenerSync".to_owned(), json!("on"));
        fields.insert("ListenerPort".to_owned(), json!(port));
        // A test that gives it a check of its own writes it beside its conditions.
        let own = rule.conditions.first().and_then(|all| all.get("HealthCheckConnectPort"));
        if let Some(checked) = own {
            fields.insert("ListenerSync".to_owned(), json!("off"));
            fields.insert("Scheduler".to_owned(), json!("wrr"));
            fields.insert("HealthCheckConnectPort".to_owned(), checked.clone());
        }
    }
    Ok(one)
}

fn known(world: &World, group: &str, owner: &str) -> Result<String, ApiError> {
    let fits = |found: &&super::super::world::Group| {
        found.family == Family::Clb && found.balancer.as_deref() == Some(owner)
    };
    let found = world.groups.get(group).filter(fits);
    found
        .map(|group| group.id.clone())
        .ok_or_else(|| missing("InvalidParameter.VServerGroupIdNotExist", group))
}

fn set(world: &mut World, input: &Input) -> Answer {
    let id = input.need("RuleId")?.to_owned();
    let (_, owner) = rule(world, &id)?;
    let group = match input.text("VServerGroupId") {
        Some(group) => Some(known(world, group, &owner)?),
        None => None,
    };
    occupy(world, &owner)?;
    for rule in world.rules.iter_mut().filter(|rule| rule.id == id) {
        if let Some(group) = &group {
            rule.shares = vec![(group.clone(), 100)];
        }
    }
    Ok(json!({}))
}

fn create(world: &mut World, input: &Input) -> Answer {
    let owner = balancer(world, input.need("LoadBalancerId")?)?.id.clone();
    let port = input.number("ListenerPort")?.unwrap_or_default();
    let listener = find(world, &owner, input.need("ListenerProtocol")?, port)?.id.clone();
    let asked = json_list(input, "RuleList")?;
    let groups =
        asked.iter().map(|one| known(world, text(one, "VServerGroupId").unwrap_or_default(), &owner));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    occupy(world, &owner)?;
    let mut made = Vec::new();
    for (one, group) in asked.iter().zip(groups) {
        let id = format!("rule-fa4e{:08x}", world.fresh());
        let name = text(one, "RuleName").unwrap_or("rule").to_owned();
        made.push(json!({ "RuleId": id, "RuleName": name }));
        let conditions = json!({
            "Domain": text(one, "Domain").unwrap_or_default(),
            "Url": text(one, "Url").unwrap_or_default(),
        });
        world.rules.push(Rule {
            id,
            listener: listener.clone(),
            priority: 0,
            name,
            conditions: vec![conditions],
            actions: Vec::new(),
            shares: vec![(group, 100)],
            wanted: None,
            deleting: None,
        });
    }
    Ok(json!({ "Rules": { "Rule": made } }))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let ids = json_list(input, "RuleIds")?;
    let ids: Vec<String> = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let owners = ids.iter().map(|id| Ok(rule(world, id)?.1)).collect::<Result<BTreeSet<_>, ApiError>>()?;
    owners.iter().try_for_each(|owner| occupy(world, owner))?;
    world.rules.retain(|rule| !ids.contains(&rule.id));
    Ok(json!({}))
}
