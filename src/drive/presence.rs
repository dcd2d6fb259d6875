//! Whether a driver of this host is alive: a hint for people, never a lock. Who may change the world is decided by the
//! journal alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{EnvironmentName, RolloutId, ServiceName};

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
        held(&mark(folder, id))
    }

    /// Whether a process of this host drives any rollout of a service there, where the journal does not tell which.
    #[must_use]
    pub fn seen_any(folder: &Path, service: &ServiceName, environment: &EnvironmentName) -> bool {
        let prefix = format!("{service}-{environment}-");
        let marks = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let numbered = |name: &str| {
            let number = name.strip_prefix(&prefix)?.strip_suffix(".lock")?;
            number.parse::<u64>().ok()
        };
        marks
            .filter(|mark| mark.file_name().to_str().and_then(numbered).is_some())
            .any(|mark| held(&mark.path()))
    }
}

fn held(mark: &Path) -> bool {
    File::open(mark).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn mark(folder: &Path, id: &RolloutId) -> PathBuf {
    folder.join(format!("{}-{}-{}.lock", id.service, id.environment, id.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_of_any_rollout_of_a_service_is_seen_and_no_other_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (api, local) = (ServiceName::new("api").unwrap(), EnvironmentName::new("local").unwrap());
        let id = |environment: &str, number| RolloutId {
            service: api.clone(),
            environment: environment.parse().unwrap(),
            number,
        };
        let _other = Presence::claim(folder.path(), &id("local-2", 7)).unwrap().unwrap();
        assert!(!Presence::seen_any(folder.path(), &api, &local));
        let ours = Presence::claim(folder.path(), &id("local", 7)).unwrap().unwrap();
        assert!(Presence::seen_any(folder.path(), &api, &local));
        drop(ours);
        assert!(!Presence::seen_any(folder.path(), &api, &local), "it is gone");
    }
}
