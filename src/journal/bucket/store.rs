//! The store itself: each call limited in time, tried again where that can help, and its answer told apart.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opendal::{EntryMode, Error, ErrorKind};
use tokio::sync::{OnceCell, Semaphore};

use super::address::Bucket;
use super::client::{Client, Reach};
use super::fault::{fault, no_bucket};
use super::probe::{self, Unproved, prove};
use crate::cloud::Finding;
use crate::journal::{Key, OBJECT_MAX, Put, Store, StoreAction, StoreFault, StoreFaultKind, Sweep};
use crate::model::Span;

/// How long one call may take before it counts as lost.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How long a listing may take, to its last page.
const LIST_MAX: Duration = Duration::from_mins(1);
/// How often a call is made that fails for a passing reason.
const TRIES: u32 = 4;
/// The waits between them double from this.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// How many calls are under way at once.
const CALLS_MAX: usize = 256;
/// The most names that one listing reads.
const LISTED_MAX: usize = 1_000_000;

/// A store in a bucket of S3 or OSS. Nothing is asked of the cloud, or of the machine, before the first call.
#[derive(Debug, Clone)]
pub struct BucketStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    reach: Reach,
    client: OnceCell<Client>,
    proved: OnceCell<()>,
    calls: Semaphore,
}

impl BucketStore {
    /// A store in a bucket.
    #[must_use]
    pub fn new(bucket: Bucket, reach: Reach) -> Self {
        let (client, proved, calls) = (OnceCell::new(), OnceCell::new(), Semaphore::new(CALLS_MAX));
        Self(Arc::new(Inner { bucket, reach, client, proved, calls }))
    }

    /// Whether the bucket is fit to keep a journal, as far as it may be asked. Changes nothing.
    ///
    /// # Errors
    /// Where this machine cannot ask at all.
    pub async fn examine(&self) -> Result<Vec<Finding>, StoreFault> {
        let client = self.0.client(StoreAction::Read, &Key::root()).await?;
        Ok(super::doctor::examine(self.0.bucket.provider, &self.0.bucket.to_string(), &client.asker).await)
    }
}

impl Inner {
    fn place(&self, key: &Key) -> String {
        format!("{}/{key}", self.bucket)
    }

    async fn client(&self, action: StoreAction, key: &Key) -> Result<&Client, StoreFault> {
        let made = self.client.get_or_try_init(|| Box::pin(Client::new(&self.bucket, &self.reach))).await;
        made.map_err(|why| StoreFault::new(StoreFaultKind::Unready, action, self.place(key), why))
    }

    /// The client, once the bucket has proved that it can be written to.
    async fn writer(&self, key: &Key) -> Result<&Client, StoreFault> {
        let client = self.client(StoreAction::Write, key).await?;
        self.proved.get_or_try_init(|| Box::pin(self.prove(client, key))).await?;
        if let Some(wrong) = client.seen.wrong_clock() {
            return Err(StoreFault::new(StoreFaultKind::Unready, StoreAction::Write, self.place(key), wrong));
        }
        if client.seen.versioned() { Err(self.unfit(key, probe::VERSIONED)) } else { Ok(client) }
    }

    /// A refusal whose cause is our own clock says so: both clouds refuse signatures of another hour.
    fn clocked(&self, fault: StoreFault) -> StoreFault {
        let wrong = self.client.get().and_then(|client| client.seen.wrong_clock());
        match wrong.filter(|_| fault.kind == StoreFaultKind::Denied) {
            Some(wrong) => {
                let message = format!("{wrong} ({})", fault.message);
                StoreFault { kind: StoreFaultKind::Unready, message, ..fault }
            }
            None => fault,
        }
    }

