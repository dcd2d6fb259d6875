//! Writing facts down, and reading what others wrote.

use super::driver::{DriveError, Driver, Intent, Notice};
use crate::cloud::Backend;
use crate::journal::{Appended, Entry, JournalFault, Store};
use crate::model::{Inventory, Span, Time};
use crate::rollout::{Actor, Event, Recorded, Rollout};

/// The wait between two attempts at a store that is unwell.
const STORE_RETRY: Span = Span(250);

/// How often the log is looked at while calls are under way.
pub(super) const FENCE_EVERY: Span = Span::secs(1);

type Fenced = Option<Box<Actor>>;

impl<B, S, O> Driver<'_, B, S, O>
where
    B: Backend,
    S: Store,
    O: FnMut(&Rollout, &Notice<'_>) + Send,
{
    /// Folds what others wrote, at most once in a while.
    pub(super) async fn take_news(&mut self) -> Result<Fenced, DriveError> {
        if self.clock.now() < self.news_at {
            return Ok(None);
        }
        let entries = match self.log.news().await {
            Ok(entries) => entries,
            Err(fault) if transient(&fault) => {
                (self.onlooker)(&self.state, &Notice::JournalFailed(&fault));
                Vec::new()
            }
            Err(fault) => return Err(fault.into()),
        };
        self.news_at = self.clock.now() + self.settings.orders_every;
        self.fold_others(entries)
    }

    /// Folds entries of other writers; names whoever has taken over, whatever may be wrong with what they wrote behind that.
    fn fold_others(&mut self, entries: Vec<Entry>) -> Result<Fenced, DriveError> {
        let mut fenced = None;
        for entry in entries {
            match self.fold_other(entry) {
                Ok(None) => {}
                Ok(by) => fenced = by,
                Err(_) if fenced.is_some() => return Ok(fenced),
                Err(error) => return Err(error),
            }
        }
        Ok(fenced)
    }

    fn fold_other(&mut self, entry: Entry) -> Result<Fenced, DriveError> {
        let fact = entry.into_recorded(self.log.rollout())?;
        let by = match &fact.event {
            Event::Resumed { by } if by.nonce != self.me.nonce => Some(Box::new(by.clone())),
            _ => None,
        };
        self.fold(&fact)?;
        Ok(by)
    }

    fn fold(&mut self, fact: &Recorded) -> Result<(), DriveError> {
        self.state = (self.settings.machine.evolve)(self.state.clone(), fact)?;
        (self.onlooker)(&self.state, &Notice::Recorded(fact));
        Ok(())
    }

    /// Appends a fact that only counts if nothing came before it: an announcement was decided on the state as it was.
    pub(super) async fn intend(&mut self, event: Event) -> Result<Intent, DriveError> {
        let fact = self.stamped(event);
        let began = self.clock.now();
        let (appended, at_once) = self.append(&fact).await?;
        match appended {
            Appended::Created(_) => {
                self.fold(&fact)?;
                // One that was sent again may have been there since the first time, and somebody else behind it.
                self.ours_at = if at_once { began } else { Time::default() };
                Ok(self.confirm().await?.map_or(Intent::Announced, Intent::Fenced))
            }
            Appended::Overtaken(entries) => {
                Ok(self.fold_others(entries)?.map_or(Intent::Overtaken, Intent::Fenced))
            }
        }
    }

    /// Reads the log again behind an announcement that was long on its way or sent again: meanwhile another driver may
    /// have taken over and waited out what we could have sent. Where even the reading is slow or fails, the calls are not
    /// sent at all.
    async fn confirm(&mut self) -> Result<Fenced, DriveError> {
        let slack = self.state.plan().pace.slack();
        if self.clock.now().since(self.ours_at) <= slack {
            return Ok(None);
        }
        let began = self.clock.now();
        match self.log.news().await {
            Ok(entries) => {
                self.ours_at = began;
                self.fold_others(entries)
            }
            Err(fault) if transient(&fault) => {
                (self.onlooker)(&self.state, &Notice::JournalFailed(&fault));
                Ok(None)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Waits until the log names another driver. A log that can no longer be read ends no calls that are under way: what
    /// is wrong with it is said when they are done.
    pub(super) async fn fenced(&mut self, failed: &mut Option<DriveError>) -> Box<Actor> {
        let every = self.settings.orders_every.max(FENCE_EVERY);
        loop {
            self.clock.sleep_until(self.clock.now() + every).await;
            self.news_at = self.clock.now();
            match self.take_news().await {
                Ok(Some(by)) => return by,
                Ok(None) => {}
                Err(error) => {
                    *failed = Some(error);
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits until the log names another driver, or holds an order for which traffic waits: whoever takes the way back
    /// looks anew, and does not wait until everything was read that only the way forward needs.
    pub(super) async fn called_off(&mut self, urgent: bool) -> Result<Fenced, DriveError> {
        loop {
            self.clock.sleep_until(self.news_at).await;
            let fenced = self.take_news().await?;
            if fenced.is_some() || self.turned(urgent) {
                return Ok(fenced);
            }
        }
    }

    /// Whether traffic waits for the next look, and did not for the last one.
    pub(super) fn turned(&self, urgent: bool) -> bool {
        !urgent && self.state.leeway(self.clock.now()).urgent
    }

    /// Appends a fact that stays true whatever came before it.
    pub(super) async fn keep(&mut self, event: Event) -> Result<Fenced, DriveError> {
        let fact = self.stamped(event);
        loop {
            match self.append(&fact).await?.0 {
                Appended::Created(_) => {
                    self.fold(&fact)?;
                    return Ok(None);
                }
                Appended::Overtaken(entries) => {
                    if let Some(by) = self.fold_others(entries)? {
                        return Ok(Some(by));
                    }
                }
            }
        }
    }

    /// Folds a look; writes it down only if it shows something new, so that a long wait is not a long journal.
    pub(super) async fn saw(&mut self, inventory: Inventory) -> Result<Fenced, DriveError> {
        let known = self.state.look().is_some_and(|last| last.same_world(&inventory));
        let waited = std::mem::take(&mut self.waited);
        let fact = self.stamped(Event::Looked { inventory: Box::new(inventory), waited });
        let after = (self.settings.machine.evolve)(self.state.clone(), &fact)?;
        let told = after.past_return() == self.state.past_return();
        if known && told && after.phase() == self.state.phase() {
            self.state = after;
            (self.onlooker)(&self.state, &Notice::Looked);
            return Ok(None);
        }
        self.keep(fact.event).await
    }

    fn stamped(&self, event: Event) -> Recorded {
        Recorded { at: self.clock.now(), event }
    }

    /// Appends, asking a store that is unwell again for a while. The same fact is stored once however often it is sent;
    /// says too whether it was sent but once.
    async fn append(&mut self, fact: &Recorded) -> Result<(Appended, bool), DriveError> {
        let give_up = self.clock.now() + self.settings.journal_max;
        let mut at_once = true;
        loop {
            match self.log.append(fact).await {
                Ok(appended) => return Ok((appended, at_once)),
                Err(fault) if transient(&fault) && self.clock.now() < give_up => {
                    at_once = false;
                    (self.onlooker)(&self.state, &Notice::JournalFailed(&fault));
                    self.clock.sleep_until(self.clock.now() + STORE_RETRY).await;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    }
}

pub(super) fn transient(fault: &JournalFault) -> bool {
    match fault {
        JournalFault::Store(fault) => fault.kind.retryable(),
        JournalFault::Damaged(_)
        | JournalFault::Missing { .. }
        | JournalFault::Taken { .. }
        | JournalFault::UnknownEvent { .. }
        | JournalFault::TooLarge { .. }
        | JournalFault::TooMany { .. }
        | JournalFault::Keyless { .. }
        | JournalFault::Packed { .. }
        | JournalFault::Busy { .. }
        | JournalFault::Number { .. } => false,
    }
}
