//! What an operator can do next.

use serde::Serialize;

use super::hints::Hints;
use super::waiting::{self, Kind, Waiting};
use crate::coverage::Gap;
use crate::model::Purpose;
use crate::rollout::{Rollout, Verdict};

/// A command, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What for: a word or two.
    pub what: &'static str,
    /// What to type.
    pub command: String,
}

/// Gaps in a report are many; commands for the first few show how it is done.
const GAPS_MAX: usize = 5;

impl Advice {
    /// What can be done about a rollout, what helps most first.
    #[must_use]
    pub fn all(state: &Rollout, waiting: &Waiting, hints: &Hints) -> Vec<Self> {
        let advice = |what, command| Self { what, command };
        let id = &state.plan().rollout;
        let show = || advice("details", format!("deployer show {id}"));
        let back = advice("roll back", hints.command("rollback", ""));
        let first = state.plan().blue.is_none();
        // To roll back a way back would bring what it undoes.
        let is_back = matches!(state.plan().purpose, Purpose::Rollback { .. });
        match state.verdict() {
            Some(Verdict::Completed) => {
                return if first || is_back { vec![show()] } else { vec![back, show()] };
            }
            Some(Verdict::RolledBack { .. }) => {
                let verb = if is_back { "rollback" } else { "rollout" };
                return vec![show(), advice("again", hints.command(verb, ""))];
            }
            Some(Verdict::Failed { .. }) => {
                let why = advice("what is wrong", hints.command("why", ""));
                // A new rollout would take what is sick for blue, and leave the real one behind.
                let verb = if state.resumable() { "resume" } else { "rollout" };
                let again = advice("when repaired", hints.command(verb, ""));
                return vec![why, advice("both fleets", hints.command("status", "")), again];
            }
            None => {}
        }
        let mut all = match waiting.kind {
            Kind::Promote => vec![
                advice("go on", hints.command("promote", "")),
                advice("go on to the end", hints.command("promote", "--full")),
            ],
            Kind::Resume => vec![advice("go on", hints.command("resume", ""))],
            Kind::Gaps => {
                waiting.gaps.iter().take(GAPS_MAX).flat_map(|gap| remedies(state, gap, hints)).collect()
            }
            Kind::World | Kind::Time | Kind::Nothing => Vec::new(),
        };
        if waiting.late && all.is_empty() {
            all.push(advice("go on", hints.command("resume", "")));
        }
        if !state.past_return() && state.phase().forward() {
            all.push(if first || is_back { advice("give up", hints.command("abort", "")) } else { back });
        }
        if waiting::paused(state) || !state.phase().forward() {
            all.push(advice("why", hints.command("why", "")));
        }
        all
    }
}

/// What closes one gap.
fn remedies(state: &Rollout, gap: &Gap, hints: &Hints) -> Vec<Advice> {
    let Some(group) = &gap.group else { return Vec::new() };
    let fix = Advice { what: "fix", command: hints.amend("resume", group) };
    let waive = Advice { what: "waive", command: hints.waive("resume", group) };
    if state.expected().contains_key(group) { vec![waive] } else { vec![fix, waive] }
}
