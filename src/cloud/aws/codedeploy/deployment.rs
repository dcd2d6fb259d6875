//! One deployment: found, begun, continued and stopped.
//!
//! `CreateDeployment` has no client token (`CodeDeploy` API reference), so a deployment is ours by its description, and is
//! looked for before one is made.

use aws_sdk_codedeploy::types::{
    AutoRollbackConfiguration, DeploymentInfo, DeploymentStatus, DeploymentWaitType, FileExistsBehavior,
    RevisionLocation, TimeRange,
};
use aws_smithy_types::DateTime;

use super::super::api::{Api, once};
use super::super::asgs::{Home, given, pages};
use super::super::limit::Family;
use super::search;
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, Span, Time, Token};

/// How many deployments one call may name (`BatchGetDeployments`: 25).
const BATCH_MAX: usize = 25;
/// How far back a deployment of a rollout is looked for. `CodeDeploy` ends every one after 109 hours.
const LOOKED_BACK: Span = Span::mins(14 * 24 * 60);
/// The first word of a description of ours.
const OURS: &str = "deployer";

/// An application and one of its deployment groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Post<'a> {
    pub application: &'a str,
    pub group: &'a str,
}

/// What the description of a deployment of ours says: `deployer OWNER FLEET TOKEN`. None of them holds a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    pub owner: &'a str,
    pub fleet: &'a str,
    pub token: &'a str,
}

impl<'a> Mark<'a> {
    /// Reads a description; none that somebody else wrote.
    pub fn read(description: &'a str) -> Option<Self> {
        let mut words = description.split(' ');
        let (first, owner, fleet, token) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (first == OURS && words.next().is_none()).then_some(Self { owner, fleet, token })
    }

    /// The description.
    pub fn text(self) -> String {
        format!("{OURS} {} {} {}", self.owner, self.fleet, self.token)
    }

    /// Whether both belong to one rollout of one service.
    pub fn same_rollout(self, other: Mark<'_>) -> bool {
        self.owner == other.owner && stem(self.token) == stem(other.token)
    }
}

/// The part of a token that all tokens of a rollout share: they end in a count. A rollout asks again under a new token
/// where an answered change is not seen, and must still find its one deployment.
fn stem(token: &str) -> &str {
    token.rsplit_once('-').map_or(token, |(stem, _)| stem)
}

/// The mark of a deployment.
pub(super) fn mark(info: &DeploymentInfo) -> Option<Mark<'_>> {
    info.description().and_then(Mark::read)
}

/// The deployments of a group, as far as they matter to a rollout.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// The rollout's own.
    pub ours: Option<DeploymentInfo>,
    /// Without one of its own: one that runs in the group.
    pub other: Option<DeploymentInfo>,
}

/// Looks for the rollout's deployment: by its id, once that is known. Those who ask together have one answer.
///
/// # Errors
/// The call's fault; an answer that leaves out a deployment, which might be ours.
pub(super) async fn look(api: &Api, home: &Home, at: Post<'_>, token: &Token) -> Result<Found, Fault> {
    let rollout = format!("{} {}", home.owner(), stem(token.as_str()));
    let (asked, mut known) = api.seen.search.turn().await;
    if let Some(found) = known.since(asked, &rollout) {
        return Ok(found);
    }
    let sent = search::now();
    let found = match known.id(&rollout).map(str::to_owned) {
        None => search_all(api, home, at, token).await?,
        Some(id) => match read(api, &[id]).await {
            Ok(infos) => Found { ours: infos.into_iter().next(), other: None },
            Err(fault) => {
                // One that is not in the answer is looked for again; one that could not be asked for is known all the same.
                if fault.kind != FaultKind::Throttled {
                    known.forget();
                }
                return Err(fault);
            }
        },
    };
    known.keep(sent, &rollout, &found);
    Ok(found)
}

/// Searches the deployments of the group, the newest first, until the rollout's own is found.
async fn search_all(api: &Api, home: &Home, at: Post<'_>, token: &Token) -> Result<Found, Fault> {
    let start = Time(crate::cloud::clock::now().0.saturating_sub(LOOKED_BACK.0));
    let start = DateTime::from_millis(i64::try_from(start.0).unwrap_or(0));
    let range = &TimeRange::builder().start(start).build();
    let ids = pages(|next| async move {
        let call = api.codedeploy.list_deployments().application_name(at.application);
        let call = call.deployment_group_name(at.group).create_time_range(range.clone()).set_next_token(next);
        let page = api.send(Family::CodeDeploy, "ListDeployments", call.send()).await?;
        Ok((given("ListDeployments", page.deployments)?, page.next_token))
    });
    let (ids, owner) = (ids.await?, home.owner());
    let mut infos = Vec::new();
    for some in ids.chunks(BATCH_MAX) {
        infos.extend(read(api, some).await?);
        let wanted = Mark { owner: &owner, fleet: "", token: token.as_str() };
        let found = infos.iter().filter_map(mark).any(|mark| mark.same_rollout(wanted));
        if found && search::is_newest_first(&infos) {
            break;
        }
    }
    Ok(sort(infos, &owner, token.as_str()))
}

