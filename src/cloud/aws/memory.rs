//! What need not be read every time, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{Listener, Rule, TargetGroup, TargetHealthDescription};

use super::api::Api;
use super::ec2::Instance;
use super::reader::{Ahead, Fleets, Groups, Reader};
use super::route::{Place, Route};
use super::survey::Survey;
use crate::cloud::{Fault, Leeway, clock};
use crate::model::{FleetId, Span, Time};

/// How long a target group that is none of ours may be remembered instead of read: only somebody else's hand can put an
/// instance of ours into it meanwhile, and a fleet is taken away on a reading without any memory.
pub(super) const OTHERS_FOR: Span = Span::secs(20);
/// How long a target that was healthy is taken to be so where nothing is decided by it.
pub(super) const WELL_FOR: Span = Span::secs(60);
/// How long settings of target groups are remembered.
pub(super) const SETTINGS_FOR: Span = Span::mins(5);
/// How many paces a settled target group may be remembered; never longer than its targets go unchecked.
const SETTLED_PACES: u64 = 5;
/// How old a reading of routes may be when they are changed.
const NOW: Span = Span::secs(1);
/// The oldest look that a change may go by; the machine itself takes none that is older. Where one takes long it may be so
/// many times as old.
const LAST_FOR: Span = Span::secs(30);
pub(super) const SWEEPS_FRESH: u64 = 3;

/// What need not be read every time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    inner: Mutex<Remembered>,
    /// The last look, and how old it may be: changes are decided from it, and read only what it does not show.
    last: Mutex<Option<(Arc<Survey>, Span)>>,
    /// Changes that are made together read the routes together.
    routes: tokio::sync::Mutex<()>,
}

/// What was read, and when.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    targets: BTreeMap<String, Kept>,
    /// Every target group of the region.
    pub groups: Option<(Time, Groups)>,
    /// The instances of the fleets.
    pub instances: Option<(Time, BTreeMap<String, Instance>)>,
    /// By balancer.
    pub listeners: BTreeMap<String, (Time, Vec<Listener>)>,
    pub rules: BTreeMap<String, (Time, Vec<Rule>)>,
    /// The routes of each balancer, as they were read or written moments ago.
    pub routes: BTreeMap<String, (Time, Vec<Route>)>,
    /// Those of them that were changed since.
    pub written: BTreeSet<Place>,
    pub attributes: BTreeMap<String, (Time, BTreeMap<String, String>)>,
    pub sources: BTreeMap<String, (Time, Vec<TrafficSourceState>)>,
    /// The names of the Auto Scaling groups that say by their tag that they are the service's.
    pub tagged: Option<(Time, Vec<String>)>,
    /// The Auto Scaling groups of the fleets, unless one of us has changed any since.
    pub fleets: Option<(Time, Fleets)>,
}

/// The targets of one target group.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub read_at: Time,
    pub targets: Vec<TargetHealthDescription>,
}

impl Kept {
    /// Whether reading it again would say the same: every member of the fleets that are attached stands in it, every target
    /// is healthy, and its health was checked at most once since. What has to change is read every time.
    pub fn is_settled(&self, now: Time, pace: Span, group: &TargetGroup, members: &BTreeSet<&str>) -> bool {
        let interval = group.health_check_interval_seconds().and_then(|secs| u64::try_from(secs).ok());
        let most = Span(pace.0 * SETTLED_PACES).min(Span::secs(interval.unwrap_or(0)));
        now.since(self.read_at) < most && self.is_well(members)
    }

    /// Whether every target was healthy and every member stood in it.
    pub fn is_well(&self, members: &BTreeSet<&str>) -> bool {
        let healthy = |target: &TargetHealthDescription| {
            let state = target.target_health().and_then(|health| health.state());
            state.is_some_and(|state| state.as_str() == "healthy")
        };
        let standing: BTreeSet<&str> =
            self.targets.iter().filter_map(|target| target.target()?.id()).collect();
        self.targets.iter().all(healthy) && members.iter().all(|id| standing.contains(id))
    }
}

impl Memory {
    /// The last look, where it is fresh and shows the fleet.
    pub fn last(&self, fleet: &FleetId) -> Option<Arc<Survey>> {
        self.surroundings().filter(|last| last.fleets.contains_key(fleet))
    }

