//! What EDAS tells of change orders, and how they are driven on.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::orders::{Batch, Order, STAGES};
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::World;
use super::app;

pub const OPERATIONS: &[Operation] = &[
    read("GetChangeOrderInfo", get),
    read("ListRecentChangeOrder", list),
    write("ContinuePipeline", go_on),
    write("AbortChangeOrder", |world, input| abort(world, input, false)),
    write("AbortAndRollbackChangeOrder", |world, input| abort(world, input, true)),
    write("RollbackChangeOrder", roll_back),
    write("RetryChangeOrderTask", retry),
];

/// Whose task it is in a batch without an instance of EDAS's.
const NOBODY: &str = "none";

fn order<'a>(world: &'a World, input: &Input) -> Result<&'a Order, ApiError> {
    let id = input.need("ChangeOrderId")?;
    let found = world.orders.iter().find(|order| order.id == id);
    found.ok_or_else(|| ApiError::in_body(404, format!("The change process {id} does not exist.")))
}

fn batch_type(order: &Order) -> &'static str {
    if order.manual { "Manual" } else { "Automatic" }
}

fn get(world: &mut World, input: &Input) -> Answer {
    let order = order(world, input)?;
    let pipelines = order.batches.iter().enumerate();
    let pipelines: Vec<Value> = pipelines.map(|(n, batch)| pipeline(world, order, batch, n)).collect();
    Ok(json!({ "changeOrderInfo": {
        "ChangeOrderId": order.id,
        "Status": order.status,
        "CoType": order.kind.names().1,
        "Desc": order.description,
        "ChangeOrderDescription": order.description,
        "BatchCount": order.batches.len(),
        "BatchType": batch_type(order),
        "CreateTime": world.spoken(order.created),
        "CreateUserId": "edas_test",
        "SupportRollback": matches!(order.work, super::super::orders::Work::Install { .. }),
        "PipelineInfoList": { "PipelineInfo": pipelines },
    } }))
}

fn pipeline(world: &World, order: &Order, batch: &Batch, n: usize) -> Value {
    let stage_ms = world.settings.step.max(1);
    let passed = usize::try_from(world.now.saturating_sub(batch.started) / stage_ms).unwrap_or(usize::MAX);
    let last = STAGES.len() - 1;
    let status = |at: usize| match batch.status {
        1 if at < passed => 2,
        1 if at == passed.min(last) => 1,
        0 | 1 => 0,
        2 => 2,
        _ if at < last => 2,
        ended => ended,
    };
    let details: Vec<Value> = STAGES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let of = |ecc: &str| task(world, order, ecc, &batch.id, (at, status(at)));
            let mut tasks: Vec<Value> = batch.eccs.iter().map(|ecc| of(ecc)).collect();
            if tasks.is_empty() {
                // Something is done all the same.
                tasks.push(of(NOBODY));
            }
            json!({
                "StageId": format!("{}-{at}", batch.id),
                "StageName": name,
                "StageStatus": status(at),
                "TaskList": { "TaskInfoDTO": tasks },
            })
        })
        .collect();
    let stages: Vec<Value> = STAGES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let instances = batch.eccs.iter().filter_map(|id| {
                let ecc = world.eccs.iter().find(|ecc| ecc.id == *id)?;
                let host = world.host_of(ecc)?;
                Some(json!({ "InstanceIp": host.ip, "InstanceName": host.id, "Status": status(at) }))
            });
            let instances: Vec<Value> = instances.collect();
            let id = format!("{}-{at}", batch.id);
            json!({
                "StageId": id,
                "StageName": name,
                "Status": status(at),
                "StageResultDTO": {
                    "ServiceStage": { "StageId": id, "StageName": name, "Status": status(at), "Message": "" },
                    "InstanceDTOList": { "InstanceDTO": instances },
                },
            })
        })
        .collect();
    json!({
        "PipelineId": batch.id,
        "PipelineName": format!("Batch {} Change", n + 1),
        "PipelineStatus": batch.status,
        "StartTime": world.spoken(batch.started),
        "UpdateTime": world.spoken(batch.ended.max(batch.started)),
        "StageDetailList": { "StageDetailDTO": details },
        "StageList": { "StageInfoDTO": stages },
    })
}

