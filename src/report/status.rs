//! A rollout looked at from outside: how it stands, why it does not go on, and what happened.

use serde::Serialize;

use super::hints::Hints;
use super::receipt::{self, receipt};
use super::refusal;
use super::snapshot::{PhaseState, Snapshot, State};
use super::table::table;
use super::terminal;
use super::text::{Line, Text, Tone};
use super::timeline::Timeline;
use super::waiting::Kind;
use super::words::{self, clock, rough};
use crate::model::{Span, Time};
use crate::rollout::{OutOfOrder, Recorded, Rollout};

/// A rollout's log, read from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The state after the last fact.
    pub state: Rollout,
    /// How long it was in each phase.
    pub timeline: Timeline,
    /// Every fact in words.
    pub told: Vec<Told>,
}

/// One fact in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// When, as milliseconds since the rollout was opened.
    pub after_ms: Span,
    /// Its name.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The phase after it.
    pub phase: &'static str,
    /// What it says.
    pub text: Vec<String>,
}

impl Account {
    /// Folds a log and keeps what is told.
    ///
    /// # Errors
    /// [`OutOfOrder`], as in [`Rollout::fold`].
    pub fn of(facts: &[Recorded]) -> Result<Self, OutOfOrder> {
        let mut state = Rollout::fold(facts.first())?;
        let mut timeline = Timeline::default();
        timeline.note(&state);
        let began = state.at();
        let told = |fact: &Recorded, state: &Rollout| Told {
            after_ms: fact.at.since(began),
            kind: fact.event.name(),
            phase: state.phase().name(),
            text: words::event(&fact.event, state).iter().map(ToString::to_string).collect(),
        };
        let mut all: Vec<_> = facts.first().map(|fact| told(fact, &state)).into_iter().collect();
        for fact in facts.iter().skip(1) {
            state = state.evolve(fact)?;
            timeline.note(&state);
            all.push(told(fact, &state));
        }
        Ok(Self { state, timeline, told: all })
    }

    /// The rollout as it stands at `now`.
    #[must_use]
    pub fn snapshot(&self, hints: &Hints, now: Time, driven: Option<bool>) -> Snapshot {
        Snapshot::of(&self.state, &self.timeline, hints, now.max(self.state.at()), driven)
    }
}

/// How a rollout stands.
#[must_use]
pub fn status(snapshot: &Snapshot) -> Text {
    let mut text = Text::new();
    text.push(terminal::header(snapshot));
    text.push(Line::new().say("  state    ").line(state(snapshot)));
    if !matches!(snapshot.waits_for.kind, Kind::Nothing) {
        text.push(waits(snapshot));
    }
    text.push(driver(snapshot));
    if let Some(began) = snapshot.began {
        text.push(Line::new().say(format!("  opened   {began}")));
    }
    for (name, fleet) in snapshot.blue.iter().map(|blue| ("blue", blue)).chain([("green", &snapshot.green)]) {
        let line = Line::new().say("  fleet    ").line(terminal::fleet(snapshot, name, fleet));
        text.push(line.say(", revision ").quote(fleet.revision.as_str()));
    }
    text.gap();
    text.extend(receipt::groups(snapshot).lines().iter().cloned());
    text.gap();
    text.extend(phases(snapshot).lines().iter().cloned());
    text.gap();
    text.extend(receipt::next(snapshot).lines().iter().cloned());
    text
}

fn state(snapshot: &Snapshot) -> Line {
    let tone = match snapshot.state {
        State::Completed | State::Running => Tone::Good,
        State::Paused | State::AwaitsPromotion => Tone::Warn,
        State::Holding | State::GoingBack | State::RolledBack | State::Failed => Tone::Bad,
    };
    let line = Line::new().tone(tone, snapshot.state.word());
    let line = if snapshot.phase == "ended" {
        line
    } else {
        line.say(format!(", in {} ({})", snapshot.phase, words::purpose(snapshot.phase)))
    };
    match &snapshot.cause {
        Some(cause) => line.say(": ").quote(cause),
        None => line,
    }
}

fn waits(snapshot: &Snapshot) -> Line {
    let deadline = snapshot.waits_for.deadline_line(snapshot.start());
    let line = Line::new().say("  waits    ").line(snapshot.waits_for.line(snapshot.at.0));
    if deadline.width() > 0 { line.say("   ").line(deadline) } else { line }
}

