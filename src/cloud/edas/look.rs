//! A look: what was read, as fleets and target groups with a side for each fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::api::pool::Server;
use super::client::Client;
use super::fleets::FleetNow;
use super::health::judge;
use super::home::Home;
use super::kube;
use super::memory::Memory;
use super::route::{Place, Route};
use super::servers::ServerGroup;
use super::survey::{Survey, Wish, product_of};
use super::twin::is_proved;
use crate::cloud::{Fault, Leeway, Scope};
use crate::model::{
    FleetId, FleetSeen, GroupId, GroupSeen, Health, InstanceId, Inventory, Scaling, Seen, Share, Sharing,
    Side, Span, Steps, TargetId, TargetSeen, share_of,
};
use crate::spec::{EdasGroup, EdasServers, ShareBy};

/// Looks at a service.
///
/// # Errors
/// A fault that leaves nothing to look at.
pub(super) async fn look(
    client: &Client,
    home: &Home,
    memory: &Memory,
    wish: Wish<'_>,
) -> Result<Inventory, Fault> {
    if let Some((survey, fleet)) = unchanged(client, memory, wish.leeway).await? {
        let mut seen = Sighting { home, survey: &survey, scope: wish.scope, memory }.inventory();
        seen.busy.insert(fleet);
        return Ok(seen);
    }
    let survey = Arc::new(Box::pin(Survey::read_with(client, home, memory, wish)).await?);
    memory.remember(&survey);
    Ok(Sighting { home, survey: &survey, scope: wish.scope, memory }.inventory())
}

/// The last survey, as long as EDAS is at work on the fleet that is waited for.
async fn unchanged(
    client: &Client,
    memory: &Memory,
    leeway: &Leeway,
) -> Result<Option<(Arc<Survey>, FleetId)>, Fault> {
    let (Some(fleet), Some(survey)) = (&leeway.busy, memory.recent()) else { return Ok(None) };
    let Some(place) = survey.fleets.places.get(fleet) else { return Ok(None) };
    let busy = place.is_busy(client, &memory.settings, fleet).await?;
    Ok(busy.then(|| (survey, fleet.clone())))
}

/// A survey with the words to read it in.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub home: &'a Home,
    pub survey: &'a Survey,
    pub scope: &'a Scope,
    pub memory: &'a Memory,
}

impl<'a> Sighting<'a> {
    pub(super) fn inventory(self) -> Inventory {
        let mut groups: BTreeMap<GroupId, Seen<GroupSeen>> = BTreeMap::new();
        for (id, declared) in &self.home.spec.groups {
            groups.extend(self.declared(id, declared).map(|seen| (id.clone(), seen)));
        }
        let mut others = self.survey.standing();
        others.extend(self.survey.attached.values().flat_map(|groups| groups.keys().cloned()));
        others.extend(self.scope.groups.iter().map(GroupId::to_string));
        let listed = self.survey.fleets.all.values().filter_map(Seen::known);
        others.extend(listed.flat_map(|now| now.seen.attached.iter().map(GroupId::to_string)));
        for own in others {
            let id = self.group_of(&own);
            if !groups.contains_key(&id) && !self.home.spec.groups.contains_key(&id) {
                groups.extend(self.undeclared(&own).map(|seen| (id, seen)));
            }
        }
        let fleets = self.survey.fleets.all.iter().map(|(id, now)| {
            let seen = match now {
                Seen::Known(now) => Seen::Known(self.fleet(id, now)),
                Seen::Unknown(why) => Seen::Unknown(why.clone()),
            };
            (id.clone(), seen)
        });
        let busy = self.survey.fleets.busy.clone();
        Inventory {
            looked_at: self.survey.begun,
            fleets: fleets.collect(),
            groups,
            unread: self.unread(),
            busy,
        }
    }

