//! Fleets that `CodeDeploy` makes in a blue/green deployment.
//!
//! Blue is the Auto Scaling group of the deployment group, green the copy that our deployment makes. `Ready` and the
//! termination wait are the two places where `CodeDeploy` asks, and only a change of ours answers: the last shift ends the
//! first, a [`Retirement`](crate::coverage::Retirement) the second. Everything is read again from AWS for every change.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_codedeploy::types::{DeploymentGroupInfo, DeploymentInfo};
use aws_sdk_elasticloadbalancingv2::types::TargetTypeEnum;

use super::super::api::Api;
use super::super::asgs::{FLEET, GROUP, Home, OWNER, REVISION, by_name, given, tag};
use super::super::limit::Family;
use super::super::memory::Memory;
use super::super::{freeze, traffic};
use super::deployment::{Found, Post, active, begin, id, look, mark, stop, stop_together};
use super::group::{
    code, complete, expressible, fleets, incomplete, lacking, names, post, read, refusals, required,
};
use super::progress::{CONTINUED, Stage, stage, why};
use super::{bundle, events, ready};
use crate::cloud::{Change, Fault, FaultKind};
use crate::model::{Fleet, FleetId, GroupId, Share, Span, Token};

pub use super::retire::retire;

/// `CodeDeploy`'s clock is stopped when so much of it is left.
const SHIELDED: Span = Span::mins(10);

/// How many target groups one call may name.
const NAMES_MAX: usize = 20;

/// A service, and what looks remember of its target groups.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub api: &'a Api,
    pub home: &'a Home,
    pub memory: &'a Memory,
}

/// Makes one change of a managed service.
///
/// # Errors
/// A refusal that names the setting to change; the calls' faults.
pub async fn change(site: Site<'_>, change: &Change, token: &Token) -> Result<(), Fault> {
    let Site { api, home, memory } = site;
    api.seen.forget();
    let done = match change {
        Change::Provision { fleet } => Box::pin(provision(api, home, fleet, token)).await,
        Change::Register { fleet, groups } => Box::pin(register(site, fleet, groups, token)).await,
        Change::Shift { group, to, from, share } => {
            Box::pin(shift(site, group, (to, from.as_ref()), *share, token)).await
        }
        Change::Deregister { fleet, groups } => {
            let found = look(api, home, post(home)?, token).await?;
            halt(api, found.ours.filter(|info| makes(info, fleet))).await?;
            traffic::deregister(api, home, memory, fleet, groups).await
        }
        Change::Freeze { fleet } => Box::pin(freeze::freeze(api, home, &Memory::default(), fleet)).await,
        Change::Thaw { fleet } => Box::pin(freeze::thaw(api, home, &Memory::default(), fleet)).await,
    };
    api.seen.forget();
    done
}

/// Stops every deployment whose termination wait is about to end by itself. A rollout that is held, or whose driver is
/// gone, still has blue then; blue is later taken away by our own hand, against a proof.
///
/// # Errors
/// The call's fault: blue is in danger.
pub async fn shield(api: &Api) -> Result<(), Fault> {
    let now = crate::cloud::clock::now();
    for seen in api.seen.all() {
        if seen.terminates_at.is_some_and(|end| now + SHIELDED >= end) {
            tracing::warn!("stopping CodeDeploy {}: it would terminate blue by itself", seen.deployment);
            stop(api, &seen.deployment).await?;
            api.seen.forget();
        }
    }
    Ok(())
}

/// Whether a deployment makes this fleet.
pub(super) fn makes(info: &DeploymentInfo, fleet: &FleetId) -> bool {
    mark(info).is_some_and(|mark| mark.fleet == fleet.as_str())
}

/// The Auto Scaling group that a deployment makes (`CodeDeploy` user guide, "Integrating with Auto Scaling").
pub(super) fn copy_of(at: Post<'_>, info: &DeploymentInfo) -> String {
    format!("CodeDeploy_{}_{}", at.group, id(info))
}

/// The rollout's deployment is begun, or the group that it has made is named ours.
async fn provision(api: &Api, home: &Home, fleet: &Fleet, token: &Token) -> Result<(), Fault> {
    let at = post(home)?;
    match look(api, home, at, token).await? {
        Found { ours: Some(info), .. } => Box::pin(adopt(api, home, at, fleet, &info)).await,
        Found { other: Some(info), .. } => {
            let message = format!("CodeDeploy {} runs in the deployment group `{}`", id(&info), at.group);
            Err(Fault::new(FaultKind::Conflict, "CreateDeployment", message))
        }
        Found { ours: None, other: None } => {
            Box::pin(prepare(api, home, at, fleet)).await?;
            let revision = bundle::location(&code(home)?.bundle, &fleet.revision);
            let made = begin(api, home, at, (&fleet.id, token, revision)).await?;
            tracing::info!("CodeDeploy {made} makes the fleet `{}`", fleet.id);
            Ok(())
        }
    }
}

