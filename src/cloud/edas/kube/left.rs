//! The note that an application has left a twin in which its pods stand still: a tag of the application, with the time.
//!
//! One place for twins of every kind of balancer: what CLB says of its groups knows no tags.

use super::super::api::edas::{self, Tag};
use super::super::home::{Home, Kind};
use super::super::patience::Site;
use super::super::servers::ServerGroup;
use crate::cloud::{Fault, clock};
use crate::model::Time;

/// Before the id of a server group, the key of the tag.
const LEFT: &str = "deployer:left:";

/// The key of the tag that a twin has been left.
pub(in super::super) fn left_key(twin: &str) -> String {
    format!("{LEFT}{twin}")
}

/// Which of the two applications a twin is of.
pub(super) fn place_of(home: &Home, twin: &str) -> Option<usize> {
    let mut all = home.spec.groups.values().filter_map(|group| group.servers.twins());
    all.find_map(|twins| twins.iter().position(|id| id == twin))
}

/// When an application left a twin, by its tags.
pub(super) fn since(tags: &[Tag], twin: &str) -> Option<Time> {
    let tag = tags.iter().find(|tag| tag.tag_key.strip_prefix(LEFT) == Some(twin))?;
    Some(Time(tag.tag_value.as_deref()?.parse().ok()?))
}

/// Notes that the application leaves a twin now, unless it has left it already.
///
/// # Errors
/// The call's fault.
pub(super) async fn write(site: Site<'_>, application: &str, twin: &str) -> Result<(), Fault> {
    let region = &site.home.spec.region;
    if since(&edas::list_tags(site.client, region, application).await?, twin).is_some() {
        return Ok(());
    }
    site.memory.kube.forget();
    let note = (left_key(twin), clock::now().0.to_string());
    edas::tag(site.client, region, application, (&note.0, &note.1)).await
}

/// Takes the notes off twins that are to have traffic, or have it still: other ones than ours may have been made since.
///
/// # Errors
/// The call's fault.
pub(in super::super) async fn stay<const N: usize>(
    site: Site<'_>,
    twins: [&ServerGroup; N],
) -> Result<(), Fault> {
    let Kind::Kube(kube) = site.home.kind() else { return Ok(()) };
    let region = &site.home.spec.region;
    for (place, application) in site.memory.kube.ids(site.client, kube).await?.iter().enumerate() {
        let own: Vec<_> = twins.iter().filter(|twin| place_of(site.home, &twin.id) == Some(place)).collect();
        if own.is_empty() {
            continue;
        }
        let tags = edas::list_tags(site.client, region, application).await?;
        for key in own.iter().map(|twin| left_key(&twin.id)) {
            if tags.iter().any(|tag| tag.tag_key == key) {
                site.memory.kube.forget();
                edas::untag(site.client, region, application, &key).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_twin_and_one_that_says_no_time_is_none() {
        let tag = |key: &str, value: &str| -> Tag {
            serde_json::from_value(serde_json::json!({ "TagKey": key, "TagValue": value })).unwrap()
        };
        let tags = [tag("deployer:left:sgp-1", "17"), tag("deployer:left:sgp-2", "soon"), tag("sgp-3", "17")];
        assert_eq!(since(&tags, "sgp-1"), Some(Time(17)));
        for twin in ["sgp-2", "sgp-3", "sgp", ""] {
            assert_eq!(since(&tags, twin), None, "{twin}");
        }
    }
}
