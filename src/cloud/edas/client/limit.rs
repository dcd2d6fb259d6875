//! How often each operation may be called, shared by every rollout of this process in an account and region.
//!
//! Alibaba Cloud counts calls of an operation a minute, NLB its reads a second. To wait here costs less than to be refused there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::call::Product;
use crate::cloud::Floor;

/// What a call may be late on its way, of a minute and of a second.
const MINUTE: Duration = Duration::from_secs(61);
const SECOND: Duration = Duration::from_millis(1200);

/// How many services look and act at a time: the scarcest operation of a look may be called forty times a minute.
const FLOOR: usize = 6;

/// How many calls an operation takes in which time (help.aliyun.com, 2026-11; EDAS's from an older page).
fn budget(product: Product, action: &str) -> (usize, Duration) {
    let reads = ["Get", "List", "Describe", "Query"].iter().any(|word| action.starts_with(word));
    if product == Product::Nlb && reads {
        return (if action == "GetListenerHealthStatus" { 10 } else { 20 }, SECOND);
    }
    let minute = match (product, action) {
        (Product::Edas, "GetChangeOrderInfo" | "QueryApplicationStatus") => 100,
        (Product::Edas, "ListDeployGroup") => 200,
        (Product::Edas, "ListApplication") => 60,
        (Product::Edas, "ListScaleOutEcu") => 20,
        (Product::Edas, "GetApplication") => 40,
        // The rest are not published: reads are taken to be like those of an application's status, writes like deployments.
        (Product::Edas, _) if reads => 100,
        (Product::Edas, _) => 40,
        (Product::Clb, _) if reads => 3000,
        (Product::Alb, _) if reads => 1200,
        (Product::Clb, _) => 90,
        (Product::Alb | Product::Nlb, _) => 200,
        (Product::Ess | Product::Ecs, _) => 300,
        (Product::Sts, _) => 6000,
    };
    (minute, MINUTE)
}

/// Where several services look and act, a burst may have so much of the budget, and the rest come evenly. Else
/// nobody would be served for most of a minute, and every look would be old when it is done. One alone need not be held up.
const BURST: usize = 4;

/// Whether a call may be sent before its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// It waits as everybody does.
    None,
    /// Traffic waits for it: it borrows from the time to come, a whole minute or second at most. The limits are our own guess at what
    /// the provider takes; whoever has to bring traffic back asks the provider itself.
    Traffic,
}

/// The budgets of one account and region.
#[derive(Debug)]
pub(super) struct Limits {
    books: Mutex<BTreeMap<(Product, &'static str), Book>>,
    endless: bool,
    /// Who may look and act.
    floor: Arc<Semaphore>,
}

/// The calls of one operation.
#[derive(Debug, Default)]
struct Book {
    /// When the last ones were, or will be, sent: no more than the budget.
    sent: VecDeque<Instant>,
    /// Until when the provider wants to be left alone.
    closed: Option<Instant>,
}

impl Book {
    /// When the next call may be sent where a burst is over; none within one.
    fn spaced(&self, now: Instant, (most, window): (usize, Duration)) -> Option<Instant> {
        let burst = most.div_ceil(BURST);
        let recent = self.sent.iter().rev().take_while(|at| **at + window > now).count();
        let each = window / u32::try_from((most - burst).max(1)).unwrap_or(u32::MAX);
        (recent >= burst).then(|| self.sent.back().map_or(now, |last| *last + each))
    }
}

impl Limits {
    /// The budgets of an account and region: the same ones for everybody in this process.
    pub fn of(account: &str, region: &str) -> Arc<Self> {
        static ALL: OnceLock<Mutex<BTreeMap<String, Arc<Limits>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let one = all.entry(format!("{account}/{region}"));
        Arc::clone(one.or_insert_with(|| Arc::new(Self::new(false))))
    }

    /// No limits but those that the provider tells.
    pub fn none() -> Arc<Self> {
        Arc::new(Self::new(true))
    }

    fn new(endless: bool) -> Self {
        Self { books: Mutex::default(), endless, floor: Arc::new(Semaphore::new(FLOOR)) }
    }

    /// Waits until there is room for one more who looks and acts.
    pub async fn floor(&self) -> Floor {
        Arc::clone(&self.floor).acquire_owned().await.map_or_else(|_| Floor::default(), Floor::held)
    }

    /// Waits for its turn.
    pub async fn take(&self, product: Product, action: &'static str, haste: Haste) {
        let at = self.reserve(product, action, haste);
        tokio::time::sleep_until(at).await;
    }

