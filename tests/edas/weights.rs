//! One server group for both fleets, shared by the weights of its servers.

use deployer::cloud::{Backend, Change, FaultKind};
use deployer::model::{GroupId, Seen, Share};
use deployer::rollout::Verdict;
use deployer::spec::{EdasGroup, EdasServers, Hosts, ShareBy};

use crate::fake::{Fault, GroupOptions, On, Settings};
use crate::job::{Job, SIZE, Setup, TWINS, until};
use crate::rig::{Rig, fleet, green, look, provision_until, token};

/// What a share may be off, in ten-thousandths.
const NEAR: u64 = 50;

fn weighed(setup: &mut Setup) {
    setup.by = "weights";
    setup.steps = "[{ share: 10, hold: promote }, { share: 75, hold: promote }, 100]";
}

impl Job {
    /// What a fleet gets of the routes of `internal` and `partner`, in ten-thousandths.
    fn parts(&self, fleet: &str) -> [u64; 2] {
        let members = self.members(fleet);
        self.fake.world(|world| {
            ["internal", "partner"].map(|name| {
                let routes =
                    world.routes().filter(|(_, shares)| shares.iter().any(|(id, _)| *id == self.ids[name]));
                let route = routes.map(|(id, _)| id.to_owned()).next().unwrap();
                let parts = world.traffic(&route);
                parts.iter().filter(|(id, _)| members.contains(id)).map(|(_, part)| part).sum()
            })
        })
    }

    fn gets(&self, fleet: &str, part: u64) {
        for got in self.parts(fleet) {
            assert!(got.abs_diff(part) <= NEAR, "{fleet} gets {got} of {part}");
        }
    }
}

#[test]
fn each_step_is_a_share_of_the_traffic_by_weight_and_nothing_is_left_of_it() {
    let job = Job::new(weighed);
    job.run(&["rollout", "api"]).ended_with(14);
    job.gets("green", 1_000);
    assert_eq!(job.heavy("internal", "blue").into_values().collect::<Vec<_>>(), [100; SIZE], "not touched");
    job.run(&["promote", "api"]).ended_with(14);
    job.gets("green", 7_500);
    assert_eq!(job.notes().len(), 2);
    job.run(&["promote", "api"]).ended_with(0);
    job.is_left_with("green", "blue");
    for group in ["internal", "partner"] {
        assert_eq!(job.heavy(group, "green").into_values().collect::<Vec<_>>(), [100; SIZE]);
    }
    assert_eq!(job.notes(), Vec::<String>::new());
}

#[test]
fn a_way_back_gives_blue_its_own_weights_to_the_letter() {
    for (promotions, part) in [(0, 1_000), (1, 7_500), (2, 10_000)] {
        let job = Job::new(|setup| {
            weighed(setup);
            (setup.weights, setup.bake) = ([90, 40], "promote");
        });
        let before = ["internal", "partner"].map(|group| job.heavy(group, "blue"));
        job.run(&["rollout", "api"]).ended_with(14);
        for _ in 0..promotions {
            job.run(&["promote", "api"]).ended_with(14);
        }
        job.gets("green", part);
        job.run(&["abort", "api"]).ended_with(0);
        assert!(matches!(job.state(1).verdict(), Some(Verdict::RolledBack { .. })));
        job.is_left_with("blue", "green");
        assert_eq!(["internal", "partner"].map(|group| job.heavy(group, "blue")), before, "from {part}");
        assert_eq!(job.notes(), Vec::<String>::new());
    }
}

#[test]
fn green_that_is_ill_never_gets_more_than_the_least() {
    let job = Job::new(|setup| {
        weighed(setup);
        setup.steps = "[50, 100]";
    });
    job.fake.world(|world| world.sicken("partner", "2.0.0"));
    let mut running = job.start(&["rollout", "api"]);
    let mut most = 0;
    until("it to be over", || {
        let members = job.members("green");
        let sum: u64 = job.fake.world(|world| {
            let servers = world.groups[&job.ids["partner"]].servers.iter();
            servers.filter(|own| members.contains(&own.id)).map(|own| own.weight).sum()
        });
        most = most.max(sum);
        !running.runs()
    });
    running.wait().ended_with(11);
    assert_eq!(most, 2, "one for each server");
    job.is_left_with("blue", "green");
    assert_eq!(job.notes(), Vec::<String>::new());
}

