//! A plan before anybody agrees to it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::hints::{Hints, quoted};
use super::snapshot::SCHEMA;
use super::table::table;
use super::text::{Line, Text, Tone};
use super::words::{self, count, hold, rough};
use crate::model::{Because, GroupId, Hold, Inventory, OnDeadline, Plan, Purpose, Sharing, Side, Span};
use crate::plan::{Draft, Note};

/// A plan as it is shown and as the JSON document of `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The plan, as the journal will hold it.
    pub plan: Plan,
    /// Every expected group, with blue's standing in it now.
    pub target_groups: Vec<ProposedGroup>,
    /// How long it takes where nothing goes wrong.
    pub expected: Total,
    /// How many healthy targets green needs in each group.
    pub required: u32,
    /// What to know beforehand.
    pub notes: Vec<Note>,
    /// The same in words.
    pub remarks: Vec<String>,
    /// Whether another revision than blue's would serve.
    pub changes: bool,
    /// The command that does it.
    pub command: String,
}

/// One group of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProposedGroup {
    /// Its name.
    pub group: GroupId,
    /// Why it is expected.
    pub expected_because: BTreeSet<Because>,
    /// How the fleets share it.
    pub sharing: Sharing,
    /// How it is reached.
    pub routes: BTreeSet<String>,
    /// Blue's healthy targets now.
    pub blue_healthy: u32,
    /// Blue's registered targets now.
    pub blue_registered: u32,
    /// How long it takes to drain.
    pub deregistration_delay_ms: Span,
}

/// The time that a plan waits, beyond what the cloud needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Total {
    /// All timed waits together.
    pub at_least_ms: Span,
    /// How many holds only an operator ends.
    pub promotions: usize,
}

impl Proposal {
    /// The proposal of a draft, on the look that it was made from.
    #[must_use]
    pub fn of(draft: &Draft, look: &Inventory, hints: &Hints) -> Self {
        let plan = &draft.plan;
        let group = |(id, group): (&GroupId, &crate::model::GroupPlan)| {
            let seen = look.group(id);
            let side = seen.and_then(|seen| seen.sides.get(&plan.blue.as_ref()?.id));
            ProposedGroup {
                group: id.clone(),
                expected_because: group.because.clone(),
                sharing: group.sharing,
                routes: seen.map(|seen| seen.routes.clone()).unwrap_or_default(),
                blue_healthy: side.map_or(0, Side::healthy),
                blue_registered: side.map_or(0, |side| u32::try_from(side.targets.len()).unwrap_or(u32::MAX)),
                deregistration_delay_ms: seen.map_or(Span::ZERO, |seen| seen.deregistration_delay),
            }
        };
        let target_groups: Vec<_> = plan.groups.iter().map(group).collect();
        Self {
            schema: SCHEMA,
            expected: total(plan, &target_groups),
            required: plan.healthy_min(),
            remarks: draft.notes.iter().map(ToString::to_string).collect(),
            notes: draft.notes.clone(),
            changes: !draft.notes.contains(&Note::SameRevision),
            command: command(plan, hints),
            target_groups,
            plan: plan.clone(),
        }
    }

