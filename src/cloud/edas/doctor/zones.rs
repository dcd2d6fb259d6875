//! Zones: where green comes up, and where the balancers are that lead to its server groups.
//!
//! A balancer sends into other zones, unless that is switched off: of an ALB in the server group, of an NLB in the balancer
//! (official SDKs, 2026-11). A CLB has nodes in two zones of the region and reaches all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::servers::{Family, ServerGroup};
use super::facts::Facts;
use crate::cloud::Finding;

/// A balancer, as far as zones matter.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Where it has nodes.
    pub zones: BTreeSet<String>,
    /// Whether they send into other zones.
    pub crosses: bool,
    /// Its listeners.
    pub listeners: BTreeSet<String>,
}

/// Every check of the zones.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in facts.server_groups() {
        for (id, balancer) in before(facts, group) {
            findings.extend(outside(facts, group, id, balancer));
        }
    }
    findings
}

/// The balancers that lead to a server group.
fn before<'a>(facts: &'a Facts<'_>, group: &'a ServerGroup) -> Vec<(&'a String, &'a Placed)> {
    let routes = facts.survey.routes_of(group).unwrap_or_default();
    let leads = |id: &str, own: &Placed| match &group.balancer {
        Some(balancer) => id == balancer,
        None => routes.iter().any(|route| !route.preview && own.listeners.contains(&route.listener)),
    };
    facts.placed.iter().filter(|(id, own)| leads(id, own)).collect()
}

fn outside(facts: &Facts<'_>, group: &ServerGroup, id: &str, balancer: &Placed) -> Option<Finding> {
    let own = facts.settings.get(&group.id).map(|own| &own["CrossZoneEnabled"]);
    let crosses = balancer.crosses && (group.family != Family::Alb || own != Some(&Value::Bool(false)));
    // Where blue is reached across zones, green is too.
    let reached =
        |zone: &String| balancer.zones.contains(zone) || (crosses && facts.zones_of_blue.contains(zone));
    let mut dark_zones: BTreeMap<&String, BTreeSet<&str>> = BTreeMap::new();
    for (zone, who) in facts.zones_of_green.iter().filter(|(zone, _)| !reached(zone)) {
        dark_zones.entry(zone).or_default().extend(who.iter().map(String::as_str));
    }
    if dark_zones.is_empty() || balancer.zones.is_empty() {
        return None;
    }
    let who: BTreeSet<&str> = dark_zones.values().flatten().copied().collect();
    let who: Vec<_> = who.into_iter().collect();
    let zones: Vec<_> = dark_zones.keys().map(|zone| format!("`{zone}`")).collect();
    let what = format!("{} is in {}, where `{id}` is not", who.join(" and "), zones.join(" and "));
    let title = facts.title(&group.id);
    Some(if crosses {
        Finding::warn("zones", what)
            .why(format!("the traffic of {title} crosses zones to get there, which blue's does not"))
            .mend("name a vSwitch in one of its zones, or add the zone to the load balancer")
    } else {
        Finding::fail("zones", what)
            .why(format!("it sends the traffic of {title} into no other zone: whoever comes up there gets none"))
            .mend("name a vSwitch in one of its zones, add the zone to the load balancer, or let it cross zones")
    })
}
