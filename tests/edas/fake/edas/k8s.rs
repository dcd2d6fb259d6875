//! Applications on Kubernetes.

use serde_json::{Value, json};

use super::super::input::Input;
use super::super::kube::{CLUSTER, KubeApp, NODE, Pod};
use super::super::orders::{Kind, Pace, Work};
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::World;
use super::{app, free};

pub const OPERATIONS: &[Operation] = &[
    read("GetK8sApplication", get),
    read("DescribeAppInstanceList", instances),
    read("GetK8sServices", services),
    read("ListK8sIngressRules", |world, input| Ok(ingresses(world, input))),
    read("DescribeApplicationScalingRules", rules),
    write("DeployK8sApplication", deploy),
    write("ScaleK8sApplication", scale),
    write("EnableApplicationScalingRule", |world, input| switch(world, input, true)),
    write("DisableApplicationScalingRule", |world, input| switch(world, input, false)),
];

/// A wrong word about the cluster would be seen by nobody.
fn on_kubernetes<'a>(world: &'a World, input: &Input) -> Result<&'a KubeApp, ApiError> {
    let app = app(world, input)?;
    let own = world.kube.iter().find(|own| own.app == app.id);
    own.ok_or_else(|| ApiError::in_body(601, format!("The application {} is not on Kubernetes.", app.id)))
}

fn get(world: &mut World, input: &Input) -> Answer {
    let (app, own) = (app(world, input)?, on_kubernetes(world, input)?);
    Ok(json!({ "Applcation": {
        "AppId": app.id,
        "App": {
            "AppId": app.id,
            "ApplicationName": app.name,
            "ApplicationType": "General",
            "ClusterId": CLUSTER,
            "DeployType": "Image",
            "Instances": own.replicas,
            "K8sNamespace": "default",
            "RegionId": world.settings.region,
            "SlbInfo": own.slb_info,
        },
        "ImageInfo": { "ImageUrl": own.image, "Tag": own.image.rsplit(':').next().unwrap_or_default() },
    } }))
}

fn instances(world: &mut World, input: &Input) -> Answer {
    let own = on_kubernetes(world, input)?;
    let shown: Vec<Value> = own
        .pods
        .iter()
        .map(|pod| {
            let raw = pod.raw.clone().unwrap_or_else(|| described(world, pod).to_string());
            json!({ "AppId": own.app, "GroupId": own.app, "GroupName": "_DEFAULT_GROUP", "PodRaw": raw })
        })
        .collect();
    Ok(json!({ "InstanceList": shown }))
}

/// A pod as Kubernetes describes it.
fn described(world: &World, pod: &Pod) -> Value {
    let host = world.hosts.get(&pod.host);
    let up = host.is_some_and(|host| host.state == "Running");
    let mut raw = json!({
        "kind": "Pod",
        "metadata": { "name": pod.host, "namespace": "default" },
        "spec": { "containers": [{ "name": "main", "image": pod.image }] },
        "status": {
            "phase": if up { "Running" } else { "Pending" },
            "conditions": [
                { "type": "PodScheduled", "status": "True" },
                { "type": "Ready", "status": if up && pod.leaving.is_none() { "True" } else { "False" } },
            ],
        },
    });
    if let Some(host) = host.filter(|_| up) {
        raw["status"]["hostIP"] = json!(NODE);
        raw["status"]["podIP"] = json!(host.ip);
        raw["status"]["podIPs"] = json!([{ "ip": host.ip }]);
    }
    if pod.leaving.is_some() {
        raw["metadata"]["deletionTimestamp"] = world.iso(world.now);
    }
    raw
}

fn services(world: &mut World, input: &Input) -> Answer {
    Ok(json!({ "Services": on_kubernetes(world, input)?.services }))
}

fn ingresses(world: &World, input: &Input) -> Value {
    let here = input.text("ClusterId").is_none_or(|cluster| cluster == CLUSTER);
    let shown: &[Value] = if here { &world.ingresses } else { &[] };
    let cluster = json!({ "ClusterId": CLUSTER, "ClusterName": "fake", "RegionId": world.settings.region, "IngressConfs": shown });
    json!({ "Data": [cluster] })
}

fn rules(world: &mut World, input: &Input) -> Answer {
    let own = on_kubernetes(world, input)?;
    let all: Vec<Value> = own
        .rules
        .iter()
        .map(|(name, on)| {
            json!({ "AppId": own.app, "ScaleRuleName": name, "ScaleRuleEnabled": on, "ScaleRuleType": "trigger" })
        })
        .collect();
    let (total, most) = (all.len(), world.settings.page.unwrap_or(usize::MAX));
    let shown: Vec<Value> = all.into_iter().take(most).collect();
    Ok(json!({ "AppScalingRules": {
        "CurrentPage": 1, "PageSize": 100, "TotalSize": total, "Result": shown,
    } }))
}

fn switch(world: &mut World, input: &Input, on: bool) -> Answer {
    let (app, name) = (on_kubernetes(world, input)?.app.clone(), input.need("ScalingRuleName")?.to_owned());
    let rule = world.kube_of(&app).and_then(|own| own.rules.get_mut(&name));
    let rule =
        rule.ok_or_else(|| ApiError::in_body(404, format!("The scaling rule {name} does not exist.")))?;
    *rule = on;
    let shown =
        json!({ "AppId": app, "ScaleRuleName": name, "ScaleRuleEnabled": on, "ScaleRuleType": "trigger" });
    Ok(json!({ "AppScalingRule": shown }))
}

fn deploy(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let own = on_kubernetes(world, input)?;
    let image = input.text("Image").ok_or_else(|| ApiError::in_body(400, "Image is required."))?.to_owned();
    let replicas = input.number("Replicas")?.unwrap_or(own.replicas);
    let text = input.text("UpdateStrategy").unwrap_or("{}");
    let strategy: Value = serde_json::from_str(text)
        .map_err(|_| ApiError::in_body(400, "UpdateStrategy is no JSON object."))?;
    let update = &strategy["batchUpdate"];
    let batches = usize::try_from(update["batch"].as_u64().unwrap_or(1)).unwrap_or(1);
    let manual = update["releaseType"] == "manual";
    // A Deployment that is to have no pods keeps to that where a deployment does not say otherwise.
    let kept = if world.settings.deploys_replicas { replicas } else { own.replicas };
    let work = Work::Pods { image: Some(image), replicas: kept };
    let eccs = vec![Vec::new(); batches.min(1)];
    let order = world.order(Kind::Deploy, (&app.id, ""), work, &eccs, Pace { batches: 1, manual, wait: 0 });
    let description = input.text("ChangeOrderDesc").unwrap_or_default().to_owned();
    for own in world.orders.iter_mut().filter(|own| own.id == order) {
        own.description.clone_from(&description);
    }
    Ok(json!({ "ChangeOrderId": order }))
}

fn scale(world: &mut World, input: &Input) -> Answer {
    let app = free(world, input)?;
    let own = on_kubernetes(world, input)?;
    let illegal = || ApiError::in_body(400, "Replicas is out of range.");
    let replicas = input.number("Replicas")?.ok_or_else(illegal)?;
    let kind = if replicas < own.replicas { Kind::ScaleIn } else { Kind::ScaleOut };
    let work = Work::Pods { image: None, replicas };
    let order = world.order(kind, (&app.id, ""), work, &[Vec::new()], Pace::default());
    Ok(json!({ "ChangeOrderId": order }))
}
