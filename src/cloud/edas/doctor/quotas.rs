//! Limits of the products, before a rollout runs into them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fleets::filling_key;
use super::super::kube;
use super::super::servers::Family;
use super::facts::Facts;
use crate::cloud::Finding;
use crate::spec::EdasServers;

/// Rules of one ALB, by its edition (ALB's limits, 2026-11).
const RULES_BASIC: usize = 40;
const RULES_STANDARD: usize = 100;
/// Servers of one server group (likewise).
const SERVERS_MAX: usize = 1000;

/// Tags of one application (EDAS's limits, 2026-11).
const TAGS: usize = 20;

/// Every check of the limits.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = rules(facts);
    findings.extend(servers(facts));
    findings.extend(tags(facts));
    findings
}

/// Green is proved healthy through a rule of its own, and so is blue, on each listener that leads to a twin.
fn rules(facts: &Facts<'_>) -> Vec<Finding> {
    let balancers: BTreeMap<&str, &str> = facts
        .balancing
        .listeners
        .iter()
        .filter_map(|own| Some((own.listener_id.as_str(), own.load_balancer_id.as_deref()?)))
        .collect();
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for group in facts.home.spec.groups.values() {
        let EdasServers::AlbTwins(twins) = &group.servers else { continue };
        let routes = twins
            .iter()
            .filter_map(|id| facts.survey.group(id))
            .filter_map(|own| facts.survey.routes_of(own).ok());
        let listeners: BTreeSet<&str> =
            routes.flatten().filter(|route| !route.preview).map(|route| route.listener.as_str()).collect();
        for balancer in listeners.iter().filter_map(|id| balancers.get(id)) {
            *wanted.entry(*balancer).or_default() += twins.len();
        }
    }
    let count = |balancer: &str| {
        facts
            .balancing
            .rules
            .iter()
            .filter(|rule| balancers.get(rule.listener_id.as_str()) == Some(&balancer))
            .count()
    };
    let mut findings = Vec::new();
    for (balancer, more) in wanted.into_iter().filter(|_| !facts.open) {
        let basic = facts.balancing.editions.get(balancer).is_some_and(|edition| edition == "Basic");
        let (are, most) = (count(balancer), if basic { RULES_BASIC } else { RULES_STANDARD });
        let what =
            format!("`{balancer}` has {are} of {most} rules, and a rollout needs {more} more for a while");
        findings.push(if are + more > most {
            Finding::fail("quotas", what)
                .why("the twin that carries nothing is checked only through a rule of its own")
                .mend("delete rules, have the quota raised, or use a larger edition")
        } else {
            Finding::ok("quotas", what)
        });
    }
    findings
}

/// In a shared group green's servers stand beside blue's.
fn servers(facts: &Facts<'_>) -> Vec<Finding> {
    let size = facts.size();
    let shared =
        facts.server_groups().into_iter().filter(|group| matches!(group.family, Family::Alb | Family::Nlb));
    let full = shared.filter_map(|group| {
        let are = facts.survey.servers(&group.id)?.as_ref().ok()?.len();
        (are + size > SERVERS_MAX).then_some((group, are))
    });
    full.map(|(group, are)| {
        let what =
            format!("{} has {are} servers of {SERVERS_MAX}, and green brings {size}", facts.title(&group.id));
        Finding::fail("quotas", what).mend("take servers out, or have the quota raised")
    })
    .collect()
}

/// On Kubernetes an application notes each twin that it has left, each rule that is switched off, and what it is filled with.
fn tags(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, own) in facts.applications.iter().enumerate() {
        let twins = facts.home.spec.groups.values().filter_map(|group| group.servers.twins());
        let left = twins.map(|twins| kube::left_key(&twins[place.min(1)]));
        let on = own.rules.iter().filter(|rule| rule.scale_rule_enabled && facts.spec.freeze);
        let held = on.map(|rule| kube::frozen_key(&rule.scale_rule_name));
        let wanted: BTreeSet<String> = left.chain(held).chain([filling_key(&own.described.app_id)]).collect();
        let are: BTreeSet<&String> = own.tags.iter().map(|tag| &tag.tag_key).collect();
        let more = wanted.iter().filter(|key| !are.contains(key)).count();
        if are.len() + more > TAGS {
            let what =
                format!("`{}` has {} of {TAGS} tags, and a rollout needs {more} more", own.label, are.len());
            findings.push(
                Finding::fail("quotas", what)
                    .why("a fleet that cannot note when it has left its twins is never known to have drained")
                    .mend("take tags away that nobody needs, or let several groups go through one"),
            );
        }
    }
    findings
}
