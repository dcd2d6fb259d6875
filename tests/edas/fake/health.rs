//! When a server is healthy: registered, in a group that a listener or rule sends traffic to, running, and passing its
//! checks for long enough.

use std::collections::BTreeSet;

use super::world::{Family, Group, Host, Rule, Server, Shares, State, Verdict, World};

/// Requests with this header are nobody's traffic.
const PREVIEW: &str = "x-deployer-preview";

const PREVIEW_DOMAIN: &str = ".deployer-preview.invalid";

impl Rule {
    /// Whether only those come this way who ask for it by name.
    fn preview(&self) -> bool {
        let key = |condition: &serde_json::Value| {
            let key = condition.get("HeaderConfig").and_then(|config| config.get("Key"))?.as_str()?;
            Some(key.eq_ignore_ascii_case(PREVIEW))
        };
        let domain = |condition: &serde_json::Value| {
            condition
                .get("Domain")
                .and_then(serde_json::Value::as_str)
                .is_some_and(|own| own.ends_with(PREVIEW_DOMAIN))
        };
        self.conditions.iter().any(|condition| key(condition) == Some(true) || domain(condition))
    }
}

impl World {
    /// Everywhere that traffic is sent on, with a name for the route.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &Shares)> {
        let rules = self.rules.iter().filter(|rule| !rule.preview());
        let listeners = self.listeners.iter().map(|listener| (listener.id.as_str(), &listener.shares));
        listeners.chain(rules.map(|rule| (rule.id.as_str(), &rule.shares)))
    }

    /// The shares of every listener and rule, previews too.
    pub fn all_shares(&self) -> impl Iterator<Item = &(String, u64)> {
        let listeners = self.listeners.iter().map(|listener| &listener.shares);
        listeners.chain(self.rules.iter().map(|rule| &rule.shares)).flatten()
    }

    /// The groups whose servers are checked at all.
    fn looked_at(&self) -> BTreeSet<String> {
        let weightless = self.settings.checks_weightless_tuples;
        let used = self.all_shares().filter(|(_, weight)| *weight > 0 || weightless);
        used.map(|(id, _)| id.clone()).collect()
    }

    /// How many servers of the group get new requests and pass their checks.
    pub fn healthy(&self, group: &str) -> usize {
        let Some(group) = self.groups.get(group) else { return 0 };
        let well = |server: &&Server| {
            let passes = match server.verdict {
                Verdict::Healthy => true,
                Verdict::Unavailable => self.passes(group, server),
                Verdict::Unused | Verdict::Initial | Verdict::Unhealthy => false,
            };
            server.weight > 0 && !matches!(server.state, State::Removing | State::Adding) && passes
        };
        group.servers.iter().filter(well).count()
    }

    /// The address of a server: of an instance its first one.
    pub fn address_of(&self, server: &str) -> String {
        let all = self.hosts.values().flat_map(|host| &host.interfaces);
        let own = all.into_iter().find(|(id, _)| id == server).map(|(_, ip)| ip.clone());
        own.or_else(|| self.hosts.get(server).map(|host| host.ip.clone()))
            .unwrap_or_else(|| server.to_owned())
    }

    /// The host of a server, which is named by its identity or by its address.
    pub fn host_named(&self, server: &str) -> Option<&Host> {
        let has = |host: &&Host| {
            host.ip == server || host.interfaces.iter().any(|(id, ip)| id == server || ip == server)
        };
        self.hosts.get(server).or_else(|| self.hosts.values().find(has))
    }

    /// Whether somebody answers as he should.
    fn passes(&self, group: &Group, server: &Server) -> bool {
        let Some(host) = self.host_named(&server.id).filter(|host| host.state == "Running") else {
            return false;
        };
        let in_edas = self.ecus.iter().any(|ecu| ecu.host == host.id);
        let ecc = self.ecc_on(&host.id);
        let version = ecc.and_then(|ecc| {
            let package = self.app(&ecc.app)?.package(ecc.package.as_ref()?)?;
            Some(package.version.as_str())
        });
        let version = version.or_else(|| self.pod_version(&host.id));
        let sick = self.sick.iter().any(|(name, what)| {
            (name == "*" || *name == group.name) && (*what == host.id || Some(what.as_str()) == version)
        });
        !sick && (!in_edas || ecc.is_some_and(|ecc| ecc.runs)) && self.lets_in(host, server.port)
    }

    /// Whether the firewall of an instance lets anybody in at a port.
    fn lets_in(&self, host: &Host, port: u16) -> bool {
        let groups = host.security_groups.iter().filter_map(|id| self.security_groups.get(id));
        let speaks = groups.flatten().filter(|own| (own.ports.0..=own.ports.1).contains(&port));
        let first = speaks.min_by_key(|own| (own.priority, own.policy == "Accept"));
        first.is_some_and(|own| own.policy == "Accept") || !self.settings.security_groups
    }

    /// Moves every server of every group on.
    pub fn settle_servers(&mut self) {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        let looked_at = self.looked_at();
        for id in ids {
            let used = looked_at.contains(&id);
            let Some(group) = self.groups.get(&id) else { continue };
            let gone = |server: &&Server| server.state == State::Removing && self.now >= server.until;
            let servers = group.servers.iter().filter(|server| !gone(server));
            let servers = servers.map(|server| self.moved_on(group, server, used)).collect();
            if let Some(group) = self.groups.get_mut(&id) {
                group.servers = servers;
            }
        }
    }

    fn moved_on(&self, group: &Group, server: &Server, used: bool) -> Server {
        let mut next = server.clone();
        if matches!(next.state, State::Adding | State::Configuring) && self.now >= next.until {
            next.state = State::Available;
        }
        let weightless =
            server.weight == 0 && !(group.family == Family::Clb && self.settings.clb_checks_weightless);
        let unjudged = if !used || weightless {
            Some(Verdict::Unused)
        } else if !group.checked {
            Some(Verdict::Unavailable)
        } else {
            None
        };
        if let Some(verdict) = unjudged {
            (next.verdict, next.turning) = (verdict, None);
            return next;
        }
        let running = self.host_named(&server.id).is_some_and(|host| host.state == "Running");
        if !running {
            (next.verdict, next.turning) = (Verdict::Unhealthy, None);
            return next;
        }
        let found = if self.passes(group, server) { Verdict::Healthy } else { Verdict::Unhealthy };
        if next.state == State::Adding {
            (next.verdict, next.turning) = (Verdict::Initial, None);
        } else if matches!(next.verdict, Verdict::Unused | Verdict::Unavailable) {
            (next.verdict, next.turning) = (Verdict::Initial, Some(self.now));
        } else if next.verdict == found {
            next.turning = None;
        } else {
            let since = *next.turning.get_or_insert(self.now);
            if self.now >= since + self.settings.health_after {
                (next.verdict, next.turning) = (found, None);
            }
        }
        next
    }
}

/// The groups that a route sends traffic to, with their weights.
pub fn forwards(shares: &Shares) -> Vec<(String, u64)> {
    shares.clone()
}