#[test]
fn a_scheduler_that_heeds_no_weights_refuses_the_plan() {
    let job = Job::new(weighed);
    job.fake.world(|world| {
        for listener in world.listeners.iter_mut().filter(|listener| listener.protocol == "tcp") {
            listener.settings.insert("Scheduler".to_owned(), "rr".into());
        }
    });
    let done = job.run(&["rollout", "api"]).ended_with(10);
    let said = done.said();
    assert!(
        said.contains("`partner` is to be shared by weight") && said.contains("the scheduler `wrr`"),
        "{said}"
    );
    assert!(!said.contains("`internal` is to be"), "{said}");
}

#[test]
fn the_plan_says_with_how_much_green_enters_and_that_nobody_looked_at_it_before() {
    let job = Job::new(weighed);
    let said = job.run(&["plan", "api"]).ended_with(0).said();
    for group in ["internal", "partner"] {
        assert!(said.contains(&format!("both fleets stand in `{group}` itself, with no preview")), "{said}");
    }
    assert!(said.contains("green enters with 1% of its traffic") && said.contains("by weight"), "{said}");
}

#[test]
fn a_drill_rehearses_weights_and_twins_that_are_switched_unproved() {
    for by in ["weights", TWINS] {
        let job = Job::new(|setup| setup.by = by);
        let said = job.run(&["drill", "api", "--seeds", "20"]).ended_with(0).said();
        assert!(said.contains("No target group that was lit went dark by our hand"), "{said}");
    }
}

/// What stands in front of the servers that are weighed.
#[derive(Debug, Clone, Copy)]
enum Front {
    Alb,
    Nlb,
    Clb,
    ClbDefault,
}

const FRONTS: [Front; 4] = [Front::Alb, Front::Nlb, Front::Clb, Front::ClbDefault];

/// Blue with so many servers of these weights in one group, and green beside it, up and not in it.
struct Scale {
    rig: Rig,
    group: String,
    route: String,
}

fn id() -> GroupId {
    GroupId::new("scales").unwrap()
}

impl Scale {
    fn new(front: Front, blue: &[u64]) -> Self {
        let settings = Settings { job: 1, busy: 0, health_after: 5, ..Settings::default() };
        let mut rig = Rig::new(settings, Hosts::Idle);
        let app = rig.app.clone();
        let (group, route) = rig.fake.world(|world| {
            let more = world.deployed(&app, "blue", "1.0.0", blue.len().saturating_sub(2));
            let hosts: Vec<String> = world.running(&app, "blue", None);
            assert!(hosts.len() >= blue.len() && more.len() + 2 >= blue.len());
            world.idle(60);
            let options = GroupOptions { drain: None, ..GroupOptions::default() };
            let tcp = GroupOptions { protocol: "TCP", ..options.clone() };
            let (group, route) = match front {
                Front::Alb => {
                    let (balancer, group) = (world.alb("scales"), world.alb_group("scales", &options));
                    let route = world.listener(&balancer, 80, &group);
                    (group, route)
                }
                Front::Nlb => {
                    let (balancer, group) = (world.nlb("scales"), world.nlb_group("scales", &tcp));
                    let route = world.listener(&balancer, 80, &group);
                    (group, route)
                }
                Front::Clb => {
                    let balancer = world.clb("scales");
                    let group = world.vserver_group(&balancer, "scales");
                    let route = world.clb_listener(&balancer, "tcp", 80, Some(&group));
                    world.clb_drains(&route);
                    (group, route)
                }
                Front::ClbDefault => {
                    let balancer = world.clb("scales");
                    let route = world.clb_listener(&balancer, "tcp", 80, None);
                    world.clb_drains(&route);
                    (format!("{balancer}/default"), route)
                }
            };
            let port = if matches!(front, Front::ClbDefault) { 0 } else { 8080 };
            for (host, weight) in hosts.iter().zip(blue) {
                world.stand(&group, host, port, *weight);
            }
            (group, route)
        });
        let servers = match front {
            Front::Alb => EdasServers::Alb(group.clone()),
            Front::Nlb => EdasServers::Nlb(group.clone()),
            Front::Clb | Front::ClbDefault => EdasServers::Clb(group.clone()),
        };
        rig.spec.groups.insert(
            id(),
            EdasGroup {
                port: 8080,
                servers,
                by: ShareBy::Weights,
                accepts_unproved: false,
                accepts_whole: false,
            },
        );
        Self { rig, group, route }
    }