fn task(world: &World, order: &Order, ecc: &str, batch: &str, (at, status): (usize, u8)) -> Value {
    let failed = ecc == NOBODY || world.eccs.iter().any(|one| one.id == ecc && one.task == 3);
    let failed = failed && at + 1 == STAGES.len() && order.error.is_some();
    let (code, message) = order.error.clone().filter(|_| failed).unwrap_or_default();
    json!({
        "TaskId": format!("{batch}-{at}-{ecc}"),
        "TaskName": STAGES.get(at).copied().unwrap_or_default(),
        "TaskStatus": if failed { "3".to_owned() } else { status.to_string() },
        "TaskErrorCode": code,
        "TaskErrorMessage": message,
        "RetryType": 0,
    })
}

fn list(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let orders = world.orders.iter().rev().filter(|order| order.app == app.id);
    let shown = orders.map(|order| {
        let finished = order.finished.map(|at| world.spoken(at));
        json!({
            "ChangeOrderId": order.id,
            "AppId": order.app,
            "GroupId": order.group,
            "Status": order.status,
            "CoType": order.kind.names().1,
            "CoTypeCode": order.kind.names().0,
            "ChangeOrderDescription": order.description,
            "BatchCount": order.batches.len(),
            "BatchType": batch_type(order),
            "CreateTime": world.spoken(order.created),
            "FinishTime": finished.unwrap_or_else(|| json!("")),
            "CreateUserId": "edas_test",
            "Source": "pop",
        })
    });
    let shown: Vec<Value> = shown.take(world.settings.page.unwrap_or(20)).collect();
    Ok(json!({ "ChangeOrderList": { "ChangeOrder": shown } }))
}

fn go_on(world: &mut World, input: &Input) -> Answer {
    let id = input.need("PipelineId")?.to_owned();
    let now = world.now;
    let waits = |order: &&mut Order| order.status == 8 && order.batches.iter().any(|batch| batch.id == id);
    let order = world.orders.iter_mut().find(waits);
    let order =
        order.ok_or_else(|| ApiError::in_body(601, "No batch of this pipeline waits for anybody."))?;
    (order.status, order.since) = (1, now);
    Ok(json!({}))
}

fn abort(world: &mut World, input: &Input, back: bool) -> Answer {
    let id = order(world, input)?.id.clone();
    let ended = || ApiError::in_body(601, "The change process has ended.");
    let id = world.abort(&id, back).ok_or_else(ended)?;
    Ok(json!({ "Data": { "ChangeOrderId": id }, "ErrorCode": "", "TraceId": "fake" }))
}

fn roll_back(world: &mut World, input: &Input) -> Answer {
    let order = order(world, input)?.clone();
    if world.busy_with(&order.app).is_some() {
        return Err(ApiError::in_body(601, "The application has a running change process."));
    }
    let id = world.take_back(&order);
    Ok(json!({ "Data": { "ChangeOrderId": id }, "ErrorCode": "", "TraceId": "fake" }))
}

/// A task of an order that failed is tried again, which starts its batch again.
fn retry(world: &mut World, input: &Input) -> Answer {
    let id = input.need("TaskId")?.to_owned();
    let now = world.now;
    let has = |order: &&mut Order| order.batches.iter().any(|batch| id.starts_with(&batch.id));
    let order = world.orders.iter_mut().find(has).filter(|order| order.status == 3);
    let order = order.ok_or_else(|| ApiError::in_body(601, "The task cannot be tried again."))?;
    for batch in order.batches.iter_mut().filter(|batch| batch.status == 3) {
        batch.status = 0;
    }
    (order.status, order.since, order.finished, order.failure, order.error) = (1, now, None, None, None);
    Ok(json!({ "Data": "success" }))
}
