//! The planner: what it takes up, what it refuses, and what it remarks.

use std::collections::BTreeSet;

use deployer::cloud::sim::{SimGroup, World};
use deployer::cloud::{Capability, Scope};
use deployer::model::{
    Because, Expect, FleetId, GroupId, Health, Inventory, Purpose, Revision, RolloutId, Scaling, Seen, Share,
    Sharing, Span, Steps, Waiver,
};
use deployer::plan::{Ask, Draft, Note, Refused, digest, draft};
use deployer::spec::{self, Source, Spec, any_value};

use crate::common::{NOW, blue, group, new, old, served, share, world_with_blue};
use crate::rig::{edit, names, two_groups, waiver};

const FILE: &str = "
service: api
revision: r2
strategies: { canary: { steps: [10, 100] } }
strategy: canary
environments:
  sim: { provider: { local: { command: [run], groups: {
    internal: { listen: '127.0.0.1:8001' }, public: { listen: '127.0.0.1:8002' } } } } }
";

/// The same groups on a cloud, where a file can accept that they take no steps.
const CLOUD: &str = "
service: api
revision: r2
strategies: { canary: { steps: [10, 40, 100] }, switch: { steps: [100] } }
strategy: canary
environments:
  sim: { provider: { edas: { account: '1234567890123456', region: cn-hongkong, application: app, port: 8080,
    fleets: { pair: [api-1, api-2] }, hosts: { idle: cluster }, package: 'https://example.com/{revision}', groups: {
    internal: { nlb: sgp-1WHOLE }, public: { alb_twins: [sgp-2, sgp-3]WHOLE } } } } }
";

struct Case {
    spec: Spec,
    look: Inventory,
    last: BTreeSet<GroupId>,
    amended: BTreeSet<GroupId>,
    waivers: Vec<Waiver>,
    strategy: Option<&'static str>,
    purpose: Purpose,
    number: u64,
}

fn case(world: &World) -> Case {
    case_of(world, FILE)
}

/// With a line in each group that accepts that it takes no steps, or without.
fn on_cloud(world: &World, accepts: bool) -> Case {
    case_of(world, &CLOUD.replace("WHOLE", if accepts { ", whole: accept" } else { "" }))
}

fn case_of(world: &World, text: &str) -> Case {
    let source = Source { name: "api.yaml", text };
    let spec =
        spec::read(&source, &spec::Ask::default(), &any_value).unwrap_or_else(|_| panic!("it is right"));
    Case {
        spec,
        look: seen(world),
        last: BTreeSet::new(),
        amended: BTreeSet::new(),
        waivers: Vec::new(),
        strategy: None,
        purpose: Purpose::Deploy,
        number: 2,
    }
}

fn seen(world: &World) -> Inventory {
    let groups = world.groups.keys().cloned().collect();
    world.inventory(&Scope { service: "api".parse().unwrap(), groups, fleets: BTreeSet::new() })
}

impl Case {
    fn draft(&self) -> Result<Draft, Vec<Refused>> {
        let ask = Ask {
            rollout: RolloutId {
                service: "api".parse().unwrap(),
                environment: "sim".parse().unwrap(),
                number: self.number,
            },
            purpose: self.purpose.clone(),
            revision: None,
            strategy: self.strategy.map(|name| name.parse().unwrap()),
            last: &self.last,
            amended: self.amended.clone(),
            waivers: self.waivers.clone(),
            expect: Expect::default(),
            now: NOW,
            capability: Capability { freeze: true, pace: Span::secs(1), lands: Span::ZERO, look: Span::ZERO },
        };
        draft(&self.spec, &self.look, &ask).map_err(|refusal| refusal.reasons)
    }

    fn refused(&self) -> Vec<Refused> {
        self.draft().unwrap_err()
    }

    fn planned(&self) -> Draft {
        self.draft().unwrap()
    }

    fn because(&self, name: &str) -> BTreeSet<Because> {
        self.planned().plan.groups[&group(name)].because.clone()
    }
}

/// Blue also serves `partner`, which the file does not declare.
fn with_partner() -> World {
    let mut world = two_groups(2);
    served(&mut world, "partner", Sharing::Paired, Steps::Any);
    world
}

fn undeclared(name: &str, blue_healthy: u32) -> Refused {
    let routes = BTreeSet::from([format!("listener {name}:443")]);
    Refused::Undeclared { group: group(name), blue_healthy, routes }
}

