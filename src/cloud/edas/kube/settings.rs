//! What of the two applications is not read with every look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::super::api::edas::{self, Tag};
use super::super::api::{application, k8s};
use super::super::client::Client;
use super::super::home::Kube;
use crate::cloud::{Fault, FaultKind, Leeway, clock};
use crate::model::{Span, Time};

/// How long settings are remembered that only somebody else's hand changes, and where traffic waits.
const SETTINGS_FOR: Span = Span::secs(20);
const SETTINGS_FOR_LONG: Span = Span::mins(1);

/// What is not read with every look.
#[derive(Debug, Default)]
pub(in super::super) struct Settings {
    kept: Mutex<Option<(Time, [Kept; 2])>>,
    /// The ids of the applications, in the order of the file.
    ids: Mutex<Option<[String; 2]>>,
    /// When the look in a hurry began that went without them.
    spared: Mutex<Option<Time>>,
}

/// Of one application.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub tags: Vec<Tag>,
    /// Its scaling rules, where they were asked for.
    pub rules: Option<Vec<k8s::Rule>>,
    /// What sends traffic to it that only EDAS or the cluster moves, as sentence fragments.
    pub bound: BTreeSet<String>,
    /// Ports of every node that lead to its pods, with the Services that they belong to.
    pub node_ports: BTreeMap<u32, String>,
}

impl Settings {
    /// Whoever changes them, or needs them afresh, forgets them first.
    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.ids.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The ids of the two applications.
    ///
    /// # Errors
    /// The call's fault; an application that is not there, or not the only one of its name.
    pub(in super::super) async fn ids(&self, client: &Client, kube: Kube<'_>) -> Result<[String; 2], Fault> {
        if let Some(known) = self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(known);
        }
        let [one, two] = &kube.own.applications;
        let (one, two) = tokio::try_join!(id_of(client, one), id_of(client, two))?;
        if one == two {
            let message = format!("the two applications of the file are one: `{one}`");
            return Err(Fault::new(FaultKind::Invalid, "ListApplication", message));
        }
        let ids = [one, two];
        *self.ids.lock().unwrap_or_else(PoisonError::into_inner) = Some(ids.clone());
        Ok(ids)
    }

    /// The id of one of them.
    ///
    /// # Errors
    /// As [`Settings::ids`]; [`FaultKind::Missing`] for a fleet that is none of the two.
    pub(super) async fn id(&self, client: &Client, kube: Kube<'_>, fleet: &str) -> Result<String, Fault> {
        let Some(place) = kube.own.place_of(fleet) else {
            let [one, two] = &kube.own.applications;
            let message = format!("the fleet `{fleet}` is none of the applications `{one}` and `{two}`");
            return Err(Fault::new(FaultKind::Missing, "GetK8sApplication", message));
        };
        let [one, two] = self.ids(client, kube).await?;
        Ok(if place == 0 { one } else { two })
    }

    /// Those of both that a look needs, and why it lacks some. No traffic goes back by what leads to the applications or
    /// scales them, and what is not known of it lets no rollout end: where traffic waits it is asked for once that had its
    /// chance, and a refusal then is not the look's.
    ///
    /// # Errors
    /// The call's fault.
    pub(super) async fn of(
        &self,
        client: &Client,
        kube: Kube<'_>,
        applications: [(&str, &k8s::Application); 2],
        (leeway, begun): (&Leeway, Time),
    ) -> Result<([Kept; 2], Option<String>), Fault> {
        if !leeway.urgent {
            return Ok((self.read(client, kube, applications, SETTINGS_FOR).await?, None));
        }
        if let Some(kept) = self.known(SETTINGS_FOR_LONG) {
            return Ok((kept, None));
        }
        let spared = *self.spared.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(begun);
        let why = if spared == begun {
            "not asked for yet, while traffic waits".to_owned()
        } else {
            match self.read(client, kube, applications, SETTINGS_FOR).await {
                Ok(kept) => return Ok((kept, None)),
                Err(fault) => fault.to_string(),
            }
        };
        // Who has left which twin is told by the tags.
        let (region, [one, two]) = (&kube.home.spec.region, applications.map(|(id, _)| id));
        let (one, two) =
            tokio::try_join!(edas::list_tags(client, region, one), edas::list_tags(client, region, two))?;
        let kept = [one, two].map(|tags| Kept { tags, ..Kept::default() });
        Ok((kept, Some(format!("the bindings, Services, Ingresses and scaling rules of EDAS: {why}"))))
    }

    /// What is remembered of both, unless it is older.
    fn known(&self, at_most: Span) -> Option<[Kept; 2]> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|(at, _)| clock::now().since(*at) < at_most).map(|(_, kept)| kept)
    }

    async fn read(
        &self,
        client: &Client,
        kube: Kube<'_>,
        applications: [(&str, &k8s::Application); 2],
        at_most: Span,
    ) -> Result<[Kept; 2], Fault> {
        if let Some(kept) = self.known(at_most) {
            return Ok(kept);
        }
        let now = clock::now();
        let [one, two] = applications;
        let (one, two) = tokio::try_join!(
            Box::pin(settings(client, kube, one.0, one.1)),
            Box::pin(settings(client, kube, two.0, two.1))
        )?;
        let read = [one, two];
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, read.clone()));
        *self.spared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(read)
    }
}

