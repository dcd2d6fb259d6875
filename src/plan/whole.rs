//! Groups that take no steps: their routes send everything to one fleet, or both fleets stand in them and to join is
//! already a share. A strategy that asks for a part of one asks for what it cannot have.

use std::collections::BTreeMap;

use super::reasons::Refused;
use crate::model::{Because, GroupId, GroupPlan, Inventory, Share, Sharing, Step, Steps, StrategyName};
use crate::spec::Spec;

/// How large the two fleets are, or are to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub blue: u32,
    pub green: u32,
}

impl Sizes {
    /// About how much of a group that both stand in is green's as soon as it has joined.
    pub fn joined(self) -> Share {
        let whole = u64::from(self.green) + u64::from(self.blue);
        Share::new(u64::from(self.green) * 100 / whole.max(1)).unwrap_or(Share::ALL)
    }
}

/// The parts that steps ask for.
pub(super) fn parts(steps: &[Step]) -> impl Iterator<Item = Share> {
    steps.iter().map(|step| step.share).filter(|share| *share < Share::ALL)
}

/// Every group that cannot take what the strategy asks of it and whose file does not accept that. One that blue does not
/// serve has no traffic to divide; one that was amended by hand is in no file, and remarked.
pub(super) fn refused(
    spec: &Spec,
    look: &Inventory,
    strategy: &StrategyName,
    sizes: Sizes,
    groups: &BTreeMap<GroupId, GroupPlan>,
) -> Vec<Refused> {
    let steps = spec.strategies.get(strategy).map_or(&[][..], |strategy| &strategy.steps);
    let parts: Vec<_> = parts(steps).collect();
    if parts.is_empty() {
        return Vec::new();
    }
    // What is to be shared by weight and cannot is refused for that.
    let accepted: Vec<_> = spec.accepts_whole().into_iter().chain(spec.weighed()).collect();
    let switch = spec.strategies.iter().find(|(_, own)| self::parts(&own.steps).next().is_none());
    let divides = |group: &GroupPlan| {
        [Because::Declared, Because::BlueStands].iter().all(|why| group.because.contains(why))
    };
    let cannot = groups.iter().filter(|(id, group)| {
        let whole = group.steps == Steps::AllOrNothing || group.sharing == Sharing::Shared;
        whole && divides(group) && !accepted.contains(id)
    });
    cannot
        .map(|(id, group)| Refused::Whole {
            group: id.clone(),
            strategy: strategy.clone(),
            parts: parts.clone(),
            joined: (group.sharing == Sharing::Shared).then(|| sizes.joined()),
            routes: look.group(id).map(|seen| seen.routes.clone()).unwrap_or_default(),
            switch: switch.map(|(name, _)| name.clone()),
        })
        .collect()
}
