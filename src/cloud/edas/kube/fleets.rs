//! The two applications as fleets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::edas::{self, ChangeOrder};
use super::super::api::k8s::{self, Application, Instance};
use super::super::client::Client;
use super::super::fleets::{FleetNow, Fleets, Place};
use super::super::home::Kube;
use super::super::memory::Memory;
use super::super::orders::{self, Progress};
use super::{freeze, left, pods};
use crate::cloud::{Fault, Leeway};
use crate::model::{FleetId, FleetSeen, Revision, Scaling, Seen, Time};

/// What is read of one application with every look.
struct Now {
    id: String,
    application: Application,
    instances: Vec<Instance>,
    orders: Vec<ChangeOrder>,
}

/// Reads both applications. One that is to have no pods, and has none, is no fleet: it rests.
///
/// # Errors
/// The call's fault; an application that is not there.
pub(in super::super) async fn read(
    client: &Client,
    kube: Kube<'_>,
    memory: &Memory,
    of: (&Leeway, Time),
) -> Result<Fleets, Fault> {
    let [one, two] = memory.kube.ids(client, kube).await?;
    let (one, two) = tokio::try_join!(Box::pin(now(client, one)), Box::pin(now(client, two)))?;
    let applications = [(one.id.as_str(), &one.application), (two.id.as_str(), &two.application)];
    let (kept, unread) = memory.kube.of(client, kube, applications, of).await?;
    let mut fleets = Fleets { by_address: true, unread: unread.into_iter().collect(), ..Fleets::default() };
    for (place, kept) in kept.iter().enumerate() {
        let twins = kube.home.spec.groups.values().filter_map(|group| group.servers.twins());
        let own = twins.map(|twins| &twins[place]);
        fleets.left.extend(own.filter_map(|twin| Some((twin.clone(), left::since(&kept.tags, twin)?))));
    }
    for ((label, now), kept) in kube.own.applications.iter().zip([&one, &two]).zip(kept) {
        fleets.unread.extend(kept.bound);
        fleets
            .node_ports
            .extend(kept.node_ports.into_iter().map(|(port, what)| (port, format!("{what} of `{label}`"))));
        let place = Place { application: now.id.clone(), group: None };
        if let Ok(name) = FleetId::new(label.clone()) {
            if let Some(order) = place.running(&now.orders) {
                if !of.0.urgent {
                    memory.settings.tell(client, label, order).await;
                }
                fleets.busy.insert(name.clone());
            }
            fleets.places.insert(name, place);
        }
        let replicas = now.application.app.instances;
        if replicas == Some(0) && now.instances.is_empty() {
            continue;
        }
        let Ok(name) = FleetId::new(label.clone()) else {
            fleets.unread.insert(format!("the application {label:?}, whose name cannot be shown"));
            continue;
        };
        let failed = failure(client, memory, &now.orders, of.0).await;
        let seen = fleet(kube, now, failed, &mut fleets.nodes).map(|mut fleet| {
            // What is not known may be on.
            fleet.seen.scaling =
                kept.rules.as_ref().map_or(Scaling::Active, |rules| freeze::scaling(rules, &kept.tags));
            fleet
        });
        fleets.all.insert(name, seen.map_or_else(Seen::Unknown, Seen::Known));
    }
    Ok(fleets)
}

async fn now(client: &Client, id: String) -> Result<Now, Fault> {
    let (application, instances, orders) = tokio::try_join!(
        k8s::application(client, &id),
        k8s::instances(client, &id),
        edas::list_recent_change_order(client, &id),
    )?;
    Ok(Now { id, application, instances, orders })
}

/// Why the last change order did not do all that it should.
async fn failure(
    client: &Client,
    memory: &Memory,
    orders: &[ChangeOrder],
    leeway: &Leeway,
) -> Option<String> {
    let newest = orders::newest_of(orders)?;
    match Progress::of(newest) {
        Progress::Failed | Progress::Waiting => Some(memory.settings.why(client, newest, leeway).await),
        Progress::Running | Progress::Done => None,
    }
}

/// One application as a fleet, or why it cannot be told.
fn fleet(
    kube: Kube<'_>,
    now: &Now,
    failed: Option<String>,
    nodes: &mut BTreeSet<String>,
) -> Result<FleetNow, String> {
    let desired = now.application.app.instances.ok_or("EDAS does not say how many pods it should have")?;
    let image = now.application.image_info.as_ref().and_then(|image| image.image_url.as_deref());
    let image = image.filter(|image| !image.is_empty()).ok_or("EDAS does not say which image it runs")?;
    let mut members = BTreeMap::new();
    for instance in &now.instances {
        let Some(pod) = pods::pod(instance.pod_raw.as_deref(), image)? else { continue };
        nodes.extend(pod.node);
        if members.insert(pod.id.clone(), pod.member).is_some() {
            return Err(format!("two of its pods are called `{}`", pod.id));
        }
    }
    // An image from elsewhere is a revision all the same: one that nobody asks for.
    let revision = kube.own.revision_of(image).map_or_else(|| Revision::new(image), Ok);
    let seen = FleetSeen {
        revision: revision.map_err(|bad| format!("its image: {bad}"))?,
        desired,
        instances: members.iter().map(|(id, member)| (id.clone(), member.state)).collect(),
        scaling: Scaling::Active,
        attached: BTreeSet::new(),
        failed,
    };
    Ok(FleetNow { group_id: now.id.clone(), seen, members })
}
