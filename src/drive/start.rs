//! Getting hold of a rollout: opening, resuming, ordering and following one.

use tokio::sync::watch;

use super::clock::Clock;
use super::driver::{DriveError, Driver, Machine, Notice, Settings};
use super::signal::Stop;
use crate::cloud::{Backend, Leeway};
use crate::journal::{Appended, Journal, JournalFault, Log, Store};
use crate::model::{Plan, RolloutId, Span, Time};
use crate::rollout::{Actor, Event, Order, OutOfOrder, Recorded, Rollout};

/// How often a claim is made that the journal is slow to confirm.
const CLAIMS_MAX: u32 = 5;

/// Why a rollout could not be taken hold of.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The journal holds facts that do not fit together.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// Another process got hold of it at the same time.
    #[error("take over rollout `{rollout}`: {by} on {host} did so just now")]
    Beaten {
        /// Which.
        rollout: RolloutId,
        /// The other's user.
        by: String,
        /// The other's host.
        host: String,
    },
    /// It has ended already.
    #[error("take over rollout `{rollout}`: it has ended")]
    Ended {
        /// Which.
        rollout: RolloutId,
    },
    /// The journal confirms so late that nobody could know by when calls of the last driver have landed.
    #[error("take over rollout `{rollout}`: the journal takes too long to confirm it")]
    Slow {
        /// Which.
        rollout: RolloutId,
    },
}

impl From<OpenError> for DriveError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::OutOfOrder(error) => Self::OutOfOrder(error),
            OpenError::Journal(fault) => Self::Journal(fault),
            OpenError::Beaten { rollout, .. }
            | OpenError::Ended { rollout }
            | OpenError::Slow { rollout } => Self::Journal(JournalFault::Taken { rollout }),
        }
    }
}

/// Opens a rollout: from here on it is in the journal.
///
/// # Errors
/// [`OpenError`]; where another process opened one of this number first, the fault says so.
pub async fn open<'a, B: Backend, S: Store, O: FnMut(&Rollout, &Notice<'_>) + Send>(
    journal: &Journal<S>,
    backend: &'a B,
    plan: Plan,
    hands: Hands<O>,
) -> Result<Driver<'a, B, S, O>, OpenError> {
    let id = plan.rollout.clone();
    let event = Event::Opened { plan: Box::new(plan), by: hands.me.clone() };
    let fact = Recorded { at: hands.clock.now(), event };
    let state = Rollout::open(&fact)?;
    let log = journal.open(&id, &fact).await?;
    let mut driver = hands.hold(backend, log, state);
    (driver.onlooker)(&driver.state, &Notice::Recorded(&fact));
    Ok(driver)
}

/// Takes over a rollout that is open; whoever drove it is fenced.
///
/// # Errors
/// [`OpenError`]; also where another process took it over at the same time.
pub async fn resume<'a, B: Backend, S: Store, O: FnMut(&Rollout, &Notice<'_>) + Send>(
    journal: &Journal<S>,
    backend: &'a B,
    id: &RolloutId,
    mut hands: Hands<O>,
) -> Result<Driver<'a, B, S, O>, OpenError> {
    let machine = hands.settings.machine;
    let (mut log, mut state) = read(journal, id, machine).await?;
    let mut claims = 0;
    loop {
        hands.clock = hands.clock.no_earlier_than(state.at());
        if !state.resumable() {
            return Err(OpenError::Ended { rollout: id.clone() });
        }
        let fact = Recorded { at: hands.clock.now(), event: Event::Resumed { by: hands.me.clone() } };
        match log.append(&fact).await? {
            // The wait for the last driver's calls counts from the claim's time: one that was long on its way is made again.
            Appended::Created(_) if hands.clock.now().since(fact.at) > state.plan().pace.slack() => {
                state = (machine.evolve)(state, &fact)?;
                claims += 1;
                if claims == CLAIMS_MAX {
                    return Err(OpenError::Slow { rollout: id.clone() });
                }
            }
            Appended::Created(_) => {
                let mut driver = hands.hold(backend, log, (machine.evolve)(state, &fact)?);
                (driver.onlooker)(&driver.state, &Notice::Recorded(&fact));
                return Ok(driver);
            }
            Appended::Overtaken(entries) => {
                for entry in entries {
                    let fact = entry.into_recorded(id)?;
                    state = (machine.evolve)(state, &fact)?;
                    if let Event::Resumed { by } = fact.event {
                        let (by, host) = (by.user, by.host);
                        return Err(OpenError::Beaten { rollout: id.clone(), by, host });
                    }
                }
            }
        }
    }
}

