//! Hooks, policies, schedules, notifications, metrics, warm pools, refreshes and activities.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::fleets::{LAUNCHING, TERMINATING};
use super::super::input::{Input, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{Fleet, World};
use super::PAGING;

const LISTING: &[&str] = &["AutoScalingGroupName", "NextToken", "MaxRecords"];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutLifecycleHook",
        knows: &[
            "AutoScalingGroupName",
            "LifecycleHookName",
            "LifecycleTransition",
            "RoleARN",
            "NotificationTargetARN",
            "NotificationMetadata",
            "HeartbeatTimeout",
            "DefaultResult",
        ],
        run: |world, input| {
            let hook = own(input);
            put_hook(&mut world.fleet_mut(input.need("AutoScalingGroupName")?)?.hooks, &hook)?;
            Ok(json!({}))
        },
    },
    Operation {
        name: "DescribeLifecycleHooks",
        knows: &["AutoScalingGroupName", "LifecycleHookNames[]"],
        run: describe_hooks,
    },
    Operation {
        name: "DeleteLifecycleHook",
        knows: &["AutoScalingGroupName", "LifecycleHookName"],
        run: |world, input| {
            let name = input.need("LifecycleHookName")?;
            let removed = world.fleet_mut(input.need("AutoScalingGroupName")?)?.hooks.remove(name);
            let refused =
                || ApiError::new("ValidationError", format!("No Lifecycle Hook found with name {name}"));
            removed.map(|_| json!({})).ok_or_else(refused)
        },
    },
    Operation {
        name: "PutScalingPolicy",
        knows: &[
            "AutoScalingGroupName",
            "PolicyName",
            "PolicyType",
            "AdjustmentType",
            "ScalingAdjustment",
            "Cooldown",
            "MinAdjustmentMagnitude",
            "MinAdjustmentStep",
            "MetricAggregationType",
            "EstimatedInstanceWarmup",
            "Enabled",
            "StepAdjustments*",
            "TargetTrackingConfiguration*",
            "PredictiveScalingConfiguration*",
        ],
        run: put_policy,
    },
    Operation {
        name: "DescribePolicies",
        knows: &["AutoScalingGroupName", "PolicyNames[]", "PolicyTypes[]", "NextToken", "MaxRecords"],
        run: |world, input| {
            let shown = |policy: &Value| {
                let mut shown = policy.clone();
                // Auto Scaling's own alarms of a target tracking policy are shown as they were given.
                if shown.get("Alarms").is_none() {
                    shown["Alarms"] = world.alarms_on(text(policy, "PolicyARN").unwrap_or_default());
                }
                shown
            };
            let found = of_fleets(world, input, |fleet| fleet.policies.values().map(shown).collect());
            let (names, types) = (input.list("PolicyNames"), input.list("PolicyTypes"));
            let asked = |list: &[String], value: Option<&str>| {
                list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
            };
            let passes = |one: &Value| {
                asked(&names, text(one, "PolicyName")) && asked(&types, text(one, "PolicyType"))
            };
            let shown = found.into_iter().filter(passes).collect();
            input.page(PAGING, world.settings.page, shown, "ScalingPolicies")
        },
    },
    Operation {
        name: "PutScheduledUpdateGroupAction",
        knows: &[
            "AutoScalingGroupName",
            "ScheduledActionName",
            "Time",
            "StartTime",
            "EndTime",
            "Recurrence",
            "MinSize",
            "MaxSize",
            "DesiredCapacity",
            "TimeZone",
        ],
        run: |world, input| {
            let name = input.need("ScheduledActionName")?.to_owned();
            let action = own_of(input, "AutoScalingGroupName")?;
            world.fleet_mut(input.need("AutoScalingGroupName")?)?.schedules.insert(name, action);
            Ok(json!({}))
        },
    },
    Operation {
        name: "DescribeScheduledActions",
        knows: &[
            "AutoScalingGroupName",
            "ScheduledActionNames[]",
            "StartTime",
            "EndTime",
            "NextToken",
            "MaxRecords",
        ],
        run: |world, input| {
            let names = input.list("ScheduledActionNames");
            let asked = |one: &Value| {
                names.is_empty()
                    || text(one, "ScheduledActionName").is_some_and(|name| names.iter().any(|n| n == name))
            };
            let found = of_fleets(world, input, |fleet| fleet.schedules.values().cloned().collect());
            let shown = found.into_iter().filter(asked).collect();
            input.page(PAGING, world.settings.page, shown, "ScheduledUpdateGroupActions")
        },
    },
    Operation {
        name: "PutNotificationConfiguration",
        knows: &["AutoScalingGroupName", "TopicARN", "NotificationTypes[]"],
        run: put_notifications,
    },
    Operation {
        name: "DescribeNotificationConfigurations",
        knows: &["AutoScalingGroupNames[]", "NextToken", "MaxRecords"],
        run: |world, input| {
            let names = input.list("AutoScalingGroupNames");
            let asked = |fleet: &&Fleet| names.is_empty() || names.contains(&fleet.name);
            let found = world.fleets.values().filter(asked);
            let shown = found.flat_map(|fleet| fleet.notifications.clone()).collect();
            input.page(PAGING, world.settings.page, shown, "NotificationConfigurations")
        },
    },
    Operation {
        name: "EnableMetricsCollection",
        knows: &["AutoScalingGroupName", "Metrics[]", "Granularity"],
        run: enable_metrics,
    },
    Operation {
        name: "PutWarmPool",
        knows: &[
            "AutoScalingGroupName",
            "MaxGroupPreparedCapacity",
            "MinSize",
            "PoolState",
            "InstanceReusePolicy.ReuseOnScaleIn",
        ],
        run: |world, input| {
            let pool = own(input);
            world.fleet_mut(input.need("AutoScalingGroupName")?)?.warm_pool = Some(pool);
            Ok(json!({}))
        },
    },
    Operation {
        name: "DescribeWarmPool",
        knows: LISTING,
        run: |world, input| {
            let pool = world.fleet(input.need("AutoScalingGroupName")?)?.warm_pool.clone();
            Ok(json!({ "WarmPoolConfiguration": pool, "Instances": [] }))
        },
    },
    Operation {
        name: "DescribeInstanceRefreshes",
        knows: &["AutoScalingGroupName", "InstanceRefreshIds[]", "NextToken", "MaxRecords"],
        run: |world, input| {
            let shown = world.fleet(input.need("AutoScalingGroupName")?)?.refreshes.clone();
            input.page(PAGING, world.settings.page, shown, "InstanceRefreshes")
        },
    },
    Operation {
        name: "DescribeScalingActivities",
        knows: &[
            "AutoScalingGroupName",
            "ActivityIds[]",
            "IncludeDeletedGroups",
            "NextToken",
            "MaxRecords",
            "Filters[].Name",
            "Filters[].Values[]",
        ],
        run: |world, input| {
            let ids = input.list("ActivityIds");
            let asked = |one: &Value| {
                ids.is_empty()
                    || text(one, "ActivityId").is_some_and(|id| ids.iter().any(|wanted| wanted == id))
            };
            let found = of_fleets(world, input, |fleet| fleet.activities.clone());
            let shown = found.into_iter().filter(asked).collect();
            input.page(PAGING, world.settings.page, shown, "Activities")
        },
    },
];

