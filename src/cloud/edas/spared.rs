//! What a look may be spared, because it was read a moment ago and nothing is decided by the difference.
//!
//! Everything here goes with the next change of ours, and the look before a fleet goes has none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::api::clb::{Listener, Verdict};
use super::api::edas::{ChangeOrder, DeployGroup};
use super::api::pool::Server;
use super::classic::Balancer;
use super::client::Product;
use super::fleets::{FleetNow, Fleets};
use super::health::{Checks, judge};
use super::memory::OTHERS_FOR;
use super::orders::Progress;
use super::route::Route;
use super::servers::{Owners, ServerGroup};
use crate::cloud::{Change, Leeway};
use crate::model::{FleetId, Health, Seen, Span, Time};

/// How long a server that was healthy is taken to be so where nothing is decided by it.
pub(super) const WELL_FOR: Span = Span::secs(60);

/// What was read, and when.
#[derive(Debug, Default)]
pub(super) struct Spared(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lists: BTreeMap<Product, (Time, BTreeMap<String, ServerGroup>)>,
    hits: BTreeMap<Product, (Time, Hits)>,
    routes: BTreeMap<Product, (Time, Vec<Route>)>,
    standings: BTreeMap<(Product, String), Standing>,
    balancers: BTreeMap<String, Behind>,
    /// The deploy groups with their instances, where EDAS was at work on none.
    fleets: Option<(Time, Fleets)>,
    /// The lists of deploy groups and of change orders, likewise.
    parts: Option<(Time, Parts)>,
}

/// What EDAS lists of an application besides its instances.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub groups: Vec<DeployGroup>,
    pub recent: Vec<ChangeOrder>,
}

/// Where our instances stand, as a product said it.
#[derive(Debug, Clone, Default)]
pub(super) struct Hits {
    /// Whose places were asked for.
    pub names: Vec<String>,
    /// The server groups; of CLB the balancers.
    pub places: BTreeSet<String>,
    /// Everything that there is besides: of CLB the balancers.
    pub all: BTreeSet<String>,
}

/// Who stands in a server group, and how well.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    read_at: Time,
    pub servers: Vec<Server>,
    pub checks: Checks,
    /// The fleets, and whether each is well on all its servers here.
    fleets: BTreeMap<FleetId, bool>,
    /// Whether somebody else stands here too.
    mixed: bool,
}

/// What stands behind a CLB, what leads there, and who is well.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    pub read_at: Time,
    pub balancer: Arc<Balancer>,
    pub listeners: Vec<Listener>,
    pub verdicts: Vec<Verdict>,
}

impl Standing {
    /// As it was read.
    pub fn of(read_at: Time, servers: &[Server], checks: &Checks, owners: &Owners) -> Self {
        let (mut fleets, mut mixed) = (BTreeMap::new(), false);
        for server in servers {
            match owners.of_server(server) {
                Some((fleet, _)) => {
                    let well = judge(server, servers, checks).0 == Health::Healthy;
                    *fleets.entry(fleet.clone()).or_insert(true) &= well;
                }
                None => mixed = true,
            }
        }
        Self { read_at, servers: servers.to_vec(), checks: checks.clone(), fleets, mixed }
    }

    /// Whether somebody is waited for here, and everybody else may be taken to be as well as they were.
    pub fn is_awaited(&self, leeway: &Leeway, now: Time) -> bool {
        let awaited = |fleet: &FleetId| leeway.awaited.as_ref() == Some(fleet);
        let others = self.fleets.iter().filter(|(fleet, _)| !awaited(fleet));
        let ill = self.fleets.iter().any(|(fleet, well)| awaited(fleet) && !well);
        let calm = others.into_iter().all(|(fleet, well)| *well && leeway.settled.contains(fleet));
        !self.mixed && ill && calm && now.since(self.read_at) < OTHERS_FOR
    }

    /// Whether it may be taken to be as it was.
    pub fn is_calm(&self, leeway: &Leeway, now: Time) -> bool {
        let age = now.since(self.read_at);
        if self.fleets.is_empty() {
            return !self.mixed && leeway.surroundings && age < OTHERS_FOR;
        }
        let settled = |(fleet, well): (&FleetId, &bool)| *well && leeway.settled.contains(fleet);
        !self.mixed && self.fleets.iter().all(settled) && age < WELL_FOR
    }
}

