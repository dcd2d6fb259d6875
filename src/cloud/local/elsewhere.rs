//! The same doors where processes cannot be held in this way yet: each answers so.

use std::path::{Path, PathBuf};

use super::status::LocalStatus;
use crate::cloud::{Backend, Capability, Change, Fault, FaultKind, Finding, Scope};
use crate::coverage::Retirement;
use crate::model::{InstanceId, Inventory, Revision, ServiceName, Span, Token};
use crate::spec::LocalSpec;

fn unsupported(action: &str) -> Fault {
    Fault::new(FaultKind::Invalid, action, "the local provider runs on Linux and macOS only")
}

/// One service on this host.
#[derive(Debug, Clone)]
pub struct LocalBackend;

impl LocalBackend {
    /// Always an error here.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: ServiceName, _: LocalSpec, _: &Path) -> Result<Self, Fault> {
        Err(unsupported("Local"))
    }

    /// Changes nothing here.
    #[must_use]
    pub fn with_program(self, _: PathBuf) -> Self {
        self
    }
}

impl Backend for LocalBackend {
    async fn look(&self, _: &Scope) -> Result<Inventory, Fault> {
        Err(unsupported("Look"))
    }
    async fn change(&self, _: &Change, _: &Token) -> Result<(), Fault> {
        Err(unsupported("Change"))
    }
    async fn retire(&self, _: Retirement, _: &Token) -> Result<(), Fault> {
        Err(unsupported("Retire"))
    }
    fn capability(&self) -> Capability {
        Capability { freeze: false, pace: Span::secs(1), lands: Span::ZERO, look: Span::ZERO }
    }
}

/// Always an error here.
///
/// # Errors
/// Always.
pub async fn status(_: &Path) -> Result<LocalStatus, Fault> {
    Err(unsupported("Status"))
}

/// Always an error here.
///
/// # Errors
/// Always.
pub fn logs(_: &Path, _: &InstanceId, _: usize) -> Result<String, Fault> {
    Err(unsupported("ReadLog"))
}

/// Always an error here.
///
/// # Errors
/// Always.
pub async fn stop(_: &Path) -> Result<(), Fault> {
    Err(unsupported("Stop"))
}

/// Always an error here.
///
/// # Errors
/// Always.
pub async fn supervise(_: &Path) -> Result<(), Fault> {
    Err(unsupported("Supervise"))
}

/// Always an error here.
///
/// # Errors
/// Always.
pub async fn sample(_: Option<&str>, _: Option<&Revision>) -> Result<(), Fault> {
    Err(unsupported("Sample"))
}

/// Always a failure here.
pub async fn examine(_: &LocalSpec, _: &Path) -> Vec<Finding> {
    vec![Finding::fail("provider", unsupported("Doctor").message)]
}