    /// Has the bucket prove itself, whatever of that has to be asked again.
    async fn prove(&self, client: &Client, key: &Key) -> Result<(), StoreFault> {
        let endpoint = self.reach.endpoint.as_deref().unwrap_or_default();
        let (mut wait, mut attempt) = (RETRY_FIRST, 1);
        loop {
            let proof = prove(client, endpoint, &self.reach.nonce);
            let failed = match tokio::time::timeout(CALL_MAX, proof).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Unproved::Unfit(why))) => return Err(self.unfit(key, why)),
                Ok(Err(Unproved::Failed(error))) => fault(StoreAction::Write, self.place(key), &error),
                Err(_) => self.late(StoreAction::Write, key),
            };
            if attempt == TRIES || !failed.kind.retryable() {
                // Only a canary can have been written.
                return Err(self.clocked(StoreFault { ambiguous: false, ..failed }));
            }
            tokio::time::sleep(wait).await;
            (wait, attempt) = (wait * 2, attempt + 1);
        }
    }

    fn unfit(&self, key: &Key, why: &str) -> StoreFault {
        StoreFault::new(StoreFaultKind::Unfit, StoreAction::Write, self.place(key), why)
    }

    fn late(&self, action: StoreAction, key: &Key) -> StoreFault {
        let message = format!("no answer within {} s", limit(action).as_secs());
        let late = StoreFault::new(StoreFaultKind::Unreachable, action, self.place(key), message);
        if action == StoreAction::Write { late.ambiguous() } else { late }
    }

    /// Makes a call until it is answered, a few times. Whatever is repeated here changes nothing more.
    async fn call<T, F>(&self, action: StoreAction, key: &Key, make: impl Fn() -> F) -> Result<T, StoreFault>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (mut wait, mut attempt, mut unsure) = (RETRY_FIRST, 1, false);
        loop {
            let place = self.calls.acquire().await;
            let answer = tokio::time::timeout(limit(action), Box::pin(make())).await;
            drop(place);
            let failed = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => fault(action, self.place(key), &error),
                Err(_) => self.late(action, key),
            };
            unsure |= failed.ambiguous;
            if attempt == TRIES || !failed.kind.retryable() {
                return Err(self.clocked(StoreFault { ambiguous: unsure, ..failed }));
            }
            tokio::time::sleep(wait).await;
            (wait, attempt) = (wait * 2, attempt + 1);
        }
    }

    async fn entries(&self, folder: &Key, mode: EntryMode) -> Result<Vec<Key>, StoreFault> {
        let client = self.client(StoreAction::List, folder).await?;
        let path = if *folder == Key::root() { "/".to_owned() } else { format!("{folder}/") };
        let listed = self.call(StoreAction::List, folder, || client.operator.list(&path)).await?;
        if listed.len() > LISTED_MAX {
            let message = format!("more than {LISTED_MAX} names");
            let kind = StoreFaultKind::TooLarge;
            return Err(StoreFault::new(kind, StoreAction::List, self.place(folder), message));
        }
        // A folder's own name may be among them, and what cannot be a key is not ours.
        let here = listed.iter().filter(|entry| entry.metadata().mode() == mode);
        let mut keys: Vec<_> =
            here.filter_map(|entry| folder.join(entry.name().trim_end_matches('/')).ok()).collect();
        keys.retain(|key| key.below(folder).is_some());
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

fn limit(action: StoreAction) -> Duration {
    match action {
        StoreAction::Write | StoreAction::Read | StoreAction::Remove => CALL_MAX,
        StoreAction::List => LIST_MAX,
    }
}

impl Sweep for BucketStore {
    async fn remove(&self, key: &Key) -> Result<(), StoreFault> {
        let this = &*self.0;
        let client = this.client(StoreAction::Remove, key).await?;
        this.call(StoreAction::Remove, key, || client.operator.delete(key.as_str())).await
    }
}

impl Store for BucketStore {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        let this = &*self.0;
        let client = this.writer(key).await?;
        let put = this.call(StoreAction::Write, key, || async {
            let bytes = bytes.to_vec();
            match client.operator.write_with(key.as_str(), bytes).if_not_exists(true).await {
                Ok(_) => Ok(Put::Created),
                // It may be ours, of an earlier try: the log reads it back and compares.
                Err(error) if error.kind() == ErrorKind::ConditionNotMatch => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        });
        let put = put.await?;
        // Versions that were turned on since the proof overwrite: what was written now may have taken another's place.
        if client.seen.versioned() { Err(this.unfit(key, probe::VERSIONED).ambiguous()) } else { Ok(put) }
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        let this = &*self.0;
        let client = this.client(StoreAction::Read, key).await?;
        let read = this.call(StoreAction::Read, key, || async {
            match client.operator.read(key.as_str()).await {
                Ok(bytes) => Ok(Some(bytes.to_vec())),
                Err(error) if error.kind() == ErrorKind::NotFound && !no_bucket(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let found = read.await?;
        match found.as_ref().map(Vec::len).filter(|len| *len > OBJECT_MAX) {
            Some(len) => {
                let (kind, message) = (StoreFaultKind::TooLarge, format!("{len} bytes"));
                Err(StoreFault::new(kind, StoreAction::Read, this.place(key), message))
            }
            None => Ok(found),
        }
    }

    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.0.entries(folder, EntryMode::FILE).await
    }

    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        self.0.entries(folder, EntryMode::DIR).await
    }

    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        let this = &*self.0;
        let client = this.client(StoreAction::Write, key).await?;
        let put = || async { client.operator.write(key.as_str(), bytes.to_vec()).await.map(drop) };
        this.call(StoreAction::Write, key, put).await
    }

    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        let this = &*self.0;
        let client = this.client(StoreAction::Read, key).await?;
        let asked = this.call(StoreAction::Read, key, || async {
            match client.operator.stat(key.as_str()).await {
                Ok(found) => Ok(Some(found)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        });
        let Some(found) = asked.await? else { return Ok(None) };
        // Both by the bucket's clock, so that ours may show what it likes.
        let written = found.last_modified().map(|at| at.into_inner().as_millisecond());
        let written = written.and_then(|at| u64::try_from(at).ok()).unwrap_or_default();
        Ok(Some(Span(client.seen.date_ms().saturating_sub(written))))
    }

    fn place(&self, key: &Key) -> String {
        self.0.place(key)
    }
}
