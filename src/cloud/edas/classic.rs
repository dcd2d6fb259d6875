//! CLB, read for one look: every balancer of the region, its default server group, its vServer groups, and its pairs of a
//! master and a slave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::api::clb::{self, Listener, Settings};
use super::api::pool::Server;
use super::client::{Client, Product};
use super::health::Checks;
use super::pools::{Reader, each};
use super::route::{Frontend, Place, Route, preview_port, title};
use super::servers::{Family, ServerGroup, Shelf, heeds_weights};
use super::spared::{Behind, Hits, Standing};
use crate::cloud::{Fault, FaultKind};
use crate::model::Span;

/// How often CLB checks where it does not say it.
const INTERVAL_SECS: u32 = 2;
/// How many passed checks make a server healthy by default.
const HEALTHY_CHECKS: u32 = 3;

/// Who stands in a group, or why that is not known, by the group's id.
type Answers = BTreeMap<String, Result<Vec<Server>, Fault>>;

/// One balancer with all that stand behind it.
#[derive(Debug)]
pub(super) struct Balancer {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    id: String,
    family: Family,
    servers: Result<Vec<Server>, Fault>,
    /// The listeners that send traffic to it, as the list of groups names them, and the rules.
    fronts: Vec<Frontend>,
    rules: Vec<clb::Rule>,
}

/// How the default server group of a balancer is called.
pub(super) fn default_of(balancer: &str) -> String {
    format!("{balancer}/default")
}

/// The balancer of a default server group.
pub(super) fn balancer_of(group: &str) -> Option<&str> {
    group.strip_suffix("/default")
}

/// Everything of CLB.
///
/// # Errors
/// The fault of the list of balancers: without it nothing is known. What concerns one balancer only is kept with it.
pub(super) async fn read(reader: Reader<'_>) -> Result<Shelf, Fault> {
    let mut shelf = Shelf::default();
    let names = reader.owners.instances();
    let Hits { places: hits, all, .. } =
        match reader.memory.spared.hits(Product::Clb, &names, reader.leeway, reader.now) {
            Some(known) => known,
            None => hits(reader, names, &mut shelf).await?,
        };
    let read = each(all.into_iter().chain(hits.iter().cloned()).collect::<BTreeSet<_>>(), |id| {
        let fresh = hits.contains(&id);
        async move { reader.balancer(&id, fresh).await }
    })
    .await;
    let mut found: BTreeMap<String, Arc<Balancer>> = BTreeMap::new();
    for (id, answer) in read {
        match answer {
            Ok(balancer) => drop(found.insert(id, balancer)),
            // Deleted since it was listed.
            Err(fault) if fault.kind == FaultKind::Missing && !hits.contains(&id) => {}
            Err(fault) => shelf.unread.push(format!("who stands behind the balancer `{id}`: {fault}")),
        }
    }
    for (id, balancer) in &found {
        for group in &balancer.groups {
            shelf.groups.insert(group.id.clone(), described(id, group));
            shelf.servers.insert(group.id.clone(), group.servers.clone());
        }
    }
    let standing = shelf.standing(reader.owners, reader.ours);
    found.retain(|_, balancer| balancer.groups.iter().any(|group| standing.contains(&group.id)));
    judge(reader, &mut shelf, &standing, &found).await;
    heed(reader, &mut shelf, &found).await;
    Ok(shelf)
}

/// Every balancer, and those behind which one of our instances stands.
async fn hits(reader: Reader<'_>, names: Vec<String>, shelf: &mut Shelf) -> Result<Hits, Fault> {
    let (all, hits) = tokio::join!(clb::balancers(reader.client, None), directly(reader));
    let all = all?.into_iter().map(|balancer| balancer.load_balancer_id).collect();
    match hits {
        Ok(places) => {
            let hits = Hits { names, places, all };
            reader.memory.spared.keep_hits(Product::Clb, reader.now, hits.clone());
            Ok(hits)
        }
        Err(fault) => {
            shelf.unread.push(format!("balancers by the instances behind them: {fault}"));
            Ok(Hits { names, places: BTreeSet::new(), all })
        }
    }
}

/// The balancers behind which one of our instances stands, as CLB itself says it.
async fn directly(reader: Reader<'_>) -> Result<BTreeSet<String>, Fault> {
    let answers =
        each(reader.owners.instances(), |id| async move { clb::balancers(reader.client, Some(&id)).await })
            .await;
    let mut found = BTreeSet::new();
    for answer in answers.into_values() {
        found.extend(answer?.into_iter().map(|balancer| balancer.load_balancer_id));
    }
    Ok(found)
}

