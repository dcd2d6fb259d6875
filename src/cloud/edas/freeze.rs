//! A deploy group's scaling rules are switched off for the length of a rollout, and back on again.
//!
//! What was on is written down first, as a tag of the application: a rollout that dies in between leaves the note behind.

use std::collections::BTreeSet;

use super::api::edas::{self, SCALE_IN, ScalingRule, Tag};
use super::client::Client;
use super::home::Ecs;
use super::patience::shown;
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, Scaling};

/// Before the id of a deploy group, the key of the tag with what was on.
const FROZEN: &str = "deployer:frozen:";
const IN: &str = "in";
const OUT: &str = "out";

/// Whether the deploy group's size can change by itself.
pub(super) fn scaling(rules: &[ScalingRule], tags: &[Tag], group: &str) -> Scaling {
    match (rules.iter().any(is_on), note(tags, group)) {
        (true, _) => Scaling::Active,
        (false, Some(_)) => Scaling::Frozen,
        (false, None) => Scaling::Fixed,
    }
}

/// Switches the fleet's rules off.
///
/// # Errors
/// [`FaultKind::Missing`] without the deploy group; [`FaultKind::Invalid`] for rules that could not be put back; the
/// call's fault.
pub(super) async fn freeze(client: &Client, service: Ecs<'_>, fleet: &FleetId) -> Result<(), Fault> {
    let application = &service.own.application;
    let group = group_id(client, service, fleet).await?.ok_or_else(|| absent(fleet))?;
    let rules = edas::get_scaling_rules(client, application, &group).await?;
    let on: BTreeSet<&str> = rules.iter().filter(|rule| is_on(rule)).map(way).collect();
    if on.is_empty() {
        return Ok(());
    }
    if let Some(rule) = rules.iter().find(|rule| is_on(rule) && !is_readable(rule)) {
        let source = rule.resource_from.as_deref().unwrap_or_default();
        let message = format!(
            "the scale-out rule of `{fleet}` takes {source} instances after the model of another one, with settings that \
             cannot be read and so not be put back: give the rule a launch template, or write `freeze: false`"
        );
        return Err(Fault::new(FaultKind::Invalid, "ModifyScalingRule", message));
    }
    let tags = edas::list_tags(client, &service.home.spec.region, application).await?;
    let noted: BTreeSet<&str> = note(&tags, &group).into_iter().flat_map(|note| note.split(',')).collect();
    let all: Vec<&str> = on.union(&noted).copied().collect();
    if !on.is_subset(&noted) {
        let tag = (format!("{FROZEN}{group}"), all.join(","));
        edas::tag(client, &service.home.spec.region, application, (&tag.0, &tag.1)).await?;
    }
    // What is not noted for everybody to read is not given back.
    shown(service.home, async || {
        let tags = edas::list_tags(client, &service.home.spec.region, application).await?;
        Ok(note(&tags, &group)
            .is_some_and(|noted| on.iter().all(|way| noted.split(',').any(|own| own == *way))))
    })
    .await?;
    let off: Vec<_> = rules.iter().cloned().map(|rule| ScalingRule { enable: Some(false), ..rule }).collect();
    edas::modify_scaling_rule(client, application, &group, &off).await?;
    shown(service.home, async || {
        Ok(!edas::get_scaling_rules(client, application, &group).await?.iter().any(is_on))
    })
    .await
}

/// Switches back on what [`freeze`] switched off, and nothing else.
///
/// # Errors
/// The call's fault.
pub(super) async fn thaw(client: &Client, service: Ecs<'_>, fleet: &FleetId) -> Result<(), Fault> {
    let Some(group) = group_id(client, service, fleet).await? else { return Ok(()) };
    let tags = edas::list_tags(client, &service.home.spec.region, &service.own.application).await?;
    give_back(client, service, &group, &tags).await
}

/// Gives every deploy group its rules back, and says which had been frozen.
///
/// # Errors
/// The call's fault; those before it are thawed.
pub(super) async fn thaw_all(client: &Client, service: Ecs<'_>) -> Result<BTreeSet<FleetId>, Fault> {
    let tags = edas::list_tags(client, &service.home.spec.region, &service.own.application).await?;
    let mut thawed = BTreeSet::new();
    for group in edas::list_deploy_group(client, &service.own.application).await? {
        if note(&tags, &group.group_id).is_some() {
            give_back(client, service, &group.group_id, &tags).await?;
            thawed.extend(FleetId::new(group.group_name));
        }
    }
    Ok(thawed)
}

