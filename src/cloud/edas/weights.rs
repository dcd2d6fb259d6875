//! Both fleets in one server group, shared by the weights of its servers.
//!
//! Whoever comes in comes with a weight of 1: an ALB checks nobody whose weight is 0, and of an NLB and a CLB it is not
//! written whether they do (2026-11), so a smaller beginning would prove nothing. What the other fleet weighed is noted
//! before it is changed, and given back when the traffic goes back. Every write is read from what stands there now and
//! checked afterwards, so that whoever goes on after a crash comes to the same weights.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::api::pool::{Named, Server};
use super::fleets::Member;
use super::members::{self, admit};
use super::patience::Site;
use super::servers::{Owners, ServerGroup};
use super::survey::Survey;
use super::traffic::leave_one;
use super::twin::Map;
use super::weight_note::{self as notes, Note};
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{FleetId, InstanceId, Share, WEIGHT_MAX, nearest};
use crate::spec::ShareBy;

/// What a server comes in with.
const LEAST: u32 = 1;
/// Between two questions whether what was written is there.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Who stands in a group now, in the order of their names.
struct Crowd {
    /// Of the fleet that comes, gains or goes.
    own: Vec<Server>,
    /// Of the other fleets.
    others: Vec<Server>,
    /// Of nobody.
    strangers: Vec<Server>,
}

impl Crowd {
    async fn read(
        site: Site<'_>,
        owners: &Owners,
        group: &ServerGroup,
        fleet: &FleetId,
    ) -> Result<Self, Fault> {
        let mut all = members::standing(site.client, group).await?;
        all.retain(|server| !server.is_leaving());
        all.sort_by(|a, b| (&a.server_id, a.port).cmp(&(&b.server_id, b.port)));
        let (known, strangers): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|server| owners.of_server(server).is_some());
        let is_own = |server: &Server| owners.of_server(server).is_some_and(|(owner, _)| owner == fleet);
        let (own, others) = known.into_iter().partition(is_own);
        Ok(Self { own, others, strangers })
    }

    /// The one other fleet, where there is one.
    fn other(&self, owners: &Owners, group: &ServerGroup) -> Result<Option<FleetId>, Fault> {
        let fleets: BTreeSet<&FleetId> =
            self.others.iter().filter_map(|server| Some(&owners.of_server(server)?.0)).collect();
        if fleets.len() > 1 {
            return Err(invalid(format!("more than two fleets stand in `{}`", group.id)));
        }
        Ok(fleets.into_iter().next().cloned())
    }
}

/// The fleet's running instances stand in the group, newcomers with the least share that whole weights can make.
///
/// # Errors
/// The first fault; what was done stays done, and is not done twice.
pub(super) async fn enter(
    site: Site<'_>,
    map: &Map<'_>,
    (fleet, group): (&FleetId, &ServerGroup),
    port: u16,
    newcomers: &[(&InstanceId, &Member)],
) -> Result<(), Fault> {
    let owners = &map.survey.owners;
    let crowd = Crowd::read(site, owners, group, fleet).await?;
    let note = notes::read(site, &group.id).await?;
    // Who comes back finds the others as they are to be; who is in with more than the least has shifted already.
    let returns = note.as_ref().is_some_and(|note| note.is_of(fleet));
    let begins = crowd.own.iter().all(|server| server.weight.is_none_or(|weight| weight <= LEAST));
    if let (false, true, Some(other)) = (returns, begins, crowd.other(owners, group)?) {
        let known = note.filter(|note| note.is_of(&other) && begun(note, &crowd, newcomers.len()));
        let note = match known {
            Some(note) => note,
            None => noted(site, group, (&other, &crowd.others)).await?,
        };
        let weights = nearest(Share::LEAST, newcomers.len(), &originals(&note, &crowd.others));
        set(site, group, pairs(&crowd.others, &weights.others)).await?;
    }
    let now = members::standing(site.client, group).await?;
    admit(site, group, &now, (port, LEAST), newcomers).await
}

