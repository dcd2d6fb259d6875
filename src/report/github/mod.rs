//! What GitHub Actions reads: workflow commands, step outputs, and a summary in Markdown.
//!
//! Promises: no name, reason or message can begin a workflow command, end an output early, or bring HTML or Markdown of
//! its own into a summary. The rules are those of the runner's own parser (`ActionCommand.cs` and
//! `FileCommandManager.cs` of actions/runner, read 2026-11-22).

mod command;
mod guard;
mod outputs;
pub mod summary;

pub use command::{Level, Place, annotate, command};
pub use guard::{Guarded, Manner as GuardManner, guarded};
pub use outputs::{Outputs, file};
