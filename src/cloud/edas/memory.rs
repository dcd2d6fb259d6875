//! What need not be read every time, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::api::ess;
use super::api::pool::Server;
use super::classic::Balancer;
use super::drained::Left;
use super::interfaces::Names;
use super::kube;
use super::settings::Settings;
use super::spared::{Spared, WELL_FOR, others_for};
use super::survey::Survey;
use crate::cloud::{Leeway, clock};
use crate::model::{FleetId, Span, Time};

/// How long a group that is none of ours may be remembered instead of read: only somebody else's hand can put an instance
/// of ours into it meanwhile, and a fleet is taken away on a reading without any memory.
pub(super) const OTHERS_FOR: Span = Span::secs(20);
/// The oldest look that a change may go by; the machine itself takes none that is older.
const LAST_FOR: Span = Span::secs(30);

/// What need not be read every time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    inner: Mutex<Remembered>,
    /// The last look: changes are decided from it, and read only what it does not show.
    last: Mutex<Option<Arc<Survey>>>,
    /// What EDAS is asked for now and then.
    pub settings: Settings,
    /// The same, of applications on Kubernetes.
    pub kube: kube::Settings,
    /// What a look may be spared.
    pub spared: Spared,
    /// Twins that nobody uses any more.
    pub left: Left,
    /// By server group, who stands there since when.
    newcomers: Mutex<BTreeMap<String, Newcomers>>,
    /// Nothing is taken from anybody else's either.
    blank: bool,
}

/// By server, since when it has been seen, and whether it has ever been well.
type Newcomers = BTreeMap<String, (Time, bool)>;

/// By instance, the scaling group that it belongs to.
pub(super) type Attached = BTreeMap<String, ess::Group>;

#[derive(Debug, Default)]
struct Remembered {
    servers: BTreeMap<String, (Time, Vec<Server>)>,
    balancers: BTreeMap<String, (Time, Arc<Balancer>)>,
    /// By balancer, those that stand behind it in pairs.
    pairs: BTreeMap<String, (Time, BTreeMap<String, Vec<Server>>)>,
    /// Of these instances, the scaling groups.
    attached: Option<(Time, Vec<String>, Attached)>,
    /// Of these instances, the names under which they may stand.
    names: Option<(Time, BTreeSet<String>, Names)>,
}

impl Memory {
    /// Nothing is remembered, by nobody: only who is leaving what, and since when.
    pub fn of_leaving(&self) -> Self {
        Self { left: self.left.copy(), blank: true, ..Self::default() }
    }

    /// How old what only somebody else's hand changes may be, whoever read it.
    pub fn others_for(&self, leeway: &Leeway) -> Span {
        if self.blank { Span::ZERO } else { others_for(leeway) }
    }

