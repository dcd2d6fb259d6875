//! A fleet comes up by one change order, and goes by another; its application stays.

use super::super::api::edas;
use super::super::api::k8s;
use super::super::client::Client;
use super::super::fleets::{Claim, claim};
use super::super::home::Kube;
use super::super::memory::Memory;
use super::super::orders::{self, Turn};
use super::freeze;
use crate::cloud::Fault;
use crate::model::{Fleet, FleetId, Token};

/// Begins what the fleet still needs, if no change order of its application is on its way.
///
/// # Errors
/// [`crate::cloud::FaultKind::Missing`] where the fleet is none of the two; [`crate::cloud::FaultKind::Conflict`] where it
/// does not rest; the call's fault.
pub(in super::super) async fn provision(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &Fleet,
    token: &Token,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.id.as_str()).await?;
    let orders = edas::list_recent_change_order(client, &id).await?;
    let turn = orders::turn_of(&orders);
    if matches!(turn, Turn::Taken) {
        return Ok(());
    }
    let (application, instances) =
        tokio::try_join!(k8s::application(client, &id), k8s::instances(client, &id))?;
    let there = application.app.instances.unwrap_or(u32::MAX);
    let rests = there == 0 && instances.is_empty();
    if let Turn::Spoilt(order) = turn {
        if !rests {
            return Ok(()); // The next look shows the failure, and the rollout goes back.
        }
        tracing::warn!("trying again: {}", orders::why(client, &order).await);
    }
    if rests {
        // Held still when it went the last time, and never given back: it rested. Now it is this rollout's to hold still.
        freeze::give_back(client, kube, &id).await?;
    }
    let region = &kube.home.spec.region;
    let tags = edas::list_tags(client, region, &id).await?;
    claim(client, &Claim { region, application: &id, part: &id, fleet, is_empty: rests, tags: &tags })
        .await?;
    let wanted = kube.own.image_of(&fleet.revision);
    let runs = application.image_info.and_then(|image| image.image_url).as_ref() == Some(&wanted);
    if !runs {
        let deployment = k8s::Deployment {
            application: &id,
            image: &wanted,
            replicas: fleet.size,
            description: token.as_str(),
        };
        return orders::begun(client, (kube.home, &id), &orders, k8s::deploy(client, &deployment)).await;
    }
    // More than was asked for is somebody's wish, and no less safe.
    if there >= fleet.size {
        return Ok(());
    }
    orders::begun(client, (kube.home, &id), &orders, k8s::scale(client, &id, fleet.size)).await
}

/// Takes every pod of a fleet away that carries nothing any more. The application stays, to rest.
///
/// # Errors
/// The call's fault.
pub(in super::super) async fn empty_out(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &FleetId,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.as_str()).await?;
    let orders = edas::list_recent_change_order(client, &id).await?;
    if matches!(orders::turn_of(&orders), Turn::Taken) {
        return Ok(());
    }
    let application = k8s::application(client, &id).await?;
    // Pods that are still there are on their way out.
    if application.app.instances == Some(0) {
        return Ok(());
    }
    orders::begun(client, (kube.home, &id), &orders, k8s::scale(client, &id, 0)).await
}
