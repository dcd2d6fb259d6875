//! Several rollouts on one terminal: a line each, and how many there are of which kind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::hints::Hints;
use super::snapshot::{PhaseState, Snapshot, State};
use super::table::table;
use super::terminal;
use super::text::{Line, Text, Tone};
use super::timeline::Timeline;
use super::words::clock;
use crate::model::{Span, Time};
use crate::rollout::Rollout;

/// How often it is drawn again.
const TICK: Duration = Duration::from_millis(200);
const TICKS_PER_SEC: u8 = 5;

/// Where one of several services stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun.
    ToCome,
    /// Its rollout is being prepared.
    Preparing,
    /// Its rollout goes on.
    Running(Box<Snapshot>),
    /// It came to its end; whether to a good one.
    Over {
        /// Whether it got what was asked for.
        well: bool,
    },
}

/// Several services as they stand, for a terminal of this size: those that run first, as many as fit.
#[must_use]
pub fn board(services: &[(String, Standing)], width: usize, height: usize) -> Text {
    let mut text = Text::new();
    text.push(totals(services));
    let running: Vec<_> = services.iter().filter_map(row).collect();
    let room = height.saturating_sub(3).max(1);
    let hidden = running.len().saturating_sub(room);
    text.extend(table(1, &running[..running.len() - hidden]).lines().iter().cloned());
    if hidden > 0 {
        text.push(Line::new().tone(Tone::Faint, format!(" … {hidden} more under way")));
    }
    text.lines().iter().cloned().map(|line| line.cut(width)).collect()
}

fn totals(services: &[(String, Standing)]) -> Line {
    let count = |is: fn(&Standing) -> bool| services.iter().filter(|(_, standing)| is(standing)).count();
    let parts = [
        (Tone::Warn, "under way", count(|it| matches!(it, Standing::Preparing | Standing::Running(_)))),
        (Tone::Good, "done", count(|it| matches!(it, Standing::Over { well: true }))),
        (Tone::Bad, "not done", count(|it| matches!(it, Standing::Over { well: false }))),
        (Tone::Faint, "to come", count(|it| matches!(it, Standing::ToCome))),
    ];
    let line = Line::new().tone(Tone::Strong, format!("{} services", services.len()));
    parts
        .into_iter()
        .filter(|(_, _, count)| *count > 0)
        .fold(line, |line, (tone, word, count)| line.say("   ").tone(tone, format!("{count} {word}")))
}

/// One that is under way: name, revisions, phase, what it waits for, how long.
fn row((service, standing): &(String, Standing)) -> Option<Vec<Line>> {
    let snapshot = match standing {
        Standing::ToCome | Standing::Over { .. } => return None,
        Standing::Preparing => {
            return Some(vec![Line::new().tone(Tone::Strong, service), Line::new().say("prepares")]);
        }
        Standing::Running(snapshot) => snapshot,
    };
    let state = match snapshot.state {
        State::Holding | State::GoingBack | State::Failed => PhaseState::Failed,
        State::Running | State::Paused | State::AwaitsPromotion | State::Completed | State::RolledBack => {
            PhaseState::Running
        }
    };
    let (tone, glyph, _) = terminal::mark(state);
    let from = snapshot.blue.as_ref().map_or("nothing".to_owned(), |blue| blue.revision.to_string());
    Some(vec![
        Line::new().tone(Tone::Strong, service),
        Line::new().quote(&from).say(" -> ").quote(snapshot.green.revision.as_str()),
        Line::new().tone(tone, glyph).say(format!(" {}", snapshot.phase)),
        Line::new().tone(Tone::Faint, clock(snapshot.elapsed_ms)),
        snapshot.waits_for.line(snapshot.at.0),
    ])
}

/// The picture of several rollouts; every rollout's screen writes its own line of it.
#[derive(Clone)]
pub struct Board {
    bars: MultiProgress,
    bar: ProgressBar,
    rows: Arc<Mutex<Vec<(String, Row)>>>,
}

enum Row {
    Fixed(Standing),
    Running(Box<Shown>),
}

struct Shown {
    state: Rollout,
    timeline: Timeline,
    hints: Hints,
    now: Time,
    handed_over: Duration,
}

impl Board {
    /// A picture of these services on standard error.
    #[must_use]
    pub fn new(services: impl IntoIterator<Item = String>, colour: bool) -> Self {
        let to_come = |service| (service, Row::Fixed(Standing::ToCome));
        let rows: Vec<_> = services.into_iter().map(to_come).collect();
        let rows = Arc::new(Mutex::new(rows));
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(TICKS_PER_SEC));
        let seen = Arc::clone(&rows);
        let draw = move |elapsed: &ProgressState, out: &mut dyn std::fmt::Write| {
            let (height, columns) = console::Term::stderr().size();
            let standing = standing(&locked(&seen), elapsed.elapsed());
            let text = board(&standing, usize::from(columns).saturating_sub(1), usize::from(height));
            // What cannot be drawn now is drawn a moment later.
            let _ = out.write_str(text.paint(colour).trim_end_matches('\n'));
        };
        let style =
            ProgressStyle::with_template("{board}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = bars.add(ProgressBar::new_spinner().with_style(style.with_key("board", draw)));
        bar.enable_steady_tick(TICK);
        Self { bars, bar, rows }
    }

    /// Says where a service stands.
    pub fn set(&self, service: &str, standing: Standing) {
        self.put(service, Row::Fixed(standing));
    }

    pub(super) fn show(&self, state: &Rollout, timeline: &Timeline, hints: &Hints, now: Time) {
        let shown = Shown {
            state: state.clone(),
            timeline: timeline.clone(),
            hints: hints.clone(),
            now,
            handed_over: self.bar.elapsed(),
        };
        self.put(hints.service.as_str(), Row::Running(Box::new(shown)));
    }

    fn put(&self, service: &str, row: Row) {
        let mut rows = locked(&self.rows);
        if let Some((_, old)) = rows.iter_mut().find(|(name, _)| name == service) {
            *old = row;
        }
    }

    /// Writes something else, above the picture.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }

    /// Leaves the terminal as it was.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn locked<T>(rows: &Mutex<T>) -> MutexGuard<'_, T> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn standing(rows: &[(String, Row)], elapsed: Duration) -> Vec<(String, Standing)> {
    let one = |row: &Row| match row {
        Row::Fixed(standing) => standing.clone(),
        Row::Running(shown) => {
            let gone = elapsed.saturating_sub(shown.handed_over).as_millis();
            let now = shown.now + Span(u64::try_from(gone).unwrap_or(u64::MAX));
            let snapshot = Snapshot::of(&shown.state, &shown.timeline, &shown.hints, now, Some(true));
            Standing::Running(Box::new(snapshot))
        }
    };
    rows.iter().map(|(service, row)| (service.clone(), one(row))).collect()
}

/// How several services ended, one line each.
#[must_use]
pub fn ends(ends: &[(String, Line)]) -> Text {
    let row = |(service, end): &(String, Line)| vec![Line::new().tone(Tone::Strong, service), end.clone()];
    table(0, &ends.iter().map(row).collect::<Vec<_>>())
}
