//! Processes of this host: whether they live, since when, and how they are ended.

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::state::Birth;

/// Files that a supervisor may have open.
const FILES_MAX: u64 = 65_536;

/// The system's mark of when a process started, or none where there is no such living process. A pid is used again;
/// a pid with its start is not.
#[cfg(target_os = "linux")]
pub(super) fn started(pid: u32) -> Option<String> {
    // Field 2 is the name, in brackets, and may hold anything: count from the last bracket.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None; // It has ended, and nobody has asked how.
    }
    let ticks = fields.nth(18)?; // Field 22 of proc_pid_stat(5); the state above is field 3.
    // Ticks count from the boot.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{ticks}", boot.trim()))
}

/// The system's mark of when a process started, or none where there is no such living process.
#[cfg(not(target_os = "linux"))]
pub(super) fn started(pid: u32) -> Option<String> {
    let mut ps = std::process::Command::new("ps");
    ps.args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).env("LC_ALL", "C");
    let out = ps.output().ok().filter(|out| out.status.success())?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (state, started) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

/// Whether this very process still lives.
pub(super) fn lives(birth: &Birth) -> bool {
    started(birth.pid).as_deref() == Some(&birth.started)
}

/// A proxied connection takes two files, and the usual limit is low.
pub(super) fn allow_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES_MAX, |hard| hard.min(FILES_MAX));
    if limit.current.is_some_and(|soft| soft < wanted) {
        // Where it is refused, fewer connections are accepted at a time.
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// Asks every process of the instance to finish.
pub(super) fn ask_to_end(birth: &Birth) {
    signal(birth, Signal::TERM);
}

/// Ends every process of the instance.
pub(super) fn kill(birth: &Birth) {
    signal(birth, Signal::KILL);
}

/// An instance leads its own process group. A group that is gone already is what was wanted.
fn signal(birth: &Birth, signal: Signal) {
    if let Some(pid) = i32::try_from(birth.pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_pid_and_its_start() {
        let pid = std::process::id();
        let here = Birth { pid, started: started(pid).unwrap(), port: 1 };
        assert!(lives(&here));
        assert!(!lives(&Birth { started: "another".to_owned(), ..here }));
    }
}
