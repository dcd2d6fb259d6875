//! Two applications on Kubernetes: who serves, whether the other rests, and what EDAS or the cluster does by itself.

use super::super::api::application;
use super::super::home::Kind;
use super::super::kube;
use super::super::orders::Progress;
use super::facts::{Facts, OnKubernetes};
use super::fleets::bindings;
use crate::cloud::Finding;
use crate::model::InstanceState;

/// Every check of the applications.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = facts.applications.iter().map(|own| application(facts, own)).collect();
    findings.push(present(facts));
    findings.extend(resting(facts));
    findings.extend(unready(facts));
    findings.extend(image(facts));
    findings.extend(facts.applications.iter().flat_map(|own| orders(facts, own)));
    findings.extend(bindings(facts));
    findings.extend(facts.applications.iter().filter_map(|own| frozen(facts, own)));
    findings.extend(facts.applications.iter().filter_map(|own| scaling(facts, own)));
    findings
}

fn application(facts: &Facts<'_>, own: &OnKubernetes) -> Finding {
    let (label, wanted) = (&own.label, &facts.home.spec.region);
    if own.described.cluster_type == Some(application::ECS) {
        return Finding::fail("application", format!("`{label}` runs in a cluster of ECS instances"))
            .why("the file takes it for an application on Kubernetes")
            .mend("write `application` and `fleets: { pair: [A, B] }` for its deploy groups");
    }
    // A namespace is the region, or the region and a name of its own.
    let region = own.described.region_id.as_deref().filter(|region| !region.is_empty());
    match region.map(|region| region.split(':').next().unwrap_or(region)) {
        Some(region) if region != wanted => {
            Finding::fail("application", format!("`{label}` is in {region}, and the file says {wanted}"))
                .mend("correct `region` in the deployment file")
        }
        Some(_) | None => Finding::ok("application", format!("`{label}` on Kubernetes")),
    }
}

fn present(facts: &Facts<'_>) -> Finding {
    let names: Vec<_> = facts.serving().iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return Finding::warn("applications", "no pod of either application stands in any server group")
            .why("there is no blue to replace, and nothing to compare green with");
    }
    Finding::ok("applications", format!("{} in service", names.join(" and ")))
}

/// Green must have no pods: whoever is in it was put there for something else.
fn resting(facts: &Facts<'_>) -> Option<Finding> {
    let green = facts.green().filter(|_| !facts.open && !facts.serving().is_empty())?;
    let (_, now) = facts.known().find(|(id, _)| id.as_str() == green)?;
    let there = now.members.len();
    let what =
        format!("`{green}` is to become green, and has {there} pods and is to have {}", now.seen.desired);
    Some(
        Finding::fail("applications", what)
            .why("a rollout fills an application that rests, and takes none over that somebody else filled")
            .mend("scale it to nothing once nothing needs it"),
    )
}

fn unready(facts: &Facts<'_>) -> Vec<Finding> {
    let down = facts.known().filter_map(|(fleet, now)| {
        let down = now.members.values().filter(|pod| pod.state != InstanceState::Running).count();
        (down > 0).then(|| format!("{down} of {} pods of `{fleet}` do not run", now.members.len()))
    });
    down.map(|what| {
        Finding::warn("pods", what)
            .why("green is made as large as blue is to be, and the way back leads to those that run")
            .mend("see what keeps them from being ready")
    })
    .collect()
}

/// An image from elsewhere is no revision that `deployer rollback` could name.
fn image(facts: &Facts<'_>) -> Vec<Finding> {
    let Kind::Kube(kube) = facts.home.kind() else { return Vec::new() };
    let strange = facts.known().filter(|(_, now)| {
        let image = kube.own.image_of(&now.seen.revision);
        kube.own.revision_of(&image).is_none() || now.seen.revision.as_str().contains('/')
    });
    let told = strange.map(|(fleet, now)| {
        let what = format!("`{fleet}` runs {}, which is not of the form of `image`", now.seen.revision);
        Finding::warn("image", what)
            .why("after the rollout there would be no way back to it by its revision")
            .mend("write `image` as that image is called, with `{revision}` in the place of its tag")
    });
    told.collect()
}

/// EDAS changes one thing of an application at a time.
fn orders(facts: &Facts<'_>, own: &OnKubernetes) -> Vec<Finding> {
    let open = own
        .orders
        .iter()
        .filter(|order| matches!(Progress::of(order), Progress::Running | Progress::Waiting) && !facts.open);
    open.map(|order| {
        let kind = order.co_type.as_deref().unwrap_or("a change");
        let what = format!("EDAS works on {kind} {} of `{}`", order.change_order_id, own.label);
        Finding::fail("change orders", what)
            .why("EDAS changes one thing of an application at a time: a rollout could not begin")
            .mend("let it end, confirm it, or abort it in the EDAS console")
    })
    .collect()
}

fn frozen(facts: &Facts<'_>, own: &OnKubernetes) -> Option<Finding> {
    // One that rests is held still until it is needed again.
    let serves = facts.serving().iter().any(|fleet| fleet.as_str() == own.label);
    (kube::is_noted(&own.tags) && serves && !facts.open).then(|| {
        let what = format!("`{}` is held still by a rollout that is not open any more", own.label);
        Finding::warn("frozen", what)
            .why("it does not scale with its load")
            .mend(format!("deployer thaw {}", facts.home.service))
    })
}

fn scaling(facts: &Facts<'_>, own: &OnKubernetes) -> Option<Finding> {
    let on = own.rules.iter().any(|rule| rule.scale_rule_enabled);
    (on && !facts.spec.freeze).then(|| {
        Finding::warn("scaling rules", format!("`{}` scales by itself, and `freeze` is false", own.label))
            .why("blue may become smaller than it has to be for the way back, and green smaller than was asked for")
            .mend("write `freeze: true`")
    })
}
