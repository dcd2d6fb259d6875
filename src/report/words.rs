//! States and facts as short phrases.

use std::fmt;

use serde::{Serialize, Serializer};

use super::text::{Line, Tone};
use crate::cloud::Change;
use crate::coverage::{Gap, Why};
use crate::model::{Because, Health, Hold, OnDeadline, Share, Sharing, Span, Time};
use crate::rollout::{Actor, Event, Order, Phase, Rollout};

/// A moment as people and machines read it: UTC, with seconds for people and milliseconds in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Time);

impl Stamp {
    fn moment(self) -> jiff::Timestamp {
        let millis = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = jiff::Timestamp::from_second(self.moment().as_second());
        write!(f, "{}", whole.unwrap_or(jiff::Timestamp::MAX))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.moment()))
    }
}

/// Since the start: `03:12`, `1:03:12`.
pub(super) fn clock(span: Span) -> String {
    let secs = span.0 / 1000;
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{secs:02}") } else { format!("{minutes:02}:{secs:02}") }
}

/// How long something took, as exact as it is useful: `0.4s`, `12s`, `1m40`, `2h05`, `3d02h`.
pub(super) fn rough(span: Span) -> String {
    let secs = span.0 / 1000;
    match secs {
        0..10 if !span.0.is_multiple_of(1000) => format!("{secs}.{}s", span.0 / 100 % 10),
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

pub(super) fn hold(hold: Hold) -> String {
    match hold {
        Hold::For(Span::ZERO) => "no hold".into(),
        Hold::For(span) => format!("hold {span}"),
        Hold::Promote => "hold until `promote`".into(),
    }
}

/// `1 group`, `2 groups`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

pub(super) fn because(why: Because) -> &'static str {
    match why {
        Because::Declared => "declared",
        Because::BlueStands => "blue is in it",
        Because::LastRollout => "in the last rollout",
        Because::Amended => "amended",
    }
}

pub(super) fn sharing(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Paired => "twin groups, by weight",
        Sharing::Shared => "one group, by membership",
        Sharing::Weighed => "one group, by weight",
        Sharing::Unproved => "twin groups, unproved",
    }
}

pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::Initial => "not yet checked",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Draining => "draining",
        Health::Unused => "not in use",
        Health::Unavailable => "health not available",
    }
}

pub(super) fn then(then: OnDeadline) -> &'static str {
    match then {
        OnDeadline::Rollback => "roll back",
        OnDeadline::Hold => "hold, both fleets stay",
    }
}

/// What a gap is, in one line.
pub(super) fn gap(gap: &Gap) -> Line {
    let Some(group) = &gap.group else {
        let what = match &gap.why {
            Why::Stale => "a fresh look is needed".into(),
            Why::Unread(reason) => format!("could not be searched: {reason}"),
            Why::StayingUnseen => "green was not seen".into(),
            other @ (Why::Unseen
            | Why::Unknown(_)
            | Why::NotRegistered
            | Why::Unhealthy { .. }
            | Why::Partial { .. }
            | Why::Standing) => other.to_string(),
        };
        return Line::new().quote(&what);
    };
    let line = Line::new().name(group);
    if gap.why == Why::Standing {
        return line.say(" still has blue in it");
    }
    line.say(format!(" would go dark (blue {}, green ", healthy(gap.leaving_healthy)))
        .quote(&green(&gap.why))
        .say(")")
}

pub(super) fn healthy(count: u32) -> String {
    if count == 0 { "none healthy".into() } else { format!("{count} healthy") }
}

/// How green stands where there is a gap.
pub(super) fn green(why: &Why) -> String {
    match why {
        Why::NotRegistered => "none".into(),
        Why::Unhealthy { healthy, needed } => format!("{healthy} healthy of {needed} needed"),
        Why::Partial { share } => format!("carries {share} only"),
        other @ (Why::Stale
        | Why::Unread(_)
        | Why::StayingUnseen
        | Why::Unseen
        | Why::Unknown(_)
        | Why::Standing) => other.to_string(),
    }
}

/// A change that is about to be made.
pub(super) fn change(change: &Change) -> Line {
    let line = Line::new();
    match change {
        Change::Provision { fleet } => line
            .say("bring up ")
            .name(&fleet.id)
            .say(format!(" at {} with revision {}", fleet.size, fleet.revision)),
        Change::Register { fleet, groups } => {
            line.say("register ").name(fleet).say(" in ").line(names(groups.iter()))
        }
        Change::Shift { group, from: Some(from), share: Share::NONE, .. } => {
            line.say("shift ").name(group).say(" back: all to ").name(from)
        }
        Change::Shift { group, to, share, .. } => {
            line.say("shift ").name(group).say(format!(": {share} to ")).name(to)
        }
        Change::Deregister { fleet, groups } => {
            line.say("deregister ").name(fleet).say(" from ").line(names(groups.iter()))
        }
        Change::Freeze { fleet } => line.say("hold the size of ").name(fleet).say(" still"),
        Change::Thaw { fleet } => line.say("let ").name(fleet).say(" scale again"),
    }
}

