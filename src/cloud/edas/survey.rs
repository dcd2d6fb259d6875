//! What Alibaba Cloud says, read for one look: every page, as fresh as it matters, nothing interpreted yet.

use std::collections::{BTreeMap, BTreeSet};

use super::api::ess;
use super::api::pool::Server;
use super::classic;
use super::client::{Client, Product};
use super::drained;
use super::fleets::Fleets;
use super::health::Checks;
use super::hold;
use super::home::{Home, Kind};
use super::interfaces;
use super::kube;
use super::memory::{Attached, Memory};
use super::pools::{self, Reader};
use super::route::Route;
use super::servers::{Owners, ServerGroup, Shelf};
use crate::cloud::{Fault, Leeway, Scope, clock};
use crate::model::{FleetId, GroupId, Scaling, Seen, Share, Time, share_of};
use crate::spec::EdasServers;

/// What a survey is for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub scope: &'a Scope,
    pub leeway: &'a Leeway,
}

/// What one look read.
#[derive(Debug)]
pub(super) struct Survey {
    /// When it began.
    pub begun: Time,
    /// The service's deploy groups that have instances.
    pub fleets: Fleets,
    /// Whose an instance, or an address, is.
    pub owners: Owners,
    /// What each product says of its server groups.
    shelves: BTreeMap<Product, Result<Shelf, Fault>>,
    /// What the scaling groups of a fleet's instances are attached to, by server group, with the names of the scaling groups.
    pub attached: BTreeMap<FleetId, BTreeMap<String, BTreeSet<String>>>,
    /// Fleets that a scaling group may resize by itself.
    pub stirring: BTreeSet<FleetId>,
    /// Fleets with a scaling group that we hold still.
    pub held: BTreeSet<FleetId>,
    /// What could not be searched at all, as sentence fragments.
    pub unread: BTreeSet<String>,
}

impl Survey {
    /// Reads everything that a look needs, with no leeway.
    ///
    /// # Errors
    /// As [`Survey::read_with`].
    pub async fn read(client: &Client, home: &Home, memory: &Memory, scope: &Scope) -> Result<Self, Fault> {
        Self::read_with(client, home, memory, Wish { scope, leeway: &Leeway::default() }).await
    }

    /// Reads everything that a look needs.
    ///
    /// # Errors
    /// A fault that leaves nothing to look at. What concerns one product or group only is kept with it.
    pub async fn read_with(
        client: &Client,
        home: &Home,
        memory: &Memory,
        wish: Wish<'_>,
    ) -> Result<Self, Fault> {
        let (begun, kind) = (clock::now(), home.kind());
        let client = &client.since(begun);
        // What the cluster moves comes and goes by its hand.
        let none = Leeway { urgent: wish.leeway.urgent, ..Leeway::default() };
        let leeway = if home.kubernetes().is_some() { &none } else { wish.leeway };
        let mut fleets = match kind {
            Kind::Ecs(ecs) => Box::pin(interfaces::fleets(client, ecs, memory, (leeway, begun))).await?,
            Kind::Kube(kube) => Box::pin(kube::read(client, kube, memory, (leeway, begun))).await?,
        };
        let (mut owners, ours) = (Owners::of(&fleets), ours(home, wish.scope, &fleets));
        let products = |led: bool| {
            let groups =
                home.spec.groups.values().filter(move |group| !led || group.servers.twins().is_some());
            groups.map(|group| product_of(&group.servers)).collect()
        };
        let (declared, led) = (&products(false), &products(true));
        let reader =
            Reader { client, memory, now: begun, owners: &owners, ours: &ours, declared, led, leeway };
        let (alb, nlb, clb, scaling) = tokio::join!(
            Box::pin(pools::read(reader, Product::Alb)),
            Box::pin(pools::read(reader, Product::Nlb)),
            Box::pin(classic::read(reader)),
            Box::pin(scaling(reader)),
        );
        let mut unread = fleets.unread.clone();
        unread.extend(nowhere(&fleets));
        let scaling = scaling.unwrap_or_else(|fault| {
            unread.insert(format!("what the scaling groups of the instances are attached to: {fault}"));
            BTreeMap::new()
        });
        let Scaled { attached, stirring, held } = Scaled::of(kind, &owners, scaling);
        unread.extend(clung(home, &attached));
        let mut shelves = BTreeMap::from([(Product::Alb, alb), (Product::Nlb, nlb), (Product::Clb, clb)]);
        if let (Kind::Ecs(_), Some(Ok(shelf))) = (kind, shelves.get_mut(&Product::Clb)) {
            drained::settle(home, &memory.left, shelf, &owners, begun);
        }
        if let Kind::Kube(kube) = kind {
            let mut known: Vec<&mut Shelf> =
                shelves.values_mut().filter_map(|shelf| shelf.as_mut().ok()).collect();
            if known.iter().any(|shelf| kube::has_strangers(kube, shelf, &owners)) {
                // A pod that came after the pods were read has an address that nobody knows yet.
                fleets = Box::pin(kube::read(client, kube, memory, (leeway, begun))).await?;
                owners = Owners::of(&fleets);
            }
            for shelf in &mut known {
                kube::settle((kube, &memory.left), shelf, &fleets, &owners, begun);
            }
        }
        for (product, shelf) in &shelves {
            let product = name(*product);
            match shelf {
                Ok(shelf) => {
                    unread.extend(shelf.unread.iter().map(|what| format!("{product}: {what}")));
                }
                Err(fault) => {
                    unread.insert(format!("the server groups of {product}: {fault}"));
                }
            }
        }
        let mut survey = Self { begun, fleets, owners, shelves, attached, stirring, held, unread };
        let nodes = kube::unseen_nodes(home, survey.all_servers(), &survey.fleets, &survey.owners);
        survey.unread.extend(nodes);
        Ok(survey)
    }

