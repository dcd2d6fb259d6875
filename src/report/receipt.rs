//! What is left in people's hands when a drive ends.

use super::advice::Advice;
use super::hints::Hints;
use super::refusal;
use super::snapshot::{PhaseState, Snapshot, State};
use super::table::table;
use super::terminal;
use super::text::{Line, Text, Tone};
use super::waiting::Kind;
use super::words::{self, clock, count, rough};

/// The receipt: how it ended, what was seen in every group, how long each phase took, and what can be done now.
#[must_use]
pub fn receipt(snapshot: &Snapshot, hints: &Hints) -> Text {
    let mut text = Text::new();
    text.push(banner(snapshot));
    text.push(Line::new().say("  ").line(sentence(snapshot)));
    text.extend(reasons(snapshot));
    if snapshot.waits_for.kind == Kind::Gaps || !snapshot.waits_for.gaps.is_empty() {
        text.gap();
        text.extend(refusal::gaps(snapshot, hints).lines().iter().cloned());
    }
    text.gap();
    text.extend(groups(snapshot).lines().iter().cloned());
    text.gap();
    text.extend(fleets(snapshot));
    text.extend(phases(snapshot));
    text.extend(waivers(snapshot));
    text.gap();
    text.extend(next_below_gaps(snapshot).lines().iter().cloned());
    text
}

fn banner(snapshot: &Snapshot) -> Line {
    verdict(snapshot).say("  ").line(terminal::title(snapshot)).line(elapsed(snapshot))
}

/// How it ended, in a line beside its name.
#[must_use]
pub fn brief(snapshot: &Snapshot) -> Line {
    verdict(snapshot).say("   ").line(terminal::bare_title(snapshot)).line(elapsed(snapshot))
}

fn elapsed(snapshot: &Snapshot) -> Line {
    Line::new().tone(Tone::Faint, format!("   {} elapsed", clock(snapshot.elapsed_ms)))
}

fn verdict(snapshot: &Snapshot) -> Line {
    let (tone, word) = match (snapshot.outcome, snapshot.state) {
        (Some("interrupted"), _) => (Tone::Warn, "INTERRUPTED"),
        (Some("fenced"), _) => (Tone::Warn, "TAKEN OVER"),
        (Some("held"), _) => (Tone::Bad, "HELD"),
        (_, State::Completed) => (Tone::Good, "COMPLETED"),
        (_, State::RolledBack) => (Tone::Bad, "ROLLED BACK"),
        (_, State::Failed) => (Tone::Bad, "FAILED"),
        (_, State::Holding) => (Tone::Bad, "HOLDING"),
        (_, State::Paused) => (Tone::Warn, "PAUSED"),
        (_, State::AwaitsPromotion) => (Tone::Warn, "WAITS FOR PROMOTE"),
        (_, State::Running) => (Tone::Plain, "RUNNING"),
        (_, State::GoingBack) => (Tone::Bad, "GOING BACK"),
    };
    Line::new().tone(tone, word)
}

