//! From each load balancer to the instances: zones, and security groups on the way.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types::{
    LoadBalancer, LoadBalancerSchemeEnum, LoadBalancerTypeEnum, ProtocolEnum, TargetGroup, TargetTypeEnum,
};

use super::facts::Facts;
use super::groups::{attribute, name};
use super::path::{Callers, Verdict, judge, leaves};
use crate::cloud::Finding;
use crate::cloud::firewall::{Port, SecurityGroup, named, sources};

/// Every check of the ways in.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = facts.balancers.values().flat_map(|balancer| zones(facts, balancer)).collect();
    for group in facts.target_groups() {
        if matches!(group.target_type(), Some(TargetTypeEnum::Lambda | TargetTypeEnum::Alb)) {
            continue;
        }
        for balancer in group.load_balancer_arns().iter().filter_map(|arn| facts.balancers.get(arn)) {
            findings.extend(Way { facts, group, balancer }.check());
        }
    }
    findings
}

fn title(balancer: &LoadBalancer) -> &str {
    balancer.load_balancer_name().unwrap_or("?")
}

/// A target in a zone that is not enabled gets no traffic, and is not checked.
fn zones(facts: &Facts<'_>, balancer: &LoadBalancer) -> Vec<Finding> {
    let enabled: BTreeSet<_> =
        balancer.availability_zones().iter().filter_map(|zone| zone.zone_name()).collect();
    let launching = facts.groups.iter().map(|(name, fleet)| {
        let dark: Vec<_> =
            fleet.availability_zones().iter().filter(|zone| !enabled.contains(zone.as_str())).collect();
        (name, dark)
    });
    let dark = launching.filter(|(_, dark)| !dark.is_empty() && !enabled.is_empty());
    dark.map(|(fleet, dark)| {
        let dark: Vec<_> = dark.into_iter().map(|zone| format!("`{zone}`")).collect();
        Finding::fail(
            "zones",
            format!("`{fleet}` launches in {}, where `{}` is not enabled", dark.join(", "), title(balancer)),
        )
        .why("a target there gets no traffic and is never checked")
        .mend("enable the zone on the load balancer, or take its subnet from the Auto Scaling group")
    })
    .collect()
}

/// One way: from a balancer through a target group.
#[derive(Clone, Copy)]
struct Way<'a> {
    facts: &'a Facts<'a>,
    group: &'a TargetGroup,
    balancer: &'a LoadBalancer,
}

impl<'a> Way<'a> {
    fn check(self) -> Vec<Finding> {
        let blue = self.blue();
        let mut findings = Vec::new();
        let mut open = Vec::new();
        for (port, purpose) in self.ports() {
            let callers = self.callers(purpose == "health checks");
            let whole: Vec<_> = blue.iter().filter_map(|ids| self.resolved(ids)).collect();
            for groups in &whole {
                findings.extend(self.said("blue", groups, port, purpose, judge(groups, port, &callers)));
            }
            let Some(green) = &self.facts.green else { continue };
            if green.security_groups.is_empty() {
                continue; // Said once, in `green`.
            }
            let Some(groups) = self.resolved(&green.security_groups) else { continue };
            let verdict = less_than_blue(&groups, &whole, port, judge(&groups, port, &callers));
            findings.extend(self.shut_in(&groups, port));
            if verdict == Verdict::Open {
                open.push(format!("{} ({purpose})", port.number));
            }
            findings.extend(self.said("green", &groups, port, purpose, verdict));
        }
        if findings.is_empty() && !open.is_empty() {
            let what = format!(
                "`{}` reaches green through `{}` on {}",
                title(self.balancer),
                name(self.group),
                open.join(" and ")
            );
            findings.push(Finding::ok("security groups", what));
        }
        findings
    }

    /// The balancer may not be let out to where green is.
    fn shut_in(self, green: &[&SecurityGroup], port: Port) -> Option<Finding> {
        let own = self.resolved(self.balancer.security_groups())?;
        (!leaves(&own, green, port)).then(|| {
            let what = format!(
                "the security groups of `{}` do not let it out to port {}",
                title(self.balancer),
                port.number
            );
            Finding::fail("security groups", what)
                .why(format!("it cannot reach green in `{}`", name(self.group)))
                .mend("allow the port towards green's security groups in the balancer's outbound rules")
        })
    }

    /// The sets of security groups that instances in this target group have.
    fn blue(self) -> BTreeSet<Vec<String>> {
        let survey = &self.facts.survey;
        let answer = self.group.target_group_arn().and_then(|arn| survey.targets.get(arn));
        let targets = answer.and_then(|answer| answer.as_ref().ok()).into_iter().flatten();
        let instances = targets.filter_map(|target| survey.instances.get(survey.owner(target)?.1));
        instances
            .map(|instance| instance.security_groups.clone())
            .filter(|groups| !groups.is_empty())
            .collect()
    }

