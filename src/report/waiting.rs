//! What a rollout waits for, since when and until when.

use serde::Serialize;

use super::text::{Line, Tone};
use super::words::{self, Stamp, clock, count};
use crate::coverage::{Gap, Why};
use crate::model::{
    FleetId, FleetSeen, GroupId, Health, Hold, Inventory, Share, Sharing, Side, Span, Steps, Time,
};
use crate::rollout::{Next, Phase, Rollout};

/// What a rollout waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// In words, without anything that runs: `3 of 4 groups healthy`.
    pub what: String,
    /// What makes it wait: `world`, `time`, `promote`, `resume`, `gaps`, or `nothing` once it has ended.
    pub kind: Kind,
    /// Where it only lets time pass: since when.
    pub since: Option<Stamp>,
    /// And for how long.
    pub hold_ms: Option<Span>,
    /// When it is late, unless it makes progress.
    pub deadline: Option<Stamp>,
    /// What the deadline leads to.
    pub then: Option<&'static str>,
    /// Whether that deadline has passed.
    pub late: bool,
    /// What would go dark, where that is why it waits.
    pub gaps: Vec<Gap>,
}

/// What makes a rollout wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something has to be seen in the world.
    World,
    /// Time has to pass.
    Time,
    /// Somebody has to say `promote`.
    Promote,
    /// Somebody has to say `resume`.
    Resume,
    /// Groups would go dark.
    Gaps,
    /// It has ended.
    Nothing,
}

impl Waiting {
    /// What it waits for at `now`.
    #[must_use]
    pub fn of(state: &Rollout, now: Time) -> Self {
        let gaps = gaps(state, now);
        let due = state.due();
        let open = state.verdict().is_none();
        let hold = hold(state).filter(|_| gaps.is_empty() && !paused(state));
        let (kind, what) = match state.phase() {
            Phase::Ended(_) => (Kind::Nothing, "it is over".into()),
            _ if paused(state) => (Kind::Resume, "paused, waits for `resume`".into()),
            _ if !gaps.is_empty() => (Kind::Gaps, holding(&gaps)),
            phase if state.awaits_promotion() => {
                (Kind::Promote, format!("{}, waits for `promote`", seen(state, phase)))
            }
            phase => (if hold.is_some() { Kind::Time } else { Kind::World }, seen(state, phase)),
        };
        Self {
            what,
            kind,
            since: hold.map(|(since, _)| Stamp(since)),
            hold_ms: hold.map(|(_, span)| span),
            deadline: (open && due < Time(u64::MAX)).then_some(Stamp(due)),
            then: open.then(|| then(state)),
            late: open && state.look().is_some_and(|look| look.looked_at >= due),
            gaps,
        }
    }

    /// As one line: what, how far a timed hold is, and otherwise the deadline.
    #[must_use]
    pub fn line(&self, now: Time) -> Line {
        let tone = match self.kind {
            Kind::Gaps => Tone::Bad,
            Kind::Promote | Kind::Resume => Tone::Warn,
            Kind::World | Kind::Time | Kind::Nothing => Tone::Plain,
        };
        let line = Line::new().tone(tone, super::escape::brief(&self.what));
        match (self.since, self.hold_ms) {
            (Some(since), Some(span)) if span > Span::ZERO => {
                let gone = Span(now.since(since.0).min(span).0 / 1000 * 1000);
                let whole = words::rough(span);
                match gone {
                    Span::ZERO => line.say(format!(", hold {whole}")),
                    gone => line.say(format!(", hold {} of {whole}", words::rough(gone))),
                }
            }
            _ => line,
        }
    }

    /// The deadline, where no timed hold comes before it: `deadline 06:00, then roll back`.
    #[must_use]
    pub fn deadline_line(&self, began: Time) -> Line {
        match (self.deadline, self.then) {
            (Some(_), Some(then)) if self.late => {
                Line::new().tone(Tone::Bad, "deadline passed").say(format!(": {then}"))
            }
            (Some(deadline), Some(then)) if self.hold_ms.is_none() => Line::new()
                .tone(Tone::Faint, format!("deadline {}, then {then}", clock(deadline.0.since(began)))),
            _ => Line::new(),
        }
    }
}

/// Whether an operator's pause keeps it from going forward.
pub(super) fn paused(state: &Rollout) -> bool {
    state.paused() && state.phase().forward() && !state.past_return()
}

/// What keeps blue alive at `now`: only where the rollout would otherwise go on.
fn gaps(state: &Rollout, now: Time) -> Vec<Gap> {
    let decided = match state.decide(now) {
        Next::Hold { gaps, .. } | Next::Held { gaps } => gaps,
        Next::Look
        | Next::Change(..)
        | Next::Retire(..)
        | Next::Wait { .. }
        | Next::Promote { .. }
        | Next::Paused { .. }
        | Next::Done(_) => Vec::new(),
    };
    let at_the_gate = match (state.phase(), state.plan().bake) {
        (Phase::Drain { .. } | Phase::Retire, _) => true,
        (Phase::Bake { since }, Hold::For(span)) => now.since(*since) >= span,
        (Phase::Bake { .. }, Hold::Promote) => !state.awaits_promotion(),
        _ => false,
    };
    let gaps = if decided.is_empty() && at_the_gate { state.gaps() } else { decided };
    // An old look is taken again; it is nothing that anybody has to know.
    gaps.into_iter().filter(|gap| gap.why != Why::Stale).collect()
}

