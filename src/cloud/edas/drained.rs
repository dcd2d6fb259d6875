//! Twins that were left, and how long whoever left keeps the connections that are open.
//!
//! A CLB drains by the settings of what leads to a server group, and after a switch nothing leads to the one that is left:
//! taken out at once, its servers would be cut off. So the longer drain of both twins counts, from the moment at which the
//! fleet was to leave. That moment is remembered here alone: whoever takes over gives another whole drain, which is safe.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::home::Home;
use super::patience::Site;
use super::route::Route;
use super::servers::{Family, Owners, ServerGroup, Shelf};
use super::traffic::leave_one;
use super::twin::Map;
use crate::cloud::{Fault, clock};
use crate::model::{FleetId, Share, Span, Time};
use crate::spec::EdasServers;

/// Since when nobody uses a twin, by its id.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<BTreeMap<String, Time>>);

impl Left {
    /// Since when, from now on at the latest.
    pub fn since(&self, twin: &str, now: Time) -> Time {
        *self.inner().entry(twin.to_owned()).or_insert(now)
    }

    /// Since when, where that is known.
    pub fn known(&self, twin: &str) -> Option<Time> {
        self.inner().get(twin).copied()
    }

    /// Nobody ever stood in it: whoever comes has no connections.
    pub fn never(&self, twin: &str) {
        self.inner().insert(twin.to_owned(), Time(0));
    }

    /// It is in use.
    pub fn used(&self, twin: &str) {
        self.inner().remove(twin);
    }

    /// The same for a look that remembers nothing else.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.inner().clone()))
    }

    fn inner(&self) -> MutexGuard<'_, BTreeMap<String, Time>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long whoever leaves one of two twins keeps open connections. Where a drain is off, or where there is none as in
/// front of a CLB's requests, what is under way gets as long as one call of ours.
pub(super) fn longest<'a>(home: &Home, twins: impl Iterator<Item = &'a ServerGroup>) -> Span {
    let one = |group: &ServerGroup| {
        if group.cuts { group.drain.max(home.spec.call_timeout) } else { group.drain }
    };
    twins.map(one).max().unwrap_or(Span::ZERO)
}

/// Whether a route may send anything to a server group.
pub(super) fn carries(route: &Route, id: &str) -> bool {
    !route.settled || route.share(id) != Some(Share::NONE)
}

/// Counts the servers of a fleet that is leaving a twin of a CLB as draining, until its drain is over.
pub(super) fn settle(home: &Home, left: &Left, shelf: &mut Shelf, owners: &Owners, now: Time) {
    let Some(Ok(routes)) = &shelf.routes else { return };
    for declared in home.spec.groups.values() {
        let EdasServers::ClbTwins(twins) = &declared.servers else { continue };
        let drain = longest(home, twins.iter().filter_map(|id| shelf.groups.get(id)));
        for id in twins {
            if let Some(group) = shelf.groups.get_mut(id) {
                group.drain = drain;
            }
            if routes.iter().any(|route| !route.preview && route.names(id) && carries(route, id)) {
                left.used(id);
                continue;
            }
            let drains = left.known(id).is_some_and(|since| now < since + drain);
            let Some(Ok(servers)) = shelf.servers.get_mut(id).filter(|_| drains) else { continue };
            for server in servers.iter_mut().filter(|server| owners.of_server(server).is_some()) {
                server.status = Some("Removing".to_owned());
            }
        }
    }
}

/// The fleet's servers leave a twin: once its drain is over, where its balancer gives none to whom nothing leads to.
///
/// # Errors
/// The first fault.
pub(super) async fn leave(
    site: Site<'_>,
    map: &Map<'_>,
    fleet: &FleetId,
    (own, other): (&ServerGroup, &ServerGroup),
) -> Result<(), Fault> {
    let left = &site.memory.left;
    if own.family != Family::Classic || map.leading(&[own])?.iter().any(|route| carries(route, &own.id)) {
        return leave_one(site, map, fleet, own).await;
    }
    let (now, drain) = (clock::now(), longest(site.home, [own, other].into_iter()));
    if now < left.since(&own.id, now) + drain {
        return Ok(()); // The look shows it draining, and it is asked to leave once more after that.
    }
    leave_one(site, map, fleet, &ServerGroup { cuts: false, ..own.clone() }).await?;
    left.used(&own.id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_left_once_and_anew_after_it_was_used() {
        let left = Left::default();
        assert_eq!(left.known("rsp-1"), None);
        assert_eq!([left.since("rsp-1", Time(5)), left.since("rsp-1", Time(9))], [Time(5); 2]);
        assert_eq!(left.copy().known("rsp-1"), Some(Time(5)));
        left.used("rsp-1");
        assert_eq!(left.since("rsp-1", Time(9)), Time(9));
        left.never("rsp-2");
        assert_eq!(left.since("rsp-2", Time(9)), Time(0));
    }
}
