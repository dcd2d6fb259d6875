//! Deploy groups.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::{DEFAULT_GROUP, DeployGroup, World};
use super::app;

pub const OPERATIONS: &[Operation] =
    &[read("ListDeployGroup", list), write("InsertDeployGroup", insert), write("DeleteDeployGroup", delete)];

const NAME_MAX: usize = 64;

fn list(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let shown = app.groups.iter().map(|group| {
        let package = group.package.as_ref().and_then(|package| app.package(package));
        let bound = |side: usize| {
            let own = group.bound.get(side).and_then(Option::as_ref);
            own.map(|(id, _)| id.clone()).unwrap_or_default()
        };
        json!({
            "AppId": app.id,
            "GroupId": group.id,
            "GroupName": group.name,
            "GroupType": u8::from(group.name != DEFAULT_GROUP),
            "ClusterId": world.cluster,
            "PackageVersionId": package.map(|package| package.id.clone()).unwrap_or_default(),
            "AppVersionId": package.map(|package| package.id.clone()).unwrap_or_default(),
            "PackageVersion": package.map(|package| package.version.clone()).unwrap_or_default(),
            "PackageUrl": package.map(|package| package.url.clone()).unwrap_or_default(),
            "VServerGroupId": bound(0),
            "VExtServerGroupId": bound(1),
            "CreateTime": world.epoch(group.created),
            "UpdateTime": world.epoch(group.created),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "DeployGroupList": { "DeployGroup": shown } }))
}

fn insert(world: &mut World, input: &Input) -> Answer {
    let (app, name) = (app(world, input)?.clone(), input.need("GroupName")?.to_owned());
    if name.chars().count() > NAME_MAX {
        return Err(ApiError::in_body(400, "The name of a group has at most 64 characters."));
    }
    if app.group_named(&name).is_some() {
        return Err(ApiError::in_body(601, format!("The instance group {name} already exists.")));
    }
    let package = input.text("InitPackageVersionId").map(str::to_owned);
    if package.as_ref().is_some_and(|package| app.package(package).is_none()) {
        return Err(ApiError::in_body(404, "The package version does not exist."));
    }
    let id = world.uuid();
    let group = DeployGroup {
        id: id.clone(),
        name: name.clone(),
        package: package.clone(),
        bound: [None, None],
        rules: super::rules::off(),
        created: world.now,
    };
    let cluster = world.cluster.clone();
    if let Some(app) = world.app_mut(&app.id) {
        app.groups.push(group);
    }
    let package = package.unwrap_or_default();
    Ok(json!({ "DeployGroupEntity": {
        "Id": id,
        "AppId": app.id,
        "GroupName": name,
        "GroupType": 1,
        "PackageVersionId": package,
        "AppVersionId": package,
        "ClusterId": cluster,
    } }))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let (app, name) = (app(world, input)?.clone(), input.need("GroupName")?.to_owned());
    let absent = || ApiError::in_body(404, format!("The instance group {name} does not exist."));
    let group = app.group_named(&name).ok_or_else(absent)?;
    if name == DEFAULT_GROUP {
        return Err(ApiError::in_body(601, "The default group cannot be deleted."));
    }
    if world.eccs.iter().any(|ecc| ecc.group == group.id) {
        return Err(ApiError::in_body(601, "The instance group still has instances."));
    }
    if let Some(app) = world.app_mut(&app.id) {
        app.groups.retain(|one| one.name != name);
    }
    Ok(json!({ "Data": "success" }))
}