fn of_fleets(world: &World, input: &Input, read: impl Fn(&Fleet) -> Vec<Value>) -> Vec<Value> {
    let name = input.text("AutoScalingGroupName");
    let asked = |fleet: &&Fleet| name.is_none_or(|name| fleet.name == name);
    world.fleets.values().filter(asked).flat_map(read).collect()
}

/// The parameters themselves, without those of the protocol and the name of the fleet.
fn own(input: &Input) -> Value {
    let mut fields: Map<String, Value> = input.tree.as_object().cloned().unwrap_or_default();
    for one in ["Action", "Version", "AutoScalingGroupName"] {
        fields.remove(one);
    }
    Value::Object(fields)
}

fn own_of(input: &Input, name: &str) -> Answer {
    let mut fields = own(input);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert(name.to_owned(), json!(input.need(name)?));
    }
    Ok(fields)
}

pub fn put_hook(hooks: &mut BTreeMap<String, Value>, given: &Value) -> Result<(), ApiError> {
    let name = text(given, "LifecycleHookName")
        .ok_or_else(|| ApiError::new("ValidationError", "A hook needs a name"))?;
    let mut hook = hooks.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    hook.extend(given.as_object().cloned().unwrap_or_default());
    let transition = hook.get("LifecycleTransition").and_then(Value::as_str).unwrap_or_default();
    if ![LAUNCHING, TERMINATING].contains(&transition) {
        return Err(ApiError::new("ValidationError", "A hook needs a transition"));
    }
    for (field, otherwise) in
        [("HeartbeatTimeout", "3600"), ("DefaultResult", "ABANDON"), ("GlobalTimeout", "172800")]
    {
        hook.entry(field).or_insert_with(|| json!(otherwise));
    }
    hooks.insert(name.to_owned(), Value::Object(hook));
    Ok(())
}

