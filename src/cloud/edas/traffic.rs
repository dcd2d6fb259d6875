//! Fleets join server groups, and leave again.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};

use super::drained;
use super::kube;
use super::members;
use super::patience::Site;
use super::preview;
use super::servers::{Family, ServerGroup};
use super::twin::{Map, Standing};
use super::weights;
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, GroupId};

/// Groups that are changed at the same time.
const GROUPS_MAX: usize = 8;

/// The fleet's running instances stand in the groups; among twins with nothing of the traffic.
///
/// # Errors
/// The first fault; what was done stays done, and is not done twice.
pub(super) async fn register(
    site: Site<'_>,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    if site.home.kubernetes().is_some() {
        return Box::pin(kube::register(site, fleet, groups)).await;
    }
    let map = Map::read(site, fleet, groups).await?;
    let mut join = Vec::new();
    for id in groups {
        join.push((id, map.standing(id, fleet)?));
    }
    let now = map.fleet(fleet)?.ok_or_else(|| absent(fleet))?;
    let members = now.running();
    let (map, members) = (&map, &members);
    all(join.into_iter().map(async |(id, standing)| {
        let own = match &standing {
            Standing::Shared(group) => group,
            Standing::Weighed(group) => {
                return weights::enter(site, map, (fleet, group), map.port(id, group)?, members).await;
            }
            Standing::Twins { own, other } => {
                site.memory.left.used(&own.id);
                if own.family != Family::Alb {
                    if map.is_proved(id, [own, other])? {
                        preview::ensure_classic(site, [own, other], &map.leading(&[own, other])?).await?;
                    }
                    let now = map.servers_now(site, own).await?;
                    return members::join(site, own, &now, map.port(id, own)?, members).await;
                }
                // Before the first server stands there: one that nobody checks would look as if it were done.
                preview::ensure(site, [own, other], &listeners(map, [own, other])?).await?;
                own
            }
        };
        let now = map.servers_now(site, own).await?;
        members::join(site, own, &now, map.port(id, own)?, members).await
    }))
    .await
}

/// The fleet leaves the groups.
///
/// # Errors
/// The first fault; what was done stays done, and is not done twice. [`FaultKind::Conflict`] where somebody else would put
/// it in again.
pub(super) async fn deregister(
    site: Site<'_>,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    if site.home.kubernetes().is_some() {
        return Box::pin(kube::deregister(site, fleet, groups)).await;
    }
    let map = Map::read(site, fleet, groups).await?;
    if map.fleet(fleet)?.is_none() {
        return Ok(()); // Who is not there has left.
    }
    let mut leave = Vec::new();
    // A group that is gone has been left.
    for id in groups.iter().filter(|id| !map.gone(id)) {
        leave.push(map.standing(id, fleet)?);
    }
    let map = &map;
    all(leave.iter().map(async |standing| match standing {
        Standing::Shared(group) | Standing::Weighed(group) => leave_one(site, map, fleet, group).await,
        // The rules that lead to it by name stay until a fleet goes for good: it may have to come back.
        Standing::Twins { own, other } => drained::leave(site, map, fleet, (own, other)).await,
    }))
    .await?;
    refuse_held(map, fleet, &leave)
}

/// The fleet's servers leave one server group.
///
/// # Errors
/// The first fault.
pub(super) async fn leave_one(
    site: Site<'_>,
    map: &Map<'_>,
    fleet: &FleetId,
    group: &ServerGroup,
) -> Result<(), Fault> {
    let owners = &map.survey.owners;
    let mut own = map.servers_now(site, group).await?;
    own.retain(|server| owners.of_server(server).is_some_and(|(owner, _)| owner == fleet));
    members::leave(site, group, &own).await
}

/// Auto Scaling and EDAS put instances into what they list, again and again: that is for those who made the list.
fn refuse_held(map: &Map<'_>, fleet: &FleetId, left: &[Standing]) -> Result<(), Fault> {
    let ids = left.iter().map(|standing| match standing {
        Standing::Shared(group) | Standing::Weighed(group) | Standing::Twins { own: group, .. } => {
            group.id.as_str()
        }
    });
    let scaling = map.survey.attached.get(fleet);
    for id in ids {
        if let Some(names) = scaling.and_then(|groups| groups.get(id)) {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let message =
                format!("the scaling group {} is attached to `{id}`: detach it there", names.join(", "));
            return Err(Fault::new(FaultKind::Conflict, "DescribeScalingGroups", message));
        }
        if map.fleet(fleet)?.is_some_and(|now| now.seen.attached.iter().any(|group| group.as_str() == id)) {
            let message = format!("EDAS binds `{id}` to the deploy group `{fleet}`: unbind it in EDAS");
            return Err(Fault::new(FaultKind::Conflict, "ListDeployGroup", message));
        }
    }
    Ok(())
}

/// The listeners in front of either twin.
pub(super) fn listeners(map: &Map<'_>, twins: [&ServerGroup; 2]) -> Result<BTreeSet<String>, Fault> {
    Ok(map.leading(&twins)?.into_iter().map(|route| route.listener.clone()).collect())
}

/// Does all of it, and gives the first fault of any.
async fn all<R: Future<Output = Result<(), Fault>>>(work: impl Iterator<Item = R>) -> Result<(), Fault> {
    let work: Vec<R> = work.collect();
    let answers: Vec<_> = stream::iter(work).buffer_unordered(GROUPS_MAX).collect().await;
    answers.into_iter().collect()
}

pub(super) fn absent(fleet: &FleetId) -> Fault {
    Fault::new(FaultKind::Missing, "ListDeployGroup", format!("the fleet `{fleet}` does not exist"))
}
