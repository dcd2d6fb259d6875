//! A store in a folder of this host.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::temp::{sweep, sync, write_temp};
use super::{Key, OBJECT_MAX, Put, Store, StoreAction, StoreFault, StoreFaultKind, Sweep};
use crate::model::Span;

/// Only the owner looks into a journal.
const FOLDER_MODE: u32 = 0o700;
/// The most names that one listing reads.
const LISTED_MAX: usize = 1_000_000;
/// The deepest folder that is searched for an object; a key is no deeper.
const SEARCH_DEPTH_MAX: usize = 8;

/// A store in a folder of this host, on a file system that has hard links.
///
/// An object is written to a temporary file, forced to the disk, and only then gets its name by a link, which fails
/// where the name is taken: no reader ever sees half of one, and no writer ever replaces one. Writes run beside the
/// runtime, for a sync can take long; reads of small files do not.
#[derive(Debug, Clone)]
pub struct FileStore(Arc<Root>);

#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Folders that this process has forced to the disk, down from the root.
    durable: Mutex<BTreeSet<PathBuf>>,
    /// The user who owns the root, once it was seen.
    owner: OnceLock<u32>,
}

impl FileStore {
    /// A store in `folder`, which is made by the first write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Root { path: folder.into(), durable: Mutex::default(), owner: OnceLock::new() }))
    }
}

impl Store for FileStore {
    async fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        let (root, to, bytes) = (Arc::clone(&self.0), key.clone(), bytes.to_vec());
        let written = tokio::task::spawn_blocking(move || root.put_new(&to, &bytes)).await;
        written.unwrap_or_else(|lost| {
            let (kind, action) = (StoreFaultKind::Unexpected, StoreAction::Write);
            Err(StoreFault::new(kind, action, self.place(key), lost.to_string()).ambiguous())
        })
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        self.0.get(key)
    }

    async fn list(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        let listed = self.0.entries(folder)?;
        Ok(listed.into_iter().filter(|(_, is_folder)| !is_folder).map(|(key, _)| key).collect())
    }

    async fn children(&self, folder: &Key) -> Result<Vec<Key>, StoreFault> {
        let mut children = Vec::new();
        for (key, is_folder) in self.0.entries(folder)? {
            if is_folder && self.0.holds_object(&key, SEARCH_DEPTH_MAX)? {
                children.push(key);
            }
        }
        Ok(children)
    }

    async fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        self.0.put(key, bytes)
    }

    async fn age(&self, key: &Key) -> Result<Option<Span>, StoreFault> {
        let path = self.0.at(key);
        match fs::symlink_metadata(&path).and_then(|found| found.modified()) {
            // A clock that was set back makes it new, and never older than it is.
            Ok(written) => {
                let age = written.elapsed().unwrap_or_default().as_millis();
                Ok(Some(Span(u64::try_from(age).unwrap_or(u64::MAX))))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(StoreAction::Read, &path, &error)),
        }
    }

    fn place(&self, key: &Key) -> String {
        self.0.at(key).display().to_string()
    }
}

impl Sweep for FileStore {
    async fn remove(&self, key: &Key) -> Result<(), StoreFault> {
        let path = self.0.at(key);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(fault(StoreAction::Remove, &path, &error)),
        }
    }
}

impl Root {
    fn at(&self, key: &Key) -> PathBuf {
        key.segments().fold(self.path.clone(), |path, segment| path.join(segment))
    }