/// An application's id, from the id itself or from its name.
async fn id_of(client: &Client, label: &str) -> Result<String, Fault> {
    if application::is_id(label) {
        return Ok(label.to_owned());
    }
    let all = application::list(client, label).await?;
    let same = all.iter().filter(|one| one.name.as_deref() == Some(label));
    let same: Vec<_> = same.filter(|one| one.cluster_type != Some(application::ECS)).collect();
    let (kind, message) = match same.as_slice() {
        [one] => return Ok(one.app_id.clone()),
        [] => (
            FaultKind::Missing,
            format!("there is no application `{label}` on Kubernetes in {}", client.region()),
        ),
        several => {
            let ids: Vec<_> = several.iter().map(|one| one.app_id.as_str()).collect();
            let ids = ids.join(", ");
            (
                FaultKind::Invalid,
                format!("several applications are called `{label}`: write one of {ids} into the file"),
            )
        }
    };
    Err(Fault::new(kind, "ListApplication", message))
}

async fn settings(
    client: &Client,
    kube: Kube<'_>,
    id: &str,
    application: &k8s::Application,
) -> Result<Kept, Fault> {
    let region = &kube.home.spec.region;
    let cluster = application.app.cluster_id.as_deref().filter(|cluster| !cluster.is_empty());
    let cluster = cluster.ok_or_else(|| {
        let message = format!("it does not say in which cluster `{id}` runs");
        Fault::new(FaultKind::Unexpected, "GetK8sApplication", message)
    })?;
    let (described, tags, rules, services, ingresses) = tokio::try_join!(
        edas::get_application(client, id),
        edas::list_tags(client, region, id),
        k8s::scaling_rules(client, id),
        k8s::services(client, id),
        k8s::ingresses(client, region, cluster),
    )?;
    let bound =
        bound(id, &described, application).into_iter().chain(named(id, &services, &ingresses)).collect();
    let mut node_ports = BTreeMap::new();
    for service in &services {
        let name = service.name.as_deref().unwrap_or("without a name");
        let ports = service.service_ports.iter().filter_map(|port| port.node_port.filter(|port| *port > 0));
        node_ports.extend(ports.map(|port| (port, format!("the Service `{name}`"))));
    }
    Ok(Kept { tags, rules: Some(rules), bound, node_ports })
}

/// Load balancers that EDAS itself binds to the application: their listeners are its own, and nobody else may move them.
fn bound(id: &str, described: &edas::Application, application: &k8s::Application) -> Vec<String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut found: Vec<String> = [given(&described.slb_id), given(&described.ext_slb_id)]
        .into_iter()
        .flatten()
        .map(|id| format!("`{id}`"))
        .collect();
    let told = [&described.slb_info, &application.app.slb_info].into_iter().any(edas::tells_balancers);
    if found.is_empty() && told {
        found.push("a load balancer".to_owned());
    }
    let told = found.into_iter().map(|what| {
        format!(
            "where EDAS sends traffic: it binds {what} to the application `{id}`, and moves its listeners itself. Unbind \
             it in EDAS (UnbindK8sSlb), and let a Service of the cluster keep the pods in a server group of their own"
        )
    });
    told.collect()
}

/// Ingresses that lead to the application, by its id or by one of its Services.
fn named(id: &str, services: &[k8s::Service], ingresses: &[k8s::Ingress]) -> BTreeSet<String> {
    let own: BTreeSet<&str> = services.iter().filter_map(|service| service.name.as_deref()).collect();
    let leads = |path: &k8s::IngressPath| {
        let stated = path.app_id.as_deref().filter(|id| !id.is_empty());
        let service = path.backend.as_ref().and_then(|backend| backend.service_name.as_deref());
        stated.map_or_else(|| service.is_some_and(|name| own.contains(name)), |stated| stated == id)
    };
    let leading = ingresses.iter().filter(|one| one.rules.iter().flat_map(|rule| &rule.paths).any(leads));
    let told = leading.map(|one| {
        format!(
            "where the cluster sends traffic: its Ingress `{}` leads to the application `{id}`, and no rule of a balancer \
             moves that. Take the application out of it",
            one.name.as_deref().unwrap_or("without a name")
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of<T: serde::de::DeserializeOwned>(text: serde_json::Value) -> T {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_balancer_that_edas_binds_is_told_wherever_edas_says_it() {
        let bare: edas::Application = of(json!({ "SlbId": "" }));
        let with: edas::Application = of(json!({ "SlbId": "", "ExtSlbId": "lb-1" }));
        let app = |info: serde_json::Value| of(json!({ "App": { "SlbInfo": info } }));
        for info in [json!(""), json!("[]"), json!(null), json!("{}"), json!([])] {
            assert!(bound("a", &bare, &app(info)).is_empty());
        }
        assert!(bound("a", &bare, &app(json!("[{\"slbId\":\"lb-2\"}]")))[0].contains("UnbindK8sSlb"));
        assert!(bound("a", &with, &app(json!("")))[0].contains("`lb-1`"));
    }

    #[test]
    fn an_ingress_leads_to_an_application_by_its_id_or_where_it_says_none_by_a_service() {
        let services: Vec<k8s::Service> = of(json!([{ "Name": "api-blue", "ServicePorts": [] }]));
        let ingress = |app: &str, service: &str| -> Vec<k8s::Ingress> {
            of(
                json!([{ "Name": "shop", "Rules": [{ "Paths": [{ "AppId": app, "Backend": { "ServiceName": service } }] }] }]),
            )
        };
        assert_eq!(named("a", &services, &ingress("a", "x")).len(), 1);
        assert_eq!(named("a", &services, &ingress("", "api-blue")).len(), 1);
        assert!(named("a", &services, &ingress("b", "api-blue")).is_empty());
        assert!(named("a", &services, &ingress("", "x")).is_empty());
    }
}
