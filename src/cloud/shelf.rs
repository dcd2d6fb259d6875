//! Readings that several services of one process need, and one of them makes.
//!
//! Who looks at a moment may take what was sent after that moment, whoever asked for it: it is as fresh as its own. So
//! where many look at one region, a thing is read once for all who wait for it, however many they are. One that is still
//! waiting for its turn will be sent later, so it suits everybody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::{Fault, clock};
use crate::model::{Span, Time};

/// With so many readings, those that nobody can want any more are let go.
const KEPT_MAX: usize = 512;
/// However much leeway there is, what is older is read again.
const WANTED_FOR: Span = Span::secs(60);

/// When a reading was sent; none while it waits for its turn.
#[derive(Debug, Clone, Default)]
pub(in crate::cloud) struct Sent(Arc<OnceLock<Time>>);

impl Sent {
    /// It is sent now, if it was not before: pages are as old as the first.
    pub fn now(&self) {
        self.0.get_or_init(clock::now);
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How fresh a reading has to be.
#[derive(Debug, Clone, Copy)]
pub(in crate::cloud) struct Wanted {
    /// Sent after this.
    pub after: Time,
    /// Traffic waits for it, so it does not wait behind those that are in no hurry.
    pub urgent: bool,
}

/// The last reading of each thing of a kind.
#[derive(Debug)]
pub(in crate::cloud) struct Shelf<T> {
    readings: Mutex<BTreeMap<String, Reading<T>>>,
}

#[derive(Debug)]
struct Reading<T> {
    sent: Sent,
    urgent: bool,
    answer: Shared<BoxFuture<'static, Result<T, Fault>>>,
    /// How many wait for the answer.
    waiting: usize,
}

/// Somebody who waits for a reading. When the last one stops waiting, it is let go: half done and polled by nobody, it
/// would hold for ever what others need, such as the lock under which credentials are renewed.
struct Waiting<'a, T: Clone> {
    shelf: &'a Shelf<T>,
    key: &'a str,
    sent: Sent,
}

impl<T: Clone> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let mut readings = self.shelf.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reading) = readings.get_mut(self.key).filter(|reading| reading.sent.is(&self.sent)) else {
            return;
        };
        reading.waiting -= 1;
        let abandoned = reading.waiting == 0 && reading.answer.peek().is_none();
        let abandoned = abandoned.then(|| readings.remove(self.key));
        drop(readings);
        drop(abandoned);
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { readings: Mutex::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Shelf<T> {
    /// What somebody reads or has read, where it is fresh enough, and else what is read now; with the time at which that
    /// was sent.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn read<F>(
        &self,
        key: &str,
        wanted: Wanted,
        read: impl FnOnce(Sent) -> F,
    ) -> Result<(Time, T), Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let (sent, answer) = {
            let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reading) = readings.get_mut(key).filter(|reading| reading.suits(wanted)) {
                reading.waiting += 1;
                (reading.sent.clone(), reading.answer.clone())
            } else {
                let sent = Sent::default();
                let answer = read(sent.clone()).boxed().shared();
                let (urgent, waiting) = (wanted.urgent, 1);
                let reading = Reading { sent: sent.clone(), urgent, answer: answer.clone(), waiting };
                if readings.len() >= KEPT_MAX {
                    let now = clock::now();
                    readings.retain(|_, kept| kept.sent.0.get().is_none_or(|at| now.since(*at) < WANTED_FOR));
                }
                readings.insert(key.to_owned(), reading);
                (sent, answer)
            }
        };
        let _waiting = Waiting { shelf: self, key, sent: sent.clone() };
        let answer = answer.await?;
        Ok((sent.0.get().copied().unwrap_or(wanted.after), answer))
    }
}

impl<T: Clone> Shelf<T> {
    /// What was read at most so long ago, whoever asked for it.
    pub fn known(&self, key: &str, after: Time) -> Option<T> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let reading =
            readings.get(key).filter(|reading| reading.sent.0.get().is_some_and(|at| *at > after))?;
        reading.answer.peek()?.as_ref().ok().cloned()
    }
}

impl<T: Clone> Reading<T> {
    fn suits(&self, wanted: Wanted) -> bool {
        let failed = matches!(self.answer.peek(), Some(Err(_)));
        match self.sent.0.get() {
            None => !failed && (self.urgent || !wanted.urgent),
            Some(sent) => !failed && *sent > wanted.after,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::cloud::FaultKind;

    /// Reads a number that grows with each reading, and counts as sent at once, a moment later, or never.
    async fn read(shelf: &Shelf<u32>, asked: &Cell<u32>, after: Time) -> Result<u32, Fault> {
        let wanted = Wanted { after, urgent: false };
        let answer = shelf.read("key", wanted, |sent| {
            asked.set(asked.get() + 1);
            let number = asked.get();
            async move {
                sent.now();
                if number == 1 { Ok(number) } else { Err(Fault::new(FaultKind::Throttled, "Read", "slow")) }
            }
        });
        answer.await.map(|(_, number)| number)
    }

    #[tokio::test]
    async fn what_was_sent_later_is_shared_and_what_was_sent_before_or_failed_is_read_again() {
        let (shelf, asked) = (Shelf::default(), Cell::new(0));
        let long_ago = Time(0);
        assert_eq!(read(&shelf, &asked, long_ago).await, Ok(1));
        assert_eq!(read(&shelf, &asked, long_ago).await, Ok(1), "as fresh as is wanted");
        assert_eq!(asked.get(), 1);
        let to_come = clock::now() + Span::secs(60);
        assert!(read(&shelf, &asked, to_come).await.is_err(), "it was sent before that moment");
        assert!(read(&shelf, &asked, long_ago).await.is_err(), "a failure is nobody else's answer");
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_any_more_holds_nothing() {
        let (shelf, lock) = (Shelf::default(), Arc::new(tokio::sync::Mutex::new(())));
        let read = || {
            let lock = Arc::clone(&lock);
            shelf.read("key", Wanted { after: Time(0), urgent: false }, |sent| async move {
                let _held = lock.lock().await;
                sent.now();
                std::future::pending::<Result<(), Fault>>().await
            })
        };
        let (mut one, mut other) = (Box::pin(read()), Box::pin(read()));
        assert!(one.as_mut().now_or_never().is_none() && other.as_mut().now_or_never().is_none());
        drop(one);
        assert!(lock.try_lock().is_err(), "the other one waits for it");
        drop(other);
        assert!(lock.try_lock().is_ok());
    }

    #[tokio::test]
    async fn one_that_waits_for_its_turn_suits_all_but_those_for_whom_traffic_waits() {
        let (shelf, turn) = (Shelf::default(), tokio::sync::Semaphore::new(0));
        let (turn, asked) = (Arc::new(turn), Cell::new(0));
        let one = |urgent| {
            let turn = Arc::clone(&turn);
            let read = |sent: Sent| {
                asked.set(asked.get() + 1);
                async move {
                    let _turn =
                        turn.acquire().await.map_err(|_| Fault::new(FaultKind::Denied, "Read", ""))?;
                    sent.now();
                    Ok(())
                }
            };
            shelf.read("key", Wanted { after: clock::now(), urgent }, read)
        };
        let all = async {
            let (a, b, c, d) = tokio::join!(one(false), one(false), one(true), one(true));
            (a.is_ok() && b.is_ok(), c.is_ok() && d.is_ok())
        };
        let (ended, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            turn.add_permits(4);
        });
        assert_eq!((ended, asked.get()), ((true, true), 2));
    }
}