/// The verdict, as a sentence.
pub(super) fn sentence(snapshot: &Snapshot) -> Line {
    let line = Line::new();
    let open = "The rollout stays open and both fleets stay as they are";
    match (snapshot.outcome, snapshot.state) {
        (_, State::Completed) => {
            let excused = snapshot.target_groups.iter().filter(|group| group.waived.is_some()).count();
            let well = |group: &&super::group::GroupLine| {
                group.waived.is_none() && group.state == super::group::GroupState::Healthy
            };
            let proved = snapshot.target_groups.iter().filter(well).count();
            let line =
                line.say(format!("Green carries {}, each proved healthy.", count(proved, "target group")));
            let line = match excused {
                0 => line,
                excused => {
                    line.tone(Tone::Warn, format!(" {} excused by a waiver.", count(excused, "group")))
                }
            };
            line.say(if snapshot.blue.is_some() {
                " Blue is gone."
            } else {
                " This was the first deployment."
            })
        }
        (_, State::RolledBack) if snapshot.blue.is_some() => {
            line.say("Blue serves everything again, proved; green is gone.")
        }
        (_, State::RolledBack) => line.say("Green is gone; nothing served before it."),
        (_, State::Failed) => {
            line.tone(Tone::Bad, "A human is needed").say(": both fleets are left as they are.")
        }
        (Some("fenced"), _) => line
            .say("Another process drives it now: ")
            .quote(&words::actor(&snapshot.driver))
            .say(". This one did nothing more."),
        (Some("interrupted"), _) => line.say(format!("Stopped at a safe point, as asked. {open}.")),
        (Some("held"), _) => line.say(format!("A deadline passed. {open}.")),
        (_, State::Holding) => line.say("Blue is kept: traffic would be lost without it."),
        (_, State::Paused) => line.say(format!("An operator paused it. {open}.")),
        (_, State::AwaitsPromotion) => line.say(format!("It waits for somebody to say `promote`. {open}.")),
        (_, State::Running) => line.say("It goes on."),
        (_, State::GoingBack) => line.say("Traffic goes back to blue."),
    }
}

fn reasons(snapshot: &Snapshot) -> Vec<Line> {
    let line = |what: &str, why: &str| Line::new().say(format!("  {what}: ")).quote(why);
    let mut lines = Vec::new();
    lines.extend(snapshot.cause.as_deref().map(|cause| line("why", cause)));
    lines.extend(snapshot.stuck.as_deref().map(|stuck| line("what stands in the way", stuck)));
    let troubled = matches!(snapshot.state, State::Failed | State::RolledBack | State::GoingBack);
    let fault = snapshot.fault.as_ref().filter(|_| troubled || snapshot.waits_for.late);
    // A fault that is the cause is not told twice.
    let told = |fault: &str| snapshot.cause.as_deref().is_some_and(|cause| cause.contains(fault));
    let fault = fault.map(ToString::to_string).filter(|fault| !told(fault));
    lines.extend(fault.map(|fault| line("last fault", &fault)));
    let waits = &snapshot.waits_for;
    if !matches!(waits.kind, Kind::Nothing | Kind::Gaps) {
        lines.push(
            Line::new().say(format!("  stands in {}: ", snapshot.phase)).line(waits.line(snapshot.at.0)),
        );
    }
    lines.extend(snapshot.unread.iter().map(|what| line("could not be searched", what)));
    lines
}

/// The most groups in a receipt; all of them are in the JSON document.
const GROUPS_MAX: usize = 40;

/// Every group: how both fleets stand in it, and why it is expected.
pub(super) fn groups(snapshot: &Snapshot) -> Text {
    let head = |title: &str| Line::new().tone(Tone::Faint, title);
    let mut rows =
        vec![["target group", "state", "green", "share", "blue", "expected because", ""].map(head).to_vec()];
    let mut shown: Vec<_> = snapshot.target_groups.iter().collect();
    if shown.len() > GROUPS_MAX {
        shown.sort_by_key(|group| !group.interesting());
    }
    let cut = shown.len().saturating_sub(GROUPS_MAX);
    let healthy = shown.iter().skip(GROUPS_MAX).all(|group| !group.interesting());
    let ended_well = snapshot.state == State::Completed;
    for group in shown.into_iter().take(GROUPS_MAX) {
        let (tone, word) = match (&group.waived, group.state) {
            (_, super::group::GroupState::Healthy) => (Tone::Good, group.state.word()),
            (Some(_), state) => (Tone::Warn, state.word()),
            (None, state) => (Tone::Bad, state.word()),
        };
        let blue = match &snapshot.blue {
            Some(_) if ended_well && group.blue.as_ref().is_some_and(|blue| blue.registered == 0) => {
                Line::new()
            }
            Some(blue) => Line::new().say(terminal::side(group.blue.as_ref(), blue.size)),
            None => Line::new(),
        };
        let remark = match (&group.waived, &group.reason) {
            (Some(why), _) => Line::new().tone(Tone::Warn, "waived: ").quote(why),
            (None, Some(reason)) => Line::new().quote(reason),
            (None, None) => Line::new(),
        };
        rows.push(vec![
            Line::new().name(&group.group),
            Line::new().tone(tone, word),
            Line::new().say(terminal::side(group.green.as_ref(), snapshot.green.size)),
            Line::new().say(terminal::share(group.green.as_ref())),
            blue,
            Line::new().say(group.because()),
            remark,
        ]);
    }
    if rows.iter().skip(1).all(|row| row[4].width() == 0) {
        rows[0][4] = Line::new();
    }
    let mut text = table(2, &rows);
    if cut > 0 {
        let what = if healthy { "all healthy" } else { "see the JSON document" };
        text.push(Line::new().tone(Tone::Faint, format!("  … {cut} more, {what}")));
    }
    text
}

