//! Registered targets and their health.

use serde_json::{Value, json};

use super::super::input::{Input, number, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{Target, World};

const IDS: &[&str] = &["TargetGroupArn", "Targets[].Id", "Targets[].Port", "Targets[].AvailabilityZone"];

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "RegisterTargets", knows: IDS, run: register },
    Operation { name: "DeregisterTargets", knows: IDS, run: deregister },
    Operation {
        name: "DescribeTargetHealth",
        knows: &[
            "TargetGroupArn",
            "Targets[].Id",
            "Targets[].Port",
            "Targets[].AvailabilityZone",
            "Include[]",
        ],
        run: health,
    },
];

fn named(input: &Input) -> Result<Vec<(String, Option<u16>)>, ApiError> {
    let read = |target: &Value| {
        let id =
            text(target, "Id").ok_or_else(|| ApiError::new("ValidationError", "A target needs an ID"))?;
        let port = number(target, "Port")?.map(u16::try_from).transpose();
        Ok((id.to_owned(), port.map_err(|_| ApiError::new("ValidationError", "Port is out of range"))?))
    };
    input.items("Targets").iter().map(read).collect()
}

fn some_named(input: &Input) -> Result<Vec<(String, Option<u16>)>, ApiError> {
    let targets = named(input)?;
    if targets.is_empty() {
        return Err(ApiError::new("ValidationError", "At least one target must be specified"));
    }
    Ok(targets)
}

fn register(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("TargetGroupArn")?;
    world.group(arn)?;
    let targets = some_named(input)?;
    for (id, _) in &targets {
        world.registrable(id)?;
    }
    for (id, port) in &targets {
        world.register(arn, id, *port);
    }
    Ok(json!({}))
}

fn deregister(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("TargetGroupArn")?;
    world.group(arn)?;
    let targets = some_named(input)?;
    for (id, _) in &targets {
        if !id.starts_with("i-") {
            return Err(ApiError::new("InvalidTarget", format!("The target '{id}' is not valid")));
        }
    }
    for (id, port) in &targets {
        world.deregister(arn, id, *port);
    }
    Ok(json!({}))
}

fn health(world: &mut World, input: &Input) -> Answer {
    let group = world.group(input.need("TargetGroupArn")?)?;
    let include = input.list("Include");
    if let Some(other) = include.iter().find(|one| !["AnomalyDetection", "All"].contains(&one.as_str())) {
        return Err(ApiError::new("ValidationError", format!("Include cannot be '{other}'")));
    }
    let asked = named(input)?;
    let show = |target: &Target| {
        let mut shown = json!({
            "Target": { "Id": target.id, "Port": target.port },
            "HealthCheckPort": target.port.to_string(),
            "TargetHealth": World::health_of(target),
        });
        if let (Some(fields), false) = (shown.as_object_mut(), include.is_empty()) {
            let normal = json!({ "Result": "normal", "MitigationInEffect": "no" });
            fields.insert("AnomalyDetection".to_owned(), normal);
        }
        shown
    };
    let absent = |id: &str, port: u16| {
        json!({
            "Target": { "Id": id, "Port": port },
            "HealthCheckPort": port.to_string(),
            "TargetHealth": {
                "State": "unused", "Reason": "Target.NotRegistered",
                "Description": "Target is not registered to the target group",
            },
        })
    };
    let one = |(id, port): &(String, Option<u16>)| {
        let port = port.unwrap_or(group.port);
        let found = group.targets.iter().find(|target| target.id == *id && target.port == port);
        found.map_or_else(|| absent(id, port), show)
    };
    let shown: Vec<Value> = if asked.is_empty() {
        group.targets.iter().map(show).collect()
    } else {
        asked.iter().map(one).collect()
    };
    Ok(json!({ "TargetHealthDescriptions": shown }))
}
