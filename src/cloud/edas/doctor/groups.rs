//! The server groups: declared and found, twins alike, drains and health checks within the deadlines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::api::pool::Server;
use super::super::health;
use super::super::route::Place;
use super::super::servers::{Family, ServerGroup};
use super::facts::Facts;
use crate::cloud::{Finding, steps};
use crate::model::{GroupId, Health, Share, Span};
use crate::spec::{EdasGroup, EdasServers, ShareBy};

/// What a health check needs where its settings do not say it (official SDKs, 2026-10).
const THRESHOLD: u64 = 3;
const TIMEOUT_SECS: u64 = 5;
/// What two groups of a pair need not have in common.
const OWN: [&str; 10] = [
    "ServerGroupId",
    "ServerGroupName",
    "ServerGroupStatus",
    "ServerCount",
    "CreateTime",
    "RelatedLoadBalancerIds",
    "RelatedListenerIds",
    "ResourceGroupId",
    "Tags",
    "ServiceManagedEnabled",
];

/// Every check of the server groups.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = declared(facts);
    findings.extend(undeclared(facts));
    findings.extend(unread(facts));
    for group in facts.server_groups() {
        findings.extend(in_use(facts, group));
        findings.extend(ports(facts, group));
        findings.extend(unchecked(facts, group));
        findings.extend(weightless(facts, group));
        findings.extend(uneven(facts, group));
        findings.extend(drain(facts, group));
        findings.extend(patience(facts, group));
    }
    findings
}

fn declared(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, group) in &facts.home.spec.groups {
        let absent: Vec<_> =
            group.servers.ids().iter().filter(|id| facts.survey.group(id).is_none()).collect();
        findings.extend(absent.iter().map(|id| {
            Finding::fail(
                "declared groups",
                format!("there is no server group `{id}`, which the file declares as `{name}`"),
            )
            .mend("correct its id in the deployment file, or create it")
        }));
        let families: BTreeSet<_> = group
            .servers
            .ids()
            .iter()
            .filter_map(|id| facts.survey.group(id))
            .map(|own| own.family)
            .collect();
        if families.iter().any(|family| !fits(&group.servers, *family)) {
            let what =
                format!("`{name}` is declared as a server group of another kind of load balancer than it is");
            findings.push(
                Finding::fail("declared groups", what).mend("write `alb`, `nlb` or `clb` as the group is"),
            );
        }
        if let Some([one, other]) = group.servers.twins().filter(|_| absent.is_empty()) {
            findings.push(match &group.servers {
                EdasServers::ClbTwins(_) => together(facts, one, other),
                _ => alike(facts, one, other),
            });
            findings.extend(switched(facts, name.as_str(), [one, other]));
            findings.extend(divided(facts, name.as_str(), group, [one, other]));
        }
    }
    findings.extend(steps::unaccepted(facts.spec, whole(facts)));
    findings
}

/// The groups that take no steps: default actions have no weights, nor has anything of an NLB or a CLB that leads to twins.
fn whole(facts: &Facts<'_>) -> Vec<GroupId> {
    let takes_none = |group: &EdasGroup| match &group.servers {
        EdasServers::AlbTwins([one, other]) => !defaults(facts, [one, other]).is_empty(),
        EdasServers::NlbTwins(_) | EdasServers::ClbTwins(_) => true,
        EdasServers::Alb(_) | EdasServers::Nlb(_) | EdasServers::Clb(_) => group.by == ShareBy::Membership,
    };
    let groups = facts.home.spec.groups.iter().filter(|(_, group)| takes_none(group));
    groups.map(|(id, _)| id.clone()).collect()
}

/// A CLB's vServer groups have no settings of their own but their servers' ports and weights: scheduler, health checks and
/// drain are those of the listeners and rules, which are switched and stay as they are. So they must be of one balancer.
fn together(facts: &Facts<'_>, one: &str, other: &str) -> Finding {
    let pair = format!("{} and {}", facts.title(one), facts.title(other));
    let balancer =
        |id: &str| facts.survey.group(id).and_then(|group| group.balancer.clone()).unwrap_or_default();
    let (first, second) = (balancer(one), balancer(other));
    if first == second {
        return Finding::ok(
            "twins",
            format!("{pair} are of `{first}`, whose listeners and rules have the settings"),
        );
    }
    Finding::fail("twins", format!("{pair} are of different balancers, `{first}` and `{second}`"))
        .why("a listener has server groups of its own balancer only: it cannot be switched to the other")
        .mend("make the second one on the balancer of the first")
}

