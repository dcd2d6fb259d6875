//! Logs of instances: appended to by the instance itself, kept small by the supervisor.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::paths;
use crate::cloud::clock;

/// A log above this size is set aside.
const LOG_MAX: u64 = 8 << 20;
/// How many logs are set aside.
const KEPT: u32 = 3;
/// How much of a log is read to show its end.
const TAIL_MAX: u64 = 1 << 20;

/// Adds a line of the supervisor's own to a log.
pub(super) fn note(path: &Path, text: &str) {
    // A log that cannot be written must not stop an instance; the reason is in the status too.
    let _ = paths::append(path).and_then(|mut log| writeln!(log, "deployer: {} {text}", stamp()));
}

/// Adds a line to the log of the supervisor, which is its standard error.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{} {text}", stamp());
}

fn stamp() -> String {
    let millis = i64::try_from(clock::now().0).unwrap_or_default();
    jiff::Timestamp::from_millisecond(millis).map(|t| t.to_string()).unwrap_or_default()
}

/// Sets large logs aside. The instance holds its log open and goes on writing to it, so the log is copied and
/// emptied: what is written in between those two is lost, which is the price of an instance that outlives us.
pub(super) fn rotate(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let large = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > LOG_MAX);
        if large
            && path.extension().is_some_and(|end| end == "log")
            && let Err(error) = set_aside(&path)
        {
            say(&format!("failed to rotate `{}`: {error}", path.display()));
        }
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    for n in (1..KEPT).rev() {
        let older = numbered(path, n);
        if older.exists() {
            std::fs::rename(older, numbered(path, n + 1))?;
        }
    }
    let mut from = File::open(path)?;
    io::copy(&mut from, &mut paths::replace(&numbered(path, 1))?)?;
    File::options().write(true).open(path)?.set_len(0)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    path.with_extension(format!("log.{n}"))
}

/// The last lines of a log.
pub(super) fn tail(path: &Path, lines: usize) -> io::Result<String> {
    let mut log = File::open(path)?;
    let from = log.metadata()?.len().saturating_sub(TAIL_MAX);
    log.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    log.take(TAIL_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<_> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    Ok(last.iter().flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_set_aside_and_three_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api-1.log");
        for round in 0..5_u8 {
            let mut log = paths::append(&path).unwrap();
            log.write_all(&vec![b'0' + round; usize::try_from(LOG_MAX).unwrap() + 1]).unwrap();
            rotate(dir.path());
            assert_eq!(path.metadata().unwrap().len(), 0);
        }
        let kept = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(kept, 4, "the log and three older ones");
        assert!(std::fs::read(numbered(&path, 3)).unwrap().starts_with(b"2"));
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api-1.log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 2).unwrap(), "two\nthree\n");
        assert_eq!(tail(&path, 9).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(tail(&path, 0).unwrap(), "");
    }
}
