//! Auto Scaling groups themselves.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::input::{Input, Paging, list, number, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, Attachment, Fleet, REGION, Via, World};
use super::tags::read_tags;
use super::{PAGING, PROCESSES, put_hook};

/// Settings that are stored and given back as they are.
const KEPT: [&str; 23] = [
    "LaunchTemplate",
    "LaunchConfigurationName",
    "MixedInstancesPolicy",
    "DefaultCooldown",
    "AvailabilityZones",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "PlacementGroup",
    "VPCZoneIdentifier",
    "TerminationPolicies",
    "NewInstancesProtectedFromScaleIn",
    "CapacityRebalance",
    "DeletionProtection",
    "ServiceLinkedRoleARN",
    "MaxInstanceLifetime",
    "Context",
    "DesiredCapacityType",
    "DefaultInstanceWarmup",
    "InstanceMaintenancePolicy",
    "AvailabilityZoneDistribution",
    "AvailabilityZoneImpairmentPolicy",
    "CapacityReservationSpecification",
    "InstanceLifecyclePolicy",
];

const UPDATES: &[&str] = &[
    "AutoScalingGroupName",
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "LaunchTemplate*",
    "MixedInstancesPolicy*",
    "DefaultCooldown",
    "AvailabilityZones[]",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "PlacementGroup",
    "VPCZoneIdentifier",
    "TerminationPolicies[]",
    "NewInstancesProtectedFromScaleIn",
    "CapacityRebalance",
    "DeletionProtection",
    "ServiceLinkedRoleARN",
    "MaxInstanceLifetime",
    "Context",
    "DesiredCapacityType",
    "DefaultInstanceWarmup",
    "InstanceMaintenancePolicy*",
    "AvailabilityZoneDistribution*",
    "AvailabilityZoneImpairmentPolicy*",
    "CapacityReservationSpecification*",
    "InstanceLifecyclePolicy*",
    "LaunchConfigurationName",
    "SkipZonalShiftValidation",
];

const CREATES: &[&str] = &[
    "AutoScalingGroupName",
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "LaunchTemplate*",
    "MixedInstancesPolicy*",
    "DefaultCooldown",
    "AvailabilityZones[]",
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "PlacementGroup",
    "VPCZoneIdentifier",
    "TerminationPolicies[]",
    "NewInstancesProtectedFromScaleIn",
    "CapacityRebalance",
    "DeletionProtection",
    "ServiceLinkedRoleARN",
    "MaxInstanceLifetime",
    "Context",
    "DesiredCapacityType",
    "DefaultInstanceWarmup",
    "InstanceMaintenancePolicy*",
    "AvailabilityZoneDistribution*",
    "AvailabilityZoneImpairmentPolicy*",
    "CapacityReservationSpecification*",
    "InstanceLifecyclePolicy*",
    "LaunchConfigurationName",
    "SkipZonalShiftValidation",
    "TargetGroupARNs[]",
    "TrafficSources[].Identifier",
    "TrafficSources[].Type",
    "Tags[].Key",
    "Tags[].Value",
    "Tags[].PropagateAtLaunch",
    "Tags[].ResourceId",
    "Tags[].ResourceType",
    "LifecycleHookSpecificationList*",
];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeAutoScalingGroups",
        knows: &[
            "AutoScalingGroupNames[]",
            "Filters[].Name",
            "Filters[].Values[]",
            "NextToken",
            "MaxRecords",
            "IncludeInstances",
        ],
        run: describe,
    },
    Operation { name: "CreateAutoScalingGroup", knows: CREATES, run: create },
    Operation { name: "UpdateAutoScalingGroup", knows: UPDATES, run: update },
    Operation {
        name: "DeleteAutoScalingGroup",
        knows: &["AutoScalingGroupName", "ForceDelete"],
        run: delete,
    },
    Operation {
        name: "SetDesiredCapacity",
        knows: &["AutoScalingGroupName", "DesiredCapacity", "HonorCooldown"],
        run: set_desired,
    },
    Operation {
        name: "SuspendProcesses",
        knows: &["AutoScalingGroupName", "ScalingProcesses[]"],
        run: |world, input| {
            let (fleet, processes) = processes(world, input)?;
            let suspended = processes.into_iter().map(|process| (process, "User suspended".to_owned()));
            fleet.suspended.extend(suspended);
            Ok(json!({}))
        },
    },
    Operation {
        name: "ResumeProcesses",
        knows: &["AutoScalingGroupName", "ScalingProcesses[]"],
        run: |world, input| {
            let (fleet, processes) = processes(world, input)?;
            fleet.suspended.retain(|process, _| !processes.contains(process));
            Ok(json!({}))
        },
    },
    Operation { name: "DescribeAccountLimits", knows: &[], run: limits },
];

impl World {
    pub fn fleet(&self, name: &str) -> Result<&Fleet, ApiError> {
        self.fleets.get(name).ok_or_else(|| no_fleet(name))
    }