impl Reader<'_> {
    /// What is known of a balancer, where nothing is decided by the difference.
    fn behind(&self, id: &str) -> Option<Behind> {
        let spares = self.leeway.surroundings && self.spares_routes(Product::Clb);
        if spares { self.memory.spared.behind(id, self.now) } else { None }
    }

    /// One balancer: read now where somebody of ours may stand behind it.
    async fn balancer(&self, id: &str, fresh: bool) -> Result<Arc<Balancer>, Fault> {
        if !fresh && let Some(known) = self.memory.balancer(id, self.leeway, self.now) {
            return Ok(known);
        }
        if let Some(known) = self.behind(id) {
            return Ok(known.balancer);
        }
        let (defaults, groups, pairs) =
            tokio::try_join!(self.defaults(id), clb::groups(self.client, id), self.pairs(id))?;
        let whole = |id: String, family, servers| Group {
            id,
            family,
            servers,
            fronts: Vec::new(),
            rules: Vec::new(),
        };
        let mut all = vec![whole(default_of(id), Family::ClassicDefault, Ok(defaults))];
        all.extend(pairs.into_iter().map(|(id, servers)| whole(id, Family::ClassicPair, servers)));
        let ids: Vec<(String, Option<u32>)> =
            groups.iter().map(|group| (group.id.clone(), group.server_count)).collect();
        let mut read = each(ids, |(id, count)| async move { self.members(&id, count).await }).await;
        for group in groups {
            let own = read.remove(&(group.id.clone(), group.server_count));
            let servers = own.unwrap_or_else(|| Err(unnamed(&group.id)));
            let sends = group.associated_objects.unwrap_or_default();
            let fronts = sends.listeners.unwrap_or_default().all.into_iter();
            let fronts = fronts.filter_map(|own| Some(Frontend::new(own.port?, own.protocol.as_deref())));
            let rules = sends.rules.unwrap_or_default().all;
            all.push(Group {
                id: group.id,
                family: Family::Classic,
                servers,
                fronts: fronts.collect(),
                rules,
            });
        }
        let balancer = Arc::new(Balancer { groups: all });
        if balancer.groups.iter().any(|group| self.is_ours(group)) {
            self.memory.forget_balancer(id);
        } else {
            self.memory.keep_balancer(id, self.now, &balancer);
        }
        Ok(balancer)
    }

    /// Who stands in the default group of a balancer.
    async fn defaults(&self, balancer: &str) -> Result<Vec<Server>, Fault> {
        let id = default_of(balancer);
        if !self.ours.contains(&id)
            && let Some(known) = self.memory.servers(&id, None, self.leeway, self.now)
        {
            return Ok(known);
        }
        let client = if self.ours.contains(&id) { self.client.clone() } else { self.others() };
        let read = servers(&id, clb::default_servers(&client, balancer).await?);
        self.keep_others(&id, &read);
        Ok(read)
    }

    /// Who stands in the pairs of a master and a slave behind a balancer.
    async fn pairs(&self, balancer: &str) -> Result<Answers, Fault> {
        if let Some(known) = self.memory.pairs(balancer, self.leeway, self.now) {
            return Ok(known.into_iter().map(|(id, servers)| (id, Ok(servers))).collect());
        }
        let client = &self.others();
        let ids = clb::pairs(client, balancer).await?;
        let read = each(ids, |id| async move { Ok(servers(&id, clb::pair(client, &id).await?)) }).await;
        let whole = read.iter().map(|(id, answer)| Some((id.clone(), answer.clone().ok()?)));
        let whole: Option<BTreeMap<_, _>> = whole.collect();
        if let Some(whole) = whole
            && !whole.iter().any(|(id, servers)| self.ours.contains(id) || self.holds(servers))
        {
            self.memory.keep_pairs(balancer, self.now, &whole);
        }
        Ok(read)
    }

    /// Who stands in a vServer group: as many as the list of groups says, or it is not known.
    async fn members(&self, id: &str, count: Option<u32>) -> Result<Vec<Server>, Fault> {
        let ours = self.ours.contains(id);
        if !ours && let Some(known) = self.memory.servers(id, count, self.leeway, self.now) {
            return Ok(known);
        }
        let fewer = |all: &[Server]| count.filter(|n| all.len() < usize::try_from(*n).unwrap_or(0));
        let mut read = Vec::new();
        if !ours {
            read = servers(id, clb::servers(&self.others(), id).await?);
        }
        if ours || fewer(&read).is_some() {
            read = servers(id, clb::servers(self.client, id).await?);
        }
        if let Some(count) = fewer(&read) {
            // Whoever was counted has perhaps gone since: it is counted once more with the next look.
            let message = format!("`{id}` has {count} servers, and {} of them are listed", read.len());
            return Err(Fault::new(FaultKind::Unexpected, "DescribeVServerGroupAttribute", message));
        }
        self.keep_others(id, &read);
        Ok(read)
    }

    /// Remembers a group as long as nobody of ours stands there.
    fn keep_others(&self, id: &str, read: &[Server]) {
        if self.holds(read) {
            self.memory.forget_servers(id);
        } else {
            self.memory.keep_servers(id, self.now, read);
        }
    }

    /// Whether it has to be read every time: declared, not known, or with somebody of ours in it.
    fn is_ours(&self, group: &Group) -> bool {
        self.ours.contains(&group.id) || group.servers.as_ref().map_or(true, |servers| self.holds(servers))
    }

    /// Whether somebody of ours is among them.
    fn holds(&self, servers: &[Server]) -> bool {
        servers.iter().any(|server| self.owners.of_server(server).is_some())
    }
}

