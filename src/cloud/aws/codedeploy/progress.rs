//! How far `CodeDeploy` is with a fleet, for a look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_codedeploy::types::{
    DeploymentGroupInfo, DeploymentInfo, DeploymentStatus, DeploymentType, InstanceAction, InstanceTarget,
};
use tokio::time::Instant;

use super::super::api::Api;
use super::super::asgs::{Home, tag};
use super::super::fleet::PENDING;
use super::super::limit;
use super::deployment::{Post, id, read};
use super::search::Search;
use super::{events, group};
use crate::cloud::{Fault, FaultKind};
use crate::model::{Span, Time};
use crate::spec::{AwsFleets, AwsRevision, AwsSpec};

/// The deployment that installs a fleet's bundle, on the fleet's Auto Scaling group.
pub const DEPLOYMENT: &str = "deployer:deployment";
/// The deployment that was told to move traffic to the fleet. It names the deployment, so a copied tag says nothing.
pub const CONTINUED: &str = "deployer:continued";
/// `CodeDeploy` is asked this often at most; 41 calls a minute with bursts were throttled
/// (awslabs/aws-codedeploy-plugin issue 95).
const ASKED_EVERY_MAX: Duration = Duration::from_secs(15);
/// And never more often than its bucket fills (`limit::Family::CodeDeploy`): looks would queue there behind changes.
const ASKED_EVERY_MIN: Duration = Duration::from_secs(5);
/// In looks, between these two.
const ASKED_EVERY_LOOKS: u32 = 3;

/// Where a deployment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Not begun: the fleet is not provisioned, however many instances it has.
    Absent,
    /// Instances come up, or the bundle is being installed.
    Installing,
    /// Installed everywhere; waits for our word before it moves traffic.
    Ready,
    /// `CodeDeploy` moves traffic.
    Shifting,
    /// Traffic has moved; `CodeDeploy` waits before it terminates blue.
    Counting,
    /// Succeeded.
    Done,
    /// Failed or stopped: why, as a sentence fragment.
    Failed(String),
    /// A status that is not known: which.
    Unknown(String),
}

/// How far `CodeDeploy` is with one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The deployment's id; empty for [`Stage::Absent`].
    pub deployment: String,
    /// Where it stands.
    pub stage: Stage,
    /// As people read it: `ApplicationStart 2/3`; empty where there is nothing to tell.
    pub detail: String,
    /// When `CodeDeploy` terminates blue by itself, at the earliest.
    pub terminates_at: Option<Time>,
    /// Whether it was told to move traffic.
    pub continued: bool,
}

impl Progress {
    fn of(deployment: &str, stage: Stage) -> Self {
        Self {
            deployment: deployment.into(),
            stage,
            detail: String::new(),
            terminates_at: None,
            continued: false,
        }
    }

    /// Whether the fleet's instances count as up. A fleet whose deployment failed after traffic had moved still carries
    /// it.
    pub fn up(&self) -> bool {
        match self.stage {
            Stage::Absent | Stage::Installing => false,
            Stage::Ready | Stage::Shifting | Stage::Counting | Stage::Done => true,
            Stage::Failed(_) | Stage::Unknown(_) => self.continued,
        }
    }

    /// For [`crate::model::FleetSeen::failed`].
    pub fn failed(&self) -> Option<String> {
        match &self.stage {
            Stage::Failed(why) => Some(why.clone()),
            Stage::Absent
            | Stage::Installing
            | Stage::Ready
            | Stage::Shifting
            | Stage::Counting
            | Stage::Done
            | Stage::Unknown(_) => None,
        }
    }

    fn settled(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Failed(_))
    }
}

