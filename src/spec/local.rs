//! A service as processes on this host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::fault::{Wrong, shown};
use super::layer::usual;
use super::reader::Fields;
use super::settled::{LocalGroup, LocalSpec};
use super::table::{FILE, Place, Shape};
use super::variable::{Text, Variables};
use crate::model::{GroupId, Span};

/// A local provider whose variables are not filled in yet. `None` is what could not be read, and was refused.
pub(super) struct Local {
    bootstrap: Option<Text>,
    command: Option<Vec<Text>>,
    env: BTreeMap<String, Text>,
    health_path: String,
    health_interval: Span,
    health_timeout: Span,
    healthy_after: u32,
    unhealthy_after: u32,
    groups: Option<BTreeMap<GroupId, (LocalGroup, Range<usize>)>>,
}

impl Local {
    /// Reads it; everything in it is looked at, whatever is wrong before.
    pub fn read(fields: &Fields<'_>) -> Self {
        let health = fields.place("health");
        let health = health.as_ref();
        let place = place(&["environments", "provider", "local", "health"]);
        let span = |name| health.and_then(|it| it.span(name)).unwrap_or_else(|| usual(place, name));
        let count = |name| health.and_then(|it| it.count_u32(name)).unwrap_or_else(|| usual(place, name));
        let path = health.and_then(|it| it.path("path"));
        let remote = fields.flag("allow_remote").unwrap_or_else(|| {
            // A flag that could not be read is reported by itself, not once more for each group.
            fields.value("allow_remote").is_some()
        });
        let (bootstrap, command) = (fields.revision("bootstrap"), fields.words("command"));
        let (env, groups) = (fields.env("env"), groups(fields, remote));
        Self {
            bootstrap,
            env: env.unwrap_or_default(),
            health_path: path.unwrap_or_else(|| usual(place, "path")),
            health_interval: span("interval"),
            health_timeout: span("timeout"),
            healthy_after: count("healthy_after"),
            unhealthy_after: count("unhealthy_after"),
            command,
            groups,
        }
    }

    /// Fills in the variables; no spec and nothing new where something was refused before. `drain` is the deadline by which every connection must be gone.
    pub fn fill(&self, drain: Span, variables: &Variables<'_>) -> Result<LocalSpec, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut keep = |text: &Text| text.fill(variables).map_err(|found| wrong.push(found)).ok();
        let command: Vec<_> = self.command.iter().flatten().filter_map(&mut keep).collect();
        let env = self.env.iter().filter_map(|(name, text)| Some((name.clone(), keep(text)?))).collect();
        if let (Some(text), Some("")) =
            (self.command.iter().flatten().next(), command.first().map(String::as_str))
        {
            wrong.push(Wrong::new(text.at.clone(), "the program has no name"));
        }
        let bootstrap = self.bootstrap.as_ref().map(|text| text.revision(variables));
        let bootstrap = bootstrap.transpose().map_err(|found| wrong.push(found)).unwrap_or_default();
        for (group, at) in self.groups.iter().flat_map(BTreeMap::values) {
            if group.deregistration_delay >= drain {
                let message = format!(
                    "the deregistration delay of {} does not fit into the drain deadline of {drain}",
                    group.deregistration_delay
                );
                let hint = "make it shorter, or raise `deadlines.drain`";
                wrong.push(Wrong::new(at.clone(), message).hint(hint));
            }
        }
        let (Some(groups), Some(_), true) = (&self.groups, &self.command, wrong.is_empty()) else {
            return Err(wrong);
        };
        Ok(LocalSpec {
            bootstrap,
            command,
            env,
            health_path: self.health_path.clone(),
            health_interval: self.health_interval,
            health_timeout: self.health_timeout,
            healthy_after: self.healthy_after,
            unhealthy_after: self.unhealthy_after,
            groups: groups.iter().map(|(id, (group, _))| (id.clone(), group.clone())).collect(),
        })
    }
}

fn groups(fields: &Fields<'_>, remote: bool) -> Option<BTreeMap<GroupId, (LocalGroup, Range<usize>)>> {
    let mut groups = BTreeMap::new();
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    for (key, inside) in fields.named("groups")? {
        let (name, Some(inside)) = (fields.reader.name::<GroupId>(key), inside) else { continue };
        let delay = inside.span("deregistration_delay");
        let (Some(listen), Some(node)) = (inside.address("listen"), inside.value("listen")) else { continue };
        let Some(name) = name else { continue };
        if !remote && !listen.ip().to_canonical().is_loopback() {
            let message = format!("`{listen}` can be reached from other hosts");
            let hint = "write `allow_remote: true` beside `groups` if that is meant, or listen on 127.0.0.1";
            fields.reader.refuse(Wrong::new(node.at.clone(), message).hint(hint));
        }
        if let Some((_, other)) = taken.iter().find(|(other, _)| clash(*other, listen)) {
            let message = format!("`{listen}` is already taken by the group `{}`", shown(other));
            fields.reader.refuse(Wrong::new(node.at.clone(), message).hint("give each group its own port"));
        }
        taken.push((listen, name.as_str().to_owned()));
        let delay = delay.unwrap_or_else(|| {
            usual(place(&["environments", "provider", "local", "groups"]), "deregistration_delay")
        });
        let at = inside.key_at("deregistration_delay").unwrap_or(key.at.clone());
        groups.insert(name, (LocalGroup { listen, deregistration_delay: delay }, at));
    }
    Some(groups)
}

/// Whether two listeners would get into each other's way. "Any address" holds a port on all of them.
fn clash(left: SocketAddr, right: SocketAddr) -> bool {
    let (a, b) = (left.ip().to_canonical(), right.ip().to_canonical());
    let any = |ip: IpAddr| ip.is_unspecified();
    left.port() == right.port() && (a == b || any(a) || any(b))
}

/// The place at the end of a path of keys.
fn place(path: &[&str]) -> &'static Place {
    path.iter().fold(&FILE, |place, name| match place.key(name).map(|key| key.shape) {
        Some(Shape::Place(inner) | Shape::Named { place: inner, .. }) => inner,
        _ => place,
    })
}
