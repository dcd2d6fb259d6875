//! Revisions that fail.

use deployer::model::{FleetId, Health, Inventory, Share};
use deployer::rollout::{Cause, Event, Verdict};

use crate::rig::{Deployment, Rig, beside_each_other, get};

struct Failing {
    how: &'static str,
    edit: fn(&mut Deployment),
}

fn cause(rig: &Rig) -> Cause {
    match rig.state(2).verdict() {
        Some(Verdict::RolledBack { cause }) => cause.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_revision_that_never_gets_well_goes_back_at_its_deadline_and_blue_is_untouched() {
    let cases = [
        Failing { how: "never-healthy", edit: |file| file.deadlines = vec!["settle: 1s"] },
        Failing {
            how: "dies-after:400ms",
            edit: |file| {
                file.settle = "2s";
                file.deadlines = vec!["settle: 2s", "provision: 2s"];
            },
        },
        Failing {
            how: "unhealthy-after:500ms",
            edit: |file| {
                file.settle = "1500ms";
                file.deadlines = vec!["settle: 2s"];
            },
        },
    ];
    beside_each_other(&cases, |case| {
        let rig = Rig::with_blue(|file| {
            (case.edit)(file);
            file.env = vec![("SAMPLE_FAIL", case.how), ("SAMPLE_FAIL_REVISION", "2.0.0")];
        });
        let pids: Vec<_> = rig.processes().into_keys().collect();
        let rollout = rig.start(&["rollout", "api"]);
        rig.until(2, "the rollout to be open", |_| true);
        while rig.state(2).verdict().is_none() {
            rig.answers("1.0.0"); // Green never got a single request.
        }
        let done = rollout.wait().ended_with(11);
        eprintln!("{}: {:?} after {:?}", case.how, cause(&rig), done.took);
        assert!(matches!(cause(&rig), Cause::Deadline { .. }), "{:?}", cause(&rig));
        rig.serves("1.0.0", 2);
        assert_eq!(rig.processes().into_keys().collect::<Vec<_>>(), pids, "blue ran on untouched");
        rig.verify();
    });
}

/// Whether a look shows a failed check of the fleet.
fn failing(look: &Inventory, fleet: &FleetId) -> bool {
    let sides = look.groups.values().filter_map(|seen| seen.known()?.sides.get(fleet));
    sides.flat_map(|side| side.targets.values()).any(|t| t.reason.is_some() || t.health == Health::Unhealthy)
}

fn carries(look: &Inventory, fleet: &FleetId) -> bool {
    let mut sides = look.groups.values().filter_map(|seen| seen.known()?.sides.get(fleet));
    sides.any(|side| side.share > Share::NONE)
}

#[test]
fn a_revision_that_falls_ill_after_the_cut_over_gives_all_traffic_back_to_blue_within_two_seconds() {
    let rig = Rig::with_blue(|file| {
        file.env = vec![("SAMPLE_FAIL", "unhealthy-after:3s"), ("SAMPLE_FAIL_REVISION", "2.0.0")];
        file.bake = "20s";
    });
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    rig.answers("2.0.0");
    rollout.wait().ended_with(11);
    assert!(matches!(cause(&rig), Cause::Sick { .. }), "{:?}", cause(&rig));
    rig.serves("1.0.0", 2);
    let green = rig.state(2).plan().green.id.clone();
    let facts = rig.facts(2);
    let looks = facts.iter().filter_map(|fact| match &fact.event {
        Event::Looked { inventory, .. } => Some((fact.at, inventory)),
        _ => None,
    });
    let mut looks = looks.skip_while(|(_, look)| !(failing(look, &green) && carries(look, &green)));
    let (ill, _) = looks.next().unwrap();
    let (back, _) = looks.find(|(_, look)| !carries(look, &green)).unwrap();
    eprintln!("all traffic was back on blue {} ms after the first failed check was seen", back.since(ill).0);
    assert!(back.since(ill).0 < 2_000);
    rig.verify();
}

#[test]
fn a_revision_that_falls_ill_leaves_callers_without_an_answer_for_less_than_two_seconds() {
    let rig = Rig::with_blue(|file| {
        file.env = vec![("SAMPLE_FAIL", "unhealthy-after:3s"), ("SAMPLE_FAIL_REVISION", "2.0.0")];
        file.bake = "20s";
    });
    let rollout = rig.start(&["rollout", "api"]);
    rig.until_phase(2, "bake");
    let address = rig.address("public");
    crate::rig::until("green to fall ill", || get(address) != (200, "2.0.0".to_owned()));
    let dark = std::time::Instant::now();
    crate::rig::until("blue to answer again", || get(address) == (200, "1.0.0".to_owned()));
    eprintln!("callers were without an answer for {} ms", dark.elapsed().as_millis());
    assert!(dark.elapsed().as_millis() < 2_000);
    rollout.wait().ended_with(11);
    rig.serves("1.0.0", 2);
}

#[test]
fn a_rollout_that_is_to_hold_at_its_deadline_leaves_both_fleets_and_can_be_resumed() {
    let mut rig = Rig::with_blue(|file| {
        file.env = vec![("SAMPLE_FAIL", "never-healthy"), ("SAMPLE_FAIL_REVISION", "2.0.0")];
        file.deadlines = vec!["settle: 1s", "then: hold"];
    });
    rig.run(&["rollout", "api"]).ended_with(13);
    rig.answers("1.0.0");
    assert_eq!(rig.status().fleets.len(), 2);
    rig.run(&["resume", "api"]).ended_with(13);
    rig.run(&["abort", "api"]).ended_with(0);
    rig.serves("1.0.0", 2);
    rig.edit(|file| file.env.clear());
    rig.run(&["rollout", "api"]).ended_with(0);
    rig.serves("2.0.0", 2);
}

#[test]
fn a_first_deployment_that_never_gets_well_leaves_nothing_behind() {
    let rig = Rig::new(|file| {
        file.env = vec![("SAMPLE_FAIL", "never-healthy")];
        file.deadlines = vec!["settle: 1s"];
    });
    rig.run(&["rollout", "api"]).ended_with(11);
    assert_eq!(rig.status().fleets.len(), 0);
    assert_eq!(rig.processes().len(), 0);
    rig.verify();
}
