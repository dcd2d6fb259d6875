//! What is not read of an application with every look: what EDAS binds to it, its tags and scaling rules, and what is told
//! of its change orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::api::edas::{self, Application, ChangeOrder, DeployGroup, ScalingRule, Tag};
use super::client::Client;
use super::freeze;
use super::home::Ecs;
use super::orders;
use crate::cloud::{Fault, Leeway, clock};
use crate::model::{Scaling, Span, Time};

/// How long settings are remembered that only somebody else's hand changes, and where nothing is decided by them.
const SETTINGS_FOR: Span = Span::secs(60);
const SETTINGS_FOR_LONG: Span = Span::mins(5);
/// After how long EDAS is asked once more why a change order went wrong, where it did not answer: as often as its clients look
/// how far one is.
const ASKED_AGAIN: Span = Span::secs(5);

/// What is not read with every look.
#[derive(Debug, Default)]
pub(super) struct Settings {
    kept: Mutex<Option<(Time, Kept)>>,
    /// Whether a look in a hurry went without them.
    spared: AtomicBool,
    /// What was last told of the change orders that run, by their fleets.
    told: Mutex<BTreeMap<String, String>>,
    /// Why change orders do not do what they should, by their ids and statuses.
    reasons: Mutex<BTreeMap<(String, i64), Reason>>,
}

/// Why a change order went wrong.
#[derive(Debug)]
enum Reason {
    /// In EDAS's words: they change no more.
    Heard(String),
    /// EDAS, asked at this time, did not answer.
    Unheard(Time),
}

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub application: Application,
    tags: Vec<Tag>,
    /// By the deploy group's id.
    rules: BTreeMap<String, Vec<ScalingRule>>,
}

impl Kept {
    /// Whether a deploy group can change its size by itself.
    pub fn scaling(&self, group: &str) -> Scaling {
        let rules = self.rules.get(group).map_or(&[][..], Vec::as_slice);
        freeze::scaling(rules, &self.tags, group)
    }
}

impl Settings {
    /// Whoever changes them, or needs them afresh, forgets them first.
    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why a change order went wrong: asked for until EDAS has said so, and not while traffic waits.
    pub async fn why(&self, client: &Client, order: &ChangeOrder, leeway: &Leeway) -> String {
        // One that waits for somebody ends some day as well.
        let (state, now) = ((order.change_order_id.clone(), order.status), clock::now());
        match self.reasons().get(&state) {
            Some(Reason::Heard(reason)) => return reason.clone(),
            Some(Reason::Unheard(asked_at)) if now.since(*asked_at) < ASKED_AGAIN => {
                return orders::end(order);
            }
            Some(Reason::Unheard(_)) | None => {}
        }
        if leeway.urgent {
            return orders::end(order);
        }
        let reason = orders::reason(client, order).await;
        let kept = reason.as_ref().map_or(Reason::Unheard(now), |reason| Reason::Heard(reason.clone()));
        self.reasons().insert(state, kept);
        reason.unwrap_or_else(|_| orders::end(order))
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<(String, i64), Reason>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells people how far a change order is, whenever that has changed.
    pub async fn tell(&self, client: &Client, fleet: &str, order: &ChangeOrder) {
        // Nobody decides anything by it, so nobody asks where nobody reads it.
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let kind = order.co_type.as_deref().unwrap_or("change order");
        let begun = format!("EDAS {kind} {} of `{fleet}`", order.change_order_id);
        let far = orders::far(client, order).await;
        let news = if far.is_empty() { begun.clone() } else { format!("{begun}: {far}") };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.entry(fleet.to_owned()).or_default();
        // What cannot be read just now is no news of what was told already.
        if *last == news || far.is_empty() && last.starts_with(&begun) {
            return;
        }
        *last = news;
        tracing::info!("{last}");
    }

    /// Those that a look needs; none, and why, where it has none.
    pub async fn of(
        &self,
        client: &Client,
        service: Ecs<'_>,
        groups: &[&DeployGroup],
        leeway: &Leeway,
    ) -> Result<(Option<Kept>, BTreeSet<String>), Fault> {
        if leeway.urgent {
            return Ok(match self.hurried(client, service, groups).await {
                Ok(kept) => (Some(kept), BTreeSet::new()),
                Err(why) => {
                    (None, BTreeSet::from([format!("the bindings and scaling rules of EDAS: {why}")]))
                }
            });
        }
        let at_most = if leeway.surroundings { SETTINGS_FOR_LONG } else { SETTINGS_FOR };
        Ok((Some(self.read(client, service, groups, at_most).await?), BTreeSet::new()))
    }

    /// Those that are known well enough.
    fn known(&self, groups: &[&DeployGroup], at_most: Span) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (_, kept) = kept.filter(|(at, _)| clock::now().since(*at) < at_most)?;
        groups.iter().all(|group| kept.rules.contains_key(&group.group_id)).then_some(kept)
    }

    /// Those that a look in a hurry has, or why it has none. No traffic goes back by them, EDAS may be asked for them least
    /// often of all, and what is not known lets no rollout end: so they are asked for once traffic had its chance, and a
    /// refusal then is not the look's.
    async fn hurried(
        &self,
        client: &Client,
        service: Ecs<'_>,
        groups: &[&DeployGroup],
    ) -> Result<Kept, String> {
        if let Some(kept) = self.known(groups, SETTINGS_FOR_LONG) {
            return Ok(kept);
        }
        if !self.spared.swap(true, Ordering::Relaxed) {
            return Err("not asked for yet, while traffic waits".to_owned());
        }
        self.read(client, service, groups, SETTINGS_FOR).await.map_err(|fault| fault.to_string())
    }

    async fn read(
        &self,
        client: &Client,
        service: Ecs<'_>,
        groups: &[&DeployGroup],
        at_most: Span,
    ) -> Result<Kept, Fault> {
        if let Some(kept) = self.known(groups, at_most) {
            return Ok(kept);
        }
        let now = clock::now();
        let application = &service.own.application;
        let rules = async {
            let mut rules = BTreeMap::new();
            for group in groups {
                let own = edas::get_scaling_rules(client, application, &group.group_id).await?;
                rules.insert(group.group_id.clone(), own);
            }
            Ok(rules)
        };
        let (application, tags, rules) = tokio::try_join!(
            edas::get_application(client, application),
            edas::list_tags(client, &service.home.spec.region, application),
            rules
        )?;
        let read = Kept { application, tags, rules };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, read.clone()));
        self.spared.store(false, Ordering::Relaxed);
        Ok(read)
    }
}
