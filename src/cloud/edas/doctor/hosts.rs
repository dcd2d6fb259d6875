//! Where green comes from: enough idle hosts or a template that can be bought from, and security groups that let in
//! whatever blue's do.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::api::ecs::Entry;
use super::super::home::Kind;
use super::super::route::Place;
use super::super::servers::Family;
use super::facts::Facts;
use super::walls::Way;
use crate::cloud::Finding;
use crate::cloud::firewall::{Port, Source, named};
use crate::spec::{EdasGroup, Hosts};

/// Every check of green's hosts.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let Kind::Ecs(ecs) = facts.home.kind() else { return Vec::new() };
    let mut findings = match &ecs.own.hosts {
        Hosts::Idle => idle(facts),
        Hosts::Template { id, version } => template(facts, id, version.as_deref()),
    };
    findings.extend(ways(facts));
    findings
}

fn idle(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(idle) = &facts.idle else { return Vec::new() };
    let wanted = facts.size();
    let ready = idle.iter().filter(|ecu| ecu.online == Some(true)).count();
    let silent = idle.len() - ready;
    let aside =
        if silent > 0 { format!(", and {silent} whose agent does not answer") } else { String::new() };
    let what = format!("{ready} idle instances in the cluster{aside}; green needs {wanted}");
    if ready < wanted && !facts.open {
        return vec![
            Finding::fail("hosts", what)
                .why("green cannot come up beside blue")
                .mend("add instances to the cluster, or write `hosts: {template: lt-…}`"),
        ];
    }
    vec![Finding::ok("hosts", what)]
}

fn template(facts: &Facts<'_>, id: &str, version: Option<&str>) -> Vec<Finding> {
    let Some(template) = &facts.template else { return Vec::new() };
    let number = template.number;
    let mut findings = Vec::new();
    if template.vswitch.is_none() {
        findings.push(
            Finding::fail("launch template", format!("version {number} of `{id}` names no vSwitch"))
                .why("EDAS buys only from a template that says where in the cluster's VPC the instance goes")
                .mend("name a vSwitch of the cluster's VPC in a new version"),
        );
    }
    findings.extend(elsewhere(facts, id));
    if template.security_groups.is_empty() {
        findings.push(
            Finding::warn("security groups", format!("version {number} of `{id}` names no security group"))
                .why("green would get the one that EDAS gives to instances of the cluster, and its ways in were not checked")
                .mend("name blue's security groups in the launch template"),
        );
    }
    if version.is_none() {
        findings.push(
            Finding::warn(
                "launch template",
                format!("green is bought from the default version of `{id}`, which is {number} today"),
            )
            .why("somebody who makes another version the default changes what the next rollout buys")
            .mend(format!("write `template_version: {number}`")),
        );
    }
    if findings.is_empty() && facts.vswitch.is_some() {
        findings.push(Finding::ok("launch template", format!("version {number} of `{id}`")));
    }
    findings
}

/// A vSwitch is in one VPC, and so is the cluster.
fn elsewhere(facts: &Facts<'_>, id: &str) -> Option<Finding> {
    let (number, vswitch) = (facts.template.as_ref()?.number, facts.template.as_ref()?.vswitch.as_ref()?);
    let vpc = facts.vswitch.as_ref()?.vpc_id.as_ref().filter(|_| !facts.vpcs.is_empty());
    let Some(vpc) = vpc else {
        let what = format!("whether the vSwitch `{vswitch}` of `{id}` is in the cluster's VPC is not known");
        return Some(Finding::unchecked("launch template", what));
    };
    (!facts.vpcs.contains(vpc)).then(|| {
        let own: Vec<_> = facts.vpcs.iter().map(|own| format!("`{own}`")).collect();
        let what = format!(
            "version {number} of `{id}` names the vSwitch `{vswitch}` of `{vpc}`, and blue is in {}",
            own.join(" and ")
        );
        Finding::fail("launch template", what)
            .why("EDAS buys only from a template that says where in the cluster's VPC the instance goes")
            .mend("name a vSwitch of the cluster's VPC in a new version")
    })
}

/// Blue is reached, so whoever its security groups let in has to be let in by green's too.
fn ways(facts: &Facts<'_>) -> Vec<Finding> {
    let members: BTreeSet<String> =
        facts.known().flat_map(|(_, now)| now.members.keys().map(ToString::to_string)).collect();
    let sets = |wanted: &dyn Fn(&String) -> bool| -> BTreeSet<Vec<String>> {
        let all = facts.networks.iter().filter(|(id, groups)| wanted(id) && !groups.is_empty());
        all.map(|(_, groups)| groups.clone()).collect()
    };
    let blue = sets(&|id| members.contains(id));
    let green: BTreeSet<Vec<String>> = match &facts.template {
        Some(template) => {
            std::iter::once(template.security_groups.clone()).filter(|own| !own.is_empty()).collect()
        }
        None => sets(&|id| !members.contains(id)),
    };
    if blue.is_empty() || green.is_empty() {
        return Vec::new();
    }
    let ports = ports(facts);
    let mut findings: Vec<_> = green.iter().flat_map(|own| lacking(facts, own, &blue, &ports)).collect();
    if findings.is_empty() {
        let numbers: Vec<_> = ports.iter().map(|port| shown(*port)).collect();
        let what = format!("green's let in whoever blue's do, on {}", numbers.join(" and "));
        findings.push(Finding::ok("security groups", what));
    }
    findings
}