    /// The name of a server group here: the declared one's, or its own.
    fn group_of(self, own: &str) -> GroupId {
        let groups = &self.home.spec.groups;
        let declared = groups.iter().find(|(_, group)| group.servers.ids().iter().any(|id| id == own));
        if let Some((id, _)) = declared {
            return id.clone();
        }
        // The file may call one group what the cloud calls another one.
        let id = GroupId::new(own).ok().filter(|id| !groups.contains_key(id));
        id.or_else(|| GroupId::new(format!("group/{own}")).ok()).unwrap_or_else(unnamed)
    }

    fn is_declared(self, own: &str) -> bool {
        self.home.spec.groups.values().any(|group| group.servers.ids().iter().any(|id| id == own))
    }

    /// What could not be searched: a fleet may stand there.
    fn unread(self) -> BTreeSet<String> {
        let failed = self.survey.all_servers().filter_map(|(id, answer)| Some((id, answer.as_ref().err()?)));
        let failed = failed.filter(|(id, _)| !self.is_declared(id));
        let failed = failed.map(|(id, fault)| format!("server group `{id}`: {fault}"));
        failed.chain(self.survey.unread.iter().cloned()).collect()
    }

    /// A declared group. Not there at all is nothing; half there is unknown.
    fn declared(self, id: &GroupId, declared: &EdasGroup) -> Option<Seen<GroupSeen>> {
        let product = product_of(&declared.servers);
        if let Some(fault) = self.survey.broken(product) {
            return Some(Seen::Unknown(fault.to_string()));
        }
        let found: Vec<_> = declared.servers.ids().iter().map(|own| (own, self.survey.group(own))).collect();
        if found.iter().all(|(_, group)| group.is_none()) {
            let absent = || Seen::Unknown("it is not among what could be read".to_owned());
            return (!self.survey.is_whole(product)).then(absent);
        }
        let mut groups = Vec::new();
        for (own, group) in found {
            match group {
                Some(group) => groups.push(group),
                None => return Some(Seen::Unknown(format!("server group `{own}` of `{id}` does not exist"))),
            }
        }
        let seen = match &declared.servers {
            EdasServers::AlbTwins(_) | EdasServers::NlbTwins(_) | EdasServers::ClbTwins(_) => {
                self.routes(&groups).and_then(|leading| {
                    let proved = is_proved(declared, &leading);
                    self.twins(&groups, if proved { Sharing::Paired } else { Sharing::Unproved })
                })
            }
            EdasServers::Alb(_) | EdasServers::Nlb(_) | EdasServers::Clb(_) => {
                let weighed = declared.by == ShareBy::Weights && groups[0].heeds_weights;
                self.shared(groups[0], if weighed { Sharing::Weighed } else { Sharing::Shared })
            }
        };
        Some(seen.map_or_else(Seen::Unknown, Seen::Known))
    }

    /// A server group of which nobody said anything in the file. One that somebody stands in and no list names is unknown.
    fn undeclared(self, own: &str) -> Option<Seen<GroupSeen>> {
        match (self.survey.group(own), self.survey.servers(own)) {
            (Some(group), _) => {
                Some(self.shared(group, Sharing::Shared).map_or_else(Seen::Unknown, Seen::Known))
            }
            (None, Some(_)) => {
                Some(Seen::Unknown(format!("an instance stands in `{own}`, which no list names")))
            }
            (None, None) => None,
        }
    }

    /// A server group in which both fleets stand, or that nobody declared: the share is by the weights of its servers.
    fn shared(self, group: &ServerGroup, sharing: Sharing) -> Result<GroupSeen, String> {
        let sides = self.sides(group)?;
        let mut seen = self.described(&[group], sharing)?;
        seen.sides = self.by_weight(group, sides)?;
        Ok(seen)
    }

