//! One token bucket for each family of calls, shared by every rollout of this process in a region.
//!
//! AWS throttles by account and region (elb-api-throttling in the ELB user guide: reads 40 at once and 10 a second). To
//! wait here costs less than to be refused there: a refused call costs a round trip and a token as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::cloud::Floor;
use crate::model::Span;

/// Calls that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Describe calls of ELBv2.
    ElbRead,
    /// Listeners, rules, groups and their attributes are changed.
    ElbModify,
    /// Targets come and go.
    ElbRegister,
    /// Every call of EC2 Auto Scaling has the same bucket; the numbers are not published.
    AutoScaling,
    /// CodeDeploy; not published either, and 41 calls a minute with bursts were throttled.
    CodeDeploy,
    /// EC2's non-mutating calls.
    Ec2,
    /// `CloudWatch`'s alarms: 9 reads and 3 writes a second are published.
    CloudWatch,
    /// Who we are, and what we may.
    Sts,
}

impl Family {
    /// How many at once, and how many a second.
    const fn rate(self) -> (f64, f64) {
        match self {
            Self::ElbRead | Self::AutoScaling | Self::Ec2 => (40.0, 10.0),
            Self::ElbModify => (20.0, 3.0),
            Self::ElbRegister => (20.0, 4.0),
            Self::CodeDeploy => (10.0, 1.0),
            Self::CloudWatch => (10.0, 5.0),
            Self::Sts => (10.0, 10.0),
        }
    }
}

/// The buckets of one account and region.
#[derive(Debug)]
pub(super) struct Limits {
    /// How much more than by default the account may do.
    factor: f64,
    /// Who may look and act.
    floor: Arc<Semaphore>,
    /// Who of those that have not moved any traffic may queue for it.
    early: Arc<Semaphore>,
    buckets: Mutex<BTreeMap<Family, Bucket>>,
}

/// Reads of load balancers a second, by default.
const READS: f64 = 10.0;

/// How much of a bucket several services may empty together. Calls reach AWS closer together than they were sent, and the SDK
/// sends a refused one again without asking here: at the very edge, and all the time, some are refused without end.
const BURST: f64 = 0.8;
const RATE: f64 = 0.95;

/// How much more than by default an account with this limit may do.
pub(super) fn factor(reads_per_second: u32) -> f64 {
    f64::from(reads_per_second) / READS
}

/// How many services look and act at a time by default: a look takes some ten reads, so with this many it takes some
/// seconds, and a change of twice as many calls less than the time after which it is given up.
const FLOOR: f64 = 6.0;
const FLOOR_MAX: f64 = 256.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between two small numbers"
)]
fn floor(factor: f64) -> usize {
    (FLOOR * factor).clamp(FLOOR, FLOOR_MAX) as usize
}

#[derive(Debug)]
struct Bucket {
    /// May be negative: those who wait have taken theirs already, so they are served in order.
    tokens: f64,
    filled_at: Instant,
}

impl Limits {
    /// The buckets of an account and region: the same ones for everybody in this process.
    pub fn of(account: &str, region: &str, reads_per_second: u32) -> Arc<Self> {
        static ALL: OnceLock<Mutex<BTreeMap<String, Arc<Limits>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.entry(format!("{account}/{region}/{reads_per_second}"));
        Arc::clone(all.or_insert_with(|| Arc::new(Self::new(factor(reads_per_second)))))
    }

    fn new(factor: f64) -> Self {
        let (all, early) = (floor(factor), floor(factor) * 2 / 3);
        let [floor, early] = [all, early].map(|places| Arc::new(Semaphore::new(places)));
        Self { factor, floor, early, buckets: Mutex::default() }
    }

    /// How many at once, and how many a second.
    fn rate(&self, family: Family) -> (f64, f64) {
        let (burst, rate) = family.rate();
        let alone = self.floor.available_permits() + 1 >= floor(self.factor);
        let (most, fastest) = if alone { (1.0, 1.0) } else { (BURST, RATE) };
        (burst * self.factor * most, rate * self.factor * fastest)
    }

