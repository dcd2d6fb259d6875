//! Routes send a fleet its share.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::api::alb;
use super::client::Product;
use super::health::{Checks, judge};
use super::kube;
use super::members;
use super::patience::Site;
use super::pools::{route_now, routes_now};
use super::route::{Place, Route};
use super::servers::{Family, ServerGroup};
use super::swap;
use super::traffic::{absent, deregister, listeners};
use super::twin::{Map, Standing};
use super::weights;
use crate::cloud::{Fault, FaultKind, clock};
use crate::model::{FleetId, GroupId, Health, Share};

/// Between two questions whether a rule has taken what was written.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// The group's routes send `share` to one fleet and the rest to the other.
///
/// # Errors
/// [`FaultKind::Invalid`] for a share that the group cannot take; [`FaultKind::Conflict`] where whoever would get more has
/// nobody healthy; the call's fault.
pub(super) async fn shift(
    site: Site<'_>,
    group: &GroupId,
    (to, from): (&FleetId, Option<&FleetId>),
    share: Share,
) -> Result<(), Fault> {
    let ends = share == Share::ALL || share == Share::NONE;
    if from.is_none() && !ends {
        return Err(invalid(format!("nobody is named for the other {} of `{group}`", share.rest())));
    }
    let map = Map::read(site, to, &[group.clone()].into()).await?;
    let standing = map.standing(group, to)?;
    // Without this an empty twin would get the traffic of somebody who is not there.
    if share > Share::NONE && map.fleet(to)?.is_none() {
        return Err(absent(to));
    }
    match standing {
        Standing::Shared(_) if !ends => {
            Err(invalid(format!("the share of `{group}` follows its members: {share} cannot be had")))
        }
        Standing::Shared(own) => {
            let (leaving, staying) = if share == Share::ALL { (from, Some(to)) } else { (Some(to), from) };
            let Some(leaving) = leaving else { return Ok(()) };
            if let Some(staying) = staying {
                refuse_nobody(&map, &own, staying)?;
            }
            deregister(site, leaving, &[group.clone()].into()).await
        }
        Standing::Weighed(own) => {
            // Whoever gets more has to be well there.
            let gains = map.survey.share(&own, to) < share;
            if let Some(gaining) = if gains { Some(to) } else { from } {
                refuse_nobody(&map, &own, gaining)?;
            }
            weights::shift(site, &map, &own, (to, from), share).await
        }
        Standing::Twins { own, other } if own.family != Family::Alb => {
            kube::stay(site, [&own, &other]).await?;
            let (gaining, gains) = if share == Share::ALL { (&own, Some(to)) } else { (&other, from) };
            if let (Some(fleet), true) = (gains, map.is_proved(group, [&own, &other])?) {
                refuse_nobody(&map, gaining, fleet)?;
            }
            swap::swap(site, group, (&own, &other), share).await
        }
        Standing::Twins { own, other } => {
            kube::stay(site, [&own, &other]).await?;
            let twins = Twins {
                site,
                map: &map,
                group,
                own: &own,
                other: &other,
                share,
                rest_is_ours: from.is_some(),
            };
            twins.shift(&listeners(&map, [&own, &other])?).await
        }
    }
}

/// Whoever is to have everything that a group gets has to be healthy there, by the last look.
fn refuse_nobody(map: &Map<'_>, group: &ServerGroup, staying: &FleetId) -> Result<(), Fault> {
    let servers = match map.survey.servers(&group.id) {
        Some(servers) => servers.as_ref().map_err(Clone::clone)?,
        None => return Err(nobody(&group.id)),
    };
    let checks = match map.survey.checks(&group.id) {
        Some(checks) => checks.as_ref().map_err(Clone::clone)?,
        None => return Err(nobody(&group.id)),
    };
    let owners = &map.survey.owners;
    let mut own = servers.iter().filter(|s| owners.of_server(s).is_some_and(|(owner, _)| owner == staying));
    let healthy = own.any(|server| judge(server, servers, checks).0 == Health::Healthy);
    if healthy { Ok(()) } else { Err(nobody(&group.id)) }
}

struct Twins<'a> {
    site: Site<'a>,
    map: &'a Map<'a>,
    group: &'a GroupId,
    /// Where the fleet stands that gets the share.
    own: &'a ServerGroup,
    other: &'a ServerGroup,
    share: Share,
    /// Whether a fleet gets the rest, and not nobody.
    rest_is_ours: bool,
}