fn unnamed(id: &str) -> Fault {
    Fault::new(FaultKind::Unexpected, "DescribeVServerGroupAttribute", format!("`{id}` was not read"))
}

fn servers(group: &str, backends: Vec<clb::Backend>) -> Vec<Server> {
    let one = |backend: clb::Backend| Server {
        server_group_id: group.to_owned(),
        server_id: backend.server_id,
        server_ip: backend.server_ip,
        server_type: backend.r#type,
        port: backend.port,
        weight: backend.weight,
        status: Some("Available".to_owned()),
    };
    backends.into_iter().map(one).collect()
}

fn described(balancer: &str, group: &Group) -> ServerGroup {
    ServerGroup {
        id: group.id.clone(),
        family: group.family,
        balancer: Some(balancer.to_owned()),
        by_address: false,
        drain: Span::ZERO,
        interval: Span::secs(u64::from(INTERVAL_SECS)),
        verdict: Span::ZERO,
        heeds_weights: true,
        count: None,
        cuts: false,
    }
}

/// What sends traffic to a balancer's vServer groups, read now.
///
/// # Errors
/// The call's fault: a route that is not known cannot be changed.
pub(super) async fn routes_now(client: &Client, balancer: &str) -> Result<Vec<Route>, Fault> {
    let ids = [balancer.to_owned()];
    let (listeners, groups) = tokio::try_join!(clb::listeners(client, &ids), clb::groups(client, balancer))?;
    let routes = groups.into_iter().flat_map(|group| {
        let rules = group.associated_objects.unwrap_or_default().rules.unwrap_or_default().all;
        // Which listeners lead to it they say themselves: the list of groups may be older.
        let (family, servers) = (Family::Classic, Ok(Vec::new()));
        let group = Group { id: group.id, family, servers, fronts: Vec::new(), rules };
        leading(&listeners, balancer, &group).routes
    });
    Ok(routes.collect())
}

