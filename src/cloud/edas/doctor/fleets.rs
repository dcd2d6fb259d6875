//! The application and its deploy groups: who runs, whose agent answers, what EDAS does by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::super::freeze;
use super::super::orders::Progress;
use super::facts::Facts;
use crate::cloud::Finding;
use crate::model::FleetId;

/// [`super::super::api::edas::Ecc::app_state`] of one that runs.
const RUNNING: i64 = 7;

/// Every check of the fleets.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = vec![application(facts), present(facts)];
    findings.extend(resting(facts));
    findings.extend(agents(facts));
    findings.extend(stopped(facts));
    findings.extend(orders(facts));
    findings.extend(bindings(facts));
    findings.extend(frozen(facts));
    findings.extend(scaling(facts));
    findings
}

fn application(facts: &Facts<'_>) -> Finding {
    let wanted = &facts.home.spec.region;
    let described = facts.described.as_ref();
    let name = described.map_or("", |own| own.name.as_deref().unwrap_or(&own.app_id));
    // A namespace is the region, or the region and a name of its own.
    let region = described.and_then(|own| own.region_id.as_deref()).filter(|own| !own.is_empty());
    match region.map(|own| own.split(':').next().unwrap_or(own)) {
        Some(own) if own != wanted => {
            Finding::fail("application", format!("`{name}` is in {own}, and the file says {wanted}"))
                .mend("correct `region` in the deployment file")
        }
        _ => Finding::ok("application", format!("`{name}` on ECS instances")),
    }
}

fn present(facts: &Facts<'_>) -> Finding {
    let exists = |name: &&String| facts.deploy_groups.iter().any(|group| group.group_name == **name);
    let absent: Vec<_> = facts.home.spec.pair().iter().filter(|name| !exists(name)).collect();
    let serving = facts.serving();
    if absent.len() == facts.home.spec.pair().len() {
        let [one, other] = facts.home.spec.pair();
        return Finding::fail(
            "deploy groups",
            format!("there is neither a deploy group `{one}` nor `{other}`"),
        )
        .why("there is no blue to replace")
        .mend("correct `pair` in the deployment file: the names stand in the EDAS console");
    }
    let strangers: Vec<_> =
        serving.iter().filter(|own| !facts.home.is_ours(own)).map(|own| format!("`{own}`")).collect();
    if !strangers.is_empty() {
        let what = format!("{} serves too, and is none of the pair", strangers.join(" and "));
        return Finding::fail("deploy groups", what)
            .why("a rollout replaces one of the pair, and nothing of the rest")
            .mend("scale it in, or write it into `pair`");
    }
    if serving.is_empty() {
        return Finding::warn("deploy groups", "no instance of the application stands in any server group")
            .why("there is no blue to replace, and nothing to compare green with");
    }
    let names: Vec<_> = serving.iter().map(|name| format!("`{name}`")).collect();
    let made = absent.first().map(|name| format!("; `{name}` will be made")).unwrap_or_default();
    Finding::ok("deploy groups", format!("{} in service{made}", names.join(" and ")))
}

/// Green must be empty: whoever is in it was put there for something else.
fn resting(facts: &Facts<'_>) -> Option<Finding> {
    let green = facts.green().filter(|_| !facts.open && !facts.serving().is_empty())?;
    let (_, now) = facts.known().find(|(id, _)| id.as_str() == green)?;
    let what = format!("`{green}` is to become green and has {} instances already", now.members.len());
    Some(
        Finding::fail("deploy groups", what)
            .why("a rollout fills an empty deploy group, and takes none over that somebody else filled")
            .mend("scale it in once nothing needs it"),
    )
}

