//! Under which names an instance stands in a server group besides its id: EDAS knows one address of each, and an instance may
//! have more, on further interfaces, and be registered by any of them or by an interface itself.

use std::collections::{BTreeMap, BTreeSet};

use super::api::ecs;
use super::client::Client;
use super::fleets::Fleets;
use super::memory::Memory;
use crate::cloud::{Fault, Leeway};
use crate::model::{InstanceId, Seen, Time};

/// By instance, the names.
pub(super) type Names = BTreeMap<String, Vec<String>>;

/// Adds to what EDAS says of the instances what ECS says. What it does not say is unread: somebody may stand there.
pub(super) async fn add(
    client: &Client,
    memory: &Memory,
    fleets: &mut Fleets,
    (leeway, now): (&Leeway, Time),
) {
    let known = fleets.all.values().filter_map(Seen::known);
    let ids: BTreeSet<String> =
        known.flat_map(|fleet| fleet.members.keys().map(InstanceId::to_string)).collect();
    let names = match read(client, memory, &ids, (leeway, now)).await {
        Ok(names) => names,
        Err(fault) => {
            fleets.unread.insert(format!("under which other addresses the instances stand: {fault}"));
            return;
        }
    };
    let absent = ids.iter().filter(|id| !names.contains_key(*id));
    fleets.unread.extend(
        absent.map(|id| format!("under which other addresses `{id}` stands, which ECS does not know")),
    );
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
    memory.keep_names(ids, now, &names);
    Ok(names)
}
