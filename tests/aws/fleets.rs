//! Fleets come, are held still and go, through the port alone. Each call is made by a process of its own, so what one
//! leaves behind is all that the next one knows.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use deployer::cloud::aws::AwsBackend;
use deployer::cloud::{Backend as _, Change, Fault as Refused, FaultKind, Scope};
use deployer::coverage::{Question, prove_idle};
use deployer::model::{EnvironmentName, Fleet, FleetId, GroupId, Revision, ServiceName, Span, Time, Token};
use deployer::spec::{AwsFleets, AwsGroup, AwsRevision, AwsSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fake::{Fake, Fault, On, Settings, TargetGroupSettings, World};

/// One call to the port.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Ask {
    Change(Change),
    Retire(FleetId),
}

const ASK: &str = "DEPLOYER_TEST_ASK";
const ANSWER: &str = "ANSWER ";

/// Not a test of its own: the process that makes one call for another test.
#[tokio::test]
#[ignore = "run by the other tests"]
async fn one_call() {
    let Ok(text) = std::env::var(ASK) else { return };
    let (spec, ask): (AwsSpec, Ask) = serde_json::from_str(&text).unwrap();
    let service: ServiceName = "api".parse().unwrap();
    let environment: EnvironmentName = "prod".parse().unwrap();
    let backend = AwsBackend::new(service.clone(), environment, spec);
    let token = Token::new("api-prod-2-nonce-1").unwrap();
    let answer = match ask {
        Ask::Change(change) => backend.change(&change, &token).await,
        Ask::Retire(fleet) => {
            let scope = Scope { service, groups: BTreeSet::new(), fleets: [fleet.clone()].into() };
            let look = backend.look(&scope).await.unwrap();
            let question = Question {
                leaving: &fleet,
                staying: &fleet,
                required: &BTreeSet::new(),
                healthy_min: 1,
                waivers: &[],
                look: &look,
                not_before: Time::default(),
                fresh: Span::mins(60),
                now: look.looked_at,
            };
            let proof = prove_idle(&question).expect("the fleet stands nowhere");
            backend.retire(proof, &token).await
        }
    };
    println!("{ANSWER}{}", serde_json::to_string(&answer).unwrap());
}

struct Stage {
    fake: Fake,
    spec: AwsSpec,
}

impl Stage {
    /// `api` of three instances in `internal`, launched from version 2 of `api`.
    fn new(fleets: AwsFleets, build: impl FnOnce(&mut World)) -> Self {
        let fake = Fake::start(Settings::default());
        fake.world(|world| {
            world.network();
            let group = world.target_group("internal", &TargetGroupSettings::default());
            let balancer = world.alb("front");
            world.listener(&balancer, 80, &[(&group, 1)]).unwrap();
            world.launch_template("api", &["ami-1", "ami-2", "ami-3"]);
            world.asg("api", ("api", 2), 3, &[&group], &[("team", "payments")]);
            build(world);
        });
        let groups = [(
            GroupId::new("internal").unwrap(),
            AwsGroup::Shared { name: "internal".into(), accepts_whole: false },
        )];
        let spec = AwsSpec {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            fleets,
            revision: AwsRevision::LaunchTemplate,
            call_timeout: Span::secs(5),
            pace: Span(10),
            reads_per_second: 5000,
            groups: groups.into(),
        };
        Self { fake, spec }
    }

    fn copy(build: impl FnOnce(&mut World)) -> Self {
        Self::new(AwsFleets::Copy { from: "api".into() }, build)
    }

    fn pair() -> Self {
        Self::new(AwsFleets::Pair(["api".into(), "api-b".into()]), |world| {
            let group = world.group_by_name("internal").unwrap().arn.clone();
            world.asg("api-b", ("api", 1), 0, &[&group], &[]);
            set(world, "api-b", &json!({ "HealthCheckType": "ELB" }));
        })
    }

