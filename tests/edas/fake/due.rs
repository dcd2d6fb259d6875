//! When the next thing happens by itself, so that time in between can be skipped: most of what the fake would do otherwise
//! is to find that nothing has changed, which many services at once cannot wait for.

use super::orders::{Order, STAGES};
use super::world::{Ms, State, World};

impl World {
    /// The next moment at which time could find something to do. It may be too early, and is never too late.
    pub fn due(&self) -> Option<Ms> {
        if self.stirred {
            return Some(self.now + 1);
        }
        let pending = self.hosts.values().filter(|host| host.state == "Pending");
        let hosts = pending.map(|host| host.launched.saturating_add(self.settings.launch));
        let orders = self.orders.iter().filter_map(|order| self.order_due(order));
        let rules = self.rules.iter().filter_map(|rule| rule.deleting);
        let wanted = self.rules.iter().map(|rule| &rule.wanted);
        let wanted = wanted.chain(self.listeners.iter().map(|listener| &listener.wanted));
        let wanted = wanted.filter_map(|wanted| wanted.as_ref().map(|(at, _)| *at));
        let all =
            hosts.chain(orders).chain(rules).chain(wanted).chain(self.servers_due()).chain(self.pods_due());
        all.map(|at| at.max(self.now + 1)).min()
    }

    fn order_due(&self, order: &Order) -> Option<Ms> {
        let batch = order.batches.iter().find(|batch| batch.status != 2);
        let hangs = order.failure.as_ref().is_some_and(|failure| failure.status == 1);
        match (order.status, batch) {
            (0, _) => Some(order.since + self.settings.step),
            (9, _) => Some(order.since + order.wait),
            (1, Some(batch)) if batch.status == 1 => {
                let ends = batch.started + self.settings.step * STAGES.len() as u64;
                // Whoever waits for its hosts, and one that hangs, has nothing to do until something else happens.
                (ends > self.now || !hangs && self.there(order, batch)).then_some(ends)
            }
            (1, _) => Some(self.now),
            _ => None,
        }
    }

    fn servers_due(&self) -> impl Iterator<Item = Ms> {
        let servers = self.groups.values().flat_map(|group| &group.servers);
        servers.flat_map(|server| {
            let moves = (server.state != State::Available).then_some(server.until);
            let turns = server.turning.map(|since| since + self.settings.health_after);
            moves.into_iter().chain(turns)
        })
    }

    /// Pods come into groups and leave them some time after they are up or on their way out, and are gone later still.
    fn pods_due(&self) -> impl Iterator<Item = Ms> {
        let (launch, delay) = (self.settings.launch, self.settings.controller);
        self.kube.iter().flat_map(|own| &own.pods).flat_map(move |pod| {
            let came = self.hosts.get(&pod.host).map(|host| host.launched.saturating_add(launch + delay));
            let came = came.filter(|at| *at > self.now);
            let leaves = pod.leaving.map(|since| since + delay).filter(|at| *at > self.now);
            let gone = pod.leaving.map(|since| since + 2 * delay + 5);
            came.into_iter().chain(leaves).chain(gone)
        })
    }
}