    /// The last look, where it is fresh and shows the fleet.
    pub fn last(&self, fleet: &FleetId) -> Option<Arc<Survey>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let fresh = clock::now().since(last.begun) < LAST_FOR;
        (fresh && last.fleets.all.contains_key(fleet)).then_some(last)
    }

    /// The last look, where it is less than a minute old.
    pub fn recent(&self) -> Option<Arc<Survey>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (clock::now().since(last.begun) < WELL_FOR).then_some(last)
    }

    /// Remembers a look.
    pub fn remember(&self, survey: &Arc<Survey>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(survey));
    }

    /// Takes note of who stands in a server group and whether it is well, and says who may not have been judged yet: of
    /// those that are ill, whoever came less than `verdict` ago and has never been well.
    pub fn unjudged(
        &self,
        group: &str,
        servers: &BTreeMap<String, bool>,
        verdict: Span,
        now: Time,
    ) -> BTreeSet<String> {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newcomers.entry(group.to_owned()).or_default();
        known.retain(|server, _| servers.contains_key(server));
        let mut unjudged = BTreeSet::new();
        for (server, is_well) in servers {
            let (since, was_well) = known.entry(server.clone()).or_insert((now, false));
            if verdict == Span::ZERO {
                // Nobody looks at it here: whoever begins to, begins anew.
                (*since, *was_well) = (now, false);
            }
            *was_well |= is_well;
            if !*was_well && now.since(*since) < verdict {
                unjudged.insert(server.clone());
            }
        }
        unjudged
    }

    /// Something was changed by our hand: no change goes by the look before it.
    pub fn changed(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.inner() = Remembered::default();
        self.settings.forget();
        self.kube.forget();
    }

    /// Who stood in a group of somebody else's, where it still has as many servers.
    pub fn servers(
        &self,
        group: &str,
        count: Option<u32>,
        leeway: &Leeway,
        now: Time,
    ) -> Option<Vec<Server>> {
        let inner = self.inner();
        let (read_at, servers) = inner.servers.get(group)?;
        let as_many =
            count.is_none_or(|count| usize::try_from(count).is_ok_and(|count| count == servers.len()));
        (as_many && now.since(*read_at) < others_for(leeway)).then(|| servers.clone())
    }

    pub fn keep_servers(&self, group: &str, now: Time, servers: &[Server]) {
        self.inner().servers.insert(group.to_owned(), (now, servers.to_vec()));
    }

    pub fn forget_servers(&self, group: &str) {
        self.inner().servers.remove(group);
    }

    /// Who stands behind a balancer in pairs of a master and a slave, where nobody is ours.
    pub fn pairs(&self, balancer: &str, leeway: &Leeway, now: Time) -> Option<BTreeMap<String, Vec<Server>>> {
        let inner = self.inner();
        let (read_at, pairs) = inner.pairs.get(balancer)?;
        (now.since(*read_at) < others_for(leeway)).then(|| pairs.clone())
    }

    pub fn keep_pairs(&self, balancer: &str, now: Time, pairs: &BTreeMap<String, Vec<Server>>) {
        self.inner().pairs.insert(balancer.to_owned(), (now, pairs.clone()));
    }

    /// A balancer with nobody of ours behind it.
    pub fn balancer(&self, id: &str, leeway: &Leeway, now: Time) -> Option<Arc<Balancer>> {
        let inner = self.inner();
        let (read_at, balancer) = inner.balancers.get(id)?;
        (now.since(*read_at) < others_for(leeway)).then(|| Arc::clone(balancer))
    }

    pub fn keep_balancer(&self, id: &str, now: Time, balancer: &Arc<Balancer>) {
        self.inner().balancers.insert(id.to_owned(), (now, Arc::clone(balancer)));
    }

    pub fn forget_balancer(&self, id: &str) {
        self.inner().balancers.remove(id);
    }

    /// The scaling groups of just these instances.
    pub fn attached(&self, instances: &[String], leeway: &Leeway, now: Time) -> Option<Attached> {
        let inner = self.inner();
        let (read_at, of, attached) = inner.attached.as_ref()?;
        (of == instances && now.since(*read_at) < others_for(leeway)).then(|| attached.clone())
    }

    pub fn keep_attached(&self, instances: &[String], now: Time, attached: &Attached) {
        self.inner().attached = Some((now, instances.to_vec(), attached.clone()));
    }

    /// Under which names just these instances may stand.
    pub fn names(&self, instances: &BTreeSet<String>, leeway: &Leeway, now: Time) -> Option<Names> {
        let inner = self.inner();
        let (read_at, of, names) = inner.names.as_ref()?;
        (of == instances && now.since(*read_at) < others_for(leeway)).then(|| names.clone())
    }

    pub fn keep_names(&self, instances: &BTreeSet<String>, now: Time, names: &Names) {
        self.inner().names = Some((now, instances.clone(), names.clone()));
    }

    fn inner(&self) -> MutexGuard<'_, Remembered> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_not_called_ill_before_it_can_have_passed_and_whoever_was_well_is_at_once() {
        let (memory, verdict) = (Memory::default(), Span::secs(8));
        let unjudged = |at: u64, servers: &[(&str, bool)]| {
            let servers = servers.iter().map(|(name, well)| ((*name).to_owned(), *well)).collect();
            memory.unjudged("rsp-1", &servers, verdict, Time(at * 1000)).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(unjudged(0, &[("new", false), ("old", true)]), ["new"]);
        assert_eq!(unjudged(7, &[("new", false), ("old", false)]), ["new"]);
        assert!(unjudged(8, &[("new", false), ("old", false)]).is_empty());
        // A group that nothing leads to any more is looked at by nobody.
        assert!(
            memory.unjudged("rsp-1", &[("new".to_owned(), false)].into(), Span::ZERO, Time(8_500)).is_empty()
        );
        assert_eq!(unjudged(8, &[("new", false)]), ["new"]);
        // Who has left and comes back is new again.
        assert!(unjudged(9, &[]).is_empty());
        assert_eq!(unjudged(10, &[("old", false)]), ["old"]);
    }
}
