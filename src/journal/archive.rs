//! A log that is over, packed: all of its entries, byte for byte and in order, in one object beside them, which then go.
//!
//! Promises: the hash chain stays what it was, and is checked as ever; an entry goes only after the packed log was read
//! back from the store and proved to its end; whatever a crash leaves behind is read as the same log, and packed to the
//! end by the next order. Must not decide which logs are over.
//!
//! The numbers of a packed log are free again. Nobody takes them for new: who opens a rollout, or adds to a log that it
//! has not touched for [`UNTOUCHED_MAX`], looks for the packed log afterwards or before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::{encode, format, split_mac, unseal};
use super::read::Track;
use super::{Damage, Entry, Flaw, Head, Journal, JournalFault, Key, OBJECT_MAX, Put, Signing, Store, Sweep};
use crate::model::RolloutId;

/// What the packed log is called.
const NAME: &str = "entries.ndjson";
/// A hint that says nothing any more.
const PULSE: &str = "driver.json";

/// How long a log may lie untouched in a process that goes on to write to it without another look. Only what has been
/// over for much longer is to be packed.
pub const UNTOUCHED_MAX: Duration = Duration::from_hours(24);

/// What became of an order to pack a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// So many objects went.
    Done(usize),
    /// It was packed before.
    Already,
    /// It is larger than one object may be, and stays as it is.
    TooLarge,
}

/// The last line of a packed log: what it has to hold to be whole.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    v: u64,
    packed: RolloutId,
    entries: u64,
    digest: String,
}

/// A packed log that was read and proved.
pub(super) struct Unpacked {
    pub entries: Vec<Entry>,
    pub head: Head,
}

impl Track {
    pub fn archive(&self) -> Key {
        self.beside(NAME)
    }

    /// Whether the log is packed.
    pub async fn packed<S: Store>(&self, store: &S) -> Result<bool, JournalFault> {
        Ok(store.get(&self.archive()).await?.is_some())
    }

    /// The packed log, proved from its first entry to its last; none where it is not packed.
    pub async fn unpack<S: Store>(&self, store: &S) -> Result<Option<Unpacked>, JournalFault> {
        let Some(bytes) = store.get(&self.archive()).await? else { return Ok(None) };
        let key = self.archive();
        let damage = |flaw| JournalFault::from(Damage { place: store.place(&key), key: key.clone(), flaw });
        let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let seal = lines.pop().ok_or_else(|| damage(Flaw::Truncated))?;
        let (seal, signed) = read_seal(seal, &self.signing).map_err(damage)?;
        let (mut entries, mut head) = (Vec::new(), Head::none(false));
        for line in lines {
            entries.push(self.accept(store, &mut head, line).map_err(|at| damage(at.flaw))?);
        }
        let whole = seal.packed == self.rollout
            && (seal.entries, &seal.digest, signed) == (head.seq, &head.digest, head.signed);
        if whole && head.seq > 0 { Ok(Some(Unpacked { entries, head })) } else { Err(damage(Flaw::Edited)) }
    }
}

/// The last line, and whether it is signed.
fn read_seal(line: &[u8], signing: &Signing) -> Result<(Seal, bool), Flaw> {
    let (body, mac) = split_mac(unseal(line)?);
    signing.accept(body, mac)?;
    let seal: Seal = serde_json::from_slice(&[body, b"}"].concat())
        .map_err(|reason| Flaw::Malformed { reason: reason.to_string() })?;
    let known = format(mac.is_some());
    if seal.v == known { Ok((seal, mac.is_some())) } else { Err(Flaw::Newer { format: seal.v }) }
}

impl<S: Sweep> Journal<S> {
    /// Packs a log that is over. Whoever asks has seen that it is, and that it has been for long.
    ///
    /// # Errors
    /// [`JournalFault`]; the log is whole then, in one form or in both, and the order may be given again.
    pub async fn pack(&self, rollout: &RolloutId) -> Result<Packed, JournalFault> {
        let (track, store) = (self.track(rollout)?, self.store());
        let packed = match track.unpack(store).await? {
            Some(packed) => packed,
            None => match self.write_packed(&track).await? {
                Some(packed) => packed,
                None => return Ok(Packed::TooLarge),
            },
        };
        let left = track.listed(store).await?.numbers;
        // Somebody added to it: it is not over after all. The packed part stays right, and nothing goes.
        if left.last().is_some_and(|seq| *seq > packed.head.seq) {
            return Err(JournalFault::Busy { rollout: rollout.clone() });
        }
        if left.is_empty() {
            return Ok(Packed::Already);
        }
        // From the first: what an older version sees of a log that is half gone has a hole, and is never a shorter log.
        for seq in &left {
            store.remove(&track.key(*seq)).await?;
        }
        store.remove(&track.beside(PULSE)).await?;
        Ok(Packed::Done(left.len()))
    }

    /// Writes the packed log and reads it back; none where it is too large.
    async fn write_packed(&self, track: &Track) -> Result<Option<Unpacked>, JournalFault> {
        let store = self.store();
        let lines = track.lines(store).await?;
        let mut head = Head::none(false);
        for line in &lines {
            track.accept(store, &mut head, line)?;
        }
        if head.signed && !self.keyring().signs() {
            return Err(JournalFault::Keyless { rollout: track.rollout.clone() });
        }
        let seal = Seal {
            v: format(head.signed),
            packed: track.rollout.clone(),
            entries: head.seq,
            digest: head.digest.clone(),
        };
        let mac = |bytes: &[u8]| if head.signed { self.keyring().mac(bytes) } else { None };
        let seal = encode(&seal, mac).expect("every seal has string keys and whole numbers");
        let bytes = [lines.concat(), seal].concat();
        if bytes.len() > OBJECT_MAX {
            return Ok(None);
        }
        match store.put_new(&track.archive(), &bytes).await {
            Ok(Put::Created | Put::Exists) => {}
            Err(fault) => return Err(fault.into()),
        }
        let back = track.unpack(store).await?.filter(|back| back.head == head);
        back.map(Some).ok_or_else(|| JournalFault::Busy { rollout: track.rollout.clone() })
    }
}
