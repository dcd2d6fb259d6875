//! The journal as a whole: which rollouts there are, and what happened in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::archive::Unpacked;
use super::entry::{NO_DIGEST, decode, digest, split_mac, unseal};
use super::{
    Damage, EVENTS_MAX, Entry, Flaw, JournalFault, Key, Log, Signing, Store, StoreAction, StoreFault,
    StoreFaultKind,
};
use crate::model::{EnvironmentName, RolloutId, ServiceName};
use crate::rollout::Recorded;

/// How many entries of one log are read at the same time: over a network, a long log then costs few waits.
const READS_MAX: usize = 32;
/// The highest number that 8 digits can hold.
const ROLLOUT_MAX: u64 = 99_999_999;

/// All rollouts of all services in one store.
#[derive(Debug)]
pub struct Journal<S> {
    store: Arc<S>,
    writer: String,
    logs: AtomicU64,
    signing: Arc<Signing>,
}

/// One rollout's log, read from the first entry to the last and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Every entry, in order.
    pub entries: Vec<Entry>,
    /// The last entry.
    pub head: Head,
    /// Whether the log is packed; nobody adds to it then.
    pub packed: bool,
}

/// The last entry of a log that was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 of an empty log.
    pub seq: u64,
    /// The SHA-256 of its bytes.
    pub digest: String,
    /// Whether the log is signed: all of its entries are, or none is.
    pub signed: bool,
}

impl Head {
    /// The head of an empty log.
    pub(super) fn none(signed: bool) -> Self {
        Self { seq: 0, digest: NO_DIGEST.to_owned(), signed }
    }
}

impl History {
    /// Every fact, for the fold.
    ///
    /// # Errors
    /// [`JournalFault::UnknownEvent`] where another version wrote what this one does not know.
    pub fn into_recorded(self) -> Result<Vec<Recorded>, JournalFault> {
        self.entries.into_iter().map(|entry| entry.into_recorded(&self.rollout)).collect()
    }
}

impl<S: Store> Journal<S> {
    /// The journal in a store. `writer` names this process and no other: `Actor::nonce`.
    pub fn new(store: S, writer: impl Into<String>) -> Self {
        let (logs, signing) = (AtomicU64::new(0), Arc::default());
        Self { store: Arc::new(store), writer: writer.into(), logs, signing }
    }

