//! Temporary files: what is not yet an object, and what a crash left of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Only the owner reads a journal: plans and orders name hosts, people and groups.
const FILE_MODE: u32 = 0o600;
/// Temporary files begin like this; the dot keeps them out of every listing, for no key begins with one.
const TEMP_PREFIX: &str = ".new-";
/// A temporary file of this age belongs to a process that is gone: a write takes milliseconds.
const TEMP_AGE_MAX: Duration = Duration::from_hours(1);
/// How many names are tried for a temporary file, where processes of equal number share a folder.
const TEMP_TRIES_MAX: u32 = 64;
/// The most names that are looked at for old temporary files.
const SWEPT_MAX: usize = 1_000_000;

/// Makes names of temporary files differ within this process.
static TEMPS: AtomicU64 = AtomicU64::new(0);

/// Writes a file under a passing name and forces it to the disk.
pub(super) fn write_temp(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    for _ in 0..TEMP_TRIES_MAX {
        let count = TEMPS.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{TEMP_PREFIX}{}-{count}", std::process::id()));
        let file = match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        let written = (&file).write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            let _ = fs::remove_file(&path); // It takes room that somebody may be waiting for.
            return Err(error);
        }
        return Ok(path);
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "no free name for a temporary file"))
}

/// Removes temporary files of processes that are gone. Their age is measured against the newest file here, by the
/// file system's own clock. Nothing depends on success.
pub(super) fn sweep(folder: &Path) {
    let Ok(found) = fs::read_dir(folder) else { return };
    let temps = found.take(SWEPT_MAX).filter_map(Result::ok);
    let temps = temps.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX));
    let temps: Vec<_> = temps.map(|entry| entry.path()).collect();
    if temps.is_empty() {
        return;
    }
    let Ok(probe) = write_temp(folder, b"") else { return };
    let modified = |path: &Path| fs::symlink_metadata(path).and_then(|found| found.modified());
    let now = modified(&probe);
    let _ = fs::remove_file(&probe);
    let Ok(now) = now else { return };
    for temp in temps {
        let age = modified(&temp).ok().and_then(|then| now.duration_since(then).ok());
        if age.is_some_and(|age| age > TEMP_AGE_MAX) {
            let _ = fs::remove_file(&temp);
        }
    }
}

/// Forces a folder's names to the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
