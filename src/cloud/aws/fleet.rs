//! Fleets come and go.

use super::api::Api;
use super::asgs::Home;
use crate::cloud::Fault;
use crate::coverage::Retirement;
use crate::model::{Fleet, Token};

pub async fn provision(_api: &Api, _home: &Home, _fleet: &Fleet, _token: &Token) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}

pub async fn retire(_api: &Api, _home: &Home, _proof: Retirement) -> Result<(), Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}
