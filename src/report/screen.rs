//! What shows a rollout while it runs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::board::Board;
use super::hints::Hints;
use super::ndjson::{self, Ndjson};
use super::plain::Plain;
use super::snapshot::{Snapshot, State};
use super::text::{Line, Text, Tone, put};
use super::timeline::Timeline;
use super::{json, receipt, terminal};
use crate::drive::{Notice, Outcome};
use crate::model::{Span, Time};
use crate::rollout::Rollout;

/// The forms of a running report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A picture on standard error that is drawn again and again; the receipt at the end.
    Terminal,
    /// Lines for what changed; the receipt at the end.
    Plain,
    /// A line of JSON on standard output for everything that happens.
    Ndjson,
    /// Nothing, and one JSON document on standard output at the end.
    Json,
}

/// How a screen shows.
#[derive(Debug, Clone)]
pub struct Manner {
    /// In which form.
    pub form: Form,
    /// Whether what goes to standard output has colour.
    pub colour_out: bool,
    /// Whether what goes to standard error has colour.
    pub colour_err: bool,
    /// The commands to name.
    pub hints: Hints,
}

/// Shows one rollout while it runs, and its receipt at the end.
pub struct Screen {
    manner: Manner,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    timeline: Timeline,
    kind: Kind,
    now: Time,
    /// What begins every line of talk; empty where there is no other rollout beside this one.
    prefix: String,
    /// The first write that failed.
    failed: Option<io::Error>,
}

enum Kind {
    Terminal(Picture),
    Board(Board),
    Plain(Plain),
    Ndjson(Ndjson),
    Json,
}

impl Screen {
    /// A screen that writes data to `out` and talk to `err`. A picture is drawn on the real standard error.
    #[must_use]
    pub fn new(manner: Manner, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let kind = match manner.form {
            Form::Terminal => Kind::Terminal(Picture::new(manner.colour_err)),
            Form::Plain => Kind::Plain(Plain::default()),
            Form::Ndjson => Kind::Ndjson(Ndjson::default()),
            Form::Json => Kind::Json,
        };
        let (timeline, now, prefix) = (Timeline::default(), Time::default(), String::new());
        Self { manner, out, err, timeline, kind, now, prefix, failed: None }
    }

    /// One of several beside each other: every line begins with whose it is, or there is one picture of all of them; and
    /// there is no receipt of what went well.
    #[must_use]
    pub fn among(self, prefix: String, board: Option<&Board>) -> Self {
        let kind = match (self.kind, board) {
            (Kind::Terminal(picture), Some(board)) => {
                picture.clear();
                Kind::Board(board.clone())
            }
            (kind, _) => kind,
        };
        Self { kind, prefix, ..self }
    }

    /// Takes up what happened before this process came to the rollout.
    #[must_use]
    pub fn recalling(mut self, timeline: Timeline) -> Self {
        self.timeline = timeline;
        self
    }

    /// The picture, so that a log can be written above it with [`MultiProgress::suspend`]; none in other forms.
    #[must_use]
    pub fn bars(&self) -> Option<&MultiProgress> {
        match &self.kind {
            Kind::Terminal(picture) => Some(&picture.bars),
            Kind::Board(_) | Kind::Plain(_) | Kind::Ndjson(_) | Kind::Json => None,
        }
    }

    /// Shows a notice, with the state after it.
    pub fn notice(&mut self, state: &Rollout, notice: &Notice<'_>, now: Time) {
        self.now = self.now.max(now);
        self.timeline.note(state);
        let snapshot = || Snapshot::of(state, &self.timeline, &self.manner.hints, self.now, Some(true));
        let written = match &mut self.kind {
            Kind::Terminal(picture) => {
                picture.show(state, &self.timeline, &self.manner.hints, self.now);
                Ok(())
            }
            Kind::Board(board) => {
                board.show(state, &self.timeline, &self.manner.hints, self.now);
                Ok(())
            }
            Kind::Plain(plain) => {
                let lines = plain.lines(&snapshot(), state, notice).into_iter();
                let prefixed = |line| Line::new().tone(Tone::Faint, &self.prefix).line(line);
                let lines: Text = lines.map(prefixed).collect();
                lines.print(&mut *self.err, self.manner.colour_err)
            }
            Kind::Ndjson(ndjson) => put(&mut *self.out, &ndjson.lines(&snapshot(), state, notice)),
            Kind::Json => Ok(()),
        };
        self.keep(written);
    }

