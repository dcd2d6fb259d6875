//! Applications and who runs them.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::kube::CLUSTER;
use super::super::pages::{among, commas};
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::{App, Binding, Ecc, Host, VPC, World};
use super::app;

pub const OPERATIONS: &[Operation] = &[
    read("ListApplication", list),
    read("GetApplication", get),
    read("QueryApplicationStatus", status),
    read("QueryEccInfo", ecc),
    read("ListHistoryDeployVersion", versions),
    read("ListCluster", |world, _| Ok(clusters(world))),
    read("ListClusterMembers", members),
    write("SynchronizeResource", |_, _| Ok(json!({ "Success": true }))),
    write("UpdateHealthCheckUrl", |world, input| {
        app(world, input)?;
        Ok(json!({ "HealthCheckURL": input.text("hcURL").unwrap_or_default() }))
    }),
];

fn eccs<'a>(world: &'a World, app: &'a App) -> impl Iterator<Item = &'a Ecc> + Clone {
    world.eccs.iter().filter(move |ecc| ecc.app == app.id)
}

/// The cluster that an application runs in.
fn cluster_of<'a>(world: &'a World, app: &App) -> &'a str {
    if world.kube.iter().any(|own| own.app == app.id) { CLUSTER } else { &world.cluster }
}

fn running(world: &World, app: &App) -> usize {
    eccs(world, app).filter(|ecc| ecc.runs).count()
}

