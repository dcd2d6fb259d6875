//! Forwarding rules of ALB: the only place where groups have weights.

use serde_json::{Value, json};

use super::super::input::{Input, items, number, text};
use super::super::pages::{among, by_token};
use super::super::service::{Answer, ApiError, Operation, missing, read, write};
use super::super::wire;
use super::super::world::{Family, Rule, Shares, World};
use super::groups::group;
use super::listener::{free, listener};

pub const OPERATIONS: &[Operation] = &[
    write("CreateRule", create),
    write("DeleteRule", delete),
    write("UpdateRuleAttribute", update),
    write("UpdateRulesAttribute", update_many),
    read("ListRules", list),
];

/// Rules of one load balancer.
const RULES_MAX: usize = 100;
/// Rules in one call.
const ASKED_MAX: usize = 20;
const GROUPS_MAX: usize = 5;

fn rule<'a>(world: &'a World, id: &str) -> Result<&'a Rule, ApiError> {
    let of = |rule: &&Rule| rule.id == id && listener(world, &rule.listener, Family::Alb).is_ok();
    world.rules.iter().find(of).ok_or_else(|| missing("ResourceNotFound.Rule", id))
}

fn changing(rule: &Rule) -> bool {
    rule.wanted.is_some() || rule.deleting.is_some()
}

/// Whether a listener takes a change of its rules now.
fn still(world: &World, id: &str) -> Result<(), ApiError> {
    free(world, id, Family::Alb)?;
    let mut rules = world.rules.iter().filter(|rule| rule.listener == id);
    let text = format!("The specified listener {id} is being configured.");
    if rules.any(changing) { Err(ApiError::new("ResourceInConfiguring.Listener", text)) } else { Ok(()) }
}

/// A rule that takes a change now.
fn free_rule<'a>(world: &'a World, id: &str) -> Result<&'a Rule, ApiError> {
    let found = rule(world, id)?;
    if changing(found) {
        return Err(ApiError::new("IncorrectStatus.Rule", format!("The status of {id} is incorrect.")));
    }
    still(world, &found.listener)?;
    Ok(found)
}

/// What actions come to: groups with weights.
fn shares(world: &World, actions: &[Value]) -> Result<Shares, ApiError> {
    let illegal = |name: &str| {
        ApiError::new(format!("IllegalParam.{name}"), format!("The param of {name} is illegal."))
    };
    let mut found = Vec::new();
    for action in actions {
        let order = number(action, "Order")?;
        if order.is_none_or(|order| !(1..=50000).contains(&order)) {
            return Err(illegal("Order"));
        }
        let kind = text(action, "Type").ok_or_else(|| illegal("Type"))?;
        if kind != "ForwardGroup" {
            continue;
        }
        let tuples = items(action.get("ForwardGroupConfig").unwrap_or(&Value::Null), "ServerGroupTuples");
        if tuples.is_empty() || tuples.len() > GROUPS_MAX {
            return Err(illegal("ServerGroupTuples"));
        }
        for tuple in tuples {
            let id = text(tuple, "ServerGroupId").ok_or_else(|| illegal("ServerGroupId"))?;
            group(world, id, Family::Alb)?;
            let weight = number(tuple, "Weight")?;
            let alone = tuples.len() == 1;
            let weight = weight.or(alone.then_some(100)).filter(|weight| *weight <= 100);
            let weight = weight.ok_or_else(|| illegal("Weight"))?;
            if found.iter().any(|(other, _)| other == id) {
                return Err(illegal("ServerGroupId"));
            }
            found.push((id.to_owned(), weight));
        }
    }
    Ok(found)
}

fn priority(world: &World, listener: &str, own: &str, asked: Option<u64>) -> Result<Option<u64>, ApiError> {
    let Some(asked) = asked else { return Ok(None) };
    if !(1..=10000).contains(&asked) {
        return Err(ApiError::new("IllegalParam.Priority", "The param of Priority is illegal."));
    }
    let mut others = world.rules.iter().filter(|rule| rule.listener == listener && rule.id != own);
    if others.any(|rule| rule.priority == asked) {
        return Err(ApiError::new(
            "Conflict.Priority",
            format!("There is already a rule of priority {asked}."),
        ));
    }
    Ok(Some(asked))
}

