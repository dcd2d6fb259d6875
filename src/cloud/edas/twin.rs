//! Which server group a fleet stands in, or is to stand in.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::api::pool::Server;
use super::fleets::{FleetNow, Member};
use super::home::Home;
use super::members;
use super::patience::Site;
use super::route::Route;
use super::servers::ServerGroup;
use super::survey::{Survey, product_of};
use super::traffic::absent;
use crate::cloud::{Fault, FaultKind, Scope, clock};
use crate::model::{FleetId, GroupId, InstanceId, InstanceState, Seen, Share, Span};
use crate::spec::{EdasGroup, EdasServers, ShareBy};

/// How old a reading may be that is made again before a change.
const NOW: Span = Span::secs(2);

/// A group with the server groups behind it.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// One for both fleets.
    Shared(ServerGroup),
    /// One for both fleets, in which weights make the share.
    Weighed(ServerGroup),
    /// The fleet's own, and the other fleet's.
    Twins {
        /// Where the fleet stands or is to stand.
        own: ServerGroup,
        /// The sibling.
        other: ServerGroup,
    },
}

/// Whether a twin that carries nothing is checked all the same, by rules of its own: on a CLB where everything that leads to
/// the twins takes requests, unless the file accepts less; on an NLB nowhere.
pub(super) fn is_proved(declared: &EdasGroup, leading: &[&Route]) -> bool {
    match &declared.servers {
        EdasServers::AlbTwins(_) => true,
        EdasServers::ClbTwins(_) if !declared.accepts_unproved => {
            !leading.is_empty() && leading.iter().all(|route| route.takes_requests())
        }
        _ => false,
    }
}

/// The world as a change needs to see it.
pub(super) struct Map<'a> {
    home: &'a Home,
    pub survey: Arc<Survey>,
}

