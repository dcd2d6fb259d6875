//! One shape for all states that differ in nothing that a decision can tell: for a checker that enumerates them.

use super::phase::Phase;
use super::state::Rollout;
use crate::model::{Time, Token};

impl Rollout {
    /// The same rollout with every time mapped and its tokens counted from 0. Everything that only people read is
    /// forgotten, and a wait between two attempts at the same call is over.
    #[doc(hidden)]
    #[must_use]
    pub fn rebased(mut self, map: impl Fn(Time) -> Time) -> Self {
        self.at = map(self.at);
        self.entered_at = self.at;
        self.progress_at = map(self.progress_at);
        let stale = self.look.as_ref().is_some_and(|look| look.looked_at < self.not_before);
        self.not_before = map(self.not_before);
        self.retry_at = self.at;
        self.repeats = self.repeats.min(1);
        self.epoch = 1;
        self.fault = None;
        self.tokens = 0;
        let token = self.last_token();
        for calls in [&mut self.last, &mut self.calls] {
            if let (Some(calls), Some(token)) = (calls, &token) {
                calls.token = token.clone();
            }
        }
        if let Some(look) = &mut self.look {
            look.looked_at = map(look.looked_at);
            if stale {
                look.looked_at = look.looked_at.min(Time(self.not_before.0.saturating_sub(1)));
            }
        }
        for waiver in &mut self.waivers {
            waiver.until = map(waiver.until);
        }
        match &mut self.phase {
            Phase::Settle { healthy_since: since }
            | Phase::Shift { reached: since, .. }
            | Phase::Drain { empty_since: since } => *since = since.map(map),
            Phase::Bake { since } => *since = map(*since),
            Phase::Provision
            | Phase::Register
            | Phase::Retire
            | Phase::Restore { .. }
            | Phase::Withdraw { .. }
            | Phase::Ended(_) => {}
        }
        self
    }

    /// The name that [`Rollout::rebased`] gives the last token.
    #[doc(hidden)]
    #[must_use]
    pub fn last_token(&self) -> Option<Token> {
        Token::new("last").ok()
    }

    /// Whether the calls announced last were the same as those before.
    #[doc(hidden)]
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeats > 0
    }

    /// The token of the calls announced last.
    #[doc(hidden)]
    #[must_use]
    pub fn token_used(&self) -> Option<&Token> {
        self.last.as_ref().map(|calls| &calls.token)
    }
}
