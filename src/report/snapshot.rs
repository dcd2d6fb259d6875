//! One rollout at one moment, as every report shows it.

use serde::Serialize;

use super::advice::Advice;
use super::group::{GroupLine, goes_back};
use super::hints::Hints;
use super::timeline::Timeline;
use super::waiting::{self, Kind, Waiting};
use super::words::Stamp;
use crate::cloud::Fault;
use crate::drive::Outcome;
use crate::model::{
    Fleet, FleetId, InstanceState, Purpose, Revision, Seen, Share, Span, StrategyName, Time, Waiver,
};
use crate::rollout::{Actor, Phase, Rollout, Verdict};

/// The format of every JSON document of this room; it grows by fields and is raised when one changes its meaning.
pub const SCHEMA: u32 = 1;

/// One rollout at one moment. As JSON it is the document of `--output json`, `status`, `why` and `show`. Moments are
/// UTC texts with milliseconds, lengths of time are milliseconds in fields that end in `_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The moment.
    pub at: Stamp,
    /// Such as `api/local/7`.
    pub rollout: String,
    /// The service.
    pub service: String,
    /// Where.
    pub environment: String,
    /// The rollout's number.
    pub number: u64,
    /// Why it was asked for.
    pub purpose: Purpose,
    /// How the traffic is shifted.
    pub strategy: StrategyName,
    /// What it is about at this moment, in one word.
    pub state: State,
    /// The phase's name, or `ended`.
    pub phase: &'static str,
    /// Why it goes or went back.
    pub cause: Option<String>,
    /// What stood in the way of going back.
    pub stuck: Option<String>,
    /// What it waits for.
    pub waits_for: Waiting,
    /// When it was opened.
    pub began: Option<Stamp>,
    /// How long it has been going on, or went on.
    pub elapsed_ms: Span,
    /// The fleet that served before; none on a first deployment.
    pub blue: Option<FleetLine>,
    /// The fleet that will serve.
    pub green: FleetLine,
    /// Every group that matters.
    pub target_groups: Vec<GroupLine>,
    /// When the last look began; none before the first.
    pub looked_at: Option<Stamp>,
    /// What could not be searched in the last look.
    pub unread: Vec<String>,
    /// Every phase, in order.
    pub phases: Vec<PhaseLine>,
    /// Every exception, expired ones included.
    pub waivers: Vec<WaiverLine>,
    /// Who drives it, or drove it last.
    pub driver: Actor,
    /// Whether that driver lives; none where it cannot be told from here.
    pub driven: Option<bool>,
    /// When its last fact was recorded.
    pub last_event_at: Stamp,
    /// Whether calls were announced whose answer is not known.
    pub in_flight: bool,
    /// The last fault of a call.
    pub fault: Option<Fault>,
    /// Whether blue's retirement was announced, so that this rollout cannot go back.
    pub past_return: bool,
    /// How the drive that reports it ended (see [`outcome`]); none while it goes on, or where nobody drives.
    pub outcome: Option<&'static str>,
    /// What can be done.
    pub next: Vec<Advice>,
}

/// What a rollout is about, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes forward.
    Running,
    /// Groups would go dark: it waits until they are covered, amended or waived.
    Holding,
    /// An operator paused it.
    Paused,
    /// It waits for `promote`.
    AwaitsPromotion,
    /// It goes back to blue.
    GoingBack,
    /// Green serves everything, proved.
    Completed,
    /// Blue serves everything, proved.
    RolledBack,
    /// The way back did not succeed.
    Failed,
}

/// A fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetLine {
    /// Its name.
    pub fleet: FleetId,
    /// What it runs.
    pub revision: Revision,
    /// Its planned size.
    pub size: u32,
    /// Running instances; none where it was not seen.
    pub running: Option<u32>,
    /// Why it could not be read, where that is so.
    pub unreadable: Option<String>,
    /// The least percent that it carries in any group that matters; none where no group could be read.
    pub share_min: Option<u8>,
    /// The most.
    pub share_max: Option<u8>,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseLine {
    /// Its name.
    pub phase: &'static str,
    /// How far it is.
    pub state: PhaseState,
    /// How long it took, or has taken so far; none where it was not entered or nobody watched.
    pub took_ms: Option<Span>,
}

/// How far a phase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseState {
    /// Over.
    Done,
    /// The present one.
    Running,
    /// Still ahead.
    ToCome,
    /// The rollout turned round or ended in it.
    Failed,
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaiverLine {
    /// The group that may go dark.
    pub group: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Stamp,
    /// Who granted it.
    pub by: String,
    /// Whether it counts now.
    pub counts: bool,
}