/// How far `CodeDeploy` is with the fleet of an Auto Scaling group. `None` where it has no part in that fleet: then only
/// Auto Scaling says how its instances are.
///
/// # Errors
/// The call's fault: how the fleet is, is then unknown.
pub async fn progress(api: &Api, home: &Home, fleet: &AutoScalingGroup) -> Result<Option<Progress>, Fault> {
    let AwsRevision::Bundle(code) = &home.spec.revision else { return Ok(None) };
    let name = fleet.auto_scaling_group_name().unwrap_or_default();
    let deployment = match home.spec.fleets {
        AwsFleets::Managed => {
            let mut makers = code.deployment_groups.iter();
            makers.find_map(|group| maker(group, name)).map(str::to_owned)
        }
        // A deployment that is named beside this is that of an earlier rollout to the same half of a pair.
        AwsFleets::Copy { .. } | AwsFleets::Pair(_) if tag(fleet, PENDING).is_some() => {
            return Ok(Some(Progress::of("", Stage::Absent)));
        }
        AwsFleets::Copy { .. } | AwsFleets::Pair(_) => tag(fleet, DEPLOYMENT).map(str::to_owned),
    };
    let Some(deployment) = deployment else { return Ok(None) };
    let continued = tag(fleet, CONTINUED) == Some(deployment.as_str());
    match api.seen.deployment(api, home, &deployment, continued).await {
        Ok(seen) => Ok(Some(seen)),
        // Histories end. A fleet that carries traffic is none the worse for it.
        Err(fault) if fault.kind == FaultKind::Missing && continued => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The deployment that made a copy: `CodeDeploy_GROUP_DEPLOYMENT` (`CodeDeploy` user guide, "Integrating with Auto
/// Scaling").
pub(super) fn maker<'a>(group: &str, copy: &'a str) -> Option<&'a str> {
    let rest = copy.strip_prefix("CodeDeploy_")?.strip_prefix(group)?.strip_prefix('_')?;
    rest.starts_with("d-").then_some(rest)
}

/// Where a deployment stands. `InProgress` has three meanings in a blue/green deployment, which only its lifecycle
/// events, the termination wait and our own word tell apart.
pub(super) fn stage(info: &DeploymentInfo, targets: &[InstanceTarget], continued: bool) -> Stage {
    let kind = info.deployment_style().and_then(|style| style.deployment_type());
    let moving = kind == Some(&DeploymentType::BlueGreen) && (continued || events::moving(targets));
    match info.status() {
        Some(DeploymentStatus::InProgress) if info.instance_termination_wait_time_started() => {
            Stage::Counting
        }
        Some(DeploymentStatus::InProgress) if !moving => Stage::Installing,
        Some(DeploymentStatus::InProgress | DeploymentStatus::Baking) => Stage::Shifting,
        Some(DeploymentStatus::Created | DeploymentStatus::Queued) => Stage::Installing,
        Some(DeploymentStatus::Ready) => Stage::Ready,
        Some(DeploymentStatus::Succeeded) => Stage::Done,
        Some(DeploymentStatus::Failed) => Stage::Failed(why(info, targets, "failed")),
        Some(DeploymentStatus::Stopped) => Stage::Failed(why(info, targets, "was stopped")),
        Some(other) => {
            Stage::Unknown(format!("CodeDeploy {} is `{}`, which is not known", id(info), other.as_str()))
        }
        None => Stage::Unknown(format!("CodeDeploy {} has no status", id(info))),
    }
}

/// `CodeDeploy d-1 failed: ScriptFailed in ValidateService on i-1`.
pub(super) fn why(info: &DeploymentInfo, targets: &[InstanceTarget], end: &str) -> String {
    let told = info.error_information().map(|error| {
        let code = error.code().map_or("", |code| code.as_str());
        let message = error.message().unwrap_or_default();
        [code, message].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ")
    });
    let reason = events::failure(targets).or(told).filter(|words| !words.is_empty());
    format!("CodeDeploy {} {end}: {}", id(info), reason.unwrap_or_else(|| "no reason given".into()))
}

/// When `CodeDeploy` terminates blue by itself, at the earliest. It says that the wait has begun and not when: not before
/// the last event was over.
pub(super) fn terminates_at(info: &DeploymentInfo, targets: &[InstanceTarget]) -> Option<Time> {
    let config = info.blue_green_deployment_configuration();
    let end = config.and_then(|config| config.terminate_blue_instances_on_deployment_success())?;
    let kills = end.action() != Some(&InstanceAction::KeepAlive);
    let begun = info.create_time().and_then(|at| u64::try_from(at.to_millis().ok()?).ok()).map(Time);
    let since = events::last_end(targets).or(begun)?;
    let mins = u64::try_from(end.termination_wait_time_in_minutes()).unwrap_or(0);
    (kills && stage(info, targets, true) == Stage::Counting).then(|| since + Span::mins(mins))
}

/// What looks have read of `CodeDeploy`, so that not every look asks. Forgotten with every change of ours; a deployment
/// that is over changes no more.
#[derive(Debug, Default)]
pub struct Seen {
    groups: Mutex<BTreeMap<String, (Instant, Arc<DeploymentGroupInfo>)>>,
    deployments: Mutex<BTreeMap<String, (Instant, Progress)>>,
    /// Whose deployment is whose does not change.
    pub(super) search: Search,
}

impl Seen {
    /// Forgets everything: the next look asks.
    pub fn forget(&self) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.deployments.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Every deployment that a look has read.
    pub(super) fn all(&self) -> Vec<Progress> {
        let deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        deployments.values().map(|(_, progress)| progress.clone()).collect()
    }

    pub(super) async fn group(
        &self,
        api: &Api,
        home: &Home,
        at: Post<'_>,
    ) -> Result<Arc<DeploymentGroupInfo>, Fault> {
        let name = format!("{}/{}", at.application, at.group);
        let known = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some((_, info)) = known.filter(|(read_at, _)| read_at.elapsed() < asked_every(&home.spec)) {
            return Ok(info);
        }
        let (now, info) = (now(), Arc::new(group::read(api, at).await?));
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (now, Arc::clone(&info)));
        Ok(info)
    }

    async fn deployment(
        &self,
        api: &Api,
        home: &Home,
        deployment: &str,
        continued: bool,
    ) -> Result<Progress, Fault> {
        let known = self.deployments.lock().unwrap_or_else(PoisonError::into_inner).get(deployment).cloned();
        let fresh = |(read_at, seen): &(Instant, Progress)| {
            seen.settled() || read_at.elapsed() < asked_every(&home.spec)
        };
        if let Some((_, seen)) = known.as_ref().filter(|known| fresh(known)) {
            return Ok(Progress { continued, ..seen.clone() });
        }
        let now = now();
        let seen = fresh_progress(api, deployment, continued).await?;
        if known.is_none_or(|(_, before)| before.detail != seen.detail || before.stage != seen.stage) {
            tracing::info!("CodeDeploy {deployment}: {:?} {}", seen.stage, seen.detail);
        }
        let mut deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        deployments.insert(deployment.to_owned(), (now, seen.clone()));
        Ok(seen)
    }
}

