//! Server groups of ALB and NLB, read for one look: by asking where our instances stand, and by the list of everything.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use super::api::alb::{self, Report, Which};
use super::api::nlb;
use super::api::pool::{self, Server};
use super::client::{Client, Product};
use super::health::Checks;
use super::memory::Memory;
use super::route::{Place, Route};
use super::servers::{Family, Owners, ServerGroup, Shelf, heeds_weights};
use super::spared::{Hits, Standing};
use crate::cloud::{Fault, FaultKind, Leeway, clock};
use crate::model::{Span, Time};

/// Calls at the same time.
const CALLS_MAX: usize = 16;
/// What the products check and keep where they do not say it (official SDKs, 2026-10).
const ALB_INTERVAL_SECS: u32 = 2;
const NLB_INTERVAL_SECS: u32 = 5;
const DRAIN_SECS: u32 = 300;

/// Reads for one look.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub client: &'a Client,
    pub memory: &'a Memory,
    pub now: Time,
    pub owners: &'a Owners,
    /// Groups that are ours whoever stands in them.
    pub ours: &'a BTreeSet<String>,
    /// Products of which the file declares a group.
    pub declared: &'a BTreeSet<Product>,
    /// Those of them in which routes make the share.
    pub led: &'a BTreeSet<Product>,
    pub leeway: &'a Leeway,
}

/// Reads at most [`CALLS_MAX`] at a time.
pub(super) async fn each<K: Ord + Clone, T, R: Future<Output = T>>(
    keys: impl IntoIterator<Item = K>,
    read: impl Fn(K) -> R,
) -> BTreeMap<K, T> {
    let one = |key: K| {
        let reading = read(key.clone());
        async move { (key, reading.await) }
    };
    stream::iter(keys.into_iter().map(one).collect::<Vec<_>>()).buffer_unordered(CALLS_MAX).collect().await
}

/// Everything of one product.
///
/// # Errors
/// The fault of the list of groups: without it nothing is known. What concerns one group only is kept with it.
pub(super) async fn read(reader: Reader<'_>, product: Product) -> Result<Shelf, Fault> {
    let leading = async { if reader.declares(product) { Some(reader.routes(product).await) } else { None } };
    let (groups, hits, routes) = tokio::join!(reader.listed(product), reader.directly(product), leading);
    let mut shelf = Shelf { groups: groups?, ..Shelf::default() };
    let (hit, hits) = hits.unwrap_or_else(|fault| {
        shelf.unread.push(format!("server groups by the instances in them: {fault}"));
        (BTreeSet::new(), Vec::new())
    });
    let all: BTreeSet<String> = shelf.groups.keys().chain(&hit).cloned().collect();
    let near: Vec<&String> = all.iter().filter(|id| hit.contains(*id) || reader.ours.contains(*id)).collect();
    // What leads to nobody of ours need not be known.
    let mut routes = match routes {
        None if !near.is_empty() => Some(reader.routes(product).await),
        routes => routes,
    };
    let none = Ok(Vec::new());
    let spared =
        reader.spared(product, &shelf.groups, near.into_iter(), routes.as_ref().unwrap_or(&none)).await;
    let groups = &shelf.groups;
    shelf.servers = each(all.clone(), |id| {
        let count = groups.get(&id).and_then(|group| group.count);
        let fresh = hit.contains(id.as_str()) || reader.ours.contains(&id);
        let known = spared.get(&id).map(|known| known.servers.clone());
        async move {
            match known {
                Some(known) => Ok(known),
                None => reader.servers(product, &id, count, fresh).await,
            }
        }
    })
    .await;
    shelf.servers.retain(|id, answer| hit.contains(id.as_str()) || !is_gone(answer));
    unite(&mut shelf.servers, hits);
    // Whoever is asked last for who is not well cannot leave out somebody who came in between.
    let standing = shelf.standing(reader.owners, reader.ours);
    if routes.is_none() && !standing.is_empty() {
        routes = Some(reader.routes(product).await);
    }
    let routes = routes.unwrap_or(none);
    let read: BTreeSet<String> = standing.into_iter().filter(|id| !spared.contains_key(id)).collect();
    shelf.checks = checks(reader.client, product, &read, &routes).await;
    reader.keep(product, &shelf, &read);
    shelf.checks.extend(spared.into_iter().map(|(id, known)| (id, Ok(known.checks))));
    shelf.routes = Some(routes);
    Ok(shelf)
}

