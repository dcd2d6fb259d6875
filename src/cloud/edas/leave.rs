//! The last look before a fleet goes: without any memory, at every server group of the region.

use std::collections::BTreeSet;

use super::client::Client;
use super::health::judge;
use super::home::Home;
use super::memory::Memory;
use super::survey::Survey;
use crate::cloud::{Fault, FaultKind, Scope};
use crate::coverage::Retirement;
use crate::model::{GroupId, Health, Seen};

/// Whether the fleet may really go now: it stands nowhere, and what was proved a moment ago still holds. Gives what was seen.
///
/// # Errors
/// [`FaultKind::Conflict`] with the groups that would go dark, or with what could not be searched.
pub(super) async fn refuse_standing(
    client: &Client,
    home: &Home,
    memory: &Memory,
    proof: &Retirement,
) -> Result<Survey, Fault> {
    let fleet = proof.fleet();
    let scope = Scope {
        service: home.service.clone(),
        groups: proof.covered().keys().cloned().collect(),
        fleets: [fleet.clone()].into(),
    };
    let survey = Box::pin(Survey::read(client, home, &memory.of_leaving(), &scope)).await?;
    if let Some(what) = survey.unread.first() {
        return Err(stays(proof, &format!("it could not be searched everywhere: {what}")));
    }
    let (mut standing, mut lit) = (BTreeSet::new(), BTreeSet::new());
    for (id, servers) in survey.all_servers() {
        let servers = servers.as_ref().map_err(Clone::clone)?;
        let is_own = |server: &_| survey.owners.of_server(server).is_some_and(|(owner, _)| owner == fleet);
        if servers.iter().any(is_own) {
            standing.insert(id.clone());
        }
        let Some(Ok(checks)) = survey.checks(id) else { continue };
        // What was proved is that a fleet of ours is well there: a stranger may be somebody else's.
        let others =
            servers.iter().filter(|server| !is_own(server) && survey.owners.of_server(server).is_some());
        if others.into_iter().any(|server| judge(server, servers, checks).0 == Health::Healthy) {
            lit.insert(id.clone());
        }
    }
    match survey.fleets.all.get(fleet) {
        Some(Seen::Known(now)) => standing.extend(now.seen.attached.iter().map(GroupId::to_string)),
        Some(Seen::Unknown(why)) => return Err(stays(proof, why)),
        None => {}
    }
    standing.extend(survey.attached.get(fleet).into_iter().flat_map(|groups| groups.keys().cloned()));
    refuse(home, proof, &standing, &lit)?;
    Ok(survey)
}

fn refuse(
    home: &Home,
    proof: &Retirement,
    standing: &BTreeSet<String>,
    lit: &BTreeSet<String>,
) -> Result<(), Fault> {
    let proved = proof.covered().iter().filter(|(_, seen)| seen.waived.is_none() && seen.healthy > 0);
    let dark = proved.filter(|(id, _)| !ids(home, id).iter().any(|own| lit.contains(own)));
    let dark: Vec<_> = dark.map(|(id, _)| format!("`{id}`")).collect();
    if !dark.is_empty() {
        let dark = dark.join(", ");
        let why = format!("nobody else is healthy any more in {dark}, where somebody was when it was proved");
        return Err(stays(proof, &why));
    }
    let waived = proof.covered().iter().filter(|(_, seen)| seen.waived.is_some());
    let waived: BTreeSet<String> = waived.flat_map(|(id, _)| ids(home, id)).collect();
    let left: Vec<_> = standing.difference(&waived).map(|id| format!("`{id}`")).collect();
    if left.is_empty() {
        return Ok(());
    }
    let why = format!(
        "it stands in {} and would leave it dark: it was attached or registered there just now. Take it out, or declare \
         the server group in the deployment file",
        left.join(", ")
    );
    Err(stays(proof, &why))
}

/// The server groups behind a group.
fn ids(home: &Home, group: &GroupId) -> Vec<String> {
    let declared = home.spec.groups.get(group).map(|group| group.servers.ids().to_vec());
    declared.unwrap_or_else(|| vec![group.to_string()])
}

fn stays(proof: &Retirement, why: &str) -> Fault {
    let message = format!("the fleet `{}` stays: {why}", proof.fleet());
    Fault::new(FaultKind::Conflict, "ScaleInApplication", message)
}
