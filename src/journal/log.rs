//! The log of one rollout, to append to.

use std::sync::Arc;
use std::time::SystemTime;

use super::entry::{Draft, digest, encode, format};
use super::read::{Head, Track};
use super::{EVENTS_MAX, Entry, JournalFault, OBJECT_MAX, Put, Store, UNTOUCHED_MAX};
use crate::model::RolloutId;
use crate::rollout::Recorded;

/// One rollout's log behind everything that its holder has read.
#[derive(Debug)]
pub struct Log<S> {
    store: Arc<S>,
    track: Track,
    writer: String,
    head: Head,
    /// When the store last answered, by the wall clock: other clocks stand still while a machine sleeps.
    touched: SystemTime,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an entry that was overtaken was not appended"]
pub enum Appended {
    /// The fact is in the log, durably, under this number.
    Created(u64),
    /// Others were first, and the fact is **not** in the log. These are theirs, to be folded before anything else;
    /// the log's head is behind them now.
    Overtaken(Vec<Entry>),
}

impl<S: Store> Log<S> {
    pub(super) fn new(store: Arc<S>, track: Track, writer: String, head: Head) -> Self {
        Self { store, track, writer, head, touched: now() }
    }

    /// Which rollout.
    #[must_use]
    pub fn rollout(&self) -> &RolloutId {
        &self.track.rollout
    }

    /// The last entry that was read or written here.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends a fact behind everything that was read here, or says what overtook it.
    ///
    /// A lost reply is settled before this returns. After an error nothing was appended, unless the error is an
    /// ambiguous [`JournalFault::Store`]: then the same fact may be appended again, and is stored once.
    ///
    /// # Errors
    /// [`JournalFault`]; the head stays where it was, except behind entries that were read and found sound.
    pub async fn append(&mut self, fact: &Recorded) -> Result<Appended, JournalFault> {
        self.not_packed().await?;
        if self.create(fact).await? {
            return Ok(Appended::Created(self.head.seq));
        }
        let seq = self.head.seq + 1;
        let entries = self.news().await?;
        if entries.is_empty() {
            Err(self.track.vanished(&*self.store, seq))
        } else {
            Ok(Appended::Overtaken(entries))
        }
    }

    /// The entries that others have appended since; one read where there are none.
    ///
    /// # Errors
    /// [`JournalFault::Damaged`] where one of them cannot be believed.
    pub async fn news(&mut self) -> Result<Vec<Entry>, JournalFault> {
        let mut head = self.head.clone();
        let entries = self.track.read_on(&*self.store, &mut head).await?;
        self.touched = now();
        // Only now: had a later one failed, the caller would not have got the earlier ones either.
        self.head = head;
        Ok(entries)
    }

    /// The next number of a log that was packed is free, and not for whoever slept all that time.
    async fn not_packed(&mut self) -> Result<(), JournalFault> {
        let untouched = now().duration_since(self.touched).unwrap_or_default();
        if untouched > UNTOUCHED_MAX && self.track.packed(&*self.store).await? {
            return Err(JournalFault::Packed { rollout: self.track.rollout.clone() });
        }
        Ok(())
    }

    /// Whether the fact is stored under the next number, as ours; the head moves to it.
    pub(super) async fn create(&mut self, fact: &Recorded) -> Result<bool, JournalFault> {
        let (seq, bytes) = (self.head.seq + 1, self.encode(fact)?);
        let created = match self.store.put_new(&self.track.key(seq), &bytes).await {
            Ok(Put::Created) => true,
            Ok(Put::Exists) => self.is_ours(seq, &bytes).await?,
            Err(fault) if fault.ambiguous => self.settle(seq, &bytes, fault.into()).await?,
            Err(fault) => return Err(fault.into()),
        };
        self.touched = now();
        if created {
            self.head = Head { seq, digest: digest(&bytes), signed: self.head.signed };
        }
        Ok(created)
    }

    /// What is under this number after a reply was lost. Nothing there proves nothing, for the write may still be on
    /// its way: the fault stays ambiguous. Our bytes there are seen, and not yet certain to outlive a power cut; a
    /// second `put_new` changes nothing and returns only when they are.
    async fn settle(&self, seq: u64, bytes: &[u8], lost: JournalFault) -> Result<bool, JournalFault> {
        match self.track.get(&*self.store, seq).await {
            Ok(None) | Err(JournalFault::Store(_)) => Err(lost),
            Err(damage) => Err(damage),
            Ok(Some(stored)) if stored != bytes => Ok(false),
            Ok(Some(_)) => match self.store.put_new(&self.track.key(seq), bytes).await {
                Ok(Put::Created | Put::Exists) => Ok(true),
                Err(fault) => Err(fault.ambiguous().into()),
            },
        }
    }

    async fn is_ours(&self, seq: u64, bytes: &[u8]) -> Result<bool, JournalFault> {
        let stored = self.track.get(&*self.store, seq).await.map_err(|fault| match fault {
            // What exists may be ours, of an earlier call; a failed read leaves that open.
            JournalFault::Store(fault) => JournalFault::Store(fault.ambiguous()),
            damage => damage,
        })?;
        Ok(stored.is_some_and(|stored| stored == bytes))
    }

    fn encode(&self, fact: &Recorded) -> Result<Vec<u8>, JournalFault> {
        let rollout = &self.track.rollout;
        if self.head.seq >= EVENTS_MAX {
            return Err(JournalFault::TooMany { rollout: rollout.clone(), max: EVENTS_MAX });
        }
        let draft = Draft {
            v: format(self.head.signed),
            seq: self.head.seq + 1,
            rollout,
            writer: &self.writer,
            prev: &self.head.digest,
            at: fact.at,
            event: &fact.event,
        };
        let mac = |bytes: &[u8]| if self.head.signed { self.track.signing.mac(bytes) } else { None };
        let bytes = encode(&draft, mac).expect("every fact has string keys and finite numbers");
        if bytes.len() > OBJECT_MAX {
            let (event, bytes) = (fact.event.name(), bytes.len());
            return Err(JournalFault::TooLarge { rollout: rollout.clone(), event, bytes, max: OBJECT_MAX });
        }
        Ok(bytes)
    }
}

#[expect(clippy::disallowed_methods, reason = "only this clock goes on while a machine sleeps")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, MemoryStore, Packed};
    use crate::model::Time;
    use crate::rollout::Event;

    #[tokio::test]
    async fn a_driver_that_slept_while_its_log_was_packed_adds_nothing_to_it() {
        let store = MemoryStore::new();
        let rollout =
            RolloutId { service: "api".parse().unwrap(), environment: "local".parse().unwrap(), number: 1 };
        let fact = |why: &str| Recorded { at: Time(1), event: Event::Released { why: why.into() } };
        let journal = Journal::new(store.clone(), "w");
        let mut sleeper = journal.open(&rollout, &fact("first")).await.unwrap();
        let mut other = journal.log(&journal.read(&rollout).await.unwrap()).unwrap();
        assert_eq!(other.append(&fact("second")).await.unwrap(), Appended::Created(2));
        sleeper.touched = SystemTime::UNIX_EPOCH;
        assert_eq!(journal.pack(&rollout).await.unwrap(), Packed::Done(2));
        let refused = sleeper.append(&fact("late")).await.unwrap_err();
        assert!(matches!(refused, JournalFault::Packed { .. }), "{refused}");
        let refused = journal.open(&rollout, &fact("again")).await.unwrap_err();
        assert!(matches!(refused, JournalFault::Taken { .. }), "{refused}");
        let history = journal.read(&rollout).await.unwrap();
        assert_eq!((history.head.seq, history.packed), (2, true));
    }
}
