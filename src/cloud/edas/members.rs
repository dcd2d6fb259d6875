//! Servers come into a server group, and go.

use tokio::time::sleep;

use super::api::clb::{self, Deed};
use super::api::pool::{self, Named, Server};
use super::classic::balancer_of;
use super::client::Client;
use super::fleets::Member;
use super::patience::Site;
use super::servers::{Family, ServerGroup};
use crate::cloud::{Fault, FaultKind};
use crate::model::{InstanceId, WEIGHT_MAX};

/// Who stands in a server group now.
///
/// # Errors
/// The call's fault.
pub(super) async fn standing(client: &Client, group: &ServerGroup) -> Result<Vec<Server>, Fault> {
    let classic = |backend: clb::Backend| Server {
        server_group_id: group.id.clone(),
        server_id: backend.server_id,
        server_ip: backend.server_ip,
        server_type: backend.r#type,
        port: backend.port,
        weight: backend.weight,
        status: Some("Available".to_owned()),
    };
    match group.family {
        Family::Alb | Family::Nlb => pool::servers(client, group.family.product(), &group.id).await,
        Family::Classic => Ok(clb::servers(client, &group.id).await?.into_iter().map(classic).collect()),
        Family::ClassicDefault => {
            let balancer = balancer_of(&group.id).unwrap_or_default();
            Ok(clb::default_servers(client, balancer).await?.into_iter().map(classic).collect())
        }
        Family::ClassicPair => Err(rigid(group)),
    }
}

/// Puts in whoever does not stand there now, and gives a weight to whoever has none.
///
/// # Errors
/// The first fault; who came in stays in.
pub(super) async fn join(
    site: Site<'_>,
    group: &ServerGroup,
    now: &[Server],
    port: u16,
    members: &[(&InstanceId, &Member)],
) -> Result<(), Fault> {
    // Green gets as much as those who stand there already.
    let weight = now
        .iter()
        .filter_map(|server| server.weight)
        .filter(|weight| *weight > 0)
        .max()
        .unwrap_or(WEIGHT_MAX);
    admit(site, group, now, (port, weight), members).await
}

/// The same with this weight, beside those who stand there now.
///
/// # Errors
/// The first fault; who came in stays in.
pub(super) async fn admit(
    site: Site<'_>,
    group: &ServerGroup,
    now: &[Server],
    (port, weight): (u16, u32),
    members: &[(&InstanceId, &Member)],
) -> Result<(), Fault> {
    let (mut absent, mut idle) = (Vec::new(), Vec::new());
    for (id, member) in members {
        let server = named(group, id, member, u32::from(port), weight)?;
        let own = now.iter().filter(|own| {
            let by_port = own.port.is_none() || own.port == Some(server.port);
            own.server_id == server.id && by_port && !own.is_leaving()
        });
        match own.map(|own| own.weight).max() {
            None => absent.push(server),
            Some(Some(0)) => idle.push(server),
            Some(_) => {}
        }
    }
    apply(site, group, Deed::Add, &absent).await?;
    apply(site, group, Deed::Weigh, &idle).await
}

/// A server that stands there, with another weight.
pub(super) fn as_it_stands(group: &ServerGroup, server: &Server, weight: u32) -> Named {
    let kind = if group.family.product() == super::client::Product::Clb { "ecs" } else { "Ecs" };
    Named {
        id: server.server_id.clone(),
        kind: server.server_type.clone().unwrap_or_else(|| kind.to_owned()),
        port: server.port.unwrap_or(0),
        weight,
    }
}

/// Gives servers that stand there other weights.
///
/// # Errors
/// The first fault.
pub(super) async fn weigh(site: Site<'_>, group: &ServerGroup, servers: &[Named]) -> Result<(), Fault> {
    apply(site, group, Deed::Weigh, servers).await
}

/// Takes these servers out. Where a balancer cuts off those who are taken out, they get nothing new for a while before.
///
/// # Errors
/// The first fault.
pub(super) async fn leave(site: Site<'_>, group: &ServerGroup, servers: &[Server]) -> Result<(), Fault> {
    let staying = servers.iter().filter(|server| !server.is_leaving());
    let named: Vec<Named> = staying.map(|server| as_it_stands(group, server, 0)).collect();
    if named.is_empty() {
        return Ok(());
    }
    if group.cuts && servers.iter().any(Server::takes) {
        // Where a drain is off, or where there is none as in front of a CLB's requests, what is under way gets as long as one
        // call of ours.
        apply(site, group, Deed::Weigh, &named).await?;
        sleep(site.home.spec.call_timeout.into()).await;
    }
    apply(site, group, Deed::Remove, &named).await
}

fn named(
    group: &ServerGroup,
    id: &InstanceId,
    member: &Member,
    port: u32,
    weight: u32,
) -> Result<Named, Fault> {
    if group.by_address {
        let address = member.address().cloned().ok_or_else(|| {
            let message = format!("`{}` takes addresses, and EDAS says none of `{id}`", group.id);
            Fault::new(FaultKind::Conflict, "AddServersToServerGroup", message)
        })?;
        return Ok(Named { id: address, kind: "Ip".to_owned(), port, weight });
    }
    let kind = match group.family {
        Family::Alb | Family::Nlb => "Ecs",
        Family::Classic | Family::ClassicDefault | Family::ClassicPair => "ecs",
    };
    Ok(Named { id: id.to_string(), kind: kind.to_owned(), port, weight })
}

/// Does it, in as many calls as it takes.
async fn apply(site: Site<'_>, group: &ServerGroup, deed: Deed, servers: &[Named]) -> Result<(), Fault> {
    let product = group.family.product();
    let most = match (group.family, deed) {
        (Family::Alb | Family::Nlb, Deed::Weigh) => pool::WEIGHED_MAX,
        (Family::Alb | Family::Nlb, Deed::Add | Deed::Remove) => pool::MOVED_MAX,
        (Family::Classic | Family::ClassicDefault | Family::ClassicPair, _) => clb::MOVED_MAX,
    };
    // A CLB takes one change at a time, of whichever of its groups.
    let _alone = match &group.balancer {
        Some(balancer) if !servers.is_empty() => Some(site.client.turns().alone(balancer).await),
        Some(_) | None => None,
    };
    for some in servers.chunks(most) {
        let (client, token) = (site.client, site.token);
        let job = site
            .patiently(|| async {
                match (group.family, deed) {
                    (Family::Alb | Family::Nlb, Deed::Add) => {
                        pool::add(client, product, &group.id, some, token).await
                    }
                    (Family::Alb | Family::Nlb, Deed::Weigh) => {
                        pool::weigh(client, product, &group.id, some, token).await
                    }
                    (Family::Alb | Family::Nlb, Deed::Remove) => {
                        pool::remove(client, product, &group.id, some, token).await
                    }
                    (Family::Classic, deed) => {
                        clb::change(client, &group.id, deed, some).await.map(|()| None)
                    }
                    (Family::ClassicDefault, deed) => {
                        let balancer = balancer_of(&group.id).unwrap_or_default();
                        clb::change_default(client, balancer, deed, some).await.map(|()| None)
                    }
                    (Family::ClassicPair, _) => Err(rigid(group)),
                }
            })
            .await?;
        site.done(product, job).await?;
    }
    Ok(())
}

fn rigid(group: &ServerGroup) -> Fault {
    let message =
        format!("`{}` is a pair of a master and a slave, in which nobody can be replaced", group.id);
    Fault::new(FaultKind::Invalid, "DescribeMasterSlaveServerGroupAttribute", message)
}
