//! What need not be read every time, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{Rule, TargetGroup, TargetHealthDescription};

use super::api::Api;
use super::route::Route;
use super::survey::{Reader, Survey};
use crate::cloud::{Fault, clock};
use crate::model::{FleetId, Span, Time};

/// How long a target group that is none of ours may be remembered instead of read: only somebody else's hand can put an
/// instance of ours into it meanwhile, and a fleet is taken away on a reading without any memory.
pub(super) const OTHERS_FOR: Span = Span::secs(20);
/// How long settings of target groups are remembered.
pub(super) const SETTINGS_FOR: Span = Span::mins(5);
/// How many paces a settled target group may be remembered; never longer than its targets go unchecked.
const SETTLED_PACES: u64 = 5;
/// How old a reading of routes may be when they are changed.
const NOW: Span = Span::secs(1);
/// The oldest look that a change may go by; the machine itself takes none that is older.
const LAST_FOR: Span = Span::secs(30);

/// What need not be read every time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    inner: Mutex<Remembered>,
    /// The last look: changes are decided from it, and read only what it does not show.
    last: Mutex<Option<Arc<Survey>>>,
    /// The routes of each balancer, read moments ago: changes that are made together read them together.
    now: tokio::sync::Mutex<BTreeMap<String, (Time, Vec<Route>)>>,
}

/// What was read, and when.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    targets: BTreeMap<String, Kept>,
    pub rules: BTreeMap<String, (Time, Vec<Rule>)>,
    pub attributes: BTreeMap<String, (Time, BTreeMap<String, String>)>,
    pub sources: BTreeMap<String, (Time, Vec<TrafficSourceState>)>,
    /// The names of the Auto Scaling groups that say by their tag that they are the service's.
    pub tagged: Option<(Time, Vec<String>)>,
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
        let healthy = |target: &TargetHealthDescription| {
            let state = target.target_health().and_then(|health| health.state());
            state.is_some_and(|state| state.as_str() == "healthy")
        };
        let standing: BTreeSet<&str> =
            self.targets.iter().filter_map(|target| target.target()?.id()).collect();
        now.since(self.read_at) < most
            && self.targets.iter().all(healthy)
            && members.iter().all(|id| standing.contains(id))
    }
}

impl Memory {
    /// The last look, where it is fresh and shows the fleet.
    pub fn last(&self, fleet: &FleetId) -> Option<Arc<Survey>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let fresh = clock::now().since(last.begun) < LAST_FOR;
        (fresh && last.fleets.contains_key(fleet)).then_some(last)
    }

    /// Remembers a look.
    pub fn remember(&self, survey: &Arc<Survey>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(survey));
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
        let mut known = self.now.lock().await;
        let now = clock::now();
        known.retain(|_, (read_at, _)| now.since(*read_at) < NOW);
        let unread: BTreeSet<_> = balancers.iter().filter(|arn| !known.contains_key(*arn)).cloned().collect();
        let reader = Reader { api, memory: self, now, pace: Span::ZERO };
        for (balancer, routes) in reader.routes(&unread, ours).await {
            known.insert(balancer, (now, routes?));
        }
        let all =
            balancers.iter().filter_map(|arn| known.get(arn)).flat_map(|(_, routes)| routes.iter().cloned());
        Ok(all.collect())
    }

    /// A route was written: whoever changes one next reads them again.
    pub async fn routes_written(&self) {
        self.now.lock().await.clear();
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

    /// A fleet comes or goes by our hand.
    pub fn forget_fleets(&self) {
        self.inner().tagged = None;
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