fn binding(app: &App, side: usize) -> Option<&Binding> {
    app.bindings.get(side).and_then(Option::as_ref)
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = input.text("AppIds").map(commas).unwrap_or_default();
    let name = input.text("AppName");
    let fits = |app: &&App| {
        let cluster = input.text("ClusterId").is_none_or(|cluster| cluster == cluster_of(world, app));
        among(&ids, &app.id) && name.is_none_or(|name| app.name.contains(name)) && cluster
    };
    let size = usize::try_from(input.number("PageSize")?.unwrap_or(10)).unwrap_or(10);
    let size = world.settings.page.map_or(size, |page| page.min(size)).max(1);
    let page = usize::try_from(input.number("CurrentPage")?.unwrap_or(1).max(1)).unwrap_or(1);
    let asked = world.apps.iter().filter(fits).skip((page - 1) * size).take(size);
    let shown = asked.map(|app| {
        let address = |side: usize| binding(app, side).and_then(|one| world.balancer(&one.balancer));
        json!({
            "AppId": app.id,
            "Name": app.name,
            "ApplicationType": "FatJar",
            "ClusterId": cluster_of(world, app),
            "ClusterType": app.cluster_type,
            "RegionId": world.settings.region,
            "NamespaceId": world.settings.region,
            "Port": app.port,
            "Instances": eccs(world, app).count(),
            "RunningInstanceCount": running(world, app),
            "State": "AVAILABLE",
            "SlbIp": address(0).map(|one| one.address.clone()).unwrap_or_default(),
            "ExtSlbIp": address(1).map(|one| one.address.clone()).unwrap_or_default(),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "ApplicationList": { "Application": shown } }))
}

fn get(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let mut fields = json!({
        "AppId": app.id,
        "Name": app.name,
        "ApplicationType": "FatJar",
        "ClusterId": cluster_of(world, app),
        "ClusterType": app.cluster_type.to_string(),
        "RegionId": world.settings.region,
        "Port": app.port,
        "InstanceCount": eccs(world, app).count(),
        "RunningInstanceCount": running(world, app),
        "HealthCheckUrl": "",
        "Owner": "edas_test",
    });
    if let Value::Object(fields) = &mut fields {
        for (side, names) in [["SlbId", "SlbIp", "SlbPort"], ["ExtSlbId", "ExtSlbIp", ""]].iter().enumerate()
        {
            let Some(bound) = binding(app, side) else { continue };
            let address = world.balancer(&bound.balancer).map(|one| one.address.clone()).unwrap_or_default();
            fields.insert(names[0].to_owned(), json!(bound.balancer));
            fields.insert(names[1].to_owned(), json!(address));
            if let (Some(port), false) = (bound.port, names[2].is_empty()) {
                fields.insert(names[2].to_owned(), json!(port));
            }
        }
    }
    Ok(json!({ "Application": fields }))
}

fn status(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let known = eccs(world, app).filter_map(|ecc| Some((ecc, world.host_of(ecc)?)));
    let shown: Vec<Value> = known.clone().map(|(ecc, host)| shown_ecc(world, ecc, host)).collect();
    let ecus = known.clone().filter_map(|(ecc, host)| {
        let ecu = world.ecu(&ecc.ecu)?;
        Some(json!({
            "EcuId": ecu.id,
            "InstanceId": host.id,
            "IpAddr": host.ip,
            "Name": host.id,
            "Online": ecu.online && host.state == "Running",
            "GroupId": ecc.group,
            "RegionId": world.settings.region,
            "VpcId": VPC,
            "ZoneId": format!("{}-b", world.settings.region),
            "HeartbeatTime": world.epoch(world.now),
        }))
    });
    let ecus: Vec<Value> = ecus.collect();
    let records = known.filter_map(|(ecc, _)| {
        Some(json!({
            "EccId": ecc.id,
            "EcuId": ecc.ecu,
            "DeployRecordId": format!("record-{}", ecc.id),
            "PackageVersionId": ecc.package.as_ref()?,
            "PackageMd5": "d41d8cd98f00b204e9800998ecf8427e",
            "CreateTime": world.epoch(ecc.since),
        }))
    });
    let records: Vec<Value> = records.collect();
    let groups = app.groups.iter().map(|group| {
        let package = group.package.clone().unwrap_or_default();
        json!({
            "AppId": app.id,
            "GroupId": group.id,
            "GroupName": group.name,
            "GroupType": u8::from(group.name != super::super::world::DEFAULT_GROUP),
            "ClusterId": world.cluster,
            "PackageVersionId": package,
            "AppVersionId": package,
            "CreateTime": world.epoch(group.created),
            "UpdateTime": world.epoch(group.created),
        })
    });
    let groups: Vec<Value> = groups.collect();
    Ok(json!({ "AppInfo": {
        "Application": {
            "ApplicationId": app.id,
            "Name": app.name,
            "ClusterId": world.cluster,
            "RegionId": world.settings.region,
            "Port": app.port,
            "InstanceCount": shown.len(),
            "RunningInstanceCount": running(world, app),
        },
        "GroupList": { "Group": groups },
        "EccList": { "Ecc": shown },
        "EcuList": { "Ecu": ecus },
        "DeployRecordList": { "DeployRecord": records },
    } }))
}

fn shown_ecc(world: &World, ecc: &Ecc, host: &Host) -> Value {
    let online = world.ecu(&ecc.ecu).is_some_and(|ecu| ecu.online) && host.state == "Running";
    json!({
        "EccId": ecc.id,
        "EcuId": ecc.ecu,
        "AppId": ecc.app,
        "GroupId": ecc.group,
        "Ip": host.ip,
        // Nobody knows what runs where the agent does not answer.
        "AppState": if !online { 0 } else if ecc.runs { 7 } else { 1 },
        "TaskState": ecc.task,
        "VpcId": VPC,
        "CreateTime": world.epoch(ecc.since),
        "UpdateTime": world.epoch(ecc.since),
    })
}

fn ecc(world: &mut World, input: &Input) -> Answer {
    let id = input.need("EccId")?;
    let absent = || ApiError::in_body(404, format!("The instance {id} does not exist."));
    let ecc = world.eccs.iter().find(|ecc| ecc.id == id).ok_or_else(absent)?;
    let app = world.app(&ecc.app).ok_or_else(absent)?;
    let package = ecc.package.as_ref().and_then(|package| app.package(package));
    Ok(json!({ "EccInfo": {
        "EccId": ecc.id,
        "EcuId": ecc.ecu,
        "AppId": ecc.app,
        "GroupId": ecc.group,
        "GroupName": app.group(&ecc.group).map(|group| group.name.clone()).unwrap_or_default(),
        "PackageVersion": package.map(|package| package.version.clone()).unwrap_or_default(),
        "VpcId": VPC,
    } }))
}

fn versions(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let shown = app.packages.iter().rev().map(|package| {
        json!({
            "AppId": app.id,
            "Id": package.id,
            "PackageVersion": package.version,
            "WarUrl": package.url,
            "Type": "url",
            "CreateTime": world.epoch(package.at),
            "UpdateTime": world.epoch(package.at),
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "PackageVersionList": { "PackageVersion": shown } }))
}

fn clusters(world: &World) -> Value {
    let cluster = json!({
        "ClusterId": world.cluster,
        "ClusterName": "fake",
        "ClusterType": 2,
        "NetworkMode": 2,
        "NodeNum": world.ecus.len(),
        "RegionId": world.settings.region,
        "VpcId": VPC,
    });
    json!({ "ClusterList": { "Cluster": [cluster] } })
}

fn members(world: &mut World, input: &Input) -> Answer {
    if input.need("ClusterId")? != world.cluster {
        return Err(ApiError::in_body(404, "The cluster does not exist."));
    }
    let shown = world.ecus.iter().filter_map(|ecu| {
        let host = world.hosts.get(&ecu.host)?;
        Some(json!({
            "ClusterId": world.cluster,
            "ClusterMemberId": format!("member-{}", ecu.id),
            "EcsId": host.id,
            "EcuId": ecu.id,
            "PrivateIp": host.ip,
            "Status": u8::from(host.state == "Running"),
        }))
    });
    let all: Vec<Value> = shown.collect();
    let size = usize::try_from(input.number("PageSize")?.unwrap_or(20)).unwrap_or(20);
    let size = world.settings.page.map_or(size, |page| page.min(size)).max(1);
    let number = usize::try_from(input.number("CurrentPage")?.unwrap_or(1).max(1)).unwrap_or(1);
    let total = all.len();
    let page: Vec<Value> = all.into_iter().skip((number - 1) * size).take(size).collect();
    Ok(json!({ "ClusterMemberPage": {
        "ClusterMemberList": { "ClusterMember": page },
        "CurrentPage": number,
        "PageSize": size,
        "TotalSize": total,
    } }))
}
