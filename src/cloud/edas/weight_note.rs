//! What a fleet's servers weighed before we changed it: tags of the application, until it is given back.
//!
//! A value holds the fleet's mark, how many tags there are, the weight of most servers, and every server that has another
//! one by a mark of its own: `1a2b3c4d:1:100,50-a1b2c3d4`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::api::edas::{self, Tag};
use super::api::pool::Server;
use super::patience::Site;
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{FleetId, WEIGHT_MAX};

/// Before the id of a server group and a number, the key of a tag.
const WEIGHTS: &str = "deployer:weights:";
/// Signs in a tag's value (tags of EDAS, 2026-10: 128).
const VALUE_MAX: usize = 120;
/// Tags for one group. An application has at most twenty, and others need some of them.
const TAGS_MAX: usize = 6;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What the servers of one fleet weighed in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    fleet: String,
    /// What most of them weighed.
    pub usual: u32,
    others: BTreeMap<String, u32>,
}

impl Note {
    /// What these servers of a fleet weigh now.
    pub fn of(fleet: &FleetId, servers: &[Server]) -> Self {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for weight in servers.iter().filter_map(|server| server.weight) {
            *counts.entry(weight).or_default() += 1;
        }
        let usual = counts.into_iter().max_by_key(|(weight, count)| (*count, *weight));
        let usual = usual.map_or(WEIGHT_MAX, |(weight, _)| weight);
        let others = servers.iter().filter_map(|server| Some((mark_of(server), server.weight?)));
        let others = others.filter(|(_, weight)| *weight != usual).collect();
        Self { fleet: mark(fleet.as_str()), usual, others }
    }

    pub fn is_of(&self, fleet: &FleetId) -> bool {
        self.fleet == mark(fleet.as_str())
    }

    /// What a server weighed; one that came since, as most.
    pub fn weight(&self, server: &Server) -> u32 {
        self.others.get(&mark_of(server)).copied().unwrap_or(self.usual)
    }

    /// As the values of tags.
    fn written(&self) -> Vec<String> {
        let mut rows: Vec<String> = vec![self.usual.to_string()];
        for (server, weight) in &self.others {
            let entry = format!(",{weight}-{server}");
            match rows.last_mut().filter(|row| row.len() + entry.len() + 16 <= VALUE_MAX) {
                Some(row) => row.push_str(&entry),
                None => rows.push(entry),
            }
        }
        let head = format!("{}:{}:", self.fleet, rows.len());
        if let Some(first) = rows.first_mut() {
            first.insert_str(0, &head);
        }
        rows
    }

    fn read(rows: &[&str]) -> Option<Self> {
        let (head, rest) = rows.split_first()?;
        let mut parts = head.splitn(3, ':');
        let (fleet, _, list) = (parts.next()?, parts.next()?, parts.next()?);
        let mut entries = std::iter::once(list).chain(rest.iter().copied()).flat_map(|row| row.split(','));
        let usual = weight(entries.next()?)?;
        let one = |entry: &str| {
            let (heavy, server) = entry.split_once('-')?;
            Some((server.to_owned(), weight(heavy)?))
        };
        let others = entries.filter(|entry| !entry.is_empty()).map(one).collect::<Option<_>>()?;
        Some(Self { fleet: fleet.to_owned(), usual, others })
    }
}

fn weight(text: &str) -> Option<u32> {
    text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX)
}

