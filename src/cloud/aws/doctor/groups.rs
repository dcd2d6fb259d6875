//! The target groups: declared and found, twins alike, delays and health checks within the deadlines.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::{Matcher, ProtocolEnum, TargetGroup, TargetTypeEnum};

use super::super::arn;
use super::facts::Facts;
use crate::cloud::{Finding, steps};
use crate::model::Span;
use crate::spec::AwsGroup;

/// What a group does where nobody says otherwise (ELBv2 model).
const DELAY_SECS: u64 = 300;
/// What AWS advises for Network Load Balancers (NLB user guide, 2023).
const NETWORK_DELAY_SECS: u64 = 120;

/// Every check of the target groups.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = declared(facts);
    findings.extend(undeclared(facts));
    for group in facts.target_groups() {
        findings.extend(in_use(facts, group));
        findings.extend(delay(facts, group));
        findings.extend(health(facts, group));
        findings.extend(network(facts, group));
    }
    let shared = facts.home.spec.groups.iter().filter(|(_, group)| matches!(group, AwsGroup::Shared { .. }));
    findings.extend(steps::unaccepted(facts.spec, shared.map(|(id, _)| id.clone())));
    findings
}

pub(super) fn name(group: &TargetGroup) -> &str {
    group.target_group_name().unwrap_or("?")
}

fn find<'a>(facts: &'a Facts<'_>, wanted: &str) -> Option<&'a TargetGroup> {
    facts.survey.groups.values().find(|group| group.target_group_name() == Some(wanted))
}

fn attributes<'a>(facts: &'a Facts<'_>, group: &TargetGroup) -> Option<&'a BTreeMap<String, String>> {
    facts.survey.attributes.get(group.target_group_arn()?)?.as_ref().ok()
}

/// An attribute of a group, where it could be read.
pub(super) fn attribute<'a>(facts: &'a Facts<'_>, group: &TargetGroup, key: &str) -> Option<&'a str> {
    attributes(facts, group)?.get(key).map(String::as_str)
}

fn declared(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, group) in &facts.home.spec.groups {
        let absent: Vec<_> = group.names().iter().filter(|name| find(facts, name).is_none()).collect();
        let makes = matches!(group, AwsGroup::Twins { create: true, .. });
        match absent.as_slice() {
            [] => {}
            [one] if makes => {
                findings.push(Finding::ok("declared groups", format!("`{one}` of `{id}` will be made like its twin")));
            }
            absent => findings.extend(absent.iter().map(|name| {
                Finding::fail("declared groups", format!("there is no target group `{name}`, which the file declares as `{id}`"))
                    .mend("correct its name in the deployment file, or create it; `create: true` makes a missing twin")
            })),
        }
        if let AwsGroup::Twins { names: [one, other], .. } = group
            && let (Some(one), Some(other)) = (find(facts, one), find(facts, other))
        {
            findings.push(alike(facts, one, other));
        }
    }
    findings
}

/// The accident: a group that nobody wrote down.
fn undeclared(facts: &Facts<'_>) -> Vec<Finding> {
    let standing = facts.survey.standing();
    let groups =
        facts.survey.groups.iter().filter(|(arn, _)| standing.contains(*arn)).map(|(_, group)| group);
    let mut all = 0;
    let mut findings = Vec::new();
    for group in groups {
        all += 1;
        let name = name(group);
        if facts.declares(name) {
            continue;
        }
        findings.push(
            Finding::fail("undeclared groups", format!("blue stands in the target group `{name}`, which the file does not declare"))
                .why("whoever comes through it would lose the service with blue; a rollout is refused until it is covered")
                .mend(format!("declare it: `{name}: {{target_group: {name}}}` under `groups`")),
        );
    }
    if findings.is_empty() && all > 0 {
        findings.push(Finding::ok(
            "undeclared groups",
            format!("all {all} target groups in which blue stands are declared"),
        ));
    }
    findings
}

/// Green gets the traffic of a twin: it must be treated as blue is.
fn alike(facts: &Facts<'_>, one: &TargetGroup, other: &TargetGroup) -> Finding {
    let mut differ: Vec<String> = Vec::new();
    let (first, second) = (settings(one), settings(other));
    differ.extend(
        first
            .iter()
            .zip(&second)
            .filter(|(a, b)| a != b)
            .map(|((key, a), (_, b))| format!("{key} ({a} and {b})")),
    );
    if let (Some(first), Some(second)) = (attributes(facts, one), attributes(facts, other)) {
        let keys: std::collections::BTreeSet<_> = first.keys().chain(second.keys()).collect();
        let value = |of: &BTreeMap<String, String>, key: &str| {
            of.get(key).cloned().unwrap_or_else(|| "none".to_owned())
        };
        let unlike = keys.into_iter().filter(|key| first.get(*key) != second.get(*key));
        differ.extend(unlike.map(|key| format!("{key} ({} and {})", value(first, key), value(second, key))));
    }
    let pair = format!("`{}` and `{}`", name(one), name(other));
    if differ.is_empty() {
        return Finding::ok("twins", format!("{pair} have the same settings"));
    }
    Finding::fail("twins", format!("{pair} differ in {}", differ.join(", ")))
        .why("green would be checked or served otherwise than blue")
        .mend("give both the same settings")
}