    /// Twin server groups behind the same routes: the share is by the weights of the rules.
    fn twins(self, twins: &[&ServerGroup], sharing: Sharing) -> Result<GroupSeen, String> {
        let mut seen = self.described(twins, sharing)?;
        let routes = self.routes(twins)?;
        if let Some(busy) = routes.iter().find(|route| !route.settled) {
            return Err(format!("{} is being changed: what it sends to whom is not known", busy.name));
        }
        for twin in twins {
            let mut sides = self.sides(twin)?;
            if let Some(why) = sides.keys().find_map(|fleet| kube::misplaced(self.home, &twin.id, fleet)) {
                return Err(why);
            }
            for (fleet, groups) in &self.survey.attached {
                if groups.contains_key(&twin.id) {
                    sides.entry(fleet.clone()).or_default();
                }
            }
            let mut shares = Vec::new();
            for route in &routes {
                let unsaid = || format!("{} does not say how it divides its traffic", route.name);
                shares.push(route.share(&twin.id).ok_or_else(unsaid)?);
            }
            let share = together(&shares);
            match sides.len() {
                // Traffic that goes to a twin where nobody stands is nobody's, and has to be seen.
                0 if share > Share::NONE => {
                    let nobody =
                        FleetId::new(format!("nobody-in-{}", twin.id)).map_err(|bad| bad.to_string())?;
                    seen.sides.insert(nobody, Side { share, targets: BTreeMap::new() });
                }
                0 => {}
                1 => {
                    for (fleet, side) in sides {
                        let other = seen.sides.insert(fleet.clone(), Side { share, ..side });
                        if other.is_some_and(|other| other.stands()) {
                            return Err(format!("`{fleet}` stands in both twins"));
                        }
                    }
                }
                _ => {
                    let fleets: Vec<_> = sides.keys().map(|fleet| format!("`{fleet}`")).collect();
                    return Err(format!("{} stand in the same twin, `{}`", fleets.join(" and "), twin.id));
                }
            }
        }
        Ok(seen)
    }

