//! Pods stand in the twin of their application as long as they live: the cluster keeps them there.
//!
//! So a fleet comes into a group whose twins are proved where a rule leads to its twin, for traffic or as a preview: until
//! then nobody checks its pods. Where nobody ever checks a twin before it is switched to, its pods stand there, not judged.
//! It leaves where no route gives the twin anything any more: that is noted, with the time, and its pods count as draining
//! from then on, and as gone once the group's drain is over. The note counts only as long as nothing is sent there, and
//! whoever moves traffic takes it off first.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::super::api::pool::Server;
use super::super::client::Client;
use super::super::drained::{Left, carries, longest};
use super::super::fleets::Fleets;
use super::super::home::{Home, Kube};
use super::super::members;
use super::super::patience::Site;
use super::super::pools;
use super::super::preview;
use super::super::route::Route;
use super::super::servers::{Family, Owners, ServerGroup, Shelf};
use super::super::swap;
use super::super::traffic::{absent, listeners};
use super::super::twin::{Map, Standing, is_proved};
use super::left;
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{FleetId, GroupId, InstanceState, Time};

/// Between two questions whether the pods have come.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Counts the pods in a twin that gets nothing as what they are: not there yet where somebody is to check them and nobody
/// does, and draining or gone where their fleet has left.
pub(in super::super) fn settle(
    (kube, memory): (Kube<'_>, &Left),
    shelf: &mut Shelf,
    fleets: &Fleets,
    owners: &Owners,
    now: Time,
) {
    let Some(Ok(routes)) = &shelf.routes else { return };
    for declared in kube.home.spec.groups.values() {
        let twins = declared.servers.ids();
        let both: Vec<&Route> =
            routes.iter().filter(|route| !route.preview && twins.iter().any(|id| route.names(id))).collect();
        let proved = is_proved(declared, &both);
        // What leads to a group of a CLB says how long it drains, and after a switch nothing does: its twin's counts too.
        let drain = longest(kube.home, twins.iter().filter_map(|id| shelf.groups.get(id)));
        for (fleet, id) in kube.own.applications.iter().zip(twins) {
            let (Some(group), Some(Ok(servers))) = (shelf.groups.get_mut(id), shelf.servers.get_mut(id))
            else {
                continue;
            };
            group.drain = drain;
            if both.iter().any(|route| route.names(id) && carries(route, id)) {
                memory.used(id);
                continue;
            }
            let own =
                |server: &Server| owners.of_server(server).is_some_and(|(owner, _)| owner.as_str() == fleet);
            let unchecked = proved && !routes.iter().any(|route| route.preview && route.names(id));
            let noted = fleets.left.get(id).copied();
            // Somebody may have taken the rule away by which blue was proved: then it is left from now on. Pods that came
            // where nobody was before have nothing to drain.
            let left = if unchecked && noted.is_none() {
                if !servers.iter().any(own) {
                    memory.never(id);
                }
                Some(memory.since(id, now))
            } else {
                memory.used(id);
                noted
            };
            if left.is_some_and(|at| now >= at + drain) {
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
    let other = left::place_of(home, twin).filter(|at| *at != place)?;
    Some(format!(
        "pods of `{fleet}` stand in `{twin}`, which is the twin of `{}`: write the twins in the order of `applications`, or \
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
        twins.push((id, pair(map.standing(id, fleet)?)?));
    }
    for (id, (own, other)) in &twins {
        left::stay(site, [own]).await?;
        if own.family == Family::Alb {
            preview::ensure(site, [own, other], &listeners(&map, [own, other])?).await?;
        } else if map.is_proved(id, [own, other])? {
            preview::ensure_classic(site, [own, other], &map.leading(&[own, other])?).await?;
        }
    }
    let pods = now.members.iter().filter(|(_, member)| member.state == InstanceState::Running);
    let pods: Vec<_> = pods.map(|(id, member)| (id.as_str(), member.addresses.as_slice())).collect();
    let begun = clock::now();
    loop {
        let mut missing = Vec::new();
        for (_, (own, _)) in &twins {
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
        let routes = leading_now(site.client, &map, [own, other]).await?;
        if let Some(route) = routes.iter().find(|route| route.names(&own.id) && carries(route, &own.id)) {
            let message = format!(
                "{} still sends traffic to `{}`, and `{fleet}` leaves only what gets none: take the rule away first",
                route.name, own.id
            );
            return Err(Fault::new(FaultKind::Conflict, "ListRules", message));
        }
        left::write(site, &now.group_id, &own.id).await?;
    }
    Ok(())
}

/// What leads to either twin, read now; previews are nobody's traffic.
async fn leading_now(client: &Client, map: &Map<'_>, twins: [&ServerGroup; 2]) -> Result<Vec<Route>, Fault> {
    if twins[0].family != Family::Alb {
        return swap::routes_now(client, twins).await;
    }
    let mut routes = pools::routes_now(client, &listeners(map, twins)?).await?;
    routes.retain(|route| !route.preview);
    Ok(routes)
}

/// The fleet's own twin and its sibling; anything else is for those who filled it.
fn pair(standing: Standing) -> Result<(ServerGroup, ServerGroup), Fault> {
    match standing {
        Standing::Twins { own, other } => Ok((own, other)),
        Standing::Shared(group) | Standing::Weighed(group) => {
            let message = format!(
                "the cluster decides which pods stand in `{}`: take it out of the Service that names it, or declare it \
                 with a twin",
                group.id
            );
            Err(Fault::new(FaultKind::Conflict, "ListServerGroupServers", message))
        }
    }
}