/// What sends traffic to our groups, how long they drain, and who is well there.
async fn judge(
    reader: Reader<'_>,
    shelf: &mut Shelf,
    standing: &BTreeSet<String>,
    balancers: &BTreeMap<String, Arc<Balancer>>,
) {
    let known: BTreeMap<&str, Behind> =
        balancers.keys().filter_map(|id| Some((id.as_str(), reader.behind(id)?))).collect();
    let is_calm = |id: &str| {
        let Some(balancer) = balancers.get(id) else { return false };
        let ours = balancer.groups.iter().filter(|group| standing.contains(&group.id));
        ours.map(|group| reader.memory.spared.standing(Product::Clb, &group.id))
            .all(|own| own.is_some_and(|own| own.is_calm(reader.leeway, reader.now)))
    };
    let client = reader.client;
    let unwell: Vec<String> =
        balancers.keys().filter(|id| !(known.contains_key(id.as_str()) && is_calm(id))).cloned().collect();
    let ids: Vec<String> = balancers.keys().filter(|id| !known.contains_key(id.as_str())).cloned().collect();
    let chunks: Vec<Vec<String>> = ids.chunks(clb::BALANCERS_MAX).map(<[String]>::to_vec).collect();
    let (listeners, mut health) = tokio::join!(
        each(chunks, |some| async move { clb::listeners(client, &some).await }),
        each(unwell, |id| async move { clb::health(client, &id).await })
    );
    let listeners: Result<Vec<Listener>, Fault> =
        listeners.into_values().collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect());
    let listeners = listeners.map(|mut all| {
        all.extend(known.values().flat_map(|known| known.listeners.iter().cloned()));
        all
    });
    for (id, behind) in &known {
        health.entry((*id).to_owned()).or_insert_with(|| Ok(behind.verdicts.clone()));
    }
    let mut routes = Vec::new();
    for (id, balancer) in balancers {
        for group in balancer.groups.iter().filter(|group| standing.contains(&group.id)) {
            let own = listeners.as_ref().map(|all| leading(all, id, group));
            if let (Ok(own), Some(shown)) = (&own, shelf.groups.get_mut(&group.id)) {
                let leading = listeners.as_deref().unwrap_or_default().iter();
                settle(
                    shown,
                    leading.filter(|listener| listener.load_balancer_id == *id && own.has(listener)),
                );
            }
            let checks = match (own, health.get(id)) {
                (Ok(Leading { fronts, perhaps, routes: found }), Some(Ok(verdicts))) => {
                    routes.extend(found);
                    Ok(Checks::Said { fronts, perhaps, verdicts: verdicts.clone() })
                }
                (Err(fault), _) | (_, Some(Err(fault))) => Err(fault.clone()),
                (_, None) => Err(unnamed(&group.id)),
            };
            if let (Ok(checks), Ok(servers)) = (&checks, &group.servers)
                && !(known.contains_key(id.as_str()) && is_calm(id))
            {
                let own = Standing::of(reader.now, servers, checks, reader.owners);
                reader.memory.spared.keep_standing(Product::Clb, &group.id, own);
            }
            shelf.checks.insert(group.id.clone(), checks);
        }
        if let (None, Ok(all), Some(Ok(verdicts))) = (known.get(id.as_str()), &listeners, health.get(id)) {
            let listeners = all.iter().filter(|listener| listener.load_balancer_id == *id).cloned().collect();
            let (balancer, verdicts) = (Arc::clone(balancer), verdicts.clone());
            let behind = Behind { read_at: reader.now, balancer, listeners, verdicts };
            reader.memory.spared.keep_behind(id, behind);
        }
    }
    shelf.routes = Some(Ok(routes));
}

/// What leads to a group.
struct Leading {
    /// The listeners that lead to it themselves.
    fronts: Vec<Frontend>,
    /// Those of which a rule may.
    perhaps: Vec<Frontend>,
    routes: Vec<Route>,
}

impl Leading {
    /// Whether a listener of the balancer is among them.
    fn has(&self, listener: &Listener) -> bool {
        let own = frontend(listener).filter(|_| !listener.redirects());
        own.is_some_and(|own| self.fronts.iter().chain(&self.perhaps).any(|front| front.may_be(&own)))
    }
}

fn frontend(listener: &Listener) -> Option<Frontend> {
    Some(Frontend::new(listener.listener_port?, listener.listener_protocol.as_deref()))
}

