//! Idle hosts of a cluster, of which each is given to one fleet only.
//!
//! Several services may look for some at the same time. Within this process a host is reserved before it is asked for;
//! across processes EDAS refuses whoever comes second, who then chooses again.

use std::collections::{BTreeMap, BTreeSet};

use super::api::edas::{self, DeployGroup, Ecu};
use super::client::Client;
use super::home::Ecs;
use super::patience::found;
use crate::cloud::{Fault, FaultKind};

/// How often hosts are chosen that somebody else got first.
const CHOICES_MAX: u32 = 6;

/// Gives the deploy group so many idle hosts.
///
/// # Errors
/// [`FaultKind::Quota`] without enough of them; the call's fault.
pub(super) async fn give(
    client: &Client,
    service: Ecs<'_>,
    group: &DeployGroup,
    missing: u32,
) -> Result<(), Fault> {
    let (application, id) = (&service.own.application, &group.group_id);
    let list = async || edas::list_scale_out_ecu(client, application, id).await;
    let mut idle = list().await?;
    let mut choices = 1;
    loop {
        let chosen = choose(client, group, &idle, missing)?;
        let names: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let answer = edas::scale_out(client, application, id, &names).await;
        let Err(fault) = answer else { return Ok(()) };
        if fault.ambiguous || !says_no(&fault) || choices == CHOICES_MAX {
            return Err(fault);
        }
        // What EDAS says of a host that is taken no source tells: that it is gone from the list does.
        let without = found(service.home, async || {
            let listed = list().await?;
            let names: BTreeSet<&str> = listed.iter().map(|ecu| ecu.ecu_id.as_str()).collect();
            let whole = chosen.iter().all(|ecu| names.contains(ecu.as_str()));
            Ok((!whole).then_some(listed))
        });
        idle = without.await.map_err(|_| fault.clone())?.ok_or(fault)?;
        choices += 1;
    }
}

/// Whether EDAS will say the same again as long as nothing changes.
fn says_no(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Invalid | FaultKind::Unexpected | FaultKind::Missing | FaultKind::Conflict
    )
}

/// So many hosts that nobody of this process has asked for.
fn choose(client: &Client, group: &DeployGroup, idle: &[Ecu], missing: u32) -> Result<Vec<String>, Fault> {
    let count = usize::try_from(missing).unwrap_or(usize::MAX);
    let chosen = client.turns().reserve((&group.group_id, count), |is_free| {
        let free: Vec<&Ecu> = idle.iter().filter(|ecu| is_free(&ecu.ecu_id)).collect();
        spread(&free, count).into_iter().map(str::to_owned).collect()
    });
    if chosen.len() == count {
        return Ok(chosen);
    }
    let message = format!(
        "`{}` needs {missing} more instances, and {} of the cluster are idle with an agent that answers: add some to the \
         cluster",
        group.group_name,
        chosen.len()
    );
    Err(Fault::new(FaultKind::Quota, "ListScaleOutEcu", message))
}

/// As many idle hosts, from the zones in turn.
fn spread<'a>(idle: &[&'a Ecu], count: usize) -> Vec<&'a str> {
    let mut zones: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ecu in idle.iter().filter(|ecu| ecu.online == Some(true)) {
        zones.entry(ecu.zone_id.as_deref().unwrap_or_default()).or_default().push(&ecu.ecu_id);
    }
    let mut ranked: Vec<(usize, &str, &str)> = Vec::new();
    for (zone, mut ids) in zones {
        ids.sort_unstable();
        ranked.extend(ids.into_iter().enumerate().map(|(turn, id)| (turn, zone, id)));
    }
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, _, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn idle_hosts_are_taken_from_the_zones_in_turn_and_only_where_the_agent_answers() {
        let ecu = |id: &str, zone: &str, online: bool| {
            let text = json!({ "EcuId": id, "InstanceId": id, "ZoneId": zone, "Online": online });
            serde_json::from_value::<Ecu>(text).unwrap()
        };
        let idle = [ecu("a1", "a", true), ecu("a2", "a", true), ecu("b1", "b", true), ecu("b0", "b", false)];
        assert_eq!(spread(&idle.each_ref(), 2), ["a1", "b1"]);
        assert_eq!(spread(&idle.each_ref(), 9).len(), 3);
    }
}