fn settings(group: &TargetGroup) -> [(&'static str, String); 12] {
    let number = |value: Option<i32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
    let matcher = group.matcher().and_then(|matcher: &Matcher| matcher.http_code().or(matcher.grpc_code()));
    [
        ("protocol", text(group.protocol().map(ProtocolEnum::as_str))),
        ("protocol version", text(group.protocol_version())),
        ("port", number(group.port())),
        ("VPC", text(group.vpc_id())),
        ("target type", text(group.target_type().map(TargetTypeEnum::as_str))),
        ("health check protocol", text(group.health_check_protocol().map(ProtocolEnum::as_str))),
        ("health check port", text(group.health_check_port())),
        ("health check path", text(group.health_check_path())),
        ("health check interval", number(group.health_check_interval_seconds())),
        ("healthy threshold", number(group.healthy_threshold_count())),
        ("unhealthy threshold", number(group.unhealthy_threshold_count())),
        ("matcher", text(matcher)),
    ]
}

/// A group that nothing forwards to is never checked, so green cannot become healthy in it.
fn in_use(facts: &Facts<'_>, group: &TargetGroup) -> Option<Finding> {
    let routes = facts.survey.routes_of(group).ok()?;
    if routes.is_empty() {
        return Some(
            Finding::fail("routes", format!("no listener or rule forwards to `{}`", name(group)))
                .why("its targets are not checked, so green can never be proved healthy in it")
                .mend("give it a listener or a rule, or take it out of the file and of the fleet"),
        );
    }
    let sticky: Vec<_> =
        routes.iter().filter(|route| route.sticky()).map(|route| format!("`{}`", route.name)).collect();
    (!sticky.is_empty()).then(|| {
        Finding::warn(
            "stickiness",
            format!(
                "{} keeps clients of `{}` on the target group that they got first",
                sticky.join(" and "),
                name(group)
            ),
        )
        .why("they stay on blue after the shift, until their cookie ends or blue is drained")
        .mend("turn off group stickiness in the forward action, or expect the shift to move new clients only")
    })
}

fn delay(facts: &Facts<'_>, group: &TargetGroup) -> Option<Finding> {
    let secs = attribute(facts, group, "deregistration_delay.timeout_seconds");
    let secs = secs.and_then(|secs| secs.parse().ok()).unwrap_or(DELAY_SECS);
    let (delay, deadline) = (Span::secs(secs), facts.spec.deadlines.drain);
    (delay >= deadline).then(|| {
        Finding::fail(
            "drain",
            format!("`{}` drains for {delay}, and `deadlines.drain` is {deadline}", name(group)),
        )
        .why("blue cannot be empty in time, and the rollout would be held")
        .mend(format!(
            "set `deadlines.drain` to {} or more, or shorten the deregistration delay",
            Span(delay.0 + Span::mins(5).0)
        ))
    })
}

/// How long a new target needs in the worst case: every check that it must pass, and the last one's patience.
fn health(facts: &Facts<'_>, group: &TargetGroup) -> Option<Finding> {
    if group.health_check_enabled() == Some(false) {
        return Some(
            Finding::fail("health checks", format!("`{}` checks nobody's health", name(group)))
                .why("green can never be proved healthy in it")
                .mend("switch on its health check"),
        );
    }
    let seconds =
        |value: Option<i32>, usual: u64| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(usual);
    let interval = seconds(group.health_check_interval_seconds(), 30);
    let threshold = seconds(group.healthy_threshold_count(), 5);
    let needs = Span::secs(interval * threshold + seconds(group.health_check_timeout_seconds(), 5));
    let (wanted, deadline) = (Span(needs.0 + facts.spec.settle.0), facts.spec.deadlines.settle);
    (wanted >= deadline).then(|| {
        let what = format!("`{}` may take {needs} to call a target healthy ({threshold} checks, {interval}s apart), and `deadlines.settle` is {deadline}", name(group));
        Finding::fail("health checks", what)
            .why(format!("with `settle: {}` that is {wanted}: a sound green would be rolled back", facts.spec.settle))
            .mend("shorten the interval or the healthy threshold, or give `deadlines.settle` more time")
    })
}

/// Connections that are open stay where they are.
fn network(facts: &Facts<'_>, group: &TargetGroup) -> Option<Finding> {
    let balanced = group.load_balancer_arns().iter().any(|arn| arn::is_network(arn));
    let ends = attribute(facts, group, "deregistration_delay.connection_termination.enabled") == Some("true");
    if !balanced || ends || attributes(facts, group).is_none() {
        return None;
    }
    let secs = attribute(facts, group, "deregistration_delay.timeout_seconds");
    let secs: u64 = secs.and_then(|secs| secs.parse().ok()).unwrap_or(DELAY_SECS);
    let short = if secs < NETWORK_DELAY_SECS {
        format!("; its delay of {secs}s is short of the {NETWORK_DELAY_SECS}s that AWS advises")
    } else {
        String::new()
    };
    Some(
        Finding::warn("open connections", format!("`{}` does not end connections when its deregistration delay is over{short}", name(group)))
            .why("a Network Load Balancer leaves open connections where they are: clients may hold on to blue until it goes")
            .mend("set `deregistration_delay.connection_termination.enabled` to true, if clients can connect again"),
    )
}
