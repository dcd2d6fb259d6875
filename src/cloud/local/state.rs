//! What the supervisor must remember, on disk.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{fault, paths};
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, GroupId, InstanceId, Revision, ServiceName, Share, Span, Token};
use crate::spec::LocalSpec;

/// The format of the state file.
const FORMAT: u32 = 1;
/// Tokens are remembered this long, counted in changes.
pub(super) const TOKENS_MAX: usize = 1_024;

/// The whole memory of a supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    v: u32,
    pub(super) fleets: BTreeMap<FleetId, StoredFleet>,
    pub(super) groups: BTreeMap<GroupId, StoredGroup>,
    pub(super) tokens: VecDeque<Token>,
}

/// A fleet, and its processes by pid.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredFleet {
    pub(super) settings: FleetSettings,
    /// Retired, and perhaps not yet gone.
    pub(super) leaving: bool,
    pub(super) instances: BTreeMap<InstanceId, Birth>,
}

/// What a fleet runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FleetSettings {
    pub(super) service: ServiceName,
    pub(super) revision: Revision,
    pub(super) size: u32,
    pub(super) command: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// Where the command was asked for, so that a relative path means the same later.
    pub(super) workdir: PathBuf,
}

/// One process: the pid alone may belong to another one by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Birth {
    pub(super) pid: u32,
    /// The system's own mark of when it started.
    pub(super) started: String,
    pub(super) port: u16,
}

/// A group, and the share of each fleet that is registered in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredGroup {
    pub(super) settings: GroupSettings,
    pub(super) shares: BTreeMap<FleetId, Share>,
}

/// How a group listens, drains and judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupSettings {
    pub(super) listen: SocketAddr,
    pub(super) deregistration_delay: Span,
    pub(super) health_path: String,
    pub(super) health_interval: Span,
    pub(super) health_timeout: Span,
    pub(super) healthy_after: u32,
    pub(super) unhealthy_after: u32,
}

impl GroupSettings {
    /// Every group of a deployment file.
    pub(super) fn of(spec: &LocalSpec) -> BTreeMap<GroupId, Self> {
        let settings = |group: &crate::spec::LocalGroup| Self {
            listen: group.listen,
            deregistration_delay: group.deregistration_delay,
            health_path: spec.health_path.clone(),
            health_interval: spec.health_interval,
            health_timeout: spec.health_timeout,
            healthy_after: spec.healthy_after,
            unhealthy_after: spec.unhealthy_after,
        };
        spec.groups.iter().map(|(id, group)| (id.clone(), settings(group))).collect()
    }
}

impl Default for State {
    fn default() -> Self {
        Self { v: FORMAT, fleets: BTreeMap::new(), groups: BTreeMap::new(), tokens: VecDeque::new() }
    }
}

impl State {
    /// Whether there is anything that a supervisor should be holding.
    pub(super) fn holds_something(&self) -> bool {
        !self.fleets.is_empty() || !self.groups.is_empty()
    }

    /// Reads the file; none where there is no file. A file that cannot be understood is an error: what it held may
    /// still be running.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, Fault> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault::file("ReadState", path, &error)),
        };
        let bad = |why: String| {
            let message = format!("the state file `{}` cannot be used: {why}", path.display());
            fault::refused(FaultKind::Invalid, "ReadState", message)
        };
        let state: Self = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        if state.v == FORMAT {
            Ok(Some(state))
        } else {
            Err(bad(format!("it has format {} and this program reads {FORMAT}", state.v)))
        }
    }

    /// Writes the file so that a reader, and a crash, find the old or the new one and nothing between.
    pub(super) fn save(&self, path: &Path) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| fault::refused(FaultKind::Unexpected, "WriteState", e.to_string()))?;
        write_whole(path, &text).map_err(|e| fault::file("WriteState", path, &e))
    }
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    let mut file = paths::replace(&draft)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    // The rename itself is durable only once its directory is.
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert!(State::load(&path).unwrap().is_none());
        State::default().save(&path).unwrap();
        assert!(!State::load(&path).unwrap().unwrap().holds_something());
        for bad in ["", "{", "{\"v\":1}", "[]", "{\"v\":2,\"fleets\":{},\"groups\":{},\"tokens\":[]}"] {
            std::fs::write(&path, bad).unwrap();
            let fault = State::load(&path).unwrap_err();
            assert!(fault.message.contains("state.json"), "{bad:?}: {fault}");
        }
    }
}