/// The ports that must be open: for traffic, and for health checks.
fn ports(facts: &Facts<'_>) -> BTreeSet<Port> {
    let mut ports = facts.checked.clone();
    for group in facts.home.spec.groups.values() {
        ports.extend(traffic(facts, group));
        let settings = group.servers.ids().iter().filter_map(|id| facts.settings.get(id));
        ports.extend(settings.filter_map(|own| checked(own, group.port)));
    }
    ports
}

/// How traffic comes to a group. Of twins one may have no listener: what leads to the other one leads to it too.
fn traffic(facts: &Facts<'_>, group: &EdasGroup) -> Vec<Port> {
    let protocols: Vec<&str> = group.servers.ids().iter().flat_map(|id| protocols(facts, id)).collect();
    // `TCP_UDP` is both.
    let udp = protocols.iter().any(|own| own.to_ascii_lowercase().ends_with("udp"));
    let tcp = protocols.is_empty() || protocols.iter().any(|own| !own.eq_ignore_ascii_case("udp"));
    let both = [(tcp, false), (udp, true)].into_iter().filter(|(is, _)| *is);
    both.map(|(_, udp)| Port { number: group.port, udp }).collect()
}

/// What a server group takes: one of an NLB says it itself, of a CLB the listeners do.
fn protocols<'a>(facts: &'a Facts<'_>, id: &str) -> Vec<&'a str> {
    let Some(group) = facts.survey.group(id) else { return Vec::new() };
    match group.family {
        Family::Nlb => facts.settings.get(id).and_then(|own| own["Protocol"].as_str()).into_iter().collect(),
        Family::Classic | Family::ClassicDefault | Family::ClassicPair => {
            let routes = facts.survey.routes_of(group).unwrap_or_default();
            routes.into_iter().map(|route| protocol(&route.place)).collect()
        }
        Family::Alb => Vec::new(),
    }
}

/// What a listener or rule of a CLB takes.
fn protocol(place: &Place) -> &str {
    match place {
        Place::Classic { protocol, .. } => protocol,
        Place::Default(_) | Place::Rule(_) | Place::Network(_) | Place::ClassicRule(_) => "http",
    }
}

/// Where the check of a server group of ALB or NLB goes: to the port that it names, or to the servers' own.
fn checked(settings: &Value, own: u16) -> Option<Port> {
    let check =
        ["HealthCheckConfig", "HealthCheck"].iter().map(|key| &settings[key]).find(|it| it.is_object())?;
    let port = check["HealthCheckConnectPort"].as_u64().and_then(|port| u16::try_from(port).ok());
    let number = port.filter(|port| *port > 0).unwrap_or(own);
    let udp = check["HealthCheckType"].as_str().is_some_and(|word| word.eq_ignore_ascii_case("udp"));
    (check["HealthCheckEnabled"] != Value::Bool(false)).then_some(Port { number, udp })
}

/// A port, for people.
fn shown(port: Port) -> String {
    if port.udp { format!("{} (UDP)", port.number) } else { port.number.to_string() }
}

fn lacking(
    facts: &Facts<'_>,
    green: &[String],
    blue: &BTreeSet<Vec<String>>,
    ports: &BTreeSet<Port>,
) -> Vec<Finding> {
    let resolved = |ids: &[String]| -> Option<Vec<&Entry>> {
        let all: Option<Vec<_>> = ids.iter().map(|id| facts.security_groups.get(id)).collect();
        Some(all?.into_iter().flatten().collect())
    };
    let ids: Vec<_> = green.iter().map(|id| format!("`{id}`")).collect();
    let ids = ids.join(", ");
    let Some(own) = resolved(green) else { return Vec::new() };
    let mut findings = Vec::new();
    for port in ports {
        let way = Way::through(own.iter().copied(), *port);
        let blue: Vec<_> = blue.iter().filter_map(|ids| Some(Way::through(resolved(ids)?, *port))).collect();
        let lost = way.lacks(&blue);
        let number = shown(*port);
        let dropped = |source: &&Source| way.hidden.contains(*source) || way.holes.contains(*source);
        if lost.is_empty() {
            findings.extend((!way.hidden.is_empty()).then(|| {
                let what = format!(
                    "green's security groups {ids} let {} in to port {number}, under a rule that drops them before",
                    named(&way.hidden)
                );
                Finding::warn("security groups", what)
                    .why("the lower number is asked first, and of two with the same the one that drops: nobody comes in by it")
                    .mend("give the rule that lets them in a lower number, or take it away")
            }));
            continue;
        }
        let what = format!(
            "green's security groups {ids} do not let {} in to port {number}, and blue's do",
            named(&lost)
        );
        let finding = Finding::fail("security groups", what);
        findings.push(if lost.iter().any(|source| dropped(&source)) {
            finding
                .why("a rule that drops is asked before the one that lets them in: a load balancer, or clients behind it, that reach blue would not reach green")
                .mend("take the rule that drops them away, or give the other one a lower number")
        } else {
            finding
                .why("a load balancer, or clients behind it, that reach blue would not reach green")
                .mend(format!("allow port {number} from there in one of them, or give green blue's security groups"))
        });
    }
    findings
}
