//! Who stands in a group of servers.

use super::world::{Family, Group, Server, State, Verdict, World};

/// A server as somebody asks for it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub id: String,
    pub port: u16,
    pub weight: u64,
    pub kind: String,
    pub description: String,
}

impl World {
    /// Puts a server in; one that is on its way out comes back.
    pub fn put(&mut self, group: &str, asked: Asked, until: u64) {
        let Some(group) = self.groups.get_mut(group) else { return };
        group.servers.retain(|server| !server.is(&asked.id, asked.port) || server.state != State::Removing);
        if group.servers.iter().any(|server| server.is(&asked.id, asked.port)) {
            return;
        }
        let state = if group.family == Family::Clb { State::Available } else { State::Adding };
        let Asked { id, port, weight, kind, description } = asked;
        let verdict = Verdict::Unused;
        group.servers.push(Server {
            id,
            port,
            weight,
            kind,
            description,
            state,
            until,
            verdict,
            turning: None,
        });
    }

    /// Takes a server out: at once on a CLB, and elsewhere once its connections had the time of the group's drain.
    pub fn take(&mut self, group: &str, id: &str, port: u16, until: u64) {
        let drain =
            self.groups.get(group).and_then(|group| group.drain).map_or(0, |drain| self.scaled(drain));
        let Some(group) = self.groups.get_mut(group) else { return };
        if group.family == Family::Clb {
            group.servers.retain(|server| !server.is(id, port));
            return;
        }
        for server in group.servers.iter_mut().filter(|server| server.is(id, port)) {
            if server.state != State::Removing {
                (server.state, server.until) = (State::Removing, until + drain);
            }
        }
    }

    /// Whether a server stands in a group, on its way out or not, at any port.
    pub fn stands(&self, group: &str, id: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.servers.iter().any(|server| server.id == id))
    }
}

impl Server {
    pub fn is(&self, id: &str, port: u16) -> bool {
        self.id == id && self.port == port
    }
}

impl Group {
    /// Whether something is changing it.
    pub fn busy(&self, now: u64) -> bool {
        now < self.busy_until
    }
}