fn leading(listeners: &[Listener], balancer: &str, group: &Group) -> Leading {
    let here = listeners.iter().filter(|listener| listener.load_balancer_id == balancer);
    let (elsewhere, own): (Vec<&Listener>, Vec<&Listener>) = here.partition(|listener| listener.redirects());
    let leading = own.iter().filter(|listener| leads(listener, group));
    let mut fronts: BTreeSet<Frontend> = leading.filter_map(|listener| frontend(listener)).collect();
    if group.family == Family::Classic {
        let elsewhere = elsewhere.into_iter().filter_map(frontend);
        let known: Vec<Frontend> = fronts.iter().cloned().chain(elsewhere).collect();
        let more = group.fronts.iter().filter(|front| !known.iter().any(|known| known.may_be(front)));
        fronts.extend(more.cloned());
    }
    let route =
        |place: Place, id: String, name: String| Route::whole(place, &id, name, Some(group.id.clone()));
    let mut routes: Vec<Route> = fronts
        .iter()
        .map(|front| {
            let Frontend { port, protocol } = front.clone();
            let place = Place::Classic { balancer: balancer.to_owned(), port, protocol };
            route(place, format!("{balancer}:{front}"), title(Some(balancer), Some(front)))
        })
        .collect();
    let requests = own.into_iter().filter_map(frontend).filter(Frontend::takes_requests);
    let requests: Vec<Frontend> = requests.collect();
    for port in group.rules.iter().filter_map(|rule| preview_port(rule.domain.as_deref())) {
        let known = requests.iter().find(|front| front.port == port);
        fronts.insert(known.cloned().unwrap_or_else(|| Frontend::new(port, None)));
    }
    for rule in &group.rules {
        let path = rule.url.as_deref().unwrap_or_default();
        let name = format!("rule {}{path} of {balancer}", rule.domain.as_deref().unwrap_or_default());
        let preview = preview_port(rule.domain.as_deref()).is_some();
        let place = Place::ClassicRule(rule.rule_id.clone());
        routes.push(Route { preview, ..route(place, rule.rule_id.clone(), name) });
    }
    let mut perhaps = Vec::new();
    if group.rules.iter().any(|rule| preview_port(rule.domain.as_deref()).is_none()) {
        // The answer about a rule does not name its listener: any one that takes requests may be it.
        perhaps.extend(requests.into_iter().filter(|front| !fronts.iter().any(|own| own.may_be(front))));
    }
    Leading { fronts: fronts.into_iter().collect(), perhaps, routes }
}

fn leads(listener: &Listener, group: &Group) -> bool {
    let named = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    let settings = [&listener.tcp, &listener.udp].into_iter().flatten();
    let pair = settings.into_iter().find_map(|own| named(&own.master_slave_server_group_id));
    match (named(&listener.group), pair) {
        (Some(id), _) | (None, Some(id)) => id == group.id,
        (None, None) => group.family == Family::ClassicDefault,
    }
}

/// How long a server of the group drains, and how often it is checked, by the listeners that lead to it.
fn settle<'a>(group: &mut ServerGroup, listeners: impl Iterator<Item = &'a Listener>) {
    for listener in listeners {
        let all: [&Option<Settings>; 4] = [&listener.tcp, &listener.udp, &listener.http, &listener.https];
        for own in all.into_iter().flatten() {
            if own.connection_drain.as_deref() == Some("on") {
                let secs = own.connection_drain_timeout.unwrap_or(0);
                group.drain = group.drain.max(Span::secs(u64::from(secs)));
            } else {
                group.cuts = true;
            }
            if let Some(secs) = own.health_check_interval {
                group.interval = group.interval.max(Span::secs(u64::from(secs)));
            }
            // One more: the first check comes up to an interval after the server.
            let checks = u64::from(own.healthy_threshold.unwrap_or(HEALTHY_CHECKS)) + 1;
            group.verdict = group.verdict.max(Span(group.interval.0.saturating_mul(checks)));
        }
        group.cuts |= frontend(listener).is_some_and(|own| own.takes_requests());
        group.heeds_weights &= heeds_weights(listener.scheduler.as_deref());
    }
}

