//! The scaling groups that a fleet's instances belong to are kept from changing it by themselves, and let go again.
//!
//! Only what acts on its own is suspended: EDAS buys and releases its instances through scaling groups too, and has to go
//! on with that.

use std::collections::{BTreeMap, BTreeSet};

use super::api::ess;
use super::client::Client;
use super::home::Ecs;
use super::survey::scaling_groups;
use crate::cloud::Fault;

/// What makes a scaling group change its instances by itself.
const PROCESSES: [&str; 3] = ["HealthCheck", "AlarmNotification", "ScheduledAction"];

/// Whether the scaling group may change its instances by itself.
pub(super) fn stirs(group: &ess::Group) -> bool {
    PROCESSES.iter().any(|process| !group.suspended_processes.iter().any(|own| own == process))
}

/// Whether it does not, because we hold it.
pub(super) fn is_held(group: &ess::Group, service: Ecs<'_>) -> bool {
    !stirs(group) && group.is_tagged(&key(service))
}

/// The key of the tag with what we suspended. One for each application: a scaling group may serve two.
fn key(service: Ecs<'_>) -> String {
    format!("deployer:frozen:{}", service.own.application)
}

/// Suspends the processes of every scaling group that one of these instances belongs to, noting first which ran.
///
/// # Errors
/// The call's fault.
pub(super) async fn hold(
    client: &Client,
    service: Ecs<'_>,
    instances: &[String],
    token: &str,
) -> Result<(), Fault> {
    let groups: BTreeMap<String, ess::Group> = scaling_groups(client, instances)
        .await?
        .into_values()
        .map(|group| (group.scaling_group_id.clone(), group))
        .collect();
    let groups: Vec<_> = groups.into_values().filter(stirs).collect();
    if groups.is_empty() {
        return Ok(());
    }
    let (key, noted) = (key(service), notes(client, service).await?);
    for group in groups {
        let id = &group.scaling_group_id;
        let runs = |process: &&&str| !group.suspended_processes.iter().any(|own| own == *process);
        let running: Vec<&str> = PROCESSES.iter().filter(runs).copied().collect();
        let before = noted.get(id).map(|note| note.split(',').collect::<BTreeSet<_>>()).unwrap_or_default();
        let all: Vec<&str> = before.union(&running.iter().copied().collect()).copied().collect();
        if all.len() > before.len() {
            ess::tag(client, id, (&key, &all.join(","))).await?;
        }
        ess::suspend(client, id, &running, token).await?;
    }
    Ok(())
}

/// Resumes what [`hold`] suspended in the scaling groups of these instances; in every one of the application without.
/// Says in how many.
///
/// # Errors
/// The call's fault; those before it are resumed.
pub(super) async fn release(
    client: &Client,
    service: Ecs<'_>,
    instances: Option<&[String]>,
    token: &str,
) -> Result<usize, Fault> {
    let mut noted = notes(client, service).await?;
    if let Some(instances) = instances.filter(|_| !noted.is_empty()) {
        let groups = scaling_groups(client, instances).await?;
        let own: BTreeSet<_> = groups.into_values().map(|group| group.scaling_group_id).collect();
        noted.retain(|id, _| own.contains(id));
    }
    for (id, note) in &noted {
        let processes: Vec<&str> = note.split(',').filter(|process| PROCESSES.contains(process)).collect();
        if !processes.is_empty() {
            ess::resume(client, id, &processes, token).await?;
        }
        ess::untag(client, id, &key(service)).await?;
    }
    Ok(noted.len())
}

/// What we suspended, by scaling group.
async fn notes(client: &Client, service: Ecs<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let tags = ess::tagged(client, &key(service)).await?;
    Ok(tags.into_iter().filter_map(|tag| Some((tag.resource_id, tag.tag_value?))).collect())
}