/// The most names in one line.
const NAMES_MAX: usize = 4;

/// Some names, and how many more.
pub(super) fn names<T: fmt::Display>(names: impl ExactSizeIterator<Item = T>) -> Line {
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut line = Line::new();
    for (n, name) in names.take(NAMES_MAX).enumerate() {
        line = line.say(if n == 0 { "" } else { ", " }).name(name);
    }
    if more > 0 { line.say(format!(" and {more} more")) } else { line }
}

fn order(order: &Order) -> Line {
    let line = Line::new();
    match order {
        Order::Promote { full: false } => line.say("promote"),
        Order::Promote { full: true } => line.say("promote, through every later hold"),
        Order::Pause => line.say("pause"),
        Order::Resume => line.say("resume"),
        Order::Abort => line.say("abort"),
        Order::Rollback => line.say("roll back"),
        Order::Amend { group } => line.say("amend ").name(group),
        Order::Waive { group, reason, until } => {
            line.say("waive ").name(group).say(format!(" until {}: ", Stamp(*until))).quote(reason)
        }
    }
}

pub(super) fn actor(actor: &Actor) -> String {
    format!("{} on {} (pid {})", actor.user, actor.host, actor.pid)
}

/// A fact, in a line or several.
pub(super) fn event(event: &Event, after: &Rollout) -> Vec<Line> {
    let line = Line::new();
    match event {
        Event::Opened { plan, by } => vec![
            line.say("opened by ")
                .quote(&actor(by))
                .say(format!(": {} expected", count(plan.groups.len(), "target group"))),
        ],
        Event::Resumed { by } => vec![line.say("taken over by ").quote(&actor(by))],
        Event::Looked { .. } => {
            let waits = super::waiting::Waiting::of(after, after.at());
            let turned = match after.phase() {
                Phase::Restore { cause } if after.entered_at() == after.at() => Some(cause),
                _ => None,
            };
            let turned = turned.map(|cause| Line::new().say("goes back: ").quote(&cause.to_string()));
            turned.into_iter().chain([line.say("looked: ").line(waits.line(after.at()))]).collect()
        }
        Event::Changing { changes, .. } => brought(changes.iter().map(change)),
        Event::Retiring { fleet, covered, .. } => vec![
            line.say("take ")
                .name(fleet)
                .say(format!(" away, {} proved without it", count(covered.len(), "target group"))),
        ],
        Event::Settled { faults, .. } if faults.is_empty() => vec![line.tone(Tone::Faint, "answered")],
        Event::Settled { faults, .. } => brought(
            faults.iter().map(|fault| Line::new().tone(Tone::Bad, "fault: ").quote(&fault.to_string())),
        ),
        Event::Ordered { order: given, by } => {
            vec![line.say("order: ").line(order(given)).say(" (").quote(&by.user).say(")")]
        }
        Event::Released { why } => vec![line.say("let go: ").quote(why)],
    }
}

/// The most lines for one fact.
const LINES_MAX: usize = 8;

fn brought(lines: impl ExactSizeIterator<Item = Line>) -> Vec<Line> {
    let more = lines.len().saturating_sub(LINES_MAX);
    let rest = (more > 0).then(|| Line::new().say(format!("… {more} more")));
    lines.take(LINES_MAX).chain(rest).collect()
}

/// What a phase does, for people who see its name for the first time.
pub(super) fn purpose(phase: &str) -> &'static str {
    match phase {
        "provision" => "green comes up",
        "register" => "green joins every group",
        "settle" => "green proves healthy everywhere",
        "shift" => "traffic moves to green",
        "bake" => "green carries everything, blue stands by",
        "drain" => "blue leaves every group and stays up",
        "retire" => "blue goes",
        "restore" => "traffic goes back to blue",
        "withdraw" => "green goes",
        _ => "it is over",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_they_are_useful() {
        let spans = [400, 9_900, 12_300, 100_000, 7_500_000, 266_400_000];
        let rough = spans.map(|ms| rough(Span(ms)));
        assert_eq!(rough, ["0.4s", "9.9s", "12s", "1m40", "2h05", "3d02h"]);
        assert_eq!(clock(Span(3_792_999)), "1:03:12");
        assert_eq!(clock(Span(12_000)), "00:12");
    }

    #[test]
    fn a_moment_is_utc_with_seconds_for_people_and_milliseconds_for_machines() {
        let stamp = Stamp(Time(1_796_000_000_123));
        assert_eq!(stamp.to_string(), "2026-11-30T00:53:20Z");
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"2026-11-30T00:53:20.123Z\"");
        assert!(Stamp(Time(u64::MAX)).to_string().starts_with("9999"));
    }
}
