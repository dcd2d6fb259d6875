//! The planner.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::reasons::{Note, Refusal, Refused};
use super::whole::{self, Sizes};
use super::world;
use crate::cloud::Capability;
use crate::model::{
    Because, Expect, Fleet, FleetId, FleetSeen, GroupId, GroupPlan, GroupSeen, Health, InstanceState,
    Inventory, PLAN_FORMAT, Pace, Plan, Purpose, Revision, RolloutId, Seen, Share, Sharing, Side, Span,
    Steps, StrategyName, Time, WEIGHT_MAX, Waiver, nearest,
};
use crate::spec::Spec;

/// What is asked for beyond the file.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The rollout that the plan is for.
    pub rollout: RolloutId,
    /// Why.
    pub purpose: Purpose,
    /// Instead of the file's revision.
    pub revision: Option<Revision>,
    /// Instead of the file's default strategy.
    pub strategy: Option<StrategyName>,
    /// Groups that the last completed rollout covered.
    pub last: &'a BTreeSet<GroupId>,
    /// Groups to expect although the file does not declare them.
    pub amended: BTreeSet<GroupId>,
    /// Groups that may go dark.
    pub waivers: Vec<Waiver>,
    /// How long waits took at least in earlier rollouts.
    pub expect: Expect,
    /// The time now.
    pub now: Time,
    /// What the backend can do.
    pub capability: Capability,
}

/// A plan, and what an operator should know before agreeing to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    /// The plan.
    pub plan: Plan,
    /// Remarks, none of which refuses it.
    pub notes: Vec<Note>,
}

/// Plans a rollout.
///
/// # Errors
/// [`Refusal`] with every reason at once.
pub fn draft(spec: &Spec, look: &Inventory, ask: &Ask<'_>) -> Result<Draft, Refusal> {
    let mut reasons = unknowns(look);
    let blue = blue(look).unwrap_or_else(|fleets| {
        reasons.push(Refused::TwoBlues { fleets });
        None
    });
    reasons.extend(strangers(look));
    reasons.extend(weightless(spec, look));
    reasons.extend(unproved(spec, look));
    let groups = expected(spec, look, ask, blue, &mut reasons);
    let strategy = ask.strategy.clone().unwrap_or_else(|| spec.strategy.clone());
    let steps = spec.strategies.get(&strategy).map(|strategy| strategy.steps.clone());
    // The way back takes what it can get, and where nothing serves there is nothing to divide.
    if let (Some((_, seen)), Purpose::Deploy) = (blue, &ask.purpose) {
        let sizes = Sizes { blue: size(seen), green: wanted(spec, blue) };
        reasons.extend(whole::refused(spec, look, &strategy, sizes, &groups));
    }
    let green = green(spec, look, ask, blue);
    let (steps, green) = match (steps, green) {
        (Some(steps), Ok(green)) if reasons.is_empty() => (steps, green),
        (steps, green) => {
            if steps.is_none() {
                reasons.push(Refused::NoStrategy {
                    asked: strategy,
                    known: spec.strategies.keys().cloned().collect(),
                });
            }
            reasons.extend(green.err());
            reasons.sort();
            return Err(Refusal { reasons, groups: groups.len() });
        }
    };
    let blue =
        blue.map(|(id, seen)| Fleet { id: id.clone(), revision: seen.revision.clone(), size: size(seen) });
    let pace = ask.capability.pace;
    let plan = Plan {
        format: PLAN_FORMAT,
        rollout: ask.rollout.clone(),
        purpose: ask.purpose.clone(),
        strategy,
        blue,
        green,
        steps,
        settle: spec.settle,
        bake: spec.bake,
        quiet: spec.quiet,
        min_healthy: spec.min_healthy,
        freeze: spec.freeze && ask.capability.freeze,
        deadlines: spec.deadlines,
        pace: Pace {
            soon: pace,
            watch: watch(pace, &groups, look),
            fresh: FRESH.max(Span(pace.0 * 10)).max(Span(ask.capability.look.0 * LOOKS_FRESH)),
            lands: ask.capability.lands,
        },
        expect: ask.expect,
        groups,
        waivers: ask.waivers.clone(),
        world: world::digest(look),
        release: None,
        home: spec.home(),
    };
    let notes = notes(&plan, look);
    Ok(Draft { plan, notes })
}