impl Twins<'_> {
    async fn shift(&self, listeners: &BTreeSet<String>) -> Result<(), Fault> {
        let ids = [self.own.id.as_str(), self.other.id.as_str()];
        let mut routes = routes_now(self.site.client, listeners).await?;
        routes.retain(|route| !route.preview && ids.iter().any(|id| route.names(id)));
        if routes.is_empty() {
            let message = format!(
                "no listener or rule leads to `{}`: put one of its server groups behind a listener",
                self.group
            );
            return Err(invalid(message));
        }
        self.refuse(&routes)?;
        let changed: Vec<&Route> =
            routes.iter().filter(|route| !route.settled || route.share(ids[0]) != Some(self.share)).collect();
        self.refuse_nobody(&changed, listeners).await?;
        for route in changed {
            let _alone = self.site.client.turns().alone(&route.listener).await;
            let now = self.settled(route).await?;
            if now.share(ids[0]) != Some(self.share) {
                self.write(&now).await?;
            }
        }
        Ok(())
    }

    /// What the routes cannot do.
    fn refuse(&self, routes: &[Route]) -> Result<(), Fault> {
        let ends = self.share == Share::ALL || self.share == Share::NONE;
        let whole = routes.iter().find(|route| matches!(route.place, Place::Default(_)));
        if let Some(route) = whole.filter(|_| !ends) {
            let message =
                format!("the default action of {} has no weights: {} cannot be had", route.name, self.share);
            return Err(invalid(message));
        }
        // Whoever gives everything up can do so whatever stands beside: nothing may keep the traffic on a sick fleet.
        if self.share == Share::NONE {
            return Ok(());
        }
        for route in routes {
            let others = route.beside([&self.own.id, &self.other.id]);
            if !others.is_empty() {
                let others: Vec<_> = others.into_iter().map(|id| format!("`{id}`")).collect();
                let message = format!(
                    "{} sends traffic of `{}` to {} as well: take it out, or declare it",
                    route.name,
                    self.group,
                    others.join(", ")
                );
                return Err(invalid(message));
            }
        }
        Ok(())
    }

    /// Nobody gets more who has nobody healthy.
    async fn refuse_nobody(&self, changed: &[&Route], listeners: &BTreeSet<String>) -> Result<(), Fault> {
        let gains = |route: &&Route| route.share(&self.own.id).is_none_or(|share| share < self.share);
        let loses = |route: &&Route| route.share(&self.own.id).is_none_or(|share| share > self.share);
        if changed.iter().any(gains) && !self.is_well(self.own, listeners).await? {
            return Err(nobody(&self.own.id));
        }
        if self.rest_is_ours && changed.iter().any(loses) && !self.is_well(self.other, listeners).await? {
            return Err(nobody(&self.other.id));
        }
        Ok(())
    }

    /// Whether anybody is healthy in a twin now, or was in the look that has just been taken.
    async fn is_well(&self, twin: &ServerGroup, listeners: &BTreeSet<String>) -> Result<bool, Fault> {
        let survey = &self.map.survey;
        if self.map.is_new()
            && let (Some(Ok(servers)), Some(Ok(checks))) = (survey.servers(&twin.id), survey.checks(&twin.id))
        {
            return Ok(servers.iter().any(|server| judge(server, servers, checks).0 == Health::Healthy));
        }
        let servers = members::standing(self.site.client, twin).await?;
        let mut reports = Vec::new();
        for listener in listeners {
            let said = alb::health(self.site.client, listener).await?;
            let infos = said.into_iter().flat_map(|status| status.server_group_infos);
            reports.extend(infos.filter(|report| report.server_group_id == twin.id));
        }
        let checks = Checks::NotWell(reports);
        Ok(servers.iter().any(|server| judge(server, &servers, &checks).0 == Health::Healthy))
    }

    /// The route as it is once nobody is changing it.
    async fn settled(&self, route: &Route) -> Result<Route, Fault> {
        let begun = clock::now();
        let mut now = route.clone();
        while !now.settled {
            if clock::now().since(begun) >= self.site.home.spec.call_timeout {
                let message = format!("{} is being changed, and does not come to rest", route.name);
                return Err(Fault::new(FaultKind::Conflict, "ListRules", message).ambiguous());
            }
            sleep(PAUSE).await;
            let read = route_now(self.site.client, route).await?;
            let gone = || Fault::new(FaultKind::Missing, "ListRules", format!("{} is gone", route.name));
            now = read.ok_or_else(gone)?;
        }
        Ok(now)
    }

    /// Writes the whole route, waits until it has taken it, and checks what it is then.
    async fn write(&self, route: &Route) -> Result<(), Fault> {
        let (client, token) = (self.site.client, self.site.token);
        let ids = [self.own.id.as_str(), self.other.id.as_str()];
        let job = match &route.place {
            Place::Rule(rule) => {
                let actions = route.shifted(ids, self.share);
                self.site.patiently(|| alb::update_rule(client, rule, &actions, token)).await?
            }
            Place::Default(listener) => {
                let group = if self.share == Share::ALL { ids[0] } else { ids[1] };
                self.site.patiently(|| alb::update_listener(client, listener, group, token)).await?
            }
            Place::Network(_) | Place::Classic { .. } | Place::ClassicRule(_) => {
                return Err(invalid(format!("{} cannot be changed", route.name)));
            }
        };
        self.site.done(Product::Alb, job).await?;
        let read = route_now(client, route).await.map_err(Fault::ambiguous)?;
        let now = self.settled(&read.unwrap_or_else(|| route.clone())).await?;
        if now.share(ids[0]) == Some(self.share) {
            return Ok(());
        }
        let seen = now.share(ids[0]).map_or_else(|| "nothing".to_owned(), |share| share.to_string());
        let message = format!("{} was to send {} to `{}` and says {seen}", route.name, self.share, ids[0]);
        Err(Fault::new(FaultKind::Conflict, "ListRules", message).ambiguous())
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(FaultKind::Invalid, "UpdateRuleAttribute", message)
}

fn nobody(id: &str) -> Fault {
    let message = format!("nobody is healthy in `{id}`: it gets no traffic");
    Fault::new(FaultKind::Conflict, "GetListenerHealthStatus", message)
}
