//! One entry: how it is written, and every check on the way back.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Flaw, JournalFault};
use crate::model::{RolloutId, Time};
use crate::rollout::{Event, Recorded};

/// The highest format of stored entries; a reader refuses a higher one.
pub const JOURNAL_FORMAT: u64 = 2;
/// The format of entries without a signature.
const PLAIN: u64 = 1;
/// The format of signed ones, which readers of the first one refuse by its number.
const SIGNED: u64 = 2;
/// The most entries of one rollout.
pub const EVENTS_MAX: u64 = 100_000;

/// What the first entry says of the one before.
pub(super) const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Every format ends like this, 64 hexadecimal digits in between, so that old readers tell newer from damaged.
const SUM_OPEN: &[u8] = b",\"sum\":\"";
const SUM_CLOSE: &[u8] = b"\"}\n";
const SUM_LEN: usize = SUM_OPEN.len() + 64 + SUM_CLOSE.len();

/// What is signed ends like this before its sum.
const MAC_OPEN: &[u8] = b",\"mac\":\"";
const MAC_CLOSE: &[u8] = b"\"";
const MAC_LEN: usize = MAC_OPEN.len() + 64 + MAC_CLOSE.len();

/// One entry of a rollout's log, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// Who wrote it: the process's nonce, and a number for each log that it opened.
    pub writer: String,
    /// What it says.
    pub fact: Fact,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An event that this version knows.
    Known(Event),
    /// One that it does not know: to be shown as it is, and never folded.
    Unknown(UnknownEvent),
}

/// An event that another version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEvent {
    /// Its name, which may be known where only its content is not.
    pub kind: String,
    /// The event as it is stored.
    pub stored: serde_json::Value,
    /// What was not understood.
    pub reason: String,
}

impl Entry {
    /// The event's name as it is stored.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.fact {
            Fact::Known(event) => event.name(),
            Fact::Unknown(unknown) => &unknown.kind,
        }
    }

    /// The fact for the fold.
    ///
    /// # Errors
    /// [`JournalFault::UnknownEvent`] for what this version does not know.
    pub fn into_recorded(self, rollout: &RolloutId) -> Result<Recorded, JournalFault> {
        match self.fact {
            Fact::Known(event) => Ok(Recorded { at: self.at, event }),
            Fact::Unknown(unknown) => Err(JournalFault::UnknownEvent {
                rollout: rollout.clone(),
                seq: self.seq,
                kind: unknown.kind,
                reason: unknown.reason,
            }),
        }
    }
}

/// An entry as it is written, without its sum.
#[derive(Serialize)]
pub(super) struct Draft<'a> {
    pub v: u64,
    pub seq: u64,
    pub rollout: &'a RolloutId,
    pub writer: &'a str,
    pub prev: &'a str,
    pub at: Time,
    pub event: &'a Event,
}

/// An entry as it is read. The sum has been checked before, on the bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<E> {
    v: u64,
    seq: u64,
    rollout: RolloutId,
    writer: String,
    prev: String,
    at: Time,
    event: E,
    mac: Option<String>,
    #[serde(rename = "sum")]
    _sum: String,
}

/// Only the format, whatever else there is.
#[derive(Deserialize)]
struct Format {
    v: u64,
}

/// An entry, and what it says of its place.
pub(super) struct Decoded {
    pub rollout: RolloutId,
    pub prev: String,
    pub entry: Entry,
    pub mac: Option<String>,
}

/// The format of what is signed, or is not.
pub(super) fn format(signed: bool) -> u64 {
    if signed { SIGNED } else { PLAIN }
}

/// The bytes of an entry, with their signature by `mac`, if there is one, and with their sum.
pub(super) fn encode(
    draft: &impl Serialize,
    mac: impl FnOnce(&[u8]) -> Option<String>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(draft)?;
    bytes.pop(); // The closing brace comes after the sum.
    if let Some(mac) = mac(&bytes) {
        bytes.extend_from_slice(MAC_OPEN);
        bytes.extend_from_slice(mac.as_bytes());
        bytes.extend_from_slice(MAC_CLOSE);
    }
    let sum = digest(&bytes);
    bytes.extend_from_slice(SUM_OPEN);
    bytes.extend_from_slice(sum.as_bytes());
    bytes.extend_from_slice(SUM_CLOSE);
    Ok(bytes)
}

