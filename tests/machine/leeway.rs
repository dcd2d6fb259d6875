//! What a look may be spared, and that nothing is done on one that was spared too much.

use std::sync::Mutex;

use deployer::cloud::sim::World;
use deployer::cloud::{Backend, Capability, Change, Fault, Leeway, Scope};
use deployer::coverage::Retirement;
use deployer::drive::{Clock, Hands, Outcome, Settings, Stop, open};
use deployer::journal::{Journal, MemoryStore};
use deployer::model::{Health, Hold, Inventory, Seen, Share, Sharing, Span, Steps, Time, Token};
use deployer::rollout::{Cause, Next, Order, Phase, Verdict};

use crate::common::{LANDS, NOW, actor, blue, green, group, plan};
use crate::rig::{Reply, Rig, both, two_groups};

/// What something rests on: how much the last look was spared.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    Change(Change),
    Retire,
}

/// A world behind the port that keeps account of the leeway that it was given.
struct Told {
    world: Mutex<World>,
    clock: Clock,
    looks: Mutex<Vec<Leeway>>,
    deeds: Mutex<Vec<(Leeway, Deed)>>,
    /// Green is ill as soon as it carries something.
    ill: bool,
}

impl Told {
    fn did(&self, deed: Deed) {
        let last = self.looks.lock().unwrap().last().cloned().unwrap();
        self.deeds.lock().unwrap().push((last, deed));
    }
}

impl Backend for Told {
    async fn look(&self, _: &Scope) -> Result<Inventory, Fault> {
        unreachable!("a driver says how much leeway it leaves")
    }

    async fn look_with(&self, scope: &Scope, leeway: &Leeway) -> Result<Inventory, Fault> {
        self.looks.lock().unwrap().push(leeway.clone());
        let mut world = self.world.lock().unwrap();
        world.tick(self.clock.now());
        let mut seen = world.inventory(scope);
        for group in seen.groups.values_mut() {
            let Seen::Known(group) = group else { continue };
            let side = group.sides.get_mut(&green()).filter(|side| self.ill && side.share > Share::NONE);
            for target in side.into_iter().flat_map(|side| side.targets.values_mut()) {
                target.health = Health::Unhealthy;
            }
        }
        Ok(seen)
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        self.did(Deed::Change(change.clone()));
        self.world.lock().unwrap().apply(change, token)
    }

    async fn retire(&self, proof: Retirement, _: &Token) -> Result<(), Fault> {
        self.did(Deed::Retire);
        self.world.lock().unwrap().retire(proof.fleet());
        Ok(())
    }

    fn capability(&self) -> Capability {
        Capability { freeze: true, pace: Span::secs(1), lands: LANDS, look: Span::ZERO }
    }
}

async fn driven(ill: bool) -> (Told, Outcome) {
    let clock = Clock::starting(NOW);
    let world = Mutex::new(two_groups(1));
    let cloud = Told { world, clock, looks: Mutex::default(), deeds: Mutex::default(), ill };
    let (asked, stop) = tokio::sync::watch::channel(Stop::No);
    let hands = Hands {
        me: actor("first"),
        clock,
        settings: Settings::default(),
        stop,
        onlooker: |_: &deployer::rollout::Rollout, _: &deployer::drive::Notice<'_>| {},
    };
    let journal = Journal::new(MemoryStore::new(), "first");
    let plan = plan(&two_groups(1), &["internal", "public"]);
    let mut driver = open(&journal, &cloud, plan, hands).await.unwrap();
    let outcome = driver.run().await.unwrap();
    drop((driver, asked));
    (cloud, outcome)
}

/// What each deed asks of the look before it, whatever phase it is made in.
fn rests_well(leeway: &Leeway, deed: &Deed) -> bool {
    let strict = !leeway.surroundings && !leeway.routes && leeway.settled.is_empty();
    match deed {
        Deed::Change(Change::Deregister { fleet, .. }) if *fleet == blue() => {
            !leeway.surroundings && !leeway.routes && !leeway.settled.contains(&green())
        }
        Deed::Retire | Deed::Change(Change::Shift { share: Share::NONE, .. }) => strict,
        Deed::Change(Change::Shift { .. }) => !leeway.routes && !leeway.settled.contains(&green()),
        Deed::Change(_) => true,
    }
}