/// Whether a note belongs to what is going on: everybody weighs what was noted, or what the first step makes of it. One
/// that an earlier rollout left behind tells of weights that somebody may have changed since.
fn begun(note: &Note, crowd: &Crowd, newcomers: usize) -> bool {
    let before = originals(note, &crowd.others);
    let first = nearest(Share::LEAST, newcomers, &before).others;
    let fits = |(n, server): (usize, &Server)| [before[n], first[n]].map(Some).contains(&server.weight);
    !crowd.own.is_empty() || crowd.others.iter().enumerate().all(fits)
}

fn originals(note: &Note, servers: &[Server]) -> Vec<u32> {
    servers.iter().map(|server| note.weight(server)).collect()
}

/// Notes what these servers of a fleet weigh.
async fn noted(
    site: Site<'_>,
    group: &ServerGroup,
    (fleet, servers): (&FleetId, &[Server]),
) -> Result<Note, Fault> {
    if let Some(idle) = servers.iter().find(|server| !server.takes()) {
        let message = format!(
            "`{}` of `{fleet}` gets nothing in `{}`, for it has no weight: give it one, or take it out",
            idle.server_id, group.id
        );
        return Err(invalid(message));
    }
    let note = Note::of(fleet, servers);
    notes::write(site, &group.id, &note, servers).await?;
    Ok(note)
}

/// The weights of the group's servers give `share` to one fleet and the rest to the other. With everything the other
/// leaves; with nothing the fleet itself leaves, once the other has its own weights back.
///
/// # Errors
/// [`FaultKind::Invalid`] for a share that the group cannot take; the call's fault.
pub(super) async fn shift(
    site: Site<'_>,
    map: &Map<'_>,
    group: &ServerGroup,
    (to, from): (&FleetId, Option<&FleetId>),
    share: Share,
) -> Result<(), Fault> {
    let owners = &map.survey.owners;
    let crowd = Crowd::read(site, owners, group, to).await?;
    if share == Share::NONE {
        let given = match from {
            Some(from) => give_back(site, group, (from, &crowd.others)).await,
            None => Ok(false),
        };
        // What keeps the old weights from being given back may not keep the traffic on a sick fleet.
        leave_one(site, map, to, group).await?;
        return if given? { notes::forget(site, &group.id).await } else { Ok(()) };
    }
    if let Some(stranger) = crowd.strangers.iter().find(|server| server.takes()) {
        let message = format!(
            "`{}` gets traffic of `{}` and is none of the service's: take it out, or declare its fleet",
            stranger.server_id, group.id
        );
        return Err(invalid(message));
    }
    if crowd.own.is_empty() {
        return Err(invalid(format!("nobody of `{to}` stands in `{}`", group.id)));
    }
    let note = notes::read(site, &group.id).await?;
    if share == Share::ALL {
        let heaviest =
            crowd.others.iter().filter_map(|server| server.weight).max().filter(|weight| *weight > 0);
        let usual = note.map(|note| note.usual).or(heaviest).unwrap_or(WEIGHT_MAX);
        set(site, group, pairs(&crowd.own, &vec![usual.max(LEAST); crowd.own.len()])).await?;
        let Some(from) = from else { return Ok(()) };
        return leave_one(site, map, from, group).await;
    }
    let Some(from) = from.filter(|_| !crowd.others.is_empty()) else {
        return Err(invalid(format!("nobody stands in `{}` for the other {}", group.id, share.rest())));
    };
    let note = match note.filter(|note| note.is_of(from)) {
        Some(note) => note,
        None => noted(site, group, (from, &crowd.others)).await?,
    };
    let weights = nearest(share, crowd.own.len(), &originals(&note, &crowd.others));
    let all = pairs(&crowd.own, &weights.own).chain(pairs(&crowd.others, &weights.others));
    set(site, group, all).await
}

/// A fleet that stays gets the weights back that were noted of it. Says whether there were any.
async fn give_back(
    site: Site<'_>,
    group: &ServerGroup,
    (fleet, servers): (&FleetId, &[Server]),
) -> Result<bool, Fault> {
    let Some(note) = notes::read(site, &group.id).await?.filter(|note| note.is_of(fleet)) else {
        return Ok(false);
    };
    set(site, group, pairs(servers, &originals(&note, servers))).await?;
    Ok(true)
}

