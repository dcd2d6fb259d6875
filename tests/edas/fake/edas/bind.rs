//! Load balancers that EDAS keeps in step with an application or with one of its groups.

use serde_json::{Value, json};

use super::super::clb::default_group;
use super::super::input::Input;
use super::super::orders::{Kind, Pace, Work};
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::{Balancer, Binding, Family, VPC, World};
use super::{app, free, group};

pub const OPERATIONS: &[Operation] = &[
    read("ListSlb", |world, input| Ok(list(world, input))),
    write("BindSlb", bind),
    write("UnbindSlb", unbind),
    write("BindEcsSlb", bind_group),
];

fn list(world: &World, input: &Input) -> Value {
    let fits = |one: &&Balancer| {
        let family = match input.text("SlbType") {
            Some("alb") => Family::Alb,
            _ => Family::Clb,
        };
        one.family == family && input.text("AddressType").is_none_or(|scheme| scheme == one.scheme)
    };
    let shown = world.balancers.iter().filter(fits).map(|one| {
        json!({
            "SlbId": one.id,
            "SlbName": one.name,
            "Address": one.address,
            "AddressType": one.scheme,
            "SlbStatus": "active",
            "RegionId": world.settings.region,
            "VpcId": VPC,
            "Reusable": true,
        })
    });
    let shown: Vec<Value> = shown.collect();
    json!({ "SlbList": { "SlbEntity": shown } })
}

fn side(kind: &str) -> Result<usize, ApiError> {
    match kind.to_lowercase().as_str() {
        "intranet" => Ok(0),
        "internet" => Ok(1),
        _ => Err(ApiError::in_body(400, "Type is internet or intranet.")),
    }
}

fn balancer(world: &World, id: &str) -> Result<Balancer, ApiError> {
    let absent = || ApiError::in_body(404, format!("The SLB instance {id} does not exist."));
    world.balancer(id).cloned().ok_or_else(absent)
}

fn bind(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?.clone();
    let at = side(input.need("Type")?)?;
    let owner = balancer(world, input.need("SlbId")?)?;
    let group = input.text("VServerGroupId").map_or_else(|| default_group(&owner.id), str::to_owned);
    if !world.groups.contains_key(&group) {
        return Err(ApiError::in_body(404, "The vServer group does not exist."));
    }
    let port = input.number("ListenerPort")?.and_then(|port| u16::try_from(port).ok());
    let binding = Binding { balancer: owner.id.clone(), port, group: group.clone() };
    if let Some(place) = world.app_mut(&app.id).and_then(|app| app.bindings.get_mut(at)) {
        *place = Some(binding);
    }
    // Everybody of the application, in all groups.
    let all: Vec<String> =
        world.eccs.iter().filter(|ecc| ecc.app == app.id).map(|ecc| ecc.id.clone()).collect();
    for ecc in &all {
        world.follow(ecc);
    }
    let names = [["SlbId", "SlbIp", "VServerGroupId"], ["ExtSlbId", "ExtSlbIp", "ExtVServerGroupId"]];
    let values = [owner.id, owner.address, group];
    let fields = names[at].into_iter().zip(values).map(|(name, value)| (name.to_owned(), json!(value)));
    Ok(json!({ "Data": Value::Object(fields.collect()) }))
}

fn unbind(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?.clone();
    let at = side(input.need("Type")?)?;
    let bound = app.bindings.get(at).cloned().flatten();
    if bound.is_none_or(|bound| input.text("SlbId") != Some(bound.balancer.as_str())) {
        return Err(ApiError::in_body(601, "The SLB instance is not bound."));
    }
    if let Some(place) = world.app_mut(&app.id).and_then(|app| app.bindings.get_mut(at)) {
        *place = None;
    }
    Ok(json!({ "Data": "success" }))
}

fn bind_group(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let owner = balancer(world, input.need("SlbId")?)?;
    let of =
        input.text("DeployGroupId").ok_or_else(|| ApiError::in_body(400, "DeployGroupId is required."))?;
    let group = group(&app, of)?.id.clone();
    let vserver = input.text("VServerGroupId").unwrap_or_default().to_owned();
    if !world.groups.contains_key(&vserver) {
        return Err(ApiError::in_body(404, "The vServer group does not exist."));
    }
    let side = usize::from(owner.scheme == "Internet");
    let work = Work::Bind { group: group.clone(), side, vserver, port: app.port };
    let order = world.order(Kind::BindSlb, (&app.id, &group), work, &[], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}
