//! A fleet as a new Auto Scaling group with everything that the serving one has.
//!
//! Where more belongs to it than can be said when it is made, the group is made with room for no instance at all, gets the
//! rest, and its sizes last. So nothing can act on it too early, its hooks and notifications hold from the first instance
//! on, and a group that wants as many instances as planned is one that is complete: after a crash anywhere before, it is
//! seen to want too few and is provisioned again.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::operation::create_auto_scaling_group::builders::CreateAutoScalingGroupFluentBuilder;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, AvailabilityZoneImpairmentPolicy, DeletionProtection, InstanceMaintenancePolicy, Tag,
};
use futures_util::future;

use super::api::Api;
use super::asgs::{FLEET, FROZEN, GROUP, Home, OWNER, REVISION, by_name, tag};
use super::belongings::Belongings;
use super::codedeploy::{CONTINUED, DEPLOYMENT};
use super::fleet::{self, PENDING, Sizes};
use super::freeze;
use super::limit::Family;
use super::memory::Memory;
use super::template::Launch;
use crate::cloud::{Fault, FaultKind};
use crate::model::{Fleet, FleetId, Token};
use crate::spec::AwsRevision;

/// What we say of a group about ourselves; no copy inherits it.
const OURS: [&str; 8] = [OWNER, FLEET, REVISION, GROUP, FROZEN, PENDING, DEPLOYMENT, CONTINUED];
/// How many tags a group may have (Auto Scaling quotas).
const TAGS_MAX: usize = 50;
/// The role that Auto Scaling takes by itself. To name it would only ask for one more permission.
const USUAL_ROLE: &str = "/AWSServiceRoleForAutoScaling";

type Groups = BTreeMap<FleetId, AutoScalingGroup>;

/// Makes the fleet, or completes it.
///
/// # Errors
/// [`FaultKind::Invalid`] with everything about the serving group that cannot be copied; [`FaultKind::Conflict`] where
/// another group has the name; the call's fault.
pub(super) async fn provision(
    api: &Api,
    home: &Home,
    memory: &Memory,
    from: &str,
    (fleet, token): (&Fleet, &Token),
) -> Result<(), Fault> {
    let fleets = match memory.surroundings() {
        Some(last) => last.fleets.clone(),
        None => home.fleets(api, &BTreeSet::new()).await?,
    };
    let mine = fleets.get(&fleet.id);
    if mine.is_some_and(|group| fleet::is_whole(group, fleet)) {
        return Ok(());
    }
    let blue = blue(&fleets, &fleet.id, from)?;
    let source = blue.auto_scaling_group_name().unwrap_or_default();
    let sizes = fleet::sizes(blue, fleet.size);
    let (name, belongings) = if let Some(group) = mine {
        let name = group.auto_scaling_group_name().unwrap_or_default().to_owned();
        (name, Box::pin(Belongings::of(api, source)).await?)
    } else {
        let name = name(from, &fleet.id)?;
        let (belongings, launch) = Box::pin(originals(api, home, blue, fleet)).await?;
        // Where nothing is to be given it is complete as it is made.
        let first = if belongings.gifts(api, blue, &name)?.is_empty() { sizes } else { Sizes::NONE };
        let call = described(api, home, blue, (&belongings, launch), (&name, fleet));
        let call = call.min_size(first.min).max_size(first.max).desired_capacity(first.desired);
        let made = create(api, home, call.set_health_check_type(freeze::judges(blue)?), fleet).await?;
        memory.fleet_made(&name);
        if made && first == sizes {
            return fleet::install(api, home, fleet, &name, token).await;
        }
        (name, belongings)
    };
    future::join_all(belongings.gifts(api, blue, &name)?).await.into_iter().collect::<Result<(), _>>()?;
    fleet::size(api, &name, sizes).await?;
    fleet::install(api, home, fleet, &name, token).await
}