impl Snapshot {
    /// The rollout at `now`. `driven` says whether its driver lives, where that is known.
    #[must_use]
    pub fn of(state: &Rollout, timeline: &Timeline, hints: &Hints, now: Time, driven: Option<bool>) -> Self {
        let (plan, waits_for) = (state.plan(), Waiting::of(state, now));
        let (cause, stuck) = ending(state.phase());
        // What has ended is judged as it was then: a waiver that counted still explains the verdict.
        let judged_at = timeline.ended.unwrap_or(now);
        let waiver = |waiver: &Waiver| WaiverLine {
            group: waiver.group.to_string(),
            reason: waiver.reason.clone(),
            until: Stamp(waiver.until),
            by: waiver.by.clone(),
            counts: waiver.until > judged_at,
        };
        let mut next = Advice::all(state, &waits_for, hints);
        let alone = driven == Some(false) && state.verdict().is_none();
        if alone && !next.iter().any(|advice| advice.what == "go on") {
            next.insert(0, Advice { what: "go on", command: hints.command("resume", "") });
        }
        Self {
            schema: SCHEMA,
            at: Stamp(now),
            rollout: plan.rollout.to_string(),
            service: plan.rollout.service.to_string(),
            environment: plan.rollout.environment.to_string(),
            number: plan.rollout.number,
            purpose: plan.purpose.clone(),
            strategy: plan.strategy.clone(),
            state: State::of(state, &waits_for),
            phase: state.phase().name(),
            cause,
            stuck,
            next,
            waits_for,
            began: timeline.began.map(Stamp),
            elapsed_ms: timeline.elapsed(now),
            blue: plan.blue.as_ref().map(|blue| FleetLine::of(state, blue)),
            green: FleetLine::of(state, &plan.green),
            target_groups: GroupLine::all(state, judged_at),
            looked_at: state.look().map(|look| Stamp(look.looked_at)),
            unread: state.look().map(|look| look.unread.iter().cloned().collect()).unwrap_or_default(),
            phases: phases(state, timeline, now),
            waivers: state.waivers().iter().map(waiver).collect(),
            driver: state.driver().clone(),
            driven,
            last_event_at: Stamp(state.at()),
            in_flight: state.in_flight(),
            fault: state.fault().cloned(),
            past_return: state.past_return(),
            outcome: None,
        }
    }

    /// The same, as the drive that ended leaves it.
    #[must_use]
    pub fn closed(mut self, outcome: &Outcome, hints: &Hints) -> Self {
        self.outcome = Some(self::outcome(outcome));
        match outcome {
            Outcome::Fenced { .. } => {
                self.next = vec![Advice { what: "follow it", command: hints.command("status", "--watch") }];
            }
            Outcome::Ended(_)
            | Outcome::Held { .. }
            | Outcome::Paused
            | Outcome::AwaitsPromotion
            | Outcome::Interrupted => {}
        }
        if let (Outcome::Held { gaps }, true) = (outcome, self.waits_for.gaps.is_empty()) {
            self.waits_for.gaps.clone_from(gaps);
        }
        self
    }

    /// The moment that relative times count from.
    #[must_use]
    pub fn start(&self) -> Time {
        self.began.map_or(self.at.0, |began| began.0)
    }
}

/// An outcome's name in JSON.
#[must_use]
pub fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ended(Verdict::Completed) => "completed",
        Outcome::Ended(Verdict::RolledBack { .. }) => "rolled_back",
        Outcome::Ended(Verdict::Failed { .. }) => "failed",
        Outcome::Held { .. } => "held",
        Outcome::Paused => "paused",
        Outcome::AwaitsPromotion => "awaits_promotion",
        Outcome::Interrupted => "interrupted",
        Outcome::Fenced { .. } => "fenced",
    }
}

impl State {
    fn of(state: &Rollout, waiting: &Waiting) -> Self {
        match (state.phase(), waiting.kind) {
            (Phase::Ended(Verdict::Completed), _) => Self::Completed,
            (Phase::Ended(Verdict::RolledBack { .. }), _) => Self::RolledBack,
            (Phase::Ended(Verdict::Failed { .. }), _) => Self::Failed,
            (Phase::Restore { .. } | Phase::Withdraw { .. }, _) => Self::GoingBack,
            _ if waiting::paused(state) => Self::Paused,
            (_, Kind::Promote) => Self::AwaitsPromotion,
            (_, Kind::Gaps) => Self::Holding,
            _ if waiting.late => Self::Holding,
            _ => Self::Running,
        }
    }

