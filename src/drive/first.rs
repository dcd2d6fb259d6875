//! The look before anything is begun, and how often a world that does not answer is asked again.

use tokio::sync::watch;

use super::clock::Clock;
use super::signal::{Stop, stopped};
use crate::cloud::{Backend, Fault, Scope};
use crate::model::{Inventory, Span};

/// How long a world that does not answer is asked again before anything is begun: nothing is harmed by an end, and somebody
/// may sit there. So many times as long as what was sent may still land, which follows the limit of a call in the deployment
/// file: two minutes by default.
const LANDINGS: u64 = 3;
/// At least so long, where nothing takes time to land.
const ASKED_MIN: Span = Span::secs(5);

/// The waits between attempts at a look: each is twice the one before, up to the longest.
#[derive(Debug)]
pub(super) struct Waits(Span);

const WAIT_FIRST: Span = Span(200);
const WAIT_MAX: Span = Span::secs(10);

impl Default for Waits {
    fn default() -> Self {
        Self(WAIT_FIRST)
    }
}

impl Waits {
    pub(super) fn take(&mut self) -> Span {
        let wait = self.0;
        self.0 = Span(wait.0 * 2).min(WAIT_MAX);
        wait
    }
}

/// How to look before anything is begun.
#[derive(Debug)]
pub struct FirstLook {
    /// What tells the time of the look.
    pub clock: Clock,
    /// Ends it at once: nothing is left undone by that.
    pub stop: watch::Receiver<Stop>,
}

impl FirstLook {
    /// Looks in its turn, and again where the world does not answer, after the same waits as a driver. `failed` is told
    /// of each attempt after which there is another. `None` where a stop was asked for.
    ///
    /// # Errors
    /// The last answer: one that will not change, or the one after which the world has been asked long enough, not counting
    /// the turns of others.
    pub async fn at<B: Backend>(
        &self,
        backend: &B,
        scope: &Scope,
        failed: impl FnMut(&Fault),
    ) -> Result<Option<Inventory>, Fault> {
        tokio::select! {
            biased;
            () = stopped(self.stop.clone()) => Ok(None),
            look = self.until_answered(backend, scope, failed) => look.map(Some),
        }
    }

