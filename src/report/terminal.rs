//! The picture of a running rollout on a terminal.

use super::group::{GroupLine, GroupState, SideLine};
use super::snapshot::{FleetLine, PhaseLine, PhaseState, Snapshot, State};
use super::table::table;
use super::text::{Line, Text, Tone};
use super::waiting::Kind;
use super::words::{clock, rough};

/// The most groups in the picture, however high the terminal is.
const GROUPS_MAX: usize = 12;
/// Groups that are shown however low it is.
const GROUPS_MIN: usize = 3;

/// The rollout as it stands, for a terminal of this size.
#[must_use]
pub fn frame(snapshot: &Snapshot, width: usize, height: usize) -> Text {
    let mut text = Text::new();
    text.push(header(snapshot));
    let room = height.saturating_sub(snapshot.phases.len() + 5).clamp(GROUPS_MIN, GROUPS_MAX);
    for phase in &snapshot.phases {
        text.push(phase_line(snapshot, phase));
        if phase.state == PhaseState::Running {
            let gaps = snapshot.waits_for.gaps.iter().skip(1).take(room);
            text.extend(gaps.map(|gap| Line::new().say("     holding: ").line(super::words::gap(gap))));
            text.extend(groups(snapshot, room).lines().iter().cloned());
        }
    }
    text.push(Line::new().say(" ").line(foot(snapshot)));
    text.lines().iter().cloned().map(|line| line.cut(width)).collect()
}

/// `api  1.0.0 -> 2.0.0   bluegreen   local   rollout 7   00:12 elapsed`.
pub(super) fn header(snapshot: &Snapshot) -> Line {
    title(snapshot).tone(Tone::Faint, format!("   {} elapsed", clock(snapshot.elapsed_ms)))
}

pub(super) fn title(snapshot: &Snapshot) -> Line {
    Line::new().tone(Tone::Strong, &snapshot.service).say("  ").line(bare_title(snapshot))
}

/// The same without the name.
pub(super) fn bare_title(snapshot: &Snapshot) -> Line {
    let from = snapshot.blue.as_ref().map_or("nothing".to_owned(), |blue| blue.revision.to_string());
    Line::new()
        .quote(&from)
        .say(" -> ")
        .tone(Tone::Strong, super::escape::brief(snapshot.green.revision.as_str()))
        .say(format!("   {}   {}   rollout {}", snapshot.strategy, snapshot.environment, snapshot.number))
}

pub(super) fn mark(state: PhaseState) -> (Tone, &'static str, &'static str) {
    match state {
        PhaseState::Done => (Tone::Good, "✔", "done"),
        PhaseState::Running => (Tone::Warn, "◌", "running"),
        PhaseState::ToCome => (Tone::Faint, "·", "to come"),
        PhaseState::Failed => (Tone::Bad, "✖", "stopped"),
    }
}

/// How the running phase goes, in a word, unless what it waits for begins with that word.
fn going(snapshot: &Snapshot) -> &'static str {
    match (snapshot.state, snapshot.waits_for.kind) {
        (_, Kind::Gaps | Kind::Resume) => "",
        (State::Holding, _) => "held",
        (State::AwaitsPromotion, _) => "waiting",
        _ => "running",
    }
}

fn phase_line(snapshot: &Snapshot, phase: &PhaseLine) -> Line {
    let (tone, glyph, word) = mark(phase.state);
    let running = phase.state == PhaseState::Running;
    let word = if running { going(snapshot) } else { word };
    let line = Line::new()
        .say(" ")
        .tone(tone, glyph)
        .say(format!(" {:<11}", phase.phase))
        .tone(tone, if word.is_empty() { String::new() } else { format!("{word:<9}") });
    if !running {
        return match phase.took_ms {
            Some(took) if phase.state != PhaseState::ToCome => line.say(rough(took)),
            _ => line,
        };
    }
    let waits = &snapshot.waits_for;
    let deadline = waits.deadline_line(snapshot.start());
    let line = line.line(waits.line(snapshot.at.0));
    if deadline.width() > 0 { line.say("   ").line(deadline) } else { line }
}