    /// As people read it.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut text = Text::new();
        text.push(self.title());
        text.extend(self.fleets());
        text.gap();
        text.push(Line::new().say(format!(
            "  {} expected, each needs {} of green before blue may go",
            count(self.target_groups.len(), "target group"),
            words::healthy(self.required)
        )));
        text.extend(self.groups().lines().iter().cloned());
        text.gap();
        text.extend(self.phases().lines().iter().cloned());
        text.gap();
        text.extend(self.totals());
        text.gap();
        text.extend(self.remarks.iter().map(|note| Line::new().tone(Tone::Warn, "  note ").quote(note)));
        text.extend(self.refuses());
        text.gap();
        text.push(Line::new().say("  do it   ").tone(Tone::Strong, &self.command));
        text
    }

    fn title(&self) -> Line {
        let plan = &self.plan;
        let from = plan.blue.as_ref().map_or("nothing", |blue| blue.revision.as_str());
        let id = &plan.rollout;
        Line::new()
            .tone(Tone::Strong, "PLAN")
            .say(format!("  {}  ", id.service))
            .quote(from)
            .say(" -> ")
            .quote(plan.green.revision.as_str())
            .say(format!("   {}   {}   rollout {}", plan.strategy, id.environment, id.number))
    }

    fn fleets(&self) -> Vec<Line> {
        let fleet = |name: &str, fleet: &crate::model::Fleet, what: &str| {
            Line::new()
                .say(format!("  {name} "))
                .name(&fleet.id)
                .say(format!(" {}, revision ", count(fleet.size as usize, "instance")))
                .quote(fleet.revision.as_str())
                .say(what)
        };
        let blue = self.plan.blue.as_ref().map(|blue| fleet("blue ", blue, "   serves now"));
        let blue = blue.unwrap_or_else(|| Line::new().say("  blue  none: nothing serves yet"));
        let still = if self.plan.freeze { "   (both are held at their size meanwhile)" } else { "" };
        vec![blue, fleet("green", &self.plan.green, "   will serve").say(still)]
    }

    fn groups(&self) -> Text {
        let head = |title: &str| Line::new().tone(Tone::Faint, title);
        let mut rows = vec![
            ["target group", "blue now", "expected because", "shared as", "reached by"].map(head).to_vec(),
        ];
        for group in &self.target_groups {
            let because: Vec<_> = group.expected_because.iter().map(|why| words::because(*why)).collect();
            let blue = match group.blue_registered {
                0 => Line::new().say("none"),
                all => Line::new().say(format!("{}/{all} healthy", group.blue_healthy)),
            };
            let routes = group.routes.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(", ");
            rows.push(vec![
                Line::new().name(&group.group),
                blue,
                Line::new().say(because.join(", ")),
                Line::new().say(words::sharing(group.sharing)),
                Line::new().quote(&routes),
            ]);
        }
        table(2, &rows)
    }

    fn phases(&self) -> Text {
        let plan = &self.plan;
        let late = plan.deadlines;
        let then = words::then(late.then);
        let held = words::then(OnDeadline::Hold);
        let mut rows: Vec<[String; 4]> = Vec::new();
        let mut add = |phase: &str, what: String, deadline: Span, then: &str| {
            rows.push([phase.into(), what, format!("late after {deadline}"), format!("then {then}")]);
        };
        add(
            "provision",
            format!("{} of green", count(plan.green.size as usize, "instance")),
            late.provision,
            then,
        );
        add(
            "register",
            format!("green joins {}", count(self.target_groups.len(), "group")),
            late.register,
            then,
        );
        add("settle", format!("green stays healthy for {}", plan.settle), late.settle, then);
        for (n, step) in plan.steps.iter().enumerate() {
            let name = if n == 0 { "shift" } else { "" };
            add(name, format!("{} to green, {}", step.share, hold(step.hold)), late.shift, then);
        }
        let bake = match plan.bake {
            Hold::For(span) => format!("green carries everything for {span}"),
            Hold::Promote => "green carries everything until `promote`".into(),
        };
        add("bake", bake, late.hold, held);
        if plan.blue.is_some() {
            let delay = self.delay();
            add(
                "drain",
                format!("blue leaves (up to {delay}), stays up for {}", plan.quiet),
                late.drain,
                held,
            );
            add("retire", "blue goes, if every group is proved".into(), late.retire, held);
        }
        add(
            "way back",
            "traffic to blue where it is healthy".into(),
            late.restore,
            "fail: a human is needed",
        );
        let cells = |row: &[String; 4]| row.iter().map(|cell| Line::new().say(cell)).collect();
        table(2, &rows.iter().map(cells).collect::<Vec<_>>())
    }

    fn delay(&self) -> Span {
        self.target_groups.iter().map(|group| group.deregistration_delay_ms).max().unwrap_or_default()
    }

    fn totals(&self) -> Vec<Line> {
        let waits = rough(self.expected.at_least_ms);
        let promotions = match self.expected.promotions {
            0 => String::new(),
            some => format!(", and waits for `promote` {}", count(some, "time")),
        };
        vec![Line::new().say(format!(
            "  takes {waits} of settling, holding, draining and quiet{promotions}, besides what the cloud needs"
        ))]
    }

    fn refuses(&self) -> Vec<Line> {
        let waived = self.plan.waivers.iter().map(|waiver| {
            Line::new()
                .tone(Tone::Warn, "  waived ")
                .name(&waiver.group)
                .say(": may go dark, ")
                .quote(&waiver.reason)
        });
        let refuses = if self.plan.blue.is_some() {
            "  refuses to let blue go while any group that blue serves, listed above or not, lacks healthy green targets"
        } else {
            "  refuses to end while any group listed above lacks healthy green targets"
        };
        waived.chain([Line::new().say(refuses)]).collect()
    }
}

/// The command that asks for exactly this plan.
fn command(plan: &Plan, hints: &Hints) -> String {
    let revision = quoted(plan.green.revision.as_str());
    match plan.purpose {
        Purpose::Deploy => {
            hints.command("rollout", &format!("--strategy {} --revision {revision}", plan.strategy))
        }
        Purpose::Rollback { .. } => hints.command("rollback", &format!("--to {revision}")),
    }
}

fn total(plan: &Plan, groups: &[ProposedGroup]) -> Total {
    let timed = |hold: &Hold| match hold {
        Hold::For(span) => *span,
        Hold::Promote => Span::ZERO,
    };
    let holds: Vec<_> = plan.steps.iter().map(|step| step.hold).chain([plan.bake]).collect();
    let delay = groups.iter().map(|group| group.deregistration_delay_ms).max().unwrap_or_default();
    let drain = if plan.blue.is_some() { Span(delay.0.saturating_add(plan.quiet.0)) } else { Span::ZERO };
    let waits = holds.iter().map(timed).chain([plan.settle, drain]);
    Total {
        at_least_ms: waits.fold(Span::ZERO, |sum, span| Span(sum.0.saturating_add(span.0))),
        promotions: holds.iter().filter(|hold| **hold == Hold::Promote).count(),
    }
}
