//! The instances of a deployment and their lifecycle events.

use serde_json::{Value, json};

use super::super::engine::{Deployment, Event};
use super::super::input::{Input, list};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, REGION, World};
use super::PAGING;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "ListDeploymentTargets",
        knows: &[
            "deploymentId",
            "targetFilters.TargetStatus[]",
            "targetFilters.ServerInstanceLabel[]",
            "nextToken",
        ],
        run: listing,
    },
    Operation { name: "BatchGetDeploymentTargets", knows: &["deploymentId", "targetIds[]"], run: batch },
];

impl Deployment {
    /// Its instances, each with its label; in place there is none.
    pub fn targets(&self) -> Vec<(String, Option<&'static str>)> {
        let blue = self.blue_green().then_some("Blue");
        let of = |ids: &[String], label| ids.iter().map(|id| (id.clone(), label)).collect::<Vec<_>>();
        [of(&self.blue, blue), of(&self.green, Some("Green"))].concat()
    }

    pub fn target_status(&self, id: &str) -> &'static str {
        let events = self.events.get(id).map(Vec::as_slice).unwrap_or_default();
        let failed = events.iter().any(|event| event.status == "Failed");
        match (events.is_empty(), failed, self.status) {
            (_, true, _) => "Failed",
            (true, ..) if self.active() => "Pending",
            (false, _, "Ready") => "Ready",
            (false, _, "Succeeded") => "Succeeded",
            (true, ..) | (false, _, "Stopped" | "Failed") => "Skipped",
            (false, ..) => "InProgress",
        }
    }
}

fn started<'a>(world: &'a World, input: &Input) -> Result<&'a Deployment, ApiError> {
    let found = world.deployment(input)?;
    let refused = || {
        ApiError::new("DeploymentNotStartedException", format!("The deployment {} has not started", found.id))
    };
    found.started.map(|_| found).ok_or_else(refused)
}

fn listing(world: &mut World, input: &Input) -> Answer {
    let one = started(world, input)?;
    let filters = input.tree.get("targetFilters").cloned().unwrap_or_default();
    let (statuses, labels) = (list(&filters, "TargetStatus"), list(&filters, "ServerInstanceLabel"));
    let asked = |list: &[String], value: Option<&str>| {
        list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
    };
    let passes = |(id, label): &(String, Option<&'static str>)| {
        asked(&labels, *label) && asked(&statuses, Some(one.target_status(id)))
    };
    let ids = one.targets().into_iter().filter(passes).map(|(id, _)| json!(id)).collect();
    input.page(PAGING, world.settings.page, ids, "targetIds")
}

fn batch(world: &mut World, input: &Input) -> Answer {
    let one = started(world, input)?;
    let ids = input.list("targetIds");
    if ids.is_empty() || ids.len() > 25 {
        return Err(ApiError::new(
            "DeploymentTargetListSizeExceededException",
            "Between 1 and 25 targets may be named",
        ));
    }
    let known = one.targets();
    let event = |event: &Event| {
        json!({
            "lifecycleEventName": event.name, "status": event.status, "startTime": world.epoch(event.start),
            "endTime": event.end.map(|at| world.epoch(at)),
            "diagnostics": (event.status == "Failed").then(|| json!({
                "errorCode": "ScriptFailed", "scriptName": format!("scripts/{}.sh", event.name),
                "message": "Script exited with status 3", "logTail": "",
            })),
        })
    };
    let mut shown = Vec::new();
    for id in &ids {
        let text = format!("The target {id} does not exist in the deployment");
        let unknown = || ApiError::new("DeploymentTargetDoesNotExistException", text);
        let (_, label) = known.iter().find(|(known, _)| known == id).ok_or_else(unknown)?;
        let events: Value = one.events.get(id).into_iter().flatten().map(event).collect();
        shown.push(json!({ "deploymentTargetType": "InstanceTarget", "instanceTarget": {
            "deploymentId": one.id, "targetId": id, "status": one.target_status(id), "instanceLabel": label,
            "targetArn": format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{id}"),
            "lastUpdatedAt": world.epoch(world.now), "lifecycleEvents": events,
        }}));
    }
    Ok(json!({ "deploymentTargets": shown }))
}