    /// The last look, where it is fresh.
    pub fn surroundings(&self) -> Option<Arc<Survey>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|(last, good_for)| clock::now().since(last.begun) < *good_for).map(|(last, _)| last)
    }

    /// The last look, however old: what the next one will need is mostly what this one needed.
    pub fn guess(&self) -> Option<Arc<Survey>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(last, _)| Arc::clone(last))
    }

    /// Remembers a look, of which the targets alone take so long to read.
    pub fn remember(&self, survey: &Arc<Survey>, sweep: Span) {
        let good_for = LAST_FOR.max(Span(sweep.0 * SWEEPS_FRESH));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(survey), good_for));
    }

    /// The routes of these balancers as they are now.
    ///
    /// # Errors
    /// The first fault: a route that is not known cannot be changed.
    pub async fn routes_now(
        &self,
        api: &Api,
        balancers: &BTreeSet<String>,
        ours: &BTreeSet<String>,
    ) -> Result<Vec<Route>, Fault> {
        let _together = self.routes.lock().await;
        let (now, leeway) = (clock::now(), Leeway::default());
        let known = |arn: &String| {
            let same = |route: &Route, memory: &Remembered| {
                !(memory.written.contains(&route.place) && ours.iter().any(|arn| route.names(arn)))
            };
            self.recall(now, NOW, |memory| {
                memory.routes.get(arn).filter(|(_, routes)| routes.iter().all(|route| same(route, memory)))
            })
        };
        let unread: BTreeSet<_> = balancers.iter().filter(|arn| known(arn).is_none()).cloned().collect();
        let ahead = Ahead::default();
        let (pace, others_for) = (Span::ZERO, OTHERS_FOR);
        let reader = Reader { api, memory: self, now, pace, leeway: &leeway, others_for, ahead };
        let mut all = reader.routes(&unread, ours).await;
        all.extend(balancers.iter().filter_map(|arn| Some((arn.clone(), Ok(known(arn)?)))));
        let all: Vec<_> = all.into_values().collect::<Result<_, _>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// A route is written: nobody may go by what was read of it before. Whoever changes another one meanwhile may.
    pub fn route_written(&self, place: &Place) {
        let mut memory = self.inner();
        for (read_at, _) in memory.listeners.values_mut() {
            *read_at = Time::default(); // Which ones there are is still a good guess.
        }
        if matches!(place, Place::Rule(_)) {
            memory.rules.clear();
        }
        memory.written.insert(place.clone());
    }

    /// The routes of a balancer were read.
    pub fn keep_routes(&self, balancer: String, read_at: Time, routes: &[Route]) {
        let mut memory = self.inner();
        for route in routes {
            memory.written.remove(&route.place);
        }
        memory.routes.insert(balancer, (read_at, routes.to_vec()));
    }

    /// The listeners that a balancer last had, however long ago, and whatever was changed in them since.
    pub fn last_listeners(&self, balancer: &str) -> Vec<Listener> {
        self.inner().listeners.get(balancer).map(|(_, listeners)| listeners.clone()).unwrap_or_default()
    }

    /// What is remembered of a target group.
    pub fn kept(&self, arn: &str) -> Option<Kept> {
        self.inner().targets.get(arn).cloned()
    }

    pub fn keep_targets(&self, arn: &str, read_at: Time, targets: &[TargetHealthDescription]) {
        self.inner().targets.insert(arn.to_owned(), Kept { read_at, targets: targets.to_vec() });
    }

    /// Targets came or went by our hand.
    pub fn forget_targets(&self, arn: &str) {
        self.inner().targets.remove(arn);
    }

    /// The traffic sources of a group change by our hand.
    pub fn forget_sources(&self, group: &AutoScalingGroup) {
        self.inner().sources.remove(group.auto_scaling_group_name().unwrap_or_default());
    }

    /// Fleets are changed by our hand, whoever stood where and what scales them.
    pub fn fleets_changed(&self) {
        self.inner().fleets = None;
    }

    /// A fleet of this group has come by our hand: the next search of the tags would find it.
    pub fn fleet_made(&self, group: &str) {
        if let Some((_, names)) = &mut self.inner().tagged {
            names.push(group.to_owned());
        }
    }

    /// A fleet may have come by our hand.
    pub fn forget_fleets(&self) {
        self.inner().tagged = None;
    }

    /// Target groups come to be, or come behind a balancer, by our hand.
    pub fn forget_groups(&self) {
        self.inner().groups = None;
    }

    /// What was read at most so long ago.
    pub fn recall<T: Clone>(
        &self,
        now: Time,
        at_most: Span,
        find: impl FnOnce(&Remembered) -> Option<&(Time, T)>,
    ) -> Option<T> {
        let memory = self.inner();
        let (read_at, value) = find(&memory)?;
        (now.since(*read_at) < at_most).then(|| value.clone())
    }

    pub fn keep<T>(&self, now: Time, put: impl FnOnce(&mut Remembered, Time) -> T) {
        put(&mut self.inner(), now);
    }

    fn inner(&self) -> MutexGuard<'_, Remembered> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_that_we_made_is_read_by_its_name_and_one_that_we_may_have_made_is_searched_for() {
        let memory = Memory::default();
        memory.fleet_made("api-v002");
        assert!(memory.inner().tagged.is_none(), "nothing was searched before");
        memory.keep(Time(1), |memory, at| memory.tagged = Some((at, vec!["api".to_owned()])));
        memory.fleet_made("api-v002");
        assert_eq!(memory.inner().tagged, Some((Time(1), vec!["api".to_owned(), "api-v002".to_owned()])));
        memory.forget_fleets();
        assert!(memory.inner().tagged.is_none());
    }
}
