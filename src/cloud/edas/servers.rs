//! Groups of servers, whichever product they belong to, and whose a server is.

use std::collections::BTreeMap;

use super::api::pool::Server;
use super::client::Product;
use super::fleets::{Fleets, is_address};
use super::health::Checks;
use super::route::Route;
use crate::cloud::Fault;
use crate::model::{FleetId, InstanceId, Seen, Span};

/// What kind of group it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// A server group of an ALB.
    Alb,
    /// A server group of an NLB.
    Nlb,
    /// A vServer group of a CLB.
    Classic,
    /// The default server group of a CLB, called `lb-…/default`.
    ClassicDefault,
    /// A master and a slave behind a CLB.
    ClassicPair,
}

impl Family {
    /// The product that has it.
    pub const fn product(self) -> Product {
        match self {
            Self::Alb => Product::Alb,
            Self::Nlb => Product::Nlb,
            Self::Classic | Self::ClassicDefault | Self::ClassicPair => Product::Clb,
        }
    }
}

/// Whether a way to choose among servers heeds their weights: others take them in turn, or by a hash (`wrr`, `wlc`, `rr`,
/// `sch`, `tch`, `qch`, `uch`; official SDKs, 2026-10). One that is not said does not.
pub(super) fn heeds_weights(scheduler: Option<&str>) -> bool {
    scheduler.is_some_and(|word| ["wrr", "wlc"].iter().any(|own| word.eq_ignore_ascii_case(own)))
}

/// One group of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerGroup {
    /// Its id; of a CLB's default one `lb-…/default`.
    pub id: String,
    pub family: Family,
    /// The CLB that it belongs to.
    pub balancer: Option<String>,
    /// Whether its servers are addresses.
    pub by_address: bool,
    /// How long a server that is taken out keeps its connections.
    pub drain: Span,
    /// How often a server is checked.
    pub interval: Span,
    /// How long a new server is called ill before it can have passed: a CLB knows no other word for it. None elsewhere.
    pub verdict: Span,
    /// Whether everything that sends traffic to it heeds the weights of its servers.
    pub heeds_weights: bool,
    /// How many servers the list of groups says it has.
    pub count: Option<u32>,
    /// Whether a server that is taken out is cut off at once: there is no drain, or it is off.
    pub cuts: bool,
}

/// What one product says.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Every group that some list of the product names, by id.
    pub groups: BTreeMap<String, ServerGroup>,
    /// Who stands in them.
    pub servers: BTreeMap<String, Result<Vec<Server>, Fault>>,
    /// Everything that sends traffic to them, or why that is not known.
    pub routes: Option<Result<Vec<Route>, Fault>>,
    /// What is said of the health of those in which one of the fleets may stand.
    pub checks: BTreeMap<String, Result<Checks, Fault>>,
    /// What could not be searched, as sentence fragments.
    pub unread: Vec<String>,
}

impl Server {
    /// Whether it has been taken out and still has connections.
    pub fn is_leaving(&self) -> bool {
        self.status.as_deref() == Some("Removing")
    }

    /// What tells it from the others: many pods share an interface, and have an address each.
    pub fn name(&self) -> &str {
        let shared = self.server_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("eni"));
        self.server_ip.as_deref().filter(|ip| shared && !ip.is_empty()).unwrap_or(&self.server_id)
    }

    /// Whether it stays and takes traffic.
    pub fn takes(&self) -> bool {
        !self.is_leaving() && self.weight.is_some_and(|weight| weight > 0)
    }
}

/// Whose an instance, or an address, is.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    by_name: BTreeMap<String, (FleetId, InstanceId)>,
}

impl Owners {
    /// As EDAS says it.
    pub fn of(fleets: &Fleets) -> Self {
        let mut by_name = BTreeMap::new();
        for (fleet, now) in &fleets.all {
            let Seen::Known(now) = now else { continue };
            for (id, member) in &now.members {
                let id_too = (!fleets.by_address).then(|| id.to_string());
                let names = member.addresses.iter().cloned().chain(id_too);
                by_name.extend(names.map(|name| (name, (fleet.clone(), id.clone()))));
            }
        }
        Self { by_name }
    }

    /// As a test says it.
    #[cfg(test)]
    pub fn among<'a>(names: impl IntoIterator<Item = (&'a str, FleetId)>) -> Self {
        let one =
            |(name, fleet): (&str, FleetId)| Some((name.to_owned(), (fleet, InstanceId::new(name).ok()?)));
        Self { by_name: names.into_iter().filter_map(one).collect() }
    }

    /// The fleet and the instance behind a server: by what it is called, or by its address.
    pub fn of_server(&self, server: &Server) -> Option<&(FleetId, InstanceId)> {
        let by_address = || self.by_name.get(server.server_ip.as_deref()?);
        self.by_name.get(&server.server_id).or_else(by_address)
    }

    /// The fleet and the instance of this id or address.
    pub fn of_name(&self, name: &str) -> Option<&(FleetId, InstanceId)> {
        self.by_name.get(name)
    }

    /// Every instance and every address.
    pub fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// The instances.
    pub fn instances(&self) -> Vec<String> {
        self.by_name
            .iter()
            .filter(|(name, (_, id))| *name == id.as_str())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.by_name
            .iter()
            .filter(|(name, (_, id))| *name != id.as_str() && is_address(name))
            .map(|(name, _)| name.clone())
            .collect()
    }
}
