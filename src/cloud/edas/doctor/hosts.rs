//! Where green comes from: enough idle hosts or a template that can be bought from, and security groups that let in
//! whatever blue's do.

use std::collections::BTreeSet;

use super::super::api::ecs::Entry;
use super::super::home::Kind;
use super::facts::Facts;
use super::walls::Way;
use crate::cloud::Finding;
use crate::cloud::firewall::{Port, Source, named};
use crate::spec::Hosts;

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
    if findings.is_empty() {
        findings.push(Finding::ok("launch template", format!("version {number} of `{id}`")));
    }
    findings
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
        let numbers: Vec<_> = ports.iter().map(|port| port.number.to_string()).collect();
        let what = format!("green's let in whoever blue's do, on {}", numbers.join(" and "));
        findings.push(Finding::ok("security groups", what));
    }
    findings
}

/// The ports that must be open: for traffic, and for health checks that go elsewhere.
fn ports(facts: &Facts<'_>) -> BTreeSet<Port> {
    let declared = facts.home.spec.groups.values();
    let traffic = declared.clone().map(|group| group.port);
    let checks = declared.flat_map(|group| group.servers.ids()).filter_map(|id| {
        let settings = facts.settings.get(id)?;
        let port = ["HealthCheckConfig", "HealthCheck"]
            .iter()
            .find_map(|key| settings[key]["HealthCheckConnectPort"].as_u64());
        port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    });
    let classic = facts.checked.iter().copied();
    traffic.chain(checks).chain(classic).map(|number| Port { number, udp: false }).collect()
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
        let number = port.number;
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
