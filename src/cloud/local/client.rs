//! This host behind the port to a cloud.

use std::path::{Path, PathBuf};

use super::fault;
use super::group;
use super::host::{Host, odd};
use super::protocol::{Provision, Reply, Request};
use super::state::{FleetSettings, GroupSettings};
use crate::cloud::clock;
use crate::cloud::{Backend, Capability, Change, Fault, FaultKind, Scope};
use crate::coverage::Retirement;
use crate::model::{Fleet, Inventory, Seen, ServiceName, Span, Token};
use crate::spec::LocalSpec;

/// Nothing here takes longer than a health check.
const PACE: Span = Span(200);
/// The program name that means this very binary.
pub(super) const OURSELVES: &str = "deployer";

/// One service on this host.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    service: ServiceName,
    spec: LocalSpec,
    host: Host,
}

impl LocalBackend {
    /// The service as its deployment file describes it, held by the supervisor of `state_dir`.
    ///
    /// # Errors
    /// A path that cannot be made absolute.
    pub fn new(service: ServiceName, spec: LocalSpec, state_dir: &Path) -> Result<Self, Fault> {
        Ok(Self { service, spec, host: Host::new(state_dir)? })
    }

    /// Takes another program than the running one as supervisor, and as what `deployer` means in a command.
    #[must_use]
    pub fn with_program(self, program: PathBuf) -> Self {
        Self { host: self.host.with_program(program), ..self }
    }

    fn provision(&self, fleet: &Fleet) -> Result<Provision, Fault> {
        let mut command = self.spec.command.clone();
        if let Some(word) = command.first_mut().filter(|word| *word == OURSELVES) {
            let program = self.host.program()?.into_os_string().into_string();
            *word = program.map_err(|path| {
                let why = format!("the path of this program is not text: {}", path.display());
                fault::refused(FaultKind::Invalid, "Provision", why)
            })?;
        }
        let workdir = std::env::current_dir().map_err(|e| fault::file("Provision", Path::new("."), &e))?;
        // Said now: a slip of the finger must not look like a service that is slow to come up.
        if let Some(program) = command.first().filter(|program| !runnable(program, &workdir)) {
            let why = format!("the command `{program}` is not a program that can be run here");
            return Err(fault::refused(FaultKind::Invalid, "Provision", why));
        }
        let settings = FleetSettings {
            service: self.service.clone(),
            revision: fleet.revision.clone(),
            size: fleet.size,
            command,
            env: self.spec.env.clone(),
            workdir,
        };
        Ok(Provision { fleet: fleet.id.clone(), settings, groups: GroupSettings::of(&self.spec) })
    }
}

/// Whether a program would be found as the system finds it: by its path, or in one of `PATH`'s folders.
pub(super) fn runnable(program: &str, workdir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return runs(&workdir.join(program));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| runs(&folder.join(program)))
}

impl Backend for LocalBackend {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        let looked_at = clock::now();
        let mut groups = scope.groups.clone();
        groups.extend(self.spec.groups.keys().cloned());
        let request = Request::Look { service: scope.service.clone(), fleets: scope.fleets.clone(), groups };
        let mut inventory = match self.host.ask("Look", &request).await? {
            None => Inventory::default(),
            Some(Reply::Inventory(inventory)) => *inventory,
            Some(other) => return Err(odd("Look", &other)),
        };
        inventory.looked_at = looked_at;
        // A declared group exists from its declaration on: the first provision makes it listen.
        for (id, settings) in GroupSettings::of(&self.spec) {
            inventory.groups.entry(id).or_insert_with(|| Seen::Known(group::empty(&settings)));
        }
        Ok(inventory)
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let token = token.clone();
        let reply = match change {
            Change::Provision { fleet } => {
                let provision = Box::new(self.provision(fleet)?);
                Some(self.host.demand("Provision", &Request::Provision { provision, token }).await?)
            }
            Change::Freeze { .. } | Change::Thaw { .. } => None,
            Change::Register { .. } => {
                self.ask_to_change("Register", Request::Change { change: change.clone(), token }).await?
            }
            Change::Shift { .. } => {
                self.ask_to_change("Shift", Request::Change { change: change.clone(), token }).await?
            }
            Change::Deregister { .. } => {
                self.host.ask("Deregister", &Request::Change { change: change.clone(), token }).await?
            }
        };
        done("Change", reply)
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        let request = Request::Retire { fleet: proof.fleet().clone(), token: token.clone() };
        done("Retire", self.host.ask("Retire", &request).await?)
    }

    fn capability(&self) -> Capability {
        // The supervisor takes calls up one by one as they are sent: one of a driver that died cannot land later.
        Capability { freeze: false, pace: PACE, lands: Span::ZERO, look: Span::ZERO }
    }
}

impl LocalBackend {
    /// A change that needs something to be there.
    async fn ask_to_change(&self, action: &str, request: Request) -> Result<Option<Reply>, Fault> {
        let nothing = || fault::refused(FaultKind::Missing, action, "nothing runs on this host");
        self.host.ask(action, &request).await?.ok_or_else(nothing).map(Some)
    }
}

/// No supervisor and nothing to hold: what should be gone is gone.
fn done(action: &str, reply: Option<Reply>) -> Result<(), Fault> {
    match reply {
        None | Some(Reply::Done) => Ok(()),
        Some(other) => Err(odd(action, &other)),
    }
}
