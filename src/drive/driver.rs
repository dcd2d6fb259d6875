//! One rollout, driven until it ends or has to be let go.

use std::future::Future;
use std::pin::pin;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;

use super::clock::Clock;
use super::first::Waits;
use super::record::FENCE_EVERY;
use super::signal::Stop;
use crate::cloud::{Backend, Change, Fault, FaultKind, Floor, Leeway, Scope};
use crate::coverage::{Gap, Retirement};
use crate::journal::{JournalFault, Log, Store};
use crate::model::{Inventory, Span, Time, Token};
use crate::rollout::{Actor, Event, Next, OutOfOrder, Recorded, Rollout, Verdict};

/// How a driver works, beyond what the plan says.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long one call may take before it counts as lost.
    pub call_max: Span,
    /// How long a store that is unwell is asked again before the driver lets go.
    pub journal_max: Span,
    /// How often other processes' orders are looked for.
    pub orders_every: Span,
    /// How long to stay, and watch, in a pause or a hold for a promotion. Zero lets go at once.
    pub attend: Span,
    /// How many calls of one step are made at the same time.
    pub calls_max: usize,
    /// What decides.
    #[doc(hidden)]
    pub machine: Machine,
}

/// What the loop drives. Only the test of the drill itself, which has to find planted bugs, ever puts another in place
/// of the product's own.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// See [`Rollout::decide`].
    pub decide: fn(&Rollout, Time) -> Next,
    /// See [`Rollout::evolve`].
    pub evolve: fn(Rollout, &Recorded) -> Result<Rollout, OutOfOrder>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { decide: Rollout::decide, evolve: Rollout::evolve }
    }
}

impl Machine {
    /// See [`Rollout::fold`].
    ///
    /// # Errors
    /// [`OutOfOrder`] with the first fact that does not fit; an empty log is one that does not open.
    pub fn fold(self, facts: &[Recorded]) -> Result<Rollout, OutOfOrder> {
        let Some((first, rest)) = facts.split_first() else { return Rollout::fold(facts) };
        rest.iter().try_fold(Rollout::open(first)?, |state, fact| (self.evolve)(state, fact))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_max: Span::secs(120),
            journal_max: Span::secs(60),
            orders_every: Span(250),
            attend: Span::ZERO,
            calls_max: 32,
            machine: Machine::default(),
        }
    }
}

/// How a drive ended. All but `Ended` leave the rollout open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The rollout is over.
    Ended(Verdict),
    /// A deadline passed, and both fleets stay as they are.
    Held {
        /// What would go dark.
        gaps: Vec<Gap>,
    },
    /// An operator paused it.
    Paused,
    /// It waits for `promote`.
    AwaitsPromotion,
    /// The process was asked to stop.
    Interrupted,
    /// Another driver has taken over.
    Fenced {
        /// Who.
        by: Box<Actor>,
    },
}

/// Why a drive could not go on. The rollout stays open and nothing was done that is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The journal holds facts that do not fit together.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The world could not be looked at.
    #[error("look at the world: {fault}")]
    Blind {
        /// The last answer.
        fault: Fault,
    },
}

