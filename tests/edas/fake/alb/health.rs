//! What ALB says of health, which is who is not well, and its jobs.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::jobs::Job;
use super::super::pages::{among, by_token};
use super::super::service::{Answer, ApiError, Operation, read};
use super::super::world::{Family, Group, Server, State, Verdict, World};
use super::listener::listener;

pub const OPERATIONS: &[Operation] = &[read("GetListenerHealthStatus", health), read("ListAsynJobs", jobs)];

/// Listeners and rules on one page.
const PAGE_MAX: u64 = 30;

/// Who of a group is not well, as a route with this weight sees it.
pub fn not_well(world: &World, group: &Group, weight: u64) -> Vec<Value> {
    let unchecked = weight == 0 && !world.settings.checks_weightless_tuples;
    let servers = group.servers.iter().filter(|server| server.state != State::Removing);
    let shown = |server: &Server| {
        let (status, reason) = match (unchecked, server.verdict) {
            (true, _) | (false, Verdict::Unused) => ("Unused", None),
            (false, Verdict::Healthy) => return None,
            (false, Verdict::Initial) => ("Initial", None),
            (false, Verdict::Unavailable) => ("Unavailable", None),
            (false, Verdict::Unhealthy) => ("Unhealthy", Some("RESPONSE_MISMATCH")),
        };
        let ip = world.address_of(&server.id);
        let mut one = json!({ "ServerId": server.id, "ServerIp": ip, "Port": server.port, "Status": status });
        if let (Some(code), Value::Object(fields)) = (reason, &mut one) {
            fields.insert("Reason".to_owned(), json!({ "ReasonCode": code }));
        }
        Some(one)
    };
    servers.filter_map(shown).collect()
}

fn infos(world: &World, shares: &[(String, u64)]) -> Vec<Value> {
    let known = shares.iter().filter_map(|(id, weight)| Some((world.groups.get(id)?, *weight)));
    let info = |(group, weight): (&Group, u64)| {
        let servers = group.servers.iter().filter(|server| server.state != State::Removing);
        json!({
            "ServerGroupId": group.id,
            "ServerCount": servers.count(),
            "HealthCheckEnabled": if group.checked { "on" } else { "off" },
            "ActionType": "ForwardGroup",
            "NonNormalServers": not_well(world, group, weight),
        })
    };
    known.map(info).collect()
}

fn health(world: &mut World, input: &Input) -> Answer {
    let of = listener(world, input.need("ListenerId")?, Family::Alb)?;
    if input.number("MaxResults")?.is_some_and(|size| !(1..=PAGE_MAX).contains(&size)) {
        return Err(ApiError::new("IllegalParam.MaxResults", "The param of MaxResults is illegal."));
    }
    let own = json!({
        "ListenerId": of.id,
        "ListenerPort": of.port,
        "ListenerProtocol": of.protocol,
        "ServerGroupInfos": infos(world, &of.shares),
    });
    let rules = world.rules.iter().filter(|rule| rule.listener == of.id);
    let rules = rules.filter(|_| input.text("IncludeRule") == Some("true"));
    let rules =
        rules.map(|rule| json!({ "RuleId": rule.id, "ServerGroupInfos": infos(world, &rule.shares) }));
    let all: Vec<Value> = std::iter::once(own).chain(rules).collect();
    let page = by_token(world, input, all, "All")?;
    let (rules, listeners): (Vec<Value>, Vec<Value>) =
        super::super::input::items(&page, "All").iter().cloned().partition(|one| one.get("RuleId").is_some());
    let mut answer = json!({ "ListenerHealthStatus": listeners, "RuleHealthStatus": rules });
    if let (Some(token), Value::Object(fields)) = (page.get("NextToken"), &mut answer) {
        fields.insert("NextToken".to_owned(), token.clone());
    }
    Ok(answer)
}

fn jobs(world: &mut World, input: &Input) -> Answer {
    let (ids, resources) = (input.list("JobIds"), input.list("ResourceIds"));
    let fits = |job: &&Job| {
        let api = input.text("ApiName").is_none_or(|api| api == job.api);
        among(&ids, &job.id) && among(&resources, &job.resource) && api
    };
    let shown = world.jobs.iter().filter(fits).map(|job| {
        let status = job.status(world.now);
        let error = job.error.as_ref().filter(|_| status == "Failed");
        json!({
            "Id": job.id,
            "ApiName": job.api,
            "Status": status,
            "ResourceType": job.kind,
            "ResourceId": job.resource,
            "CreateTime": world.epoch(job.created),
            "ModifyTime": world.epoch(job.created),
            "ErrorCode": error.cloned().unwrap_or_default(),
            "ErrorMessage": error.map(|_| "The job failed.").unwrap_or_default(),
        })
    });
    let shown = shown.collect();
    by_token(world, input, shown, "Jobs")
}