    fn put_new(&self, key: &Key, bytes: &[u8]) -> Result<Put, StoreFault> {
        let path = self.at(key);
        let write = |error: &io::Error| fault(StoreAction::Write, &path, error);
        let Some(folder) = path.parent().filter(|_| key.segments().count() > 0) else {
            return Err(fault(StoreAction::Write, &path, &ErrorKind::IsADirectory.into()));
        };
        // What exists may be an earlier try of the caller's own: even then a failed sync leaves the outcome open.
        let settled = |put| sync(folder).map(|()| put).map_err(|error| write(&error).ambiguous());
        self.prepare(key)?;
        // Whoever lost the race is told so without a write of its own.
        if fs::symlink_metadata(&path).is_ok() {
            return settled(Put::Exists);
        }
        let temp = write_temp(folder, bytes).map_err(|error| write(&error))?;
        let linked = fs::hard_link(&temp, &path);
        // A temporary file that stays is cleaned up later and harms nobody.
        let _ = fs::remove_file(&temp);
        match linked {
            Ok(()) => settled(Put::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => settled(Put::Exists),
            Err(error) if has_no_links(&error) => Err(no_links(&path)),
            // Over a network the link may have been made all the same.
            Err(error) => Err(write(&error).ambiguous()),
        }
    }

    fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreFault> {
        let path = self.at(key);
        let write = |error: &io::Error| fault(StoreAction::Write, &path, error);
        let Some(folder) = path.parent().filter(|_| key.segments().count() > 0) else {
            return Err(write(&ErrorKind::IsADirectory.into()));
        };
        self.prepare(key)?;
        let temp = write_temp(folder, bytes).map_err(|error| write(&error))?;
        fs::rename(&temp, &path).map_err(|error| {
            let _ = fs::remove_file(&temp);
            write(&error)
        })
    }

    /// Makes the folders of an object, and makes sure that they outlive a power cut.
    fn prepare(&self, key: &Key) -> Result<(), StoreFault> {
        let mut folder = self.path.clone();
        make_root(&folder).map_err(|error| fault(StoreAction::Write, &folder, &error))?;
        let mut segments: Vec<_> = key.segments().collect();
        segments.pop();
        for segment in segments {
            let parent = folder.clone();
            folder.push(segment);
            self.make_folder(&parent, &folder).map_err(|error| fault(StoreAction::Write, &folder, &error))?;
        }
        Ok(())
    }

    fn make_folder(&self, parent: &Path, folder: &Path) -> io::Result<()> {
        let made = match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        if !fs::symlink_metadata(folder)?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        // Somebody else may have made it and died before it was durable.
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if made || !durable.contains(folder) {
            sync(parent)?;
            sweep(folder);
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreFault> {
        let path = self.at(key);
        let read = |error: &io::Error| fault(StoreAction::Read, &path, error);
        let refuse = |kind, message: String| {
            Err(StoreFault::new(kind, StoreAction::Read, path.display().to_string(), message))
        };
        let seen = match fs::symlink_metadata(&path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(&error)),
        };
        if !seen.is_file() {
            return refuse(StoreFaultKind::NotAFile, format!("{:?}, not a file", seen.file_type()));
        }
        let file = File::open(&path).map_err(|error| read(&error))?;
        let opened = file.metadata().map_err(|error| read(&error))?;
        let owner = self.owner().map_err(|error| read(&error))?;
        if let Some(why) = suspicious(&seen, &opened, owner) {
            return refuse(StoreFaultKind::NotAFile, why);
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(opened.len()).unwrap_or(OBJECT_MAX).min(OBJECT_MAX) + 1);
        file.take(OBJECT_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| read(&error))?;
        if bytes.len() > OBJECT_MAX {
            return refuse(StoreFaultKind::TooLarge, format!("{} bytes", opened.len()));
        }
        Ok(Some(bytes))
    }

    fn owner(&self) -> io::Result<u32> {
        match self.owner.get() {
            Some(owner) => Ok(*owner),
            None => fs::metadata(&self.path).map(|root| *self.owner.get_or_init(|| root.uid())),
        }
    }

    /// What is right in a folder, sorted, and whether it is a folder; what cannot be a key is not ours.
    fn entries(&self, folder: &Key) -> Result<Vec<(Key, bool)>, StoreFault> {
        let path = self.at(folder);
        let list = |error: &io::Error| fault(StoreAction::List, &path, error);
        let found = match fs::read_dir(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(list(&error)),
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry.map_err(|error| list(&error))?;
            if entries.len() == LISTED_MAX {
                let message = format!("more than {LISTED_MAX} names");
                let place = path.display().to_string();
                return Err(StoreFault::new(StoreFaultKind::TooLarge, StoreAction::List, place, message));
            }
            if let Some(Ok(key)) = entry.file_name().to_str().map(|name| folder.join(name)) {
                entries.push((key, entry.file_type().map_err(|error| list(&error))?.is_dir()));
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// A folder whose first object was never finished is none: a bucket has no empty folders either.
    fn holds_object(&self, folder: &Key, depth: usize) -> Result<bool, StoreFault> {
        for (key, is_folder) in self.entries(folder)? {
            if !is_folder || (depth > 0 && self.holds_object(&key, depth - 1)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Why a file is not to be trusted: swapped between two looks, or written by somebody who owns neither the journal
/// nor the host.
fn suspicious(seen: &Metadata, opened: &Metadata, ours: u32) -> Option<String> {
    if (seen.dev(), seen.ino()) != (opened.dev(), opened.ino()) {
        return Some("it was replaced while it was opened".to_owned());
    }
    let owner = opened.uid();
    let trusted = owner == ours || owner == 0;
    if trusted { None } else { Some(format!("user {owner} owns it, and user {ours} the journal")) }
}

/// Makes the store's own folder with all that leads to it.
fn make_root(root: &Path) -> io::Result<()> {
    if fs::metadata(root).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(root)?;
    // Which of them are new is not known any more; each is synced once in the store's life.
    for folder in fs::canonicalize(root)?.ancestors().skip(1) {
        match sync(folder) {
            // A folder of somebody else that cannot be opened was there before.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// Linux says "not permitted" (1) where a file system cannot link, and "denied" (13) where the caller may not.
fn has_no_links(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.raw_os_error() == Some(1)
}

fn no_links(path: &Path) -> StoreFault {
    let message = "the file system has no hard links; keep the journal on one that has";
    StoreFault::new(StoreFaultKind::Unexpected, StoreAction::Write, path.display().to_string(), message)
}

fn fault(action: StoreAction, path: &Path, error: &io::Error) -> StoreFault {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreFaultKind::Full,
        ErrorKind::ReadOnlyFilesystem => StoreFaultKind::ReadOnly,
        ErrorKind::PermissionDenied => StoreFaultKind::Denied,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => StoreFaultKind::NotAFile,
        ErrorKind::Interrupted
        | ErrorKind::TimedOut
        | ErrorKind::ResourceBusy
        | ErrorKind::StaleNetworkFileHandle => StoreFaultKind::Unreachable,
        _ => StoreFaultKind::Unexpected,
    };
    StoreFault::new(kind, action, path.display().to_string(), error.to_string())
}