fn driver(snapshot: &Snapshot) -> Line {
    let ago = rough(Span(snapshot.at.0.since(snapshot.last_event_at.0).0 / 1000 * 1000));
    let line = Line::new();
    let line = match snapshot.driven {
        _ if snapshot.phase == "ended" => line.say("  driver   was "),
        Some(true) => line.say("  driver   "),
        Some(false) => line.say("  driver   ").tone(Tone::Warn, "nobody drives it now").say("; last was "),
        None => line.say("  driver   last was "),
    };
    let line = line.quote(&words::actor(&snapshot.driver)).say(format!(", last fact {ago} ago"));
    let line = match &snapshot.driver.run_url {
        Some(url) => line.say(", ").quote(url),
        None => line,
    };
    if snapshot.in_flight && snapshot.phase != "ended" { line.say("; calls are under way") } else { line }
}

fn phases(snapshot: &Snapshot) -> Text {
    let row = |phase: &super::snapshot::PhaseLine| {
        let (tone, glyph, word) = terminal::mark(phase.state);
        let word = if phase.state == PhaseState::Running { snapshot.state.word() } else { word };
        vec![
            Line::new().tone(tone, glyph).say(format!(" {}", phase.phase)),
            Line::new().tone(tone, word),
            Line::new().say(phase.took_ms.map(rough).unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = snapshot.phases.iter().map(row).collect();
    table(2, &rows)
}

/// Why a rollout does not go on: in words, by group, with the last fault and what helps.
#[must_use]
pub fn why(snapshot: &Snapshot, hints: &Hints) -> Text {
    let mut text = Text::new();
    text.push(terminal::header(snapshot));
    text.push(Line::new().say("  state    ").line(state(snapshot)));
    text.extend(
        snapshot.stuck.as_deref().map(|stuck| Line::new().say("  what stands in the way: ").quote(stuck)),
    );
    if !matches!(snapshot.waits_for.kind, Kind::Nothing) {
        text.push(waits(snapshot));
    }
    if snapshot.driven == Some(false) && snapshot.phase != "ended" {
        let resume = hints.command("resume", "");
        text.push(Line::new().say("  Nobody drives it: it goes on after ").tone(Tone::Strong, resume));
    }
    text.extend(snapshot.unread.iter().map(|what| Line::new().say("  could not be searched: ").quote(what)));
    let ill: Vec<_> = snapshot
        .target_groups
        .iter()
        .filter(|group| group.interesting())
        .map(|group| terminal::row(snapshot, group))
        .collect();
    if ill.is_empty() {
        text.push(
            Line::new()
                .say("  Every target group that it has to cover is healthy, as far as the last look shows."),
        );
    } else {
        text.gap();
        let shown = ill.len().min(ILL_MAX);
        text.extend(table(2, &ill[..shown]).lines().iter().cloned());
        if ill.len() > shown {
            text.push(Line::new().say(format!("  … {} more like these", ill.len() - shown)));
        }
    }
    if !snapshot.waits_for.gaps.is_empty() {
        text.gap();
        text.extend(refusal::gaps(snapshot, hints).lines().iter().cloned());
    }
    if let Some(fault) = &snapshot.fault {
        text.gap();
        let applied = if fault.ambiguous { " It may have been applied all the same." } else { "" };
        text.push(Line::new().tone(Tone::Bad, "  last fault: ").quote(&fault.to_string()).say(applied));
    }
    text.gap();
    text.extend(receipt::next_below_why(snapshot).lines().iter().cloned());
    text
}

/// The most groups in an answer to `why`.
const ILL_MAX: usize = 20;

/// One rollout from its beginning: every fact in words, then the receipt.
#[must_use]
pub fn show(account: &Account, snapshot: &Snapshot, hints: &Hints) -> Text {
    let mut rows = Vec::new();
    for told in &account.told {
        for (n, said) in told.text.iter().enumerate() {
            let (when, phase) = if n == 0 { (clock(told.after_ms), told.phase) } else { Default::default() };
            rows.push(vec![
                Line::new().tone(Tone::Faint, when),
                Line::new().tone(Tone::Faint, phase),
                Line::new().say(said),
            ]);
        }
    }
    let mut text = table(0, &rows);
    text.gap();
    text.extend(receipt(snapshot, hints).lines().iter().cloned());
    text
}
