//! Where green comes from: enough idle hosts or a template that can be bought from, and security groups that let in
//! whatever blue's do.

use std::collections::BTreeSet;

use super::super::home::Kind;
use super::facts::Facts;
use crate::cloud::Finding;
use crate::cloud::cidr::Cidr;
use crate::cloud::firewall::{Port, SecurityGroup, Source, named, sources};
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
    traffic.chain(checks).map(|number| Port { number, udp: false }).collect()
}

fn lacking(
    facts: &Facts<'_>,
    green: &[String],
    blue: &BTreeSet<Vec<String>>,
    ports: &BTreeSet<Port>,
) -> Vec<Finding> {
    let resolved = |ids: &[String]| -> Option<Vec<&SecurityGroup>> {
        ids.iter().map(|id| facts.security_groups.get(id)).collect()
    };
    let ids: Vec<_> = green.iter().map(|id| format!("`{id}`")).collect();
    let Some(own) = resolved(green) else { return Vec::new() };
    let mut findings = Vec::new();
    for port in ports {
        let wanted: BTreeSet<Source> =
            blue.iter().filter_map(|ids| resolved(ids)).flat_map(|groups| sources(&groups, *port)).collect();
        let lost = lost(&sources(&own, *port), &wanted);
        if !lost.is_empty() {
            let what = format!(
                "green's security groups {} do not let {} in to port {}, and blue's do",
                ids.join(", "),
                named(&lost),
                port.number
            );
            findings.push(
                Finding::fail("security groups", what)
                    .why("a load balancer, or clients behind it, that reach blue would not reach green")
                    .mend(format!(
                        "allow port {} from there in one of them, or give green blue's security groups",
                        port.number
                    )),
            );
        }
    }
    findings
}

/// Those of the wanted that are not let in, by themselves or by a wider range.
fn lost(own: &BTreeSet<Source>, wanted: &BTreeSet<Source>) -> Vec<Source> {
    let ranges: Vec<Cidr> = own.iter().filter_map(crate::cloud::firewall::range).collect();
    let covered = |source: &Source| match source {
        Source::Cidr(text) => {
            Cidr::read(text).is_some_and(|wanted| ranges.iter().any(|range| range.covers(wanted)))
        }
        Source::PrefixList(_) | Source::Group(_) => ranges.iter().any(|range| range.is_everything()),
    };
    wanted.iter().filter(|source| !own.contains(*source) && !covered(source)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reaches_blue_must_reach_green() {
        let set = |sources: &[Source]| sources.iter().cloned().collect::<BTreeSet<_>>();
        let (net, host) = (Source::Cidr("10.0.0.0/8".into()), Source::Cidr("10.0.0.5/32".into()));
        let (all, group) = (Source::Cidr("0.0.0.0/0".into()), Source::Group("sg-1".into()));
        let lost = |own: &[&Source], wanted: &[&Source]| {
            lost(&own.iter().copied().cloned().collect(), &wanted.iter().copied().cloned().collect())
        };
        assert_eq!(lost(&[&net], &[&host, &net]), []);
        assert_eq!(lost(&[&host], &[&net]), std::slice::from_ref(&net));
        assert_eq!(lost(&[&all], &[&net, &group]), []);
        assert_eq!(lost(&[&net], &[&group]), std::slice::from_ref(&group));
        assert_eq!(lost(&[], &[]), []);
        assert_eq!(set(&[net.clone(), net.clone()]).len(), 1);
    }
}