/// Deleted since it was listed.
fn is_gone(answer: &Result<Vec<Server>, Fault>) -> bool {
    answer.as_ref().is_err_and(|fault| fault.kind == FaultKind::Missing)
}

/// What either way shows is there.
fn unite(servers: &mut BTreeMap<String, Result<Vec<Server>, Fault>>, hits: Vec<Server>) {
    for server in hits {
        if let Some(Ok(known)) = servers.get_mut(&server.server_group_id)
            && !known.iter().any(|own| own.name() == server.name() && own.port == server.port)
        {
            known.push(server);
        }
    }
}

impl Shelf {
    /// The groups in which one of the fleets stands, and those that are ours.
    pub fn standing(&self, owners: &Owners, ours: &BTreeSet<String>) -> BTreeSet<String> {
        let holds = |servers: &Vec<Server>| servers.iter().any(|server| owners.of_server(server).is_some());
        let standing = self.servers.iter().filter(|(_, servers)| servers.as_ref().is_ok_and(holds));
        let ours = ours.iter().filter(|id| self.groups.contains_key(*id));
        standing.map(|(id, _)| id.clone()).chain(ours.cloned()).collect()
    }
}

impl Reader<'_> {
    fn declares(&self, product: Product) -> bool {
        self.declared.contains(&product)
    }

    /// For questions about what only somebody else's hand changes.
    pub fn others(&self) -> Client {
        self.client.since(Time(self.now.0.saturating_sub(self.memory.others_for(self.leeway).0)))
    }

    /// Whether where the product's routes lead may be as old as what is around us: by it nobody has any share.
    pub fn spares_routes(&self, product: Product) -> bool {
        self.leeway.routes || self.leeway.surroundings && !self.led.contains(&product)
    }

    /// Every server group of the product.
    async fn listed(&self, product: Product) -> Result<BTreeMap<String, ServerGroup>, Fault> {
        if let Some(known) = self.memory.spared.list(product, self.leeway, self.now) {
            return Ok(known);
        }
        let client = if self.leeway.surroundings { self.others() } else { self.client.clone() };
        let read = listed(&client, product).await?;
        self.memory.spared.keep_list(product, self.now, &read);
        Ok(read)
    }

    /// The groups in which our instances stand, as the product itself says it, and those servers where it says so now.
    async fn directly(&self, product: Product) -> Result<(BTreeSet<String>, Vec<Server>), Fault> {
        let names = self.owners.names();
        if let Some(known) = self.memory.spared.hits(product, &names, self.leeway, self.now) {
            return Ok((known.places, Vec::new()));
        }
        let read = directly(*self, product).await?;
        let places: BTreeSet<String> = read.iter().map(|server| server.server_group_id.clone()).collect();
        let hits = Hits { names, places: places.clone(), all: BTreeSet::new() };
        self.memory.spared.keep_hits(product, self.now, hits);
        Ok((places, read))
    }

    /// Everything of the product that sends traffic on.
    async fn routes(&self, product: Product) -> Result<Vec<Route>, Fault> {
        if self.spares_routes(product)
            && let Some(known) = self.memory.spared.routes(product, self.now)
        {
            return Ok(known);
        }
        let read = routes(self.client, product).await?;
        self.memory.spared.keep_routes(product, self.now, &read);
        Ok(read)
    }

    /// Those of our groups that need not be read again. Of those in which somebody is awaited one is read: as long as it
    /// shows that it is not time yet, the others tell nothing new.
    async fn spared(
        &self,
        product: Product,
        groups: &BTreeMap<String, ServerGroup>,
        near: impl Iterator<Item = &String>,
        routes: &Result<Vec<Route>, Fault>,
    ) -> BTreeMap<String, Standing> {
        let known = near.filter_map(|id| Some((id.clone(), self.memory.spared.standing(product, id)?)));
        let (mut calm, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
            known.partition(|(_, known)| known.is_calm(self.leeway, self.now));
        let mut awaited: BTreeMap<String, Standing> =
            rest.into_iter().filter(|(_, known)| known.is_awaited(self.leeway, self.now)).collect();
        if awaited.len() < 2 {
            return calm;
        }
        let Some((lead, _)) = awaited.pop_first() else { return calm };
        let count = groups.get(&lead).and_then(|group| group.count);
        let Ok(servers) = self.servers(product, &lead, count, true).await else { return calm };
        let said = checks(self.client, product, &[lead.clone()].into(), routes).await;
        let Some(Ok(checks)) = said.get(&lead) else { return calm };
        let read = Standing::of(self.now, &servers, checks, self.owners);
        if read.is_awaited(self.leeway, self.now) {
            calm.extend(awaited);
        }
        self.memory.spared.keep_standing(product, &lead, read.clone());
        calm.insert(lead, read);
        calm
    }

    /// Remembers what was read of these groups.
    fn keep(&self, product: Product, found: &Shelf, read: &BTreeSet<String>) {
        for id in read {
            if let (Some(Ok(servers)), Some(Ok(checks))) = (found.servers.get(id), found.checks.get(id)) {
                let standing = Standing::of(self.now, servers, checks, self.owners);
                self.memory.spared.keep_standing(product, id, standing);
            }
        }
    }

    /// Who stands in a group: read now where it may be ours.
    async fn servers(
        &self,
        product: Product,
        id: &str,
        count: Option<u32>,
        fresh: bool,
    ) -> Result<Vec<Server>, Fault> {
        if !fresh && let Some(known) = self.memory.servers(id, count, self.leeway, self.now) {
            return Ok(known);
        }
        let read = if fresh {
            pool::servers(self.client, product, id).await?
        } else {
            let known = pool::servers(&self.others(), product, id).await?;
            // Where there are not as many as are counted now, somebody has come or gone since.
            let as_many = count.is_none_or(|count| usize::try_from(count).is_ok_and(|n| n == known.len()));
            if as_many { known } else { pool::servers(self.client, product, id).await? }
        };
        if let Some(stranger) = read.iter().find(|server| server.server_group_id != id) {
            let message =
                format!("asked for `{id}`, and answered with a server of `{}`", stranger.server_group_id);
            return Err(Fault::new(FaultKind::Unexpected, "ListServerGroupServers", message));
        }
        // The list of groups is older: whoever was counted then and is not named now has gone since, or is left out.
        let short =
            |read: &[Server]| count.is_some_and(|count| read.len() < usize::try_from(count).unwrap_or(0));
        let read = if short(&read) { self.again(product, id).await? } else { read };
        if read.iter().any(|server| self.owners.of_server(server).is_some()) {
            self.memory.forget_servers(id);
        } else {
            self.memory.keep_servers(id, self.now, &read);
        }
        Ok(read)
    }

    /// Counts and names once more.
    async fn again(&self, product: Product, id: &str) -> Result<Vec<Server>, Fault> {
        let client = self.client.since(clock::now());
        let groups = listed(&client, product).await?;
        let read = pool::servers(&client, product, id).await?;
        match groups.get(id).and_then(|group| group.count) {
            Some(count) if read.len() < usize::try_from(count).unwrap_or(0) => {
                let message = format!("`{id}` has {count} servers, and {} of them are listed", read.len());
                Err(Fault::new(FaultKind::Unexpected, "ListServerGroupServers", message))
            }
            _ => Ok(read),
        }
    }
}

