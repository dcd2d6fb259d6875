//! A look.

use super::api::Api;
use super::asgs::Home;
use crate::cloud::{Fault, Scope};
use crate::model::Inventory;

#[derive(Debug, Default)]
pub struct Memory {}

pub async fn look(_api: &Api, _home: &Home, _memory: &Memory, _scope: &Scope) -> Result<Inventory, Fault> {
    Err(crate::cloud::Fault::new(crate::cloud::FaultKind::Unexpected, "x", "not built"))
}