#[test]
fn a_plan_names_every_group_with_its_reasons() {
    let mut case = case(&two_groups(2));
    case.last = names(["internal"]);
    let plan = case.planned().plan;
    assert_eq!(plan.groups.keys().cloned().collect::<BTreeSet<_>>(), names(["internal", "public"]));
    let (declared, stands) = (Because::Declared, Because::BlueStands);
    assert_eq!(case.because("internal"), [declared, stands, Because::LastRollout].into());
    assert_eq!(case.because("public"), [declared, stands].into());
    let blue = plan.blue.unwrap();
    assert_eq!((blue.id, blue.revision, blue.size), (self::blue(), old(), 2));
    assert_eq!((plan.green.id.as_str(), plan.green.revision, plan.green.size), ("api-v2", new(), 2));
}

#[test]
fn a_group_that_blue_serves_and_the_file_does_not_declare_refuses_the_plan() {
    assert_eq!(case(&with_partner()).refused(), [undeclared("partner", 2)]);
}

#[test]
fn a_group_in_which_blue_is_only_attached_refuses_the_plan_too() {
    let mut world = two_groups(2);
    world.fleets.get_mut(&blue()).unwrap().attached.insert(group("hidden"));
    let hidden = Refused::Undeclared { group: group("hidden"), blue_healthy: 0, routes: BTreeSet::new() };
    assert_eq!(case(&world).refused(), [hidden]);
}

#[test]
fn an_undeclared_group_can_be_amended_or_waived() {
    let mut case = case(&with_partner());
    case.amended = names(["partner"]);
    assert_eq!(case.because("partner"), [Because::BlueStands, Because::Amended].into());
    case.amended.clear();
    case.waivers.push(waiver("partner", NOW + Span(1)));
    let draft = case.planned();
    assert!(!draft.plan.groups.contains_key(&group("partner")));
    assert!(draft.notes.contains(&Note::Waived { group: group("partner"), reason: "unused".into() }));
    case.waivers[0].until = NOW;
    assert_eq!(case.refused(), [undeclared("partner", 2)], "an expired waiver does not count");
}

#[test]
fn a_group_that_the_last_rollout_covered_cannot_be_dropped_in_silence() {
    let mut case = case(&two_groups(2));
    case.last = names(["internal", "partner"]);
    assert_eq!(case.refused(), [Refused::Dropped { group: group("partner") }]);
    case.waivers.push(waiver("partner", NOW + Span(1)));
    assert!(!case.planned().plan.groups.contains_key(&group("partner")));
}

#[test]
fn every_reason_is_given_at_once_and_in_order() {
    let mut world = with_partner();
    world.vanish(&group("public"));
    world.found(&FleetId::new("api-9").unwrap(), &old(), 1, Scaling::Active);
    world.build(&group("other"), SimGroup::new(Sharing::Paired, Steps::Any, "listener other:443"));
    world.attach(&FleetId::new("api-9").unwrap(), &group("other"));
    let mut case = case(&world);
    case.look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    case.look.fleets.insert(FleetId::new("api-7").unwrap(), Seen::Unknown("denied".into()));
    case.look.unread.insert("listeners: denied".into());
    case.last = names(["gone"]);
    case.amended = names(["typo"]);
    case.strategy = Some("unheard");
    let fleets = BTreeSet::from([blue(), FleetId::new("api-9").unwrap()]);
    let unknown = |what: &str, reason: &str| Refused::Unknown { what: what.into(), reason: reason.into() };
    let known = ["bluegreen", "canary"].map(|name| name.parse().unwrap());
    let mut expected = vec![
        Refused::Dropped { group: group("gone") },
        Refused::Unseen { group: group("public") },
        Refused::Unseen { group: group("typo") },
        unknown("fleet `api-7`", "denied"),
        unknown("target group `internal`", "throttled"),
        Refused::Unread { what: "listeners: denied".into() },
        Refused::TwoBlues { fleets },
        Refused::NoStrategy { asked: "unheard".parse().unwrap(), known: known.into() },
        Refused::NoSuchGroup { group: group("typo") },
    ];
    let mut refused = case.refused();
    for reason in [&mut expected, &mut refused] {
        for reason in reason.iter_mut() {
            if let Refused::NoStrategy { known, .. } = reason {
                known.clear();
            }
        }
    }
    assert_eq!(refused, expected);
}

#[test]
fn traffic_that_goes_to_somebody_who_is_in_no_fleet_is_refused() {
    let mut case = case(&two_groups(2));
    let stranger = FleetId::new("i-0abc").unwrap();
    let Some(Seen::Known(seen)) = case.look.groups.get_mut(&group("public")) else { panic!("it was seen") };
    let mut side = seen.sides[&blue()].clone();
    side.share = share(33);
    seen.sides.insert(stranger.clone(), side);
    assert_eq!(case.refused(), [Refused::Stranger { group: group("public"), who: stranger.clone() }]);
    let Some(Seen::Known(seen)) = case.look.groups.get_mut(&group("public")) else { panic!("it was seen") };
    for target in seen.sides.get_mut(&stranger).unwrap().targets.values_mut() {
        target.health = Health::Draining;
    }
    case.planned(); // Whoever is on the way out carries nothing any more.
}

