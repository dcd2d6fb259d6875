//! Applications and deployment groups.

use serde_json::{Value, json};

use super::super::autoscaling::put_hook;
use super::super::fleets::LAUNCHING;
use super::super::input::{Input, items, list, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{DeploymentGroup, World};
use super::{PAGING, needed};

const LISTED_MAX: usize = 10;

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "GetApplication", knows: &["applicationName"], run: application },
    Operation { name: "ListDeploymentGroups", knows: &["applicationName", "nextToken"], run: listing },
    Operation {
        name: "GetDeploymentGroup",
        knows: &["applicationName", "deploymentGroupName"],
        run: |world, input| {
            let group = world.named_group(input, "deploymentGroupName")?;
            Ok(json!({ "deploymentGroupInfo": show(group) }))
        },
    },
    Operation {
        name: "BatchGetDeploymentGroups",
        knows: &["applicationName", "deploymentGroupNames[]"],
        run: batch,
    },
    Operation {
        name: "CreateDeploymentGroup",
        knows: &[
            "applicationName",
            "deploymentGroupName",
            "deploymentConfigName",
            "serviceRoleArn",
            "autoScalingGroups[]",
            "deploymentStyle*",
            "autoRollbackConfiguration*",
            "alarmConfiguration*",
            "outdatedInstancesStrategy",
            "triggerConfigurations[]*",
            "tags[]*",
        ],
        run: create,
    },
    Operation {
        name: "DeleteDeploymentGroup",
        knows: &["applicationName", "deploymentGroupName"],
        run: delete,
    },
    Operation {
        name: "UpdateDeploymentGroup",
        knows: &[
            "applicationName",
            "currentDeploymentGroupName",
            "newDeploymentGroupName",
            "deploymentConfigName",
            "serviceRoleArn",
            "autoScalingGroups[]",
            "deploymentStyle*",
            "blueGreenDeploymentConfiguration*",
            "loadBalancerInfo*",
            "autoRollbackConfiguration*",
            "alarmConfiguration*",
            "outdatedInstancesStrategy",
            "triggerConfigurations[]*",
            "terminationHookEnabled",
        ],
        run: update,
    },
];

fn known(world: &World, input: &Input) -> Result<String, ApiError> {
    let name = needed(input, "applicationName", "ApplicationNameRequiredException")?;
    let text = format!("No application found for name: {name}");
    let found = world.applications.get(name).cloned();
    found.ok_or_else(|| ApiError::new("ApplicationDoesNotExistException", text))
}

impl World {
    pub fn named_group(&self, input: &Input, field: &str) -> Result<&DeploymentGroup, ApiError> {
        let application = known(self, input)?;
        let name = needed(input, field, "DeploymentGroupNameRequiredException")?;
        let mut groups = self.deployment_groups.iter();
        let found = groups.find(|group| group.application == application && group.name == name);
        let text = format!("No Deployment Group found for name: {name}");
        found.ok_or_else(|| ApiError::new("DeploymentGroupDoesNotExistException", text))
    }
}

fn show(group: &DeploymentGroup) -> Value {
    let mut shown = group.settings.clone();
    let hook = |name: &String| json!({ "name": name, "hook": format!("CodeDeploy-managed-automatic-launch-deployment-hook-{}", group.name) });
    let fleets: Value =
        list(&Value::Object(group.settings.clone()), "autoScalingGroups").iter().map(hook).collect();
    let more = json!({
        "applicationName": group.application, "deploymentGroupId": group.id, "deploymentGroupName": group.name,
        "autoScalingGroups": fleets, "computePlatform": "Server",
    });
    shown.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(shown)
}

fn application(world: &mut World, input: &Input) -> Answer {
    let name = known(world, input)?;
    Ok(json!({ "application": {
        "applicationId": "00000000-0000-4000-8000-000000000000", "applicationName": name,
        "createTime": world.epoch(0), "linkedToGitHub": false, "computePlatform": "Server",
    }}))
}

fn listing(world: &mut World, input: &Input) -> Answer {
    let name = known(world, input)?;
    let own = world.deployment_groups.iter().filter(|group| group.application == name);
    let names = own.map(|group| json!(group.name)).collect();
    let mut answer = input.page(PAGING, world.settings.page, names, "deploymentGroups")?;
    answer["applicationName"] = json!(name);
    Ok(answer)
}

