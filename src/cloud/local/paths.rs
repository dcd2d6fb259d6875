//! Where a state directory keeps what.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fault;
use crate::cloud::{Fault, FaultKind};

/// Socket addresses hold 104 (macOS) to 108 (Linux) bytes, the closing zero included.
const SOCKET_PATH_MAX: usize = 100;
/// File systems take names of 255 bytes; the ends of rotated logs need a few.
const LOG_NAME_MAX: usize = 120;

/// The files of one state directory.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    dir: PathBuf,
}

impl Paths {
    /// The files under `dir`, which need not exist yet.
    pub(super) fn new(dir: &Path) -> Result<Self, Fault> {
        let dir = std::path::absolute(dir).map_err(|e| fault::file("FindState", dir, &e))?;
        Ok(Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("supervisor.lock")
    }

    pub(super) fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The log of an instance. Names come from clouds too, so whatever could leave the directory is written otherwise.
    pub(super) fn log(&self, instance: &str) -> PathBuf {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        let safe: String =
            instance.chars().map(|c| if plain(c) { c } else { '_' }).take(LOG_NAME_MAX).collect();
        let name = if safe == instance { safe } else { format!("{safe}-{}", digest(instance.as_bytes())) };
        self.logs().join(format!("{name}.log"))
    }

    /// The control socket: in the state directory where its path is short enough, else in a private one of this user.
    pub(super) fn socket(&self) -> Result<PathBuf, Fault> {
        let near = self.dir.join("control.sock");
        if near.as_os_str().len() <= SOCKET_PATH_MAX {
            return Ok(near);
        }
        let uid = rustix::process::geteuid().as_raw();
        // Not `$XDG_RUNTIME_DIR`: a caller without it must find the supervisor that one with it started.
        let dir = PathBuf::from(format!("/tmp/deployer-{uid}"));
        create_private(&dir).map_err(|e| fault::file("FindSocket", &dir, &e))?;
        check_private(&dir, uid)?;
        Ok(dir.join(format!("{}.sock", digest(self.dir.as_os_str().as_encoded_bytes()))))
    }

    /// Makes the directories, for this user alone.
    pub(super) fn create(&self) -> Result<(), Fault> {
        for dir in [&self.dir, &self.logs()] {
            let made = create_private(dir)
                .and_then(|()| std::fs::set_permissions(dir, Permissions::from_mode(0o700)));
            made.map_err(|e| fault::file("CreateState", dir, &e))?;
        }
        Ok(())
    }
}

/// `/tmp` belongs to everybody: a directory that another user made there first is not ours.
fn check_private(dir: &Path, uid: u32) -> Result<(), Fault> {
    let meta = std::fs::symlink_metadata(dir).map_err(|e| fault::file("FindSocket", dir, &e))?;
    let ours = meta.is_dir() && meta.uid() == uid && meta.permissions().mode().trailing_zeros() >= 6;
    if ours {
        Ok(())
    } else {
        let message = format!("`{}` must be a directory of this user alone (mode 0700)", dir.display());
        Err(fault::refused(FaultKind::Denied, "FindSocket", message))
    }
}

fn create_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens a file for this user alone, to add to its end.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Opens a file for this user alone, to write it anew.
pub(super) fn replace(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

fn digest(bytes: &[u8]) -> String {
    let whole = Sha256::digest(bytes);
    let start = whole.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{start:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_stays_in_its_directory_whatever_the_instance_is_called() {
        let paths = Paths::new(Path::new("/state")).unwrap();
        assert_eq!(paths.log("api-v2-1"), Path::new("/state/logs/api-v2-1.log"));
        assert_eq!(paths.log("../../etc/passwd").parent(), Some(Path::new("/state/logs")));
        assert_ne!(paths.log("a/b"), paths.log("a_b"));
        assert!(paths.log(&"a".repeat(512)).file_name().unwrap().len() < 200);
    }

    #[test]
    fn a_long_state_path_gets_a_short_socket() {
        let long = PathBuf::from("/").join("d".repeat(150));
        assert!(Paths::new(&long).unwrap().socket().unwrap().as_os_str().len() <= SOCKET_PATH_MAX);
    }
}
