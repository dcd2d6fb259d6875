//! ALB (version 2020-06-16): server groups, listeners, rules, and what is not well.

use serde::Deserialize;
use serde_json::Value;

use super::page::{self, In};
use super::pool::{self, number, switch};
use crate::cloud::edas::client::{Call, Client, Product};
use crate::cloud::{Fault, FaultKind};

const PAGE: u32 = 100;
/// The most entries of a page about health (`GetListenerHealthStatus` in the official SDK).
const HEALTH_PAGE: u32 = 30;
const HEALTH: &str = "GetListenerHealthStatus";

/// A server group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    pub server_group_id: String,
    /// `Instance`, `Ip` or `Fc`.
    #[serde(default)]
    pub server_group_type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub server_count: Option<u32>,
    /// How it chooses among its servers.
    #[serde(default)]
    pub scheduler: Option<String>,
    #[serde(default)]
    pub connection_drain_config: Option<Drain>,
    #[serde(default)]
    pub health_check_config: Option<Check>,
}

/// How long a server that is taken out keeps its connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Drain {
    #[serde(default, deserialize_with = "switch")]
    pub connection_drain_enabled: Option<bool>,
    #[serde(default, deserialize_with = "number")]
    pub connection_drain_timeout: Option<u32>,
}

/// How servers are checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    #[serde(default, deserialize_with = "number")]
    pub health_check_interval: Option<u32>,
}

/// A balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Balancer {
    pub load_balancer_id: String,
    /// `Basic`, `Standard` or `StandardWithWaf`.
    #[serde(default)]
    pub load_balancer_edition: Option<String>,
}

/// A listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listener {
    pub listener_id: String,
    #[serde(default)]
    pub load_balancer_id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub listener_port: Option<u32>,
    /// `Provisioning`, `Running`, `Configuring` or `Stopped`.
    #[serde(default)]
    pub listener_status: Option<String>,
    /// As ALB says them.
    pub default_actions: Vec<Value>,
}

/// A rule of a listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    pub rule_id: String,
    pub listener_id: String,
    #[serde(default, deserialize_with = "number")]
    pub priority: Option<u32>,
    /// `Provisioning`, `Configuring` or `Available`.
    #[serde(default)]
    pub rule_status: Option<String>,
    /// As ALB says them: a change writes all of them again.
    pub rule_actions: Vec<Value>,
    #[serde(default)]
    pub rule_conditions: Vec<Value>,
}

/// What one listener or rule says of one server group: who is *not* well.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    pub server_group_id: String,
    #[serde(default, deserialize_with = "switch")]
    pub health_check_enabled: Option<bool>,
    /// How many servers were counted.
    #[serde(default, deserialize_with = "number")]
    pub server_count: Option<u32>,
    /// Whether it has to say that: ALB does, NLB never says it (official SDKs, 2026-10).
    #[serde(skip)]
    pub owes_count: bool,
    pub non_normal_servers: Vec<NonNormal>,
}

/// A server that is not well, and why.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NonNormal {
    #[serde(default)]
    pub server_id: Option<String>,
    #[serde(default)]
    pub server_ip: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub reason: Option<Reason>,
}

/// Why a check failed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reason {
    #[serde(default)]
    pub reason_code: Option<String>,
}

/// What one listener, or one rule, says of its server groups.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    pub server_group_infos: Vec<Report>,
}

/// Every balancer of the region.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn balancers(client: &Client) -> Result<Vec<Balancer>, Fault> {
    let call = Call::rpc(Product::Alb, "ListLoadBalancers").read().with("MaxResults", PAGE);
    page::by_token(client, call, "/LoadBalancers", In::Query).await
}

/// A zone in which a balancer has nodes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Zone {
    #[serde(default)]
    pub zone_id: Option<String>,
}

/// The zones of a balancer.
///
/// # Errors
/// The call's fault.
pub async fn zones(client: &Client, balancer: &str) -> Result<Vec<Zone>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Attribute {
        #[serde(default)]
        zone_mappings: Vec<Zone>,
    }
    let call = Call::rpc(Product::Alb, "GetLoadBalancerAttribute").read().with("LoadBalancerId", balancer);
    Ok(client.send::<Attribute>(call).await?.zone_mappings)
}

/// The listeners with these ids, at most twenty; all of the region without any.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn listeners(client: &Client, ids: &[&str]) -> Result<Vec<Listener>, Fault> {
    let mut call = Call::rpc(Product::Alb, "ListListeners").read().with("MaxResults", PAGE);
    for (n, id) in (1..).zip(ids) {
        call = call.with(format!("ListenerIds.{n}"), id);
    }
    page::by_token(client, call, "/Listeners", In::Query).await
}

/// Which rules are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All of the region.
    All,
    /// Those of one listener.
    Of(&'a str),
    /// One.
    One(&'a str),
}

/// Rules.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn rules(client: &Client, which: Which<'_>) -> Result<Vec<Rule>, Fault> {
    let call = Call::rpc(Product::Alb, "ListRules").read().with("MaxResults", PAGE);
    let call = match which {
        Which::All => call,
        Which::Of(listener) => call.with("ListenerIds.1", listener),
        Which::One(rule) => call.with("RuleIds.1", rule),
    };
    page::by_token(client, call, "/Rules", In::Query).await
}