fn create(world: &mut World, input: &Input) -> Answer {
    let listener = input.need("ListenerId")?.to_owned();
    still(world, &listener)?;
    let name = input.need("RuleName")?.to_owned();
    if !(2..=128).contains(&name.chars().count()) {
        return Err(ApiError::new("IllegalParam.RuleName", "The param of RuleName is illegal."));
    }
    if world.rules.iter().filter(|rule| rule.listener == listener).count() >= RULES_MAX {
        return Err(ApiError::new("QuotaExceeded.RulesNum", "The quota of rules is exceeded."));
    }
    let priority = priority(world, &listener, "", input.number("Priority")?)?.unwrap_or_default();
    let (conditions, actions) = (input.items("RuleConditions").to_vec(), input.items("RuleActions").to_vec());
    if conditions.is_empty() || actions.is_empty() {
        return Err(ApiError::new("MissingRuleConditions", "RuleConditions and RuleActions are mandatory."));
    }
    let wanted = shares(world, &actions)?;
    let id = format!("rule-fa4e{:012x}", world.fresh());
    let (job, ends, succeeds) = world.job(&input.action, "rule", &id);
    world.rules.push(Rule {
        id: id.clone(),
        listener,
        priority,
        name,
        conditions,
        actions,
        shares: Vec::new(),
        wanted: Some((ends, Some(wanted))),
        deleting: (!succeeds).then_some(ends),
    });
    Ok(json!({ "RuleId": id, "JobId": job }))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let id = input.need("RuleId")?.to_owned();
    free_rule(world, &id)?;
    let (job, ends, succeeds) = world.job(&input.action, "rule", &id);
    for rule in world.rules.iter_mut().filter(|rule| succeeds && rule.id == id) {
        rule.deleting = Some(ends);
    }
    Ok(json!({ "JobId": job }))
}

/// What is asked for one rule.
fn change(world: &mut World, asked: &Value, (ends, succeeds): (u64, bool)) -> Result<(), ApiError> {
    let id = text(asked, "RuleId").unwrap_or_default().to_owned();
    let listener = rule(world, &id)?.listener.clone();
    let priority = priority(world, &listener, &id, number(asked, "Priority")?)?;
    let actions = items(asked, "RuleActions").to_vec();
    let wanted = if actions.is_empty() { None } else { Some(shares(world, &actions)?) };
    let Some(rule) = world.rules.iter_mut().find(|rule| rule.id == id) else { return Ok(()) };
    rule.wanted = Some((ends, wanted.filter(|_| succeeds)));
    if !succeeds {
        return Ok(());
    }
    rule.priority = priority.unwrap_or(rule.priority);
    if let Some(name) = text(asked, "RuleName") {
        name.clone_into(&mut rule.name);
    }
    if !actions.is_empty() {
        rule.actions = actions;
    }
    let conditions = items(asked, "RuleConditions");
    if !conditions.is_empty() {
        rule.conditions = conditions.to_vec();
    }
    Ok(())
}

fn update(world: &mut World, input: &Input) -> Answer {
    let id = input.need("RuleId")?.to_owned();
    free_rule(world, &id)?;
    let (job, ends, succeeds) = world.job(&input.action, "rule", &id);
    change(world, &input.tree, (ends, succeeds))?;
    Ok(json!({ "JobId": job }))
}

fn update_many(world: &mut World, input: &Input) -> Answer {
    let asked = input.items("Rules").to_vec();
    for one in &asked {
        free_rule(world, text(one, "RuleId").unwrap_or_default())?;
    }
    let first = asked.first().and_then(|one| text(one, "RuleId")).unwrap_or_default().to_owned();
    let (job, ends, succeeds) = world.job(&input.action, "rule", &first);
    for one in &asked {
        change(world, one, (ends, succeeds))?;
    }
    Ok(json!({ "JobId": job }))
}

fn status(rule: &Rule) -> &'static str {
    match (&rule.wanted, rule.shares.is_empty()) {
        (Some(_), true) => "Provisioning",
        (Some(_), false) => "Configuring",
        (None, _) if rule.deleting.is_some() => "Configuring",
        (None, _) => "Available",
    }
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("RuleIds");
    if ids.len() > ASKED_MAX {
        return Err(ApiError::new("IllegalParamSize.RuleIds", "The size of RuleIds is illegal."));
    }
    let (listeners, balancers) = (input.list("ListenerIds"), input.list("LoadBalancerIds"));
    let shape = wire::ALB.operations.get("ListRules").and_then(|shape| shape.reply.pointer("/Rules/0"));
    let shown = world.rules.iter().filter_map(|rule| {
        let of = listener(world, &rule.listener, Family::Alb).ok()?;
        let asked = among(&ids, &rule.id) && among(&listeners, &of.id) && among(&balancers, &of.balancer);
        let shown = json!({
            "RuleId": rule.id,
            "RuleName": rule.name,
            "RuleStatus": status(rule),
            "ListenerId": of.id,
            "LoadBalancerId": of.balancer,
            "Priority": rule.priority,
            "Direction": "Request",
            "RuleConditions": rule.conditions,
            "RuleActions": rule.actions,
        });
        asked.then(|| wire::typed(shown, shape.unwrap_or(&Value::Null)))
    });
    let shown = shown.collect();
    by_token(world, input, shown, "Rules")
}