/// The newest of the rollout's own, and any other that runs.
fn sort(infos: Vec<DeploymentInfo>, owner: &str, token: &str) -> Found {
    let wanted = Mark { owner, fleet: "", token };
    let own = |info: &DeploymentInfo| mark(info).is_some_and(|mark| mark.same_rollout(wanted));
    let (ours, others): (Vec<_>, Vec<_>) = infos.into_iter().partition(own);
    let made_at = |info: &DeploymentInfo| info.create_time().map_or(0, DateTime::secs);
    let other = others.into_iter().find(active);
    Found { ours: ours.into_iter().max_by_key(made_at), other }
}

/// Reads deployments by id, in the order in which they are named.
///
/// # Errors
/// The call's fault; a short answer.
pub(super) async fn read(api: &Api, ids: &[String]) -> Result<Vec<DeploymentInfo>, Fault> {
    let mut infos = Vec::new();
    for some in ids.chunks(BATCH_MAX) {
        let call = api.codedeploy.batch_get_deployments().set_deployment_ids(Some(some.to_vec()));
        let page = api.send(Family::CodeDeploy, "BatchGetDeployments", call.send()).await?;
        infos.extend(given("BatchGetDeployments", page.deployments_info)?);
    }
    let absent = ids.iter().find(|id| !infos.iter().any(|info| info.deployment_id() == Some(id)));
    match absent {
        None => {
            infos.sort_by_key(|info| ids.iter().position(|id| info.deployment_id() == Some(id)));
            Ok(infos)
        }
        Some(id) => {
            let message = format!("the answer says nothing of the deployment {id}");
            Err(Fault::new(FaultKind::Unreachable, "BatchGetDeployments", message))
        }
    }
}

/// Whether it runs, or may. A status that is not known counts: beside it nothing is begun.
pub(super) fn active(info: &DeploymentInfo) -> bool {
    let over = matches!(
        info.status(),
        Some(DeploymentStatus::Succeeded | DeploymentStatus::Failed | DeploymentStatus::Stopped)
    );
    !over
}

/// The id, for people and for calls.
pub(super) fn id(info: &DeploymentInfo) -> &str {
    info.deployment_id().unwrap_or("without an id")
}

/// Begins the rollout's deployment, unless it exists. Returns its id.
///
/// Automatic rollbacks are switched off for it, whatever its group says: one starts a second deployment on the same
/// instances, while the rollout goes back by itself.
///
/// # Errors
/// [`FaultKind::Conflict`] while another one runs; the call's fault. An ambiguous one was looked for in vain, and may
/// still turn up.
pub(super) async fn begin(
    api: &Api,
    home: &Home,
    at: Post<'_>,
    order: (&FleetId, &Token, RevisionLocation),
) -> Result<String, Fault> {
    let (fleet, token, revision) = order;
    let owner = home.owner();
    let mark = Mark { owner: &owner, fleet: fleet.as_str(), token: token.as_str() };
    let quiet = AutoRollbackConfiguration::builder().enabled(false).build();
    let call = api.codedeploy.create_deployment();
    let call = call.application_name(at.application).deployment_group_name(at.group);
    let call = call.revision(revision).description(mark.text()).auto_rollback_configuration(quiet);
    // What an earlier revision left on a copied disk must not stop this one.
    let call = call.file_exists_behavior(FileExistsBehavior::Overwrite).update_outdated_instances_only(false);
    let call = call.customize().config_override(once());
    match api.send(Family::CodeDeploy, "CreateDeployment", call.send()).await {
        Ok(made) => made.deployment_id.ok_or_else(|| {
            Fault::new(FaultKind::Unexpected, "CreateDeployment", "no id in the answer").ambiguous()
        }),
        // Sent twice it would be made twice: looked for instead.
        Err(fault) if fault.ambiguous => {
            let found = look(api, home, at, token).await.map_err(|_| fault.clone())?;
            found.ours.and_then(|info| info.deployment_id).ok_or(fault)
        }
        Err(fault) => Err(fault),
    }
}

