//! Traffic.

use std::collections::BTreeSet;

use super::api::Api;
use super::asgs::Home;
use crate::cloud::Fault;
use crate::model::{FleetId, GroupId, Share};

pub async fn register(_api: &Api, _home: &Home, _fleet: &FleetId, _groups: &BTreeSet<GroupId>) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}

pub async fn deregister(_api: &Api, _home: &Home, _fleet: &FleetId, _groups: &BTreeSet<GroupId>) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}

pub async fn shift(_api: &Api, _home: &Home, _group: &GroupId, _to: &FleetId, _from: Option<&FleetId>, _share: Share) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}
