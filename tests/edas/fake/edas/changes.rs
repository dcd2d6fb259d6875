//! Packages and what else is done to instances that stay.

use serde_json::json;

use super::super::input::Input;
use super::super::orders::{Kind, Pace, Work};
use super::super::pages::commas;
use super::super::service::{Answer, ApiError, Operation, write};
use super::super::world::{App, Package, World};
use super::{free, group};

pub const OPERATIONS: &[Operation] = &[
    write("DeployApplication", deploy),
    write("RollbackApplication", roll_back),
    write("StartApplication", |world, input| run(world, input, Kind::Start)),
    write("StopApplication", |world, input| run(world, input, Kind::Stop)),
    write("RestartApplication", |world, input| run(world, input, Kind::Restart)),
    write("ResetApplication", |world, input| run(world, input, Kind::Reset)),
    write("ChangeDeployGroup", move_one),
];

const WAIT_MINUTES_MAX: u64 = 5;
const VERSION_MAX: usize = 64;

/// The groups that are meant, by identity.
fn meant(app: &App, id: &str) -> Result<Vec<String>, ApiError> {
    if id == "all" {
        return Ok(app.groups.iter().map(|group| group.id.clone()).collect());
    }
    Ok(vec![group(app, id)?.id.clone()])
}

/// The instances of each of some groups.
fn members(world: &World, groups: &[String]) -> Vec<Vec<String>> {
    let of = |group: &String| {
        world.eccs.iter().filter(|ecc| ecc.group == *group).map(|ecc| ecc.id.clone()).collect()
    };
    groups.iter().map(of).collect()
}

fn pace(world: &World, input: &Input, eccs: &[Vec<String>]) -> Result<Pace, ApiError> {
    let batches = usize::try_from(input.number("Batch")?.unwrap_or(1)).unwrap_or(usize::MAX);
    let most = eccs.iter().map(Vec::len).max().unwrap_or(0);
    if batches == 0 || batches > most {
        return Err(ApiError::in_body(400, "The number of batches is larger than the number of instances."));
    }
    let wait = input.number("BatchWaitTime")?.unwrap_or(0);
    if wait > WAIT_MINUTES_MAX {
        return Err(ApiError::in_body(400, "BatchWaitTime is at most 5 minutes."));
    }
    let manual = input.number("ReleaseType")? == Some(1);
    Ok(Pace { batches, manual, wait: world.scaled(wait * 60) })
}

/// Instances of some groups get a package.
fn install(world: &mut World, input: &Input, app: &App, kind: Kind, package: String) -> Answer {
    let of = input.need("GroupId")?.to_owned();
    let groups = meant(app, &of)?;
    let eccs = members(world, &groups);
    if eccs.iter().all(Vec::is_empty) {
        return Err(ApiError::in_body(
            601,
            "ex.app.deploy.group.empty: the instance group has no instances.",
        ));
    }
    let pace = pace(world, input, &eccs)?;
    let concerned = if of == "all" { String::new() } else { of };
    let work = Work::Install { package, groups };
    let order = world.order(kind, (&app.id, &concerned), work, &eccs, pace);
    if let Some(order) = world.orders.iter_mut().find(|one| one.id == order) {
        input.text("Desc").unwrap_or_default().clone_into(&mut order.description);
    }
    Ok(json!({ "ChangeOrderId": order }))
}

fn deploy(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let (version, url) = (input.need("PackageVersion")?.to_owned(), input.need("WarUrl")?.to_owned());
    if input.need("DeployType")? != "url" {
        return Err(ApiError::in_body(400, "DeployType is url for an application of an ECS cluster."));
    }
    if version.chars().count() > VERSION_MAX {
        return Err(ApiError::in_body(400, "PackageVersion has at most 64 characters."));
    }
    let known = app.packages.iter().find(|package| package.version == version && package.url == url);
    let id = known.map_or_else(|| world.uuid(), |package| package.id.clone());
    let answer = install(world, input, &app, Kind::Deploy, id.clone())?;
    let (known, at) = (known.is_some(), world.now);
    if let Some(app) = world.app_mut(&app.id).filter(|_| !known) {
        app.packages.push(Package { id, version, url, at });
    }
    Ok(answer)
}

fn roll_back(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let version = input.need("HistoryVersion")?;
    let known = app.packages.iter().rev().find(|package| package.version == version);
    let package =
        known.ok_or_else(|| ApiError::in_body(404, "The history version does not exist."))?.id.clone();
    install(world, input, &app, Kind::Rollback, package)
}

fn run(world: &mut World, input: &Input, kind: Kind) -> Answer {
    let app = free(world, input)?;
    // Nobody named is everybody, in all groups.
    let named = input.text("EccInfo").map(commas).unwrap_or_default();
    let own = world.eccs.iter().filter(|ecc| ecc.app == app.id);
    let meant = own.filter(|ecc| named.is_empty() || named.contains(&ecc.id));
    let eccs: Vec<String> = meant.map(|ecc| ecc.id.clone()).collect();
    if eccs.is_empty() || eccs.len() < named.len() {
        return Err(ApiError::in_body(404, "The instance does not exist."));
    }
    let work = Work::Run(!matches!(kind, Kind::Stop));
    let order = world.order(kind, (&app.id, ""), work, &[eccs], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}

fn move_one(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let (id, name) = (input.need("EccInfo")?.to_owned(), input.need("GroupName")?);
    let absent = || ApiError::in_body(404, "The instance or the group does not exist.");
    let ecc = world.eccs.iter().find(|ecc| ecc.id == id && ecc.app == app.id).ok_or_else(absent)?;
    let to = app.group_named(name).ok_or_else(absent)?;
    if ecc.package != to.package && input.flag("ForceStatus")? != Some(true) {
        return Err(ApiError::in_body(601, "The package versions differ; ForceStatus is required."));
    }
    let work = Work::Move(to.id.clone());
    let order = world.order(Kind::ChangeGroup, (&app.id, &to.id), work, &[vec![id]], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}