/// Ends one of `CodeDeploy`'s two waits. One that is over already is no fault.
///
/// # Errors
/// The call's fault.
pub(super) async fn go_on(api: &Api, id: &str, wait: DeploymentWaitType) -> Result<(), Fault> {
    let call = api.codedeploy.continue_deployment().deployment_id(id).deployment_wait_type(wait);
    match api.send(Family::CodeDeploy, "ContinueDeployment", call.send()).await {
        Ok(_) => Ok(()),
        Err(fault) if coded(&fault, &["DeploymentAlreadyCompleted"]) => Ok(()),
        // Every group asks for it, and the first one has ended it.
        Err(fault) if coded(&fault, &["DeploymentIsNotInReadyState"]) => Ok(()),
        // It was in its wait a moment ago: somebody continued or stopped it, and the next look tells which.
        Err(fault) if coded(&fault, &["InvalidDeploymentStatus"]) => {
            Err(Fault { kind: FaultKind::Conflict, ..fault })
        }
        Err(fault) => Err(fault),
    }
}

/// Stops a deployment and lets `CodeDeploy` undo nothing: traffic goes back by our hand, group by group.
///
/// # Errors
/// The call's fault. One that is over already is stopped.
pub(super) async fn stop(api: &Api, id: &str) -> Result<(), Fault> {
    let call = api.codedeploy.stop_deployment().deployment_id(id).auto_rollback_enabled(false);
    match api.send(Family::CodeDeploy, "StopDeployment", call.send()).await {
        Ok(_) => Ok(()),
        Err(fault) if coded(&fault, &["DeploymentAlreadyCompleted"]) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Stops it, once for all groups that ask for it together.
///
/// # Errors
/// As [`stop`].
pub(super) async fn stop_together(api: &Api, id: &str) -> Result<(), Fault> {
    let (asked, mut known) = api.seen.search.turn().await;
    if known.is_stopped(asked, id) {
        return Ok(());
    }
    let sent = search::now();
    stop(api, id).await?;
    known.stopped(sent, id);
    Ok(())
}

/// Whether AWS's code is one of these, which [`Fault`] keeps as the first word of its message.
pub(super) fn coded(fault: &Fault, codes: &[&str]) -> bool {
    let code = fault.message.split(':').next().unwrap_or_default();
    codes.contains(&code.strip_suffix("Exception").unwrap_or(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(id: &str, description: &str, status: DeploymentStatus, secs: i64) -> DeploymentInfo {
        let info = DeploymentInfo::builder().deployment_id(id).description(description).status(status);
        info.create_time(DateTime::from_secs(secs)).build()
    }

    #[test]
    fn a_description_is_ours_word_for_word_or_not_at_all() {
        let mark = Mark { owner: "api/prod", fleet: "api-v7", token: "api-prod-3-ab-1" };
        assert_eq!(Mark::read(&mark.text()), Some(mark));
        for other in [
            "",
            "deployer",
            "deployer api/prod api-v7",
            "by hand deployer api/prod api-v7 t",
            "deployer a b c d",
        ] {
            assert_eq!(Mark::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_rollout_finds_its_one_deployment_under_every_token_of_its_own_and_no_other() {
        let done = DeploymentStatus::Succeeded;
        let infos = || {
            vec![
                made("d-old", "deployer api/prod api-v6 api-prod-2-zz-1", done.clone(), 10),
                made("d-mine", "deployer api/prod api-v7 api-prod-3-ab-1", DeploymentStatus::Ready, 20),
                made("d-foreign", "deployer web/prod api-v7 api-prod-3-ab-1", done.clone(), 30),
                made("d-hand", "by hand", DeploymentStatus::InProgress, 40),
            ]
        };
        for (token, ours) in [
            ("api-prod-3-ab-1", Some("d-mine")),
            ("api-prod-3-ab-12", Some("d-mine")),
            ("api-prod-3-cd-1", None),
            ("api-prod-31-ab-1", None),
        ] {
            let found = sort(infos(), "api/prod", token);
            assert_eq!(found.ours.as_ref().map(id), ours, "{token}");
            let other = if ours.is_some() { "d-hand" } else { "d-mine" };
            assert_eq!(found.other.as_ref().map(id), Some(other), "{token}");
        }
    }

    #[test]
    fn only_what_is_known_to_be_over_is_over() {
        for (status, over) in [
            ("Created", false),
            ("Queued", false),
            ("InProgress", false),
            ("Baking", false),
            ("Ready", false),
            ("Succeeded", true),
            ("Failed", true),
            ("Stopped", true),
            ("Dreaming", false),
        ] {
            assert_eq!(!active(&made("d-1", "", DeploymentStatus::from(status), 0)), over, "{status}");
        }
        assert!(active(&DeploymentInfo::builder().build()));
    }

    #[test]
    fn a_code_is_the_whole_first_word() {
        let fault = |message: &str| Fault::new(FaultKind::Invalid, "Do", message);
        assert!(coded(
            &fault("DeploymentAlreadyCompletedException: it is over"),
            &["DeploymentAlreadyCompleted"]
        ));
        assert!(!coded(&fault("Invalid: DeploymentAlreadyCompleted"), &["DeploymentAlreadyCompleted"]));
    }
}
