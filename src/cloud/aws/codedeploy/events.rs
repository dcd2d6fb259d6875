//! The lifecycle events of a deployment's instances.

use aws_sdk_codedeploy::types::{InstanceTarget, LifecycleEvent, LifecycleEventStatus, TargetLabel};

use super::super::api::Api;
use super::super::asgs::{given, pages};
use super::super::limit::Family;
use super::deployment::coded;
use crate::cloud::{Fault, FaultKind};
use crate::model::Time;

/// How many targets one call may name (`BatchGetDeploymentTargets`: 25).
const BATCH_MAX: usize = 25;
/// The events by which traffic moves, in the `CodeDeploy` user guide's list of lifecycle event hooks.
const TRAFFIC: [&str; 6] = [
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
    "BeforeBlockTraffic",
    "BlockTraffic",
    "AfterBlockTraffic",
];

/// Every instance of a deployment with its events. One that has not begun has none.
///
/// # Errors
/// The call's fault.
pub(super) async fn look(api: &Api, id: &str) -> Result<Vec<InstanceTarget>, Fault> {
    let ids = pages(|next| async move {
        let call = api.codedeploy.list_deployment_targets().deployment_id(id).set_next_token(next);
        let page = api.send(Family::CodeDeploy, "ListDeploymentTargets", call.send()).await?;
        Ok((given("ListDeploymentTargets", page.target_ids)?, page.next_token))
    });
    let ids: Vec<String> = match ids.await {
        Ok(ids) => ids,
        Err(fault) if coded(&fault, &["DeploymentNotStarted"]) => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut targets = Vec::new();
    for some in ids.chunks(BATCH_MAX) {
        let call = api.codedeploy.batch_get_deployment_targets().deployment_id(id);
        let call = call.set_target_ids(Some(some.to_vec()));
        let page = api.send(Family::CodeDeploy, "BatchGetDeploymentTargets", call.send()).await?;
        let found = given("BatchGetDeploymentTargets", page.deployment_targets)?;
        if found.len() < some.len() {
            let message = format!(
                "the answer says nothing of {} of {} instances",
                some.len() - found.len(),
                some.len()
            );
            return Err(Fault::new(FaultKind::Unexpected, "BatchGetDeploymentTargets", message));
        }
        targets.extend(found.into_iter().filter_map(|target| target.instance_target));
    }
    Ok(targets)
}

/// The ids of the instances that `CodeDeploy` calls blue.
pub(super) fn blue(targets: &[InstanceTarget]) -> Vec<String> {
    let blue = targets.iter().filter(|target| target.instance_label() == Some(&TargetLabel::Blue));
    // An instance's target id is its id; some answers give it as an ARN.
    blue.filter_map(|target| Some(target.target_id()?.rsplit('/').next()?.to_owned())).collect()
}

/// Whether traffic has begun to move.
pub(super) fn moving(targets: &[InstanceTarget]) -> bool {
    targets
        .iter()
        .flat_map(InstanceTarget::lifecycle_events)
        .any(|event| event.lifecycle_event_name().is_some_and(|name| TRAFFIC.contains(&name)) && begun(event))
}

/// When the last event ended.
pub(super) fn last_end(targets: &[InstanceTarget]) -> Option<Time> {
    let ends = targets.iter().flat_map(InstanceTarget::lifecycle_events).filter_map(LifecycleEvent::end_time);
    ends.filter_map(|end| u64::try_from(end.to_millis().ok()?).ok()).max().map(Time)
}

/// How far it is, as people read it: `ApplicationStart 2/3`. The furthest event that any instance has begun, and how
/// many are through with it; empty before the first.
pub(super) fn text(targets: &[InstanceTarget]) -> String {
    let blue = |target: &&InstanceTarget| target.instance_label() == Some(&TargetLabel::Blue);
    let (old, new): (Vec<_>, Vec<_>) = targets.iter().partition(blue);
    // Blue's events are the last ones of a deployment.
    let side = if old.iter().any(|target| target.lifecycle_events().iter().any(begun)) { old } else { new };
    let at = |target: &&InstanceTarget| target.lifecycle_events().iter().rposition(begun);
    let Some(furthest) = side.iter().max_by_key(|target| at(target)) else { return String::new() };
    let Some(event) = at(furthest).and_then(|at| furthest.lifecycle_events().get(at)) else {
        return String::new();
    };
    let same = |other: &&LifecycleEvent| other.lifecycle_event_name() == event.lifecycle_event_name();
    let over = |target: &&&InstanceTarget| {
        let event = target.lifecycle_events().iter().find(same);
        event.and_then(LifecycleEvent::status) == Some(&LifecycleEventStatus::Succeeded)
    };
    let name = event.lifecycle_event_name().unwrap_or("an event without a name");
    format!("{name} {}/{}", side.iter().filter(over).count(), side.len())
}

/// The first failure: `ScriptFailed in ValidateService on i-1`.
pub(super) fn failure(targets: &[InstanceTarget]) -> Option<String> {
    targets.iter().find_map(|target| {
        let failed = |event: &&LifecycleEvent| event.status() == Some(&LifecycleEventStatus::Failed);
        let event = target.lifecycle_events().iter().find(failed)?;
        let code = event.diagnostics().and_then(|found| found.error_code());
        let code = code.map_or("a failure", |code| code.as_str());
        let name = event.lifecycle_event_name().unwrap_or("an event without a name");
        let on =
            target.target_id().and_then(|id| id.rsplit('/').next()).unwrap_or("an instance without an id");
        let message = event.diagnostics().and_then(|found| found.message()).filter(|words| !words.is_empty());
        let words = message.map(|words| format!(" ({words})")).unwrap_or_default();
        Some(format!("{code} in {name} on {on}{words}"))
    })
}

fn begun(event: &LifecycleEvent) -> bool {
    use LifecycleEventStatus::{Failed, InProgress, Succeeded};
    matches!(event.status(), Some(Failed | InProgress | Succeeded))
}

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_codedeploy::types::{Diagnostics, LifecycleErrorCode};
    use aws_smithy_types::DateTime;

    use super::*;

    /// An instance with these events; a status ends with the event.
    pub fn target(id: &str, label: TargetLabel, events: &[(&str, LifecycleEventStatus)]) -> InstanceTarget {
        let event = |(name, status): &(&str, LifecycleEventStatus)| {
            let event = LifecycleEvent::builder().lifecycle_event_name(*name).status(status.clone());
            let event = event.end_time(DateTime::from_secs(60));
            let failed = Diagnostics::builder().error_code(LifecycleErrorCode::ScriptFailed).build();
            let failed = (*status == LifecycleEventStatus::Failed).then_some(failed);
            event.set_diagnostics(failed).build()
        };
        let events = events.iter().map(event).collect();
        InstanceTarget::builder()
            .target_id(id)
            .instance_label(label)
            .set_lifecycle_events(Some(events))
            .build()
    }

    #[test]
    fn the_furthest_event_is_told_with_how_many_are_through_with_it() {
        use LifecycleEventStatus::{InProgress, Pending, Succeeded};
        let green = |id: &str, start: LifecycleEventStatus| {
            let events = [("Install", Succeeded), ("ApplicationStart", start), ("ValidateService", Pending)];
            target(id, TargetLabel::Green, &events)
        };
        assert_eq!(text(&[]), "");
        let some = [green("i-1", Succeeded), green("i-2", InProgress), green("i-3", Succeeded)];
        assert_eq!(text(&some), "ApplicationStart 2/3");
        assert!(!moving(&some));
        let blue = target("i-9", TargetLabel::Blue, &[("BlockTraffic", InProgress)]);
        let all = [some.to_vec(), vec![blue]].concat();
        assert_eq!(text(&all), "BlockTraffic 0/1");
        assert!(moving(&all));
    }

    #[test]
    fn a_failure_names_its_event_and_its_instance() {
        use LifecycleEventStatus::{Failed, Skipped};
        let events = [("ValidateService", Failed), ("AllowTraffic", Skipped)];
        let targets = [target("arn:aws:ec2:r:1:instance/i-7", TargetLabel::Green, &events)];
        assert_eq!(failure(&targets).as_deref(), Some("ScriptFailed in ValidateService on i-7"));
        assert!(!moving(&targets));
    }
}