/// Where our instances and addresses stand, over all groups. That the question may be asked without a group is not
/// certain (`ServerGroupId` is optional in the official SDKs, 2026-10); the list of everything is read in any case.
async fn directly(reader: Reader<'_>, product: Product) -> Result<Vec<Server>, Fault> {
    let mut questions: Vec<(&str, Vec<String>)> = Vec::new();
    for names in reader.owners.names().chunks(pool::ASKED_MAX) {
        questions.push(("ServerIds", names.to_vec()));
    }
    if product == Product::Nlb {
        for names in reader.owners.addresses().chunks(pool::ASKED_MAX) {
            questions.push(("ServerIps", names.to_vec()));
        }
    }
    let answers =
        each(
            questions,
            |(by, names)| async move { pool::standing(reader.client, product, by, &names).await },
        )
        .await;
    let mut all = Vec::new();
    for answer in answers.into_values() {
        match answer {
            // It may not be asked like that here.
            Err(fault) if fault.kind == FaultKind::Invalid => {}
            answer => all.extend(answer?),
        }
    }
    // Some answers may hold more than was asked for.
    all.retain(|server| reader.owners.of_server(server).is_some());
    Ok(all)
}

/// Every server group of the region.
async fn listed(client: &Client, product: Product) -> Result<BTreeMap<String, ServerGroup>, Fault> {
    let groups: Vec<ServerGroup> = if product == Product::Alb {
        pool::groups::<alb::Group>(client, product).await?.into_iter().map(of_alb).collect()
    } else {
        pool::groups::<nlb::Group>(client, product).await?.into_iter().map(of_nlb).collect()
    };
    Ok(groups.into_iter().map(|group| (group.id.clone(), group)).collect())
}