    fn known(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves.values().filter_map(|shelf| shelf.as_ref().ok())
    }

    /// The product's own fault, where nothing of it is known.
    pub fn broken(&self, product: Product) -> Option<&Fault> {
        self.shelves.get(&product).and_then(|shelf| shelf.as_ref().err())
    }

    /// What could not be searched of one product.
    pub fn is_whole(&self, product: Product) -> bool {
        self.shelves
            .get(&product)
            .is_some_and(|shelf| shelf.as_ref().is_ok_and(|shelf| shelf.unread.is_empty()))
    }

    /// Whether every product could be searched.
    pub fn is_all(&self) -> bool {
        self.shelves.keys().all(|product| self.is_whole(*product))
    }

    /// The server group of this id.
    pub fn group(&self, id: &str) -> Option<&ServerGroup> {
        self.known().find_map(|shelf| shelf.groups.get(id))
    }

    /// Who stands in a server group.
    pub fn servers(&self, id: &str) -> Option<&Result<Vec<Server>, Fault>> {
        self.known().find_map(|shelf| shelf.servers.get(id))
    }

    /// Every server group of which somebody knows, and who stands in it.
    pub fn all_servers(&self) -> impl Iterator<Item = (&String, &Result<Vec<Server>, Fault>)> {
        self.known().flat_map(|shelf| &shelf.servers)
    }

    /// What is said of the health of its servers.
    pub fn checks(&self, id: &str) -> Option<&Result<Checks, Fault>> {
        self.known().find_map(|shelf| shelf.checks.get(id))
    }

    /// The share of a server group that the weights of a fleet's servers make; nothing where nobody stands.
    pub fn share(&self, group: &ServerGroup, fleet: &FleetId) -> Share {
        let taking = self.servers(&group.id).and_then(|servers| servers.as_ref().ok()).into_iter().flatten();
        let (mut own, mut others) = (0, 0);
        for server in taking.filter(|server| server.takes()) {
            let of = self.owners.of_server(server).is_some_and(|(owner, _)| owner == fleet);
            *(if of { &mut own } else { &mut others }) += u64::from(server.weight.unwrap_or(0));
        }
        share_of(own, others)
    }

    /// The routes that name a server group; the fault where they could not be read.
    pub fn routes_of(&self, group: &ServerGroup) -> Result<Vec<&Route>, &Fault> {
        let own = self.shelves.get(&group.family.product()).and_then(|shelf| shelf.as_ref().ok());
        match own.and_then(|shelf| shelf.routes.as_ref()) {
            Some(Ok(routes)) => Ok(routes.iter().filter(|route| route.names(&group.id)).collect()),
            Some(Err(fault)) => Err(fault),
            None => Ok(Vec::new()),
        }
    }

    /// Every server group in which one of the fleets stands, whoever put it there.
    pub fn standing(&self) -> BTreeSet<String> {
        let holds =
            |servers: &Vec<Server>| servers.iter().any(|server| self.owners.of_server(server).is_some());
        let standing = self.all_servers().filter(|(_, servers)| servers.as_ref().is_ok_and(holds));
        standing.map(|(id, _)| id.clone()).collect()
    }
}

/// What the scaling groups of the instances do to the fleets.
#[derive(Default)]
struct Scaled {
    attached: BTreeMap<FleetId, BTreeMap<String, BTreeSet<String>>>,
    stirring: BTreeSet<FleetId>,
    held: BTreeSet<FleetId>,
}

