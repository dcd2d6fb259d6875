//! The loop: decide → act → journal → fold.
//!
//! Promises: nothing is done that is not in the journal first; an order of another process is obeyed within a second;
//! a driver that another one has replaced makes no further change; a stop leaves a rollout that can be resumed. Must
//! not decide anything about a rollout: that is `rollout`'s.

mod clock;
mod driver;
mod first;
mod presence;
mod record;
mod signal;
mod start;

pub use clock::Clock;
#[doc(hidden)]
pub use driver::Machine;
pub use driver::{DriveError, Driver, Notice, Outcome, Settings};
pub use first::FirstLook;
pub use presence::Presence;
pub use signal::{Stop, listen, stopped};
pub use start::{Hands, OpenError, follow, open, order, resume};