fn describe_hooks(world: &mut World, input: &Input) -> Answer {
    let fleet = world.fleet(input.need("AutoScalingGroupName")?)?;
    let names = input.list("LifecycleHookNames");
    let mut shown = Vec::new();
    for (name, hook) in fleet.hooks.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        let mut hook = hook.as_object().cloned().unwrap_or_default();
        hook.insert("AutoScalingGroupName".to_owned(), json!(fleet.name));
        hook.insert("LifecycleHookName".to_owned(), json!(name));
        shown.push(Value::Object(hook));
    }
    Ok(json!({ "LifecycleHooks": shown }))
}

fn put_policy(world: &mut World, input: &Input) -> Answer {
    let (fleet, name) = (input.need("AutoScalingGroupName")?, input.need("PolicyName")?);
    let arn = format!("{}:policyName/{name}", world.fleet(fleet)?.arn);
    let mut policy = own_of(input, "AutoScalingGroupName")?.as_object().cloned().unwrap_or_default();
    by_requests(world.fleet(fleet)?, input)?;
    policy.insert("PolicyARN".to_owned(), json!(arn));
    policy.entry("PolicyType").or_insert_with(|| json!("SimpleScaling"));
    world.fleet_mut(fleet)?.policies.insert(name.to_owned(), Value::Object(policy));
    Ok(json!({ "PolicyARN": arn, "Alarms": [] }))
}

/// Requests are counted for a target group that the fleet is attached to, and no other.
fn by_requests(fleet: &Fleet, input: &Input) -> Result<(), ApiError> {
    let metric = "/TargetTrackingConfiguration/PredefinedMetricSpecification";
    let Some(metric) = input.tree.pointer(metric) else { return Ok(()) };
    let label = text(metric, "ResourceLabel").and_then(|label| label.split_once("/targetgroup/"));
    let attached = label.is_some_and(|(_, group)| {
        fleet.registers_in().any(|one| one.id.ends_with(&format!(":targetgroup/{group}")))
    });
    if text(metric, "PredefinedMetricType") == Some("ALBRequestCountPerTarget") && !attached {
        let message = "The resource label names no target group that is attached to the Auto Scaling group";
        return Err(ApiError::new("ValidationError", message));
    }
    Ok(())
}

fn put_notifications(world: &mut World, input: &Input) -> Answer {
    let (name, topic) = (input.need("AutoScalingGroupName")?, input.need("TopicARN")?);
    let kinds = input.list("NotificationTypes");
    let fleet = world.fleet_mut(name)?;
    fleet.notifications.retain(|one| text(one, "TopicARN") != Some(topic));
    let one = |kind| json!({ "AutoScalingGroupName": name, "TopicARN": topic, "NotificationType": kind });
    fleet.notifications.extend(kinds.into_iter().map(one));
    Ok(json!({}))
}

fn enable_metrics(world: &mut World, input: &Input) -> Answer {
    if input.need("Granularity")? != "1Minute" {
        return Err(ApiError::new("ValidationError", "Granularity must be 1Minute"));
    }
    let mut metrics = input.list("Metrics");
    if metrics.is_empty() {
        metrics = ["GroupDesiredCapacity", "GroupInServiceInstances"].map(str::to_owned).to_vec();
    }
    let shown: Value = metrics.iter().map(|one| json!({ "Metric": one, "Granularity": "1Minute" })).collect();
    let fleet = world.fleet_mut(input.need("AutoScalingGroupName")?)?;
    fleet.settings.insert("EnabledMetrics".to_owned(), shown);
    Ok(json!({}))
}
