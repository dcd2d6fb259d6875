//! The refusal: the message that the product stands on.

use serde::Serialize;

use super::advice::Advice;
use super::hints::Hints;
use super::snapshot::{SCHEMA, Snapshot};
use super::table::table;
use super::text::{Line, Text, Tone};
use super::words::{self, count};
use crate::coverage::{Gap, Why};
use crate::model::{GroupId, StrategyName};
use crate::plan::{Refusal, Refused};

/// Details for more groups than this are in the JSON document alone.
const GROUPS_MAX: usize = 20;

/// A refused plan as a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalDocument<'a> {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `refused`.
    pub outcome: &'static str,
    /// The service.
    pub service: &'a str,
    /// Every reason.
    pub reasons: &'a [Refused],
    /// How many target groups would have no healthy target without blue.
    pub dark: usize,
    /// How many groups were looked at.
    pub groups: usize,
    /// Every reason in words, with what helps.
    pub text: Vec<String>,
    /// What can be done.
    pub next: Vec<Advice>,
}

impl<'a> RefusalDocument<'a> {
    /// The document of a refused plan.
    #[must_use]
    pub fn of(refusal: &'a Refusal, hints: &'a Hints) -> Self {
        Self {
            schema: SCHEMA,
            outcome: "refused",
            service: hints.service.as_str(),
            reasons: &refusal.reasons,
            dark: dark(refusal).0,
            groups: dark(refusal).1,
            text: refusal.reasons.iter().map(ToString::to_string).collect(),
            next: refusal.reasons.iter().flat_map(|reason| remedies(reason, hints)).collect(),
        }
    }
}

/// A plan that was refused: every reason, what would have happened, and what helps. Exit code 10.
#[must_use]
pub fn refused(refusal: &Refusal, hints: &Hints) -> Text {
    let mut text = Text::new();
    let undeclared =
        refusal.reasons.iter().filter(|reason| matches!(reason, Refused::Undeclared { .. })).count();
    let what = match (undeclared, refusal.reasons.len()) {
        (0, all) => count(all, "reason"),
        (some, all) if some == all => {
            format!("{} that blue serves would not be covered by green", count(some, "target group"))
        }
        (some, all) => {
            let covered = count(some, "target group");
            format!(
                "{covered} that blue serves would not be covered by green, and {}",
                count(all - some, "more reason")
            )
        }
    };
    text.push(
        Line::new()
            .tone(Tone::Bad, "REFUSED")
            .say("  rollout ")
            .name(&hints.service)
            .say(format!(": {what}")),
    );
    for reason in refusal.reasons.iter().take(GROUPS_MAX) {
        text.push(Line::new().say("  ").line(reason_line(reason)));
        text.extend(remedy_lines(&remedies(reason, hints), reason, hints));
    }
    text.extend(more(refusal.reasons.len()));
    let (dark, all) = dark(refusal);
    if dark > 0 {
        text.push(consequence(dark, all, NO_TARGET));
    }
    text.push(
        Line::new()
            .tone(Tone::Strong, "Nothing was changed.")
            .say(" Blue still serves everything.   exit 10"),
    );
    text
}

/// What keeps blue alive in a rollout that holds.
#[must_use]
pub fn holding(snapshot: &Snapshot, hints: &Hints) -> Text {
    let mut text = Text::new();
    let (dark, _) = snapshot_dark(snapshot);
    let what = match dark {
        0 => format!("{} against it", count(snapshot.waits_for.gaps.len(), "reason")),
        dark => format!("{} that blue serves would go dark", count(dark, "target group")),
    };
    text.push(
        Line::new()
            .tone(Tone::Bad, "REFUSED")
            .say("  finish ")
            .name(&snapshot.service)
            .say(" ")
            .quote(snapshot.green.revision.as_str())
            .say(format!(": {what}")),
    );
    text.extend(gaps(snapshot, hints).lines().iter().cloned());
    text.push(
        Line::new().tone(Tone::Strong, "Blue was not touched").say(" and stays until this is settled."),
    );
    text
}