    async fn until_answered<B: Backend>(
        &self,
        backend: &B,
        scope: &Scope,
        mut failed: impl FnMut(&Fault),
    ) -> Result<Inventory, Fault> {
        let (mut waits, mut asked) = (Waits::default(), Span::ZERO);
        let most = Span(backend.capability().lands.0 * LANDINGS).max(ASKED_MIN);
        loop {
            let floor = backend.floor(false).await;
            let began = self.clock.now();
            // Each of its calls has its limit. The whole has none: in a large region it takes what it takes, and it is made once.
            let fault = match backend.look(scope).await {
                Ok(mut look) => {
                    // What began before the answer was sent is not in it.
                    look.looked_at = began;
                    return Ok(look);
                }
                Err(fault) => fault,
            };
            drop(floor);
            let now = self.clock.now();
            let wait = waits.take();
            asked = Span(asked.0 + now.since(began).0 + wait.0);
            if !fault.kind.retryable() || asked >= most {
                return Err(fault);
            }
            failed(&fault);
            self.clock.sleep_until(now + wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cloud::{Capability, Change, FaultKind, Floor};
    use crate::coverage::Retirement;
    use crate::model::{Time, Token};

    /// A world that answers only so many looks with the next of these, and a queue before it.
    struct Deaf {
        faults: Mutex<Vec<FaultKind>>,
        asked: AtomicUsize,
        queue: Span,
        lands: Span,
    }

    impl Deaf {
        fn new(faults: &[FaultKind]) -> Self {
            let (queue, lands) = (Span::ZERO, Span::secs(40));
            Self { faults: Mutex::new(faults.to_vec()), asked: AtomicUsize::new(0), queue, lands }
        }
    }

    impl Backend for Deaf {
        async fn look(&self, _scope: &Scope) -> Result<Inventory, Fault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut faults = self.faults.lock().unwrap();
            if faults.is_empty() {
                return Ok(Inventory::default());
            }
            Err(Fault::new(faults.remove(0), "Look", "no"))
        }

        async fn floor(&self, _moved: bool) -> Floor {
            tokio::time::sleep(self.queue.into()).await;
            Floor::default()
        }

        async fn change(&self, _change: &Change, _token: &Token) -> Result<(), Fault> {
            unreachable!("nothing is begun")
        }

        async fn retire(&self, _proof: Retirement, _token: &Token) -> Result<(), Fault> {
            unreachable!("nothing is begun")
        }

        fn capability(&self) -> Capability {
            Capability { freeze: false, pace: Span::ZERO, lands: self.lands, look: Span::ZERO }
        }
    }

    fn first(stop: &watch::Sender<Stop>) -> FirstLook {
        FirstLook { clock: Clock::starting(Time(1_000_000)), stop: stop.subscribe() }
    }

    fn scope() -> Scope {
        Scope { service: "api".parse().unwrap(), groups: [].into(), fleets: [].into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_nobody_answered_is_tried_again_after_waits_that_double_and_counts_from_its_own_beginning()
     {
        let kinds = [FaultKind::Throttled, FaultKind::Unreachable, FaultKind::Quota];
        let (world, stop) = (Deaf::new(&kinds), watch::Sender::new(Stop::No));
        let (look, mut told) = (first(&stop), Vec::new());
        let seen = look.at(&world, &scope(), |fault| told.push(fault.kind)).await.unwrap().unwrap();
        assert_eq!(told, kinds);
        assert_eq!(seen.looked_at, Time(1_000_000 + 200 + 400 + 800));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_refused_fails_at_once() {
        for kind in [FaultKind::Denied, FaultKind::Missing, FaultKind::Invalid, FaultKind::Unexpected] {
            let (world, stop) = (Deaf::new(&[kind; 2]), watch::Sender::new(Stop::No));
            let told = |fault: &Fault| panic!("{fault} will not change");
            let fault = first(&stop).at(&world, &scope(), told).await.unwrap_err();
            assert_eq!((fault.kind, world.asked.into_inner()), (kind, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_world_that_never_answers_is_given_up_in_time_and_turns_of_others_do_not_count() {
        let ends = [
            (Span::ZERO, Span::secs(40), 110_000..120_000),
            (Span::mins(1), Span::secs(40), 110_000..120_000),
            (Span::ZERO, Span::ZERO, 2_000..5_000),
        ];
        for (queue, lands, end) in ends {
            let world = Deaf { queue, lands, ..Deaf::new(&[FaultKind::Unreachable; 100]) };
            let stop = watch::Sender::new(Stop::No);
            let (look, mut told) = (first(&stop), 0);
            let fault = look.at(&world, &scope(), |_| told += 1).await.unwrap_err();
            let asked = world.asked.into_inner();
            assert_eq!((fault.kind, told + 1), (FaultKind::Unreachable, asked));
            let gone = look.clock.now().since(Time(1_000_000)).0 - queue.0 * asked as u64;
            assert!(end.contains(&gone), "{gone} ms, {asked} looks");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_it_at_once_in_the_queue_and_between_two_attempts() {
        for queue in [Span::ZERO, Span::mins(10)] {
            let world = Deaf { queue, ..Deaf::new(&[FaultKind::Unreachable; 100]) };
            let stop = watch::Sender::new(Stop::No);
            let look = first(&stop);
            let asks = async {
                tokio::time::sleep(Span::secs(30).into()).await;
                stop.send_replace(Stop::Asked);
            };
            let scope = scope();
            let (seen, ()) = tokio::join!(look.at(&world, &scope, |_| {}), asks);
            assert_eq!((seen, look.clock.now()), (Ok(None), Time(1_030_000)));
        }
    }
}
