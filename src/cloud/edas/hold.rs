//! The scaling groups that a fleet's instances belong to are kept from changing it by themselves, and let go again.
//!
//! Only what acts on its own is suspended: EDAS buys and releases its instances through scaling groups too, and has to go
//! on with that. A tag of the scaling group tells what ran before, and for which fleets it is held: two may share it, and
//! whoever stays would have nobody who lets it go if it were taken to be held for itself too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::api::ess;
use super::client::Client;
use super::home::Ecs;
use super::survey::scaling_groups;
use super::weight_note;
use crate::cloud::Fault;
use crate::model::{FleetId, Scaling};

/// What makes a scaling group change its instances by itself.
const PROCESSES: [&str; 3] = ["AlarmNotification", "HealthCheck", "ScheduledAction"];

/// Which scaling groups are meant, of those that are held.
#[derive(Debug, Clone, Copy)]
pub(super) enum LetGo<'a> {
    /// Every one that is held for the application.
    All,
    /// Those to which none of these instances belongs.
    Without(&'a BTreeSet<String>),
}

/// What is noted of a scaling group: `AlarmNotification,HealthCheck;0f3a…`. Older ones have no fleets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Note {
    /// What we suspended.
    processes: BTreeSet<String>,
    /// For which fleets, as [`mark`] says them.
    fleets: BTreeSet<String>,
}

impl Note {
    fn read(text: &str) -> Self {
        let (processes, fleets) = text.split_once(';').unwrap_or((text, ""));
        let list = |text: &str| text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        Self { processes: list(processes), fleets: list(fleets) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        write!(f, "{};{}", list(&self.processes), list(&self.fleets))
    }
}

/// A fleet in a note: its name may be long, or of signs that a tag does not take.
fn mark(fleet: &FleetId) -> String {
    weight_note::mark(fleet.as_str())
}

/// Whether the scaling group may change the fleet by itself. One that is held for another fleet only is nobody's promise to
/// this one.
pub(super) fn scaling(group: &ess::Group, service: Option<Ecs<'_>>, fleet: &FleetId) -> Scaling {
    let note = service.and_then(|service| group.tag(&key(service))).map(Note::read);
    match note {
        _ if stirs(group) => Scaling::Active,
        Some(note) if note.fleets.contains(&mark(fleet)) => Scaling::Frozen,
        Some(_) => Scaling::Active,
        None => Scaling::Fixed,
    }
}

fn stirs(group: &ess::Group) -> bool {
    PROCESSES.iter().any(|process| !group.suspended_processes.iter().any(|own| own == process))
}

/// The key of the tag. One for each application: a scaling group may serve two.
fn key(service: Ecs<'_>) -> String {
    format!("deployer:frozen:{}", service.own.application)
}

/// Suspends the processes of every scaling group that one of these instances of the fleet belongs to, noting first which ran.
///
/// # Errors
/// The call's fault.
pub(super) async fn hold(
    client: &Client,
    service: Ecs<'_>,
    (fleet, instances): (&FleetId, &[String]),
    token: &str,
) -> Result<(), Fault> {
    let groups: BTreeMap<String, ess::Group> = scaling_groups(client, instances)
        .await?
        .into_values()
        .map(|group| (group.scaling_group_id.clone(), group))
        .collect();
    let loose = |group: &ess::Group| scaling(group, Some(service), fleet) == Scaling::Active;
    let groups: Vec<_> = groups.into_values().filter(loose).collect();
    if groups.is_empty() {
        return Ok(());
    }
    let (key, noted) = (key(service), notes(client, service).await?);
    for group in groups {
        let id = &group.scaling_group_id;
        let runs = |process: &&&str| !group.suspended_processes.iter().any(|own| own == *process);
        let running: Vec<&str> = PROCESSES.iter().filter(runs).copied().collect();
        let before = noted.get(id).cloned().unwrap_or_default();
        let mut note = before.clone();
        note.processes.extend(running.iter().map(|process| (*process).to_owned()));
        note.fleets.insert(mark(fleet));
        if note != before {
            ess::tag(client, id, (&key, &note.to_string())).await?;
        }
        if !running.is_empty() {
            ess::suspend(client, id, &running, token).await?;
        }
    }
    Ok(())
}

/// The scaling groups that are held, and what is noted of each.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<String, Note>);

impl Held {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fleets of the pair for which they are; both, where one names none.
    pub fn fleets(&self, service: Ecs<'_>) -> BTreeSet<FleetId> {
        let pair = service.own.pair.iter().filter_map(|name| FleetId::new(name.clone()).ok());
        let named =
            |fleet: &FleetId, note: &Note| note.fleets.is_empty() || note.fleets.contains(&mark(fleet));
        pair.filter(|fleet| self.0.values().any(|note| named(fleet, note))).collect()
    }
}

/// Looks which scaling groups are held.
///
/// # Errors
/// The call's fault.
pub(super) async fn noted(client: &Client, service: Ecs<'_>, which: LetGo<'_>) -> Result<Held, Fault> {
    let mut noted = notes(client, service).await?;
    if let (LetGo::Without(instances), false) = (which, noted.is_empty()) {
        let instances: Vec<String> = instances.iter().cloned().collect();
        let groups = scaling_groups(client, &instances).await?;
        let kept: BTreeSet<_> = groups.into_values().map(|group| group.scaling_group_id).collect();
        noted.retain(|id, _| !kept.contains(id));
    }
    Ok(Held(noted))
}

/// Resumes what [`hold`] suspended.
///
/// # Errors
/// The call's fault; those before it are resumed.
pub(super) async fn let_go(client: &Client, service: Ecs<'_>, held: &Held, token: &str) -> Result<(), Fault> {
    for (id, note) in &held.0 {
        let processes: Vec<&str> =
            PROCESSES.into_iter().filter(|process| note.processes.contains(*process)).collect();
        if !processes.is_empty() {
            ess::resume(client, id, &processes, token).await?;
        }
        ess::untag(client, id, &key(service)).await?;
    }
    Ok(())
}

/// What we suspended, by scaling group.
async fn notes(client: &Client, service: Ecs<'_>) -> Result<BTreeMap<String, Note>, Fault> {
    let tags = ess::tagged(client, &key(service)).await?;
    Ok(tags.into_iter().filter_map(|tag| Some((tag.resource_id, Note::read(&tag.tag_value?)))).collect())
}