impl<'a> Map<'a> {
    /// Where everybody stands, by the last look or by a new one.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn read(site: Site<'a>, fleet: &FleetId, groups: &BTreeSet<GroupId>) -> Result<Self, Fault> {
        let home = site.home;
        if let Some(survey) = site.memory.last(fleet) {
            return Ok(Self { home, survey });
        }
        let scope =
            Scope { service: home.service.clone(), groups: groups.clone(), fleets: [fleet.clone()].into() };
        let survey = Box::pin(Survey::read(site.client, home, site.memory, &scope)).await?;
        Ok(Self { home, survey: Arc::new(survey) })
    }

    /// Whether it has been read just now, so that reading it again would show the same.
    pub fn is_new(&self) -> bool {
        clock::now().since(self.survey.begun) < NOW
    }

    /// Who stands in a server group now.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn servers_now(&self, site: Site<'_>, group: &ServerGroup) -> Result<Vec<Server>, Fault> {
        match self.survey.servers(&group.id) {
            Some(Ok(servers)) if self.is_new() => Ok(servers.clone()),
            _ => members::standing(site.client, group).await,
        }
    }

    /// The fleet; none where it does not exist.
    ///
    /// # Errors
    /// [`FaultKind::Conflict`] for one that could not be read.
    pub fn fleet(&self, id: &FleetId) -> Result<Option<&FleetNow>, Fault> {
        match self.survey.fleets.all.get(id) {
            None => Ok(None),
            Some(Seen::Known(now)) => Ok(Some(now)),
            Some(Seen::Unknown(why)) => {
                let message = format!("the fleet `{id}` could not be read: {why}");
                Err(Fault::new(FaultKind::Conflict, "QueryApplicationStatus", message))
            }
        }
    }

    /// Where the fleet stands in a group, or is to stand.
    ///
    /// # Errors
    /// [`FaultKind::Missing`] for a group that does not exist; [`FaultKind::Conflict`] where no twin is free; what kept
    /// the group from being read.
    pub fn standing(&self, id: &GroupId, fleet: &FleetId) -> Result<Standing, Fault> {
        let Some(declared) = self.home.spec.groups.get(id) else {
            return self.existing(id.as_str()).map(Standing::Shared);
        };
        if let Some(fault) = self.survey.broken(product_of(&declared.servers)) {
            return Err(fault.clone());
        }
        match &declared.servers {
            EdasServers::Alb(own) | EdasServers::Nlb(own) | EdasServers::Clb(own) => {
                self.existing(own).map(match declared.by {
                    ShareBy::Membership => Standing::Shared,
                    ShareBy::Weights => Standing::Weighed,
                })
            }
            EdasServers::AlbTwins(twins) | EdasServers::NlbTwins(twins) | EdasServers::ClbTwins(twins)
                if self.home.kubernetes().is_some() =>
            {
                let place = self.home.kubernetes().and_then(|own| own.place_of(fleet.as_str()));
                let place = place.ok_or_else(|| absent(fleet))?;
                let (own, other) = (self.existing(&twins[place])?, self.existing(&twins[1 - place])?);
                Ok(Standing::Twins { own, other })
            }
            EdasServers::AlbTwins([first, second])
            | EdasServers::NlbTwins([first, second])
            | EdasServers::ClbTwins([first, second]) => {
                let (first, second) = (self.existing(first)?, self.existing(second)?);
                let (one, two) = (self.held_by(&first)?, self.held_by(&second)?);
                match (one.contains(fleet), two.contains(fleet)) {
                    (true, false) => Ok(Standing::Twins { own: first, other: second }),
                    (false, true) => Ok(Standing::Twins { own: second, other: first }),
                    (false, false) if two.is_empty() && !one.is_empty() => {
                        Ok(Standing::Twins { own: second, other: first })
                    }
                    (false, false) if one.is_empty() => self.free(first, second, !two.is_empty()),
                    (true, true) => Err(conflict(format!("`{fleet}` stands in both twins of `{id}`"))),
                    (false, false) => {
                        Err(conflict(format!("both twins of `{id}` are taken by other fleets")))
                    }
                }
            }
        }
    }

    /// Where nobody stands in the first: that one, unless traffic goes to it and not to the second.
    fn free(&self, first: ServerGroup, second: ServerGroup, taken: bool) -> Result<Standing, Fault> {
        let carries = |twin: &ServerGroup| -> Result<bool, Fault> {
            let routes = self.leading(&[twin])?;
            Ok(routes.iter().any(|route| route.share(&twin.id) != Some(Share::NONE)))
        };
        if carries(&first)? && !carries(&second)? && !taken {
            // An empty first that still has the traffic is what the last fleet left; the next one may not be given it
            // before it is healthy.
            return Ok(Standing::Twins { own: second, other: first });
        }
        Ok(Standing::Twins { own: first, other: second })
    }

    /// The routes with somebody's traffic that lead to any of these.
    ///
    /// # Errors
    /// What kept them from being read.
    pub fn leading(&self, groups: &[&ServerGroup]) -> Result<Vec<&Route>, Fault> {
        let mut found: Vec<&Route> = Vec::new();
        for group in groups {
            let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
            found.extend(routes.into_iter().filter(|route| !route.preview));
        }
        Ok(found)
    }

    /// Whether the twins of a group are checked though they carry nothing.
    ///
    /// # Errors
    /// What kept its routes from being read.
    pub fn is_proved(&self, id: &GroupId, twins: [&ServerGroup; 2]) -> Result<bool, Fault> {
        let leading = self.leading(&twins)?;
        Ok(self.home.spec.groups.get(id).is_some_and(|declared| is_proved(declared, &leading)))
    }

    /// Whether nothing of a group is left.
    pub fn gone(&self, id: &GroupId) -> bool {
        match self.home.spec.groups.get(id) {
            Some(declared) => {
                self.survey.broken(product_of(&declared.servers)).is_none()
                    && declared.servers.ids().iter().all(|own| self.survey.group(own).is_none())
            }
            None => self.survey.group(id.as_str()).is_none() && self.survey.servers(id.as_str()).is_none(),
        }
    }

    /// The port on which an instance serves a group.
    pub fn port(&self, id: &GroupId, group: &ServerGroup) -> Result<u16, Fault> {
        if let Some(declared) = self.home.spec.groups.get(id) {
            return Ok(declared.port);
        }
        // Nobody declared it: as those who stand there.
        let servers = self.survey.servers(&group.id).and_then(|servers| servers.as_ref().ok());
        let ports: BTreeSet<u32> = servers.into_iter().flatten().filter_map(|server| server.port).collect();
        match ports.iter().copied().collect::<Vec<_>>().as_slice() {
            [] => Ok(0),
            [port] => Ok(u16::try_from(*port).unwrap_or(0)),
            _ => {
                let message = format!("the servers of `{id}` have several ports: declare it, with the port");
                Err(Fault::new(FaultKind::Invalid, "ListServerGroupServers", message))
            }
        }
    }

    /// The fleets that have a server in a twin, or are attached to it. One that could not be read is not free.
    fn held_by(&self, twin: &ServerGroup) -> Result<BTreeSet<FleetId>, Fault> {
        let servers = match self.survey.servers(&twin.id) {
            Some(servers) => servers.as_ref().map_err(Clone::clone)?,
            None => return Err(missing(&twin.id)),
        };
        let owners = &self.survey.owners;
        let standing = servers.iter().filter_map(|server| Some(owners.of_server(server)?.0.clone()));
        let attached = self.survey.attached.iter().filter(|(_, groups)| groups.contains_key(&twin.id));
        Ok(standing.chain(attached.map(|(fleet, _)| fleet.clone())).collect())
    }

    fn existing(&self, id: &str) -> Result<ServerGroup, Fault> {
        // What could not be read now is not missing.
        let absent = || if self.survey.is_all() { missing(id) } else { unread(id) };
        self.survey.group(id).cloned().ok_or_else(absent)
    }
}

impl FleetNow {
    /// Its instances that run.
    pub fn running(&self) -> Vec<(&InstanceId, &Member)> {
        self.members.iter().filter(|(_, member)| member.state == InstanceState::Running).collect()
    }
}

fn missing(id: &str) -> Fault {
    Fault::new(FaultKind::Missing, "ListServerGroups", format!("server group `{id}` does not exist"))
}

fn unread(id: &str) -> Fault {
    conflict(format!("server group `{id}` is not among what could be read"))
}

fn conflict(message: String) -> Fault {
    Fault::new(FaultKind::Conflict, "ListServerGroupServers", message)
}