    /// A fleet that can still be changed.
    pub fn fleet_mut(&mut self, name: &str) -> Result<&mut Fleet, ApiError> {
        let fleet = self.fleets.get_mut(name).ok_or_else(|| no_fleet(name))?;
        if fleet.deleting {
            let text = format!("You cannot change an AutoScalingGroup while it is pending delete: {name}");
            return Err(ApiError::new("ScalingActivityInProgress", text));
        }
        Ok(fleet)
    }

    fn check_launch(&self, settings: &Map<String, Value>) -> Result<(), ApiError> {
        let mixed = || {
            settings.get("MixedInstancesPolicy")?.get("LaunchTemplate")?.get("LaunchTemplateSpecification")
        };
        match settings.get("LaunchTemplate").or_else(mixed) {
            Some(spec) => self.resolve(spec).map(drop),
            None => Err(ApiError::new(
                "ValidationError",
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
            )),
        }
    }
}

fn no_fleet(name: &str) -> ApiError {
    ApiError::new("ValidationError", format!("AutoScalingGroup name not found - AutoScalingGroup: {name}"))
}

fn processes<'a>(world: &'a mut World, input: &Input) -> Result<(&'a mut Fleet, Vec<String>), ApiError> {
    let mut processes = input.list("ScalingProcesses");
    if let Some(unknown) = processes.iter().find(|one| !PROCESSES.contains(&one.as_str())) {
        return Err(ApiError::new("ValidationError", format!("'{unknown}' is not a process")));
    }
    if processes.is_empty() {
        processes = PROCESSES.map(str::to_owned).to_vec();
    }
    Ok((world.fleet_mut(input.need("AutoScalingGroupName")?)?, processes))
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let names = input.list("AutoScalingGroupNames");
    let filters = input.items("Filters");
    let instances = input.flag("IncludeInstances")?.unwrap_or(true);
    for filter in filters {
        let name = text(filter, "Name").unwrap_or_default();
        if !["tag-key", "tag-value"].contains(&name) && !name.starts_with("tag:") {
            return Err(ApiError::new("ValidationError", format!("Filter name {name} is not valid")));
        }
    }
    let asked = |fleet: &&Fleet| {
        (names.is_empty() || names.contains(&fleet.name))
            && filters.iter().all(|filter| passes(filter, fleet))
    };
    let found = world.fleets.values().filter(asked);
    let shown = found.map(|fleet| world.show_fleet(fleet, instances)).collect();
    let default = if input.has("MaxRecords") { 100 } else { 50 };
    input.page(Paging { most: default, ..PAGING }, world.settings.page, shown, "AutoScalingGroups")
}

fn passes(filter: &Value, fleet: &Fleet) -> bool {
    let (name, values) = (text(filter, "Name").unwrap_or_default(), list(filter, "Values"));
    match name.strip_prefix("tag:") {
        Some(key) => fleet.tags.get(key).is_some_and(|(value, _)| values.contains(value)),
        None if name == "tag-key" => fleet.tags.keys().any(|key| values.contains(key)),
        None => fleet.tags.values().any(|(value, _)| values.contains(value)),
    }
}

fn sizes(min: u64, max: u64, desired: u64) -> Result<(), ApiError> {
    if min > max {
        return Err(ApiError::new(
            "ValidationError",
            "Max bound, must be greater than or equal to min bound",
        ));
    }
    if desired < min || desired > max {
        let text = format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
        );
        return Err(ApiError::new("ValidationError", text));
    }
    Ok(())
}

fn kept(input: &Input) -> Map<String, Value> {
    let given = input.tree.as_object().cloned().unwrap_or_default();
    given.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str())).collect()
}

