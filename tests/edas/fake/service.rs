//! What an operation is, and which product answers it.

use serde_json::Value;

use super::input::Input;
use super::wire::{self, Wire};
use super::world::World;
use super::{alb, clb, ecs, edas, ess, nlb, sts};

pub type Answer = Result<Value, ApiError>;

/// A refusal, as the wire names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
}

impl ApiError {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Refused by EDAS inside an answer that looks like a success.
    pub fn in_body(code: u64, message: impl Into<String>) -> Self {
        Self::new(code.to_string(), message).status(200)
    }
}

/// Something that is not there.
pub fn missing(code: &str, id: &str) -> ApiError {
    ApiError::new(code, format!("The specified resource {id} does not exist.")).status(404)
}

/// One operation: its name, what it does, and whether it only reads.
pub struct Operation {
    pub name: &'static str,
    pub run: fn(&mut World, &Input) -> Answer,
    pub reads: bool,
}

/// An operation that only reads.
pub const fn read(name: &'static str, run: fn(&mut World, &Input) -> Answer) -> Operation {
    Operation { name, run, reads: true }
}

/// An operation that changes something.
pub const fn write(name: &'static str, run: fn(&mut World, &Input) -> Answer) -> Operation {
    Operation { name, run, reads: false }
}

/// One product.
pub struct Service {
    pub name: &'static str,
    pub wire: fn() -> &'static Wire,
    pub operations: &'static [&'static [Operation]],
}

impl Service {
    pub fn operation(&self, action: &str) -> Option<&'static Operation> {
        self.operations.iter().flat_map(|part| part.iter()).find(|operation| operation.name == action)
    }
}

pub const SERVICES: &[Service] = &[
    Service { name: "edas", wire: || &wire::EDAS, operations: edas::OPERATIONS },
    Service { name: "alb", wire: || &wire::ALB, operations: alb::OPERATIONS },
    Service { name: "nlb", wire: || &wire::NLB, operations: nlb::OPERATIONS },
    Service { name: "slb", wire: || &wire::CLB, operations: clb::OPERATIONS },
    Service { name: "ess", wire: || &wire::ESS, operations: ess::OPERATIONS },
    Service { name: "ecs", wire: || &wire::ECS, operations: ecs::OPERATIONS },
    Service { name: "sts", wire: || &wire::STS, operations: sts::OPERATIONS },
];

/// Whether a product has an operation here.
pub fn does(name: &str, action: &str) -> bool {
    SERVICES.iter().any(|service| service.name == name && service.operation(action).is_some())
}
