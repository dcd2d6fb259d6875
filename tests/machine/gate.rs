//! The gate: what is proved, and every gap by its name.

use std::collections::{BTreeMap, BTreeSet};

use deployer::cloud::Scope;
use deployer::cloud::sim::SimGroup;
use deployer::coverage::{Evidence, Gap, Question, Retirement, Why, gaps, prove, prove_idle};
use deployer::model::{
    FleetId, GroupId, Health, InstanceId, InstanceState, Inventory, Scaling, Seen, Share, Sharing, Span,
    Steps, TargetId, TargetSeen, Time, Waiver,
};

use crate::common::{NOW, blue, green, group, new, plan, share, world_with_blue};
use crate::rig::{blind, edit, gap, names, two_groups, waiver};

struct Case {
    look: Inventory,
    blue: FleetId,
    green: FleetId,
    required: BTreeSet<GroupId>,
    healthy_min: u32,
    waivers: Vec<Waiver>,
    not_before: Time,
    now: Time,
}

impl Case {
    fn question(&self) -> Question<'_> {
        Question {
            leaving: &self.blue,
            staying: &self.green,
            required: &self.required,
            healthy_min: self.healthy_min,
            waivers: &self.waivers,
            look: &self.look,
            not_before: self.not_before,
            fresh: Span::secs(30),
            now: self.now,
        }
    }

    fn gaps(&self) -> Vec<Gap> {
        gaps(&self.question())
    }

    fn prove(&self) -> Result<Retirement, Vec<Gap>> {
        prove(&self.question())
    }

    fn idle(&self) -> Result<Retirement, Vec<Gap>> {
        prove_idle(&self.question())
    }

    fn refused(&self) -> Vec<Gap> {
        self.prove().unwrap_err()
    }

    fn internal(&mut self, change: impl FnOnce(&mut deployer::model::GroupSeen)) {
        edit(&mut self.look, "internal", change);
    }

    /// Blue has a target, or only its share, in `internal` again.
    fn blue_in_internal(&mut self, percent: u64, health: Option<Health>) {
        self.internal(|seen| {
            let side = seen.sides.entry(blue()).or_default();
            side.share = share(percent);
            side.targets.extend(health.map(|health| {
                let instance = InstanceId::new("api-1-i1").unwrap();
                (TargetId::new("api-1-i1:8080").unwrap(), TargetSeen { instance, health, reason: None })
            }));
        });
    }
}

/// Green carries both groups with two instances; blue runs and stands nowhere.
fn case() -> Case {
    let mut world = world_with_blue(2);
    world.found(&green(), &new(), 2, Scaling::Active);
    for name in ["internal", "public"] {
        world.build(&group(name), SimGroup::new(Sharing::Paired, Steps::Any, "listener:443"));
        world.attach(&green(), &group(name));
    }
    let required = names(["internal", "public"]);
    let scope = Scope {
        service: "api".parse().unwrap(),
        groups: required.clone(),
        fleets: BTreeSet::from([blue(), green()]),
    };
    let look = world.inventory(&scope);
    let (not_before, now) = (NOW, NOW);
    Case {
        look,
        blue: blue(),
        green: green(),
        required,
        healthy_min: 2,
        waivers: Vec::new(),
        not_before,
        now,
    }
}

fn evidence(healthy: u32, percent: u64, waived: Option<&str>) -> Evidence {
    Evidence { healthy, share: share(percent), waived: waived.map(str::to_owned) }
}

#[test]
fn every_group_carried_by_healthy_green_lets_blue_go_and_is_named_in_the_proof() {
    let proof = case().prove().unwrap();
    assert_eq!(*proof.fleet(), blue());
    let all = ["internal", "public"].map(|name| (group(name), evidence(2, 100, None)));
    assert_eq!(*proof.covered(), BTreeMap::from(all));
    assert_eq!(case().gaps(), []);
}

#[test]
fn a_group_that_the_look_does_not_show_is_a_gap() {
    let mut case = case();
    case.look.groups.remove(&group("internal"));
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unseen)]);
}

#[test]
fn a_group_that_could_not_be_read_is_a_gap_whether_it_is_expected_or_not() {
    let mut case = case();
    for name in ["internal", "stranger"] {
        case.look.groups.insert(group(name), Seen::Unknown("throttled".into()));
    }
    let unknown = |name| gap(name, 0, Why::Unknown("throttled".into()));
    assert_eq!(case.refused(), [unknown("internal"), unknown("stranger")]);
    assert_eq!(case.gaps(), [unknown("internal"), unknown("stranger")]);
}

#[test]
fn what_could_not_be_searched_is_a_gap() {
    let mut case = case();
    case.look.unread.insert("listeners: denied".into());
    assert_eq!(case.refused(), [blind(Why::Unread("listeners: denied".into()))]);
    assert_eq!(case.idle().unwrap_err(), [blind(Why::Unread("listeners: denied".into()))]);
}