fn create(world: &mut World, input: &Input) -> Answer {
    let name = input.need("AutoScalingGroupName")?.to_owned();
    if world.fleets.contains_key(&name) {
        let text = format!(
            "AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        );
        return Err(ApiError::new("AlreadyExists", text));
    }
    let required = |name: &str| {
        let missing = || ApiError::new("ValidationError", format!("{name} is required"));
        input.number(name)?.ok_or_else(missing)
    };
    let (min, max) = (required("MinSize")?, required("MaxSize")?);
    let desired = input.number("DesiredCapacity")?.unwrap_or(min);
    sizes(min, max, desired)?;
    let settings = kept(input);
    world.check_launch(&settings)?;
    if let Some(zones) = settings.get("VPCZoneIdentifier").and_then(Value::as_str)
        && let Some(unknown) = zones.split(',').find(|subnet| !world.subnets.contains_key(*subnet))
    {
        return Err(ApiError::new("ValidationError", format!("The subnet ID '{unknown}' does not exist")));
    }
    let attachments = given_attachments(world, input)?;
    let tags = read_tags(input.items("Tags"))?;
    let tags = tags.into_iter().map(|(_, key, value, launch)| (key, (value, launch))).collect();
    let mut hooks = BTreeMap::new();
    for hook in input.items("LifecycleHookSpecificationList") {
        put_hook(&mut hooks, hook)?;
    }
    let n = world.fresh();
    let fleet = Fleet {
        arn: format!(
            "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{n:08x}:autoScalingGroupName/{name}"
        ),
        created: world.now,
        min,
        max,
        desired,
        settings,
        attachments,
        tags,
        hooks,
        ..Fleet::named(&name)
    };
    world.fleets.insert(name, fleet);
    Ok(json!({}))
}

/// A group that is given at creation shows as in service at once.
fn given_attachments(world: &World, input: &Input) -> Result<Vec<Attachment>, ApiError> {
    let mut found = Vec::new();
    let one = |id: &str, kind: &str, via| Attachment {
        id: id.to_owned(),
        kind: kind.to_owned(),
        via,
        state: "InService",
        since: world.now,
    };
    found.extend(input.list("TargetGroupARNs").iter().map(|arn| one(arn, "elbv2", Via::TargetGroups)));
    for source in input.items("TrafficSources") {
        let id = text(source, "Identifier").unwrap_or_default();
        found.push(one(id, super::attachments::kind_of(source), Via::TrafficSources));
    }
    let unknown = |one: &&Attachment| one.kind == "elbv2" && !world.groups.contains_key(&one.id);
    if let Some(unknown) = found.iter().find(unknown) {
        return Err(super::attachments::unknown_group(&unknown.id));
    }
    Ok(found)
}

fn update(world: &mut World, input: &Input) -> Answer {
    let name = input.need("AutoScalingGroupName")?;
    let fleet = world.fleet_mut(name)?.clone();
    let (min, max) =
        (input.number("MinSize")?.unwrap_or(fleet.min), input.number("MaxSize")?.unwrap_or(fleet.max));
    let asked = input.number("DesiredCapacity")?;
    // Without a wish of its own the desired capacity follows the new bounds.
    let desired =
        asked.unwrap_or_else(|| if min <= max { fleet.desired.clamp(min, max) } else { fleet.desired });
    sizes(min, max, desired)?;
    let mut settings = fleet.settings.clone();
    let given = kept(input);
    let launches = ["LaunchTemplate", "MixedInstancesPolicy", "LaunchConfigurationName"];
    if launches.iter().any(|one| given.contains_key(*one)) {
        for one in &launches {
            settings.remove(*one);
        }
    }
    settings.extend(given);
    world.check_launch(&settings)?;
    let fleet = world.fleet_mut(name)?;
    (fleet.min, fleet.max, fleet.desired, fleet.settings) = (min, max, desired, settings);
    Ok(json!({}))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let name = input.need("AutoScalingGroupName")?;
    let force = input.flag("ForceDelete")?.unwrap_or(false);
    let fleet = world.fleet(name)?;
    let protection = fleet.setting("DeletionProtection").unwrap_or("none");
    if protection == "prevent-all-deletion" || (force && protection == "prevent-force-deletion") {
        let text = format!("The group {name} has deletion protection enabled");
        return Err(ApiError::new("ValidationError", text));
    }
    let members: Vec<String> = world.members(name).map(|(instance, _)| instance.id.clone()).collect();
    if !members.is_empty() && !force {
        let text = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.";
        return Err(ApiError::new("ResourceInUse", text));
    }
    world.force_delete(name);
    Ok(json!({}))
}

fn set_desired(world: &mut World, input: &Input) -> Answer {
    let name = input.need("AutoScalingGroupName")?;
    let desired = number(&input.tree, "DesiredCapacity")?
        .ok_or_else(|| ApiError::new("ValidationError", "DesiredCapacity is required"))?;
    let now = world.now;
    let fleet = world.fleet(name)?;
    sizes(fleet.min, fleet.max, desired)?;
    let cooldown = fleet.setting("DefaultCooldown").and_then(|seconds| seconds.parse().ok()).unwrap_or(300);
    let cooling = fleet.scaled.is_some_and(|at| now < at + world.scaled(cooldown));
    if input.flag("HonorCooldown")?.unwrap_or(false) && cooling {
        return Err(ApiError::new("ScalingActivityInProgress", "A cooldown is in progress"));
    }
    let fleet = world.fleet_mut(name)?;
    (fleet.desired, fleet.scaled) = (desired, Some(now));
    Ok(json!({}))
}

#[expect(clippy::unnecessary_wraps, reason = "every operation has this shape")]
fn limits(world: &mut World, _: &Input) -> Answer {
    Ok(json!({
        "MaxNumberOfAutoScalingGroups": 500, "MaxNumberOfLaunchConfigurations": 200,
        "NumberOfAutoScalingGroups": world.fleets.len(), "NumberOfLaunchConfigurations": 0,
    }))
}

impl Fleet {
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            arn: String::new(),
            created: 0,
            min: 0,
            max: 0,
            desired: 0,
            settings: Map::new(),
            attachments: Vec::new(),
            suspended: BTreeMap::new(),
            tags: BTreeMap::new(),
            hooks: BTreeMap::new(),
            policies: BTreeMap::new(),
            schedules: BTreeMap::new(),
            notifications: Vec::new(),
            warm_pool: None,
            refreshes: Vec::new(),
            activities: Vec::new(),
            deleting: false,
            scaled: None,
        }
    }
}
