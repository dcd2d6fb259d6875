//! What a sentence may know of a cloud.

use std::collections::BTreeSet;

use deployer::cloud::{Backend, Scope};
use deployer::model::{Fleet, FleetId, GroupId, InstanceId, ServiceName, Span, Time};

/// A cloud under test, with one world in it.
pub trait Harness: Sized {
    /// What is tested.
    type Backend: Backend;

    /// Runs a sentence in a world of its own that is at rest: blue is up, and healthy with all the traffic in each of
    /// its groups. Cleans up, whatever happens.
    fn run(sentence: impl AsyncFnOnce(Self) + Send);

    /// The backend under test.
    fn backend(&self) -> &Self::Backend;

    /// What is in the world.
    fn given(&self) -> &Given;

    /// In what this cloud differs.
    fn ways(&self) -> Ways;

    /// The time by the clock from which looks have theirs.
    fn now(&self) -> Time;

    /// Somebody does something to the world, past the backend.
    async fn by_hand(&self, hand: Hand);

    /// The next change meets this, however often it is tried inside.
    async fn next_change_meets(&self, mishap: Mishap);

    /// Nothing meets anything any more.
    async fn calm(&self);
}

/// What is in the world of a sentence.
#[derive(Debug, Clone)]
pub struct Given {
    pub service: ServiceName,
    /// Serves.
    pub blue: Fleet,
    /// Is not there yet.
    pub green: Fleet,
    /// Green with a revision that fails its checks in the first of the paired groups.
    pub ill: Fleet,
    /// Declared twins; blue carries them.
    pub paired: [GroupId; 2],
    /// Declared, and both fleets stand in it together; blue carries it.
    pub shared: Option<GroupId>,
    /// Declared twins behind a route that sends everything to one of them; blue carries it.
    pub whole: Option<GroupId>,
    /// Exists, is not declared, and is nobody's.
    pub stranger: GroupId,
}

/// Where clouds rightly differ.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Between two looks of somebody who waits.
    pub pace: Span,
    /// How long somebody waits at most for what takes its time here.
    pub patience: Span,
    /// No target is judged sooner after its registration than this.
    pub verdict_min: Span,
    /// Whether a deregistered target that is busy with nothing stays for the group's delay, draining. Load balancers
    /// in a cloud do not know who is busy; a proxy of our own does, and lets an idle one go at once.
    pub lingers: bool,
    /// Whether single targets can be taken out by hand. On one host the members of a group are fleets.
    pub drops_targets: bool,
    /// Whether an ill revision is ill in one group alone. On one host each group asks the same process the same.
    pub ill_in_one_group: bool,
    /// Whether a change is one call of the cloud. Where it is several, what an ambiguous one leaves is a part of it, and
    /// the next try completes it.
    pub one_call_a_change: bool,
    /// Whether the routes of the paired groups divide their traffic. Elsewhere they take all or nothing.
    pub divides: bool,
    /// Whether a fleet is judged before it carries anything. Elsewhere nobody checks a twin that no route uses: a fleet
    /// stands in its twins as soon as it is up, and traffic alone has it judged.
    pub proves: bool,
    /// Whether an instance that comes later joins the groups of its fleet by itself. Elsewhere whoever drives registers the
    /// fleet again.
    pub joins: bool,
    /// What can happen to a call. On one host nobody counts calls, so none is refused because there were too many.
    pub mishaps: &'static [Mishap],
}

/// What others do.
#[derive(Debug, Clone)]
pub enum Hand {
    /// The fleet is attached to the group, and gets its traffic where nobody does.
    Attach(FleetId, GroupId),
    /// The fleet's revision begins to fail its checks in the group, and wherever else it has to.
    Sicken(FleetId, GroupId),
    /// It passes again.
    Recover(FleetId, GroupId),
    /// One target of the fleet is taken out of the group.
    Drop(FleetId, GroupId),
    /// An instance dies.
    Kill(FleetId, InstanceId),
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Refused, because there were too many.
    Throttled,
    /// Lost on its way there.
    Lost,
    /// Applied, and its answer is lost.
    ReplyLost,
}

impl Given {
    /// Every group that the deployment file declares.
    pub fn declared(&self) -> BTreeSet<GroupId> {
        self.paired.iter().chain(&self.shared).chain(&self.whole).cloned().collect()
    }

    /// The declared groups that are twins.
    pub fn twins(&self) -> BTreeSet<GroupId> {
        self.paired.iter().chain(&self.whole).cloned().collect()
    }

    /// What a driver of a rollout from blue to green looks for.
    pub fn scope(&self) -> Scope {
        let fleets = [self.blue.id.clone(), self.green.id.clone()].into();
        Scope { service: self.service.clone(), groups: self.declared(), fleets }
    }
}