/// Before a fleet goes: whoever stays gets back what was noted of it, which takes nothing from anybody.
///
/// # Errors
/// The call's fault.
pub(super) async fn give_back_others(
    site: Site<'_>,
    survey: &Survey,
    leaving: &FleetId,
) -> Result<(), Fault> {
    for group in weighed(site).filter_map(|id| survey.group(id)) {
        let note = notes::read(site, &group.id).await?;
        if note.is_none_or(|note| note.is_of(leaving)) {
            continue;
        }
        let crowd = Crowd::read(site, &survey.owners, group, leaving).await?;
        if let Some(other) = crowd.other(&survey.owners, group)? {
            give_back(site, group, (&other, &crowd.others)).await?;
        }
        notes::forget(site, &group.id).await?;
    }
    Ok(())
}

/// The server groups in which it is noted what this fleet weighed.
///
/// # Errors
/// The call's fault; a note that cannot be read.
pub(super) async fn noted_of(site: Site<'_>, fleet: &FleetId) -> Result<Vec<String>, Fault> {
    let mut groups = Vec::new();
    for id in weighed(site) {
        if notes::read(site, id).await?.is_some_and(|note| note.is_of(fleet)) {
            groups.push(id.clone());
        }
    }
    Ok(groups)
}

/// A fleet that stands nowhere is filled anew: what was noted of it once is forgotten, or it would be taken for one that
/// comes back.
///
/// # Errors
/// The call's fault; a note that cannot be read.
pub(super) async fn forget(site: Site<'_>, fleet: &FleetId) -> Result<(), Fault> {
    for group in noted_of(site, fleet).await? {
        notes::forget(site, &group).await?;
    }
    Ok(())
}

/// The server groups in which weights make the shares.
fn weighed(site: Site<'_>) -> impl Iterator<Item = &String> {
    let declared = site.home.spec.groups.values().filter(|group| group.by == ShareBy::Weights);
    declared.flat_map(|group| group.servers.ids())
}

fn pairs<'a>(servers: &'a [Server], weights: &[u32]) -> impl Iterator<Item = (&'a Server, u32)> {
    servers.iter().zip(weights.to_vec())
}

/// Gives servers their weights: first whoever gains, then whoever loses, so that the share moves one way only, whenever
/// somebody stops in between.
async fn set(
    site: Site<'_>,
    group: &ServerGroup,
    wanted: impl Iterator<Item = (&Server, u32)>,
) -> Result<(), Fault> {
    let changed = wanted.filter(|(server, weight)| server.weight != Some(*weight));
    let (more, less): (Vec<_>, Vec<_>) =
        changed.partition(|(server, weight)| server.weight.is_none_or(|own| own < *weight));
    for some in [more, less] {
        let named: Vec<Named> =
            some.iter().map(|(server, weight)| members::as_it_stands(group, server, *weight)).collect();
        members::weigh(site, group, &named).await?;
        verify(site, group, &named).await?;
    }
    Ok(())
}

/// Waits until the group shows what was written.
async fn verify(site: Site<'_>, group: &ServerGroup, named: &[Named]) -> Result<(), Fault> {
    let begun = clock::now();
    let is_there = |all: &[Server], one: &Named| {
        let own =
            all.iter().filter(|server| server.server_id == one.id && server.port.unwrap_or(0) == one.port);
        own.filter(|server| !server.is_leaving()).all(|server| server.weight == Some(one.weight))
    };
    while !named.is_empty() {
        let all = members::standing(site.client, group).await.map_err(Fault::ambiguous)?;
        let Some(other) = named.iter().find(|one| !is_there(&all, one)) else { break };
        if clock::now().since(begun) >= site.home.spec.call_timeout {
            let message =
                format!("`{}` in `{}` was to weigh {} and does not", other.id, group.id, other.weight);
            return Err(
                Fault::new(FaultKind::Conflict, "UpdateServerGroupServersAttribute", message).ambiguous()
            );
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

fn invalid(message: String) -> Fault {
    Fault::new(FaultKind::Invalid, "UpdateServerGroupServersAttribute", message)
}