/// Names the copy ours as soon as it exists.
async fn adopt(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    fleet: &Fleet,
    info: &DeploymentInfo,
) -> Result<(), Fault> {
    if !makes(info, &fleet.id) {
        let message = format!("CodeDeploy {} of this rollout makes another fleet", id(info));
        return Err(Fault::new(FaultKind::Invalid, "CreateDeployment", message));
    }
    let over = stage(info, &[], false);
    let name = copy_of(at, info);
    let Some(copy) = by_name(api, &[name.clone()].into()).await?.pop() else {
        // With a copy, a look tells it.
        if let Stage::Failed(_) = over {
            let targets = events::look(api, id(info)).await.unwrap_or_default();
            return Err(Fault::new(FaultKind::Invalid, "CreateDeployment", why(info, &targets, "has ended")));
        }
        return Ok(());
    };
    let wants = u32::try_from(copy.desired_capacity().unwrap_or(0)).unwrap_or(0);
    if over == Stage::Ready && wants < fleet.size {
        // To grow it now would launch instances beside the deployment, with blue's revision.
        let message = format!(
            "`{name}` has {wants} of {} instances: blue was not whole when it was copied",
            fleet.size
        );
        return Err(Fault::new(FaultKind::Invalid, "CreateDeployment", message));
    }
    let owner = home.owner();
    let tags = [
        (OWNER, owner.as_str()),
        (GROUP, &name),
        (FLEET, fleet.id.as_str()),
        (REVISION, fleet.revision.as_str()),
    ];
    if tags.iter().all(|(key, value)| tag(&copy, key) == Some(value)) {
        return Ok(());
    }
    // Blue was held still before it was copied. The rollout gives back only what it took itself, so it must take green's.
    let blues: BTreeSet<_> = fleets(&read(api, at).await?).into_iter().collect();
    if let Some(blue) = by_name(api, &blues).await?.pop() {
        Box::pin(freeze::thaw_copy(api, &copy, &blue)).await?;
    }
    ready::mark(api, &name, &tags).await
}

/// Everything that must hold before `CodeDeploy` copies blue.
async fn prepare(api: &Api, home: &Home, at: Post<'_>, fleet: &Fleet) -> Result<(), Fault> {
    let info = read(api, at).await?;
    let refuse = |words: String| {
        let message = format!("the deployment group `{}`: {words}", at.group);
        Fault::new(FaultKind::Invalid, "GetDeploymentGroup", message)
    };
    let reasons = refusals(&info);
    if !reasons.is_empty() {
        return Err(refuse(reasons.join("; ")));
    }
    if info.alarm_configuration().is_some_and(|alarms| alarms.enabled() && alarms.ignore_poll_alarm_failure())
    {
        tracing::warn!(
            "`{}` goes on where its alarms cannot be read: ignorePollAlarmFailure is true",
            at.group
        );
    }
    let listed: BTreeSet<_> = fleets(&info).into_iter().collect();
    let blue = by_name(api, &listed).await?.pop();
    let blue = blue.ok_or_else(|| refuse("its Auto Scaling group does not exist: name blue's".into()))?;
    let name = blue.auto_scaling_group_name().unwrap_or_default().to_owned();
    match tag(&blue, OWNER) {
        Some(owner) if owner != home.owner() => {
            return Err(refuse(format!("its Auto Scaling group `{name}` belongs to {owner}")));
        }
        Some(_) => {}
        None => ready::mark(api, &name, &[(OWNER, &home.owner())]).await?,
    }
    sized(&blue, fleet).map_err(|(kind, words)| Fault { kind, ..refuse(words) })?;
    whole(api, home, at, &info, &blue).await
}

/// A copy has as many instances as are healthy now. One that blue lacks may come back; one that it never wanted not.
fn sized(blue: &AutoScalingGroup, fleet: &Fleet) -> Result<(), (FaultKind, String)> {
    let wants = u32::try_from(blue.desired_capacity().unwrap_or(0)).unwrap_or(0);
    let well = ready::in_service(blue);
    let needed = fleet.size.max(wants);
    if fleet.size > wants {
        let words =
            format!("CodeDeploy copies blue with {wants} instances, and the plan asks for {}", fleet.size);
        return Err((FaultKind::Invalid, words));
    }
    if well < needed {
        let words =
            format!("{well} of blue's {needed} instances are healthy, and CodeDeploy would copy no more");
        return Err((FaultKind::Conflict, words));
    }
    Ok(())
}

/// The list of target groups is whole, or is made so where the file allows it.
async fn whole(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    info: &DeploymentGroupInfo,
    blue: &AutoScalingGroup,
) -> Result<(), Fault> {
    let (wanted, listed) = (required(home, blue), names(info.load_balancer_info()));
    by_instance(api, &wanted).await?;
    let missing = lacking(&wanted, &listed);
    if missing.is_empty() {
        return Ok(());
    }
    if !expressible(&wanted, &listed) {
        let message = format!(
            "the deployment group `{}` needs {} target groups, and CodeDeploy lists 10 at most: use `fleets: copy`",
            at.group,
            wanted.union(&listed).count()
        );
        return Err(Fault::new(FaultKind::Invalid, "UpdateDeploymentGroup", message));
    }
    if !code(home)?.complete {
        return Err(incomplete(at, &missing));
    }
    tracing::info!("completing the list of `{}` with {missing:?}", at.group);
    complete(api, at, info, &missing).await
}

