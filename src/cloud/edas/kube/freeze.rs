//! An application's scaling rules are switched off for the length of a rollout, and back on again.
//!
//! Each rule that was on is written down first, as a tag of the application. What the cluster scales by rules of its own,
//! which EDAS does not list, cannot be seen from here.

use std::collections::BTreeSet;

use super::super::api::edas::{self, Tag};
use super::super::api::k8s::{self, Rule};
use super::super::client::Client;
use super::super::home::Kube;
use super::super::memory::Memory;
use super::super::patience::shown;
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, Scaling};

/// Before the name of a rule, the key of the tag that it was on.
const FROZEN: &str = "deployer:frozen:";
const ON: &str = "on";

/// The key of the tag that a rule was on.
pub(in super::super) fn frozen_key(rule: &str) -> String {
    format!("{FROZEN}{rule}")
}

/// Whether the application's size can change by itself.
pub(super) fn scaling(rules: &[Rule], tags: &[Tag]) -> Scaling {
    match (rules.iter().any(|rule| rule.scale_rule_enabled), is_noted(tags)) {
        (true, _) => Scaling::Active,
        (false, true) => Scaling::Frozen,
        (false, false) => Scaling::Fixed,
    }
}

/// Switches the fleet's rules off.
///
/// # Errors
/// [`FaultKind::Missing`] for an application that rests: it is no fleet; the call's fault.
pub(in super::super) async fn freeze(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &FleetId,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.as_str()).await?;
    let (application, rules) =
        tokio::try_join!(k8s::application(client, &id), k8s::scaling_rules(client, &id))?;
    if application.app.instances == Some(0) {
        let message = format!("the application `{fleet}` is to have no pods");
        return Err(Fault::new(FaultKind::Missing, "GetK8sApplication", message));
    }
    for rule in rules.iter().filter(|rule| rule.scale_rule_enabled) {
        let name = &rule.scale_rule_name;
        let (region, key) = (&kube.home.spec.region, frozen_key(name));
        edas::tag(client, region, &id, (&key, ON)).await?;
        // What is not noted for everybody to read is not given back.
        shown(kube.home, async || {
            Ok(edas::list_tags(client, region, &id).await?.iter().any(|tag| tag.tag_key == key))
        })
        .await?;
        k8s::switch_rule(client, &id, name, false).await?;
    }
    shown(kube.home, async || {
        Ok(!k8s::scaling_rules(client, &id).await?.iter().any(|rule| rule.scale_rule_enabled))
    })
    .await
}

/// Switches back on what [`freeze`] switched off, and nothing else.
///
/// # Errors
/// The call's fault.
pub(in super::super) async fn thaw(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &FleetId,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.as_str()).await?;
    give_back(client, kube, &id).await.map(drop)
}

/// Gives both applications their rules back, and says which had been frozen.
///
/// # Errors
/// The call's fault; those before it are thawed.
pub(in super::super) async fn thaw_all(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
) -> Result<BTreeSet<FleetId>, Fault> {
    let ids = memory.kube.ids(client, kube).await?;
    let mut thawed = BTreeSet::new();
    for (label, id) in kube.own.applications.iter().zip(ids) {
        if give_back(client, kube, &id).await? {
            thawed.extend(FleetId::new(label.clone()));
        }
    }
    Ok(thawed)
}

/// Switches the noted rules of an application on, and says whether there were any.
///
/// # Errors
/// The call's fault.
pub(super) async fn give_back(client: &Client, kube: Kube<'_>, id: &str) -> Result<bool, Fault> {
    let region = &kube.home.spec.region;
    let tags = edas::list_tags(client, region, id).await?;
    if !is_noted(&tags) {
        return Ok(false);
    }
    let rules = k8s::scaling_rules(client, id).await?;
    for name in noted(&tags) {
        if rules.iter().any(|rule| rule.scale_rule_name == name && !rule.scale_rule_enabled) {
            k8s::switch_rule(client, id, name, true).await?;
        }
        edas::untag(client, region, id, &frozen_key(name)).await?;
    }
    shown(kube.home, async || Ok(!is_noted(&edas::list_tags(client, region, id).await?))).await?;
    Ok(true)
}

/// Whether a tag tells that a rule of the application was on.
pub(in super::super) fn is_noted(tags: &[Tag]) -> bool {
    noted(tags).next().is_some()
}

fn noted(tags: &[Tag]) -> impl Iterator<Item = &str> {
    tags.iter().filter_map(|tag| tag.tag_key.strip_prefix(FROZEN))
}