    /// The same journal with a key, which signs the logs that it begins and proves what it reads.
    #[must_use]
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = Arc::new(signing);
        self
    }

    /// Every service that was ever rolled out.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn services(&self) -> Result<Vec<ServiceName>, JournalFault> {
        let folders = self.store.children(&Key::root()).await?;
        Ok(folders.iter().filter_map(|folder| folder.name().parse().ok()).collect())
    }

    /// Every environment of a service.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn environments(&self, service: &ServiceName) -> Result<Vec<EnvironmentName>, JournalFault> {
        let folders = self.store.children(&folder(&[service.as_str()])).await?;
        Ok(folders.iter().filter_map(|folder| folder.name().parse().ok()).collect())
    }

    /// Every rollout of a service in an environment, oldest first.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn rollouts(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
    ) -> Result<Vec<RolloutId>, JournalFault> {
        let folders = self.store.children(&folder(&[service.as_str(), environment.as_str()])).await?;
        let numbers = folders.iter().filter_map(|folder| number(folder.name()));
        let id = |number| RolloutId { service: service.clone(), environment: environment.clone(), number };
        Ok(numbers.map(id).collect())
    }

    /// The latest rollout of a service in an environment.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn latest(
        &self,
        service: &ServiceName,
        environment: &EnvironmentName,
    ) -> Result<Option<RolloutId>, JournalFault> {
        Ok(self.rollouts(service, environment).await?.pop())
    }

    /// Begins a rollout with its first fact.
    ///
    /// # Errors
    /// [`JournalFault::Taken`] where somebody else began one of this number.
    pub async fn open(&self, rollout: &RolloutId, first: &Recorded) -> Result<Log<S>, JournalFault> {
        let track = self.track(rollout)?;
        let mut log = self.log_at(track.clone(), Head::none(self.signing.signs()));
        // A number that is free may be that of a log which was packed since the caller read the list.
        let packed = async || match track.packed(&*self.store).await {
            // The first entry is there: only whether it counts is not known.
            Err(JournalFault::Store(fault)) => Err(JournalFault::from(fault.ambiguous())),
            packed => packed,
        };
        if log.create(first).await? && !packed().await? {
            Ok(log)
        } else {
            Err(JournalFault::Taken { rollout: rollout.clone() })
        }
    }

    /// Reads a rollout from the first entry to the last, and checks every bit of it.
    ///
    /// # Errors
    /// [`JournalFault::Missing`], or [`JournalFault::Damaged`] with the place and what is wrong there.
    pub async fn read(&self, rollout: &RolloutId) -> Result<History, JournalFault> {
        let track = self.track(rollout)?;
        let listed = track.listed(&*self.store).await?;
        let read = match listed.numbers.last() {
            _ if listed.packed => Err(JournalFault::Missing { rollout: rollout.clone() }),
            Some(last) => self.read_numbered(&track, *last).await,
            None => Err(JournalFault::Missing { rollout: rollout.clone() }),
        };
        match read {
            // It is packed, or was while it was read. What is left of its entries then is no log.
            Err(missing) if lacks_entries(&missing) => match track.unpack(&*self.store).await? {
                Some(Unpacked { mut entries, mut head }) => {
                    entries.extend(track.read_on(&*self.store, &mut head).await?);
                    Ok(History { rollout: rollout.clone(), entries, head, packed: true })
                }
                None => Err(missing),
            },
            read => read,
        }
    }

    async fn read_numbered(&self, track: &Track, last: u64) -> Result<History, JournalFault> {
        let rollout = track.rollout.clone();
        if last > EVENTS_MAX {
            return Err(JournalFault::TooMany { rollout, max: EVENTS_MAX });
        }
        let mut head = Head::none(false);
        let mut entries = track.read_to(&*self.store, &mut head, last).await?;
        entries.extend(track.read_on(&*self.store, &mut head).await?);
        Ok(History { rollout, entries, head, packed: false })
    }

    /// Whether a rollout may follow one whose log is signed, or is not: where others have a key, a log without signatures
    /// is one that they refuse.
    ///
    /// # Errors
    /// [`JournalFault::Keyless`].
    pub fn may_follow(&self, rollout: &RolloutId, signed: bool) -> Result<(), JournalFault> {
        if signed && !self.signing.signs() {
            return Err(JournalFault::Keyless { rollout: rollout.clone() });
        }
        Ok(())
    }

    /// The log behind a history, to append to.
    ///
    /// # Errors
    /// [`JournalFault::UnknownEvent`]: who does not know what happened must not add to it. [`JournalFault::Keyless`]: nor
    /// must who cannot sign a log that is signed.
    pub fn log(&self, history: &History) -> Result<Log<S>, JournalFault> {
        let unknown = history.entries.iter().find(|entry| matches!(entry.fact, super::Fact::Unknown(_)));
        if let Some(entry) = unknown {
            entry.clone().into_recorded(&history.rollout)?;
        }
        if history.packed {
            return Err(JournalFault::Packed { rollout: history.rollout.clone() });
        }
        self.may_follow(&history.rollout, history.head.signed)?;
        Ok(self.log_at(self.track(&history.rollout)?, history.head.clone()))
    }

    pub(super) fn store(&self) -> &S {
        &self.store
    }

    pub(super) fn keyring(&self) -> &Signing {
        &self.signing
    }

    pub(super) fn track(&self, rollout: &RolloutId) -> Result<Track, JournalFault> {
        let (folder, signing) = (folder_of(rollout)?, Arc::clone(&self.signing));
        Ok(Track { rollout: rollout.clone(), folder, signing })
    }

    /// The place of an object beside a rollout's entries.
    pub(super) fn beside(rollout: &RolloutId, name: &str) -> Result<Key, JournalFault> {
        Ok(folder_of(rollout)?.join(name).expect("a plain name makes a good key"))
    }

    /// Each log writes under a name of its own: were two of one process to write the same words at the same time,
    /// each would take the other's entry for its own.
    fn log_at(&self, track: Track, head: Head) -> Log<S> {
        let writer = format!("{}-{}", self.writer, self.logs.fetch_add(1, Ordering::Relaxed));
        Log::new(Arc::clone(&self.store), track, writer, head)
    }
}

