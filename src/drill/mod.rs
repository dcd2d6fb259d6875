//! A rollout against a faulty simulated cloud, by the product's own loop, in virtual time.
//!
//! Promises: the same scene, seed and troubles give the same run to the byte; what is judged is the simulated world,
//! never the rollout's own opinion. Must not touch a real cloud, a file or the system's clock.

mod ledger;
mod parts;
mod rehearsal;
mod run;
mod scene;
mod summary;

#[doc(hidden)]
pub use parts::Parts;
pub use rehearsal::{Unfit, rehearsal};
#[doc(hidden)]
pub use run::run_with;
pub use run::{Ending, Run, run};
pub use scene::{Scene, weather};
pub use summary::{Summary, summary};