/// An entry out of its bytes. A changed bit lies either before the sum, which then differs, or in the ending, which
/// is compared as text; a missing tail takes the only line end away.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, Flaw> {
    unseal(bytes)?;
    match serde_json::from_slice::<Object<Event>>(bytes) {
        Ok(object) => settle(object, Fact::Known),
        Err(reason) => decode_unknown(bytes, &reason),
    }
}

/// What stands before a sum that fits it: a document without its closing brace.
pub(super) fn unseal(bytes: &[u8]) -> Result<&[u8], Flaw> {
    let (body, ending) = bytes.split_at_checked(bytes.len().wrapping_sub(SUM_LEN)).ok_or(Flaw::Truncated)?;
    let sum = ending.strip_prefix(SUM_OPEN).and_then(|rest| rest.strip_suffix(SUM_CLOSE));
    let sum = sum.ok_or(Flaw::Truncated)?;
    if sum == digest(body).as_bytes() { Ok(body) } else { Err(Flaw::Edited) }
}

/// What a signature is over, and the signature: of a body as [`unseal`] gives it. Without one, all of it and none.
pub(super) fn split_mac(body: &[u8]) -> (&[u8], Option<&str>) {
    let found = body.split_at_checked(body.len().wrapping_sub(MAC_LEN)).and_then(|(signed, ending)| {
        let mac = ending.strip_prefix(MAC_OPEN)?.strip_suffix(MAC_CLOSE)?;
        Some((
            signed,
            std::str::from_utf8(mac).ok().filter(|mac| mac.bytes().all(|b| b.is_ascii_hexdigit()))?,
        ))
    });
    found.map_or((body, None), |(signed, mac)| (signed, Some(mac)))
}

/// An entry that is whole and that this version cannot read: newer, of an unknown kind, or no entry.
fn decode_unknown(bytes: &[u8], reason: &serde_json::Error) -> Result<Decoded, Flaw> {
    let malformed = |reason: &dyn std::fmt::Display| Flaw::Malformed { reason: reason.to_string() };
    let format: Format = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
    if format.v > JOURNAL_FORMAT {
        return Err(Flaw::Newer { format: format.v });
    }
    let object: Object<serde_json::Value> = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
    let kind = match &object.event {
        serde_json::Value::String(kind) => Some(kind.clone()),
        serde_json::Value::Object(fields) if fields.len() == 1 => fields.keys().next().cloned(),
        _ => None,
    };
    let kind = kind.ok_or_else(|| malformed(&"its event has no name"))?;
    settle(object, |stored| Fact::Unknown(UnknownEvent { kind, stored, reason: reason.to_string() }))
}

fn settle<E>(object: Object<E>, fact: impl FnOnce(E) -> Fact) -> Result<Decoded, Flaw> {
    if object.v > JOURNAL_FORMAT {
        return Err(Flaw::Newer { format: object.v });
    }
    if object.v != format(object.mac.is_some()) {
        let with = if object.mac.is_some() { "with" } else { "without" };
        return Err(Flaw::Malformed {
            reason: format!("there is no format {} {with} a signature", object.v),
        });
    }
    let entry = Entry { seq: object.seq, at: object.at, writer: object.writer, fact: fact(object.event) };
    Ok(Decoded { rollout: object.rollout, prev: object.prev, entry, mac: object.mac })
}

/// The SHA-256 of some bytes, as 64 hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = |byte: u8| [byte >> 4, byte & 15].map(|nibble| char::from(DIGITS[usize::from(nibble)]));
    bytes.iter().flat_map(|byte| nibbles(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_every_other_tool_prints() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), known);
    }

    #[test]
    fn bytes_that_are_shorter_than_an_ending_are_no_entry() {
        for len in 0..=SUM_LEN {
            assert!(matches!(decode(&vec![b'{'; len]), Err(Flaw::Truncated)), "{len}");
        }
    }
}