/// What a list of a rollout's folder shows.
pub(super) struct Listed {
    /// The numbers of the entries, in order. Only the highest is to be relied on: while others append, a list may lack
    /// one in the middle.
    pub numbers: Vec<u64>,
    /// Whether the packed log is there.
    pub packed: bool,
}

/// The place of one rollout's entries.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub rollout: RolloutId,
    folder: Key,
    pub signing: Arc<Signing>,
}

impl Track {
    pub fn key(&self, seq: u64) -> Key {
        self.folder.join(&format!("{seq:08}.json")).expect("digits make a good key")
    }

    pub fn damage<S: Store>(&self, store: &S, seq: u64, flaw: Flaw) -> Damage {
        let key = self.key(seq);
        Damage { place: store.place(&key), key, flaw }
    }

    /// The place of an object beside the entries.
    pub fn beside(&self, name: &str) -> Key {
        self.folder.join(name).expect("a plain name makes a good key")
    }

    /// What a list shows.
    pub async fn listed<S: Store>(&self, store: &S) -> Result<Listed, JournalFault> {
        let keys = store.list(&self.folder).await?;
        let mut numbers: Vec<_> = keys.iter().filter_map(seq_of).collect();
        numbers.sort_unstable();
        Ok(Listed { numbers, packed: keys.contains(&self.archive()) })
    }

    /// Every entry as it is stored, from the first to the last; none of them was checked.
    pub async fn lines<S: Store>(&self, store: &S) -> Result<Vec<Vec<u8>>, JournalFault> {
        let missing = || JournalFault::Missing { rollout: self.rollout.clone() };
        let last = *self.listed(store).await?.numbers.last().ok_or_else(missing)?;
        let reads = stream::iter(1..=last.min(EVENTS_MAX)).map(|seq| async move {
            let read = self.get(store, seq).await?;
            Ok(read.ok_or_else(|| self.damage(store, seq, Flaw::Hole))?)
        });
        reads.buffered(READS_MAX).try_collect().await
    }

    /// The bytes of an entry; what cannot be one is damage and not a fault of the store.
    pub async fn get<S: Store>(&self, store: &S, seq: u64) -> Result<Option<Vec<u8>>, JournalFault> {
        let damage = |flaw| JournalFault::from(self.damage(store, seq, flaw));
        store.get(&self.key(seq)).await.map_err(|fault| match (fault.action, fault.kind) {
            (StoreAction::Read, StoreFaultKind::NotAFile) => damage(Flaw::NotAFile { what: fault.message }),
            (StoreAction::Read, StoreFaultKind::TooLarge) => damage(Flaw::TooLarge { what: fault.message }),
            _ => JournalFault::from(fault),
        })
    }

    /// The entries up to a number that is known to exist, many at a time; `head` moves along.
    async fn read_to<S: Store>(
        &self,
        store: &S,
        head: &mut Head,
        last: u64,
    ) -> Result<Vec<Entry>, JournalFault> {
        let mut entries = Vec::new();
        let reads = stream::iter(head.seq + 1..=last).map(|seq| self.get(store, seq));
        let mut reads = reads.buffered(READS_MAX);
        while let Some(read) = reads.next().await {
            let hole = || self.damage(store, head.seq + 1, Flaw::Hole);
            entries.push(self.accept(store, head, &read?.ok_or_else(hole)?)?);
        }
        Ok(entries)
    }

