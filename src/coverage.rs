//! The gate: the proof that no target group goes dark when a fleet leaves.
//!
//! Promises: a [`Retirement`] exists only where a fresh, complete look showed every required group carrying all its
//! traffic on healthy targets of the fleet that stays. It can be made nowhere else and read back from nowhere, so the
//! compiler keeps the leaving fleet alive. Unknown, empty and missing are gaps, never passes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{FleetId, GroupId, GroupSeen, Inventory, Seen, Share, Side, Span, Time, Waiver};

/// Who leaves, who stays, and what was seen.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The fleet that would go.
    pub leaving: &'a FleetId,
    /// The fleet that must carry everything then.
    pub staying: &'a FleetId,
    /// Groups that must be lit whatever the look shows: the plan's, and every one in which the leaving fleet ever stood.
    pub required: &'a BTreeSet<GroupId>,
    /// How many healthy instances of the staying fleet each group needs; at least one counts in any case.
    pub healthy_min: u32,
    /// Exceptions; an expired one does not count.
    pub waivers: &'a [Waiver],
    /// The look that the answer rests on.
    pub look: &'a Inventory,
    /// When the last change of ours settled: a look that began earlier proves nothing.
    pub not_before: Time,
    /// The oldest look that may be used.
    pub fresh: Span,
    /// The time now.
    pub now: Time,
}

/// One reason why the fleet must stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The group that would go dark; none where the whole look is at fault.
    pub group: Option<GroupId>,
    /// How many healthy targets the leaving fleet has there.
    pub leaving_healthy: u32,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a group, or with the look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The look began before the last change settled, or is too old.
    Stale,
    /// Something in scope could not be searched: the reason.
    Unread(String),
    /// The staying fleet itself was not seen, or could not be read.
    StayingUnseen,
    /// The group was not in the look.
    Unseen,
    /// The group could not be read: the reason.
    Unknown(String),
    /// The staying fleet has no target in it.
    NotRegistered,
    /// Too few healthy instances of the staying fleet.
    Unhealthy {
        /// Seen healthy and running.
        healthy: u32,
        /// Needed.
        needed: u32,
    },
    /// The staying fleet does not carry all of the traffic.
    Partial {
        /// What it carries.
        share: Share,
    },
    /// The leaving fleet still stands in it: it has targets (draining ones too), a share, or an attachment.
    Standing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the look is older than the last change"),
            Self::Unread(reason) => write!(f, "could not be searched: {reason}"),
            Self::StayingUnseen => f.write_str("the fleet that stays was not seen"),
            Self::Unseen => f.write_str("not found"),
            Self::Unknown(reason) => write!(f, "could not be read: {reason}"),
            Self::NotRegistered => f.write_str("no target registered"),
            Self::Unhealthy { healthy, needed } => write!(f, "{healthy} healthy of {needed} needed"),
            Self::Partial { share } => write!(f, "carries {share} of the traffic"),
            Self::Standing => f.write_str("the leaving fleet is still registered"),
        }
    }
}

/// What was seen of a group that is covered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Healthy, running instances of the staying fleet.
    pub healthy: u32,
    /// Its share of the traffic.
    pub share: Share,
    /// The waiver's reason where the group was excused and not proved.
    pub waived: Option<String>,
}

/// Leave to take one fleet away for good. Only [`prove`] and [`prove_idle`] make one; it is used up by retiring.
#[derive(Debug, PartialEq, Eq)]
pub struct Retirement {
    fleet: FleetId,
    covered: BTreeMap<GroupId, Evidence>,
}

impl Retirement {
    /// The fleet that may go.
    #[must_use]
    pub fn fleet(&self) -> &FleetId {
        &self.fleet
    }

    /// Every required group, and what was seen there.
    #[must_use]
    pub fn covered(&self) -> &BTreeMap<GroupId, Evidence> {
        &self.covered
    }
}

/// The groups that would go dark if the leaving fleet carried nothing any more. Empty means covered.
#[must_use]
pub fn gaps(question: &Question<'_>) -> Vec<Gap> {
    weigh(question).1
}

/// Leave to retire, or every reason against it. Beyond [`gaps`] the leaving fleet must have left every group.
///
/// # Errors
/// All gaps, of every group.
pub fn prove(question: &Question<'_>) -> Result<Retirement, Vec<Gap>> {
    let (covered, mut gaps) = weigh(question);
    // A waiver excuses a dark group; whether the leaving fleet stands in it has to be seen all the same.
    gaps.extend(unknown(question));
    gaps.extend(standing(question));
    seal(question.leaving, covered, gaps)
}

/// Leave to retire a fleet that stands nowhere, where no other fleet has to stand in for it: a green that never
/// carried traffic in any group outside `question.required`.
///
/// # Errors
/// All gaps; an unread or unknown group is one, for the fleet could stand there.
pub fn prove_idle(question: &Question<'_>) -> Result<Retirement, Vec<Gap>> {
    let mut gaps = blind(question);
    gaps.extend(unknown(question));
    gaps.extend(standing(question));
    let mut covered = BTreeMap::new();
    for id in question.required {
        match judge(question, id) {
            Ok(evidence) => drop(covered.insert(id.clone(), evidence)),
            Err(found) => gaps.push(found),
        }
    }
    seal(question.leaving, covered, gaps)
}

fn seal(
    leaving: &FleetId,
    covered: BTreeMap<GroupId, Evidence>,
    mut gaps: Vec<Gap>,
) -> Result<Retirement, Vec<Gap>> {
    gaps.sort();
    gaps.dedup();
    if gaps.is_empty() { Ok(Retirement { fleet: leaving.clone(), covered }) } else { Err(gaps) }
}

