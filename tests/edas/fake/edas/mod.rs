//! EDAS 2017-08-01: what it refuses, it mostly refuses inside an answer that looks like a success.

mod apps;
mod bind;
mod changes;
mod groups;
mod k8s;
mod orders;
mod rules;
pub mod scale;
mod tags;

use super::input::Input;
use super::service::{ApiError, Operation};
use super::world::{App, DeployGroup, World};

pub const OPERATIONS: &[&[Operation]] = &[
    apps::OPERATIONS,
    bind::OPERATIONS,
    changes::OPERATIONS,
    groups::OPERATIONS,
    k8s::OPERATIONS,
    orders::OPERATIONS,
    rules::OPERATIONS,
    scale::OPERATIONS,
    tags::OPERATIONS,
];

fn app<'a>(world: &'a World, input: &Input) -> Result<&'a App, ApiError> {
    let id = input.need("AppId")?;
    world.app(id).ok_or_else(|| ApiError::in_body(404, format!("The application {id} does not exist.")))
}

fn group<'a>(app: &'a App, id: &str) -> Result<&'a DeployGroup, ApiError> {
    app.group(id).ok_or_else(|| ApiError::in_body(404, format!("The instance group {id} does not exist.")))
}

/// An application that no other change is in the way of.
fn free(world: &World, input: &Input) -> Result<App, ApiError> {
    let app = app(world, input)?.clone();
    match world.busy_with(&app.id) {
        Some(order) => {
            let text = format!("The application has a running change process: {}", order.id);
            Err(ApiError::in_body(601, text))
        }
        None => Ok(app),
    }
}
