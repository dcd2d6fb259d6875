//! The judge of the record: what must stand in the journal before a call is sent, and by whose hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::cloud::sim::{Call, Violation, violation};
use crate::cloud::{Backend, Capability, Change, Fault, Leeway, Scope};
use crate::coverage::Retirement;
use crate::journal::{Key, MemoryStore};
use crate::model::{FleetId, Hold, Inventory, Plan, Share, Token};
use crate::rollout::{Event, Order};

/// Reads along in the journal of one rollout. A clone is another pair of eyes on the same ledger.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Mutex<Pages>>);

struct Pages {
    plan: Plan,
    store: MemoryStore,
    last: Option<Key>,
    /// Who opened it or took it over last.
    owner: String,
    /// Every announcement so far, and by whom.
    deeds: BTreeMap<Token, Deed>,
    /// The last of them.
    latest: Option<Token>,
    orders: Orders,
    broken: Vec<Violation>,
}

#[derive(Clone, PartialEq, Eq)]
struct Deed {
    calls: Vec<Call>,
    by: String,
    /// Whether it still waits for its answer.
    open: bool,
    answered: bool,
}

/// What operators have said so far.
#[derive(Default)]
struct Orders {
    paused: bool,
    /// An abort came while there was a way back.
    aborted: bool,
    /// Blue's retirement was announced.
    retiring: bool,
    promotions: usize,
}

/// An entry of the journal, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    writer: String,
    event: Event,
}

impl Ledger {
    pub(super) fn new(plan: Plan, store: MemoryStore) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            plan,
            store,
            last: None,
            owner: String::new(),
            deeds: BTreeMap::new(),
            latest: None,
            orders: Orders::default(),
            broken: Vec::new(),
        })))
    }

    /// What was broken so far, the end included.
    pub(super) fn broken(&self, completed: bool) -> Vec<Violation> {
        let mut pages = self.pages();
        pages.read();
        if completed && pages.orders.aborted {
            pages
                .broken
                .push(violation("I5", "completed in spite of an abort while blue could take over".into()));
        }
        pages.broken.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Nothing panics with the lock held but a bug in the ledger itself, which then shows anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Reads what is new.
    fn read(&mut self) {
        for (key, bytes) in self.store.objects_after(self.last.as_ref()) {
            self.last = Some(key);
            if let Ok(Line { writer, event }) = serde_json::from_slice(&bytes) {
                self.entry(&writer, event);
            }
        }
    }

    fn entry(&mut self, writer: &str, event: Event) {
        match event {
            Event::Opened { .. } | Event::Resumed { .. } => writer.clone_into(&mut self.owner),
            Event::Changing { changes, token } => {
                self.announced(writer, changes.into_iter().map(Call::Change).collect(), token);
            }
            Event::Retiring { fleet, token, .. } => self.announced(writer, vec![Call::Retire(fleet)], token),
            Event::Settled { token, faults } => {
                if let Some(deed) = self.deeds.get_mut(&token) {
                    (deed.open, deed.answered) = (false, faults.is_empty());
                }
            }
            Event::Ordered { order, .. } => self.ordered(&order),
            Event::Looked { .. } | Event::Released { .. } => {}
        }
    }

    fn ordered(&mut self, order: &Order) {
        match order {
            Order::Abort | Order::Rollback => self.orders.aborted |= !self.orders.retiring,
            Order::Pause => self.orders.paused = true,
            Order::Resume => self.orders.paused = false,
            Order::Promote { .. } => self.orders.promotions += 1,
            Order::Amend { .. } | Order::Waive { .. } => {}
        }
    }

    fn announced(&mut self, writer: &str, calls: Vec<Call>, token: Token) {
        if writer != self.owner {
            self.broken.push(violation("I8", format!("{writer} announced a call under {}", self.owner)));
        }
        for call in &calls {
            self.obeys(call);
        }
        let latest =
            self.latest.as_ref().and_then(|latest| self.deeds.get(latest).map(|deed| (latest, deed)));
        if let Some((latest, deed)) = latest
            && deed.calls == calls
            && !deed.answered
            && *latest != token
        {
            let what = format!("what {latest} may have done was asked for again as {token}");
            self.broken.push(violation("I7", what));
        }
        if self.deeds.get(&token).is_some_and(|deed| deed.calls != calls) {
            self.broken.push(violation("I7", format!("{token} was used for something else")));
        }
        self.latest = Some(token.clone());
        self.deeds.insert(token, Deed { calls, by: writer.to_owned(), open: true, answered: false });
    }

    /// Whether a call is one that the operators' orders allow.
    fn obeys(&mut self, call: &Call) {
        let is_blue = |fleet: &FleetId| self.plan.blue.as_ref().is_some_and(|blue| blue.id == *fleet);
        let forward = match call {
            Call::Change(Change::Shift { to, share, .. }) => {
                *to == self.plan.green.id && *share > Share::NONE
            }
            Call::Change(Change::Register { fleet, .. }) => *fleet == self.plan.green.id,
            Call::Change(Change::Deregister { fleet, .. }) | Call::Retire(fleet) => is_blue(fleet),
            Call::Change(Change::Provision { .. } | Change::Freeze { .. }) => true,
            Call::Change(Change::Thaw { .. }) => false,
        };
        if forward && self.orders.paused && !self.orders.retiring {
            self.broken.push(violation("I5", format!("{call:?} was announced in a pause")));
        }
        let holds = self.plan.steps.iter().take_while(|step| match call {
            Call::Change(Change::Shift { from: Some(_), share, .. }) => forward && step.share < *share,
            Call::Change(Change::Deregister { fleet, .. }) | Call::Retire(fleet) => is_blue(fleet),
            Call::Change(_) => false,
        });
        let mut asked = holds.filter(|step| step.hold == Hold::Promote).count();
        if matches!(call, Call::Change(Change::Deregister { fleet, .. }) if is_blue(fleet)) {
            asked += usize::from(self.plan.bake == Hold::Promote);
        }
        if self.orders.promotions < asked {
            self.broken.push(violation("I13", format!("{call:?} was announced without `promote`")));
        }
        self.orders.retiring |= matches!(call, Call::Retire(fleet) if is_blue(fleet));
    }

    /// A call is being sent.
    fn sent(&mut self, call: &Call, token: &Token) {
        self.read();
        let common = token.as_str().rsplit_once('.').map_or(token.as_str(), |(common, _)| common);
        let deed = self.deeds.get(token).or_else(|| self.deeds.get(&Token::new(common).ok()?));
        let announced = deed.filter(|deed| deed.open && deed.calls.contains(call));
        match announced {
            None => {
                self.broken.push(violation("I9", format!("{call:?} was sent before it was in the journal")));
            }
            Some(deed) if deed.by != self.owner => {
                self.broken.push(violation("I8", format!("{} sent {call:?} after it was fenced", deed.by)));
            }
            Some(_) => {}
        }
    }
}

/// A door to the cloud at which every call is compared with the ledger.
pub(super) struct Watched<B> {
    pub(super) door: B,
    pub(super) ledger: Ledger,
}

impl<B: Backend> Backend for Watched<B> {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        self.door.look(scope).await
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        self.door.look_with(scope, leeway).await
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        self.ledger.pages().sent(&Call::Change(change.clone()), token);
        self.door.change(change, token).await
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        self.ledger.pages().sent(&Call::Retire(proof.fleet().clone()), token);
        self.door.retire(proof, token).await
    }

    fn capability(&self) -> Capability {
        self.door.capability()
    }
}