/// Every gap of a snapshot with how the group is reached, and what closes it.
pub(super) fn gaps(snapshot: &Snapshot, hints: &Hints) -> Text {
    let mut text = Text::new();
    let gaps = &snapshot.waits_for.gaps;
    for gap in gaps.iter().take(GROUPS_MAX) {
        let Some(group) = &gap.group else {
            text.push(Line::new().say("  ").line(words::gap(gap)));
            continue;
        };
        let known = snapshot.target_groups.iter().find(|line| line.group == *group);
        let routes = known.map(|known| known.routes.iter().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let line = Line::new()
            .say("  ")
            .name(group)
            .say(format!("   blue: {}", words::healthy(gap.leaving_healthy)));
        let line = reached(line, &routes);
        let state =
            if gap.why == Why::Standing { "still has blue in it".into() } else { words::green(&gap.why) };
        text.push(line.say("   green: ").tone(Tone::Bad, super::escape::brief(&state)));
        let reason = known.and_then(|known| known.reason.as_ref());
        text.extend(reason.map(|reason| Line::new().say("    ").quote(reason)));
        text.extend(gap_remedies(
            known.is_some_and(|known| !known.expected_because.is_empty()),
            gap,
            group,
            hints,
        ));
    }
    text.extend(more(gaps.len()));
    let (dark, all) = snapshot_dark(snapshot);
    if dark > 0 {
        let none = |why: &Why| {
            matches!(
                why,
                Why::NotRegistered | Why::Unseen | Why::Unhealthy { healthy: 0, .. } | Why::Standing
            )
        };
        let nothing = gaps.iter().all(|gap| none(&gap.why));
        text.push(consequence(dark, all, if nothing { NO_TARGET } else { "not be covered by green" }));
    }
    text
}

fn gap_remedies(expected: bool, gap: &Gap, group: &GroupId, hints: &Hints) -> Vec<Line> {
    let waive = Advice { what: "waive", command: hints.waive("resume", group) };
    if gap.why == Why::Standing {
        return lines(&[("fix", Line::new().say("nothing to type: blue is taken out again"))]);
    }
    let fix = if expected {
        Line::new().say("make green healthy there; the rollout goes on by itself")
    } else {
        Line::new()
            .tone(Tone::Strong, hints.amend("resume", group))
            .say("   (green joins it, and it goes on by itself)")
    };
    lines(&[("fix", fix), ("waive", Line::new().tone(Tone::Strong, waive.command).say("   (recorded)"))])
}

fn lines(rows: &[(&str, Line)]) -> Vec<Line> {
    let rows: Vec<_> = rows.iter().map(|(what, line)| vec![Line::new().say(what), line.clone()]).collect();
    table(4, &rows).lines().to_vec()
}

fn reason_line(reason: &Refused) -> Line {
    match reason {
        Refused::Undeclared { group, blue_healthy, routes } => {
            let line = Line::new().name(group).say(format!("   blue: {}", words::healthy(*blue_healthy)));
            let routes: Vec<_> = routes.iter().cloned().collect();
            reached(line, &routes).say("   green: ").tone(Tone::Bad, "not declared")
        }
        Refused::Dropped { .. }
        | Refused::Unseen { .. }
        | Refused::Unknown { .. }
        | Refused::Unread { .. }
        | Refused::TwoBlues { .. }
        | Refused::Stranger { .. }
        | Refused::NoStrategy { .. }
        | Refused::NoSuchGroup { .. }
        | Refused::Weightless { .. }
        | Refused::Unproved { .. }
        | Refused::Whole { .. }
        | Refused::NoName { .. } => Line::new().quote(&reason.to_string()),
    }
}

/// The most routes that are named.
const ROUTES_MAX: usize = 3;

fn reached(line: Line, routes: &[String]) -> Line {
    if routes.is_empty() {
        return line;
    }
    let more = routes.len().saturating_sub(ROUTES_MAX);
    let named = routes.iter().take(ROUTES_MAX).map(|route| super::escape::brief(route)).collect::<Vec<_>>();
    let line = line.say(", reached by ").say(named.join(", "));
    if more > 0 { line.say(format!(" and {more} more")) } else { line }
}

/// The commands that help; editing the file is said beside them.
fn remedies(reason: &Refused, hints: &Hints) -> Vec<Advice> {
    match reason {
        Refused::Undeclared { group, .. } | Refused::Dropped { group } => {
            let fix = Advice { what: "fix", command: hints.amend("rollout", group) };
            let waive = Advice { what: "waive", command: hints.waive("rollout", group) };
            // What does not exist any more cannot be brought back by amending; both can be tried.
            vec![fix, waive]
        }
        Refused::TwoBlues { .. } | Refused::Stranger { .. } => {
            vec![Advice { what: "look", command: hints.command("status", "") }]
        }
        Refused::Unknown { .. } | Refused::Unread { .. } => {
            vec![Advice { what: "look again", command: hints.command("plan", "") }]
        }
        Refused::Whole { switch, .. } => {
            let command = |name: &StrategyName| hints.command("rollout", &format!("--strategy {name}"));
            switch.iter().map(|name| Advice { what: "switch whole", command: command(name) }).collect()
        }
        Refused::Unseen { .. }
        | Refused::NoStrategy { .. }
        | Refused::NoSuchGroup { .. }
        | Refused::Weightless { .. }
        | Refused::Unproved { .. }
        | Refused::NoName { .. } => Vec::new(),
    }
}

fn remedy_lines(remedies: &[Advice], reason: &Refused, hints: &Hints) -> Vec<Line> {
    let command = |advice: &Advice, remark: &str| Line::new().tone(Tone::Strong, &advice.command).say(remark);
    let file = |what: &str, group: &GroupId| {
        Line::new().say(what).say(" ").name(group).say(" in ").say(super::escape::brief(&hints.file))
    };
    match (reason, remedies) {
        (Refused::Undeclared { group, .. } | Refused::Dropped { group }, [fix, waive]) => lines(&[
            ("fix", file("declare", group)),
            ("", command(fix, "   (this rollout only)")),
            ("waive", command(waive, "   (recorded)")),
        ]),
        (Refused::Unseen { group }, _) => {
            lines(&[("fix", file("create the group, or take", group).say(" out"))])
        }
        (Refused::Weightless { group, .. }, _) => lines(&[
            ("fix", Line::new().say("give what leads to it the scheduler `wrr`")),
            ("or", file("take `by: weights` out of", group).say(": it is then switched whole")),
        ]),
        (Refused::Unproved { group, .. }, _) => lines(&[
            ("fix", file("put both fleets into one server group, with `by: weights`, for", group)),
            ("or", file("write `unproved: accept` for", group)),
        ]),
        (Refused::Whole { group, .. }, remedies) => {
            let written = || Line::new().say("take a strategy with the one step 100 (`steps: [100]`)");
            let switch = remedies.first().map(|advice| command(advice, "   (every group at once)"));
            lines(&[
                (
                    "fix",
                    file("write `whole: accept` for", group).say(": the steps are then for the other groups"),
                ),
                ("or", switch.unwrap_or_else(written)),
            ])
        }
        (_, remedies) => {
            let rows: Vec<_> = remedies.iter().map(|advice| (advice.what, command(advice, ""))).collect();
            lines(&rows)
        }
    }
}

fn more(all: usize) -> Option<Line> {
    let more = all.saturating_sub(GROUPS_MAX);
    (more > 0).then(|| {
        Line::new().say(format!("  … {} (all are in the JSON document)", count(more, "more reason")))
    })
}

fn consequence(dark: usize, all: usize, what: &str) -> Line {
    let all = count(all, "group");
    Line::new()
        .say("  If blue were removed now, ")
        .tone(Tone::Bad, format!("{dark} of {all} would {what}"))
        .say(".")
}

const NO_TARGET: &str = "have no healthy target";

/// How many groups that blue serves would be lost, of how many that would be needed. The refusal counts the groups
/// that the plan would have covered.
fn dark(refusal: &Refusal) -> (usize, usize) {
    let undeclared =
        refusal.reasons.iter().filter(|reason| matches!(reason, Refused::Undeclared { .. })).count();
    (undeclared, refusal.groups.saturating_add(undeclared))
}

fn snapshot_dark(snapshot: &Snapshot) -> (usize, usize) {
    let dark = |gap: &&Gap| gap.group.is_some() && gap.why != Why::Standing;
    (snapshot.waits_for.gaps.iter().filter(dark).count(), snapshot.target_groups.len())
}
