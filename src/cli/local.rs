//! `local status`, `local logs`, `local stop`, and what the supervisor starts.

use std::path::Path;

use super::args::Output;
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::cloud::{Fault, local};
use crate::model::{InstanceId, Revision, Share};

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn failed(fault: Fault) -> CliError {
    CliError::new(format!("failed at {fault}"))
}

/// `local status`: fleets, instances and target groups.
pub async fn status(context: &Context) -> Result<u8, CliError> {
    let status = local::status(&context.global.state.join("local")).await.map_err(failed)?;
    if context.global.output != Output::Text {
        let text = serde_json::to_string(&status);
        println!("{}", text.map_err(|error| CliError::new(format!("failed to print: {error}")))?);
        return Ok(exit::DONE);
    }
    if let Some(pid) = status.supervisor {
        println!("supervisor {pid} holds {}", status.dir.display());
    } else {
        println!("no supervisor runs for {}", status.dir.display());
    }
    for (id, fleet) in &status.fleets {
        let leaving = if fleet.leaving { ", being retired" } else { "" };
        println!("\nfleet {id}  {} {}  {} wanted{leaving}", fleet.service, fleet.revision, fleet.size);
        for (id, instance) in &fleet.instances {
            let place = match (instance.pid, instance.port) {
                (Some(pid), Some(port)) => format!("process {pid} on port {port}"),
                _ => "not up".to_owned(),
            };
            let restarts = if instance.restarts > 0 {
                format!(", restarted {} times", instance.restarts)
            } else {
                String::new()
            };
            let reason = instance.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            println!("  {id}  {:?}, {place}{restarts}{reason}", instance.state);
        }
    }
    for (id, group) in &status.groups {
        let routes: Vec<_> = group.seen.routes.iter().map(String::as_str).collect();
        let dark = group.dark.as_ref().map(|why| format!("  DARK: {why}")).unwrap_or_default();
        println!("\ngroup {id}  {}{dark}", routes.join(", "));
        for (fleet, side) in
            group.seen.sides.iter().filter(|(_, side)| side.stands() || side.share > Share::NONE)
        {
            println!(
                "  {fleet}  {} of the traffic, {} of {} healthy",
                side.share,
                side.healthy(),
                side.targets.len()
            );
        }
    }
    Ok(exit::DONE)
}

/// `local logs`: an instance's last lines.
pub async fn logs(context: &Context, instance: &str, lines: usize) -> Result<u8, CliError> {
    let dir = context.global.state.join("local");
    let id = InstanceId::new(instance).map_err(|bad| CliError::usage(bad.to_string()))?;
    match local::logs(&dir, &id, lines) {
        Ok(text) => {
            print!("{text}");
            Ok(exit::DONE)
        }
        Err(fault) => {
            let known = local::status(&dir).await.map_err(failed)?;
            let ids: Vec<_> = known
                .fleets
                .values()
                .flat_map(|fleet| fleet.instances.keys())
                .map(ToString::to_string)
                .collect();
            Err(failed(fault).hint(format!(
                "the instances are: {}",
                if ids.is_empty() { "none".into() } else { ids.join(", ") }
            )))
        }
    }
}

/// `local stop`: everything that runs here.
pub async fn stop(context: &Context) -> Result<u8, CliError> {
    local::stop(&context.global.state.join("local")).await.map_err(failed)?;
    if context.text() {
        eprintln!("stopped: nothing runs here any more");
    }
    Ok(exit::DONE)
}

/// The supervisor: started by the first command that needs it.
pub fn supervise(dir: &Path) -> Result<u8, CliError> {
    pool()?.block_on(local::supervise(dir)).map(|()| exit::DONE).map_err(failed)
}

/// The sample service: `--fail WAY` and `--only REVISION` make it fail on purpose.
pub fn sample(args: Vec<String>) -> Result<u8, CliError> {
    let (mut fail, mut only) = (None, None);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| CliError::usage(format!("`{arg}` needs a value")))?;
        match arg.as_str() {
            "--fail" => fail = Some(value),
            "--only" => only = Some(Revision::new(value).map_err(|bad| CliError::usage(bad.to_string()))?),
            _ => return Err(CliError::usage(format!("`sample` knows --fail and --only, not `{arg}`"))),
        }
    }
    pool()?.block_on(local::sample(fail.as_deref(), only.as_ref())).map(|()| exit::DONE).map_err(failed)
}

/// Serving traffic takes every core.
fn pool() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Runtime::new().map_err(|error| CliError::new(format!("failed to start: {error}")))
}