#[test]
fn two_fleets_that_carry_traffic_are_refused_and_an_idle_one_is_left_alone() {
    let other = FleetId::new("api-9").unwrap();
    let mut world = two_groups(2);
    world.found(&other, &old(), 1, Scaling::Active);
    world.fleets.get_mut(&other).unwrap().attached.insert(group("internal"));
    assert!(case(&world).planned().notes.contains(&Note::Idle { fleet: other.clone() }));
    let weights = &mut world.groups.get_mut(&group("internal")).unwrap().weights;
    weights.insert(blue(), share(99));
    weights.insert(other.clone(), share(1));
    assert_eq!(case(&world).refused(), [Refused::TwoBlues { fleets: [blue(), other].into() }]);
}

#[test]
fn green_is_named_past_every_name_that_is_taken_and_never_before_its_rollout() {
    let mut world = two_groups(1);
    world.found(&FleetId::new("api-v7").unwrap(), &old(), 0, Scaling::Active);
    let mut case = case(&world);
    assert_eq!(case.planned().plan.green.id.as_str(), "api-v8");
    case.look.fleets.insert(FleetId::new("api-v8").unwrap(), Seen::Unknown("deleting".into()));
    assert_eq!(
        case.refused(),
        [Refused::Unknown { what: "fleet `api-v8`".into(), reason: "deleting".into() }]
    );
    case.look.fleets.remove(&FleetId::new("api-v8").unwrap());
    case.number = 40;
    assert_eq!(case.planned().plan.green.id.as_str(), "api-v40");
}

#[test]
fn what_an_operator_should_know_is_remarked() {
    let mut world = world_with_blue(4);
    served(&mut world, "internal", Sharing::Shared, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::AllOrNothing);
    world.sicken(&group("internal"), &old());
    let mut case = on_cloud(&world, true);
    case.spec.revision = old();
    case.spec.instances = Some(1);
    let expected = [
        Note::SameRevision,
        Note::Smaller { blue: 4, green: 1 },
        Note::BlueUnwell { group: group("internal"), healthy: 0 },
        Note::SharedAtOnce { group: group("internal"), share: share(20) },
        Note::AllAtOnce { group: group("public") },
    ];
    assert_eq!(case.planned().notes, expected);
}

/// Blue serves `internal` by membership and `public` by a route that has no weights.
fn without_steps(size: u32) -> World {
    let mut world = world_with_blue(size);
    served(&mut world, "internal", Sharing::Shared, Steps::AllOrNothing);
    served(&mut world, "public", Sharing::Paired, Steps::AllOrNothing);
    world
}

#[test]
fn a_group_that_takes_no_steps_refuses_a_strategy_in_steps_unless_the_file_accepts_that() {
    let world = without_steps(3);
    let whole = |name: &str, joined: Option<u64>| Refused::Whole {
        group: group(name),
        strategy: "canary".parse().unwrap(),
        parts: vec![share(10), share(40)],
        joined: joined.map(share),
        routes: [format!("listener {name}:443")].into(),
        switch: Some("switch".parse().unwrap()),
    };
    let mut case = on_cloud(&world, false);
    case.spec.instances = Some(1);
    let reasons = case.refused();
    assert_eq!(reasons, [whole("internal", Some(25)), whole("public", None)]);
    let text = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
    assert_eq!(
        text,
        "strategy `canary` asks for 10%, 40% of `internal`, which takes no steps: green would have about 25% as soon as it \
         joins, and the rest at the last step: `listener internal:443`\n\
         strategy `canary` asks for 10%, 40% of `public`, which takes no steps: green would have none of it until the last \
         step, and all of it there: `listener public:443`\n"
    );
    let mut accepted = on_cloud(&world, true);
    accepted.spec.instances = Some(1);
    let notes = accepted.planned().notes;
    let remarks = [
        Note::SharedAtOnce { group: group("internal"), share: share(25) },
        Note::AllAtOnce { group: group("public") },
    ];
    assert!(remarks.iter().all(|note| notes.contains(note)), "{notes:?}");
}