#[test]
fn a_look_that_began_before_the_last_change_settled_proves_nothing() {
    let mut case = case();
    case.not_before = NOW + Span(1);
    case.now = NOW + Span(1);
    assert_eq!(case.refused(), [blind(Why::Stale)]);
    case.look.looked_at = NOW + Span(1);
    assert!(case.prove().is_ok());
}

#[test]
fn a_look_that_is_too_old_proves_nothing() {
    let mut case = case();
    case.now = NOW + Span::secs(30);
    assert!(case.prove().is_ok());
    case.now = NOW + Span::secs(30) + Span(1);
    assert_eq!(case.refused(), [blind(Why::Stale)]);
}

#[test]
fn a_group_without_a_target_of_green_is_a_gap_whatever_its_share() {
    let mut case = case();
    case.internal(|seen| seen.sides.get_mut(&green()).unwrap().targets.clear());
    assert_eq!(case.refused(), [gap("internal", 0, Why::NotRegistered)]);
    case.internal(|seen| drop(seen.sides.remove(&green())));
    assert_eq!(case.refused(), [gap("internal", 0, Why::NotRegistered)]);
}

#[test]
fn a_gap_says_how_many_of_blue_are_healthy_there() {
    let mut case = case();
    case.internal(|seen| drop(seen.sides.remove(&green())));
    case.blue_in_internal(100, Some(Health::Healthy));
    assert_eq!(case.gaps(), [gap("internal", 1, Why::NotRegistered)]);
}

#[test]
fn a_green_that_was_not_seen_or_not_read_carries_nothing() {
    let sick = |name| gap(name, 0, Why::Unhealthy { healthy: 0, needed: 2 });
    let all = [blind(Why::StayingUnseen), sick("internal"), sick("public")];
    let mut case = case();
    case.look.fleets.remove(&green());
    assert_eq!(case.refused(), all);
    case.look.fleets.insert(green(), Seen::Unknown("denied".into()));
    assert_eq!(case.refused(), all);
}

#[test]
fn a_blue_that_could_not_be_read_may_stand_anywhere() {
    let mut case = case();
    case.look.fleets.insert(blue(), Seen::Unknown("throttled".into()));
    let unread = [blind(Why::Unread("fleet `api-1`: throttled".into()))];
    assert_eq!(case.refused(), unread);
    assert_eq!(case.gaps(), unread);
    assert_eq!(case.idle().unwrap_err(), unread);
}

#[test]
fn a_healthy_target_of_a_stranger_proves_nothing() {
    let mut case = case();
    case.internal(|seen| {
        for target in seen.sides.get_mut(&green()).unwrap().targets.values_mut() {
            target.instance = InstanceId::new(format!("stranger-{}", target.instance)).unwrap();
        }
    });
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unhealthy { healthy: 0, needed: 2 })]);
}

#[test]
fn a_healthy_target_of_an_instance_that_does_not_run_proves_nothing() {
    for state in [InstanceState::Pending, InstanceState::Leaving] {
        let mut case = case();
        let Some(Seen::Known(fleet)) = case.look.fleets.get_mut(&green()) else { panic!("green is seen") };
        *fleet.instances.values_mut().next().unwrap() = state;
        let short = |name| gap(name, 0, Why::Unhealthy { healthy: 1, needed: 2 });
        assert_eq!(case.refused(), [short("internal"), short("public")]);
    }
}

#[test]
fn only_healthy_is_healthy() {
    for health in [Health::Initial, Health::Unhealthy, Health::Draining, Health::Unused, Health::Unavailable]
    {
        let mut case = case();
        case.internal(|seen| {
            seen.sides.get_mut(&green()).unwrap().targets.values_mut().next().unwrap().health = health;
        });
        let short = Why::Unhealthy { healthy: 1, needed: 2 };
        assert_eq!(case.refused(), [gap("internal", 0, short)], "{health:?}");
    }
}

#[test]
fn an_instance_that_is_sick_on_one_of_its_ports_is_not_healthy() {
    let mut case = case();
    case.internal(|seen| {
        let side = seen.sides.get_mut(&green()).unwrap();
        let mut second = side.targets.values().next().unwrap().clone();
        second.health = Health::Unhealthy;
        side.targets.insert(TargetId::new(format!("{}:9090", second.instance)).unwrap(), second);
    });
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unhealthy { healthy: 1, needed: 2 })]);
}

#[test]
fn a_part_of_the_traffic_is_not_all_of_it() {
    let mut case = case();
    case.internal(|seen| seen.sides.get_mut(&green()).unwrap().share = share(99));
    assert_eq!(case.refused(), [gap("internal", 0, Why::Partial { share: share(99) })]);
}

