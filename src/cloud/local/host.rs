//! Reaching a supervisor, and starting one where it is needed.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::logs::tail;
use super::paths::{self, Paths};
use super::protocol::{FORMAT, LINE_MAX, Reply, Request, Said};
use super::state::State;
use super::status::LocalStatus;
use super::{fault, instance, look};
use crate::cloud::{Fault, FaultKind};
use crate::model::InstanceId;

/// How long a supervisor may take to start.
const START_MAX: Duration = Duration::from_secs(15);
/// Between two tries to reach one that is starting.
const START_PACE: Duration = Duration::from_millis(10);
/// Between two starts, where the first gave way to another supervisor.
const RESTART_PACE: Duration = Duration::from_millis(100);
/// How long an answer may take; the longest is the end of a fleet.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// A state directory, and the program that supervises it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    paths: Paths,
    /// None means this very program.
    program: Option<PathBuf>,
}

/// Everything that the supervisor of a state directory holds; where none runs, what its state file remembers.
///
/// # Errors
/// A state file that cannot be understood, or a supervisor that does not answer.
pub async fn status(state_dir: &Path) -> Result<LocalStatus, Fault> {
    let host = Host::new(state_dir)?;
    if let Some(stream) = host.connect().await? {
        return match exchange(stream, "Status", &Request::Status).await? {
            Reply::Status(status) => Ok(*status),
            other => Err(odd("Status", &other)),
        };
    }
    let state = State::load(&host.paths.state())?.unwrap_or_default();
    Ok(look::remembered(&host.paths, &state))
}

/// The last lines of an instance's log, which holds its output and why it was started again.
///
/// # Errors
/// An instance that has never been started here.
pub fn logs(state_dir: &Path, instance: &InstanceId, lines: usize) -> Result<String, Fault> {
    let path = Paths::new(state_dir)?.log(instance.as_str());
    tail(&path, lines).map_err(|error| fault::file("ReadLog", &path, &error))
}

/// Ends every fleet and group of a state directory, and its supervisor. Nothing to stop is no error.
///
/// # Errors
/// A state file that cannot be understood, or instances that do not end.
pub async fn stop(state_dir: &Path) -> Result<(), Fault> {
    Host::new(state_dir)?.stop().await
}

impl Host {
    pub(super) fn new(state_dir: &Path) -> Result<Self, Fault> {
        Ok(Self { paths: Paths::new(state_dir)?, program: None })
    }

    pub(super) fn with_program(self, program: PathBuf) -> Self {
        Self { program: Some(program), ..self }
    }

    /// The program that supervises, and that the word `deployer` means as an instance's command.
    pub(super) fn program(&self) -> Result<PathBuf, Fault> {
        self.program.clone().map_or_else(std::env::current_exe, Ok).map_err(|error| {
            fault::refused(
                FaultKind::Unexpected,
                "FindProgram",
                format!("this program cannot find itself: {error}"),
            )
        })
    }