/// Four bytes of a name's hash: names are longer than a tag has room for.
pub(super) fn mark(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    hash.iter().take(4).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn mark_of(server: &Server) -> String {
    let port = server.port.map_or_else(String::new, |port| port.to_string());
    mark(&format!("{}:{port}", server.server_id))
}

fn key(group: &str, row: usize) -> String {
    format!("{WEIGHTS}{group}:{row}")
}

/// The keys of the tags that a note of these servers takes.
pub(super) fn keys(group: &str, fleet: &FleetId, servers: &[Server]) -> Vec<String> {
    let rows = Note::of(fleet, servers).written().len();
    (0..rows).map(|row| key(group, row)).collect()
}

/// Where notes are: on the application.
fn place(site: Site<'_>) -> Result<&str, Fault> {
    site.home.application().ok_or_else(|| {
        let message = "on Kubernetes the cluster gives servers their weights";
        Fault::new(FaultKind::Invalid, "TagResources", message)
    })
}

/// What was noted of a group.
///
/// # Errors
/// The call's fault; a note of which a part is missing or not to be read: what is not known is not given back.
pub(super) async fn read(site: Site<'_>, group: &str) -> Result<Option<Note>, Fault> {
    let tags = edas::list_tags(site.client, &site.home.spec.region, place(site)?).await?;
    let Some(head) = value(&tags, group, 0) else { return Ok(None) };
    let count = head.split(':').nth(1).and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    let rows: Option<Vec<&str>> = (0..count.min(TAGS_MAX)).map(|row| value(&tags, group, row)).collect();
    let note = rows.and_then(|rows| Note::read(&rows));
    let torn = || {
        let message = format!(
            "what the servers of `{group}` weighed cannot be read from the tags `{}…` of the application",
            key(group, 0)
        );
        Fault::new(FaultKind::Invalid, "ListTagResources", message)
    };
    note.map(Some).ok_or_else(torn)
}

fn value<'a>(tags: &'a [Tag], group: &str, row: usize) -> Option<&'a str> {
    let key = key(group, row);
    tags.iter().find(|tag| tag.tag_key == key)?.tag_value.as_deref()
}

/// Notes it, and waits until it can be read again: only then may anything be changed.
///
/// # Errors
/// [`FaultKind::Invalid`] for more different weights than there is room for, or for two servers with one mark; the call's
/// fault.
pub(super) async fn write(site: Site<'_>, group: &str, note: &Note, servers: &[Server]) -> Result<(), Fault> {
    let rows = note.written();
    let marks: BTreeSet<String> = servers.iter().map(mark_of).collect();
    if rows.len() > TAGS_MAX || marks.len() < servers.len() {
        let message = format!(
            "the servers of `{group}` have too many different weights to be noted and given back: give most of them the \
             same, or write `by: membership`"
        );
        return Err(Fault::new(FaultKind::Invalid, "TagResources", message));
    }
    let (spec, application) = (&site.home.spec, place(site)?);
    // The first one last: without it nothing is noted.
    for (row, value) in rows.iter().enumerate().rev() {
        edas::tag(site.client, &spec.region, application, (&key(group, row), value)).await?;
    }
    let begun = clock::now();
    while read(site, group).await?.as_ref() != Some(note) {
        if clock::now().since(begun) >= spec.call_timeout {
            let message = format!("what the servers of `{group}` weigh was noted, and the note is not there");
            return Err(Fault::new(FaultKind::Conflict, "TagResources", message).ambiguous());
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Forgets it.
///
/// # Errors
/// The call's fault.
pub(super) async fn forget(site: Site<'_>, group: &str) -> Result<(), Fault> {
    let (region, application) = (&site.home.spec.region, place(site)?);
    let tags = edas::list_tags(site.client, region, application).await?;
    for row in (0..TAGS_MAX).filter(|row| value(&tags, group, *row).is_some()) {
        edas::untag(site.client, region, application, &key(group, row)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: &str, weight: u32) -> Server {
        let text =
            serde_json::json!({ "ServerGroupId": "rsp-1", "ServerId": id, "Port": 8080, "Weight": weight });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_was_noted_is_read_back_to_the_letter_in_tags_that_are_short_enough() {
        let blue = FleetId::new("blue").unwrap();
        for odd in [0, 1, 9, 40] {
            let servers: Vec<Server> =
                (0..100).map(|n| server(&format!("i-{n}"), if n < odd { 40 + n } else { 100 })).collect();
            let note = Note::of(&blue, &servers);
            let rows = note.written();
            assert!(rows.len() <= TAGS_MAX && rows.iter().all(|row| row.len() <= VALUE_MAX), "{rows:?}");
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let read = Note::read(&rows).unwrap();
            assert!(read == note && read.is_of(&blue) && !read.is_of(&FleetId::new("green").unwrap()));
            assert!(servers.iter().all(|server| Some(read.weight(server)) == server.weight));
            assert_eq!(read.weight(&server("i-new", 7)), 100);
        }
    }

    #[test]
    fn a_note_that_somebody_wrote_into_is_none() {
        for text in ["", "abc", "abc:1:", "abc:1:101", "abc:1:100,x-1", "abc:1:100,5"] {
            assert_eq!(Note::read(&[text]), None, "{text}");
        }
    }
}
