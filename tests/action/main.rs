//! The action as GitHub's runner runs it: its script, its environment and files, its signals; and every workflow file.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "what is waited for and measured here happens in real time")]

mod cancel;
mod files;
mod hostile;
mod job;
mod lint;
#[expect(dead_code, reason = "the rollout tests use more of it")]
#[path = "../rollout/rig.rs"]
mod rig;
mod runner;
mod script;