/// What belongs to blue, and what green is launched from. Read at once where nothing has to be made for it.
async fn originals(
    api: &Api,
    home: &Home,
    blue: &AutoScalingGroup,
    fleet: &Fleet,
) -> Result<(Belongings, Launch), Fault> {
    let source = blue.auto_scaling_group_name().unwrap_or_default();
    let revision = &home.spec.revision;
    let ahead = async {
        match Launch::of(blue).filter(|_| *revision != AwsRevision::Ami) {
            Some(launch) => Some(launch.at_revision(api, home, fleet).await),
            None => None,
        }
    };
    let (belongings, ahead) = tokio::join!(Belongings::of(api, source), ahead);
    let belongings = belongings?;
    let launch = launch(blue, &belongings, revision)?;
    let launch = match ahead {
        Some(launch) => launch?,
        None => launch.at_revision(api, home, fleet).await?,
    };
    Ok((belongings, launch))
}

/// The group that serves: the only other fleet with instances, or the only one of those that stands in a group.
fn blue<'a>(fleets: &'a Groups, green: &FleetId, from: &str) -> Result<&'a AutoScalingGroup, Fault> {
    let refuse = |kind, message| Err(Fault::new(kind, "DescribeAutoScalingGroups", message));
    let others = fleets.iter().filter(|(id, _)| *id != green);
    let manned: Vec<_> = others.filter(|(_, group)| !group.instances().is_empty()).collect();
    let standing: Vec<_> = manned.iter().filter(|(_, group)| stands(group)).copied().collect();
    match (manned.as_slice(), standing.as_slice()) {
        ([(_, only)], _) | (_, [(_, only)]) => Ok(only),
        ([], _) => {
            let named = fleets.values().find(|group| group.auto_scaling_group_name() == Some(from));
            named.map_or_else(
                || {
                    let message = format!(
                        "no Auto Scaling group of the service has instances, and `{from}` does not exist: name the \
                         group to copy in the deployment file (`fleets.copy`)"
                    );
                    refuse(FaultKind::Missing, message)
                },
                Ok,
            )
        }
        (several, _) => {
            let names: Vec<_> = several.iter().map(|(id, _)| format!("`{id}`")).collect();
            let message = format!(
                "which of {} is to be copied cannot be told: each has instances. Take away those that serve nothing",
                names.join(", ")
            );
            refuse(FaultKind::Conflict, message)
        }
    }
}

fn stands(group: &AutoScalingGroup) -> bool {
    !group.target_group_arns().is_empty() || !group.traffic_sources().is_empty()
}

/// The group to be made, but for its sizes.
fn described(
    api: &Api,
    home: &Home,
    blue: &AutoScalingGroup,
    (belongings, launch): (&Belongings, Launch),
    (name, fleet): (&str, &Fleet),
) -> CreateAutoScalingGroupFluentBuilder {
    let call = api.autoscaling.create_auto_scaling_group().auto_scaling_group_name(name);
    let call = call.set_tags(Some(tags(home, blue, name, fleet)));
    let hooks = belongings.hooks_to_create();
    let call = call.set_lifecycle_hook_specification_list((!hooks.is_empty()).then_some(hooks));
    let call = match launch {
        Launch::Plain(template) => call.launch_template(template),
        Launch::Mixed(policy) => call.mixed_instances_policy(policy),
    };
    alike(call, blue)
}

/// Makes the group, and says whether it did: one that is there already is taken where its tags say that it is this
/// fleet's.
async fn create(
    api: &Api,
    home: &Home,
    call: CreateAutoScalingGroupFluentBuilder,
    fleet: &Fleet,
) -> Result<bool, Fault> {
    let action = "CreateAutoScalingGroup";
    let name = call.get_auto_scaling_group_name().clone().unwrap_or_default();
    match api.send(Family::AutoScaling, action, call.send()).await {
        Ok(_) => return Ok(true),
        Err(fault) if fault.message.starts_with("AlreadyExists") => {}
        Err(fault) => return Err(fault),
    }
    let there = by_name(api, &[name.clone()].into()).await?;
    let says = |group: &AutoScalingGroup, key, value: &str| tag(group, key) == Some(value);
    let ours = |group: &&AutoScalingGroup| {
        says(group, OWNER, &home.owner()) && says(group, FLEET, fleet.id.as_str())
    };
    if there.iter().any(|group| ours(&group)) {
        return Ok(false);
    }
    let message = format!(
        "an Auto Scaling group `{name}` exists, and no tag says that it is the fleet `{}`: rename or delete it, or begin \
         another rollout, which takes the next number. Nothing else was changed",
        fleet.id
    );
    Err(Fault::new(FaultKind::Conflict, action, message))
}

