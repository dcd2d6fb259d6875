//! Who gets how much: a server's part by its weight, of what a route sends to its group.

use std::collections::BTreeMap;

use super::clb;
use super::world::{Family, Group, Server, State, Verdict, World};

/// The whole of a route's traffic.
const WHOLE: u64 = 10_000;

impl World {
    /// How a group chooses among its servers: a CLB's by the listener.
    fn scheduler(&self, group: &Group, route: &str) -> String {
        let listener = self.listener_named(route).filter(|_| group.family == Family::Clb);
        listener.map_or(group.scheduler, clb::scheduler).to_lowercase()
    }

    /// What each server gets of a route, in ten-thousandths: by weight, but where the scheduler heeds none. Whoever fails
    /// its checks is passed over.
    pub fn traffic(&self, route: &str) -> BTreeMap<String, u64> {
        let mut parts = BTreeMap::new();
        let Some((_, shares)) = self.routes().find(|(id, _)| *id == route) else { return parts };
        let all: u64 = shares.iter().map(|(_, weight)| weight).sum();
        for (id, weight) in shares {
            let Some(group) = self.groups.get(id) else { continue };
            let scheduler = self.scheduler(group, route);
            let heavy = |server: &&Server| {
                let takes = !matches!(server.state, State::Removing | State::Adding);
                server.weight > 0 && takes && server.verdict == Verdict::Healthy
            };
            let part = |server: &Server| {
                if ["wrr", "wlc"].contains(&scheduler.as_str()) { server.weight } else { 1 }
            };
            let servers: Vec<&Server> = group.servers.iter().filter(heavy).collect();
            let sum: u64 = servers.iter().map(|server| part(server)).sum();
            for server in servers {
                *parts.entry(server.id.clone()).or_default() +=
                    WHOLE * weight * part(server) / (all * sum).max(1);
            }
        }
        parts
    }
}
