//! The state machine: a pure fold of facts and a decision taken from the state alone.
//!
//! Promises: nothing hangs on edges, so a restart is *fold, look, decide*, the same path as normal running; success is
//! seen in a look, never believed from a reply; every wait has a deadline with a stated end. Must not read a clock,
//! draw chance or call a cloud.

mod advance;
mod canon;
mod decide;
mod event;
mod leeway;
mod phase;
mod sight;
mod state;

pub use decide::Next;
pub use event::{Actor, Event, Order, Recorded};
pub use phase::{Cause, Phase, Verdict};
pub use state::{OutOfOrder, Rollout};
