//! Twins behind routes that have one server group and no weights: an NLB's listeners, a CLB's listeners and rules.
//!
//! Nobody checks the twin that no route uses, so it takes everything before its health is known: the plan asks for leave.
//! What can be seen is asked for: somebody stands there.

use tokio::time::sleep;

use super::api::{clb, nlb};
use super::classic;
use super::client::{Client, Product};
use super::members;
use super::patience::Site;
use super::route::{Place, Route};
use super::servers::{Family, ServerGroup};
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{GroupId, Share};

/// Between two questions whether a route has taken what was written.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Every route of the twins sends everything to the first of them, or with nothing to the other.
///
/// # Errors
/// [`FaultKind::Invalid`] for a part, or without a route; [`FaultKind::Conflict`] where nobody stands in the one that would
/// get everything; the call's fault.
pub(super) async fn swap(
    site: Site<'_>,
    group: &GroupId,
    (own, other): (&ServerGroup, &ServerGroup),
    share: Share,
) -> Result<(), Fault> {
    let (to, from) = match share {
        Share::ALL => (own, other),
        Share::NONE => (other, own),
        _ => {
            let message = format!("the routes of `{group}` have one server group: {share} cannot be had");
            return Err(Fault::new(FaultKind::Invalid, "UpdateListenerAttribute", message));
        }
    };
    let routes = routes_now(site.client, [own, other]).await?;
    if routes.is_empty() {
        let message =
            format!("no listener or rule leads to `{group}`: put one of its server groups behind a listener");
        return Err(Fault::new(FaultKind::Invalid, "ListListeners", message));
    }
    let behind: Vec<&Route> = routes.iter().filter(|route| route.names(&from.id)).collect();
    let busy = routes.iter().any(|route| !route.settled);
    if behind.is_empty() && !busy {
        return Ok(());
    }
    let standing = members::standing(site.client, to).await?;
    if !standing.iter().any(super::api::pool::Server::takes) {
        let message = format!("nobody stands in `{}`: it gets no traffic", to.id);
        return Err(Fault::new(FaultKind::Conflict, "ListServerGroupServers", message));
    }
    for route in behind {
        write(site, route, &to.id).await?;
    }
    verify(site, [own, other], &to.id).await
}

/// The routes that lead to either twin, read now.
///
/// # Errors
/// [`FaultKind::Invalid`] for groups that cannot be twins of this kind; the call's fault.
pub(super) async fn routes_now(client: &Client, twins: [&ServerGroup; 2]) -> Result<Vec<Route>, Fault> {
    let mut routes = match (twins[0].family, twins[0].balancer.as_deref()) {
        (Family::Nlb, _) => nlb::listeners(client).await?.iter().map(Route::of_network).collect(),
        (Family::Classic, Some(balancer)) => classic::routes_now(client, balancer).await?,
        (Family::Alb | Family::Classic | Family::ClassicDefault | Family::ClassicPair, _) => {
            let message = format!("`{}` cannot be a twin: declare vServer groups", twins[0].id);
            return Err(Fault::new(FaultKind::Invalid, "DescribeVServerGroups", message));
        }
    };
    routes.retain(|route| !route.preview && twins.iter().any(|twin| route.names(&twin.id)));
    Ok(routes)
}

async fn write(site: Site<'_>, route: &Route, group: &str) -> Result<(), Fault> {
    let (client, token) = (site.client, site.token);
    let thing = match &route.place {
        Place::Classic { balancer, .. } => balancer,
        Place::Network(_) | Place::ClassicRule(_) | Place::Default(_) | Place::Rule(_) => &route.listener,
    };
    let _alone = client.turns().alone(thing).await;
    match &route.place {
        Place::Network(id) => {
            let job = site.patiently(|| nlb::update_listener(client, id, group, token)).await?;
            site.done(Product::Nlb, job).await
        }
        Place::Classic { balancer, port, protocol } => {
            site.patiently(|| clb::set_listener(client, (balancer, *port, protocol), group)).await
        }
        Place::ClassicRule(id) => site.patiently(|| clb::set_rule(client, id, group)).await,
        Place::Default(_) | Place::Rule(_) => {
            let message = format!("{} is changed otherwise", route.name);
            Err(Fault::new(FaultKind::Invalid, "UpdateListenerAttribute", message))
        }
    }
}

/// Waits until every route shows what was written.
async fn verify(site: Site<'_>, twins: [&ServerGroup; 2], group: &str) -> Result<(), Fault> {
    let begun = clock::now();
    loop {
        let routes = routes_now(site.client, twins).await.map_err(Fault::ambiguous)?;
        let Some(behind) = routes.iter().find(|route| !route.settled || !route.names(group)) else {
            return Ok(());
        };
        if clock::now().since(begun) >= site.home.spec.call_timeout {
            let message = format!("{} was to send everything to `{group}` and does not", behind.name);
            return Err(Fault::new(FaultKind::Conflict, "ListListeners", message).ambiguous());
        }
        sleep(PAUSE).await;
    }
}
