//! Rules that lead to one twin only those who ask for it by name.
//!
//! ALB checks the servers of a group once a rule sends traffic to it, and whether a weight of 0 counts as that is not written
//! anywhere. So each twin has a rule of its own on every listener in front of either: green is judged before it carries
//! anything, and blue is judged as long as it may have to take everything back.

use std::collections::BTreeSet;

use super::api::{alb, clb};
use super::client::Product;
use super::patience::Site;
use super::pools::routes_now;
use super::route::{PREVIEW, Place, Route, preview_domain};
use super::servers::ServerGroup;
use super::survey::Survey;
use crate::cloud::{Fault, FaultKind};
use crate::model::Share;

/// Rules stand in an order, by different numbers.
const PRIORITY_MAX: u32 = 10_000;

/// Makes the rules that are missing, for both twins.
///
/// # Errors
/// The first fault; what was made stays.
pub(super) async fn ensure(
    site: Site<'_>,
    twins: [&ServerGroup; 2],
    listeners: &BTreeSet<String>,
) -> Result<(), Fault> {
    for listener in listeners {
        // Two would choose the same place among the others, and a listener takes one change at a time.
        let _alone = site.client.turns().alone(listener).await;
        let routes = routes_now(site.client, &[listener.clone()].into()).await?;
        let own = routes.iter().filter(|route| route.listener == *listener && is_rule(route));
        let mut taken: BTreeSet<u32> = own.clone().map(|route| route.priority).collect();
        for twin in twins {
            if own.clone().any(|route| route.preview && route.names(&twin.id)) {
                continue;
            }
            let free = (1..=PRIORITY_MAX).find(|priority| !taken.contains(priority)).ok_or_else(|| {
                let message = format!("`{listener}` has no room for another rule");
                Fault::new(FaultKind::Quota, "CreateRule", message)
            })?;
            taken.insert(free);
            let name = format!("deployer-preview-{}", twin.id);
            let made = site.patiently(|| {
                let header = (PREVIEW, twin.id.as_str());
                alb::create_header_rule(site.client, listener, (&name, free), header, &twin.id, site.token)
            });
            let job = made.await?;
            site.done(Product::Alb, job).await?;
        }
    }
    Ok(())
}

/// Makes the rules that are missing, for both twins behind listeners and rules of a CLB that take requests: one on each
/// listener that leads to either.
///
/// # Errors
/// The first fault; what was made stays.
pub(super) async fn ensure_classic(
    site: Site<'_>,
    twins: [&ServerGroup; 2],
    leading: &[&Route],
) -> Result<(), Fault> {
    let Some(balancer) = twins[0].balancer.as_deref() else { return Ok(()) };
    let _alone = site.client.turns().alone(balancer).await;
    let mut ports = BTreeSet::new();
    for route in leading {
        match &route.place {
            Place::Classic { port, .. } => drop(ports.insert(*port)),
            Place::ClassicRule(id) => ports.extend(clb::rule(site.client, id).await?.listener_port),
            Place::Default(_) | Place::Rule(_) | Place::Network(_) => {}
        }
    }
    let listeners = clb::listeners(site.client, &[balancer.to_owned()]).await?;
    let groups = clb::groups(site.client, balancer).await?;
    for twin in twins {
        let own = groups
            .iter()
            .find(|group| group.id == twin.id)
            .and_then(|group| group.associated_objects.as_ref());
        let rules =
            own.and_then(|own| own.rules.as_ref()).map(|rules| rules.all.as_slice()).unwrap_or_default();
        for port in &ports {
            let domain = preview_domain(*port, &twin.id);
            if rules.iter().any(|rule| rule.domain.as_deref() == Some(&domain)) {
                continue;
            }
            // Datagrams may come in at the same port.
            let here = listeners.iter().filter(|listener| listener.listener_port == Some(*port));
            let mut protocols = here.filter_map(|listener| listener.listener_protocol.as_deref());
            let protocol = protocols.find(|protocol| matches!(*protocol, "http" | "https")).unwrap_or("http");
            // A name has forty signs at most.
            let name: String = format!("preview-{}", twin.id).chars().take(40).collect();
            let made = site.patiently(|| {
                clb::create_rule(site.client, (balancer, *port, protocol), (&name, &domain), &twin.id)
            });
            made.await?;
        }
    }
    Ok(())
}

/// Takes the rules away once a fleet goes: those of twins in which nobody stands, or which carry everything, for that is
/// checked by itself.
///
/// # Errors
/// The first fault.
pub(super) async fn sweep(site: Site<'_>, survey: &Survey) -> Result<(), Fault> {
    for declared in site.home.spec.groups.values() {
        let Some(twins) = declared.servers.twins() else { continue };
        for twin in twins.iter().filter_map(|id| survey.group(id)) {
            let routes = survey.routes_of(twin).map_err(Clone::clone)?;
            let (previews, leading): (Vec<&Route>, Vec<&Route>) =
                routes.into_iter().partition(|route| route.preview);
            let carries = !leading.is_empty()
                && leading.iter().all(|route| route.settled && route.share(&twin.id) == Some(Share::ALL));
            let stands = survey.servers(&twin.id).is_none_or(|servers| {
                servers.as_ref().map_or(true, |all| all.iter().any(|server| !server.is_leaving()))
            });
            if !carries && stands {
                continue;
            }
            for route in previews {
                let thing = twin.balancer.as_ref().unwrap_or(&route.listener);
                let _alone = site.client.turns().alone(thing).await;
                let gone = match &route.place {
                    Place::Rule(id) => {
                        let job = site.patiently(|| alb::delete_rule(site.client, id, site.token)).await;
                        match job {
                            Ok(job) => site.done(Product::Alb, job).await,
                            Err(fault) => Err(fault),
                        }
                    }
                    Place::ClassicRule(id) => site.patiently(|| clb::delete_rule(site.client, id)).await,
                    Place::Default(_) | Place::Network(_) | Place::Classic { .. } => continue,
                };
                match gone {
                    Ok(()) => {}
                    Err(fault) if fault.kind == FaultKind::Missing => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
    }
    Ok(())
}

fn is_rule(route: &Route) -> bool {
    matches!(route.place, Place::Rule(_))
}
