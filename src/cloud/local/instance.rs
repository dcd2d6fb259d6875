//! One instance: started, kept running, ended.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::state::{Birth, FleetSettings};
use super::world::World;
use super::{logs, paths, process};
use crate::cloud::clock;
use crate::model::{FleetId, InstanceId, Span};

/// How long an instance may take to finish after it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// The first pause before an instance is started again; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// An instance that lived this long begins with the first pause again.
const STEADY: Span = Span::secs(30);
/// Between two looks at a process that is not our child.
const ADOPTED_PACE: Duration = Duration::from_millis(100);
/// Ports that are drawn for one start.
const PORT_TRIES: usize = 32;
/// What an instance gets of the supervisor's own environment.
pub(super) const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Where an instance belongs, and what runs there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fleet: FleetId,
    pub(super) name: InstanceId,
    pub(super) settings: FleetSettings,
    pub(super) log: PathBuf,
}

/// A process in a slot.
struct Life {
    birth: Birth,
    /// None where an earlier supervisor started it.
    child: Option<Child>,
}

/// Keeps one instance running until it is told to stop.
pub(super) async fn keep(
    world: Arc<World>,
    place: Place,
    adopted: Option<Birth>,
    mut stop: watch::Receiver<bool>,
) {
    let mut adopted = adopted.map(|birth| Life { birth, child: None });
    let mut failures = 0;
    while !*stop.borrow() || adopted.is_some() {
        let life = adopted.take().map_or_else(|| start(&world, &place), Ok);
        let reason = match life {
            Err(reason) => {
                failures += 1;
                reason
            }
            Ok(mut life) => {
                let born = clock::now();
                world.born(&place, &life.birth).await;
                tokio::select! {
                    reason = life.ended() => {
                        // What it started must not go on beside its successor.
                        process::kill(&life.birth);
                        failures = if clock::now().since(born) >= STEADY { 1 } else { failures + 1 };
                        reason
                    }
                    () = clock::raised(&mut stop) => {
                        life.end().await;
                        break;
                    }
                }
            }
        };
        let pause = pause(failures);
        logs::note(&place.log, &format!("`{}` {reason}; it is started again in {pause:?}", place.name));
        world.died(&place, &reason).await;
        if timeout(pause, clock::raised(&mut stop)).await.is_ok() {
            break;
        }
    }
    world.gone(&place).await;
}

/// Doubles from the first pause to the longest.
fn pause(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)
}

fn start(world: &World, place: &Place) -> Result<Life, String> {
    let port = free_port(world).map_err(|error| format!("found no free port: {error}"))?;
    let failed = |error: io::Error| {
        format!(
            "could not be started (`{}` in `{}`): {error}",
            place.settings.command.join(" "),
            place.settings.workdir.display()
        )
    };
    let child = command(place, port).and_then(|mut command| command.spawn()).map_err(failed)?;
    let pid = child.id().ok_or("ended at once")?;
    // Until it is waited for, even an ended child has its pid to itself.
    let started = process::started(pid).unwrap_or_default();
    Ok(Life { birth: Birth { pid, started, port }, child: Some(child) })
}

fn command(place: &Place, port: u16) -> io::Result<Command> {
    let settings = &place.settings;
    let (program, arguments) = settings.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // A name alone is looked up in PATH; a relative path means where the command was asked for.
    let program = if program.contains('/') { settings.workdir.join(program) } else { PathBuf::from(program) };
    let log = paths::append(&place.log)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&settings.workdir).env_clear();
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(&settings.env);
    command.env("PORT", port.to_string()).env("REVISION", settings.revision.as_str());
    command.env("INSTANCE", place.name.as_str()).env("SERVICE", settings.service.as_str());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A group of its own, so that whatever it starts ends with it; and it outlives the supervisor.
    command.process_group(0).kill_on_drop(false);
    Ok(command)
}

/// A port of the loopback interface that is free now. Somebody else may still take it: then the instance fails to
/// listen, ends, and is started again on another.
fn free_port(world: &World) -> io::Result<u16> {
    for _ in 0..PORT_TRIES {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if !world.uses(port) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

impl Life {
    /// Waits until it ends; says how.
    async fn ended(&mut self) -> String {
        if let Some(child) = &mut self.child {
            return match child.wait().await {
                Ok(status) => format!("ended ({status})"),
                Err(error) => format!("could not be waited for: {error}"),
            };
        }
        while process::lives(&self.birth) {
            sleep(ADOPTED_PACE).await;
        }
        "ended".to_owned()
    }

    /// Asks it to finish, and ends it where it does not in time.
    async fn end(&mut self) {
        let birth = self.birth.clone();
        process::ask_to_end(&birth);
        if timeout(GRACE, self.ended()).await.is_err() {
            process::kill(&birth);
            self.ended().await;
        }
        process::kill(&birth); // What it started and left behind.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_bounded() {
        let pauses: Vec<_> = [1, 2, 3, 7, 8, 99].iter().map(|n| pause(*n).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1_000, 16_000, 30_000, 30_000]);
    }
}
