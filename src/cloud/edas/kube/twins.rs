//! Pods stand in the twin of their application as long as they live: the cluster keeps them there.
//!
//! So a fleet comes into a group where a rule leads to its twin, for traffic or as a preview: until then nobody checks its
//! pods. It leaves where no route gives the twin anything any more: that is noted on the twin itself, with the time, and
//! its pods count as draining from then on, and as gone once the group's drain is over. The note counts only as long as
//! nothing is sent there, and whoever moves traffic takes it off first.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::super::api::alb::{self, Tag};
use super::super::api::pool::Server;
use super::super::fleets::Fleets;
use super::super::home::{Home, Kube};
use super::super::members;
use super::super::patience::Site;
use super::super::pools::routes_now;
use super::super::preview;
use super::super::servers::{Left, Owners, ServerGroup, Shelf};
use super::super::traffic::{absent, listeners};
use super::super::twin::{Map, Standing};
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{FleetId, GroupId, InstanceState, Share, Time};

/// The key of the tag of a twin that its fleet has left.
const LEFT: &str = "deployer:left";
/// Between two questions whether the pods have come.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// The note that a tag is, if it is one.
pub(in super::super) fn left(tag: &Tag) -> Option<Left> {
    let (at, application) =
        tag.value.as_deref().filter(|_| tag.key.as_deref() == Some(LEFT))?.split_once('/')?;
    Some(Left { application: application.to_owned(), at: Time(at.parse().ok()?) })
}

/// Counts the pods in a twin that gets nothing as what they are: not there yet where nobody checks them, and draining or
/// gone where their fleet has left.
pub(in super::super) fn settle(
    kube: Kube<'_>,
    shelf: &mut Shelf,
    fleets: &Fleets,
    owners: &Owners,
    now: Time,
) {
    let Some(Ok(routes)) = &shelf.routes else { return };
    for group in kube.home.spec.groups.values() {
        for (fleet, id) in kube.own.applications.iter().zip(group.servers.ids()) {
            let (Some(group), Some(Ok(servers))) = (shelf.groups.get(id), shelf.servers.get_mut(id)) else {
                continue;
            };
            let (previews, leading): (Vec<_>, Vec<_>) =
                routes.iter().filter(|route| route.names(id)).partition(|route| route.preview);
            if leading.iter().any(|route| !route.settled || route.share(id) != Some(Share::NONE)) {
                continue;
            }
            let own =
                |server: &Server| owners.of_server(server).is_some_and(|(owner, _)| owner.as_str() == fleet);
            let seen = fleets.all.iter().find(|(name, _)| name.as_str() == fleet);
            let seen = seen.and_then(|(_, now)| now.known());
            let left =
                group.left.as_ref().filter(|left| seen.is_some_and(|now| now.group_id == left.application));
            if previews.is_empty() || left.is_some_and(|left| now >= left.at + group.drain) {
                servers.retain(|server| !own(server));
            } else if left.is_some() {
                for server in servers.iter_mut().filter(|server| own(server)) {
                    server.status = Some("Removing".to_owned());
                }
            }
        }
    }
}

/// Whether somebody stands in a twin, and stays, who is no pod that was seen.
pub(in super::super) fn has_strangers(kube: Kube<'_>, shelf: &Shelf, owners: &Owners) -> bool {
    let twins = kube.home.spec.groups.values().flat_map(|group| group.servers.ids());
    let servers = twins.filter_map(|id| shelf.servers.get(id)?.as_ref().ok()).flatten();
    servers.into_iter().any(|server| !server.is_leaving() && owners.of_server(server).is_none())
}

/// Server groups that hold nodes in place of pods: whom their ports lead to cannot be told. A port that a Service of one of
/// the fleets has leads to it, whatever the file says of the others.
pub(in super::super) fn unseen_nodes<'a>(
    home: &Home,
    servers: impl Iterator<Item = (&'a String, &'a Result<Vec<Server>, Fault>)>,
    fleets: &Fleets,
    owners: &Owners,
) -> BTreeSet<String> {
    let Some(own) = home.kubernetes() else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for (id, answer) in servers {
        for server in answer.iter().flatten().filter(|server| owners.of_server(server).is_none()) {
            let known = server.port.and_then(|port| fleets.node_ports.get(&port));
            let names = [Some(server.server_id.as_str()), server.server_ip.as_deref()];
            let is_node = names.into_iter().flatten().any(|name| fleets.nodes.contains(name));
            let whose = match (known, is_node && !own.nodes_serve_others) {
                (Some(what), _) => format!("{what} has it"),
                (None, true) => {
                    "nobody says whose it is. If no port of a node leads to the applications, write \
                                 `nodes_serve_others: true`"
                        .to_owned()
                }
                (None, false) => continue,
            };
            let port = server.port.unwrap_or(0);
            found.insert(format!(
                "who stands in the server group `{id}`: it sends traffic to the port {port} of a node, and {whose}. Let it \
                 hold pods (`service.beta.kubernetes.io/backend-type: eni`, or a server group of addresses)"
            ));
        }
    }
    found
}

/// Why the pods of a fleet may not stand in a twin: it is the other application's.
pub(in super::super) fn misplaced(home: &Home, twin: &str, fleet: &FleetId) -> Option<String> {
    let own = home.kubernetes()?;
    let place = own.place_of(fleet.as_str())?;
    let mut all = home.spec.groups.values().filter_map(|group| group.servers.twins());
    let other = all.find_map(|twins| twins.iter().position(|id| id == twin)).filter(|at| *at != place)?;
    Some(format!(
        "pods of `{fleet}` stand in `{twin}`, which is the twin of `{}`: write `alb_twins` in the order of `applications`, or \
         mend the Service that keeps them there",
        own.applications[other]
    ))
}