fn batch(world: &mut World, input: &Input) -> Answer {
    let name = known(world, input)?;
    let names = input.list("deploymentGroupNames");
    if names.is_empty() || names.len() > 100 {
        return Err(ApiError::new("BatchLimitExceededException", "Between 1 and 100 groups may be named"));
    }
    let asked = |group: &&DeploymentGroup| group.application == name && names.contains(&group.name);
    let found: Value = world.deployment_groups.iter().filter(asked).map(show).collect();
    Ok(json!({ "deploymentGroupsInfo": found }))
}

/// The hook by which instances that a fleet launches later are installed.
pub fn hook(group: &DeploymentGroup) -> String {
    format!("CodeDeploy-managed-automatic-launch-deployment-hook-{}-{}", group.name, group.id)
}

fn create(world: &mut World, input: &Input) -> Answer {
    let application = known(world, input)?;
    let name = needed(input, "deploymentGroupName", "DeploymentGroupNameRequiredException")?;
    needed(input, "serviceRoleArn", "RoleRequiredException")?;
    if world.named_group(input, "deploymentGroupName").is_ok() {
        let text = format!("Deployment group name already exists: {name}");
        return Err(ApiError::new("DeploymentGroupAlreadyExistsException", text));
    }
    let fleets = input.list("autoScalingGroups");
    if let Some(none) = fleets.iter().find(|fleet| !world.fleets.contains_key(*fleet)) {
        let text = format!("The Auto Scaling group {none} does not exist");
        return Err(ApiError::new("InvalidAutoScalingGroupException", text));
    }
    let mut settings = input.tree.as_object().cloned().unwrap_or_default();
    for name in ["applicationName", "deploymentGroupName", "tags"] {
        settings.remove(name);
    }
    let id = format!("{:08x}-0000-4000-8000-000000000000", world.fresh());
    let group =
        DeploymentGroup { id: id.clone(), application, name: name.to_owned(), settings, current: None };
    for fleet in &fleets {
        let given = json!({
            "LifecycleHookName": hook(&group), "LifecycleTransition": LAUNCHING, "HeartbeatTimeout": "600",
        });
        put_hook(&mut world.fleet_mut(fleet)?.hooks, &given)?;
    }
    world.deployment_groups.push(group);
    Ok(json!({ "deploymentGroupId": id }))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let group = match world.named_group(input, "deploymentGroupName") {
        Err(error) if error.code == "DeploymentGroupDoesNotExistException" => return Ok(json!({})),
        group => group?.clone(),
    };
    for fleet in world.fleets.values_mut() {
        fleet.hooks.remove(&hook(&group));
    }
    world.deployment_groups.retain(|other| other.id != group.id);
    Ok(json!({ "hooksNotCleanedUp": [] }))
}

fn update(world: &mut World, input: &Input) -> Answer {
    let mut next = world.named_group(input, "currentDeploymentGroupName")?.clone();
    let copies = |config: &Value| {
        config.get("greenFleetProvisioningOption").and_then(|one| text(one, "action"))
            == Some("COPY_AUTO_SCALING_GROUP")
    };
    let config = input.tree.get("blueGreenDeploymentConfiguration");
    // A list that is not sent again counts as none here.
    if config.is_some_and(copies) && input.list("autoScalingGroups").len() != 1 {
        let text = "Exactly one Auto Scaling group must be given to copy it";
        return Err(ApiError::new("InvalidBlueGreenDeploymentConfigurationException", text));
    }
    if let Some(info) = input.tree.get("loadBalancerInfo")
        && items(info, "targetGroupInfoList").len() > LISTED_MAX
    {
        let text = "A deployment group can list at most 10 target groups";
        return Err(ApiError::new("InvalidLoadBalancerInfoException", text));
    }
    for (name, value) in input.tree.as_object().into_iter().flatten() {
        let names_it = ["applicationName", "currentDeploymentGroupName", "newDeploymentGroupName"];
        if !names_it.contains(&name.as_str()) && !value.is_null() {
            next.settings.insert(name.clone(), value.clone());
        }
    }
    let id = next.id.clone();
    if let Some(name) = input.text("newDeploymentGroupName") {
        name.clone_into(&mut next.name);
    }
    if let Some(group) = world.deployment_groups.iter_mut().find(|group| group.id == id) {
        *group = next;
    }
    Ok(json!({ "hooksNotCleanedUp": [] }))
}
