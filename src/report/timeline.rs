//! How long a rollout stayed in each phase, from the states it went through.

use serde::Serialize;

use crate::model::{Span, Time};
use crate::rollout::{Phase, Rollout};

/// The phases that a rollout went through, in order; one that was left and entered again stands there twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The time of the first fact that was seen.
    pub began: Option<Time>,
    /// When it ended, where it has.
    pub ended: Option<Time>,
    /// The stays.
    pub stretches: Vec<Stretch>,
}

/// One stay in a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The phase's name.
    pub phase: &'static str,
    /// When it was entered.
    pub from: Time,
    /// When it was left.
    pub to: Option<Time>,
}

impl Timeline {
    /// Takes up the state after one more fact.
    pub fn note(&mut self, state: &Rollout) {
        self.began.get_or_insert(state.at());
        let name = state.phase().name();
        let last = self.stretches.last_mut();
        if last.as_ref().is_some_and(|last| last.phase == name) || self.ended.is_some() {
            return;
        }
        let entered = state.entered_at();
        if let Some(last) = last {
            last.to = Some(entered.max(last.from));
        }
        match state.phase() {
            Phase::Ended(_) => self.ended = Some(state.at()),
            Phase::Provision
            | Phase::Register
            | Phase::Settle { .. }
            | Phase::Shift { .. }
            | Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. } => {
                self.stretches.push(Stretch { phase: name, from: entered, to: None });
            }
        }
    }

    /// How long the rollout was in a phase altogether; none where it never was.
    #[must_use]
    pub fn took(&self, phase: &str, now: Time) -> Option<Span> {
        let stays = self.stretches.iter().filter(|stretch| stretch.phase == phase);
        stays.map(|stay| stay.to.unwrap_or(now).since(stay.from)).reduce(|a, b| Span(a.0 + b.0))
    }

    /// How long it has been going on, or went on.
    #[must_use]
    pub fn elapsed(&self, now: Time) -> Span {
        self.began.map_or(Span::ZERO, |began| self.ended.unwrap_or(now).since(began))
    }
}