/// How long what only somebody else's hand changes is remembered.
pub(super) fn others_for(leeway: &Leeway) -> Span {
    if leeway.surroundings { WELL_FOR } else { OTHERS_FOR }
}

impl Spared {
    /// Something was changed by our hand, of these products. Which server groups there are is no matter of ours; and where we
    /// come or go is declared or asked for, so it is read in any case.
    pub fn forget(&self, change: &Change, of: &BTreeSet<Product>) {
        let mut kept = self.kept();
        match change {
            Change::Provision { .. } | Change::Freeze { .. } | Change::Thaw { .. } => {
                (kept.fleets, kept.parts) = (None, None);
            }
            Change::Register { .. } | Change::Deregister { .. } | Change::Shift { .. } => {
                kept.routes.retain(|product, _| !of.contains(product));
                kept.standings.retain(|(product, _), _| !of.contains(product));
                if of.contains(&Product::Clb) {
                    kept.balancers.clear();
                }
            }
        }
    }

    /// A fleet goes.
    pub fn forget_all(&self) {
        *self.kept() = Kept::default();
    }

    /// Every server group of a product.
    pub fn list(
        &self,
        product: Product,
        leeway: &Leeway,
        now: Time,
    ) -> Option<BTreeMap<String, ServerGroup>> {
        let kept = self.kept();
        let (read_at, groups) = kept.lists.get(&product)?;
        (leeway.surroundings && now.since(*read_at) < WELL_FOR).then(|| groups.clone())
    }

    pub fn keep_list(&self, product: Product, now: Time, groups: &BTreeMap<String, ServerGroup>) {
        self.kept().lists.insert(product, (now, groups.clone()));
    }

    /// Where just these instances and addresses stand. Only somebody else's hand puts them elsewhere.
    pub fn hits(&self, product: Product, names: &[String], leeway: &Leeway, now: Time) -> Option<Hits> {
        let kept = self.kept();
        let (read_at, hits) = kept.hits.get(&product)?;
        let same = hits.names == names;
        (same && now.since(*read_at) < others_for(leeway)).then(|| hits.clone())
    }

    pub fn keep_hits(&self, product: Product, now: Time, hits: Hits) {
        self.kept().hits.insert(product, (now, hits));
    }

    /// Everything of a product that sends traffic on.
    pub fn routes(&self, product: Product, now: Time) -> Option<Vec<Route>> {
        let kept = self.kept();
        let (read_at, routes) = kept.routes.get(&product)?;
        (now.since(*read_at) < WELL_FOR).then(|| routes.clone())
    }

    pub fn keep_routes(&self, product: Product, now: Time, routes: &[Route]) {
        self.kept().routes.insert(product, (now, routes.to_vec()));
    }

    /// What is known of a server group.
    pub fn standing(&self, product: Product, group: &str) -> Option<Standing> {
        self.kept().standings.get(&(product, group.to_owned())).cloned()
    }

    pub fn keep_standing(&self, product: Product, group: &str, standing: Standing) {
        self.kept().standings.insert((product, group.to_owned()), standing);
    }

    /// What is known of a CLB: which servers stand behind it is only changed by somebody's hand.
    pub fn behind(&self, balancer: &str, now: Time) -> Option<Behind> {
        let known = self.kept().balancers.get(balancer).cloned()?;
        (now.since(known.read_at) < WELL_FOR).then_some(known)
    }

    pub fn keep_behind(&self, balancer: &str, behind: Behind) {
        self.kept().balancers.insert(balancer.to_owned(), behind);
    }

    /// Every fleet, as it was a moment ago and is while EDAS is asked for nothing.
    pub fn fleets(&self, leeway: &Leeway, now: Time) -> Option<Fleets> {
        let kept = self.kept();
        let (read_at, fleets) = kept.fleets.as_ref()?;
        (leeway.surroundings && now.since(*read_at) < OTHERS_FOR).then(|| fleets.clone())
    }