/// What has one server group must have the same one everywhere: else green would serve a part before anything is switched.
fn divided(facts: &Facts<'_>, name: &str, group: &EdasGroup, twins: [&String; 2]) -> Option<Finding> {
    let leading = |id: &String| -> Vec<String> {
        let routes =
            facts.survey.group(id).and_then(|own| facts.survey.routes_of(own).ok()).unwrap_or_default();
        let routes = routes.iter().filter(|route| !route.preview && route.share(id) != Some(Share::NONE));
        routes.map(|route| format!("`{}`", route.name)).collect()
    };
    let [one, other] = twins.map(leading);
    let weighs = matches!(group.servers, EdasServers::AlbTwins(_));
    (!weighs && !one.is_empty() && !other.is_empty()).then(|| {
        let what = format!(
            "of `{name}`, {} leads to {} and {} to {}",
            one.join(" and "),
            facts.title(twins[0]),
            other.join(" and "),
            facts.title(twins[1])
        );
        Finding::fail("twins", what)
            .why("each of them has one server group: whoever stands in the second one has traffic already")
            .mend("let all of them lead to the one in which blue stands")
    })
}

fn fits(servers: &EdasServers, family: Family) -> bool {
    match servers {
        EdasServers::AlbTwins(_) | EdasServers::Alb(_) => family == Family::Alb,
        EdasServers::NlbTwins(_) | EdasServers::Nlb(_) => family == Family::Nlb,
        EdasServers::ClbTwins(_) => family == Family::Classic,
        EdasServers::Clb(_) => matches!(family, Family::Classic | Family::ClassicDefault),
    }
}

/// The accident: a group that nobody wrote down. The plan counts as blue's also what EDAS keeps in step with it and what a
/// scaling group of its instances is attached to, though nobody stands there yet.
fn undeclared(facts: &Facts<'_>) -> Vec<Finding> {
    let known: BTreeSet<&String> =
        facts.home.spec.groups.values().flat_map(|group| group.servers.ids()).collect();
    let standing = facts.survey.standing();
    let by_edas: BTreeSet<String> =
        facts.known().flat_map(|(_, now)| now.seen.attached.iter().map(ToString::to_string)).collect();
    let mut by_scaling: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for (id, names) in facts.survey.attached.values().flatten() {
        by_scaling.entry(id).or_default().extend(names);
    }
    let all: BTreeSet<&String> = standing.iter().chain(&by_edas).chain(by_scaling.keys().copied()).collect();
    let missing = all.into_iter().filter(|id| !known.contains(id)).map(|id| {
        let (title, declare) = (facts.title(id), declare(facts, id));
        let (what, mend) = if standing.contains(id) {
            (format!("blue stands in the server group {title}"), declare)
        } else if let Some(names) = by_scaling.get(id) {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let what = format!("blue's scaling group {} is attached to the server group {title}", names.join(" and "));
            (what, format!("{declare}, or detach it from the scaling group"))
        } else {
            let what = format!("EDAS binds blue to the server group {title}");
            (what, format!("{declare}, or unbind it in EDAS"))
        };
        Finding::fail("undeclared groups", format!("{what}, which the file does not declare"))
            .why("whoever comes through it would lose the service with blue; a rollout is refused until it is covered")
            .mend(mend)
    });
    let mut findings: Vec<_> = missing.collect();
    if findings.is_empty() && !standing.is_empty() {
        let what = format!("all {} server groups in which blue stands are declared", standing.len());
        findings.push(Finding::ok("undeclared groups", what));
    }
    findings
}

/// What to do about a group that the file does not name.
fn declare(facts: &Facts<'_>, id: &str) -> String {
    let family = facts.survey.group(id).map(|group| group.family);
    match family {
        _ if facts.home.kubernetes().is_some() => {
            let twins = match family {
                Some(Family::Nlb) => "nlb_twins",
                Some(Family::Classic | Family::ClassicDefault | Family::ClassicPair) => "clb_twins",
                Some(Family::Alb) | None => "alb_twins",
            };
            format!("take it out of the Service that names it, or declare it with a twin: `NAME: {{{twins}: [A, B]}}`")
        }
        Some(Family::ClassicPair) => {
            "move its listener to a vServer group and declare that: a master and a slave are not moved from here".to_owned()
        }
        Some(Family::Nlb) => format!("declare it: `NAME: {{nlb: {id}}}` under `groups`"),
        Some(Family::Classic | Family::ClassicDefault) => format!("declare it: `NAME: {{clb: {id}}}` under `groups`"),
        Some(Family::Alb) | None => format!("declare it: `NAME: {{alb: {id}}}` under `groups`"),
    }
}

/// Where nobody can tell whether blue stands.
fn unread(facts: &Facts<'_>) -> Vec<Finding> {
    let by_edas = &facts.survey.fleets.unread;
    let rest = facts.survey.unread.iter().filter(|what| !by_edas.contains(*what));
    rest.map(|what| {
        Finding::fail("where blue stands", format!("not known: {what}"))
            .why("what cannot be read is unknown, and unknown refuses a rollout")
    })
    .collect()
}

