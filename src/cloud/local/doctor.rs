//! The preflight of this host: ports, the command, the folder of the state.

use std::net::TcpListener;
use std::path::Path;

use super::client::{OURSELVES, runnable};
use super::host::status;
use crate::cloud::Finding;
use crate::spec::LocalSpec;

/// Looks at everything that a rollout of this service would need. A file is made in the state's folder and removed.
pub async fn examine(spec: &LocalSpec, state_dir: &Path) -> Vec<Finding> {
    let mut findings = vec![folder(state_dir), command(spec)];
    findings.extend(ports(spec, state_dir).await);
    findings
}

fn folder(state_dir: &Path) -> Finding {
    let probe = state_dir.join(format!(".doctor-{}", std::process::id()));
    let made = std::fs::create_dir_all(state_dir)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe));
    match made {
        Ok(()) => Finding::ok("state", format!("`{}` can be written", state_dir.display())),
        Err(error) => Finding::fail("state", format!("`{}` cannot be written: {error}", state_dir.display()))
            .why("the supervisor keeps its fleets and groups there")
            .mend("mend its permissions, or name another folder with --state"),
    }
}

fn command(spec: &LocalSpec) -> Finding {
    let program = spec.command.first().map_or("", String::as_str);
    let here = std::env::current_dir().unwrap_or_default();
    if program == OURSELVES || runnable(program, &here) {
        return Finding::ok("command", format!("`{program}` can be run"));
    }
    Finding::fail("command", format!("`{program}` is not a program that can be run here"))
        .why("no instance of green would come up")
        .mend("install it, or correct `command` in the deployment file; there is no shell")
}

/// A port that somebody else holds cannot be served; one that our supervisor holds is ours.
async fn ports(spec: &LocalSpec, state_dir: &Path) -> Vec<Finding> {
    let held = status(state_dir).await.ok().filter(|held| held.supervisor.is_some());
    let mut findings = Vec::new();
    for (id, group) in &spec.groups {
        let own = held.as_ref().and_then(|held| held.groups.get(id));
        let served = own.is_some_and(|own| own.dark.is_none());
        findings.push(if served {
            Finding::ok("ports", format!("`{id}` is served on {}", group.listen))
        } else {
            match TcpListener::bind(group.listen) {
                Ok(_) => Finding::ok("ports", format!("{} is free for `{id}`", group.listen)),
                Err(error) => {
                    Finding::fail("ports", format!("`{id}` cannot listen on {}: {error}", group.listen))
                        .why("the group could not be served")
                        .mend(format!("free the port, or give `{id}` another `listen`"))
                }
            }
        });
    }
    findings
}
