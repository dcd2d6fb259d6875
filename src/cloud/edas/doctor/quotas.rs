//! Limits of the products, before a rollout runs into them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::edas::Tag;
use super::super::api::pool::Server;
use super::super::fleets::filling_key;
use super::super::servers::Family;
use super::super::{freeze, kube, weight_note};
use super::facts::{Facts, OnKubernetes};
use crate::cloud::Finding;
use crate::model::FleetId;
use crate::spec::{EdasServers, ShareBy};

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

/// An application notes what is to be given back, and what it is filled with, before anything is changed.
fn tags(facts: &Facts<'_>) -> Vec<Finding> {
    let kubernetes = facts.applications.iter().enumerate().filter_map(|(place, own)| {
        let full = full(&own.label, &own.tags, twins(facts, place, own))?;
        Some(
            full.why("a fleet that cannot note when it has left its twins is never known to have drained")
                .mend("take tags away that nobody needs, or let several groups go through one"),
        )
    });
    kubernetes.chain(deploy_groups(facts)).collect()
}

/// Where there is no room for as many tags more.
fn full(label: &str, tags: &[Tag], more: usize) -> Option<Finding> {
    let are = tags.len();
    (are + more > TAGS).then(|| {
        let what = format!("`{label}` has {are} of {TAGS} tags, and a rollout needs {more} more");
        Finding::fail("quotas", what)
    })
}

/// How many of these keys no tag has yet.
fn fresh(tags: &[Tag], keys: impl Iterator<Item = String>) -> usize {
    let keys: BTreeSet<String> = keys.collect();
    keys.iter().filter(|key| tags.iter().all(|tag| tag.tag_key != **key)).count()
}

/// On Kubernetes: each twin that it has left, and each rule that is switched off.
fn twins(facts: &Facts<'_>, place: usize, own: &OnKubernetes) -> usize {
    let twins = facts.home.spec.groups.values().filter_map(|group| group.servers.twins());
    let left = twins.map(|twins| kube::left_key(&twins[place.min(1)]));
    let on = own.rules.iter().filter(|rule| rule.scale_rule_enabled && facts.spec.freeze);
    let held = on.map(|rule| kube::frozen_key(&rule.scale_rule_name));
    fresh(&own.tags, left.chain(held).chain([filling_key(&own.described.app_id)]))
}

/// With deploy groups: the rules that are switched off, of each of the two, and what blue's servers weigh in each group that
/// is shared by their weights.
fn deploy_groups(facts: &Facts<'_>) -> Option<Finding> {
    let described = facts.described.as_ref()?;
    let named = |name: &str| facts.deploy_groups.iter().find(|group| group.group_name == name);
    // One that is still to be made has an id that nobody knows yet.
    let green = facts.green().and_then(named).map_or("", |group| group.group_id.as_str());
    let on = facts.scaling.iter().filter(|(_, rules)| rules.iter().any(|rule| rule.enable == Some(true)));
    let held = on.filter_map(|(name, _)| named(name)).filter(|_| facts.spec.freeze);
    let held = held.filter(|group| !freeze::is_noted(&facts.tags, &group.group_id)).count();
    let weights = facts.home.spec.groups.values().filter(|group| group.by == ShareBy::Weights);
    let weights = weights.flat_map(|group| group.servers.ids()).flat_map(|id| weighed(facts, id));
    let more = held + fresh(&facts.tags, weights.chain([filling_key(green)]));
    let full = full(described.name.as_deref().unwrap_or(&described.app_id), &facts.tags, more)?;
    Some(
        full.why("what blue's servers weigh, and which scaling rules are on, is noted there first: the rollout would stop half-way")
            .mend("take tags away that nobody needs, or share fewer groups by weights"),
    )
}

/// The keys under which it is noted what a fleet's servers weigh in a server group.
fn weighed(facts: &Facts<'_>, id: &str) -> BTreeSet<String> {
    let all = facts.survey.servers(id).and_then(|answer| answer.as_ref().ok());
    let mut fleets: BTreeMap<&FleetId, Vec<Server>> = BTreeMap::new();
    for server in all.into_iter().flatten().filter(|server| !server.is_leaving()) {
        if let Some((fleet, _)) = facts.survey.owners.of_server(server) {
            fleets.entry(fleet).or_default().push(server.clone());
        }
    }
    fleets.into_iter().flat_map(|(fleet, servers)| weight_note::keys(id, fleet, &servers)).collect()
}
