//! What a service on Kubernetes consists of.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::application::{self, Described};
use super::super::api::k8s;
use super::super::client::Client;
use super::super::home::Home;
use super::super::memory::Memory;
use super::super::servers::Family;
use super::super::survey::Survey;
use super::find::{CALL_TIMEOUT, Found, Group, Seen, Share, invalid, missing, named, names, usual};
use crate::cloud::{Fault, Scope};
use crate::model::{ServiceName, Span};
use crate::spec::{EdasFleets, EdasSpec, Kubernetes};

/// What is to be described.
pub(super) struct Asked<'a> {
    pub service: &'a ServiceName,
    pub account: String,
    /// As the application was called.
    pub label: &'a str,
    pub described: Described,
    /// The application that alternates with it, where somebody said which.
    pub other: Option<&'a str>,
}

/// Looks for everything that belongs to two applications that alternate.
///
/// # Errors
/// A call's fault, or a service that cannot be described in a file.
pub(super) async fn find(client: &Client, asked: Asked<'_>) -> Result<Found, Fault> {
    let (first, second) = (asked.label.to_owned(), other(&asked)?);
    let other = named(client, &second).await?;
    if other.cluster_type == Some(application::ECS) {
        return Err(invalid(format!("`{second}` does not run on Kubernetes, and `{first}` does")));
    }
    let (one, two) = tokio::try_join!(
        k8s::application(client, &asked.described.app_id),
        k8s::application(client, &other.app_id)
    )?;
    let serving = [(&first, &one), (&second, &two)].into_iter().find(|(_, own)| own.app.instances != Some(0));
    let (serving, own) = serving.ok_or_else(|| missing("neither application has pods: there is no blue"))?;
    let image = own.image_info.as_ref().and_then(|image| image.image_url.clone()).unwrap_or_default();
    let (image, tag) = template(&image).ok_or_else(|| {
        invalid(format!("`{image}` has no tag, and a revision has to stand somewhere in it"))
    })?;
    let revision = (tag, format!("the tag of the image that {serving} runs"));
    let applications = [first, second.clone()];
    let fleets = EdasFleets::Kubernetes(Kubernetes { applications, image, nodes_serve_others: false });
    let spec = EdasSpec {
        account: asked.account.clone(),
        region: client.region().to_owned(),
        fleets: fleets.clone(),
        call_timeout: CALL_TIMEOUT,
        pace: Span::secs(5),
        groups: BTreeMap::new(),
    };
    let home = Home { service: asked.service.clone(), spec };
    let scope = Scope { service: asked.service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
    let survey = Box::pin(Survey::read(client, &home, &Memory::default(), &scope)).await?;
    let names = names(client, &survey).await?;
    let seen = Seen { survey: &survey, names: &names };
    let all = seen.groups()?;
    let mut remarks = seen.remarks(&all);
    let groups = twins(all, &survey, &second, &mut remarks)?;
    let port = usual(&groups).or(asked.described.port);
    let port = port.ok_or_else(|| invalid("no port is known on which the service listens"))?;
    let name = asked.described.name.unwrap_or_else(|| asked.label.to_owned());
    let (account, region) = (asked.account, client.region().to_owned());
    Ok(Found { account, region, name, fleets, revision, port, groups, remarks })
}

/// The application that alternates: by its name where nobody said it.
fn other(asked: &Asked<'_>) -> Result<String, Fault> {
    if let Some(other) = asked.other {
        return Ok(other.to_owned());
    }
    let label = asked.label;
    let swapped = [("blue", "green"), ("green", "blue")].into_iter().find(|(color, _)| label.contains(color));
    let swapped = swapped.map(|(color, other)| label.replace(color, other));
    swapped.ok_or_else(|| {
        invalid(format!(
            "`{label}` runs on Kubernetes: name the application that alternates with it, `{label},OTHER`"
        ))
    })
}

/// An image with the place of its tag, and the tag.
fn template(image: &str) -> Option<(String, String)> {
    let (name, tag) =
        image.rsplit_once(':').filter(|(name, tag)| !tag.contains('/') && !name.contains('@'))?;
    Some((format!("{name}:{{revision}}"), tag.to_owned()))
}

/// The groups that can be declared, each with the twin of the first application first. The others are told.
fn twins(
    all: Vec<Group>,
    survey: &Survey,
    second: &str,
    remarks: &mut Vec<String>,
) -> Result<Vec<Group>, Fault> {
    let mut all = all;
    for group in all.iter_mut().filter(|group| matches!(group.family, Family::Nlb | Family::Classic)) {
        // A listener has one of the two: the other one is for people to name.
        let twin = format!("TWIN-OF-{}", group.id);
        remarks.push(format!(
            "which server group is the twin of {} cannot be told, for its listener has one only: write its id in the place of \
             `{twin}`, and let a Service keep the other application's pods in it",
            group.name
        ));
        (group.twin, group.by) = (Some(twin), Share::Whole);
    }
    let (mut groups, alone): (Vec<_>, Vec<_>) = all.into_iter().partition(|group| group.twin.is_some());
    remarks.extend(alone.iter().map(|group| {
        format!(
            "it also stands in {}, which has no twin behind the same rules: a rollout is refused until it has one, or no \
             Service names it any more",
            group.name
        )
    }));
    for group in &mut groups {
        let servers = survey.servers(&group.id).and_then(|answer| answer.as_ref().ok());
        let owners = servers.into_iter().flatten().filter_map(|server| survey.owners.of_server(server));
        if owners.into_iter().any(|(fleet, _)| fleet.as_str() == second)
            && let Some(twin) = &mut group.twin
        {
            std::mem::swap(twin, &mut group.id);
        }
    }
    if groups.is_empty() {
        return Err(missing(
            "the service stands in no server group that has a twin, or could have one: give each application one of its own",
        ));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn the_revision_stands_where_the_tag_does() {
        let of = |image| template(image).map(|(image, tag)| format!("{image} {tag}"));
        assert_eq!(
            of("cr.example.com:5000/shop/api:1.2").as_deref(),
            Some("cr.example.com:5000/shop/api:{revision} 1.2")
        );
        assert_eq!(of("cr.example.com:5000/shop/api"), None);
        assert_eq!(of("cr.example.com/shop/api@sha256:abc"), None);
    }
}