async fn fresh_progress(api: &Api, deployment: &str, continued: bool) -> Result<Progress, Fault> {
    let infos = read(api, &[deployment.to_owned()]).await.map_err(|fault| match fault.kind {
        FaultKind::Unreachable if !fault.ambiguous => Fault { kind: FaultKind::Missing, ..fault },
        _ => fault,
    })?;
    let info = infos.first().ok_or_else(|| {
        Fault::new(
            FaultKind::Unreachable,
            "BatchGetDeployments",
            format!("{deployment} is not in the answer"),
        )
    })?;
    let telling = matches!(info.status(), Some(DeploymentStatus::InProgress | DeploymentStatus::Failed));
    let targets = if telling { events::look(api, deployment).await? } else { Vec::new() };
    Ok(Progress {
        deployment: deployment.to_owned(),
        stage: stage(info, &targets, continued),
        detail: events::text(&targets),
        terminates_at: terminates_at(info, &targets),
        continued,
    })
}

/// How long an answer of `CodeDeploy`'s is good for a look. An account that may ask more than usual may ask more often.
fn asked_every(spec: &AwsSpec) -> Duration {
    let least = ASKED_EVERY_MIN.mul_f64(1.0 / limit::factor(spec.reads_per_second).max(1.0));
    (Duration::from(spec.pace) * ASKED_EVERY_LOOKS).clamp(least, ASKED_EVERY_MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how often to ask is a matter of the real clock, and decides nothing"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use aws_sdk_codedeploy::types::{
        BlueGreenDeploymentConfiguration, BlueInstanceTerminationOption, DeploymentStyle, ErrorInformation,
        LifecycleEventStatus, TargetLabel,
    };

    use super::super::events::tests::target;
    use super::*;

    fn made(kind: &str, status: &str, wait: bool) -> DeploymentInfo {
        let style = DeploymentStyle::builder().deployment_type(kind.into()).build();
        let end = BlueInstanceTerminationOption::builder().action(InstanceAction::Terminate);
        let config = BlueGreenDeploymentConfiguration::builder()
            .terminate_blue_instances_on_deployment_success(end.termination_wait_time_in_minutes(60).build())
            .build();
        DeploymentInfo::builder()
            .deployment_id("d-1")
            .status(status.into())
            .deployment_style(style)
            .blue_green_deployment_configuration(config)
            .instance_termination_wait_time_started(wait)
            .build()
    }

    #[test]
    fn every_status_has_its_stage_and_a_strange_one_is_unknown() {
        let failed = |end: &str| Stage::Failed(format!("CodeDeploy d-1 {end}: no reason given"));
        for (kind, status, wait, continued, expected) in [
            ("BLUE_GREEN", "Created", false, false, Stage::Installing),
            ("BLUE_GREEN", "Queued", false, false, Stage::Installing),
            ("BLUE_GREEN", "InProgress", false, false, Stage::Installing),
            ("BLUE_GREEN", "InProgress", false, true, Stage::Shifting),
            ("BLUE_GREEN", "InProgress", true, true, Stage::Counting),
            ("IN_PLACE", "InProgress", false, false, Stage::Installing),
            ("BLUE_GREEN", "Baking", false, true, Stage::Shifting),
            ("BLUE_GREEN", "Ready", false, false, Stage::Ready),
            ("BLUE_GREEN", "Succeeded", true, true, Stage::Done),
            ("IN_PLACE", "Succeeded", false, false, Stage::Done),
            ("IN_PLACE", "Failed", false, false, failed("failed")),
            ("BLUE_GREEN", "Stopped", true, true, failed("was stopped")),
            (
                "BLUE_GREEN",
                "Dreaming",
                false,
                true,
                Stage::Unknown("CodeDeploy d-1 is `Dreaming`, which is not known".into()),
            ),
        ] {
            assert_eq!(stage(&made(kind, status, wait), &[], continued), expected, "{kind} {status}");
        }
    }

    #[test]
    fn instances_are_up_from_ready_on_and_after_a_failure_only_where_traffic_had_moved() {
        let up = |stage: Stage, continued: bool| Progress { continued, ..Progress::of("d-1", stage) }.up();
        for stage in [Stage::Absent, Stage::Installing] {
            assert!(!up(stage, false));
        }
        for stage in [Stage::Ready, Stage::Shifting, Stage::Counting, Stage::Done] {
            assert!(up(stage, false));
        }
        for stage in [Stage::Failed("x".into()), Stage::Unknown("x".into())] {
            assert!(!up(stage.clone(), false));
            assert!(up(stage, true));
        }
    }

    #[test]
    fn traffic_that_somebody_else_let_move_is_seen_by_its_events() {
        let allow = target("i-1", TargetLabel::Green, &[("AllowTraffic", LifecycleEventStatus::InProgress)]);
        assert_eq!(
            stage(&made("BLUE_GREEN", "InProgress", false), std::slice::from_ref(&allow), false),
            Stage::Shifting
        );
        assert_eq!(stage(&made("IN_PLACE", "InProgress", false), &[allow], false), Stage::Installing);
    }

    #[test]
    fn a_failure_is_told_by_its_event_first_and_by_codedeploys_own_words_else() {
        let error = ErrorInformation::builder().code("NO_INSTANCES".into()).message("none").build();
        let mut info = made("IN_PLACE", "Failed", false);
        info.error_information = Some(error);
        assert_eq!(why(&info, &[], "failed"), "CodeDeploy d-1 failed: NO_INSTANCES: none");
        let failed = target("i-1", TargetLabel::Green, &[("Install", LifecycleEventStatus::Failed)]);
        assert_eq!(why(&info, &[failed], "failed"), "CodeDeploy d-1 failed: ScriptFailed in Install on i-1");
    }

    #[test]
    fn the_end_of_blue_is_reckoned_from_the_last_event_and_only_while_the_clock_runs() {
        let over =
            target("i-1", TargetLabel::Blue, &[("AfterBlockTraffic", LifecycleEventStatus::Succeeded)]);
        let at = |status: &str, wait: bool| {
            terminates_at(&made("BLUE_GREEN", status, wait), std::slice::from_ref(&over))
        };
        assert_eq!(at("InProgress", true), Some(Time(60_000 + 3_600_000)));
        assert_eq!(at("InProgress", false), None);
        assert_eq!(at("Succeeded", true), None);
    }

    #[test]
    fn a_copy_names_its_deployment() {
        assert_eq!(maker("api", "CodeDeploy_api_d-1A"), Some("d-1A"));
        assert_eq!(maker("api", "CodeDeploy_api_x"), None);
        assert_eq!(maker("api", "CodeDeploy_api-two_d-1A"), None);
        assert_eq!(maker("api", "api"), None);
    }

    #[test]
    fn codedeploy_is_asked_in_every_third_look_and_every_15_seconds_at_the_longest() {
        let spec = |pace, reads_per_second| AwsSpec {
            account: String::new(),
            region: String::new(),
            fleets: AwsFleets::Managed,
            revision: AwsRevision::Ami,
            call_timeout: Span::secs(5),
            pace,
            reads_per_second,
            groups: BTreeMap::new(),
        };
        assert_eq!(asked_every(&spec(Span(10), 10)), Duration::from_secs(5));
        assert_eq!(asked_every(&spec(Span(10), 1)), Duration::from_secs(5));
        assert_eq!(asked_every(&spec(Span(10), 5000)), Duration::from_millis(30));
        assert_eq!(asked_every(&spec(Span::secs(5), 10)), Duration::from_secs(15));
        assert_eq!(asked_every(&spec(Span::mins(1), 10)), Duration::from_secs(15));
    }
}