/// `api` or `api-v006`, and the fleet `api-v7`: `api-v007`.
fn name(from: &str, fleet: &FleetId) -> Result<String, Fault> {
    let base = base(from);
    let text = fleet.as_str();
    let digits = &text[text.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
    let number = digits.parse::<u64>().map_err(|_| {
        let message = format!("the fleet `{fleet}` does not end with its number");
        Fault::new(FaultKind::Invalid, "CreateAutoScalingGroup", message)
    })?;
    Ok(format!("{base}-v{number:03}"))
}

/// What the names of all copies begin with.
pub(super) fn base(from: &str) -> &str {
    let versioned = from.rsplit_once("-v").filter(|(base, number)| {
        !base.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    versioned.map_or(from, |(base, _)| base)
}

/// What it is launched from, unless something about the group or what belongs to it cannot be copied.
fn launch(blue: &AutoScalingGroup, belongings: &Belongings, revision: &AwsRevision) -> Result<Launch, Fault> {
    let name = blue.auto_scaling_group_name().unwrap_or_default();
    let launch = Launch::of(blue);
    let mut refusals = refusals(blue);
    refusals.extend(launch.iter().flat_map(|launch| launch.refusals(revision)));
    refusals.extend(belongings.refusals(name, matches!(revision, AwsRevision::Bundle(_))));
    match launch {
        Some(launch) if refusals.is_empty() => Ok(launch),
        _ => {
            let message = format!("`{name}` cannot be copied: {}", refusals.join("; "));
            Err(Fault::new(FaultKind::Invalid, "CreateAutoScalingGroup", message))
        }
    }
}

/// What stands against a copy of the group itself, each with the way out.
fn refusals(group: &AutoScalingGroup) -> Vec<String> {
    let mut refusals = Vec::new();
    let mut refuse = |holds: bool, why: &str| {
        if holds {
            refusals.push(why.to_owned());
        }
    };
    let source = |kind| group.traffic_sources().iter().any(|source| source.r#type() == Some(kind));
    let suspended: BTreeSet<_> =
        group.suspended_processes().iter().filter_map(|process| process.process_name()).collect();
    let own_tags = group.tags().iter().filter(|tag| is_copied(tag.key().unwrap_or_default())).count();
    refuse(group.status().is_some(), "it is being deleted: wait until it is gone");
    refuse(
        Launch::of(group).is_none(),
        "it has a launch configuration, which has no versions: move it to a launch template \
         (docs.aws.amazon.com/autoscaling/ec2/userguide/migrate-to-launch-templates.html)",
    );
    refuse(
        !group.load_balancer_names().is_empty() || source("elb"),
        "it stands behind a classic load balancer, which has no target groups to prove: move to an Application or \
         Network Load Balancer, or detach it",
    );
    refuse(
        source("vpc-lattice"),
        "VPC Lattice sends it traffic, and green would get none from there: detach it, or use a pair of groups \
         (`fleets.pair`) with a Lattice rule for both",
    );
    refuse(
        group.operator().is_some(),
        "another AWS service operates it, and only that one may change it: deploy through that service",
    );
    refuse(
        group.deletion_protection() == Some(&DeletionProtection::PreventAllDeletion),
        "its deletion protection would keep it for ever after the rollout: set it to `none` or \
         `prevent-force-deletion`",
    );
    refuse(
        group.desired_capacity_type().is_some_and(|kind| kind != "units"),
        "its size is counted in vCPUs or memory, and the gate counts instances: set its desired capacity type to `units`",
    );
    refuse(
        suspended.contains("Launch") || suspended.contains("AddToLoadBalancer"),
        "its process Launch or AddToLoadBalancer is suspended, so green would have no instances or no targets: resume it",
    );
    refuse(own_tags + OURS.len() > TAGS_MAX, "it has so many tags that ours find no room: 42 is the most");
    refusals
}

/// AWS's own tags cannot be given, and ours speak of another fleet.
fn is_copied(key: &str) -> bool {
    !key.starts_with("aws:") && !OURS.contains(&key)
}

fn tags(home: &Home, blue: &AutoScalingGroup, name: &str, fleet: &Fleet) -> Vec<Tag> {
    let one = |key: &str, value: &str, propagate: bool| {
        let tag = Tag::builder().resource_id(name).resource_type("auto-scaling-group");
        tag.key(key).value(value).propagate_at_launch(propagate).build()
    };
    let copied = blue.tags().iter().filter_map(|tag| {
        let key = tag.key().filter(|key| is_copied(key))?;
        Some(one(key, tag.value().unwrap_or_default(), tag.propagate_at_launch().unwrap_or(false)))
    });
    let ours = [(OWNER, home.owner()), (FLEET, fleet.id.to_string()), (REVISION, fleet.revision.to_string())];
    let pending =
        matches!(home.spec.revision, AwsRevision::Bundle(_)).then(|| (PENDING, "install".to_owned()));
    let ours = ours.into_iter().chain(pending).map(|(key, value)| one(key, &value, false));
    copied.chain(ours).collect()
}

/// Every setting of the group itself, but its sizes, its name, what it is launched from, where it stands and who judges.
fn alike(
    call: CreateAutoScalingGroupFluentBuilder,
    blue: &AutoScalingGroup,
) -> CreateAutoScalingGroupFluentBuilder {
    let subnets = blue.vpc_zone_identifier.clone().filter(|subnets| !subnets.is_empty());
    // A subnet lies in a zone; both together may contradict each other.
    let zones = blue.availability_zones.clone().filter(|_| subnets.is_none());
    let own_role = blue.service_linked_role_arn.clone().filter(|role| !role.ends_with(USUAL_ROLE));
    let maintenance = blue.instance_maintenance_policy.clone().filter(is_set);
    let impairment = blue.availability_zone_impairment_policy.clone().filter(is_on);
    call.set_vpc_zone_identifier(subnets)
        .set_availability_zones(zones)
        .set_placement_group(blue.placement_group.clone().filter(|group| !group.is_empty()))
        .set_health_check_grace_period(blue.health_check_grace_period)
        .set_default_cooldown(blue.default_cooldown)
        .set_capacity_rebalance(blue.capacity_rebalance)
        .set_default_instance_warmup(blue.default_instance_warmup.filter(|secs| *secs >= 0))
        .set_max_instance_lifetime(blue.max_instance_lifetime.filter(|secs| *secs > 0))
        .set_termination_policies(blue.termination_policies.clone())
        .set_instance_maintenance_policy(maintenance)
        .set_availability_zone_distribution(blue.availability_zone_distribution.clone())
        .set_availability_zone_impairment_policy(impairment)
        .set_service_linked_role_arn(own_role)
        .set_context(blue.context.clone().filter(|context| !context.is_empty()))
        .set_desired_capacity_type(blue.desired_capacity_type.clone())
        .set_new_instances_protected_from_scale_in(blue.new_instances_protected_from_scale_in)
        .set_deletion_protection(blue.deletion_protection.clone())
        .set_capacity_reservation_specification(blue.capacity_reservation_specification.clone())
        .set_instance_lifecycle_policy(blue.instance_lifecycle_policy.clone())
}

/// AWS shows -1 where there is none.
fn is_set(policy: &InstanceMaintenancePolicy) -> bool {
    policy.min_healthy_percentage().is_some_and(|percent| percent >= 0)
}

fn is_on(policy: &AvailabilityZoneImpairmentPolicy) -> bool {
    policy.zonal_shift_enabled() == Some(true)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{
        Instance, LaunchTemplateSpecification, SuspendedProcess, TagDescription, TrafficSourceIdentifier,
    };

    use super::*;

    fn id(text: &str) -> FleetId {
        FleetId::new(text).unwrap()
    }

    fn group(name: &str, instances: usize, standing: bool) -> AutoScalingGroup {
        let instances =
            (0..instances).map(|number| Instance::builder().instance_id(format!("i-{number}")).build());
        let template = LaunchTemplateSpecification::builder().launch_template_id("lt-1").version("3").build();
        let source = TrafficSourceIdentifier::builder().identifier("arn").r#type("elbv2").build();
        AutoScalingGroup::builder()
            .auto_scaling_group_name(name)
            .set_instances(Some(instances.collect()))
            .set_traffic_sources(Some(standing.then_some(source).into_iter().collect()))
            .launch_template(template)
            .build()
    }

    fn service(groups: Vec<AutoScalingGroup>) -> Groups {
        groups.into_iter().map(|group| (id(group.auto_scaling_group_name().unwrap()), group)).collect()
    }

    #[test]
    fn a_copy_is_named_after_the_base_and_its_own_number() {
        for (from, fleet, expected) in [
            ("api", "api-v7", "api-v007"),
            ("api-v006", "api-v7", "api-v007"),
            ("api-prod-v2", "api-v1234", "api-prod-v1234"),
            ("api-vpn", "api-v7", "api-vpn-v007"),
            ("-v2", "api-v7", "-v2-v007"),
        ] {
            assert_eq!(name(from, &id(fleet)).unwrap(), expected);
        }
        assert!(name("api", &id("green")).is_err());
    }

    #[test]
    fn blue_is_the_only_group_that_can_be_it() {
        let found = |groups| {
            let fleets = service(groups);
            blue(&fleets, &id("api-v9"), "api")
                .map(|group| group.auto_scaling_group_name().unwrap().to_owned())
        };
        let kind = |groups| found(groups).unwrap_err().kind;
        assert_eq!(found(vec![group("api", 2, true)]).unwrap(), "api");
        assert_eq!(found(vec![group("api", 0, false)]).unwrap(), "api");
        // Registered by hand: it has no attachment.
        assert_eq!(found(vec![group("api", 0, true), group("api-v8", 2, false)]).unwrap(), "api-v8");
        // An earlier green that was left about does not serve.
        assert_eq!(found(vec![group("api", 2, true), group("api-v8", 2, false)]).unwrap(), "api");
        assert_eq!(found(vec![group("api", 2, true), group("api-v9", 2, true)]).unwrap(), "api");
        assert_eq!(kind(vec![group("api", 2, true), group("api-v8", 2, true)]), FaultKind::Conflict);
        assert_eq!(kind(vec![group("api", 2, false), group("api-v8", 2, false)]), FaultKind::Conflict);
        assert_eq!(kind(vec![group("other", 0, false)]), FaultKind::Missing);
    }

    #[test]
    fn everything_that_cannot_be_copied_is_named_at_once() {
        assert!(refusals(&group("api", 1, true)).is_empty());
        let lattice = TrafficSourceIdentifier::builder().identifier("arn").r#type("vpc-lattice").build();
        let launch = SuspendedProcess::builder().process_name("Launch").build();
        let odd = AutoScalingGroup::builder()
            .auto_scaling_group_name("api")
            .launch_configuration_name("old")
            .load_balancer_names("classic")
            .traffic_sources(lattice)
            .deletion_protection(DeletionProtection::PreventAllDeletion)
            .desired_capacity_type("vcpu")
            .suspended_processes(launch)
            .status("Delete in progress")
            .build();
        assert_eq!(refusals(&odd).len(), 7, "{:#?}", refusals(&odd));
        let fault = super::launch(&odd, &Belongings::default(), &AwsRevision::Ami).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Invalid);
        assert!(
            fault.message.starts_with("`api` cannot be copied: it is being deleted"),
            "{}",
            fault.message
        );
    }

    #[test]
    fn tags_of_aws_and_ours_are_not_inherited() {
        for key in OURS.into_iter().chain(["aws:cloudformation:stack-name"]) {
            assert!(!is_copied(key), "{key}");
        }
        assert!(is_copied("Name") && is_copied("awsome"));
        let tag = TagDescription::builder().key(FROZEN).value("suspended= protected=none").build();
        assert!(!is_copied(tag.key().unwrap()));
    }
}