impl Scaled {
    fn of(kind: Kind<'_>, owners: &Owners, scaling: Attached) -> Self {
        let mut scaled = Self::default();
        for (instance, group) in scaling {
            let Some((fleet, _)) = owners.of_name(&instance) else { continue };
            let ecs = match kind {
                Kind::Ecs(ecs) => Some(ecs),
                Kind::Kube(_) => None,
            };
            match hold::scaling(&group, ecs, fleet) {
                Scaling::Active => drop(scaled.stirring.insert(fleet.clone())),
                Scaling::Frozen => drop(scaled.held.insert(fleet.clone())),
                Scaling::Fixed => {}
            }
            for own in group.attached() {
                let names = scaled.attached.entry(fleet.clone()).or_default().entry(own).or_default();
                names.insert(group.scaling_group_id.clone());
            }
        }
        scaled
    }
}

/// How people call a product.
fn name(product: Product) -> &'static str {
    match product {
        Product::Alb => "ALB",
        Product::Nlb => "NLB",
        Product::Clb => "CLB",
        Product::Ess => "Auto Scaling",
        Product::Edas => "EDAS",
        Product::Ecs => "ECS",
        Product::Sts => "STS",
    }
}

/// Server groups that are ours whoever stands in them: declared, asked for, or listed by EDAS.
fn ours(home: &Home, scope: &Scope, fleets: &Fleets) -> BTreeSet<String> {
    let declared = home.spec.groups.values().flat_map(|group| group.servers.ids().iter().cloned());
    let asked = scope.groups.iter().filter(|id| !home.spec.groups.contains_key(*id));
    let listed = fleets.all.values().filter_map(Seen::known).flat_map(|now| now.seen.attached.iter());
    declared.chain(asked.chain(listed).map(GroupId::to_string)).collect()
}

/// Declared groups that a scaling group puts a fleet's instances into: it would do so again, so that nobody can take them out.
fn clung(home: &Home, attached: &BTreeMap<FleetId, BTreeMap<String, BTreeSet<String>>>) -> Vec<String> {
    let declared: BTreeSet<&String> =
        home.spec.groups.values().flat_map(|group| group.servers.ids()).collect();
    let all = attached.iter().flat_map(|(fleet, groups)| groups.iter().map(move |own| (fleet, own)));
    let ours = all.filter(|(_, (group, _))| declared.contains(group));
    let told = ours.map(|(fleet, (group, names))| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        format!(
            "where instances of `{fleet}` go: the scaling group {} is attached to `{group}`, and would put into it whom a \
             rollout takes out. Detach it there",
            names.join(", ")
        )
    });
    told.collect()
}

/// Instances without an address: where they stand by their address cannot be searched.
fn nowhere(fleets: &Fleets) -> Vec<String> {
    // A pod has one as soon as it can stand anywhere: that is looked at where it is read.
    let known = fleets.all.values().filter_map(Seen::known).filter(|_| !fleets.by_address);
    let members = known.flat_map(|now| now.members.iter());
    let absent = members.filter(|(_, member)| member.address().is_none());
    absent.map(|(id, _)| format!("where `{id}` stands by its address, which nobody says")).collect()
}

async fn scaling(reader: Reader<'_>) -> Result<Attached, Fault> {
    let instances = reader.owners.instances();
    if let Some(known) = reader.memory.attached(&instances, reader.leeway, reader.now) {
        return Ok(known);
    }
    let attached = scaling_groups(reader.client, &instances).await?;
    reader.memory.keep_attached(&instances, reader.now, &attached);
    Ok(attached)
}

/// The scaling groups of those instances that belong to one.
///
/// # Errors
/// The call's fault; a scaling group that has a member and is not known.
pub(super) async fn scaling_groups(client: &Client, instances: &[String]) -> Result<Attached, Fault> {
    let mut members: BTreeMap<String, String> = BTreeMap::new();
    for some in instances.chunks(ess::ASKED_MAX) {
        let found = ess::instances(client, some).await?;
        members.extend(found.into_iter().map(|one| (one.instance_id, one.scaling_group_id)));
    }
    let ids: Vec<String> = members.values().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let mut groups: BTreeMap<String, ess::Group> = BTreeMap::new();
    for some in ids.chunks(ess::ASKED_MAX) {
        let found = ess::groups(client, some).await?;
        groups.extend(found.into_iter().map(|group| (group.scaling_group_id.clone(), group)));
    }
    let mut attached = Attached::new();
    for (instance, scaling) in members {
        let group = groups.get(&scaling).ok_or_else(|| {
            let message = format!("`{instance}` belongs to `{scaling}`, which is not known");
            Fault::new(crate::cloud::FaultKind::Unexpected, "DescribeScalingGroups", message)
        })?;
        attached.insert(instance, group.clone());
    }
    Ok(attached)
}

/// The product that a declared group belongs to.
pub(super) fn product_of(servers: &EdasServers) -> Product {
    match servers {
        EdasServers::AlbTwins(_) | EdasServers::Alb(_) => Product::Alb,
        EdasServers::NlbTwins(_) | EdasServers::Nlb(_) => Product::Nlb,
        EdasServers::ClbTwins(_) | EdasServers::Clb(_) => Product::Clb,
    }
}