/// The groups under the running phase: all where they fit, and otherwise the ones that matter.
pub(super) fn groups(snapshot: &Snapshot, room: usize) -> Text {
    let all = &snapshot.target_groups;
    let (first, rest): (Vec<_>, Vec<_>) = all.iter().partition(|group| group.interesting());
    let mut shown: Vec<_> = if all.len() <= room { all.iter().collect() } else { first };
    let hidden = if all.len() <= room { 0 } else { rest.len() };
    let cut = shown.len().saturating_sub(room);
    shown.truncate(room);
    let rows: Vec<_> = shown.into_iter().map(|group| row(snapshot, group)).collect();
    let mut text = table(5, &rows);
    let more = match (cut, hidden) {
        (0, 0) => return text,
        (0, hidden) => format!("     … {hidden} more, all healthy"),
        (cut, 0) => format!("     … {cut} more like these"),
        (cut, hidden) => format!("     … {cut} more like these, and {hidden} healthy ones"),
    };
    text.push(Line::new().tone(Tone::Faint, more));
    text
}

/// One group: name, green, its share, blue, why it is expected, what is wrong.
pub(super) fn row(snapshot: &Snapshot, group: &GroupLine) -> Vec<Line> {
    let (tone, glyph) = match (group.state, &group.waived) {
        (GroupState::Healthy, _) => (Tone::Good, "✔"),
        (_, Some(_)) => (Tone::Warn, "!"),
        (GroupState::Unhealthy | GroupState::Missing | GroupState::Unreadable, None) => (Tone::Bad, "✖"),
        (GroupState::Unregistered | GroupState::Checking | GroupState::Unknown, None) => (Tone::Warn, "◌"),
    };
    let wrong = match (&group.reason, group.state) {
        (Some(reason), _) => reason.clone(),
        (None, GroupState::Healthy) => String::new(),
        (None, state) => state.word().to_owned(),
    };
    let waived = group.waived.as_ref().map(|why| format!("waived: {}", super::escape::brief(why)));
    vec![
        Line::new().name(&group.group),
        Line::new()
            .tone(tone, glyph)
            .say(format!(" green {}", side(group.green.as_ref(), snapshot.green.size))),
        Line::new().say(format!("share {}", share(group.green.as_ref()))),
        snapshot.blue.as_ref().map_or_else(Line::new, |blue| {
            Line::new().say(format!("blue {}", side(group.blue.as_ref(), blue.size)))
        }),
        Line::new().tone(Tone::Faint, group.because()),
        Line::new().tone(tone, super::escape::brief(&wrong)),
        Line::new().tone(Tone::Warn, waived.unwrap_or_default()),
    ]
}

/// Unknown is not none.
pub(super) fn side(standing: Option<&SideLine>, whole: u32) -> String {
    match standing {
        None => "unknown".into(),
        Some(standing) if standing.registered == 0 => "none".into(),
        Some(standing) => format!("{}/{whole} healthy", standing.healthy),
    }
}

pub(super) fn share(side: Option<&SideLine>) -> String {
    side.map_or("unknown".into(), |side| format!("{}%", side.share_percent))
}

/// The last line: what blue does, and the way back.
fn foot(snapshot: &Snapshot) -> Line {
    let line = match &snapshot.blue {
        Some(blue) => fleet(snapshot, "blue", blue),
        None => Line::new().say("no blue: this is the first deployment"),
    };
    let back = snapshot.next.iter().find(|advice| matches!(advice.what, "roll back" | "give up"));
    match back {
        Some(advice) => line.say(format!("    {}: ", advice.what)).tone(Tone::Strong, &advice.command),
        None if snapshot.past_return => line.say("    blue is going: no way back within this rollout"),
        None => line,
    }
}

/// `blue api-v1 2/2 serving 90%`.
pub(super) fn fleet(snapshot: &Snapshot, name: &str, fleet: &FleetLine) -> Line {
    let line = Line::new().say(format!("{name} ")).name(&fleet.fleet);
    match fleet.running {
        Some(running) => line.say(format!(" {running}/{} running, serving {}", fleet.size, fleet.share())),
        None if snapshot.looked_at.is_none() => line.say(" not yet seen"),
        None if fleet.unreadable.is_some() => {
            line.say(" could not be read: ").quote(fleet.unreadable.as_deref().unwrap_or_default())
        }
        None if snapshot.phase == "ended" || name.trim() == "blue" => line.say(" is gone"),
        None => line.say(" is not there yet"),
    }
}
