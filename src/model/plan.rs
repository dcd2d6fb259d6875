//! A rollout with no choices left.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FleetId, GroupId, Revision, RolloutId, Share, Sharing, Span, Steps, StrategyName, Time};

/// The format of stored plans; a reader refuses a higher one.
pub const PLAN_FORMAT: u32 = 1;

/// Everything a rollout will do, decided before its first change. Immutable; stored in the first journal entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_FORMAT`] when it was written.
    pub format: u32,
    /// Which rollout this is.
    pub rollout: RolloutId,
    /// Why it was asked for.
    pub purpose: Purpose,
    /// The strategy's name in the file.
    pub strategy: StrategyName,
    /// The fleet that serves now; none on a first deployment.
    pub blue: Option<Fleet>,
    /// The fleet that will serve.
    pub green: Fleet,
    /// Every group that must be lit at the end, with why.
    pub groups: BTreeMap<GroupId, GroupPlan>,
    /// The shift: shares rise, the last is 100.
    pub steps: Vec<Step>,
    /// How long green must stay healthy before it takes traffic.
    pub settle: Span,
    /// How long green carries everything before blue is drained.
    pub bake: Hold,
    /// How long drained blue is kept running.
    pub quiet: Span,
    /// How much of green must be healthy in each group, in percent of its size; at least one target in any case.
    pub min_healthy: Share,
    /// Whether the fleets' scaling is held still meanwhile.
    pub freeze: bool,
    /// When each phase must have made progress, and what happens otherwise.
    pub deadlines: Deadlines,
    /// How often to look while waiting.
    pub pace: Pace,
    /// How long it took at least in earlier rollouts.
    #[serde(default, skip_serializing_if = "Expect::is_nothing")]
    pub expect: Expect,
    /// Exceptions granted before the start.
    pub waivers: Vec<Waiver>,
    /// The world that this plan was made for, as a digest; another world refuses a stored plan.
    pub world: String,
    /// Which release it is, where somebody counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Where it runs, in the deployment file's words: a file that says otherwise is of another place. Empty where it was not
    /// written down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub home: BTreeMap<String, String>,
}

/// A release's place among those of the same source: an older one never overtakes a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Who counts: numbers of two sources are not compared.
    pub source: String,
    /// Its number: a CI run, a commit's time, or whatever else rises.
    pub number: u64,
    /// Why it may be older than what serves, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtakes: Option<String>,
}

impl Plan {
    /// How many healthy targets a group needs before green may carry it alone.
    #[must_use]
    pub fn healthy_min(&self) -> u32 {
        self.min_healthy.of(self.green.size).max(1)
    }
}

/// Why a rollout was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A revision is deployed.
    Deploy,
    /// An earlier revision is brought back after the rollout of this number.
    Rollback {
        /// The rollout that is undone.
        of: u64,
    },
}

/// One fleet as planned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Its name on the cloud.
    pub id: FleetId,
    /// What it runs.
    pub revision: Revision,
    /// How many instances.
    pub size: u32,
}

/// One group as planned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPlan {
    /// Every reason why the group is expected; never empty.
    pub because: BTreeSet<Because>,
    /// How the fleets share it.
    pub sharing: Sharing,
    /// Which shares it can take.
    pub steps: Steps,
}

/// Why a group is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The deployment file names it.
    Declared,
    /// Blue was seen to stand in it.
    BlueStands,
    /// The last completed rollout covered it.
    LastRollout,
    /// An operator added it by an order.
    Amended,
}

/// One step of the shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Green's share in every group that can take it.
    pub share: Share,
    /// How long to stay on it, healthy.
    pub hold: Hold,
}

/// How long to stay somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// For a time; zero is at once.
    For(Span),
    /// Until somebody says `promote`.
    Promote,
}

/// How long a phase may go without progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// Green's instances run.
    pub provision: Span,
    /// Green stands in every group.
    pub register: Span,
    /// Green is healthy in every group.
    pub settle: Span,
    /// A step's share is seen.
    pub shift: Span,
    /// Blue has left every group.
    pub drain: Span,
    /// Blue is gone.
    pub retire: Span,
    /// Gaps are closed, or a promotion is given.
    pub hold: Span,
    /// Blue carries everything again.
    pub restore: Span,
    /// Green is gone.
    pub withdraw: Span,
    /// What a deadline before the drain leads to.
    pub then: OnDeadline,
}

/// What a missed deadline leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// Traffic back to blue, green away.
    Rollback,
    /// Leave both fleets as they are.
    Hold,
}

/// How long a wait took at least in earlier rollouts: before that nobody need look. Zero where nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// From the first call until green's instances ran.
    pub provision: Span,
    /// From standing in the groups until green was healthy in all of them.
    pub settle: Span,
}

impl Expect {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// While something is expected to happen.
    pub soon: Span,
    /// While everything only has to stay as it is.
    pub watch: Span,
    /// The oldest look that a proof may rest on.
    pub fresh: Span,
    /// A call takes effect within this time of being sent, or never: who takes over from a driver that was cut off in
    /// a call believes no look that began earlier. Of it, [`Pace::slack`] is for the journal at either end.
    #[serde(default = "Pace::lands_unsaid", skip_serializing_if = "Pace::is_unsaid")]
    pub lands: Span,
}

/// The least time that a journal is given to confirm what it was sent.
const SLACK_MIN: Span = Span::secs(1);

impl Pace {
    /// How long after the journal was last known to name no other driver a call may still be sent, and how late the
    /// journal may confirm a successor's claim: an eighth of the time in which calls land.
    #[must_use]
    pub fn slack(&self) -> Span {
        Span(self.lands.0 / 8).max(SLACK_MIN)
    }

    /// What a stored plan means that does not say it: what a cloud with slow replies needs.
    fn lands_unsaid() -> Span {
        Span::mins(2)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_unsaid(lands: &Span) -> bool {
        *lands == Self::lands_unsaid()
    }
}

/// A recorded, expiring exception to one gap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The group that may go dark.
    pub group: GroupId,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it stops to count.
    pub until: Time,
    /// Who granted it.
    pub by: String,
}
