//! Fleets that CodeDeploy makes in a blue/green deployment.

use std::collections::BTreeSet;

use super::super::api::Api;
use super::super::asgs::Home;
use crate::cloud::Fault;
use crate::coverage::Retirement;
use crate::model::{Fleet, FleetId, GroupId, Token};

pub async fn provision(_api: &Api, _home: &Home, _fleet: &Fleet, _token: &Token) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}

pub async fn register(
    _api: &Api,
    _home: &Home,
    _fleet: &FleetId,
    _groups: &BTreeSet<GroupId>,
    _token: &Token,
) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}

pub async fn retire(_api: &Api, _home: &Home, _proof: Retirement, _token: &Token) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}