    /// The rollout as a drive that ended leaves it.
    #[must_use]
    pub fn closing(&mut self, state: &Rollout, outcome: &Outcome) -> Snapshot {
        self.timeline.note(state);
        let (now, hints) = (self.now.max(state.at()), &self.manner.hints);
        let driven = matches!(outcome, Outcome::Fenced { .. }).then_some(true);
        let driven = driven.or(state.verdict().is_none().then_some(false));
        Snapshot::of(state, &self.timeline, hints, now, driven).closed(outcome, hints)
    }

    /// Shows how the drive ended.
    ///
    /// # Errors
    /// The first write of all that failed; a reader that went away is none.
    pub fn end(&mut self, state: &Rollout, outcome: &Outcome) -> io::Result<()> {
        let snapshot = self.closing(state, outcome);
        let hints = &self.manner.hints;
        let completed = snapshot.state == State::Completed;
        let written = match &mut self.kind {
            Kind::Terminal(picture) => {
                picture.clear();
                receipt::receipt(&snapshot, hints).print(&mut *self.out, self.manner.colour_out)
            }
            Kind::Board(_) | Kind::Plain(_) if !self.prefix.is_empty() && completed => Ok(()),
            Kind::Board(board) => {
                let receipt = receipt::receipt(&snapshot, hints);
                board.above(|| receipt.print(&mut *self.out, self.manner.colour_out))
            }
            Kind::Plain(_) => {
                receipt::receipt(&snapshot, hints).print(&mut *self.out, self.manner.colour_out)
            }
            Kind::Ndjson(_) => put(&mut *self.out, &ndjson::end(&snapshot)),
            Kind::Json => put(&mut *self.out, &json::document(&snapshot)),
        };
        self.keep(written);
        self.failed.take().map_or(Ok(()), Err)
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let (Err(error), None) = (written, &self.failed) {
            self.failed = Some(error);
        }
    }
}

/// How often the picture is drawn again, for the clock in it to go on.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SEC: u8 = 10;

/// A picture that is drawn from the last state, again and again.
struct Picture {
    bars: MultiProgress,
    bar: ProgressBar,
    shown: Arc<Mutex<Option<Shown>>>,
}

/// What is drawn, and when it was handed over by the picture's own clock.
struct Shown {
    state: Rollout,
    timeline: Timeline,
    hints: Hints,
    now: Time,
    handed_over: Duration,
}

impl Picture {
    fn new(colour: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(TICKS_PER_SEC));
        let shown = Arc::new(Mutex::new(None::<Shown>));
        let seen = Arc::clone(&shown);
        let draw = move |clock: &ProgressState, out: &mut dyn std::fmt::Write| {
            let shown = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(shown) = shown.as_ref() {
                // A line that cannot be drawn now is drawn a moment later.
                let _ = out.write_str(shown.picture(clock.elapsed()).paint(colour).trim_end_matches('\n'));
            }
        };
        let style =
            ProgressStyle::with_template("{picture}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = bars.add(ProgressBar::new_spinner().with_style(style.with_key("picture", draw)));
        bar.enable_steady_tick(TICK);
        Self { bars, bar, shown }
    }

    fn show(&self, state: &Rollout, timeline: &Timeline, hints: &Hints, now: Time) {
        let shown = Shown {
            state: state.clone(),
            timeline: timeline.clone(),
            hints: hints.clone(),
            now,
            handed_over: self.bar.elapsed(),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Shown {
    fn picture(&self, elapsed: Duration) -> Text {
        let gone = elapsed.saturating_sub(self.handed_over).as_millis();
        let now = self.now + Span(u64::try_from(gone).unwrap_or(u64::MAX));
        let snapshot = Snapshot::of(&self.state, &self.timeline, &self.hints, now, Some(true));
        let (rows, columns) = console::Term::stderr().size();
        terminal::frame(&snapshot, usize::from(columns).saturating_sub(1), usize::from(rows))
    }
}