/// EDAS can do nothing on a host whose agent does not answer.
fn agents(facts: &Facts<'_>) -> Vec<Finding> {
    let groups: BTreeMap<_, _> = facts
        .deploy_groups
        .iter()
        .map(|group| (group.group_id.as_str(), group.group_name.as_str()))
        .collect();
    let hosts: BTreeMap<_, _> =
        facts.status.ecu_list.all.iter().map(|ecu| (ecu.ecu_id.as_str(), ecu)).collect();
    let silent = facts.status.ecc_list.all.iter().filter_map(|ecc| {
        let host = hosts.get(ecc.ecu_id.as_str())?;
        (host.online != Some(true))
            .then(|| (groups.get(ecc.group_id.as_str()).copied().unwrap_or("?"), &host.instance_id))
    });
    silent
        .map(|(group, host)| {
            Finding::fail("agents", format!("the EDAS agent of `{host}` in `{group}` does not answer"))
                .why(
                    "a change order that includes the instance fails; a retired fleet could not be scaled in",
                )
                .mend("restart or reinstall the agent (InstallAgent), or take the instance out of the group")
        })
        .collect()
}

fn stopped(facts: &Facts<'_>) -> Vec<Finding> {
    let down = facts.known().filter_map(|(fleet, now)| {
        let eccs = facts.status.ecc_list.all.iter().filter(|ecc| ecc.group_id == now.group_id);
        let down = eccs.filter(|ecc| ecc.app_state != Some(RUNNING)).count();
        (down > 0).then(|| format!("{down} of {} instances of `{fleet}` do not run", now.members.len()))
    });
    down.map(|what| {
        Finding::warn("instances", what)
            .why("green is made as large as blue, and the way back leads to those that run")
            .mend("start them, or scale them in")
    })
    .collect()
}

/// EDAS changes one thing of an application at a time.
fn orders(facts: &Facts<'_>) -> Vec<Finding> {
    let open = facts
        .orders
        .iter()
        .filter(|order| matches!(Progress::of(order), Progress::Running | Progress::Waiting));
    open.filter(|_| !facts.open)
        .map(|order| {
            let kind = order.co_type.as_deref().unwrap_or("a change");
            let waits = if Progress::of(order) == Progress::Waiting {
                ", which waits for a confirmation by hand"
            } else {
                ""
            };
            let what = format!("EDAS works on {kind} {}{waits}", order.change_order_id);
            Finding::fail("change orders", what)
                .why("EDAS changes one thing of an application at a time: a rollout could not begin")
                .mend("let it end, confirm it, or abort it in the EDAS console")
        })
        .collect()
}

/// What EDAS would put into production by itself.
pub(super) fn bindings(facts: &Facts<'_>) -> Vec<Finding> {
    let told = facts.survey.fleets.unread.iter();
    told.map(|what| {
        Finding::fail("bindings", format!("not known: {what}"))
            .why("green must take no traffic before it is proved healthy, so a rollout is refused")
    })
    .collect()
}

fn frozen(facts: &Facts<'_>) -> Vec<Finding> {
    let noted = facts.deploy_groups.iter().filter(|group| freeze::is_noted(&facts.tags, &group.group_id));
    let mut held: BTreeSet<&str> = noted.map(|group| group.group_name.as_str()).collect();
    held.extend(facts.held.iter().map(FleetId::as_str));
    held.into_iter()
        .filter(|_| !facts.open)
        .map(|fleet| {
            let what = format!("`{fleet}` is held still by a rollout that is not open any more");
            Finding::warn("frozen", what)
                .why("it does not scale with its load")
                .mend(format!("deployer thaw {}", facts.home.service))
        })
        .collect()
}

fn scaling(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, rules) in &facts.scaling {
        let on: Vec<_> = rules.iter().filter(|rule| rule.enable == Some(true)).collect();
        if let Some(rule) = on.iter().find(|rule| !freeze::is_readable(rule)).filter(|_| facts.spec.freeze) {
            let source = rule.resource_from.as_deref().unwrap_or("new");
            let what = format!(
                "the scale-out rule of `{name}` makes {source} instances after the model of another one"
            );
            findings.push(
                Finding::fail("scaling rules", what)
                    .why("its settings cannot be read whole, so it could not be put back after it was held still")
                    .mend("give the rule a launch template, or write `freeze: false`"),
            );
        } else if !on.is_empty() && !facts.spec.freeze {
            let what = format!("`{name}` scales by itself, and `freeze` is false");
            findings.push(Finding::warn("scaling rules", what).why(
                "instances that EDAS adds meanwhile are in no server group that it does not bind itself",
            ));
        }
    }
    findings
}