    /// Asks the supervisor, where one runs or should run; none where there is nothing that it could hold.
    pub(super) async fn ask(&self, action: &str, request: &Request) -> Result<Option<Reply>, Fault> {
        if let Some(stream) = self.connect().await? {
            return exchange(stream, action, request).await.map(Some);
        }
        let state = State::load(&self.paths.state())?;
        if state.is_some_and(|state| state.holds_something()) {
            self.demand(action, request).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Asks the supervisor, which is started where none runs.
    pub(super) async fn demand(&self, action: &str, request: &Request) -> Result<Reply, Fault> {
        let stream = match self.connect().await? {
            Some(stream) => stream,
            None => self.start().await?,
        };
        exchange(stream, action, request).await
    }

    async fn stop(&self) -> Result<(), Fault> {
        match self.ask("Stop", &Request::Stop).await? {
            None => Ok(()),
            Some(Reply::Done) => self.until_released().await,
            Some(other) => Err(odd("Stop", &other)),
        }
    }

    /// Waits until the supervisor has let go of the state directory, so that another may follow at once.
    async fn until_released(&self) -> Result<(), Fault> {
        let path = self.paths.lock();
        let released = async {
            loop {
                match std::fs::File::open(&path).map(|lock| lock.try_lock()) {
                    Ok(Err(TryLockError::WouldBlock)) => sleep(START_PACE).await,
                    Ok(Ok(())) => return Ok(()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                    Ok(Err(TryLockError::Error(error))) | Err(error) => {
                        return Err(fault::file("Stop", &path, &error));
                    }
                }
            }
        };
        let late =
            |_| fault::refused(FaultKind::Unexpected, "Stop", "the supervisor does not end").ambiguous();
        timeout(START_MAX, released).await.map_err(late)?
    }

    /// None where no supervisor listens.
    async fn connect(&self) -> Result<Option<UnixStream>, Fault> {
        let socket = self.paths.socket()?;
        match UnixStream::connect(&socket).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Ok(None),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotADirectory => {
                    Err(fault::file("Connect", &socket, &error))
                }
                _ => Err(fault::unreachable("Connect", error)),
            },
        }
    }

    /// Starts a supervisor that outlives this process, and waits until it, or one that was faster, answers.
    async fn start(&self) -> Result<UnixStream, Fault> {
        State::load(&self.paths.state())?; // A clear error here is worth more than one in its log.
        self.paths.create()?;
        let mut child = self.spawn()?;
        let waiting = async {
            loop {
                if let Some(stream) = self.connect().await? {
                    return Ok(stream);
                }
                match child.try_wait() {
                    Ok(Some(status)) if status.success() => {
                        // Another held the directory. If it was about to end, there is nobody now.
                        sleep(RESTART_PACE).await;
                        child = self.spawn()?;
                        continue;
                    }
                    Ok(Some(status)) => {
                        let last = tail(&self.paths.supervisor_log(), 1).unwrap_or_default();
                        return Err(fault::unreachable(
                            "Start",
                            format!("it ended ({status}): {}", last.trim()),
                        ));
                    }
                    Ok(None) | Err(_) => {}
                }
                sleep(START_PACE).await;
            }
        };
        let late =
            |_| fault::unreachable("Start", format!("it is not ready after {} s", START_MAX.as_secs()));
        timeout(START_MAX, waiting).await.map_err(late)?
    }

    fn spawn(&self) -> Result<std::process::Child, Fault> {
        let path = self.paths.supervisor_log();
        let program = self.program()?;
        let log = paths::append(&path).and_then(|log| Ok((log.try_clone()?, log)));
        let (out, err) = log.map_err(|error| fault::file("Start", &path, &error))?;
        let mut command = std::process::Command::new(&program);
        let arguments: [OsString; 4] =
            ["local".into(), "supervise".into(), "--state".into(), self.paths.dir().into()];
        command.args(arguments).current_dir("/").env_clear();
        // The caller's credentials are nothing that a process which outlives it should hold.
        command.envs(instance::PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        command.spawn().map_err(|error| fault::file("Start", &program, &error))
    }
}

/// Sends one request and reads its answer.
async fn exchange(stream: UnixStream, action: &str, request: &Request) -> Result<Reply, Fault> {
    let answer = timeout(ANSWER_MAX, exchange_on(stream, action, request)).await.unwrap_or_else(|_| {
        let why = format!("no answer after {} s", ANSWER_MAX.as_secs());
        Err(fault::unreachable(action, why).ambiguous())
    });
    let changes = !matches!(request, Request::Look { .. } | Request::Status);
    answer.map_err(|fault| Fault { ambiguous: fault.ambiguous && changes, ..fault })
}

async fn exchange_on(stream: UnixStream, action: &str, request: &Request) -> Result<Reply, Fault> {
    let mut line = serde_json::to_vec(&Said { v: FORMAT, said: request })
        .map_err(|e| fault::refused(FaultKind::Unexpected, action, e.to_string()))?;
    line.push(b'\n');
    if line.len() as u64 > LINE_MAX {
        return Err(fault::refused(FaultKind::Invalid, action, "the request is too large"));
    }
    // From the first byte on it may have been read.
    let lost = |error: std::io::Error| fault::unreachable(action, error).ambiguous();
    let mut stream = BufReader::new(stream);
    stream.write_all(&line).await.map_err(lost)?;
    let mut answer = Vec::new();
    stream.take(LINE_MAX).read_until(b'\n', &mut answer).await.map_err(lost)?;
    if answer.last() != Some(&b'\n') {
        return Err(fault::unreachable(action, "it ended before it answered").ambiguous());
    }
    let wrong = |why: String| fault::refused(FaultKind::Unexpected, action, why).ambiguous();
    let said: Said<serde_json::Value> = serde_json::from_slice(&answer).map_err(|e| wrong(e.to_string()))?;
    if said.v != FORMAT {
        let why = format!(
            "the running supervisor speaks version {} and this program {FORMAT}: run `deployer local stop` with the program that started it",
            said.v
        );
        return Err(fault::refused(FaultKind::Invalid, action, why));
    }
    match serde_json::from_value(said.said).map_err(|e| wrong(e.to_string()))? {
        Reply::Fault(fault) => Err(fault),
        reply => Ok(reply),
    }
}

/// An answer to another question.
pub(super) fn odd(action: &str, reply: &Reply) -> Fault {
    let kind = match reply {
        Reply::Done => "done",
        Reply::Inventory(_) => "an inventory",
        Reply::Status(_) => "a status",
        Reply::Fault(_) => "a fault",
    };
    fault::refused(FaultKind::Unexpected, action, format!("the supervisor answered with {kind}")).ambiguous()
}