/// A target's health changes at most once in a check: to look more often while everything only has to stay as it is
/// shows nothing new.
fn watch(pace: Span, groups: &BTreeMap<GroupId, GroupPlan>, look: &Inventory) -> Span {
    let checked = groups.keys().filter_map(|id| look.group(id)).map(|group| group.health_interval);
    let (least, most) = (Span(pace.0 * 2), Span(pace.0 * 10));
    checked.min().unwrap_or(least).clamp(least, most)
}

/// The oldest look that a change may rest on; long enough for a look over many pages.
const FRESH: Span = Span::secs(30);
/// Where a look takes long by the provider's limits, how many times as long it may be acted on.
const LOOKS_FRESH: u64 = 3;

fn unknowns(look: &Inventory) -> Vec<Refused> {
    let unread = look.unread.iter().map(|what| Refused::Unread { what: what.clone() });
    let unknown = |kind: &'static str, id: String, reason: Option<&String>| {
        reason.map(|reason| Refused::Unknown { what: format!("{kind} `{id}`"), reason: reason.clone() })
    };
    let fleets = look.fleets.iter().filter_map(|(id, seen)| unknown("fleet", id.to_string(), reason(seen)));
    let groups =
        look.groups.iter().filter_map(|(id, seen)| unknown("target group", id.to_string(), reason(seen)));
    unread.chain(fleets).chain(groups).collect()
}

fn reason<T>(seen: &Seen<T>) -> Option<&String> {
    match seen {
        Seen::Known(_) => None,
        Seen::Unknown(reason) => Some(reason),
    }
}

type Blue<'a> = (&'a FleetId, &'a FleetSeen);

/// The fleet that carries traffic. Two are an error: guessing would make the wrong one go.
fn blue(look: &Inventory) -> Result<Option<Blue<'_>>, BTreeSet<FleetId>> {
    let carries = |id: &FleetId| {
        let side = |group: &GroupSeen| group.sides.get(id).is_some_and(|side| side.share > Share::NONE);
        look.groups.values().filter_map(Seen::known).any(side)
    };
    let known = look.fleets.iter().filter_map(|(id, seen)| seen.known().map(|seen| (id, seen)));
    let mut serving: Vec<_> = known.filter(|(id, _)| carries(id)).collect();
    match serving.len() {
        0 | 1 => Ok(serving.pop()),
        _ => Err(serving.into_iter().map(|(id, _)| id.clone()).collect()),
    }
}

/// Targets that carry traffic and belong to no fleet that was seen. Beside blue they would keep their share for ever; alone
/// they are a blue that nobody named, and green must not take their place as if nothing served.
fn strangers(look: &Inventory) -> Vec<Refused> {
    let serves = |side: &Side| {
        let live = |health: Health| !matches!(health, Health::Draining | Health::Unused);
        side.share > Share::NONE && side.targets.values().any(|target| live(target.health))
    };
    let groups = look.groups.iter().filter_map(|(id, seen)| Some((id, seen.known()?)));
    let strange = groups.flat_map(|(id, group)| {
        let sides =
            group.sides.iter().filter(|(fleet, side)| !look.fleets.contains_key(*fleet) && serves(side));
        sides.map(|(fleet, _)| Refused::Stranger { group: id.clone(), who: fleet.clone() })
    });
    strange.collect()
}

/// Groups that are to be shared by weight, and cannot.
fn weightless(spec: &Spec, look: &Inventory) -> Vec<Refused> {
    let asked = spec.weighed().into_iter().filter_map(|id| Some((look.group(&id)?, id)));
    let cannot = asked.filter(|(seen, _)| seen.sharing != Sharing::Weighed);
    cannot.map(|(seen, group)| Refused::Weightless { group, routes: seen.routes.clone() }).collect()
}

/// Twins of which nobody could tell whether green is well before it takes everything.
fn unproved(spec: &Spec, look: &Inventory) -> Vec<Refused> {
    let accepted = spec.accepts_unproved();
    let known = look.groups.iter().filter_map(|(id, seen)| Some((id, seen.known()?)));
    let twins = known.filter(|(id, seen)| seen.sharing == Sharing::Unproved && !accepted.contains(id));
    twins
        .map(|(group, seen)| Refused::Unproved { group: group.clone(), routes: seen.routes.clone() })
        .collect()
}

