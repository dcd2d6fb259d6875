//! An independent witness: the same rollouts by the real binary against [moto](https://docs.getmoto.org) 5.2.5, a server
//! that others wrote and that the first of these tests installs for itself. It needs `python3` with `venv`.
//!
//! Only what moto answers as AWS does is asserted: weights and routes as they are read back, which Auto Scaling group
//! puts whom into which target group, which group is there and which is gone, and what EC2 says of its instances. Where
//! moto differs from AWS in something that a rollout meets, [`front`] answers in its place, one named function each.
//!
//! The differences between `tests/aws/fake` and this witness, each of which the fake has as AWS has it:
//!
//! | | the fake | moto |
//! |---|---|---|
//! | health of a target | `unused` before a listener, `initial`, then by checks | `healthy` at once and always |
//! | deregistration | `draining` for the group's delay | at once |
//! | an instance that Auto Scaling terminates | leaves its target groups | stays and stays `healthy` (repaired) |
//! | a forced deletion | ends every instance | lets protected ones run on (repaired) |
//! | an instance at two ports of a group | two targets | one |
//! | weights above 999, a sixth group, an unknown group | refused | taken |
//! | a second group of a name, a size above the maximum | refused | taken |
//! | instances of a new group | `Pending`, then `InService` | `InService` at once |
//! | suspended processes, hooks, scale-in protection | have effect | are only remembered |
//! | DescribeTrafficSources | every source with its state | not there (repaired: none) |
//! | AttachTrafficSources, DetachTrafficSources | there | not there |
//! | DescribeInstanceRefreshes, DescribeNotificationConfigurations | there | not there (repaired: none) |
//! | an unknown operation | 400 with a code | 500 with a page of HTML |
//! | pages | as long as asked | one, whatever is asked |
//! | the ARN of a Network Load Balancer | `loadbalancer/net/` | `loadbalancer/app/` |
//! | signatures, throttling | checked, with buckets | none |
//! | CodeDeploy | installs, waits and rolls back | never goes on, so it is not asked here |
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "other programs are waited for, in real time")]

mod account;
mod cost;
mod front;
mod moto;
mod timeline;

use account::{Account, Setup};

const REFUSED: i32 = 10;
const ROLLED_BACK: i32 = 11;

#[test]
fn a_rollout_and_the_next_one_back_leave_one_fleet_everywhere_and_end_the_other() {
    let account = Account::new(&Setup::default());
    let blue = account.members("api");
    let done = account.run(&["rollout", "api"]).ended_with(0);
    assert!(done.said().contains("COMPLETED") && !done.said().contains("fault"), "{}", done.said());
    account.serves("api-v001", "public-b");
    account.is_gone("api", &blue);
    let green = account.members("api-v001");
    account.run(&["rollout", "api", "--revision", "1"]).ended_with(0);
    account.serves("api-v002", "public-a");
    account.is_gone("api-v001", &green);
}

#[test]
fn a_rollback_gives_everything_back_to_blue_and_ends_green() {
    let account = Account::new(&Setup { bake: "promote" });
    let blue = account.members("api");
    let rollout = account.start(&["rollout", "api", "--wait-promote", "2m"]);
    account.until("green to carry everything", || {
        let standing = account.targets("internal");
        account.weights("public") == [0, 100] && standing.iter().all(|id| !blue.contains(id))
    });
    let green = account.members("api-v001");
    account.run(&["rollback", "api"]).ended_with(0);
    rollout.wait().ended_with(ROLLED_BACK);
    account.serves("api", "public-a");
    assert_eq!(account.members("api"), blue, "no instance of blue was replaced");
    account.is_gone("api-v001", &green);
}

#[test]
fn a_group_in_which_blue_was_registered_by_hand_and_that_no_list_names_refuses_the_rollout() {
    let account = Account::new(&Setup::default());
    let partner = account.partner();
    let instance = account.members("api").into_iter().next().unwrap();
    account.elb("RegisterTargets", &[("TargetGroupArn", &partner), ("Targets.member.1.Id", &instance)]);
    account.refuses(REFUSED, "partner");
}

#[test]
fn a_group_that_is_attached_to_blue_and_not_declared_refuses_the_rollout() {
    let account = Account::new(&Setup::default());
    let partner = account.partner();
    account.attach("api", &partner);
    account.refuses(REFUSED, "partner");
}
