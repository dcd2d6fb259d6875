//! The state machine: a pure fold of facts and a decision taken from the state alone.

mod event;

pub use event::{Actor, Event, Order, Recorded};