/// Every group that must be lit at the end. What is in the world or in the history and not in the file is a reason
/// to refuse, never a group to take up or to leave out in silence.
fn expected(
    spec: &Spec,
    look: &Inventory,
    ask: &Ask<'_>,
    blue: Option<Blue<'_>>,
    reasons: &mut Vec<Refused>,
) -> BTreeMap<GroupId, GroupPlan> {
    let declared: BTreeSet<_> = spec.groups().into_iter().collect();
    let stands = blue.map(|(id, _)| look.groups_of(id)).unwrap_or_default();
    let waived =
        |id: &GroupId| ask.waivers.iter().any(|waiver| waiver.group == *id && waiver.until > ask.now);
    for id in ask.amended.iter().chain(ask.waivers.iter().map(|waiver| &waiver.group)) {
        let known = look.groups.contains_key(id) || ask.last.contains(id);
        if !known {
            reasons.push(Refused::NoSuchGroup { group: id.clone() });
        }
    }
    let mut groups = BTreeMap::new();
    for id in declared.iter().chain(&stands).chain(ask.last).chain(&ask.amended).collect::<BTreeSet<_>>() {
        let asked = declared.contains(id) || ask.amended.contains(id);
        match (asked, look.groups.get(id)) {
            (true, Some(Seen::Known(seen))) => {
                let facts = [
                    (declared.contains(id), Because::Declared),
                    (stands.contains(id), Because::BlueStands),
                    (ask.last.contains(id), Because::LastRollout),
                    (ask.amended.contains(id), Because::Amended),
                ];
                let because =
                    facts.into_iter().filter(|(holds, _)| *holds).map(|(_, because)| because).collect();
                groups.insert(id.clone(), GroupPlan { because, sharing: seen.sharing, steps: seen.steps });
            }
            (true, Some(Seen::Unknown(_))) => {} // Refused as unknown already.
            (true, None) => reasons.push(Refused::Unseen { group: id.clone() }),
            (false, _) if waived(id) => {}
            (false, seen) if stands.contains(id) => {
                let seen = seen.and_then(Seen::known);
                let side = |seen: &GroupSeen| blue.and_then(|(id, _)| seen.sides.get(id).map(Side::healthy));
                reasons.push(Refused::Undeclared {
                    group: id.clone(),
                    blue_healthy: seen.and_then(side).unwrap_or(0),
                    routes: seen.map(|seen| seen.routes.clone()).unwrap_or_default(),
                });
            }
            (false, _) => reasons.push(Refused::Dropped { group: id.clone() }),
        }
    }
    groups
}

fn size(seen: &FleetSeen) -> u32 {
    let up = seen.instances.values().filter(|state| **state != InstanceState::Leaving).count();
    seen.desired.max(u32::try_from(up).unwrap_or(u32::MAX))
}

fn green(spec: &Spec, look: &Inventory, ask: &Ask<'_>, blue: Option<Blue<'_>>) -> Result<Fleet, Refused> {
    let id = match spec.pair() {
        Some(pair) => half(pair, look, blue.map(|(id, _)| id))?,
        None => numbered(spec, look, ask)?,
    };
    let revision = ask.revision.clone().unwrap_or_else(|| spec.revision.clone());
    Ok(Fleet { id, revision, size: wanted(spec, blue) })
}

/// How large green is to be.
fn wanted(spec: &Spec, blue: Option<Blue<'_>>) -> u32 {
    spec.instances.or(blue.map(|(_, seen)| size(seen))).unwrap_or(1).max(1)
}

/// Named after its rollout, and past every name that is taken: a cloud may still be deleting the last one.
fn numbered(spec: &Spec, look: &Inventory, ask: &Ask<'_>) -> Result<FleetId, Refused> {
    let prefix = format!("{}-v", spec.service);
    let taken =
        look.fleets.keys().filter_map(|id| id.as_str().strip_prefix(&prefix)?.parse::<u64>().ok()).max();
    let number = taken.map_or(0, |taken| taken.saturating_add(1)).max(ask.rollout.number);
    FleetId::new(format!("{prefix}{number}")).map_err(|bad| Refused::NoName { why: bad.to_string() })
}

