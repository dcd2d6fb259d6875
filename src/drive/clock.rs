//! The one clock of a process.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::model::{Span, Time};

/// The wall clock as it stood at the start, carried on by the monotonic one: setting the system's clock neither
/// shortens nor lengthens a wait. Under paused tokio time it is a virtual clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Time,
    start: Instant,
}

impl Clock {
    /// A clock that begins with the system's time.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else takes its time from"
    )]
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting(Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }

    /// A clock that shows `base` now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else takes its time from"
    )]
    pub fn starting(base: Time) -> Self {
        Self { base, start: Instant::now() }
    }

    /// The same clock, put forward where it is behind `time`: a log that another host wrote may be ahead of ours, and
    /// our looks must count as later than its facts.
    #[must_use]
    pub fn no_earlier_than(self, time: Time) -> Self {
        Self { base: self.base + time.since(self.now()), ..self }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        let gone = self.start.elapsed().as_millis();
        self.base + Span(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    /// Waits until then.
    pub async fn sleep_until(&self, until: Time) {
        tokio::time::sleep(until.since(self.now()).into()).await;
    }
}