    /// Waits for its turn, if it comes before; whether it did.
    pub async fn take_before(
        &self,
        (product, action): (Product, &'static str),
        haste: Haste,
        until: Instant,
    ) -> bool {
        let at = self.reserve(product, action, haste);
        if at >= until {
            return false;
        }
        tokio::time::sleep_until(at).await;
        true
    }

    /// The provider refused a call: nobody here sends another one before.
    pub fn refused(&self, product: Product, action: &'static str, wait: Duration) {
        let until = now() + wait;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry((product, action)).or_default();
        book.closed = book.closed.max(Some(until));
    }

    fn reserve(&self, product: Product, action: &'static str, haste: Haste) -> Instant {
        let now = now();
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry((product, action)).or_default();
        let open = book.closed.map_or(now, |closed| closed.max(now));
        if self.endless {
            return open;
        }
        // Who waits has taken a place already, so all are served in order.
        let (most, window) = budget(product, action);
        let full = book.sent.len() >= most;
        let oldest = if full { book.sent.pop_front() } else { None };
        let several = haste == Haste::None && self.floor.available_permits() + 1 < FLOOR;
        let spaced = if several { book.spaced(now, (most, window)) } else { None };
        let at = oldest.map_or(open, |oldest| (oldest + window).max(open)).max(spaced.unwrap_or(open));
        match haste {
            Haste::None => {
                book.sent.push_back(at);
                at
            }
            Haste::Traffic => {
                // It is counted where it would have come, so that everybody else waits behind it.
                let counted = book.sent.back().map_or(at, |last| at.max(*last));
                book.sent.push_back(counted);
                counted.checked_sub(window).map_or(open, |early| early.max(open))
            }
        }
    }
}

/// The clock that pauses and limits go by.
#[expect(
    clippy::disallowed_methods,
    reason = "how fast to call is a matter of the real clock, and decides nothing"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_calls_than_the_budget_and_all_rollouts_share_it() {
        for (several, burst, whole) in [(false, 39, 122.0), (true, 9, 204.0)] {
            let region = if several { "there" } else { "here" };
            let (one, other) = (Limits::of("1", region), Limits::of("1", region));
            let _acting = if several { vec![one.floor().await, other.floor().await] } else { Vec::new() };
            let begun = now();
            let mut sent = Vec::new();
            for n in 0..110 {
                let limits = if n % 2 == 0 { &one } else { &other };
                limits.take(Product::Edas, "DeployApplication", Haste::None).await;
                sent.push(begun.elapsed().as_secs_f64());
            }
            for (n, at) in sent.iter().enumerate() {
                let minute = sent[n..].iter().filter(|later| **later < at + 60.0).count();
                assert!(minute <= 40, "{minute} calls in the minute after {at}");
            }
            let last = sent[109];
            assert!(sent[burst] < 0.01 && (last - whole).abs() < 1.0, "{several}: {} {last}", sent[burst]);
        }
        let elsewhere = now();
        Limits::of("2", "here").take(Product::Edas, "DeployApplication", Haste::None).await;
        Limits::of("1", "here").take(Product::Edas, "GetApplication", Haste::None).await;
        assert_eq!(elsewhere.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_reads_of_an_nlb_than_it_takes() {
        for (action, most) in [("ListServerGroups", 20), ("GetListenerHealthStatus", 10)] {
            let limits = Limits::new(false);
            let (begun, mut sent) = (now(), Vec::new());
            for _ in 0..50 {
                limits.take(Product::Nlb, action, Haste::None).await;
                sent.push(begun.elapsed());
            }
            for at in &sent {
                let second = sent.iter().filter(|own| *own >= at && **own < *at + Duration::from_secs(1));
                assert!(second.count() <= most, "{action}: {sent:?}");
            }
            assert!(sent[most - 1].is_zero(), "one alone is not held up: {sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_nobody_calls_before_the_provider_wants_it() {
        let limits = Limits::none();
        limits.refused(Product::Alb, "ListRules", Duration::from_millis(700));
        limits.refused(Product::Alb, "ListRules", Duration::from_millis(300));
        let begun = now();
        limits.take(Product::Alb, "ListListeners", Haste::None).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        limits.take(Product::Alb, "ListRules", Haste::None).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(700));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_to_bring_traffic_back_borrows_a_whole_minute_and_everybody_else_waits_behind() {
        let limits = Limits::new(false);
        let _acting = [limits.floor().await, limits.floor().await];
        let begun = now();
        let sent = async |haste| {
            limits.take(Product::Edas, "GetApplication", haste).await;
            begun.elapsed().as_secs()
        };
        // Forty a minute, of which ten come at once where several services look.
        for _ in 0..11 {
            sent(Haste::None).await;
        }
        let before = begun.elapsed().as_secs();
        assert_eq!(before, 2);
        for _ in 0..69 {
            assert_eq!(sent(Haste::Traffic).await, before, "fifty services and more");
        }
        assert!(
            sent(Haste::Traffic).await >= 59,
            "no more than twice as much as the provider is said to take"
        );
        assert!(sent(Haste::None).await > 120);
        limits.refused(Product::Edas, "QueryApplicationStatus", Duration::from_secs(5));
        let refused = now();
        limits.take(Product::Edas, "QueryApplicationStatus", Haste::Traffic).await;
        assert_eq!(refused.elapsed(), Duration::from_secs(5), "the provider itself is not overruled");
    }
}
