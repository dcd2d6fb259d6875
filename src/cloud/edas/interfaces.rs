//! Under which names an instance stands in a server group besides its id: EDAS knows one address of each, and an instance may
//! have more, on further interfaces, and be registered by any of them or by an interface itself.

use std::collections::{BTreeMap, BTreeSet};

use super::api::ecs;
use super::client::Client;
use super::fleets::{self, Fleets};
use super::home::Ecs;
use super::memory::Memory;
use crate::cloud::{Fault, Leeway};
use crate::model::{InstanceId, Seen, Time};

/// By instance, the names.
pub(super) type Names = BTreeMap<String, Vec<String>>;

/// The service's fleets, each instance with every name under which it may stand.
///
/// Whoever is gone by the time ECS is asked stands nowhere, and EDAS is asked again. Whom EDAS names still is unread: it may
/// stand where nobody would find it.
///
/// # Errors
/// The call's fault, of EDAS; what ECS does not say is unread.
pub(super) async fn fleets(
    client: &Client,
    service: Ecs<'_>,
    memory: &Memory,
    (leeway, now): (&Leeway, Time),
) -> Result<Fleets, Fault> {
    let again = Leeway { urgent: leeway.urgent, ..Leeway::default() };
    let (mut leeway, mut missed) = (leeway, BTreeSet::new());
    loop {
        let mut fleets = fleets::read(client, service, memory, leeway).await?;
        let absent = add(client, memory, &mut fleets, (leeway, now)).await;
        if absent.is_empty() || !absent.is_disjoint(&missed) {
            fleets.unread.extend(
                absent
                    .iter()
                    .map(|id| format!("under which other addresses `{id}` stands, which ECS does not know")),
            );
            return Ok(fleets);
        }
        // Each of them once at most, so it comes to an end.
        leeway = &again;
        missed.extend(absent);
    }
}

/// Adds to what EDAS says of the instances what ECS says. Gives those that ECS does not know.
async fn add(
    client: &Client,
    memory: &Memory,
    fleets: &mut Fleets,
    (leeway, now): (&Leeway, Time),
) -> BTreeSet<String> {
    let known = fleets.all.values().filter_map(Seen::known);
    let ids: BTreeSet<String> =
        known.flat_map(|fleet| fleet.members.keys().map(InstanceId::to_string)).collect();
    let names = match read(client, memory, &ids, (leeway, now)).await {
        Ok(names) => names,
        Err(fault) => {
            fleets.unread.insert(format!("under which other addresses the instances stand: {fault}"));
            return BTreeSet::new();
        }
    };
    for fleet in fleets.all.values_mut() {
        let Seen::Known(fleet) = fleet else { continue };
        for (id, member) in &mut fleet.members {
            for name in names.get(id.as_str()).into_iter().flatten() {
                if !member.addresses.contains(name) {
                    member.addresses.push(name.clone());
                }
            }
        }
    }
    ids.into_iter().filter(|id| !names.contains_key(id)).collect()
}

async fn read(
    client: &Client,
    memory: &Memory,
    ids: &BTreeSet<String>,
    (leeway, now): (&Leeway, Time),
) -> Result<Names, Fault> {
    if let Some(known) = memory.names(ids, leeway, now) {
        return Ok(known);
    }
    let mut names = Names::new();
    let all: Vec<String> = ids.iter().cloned().collect();
    for some in all.chunks(ecs::ASKED_MAX) {
        let found = ecs::instances(client, some).await?;
        names.extend(found.into_iter().map(|own| (own.instance_id.clone(), own.names())));
    }
    if ids.iter().all(|id| names.contains_key(id)) {
        memory.keep_names(ids, now, &names);
    }
    Ok(names)
}