/// What a listener and its rules say of their server groups.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn health(client: &Client, listener: &str) -> Result<Vec<Status>, Fault> {
    let call = Call::rpc(Product::Alb, HEALTH).read().with("MaxResults", HEALTH_PAGE);
    let call = call.with("ListenerId", listener).with("IncludeRule", true);
    let (mut all, mut next) = (Vec::new(), None::<String>);
    for _ in 0..PAGE {
        let answer: Value = client.send(call.clone().maybe("NextToken", next.clone())).await?;
        all.extend(statuses(&answer)?);
        let token = answer["NextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(all);
        }
        if token == next {
            break;
        }
        next = token;
    }
    Err(Fault::new(FaultKind::Unexpected, HEALTH, "its pages do not end"))
}

/// What one page says of health. It holds a listener or rules, and the last ones rules alone.
fn statuses(answer: &Value) -> Result<Vec<Status>, Fault> {
    let lists = ["/ListenerHealthStatus", "/RuleHealthStatus"];
    if lists.iter().all(|list| answer.pointer(list).is_none_or(|list| !list.is_array())) {
        return Err(Fault::new(
            FaultKind::Unexpected,
            HEALTH,
            "an answer without the list that was asked for",
        ));
    }
    let mut all = Vec::new();
    for list in lists {
        all.extend(page::entries::<Status>(HEALTH, answer, list, Some(0))?);
    }
    for report in all.iter_mut().flat_map(|status| &mut status.server_group_infos) {
        report.owes_count = true;
    }
    Ok(all)
}

/// Writes all actions of a rule. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn update_rule(
    client: &Client,
    rule: &str,
    actions: &[Value],
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(Product::Alb, "UpdateRuleAttribute").with("RuleId", rule);
    pool::write(client, flattened(call, "RuleActions", &Value::Array(actions.to_vec())), token).await
}

/// Gives a listener another default group. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn update_listener(
    client: &Client,
    listener: &str,
    group: &str,
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(Product::Alb, "UpdateListenerAttribute")
        .with("ListenerId", listener)
        .with("DefaultActions.1.Type", "ForwardGroup")
        .with("DefaultActions.1.ForwardGroupConfig.ServerGroupTuples.1.ServerGroupId", group);
    pool::write(client, call, token).await
}

/// Makes a rule that sends what carries a header to a group. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn create_header_rule(
    client: &Client,
    listener: &str,
    (name, priority): (&str, u32),
    (header, value): (&str, &str),
    group: &str,
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(Product::Alb, "CreateRule")
        .with("ListenerId", listener)
        .with("RuleName", name)
        .with("Priority", priority)
        .with("RuleConditions.1.Type", "Header")
        .with("RuleConditions.1.HeaderConfig.Key", header)
        .with("RuleConditions.1.HeaderConfig.Values.1", value)
        .with("RuleActions.1.Type", "ForwardGroup")
        .with("RuleActions.1.Order", 1)
        .with("RuleActions.1.ForwardGroupConfig.ServerGroupTuples.1.ServerGroupId", group)
        .with("RuleActions.1.ForwardGroupConfig.ServerGroupTuples.1.Weight", 100);
    pool::write(client, call, token).await
}

/// Takes a rule away. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn delete_rule(client: &Client, rule: &str, token: &str) -> Result<Option<String>, Fault> {
    pool::write(client, Call::rpc(Product::Alb, "DeleteRule").with("RuleId", rule), token).await
}

/// How far a job is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Job {
    /// `Processing`, `Succeeded` or `Failed`.
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub error_code: Option<String>,
    #[serde(default)]
    pub error_message: Option<String>,
}

/// One job.
///
/// # Errors
/// The call's fault.
pub async fn job(client: &Client, id: &str) -> Result<Option<Job>, Fault> {
    let call = Call::rpc(Product::Alb, "ListAsynJobs").read().with("JobIds.1", id);
    let jobs: Vec<Job> = page::at_once(client, call, "/Jobs").await?;
    Ok(jobs.into_iter().next())
}

/// An answer's value as parameters: `RuleActions.1.ForwardGroupConfig.ServerGroupTuples.2.Weight`.
fn flattened(call: Call, key: &str, value: &Value) -> Call {
    match value {
        Value::Null => call,
        Value::Array(items) => {
            (1..).zip(items).fold(call, |call, (n, item)| flattened(call, &format!("{key}.{n}"), item))
        }
        Value::Object(fields) => fields.iter().fold(call, |call, (name, field)| {
            // Mirrored traffic has no weight to be given, though the answer has one.
            let mirrored = name == "Weight" && key.contains("TrafficMirrorConfig");
            if mirrored { call } else { flattened(call, &format!("{key}.{name}"), field) }
        }),
        Value::String(text) if text.is_empty() => call,
        Value::String(text) => call.with(key, text),
        other => call.with(key, other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_report_of_a_listener_and_of_a_rule_owes_a_count() {
        let info = |count: Option<u32>| {
            json!({ "ServerGroupId": "sgp-1", "ServerCount": count, "HealthCheckEnabled": "on",
                "NonNormalServers": [] })
        };
        let listener = json!({ "ListenerId": "lsn-1", "ServerGroupInfos": [info(Some(2)), info(None)] });
        let rule = json!({ "RuleId": "rule-1", "ServerGroupInfos": [info(None)] });
        let page = json!({ "ListenerHealthStatus": [listener], "RuleHealthStatus": [rule] });
        let all = statuses(&page).unwrap();
        let said = all.iter().flat_map(|status| &status.server_group_infos);
        let said: Vec<_> = said.map(|report| (report.server_count, report.owes_count)).collect();
        assert_eq!(said, [(Some(2), true), (None, true), (None, true)]);
        assert_eq!(statuses(&json!({ "RuleHealthStatus": [] })).unwrap().len(), 0);
        assert_eq!(statuses(&json!({})).unwrap_err().kind, FaultKind::Unexpected);
    }
}
