//! Deployments.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::super::engine::{Deployment, Step};
use super::super::input::{Input, list};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::World;
use super::{PAGING, needed};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateDeployment",
        knows: &[
            "applicationName",
            "deploymentGroupName",
            "revision*",
            "deploymentConfigName",
            "description",
            "ignoreApplicationStopFailures",
            "autoRollbackConfiguration*",
            "updateOutdatedInstancesOnly",
            "fileExistsBehavior",
            "overrideAlarmConfiguration*",
        ],
        run: create,
    },
    Operation {
        name: "GetDeployment",
        knows: &["deploymentId"],
        run: |world, input| {
            let deployment = world.deployment(input)?;
            Ok(json!({ "deploymentInfo": show(world, deployment) }))
        },
    },
    Operation { name: "BatchGetDeployments", knows: &["deploymentIds[]"], run: batch },
    Operation {
        name: "ListDeployments",
        knows: &[
            "applicationName",
            "deploymentGroupName",
            "includeOnlyStatuses[]",
            "createTimeRange.start",
            "createTimeRange.end",
            "nextToken",
        ],
        run: listing,
    },
    Operation { name: "ContinueDeployment", knows: &["deploymentId", "deploymentWaitType"], run: go_on },
    Operation { name: "StopDeployment", knows: &["deploymentId", "autoRollbackEnabled"], run: stop },
];

impl World {
    pub fn deployment(&self, input: &Input) -> Result<&Deployment, ApiError> {
        let id = needed(input, "deploymentId", "DeploymentIdRequiredException")?;
        if !id.starts_with("d-") {
            return Err(ApiError::new(
                "InvalidDeploymentIdException",
                format!("Invalid deployment ID: {id}"),
            ));
        }
        let text = format!("The deployment {id} could not be found");
        let found = self.deployments.iter().find(|one| one.id == id);
        found.ok_or_else(|| ApiError::new("DeploymentDoesNotExistException", text))
    }
}

