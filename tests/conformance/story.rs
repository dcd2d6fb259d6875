//! The words that sentences are made of.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deployer::cloud::{Backend, Change, Fault, FaultKind};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{
    Fleet, FleetId, GroupId, Health, InstanceId, InstanceState, Inventory, Scaling, Share, Side, Span, Time,
    Token,
};

use crate::harness::Harness;

/// A token that was never used before.
pub fn token() -> Token {
    static USED: AtomicU64 = AtomicU64::new(0);
    Token::new(format!("conformance-{}", USED.fetch_add(1, Ordering::Relaxed))).unwrap()
}

pub fn share(percent: u64) -> Share {
    Share::new(percent).unwrap()
}

pub fn only(group: &GroupId) -> BTreeSet<GroupId> {
    [group.clone()].into()
}

pub async fn look<H: Harness>(h: &H) -> Inventory {
    let seen = h.backend().look(&h.given().scope()).await.unwrap();
    assert_eq!(seen.unread, BTreeSet::new());
    seen
}

/// Looks until it is so.
pub async fn until<H: Harness>(h: &H, what: &str, is_so: impl Fn(&Inventory) -> bool) -> Inventory {
    watch(h, what, |_| {}, is_so).await
}

/// Looks until it is so, and holds something against every look on the way there.
pub async fn watch<H: Harness>(
    h: &H,
    what: &str,
    mut each: impl FnMut(&Inventory),
    is_so: impl Fn(&Inventory) -> bool,
) -> Inventory {
    let (until, pace) = (h.now() + h.ways().patience, Duration::from(h.ways().pace));
    loop {
        let seen = look(h).await;
        each(&seen);
        if is_so(&seen) {
            return seen;
        }
        assert!(h.now() < until, "waited in vain until {what}: {seen:#?}");
        tokio::time::sleep(pace).await;
    }
}

/// Looks until nothing moves any more.
pub async fn at_rest<H: Harness>(h: &H) -> Inventory {
    until(h, "nothing moves", rests).await
}

fn rests(seen: &Inventory) -> bool {
    let ids = seen.fleets.keys();
    let fleets = ids.filter_map(|id| seen.fleet(id)).all(|fleet| {
        fleet.running().len() == fleet.instances.len() && fleet.instances.len() == fleet.desired as usize
    });
    let groups = seen.groups.iter().all(|(id, group)| {
        group.known().is_some_and(|group| {
            group.sides.iter().all(|(fleet, side)| {
                let moves = [Health::Initial, Health::Draining].iter().any(|health| side.count(*health) > 0);
                let attached = seen.fleet(fleet).is_none_or(|fleet| fleet.attached.contains(id));
                !moves && (!attached || stands_whole(seen, fleet, id))
            })
        })
    });
    fleets && groups
}

pub async fn try_change<H: Harness>(h: &H, change: &Change) -> Result<(), Fault> {
    h.backend().change(change, &token()).await
}

pub async fn change<H: Harness>(h: &H, change: &Change) {
    try_change(h, change).await.unwrap_or_else(|fault| panic!("{change:?}: {fault}"));
}

/// The change is refused so, certainly not applied, and nothing is other than before.
pub async fn refused<H: Harness>(h: &H, change: &Change, kind: FaultKind) {
    let before = at_rest(h).await;
    match try_change(h, change).await {
        Ok(()) => panic!("{change:?} was taken"),
        Err(fault) => assert_eq!((fault.kind, fault.ambiguous), (kind, false), "{change:?}: {fault}"),
    }
    same(&before, &look(h).await);
}

#[track_caller]
pub fn same(before: &Inventory, after: &Inventory) {
    assert_eq!(before.fleets, after.fleets);
    assert_eq!(before.groups, after.groups);
    assert!(before.same_world(after));
}