#[tokio::test(start_paused = true)]
async fn every_deed_of_a_rollout_rests_on_a_look_that_was_spared_nothing_that_matters_to_it() {
    let (cloud, outcome) = driven(false).await;
    assert_eq!(outcome, Outcome::Ended(Verdict::Completed));
    let deeds = cloud.deeds.lock().unwrap();
    assert_eq!(deeds.iter().find(|(leeway, deed)| !rests_well(leeway, deed)), None);
    assert!(deeds.iter().any(|(_, deed)| *deed == Deed::Retire));
    let spared = cloud.looks.lock().unwrap().iter().filter(|leeway| **leeway != Leeway::default()).count();
    assert!(spared > 0, "looks were spared something");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_turns_round_on_a_look_with_leeway_looks_again_before_traffic_goes_back() {
    let (cloud, outcome) = driven(true).await;
    let Outcome::Ended(Verdict::RolledBack { cause: Cause::Sick { .. } }) = outcome else {
        panic!("{outcome:?}")
    };
    let deeds = cloud.deeds.lock().unwrap();
    assert_eq!(deeds.iter().find(|(leeway, deed)| !rests_well(leeway, deed)), None);
    let back = |deed: &Deed| matches!(deed, Deed::Change(Change::Shift { share: Share::NONE, .. }));
    assert!(deeds.iter().any(|(leeway, deed)| back(deed) && leeway.urgent));
}

#[test]
fn before_green_carries_anything_it_is_waited_for_with_leeway_and_then_proved_without() {
    let mut rig = both(|_| {});
    let leeway = rig.state.leeway(rig.now());
    assert!(leeway.surroundings && leeway.routes && leeway.settled == [blue(), green()].into());
    rig.until_phase("settle");
    let leeway = rig.state.leeway(rig.now());
    assert!(!leeway.settled.contains(&green()) || leeway.awaited == Some(green()));
    rig.until_phase("shift");
    let leeway = rig.state.leeway(rig.now());
    assert!(!leeway.routes && leeway.settled == [blue()].into() && leeway.awaited.is_none());
}

#[test]
fn only_the_look_that_may_end_the_settling_reads_the_routes_that_the_first_step_changes() {
    let mut rig = both(|plan| plan.settle = Span::secs(15));
    rig.until_phase("settle");
    assert!(rig.state.leeway(rig.now()).routes, "green is not well yet");
    rig.until(|rig| rig.state.hold_ends().is_some());
    let end = rig.state.hold_ends().unwrap();
    assert!(rig.state.leeway(Time(end.0 - 1)).routes, "no step can follow yet");
    assert!(!rig.state.leeway(end).routes);
}

#[test]
fn what_others_put_beside_a_step_is_read_before_blue_leaves_and_not_before_each_step() {
    let mut rig = both(|plan| plan.bake = Hold::For(Span::secs(30)));
    rig.until_phase("shift");
    while rig.phase().name() == "shift" {
        assert!(rig.state.leeway(rig.now()).surroundings, "{:?}", rig.phase());
        rig.step();
    }
    let end = rig.state.hold_ends().unwrap();
    assert!(rig.state.leeway(rig.now()).surroundings);
    let leaves = rig.state.leeway(end);
    assert!(!leaves.surroundings && !leaves.routes && leaves.settled == [blue()].into());
}

#[test]
fn the_step_that_takes_blue_out_of_a_shared_group_rests_on_what_is_read_afresh() {
    let mut world = two_groups(1);
    for group in world.groups.values_mut() {
        (group.sharing, group.steps) = (Sharing::Shared, Steps::AllOrNothing);
    }
    let plan = plan(&world, &["internal", "public"]);
    let mut rig = Rig::new(world, plan);
    rig.until_phase("shift");
    let mut spared = Vec::new();
    while let &Phase::Shift { step, reached } = rig.phase() {
        if reached.is_none() {
            spared.push((step, rig.state.leeway(rig.now()).surroundings));
        }
        rig.step();
    }
    assert!(spared.contains(&(1, false)) && !spared.contains(&(1, true)), "{spared:?}");
}

#[test]
fn whether_blue_leaves_is_seen_in_its_groups_and_nothing_follows_from_that_look_alone() {
    let mut rig = both(|plan| plan.quiet = Span::secs(5));
    let leaves = |change: &Change| matches!(change, Change::Deregister { .. });
    rig.until(|rig| matches!(rig.next(), Next::Change(changes, _) if changes.iter().all(leaves)));
    rig.replies = vec![Reply::Unseen];
    rig.step();
    let spared = rig.state.leeway(rig.now());
    assert!(spared.surroundings && spared.routes && spared.settled.is_empty());
    rig.look();
    let strict = rig.state.leeway(rig.now());
    assert!(!strict.surroundings && !strict.routes, "whoever tells it again looks again");
}

#[test]
fn once_blue_was_told_to_go_only_green_is_given_back_its_scaling_and_the_end_is_proved_without_leeway() {
    let mut rig = both(|_| {});
    rig.until(|rig| rig.state.past_return() && !rig.state.in_flight());
    let spared = rig.state.leeway(rig.now());
    assert!(spared.surroundings && spared.routes && spared.settled == [blue(), green()].into());
    rig.until(|rig| matches!(rig.next(), Next::Change(..)));
    let Next::Change(changes, _) = rig.next() else { panic!("{:?}", rig.next()) };
    assert_eq!(changes, [Change::Thaw { fleet: green() }]);
    rig.step();
    let last = rig.state.leeway(rig.now());
    assert!(!last.surroundings && !last.routes && last.settled.is_empty(), "{:?}", rig.phase());
    rig.until_phase("ended");
}

#[test]
fn a_blue_that_is_seen_as_if_it_had_not_been_told_is_told_again_on_a_look_with_no_leeway() {
    let mut rig = both(|_| {});
    rig.until(|rig| matches!(rig.next(), Next::Retire(..)));
    rig.replies = vec![Reply::Unseen];
    rig.until(|rig| rig.state.past_return() && !rig.state.in_flight());
    assert!(rig.state.leeway(rig.now()).surroundings);
    rig.look();
    let strict = rig.state.leeway(rig.now());
    assert!(!strict.surroundings && !strict.routes && strict.settled.is_empty());
}

#[test]
fn green_that_has_carried_traffic_is_never_taken_for_well_again() {
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.world.build(&group("partner"), two_groups(1).groups[&group("public")].clone());
    rig.world.attach(&blue(), &group("partner"));
    rig.look();
    rig.order(Order::Amend { group: group("partner") });
    assert_eq!(rig.phase().name(), "register");
    let leeway = rig.state.leeway(rig.now());
    assert!(!leeway.settled.contains(&green()) && !leeway.surroundings && !leeway.routes);
}

#[test]
fn blue_is_taken_away_and_taken_back_on_looks_with_no_leeway() {
    let mut rig = both(|_| {});
    rig.until_phase("retire");
    let leeway = rig.state.leeway(rig.now());
    assert!(!leeway.surroundings && !leeway.routes && leeway.settled.is_empty());
    let mut rig = both(|_| {});
    rig.until_phase("bake");
    rig.order(Order::Rollback);
    let leeway = rig.state.leeway(rig.now());
    assert_eq!(leeway, Leeway { urgent: true, ..Leeway::default() });
}

#[test]
fn what_the_last_rollout_took_is_waited_in_silence_and_then_looked_for_twice_as_often() {
    let mut rig = both(|plan| plan.expect.settle = Span::secs(40));
    for group in rig.world.groups.values_mut() {
        group.health_interval = Span::secs(60);
    }
    rig.until_phase("settle");
    let (entered, spared) = (rig.now(), rig.state.leeway(rig.now()));
    assert!(spared.routes);
    rig.step();
    assert!(rig.now().since(entered) >= Span::secs(38), "{}", rig.now().since(entered));
    rig.until(|rig| rig.now().since(entered) >= Span::secs(40));
    rig.until(|rig| matches!(rig.next(), Next::Wait { .. }));
    let Next::Wait { until } = rig.next() else { panic!("{:?}", rig.next()) };
    assert!(until.since(rig.now()) <= Span(500));
}

#[test]
fn one_look_serves_where_a_hold_ends_just_after_the_watch_would_have_looked() {
    for (hold, looks) in [(10, 1), (12, 1), (13, 2), (20, 2), (21, 2)] {
        let mut rig = both(|plan| plan.steps[0].hold = Hold::For(Span::secs(hold)));
        rig.until(|rig| rig.state.hold_ends().is_some() && rig.phase().name() == "shift");
        let mut waits = 0;
        while rig.phase().name() == "shift" && rig.state.hold_ends().is_some() {
            waits += usize::from(matches!(rig.next(), Next::Wait { .. }));
            rig.step();
        }
        assert_eq!(waits, looks, "in a hold of {hold} s");
    }
}
