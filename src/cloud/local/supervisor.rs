//! The process that holds the fleets and serves the groups.

use std::fs::TryLockError;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use super::paths::Paths;
use super::protocol::{FORMAT, LINE_MAX, Reply, Request, Said};
use super::state::State;
use super::world::World;
use super::{fault, logs, paths, process};
use crate::cloud::clock;
use crate::cloud::{Fault, FaultKind};

/// How long a caller may take to say what it wants.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Between two looks at the size of the logs, and at whether the state directory is still there.
const UPKEEP_PACE: Duration = Duration::from_secs(5);

/// Supervises a state directory until it is stopped. Where another supervisor does already, ends at once and well.
///
/// # Errors
/// A state directory that cannot be used, or a state file that cannot be understood.
pub async fn supervise(state_dir: &Path) -> Result<(), Fault> {
    // A session of its own: a Ctrl-C in the terminal of the caller is not meant for us. It fails only where the
    // caller saw to that already.
    let _ = rustix::process::setsid();
    let paths = Paths::new(state_dir)?;
    paths.create()?;
    let lock_path = paths.lock();
    let lock = paths::append(&lock_path).map_err(|e| fault::file("Supervise", &lock_path, &e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(fault::file("Supervise", &lock_path, &error)),
    }
    process::allow_many_files();
    let state = State::load(&paths.state())?.unwrap_or_default();
    let socket = paths.socket()?;
    let world = World::new(paths);
    world.restore(state);
    let listener = listen(&socket)?;
    logs::say(&format!("supervisor {} of `{}` is ready", std::process::id(), world.paths.dir().display()));
    let ended = attend(&world, listener, &lock).await;
    let _ = std::fs::remove_file(&socket); // The next supervisor replaces it anyway.
    logs::say("supervisor ends");
    ended
}

/// Whoever holds the lock may replace the socket: its last owner is gone.
fn listen(socket: &PathBuf) -> Result<UnixListener, Fault> {
    let wrong = |error: std::io::Error| fault::file("Supervise", socket, &error);
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(wrong)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).map_err(wrong)?;
    Ok(listener)
}

/// Answers callers until one of them, a signal or the loss of the state directory ends it.
async fn attend(world: &Arc<World>, listener: UnixListener, lock: &std::fs::File) -> Result<(), Fault> {
    let heard = |error: std::io::Error| fault::refused(FaultKind::Unexpected, "Supervise", error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(heard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(heard)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(heard)?;
    let mut upkeep = interval(UPKEEP_PACE);
    let (stop, mut stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    loop {
        tokio::select! {
            caller = listener.accept() => match caller {
                Ok((stream, _)) => drop(tokio::spawn(attend_one(Arc::clone(world), stream, Arc::clone(&stop)))),
                Err(error) => logs::say(&format!("failed to accept a caller: {error}")),
            },
            () = clock::raised(&mut stopped) => return Ok(()),
            // The instances go on: the next supervisor adopts them.
            _ = terminate.recv() => return world.save().await,
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = upkeep.tick() => {
                logs::rotate(world.paths.dir());
                logs::rotate(&world.paths.logs());
                if is_lost(&world.paths.lock(), lock) {
                    // Nobody can reach us any more, and nothing can be written: leave no processes behind.
                    logs::say("the state directory is gone");
                    return world.stop().await;
                }
            }
        }
    }
}

/// Whether the file that we locked is no longer the one under its name.
fn is_lost(path: &Path, lock: &std::fs::File) -> bool {
    let ours = lock.metadata().map(|meta| meta.ino()).ok();
    let there = std::fs::metadata(path).map(|meta| meta.ino());
    match there {
        Ok(there) => Some(there) != ours,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

async fn attend_one(world: Arc<World>, mut stream: UnixStream, stop: Arc<watch::Sender<bool>>) {
    let (reply, stops) = match hear(&mut stream).await {
        Ok(request) => {
            let stops = matches!(request, Request::Stop);
            let reply = act(&world, request).await.unwrap_or_else(Reply::Fault);
            let stops = stops && matches!(reply, Reply::Done);
            (reply, stops)
        }
        Err(fault) => (Reply::Fault(fault), false),
    };
    if let Ok(mut line) = serde_json::to_vec(&Said { v: FORMAT, said: reply }) {
        line.push(b'\n');
        // A caller that has gone looks again when it comes back.
        let _ = stream.write_all(&line).await;
        let _ = stream.shutdown().await;
    }
    if stops {
        stop.send_replace(true);
    }
}

/// Reads one request of one of our own user.
async fn hear(stream: &mut UnixStream) -> Result<Request, Fault> {
    let bad = |why: String| fault::refused(FaultKind::Invalid, "Hear", why);
    let peer = stream.peer_cred().map_err(|e| bad(e.to_string()))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if peer != own && peer != 0 {
        return Err(fault::refused(FaultKind::Denied, "Hear", "this supervisor serves another user"));
    }
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(LINE_MAX));
    let read = timeout(REQUEST_MAX, reader.read_until(b'\n', &mut line)).await;
    read.map_err(|_| bad("the request did not end in time".to_owned()))?.map_err(|e| bad(e.to_string()))?;
    let said: Said<serde_json::Value> = serde_json::from_slice(&line).map_err(|e| bad(e.to_string()))?;
    if said.v != FORMAT {
        return Err(bad(format!(
            "the request has version {} and the running supervisor understands {FORMAT}",
            said.v
        )));
    }
    serde_json::from_value(said.said).map_err(|e| bad(e.to_string()))
}

async fn act(world: &Arc<World>, request: Request) -> Result<Reply, Fault> {
    match request {
        Request::Look { service, fleets, groups } => {
            return Ok(Reply::Inventory(Box::new(world.inventory(&service, &fleets, &groups))));
        }
        Request::Status => return Ok(Reply::Status(Box::new(world.status()))),
        Request::Provision { provision, token } => world.provision(*provision, &token).await?,
        Request::Change { change, token } => world.change(&change, &token).await?,
        Request::Retire { fleet, token } => world.retire(&fleet, &token).await?,
        Request::Stop => {
            world.stop().await?;
            world.forget().await?;
        }
    }
    Ok(Reply::Done)
}