fn fleets(snapshot: &Snapshot) -> Vec<Line> {
    let fleet = |name: &str, fleet| Line::new().say("  ").line(terminal::fleet(snapshot, name, fleet));
    let revision = |line: Line, revision: &str| line.say(", revision ").quote(revision);
    let blue = snapshot.blue.as_ref().map(|blue| revision(fleet("blue ", blue), blue.revision.as_str()));
    let green = revision(fleet("green", &snapshot.green), snapshot.green.revision.as_str());
    blue.into_iter().chain([green]).collect()
}

fn phases(snapshot: &Snapshot) -> Option<Line> {
    let past = snapshot.phases.iter().filter(|phase| phase.state != PhaseState::ToCome);
    let words = past.filter_map(|phase| {
        let took = phase.took_ms.map(rough)?;
        let word = match phase.state {
            PhaseState::Failed => " (stopped)",
            PhaseState::Running => " (so far)",
            PhaseState::Done | PhaseState::ToCome => "",
        };
        Some(format!("{} {took}{word}", phase.phase))
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| Line::new().say(format!("  phases {}", words.join(", "))))
}

fn waivers(snapshot: &Snapshot) -> Vec<Line> {
    let line = |waiver: &super::snapshot::WaiverLine| {
        let counts = if waiver.counts { "until" } else { "expired" };
        Line::new()
            .tone(Tone::Warn, "  waiver ")
            .name(&waiver.group)
            .say(format!(" by {}, {counts} {}: ", waiver.by, waiver.until))
            .quote(&waiver.reason)
    };
    snapshot.waivers.iter().map(line).collect()
}

/// What can be done now, a command a line.
pub(super) fn next(snapshot: &Snapshot) -> Text {
    commands(snapshot.next.iter())
}

/// The same below a list of gaps, where each gap has its own remedies already.
pub(super) fn next_below_gaps(snapshot: &Snapshot) -> Text {
    let listed = !snapshot.waits_for.gaps.is_empty();
    commands(snapshot.next.iter().filter(|advice| !(listed && matches!(advice.what, "fix" | "waive"))))
}

/// The same in the answer to `why`, which need not be told to ask why.
pub(super) fn next_below_why(snapshot: &Snapshot) -> Text {
    let told = if snapshot.waits_for.gaps.is_empty() { &WHY[..2] } else { &WHY[..] };
    commands(snapshot.next.iter().filter(|advice| !told.contains(&advice.what)))
}

const WHY: [&str; 4] = ["why", "what is wrong", "fix", "waive"];

fn commands<'a>(all: impl Iterator<Item = &'a Advice>) -> Text {
    let row =
        |advice: &Advice| vec![Line::new().say(advice.what), Line::new().tone(Tone::Strong, &advice.command)];
    table(2, &all.map(row).collect::<Vec<_>>())
}
