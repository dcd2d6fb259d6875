//! Whether a driver of this host is alive: a hint for people, never a lock. Who may change the world is decided by the
//! journal alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::RolloutId;

/// A living driver's mark; it goes with the process, however that ends.
#[derive(Debug)]
pub struct Presence {
    _file: File,
}

impl Presence {
    /// Marks this process as the driver; `None` while another process of this host is.
    ///
    /// # Errors
    /// Where the folder or the file cannot be made.
    pub fn claim(folder: &Path, id: &RolloutId) -> io::Result<Option<Self>> {
        let path = mark(folder, id);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a process of this host drives the rollout.
    #[must_use]
    pub fn seen(folder: &Path, id: &RolloutId) -> bool {
        let file = File::open(mark(folder, id));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

fn mark(folder: &Path, id: &RolloutId) -> PathBuf {
    folder.join(format!("{}-{}-{}.lock", id.service, id.environment, id.number))
}
