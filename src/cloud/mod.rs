//! The port to a cloud: what the machine may ask of it, as data.
//!
//! Promises: a look is read afresh and to the last page; a change is reversible and, repeated under its token,
//! changes nothing more; a fleet goes only against a [`Retirement`]. Must not decide anything: that is `rollout`'s.

pub mod aws;
mod cidr;
mod clock;
mod draft;
pub mod edas;
mod fault;
mod finding;
mod firewall;
mod floor;
mod grant;
pub mod local;
mod notes;
mod shelf;
pub mod sim;
mod steps;

use std::collections::BTreeSet;
use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::coverage::Retirement;
use crate::model::{Fleet, FleetId, GroupId, Inventory, ServiceName, Share, Span, Token};

pub use edas::{KeysFile as RamFile, Oidc as RamOidc, Profile as RamProfile};
pub use fault::{Fault, FaultKind};
pub use finding::{Finding, Severity};
pub use floor::Floor;
pub use grant::Grant;

/// One cloud, or one host.
pub trait Backend: Send + Sync {
    /// Reads every fleet, group, route and target in scope: afresh, and to the last page. What only somebody else's hand
    /// can have changed since the last look may be some seconds old; [`Backend::retire`] reads all of it again.
    fn look(&self, scope: &Scope) -> impl Future<Output = Result<Inventory, Fault>> + Send;
    /// Looks as well, and may spare calls where `leeway` says that nothing is decided by the difference. A look that was
    /// taken with leeway counts only for decisions that leave as much.
    fn look_with(
        &self,
        scope: &Scope,
        leeway: &Leeway,
    ) -> impl Future<Output = Result<Inventory, Fault>> + Send {
        let _ = leeway;
        self.look(scope)
    }
    /// Waits for leave to look and act, until the floor is given back. Where many share what a cloud answers in a minute,
    /// some have it at a time: else every look would be old before it is done, and every change late. Whoever has moved
    /// traffic does not wait behind those that have not.
    fn floor(&self, moved: bool) -> impl Future<Output = Floor> + Send {
        let _ = moved;
        std::future::ready(Floor::default())
    }
    /// Makes one reversible change. Repeated under the same token it changes nothing more. It may go by the last look, so
    /// whoever changed something looks before the next change.
    fn change(&self, change: &Change, token: &Token) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Takes a fleet away for good: the one call without a way back, so it asks for proof.
    fn retire(&self, proof: Retirement, token: &Token) -> impl Future<Output = Result<(), Fault>> + Send;
    /// What this cloud can do; the planner refuses a plan that asks for more.
    fn capability(&self) -> Capability;
}

/// What a look has to cover: at least this, and every other group in which one of the fleets stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The service whose fleets are looked for.
    pub service: ServiceName,
    /// Groups that must appear in the answer, or be missing in the cloud.
    pub groups: BTreeSet<GroupId>,
    /// Fleets that must appear in the answer, or be missing in the cloud.
    pub fleets: BTreeSet<FleetId>,
}

/// What of a look may be older than the rest of it, because nothing is decided by the difference. None of it touches what
/// a change of ours has altered since, nor the reading before a fleet is taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leeway {
    /// Which groups and machines there are may be up to a minute old.
    pub surroundings: bool,
    /// Where routes send their traffic may be up to a minute old.
    pub routes: bool,
    /// Fleets of which targets that were healthy may be taken for healthy up to a minute longer.
    pub settled: BTreeSet<FleetId>,
    /// The fleet that is waited for in all its groups: while one of them is seen not to be there yet, the others may be some
    /// seconds old.
    pub awaited: Option<FleetId>,
    /// The fleet that is waited for until the cloud has done with it: as long as it has not, everything else may be up to a
    /// minute old, also from before it was asked for. A look that shows it done is as good as one without this.
    pub busy: Option<FleetId>,
    /// Traffic waits for this look: a limit that we set ourselves may be borrowed from, and where nobody knows the service
    /// to stand need not be searched.
    pub urgent: bool,
}

impl Leeway {
    /// Whether a look that was taken with this leeway is good enough where `most` may be left.
    #[must_use]
    pub fn within(&self, most: &Self) -> bool {
        (most.surroundings || !self.surroundings)
            && (most.routes || !self.routes)
            && self.settled.is_subset(&most.settled)
            && (self.awaited.is_none() || self.awaited == most.awaited)
            && (most.urgent || !self.urgent)
            && (self.busy.is_none() || self.busy == most.busy)
    }
}

/// One reversible change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A fleet of this name, revision and size exists.
    Provision {
        /// The fleet as planned.
        fleet: Fleet,
    },
    /// The fleet's instances, present and future, stand in the groups; in a paired group at share 0.
    Register {
        /// Which fleet.
        fleet: FleetId,
        /// In which groups.
        groups: BTreeSet<GroupId>,
    },
    /// The group's route sends `share` to `to` and the rest to `from`.
    Shift {
        /// Which group.
        group: GroupId,
        /// The fleet that gets `share`.
        to: FleetId,
        /// The fleet that gets the rest; none where there is no other fleet.
        from: Option<FleetId>,
        /// Percent of the group's traffic for `to`.
        share: Share,
    },
    /// The fleet's instances leave the groups; open connections have the group's deregistration delay to finish.
    Deregister {
        /// Which fleet.
        fleet: FleetId,
        /// From which groups.
        groups: BTreeSet<GroupId>,
    },
    /// The cloud does not change the fleet's size by itself.
    Freeze {
        /// Which fleet.
        fleet: FleetId,
    },
    /// The cloud may change the fleet's size again, as it did before [`Change::Freeze`].
    Thaw {
        /// Which fleet.
        fleet: FleetId,
    },
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Whether fleets scale by themselves here and can be held still.
    pub freeze: bool,
    /// The shortest useful time between two looks while something is expected.
    pub pace: Span,
    /// A call takes effect within this time of being sent, or never. Whoever takes over from a driver that was cut off
    /// in a call waits it out before changing anything.
    pub lands: Span,
    /// How long a whole look takes at least, as far as the provider's limits tell. What is older than some such looks is
    /// too old to act on, and anything younger is not: else a long look would never be of use.
    pub look: Span,
}
