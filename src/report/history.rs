//! The rollouts of a service, a line each.

use serde::Serialize;

use super::snapshot::{SCHEMA, Snapshot, State};
use super::table::table;
use super::text::{Line, Text, Tone};
use super::words::{Stamp, rough};
use crate::journal::Summary;
use crate::model::Span;

/// One rollout in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Past {
    /// Such as `api/local/7`.
    pub rollout: String,
    /// Its number.
    pub number: u64,
    /// When it was opened.
    pub began: Option<Stamp>,
    /// The revision that served before.
    pub from: Option<String>,
    /// The revision that was deployed.
    pub to: String,
    /// How the traffic was shifted.
    pub strategy: String,
    /// How it ended, or what it is about.
    pub state: State,
    /// Why it went back.
    pub cause: Option<String>,
    /// How long it took, or has taken.
    pub took_ms: Span,
    /// Who drove it last.
    pub by: String,
    /// Whether that driver lives; none where it cannot be told from here.
    pub driven: Option<bool>,
}

impl From<&Snapshot> for Past {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            rollout: snapshot.rollout.clone(),
            number: snapshot.number,
            began: snapshot.began,
            from: snapshot.blue.as_ref().map(|blue| blue.revision.to_string()),
            to: snapshot.green.revision.to_string(),
            strategy: snapshot.strategy.to_string(),
            state: snapshot.state,
            cause: snapshot.cause.clone(),
            took_ms: snapshot.elapsed_ms,
            by: snapshot.driver.user.clone(),
            driven: snapshot.driven,
        }
    }
}

impl From<&Summary> for Past {
    fn from(summary: &Summary) -> Self {
        let content = &summary.content;
        Self {
            rollout: summary.rollout.to_string(),
            number: summary.rollout.number,
            began: Some(Stamp(content.began)),
            from: content.blue.as_ref().map(|blue| blue.revision.to_string()),
            to: content.green.revision.to_string(),
            strategy: content.strategy.to_string(),
            state: if content.completed { State::Completed } else { State::RolledBack },
            cause: content.cause.clone(),
            took_ms: content.took,
            by: content.driver.user.clone(),
            driven: None,
        }
    }
}

/// A table of rollouts, in the order in which they are handed in.
#[must_use]
pub fn history(past: &[Past]) -> Text {
    if past.is_empty() {
        return [Line::new().say("No rollout yet.")].into_iter().collect();
    }
    let head = |title: &str| Line::new().tone(Tone::Faint, title);
    let mut rows =
        vec![["rollout", "when", "from", "to", "strategy", "state", "took", "by", "why"].map(head).to_vec()];
    for one in past {
        let tone = match one.state {
            State::Completed => Tone::Good,
            State::RolledBack | State::Failed | State::Holding | State::GoingBack => Tone::Bad,
            State::Running | State::Paused | State::AwaitsPromotion => Tone::Warn,
        };
        rows.push(vec![
            Line::new().say(one.number.to_string()),
            Line::new().say(one.began.map(|began| began.to_string()).unwrap_or_default()),
            Line::new().quote(one.from.as_deref().unwrap_or("nothing")),
            Line::new().quote(&one.to),
            Line::new().say(&one.strategy),
            Line::new().tone(tone, one.state.word()),
            Line::new().say(rough(one.took_ms)),
            Line::new().quote(&one.by),
            Line::new().quote(one.cause.as_deref().unwrap_or_default()),
        ]);
    }
    table(0, &rows)
}

/// The same as a JSON document.
#[must_use]
pub fn history_json(past: &[Past]) -> String {
    super::json::document(&serde_json::json!({ "schema": SCHEMA, "rollouts": past }))
}