/// Something that an onlooker may show.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A fact was recorded and folded.
    Recorded(&'a Recorded),
    /// A look showed nothing new.
    Looked,
    /// The driver will do this next.
    Next(&'a Next),
    /// A look failed and is tried again.
    LookFailed(&'a Fault),
    /// The journal failed and is tried again.
    JournalFailed(&'a JournalFault),
}

/// Drives one rollout.
pub struct Driver<'a, B, S, O> {
    pub(super) backend: &'a B,
    pub(super) log: Log<S>,
    pub(super) state: Rollout,
    pub(super) me: Actor,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) stop: watch::Receiver<Stop>,
    /// Shown every notice, with the state after it.
    pub(super) onlooker: O,
    pub(super) news_at: Time,
    /// When the log was last known to name no other driver.
    pub(super) ours_at: Time,
    /// What the last look was spared.
    pub(super) leeway: Leeway,
    /// Leave to look and act; given back for every wait.
    pub(super) floor: Option<Floor>,
    /// How long that was waited for since the last look.
    pub(super) waited: Span,
    /// The look that the plan was made from, until it is folded.
    pub(super) planned_on: Option<Inventory>,
}

/// How long a world that does not answer is asked again once a deadline has passed.
const BLIND_MAX: Span = Span::mins(5);
/// A look that is refused outright is tried this often: credentials are sometimes renewed a moment late.
const LOOKS_REFUSED_MAX: u32 = 5;

impl<B, S, O> Driver<'_, B, S, O>
where
    B: Backend,
    S: Store,
    O: FnMut(&Rollout, &Notice<'_>) + Send,
{
    /// The state as folded so far.
    pub fn state(&self) -> &Rollout {
        &self.state
    }

    /// Goes on from the look that the plan was made from, unless that has grown too old to act on. Nobody else can have driven
    /// a rollout of the service since, for this one was opened right behind the last one that was seen.
    #[must_use]
    pub fn planned_on(self, look: Inventory) -> Self {
        Self { planned_on: Some(look), ..self }
    }

    /// Drives on until the rollout ends or has to be let go.
    ///
    /// # Errors
    /// [`DriveError`]; the rollout stays open.
    pub async fn run(&mut self) -> Result<Outcome, DriveError> {
        let mut attended: Option<Time> = None;
        // Somebody may have thought about the plan for an hour: nothing is judged on what the world was then.
        let fresh = self.state.plan().pace.fresh;
        let planned_on =
            self.planned_on.take().filter(|look| self.clock.now().since(look.looked_at) <= fresh);
        if let Some(look) = planned_on
            && let Some(by) = self.saw(look).await?
        {
            return Ok(Outcome::Fenced { by });
        }
        loop {
            if let Some(by) = self.take_news().await? {
                return Ok(Outcome::Fenced { by });
            }
            if *self.stop.borrow() == Stop::Asked && self.state.verdict().is_none() {
                return self.release("asked to stop", Outcome::Interrupted).await;
            }
            let now = self.clock.now();
            let next = self.grounded((self.settings.machine.decide)(&self.state, now), now);
            if matches!(next, Next::Look | Next::Change(..) | Next::Retire(..)) && self.floor.is_none() {
                if let Some(by) = self.take_floor().await? {
                    return Ok(Outcome::Fenced { by });
                }
                // What was right then may not be so any more.
                if self.clock.now() > now {
                    continue;
                }
            }
            (self.onlooker)(&self.state, &Notice::Next(&next));
            let stays = matches!(next, Next::Paused { .. } | Next::Promote { .. });
            let since = *attended.get_or_insert(now);
            if !stays && !matches!(next, Next::Look) {
                attended = None;
            }
            let overstayed = now.since(since) >= self.settings.attend;
            let fenced = match next {
                Next::Look => self.look().await?,
                Next::Change(changes, token) => self.change(changes, token).await?,
                Next::Retire(proof, token) => self.retire(proof, token).await?,
                Next::Paused { .. } if overstayed => return self.release("paused", Outcome::Paused).await,
                Next::Promote { .. } if overstayed => {
                    return self.release("waits for `promote`", Outcome::AwaitsPromotion).await;
                }
                Next::Wait { until }
                | Next::Hold { until, .. }
                | Next::Promote { until }
                | Next::Paused { until } => {
                    self.floor = None;
                    self.wait(until).await;
                    None
                }
                Next::Held { gaps } => {
                    return self.release("a deadline passed", Outcome::Held { gaps }).await;
                }
                Next::Done(verdict) => return Ok(Outcome::Ended(verdict)),
            };
            if let Some(by) = fenced {
                return Ok(Outcome::Fenced { by });
            }
        }
    }

    /// Nothing is done on a look that was spared more than the phase can leave in which it is to be done: the look itself
    /// may have changed the phase.
    fn grounded(&self, next: Next, now: Time) -> Next {
        match next {
            Next::Change(..) | Next::Retire(..) if !self.leeway.within(&self.state.leeway(now)) => Next::Look,
            next => next,
        }
    }

    /// Waits for leave to look and act, unless traffic waits for it, or an order that comes meanwhile lets it wait.
    async fn take_floor(&mut self) -> Result<Option<Box<Actor>>, DriveError> {
        let (backend, mut stop, began) = (self.backend, self.stop.clone(), self.clock.now());
        let mut floor = pin!(backend.floor(!self.state.dark()));
        let fenced = loop {
            if self.state.leeway(self.clock.now()).urgent {
                self.floor = Some(Floor::default());
                break None;
            }
            let again = self.clock.now() + self.settings.orders_every.max(FENCE_EVERY);
            tokio::select! {
                biased;
                leave = &mut floor => {
                    self.floor = Some(leave);
                    break None;
                }
                Ok(_) = stop.wait_for(|stop| *stop == Stop::Asked) => break None,
                () = self.clock.sleep_until(again) => {}
            }
            self.news_at = self.clock.now();
            if let Some(by) = self.take_news().await? {
                break Some(by);
            }
        };
        self.waited.0 += self.clock.now().since(began).0;
        Ok(fenced)
    }

    async fn release(&mut self, why: &str, outcome: Outcome) -> Result<Outcome, DriveError> {
        match self.keep(Event::Released { why: why.into() }).await? {
            Some(by) => Ok(Outcome::Fenced { by }),
            None => Ok(outcome),
        }
    }

    /// Waits until then, or for the next time to look for orders, or for a stop.
    async fn wait(&mut self, until: Time) {
        let until = until.min(self.news_at);
        let clock = self.clock;
        tokio::select! {
            biased;
            changed = self.stop.changed() => {
                // Nobody is left who could ask for a stop: then only time ends the wait.
                if changed.is_err() {
                    clock.sleep_until(until).await;
                }
            }
            () = clock.sleep_until(until) => {}
        }
    }

    fn scope(&self) -> Scope {
        let plan = self.state.plan();
        let waived = self.state.waivers().iter().map(|waiver| &waiver.group);
        let groups = self.state.expected().keys().chain(self.state.served()).chain(waived).cloned().collect();
        let fleets = plan.blue.iter().chain([&plan.green]).map(|fleet| fleet.id.clone()).collect();
        Scope { service: plan.rollout.service.clone(), groups, fleets }
    }

    /// Looks until the world answers. What began before the answer was sent is not in it, so the look counts from its
    /// beginning, by our own clock.
    async fn look(&mut self) -> Result<Option<Box<Actor>>, DriveError> {
        let (mut waits, mut refused, mut blind_since) = (Waits::default(), 0, None);
        loop {
            let (scope, leeway, began) =
                (self.scope(), self.state.leeway(self.clock.now()), self.clock.now());
            let (backend, call_max) = (self.backend, self.settings.call_max);
            let look = limited(call_max, "look", async { backend.look_with(&scope, &leeway).await });
            let answer = tokio::select! {
                biased;
                answer = look => answer,
                by = self.called_off(leeway.urgent) => return by,
            };
            let fault = match answer {
                Ok(mut inventory) => {
                    inventory.looked_at = began;
                    let still = leeway.busy.clone().filter(|fleet| inventory.busy.contains(fleet));
                    self.leeway = Leeway { busy: still, ..leeway };
                    return self.saw(inventory).await;
                }
                Err(fault) => fault,
            };
            (self.onlooker)(&self.state, &Notice::LookFailed(&fault));
            refused += u32::from(!fault.kind.retryable());
            // A deadline is judged on a look: one that failed just then is no reason to leave both fleets where they stand.
            let blind_for = self.clock.now().since(*blind_since.get_or_insert(began));
            let late = self.clock.now() >= self.state.due() && blind_for >= BLIND_MAX;
            if late || refused >= LOOKS_REFUSED_MAX {
                return Err(DriveError::Blind { fault });
            }
            self.floor = None;
            let again = self.clock.now() + waits.take();
            while self.clock.now() < again && *self.stop.borrow() == Stop::No {
                self.wait(again).await;
                if let Some(by) = self.take_news().await? {
                    return Ok(Some(by));
                }
                if self.turned(leeway.urgent) {
                    return Ok(None);
                }
            }
            if *self.stop.borrow() == Stop::Asked {
                return Ok(None);
            }
            if let Some(by) = self.take_floor().await? {
                return Ok(Some(by));
            }
        }
    }

    /// Announces the changes, makes them all at once, and writes down what was answered.
    async fn change(&mut self, changes: Vec<Change>, token: Token) -> Result<Option<Box<Actor>>, DriveError> {
        let event = Event::Changing { changes: changes.clone(), token: token.clone() };
        match self.intend(event).await? {
            Intent::Announced => {}
            Intent::Overtaken => return Ok(None),
            Intent::Fenced(by) => return Ok(Some(by)),
        }
        let (backend, send) = (self.backend, self.sending());
        let calls = changes.iter().enumerate().map(|(n, change)| {
            let own = Token::new(format!("{token}.{n}")).unwrap_or_else(|_| token.clone());
            async move { send.limited("change", async { backend.change(change, &own).await }).await }
        });
        let calls = stream::iter(calls).buffered(self.settings.calls_max.max(1)).collect::<Vec<_>>();
        let answers = match self.unless_fenced(calls).await? {
            Ok(answers) => answers,
            Err(by) => return Ok(Some(by)),
        };
        let faults = answers.into_iter().filter_map(Result::err).collect();
        self.keep(Event::Settled { token, faults }).await
    }

    async fn retire(&mut self, proof: Retirement, token: Token) -> Result<Option<Box<Actor>>, DriveError> {
        let (fleet, covered) = (proof.fleet().clone(), proof.covered().clone());
        match self.intend(Event::Retiring { fleet, covered, token: token.clone() }).await? {
            Intent::Announced => {}
            Intent::Overtaken => return Ok(None),
            Intent::Fenced(by) => return Ok(Some(by)),
        }
        // A journal that was slow to answer has let the proof grow old: then it is not used.
        let looked = self.state.look().map_or(Time::default(), |look| look.looked_at);
        let answer = if self.clock.now().since(looked) <= self.state.plan().pace.fresh {
            let (backend, send) = (self.backend, self.sending());
            let call = send.limited("retire", async { backend.retire(proof, &token).await });
            match self.unless_fenced(call).await? {
                Ok(answer) => answer,
                Err(by) => return Ok(Some(by)),
            }
        } else {
            let why = "the proof grew old while the journal was written; nothing was sent";
            Err(Fault::new(FaultKind::Conflict, "retire", why))
        };
        self.keep(Event::Settled { token, faults: answer.err().into_iter().collect() }).await
    }

    /// What a call needs to know at the moment in which it is sent.
    fn sending(&self) -> Sending {
        let until = self.ours_at + self.state.plan().pace.slack();
        Sending { clock: self.clock, until, call_max: self.settings.call_max }
    }

    /// Makes calls, and drops them as soon as the log names another driver: who waits for a slow answer must not go on
    /// with the rest of them, and a successor waits until what was sent has landed.
    async fn unless_fenced<T>(
        &mut self,
        calls: impl Future<Output = T>,
    ) -> Result<Result<T, Box<Actor>>, DriveError> {
        let mut failed = None;
        let answers = tokio::select! {
            biased;
            answers = calls => Ok(answers),
            fenced = self.fenced(&mut failed) => Err(fenced),
        };
        failed.map_or(Ok(answers), Err)
    }
}

/// How long a call may take, and until when it may be sent at all.
#[derive(Debug, Clone, Copy)]
struct Sending {
    clock: Clock,
    until: Time,
    call_max: Span,
}

impl Sending {
    /// A call that does not answer in time may have been applied. One that could not be sent in time, because the
    /// journal was slow or this process was stopped for a while, is not sent: another driver may have come.
    async fn limited<T>(
        self,
        action: &str,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        if self.clock.now() > self.until {
            let why = "too long ago the journal last said that nobody had taken over; nothing was sent";
            return Err(Fault::new(FaultKind::Conflict, action, why));
        }
        limited(self.call_max, action, call).await
    }
}

/// A call that does not answer in time may have been applied.
async fn limited<T>(
    call_max: Span,
    action: &str,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(call_max.into(), call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {call_max}");
        Err(Fault::new(FaultKind::Unreachable, action, message).ambiguous())
    })
}

/// What became of an announcement.
pub(super) enum Intent {
    /// It is in the journal: act.
    Announced,
    /// Something else is: decide again.
    Overtaken,
    /// Another driver is: let go.
    Fenced(Box<Actor>),
}