    pub fn keep_fleets(&self, now: Time, fleets: &Fleets) {
        let calm = |fleet: &Seen<FleetNow>| {
            fleet.known().is_some_and(|now| now.seen.running().len() == now.members.len())
        };
        let calm = fleets.busy.is_empty() && fleets.all.values().all(calm);
        self.kept().fleets = calm.then(|| (now, fleets.clone()));
    }

    /// What EDAS lists besides the instances: only somebody else's hand changes it while no change order runs.
    pub fn parts(&self, leeway: &Leeway, now: Time) -> Option<Parts> {
        let kept = self.kept();
        let (read_at, parts) = kept.parts.as_ref()?;
        (now.since(*read_at) < others_for(leeway)).then(|| parts.clone())
    }

    pub fn keep_parts(&self, now: Time, parts: &Parts) {
        let over = |order| matches!(Progress::of(order), Progress::Done | Progress::Failed);
        let calm = parts.recent.iter().all(over);
        self.kept().parts = calm.then(|| (now, parts.clone()));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing<'a>(servers: &[(&'a str, Option<&str>, bool)]) -> Standing {
        let one = |(id, fleet, well): &(&'a str, Option<&str>, bool)| {
            let status = if *well { "Available" } else { "Adding" };
            let text = json!({ "ServerGroupId": "sgp-1", "ServerId": id, "Port": 1, "Weight": 100, "Status": status });
            let server: Server = serde_json::from_value(text).unwrap();
            (server, fleet.map(|fleet| FleetId::new(fleet).unwrap()), *id)
        };
        let all: Vec<_> = servers.iter().map(one).collect();
        let owners = Owners::among(all.iter().filter_map(|(_, fleet, id)| Some((*id, fleet.clone()?))));
        let servers: Vec<_> = all.into_iter().map(|(server, ..)| server).collect();
        let report = json!({ "ServerGroupId": "sgp-1", "HealthCheckEnabled": true, "NonNormalServers": [] });
        Standing::of(
            Time(0),
            &servers,
            &Checks::NotWell(vec![serde_json::from_value(report).unwrap()]),
            &owners,
        )
    }

    fn leeway(settled: &[&str], awaited: Option<&str>) -> Leeway {
        let fleet = |name: &&str| FleetId::new(*name).unwrap();
        let settled = settled.iter().map(fleet).collect();
        Leeway { settled, awaited: awaited.as_ref().map(fleet), ..Leeway::default() }
    }

    #[test]
    fn only_who_was_well_and_is_not_judged_now_is_taken_to_be_as_well_as_before() {
        let (blue, both) = (
            &[("i-1", Some("blue"), true)][..],
            &[("i-1", Some("blue"), true), ("i-2", Some("green"), true)][..],
        );
        let calm = |servers, of: &Leeway, at| standing(servers).is_calm(of, Time(at));
        assert!(calm(blue, &leeway(&["blue"], None), 59_000));
        assert!(!calm(blue, &leeway(&["blue"], None), 60_000), "too long ago");
        assert!(!calm(blue, &leeway(&[], None), 1), "it is judged now");
        assert!(!calm(both, &leeway(&["blue"], None), 1), "green is judged now");
        assert!(!calm(&[("i-1", Some("blue"), false)], &leeway(&["blue"], None), 1), "it was not well");
        assert!(
            !calm(&[("i-1", Some("blue"), true), ("i-9", None, true)], &leeway(&["blue"], None), 1),
            "a stranger"
        );
    }

    #[test]
    fn a_group_may_wait_for_another_one_only_while_nothing_else_in_it_matters() {
        let mixed = [("i-1", Some("blue"), true), ("i-2", Some("green"), false)];
        let awaited = |servers: &[_], of: &Leeway, at| standing(servers).is_awaited(of, Time(at));
        assert!(awaited(&mixed, &leeway(&["blue"], Some("green")), 19_000));
        assert!(!awaited(&mixed, &leeway(&["blue"], Some("green")), 20_000), "too long ago");
        assert!(!awaited(&mixed, &leeway(&[], Some("green")), 1), "blue is judged now");
        assert!(!awaited(&mixed, &leeway(&["blue"], None), 1), "nobody is waited for");
        let there = [("i-1", Some("blue"), true), ("i-2", Some("green"), true)];
        assert!(!awaited(&there, &leeway(&["blue"], Some("green")), 1), "it is there");
    }
}