/// Switches a deploy group's rules back on that these tags note.
///
/// # Errors
/// The call's fault.
pub(super) async fn give_back(
    client: &Client,
    service: Ecs<'_>,
    group: &str,
    tags: &[Tag],
) -> Result<(), Fault> {
    let Some(note) = note(tags, group) else { return Ok(()) };
    let application = &service.own.application;
    let were_on: BTreeSet<&str> = note.split(',').collect();
    let rules = edas::get_scaling_rules(client, application, group).await?;
    if rules.iter().any(|rule| were_on.contains(way(rule)) && !is_on(rule)) {
        let back = |rule: ScalingRule| {
            let on = is_on(&rule) || were_on.contains(way(&rule));
            ScalingRule { enable: Some(on), ..rule }
        };
        let rules: Vec<_> = rules.into_iter().map(back).collect();
        edas::modify_scaling_rule(client, application, group, &rules).await?;
        shown(service.home, async || {
            let now = edas::get_scaling_rules(client, application, group).await?;
            Ok(now.iter().all(|rule| is_on(rule) || !were_on.contains(way(rule))))
        })
        .await?;
    }
    edas::untag(client, &service.home.spec.region, application, &format!("{FROZEN}{group}")).await?;
    shown(service.home, async || {
        Ok(!is_noted(&edas::list_tags(client, &service.home.spec.region, application).await?, group))
    })
    .await
}

/// Whether a tag tells what of the deploy group's rules was on.
pub(super) fn is_noted(tags: &[Tag], group: &str) -> bool {
    note(tags, group).is_some()
}

fn note<'a>(tags: &'a [Tag], group: &str) -> Option<&'a str> {
    let own = tags.iter().find(|tag| tag.tag_key.strip_prefix(FROZEN) == Some(group))?;
    own.tag_value.as_deref()
}

fn is_on(rule: &ScalingRule) -> bool {
    rule.enable == Some(true)
}

fn way(rule: &ScalingRule) -> &'static str {
    if rule.mode == SCALE_IN { IN } else { OUT }
}

/// Whether everything can be read that has to be written again: new instances "after the model of an existing one" come
/// with a password or a key pair.
pub(super) fn is_readable(rule: &ScalingRule) -> bool {
    let buys = matches!(rule.resource_from.as_deref(), Some("NEW" | "AVAILABLE_FIRST"));
    let template = rule.template_id.as_deref().is_some_and(|id| !id.is_empty());
    rule.mode == SCALE_IN || !buys || template
}

async fn group_id(client: &Client, service: Ecs<'_>, fleet: &FleetId) -> Result<Option<String>, Fault> {
    let groups = edas::list_deploy_group(client, &service.own.application).await?;
    Ok(groups.into_iter().find(|group| group.group_name == fleet.as_str()).map(|group| group.group_id))
}

fn absent(fleet: &FleetId) -> Fault {
    Fault::new(FaultKind::Missing, "ListDeployGroup", format!("the deploy group `{fleet}` does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(mode: &str, enable: bool, from: &str, template: Option<&str>) -> ScalingRule {
        ScalingRule {
            mode: mode.into(),
            enable: Some(enable),
            resource_from: Some(from.into()),
            template_id: template.map(str::to_owned),
            ..ScalingRule::default()
        }
    }

    #[test]
    fn a_group_is_frozen_only_where_a_note_tells_what_to_give_back() {
        let tags = [Tag { tag_key: "deployer:frozen:g-1".into(), tag_value: Some("in,out".into()) }];
        let (on, off) = (
            [rule(SCALE_IN, true, "", None)],
            [rule(SCALE_IN, false, "", None), rule("SCALE_OUT", false, "", None)],
        );
        assert_eq!(scaling(&on, &tags, "g-1"), Scaling::Active);
        assert_eq!(scaling(&off, &tags, "g-1"), Scaling::Frozen);
        assert_eq!(scaling(&off, &tags, "g-2"), Scaling::Fixed);
        assert_eq!(scaling(&[], &[], "g-1"), Scaling::Fixed);
    }

    #[test]
    fn a_rule_whose_secrets_cannot_be_read_is_not_touched() {
        assert!(is_readable(&rule(SCALE_IN, true, "", None)));
        assert!(is_readable(&rule("SCALE_OUT", true, "AVAILABLE", None)));
        assert!(is_readable(&rule("SCALE_OUT", true, "NEW", Some("lt-1"))));
        assert!(!is_readable(&rule("SCALE_OUT", true, "NEW", None)));
        assert!(!is_readable(&rule("SCALE_OUT", true, "AVAILABLE_FIRST", Some(""))));
    }
}