#[test]
fn the_number_of_healthy_instances_is_rounded_up_and_never_none() {
    let mut plan = plan(&two_groups(3), &["public"]);
    for (percent, needed) in [(0, 1), (1, 1), (33, 1), (34, 2), (50, 2), (67, 3), (100, 3)] {
        plan.min_healthy = share(percent);
        assert_eq!(plan.healthy_min(), needed, "{percent}% of 3");
    }
    let mut case = case();
    case.healthy_min = 0;
    case.internal(|seen| {
        for target in seen.sides.get_mut(&green()).unwrap().targets.values_mut() {
            target.health = Health::Unhealthy;
        }
    });
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unhealthy { healthy: 0, needed: 1 })]);
}

#[test]
fn blue_stays_while_it_stands_anywhere_with_a_share_a_target_or_an_attachment() {
    let standing = [gap("internal", 0, Why::Standing)];
    for (percent, health) in [(1, None), (0, Some(Health::Draining)), (0, Some(Health::Healthy))] {
        let mut case = case();
        case.blue_in_internal(percent, health);
        assert_eq!(case.refused(), standing);
        assert_eq!(case.gaps(), [], "nothing would go dark");
    }
    let mut case = case();
    let Some(Seen::Known(fleet)) = case.look.fleets.get_mut(&blue()) else { panic!("blue is seen") };
    fleet.attached.insert(group("internal"));
    assert_eq!(case.refused(), standing);
}

#[test]
fn a_group_in_which_blue_is_seen_is_required_though_nobody_named_it() {
    let mut case = case();
    case.required = names(["public"]);
    case.look.groups.remove(&group("internal"));
    let Some(Seen::Known(fleet)) = case.look.fleets.get_mut(&blue()) else { panic!("blue is seen") };
    fleet.attached.insert(group("internal"));
    assert_eq!(case.gaps(), [gap("internal", 0, Why::Unseen)]);
}

#[test]
fn a_waived_group_lets_blue_go_and_the_proof_says_so() {
    let mut case = case();
    case.waivers.push(waiver("internal", NOW + Span(1)));
    case.internal(|seen| drop(seen.sides.remove(&green())));
    let proof = case.prove().unwrap();
    let waived = (group("internal"), evidence(0, 0, Some("unused")));
    assert_eq!(*proof.covered(), BTreeMap::from([waived, (group("public"), evidence(2, 100, None))]));
}

#[test]
fn an_expired_waiver_does_not_count() {
    let mut case = case();
    case.waivers.push(waiver("internal", NOW));
    case.look.groups.remove(&group("internal"));
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unseen)]);
}

#[test]
fn a_waiver_does_not_excuse_blue_that_still_has_a_target() {
    let mut case = case();
    case.waivers.push(waiver("internal", NOW + Span::mins(1)));
    case.blue_in_internal(0, Some(Health::Draining));
    assert_eq!(case.refused(), [gap("internal", 0, Why::Standing)]);
}

#[test]
fn a_waived_group_may_keep_blues_share_where_nobody_takes_it_over() {
    let mut case = case();
    case.waivers.push(waiver("internal", NOW + Span::mins(1)));
    case.internal(|seen| drop(seen.sides.remove(&green())));
    case.blue_in_internal(100, None);
    assert!(case.prove().is_ok());
}

#[test]
fn a_waived_group_has_to_be_read_before_blue_goes() {
    let mut case = case();
    case.waivers.push(waiver("internal", NOW + Span::mins(1)));
    case.look.groups.insert(group("internal"), Seen::Unknown("throttled".into()));
    assert_eq!(case.refused(), [gap("internal", 0, Why::Unknown("throttled".into()))]);
    assert_eq!(case.gaps(), [], "that it would go dark is excused");
}

#[test]
fn to_have_nothing_to_prove_proves_nothing() {
    let mut case = case();
    case.required.clear();
    assert_eq!(case.refused(), [blind(Why::Unread("no target group is known".into()))]);
}

#[test]
fn a_refusal_names_every_gap_at_once() {
    let mut case = case();
    case.not_before = NOW + Span(1);
    case.look.unread.insert("listeners: denied".into());
    case.look.groups.remove(&group("internal"));
    edit(&mut case.look, "public", |seen| seen.sides.get_mut(&green()).unwrap().share = Share::NONE);
    let expected = [
        blind(Why::Stale),
        blind(Why::Unread("listeners: denied".into())),
        gap("internal", 0, Why::Unseen),
        gap("public", 0, Why::Partial { share: Share::NONE }),
    ];
    assert_eq!(case.refused(), expected);
}

#[test]
fn an_idle_fleet_goes_only_when_it_stands_nowhere_and_what_it_carried_is_carried() {
    let mut case = case();
    assert!(case.idle().is_ok());
    case.required.clear();
    assert!(case.idle().is_ok(), "it carried nothing");
    case.blue_in_internal(0, Some(Health::Draining));
    assert_eq!(case.idle().unwrap_err(), [gap("internal", 0, Why::Standing)]);
    case.internal(|seen| drop(seen.sides.remove(&blue())));
    case.look.groups.insert(group("stranger"), Seen::Unknown("throttled".into()));
    assert_eq!(case.idle().unwrap_err(), [gap("stranger", 0, Why::Unknown("throttled".into()))]);
}