fn of_alb(group: alb::Group) -> ServerGroup {
    let drain = group.connection_drain_config.as_ref();
    let drain = drain
        .map_or(Some(false), |drain| drain.connection_drain_enabled)
        .unwrap_or(false)
        .then(|| drain.and_then(|drain| drain.connection_drain_timeout).unwrap_or(DRAIN_SECS));
    let interval = group.health_check_config.and_then(|check| check.health_check_interval);
    ServerGroup {
        id: group.server_group_id,
        family: Family::Alb,
        balancer: None,
        by_address: group.server_group_type.as_deref() == Some("Ip"),
        drain: Span::secs(u64::from(drain.unwrap_or(0))),
        interval: Span::secs(u64::from(interval.unwrap_or(ALB_INTERVAL_SECS))),
        verdict: Span::ZERO,
        heeds_weights: heeds_weights(group.scheduler.as_deref()),
        count: group.server_count,
        cuts: drain.is_none(),
    }
}

fn of_nlb(group: nlb::Group) -> ServerGroup {
    let drains = group.connection_drain_enabled.unwrap_or(false);
    let drain = if drains { group.connection_drain_timeout.unwrap_or(DRAIN_SECS) } else { 0 };
    let interval = group.health_check.and_then(|check| check.health_check_interval);
    ServerGroup {
        id: group.server_group_id,
        family: Family::Nlb,
        balancer: None,
        by_address: group.server_group_type.as_deref() == Some("Ip"),
        drain: Span::secs(u64::from(drain)),
        interval: Span::secs(u64::from(interval.unwrap_or(NLB_INTERVAL_SECS))),
        verdict: Span::ZERO,
        heeds_weights: heeds_weights(group.scheduler.as_deref()),
        count: group.server_count,
        cuts: drain == 0,
    }
}