/// Of two fleets that alternate, the one that does not serve. It must rest: a look shows none that does.
fn half(pair: &[String; 2], look: &Inventory, blue: Option<&FleetId>) -> Result<FleetId, Refused> {
    let [one, two] = pair;
    let name = match blue.map(FleetId::as_str) {
        None => one,
        Some(blue) if blue == one => two,
        Some(blue) if blue == two => one,
        Some(blue) => {
            let why = format!("`{blue}` serves, which is none of the pair `{one}` and `{two}`");
            return Err(Refused::NoName { why });
        }
    };
    let id = FleetId::new(name.clone()).map_err(|bad| Refused::NoName { why: bad.to_string() })?;
    match look.fleets.get(&id).map(Seen::known) {
        None => Ok(id),
        Some(seen) => {
            let there = seen.map_or(0, size);
            let why = format!(
                "`{id}` of the pair is to become green and does not rest: it has or wants {there} instances. Empty \
                 it once nothing needs it"
            );
            Err(Refused::NoName { why })
        }
    }
}

fn notes(plan: &Plan, look: &Inventory) -> Vec<Note> {
    let mut notes = Vec::new();
    match &plan.blue {
        None => notes.push(Note::FirstDeployment),
        Some(blue) => {
            if blue.revision == plan.green.revision {
                notes.push(Note::SameRevision);
            }
            if plan.green.size < blue.size {
                notes.push(Note::Smaller { blue: blue.size, green: plan.green.size });
            }
            let sides = plan.groups.keys().filter_map(|id| Some((id, look.group(id)?.sides.get(&blue.id)?)));
            let unwell = sides.filter(|(_, side)| side.healthy() < plan.min_healthy.of(blue.size).max(1));
            notes.extend(
                unwell.map(|(id, side)| Note::BlueUnwell { group: id.clone(), healthy: side.healthy() }),
            );
        }
    }
    let idle = look.fleets.keys().filter(|id| plan.blue.as_ref().is_none_or(|blue| blue.id != **id));
    notes.extend(idle.map(|fleet| Note::Idle { fleet: fleet.clone() }));
    for (id, group) in &plan.groups {
        let partial = whole::parts(&plan.steps).next().is_some();
        if group.steps == Steps::AllOrNothing && partial {
            notes.push(Note::AllAtOnce { group: id.clone() });
        }
        if group.sharing == Sharing::Unproved {
            notes.push(Note::Unproved { group: id.clone() });
        }
        if group.sharing == Sharing::Weighed {
            notes.push(weighed(plan, id));
        }
        if group.sharing == Sharing::Shared {
            let blue = plan.blue.as_ref().map_or(0, |blue| blue.size);
            let share = Sizes { blue, green: plan.green.size }.joined();
            notes.push(Note::SharedAtOnce { group: id.clone(), share });
        }
    }
    let waived = plan.waivers.iter();
    notes.extend(
        waived.map(|waiver| Note::Waived { group: waiver.group.clone(), reason: waiver.reason.clone() }),
    );
    notes
}

/// What whole weights make of the steps.
fn weighed(plan: &Plan, group: &GroupId) -> Note {
    let size = |fleet: &Fleet| usize::try_from(fleet.size).unwrap_or(usize::MAX);
    let blue = vec![WEIGHT_MAX; plan.blue.as_ref().map_or(0, size)];
    let made = |share| nearest(share, size(&plan.green), &blue).share();
    let steps = whole::parts(&plan.steps)
        .map(|share| (share, made(share)))
        .filter(|(asked, real)| asked != real)
        .collect();
    Note::Weighed { group: group.clone(), first: made(Share::LEAST), steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(fleets: &[&str]) -> Inventory {
        let fleets = fleets.iter().map(|id| {
            (FleetId::new(*id).unwrap(), Seen::Unknown("only that it is there is known here".to_owned()))
        });
        Inventory { fleets: fleets.collect(), ..Inventory::default() }
    }

    #[test]
    fn of_a_pair_the_one_that_rests_becomes_green() {
        let pair = ["api-a".to_owned(), "api-b".to_owned()];
        let green = |fleets: &[&str], blue: Option<&str>| {
            let blue = blue.map(|id| FleetId::new(id).unwrap());
            half(&pair, &look(fleets), blue.as_ref()).map(|id| id.to_string())
        };
        assert_eq!(green(&["api-a"], Some("api-a")).unwrap(), "api-b");
        assert_eq!(green(&["api-b"], Some("api-b")).unwrap(), "api-a");
        assert_eq!(green(&[], None).unwrap(), "api-a");
        assert!(green(&["api-a", "api-b"], Some("api-b")).unwrap_err().to_string().contains("does not rest"));
        assert!(green(&["other"], Some("other")).unwrap_err().to_string().contains("none of the pair"));
    }
}