fn holding(gaps: &[Gap]) -> String {
    let first = gaps.first().map(|gap| words::gap(gap).to_string()).unwrap_or_default();
    match gaps.len() {
        0 | 1 => format!("holding: {first}"),
        more => format!("holding: {first}, and {}", count(more - 1, "more gap")),
    }
}

fn then(state: &Rollout) -> &'static str {
    match state.phase() {
        _ if paused(state) => "hold, both fleets stay",
        Phase::Provision | Phase::Register | Phase::Settle { .. } | Phase::Shift { .. } => {
            words::then(state.plan().deadlines.then)
        }
        Phase::Bake { .. } | Phase::Drain { .. } | Phase::Retire => "hold, both fleets stay",
        Phase::Restore { .. } | Phase::Withdraw { .. } => "fail: a human is needed",
        Phase::Ended(_) => "nothing",
    }
}

/// The timed hold that it is in.
fn hold(state: &Rollout) -> Option<(Time, Span)> {
    let plan = state.plan();
    let (since, hold) = match state.phase() {
        Phase::Settle { healthy_since: Some(since) } => (*since, Hold::For(plan.settle)),
        Phase::Shift { step, reached: Some(since) } => (*since, plan.steps.get(*step)?.hold),
        Phase::Bake { since } => (*since, plan.bake),
        Phase::Drain { empty_since: Some(since) } => (*since, Hold::For(plan.quiet)),
        _ => return None,
    };
    match hold {
        Hold::For(span) => Some((since, span)),
        Hold::Promote => None,
    }
}

/// What was seen of the phase's end, in words.
fn seen(state: &Rollout, phase: &Phase) -> String {
    let plan = state.plan();
    let world = World { state, look: state.look() };
    let paired = || state.expected().iter().filter(|(_, group)| group.sharing == Sharing::Paired);
    let of = |there: usize, all: usize, what: &str| format!("{there} of {} {what}", count(all, "group"));
    match phase {
        Phase::Provision => {
            let running = world.fleet(&plan.green.id).map_or(0, |seen| seen.running().len());
            format!("{running} of {} running", count(plan.green.size as usize, "instance"))
        }
        Phase::Register => {
            let there = paired().filter(|(id, _)| world.joined(id, &plan.green.id)).count();
            of(there, paired().count(), "joined")
        }
        Phase::Settle { .. } => {
            let well = paired().filter(|(id, _)| world.well(id)).count();
            of(well, paired().count(), "healthy")
        }
        Phase::Shift { step, reached } => {
            let share = plan.steps.get(*step).map_or(Share::ALL, |step| step.share);
            let step = format!("step {} of {}, {share} to green", step + 1, plan.steps.len());
            let there = state.expected().iter().filter(|(id, group)| world.carries(id, group.steps, share));
            match reached {
                Some(_) => step,
                None => format!("{step}: {}", of(there.count(), state.expected().len(), "there")),
            }
        }
        Phase::Bake { .. } => "green carries everything".into(),
        Phase::Drain { empty_since: None } => {
            let left = plan.blue.as_ref().and_then(|blue| Some(world.look?.groups_of(&blue.id).len()));
            format!("blue still in {}", count(left.unwrap_or(0), "group"))
        }
        Phase::Drain { empty_since: Some(_) } => "blue is in no group and kept running".into(),
        Phase::Retire => world.left("blue", plan.blue.as_ref().map(|blue| &blue.id)),
        Phase::Restore { .. } => {
            let back = state.served().iter().filter(|id| world.share(id, &plan.green.id) == Share::NONE);
            of(back.count(), state.served().len(), "without green's traffic")
        }
        Phase::Withdraw { .. } => world.left("green", Some(&plan.green.id)),
        Phase::Ended(_) => "it is over".into(),
    }
}

/// Questions to the last look.
struct World<'a> {
    state: &'a Rollout,
    look: Option<&'a Inventory>,
}

impl<'a> World<'a> {
    fn fleet(&self, id: &FleetId) -> Option<&'a FleetSeen> {
        self.look.and_then(|look| look.fleet(id))
    }

    fn side(&self, group: &GroupId, fleet: &FleetId) -> Option<&'a Side> {
        self.look.and_then(|look| look.group(group)?.sides.get(fleet))
    }

    fn share(&self, group: &GroupId, fleet: &FleetId) -> Share {
        self.side(group, fleet).map_or(Share::NONE, |side| side.share)
    }

    fn joined(&self, group: &GroupId, fleet: &FleetId) -> bool {
        let stays = |health| health != Health::Draining;
        let side = self.side(group, fleet);
        let standing: std::collections::BTreeSet<_> = side
            .into_iter()
            .flat_map(|side| side.targets.values())
            .filter(|target| stays(target.health))
            .map(|target| &target.instance)
            .collect();
        self.fleet(fleet)
            .is_some_and(|seen| !seen.running().is_empty() && seen.running().is_subset(&standing))
    }

    fn well(&self, group: &GroupId) -> bool {
        super::group::healthy(self.state, group, &self.state.plan().green.id)
            >= self.state.plan().healthy_min()
    }

    fn carries(&self, group: &GroupId, steps: Steps, share: Share) -> bool {
        let want = if steps == Steps::AllOrNothing && share < Share::ALL { Share::NONE } else { share };
        self.share(group, &self.state.plan().green.id) >= want
    }

    fn left(&self, name: &str, fleet: Option<&FleetId>) -> String {
        let left = fleet.and_then(|fleet| self.fleet(fleet)).map_or(0, |seen| seen.instances.len());
        match left {
            0 => format!("{name} is gone, every group is proved once more"),
            left => format!("{name} goes, {} left", count(left, "instance")),
        }
    }
}