/// Everything but this fleet's own standing is as it was.
#[track_caller]
pub fn same_but(fleet: &FleetId, before: &Inventory, after: &Inventory) {
    let without = |seen: &Inventory| {
        let mut seen = seen.clone();
        seen.fleets.remove(fleet);
        let groups = seen.groups.keys().cloned().collect::<Vec<_>>();
        for id in groups {
            let mut group = group(&seen, &id);
            group.sides.remove(fleet);
            seen.groups.insert(id, deployer::model::Seen::Known(group));
        }
        seen
    };
    same(&without(before), &without(after));
}

#[track_caller]
pub fn group(seen: &Inventory, id: &GroupId) -> deployer::model::GroupSeen {
    seen.group(id).unwrap_or_else(|| panic!("`{id}` was not seen: {seen:#?}")).clone()
}

pub fn side(seen: &Inventory, fleet: &FleetId, id: &GroupId) -> Side {
    seen.group(id).and_then(|group| group.sides.get(fleet)).cloned().unwrap_or_default()
}

/// Whether each instance of the fleet, and no other, has a target there that is not leaving.
pub fn stands_whole(seen: &Inventory, fleet: &FleetId, id: &GroupId) -> bool {
    let side = side(seen, fleet, id);
    let staying = side.targets.values().filter(|target| target.health != Health::Draining);
    let standing: BTreeSet<_> = staying.map(|target| &target.instance).collect();
    seen.fleet(fleet).is_some_and(|fleet| {
        !fleet.instances.is_empty() && fleet.instances.keys().collect::<BTreeSet<_>>() == standing
    })
}

/// Whether the fleet stands whole and well in these groups.
pub fn well(seen: &Inventory, fleet: &Fleet, groups: &BTreeSet<GroupId>) -> bool {
    let size = fleet.size as usize;
    groups.iter().all(|id| {
        let own = side(seen, &fleet.id, id);
        stands_whole(seen, &fleet.id, id) && own.targets.len() == size && own.healthy() == fleet.size
    })
}

/// Whether the fleet is up at its size.
pub fn up(seen: &Inventory, fleet: &Fleet) -> bool {
    seen.fleet(&fleet.id).is_some_and(|seen| {
        seen.instances.len() == fleet.size as usize
            && seen.instances.values().all(|state| *state == InstanceState::Running)
    })
}

/// Whether the fleet is up at its size without this instance.
pub fn up_without(seen: &Inventory, fleet: &Fleet, gone: &InstanceId) -> bool {
    up(seen, fleet) && seen.fleet(&fleet.id).is_some_and(|seen| !seen.instances.contains_key(gone))
}

pub fn stands_nowhere(seen: &Inventory, fleet: &FleetId) -> bool {
    seen.groups_of(fleet).is_empty()
}

pub fn provision(fleet: &Fleet) -> Change {
    Change::Provision { fleet: fleet.clone() }
}

pub fn register(fleet: &Fleet, groups: &BTreeSet<GroupId>) -> Change {
    Change::Register { fleet: fleet.id.clone(), groups: groups.clone() }
}

pub fn deregister(fleet: &Fleet, groups: &BTreeSet<GroupId>) -> Change {
    Change::Deregister { fleet: fleet.id.clone(), groups: groups.clone() }
}

/// `percent` of the group for the one, the rest for the other.
pub fn shift(group: &GroupId, to: &Fleet, from: &Fleet, percent: u64) -> Change {
    let (to, from) = (to.id.clone(), Some(from.id.clone()));
    Change::Shift { group: group.clone(), to, from, share: share(percent) }
}

pub fn freeze(fleet: &Fleet) -> Change {
    Change::Freeze { fleet: fleet.id.clone() }
}

pub fn thaw(fleet: &Fleet) -> Change {
    Change::Thaw { fleet: fleet.id.clone() }
}

/// Brings a fleet up.
pub async fn bring_up<H: Harness>(h: &H, fleet: &Fleet) -> Inventory {
    change(h, &provision(fleet)).await;
    come_up(h, fleet, |_| {}).await;
    if !h.ways().proves {
        put_in(h, fleet).await;
    }
    at_rest(h).await
}

/// Waits until the cluster has put the fleet into its twins by itself.
pub async fn put_in<H: Harness>(h: &H, fleet: &Fleet) -> Inventory {
    let twins = h.given().twins();
    let stands = |seen: &Inventory| twins.iter().all(|id| stands_whole(seen, &fleet.id, id));
    until(h, "the fleet stands in its twins", stands).await
}