    fn ask(&self, ask: &Ask) -> Result<(), Refused> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fleets::one_call", "--ignored", "--nocapture"]);
        command.envs(self.fake.env()).env("AWS_MAX_ATTEMPTS", "1");
        command.env(ASK, serde_json::to_string(&(&self.spec, ask)).unwrap());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer =
            text.lines().find_map(|line| line.split_once(ANSWER).map(|(_, answer)| answer.to_owned()));
        let answer = answer.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_str(&answer).unwrap()
    }

    fn provision(&self, fleet: &str, revision: &str) -> Result<(), Refused> {
        let revision = Revision::new(revision).unwrap();
        self.ask(&Ask::Change(Change::Provision { fleet: Fleet { id: id(fleet), revision, size: 3 } }))
    }

    fn freeze(&self, fleet: &str) -> Result<(), Refused> {
        self.ask(&Ask::Change(Change::Freeze { fleet: id(fleet) }))
    }

    fn thaw(&self, fleet: &str) -> Result<(), Refused> {
        self.ask(&Ask::Change(Change::Thaw { fleet: id(fleet) }))
    }

    fn deregister(&self, fleet: &str) -> Result<(), Refused> {
        let groups = [GroupId::new("internal").unwrap()].into();
        self.ask(&Ask::Change(Change::Deregister { fleet: id(fleet), groups }))
    }

    /// How a group is described by the API, without what time changes.
    fn described(&self, name: &str) -> Value {
        self.fake.world(|world| {
            let fleet = world.fleets.get(name).unwrap_or_else(|| panic!("no group `{name}`")).clone();
            let mut shown = world.show_fleet(&fleet, false);
            shown["hooks"] = json!(fleet.hooks);
            shown["policies"] = json!(fleet.policies);
            shown["schedules"] = json!(fleet.schedules);
            shown["notifications"] = json!(fleet.notifications);
            shown
        })
    }

    fn wait(&self, what: &str, mut seen: impl FnMut(&mut World) -> bool) {
        let begun = Instant::now();
        while !self.fake.world(&mut seen) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come about");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn id(text: &str) -> FleetId {
    FleetId::new(text).unwrap()
}

fn set(world: &mut World, fleet: &str, settings: &Value) {
    let fleet = world.fleets.get_mut(fleet).unwrap();
    fleet.settings.extend(settings.as_object().unwrap().clone());
}