    /// As words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Holding => "holding",
            Self::Paused => "paused",
            Self::AwaitsPromotion => "waits for promote",
            Self::GoingBack => "going back",
            Self::Completed => "completed",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        }
    }
}

impl FleetLine {
    fn of(state: &Rollout, fleet: &Fleet) -> Self {
        let look = state.look();
        let seen = look.and_then(|look| look.fleet(&fleet.id));
        let all: std::collections::BTreeSet<_> = state.expected().keys().chain(state.served()).collect();
        let share = |id| {
            let side = look?.group(id)?.sides.get(&fleet.id);
            Some(side.map_or(Share::NONE, |side| side.share).percent())
        };
        let shares: Vec<_> = all.into_iter().filter_map(share).collect();
        let unreadable = match look.and_then(|look| look.fleets.get(&fleet.id)) {
            Some(Seen::Unknown(reason)) => Some(reason.clone()),
            Some(Seen::Known(_)) | None => None,
        };
        let running = seen
            .map(|seen| seen.instances.values().filter(|state| **state == InstanceState::Running).count());
        Self {
            fleet: fleet.id.clone(),
            revision: fleet.revision.clone(),
            size: fleet.size,
            running: running.map(|running| u32::try_from(running).unwrap_or(u32::MAX)),
            unreadable,
            share_min: shares.iter().copied().min(),
            share_max: shares.iter().copied().max(),
        }
    }

    /// What it carries: `90%`, or `0% to 90%` where the groups differ.
    #[must_use]
    pub fn share(&self) -> String {
        match (self.share_min, self.share_max) {
            (Some(min), Some(max)) if min == max => format!("{max}%"),
            (Some(min), Some(max)) => format!("{min}% to {max}%"),
            (None, _) | (_, None) => "unknown".into(),
        }
    }
}

fn ending(phase: &Phase) -> (Option<String>, Option<String>) {
    match phase {
        Phase::Restore { cause }
        | Phase::Withdraw { cause }
        | Phase::Ended(Verdict::RolledBack { cause }) => (Some(cause.to_string()), None),
        Phase::Ended(Verdict::Failed { cause, stuck }) => (Some(cause.to_string()), Some(stuck.clone())),
        _ => (None, None),
    }
}

const FORWARD: [&str; 7] = ["provision", "register", "settle", "shift", "bake", "drain", "retire"];
const BACK: [&str; 2] = ["restore", "withdraw"];

fn phases(state: &Rollout, timeline: &Timeline, now: Time) -> Vec<PhaseLine> {
    let present = state.phase().name();
    let took = |phase| timeline.took(phase, now);
    let line = |phase, state| PhaseLine { phase, state, took_ms: took(phase) };
    // Without a blue nothing drains.
    let forward = || FORWARD.into_iter().filter(|name| *name != "drain" || state.plan().blue.is_some());
    let place = |name: &str| FORWARD.iter().position(|phase| *phase == name);
    if !goes_back(state) {
        let here = place(present).unwrap_or(FORWARD.len());
        let far = |name| match place(name).map(|place| place.cmp(&here)) {
            Some(std::cmp::Ordering::Less) => PhaseState::Done,
            Some(std::cmp::Ordering::Equal) => PhaseState::Running,
            Some(std::cmp::Ordering::Greater) | None => PhaseState::ToCome,
        };
        return forward().map(|name| line(name, far(name))).collect();
    }
    let turned = timeline.stretches.iter().rev().find_map(|stay| place(stay.phase));
    let gone = forward().filter(|name| place(name) <= turned && turned.is_some());
    let mut lines: Vec<_> = gone
        .map(|name| line(name, if place(name) == turned { PhaseState::Failed } else { PhaseState::Done }))
        .collect();
    let failed = matches!(state.verdict(), Some(Verdict::Failed { .. }));
    let last = timeline.stretches.last().map(|stay| stay.phase);
    for name in BACK {
        let entered = timeline.stretches.iter().any(|stay| stay.phase == name);
        let far = match () {
            () if present == name => PhaseState::Running,
            () if failed && last == Some(name) => PhaseState::Failed,
            () if entered => PhaseState::Done,
            () if state.verdict().is_some() => continue,
            () => PhaseState::ToCome,
        };
        lines.push(line(name, far));
    }
    lines
}
