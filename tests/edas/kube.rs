//! Two applications on Kubernetes as fleets, by the real binary.

use deployer::rollout::Verdict;

use crate::fake::{Failure, Fault, GroupOptions, Kind, On, Settings};
use crate::job::{Job, SIZE, image, is_read, until};
use crate::lanes::{beside_each_other, kill_at};

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 11;
/// What would move a pod into a group, or out of one.
const MEMBERSHIP: [&str; 4] = [
    "AddServersToServerGroup",
    "RemoveServersFromServerGroup",
    "UpdateServerGroupServersAttribute",
    "ReplaceServersInServerGroup",
];

fn job() -> Job {
    Job::on_kubernetes(|_| {})
}

fn pods(job: &Job, fleet: &str) -> Vec<String> {
    job.fake.world(|world| world.pods(&job.ids[fleet]))
}

/// This application alone serves, with this revision, and may scale as it did before; the other rests.
fn is_left_with(job: &Job, (fleet, revision): (&str, &str), (other, side): (&str, &str)) {
    job.unharmed();
    assert_eq!(pods(job, fleet).len(), SIZE, "{fleet}");
    for (route, group) in [("rule", "public"), ("listener", "whole")] {
        let weights = job.weights(route);
        let carrying: Vec<_> = weights.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id.clone()).collect();
        assert_eq!(carrying, [format!("{group}-{side}")], "{weights:?}");
        let states = job.servers(&carrying[0]);
        assert_eq!(states.values().filter(|state| *state == "healthy").count(), SIZE, "{states:?}");
    }
    let (previews, image_now, rules, tags, replicas) = job.fake.world(|world| {
        let previews: Vec<_> = world.rules.iter().filter(|rule| rule.name.starts_with("deployer")).cloned().collect();
        let tags = world.app(&job.ids[fleet]).unwrap().tags.clone();
        let other = world.kube_of(&job.ids[other]).unwrap().replicas;
        let own = world.kube_of(&job.ids[fleet]).unwrap();
        (previews, own.image.clone(), own.rules.clone(), tags, other)
    });
    assert!(previews.is_empty(), "{previews:?}");
    assert_eq!((image_now, replicas), (image(revision), 0));
    assert_eq!(rules, [("by-cpu".to_owned(), true), ("by-night".to_owned(), false)].into());
    assert!(tags.keys().all(|key| !key.starts_with("deployer:frozen")), "{tags:?}");
    assert_eq!(MEMBERSHIP.map(|action| job.fake.count(action)), [0; 4], "the cluster alone moves pods");
}

#[test]
fn a_rollout_on_kubernetes_moves_traffic_between_the_twins_and_pods_are_the_clusters_business() {
    let job = job();
    let done = job.run(&["rollout", "api"]).ended_with(0);
    assert!(done.said().contains("COMPLETED") && !done.said().contains("fault"), "{}", done.said());
    is_left_with(&job, ("api-green", "2.0.0"), ("api-blue", "b"));
    assert_eq!([job.fake.count("DeployK8sApplication"), job.fake.count("ScaleK8sApplication")], [1, 1]);
    let done = job.run(&["rollout", "api", "--revision", "3.0.0"]).ended_with(0);
    assert!(!done.said().contains("fault"), "{}", done.said());
    is_left_with(&job, ("api-blue", "3.0.0"), ("api-green", "a"));
}

#[test]
fn a_rollout_on_kubernetes_that_is_given_up_leaves_blue_as_it_was() {
    let job = Job::on_kubernetes(|setup| (setup.steps, setup.bake) = ("[100]", "promote"));
    let blue = pods(&job, "api-blue");
    job.run(&["rollout", "api"]).ended_with(14);
    assert_eq!(job.weights("rule")["public-b"], 100, "green carries the traffic");
    job.run(&["abort", "api"]).ended_with(0);
    assert_eq!(pods(&job, "api-blue"), blue, "blue ran on untouched");
    is_left_with(&job, ("api-blue", "1.0.0"), ("api-green", "a"));
}