/// Everything that a group may have, on blue.
fn furnish(world: &mut World) {
    set(
        world,
        "api",
        &json!({
            "LaunchTemplate": { "LaunchTemplateName": "api", "Version": "$Latest" },
            "DefaultCooldown": "77", "CapacityRebalance": "true", "MaxInstanceLifetime": "604800",
            "TerminationPolicies": ["OldestInstance"], "DefaultInstanceWarmup": "30",
            "InstanceMaintenancePolicy": { "MinHealthyPercentage": "90", "MaxHealthyPercentage": "120" },
            "EnabledMetrics": [{ "Metric": "GroupInServiceInstances", "Granularity": "1Minute" }],
            "ServiceLinkedRoleARN": "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
        }),
    );
    let fleet = world.fleets.get_mut("api").unwrap();
    fleet.suspended.insert("AZRebalance".into(), "User suspended".into());
    fleet.tags.insert("aws:cloudformation:stack-name".into(), ("stack".into(), true));
    fleet.hooks.insert(
        "warm-up".into(),
        json!({ "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "HeartbeatTimeout": "60", "DefaultResult": "CONTINUE", "GlobalTimeout": "6000" }),
    );
    let metric = json!({
        "MetricName": "Backlog", "Namespace": "api", "Statistic": "Average",
        "Dimensions": [{ "Name": "AutoScalingGroupName", "Value": "api" }],
    });
    fleet.policies.insert(
        "follow".into(),
        json!({
            "PolicyName": "follow", "PolicyType": "TargetTrackingScaling", "AutoScalingGroupName": "api",
            "TargetTrackingConfiguration": { "TargetValue": "10.0", "CustomizedMetricSpecification": metric },
        }),
    );
    fleet.schedules.insert(
        "night".into(),
        json!({ "AutoScalingGroupName": "api", "ScheduledActionName": "night", "Recurrence": "0 22 * * *", "MinSize": "1" }),
    );
    fleet.notifications = ["autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_TERMINATE"]
        .map(|kind| json!({ "AutoScalingGroupName": "api", "TopicARN": "arn:aws:sns:eu-west-1:111122223333:ops", "NotificationType": kind }))
        .to_vec();
}

#[test]
fn a_copy_has_everything_that_blue_has_and_no_target_group() {
    let stage = Stage::copy(furnish);
    stage.provision("api-v2", "3").unwrap();
    let (blue, green) = (stage.described("api"), stage.described("api-v002"));
    for key in [
        "DefaultCooldown",
        "CapacityRebalance",
        "MaxInstanceLifetime",
        "TerminationPolicies",
        "DefaultInstanceWarmup",
        "InstanceMaintenancePolicy",
        "EnabledMetrics",
        "VPCZoneIdentifier",
        "HealthCheckType",
        "HealthCheckGracePeriod",
        "SuspendedProcesses",
        "hooks",
    ] {
        let bare = |shown: &Value| {
            let mut shown = shown[key].clone();
            if let Some(hook) = shown.get_mut("warm-up").and_then(Value::as_object_mut) {
                hook.remove("LifecycleHookName");
                hook.remove("GlobalTimeout"); // AWS sets it.
            }
            shown
        };
        assert_eq!(bare(&green), bare(&blue), "{key}");
    }
    assert_eq!(green["LaunchTemplate"]["Version"], "3", "pinned");
    assert_eq!((&green["TargetGroupARNs"], &green["TrafficSources"]), (&json!([]), &json!([])));
    assert_eq!(
        (&green["MinSize"], &green["MaxSize"], &green["DesiredCapacity"]),
        (&json!(1), &json!(6), &json!(3))
    );
    assert_eq!(green.get("ServiceLinkedRoleARN"), None, "the usual role is not named");
    let dimension = "/follow/TargetTrackingConfiguration/CustomizedMetricSpecification/Dimensions/0/Value";
    assert_eq!(green["policies"].pointer(dimension), Some(&json!("api-v002")));
    assert_eq!(green["schedules"]["night"]["Recurrence"], "0 22 * * *");
    assert_eq!(green["notifications"].as_array().unwrap().len(), 2);
    let tags: BTreeSet<_> =
        green["Tags"].as_array().unwrap().iter().map(|tag| tag["Key"].as_str().unwrap()).collect();
    assert_eq!(tags, ["deployer:fleet", "deployer:revision", "deployer:service", "team"].into());
}

#[test]
fn a_fleet_that_is_there_is_not_made_twice() {
    let stage = Stage::copy(furnish);
    stage.provision("api-v2", "3").unwrap();
    let (once, made) = (stage.described("api-v002"), changes(&stage.fake));
    stage.provision("api-v2", "3").unwrap();
    assert_eq!(stage.described("api-v002"), once);
    assert_eq!(changes(&stage.fake), made);
}

/// How many calls that change something were applied.
fn changes(fake: &Fake) -> usize {
    fake.calls()
        .iter()
        .filter(|call| !call.action.starts_with("Describe") && !call.action.starts_with("Get"))
        .count()
}

#[test]
fn a_reply_lost_at_any_call_leaves_a_fleet_that_the_next_try_completes() {
    let whole = Stage::copy(furnish);
    whole.provision("api-v2", "3").unwrap();
    let expected = stable(whole.described("api-v002"));
    for action in [
        "CreateAutoScalingGroup",
        "PutScalingPolicy",
        "PutScheduledUpdateGroupAction",
        "PutNotificationConfiguration",
        "EnableMetricsCollection",
        "SuspendProcesses",
        "UpdateAutoScalingGroup",
    ] {
        for fault in [Fault::LostReply, Fault::Reset] {
            let stage = Stage::copy(furnish);
            stage.fake.fail(On::call(action).first(1), fault);
            let refused = stage.provision("api-v2", "3").unwrap_err();
            assert!(refused.ambiguous, "{action}: {refused}");
            stage.provision("api-v2", "3").unwrap();
            assert_eq!(stable(stage.described("api-v002")), expected, "{action} {fault:?}");
        }
    }
}

fn stable(mut shown: Value) -> Value {
    for key in ["CreatedTime", "AutoScalingGroupARN"] {
        shown[key] = Value::Null;
    }
    shown["policies"]["follow"]["PolicyARN"] = Value::Null;
    shown["LaunchTemplate"]["LaunchTemplateId"] = Value::Null;
    shown
}

#[test]
fn no_instance_is_launched_before_the_fleet_is_complete() {
    let stage = Stage::copy(furnish);
    stage.fake.fail(On::call("PutScalingPolicy"), Fault::Denied);
    assert_eq!(stage.provision("api-v2", "3").unwrap_err().kind, FaultKind::Denied);
    let green = stage.described("api-v002");
    assert_eq!((&green["MaxSize"], &green["DesiredCapacity"]), (&json!(0), &json!(0)));
}

#[test]
fn somebody_elses_group_of_the_name_is_left_alone() {
    let stage = Stage::copy(|world| world.asg("api-v002", ("api", 1), 0, &[], &[("team", "others")]));
    let refused = stage.provision("api-v2", "3").unwrap_err();
    assert_eq!(refused.kind, FaultKind::Conflict);
    assert!(refused.message.contains("`api-v002`"), "{refused}");
}

#[test]
fn a_revision_that_does_not_exist_is_refused_before_anything_is_made() {
    for revision in ["9", "main"] {
        let stage = Stage::copy(|_| {});
        let refused = stage.provision("api-v2", revision).unwrap_err();
        assert!(!refused.kind.retryable(), "{refused}");
        assert_eq!(changes(&stage.fake), 0, "{refused}");
    }
}

#[test]
fn an_image_becomes_one_version_of_the_template_however_often_it_is_asked_for() {
    let mut stage = Stage::copy(|_| {});
    stage.spec.revision = AwsRevision::Ami;
    stage.fake.fail(On::call("CreateAutoScalingGroup").first(1), Fault::Reset);
    stage.provision("api-v2", "ami-9").unwrap_err();
    stage.provision("api-v2", "ami-9").unwrap();
    let versions = stage.fake.world(|world| {
        let template = world.templates.values().find(|template| template.name == "api").unwrap();
        template
            .versions
            .iter()
            .map(|version| version.data["ImageId"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    });
    assert_eq!(versions, ["ami-1", "ami-2", "ami-3", "ami-9"]);
    assert_eq!(stage.described("api-v002")["LaunchTemplate"]["Version"], "4");
}

#[test]
fn what_cannot_be_copied_is_refused_before_anything_is_made() {
    let stage = Stage::copy(|world| {
        set(
            world,
            "api",
            &json!({ "DeletionProtection": "prevent-all-deletion", "DesiredCapacityType": "vcpu" }),
        );
    });
    let refused = stage.provision("api-v2", "3").unwrap_err();
    assert_eq!((refused.kind, changes(&stage.fake)), (FaultKind::Invalid, 0));
    for said in ["deletion protection", "vCPUs"] {
        assert!(refused.message.contains(said), "{refused}");
    }
}

#[test]
fn every_template_of_a_mixed_policy_is_pinned() {
    let stage = Stage::copy(|world| {
        let template = world.templates.values().find(|template| template.name == "api").unwrap().id.clone();
        let spec =
            json!({ "LaunchTemplateId": template, "LaunchTemplateName": "api", "Version": "$Default" });
        let policy = json!({
            "LaunchTemplate": {
                "LaunchTemplateSpecification": spec,
                "Overrides": [{ "InstanceType": "c7g.large", "LaunchTemplateSpecification": spec }, { "InstanceType": "c6g.large" }],
            },
            "InstancesDistribution": { "OnDemandPercentageAboveBaseCapacity": "50" },
        });
        world.fleets.get_mut("api").unwrap().settings.remove("LaunchTemplate");
        set(world, "api", &json!({ "MixedInstancesPolicy": policy }));
    });
    stage.provision("api-v2", "3").unwrap();
    let policy = &stage.described("api-v002")["MixedInstancesPolicy"];
    for at in [
        "/LaunchTemplate/LaunchTemplateSpecification/Version",
        "/LaunchTemplate/Overrides/0/LaunchTemplateSpecification/Version",
    ] {
        assert_eq!(policy.pointer(at), Some(&json!("3")), "{at}: {policy}");
    }
    assert_eq!(policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"], "50");
}

#[test]
fn a_list_that_an_answer_lacks_is_no_empty_list() {
    for action in [
        "DescribeLifecycleHooks",
        "DescribePolicies",
        "DescribeScheduledActions",
        "DescribeNotificationConfigurations",
        "DescribeAutoScalingGroups",
    ] {
        let stage = Stage::copy(furnish);
        stage.fake.fail(On::call(action), Fault::Bare);
        let refused = stage.provision("api-v2", "3").unwrap_err();
        assert_eq!(refused.action, action, "{refused}");
        assert!(refused.message.contains("without the list that was asked for"), "{refused}");
        assert_eq!(changes(&stage.fake), 0, "{action}");
    }
    let stage = Stage::copy(|_| {});
    stage.fake.fail(On::call("DescribeInstanceRefreshes"), Fault::Bare);
    assert_eq!(stage.freeze("api").unwrap_err().kind, FaultKind::Unexpected);
    assert_eq!(changes(&stage.fake), 0);
}

#[test]
fn an_endpoint_that_does_not_know_an_operation_is_not_asked_for_ever() {
    for status in [500, 501] {
        let stage = Stage::copy(furnish);
        stage.fake.fail(On::call("DescribePolicies"), Fault::Page(status));
        let refused = stage.provision("api-v2", "3").unwrap_err();
        assert!(!refused.kind.retryable(), "{refused}");
        assert!(
            refused.message.contains(&format!("does not speak this operation (HTTP {status})")),
            "{refused}"
        );
        assert_eq!(changes(&stage.fake), 0, "{refused}");
    }
}

fn frozen(stage: &Stage, fleet: &str) -> (BTreeSet<String>, Option<String>, Vec<bool>) {
    stage.fake.world(|world| {
        let protected = world.members(fleet).map(|(_, member)| member.protected).collect();
        let fleet = &world.fleets[fleet];
        let tag = fleet.tags.get("deployer:frozen").map(|(value, _)| value.clone());
        (fleet.suspended.keys().cloned().collect(), tag, protected)
    })
}

#[test]
fn a_thaw_puts_back_what_the_freeze_changed_whatever_was_lost_between() {
    let own: BTreeSet<String> = ["AZRebalance".to_owned()].into();
    let no_fault = [(None, None)];
    let lost = |actions: &[&'static str]| actions.iter().map(|action| Some(*action)).collect::<Vec<_>>();
    let freezing = lost(&["CreateOrUpdateTags", "SuspendProcesses", "SetInstanceProtection"]);
    let thawing = lost(&["ResumeProcesses", "SetInstanceProtection", "DeleteTags"]);
    let cases = no_fault.into_iter();
    let cases = cases.chain(freezing.into_iter().map(|action| (action, None)));
    let cases = cases.chain(thawing.into_iter().map(|action| (None, action)));
    for (freezing, thawing) in cases {
        let stage = Stage::copy(furnish);
        if let Some(action) = freezing {
            stage.fake.fail(On::call(action).first(1), Fault::LostReply);
            stage.freeze("api").unwrap_err();
            stage.fake.heal();
        }
        stage.freeze("api").unwrap();
        let (suspended, tag, protected) = frozen(&stage, "api");
        assert_eq!(suspended.len(), 4, "{suspended:?}");
        assert!(
            tag.is_some() && protected.iter().all(|protected| *protected),
            "{freezing:?} {tag:?} {protected:?}"
        );
        if let Some(action) = thawing {
            stage.fake.fail(On::call(action).first(1), Fault::LostReply);
            stage.thaw("api").unwrap_err();
            stage.fake.heal();
        }
        stage.thaw("api").unwrap();
        let (suspended, tag, protected) = frozen(&stage, "api");
        assert_eq!((suspended, tag), (own.clone(), None), "{freezing:?} {thawing:?}");
        assert!(protected.iter().all(|protected| !protected), "{freezing:?} {thawing:?}");
    }
}

#[test]
fn only_ec2_judges_green_while_it_is_held_still_whatever_is_lost_between() {
    let judge = |stage: &Stage, fleet: &str| stage.described(fleet)["HealthCheckType"].clone();
    let lost = ["CreateOrUpdateTags", "UpdateAutoScalingGroup", "SuspendProcesses", "DeleteTags"];
    for action in std::iter::once(None).chain(lost.map(Some)) {
        let stage = Stage::copy(|world| set(world, "api", &json!({ "HealthCheckType": "ELB,VPC_LATTICE" })));
        stage.freeze("api").unwrap();
        stage.provision("api-v2", "3").unwrap();
        let go_wrong = || {
            if let Some(action) = action {
                stage.fake.fail(On::call(action).first(1), Fault::LostReply);
            }
        };
        go_wrong();
        let first = stage.freeze("api-v2");
        assert_eq!(first.is_err(), action.is_some_and(|action| action != "DeleteTags"), "{action:?}");
        stage.fake.heal();
        // Asked again, each is as it was.
        stage.freeze("api-v2").unwrap();
        stage.freeze("api").unwrap();
        assert_eq!(
            (judge(&stage, "api"), judge(&stage, "api-v002")),
            (json!("ELB,VPC_LATTICE"), json!("EC2"))
        );
        go_wrong();
        let _ = stage.thaw("api-v2");
        stage.fake.heal();
        stage.thaw("api-v2").unwrap();
        let (suspended, tag, _) = frozen(&stage, "api-v002");
        assert_eq!(
            (judge(&stage, "api-v002"), suspended, tag),
            (json!("ELB,VPC_LATTICE"), BTreeSet::new(), None),
            "{action:?}"
        );
    }
}

#[test]
fn a_copy_of_a_green_that_was_never_given_back_is_judged_as_that_one_was() {
    let stage = Stage::copy(|_| {});
    stage.freeze("api").unwrap();
    stage.provision("api-v2", "3").unwrap();
    stage.wait("green", |world| world.in_service("api-v002").len() == 3);
    stage.freeze("api-v2").unwrap();
    stage.fake.world(|world| {
        let members = world.instances.values_mut().filter_map(|instance| instance.member.as_mut());
        members.filter(|member| member.fleet == "api").for_each(|member| member.protected = false);
        let fleet = world.fleets.get_mut("api").unwrap();
        (fleet.min, fleet.desired) = (0, 0);
    });
    stage.wait("blue's end", |world| world.members("api").count() == 0);
    stage.provision("api-v3", "3").unwrap();
    assert_eq!(stage.described("api-v002")["HealthCheckType"], "EC2");
    assert_eq!(stage.described("api-v003")["HealthCheckType"], "ELB");
}

#[test]
fn a_fleet_whose_instances_are_being_refreshed_is_not_frozen() {
    let stage = Stage::copy(|world| {
        let refresh =
            json!({ "InstanceRefreshId": "r-1", "AutoScalingGroupName": "api", "Status": "InProgress" });
        world.fleets.get_mut("api").unwrap().refreshes.push(refresh);
    });
    let refused = stage.freeze("api").unwrap_err();
    assert_eq!((refused.kind, changes(&stage.fake)), (FaultKind::Conflict, 0), "{refused}");
}

#[test]
fn a_copy_of_a_frozen_fleet_is_not_frozen() {
    let stage = Stage::copy(furnish);
    stage.freeze("api").unwrap();
    stage.provision("api-v2", "3").unwrap();
    let (suspended, tag, _) = frozen(&stage, "api-v002");
    assert_eq!((suspended, tag), (["AZRebalance".to_owned()].into(), None));
}

#[test]
fn a_copied_fleet_goes_for_good_and_only_once() {
    let stage = Stage::copy(|_| {});
    stage.provision("api-v2", "3").unwrap();
    stage.wait("green", |world| world.in_service("api-v002").len() == 3);
    stage.freeze("api-v2").unwrap();
    stage.ask(&Ask::Retire(id("api-v2"))).unwrap();
    stage.wait("the end of green", |world| !world.fleets.contains_key("api-v002"));
    stage.ask(&Ask::Retire(id("api-v2"))).unwrap();
    assert_eq!(stage.fake.count("DeleteAutoScalingGroup"), 1);
}

#[test]
fn a_termination_hook_is_waited_for() {
    let stage = Stage::copy(|world| {
        let hook = json!({ "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "HeartbeatTimeout": "200", "DefaultResult": "CONTINUE" });
        world.fleets.get_mut("api").unwrap().hooks.insert("logs".into(), hook);
    });
    stage.provision("api-v2", "3").unwrap();
    stage.wait("green", |world| world.in_service("api-v002").len() == 3);
    stage.freeze("api-v2").unwrap();
    stage.ask(&Ask::Retire(id("api-v2"))).unwrap();
    assert_eq!(
        (stage.fake.count("DeleteAutoScalingGroup"), stage.described("api-v002")["DesiredCapacity"].clone()),
        (0, json!(0))
    );
    stage.wait("the hook", |world| world.members("api-v002").count() == 0);
    stage.ask(&Ask::Retire(id("api-v2"))).unwrap();
    stage.wait("the end of green", |world| !world.fleets.contains_key("api-v002"));
}

#[test]
fn a_pair_alternates_and_rests_where_it_belongs() {
    let stage = Stage::pair();
    stage.provision("api-b", "3").unwrap();
    let green = stage.described("api-b");
    assert_eq!((&green["DesiredCapacity"], &green["LaunchTemplate"]["Version"]), (&json!(3), &json!("3")));
    assert_eq!((&green["TargetGroupARNs"], &green["TrafficSources"]), (&json!([]), &json!([])));
    let made = changes(&stage.fake);
    stage.provision("api-b", "3").unwrap();
    assert_eq!(changes(&stage.fake), made);
    stage.wait("green", |world| world.in_service("api-b").len() == 3);
    stage.freeze("api-b").unwrap();
    stage.ask(&Ask::Retire(id("api-b"))).unwrap();
    stage.wait("rest", |world| world.members("api-b").count() == 0);
    stage.thaw("api").unwrap();
    let resting = stage.described("api-b");
    assert_eq!((&resting["MinSize"], &resting["DesiredCapacity"]), (&json!(0), &json!(0)));
    assert_eq!(resting["TrafficSources"].as_array().unwrap().len(), 1);
    assert!(frozen(&stage, "api-b").1.is_some(), "it rests as still as it was");
    // The next rollout finds it as the first one did.
    stage.provision("api-b", "2").unwrap();
    let again = stage.described("api-b");
    assert_eq!((&again["DesiredCapacity"], &again["TrafficSources"]), (&json!(3), &json!([])));
    assert_eq!(frozen(&stage, "api-b").1, None);
}

#[test]
fn a_half_that_does_not_rest_is_not_taken() {
    let stage = Stage::pair();
    assert_eq!(stage.provision("api", "3").unwrap_err().kind, FaultKind::Conflict);
    assert_eq!(stage.provision("api-c", "3").unwrap_err().kind, FaultKind::Invalid);
    assert_eq!(changes(&stage.fake), 0);
}

#[test]
fn blue_goes_only_once_it_has_left_every_target_group() {
    let stage = Stage::copy(|_| {});
    stage.deregister("api").unwrap();
    stage.wait("the drain", |world| {
        let group = world.group_by_name("internal").unwrap().arn.clone();
        world.target_states(&group).is_empty()
    });
    stage.ask(&Ask::Retire(id("api"))).unwrap();
    stage.wait("the end of blue", |world| !world.fleets.contains_key("api"));
}
