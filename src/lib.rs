//! `deployer`: blue/green rollouts that refuse to finish while any target group is missing.
//!
//! The rooms, in floor order; a room imports only from lower floors, never sideways.

pub mod model; // 0: the nouns: ids, fleets, target groups, shares, time, `Plan`, `Inventory`
pub mod coverage; // 1: the gate: the proof that no target group goes dark when a fleet leaves
pub mod spec; // 1: a deployment file, read and checked; errors that point at the line
pub mod cloud; // 2: the port to a cloud, and the clouds behind it
pub mod plan; // 3: `Spec` and `Inventory` in, a `Plan` with no choices left out
pub mod rollout; // 3: the state machine: a pure fold of facts, and a decision from the state alone
pub mod journal; // 4: the append-only log: one object per event, created only if absent; every bit checked
pub mod drive; // 5: the loop: decide, act, journal, fold; the clock, signals, taking over
pub mod report; // 6: facts in, what people and machines read out
pub mod cli; // 7: a file per verb, exit codes, wiring