    fn weights(&self, fleet: &str) -> Vec<u64> {
        self.rig.fake.world(|world| {
            let members = world.running(&self.rig.app, fleet, None);
            let mut servers: Vec<_> = world.groups[&self.group].servers.iter().collect();
            servers.sort_by(|a, b| a.id.cmp(&b.id));
            servers.iter().filter(|own| members.contains(&own.id)).map(|own| own.weight).collect()
        })
    }

    fn part(&self, fleet: &str) -> u64 {
        self.rig.fake.world(|world| {
            let members = world.running(&self.rig.app, fleet, None);
            let parts = world.traffic(&self.route);
            parts.iter().filter(|(id, _)| members.contains(id)).map(|(_, part)| part).sum()
        })
    }

    /// Green comes up, joins, and is well.
    async fn joined(&self, size: u32) {
        let backend = self.rig.backend();
        provision_until(&backend, &green("2.0.0", size), |seen| seen.running().len() == size as usize).await;
        look(&backend).await;
        let register = Change::Register { fleet: fleet("green"), groups: [id()].into() };
        backend.change(&register, &token(90)).await.unwrap();
        self.well(size).await;
    }

    async fn well(&self, size: u32) {
        let backend = self.rig.backend();
        let begun = std::time::Instant::now();
        loop {
            let seen = look(&backend).await;
            let stands = seen.group(&id()).and_then(|group| group.sides.get(&fleet("green")).cloned());
            if stands.as_ref().is_some_and(|side| side.healthy() == size) {
                break;
            }
            assert!(begun.elapsed() < crate::rig::PATIENCE, "{stands:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    fn shift(percent: u64) -> Change {
        Change::Shift {
            group: id(),
            to: fleet("green"),
            from: Some(fleet("blue")),
            share: Share::new(percent).unwrap(),
        }
    }
}

#[tokio::test]
async fn shares_are_met_with_unequal_fleets_and_weights_behind_every_balancer() {
    for front in FRONTS {
        for (blue, size) in [(&[100, 100, 100][..], 1), (&[100, 100], 5), (&[30, 70], 2), (&[1, 1], 3)] {
            let scale = Scale::new(front, blue);
            scale.joined(size).await;
            let entered = scale.part("green");
            assert!(entered <= 500, "{front:?} {blue:?}: enters with {entered}");
            let mut number = 100;
            for percent in [10, 50, 75, 90] {
                let backend = scale.rig.backend();
                look(&backend).await;
                number += 1;
                backend.change(&Scale::shift(percent), &token(number)).await.unwrap();
                let got = scale.part("green");
                assert!(got.abs_diff(percent * 100) <= 100, "{front:?} {blue:?} {size}: {got} of {percent}%");
                let seen = look(&backend).await;
                let sides = &seen.group(&id()).unwrap().sides;
                assert!(sides[&fleet("green")].share >= Share::new(percent).unwrap(), "{sides:?}");
                // Once more changes nothing.
                let before = (scale.weights("blue"), scale.weights("green"));
                backend.change(&Scale::shift(percent), &token(number)).await.unwrap();
                assert_eq!((scale.weights("blue"), scale.weights("green")), before);
            }
            let backend = scale.rig.backend();
            look(&backend).await;
            backend.change(&Scale::shift(0), &token(200)).await.unwrap();
            assert_eq!(scale.weights("blue"), blue, "{front:?}: to the letter");
            let done = scale.weights("green").is_empty();
            assert!(done, "{front:?}: green has left");
        }
    }
}

/// It has no server group, not even the default one, and chooses among nobody.
#[tokio::test]
async fn a_listener_that_redirects_does_not_keep_the_default_group_of_its_balancer_from_being_proved() {
    let scale = Scale::new(Front::ClbDefault, &[100, 100]);
    let clb = scale.group.strip_suffix("/default").unwrap().to_owned();
    scale.rig.fake.world(|world| world.clb_redirect(&clb, 8000, 443));
    scale.joined(2).await;
    let backend = scale.rig.backend();
    let seen = look(&backend).await;
    let routes: Vec<_> = seen.group(&id()).unwrap().routes.iter().cloned().collect();
    assert_eq!(routes, [format!("listener {clb}:80")]);
    backend.change(&Scale::shift(75), &token(100)).await.unwrap();
    let got = scale.part("green");
    assert!(got.abs_diff(7_500) <= 100, "{got}");
    assert_eq!((scale.rig.fake.unknown(), scale.rig.fake.strange()), (vec![], vec![]));
}

#[tokio::test]
async fn whoever_stops_between_two_batches_leaves_what_another_completes_to_the_same() {
    for (front, action) in [
        (Front::Clb, "SetVServerGroupAttribute"),
        (Front::ClbDefault, "SetBackendServers"),
        (Front::Alb, "UpdateServerGroupServersAttribute"),
    ] {
        let clean = Scale::new(front, &[100; 45]);
        clean.joined(44).await;
        look(&clean.rig.backend()).await;
        clean.rig.backend().change(&Scale::shift(80), &token(100)).await.unwrap();
        let scale = Scale::new(front, &[100; 45]);
        scale.joined(44).await;
        let (mut last, mut stops) = (scale.part("green"), 0);
        // Each time one more batch is done: then the driver is gone, and another one takes over.
        for _ in 0..12 {
            let backend = scale.rig.backend();
            look(&backend).await;
            scale.rig.fake.fail(On::call(action).between(2, 200), Fault::Denied);
            let done = backend.change(&Scale::shift(80), &token(100)).await;
            scale.rig.fake.heal();
            let part = scale.part("green");
            assert!(part >= last, "{front:?}: the share moves one way only: {last}, {part}");
            last = part;
            if done.is_ok() {
                break;
            }
            assert_eq!(done.unwrap_err().kind, FaultKind::Denied);
            stops += 1;
        }
        assert!(stops >= 1, "{front:?}: {stops}");
        let made = [scale.weights("blue"), scale.weights("green")];
        assert_eq!(made, [clean.weights("blue"), clean.weights("green")], "{front:?}");
        let backend = scale.rig.backend();
        look(&backend).await;
        backend.change(&Scale::shift(0), &token(101)).await.unwrap();
        assert_eq!(scale.weights("blue"), [100; 45], "{front:?}");
    }
}

#[tokio::test]
async fn a_note_that_an_earlier_rollout_left_behind_is_not_given_back() {
    let scale = Scale::new(Front::Clb, &[100, 50]);
    scale.joined(2).await;
    let backend = scale.rig.backend();
    look(&backend).await;
    backend.change(&Scale::shift(90), &token(100)).await.unwrap();
    // That rollout is forgotten: somebody takes green out, and weighs blue anew.
    scale.rig.fake.world(|world| {
        let members = world.running(&scale.rig.app, "green", None);
        let group = world.groups.get_mut(&scale.group).unwrap();
        group.servers.retain(|server| !members.contains(&server.id));
        for (server, weight) in group.servers.iter_mut().zip([70, 20]) {
            server.weight = weight;
        }
    });
    scale.joined(2).await;
    let backend = scale.rig.backend();
    look(&backend).await;
    backend.change(&Scale::shift(0), &token(101)).await.unwrap();
    assert_eq!(scale.weights("blue"), [70, 20]);
}

#[tokio::test]
async fn nobody_is_weighed_where_one_of_blue_gets_nothing_already() {
    let scale = Scale::new(Front::Nlb, &[100, 0]);
    let backend = scale.rig.backend();
    provision_until(&backend, &green("2.0.0", 1), |seen| seen.running().len() == 1).await;
    let register = Change::Register { fleet: fleet("green"), groups: [id()].into() };
    let fault = backend.change(&register, &token(90)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Invalid);
    assert!(fault.message.contains("has no weight"), "{}", fault.message);
    assert_eq!((scale.weights("blue"), scale.weights("green")), (vec![100, 0], vec![]));
}

#[tokio::test]
async fn nobody_gets_more_who_is_not_well_there() {
    let scale = Scale::new(Front::Clb, &[100, 100]);
    scale.joined(2).await;
    scale.rig.fake.world(|world| world.sicken("scales", "2.0.0"));
    let backend = scale.rig.backend();
    let begun = std::time::Instant::now();
    loop {
        let seen = look(&backend).await;
        let Some(Seen::Known(group)) = seen.groups.get(&id()) else { panic!("{seen:?}") };
        if group.sides[&fleet("green")].healthy() == 0 {
            break;
        }
        assert!(begun.elapsed() < crate::rig::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let before = (scale.weights("blue"), scale.weights("green"));
    for percent in [10, 100] {
        let fault = backend.change(&Scale::shift(percent), &token(100)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Conflict, "{fault}");
    }
    assert_eq!((scale.weights("blue"), scale.weights("green")), before);
}
