//! The port to where objects are kept: as little as a folder and a bucket have in common.

use std::fmt;
use std::future::Future;

use super::Key;
use crate::model::Span;

/// The largest object that is written or read.
pub const OBJECT_MAX: usize = 8 << 20;

/// Keeps objects that never change, and hints that do.
pub trait Store: Send + Sync + 'static {
    /// Creates an object whole, or not at all. `Created` and `Exists` are both durable when this returns.
    fn put_new(&self, key: &Key, bytes: &[u8]) -> impl Future<Output = Result<Put, StoreFault>> + Send;
    /// Reads an object of up to [`OBJECT_MAX`] bytes, as it is now.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Vec<u8>>, StoreFault>> + Send;
    /// The objects right in a folder, sorted, to the last page; none where there is no such folder.
    fn list(&self, folder: &Key) -> impl Future<Output = Result<Vec<Key>, StoreFault>> + Send;
    /// The folders right in a folder that hold an object at any depth, sorted, to the last page.
    fn children(&self, folder: &Key) -> impl Future<Output = Result<Vec<Key>, StoreFault>> + Send;
    /// Writes an object over whatever is there: for what is a hint to others, never for an entry.
    fn put(&self, key: &Key, bytes: &[u8]) -> impl Future<Output = Result<(), StoreFault>> + Send;
    /// How long ago an object was written, by the store's own clock; none where there is none.
    fn age(&self, key: &Key) -> impl Future<Output = Result<Option<Span>, StoreFault>> + Send;
    /// Where an object is, for people: a path or an address.
    fn place(&self, key: &Key) -> String;
}

/// A store from which something may be taken away. No rollout needs it, and no runner the right to.
pub trait Sweep: Store {
    /// Removes an object; one that is not there is removed already.
    fn remove(&self, key: &Key) -> impl Future<Output = Result<(), StoreFault>> + Send;
}

/// What became of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object is new and holds these bytes.
    Created,
    /// There was one before; it is as it was. It may be our own, of a call whose reply was lost.
    Exists,
}

/// A call to a store that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StoreFault {
    /// What to do about it.
    pub kind: StoreFaultKind,
    /// Whether the object may have been written all the same: read back before anything else.
    pub ambiguous: bool,
    /// What was tried.
    pub action: StoreAction,
    /// Where, for people.
    pub place: String,
    /// The system's words.
    pub message: String,
}

/// What was asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreAction {
    /// [`Store::put_new`] or [`Store::put`].
    Write,
    /// [`Store::get`] or [`Store::age`].
    Read,
    /// [`Store::list`] or [`Store::children`].
    List,
    /// [`Sweep::remove`].
    Remove,
}

/// The kinds of fault that a caller treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreFaultKind {
    /// No room.
    Full,
    /// Nothing can be written there.
    ReadOnly,
    /// Permissions or credentials.
    Denied,
    /// Too many calls.
    Throttled,
    /// No answer, or the store is unwell.
    Unreachable,
    /// Something else stands at an object's or a folder's place: a link, a folder, another user's file.
    NotAFile,
    /// Larger than [`OBJECT_MAX`], or more than can be listed.
    TooLarge,
    /// The store does not keep create-if-absent, so two drivers could both win.
    Unfit,
    /// This machine lacks something that every call to the store needs.
    Unready,
    /// Anything else.
    Unexpected,
}

impl StoreFaultKind {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable => true,
            Self::Full
            | Self::ReadOnly
            | Self::Denied
            | Self::NotAFile
            | Self::TooLarge
            | Self::Unfit
            | Self::Unready
            | Self::Unexpected => false,
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Full => "free some space (or raise the quota), then resume the rollout",
            Self::ReadOnly => "keep the journal on a file system that can be written",
            Self::Denied => {
                "run as the user that owns the journal, or give this one access; a bucket needs credentials that may \
                 list it and read and write its objects"
            }
            Self::Throttled | Self::Unreachable => "try again in a while",
            Self::NotAFile => {
                "find out who put it there; the journal follows no link and trusts no other user"
            }
            Self::TooLarge => "nothing that was written by this program is that large: move it away",
            Self::Unfit => {
                "keep the journal in a bucket of its own: on OSS one that never had versioning, elsewhere one that \
                 honours `If-None-Match`; see `What a bucket needs` in the README"
            }
            Self::Unready => "set what the message names right, then try again; nothing was changed",
            Self::Unexpected => "see the message of the system",
        }
    }
}

impl StoreFault {
    /// A fault of a call that certainly wrote nothing.
    #[must_use]
    pub fn new(
        kind: StoreFaultKind,
        action: StoreAction,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, ambiguous: false, action, place: place.into(), message: message.into() }
    }

    /// The same fault of a call that may have written.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}: {}", self.action, self.place, self.kind, self.message)?;
        f.write_str(if self.ambiguous { " (it may have been written)" } else { "" })
    }
}

impl fmt::Display for StoreAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::List => "list",
            Self::Remove => "remove",
        })
    }
}

impl fmt::Display for StoreFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Full => "no room is left on the disk, in the quota or under the file size limit",
            Self::ReadOnly => "the file system is read-only",
            Self::Denied => "access is denied",
            Self::Throttled => "too many calls",
            Self::Unreachable => "no answer",
            Self::NotAFile => "something else stands in its place",
            Self::TooLarge => "it is too large",
            Self::Unfit => "it does not keep create-if-absent",
            Self::Unready => "it cannot be reached from this machine",
            Self::Unexpected => "unexpected",
        })
    }
}