/// Everything that sends traffic on.
async fn routes(client: &Client, product: Product) -> Result<Vec<Route>, Fault> {
    if product == Product::Nlb {
        return Ok(nlb::listeners(client).await?.iter().map(Route::of_network).collect());
    }
    let (listeners, rules) = tokio::try_join!(alb::listeners(client, &[]), alb::rules(client, Which::All))?;
    let by_id: BTreeMap<&str, &alb::Listener> =
        listeners.iter().map(|listener| (listener.listener_id.as_str(), listener)).collect();
    let rules = rules.iter().map(|rule| Route::of_rule(by_id.get(rule.listener_id.as_str()).copied(), rule));
    Ok(listeners.iter().map(Route::of_listener).chain(rules).collect())
}

/// What is said of the health of these groups.
async fn checks(
    client: &Client,
    product: Product,
    groups: &BTreeSet<String>,
    routes: &Result<Vec<Route>, Fault>,
) -> BTreeMap<String, Result<Checks, Fault>> {
    let routes = match routes {
        Ok(routes) => routes,
        Err(fault) => return groups.iter().map(|id| (id.clone(), Err(fault.clone()))).collect(),
    };
    let leading: Vec<&Route> =
        routes.iter().filter(|route| groups.iter().any(|id| route.names(id))).collect();
    let listeners: BTreeSet<&str> = leading.iter().map(|route| route.listener.as_str()).collect();
    let said = each(listeners, |id| async move {
        if product == Product::Nlb { nlb::health(client, id).await } else { alb::health(client, id).await }
    })
    .await;
    let one = |id: &String| -> Result<Checks, Fault> {
        let own: BTreeSet<&str> =
            leading.iter().filter(|route| route.names(id)).map(|route| route.listener.as_str()).collect();
        let mut reports: Vec<Report> = Vec::new();
        for listener in own {
            let statuses = match said.get(listener) {
                Some(Ok(statuses)) => statuses,
                // A listener that was taken away meanwhile checks nobody.
                Some(Err(fault)) if fault.kind == FaultKind::Missing => continue,
                Some(Err(fault)) => return Err(fault.clone()),
                None => continue,
            };
            let all = statuses.iter().flat_map(|status| &status.server_group_infos);
            reports.extend(all.filter(|report| report.server_group_id == *id).cloned());
        }
        Ok(Checks::NotWell(reports))
    };
    groups.iter().map(|id| (id.clone(), one(id))).collect()
}

/// The routes of an ALB at these places, read now.
///
/// # Errors
/// The call's fault: a route that is not known cannot be changed.
pub(super) async fn routes_now(client: &Client, listeners: &BTreeSet<String>) -> Result<Vec<Route>, Fault> {
    let answers = each(listeners.iter().cloned(), |id| async move {
        let ids = [id.as_str()];
        tokio::try_join!(alb::listeners(client, &ids), alb::rules(client, Which::Of(&id)))
    })
    .await;
    let mut routes = Vec::new();
    for answer in answers.into_values() {
        let (listeners, rules) = answer?;
        routes.extend(listeners.iter().map(Route::of_listener));
        routes.extend(rules.iter().map(|rule| Route::of_rule(listeners.first(), rule)));
    }
    Ok(routes)
}

/// One route of an ALB, read now; none where it is gone.
///
/// # Errors
/// The call's fault.
pub(super) async fn route_now(client: &Client, route: &Route) -> Result<Option<Route>, Fault> {
    match &route.place {
        Place::Rule(id) => {
            let rules = alb::rules(client, Which::One(id)).await?;
            let own = rules.iter().find(|rule| rule.rule_id == *id);
            Ok(own.map(|rule| Route { name: route.name.clone(), ..Route::of_rule(None, rule) }))
        }
        Place::Default(id) => {
            let listeners = alb::listeners(client, &[id]).await?;
            Ok(listeners.iter().find(|listener| listener.listener_id == *id).map(Route::of_listener))
        }
        Place::Network(_) | Place::Classic { .. } | Place::ClassicRule(_) => Ok(None),
    }
}
