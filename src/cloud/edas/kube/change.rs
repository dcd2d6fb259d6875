//! A fleet comes up by one change order, and goes by another; its application stays.

use super::super::api::edas::{self, ChangeOrder};
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
/// does not rest; [`crate::cloud::FaultKind::Unexpected`] where what this rollout began has failed and no pod came; the call's
/// fault.
pub(in super::super) async fn provision(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &Fleet,
    token: &Token,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.id.as_str()).await?;
    let orders = edas::list_recent_change_order(client, &id).await?;
    let turn = orders::turn_of(&orders);
    if matches!(turn, Turn::Taken(_)) {
        return Ok(());
    }
    let (application, instances) =
        tokio::try_join!(k8s::application(client, &id), k8s::instances(client, &id))?;
    let there = application.app.instances.unwrap_or(u32::MAX);
    let rests = there == 0 && instances.is_empty();
    if matches!(turn, Turn::Spoilt) && !rests {
        return Ok(()); // The next look shows the failure, and the rollout goes back.
    }
    let tags = edas::list_tags(client, &kube.home.spec.region, &id).await?;
    let newest = orders::newest_of(&orders);
    claim(
        client,
        &Claim {
            home: kube.home,
            application: &id,
            part: &id,
            fleet,
            token,
            is_empty: rests,
            newest,
            tags: &tags,
        },
    )
    .await?;
    if rests {
        // Held still when it went the last time, and never given back: it rested. Now it is this rollout's to hold still.
        freeze::give_back(client, kube, &id).await?;
    }
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
/// [`crate::cloud::FaultKind::Conflict`] while EDAS is busy with something else of it; the call's fault.
pub(in super::super) async fn empty_out(
    client: &Client,
    (kube, memory): (Kube<'_>, &Memory),
    fleet: &FleetId,
) -> Result<(), Fault> {
    let id = memory.kube.id(client, kube, fleet.as_str()).await?;
    // In this order: what is read after a change order that is over shows what it did.
    let orders = edas::list_recent_change_order(client, &id).await?;
    let wanted = k8s::application(client, &id).await?.app.instances;
    match orders::turn_of(&orders) {
        Turn::Taken(order) if goes(&order, wanted) => Ok(()),
        Turn::Taken(order) => Err(orders::in_the_way(&order, fleet)),
        // Pods that are still there are on their way out.
        Turn::Free | Turn::Spoilt if wanted == Some(0) => Ok(()),
        Turn::Free | Turn::Spoilt => {
            orders::begun(client, (kube.home, &id), &orders, k8s::scale(client, &id, 0)).await
        }
    }
}

/// Whether an open change order of an application that is to have so many pods takes them all away. Under which code EDAS
/// lists a scale to none no source tells, so that none are wanted any more counts as well, unless the order is known to
/// install something: that does not end the sooner. An order of ours that goes by another code is refused until EDAS has
/// taken it up, which does no harm: it is asked again.
fn goes(order: &ChangeOrder, wanted: Option<u32>) -> bool {
    orders::takes_away(order) || wanted == Some(0) && !orders::deploys(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_order_empties_an_application_that_is_to_have_no_pods_whatever_it_is_called() {
        let of = |code: &str| ChangeOrder {
            change_order_id: "o".into(),
            status: 1,
            group_id: None,
            co_type: None,
            co_type_code: Some(code.into()),
            create_time: None,
        };
        assert!(goes(&of("CoScaleIn"), Some(2)), "its code says it");
        assert!(goes(&of("CoScaleK8sApplication"), Some(0)), "what is wanted says it");
        for (code, wanted) in
            [("CoScaleOut", Some(2)), ("CoDeploy", Some(2)), ("CoDeploy", Some(0)), ("", None)]
        {
            assert!(!goes(&of(code), wanted), "{code} {wanted:?}");
        }
    }
}
