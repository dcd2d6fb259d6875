//! What can go wrong with a journal.

use std::fmt;

use super::{Key, StoreFault};
use crate::model::RolloutId;

/// Why a journal could not be read or appended to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// The store failed. Nothing was appended for certain, unless the fault is ambiguous.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// What is stored cannot be believed.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// There is no such rollout.
    #[error("find rollout `{rollout}` in the journal")]
    Missing {
        /// Which.
        rollout: RolloutId,
    },
    /// Somebody else opened a rollout of this number first.
    #[error("open rollout `{rollout}`: the number is taken")]
    Taken {
        /// Which.
        rollout: RolloutId,
    },
    /// An entry says something that this version does not know, so the rollout cannot be folded.
    #[error(
        "read entry {seq} of rollout `{rollout}`: this version does not know the event {kind:?} ({reason})"
    )]
    UnknownEvent {
        /// Which rollout.
        rollout: RolloutId,
        /// Which entry.
        seq: u64,
        /// The event's name.
        kind: String,
        /// What was not understood.
        reason: String,
    },
    /// An event is too large to store.
    #[error("append `{event}` to rollout `{rollout}`: {bytes} bytes are more than the {max} of an entry")]
    TooLarge {
        /// Which rollout.
        rollout: RolloutId,
        /// The event's name.
        event: &'static str,
        /// How large it would be.
        bytes: usize,
        /// How large it could be.
        max: usize,
    },
    /// A rollout has as many entries as it may have.
    #[error("append to rollout `{rollout}`: it has {max} entries, and no rollout has more")]
    TooMany {
        /// Which rollout.
        rollout: RolloutId,
        /// How many.
        max: u64,
    },
    /// A rollout's log is signed, and whoever would add to it, or follow it, has no key: those who have it would refuse
    /// the rest.
    #[error("add to the journal behind rollout `{rollout}`: its log is signed, and no journal key is set")]
    Keyless {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A log was packed: nobody adds to it any more.
    #[error("append to rollout `{rollout}`: it has been over for long, and its log is packed")]
    Packed {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A log that was to be packed is not over.
    #[error("pack the log of rollout `{rollout}`: somebody adds to it")]
    Busy {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// A rollout's number has no place in the journal.
    #[error("use rollout `{rollout}`: its number is not in 1 to 99999999")]
    Number {
        /// Which rollout.
        rollout: RolloutId,
    },
}

impl JournalFault {
    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(fault) => fault.kind.hint(),
            Self::Damaged(damage) => damage.flaw.hint(),
            Self::Missing { .. } => "list the rollouts that there are",
            Self::Taken { .. } => "somebody started a rollout just now; look at its status",
            Self::UnknownEvent { .. } => "use the version that wrote it, or a newer one",
            Self::Keyless { .. } => {
                "set DEPLOYER_JOURNAL_KEY or DEPLOYER_JOURNAL_KEY_FILE to the key of the others"
            }
            Self::Packed { .. } => "look at it with `deployer show`",
            Self::Busy { .. } => "look at it with `deployer show`; nothing was taken away",
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::Number { .. } => "begin a new rollout",
        }
    }
}

/// A place in a journal that cannot be believed. Nothing behind it is read, and nothing is appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{place}`: {flaw}")]
pub struct Damage {
    /// The object.
    pub key: Key,
    /// The object, for people: a path or an address.
    pub place: String,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with an object of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It does not end as an entry ends: cut short, emptied, or never an entry.
    Truncated,
    /// Its content does not match its own sum.
    Edited,
    /// Its sum is right, and the entry behind it was written after another one.
    Replaced {
        /// The entry behind it.
        witness: Key,
    },
    /// It was written for another place: the rollout and the number that it names.
    Foreign {
        /// The rollout that it names.
        rollout: RolloutId,
        /// The number that it names.
        seq: u64,
    },
    /// It is missing, though there is a later one.
    Hole,
    /// It has no signature, though there is a key.
    Unsigned,
    /// Its signature does not fit the key.
    Forged,
    /// It has a format that this version does not know.
    Newer {
        /// The format.
        format: u64,
    },
    /// Its sum is right, and it is no entry all the same.
    Malformed {
        /// The parser's words.
        reason: String,
    },
    /// A link, a folder or another user's file stands in its place.
    NotAFile {
        /// The store's words.
        what: String,
    },
    /// It is larger than any entry.
    TooLarge {
        /// The store's words.
        what: String,
    },
}

impl Flaw {
    /// What an operator can do about it. A torn write cannot be the cause of any of these: an entry is whole and
    /// on the disk before it gets its name. So nothing is repaired by cutting; somebody has to look.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned => {
                "whoever wrote it had no journal key; where the log began before there was one, read it with \
                 `--allow-unsigned`"
            }
            Self::Forged => {
                "find out whether another key was in use (each bucket has one), or who else can write to the store"
            }
            Self::Newer { .. } => "use the version that wrote it, or a newer one",
            Self::NotAFile { .. } => {
                "find out who put it there; the journal follows no link and trusts no other user"
            }
            Self::Truncated
            | Self::Edited
            | Self::Replaced { .. }
            | Self::Foreign { .. }
            | Self::Hole
            | Self::Malformed { .. }
            | Self::TooLarge { .. } => {
                "bring the file back from a backup; without one, see what the cloud says, move the rollout's folder \
                 away and begin a new rollout: a plan is made from what is there"
            }
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it is cut short, or was never an entry"),
            Self::Edited => f.write_str("it was changed: its content does not match its sum"),
            Self::Replaced { witness } => {
                write!(f, "it was replaced: `{witness}` was written after another entry than this one")
            }
            Self::Foreign { rollout, seq } => write!(f, "it belongs elsewhere: entry {seq} of `{rollout}`"),
            Self::Hole => f.write_str("it is missing, though there is a later one"),
            Self::Unsigned => f.write_str("it is not signed, and there is a journal key"),
            Self::Forged => f.write_str("its signature does not fit the journal key"),
            Self::Newer { format } => {
                write!(
                    f,
                    "it has format {format}, and this version knows formats up to {}",
                    super::JOURNAL_FORMAT
                )
            }
            Self::Malformed { reason } => write!(f, "it is no entry: {reason}"),
            Self::NotAFile { what } => write!(f, "something else stands in its place: {what}"),
            Self::TooLarge { what } => write!(f, "it is too large: {what}"),
        }
    }
}