#[test]
fn what_takes_no_steps_is_not_refused_where_none_are_asked_for_nor_on_the_way_back_nor_where_nothing_serves()
{
    let world = without_steps(1);
    let mut switch = on_cloud(&world, false);
    switch.strategy = Some("switch");
    let joins = Note::SharedAtOnce { group: group("internal"), share: share(50) };
    assert_eq!(switch.planned().notes, [joins]);
    let mut back = on_cloud(&world, false);
    back.purpose = Purpose::Rollback { of: 1 };
    assert!(back.planned().notes.contains(&Note::AllAtOnce { group: group("public") }));
    let mut empty = World::new(NOW, Span::ZERO);
    for (name, sharing) in [("internal", Sharing::Shared), ("public", Sharing::Paired)] {
        empty.build(&group(name), SimGroup::new(sharing, Steps::AllOrNothing, "listener:443"));
    }
    assert!(on_cloud(&empty, false).planned().notes.contains(&Note::FirstDeployment));
    // A group that a person adds to this rollout alone has no line in the file.
    let mut world = two_groups(1);
    served(&mut world, "partner", Sharing::Shared, Steps::AllOrNothing);
    let mut amended = case(&world);
    amended.amended.insert(group("partner"));
    assert!(
        amended.planned().notes.contains(&Note::SharedAtOnce { group: group("partner"), share: share(50) })
    );
}

#[test]
fn of_a_group_shared_by_weight_the_plan_says_what_whole_weights_make_of_the_steps() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Weighed, Steps::Any);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let mut case = case(&world);
    case.spec.instances = Some(1);
    let weighed = |first, steps| Note::Weighed { group: group("internal"), first: share(first), steps };
    assert_eq!(case.planned().notes, [weighed(1, vec![])]);
    // Thirty beside one cannot come in with less.
    case.spec.instances = Some(30);
    let notes = case.planned().notes;
    assert_eq!(notes, [weighed(23, vec![(share(10), share(23))])]);
    let text = notes[0].to_string();
    assert!(
        text.contains("`internal`") && text.contains("10% becomes 23%") && text.contains("no preview"),
        "{text}"
    );
}

#[test]
fn twins_that_nobody_checks_are_refused_unless_the_file_accepts_it() {
    let mut world = world_with_blue(1);
    served(&mut world, "internal", Sharing::Unproved, Steps::AllOrNothing);
    served(&mut world, "public", Sharing::Paired, Steps::Any);
    let reasons = on_cloud(&world, true).refused();
    let text = reasons.iter().map(ToString::to_string).collect::<String>();
    assert_eq!(reasons.len(), 1);
    for word in ["nobody checks the twin of `internal`", "listener internal:443"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn where_nothing_serves_the_plan_has_no_blue_and_says_so() {
    let mut world = World::new(NOW, Span::ZERO);
    for name in ["internal", "public"] {
        world.build(&group(name), SimGroup::new(Sharing::Paired, Steps::Any, "listener:443"));
    }
    let draft = case(&world).planned();
    assert_eq!((draft.plan.blue, draft.plan.green.size), (None, 1));
    assert_eq!(draft.notes, [Note::FirstDeployment]);
}

#[test]
fn the_digest_changes_with_everything_that_a_plan_rests_on() {
    let base = seen(&two_groups(2));
    let changed = |change: &dyn Fn(&mut Inventory)| {
        let mut look = base.clone();
        change(&mut look);
        digest(&look)
    };
    let internal =
        |change: fn(&mut deployer::model::GroupSeen)| changed(&|look| edit(look, "internal", change));
    let fleet = |change: fn(&mut deployer::model::FleetSeen)| {
        changed(&|look| {
            if let Some(Seen::Known(seen)) = look.fleets.get_mut(&blue()) {
                change(seen);
            }
        })
    };
    let all = [
        digest(&base),
        internal(|seen| seen.sides.get_mut(&blue()).unwrap().share = Share::NONE),
        internal(|seen| seen.sides.get_mut(&blue()).unwrap().targets.clear()),
        internal(|seen| drop(seen.sides.remove(&blue()))),
        internal(|seen| seen.routes.clear()),
        internal(|seen| seen.sharing = Sharing::Shared),
        internal(|seen| seen.steps = Steps::AllOrNothing),
        fleet(|seen| seen.desired += 1),
        fleet(|seen| seen.revision = Revision::new("r9").unwrap()),
        fleet(|seen| seen.attached.clear()),
        changed(&|look| drop(look.groups.remove(&group("internal")))),
        changed(&|look| drop(look.groups.insert(group("internal"), Seen::Unknown("denied".into())))),
        changed(&|look| drop(look.fleets.insert(blue(), Seen::Unknown("denied".into())))),
        changed(&|look| drop(look.fleets.remove(&blue()))),
        changed(&|look| look.unread.extend(["listeners: denied".to_owned()])),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn the_digest_stays_when_only_health_and_time_change() {
    let base = seen(&two_groups(2));
    let mut look = base.clone();
    look.looked_at = NOW + Span::mins(5);
    edit(&mut look, "internal", |seen| {
        for target in seen.sides.get_mut(&blue()).unwrap().targets.values_mut() {
            target.health = Health::Unhealthy;
        }
    });
    assert_eq!(digest(&look), digest(&base));
}