/// `CodeDeploy` registers instances and no addresses (`CodeDeploy` user guide, "Set up a load balancer in Elastic Load
/// Balancing").
async fn by_instance(api: &Api, wanted: &BTreeSet<String>) -> Result<(), Fault> {
    let action = "DescribeTargetGroups";
    let names: Vec<_> = wanted.iter().cloned().collect();
    for some in names.chunks(NAMES_MAX) {
        let call = api.elb.describe_target_groups().set_names(Some(some.to_vec()));
        let page = api.send(Family::ElbRead, action, call.send()).await?;
        let groups = given(action, page.target_groups)?;
        let other = groups.iter().find(|group| group.target_type() != Some(&TargetTypeEnum::Instance));
        if let Some(group) = other {
            let message = format!(
                "the target group `{}` is of type `{}`, and CodeDeploy registers instances only: use `fleets: copy`, or \
                 a target group of type `instance`",
                group.target_group_name().unwrap_or_default(),
                group.target_type().map_or("unknown", TargetTypeEnum::as_str)
            );
            return Err(Fault::new(FaultKind::Invalid, action, message));
        }
    }
    Ok(())
}

/// Green joins every group by the end of `Ready`. Before it the rollout waits, and after it `CodeDeploy` has done its part:
/// what it does not know is done by our own hand. Blue comes back by our own hand, and `CodeDeploy` stops first.
async fn register(
    site: Site<'_>,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
    token: &Token,
) -> Result<(), Fault> {
    let Site { api, home, memory } = site;
    let at = post(home)?;
    let ours = look(api, home, at, token).await?.ours;
    match ours {
        Some(info) if makes(&info, fleet) => {
            if Box::pin(forward(api, home, at, &info, groups)).await? == Hand::Ours {
                traffic::register(api, home, memory, fleet, groups).await?;
            }
            Ok(())
        }
        other => {
            halt(api, other).await?;
            traffic::register(api, home, memory, fleet, groups).await
        }
    }
}

/// All of a group's traffic goes to green, which `CodeDeploy` does, or back to blue, which we do.
async fn shift(
    site: Site<'_>,
    group: &GroupId,
    (to, from): (&FleetId, Option<&FleetId>),
    share: Share,
    token: &Token,
) -> Result<(), Fault> {
    let Site { api, home, memory } = site;
    let at = post(home)?;
    let ours = look(api, home, at, token).await?.ours;
    match ours {
        Some(info) if makes(&info, to) && share > Share::NONE => {
            if Box::pin(forward(api, home, at, &info, &[group.clone()].into())).await? == Hand::Codedeploys {
                return Ok(());
            }
        }
        other => halt(api, other).await?,
    }
    traffic::shift(api, home, memory, group, (to, from), share).await
}

/// Who moves traffic now.
#[derive(Debug, PartialEq, Eq)]
enum Hand {
    Codedeploys,
    Ours,
}

/// Goes on towards green as far as `CodeDeploy` asks for it.
async fn forward(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    info: &DeploymentInfo,
    groups: &BTreeSet<GroupId>,
) -> Result<Hand, Fault> {
    let name = copy_of(at, info);
    let copy = by_name(api, &[name.clone()].into()).await?.pop().ok_or_else(|| {
        Fault::new(FaultKind::Conflict, "ContinueDeployment", format!("`{name}` does not exist yet"))
    })?;
    let continued = tag(&copy, CONTINUED) == info.deployment_id();
    let mut targets = Vec::new();
    if stage(info, &targets, continued) == Stage::Installing {
        targets = events::look(api, id(info)).await?;
    }
    let refuse = |kind, words: String| Err(Fault::new(kind, "ContinueDeployment", words));
    match stage(info, &targets, continued) {
        Stage::Ready => {
            Box::pin(ready::open(api, home, at, (info, &copy), groups)).await?;
            Ok(Hand::Codedeploys)
        }
        Stage::Shifting => Ok(Hand::Codedeploys),
        Stage::Counting | Stage::Done => Ok(Hand::Ours),
        Stage::Absent | Stage::Installing => {
            refuse(FaultKind::Conflict, format!("CodeDeploy {} still installs green", id(info)))
        }
        Stage::Failed(words) => refuse(FaultKind::Invalid, words),
        Stage::Unknown(words) => refuse(FaultKind::Conflict, words),
    }
}

/// Stops the rollout's deployment, so that `CodeDeploy` moves nothing while traffic goes back.
///
/// # Errors
/// [`FaultKind::Conflict`] where it ran until now: it may have taken blue out since the look that this change rests on, so
/// nothing is taken from green before another look.
async fn halt(api: &Api, ours: Option<DeploymentInfo>) -> Result<(), Fault> {
    let Some(info) = ours.filter(active) else { return Ok(()) };
    stop_together(api, id(&info)).await?;
    let message = format!("CodeDeploy {} is stopping; traffic goes back when it has", id(&info));
    Err(Fault::new(FaultKind::Conflict, "StopDeployment", message))
}
