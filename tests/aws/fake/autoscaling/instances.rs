//! Instances of a fleet.

use serde_json::{Value, json};

use super::super::fleets::{LAUNCHING, TERMINATING};
use super::super::input::{Input, Paging, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{Member, World};
use super::PAGING;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeAutoScalingInstances",
        knows: &["InstanceIds[]", "NextToken", "MaxRecords"],
        run: describe,
    },
    Operation {
        name: "SetInstanceProtection",
        knows: &["AutoScalingGroupName", "InstanceIds[]", "ProtectedFromScaleIn"],
        run: protect,
    },
    Operation {
        name: "TerminateInstanceInAutoScalingGroup",
        knows: &["InstanceId", "ShouldDecrementDesiredCapacity"],
        run: terminate,
    },
    Operation {
        name: "CompleteLifecycleAction",
        knows: &[
            "AutoScalingGroupName",
            "LifecycleHookName",
            "InstanceId",
            "LifecycleActionToken",
            "LifecycleActionResult",
        ],
        run: complete,
    },
];

fn describe(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("InstanceIds");
    let asked = |id: &String| ids.is_empty() || ids.contains(id);
    let members = world.instances.values().filter_map(|one| Some((one, one.member.as_ref()?)));
    let shown = members
        .filter(|(instance, _)| asked(&instance.id))
        .map(|(instance, member)| world.show_member(instance, member, true))
        .collect();
    input.page(Paging { most: 50, ..PAGING }, world.settings.page, shown, "AutoScalingInstances")
}

fn of_fleet<'a>(world: &'a mut World, id: &str, fleet: Option<&str>) -> Result<&'a mut Member, ApiError> {
    let member = world.instances.get_mut(id).and_then(|instance| instance.member.as_mut());
    let member = member.filter(|member| fleet.is_none_or(|fleet| member.fleet == fleet));
    let text = format!("Instance Id not found - No managed instance found for instance ID {id}");
    member.ok_or_else(|| ApiError::new("ValidationError", text))
}

fn protect(world: &mut World, input: &Input) -> Answer {
    let fleet = input.need("AutoScalingGroupName")?;
    let protected = input.flag("ProtectedFromScaleIn")?.unwrap_or(false);
    let ids = input.list("InstanceIds");
    for id in &ids {
        let member = of_fleet(world, id, Some(fleet))?;
        if member.lifecycle.starts_with("Terminating") {
            return Err(ApiError::new(
                "ValidationError",
                format!("The instance {id} is not in InService or Standby"),
            ));
        }
    }
    for id in &ids {
        of_fleet(world, id, Some(fleet))?.protected = protected;
    }
    Ok(json!({}))
}

fn terminate(world: &mut World, input: &Input) -> Answer {
    let id = input.need("InstanceId")?;
    let shrink = input
        .flag("ShouldDecrementDesiredCapacity")?
        .ok_or_else(|| ApiError::new("ValidationError", "ShouldDecrementDesiredCapacity is required"))?;
    let name = of_fleet(world, id, None)?.fleet.clone();
    if shrink {
        let fleet = world.fleet_mut(&name)?;
        if fleet.desired <= fleet.min {
            let text = "Currently, desiredSize equals minSize. Terminating instance without replacement will violate group's min size constraint.";
            return Err(ApiError::new("ValidationError", text));
        }
        fleet.desired -= 1;
    }
    world.begin_termination(id);
    let (n, at) = (world.fresh(), world.iso(world.now));
    Ok(json!({ "Activity": {
        "ActivityId": format!("activity-{n:08x}"), "AutoScalingGroupName": name, "StatusCode": "InProgress",
        "Description": format!("Terminating EC2 instance: {id}"), "Cause": "user request", "StartTime": at,
        "Progress": "0",
    }}))
}

fn complete(world: &mut World, input: &Input) -> Answer {
    let fleet_name = input.need("AutoScalingGroupName")?;
    let hook_name = input.need("LifecycleHookName")?;
    let result = input.need("LifecycleActionResult")?;
    if !["CONTINUE", "ABANDON"].contains(&result) {
        return Err(ApiError::new(
            "ValidationError",
            format!("LifecycleActionResult '{result}' is not valid"),
        ));
    }
    let refused = || ApiError::new("ValidationError", "No active Lifecycle Action found");
    let fleet = world.fleet(fleet_name)?;
    let hook: &Value = fleet.hooks.get(hook_name).ok_or_else(refused)?;
    let transition = text(hook, "LifecycleTransition").unwrap_or_default().to_owned();
    let waiting = match transition.as_str() {
        LAUNCHING => "Pending:Wait",
        TERMINATING => "Terminating:Wait",
        _ => "",
    };
    let (id, token) = (input.text("InstanceId"), input.text("LifecycleActionToken"));
    let member = world
        .instances
        .values_mut()
        .filter(|instance| id.is_none_or(|id| instance.id == id))
        .filter_map(|instance| instance.member.as_mut())
        .find(|member| {
            member.fleet == fleet_name
                && member.lifecycle == waiting
                && token.is_none_or(|token| member.token == token)
                && (id.is_some() || token.is_some())
        })
        .ok_or_else(refused)?;
    let done = if result == "ABANDON" { result } else { hook_name };
    member.hooks_done.insert(done.to_owned());
    Ok(json!({}))
}