fn create(world: &mut World, input: &Input) -> Answer {
    let group = world.named_group(input, "deploymentGroupName")?.clone();
    let revision = input.tree.get("revision").cloned();
    let revision = revision
        .ok_or_else(|| ApiError::new("RevisionRequiredException", "The revision ID was not specified."))?;
    let mut active = world
        .deployments
        .iter()
        .filter(|one| one.application == group.application && one.group == group.name);
    if let Some(running) = active.find(|one| one.active()) {
        let text = format!(
            "The Deployment Group '{}' already has an active Deployment '{}'",
            group.name, running.id
        );
        return Err(ApiError::new("DeploymentLimitExceededException", text));
    }
    let mut settings = group.settings.clone();
    for name in ["deploymentConfigName", "autoRollbackConfiguration"] {
        settings.extend(input.tree.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let fleets = list(&Value::Object(group.settings), "autoScalingGroups");
    let fleet = fleets.first().cloned().unwrap_or_default();
    let blue = world.in_service(&fleet);
    if blue.is_empty() {
        let text = "The deployment failed because no instances were found for your deployment group";
        return Err(ApiError::new("InvalidAutoScalingGroupException", text));
    }
    let id = world.begin_deployment(Deployment {
        id: String::new(),
        application: group.application,
        group: group.name,
        description: input.text("description").map(str::to_owned),
        creator: "user",
        revision,
        settings,
        created: world.now,
        started: None,
        completed: None,
        status: "Created",
        error: None,
        rollback: Value::Null,
        script: VecDeque::new(),
        since: None,
        blue_fleet: fleet,
        green_fleet: None,
        blue,
        green: Vec::new(),
        ready: false,
        terminate: false,
        termination_wait: false,
        events: BTreeMap::new(),
    });
    Ok(json!({ "deploymentId": id }))
}

fn show(world: &World, one: &Deployment) -> Value {
    let error = one.error.as_ref().map(|(code, text)| json!({ "code": code, "message": text }));
    let mut overview = BTreeMap::from(
        ["Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready"].map(|name| (name, 0)),
    );
    for (id, _) in one.targets() {
        *overview.entry(one.target_status(&id)).or_default() += 1;
    }
    let overview = one.started.map(|_| overview);
    let setting = |name: &str| one.settings.get(name);
    json!({
        "applicationName": one.application, "deploymentGroupName": one.group, "deploymentId": one.id,
        "deploymentConfigName": setting("deploymentConfigName"), "revision": one.revision, "status": one.status,
        "errorInformation": error, "createTime": world.epoch(one.created),
        "startTime": one.started.map(|at| world.epoch(at)), "completeTime": one.completed.map(|at| world.epoch(at)),
        "deploymentOverview": overview, "description": one.description, "creator": one.creator,
        "autoRollbackConfiguration": setting("autoRollbackConfiguration"), "rollbackInfo": one.rollback,
        "deploymentStyle": setting("deploymentStyle"), "computePlatform": "Server",
        "instanceTerminationWaitTimeStarted": one.termination_wait,
        "blueGreenDeploymentConfiguration": setting("blueGreenDeploymentConfiguration"),
        "loadBalancerInfo": setting("loadBalancerInfo"),
    })
}

fn batch(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("deploymentIds");
    if ids.is_empty() || ids.len() > 100 {
        return Err(ApiError::new(
            "BatchLimitExceededException",
            "Between 1 and 100 deployments may be named",
        ));
    }
    let asked = world.deployments.iter().filter(|one| ids.contains(&one.id));
    let found: Value = asked.map(|one| show(world, one)).collect();
    Ok(json!({ "deploymentsInfo": found }))
}

fn listing(world: &mut World, input: &Input) -> Answer {
    let (application, group) = (input.text("applicationName"), input.text("deploymentGroupName"));
    if application.is_some() != group.is_some() {
        let text = "An application and a deployment group go together";
        return Err(ApiError::new("DeploymentGroupNameRequiredException", text));
    }
    if group.is_some() {
        world.named_group(input, "deploymentGroupName")?;
    }
    let statuses = input.list("includeOnlyStatuses");
    let bound = |name: &str| {
        input.tree.get("createTimeRange").and_then(|range| range.get(name)).and_then(Value::as_f64)
    };
    let within = |one: &Deployment| {
        let created = world.epoch(one.created).as_f64().unwrap_or(0.0);
        bound("start").is_none_or(|start| created >= start) && bound("end").is_none_or(|end| created <= end)
    };
    let asked = |one: &&Deployment| {
        application.is_none_or(|name| one.application == name)
            && group.is_none_or(|name| one.group == name)
            && (statuses.is_empty() || statuses.iter().any(|status| status == one.status))
            && within(one)
    };
    let ids = world.deployments.iter().rev().filter(asked).map(|one| json!(one.id)).collect();
    input.page(PAGING, world.settings.page, ids, "deployments")
}

fn go_on(world: &mut World, input: &Input) -> Answer {
    let found = world.deployment(input)?;
    let (id, active) = (found.id.clone(), found.active());
    let front = found.script.front().cloned().filter(|_| found.since.is_some());
    let blue_green = found.blue_green();
    let refuse = |code: &str| Err(ApiError::new(code, format!("The deployment {id} cannot be continued")));
    if !active {
        return refuse("DeploymentAlreadyCompletedException");
    }
    if !blue_green {
        return refuse("UnsupportedActionForDeploymentTypeException");
    }
    let ready = match (input.text("deploymentWaitType").unwrap_or("READY_WAIT"), front) {
        ("READY_WAIT", Some(Step::ReadyWait)) => true,
        ("READY_WAIT", _) => return refuse("DeploymentIsNotInReadyStateException"),
        ("TERMINATION_WAIT", Some(Step::TerminationWait)) => false,
        ("TERMINATION_WAIT", _) => return refuse("InvalidDeploymentStatusException"),
        _ => return refuse("InvalidDeploymentWaitTypeException"),
    };
    if let Some(one) = world.deployments.iter_mut().find(|one| one.id == id) {
        one.ready |= ready;
        one.terminate |= !ready;
    }
    Ok(json!({}))
}

fn stop(world: &mut World, input: &Input) -> Answer {
    let mut one = world.deployment(input)?.clone();
    if !one.active() {
        let text = format!("The deployment {} has already completed", one.id);
        return Err(ApiError::new("DeploymentAlreadyCompletedException", text));
    }
    // Blue is going already: there is nothing to go back to.
    if one.script.front() == Some(&Step::Terminate) && one.since.is_some() {
        let text = format!("The deployment {} cannot be stopped any more", one.id);
        return Err(ApiError::new("InvalidDeploymentStatusException", text));
    }
    let asked = input.flag("autoRollbackEnabled")?;
    if asked == Some(false) {
        one.settings.remove("autoRollbackConfiguration");
    }
    world.finish(&mut one, "Stopped", "The deployment was stopped by a user");
    if asked == Some(true) && one.rollback.is_null() {
        world.roll_back(&mut one);
    }
    if let Some(place) = world.deployments.iter_mut().find(|other| other.id == one.id) {
        *place = one;
    }
    Ok(json!({ "status": "Succeeded", "statusMessage": "The deployment was stopped" }))
}