    /// The routes that lead to any of the groups, but for previews, which are nobody's traffic.
    fn routes(self, groups: &[&ServerGroup]) -> Result<Vec<&'a Route>, String> {
        let mut routes: Vec<&'a Route> = Vec::new();
        for group in groups {
            for route in self.survey.routes_of(group).map_err(ToString::to_string)? {
                if !route.preview && !routes.iter().any(|known| known.place == route.place) {
                    routes.push(route);
                }
            }
        }
        Ok(routes)
    }

    /// What can be said of a group without its sides.
    fn described(self, groups: &[&ServerGroup], sharing: Sharing) -> Result<GroupSeen, String> {
        let routes = self.routes(groups)?;
        // A rule of an ALB alone has weights.
        let whole = routes.iter().any(|route| !matches!(route.place, Place::Rule(_)));
        let steps = match sharing {
            Sharing::Weighed => Steps::Any,
            Sharing::Paired if !whole => Steps::Any,
            Sharing::Paired | Sharing::Shared | Sharing::Unproved => Steps::AllOrNothing,
        };
        Ok(GroupSeen {
            sharing,
            steps,
            routes: routes.into_iter().map(|route| route.name.clone()).collect(),
            deregistration_delay: groups.iter().map(|group| group.drain).max().unwrap_or(Span::ZERO),
            health_interval: groups.iter().map(|group| group.interval).max().unwrap_or(Span::ZERO),
            sides: BTreeMap::new(),
        })
    }

    fn servers(self, group: &ServerGroup) -> Result<&'a [Server], String> {
        match self.survey.servers(&group.id) {
            Some(Ok(servers)) => Ok(servers),
            Some(Err(fault)) => Err(fault.to_string()),
            None => Err("its servers were not read".to_owned()),
        }
    }

    /// Whose a server is. One that is nobody's stands for itself.
    fn side_of(self, server: &Server) -> Result<(FleetId, InstanceId), String> {
        if let Some(owner) = self.survey.owners.of_server(server) {
            return Ok(owner.clone());
        }
        let fleet = FleetId::new(server.name()).map_err(|bad| bad.to_string())?;
        Ok((fleet, InstanceId::new(server.name()).map_err(|bad| bad.to_string())?))
    }

    /// Who has which targets in a server group.
    fn sides(self, group: &ServerGroup) -> Result<BTreeMap<FleetId, Side>, String> {
        let servers = self.servers(group)?;
        let checks = match self.survey.checks(&group.id) {
            Some(Ok(checks)) => checks,
            Some(Err(fault)) => return Err(fault.to_string()),
            None => return Err("the health of its servers was not read".to_owned()),
        };
        let mut sides: BTreeMap<FleetId, Side> = BTreeMap::new();
        let key = |server: &Server| {
            let port = server.port.map_or_else(String::new, |port| format!(":{port}"));
            format!("{}{port}", server.name())
        };
        let well = servers.iter().map(|own| (key(own), judge(own, servers, checks).0 == Health::Healthy));
        let unjudged = self.memory.unjudged(&group.id, &well.collect(), group.verdict, self.survey.begun);
        for server in servers {
            // A pod that is gone drains on where it stood.
            let gone = server.is_leaving() && self.survey.owners.of_server(server).is_none();
            if gone && self.survey.fleets.by_address {
                continue;
            }
            let (fleet, instance) = self.side_of(server)?;
            let id = TargetId::new(format!("{}@{}", key(server), group.id));
            let (health, reason) = match judge(server, servers, checks) {
                (Health::Unhealthy, _) if unjudged.contains(&key(server)) => {
                    (Health::Initial, Some("it came just now".to_owned()))
                }
                judged => judged,
            };
            let target = TargetSeen { instance, health, reason };
            sides.entry(fleet).or_default().targets.insert(id.map_err(|bad| bad.to_string())?, target);
        }
        Ok(sides)
    }

    /// A fleet with any weight is never said to have nothing or, beside another, everything.
    fn by_weight(
        self,
        group: &ServerGroup,
        mut sides: BTreeMap<FleetId, Side>,
    ) -> Result<BTreeMap<FleetId, Side>, String> {
        let mut weights: BTreeMap<FleetId, u64> = BTreeMap::new();
        for server in self.servers(group)?.iter().filter(|server| server.takes()) {
            let (fleet, _) = self.side_of(server)?;
            *weights.entry(fleet).or_default() += u64::from(server.weight.unwrap_or(0));
        }
        let all = weights.values().sum::<u64>();
        for (fleet, side) in &mut sides {
            let own = weights.get(fleet).copied().unwrap_or(0);
            side.share = share_of(own, all - own);
        }
        Ok(sides)
    }

    fn fleet(self, id: &FleetId, now: &FleetNow) -> FleetSeen {
        let listed = now.seen.attached.iter().map(|own| self.group_of(own.as_str()));
        let scaling = self.survey.attached.get(id).into_iter().flat_map(|groups| groups.keys());
        let scaling = scaling.map(|own| self.group_of(own));
        // EDAS knows nothing of ALB and NLB: to be registered there is all the configuration that there is.
        let stays = |server: &Server| {
            !server.is_leaving() && self.survey.owners.of_server(server).is_some_and(|(fleet, _)| fleet == id)
        };
        let registered = self.survey.all_servers();
        let registered =
            registered.filter(|(_, servers)| servers.as_ref().is_ok_and(|all| all.iter().any(stays)));
        let registered = registered.map(|(own, _)| self.group_of(own));
        let attached = listed.chain(scaling).chain(registered).collect();
        // EDAS's rules and the scaling group have to stand still both.
        let scaling = match now.seen.scaling {
            _ if self.survey.stirring.contains(id) => Scaling::Active,
            Scaling::Fixed if self.survey.held.contains(id) => Scaling::Frozen,
            scaling => scaling,
        };
        FleetSeen { scaling, attached, ..now.seen.clone() }
    }
}

/// The share over all routes. They may differ while a shift is under way: nothing is nothing everywhere, and everything
/// is everything everywhere.
fn together(shares: &[Share]) -> Share {
    let least = shares.iter().min().copied().unwrap_or(Share::NONE);
    let most = shares.iter().max().copied().unwrap_or(Share::NONE);
    if least == Share::NONE && most > Share::NONE { Share::new(1).unwrap_or_default() } else { least }
}

fn unnamed() -> GroupId {
    GroupId::new("a-server-group-without-a-name").expect("this is a name")
}