    /// Every entry behind `head`, which moves along.
    pub async fn read_on<S: Store>(&self, store: &S, head: &mut Head) -> Result<Vec<Entry>, JournalFault> {
        let mut entries = Vec::new();
        while head.seq < EVENTS_MAX {
            let Some(bytes) = self.get(store, head.seq + 1).await? else { break };
            entries.push(self.accept(store, head, &bytes)?);
        }
        Ok(entries)
    }

    /// The entry right behind `head`, once everything about it has been checked; `head` moves to it.
    pub fn accept<S: Store>(&self, store: &S, head: &mut Head, bytes: &[u8]) -> Result<Entry, Damage> {
        let seq = head.seq + 1;
        let decoded = decode(bytes).map_err(|flaw| self.damage(store, seq, flaw))?;
        if decoded.rollout != self.rollout || decoded.entry.seq != seq {
            let flaw = Flaw::Foreign { rollout: decoded.rollout, seq: decoded.entry.seq };
            return Err(self.damage(store, seq, flaw));
        }
        if decoded.prev != head.digest {
            return Err(self.broken_chain(store, seq));
        }
        let signed = decoded.mac.is_some();
        self.proves(bytes, decoded.mac.as_deref()).map_err(|flaw| self.damage(store, seq, flaw))?;
        if seq > 1 && signed != head.signed {
            let other = Flaw::Malformed { reason: "it is signed, in a log that is not".to_owned() };
            return Err(self.damage(store, seq, if signed { other } else { Flaw::Unsigned }));
        }
        *head = Head { seq, digest: digest(bytes), signed };
        Ok(decoded.entry)
    }

    /// Whether the bytes of an entry, which says that it has this signature, fit the key, where there is one.
    fn proves(&self, bytes: &[u8], said: Option<&str>) -> Result<(), Flaw> {
        let (over, mac) = split_mac(unseal(bytes)?);
        if mac == said {
            self.signing.accept(over, mac)
        } else {
            // It would be signed to one reader and not to another.
            Err(Flaw::Malformed { reason: "its signature does not stand where one stands".to_owned() })
        }
    }

    /// Nothing stands before the first entry, so there the entry itself is at fault.
    fn broken_chain<S: Store>(&self, store: &S, seq: u64) -> Damage {
        match seq {
            1 => {
                let reason = "it is the first, and names one before it".to_owned();
                self.damage(store, seq, Flaw::Malformed { reason })
            }
            _ => self.damage(store, seq - 1, Flaw::Replaced { witness: self.key(seq) }),
        }
    }

    /// The store said that an entry exists, and then did not have it.
    pub fn vanished<S: Store>(&self, store: &S, seq: u64) -> JournalFault {
        let place = store.place(&self.key(seq));
        let message = "the store says that it exists and has nothing to show";
        StoreFault::new(StoreFaultKind::Unreachable, StoreAction::Read, place, message).ambiguous().into()
    }
}

/// Whether entries are gone that there were, or there are none.
fn lacks_entries(fault: &JournalFault) -> bool {
    match fault {
        JournalFault::Missing { .. } => true,
        JournalFault::Damaged(damage) => damage.flaw == Flaw::Hole,
        _ => false,
    }
}

/// The folder of one rollout's entries.
fn folder_of(rollout: &RolloutId) -> Result<Key, JournalFault> {
    if rollout.number == 0 || rollout.number > ROLLOUT_MAX {
        return Err(JournalFault::Number { rollout: rollout.clone() });
    }
    let number = format!("{:08}", rollout.number);
    Ok(folder(&[rollout.service.as_str(), rollout.environment.as_str(), &number]))
}

/// A folder out of parts that are slugs or digits.
fn folder(parts: &[&str]) -> Key {
    let join = |folder: Key, part: &&str| folder.join(part);
    parts.iter().try_fold(Key::root(), join).expect("a slug makes a good key")
}

/// The number of an entry; none of what is not named like one.
fn seq_of(key: &Key) -> Option<u64> {
    number(key.name().strip_suffix(".json")?)
}

/// Eight digits as a number from 1.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().filter(|number| *number > 0) } else { None }
}
