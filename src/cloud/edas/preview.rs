//! Rules that lead to one twin only those who ask for it by name.
//!
//! ALB checks the servers of a group once a rule sends traffic to it, and whether a weight of 0 counts as that is not written
//! anywhere. So each twin has a rule of its own on every listener in front of either: green is judged before it carries
//! anything, and blue is judged as long as it may have to take everything back.

use std::collections::BTreeSet;

use super::api::alb;
use super::client::Product;
use super::patience::Site;
use super::pools::routes_now;
use super::route::{PREVIEW, Place, Route};
use super::servers::ServerGroup;
use super::survey::Survey;
use crate::cloud::{Fault, FaultKind};
use crate::model::Share;
use crate::spec::EdasServers;

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
    let _alone = site.memory.rules.lock().await;
    let routes = routes_now(site.client, listeners).await?;
    let mut jobs = Vec::new();
    for listener in listeners {
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
            jobs.push(made.await?);
        }
    }
    for job in jobs {
        site.done(Product::Alb, job).await?;
    }
    Ok(())
}

/// Takes the rules away once a fleet goes: those of twins in which nobody stands, or which carry everything, for that is
/// checked by itself.
///
/// # Errors
/// The first fault.
pub(super) async fn sweep(site: Site<'_>, survey: &Survey) -> Result<(), Fault> {
    let _alone = site.memory.rules.lock().await;
    for declared in site.home.spec.groups.values() {
        let EdasServers::AlbTwins(twins) = &declared.servers else { continue };
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
                let Place::Rule(id) = &route.place else { continue };
                match site.patiently(|| alb::delete_rule(site.client, id, site.token)).await {
                    // Nobody waits for it: what is left of it does no harm.
                    Ok(_) => {}
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