/// Gives an order to a rollout, whoever drives it. Returns the state with the order folded in.
///
/// # Errors
/// [`OpenError`]; one that has ended takes no orders.
pub async fn order<S: Store>(
    journal: &Journal<S>,
    id: &RolloutId,
    order: Order,
    by: &Actor,
    clock: &Clock,
) -> Result<(Log<S>, Rollout), OpenError> {
    let (mut log, mut state) = read(journal, id, Machine::default()).await?;
    let fact = Recorded { at: clock.now(), event: Event::Ordered { order, by: by.clone() } };
    loop {
        if state.verdict().is_some() {
            return Err(OpenError::Ended { rollout: id.clone() });
        }
        match log.append(&fact).await? {
            Appended::Created(_) => return Ok((log, state.evolve(&fact)?)),
            Appended::Overtaken(entries) => {
                for entry in entries {
                    state = state.evolve(&entry.into_recorded(id)?)?;
                }
            }
        }
    }
}

/// Follows a rollout that another process drives, until it ends, is let go, or `alive` says that nobody drives it.
/// Returns the state as far as it was followed.
///
/// # Errors
/// [`OpenError`] where the journal cannot be read.
pub async fn follow<S: Store>(
    (mut log, mut state): (Log<S>, Rollout),
    clock: &Clock,
    every: Span,
    mut alive: impl AsyncFnMut() -> bool,
    mut onlooker: impl FnMut(&Rollout, &Notice<'_>),
) -> Result<Rollout, OpenError> {
    loop {
        // Asked before reading: what a driver wrote before it died is then certainly read.
        let driven = alive().await;
        let mut released = false;
        for entry in log.news().await? {
            let fact = entry.into_recorded(log.rollout())?;
            state = state.evolve(&fact)?;
            released = matches!(fact.event, Event::Released { .. });
            onlooker(&state, &Notice::Recorded(&fact));
        }
        if state.verdict().is_some() || released || !driven {
            return Ok(state);
        }
        clock.sleep_until(clock.now() + every).await;
    }
}

/// Reads a rollout for appending to it.
async fn read<S: Store>(
    journal: &Journal<S>,
    id: &RolloutId,
    machine: Machine,
) -> Result<(Log<S>, Rollout), OpenError> {
    let history = journal.read(id).await?;
    let log = journal.log(&history)?;
    let state = machine.fold(&history.into_recorded()?)?;
    Ok((log, state))
}

/// Whoever drives, and how.
pub struct Hands<O> {
    /// The driver, as the journal will name it.
    pub me: Actor,
    /// Its clock.
    pub clock: Clock,
    /// Its ways.
    pub settings: Settings,
    /// Asks it to stop.
    pub stop: watch::Receiver<Stop>,
    /// Shown every notice, with the state after it.
    pub onlooker: O,
}

impl<O> Hands<O> {
    fn hold<B, S>(self, backend: &B, log: Log<S>, state: Rollout) -> Driver<'_, B, S, O> {
        Driver {
            backend,
            log,
            state,
            me: self.me,
            clock: self.clock,
            settings: self.settings,
            stop: self.stop,
            onlooker: self.onlooker,
            news_at: Time::default(),
            ours_at: Time::default(),
            leeway: Leeway::default(),
            floor: None,
            waited: Span::ZERO,
            planned_on: None,
        }
    }
}