    fn resolved(self, ids: &[String]) -> Option<Vec<&'a SecurityGroup>> {
        ids.iter().map(|id| self.facts.security_groups.get(id)).collect()
    }

    /// The ports that must be open: for traffic, as registered, and for health checks.
    fn ports(self) -> BTreeSet<(Port, &'static str)> {
        let udp = matches!(self.group.protocol(), Some(ProtocolEnum::Udp | ProtocolEnum::Quic));
        let number = |port: i32| u16::try_from(port).ok();
        let survey = &self.facts.survey;
        let answer = self.group.target_group_arn().and_then(|arn| survey.targets.get(arn));
        let targets = answer.and_then(|answer| answer.as_ref().ok()).into_iter().flatten();
        let registered = targets
            .filter(|target| survey.owner(target).is_some())
            .filter_map(|target| target.target()?.port());
        let mut traffic: BTreeSet<_> = registered.filter_map(number).collect();
        if traffic.is_empty() {
            traffic.extend(self.group.port().and_then(number));
        }
        let checked = match self.group.health_check_port() {
            Some("traffic-port") | None => traffic.clone(),
            Some(port) => port.parse().into_iter().collect(),
        };
        let traffic = traffic.into_iter().map(|number| (Port { number, udp }, "traffic"));
        traffic
            .chain(checked.into_iter().map(|number| (Port { number, udp: false }, "health checks")))
            .collect()
    }

    fn callers(self, checks: bool) -> Callers {
        let zones = self.balancer.availability_zones().iter();
        let subnets = zones.filter_map(|zone| self.facts.subnets.get(zone.subnet_id()?));
        // IPv6 is spoken only by balancers that are told to; their nodes' IPv4 addresses must get through in any case.
        let ranges: BTreeSet<_> = subnets
            .flat_map(|subnet| subnet.cidrs.iter().filter(|cidr| !cidr.contains(':')).cloned())
            .collect();
        let groups: BTreeSet<_> = self.balancer.security_groups().iter().cloned().collect();
        let network = self.balancer.r#type() == Some(&LoadBalancerTypeEnum::Network);
        if !network || checks || !groups.is_empty() || !self.keeps_client_addresses() {
            return Callers::Nodes { groups, ranges };
        }
        let internal = self.balancer.scheme() == Some(&LoadBalancerSchemeEnum::Internal);
        Callers::Clients { ranges: if internal { ranges } else { BTreeSet::new() } }
    }

    /// On by default for instances, and for addresses where the protocol has no other way (NLB user guide, 2023).
    fn keeps_client_addresses(self) -> bool {
        match attribute(self.facts, self.group, "preserve_client_ip.enabled") {
            Some(flag) => flag == "true",
            None => self.group.target_type() != Some(&TargetTypeEnum::Ip),
        }
    }

    fn said(
        self,
        whose: &str,
        groups: &[&SecurityGroup],
        port: Port,
        purpose: &str,
        verdict: Verdict,
    ) -> Option<Finding> {
        let ids: Vec<_> = groups.iter().map(|group| format!("`{}`", group.id)).collect();
        let what = |does: &str| {
            format!(
                "{whose}'s security groups {} {does} `{}` in to port {} ({purpose} of `{}`)",
                ids.join(", "),
                title(self.balancer),
                port.number,
                name(self.group)
            )
        };
        let from = self
            .balancer
            .security_groups()
            .first()
            .map_or_else(|| "the balancer's subnets".to_owned(), |id| format!("`{id}`"));
        let mend = format!("allow port {} from {from} in one of them", port.number);
        match verdict {
            Verdict::Open => None,
            Verdict::Unsure(why) => Some(
                Finding::warn("security groups", what("may not let everybody behind")).why(why).mend(mend),
            ),
            Verdict::Closed(why) => {
                Some(Finding::fail("security groups", what("do not let")).why(why).mend(mend))
            }
        }
    }
}

/// Clients that blue lets in and green does not would be lost.
fn less_than_blue(
    green: &[&SecurityGroup],
    blue: &[Vec<&SecurityGroup>],
    port: Port,
    verdict: Verdict,
) -> Verdict {
    if verdict == Verdict::Open {
        return verdict;
    }
    let own = sources(green, port);
    let blue: BTreeSet<_> = blue.iter().flat_map(|groups| sources(groups, port)).collect();
    let lost: Vec<_> = blue.difference(&own).collect();
    match verdict {
        Verdict::Unsure(_) if !lost.is_empty() => {
            Verdict::Closed(format!("blue lets in {} besides", named(lost)))
        }
        verdict => verdict,
    }
}

/// What can be said of green's security groups before any balancer is looked at.
pub(super) fn green(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(green) = &facts.green else { return Vec::new() };
    let of = format!("version {} of `{}`", green.number, green.template);
    if green.security_groups.is_empty() {
        return vec![
            Finding::warn("security groups", format!("{of} names no security group"))
                .why("green would get the default group of its network, and its ways in were not checked")
                .mend("name blue's security groups in the launch template"),
        ];
    }
    let gone = green.security_groups.iter().filter(|id| !facts.security_groups.contains_key(*id));
    gone.map(|id| {
        Finding::fail(
            "security groups",
            format!("{of} names the security group `{id}`, which cannot be seen"),
        )
        .why("if it does not exist, no instance of green can be launched")
        .mend("name one that exists")
    })
    .collect()
}
