//! Lines for where there is no terminal: one only where something changed, and a sign of life now and then.

use std::collections::BTreeMap;

use super::group::{GroupLine, GroupState};
use super::snapshot::{PhaseState, Snapshot};
use super::terminal;
use super::text::{Line, Tone};
use super::waiting::Kind;
use super::words::{self, clock, count, rough};
use crate::drive::Notice;
use crate::model::{GroupId, Span, Time};
use crate::rollout::{Event, Rollout};

/// The longest silence.
const HEART_BEAT: Span = Span::secs(30);
/// The most group lines for one change.
const GROUPS_MAX: usize = 8;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct Plain {
    phase: Option<&'static str>,
    groups: BTreeMap<GroupId, String>,
    waiting: Option<(Kind, String, Option<Span>)>,
    trouble: Option<String>,
    spoke_at: Time,
}

impl Plain {
    /// What there is to say about a notice.
    pub(super) fn lines(&mut self, snapshot: &Snapshot, state: &Rollout, notice: &Notice<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        let title = self.phase.is_none().then(|| terminal::title(snapshot));
        lines.extend(self.trouble(notice));
        if let Notice::Recorded(fact) = notice {
            match fact.event {
                // What a look shows is said below, by group and by phase.
                Event::Looked { .. } => {}
                Event::Settled { ref faults, .. } if faults.is_empty() => {}
                _ => lines.extend(words::event(&fact.event, state)),
            }
        }
        lines.extend(self.entered(snapshot));
        if state.verdict().is_none() {
            lines.extend(self.changed(snapshot));
            lines.extend(self.waits(snapshot));
        }
        let now = snapshot.at.0;
        if lines.is_empty() && now.since(self.spoke_at) >= HEART_BEAT {
            lines.push(still(snapshot));
        }
        if !lines.is_empty() {
            self.spoke_at = now;
        }
        let prefix = format!("{} {:<9} ", clock(now.since(snapshot.start())), snapshot.phase);
        let prefixed = lines.into_iter().map(|line| Line::new().tone(Tone::Faint, &prefix).line(line));
        title.into_iter().chain(prefixed).collect()
    }

    /// A call or a store that fails is said once, not at every attempt.
    fn trouble(&mut self, notice: &Notice<'_>) -> Option<Line> {
        let trouble = match notice {
            Notice::LookFailed(fault) => Some(format!("the look failed and is tried again: {fault}")),
            Notice::JournalFailed(fault) => Some(format!("the journal failed and is tried again: {fault}")),
            Notice::Recorded(_) | Notice::Looked => None,
            Notice::Next(_) => return None,
        };
        if trouble == self.trouble {
            return None;
        }
        self.trouble = trouble;
        self.trouble.as_deref().map(|trouble| Line::new().tone(Tone::Warn, super::escape::brief(trouble)))
    }

    fn entered(&mut self, snapshot: &Snapshot) -> Option<Line> {
        let last = self.phase.replace(snapshot.phase);
        if last == Some(snapshot.phase) {
            return None;
        }
        let took = last.and_then(|last| {
            let left = snapshot.phases.iter().find(|phase| phase.phase == last)?;
            let word = if left.state == PhaseState::Failed { "stopped after" } else { "took" };
            Some(format!(" ({last} {word} {})", rough(left.took_ms?)))
        });
        let why =
            snapshot.cause.as_ref().filter(|_| snapshot.phase == "restore" || snapshot.phase == "withdraw");
        let line = Line::new().tone(Tone::Strong, entering(snapshot.phase)).say(took.unwrap_or_default());
        Some(match why {
            Some(why) => line.say(": ").quote(why),
            None => line,
        })
    }

    fn changed(&mut self, snapshot: &Snapshot) -> Vec<Line> {
        let back = matches!(snapshot.phase, "restore" | "withdraw");
        let mut changed = Vec::new();
        for group in &snapshot.target_groups {
            let said = summary(snapshot, group, back);
            let first = !self.groups.contains_key(&group.group);
            let dull = first && group.dull() && !group.interesting_now();
            if self.groups.insert(group.group.clone(), said.clone()).as_ref() != Some(&said) && !dull {
                changed.push((group, said));
            }
        }
        changed.sort_by_key(|(group, _)| !group.interesting());
        let more = changed.len().saturating_sub(GROUPS_MAX);
        let rest = (more > 0).then(|| Line::new().say(format!("… {} changed", count(more, "more group"))));
        let line = |(group, said): (&GroupLine, String)| Line::new().name(&group.group).say(" ").quote(&said);
        changed.into_iter().take(GROUPS_MAX).map(line).chain(rest).collect()
    }

    fn waits(&mut self, snapshot: &Snapshot) -> Vec<Line> {
        let waits = &snapshot.waits_for;
        let key = Some((waits.kind, waits.what.clone(), waits.hold_ms));
        if key == self.waiting {
            return Vec::new();
        }
        self.waiting = key;
        let mut lines = vec![with_deadline(snapshot)];
        lines.extend(waits.gaps.iter().skip(1).take(GROUPS_MAX).map(words::gap));
        if matches!(waits.kind, Kind::Promote | Kind::Resume | Kind::Gaps) {
            let advice = snapshot.next.iter();
            lines.extend(advice.map(|next| Line::new().say(format!("  {}: ", next.what)).say(&next.command)));
        }
        lines
    }
}

impl GroupLine {
    /// Whether nothing but waiting is to be said of it.
    fn dull(&self) -> bool {
        matches!(self.state, GroupState::Unknown | GroupState::Unregistered | GroupState::Checking)
    }

    /// Whether it is worth a line before green has come to it.
    fn interesting_now(&self) -> bool {
        self.expected_because.is_empty() || self.waived.is_some()
    }
}

fn entering(phase: &str) -> String {
    if phase == "ended" { "it is over".into() } else { format!("begins: {}", words::purpose(phase)) }
}

fn still(snapshot: &Snapshot) -> Line {
    Line::new().say("still: ").line(with_deadline(snapshot))
}

fn with_deadline(snapshot: &Snapshot) -> Line {
    let (line, deadline) =
        (snapshot.waits_for.line(snapshot.at.0), snapshot.waits_for.deadline_line(snapshot.start()));
    if deadline.width() > 0 { line.say(", ").line(deadline) } else { line }
}

/// A group in a phrase, of the fleet that has to carry it.
fn summary(snapshot: &Snapshot, group: &GroupLine, back: bool) -> String {
    let (name, standing, size) = match &snapshot.blue {
        Some(blue) if back => ("blue", group.blue.as_ref(), blue.size),
        _ => ("green", group.green.as_ref(), snapshot.green.size),
    };
    let mut said =
        format!("{name} {}, carries {}", terminal::side(standing, size), terminal::share(standing));
    for (label, more) in [("", &group.reason), ("waived: ", &group.waived)] {
        if let Some(more) = more {
            said = format!("{said}, {label}{more}");
        }
    }
    if group.expected_because.is_empty() { format!("{said}, {}", group.because()) } else { said }
}