/// The twins of the fleet get nothing, are checked, and have every pod of it: the last is the cluster's to do, and is waited
/// for as long as one call may take.
///
/// # Errors
/// The first fault; [`FaultKind::Conflict`] with the pods that stand in no twin yet.
pub(in super::super) async fn register(
    site: Site<'_>,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    let map = Map::read(site, fleet, groups).await?;
    let now = map.fleet(fleet)?.ok_or_else(|| absent(fleet))?;
    let mut twins = Vec::new();
    for id in groups {
        twins.push(pair(map.standing(id, fleet)?)?);
    }
    for (own, other) in &twins {
        stay(site, [own]).await?;
        preview::ensure(site, [own, other], &listeners(&map, [own, other])?).await?;
    }
    let pods = now.members.iter().filter(|(_, member)| member.state == InstanceState::Running);
    let pods: Vec<_> = pods.map(|(id, member)| (id.as_str(), member.addresses.as_slice())).collect();
    let begun = clock::now();
    loop {
        let mut missing = Vec::new();
        for (own, _) in &twins {
            let servers = members::standing(site.client, own).await?;
            missing.extend(absentees(own, &servers, &pods));
        }
        if missing.is_empty() {
            return Ok(());
        }
        if clock::now().since(begun) >= site.home.spec.call_timeout {
            let message = format!(
                "the cluster has to put the pods of `{fleet}` into their twins, and a Service of theirs to name each of \
                 them: {}",
                missing.join("; ")
            );
            return Err(Fault::new(FaultKind::Conflict, "ListServerGroupServers", message));
        }
        sleep(PAUSE).await;
    }
}

/// Takes the note off twins that are to have traffic, or have it still: another one than ours may have been made since.
///
/// # Errors
/// The call's fault.
pub(in super::super) async fn stay<const N: usize>(
    site: Site<'_>,
    twins: [&ServerGroup; N],
) -> Result<(), Fault> {
    for twin in twins.into_iter().filter(|twin| twin.left.is_some()) {
        alb::untag(site.client, &twin.id, LEFT).await?;
    }
    Ok(())
}

/// Who of the pods does not stand in a twin.
fn absentees(twin: &ServerGroup, servers: &[Server], pods: &[(&str, &[String])]) -> Option<String> {
    let stands = |addresses: &[String]| {
        let staying = servers.iter().filter(|server| !server.is_leaving());
        staying.into_iter().any(|server| {
            let names = [Some(server.server_id.as_str()), server.server_ip.as_deref()];
            names.into_iter().flatten().any(|name| addresses.iter().any(|own| own == name))
        })
    };
    let absent = pods.iter().filter(|(_, addresses)| !stands(addresses));
    let absent: Vec<_> = absent.map(|(name, _)| format!("`{name}`")).collect();
    (!absent.is_empty()).then(|| format!("`{}` lacks {}", twin.id, absent.join(", ")))
}

/// The fleet leaves its twins, which get nothing any more.
///
/// # Errors
/// The first fault; [`FaultKind::Conflict`] where something is still sent to one, or where the fleet stands in a group that
/// is no twin of its.
pub(in super::super) async fn deregister(
    site: Site<'_>,
    fleet: &FleetId,
    groups: &BTreeSet<GroupId>,
) -> Result<(), Fault> {
    let map = Map::read(site, fleet, groups).await?;
    let Some(now) = map.fleet(fleet)? else { return Ok(()) }; // Who is not there has left.
    let mut twins = Vec::new();
    // A group that is gone has been left.
    for id in groups.iter().filter(|id| !map.gone(id)) {
        twins.push(pair(map.standing(id, fleet)?)?);
    }
    for (own, other) in &twins {
        if own.left.as_ref().is_some_and(|left| left.application == now.group_id) {
            continue;
        }
        let routes = routes_now(site.client, &listeners(&map, [own, other])?).await?;
        let mut leading = routes.iter().filter(|route| !route.preview && route.names(&own.id));
        let carrying = leading.find(|route| !route.settled || route.share(&own.id) != Some(Share::NONE));
        if let Some(route) = carrying {
            let message = format!(
                "{} still sends traffic to `{}`, and `{fleet}` leaves only what gets none: take the rule away first",
                route.name, own.id
            );
            return Err(Fault::new(FaultKind::Conflict, "ListRules", message));
        }
        let note = format!("{}/{}", clock::now().0, now.group_id);
        alb::tag(site.client, &own.id, (LEFT, &note)).await?;
    }
    Ok(())
}

/// The fleet's own twin and its sibling; anything else is for those who filled it.
fn pair(standing: Standing) -> Result<(ServerGroup, ServerGroup), Fault> {
    match standing {
        Standing::Twins { own, other } => Ok((own, other)),
        Standing::Shared(group) | Standing::Weighed(group) => {
            let message = format!(
                "the cluster decides which pods stand in `{}`: take it out of the Service that names it, or declare it \
                 with a twin (`alb_twins`)",
                group.id
            );
            Err(Fault::new(FaultKind::Conflict, "ListServerGroupServers", message))
        }
    }
}
