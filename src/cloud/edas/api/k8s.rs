//! EDAS (version 2017-08-01): the operations on an application that runs on Kubernetes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::pool::number;
use crate::cloud::edas::client::{Call, Client, Method, Product};
use crate::cloud::{Fault, FaultKind};

const APPS: &str = "/pop/v5/k8s/acs/k8s_apps";

fn get(action: &'static str, path: &'static str) -> Call {
    Call::roa(Product::Edas, action, Method::Get, path).read()
}

/// An application as EDAS keeps it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Application {
    pub app: Settings,
    pub image_info: Option<Image>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Settings {
    pub cluster_id: Option<String>,
    /// How many pods it should have: the official Terraform provider takes it for that.
    #[serde(default, deserialize_with = "number")]
    pub instances: Option<u32>,
    /// What EDAS itself binds to it: a JSON text, or nothing.
    #[serde(default)]
    pub slb_info: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    pub image_url: Option<String>,
}

/// The application with this id.
pub async fn application(client: &Client, id: &str) -> Result<Application, Fault> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(rename = "Application")]
        application: Application,
    }
    let call = get("GetK8sApplication", "/pop/v5/changeorder/co_application").with("AppId", id);
    client.send(call).await.map(|reply: Reply| reply.application)
}

/// One instance of an application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// The pod as Kubernetes describes it: a JSON text.
    pub pod_raw: Option<String>,
}

/// Every pod of the application.
pub async fn instances(client: &Client, id: &str) -> Result<Vec<Instance>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        instance_list: Vec<Instance>,
    }
    let call = get("DescribeAppInstanceList", "/pop/v5/oam/app_instance_list").with("AppId", id);
    client.send(call).await.map(|reply: Reply| reply.instance_list)
}

/// An answer of which nothing is wanted: what it did is seen in a look.
#[derive(Deserialize)]
struct Done {}

/// An image for an application.
#[derive(Debug)]
pub struct Deployment<'a> {
    pub application: &'a str,
    pub image: &'a str,
    pub replicas: u32,
    pub description: &'a str,
}

/// Gives the application an image and as many pods, all at once: it carries no traffic yet.
pub async fn deploy(client: &Client, deployment: &Deployment<'_>) -> Result<(), Fault> {
    let strategy = json!({
        "type": "BatchUpdate", "batchUpdate": { "batch": 1, "releaseType": "auto", "batchWaitTime": 0 },
    });
    let call = Call::roa(Product::Edas, "DeployK8sApplication", Method::Post, APPS);
    let call = call.with("AppId", deployment.application).with("Image", deployment.image);
    let call = call.with("Replicas", deployment.replicas).with("UpdateStrategy", strategy);
    client.send(call.with("ChangeOrderDesc", deployment.description)).await.map(|_: Done| ())
}

/// Gives the application as many pods, or none.
pub async fn scale(client: &Client, id: &str, replicas: u32) -> Result<(), Fault> {
    let call = Call::roa(Product::Edas, "ScaleK8sApplication", Method::Put, APPS);
    client.send(call.with("AppId", id).with("Replicas", replicas)).await.map(|_: Done| ())
}

/// A Service in front of an application's pods.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    pub name: Option<String>,
    pub service_ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServicePort {
    /// The port of every node by which the pods can be reached too.
    #[serde(default, deserialize_with = "number")]
    pub node_port: Option<u32>,
}

/// The Services in front of the application's pods.
pub async fn services(client: &Client, id: &str) -> Result<Vec<Service>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        services: Vec<Service>,
    }
    let call = get("GetK8sServices", "/pop/v5/k8s/acs/k8s_service").with("AppId", id);
    client.send(call).await.map(|reply: Reply| reply.services)
}

/// An Ingress, by which the cluster itself sends traffic on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ingress {
    pub name: Option<String>,
    pub rules: Vec<IngressRule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IngressRule {
    pub paths: Vec<IngressPath>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IngressPath {
    pub app_id: Option<String>,
    pub backend: Option<Backend>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Backend {
    pub service_name: Option<String>,
}

/// The Ingresses of a cluster.
pub async fn ingresses(client: &Client, region: &str, cluster: &str) -> Result<Vec<Ingress>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        data: Vec<Cluster>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Cluster {
        ingress_confs: Vec<Ingress>,
    }
    let call = get("ListK8sIngressRules", "/pop/v5/k8s/acs/k8s_ingress");
    let call = call.with("RegionId", region).with("ClusterId", cluster);
    let all = client.send(call).await.map(|reply: Reply| reply.data)?;
    Ok(all.into_iter().flat_map(|cluster| cluster.ingress_confs).collect())
}

/// A rule by which EDAS scales an application by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    pub scale_rule_name: String,
    pub scale_rule_enabled: bool,
}

/// The application's scaling rules, all of them: the operation knows no pages, and its answer counts them.
pub async fn scaling_rules(client: &Client, id: &str) -> Result<Vec<Rule>, Fault> {
    const ACTION: &str = "DescribeApplicationScalingRules";
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        app_scaling_rules: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        #[serde(default, deserialize_with = "number")]
        total_size: Option<u32>,
        result: Vec<Rule>,
    }
    let call = get(ACTION, "/pop/v1/eam/scale/application_scaling_rules").with("AppId", id);
    let list = client.send(call).await.map(|reply: Reply| reply.app_scaling_rules)?;
    match list.total_size.and_then(|total| usize::try_from(total).ok()) {
        Some(total) if total > list.result.len() => {
            let message = format!("{} scaling rules where {total} were promised", list.result.len());
            Err(Fault::new(FaultKind::Unexpected, ACTION, message))
        }
        Some(_) | None => Ok(list.result),
    }
}

/// Switches a scaling rule on or off.
pub async fn switch_rule(client: &Client, id: &str, rule: &str, on: bool) -> Result<(), Fault> {
    let (action, path) = if on {
        ("EnableApplicationScalingRule", "/pop/v1/eam/scale/enable_application_scaling_rule")
    } else {
        ("DisableApplicationScalingRule", "/pop/v1/eam/scale/disable_application_scaling_rule")
    };
    let call = Call::roa(Product::Edas, action, Method::Put, path);
    client.send(call.with("AppId", id).with("ScalingRuleName", rule)).await.map(|_: Done| ())
}