/// Whether the fleet stands whole in these groups and is well there, as far as anybody can know before it has traffic.
pub fn in_place<H: Harness>(h: &H, seen: &Inventory, fleet: &Fleet, groups: &BTreeSet<GroupId>) -> bool {
    if h.ways().proves {
        return well(seen, fleet, groups);
    }
    groups.iter().all(|id| stands_whole(seen, &fleet.id, id))
}

/// Asks for a fleet as the machine does, until it is as planned: where it comes up in steps, each is asked for. Holds
/// something against every look on the way there.
pub async fn come_up<H: Harness>(h: &H, fleet: &Fleet, mut each: impl FnMut(&Inventory)) -> Inventory {
    let (until, pace) = (h.now() + h.ways().patience, Duration::from(h.ways().pace));
    loop {
        let seen = look(h).await;
        each(&seen);
        let planned = seen
            .fleet(&fleet.id)
            .is_some_and(|seen| seen.desired >= fleet.size && seen.revision == fleet.revision);
        if planned && up(&seen, fleet) {
            return seen;
        }
        assert!(h.now() < until, "waited in vain until the fleet is up: {seen:#?}");
        if !planned {
            change(h, &provision(fleet)).await;
        }
        tokio::time::sleep(pace).await;
    }
}

/// Brings green up, and has it well in these groups.
pub async fn green_in<H: Harness>(h: &H, groups: &BTreeSet<GroupId>) -> Inventory {
    let green = &h.given().green;
    bring_up(h, green).await;
    change(h, &register(green, groups)).await;
    until(h, "green is in place", |seen| in_place(h, seen, green, groups)).await
}

/// Green carries everything, and blue stands nowhere: the moment before blue may go.
pub async fn blue_drained<H: Harness>(h: &H) -> Inventory {
    let given = h.given();
    green_in(h, &given.declared()).await;
    for group in &given.declared() {
        change(h, &shift(group, &given.green, &given.blue, 100)).await;
    }
    // Whoever changes something goes by a look that shows what was done before.
    until(h, "green is well", |seen| well(seen, &given.green, &given.declared())).await;
    change(h, &deregister(&given.blue, &given.declared())).await;
    until(h, "blue stands nowhere", |seen| stands_nowhere(seen, &given.blue.id)).await
}

/// Leave to retire blue, as the product's own gate gives it.
pub async fn leave_for_blue<H: Harness>(h: &H) -> Retirement {
    let given = h.given();
    let (seen, required) = (look(h).await, given.declared());
    let question = question(h, &seen, (&given.blue.id, &given.green.id), &required);
    coverage::prove(&question).unwrap_or_else(|gaps| panic!("{gaps:#?} in {seen:#?}"))
}

/// Leave to retire a fleet that carries nothing.
pub async fn leave_for_idle<H: Harness>(h: &H, fleet: &FleetId) -> Retirement {
    let (seen, required) = (look(h).await, BTreeSet::new());
    let question = question(h, &seen, (fleet, &h.given().blue.id), &required);
    coverage::prove_idle(&question).unwrap_or_else(|gaps| panic!("{gaps:#?} in {seen:#?}"))
}

fn question<'a, H: Harness>(
    h: &H,
    look: &'a Inventory,
    (leaving, staying): (&'a FleetId, &'a FleetId),
    required: &'a BTreeSet<GroupId>,
) -> Question<'a> {
    Question {
        leaving,
        staying,
        required,
        healthy_min: 1,
        waivers: &[],
        look,
        not_before: Time(0),
        fresh: Span::mins(1),
        now: h.now(),
    }
}

/// Whether the cloud may change the fleet's size by itself.
#[track_caller]
pub fn scaling(seen: &Inventory, fleet: &Fleet) -> Scaling {
    seen.fleet(&fleet.id).unwrap_or_else(|| panic!("`{}` was not seen: {seen:#?}", fleet.id)).scaling
}