/// Judges every required group; nothing is left out early, so that a refusal names all of them.
fn weigh(question: &Question<'_>) -> (BTreeMap<GroupId, Evidence>, Vec<Gap>) {
    let mut gaps = blind(question);
    if question.look.fleet(question.staying).is_none() {
        gaps.push(gap(None, 0, Why::StayingUnseen));
    }
    let mut required = question.look.groups_of(question.leaving);
    required.extend(question.required.iter().cloned());
    if required.is_empty() {
        // To find nothing to prove proves nothing.
        gaps.push(gap(None, 0, Why::Unread("no target group is known".into())));
    }
    let mut covered = BTreeMap::new();
    for id in &required {
        match judge(question, id) {
            Ok(evidence) => drop(covered.insert(id.clone(), evidence)),
            Err(found) => gaps.push(found),
        }
    }
    // A group that could not be read may be one in which the leaving fleet stands.
    let strange = |gap: &Gap| gap.group.as_ref().is_some_and(|id| !required.contains(id));
    gaps.extend(unknown(question).filter(strange));
    (covered, gaps)
}

/// Every group that could not be read.
fn unknown<'a>(question: &Question<'a>) -> impl Iterator<Item = Gap> + use<'a> {
    question.look.groups.iter().filter_map(|(id, seen)| match seen {
        Seen::Unknown(reason) => Some(gap(Some(id), 0, Why::Unknown(reason.clone()))),
        Seen::Known(_) => None,
    })
}

/// What makes the look as a whole unfit to prove anything.
fn blind(question: &Question<'_>) -> Vec<Gap> {
    let look = question.look;
    let mut gaps: Vec<_> = look.unread.iter().map(|what| gap(None, 0, Why::Unread(what.clone()))).collect();
    let stale = look.looked_at < question.not_before || question.now.since(look.looked_at) > question.fresh;
    if stale {
        gaps.push(gap(None, 0, Why::Stale));
    }
    // Its attachments and its instances are unknown then, and so is where it stands.
    if let Some(Seen::Unknown(reason)) = look.fleets.get(question.leaving) {
        gaps.push(gap(None, 0, Why::Unread(format!("fleet `{}`: {reason}", question.leaving))));
    }
    gaps
}

fn judge(question: &Question<'_>, id: &GroupId) -> Result<Evidence, Gap> {
    let leaving = |group: &GroupSeen| group.sides.get(question.leaving).map_or(0, Side::healthy);
    let seen = question.look.groups.get(id);
    let side = seen.and_then(Seen::known).and_then(|group| group.sides.get(question.staying));
    if let Some(waiver) = waiver(question, id) {
        let healthy = side.map_or(0, |side| healthy(question, side));
        let share = side.map_or(Share::NONE, |side| side.share);
        return Ok(Evidence { healthy, share, waived: Some(waiver.reason.clone()) });
    }
    let group = match seen {
        None => return Err(gap(Some(id), 0, Why::Unseen)),
        Some(Seen::Unknown(reason)) => return Err(gap(Some(id), 0, Why::Unknown(reason.clone()))),
        Some(Seen::Known(group)) => group,
    };
    let refuse = |why| Err(gap(Some(id), leaving(group), why));
    let Some(side) = side.filter(|side| !side.targets.is_empty()) else {
        return refuse(Why::NotRegistered);
    };
    let (healthy, needed) = (healthy(question, side), question.healthy_min.max(1));
    if healthy < needed {
        return refuse(Why::Unhealthy { healthy, needed });
    }
    if side.share < Share::ALL {
        return refuse(Why::Partial { share: side.share });
    }
    Ok(Evidence { healthy, share: side.share, waived: None })
}

/// Healthy here *and* a running instance of the staying fleet: a healthy target of somebody else proves nothing.
fn healthy(question: &Question<'_>, side: &Side) -> u32 {
    let running =
        question.look.fleet(question.staying).map(crate::model::FleetSeen::running).unwrap_or_default();
    u32::try_from(side.healthy_instances().intersection(&running).count()).unwrap_or(u32::MAX)
}

fn standing(question: &Question<'_>) -> Vec<Gap> {
    stands(question).iter().map(|id| gap(Some(id), 0, Why::Standing)).collect()
}

/// The groups that the leaving fleet has not left. Where nobody takes its share over because the group was waived, the
/// share stays with it and does not count: leaving means to have no target and no attachment there.
#[must_use]
pub fn stands(question: &Question<'_>) -> BTreeSet<GroupId> {
    let look = question.look;
    let attached = look.fleet(question.leaving).map(|fleet| &fleet.attached);
    let only_share = |id: &GroupId| {
        let side = look.group(id).and_then(|group| group.sides.get(question.leaving));
        side.is_none_or(|side| side.targets.is_empty()) && attached.is_none_or(|groups| !groups.contains(id))
    };
    let mut groups = look.groups_of(question.leaving);
    groups.retain(|id| !(waiver(question, id).is_some() && only_share(id)));
    groups
}

fn waiver<'a>(question: &Question<'a>, id: &GroupId) -> Option<&'a Waiver> {
    question.waivers.iter().find(|waiver| waiver.group == *id && waiver.until > question.now)
}

fn gap(group: Option<&GroupId>, leaving_healthy: u32, why: Why) -> Gap {
    Gap { group: group.cloned(), leaving_healthy, why }
}