/// Green gets the traffic of a twin: it must be treated as blue is.
fn alike(facts: &Facts<'_>, one: &str, other: &str) -> Finding {
    let pair = format!("{} and {}", facts.title(one), facts.title(other));
    let (Some(first), Some(second)) = (facts.settings.get(one), facts.settings.get(other)) else {
        return Finding::unchecked("twins", format!("the settings of {pair} could not be compared"));
    };
    let mut differ = Vec::new();
    differences("", first, second, &mut differ);
    if differ.is_empty() {
        return Finding::ok("twins", format!("{pair} have the same settings"));
    }
    Finding::fail("twins", format!("{pair} differ in {}", differ.join(", ")))
        .why("green would be checked or served otherwise than blue")
        .mend("give both the same settings")
}

/// Every setting in which two values differ, as `path (one and other)`.
fn differences(path: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    if let (Value::Object(first), Value::Object(second)) = (one, other) {
        let keys: BTreeSet<_> = first.keys().chain(second.keys()).collect();
        for key in keys.into_iter().filter(|key| !path.is_empty() || !OWN.contains(&key.as_str())) {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let value = |of: &serde_json::Map<String, Value>| of.get(key).cloned().unwrap_or(Value::Null);
            differences(&inner, &value(first), &value(second), found);
        }
    } else if one != other {
        let shown = |value: &Value| match value {
            Value::Null => "none".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        found.push(format!("{path} ({} and {})", shown(one), shown(other)));
    }
}

/// The default actions that lead to twins.
fn defaults(facts: &Facts<'_>, twins: [&String; 2]) -> BTreeSet<String> {
    let groups = twins.into_iter().filter_map(|id| facts.survey.group(id));
    let routes = groups.filter_map(|group| facts.survey.routes_of(group).ok()).flatten();
    let defaults = routes.filter(|route| matches!(route.place, Place::Default(_)));
    defaults.map(|route| format!("`{}`", route.name)).collect()
}

/// A default action knows no weights.
fn switched(facts: &Facts<'_>, name: &str, twins: [&String; 2]) -> Option<Finding> {
    let defaults = defaults(facts, twins);
    (!defaults.is_empty()).then(|| {
        let names: Vec<_> = defaults.into_iter().collect();
        let what = format!("the default action of {} leads to `{name}`", names.join(" and "));
        Finding::warn("steps", what)
            .why("a default action has no weights: the group is switched whole, whatever the strategy says")
            .mend("put the two into a rule for `/*`, and let the default action do something else")
    })
}

/// A group that nothing forwards to is never checked, so green cannot become healthy in it. Of twins one may rest.
fn in_use(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let routes = facts.survey.routes_of(group).ok()?;
    let twins = facts.home.spec.groups.values().filter_map(|own| own.servers.twins());
    let twin = twins.into_iter().find(|ids| ids.contains(&group.id));
    let twin = twin.and_then(|ids| ids.iter().find(|id| **id != group.id));
    let by_twin = twin.and_then(|id| facts.survey.group(id)).and_then(|own| facts.survey.routes_of(own).ok());
    let used = routes.iter().chain(by_twin.iter().flatten()).any(|route| !route.preview);
    (!used).then(|| {
        Finding::fail("routes", format!("no listener or rule forwards to {}", facts.title(&group.id)))
            .why("its servers are not checked, so green can never be proved healthy in it")
            .mend("give it a listener or a rule, or take it out of the file and blue out of it")
    })
}

/// The servers of the group that are ours.
fn ours<'a>(facts: &'a Facts<'_>, group: &ServerGroup) -> Vec<&'a Server> {
    let servers = facts.survey.servers(&group.id).and_then(|answer| answer.as_ref().ok());
    let all = servers.map(Vec::as_slice).unwrap_or_default().iter();
    all.filter(|server| facts.survey.owners.of_server(server).is_some()).collect()
}

fn declaration<'a>(facts: &'a Facts<'_>, group: &ServerGroup) -> Option<&'a EdasGroup> {
    facts.home.spec.groups.values().find(|own| own.servers.ids().contains(&group.id))
}

/// Green is put in with the file's port.
fn ports(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let wanted = u32::from(declaration(facts, group)?.port);
    let used: BTreeSet<u32> = ours(facts, group).iter().filter_map(|server| server.port).collect();
    let others: Vec<_> = used.iter().filter(|port| **port != wanted).map(ToString::to_string).collect();
    (!others.is_empty()).then(|| {
        let what = format!(
            "blue serves {} on port {}, and the file says {wanted}",
            facts.title(&group.id),
            others.join(" and ")
        );
        Finding::fail("ports", what)
            .why("green would be put in with another port than blue, and nobody may listen there")
            .mend(format!("write `port: {}` for the group", others[0]))
    })
}

/// Nobody checks the servers: green can never be proved healthy.
fn unchecked(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let settings = facts.settings.get(&group.id);
    let off = ["HealthCheckConfig", "HealthCheck"]
        .iter()
        .any(|key| settings.is_some_and(|own| own[key]["HealthCheckEnabled"] == Value::Bool(false)));
    let answer = facts.survey.servers(&group.id).and_then(|answer| answer.as_ref().ok());
    let checks = facts.survey.checks(&group.id).and_then(|answer| answer.as_ref().ok());
    let classic = matches!(group.family, Family::Classic | Family::ClassicDefault | Family::ClassicPair);
    let unknown = match (answer, checks) {
        (Some(all), Some(checks)) if classic => ours(facts, group)
            .into_iter()
            .any(|server| health::judge(server, all, checks).0 == Health::Unavailable),
        _ => false,
    };
    (off || unknown).then(|| {
        Finding::fail("health checks", format!("{} checks nobody's health", facts.title(&group.id)))
            .why("green can never be proved healthy in it")
            .mend(if classic {
                "switch on the health check of its listener"
            } else {
                "switch on its health check"
            })
    })
}

/// Green's servers come in with the weight of blue's heaviest.
fn uneven(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let by_membership = declaration(facts, group).is_some_and(|own| own.by == ShareBy::Membership);
    let weights: BTreeSet<u32> = ours(facts, group).iter().filter_map(|server| server.weight).collect();
    let most = weights.last()?;
    (by_membership && group.heeds_weights && weights.len() > 1).then(|| {
        let shown: Vec<_> = weights.iter().map(ToString::to_string).collect();
        let what = format!(
            "blue's servers weigh {} in {}, and each of green's will weigh {most}",
            shown.join(" and "),
            facts.title(&group.id)
        );
        Finding::warn("weights", what)
            .why("green's servers would share the traffic evenly, and blue's do not")
            .mend("give blue's the same weight, if that was not meant")
    })
}

/// Shares by weight need somebody who heeds weights.
fn weightless(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let weighed = declaration(facts, group).is_some_and(|own| own.by == ShareBy::Weights);
    (weighed && !group.heeds_weights).then(|| {
        let what =
            format!("not all that leads to {} heeds the weights of its servers", facts.title(&group.id));
        Finding::fail("weights", what)
            .why("the file shares it by weight, and a rollout is refused")
            .mend("give it, or its listeners and rules, the scheduler `wrr`, or leave `by: weights` out")
    })
}

fn drain(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let deadline = facts.spec.deadlines.drain;
    if group.drain >= deadline {
        let what = format!(
            "{} drains for {}, and `deadlines.drain` is {deadline}",
            facts.title(&group.id),
            group.drain
        );
        return Some(
            Finding::fail("drain", what)
                .why("blue cannot be empty in time, and the rollout would be held")
                .mend(format!(
                    "set `deadlines.drain` to {} or more, or shorten the connection drain",
                    Span(group.drain.0 + Span::mins(5).0)
                )),
        );
    }
    let pooled = matches!(group.family, Family::Alb | Family::Nlb);
    (group.drain == Span::ZERO && pooled).then(|| {
        Finding::warn("drain", format!("{} has no connection drain", facts.title(&group.id)))
            .why("requests that blue is answering when it is taken out are cut")
            .mend("switch on its connection drain")
    })
}

/// How long a new server needs in the worst case: every check that it must pass, and the last one's patience.
fn patience(facts: &Facts<'_>, group: &ServerGroup) -> Option<Finding> {
    let settings = facts.settings.get(&group.id);
    let number =
        |key: &str| ["HealthCheckConfig", "HealthCheck"].iter().find_map(|own| settings?[own][key].as_u64());
    let threshold = number("HealthyThreshold").unwrap_or(THRESHOLD);
    let timeout =
        number("HealthCheckTimeout").or(number("HealthCheckConnectTimeout")).unwrap_or(TIMEOUT_SECS);
    let needs = Span(group.interval.0 * threshold + Span::secs(timeout).0);
    let (wanted, deadline) = (Span(needs.0 + facts.spec.settle.0), facts.spec.deadlines.settle);
    (wanted >= deadline).then(|| {
        let what = format!("{} may take {needs} to call a server healthy ({threshold} checks, {} apart), and `deadlines.settle` is {deadline}", facts.title(&group.id), group.interval);
        Finding::fail("health checks", what)
            .why(format!("with `settle: {}` that is {wanted}: a sound green would be rolled back", facts.spec.settle))
            .mend("shorten the interval or the healthy threshold, or give `deadlines.settle` more time")
    })
}
