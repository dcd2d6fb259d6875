//! Who writes to a thing that takes one change at a time, and how long a product works on one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::Product;
use crate::cloud::clock;
use crate::model::{Span, Time};

/// The longest time that is waited in silence.
const USUAL_MAX: Duration = Duration::from_secs(5);

/// After so long a host that was asked for is seen not to be idle any more, or was not given.
const RESERVED_FOR: Span = Span::mins(2);

/// The turns of everybody who shares a client.
#[derive(Debug, Default)]
pub(in crate::cloud::edas) struct Turns {
    things: Mutex<BTreeMap<String, Arc<Turn<()>>>>,
    jobs: Mutex<BTreeMap<Product, Duration>>,
    /// By host, for whom it was asked, and when.
    hosts: Mutex<BTreeMap<String, (String, Time)>>,
}

impl Turns {
    /// Waits until nobody else here changes the thing. Who tries all the same is refused while it is being changed, and
    /// each refusal is a write that counts.
    pub async fn alone(&self, thing: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(things.entry(thing.to_owned()).or_default())
        };
        turn.lock_owned().await
    }

    /// Chooses hosts that were not asked for by anybody else here of late, and keeps them from the others where they are as
    /// many as it takes.
    pub fn reserve(
        &self,
        (whose, count): (&str, usize),
        choose: impl FnOnce(&dyn Fn(&str) -> bool) -> Vec<String>,
    ) -> Vec<String> {
        let (mut hosts, now) = (self.hosts.lock().unwrap_or_else(PoisonError::into_inner), clock::now());
        hosts.retain(|_, (own, at)| own != whose && now.since(*at) < RESERVED_FOR);
        let chosen = choose(&|host| !hosts.contains_key(host));
        let kept = if chosen.len() == count { chosen.as_slice() } else { &[] };
        hosts.extend(kept.iter().map(|host| (host.clone(), (whose.to_owned(), now))));
        chosen
    }

    /// How long the last job of a product took, as far as anybody knows.
    pub fn usual(&self, product: Product) -> Duration {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(&product).copied().unwrap_or_default()
    }

    /// A job took so long.
    pub fn took(&self, product: Product, time: Duration) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(product, time.min(USUAL_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_reserved_for_one_who_asks_for_it_until_that_one_asks_again() {
        let turns = Turns::default();
        let first = |whose: &str| {
            turns.reserve((whose, 1), |is_free| {
                ["u-1", "u-2"].into_iter().filter(|id| is_free(id)).take(1).map(str::to_owned).collect()
            })
        };
        assert_eq!((first("blue"), first("green")), (vec!["u-1".to_owned()], vec!["u-2".to_owned()]));
        assert_eq!(first("grey"), Vec::<String>::new());
        assert_eq!(first("blue"), ["u-1"], "its own are given back when it chooses again");
    }
}
