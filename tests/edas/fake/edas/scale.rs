//! Instances come and go.

use serde_json::{Value, json};

use super::super::ecs::is_inside;
use super::super::input::Input;
use super::super::orders::{Kind, Pace, Work};
use super::super::pages::commas;
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::{Ecc, VPC, World};
use super::{free, group};

pub const OPERATIONS: &[Operation] = &[
    read("ListScaleOutEcu", idle),
    write("ScaleOutApplication", out),
    write("ScaleoutApplicationWithNewInstances", buy),
    write("ScaleInApplication", r#in),
];

/// Instances bought in one call.
const BUY_MAX: u64 = 50;

fn idle(world: &mut World, input: &Input) -> Answer {
    if input.text("AppId").is_none() && input.text("ClusterId").is_none() {
        return Err(ApiError::in_body(400, "AppId or ClusterId is required."));
    }
    let most = usize::try_from(input.number("InstanceNum")?.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let free = world.ecus.iter().filter(|ecu| world.eccs.iter().all(|ecc| ecc.ecu != ecu.id));
    let shown = free.filter_map(|ecu| {
        let host = world.hosts.get(&ecu.host)?;
        Some(json!({
            "EcuId": ecu.id,
            "InstanceId": host.id,
            "IpAddr": host.ip,
            "Name": host.id,
            "Online": ecu.online && host.state == "Running",
            "RegionId": world.settings.region,
            "VpcId": VPC,
            "ZoneId": format!("{}-b", world.settings.region),
        }))
    });
    let shown: Vec<Value> = shown.take(most).collect();
    Ok(json!({ "EcuInfoList": { "EcuInfo": shown } }))
}

/// An instance that has come, though nothing runs on it yet.
pub fn arrive(world: &mut World, app: &str, group: &str, ecu: &str) -> String {
    let id = world.uuid();
    world.eccs.push(Ecc {
        id: id.clone(),
        ecu: ecu.to_owned(),
        app: app.to_owned(),
        group: group.to_owned(),
        runs: false,
        task: 1,
        package: None,
        since: world.now,
    });
    id
}

fn out(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let group = group(&app, input.need("DeployGroup")?)?.id.clone();
    let named = commas(input.need("EcuInfo")?);
    for id in &named {
        let taken = world.eccs.iter().any(|ecc| ecc.ecu == *id);
        if taken || world.ecu(id).is_none() {
            return Err(ApiError::in_body(601, format!("The instance {id} is not idle in this cluster.")));
        }
    }
    let come: &[String] = if world.brings_nobody() { &[] } else { &named };
    let eccs = come.iter().map(|ecu| arrive(world, &app.id, &group, ecu)).collect();
    let order = world.order(Kind::ScaleOut, (&app.id, &group), Work::Arrive, &[eccs], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}

fn buy(world: &mut World, input: &Input) -> Answer {
    let (Some(_), Some(of)) = (input.text("AppId"), input.text("GroupId")) else {
        return Err(ApiError::in_body(400, "AppId and GroupId are required for an application."));
    };
    let app = free(world, input)?;
    let group = group(&app, of)?.id.clone();
    let number = input.number("ScalingNum")?.filter(|number| (1..=BUY_MAX).contains(number));
    let number = number.ok_or_else(|| ApiError::in_body(400, "ScalingNum is out of range."))?;
    let template = input.text("TemplateId").unwrap_or_default();
    let known = world
        .templates
        .get(template)
        .ok_or_else(|| ApiError::in_body(404, "The launch template does not exist."))?;
    let version = match input.text("TemplateVersion") {
        None | Some("-1") => known.default,
        Some(text) => text.parse().unwrap_or(0),
    };
    let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
    let inside = at.and_then(|at| known.versions.get(at)).copied();
    if inside != Some(true) || !is_inside(world, known.vswitch) {
        return Err(ApiError::in_body(601, "The launch template has no vSwitch in the VPC of the cluster."));
    }
    let template = Some((template.to_owned(), version.to_string()));
    let release = input.text("ScalingPolicy") != Some("recycle");
    let (mut hosts, mut eccs) = (Vec::new(), Vec::new());
    let come = if world.brings_nobody() { 0 } else { number };
    for _ in 0..come {
        let host = world.launch(template.clone(), release);
        let ecu = world.import(&host);
        eccs.push(arrive(world, &app.id, &group, &ecu));
        hosts.push(host);
    }
    if world.settings.bought_through_ess {
        world.scaling_group(&format!("EDAS_{group}"), &hosts);
    }
    let order = world.order(Kind::ScaleOut, (&app.id, &group), Work::Arrive, &[eccs], Pace::default());
    Ok(json!({ "ChangeOrderId": order, "InstanceIds": hosts }))
}

fn r#in(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let eccs = commas(input.need("EccInfo")?);
    let own = |id: &&String| world.eccs.iter().any(|ecc| ecc.id == **id && ecc.app == app.id);
    if let Some(stranger) = eccs.iter().find(|id| !own(id)) {
        return Err(ApiError::in_body(404, format!("The instance {stranger} does not exist.")));
    }
    let groups = world.eccs.iter().filter(|ecc| eccs.contains(&ecc.id)).map(|ecc| ecc.group.clone());
    let mut groups: Vec<String> = groups.collect();
    groups.dedup();
    let group = if let [group] = groups.as_slice() { group.clone() } else { String::new() };
    let order = world.order(Kind::ScaleIn, (&app.id, &group), Work::Leave, &[eccs], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}