    /// Waits until there is room for one more who looks and acts. Some of it is kept for those who have moved traffic.
    pub async fn floor(&self, moved: bool) -> Floor {
        let early = if moved { None } else { Arc::clone(&self.early).acquire_owned().await.ok() };
        let leave = Arc::clone(&self.floor).acquire_owned().await;
        leave.map_or_else(|_| Floor::default(), |leave| Floor::held((leave, early)))
    }

    /// No limits.
    pub fn none() -> Arc<Self> {
        Arc::new(Self::new(f64::from(u32::MAX)))
    }

    /// Waits for a token.
    pub async fn take(&self, family: Family) {
        let wait = self.reserve(family);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// How long so many calls take at least, from a full bucket; never more than an hour.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 3600")]
    pub fn lasts(&self, family: Family, calls: usize) -> Span {
        let (burst, rate) = self.rate(family);
        let waiting = f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) - burst;
        Span::secs((waiting / rate).clamp(0.0, 3600.0).ceil() as u64)
    }

    /// Takes a token before it is there, up to a whole bucket of them: then waits as everybody does.
    pub async fn borrow(&self, family: Family) {
        let (burst, rate) = self.rate(family);
        let wait = self.reserve(family).saturating_sub(Duration::from_secs_f64(burst / rate));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// AWS refused a call: others use the same bucket, so ours is taken for empty, and one that will come back is sent again.
    pub fn refused(&self, family: Family) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(family).or_insert_with(|| Bucket::full(self.rate(family)));
        bucket.fill(self.rate(family));
        bucket.tokens = bucket.tokens.min(0.0) - 1.0;
    }

    fn reserve(&self, family: Family) -> Duration {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(family).or_insert_with(|| Bucket::full(self.rate(family)));
        bucket.fill(self.rate(family));
        bucket.tokens -= 1.0;
        let (_, rate) = self.rate(family);
        Duration::from_secs_f64((-bucket.tokens / rate).max(0.0))
    }
}

impl Bucket {
    #[expect(
        clippy::disallowed_methods,
        reason = "how fast to call is a matter of the real clock, and decides nothing"
    )]
    fn full((burst, _): (f64, f64)) -> Self {
        Self { tokens: burst, filled_at: Instant::now() }
    }

    fn fill(&mut self, (burst, rate): (f64, f64)) {
        let gone = self.filled_at.elapsed();
        self.filled_at += gone;
        self.tokens = (self.tokens + gone.as_secs_f64() * rate).min(burst);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time is what these tests measure")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_what_follows_waits_its_turn() {
        let limits = Limits::new(1.0);
        let _several = (limits.floor(false).await, limits.floor(true).await);
        let begun = Instant::now();
        for _ in 0..16 {
            limits.take(Family::ElbModify).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..30 {
            limits.take(Family::ElbModify).await;
        }
        let waited = begun.elapsed().as_secs_f64();
        assert!((10.4..10.7).contains(&waited), "{waited}");
    }

    #[test]
    fn what_fits_into_the_bucket_takes_no_time_and_the_rest_its_turn() {
        let lasts = |calls| Limits::new(1.0).lasts(Family::ElbRead, calls);
        assert_eq!([lasts(0), lasts(40)], [Span::ZERO; 2]);
        assert_eq!(lasts(140), Span::secs(10));
        assert_eq!(Limits::none().lasts(Family::ElbRead, usize::MAX), Span::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_alone_has_all_of_it() {
        let limits = Limits::new(1.0);
        let (_alone, begun) = (limits.floor(false).await, Instant::now());
        for _ in 0..20 {
            limits.take(Family::ElbModify).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_empties_the_bucket() {
        let limits = Limits::new(1.0);
        limits.refused(Family::ElbRead);
        let begun = Instant::now();
        limits.take(Family::ElbRead).await;
        assert!(begun.elapsed() >= Duration::from_millis(99), "{:?}", begun.elapsed());
    }
}