/// A rule may choose among its servers in its own way. Only of groups that are ours it matters which.
async fn heed(reader: Reader<'_>, shelf: &mut Shelf, balancers: &BTreeMap<String, Arc<Balancer>>) {
    let groups = balancers.values().flat_map(|balancer| &balancer.groups);
    let ours = groups.filter(|group| reader.ours.contains(&group.id));
    let rules: Vec<(String, String)> = ours
        .flat_map(|group| group.rules.iter().map(|rule| (rule.rule_id.clone(), group.id.clone())))
        .collect();
    let read = each(rules, |(id, _)| async move { clb::rule(reader.client, &id).await }).await;
    for ((_, group), answer) in read {
        let heeds = answer.is_ok_and(|rule| match rule.listener_sync.as_deref() {
            Some("off") => heeds_weights(rule.scheduler.as_deref()),
            // Its listener may be any that takes requests, and all of them were looked at.
            Some("on") => true,
            _ => false,
        });
        if let Some(group) = shelf.groups.get_mut(&group) {
            group.heeds_weights &= heeds;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cloud::edas::route::preview_domain;

    fn listener(protocol: &str, port: u32, group: Option<&str>) -> Value {
        json!({ "LoadBalancerId": "lb-1", "ListenerPort": port, "ListenerProtocol": protocol,
            "VServerGroupId": group, "Scheduler": "wrr" })
    }

    fn listeners(all: &[Value]) -> Vec<Listener> {
        serde_json::from_value(all.into()).unwrap()
    }

    fn group(id: &str, family: Family, fronts: &[Frontend], domains: &[&str]) -> Group {
        let rules =
            domains.iter().map(|domain| json!({ "RuleId": format!("rule {domain}"), "Domain": domain }));
        let rules = serde_json::from_value(rules.collect()).unwrap();
        Group { id: id.to_owned(), family, servers: Ok(Vec::new()), fronts: fronts.to_vec(), rules }
    }

    fn front(protocol: &str, port: u32) -> Frontend {
        Frontend::new(port, Some(protocol))
    }

    #[test]
    fn a_listener_of_udp_at_the_port_of_another_one_is_a_route_of_its_own() {
        let all = listeners(&[
            listener("tcp", 53, Some("rsp-1")),
            listener("udp", 53, Some("rsp-1")),
            listener("udp", 54, Some("rsp-2")),
            listener("tcp", 54, Some("rsp-1")),
        ]);
        // The list of groups names those that are known already, with or without a protocol, and one more.
        let listed = [front("UDP", 53), Frontend::new(54, None), front("http", 80)];
        let found = leading(&all, "lb-1", &group("rsp-1", Family::Classic, &listed, &[]));
        assert_eq!(found.fronts, [front("tcp", 53), front("udp", 53), front("tcp", 54), front("http", 80)]);
        assert_eq!(found.perhaps, []);
        let names: Vec<&str> = found.routes.iter().map(|route| route.name.as_str()).collect();
        let expected = ["53", "53/udp", "54", "80"].map(|port| format!("listener lb-1:{port}"));
        assert_eq!(names, expected);
        let places: BTreeSet<&Place> = found.routes.iter().map(|route| &route.place).collect();
        assert_eq!(places.len(), 4, "each is changed by itself: {places:?}");
        let listening: Vec<bool> = all.iter().map(|listener| found.has(listener)).collect();
        assert_eq!(listening, [true, true, false, true]);
    }

    #[test]
    fn a_preview_is_heard_of_where_requests_are_taken_and_a_rule_may_be_at_any_other_of_these() {
        let all = listeners(&[
            listener("udp", 443, Some("rsp-2")),
            listener("https", 443, Some("rsp-2")),
            listener("http", 80, Some("rsp-2")),
            listener("tcp", 81, Some("rsp-2")),
        ]);
        let preview = preview_domain(443, "rsp-1");
        let found = leading(&all, "lb-1", &group("rsp-1", Family::Classic, &[], &[&preview, "example.com"]));
        assert_eq!((found.fronts, found.perhaps), (vec![front("https", 443)], vec![front("http", 80)]));
        let previews: Vec<bool> = found.routes.iter().map(|route| route.preview).collect();
        assert_eq!(previews, [true, false]);
    }

    #[test]
    fn a_listener_that_redirects_leads_nowhere() {
        let mut redirecting = listener("http", 80, None);
        redirecting["HTTPListenerConfig"] = json!({ "ListenerForward": "on", "ForwardPort": 443 });
        let mut serving = listener("http", 8080, None);
        serving["HTTPListenerConfig"] = json!({ "ListenerForward": "off" });
        let all = listeners(&[redirecting, serving, listener("https", 443, Some("rsp-1"))]);
        let default = leading(&all, "lb-1", &group("lb-1/default", Family::ClassicDefault, &[], &[]));
        assert_eq!((default.fronts.clone(), default.perhaps.len()), (vec![front("http", 8080)], 0));
        assert_eq!(default.routes.len(), 1);
        // Whatever the list of groups still names, and wherever a rule may be.
        let own = group("rsp-1", Family::Classic, &[front("http", 80)], &["example.com"]);
        let own = leading(&all, "lb-1", &own);
        let expected = (vec![front("https", 443)], vec![front("http", 8080)]);
        assert_eq!((own.fronts.clone(), own.perhaps.clone()), expected);
        for found in [default, own] {
            assert!(!found.has(&all[0]) && found.has(&all[1]));
        }
    }
}
