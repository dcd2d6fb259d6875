//! A bundle is installed on a fleet that is there.

use crate::cloud::aws::api::Api;
use crate::cloud::aws::asgs::Home;
use crate::cloud::{Fault, FaultKind};
use crate::model::{Fleet, Token};

/// Has CodeDeploy install the fleet's bundle on a group's instances.
///
/// # Errors
/// Always, until it is built.
#[expect(clippy::unused_async, reason = "it will call CodeDeploy")]
pub async fn install(
    _api: &Api,
    _home: &Home,
    _fleet: &Fleet,
    _group: &str,
    _token: &Token,
) -> Result<(), Fault> {
    Err(Fault::new(FaultKind::Unexpected, "CreateDeployment", "installing bundles is not built"))
}
