//! EDAS (version 2017-08-01): the operations on an application of an ECS cluster, its deploy groups and change orders.
//!
//! Every parameter travels in the query, in a POST too. A list that an answer lacks is a fault, never an empty list.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::cloud::Fault;
use crate::cloud::edas::client::{Call, Client, Method, Product};

fn get(action: &'static str, path: &'static str) -> Call {
    Call::roa(Product::Edas, action, Method::Get, path)
}

fn post(action: &'static str, path: &'static str) -> Call {
    Call::roa(Product::Edas, action, Method::Post, path)
}

/// What runs where.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    pub group_list: Groups,
    pub ecc_list: Eccs,
    pub ecu_list: Ecus,
    /// Nothing has been deployed yet where it is missing.
    pub deploy_record_list: Option<Records>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Groups {
    #[serde(rename = "Group")]
    pub all: Vec<Group>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Eccs {
    #[serde(rename = "Ecc")]
    pub all: Vec<Ecc>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Ecus {
    #[serde(rename = "Ecu")]
    pub all: Vec<Ecu>,
}

#[derive(Debug, Deserialize)]
pub struct Records {
    #[serde(rename = "DeployRecord")]
    pub all: Vec<Record>,
}

/// A deploy group in an application's status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    pub group_id: String,
    pub group_name: String,
    pub package_version_id: Option<String>,
}

/// An instance that runs the application.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ecc {
    pub ecc_id: String,
    pub ecu_id: String,
    pub group_id: String,
    /// 7 is running (documentation of `ListApplicationEcc`).
    pub app_state: Option<i64>,
}

/// A host of the cluster.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ecu {
    pub ecu_id: String,
    /// The id of the ECS instance.
    pub instance_id: String,
    /// Its private address.
    pub ip_addr: Option<String>,
    /// Whether its agent answers.
    pub online: Option<bool>,
    pub zone_id: Option<String>,
}

/// Which package an instance got.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    pub ecc_id: String,
    pub package_version_id: Option<String>,
    pub create_time: Option<i64>,
}

/// Every instance, host and deploy group of the application.
pub async fn query_application_status(client: &Client, application: &str) -> Result<Status, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        app_info: Status,
    }
    let call = get("QueryApplicationStatus", "/pop/v5/app/app_status").with("AppId", application).read();
    client.send(call).await.map(|reply: Reply| reply.app_info)
}

/// A deploy group with its package and its bindings.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeployGroup {
    pub group_id: String,
    pub group_name: String,
    pub package_version: Option<String>,
    #[serde(rename = "VServerGroupId")]
    pub vserver_group_id: Option<String>,
    #[serde(rename = "VExtServerGroupId")]
    pub ext_vserver_group_id: Option<String>,
}

/// Every deploy group of the application.
pub async fn list_deploy_group(client: &Client, application: &str) -> Result<Vec<DeployGroup>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        deploy_group_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        deploy_group: Vec<DeployGroup>,
    }
    let call = post("ListDeployGroup", "/pop/v5/app/deploy_group_list").with("AppId", application).read();
    client.send(call).await.map(|reply: Reply| reply.deploy_group_list.deploy_group)
}

/// The application's own settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Application {
    pub slb_id: Option<String>,
    pub ext_slb_id: Option<String>,
    /// Balancers that the two before do not name: a text, of which no source tells how it is written.
    #[serde(default)]
    pub slb_info: Value,
}

/// Whether EDAS says anything about load balancers in a field of which nobody knows how it is written.
pub fn tells_balancers(info: &Value) -> bool {
    let text = match info {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    !matches!(text.as_str(), "" | "[]" | "{}" | "null")
}

/// The application.
pub async fn get_application(client: &Client, application: &str) -> Result<Application, Fault> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(rename = "Application")]
        application: Application,
    }
    let call = post("GetApplication", "/pop/v5/app/app_info").with("AppId", application).read();
    client.send(call).await.map(|reply: Reply| reply.application)
}

/// One asynchronous change of the application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeOrder {
    pub change_order_id: String,
    pub status: i64,
    pub group_id: Option<String>,
    /// What it is there for, in words.
    pub co_type: Option<String>,
    /// The same as a code.
    pub co_type_code: Option<String>,
    pub create_time: Option<String>,
}

/// The application's newest change orders.
pub async fn list_recent_change_order(client: &Client, application: &str) -> Result<Vec<ChangeOrder>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        change_order_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        change_order: Vec<ChangeOrder>,
    }
    let call =
        post("ListRecentChangeOrder", "/pop/v5/changeorder/change_order_list").with("AppId", application);
    client.send(call.read()).await.map(|reply: Reply| reply.change_order_list.change_order)
}

/// What a change order does, as far as it says how far it is and what went wrong.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrderInfo {
    pub pipeline_info_list: Option<Pipelines>,
}

#[derive(Debug, Deserialize)]
pub struct Pipelines {
    #[serde(rename = "PipelineInfo", default)]
    pub all: Vec<Pipeline>,
}

/// One batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pipeline {
    pub stage_detail_list: Option<Stages>,
    #[serde(default, deserialize_with = "perhaps")]
    pub stage_list: Option<Reports>,
}

#[derive(Debug, Deserialize)]
pub struct Stages {
    #[serde(rename = "StageDetailDTO", default)]
    pub all: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stage {
    pub stage_name: Option<String>,
    /// The codes are not in the official SDK. In EDAS's sibling SAE 0 has not begun, 1 runs, 2 is done.
    pub stage_status: Option<Number>,
    pub task_list: Option<Tasks>,
}

#[derive(Debug, Deserialize)]
pub struct Tasks {
    #[serde(rename = "TaskInfoDTO", default)]
    pub all: Vec<Task>,
}

/// A code that may be written as a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Number {
    Plain(i64),
    Text(String),
}

impl Number {
    /// The code itself; none where it is no number.
    pub fn value(&self) -> Option<i64> {
        match self {
            Self::Plain(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    pub task_name: Option<String>,
    pub task_error_code: Option<String>,
    pub task_error_message: Option<String>,
}

/// The stages of a batch once more, with what came of each instance. No source says which of the two lists is filled when.
#[derive(Debug, Deserialize)]
pub struct Reports {
    #[serde(rename = "StageInfoDTO", default)]
    pub all: Vec<Report>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    pub stage_name: Option<String>,
    /// As [`Stage::stage_status`], and so are the others below.
    pub status: Option<Number>,
    #[serde(rename = "StageResultDTO")]
    pub result: Option<StageResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StageResult {
    /// What was done for the whole batch.
    pub service_stage: Option<ServiceStage>,
    #[serde(rename = "InstanceDTOList")]
    pub instances: Option<InstanceReports>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceStage {
    pub status: Option<Number>,
    pub message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct InstanceReports {
    #[serde(rename = "InstanceDTO", default)]
    pub all: Vec<InstanceReport>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceReport {
    pub instance_name: Option<String>,
    /// On Kubernetes.
    pub pod_name: Option<String>,
    #[serde(rename = "InstanceStageDTOList")]
    pub stages: Option<InstanceStages>,
}

#[derive(Debug, Deserialize)]
pub struct InstanceStages {
    #[serde(rename = "InstanceStageDTO", default)]
    pub all: Vec<InstanceStage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceStage {
    pub stage_name: Option<String>,
    pub stage_message: Option<String>,
    pub status: Option<Number>,
}

/// What has another form than is known is left out: nobody decides anything by it, and the rest is worth reading.
fn perhaps<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let said = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(said.and_then(|said| serde_json::from_value(said).ok()))
}

/// One change order.
pub async fn get_change_order_info(client: &Client, order: &str) -> Result<OrderInfo, Fault> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(rename = "ChangeOrderInfo")]
        info: OrderInfo,
    }
    let call = post("GetChangeOrderInfo", "/pop/v5/changeorder/change_order_info");
    client.send(call.with("ChangeOrderId", order).read()).await.map(|reply: Reply| reply.info)
}

/// An answer of which nothing is wanted: what it did is seen in a look.
#[derive(Deserialize)]
struct Done {}

/// Makes an empty deploy group.
pub async fn insert_deploy_group(client: &Client, application: &str, name: &str) -> Result<(), Fault> {
    let call = post("InsertDeployGroup", "/pop/v5/deploy_group");
    client.send(call.with("AppId", application).with("GroupName", name)).await.map(|_: Done| ())
}

/// Hosts of the cluster that can be given to the deploy group.
pub async fn list_scale_out_ecu(client: &Client, application: &str, group: &str) -> Result<Vec<Ecu>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        ecu_info_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        ecu_info: Vec<Ecu>,
    }
    let call = post("ListScaleOutEcu", "/pop/v5/resource/scale_out_ecu_list").with("AppId", application);
    client.send(call.with("GroupId", group).read()).await.map(|reply: Reply| reply.ecu_info_list.ecu_info)
}

/// Gives these hosts to the deploy group.
pub async fn scale_out(client: &Client, application: &str, group: &str, ecus: &[&str]) -> Result<(), Fault> {
    let call = post("ScaleOutApplication", "/pop/v5/changeorder/co_scale_out").with("AppId", application);
    client.send(call.with("DeployGroup", group).with("EcuInfo", ecus.join(","))).await.map(|_: Done| ())
}

/// Buys instances from a launch template for the deploy group; they are released when it is scaled in.
pub async fn scale_out_with_new_instances(
    client: &Client,
    application: &str,
    group: &str,
    count: u32,
    (template, version): (&str, Option<&str>),
) -> Result<(), Fault> {
    let call = post("ScaleoutApplicationWithNewInstances", "/pop/v5/scaling/scale_out");
    let call = call.with("AppId", application).with("GroupId", group).with("ScalingNum", count);
    let call = call.with("TemplateId", template).with("TemplateVersion", version.unwrap_or("-1"));
    client.send(call.with("ScalingPolicy", "release")).await.map(|_: Done| ())
}

/// A package for one deploy group.
#[derive(Debug)]
pub struct Deployment<'a> {
    pub application: &'a str,
    /// The deploy group's id. EDAS knows the word `all` too, which would replace blue.
    pub group: &'a str,
    pub version: &'a str,
    pub url: &'a str,
    pub description: &'a str,
}

/// Installs the package on every instance of the deploy group at once: it carries no traffic yet.
pub async fn deploy(client: &Client, deployment: &Deployment<'_>) -> Result<(), Fault> {
    let call = post("DeployApplication", "/pop/v5/changeorder/co_deploy");
    let call = call.with("AppId", deployment.application).with("GroupId", deployment.group);
    let call = call.with("DeployType", "url").with("WarUrl", deployment.url);
    let call = call.with("PackageVersion", deployment.version).with("Desc", deployment.description);
    client.send(call.with("Batch", 1).with("BatchWaitTime", 0).with("ReleaseType", 0)).await.map(|_: Done| ())
}

/// Takes these instances out of the application.
pub async fn scale_in(client: &Client, application: &str, eccs: &[&str]) -> Result<(), Fault> {
    let call = post("ScaleInApplication", "/pop/v5/changeorder/co_scale_in").with("AppId", application);
    client.send(call.with("EccInfo", eccs.join(","))).await.map(|_: Done| ())
}

/// How a deploy group scales by itself in one direction.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ScalingRule {
    pub mode: String,
    pub enable: Option<bool>,
    pub cond: Option<String>,
    pub cpu: Option<i64>,
    pub duration: Option<i64>,
    pub inst_num: Option<i64>,
    pub load_num: Option<i64>,
    pub rt: Option<i64>,
    pub step: Option<i64>,
    pub resource_from: Option<String>,
    pub template_id: Option<String>,
    pub template_version: Option<i64>,
    pub multi_az_policy: Option<String>,
    pub v_switch_ids: Option<String>,
    pub vpc_id: Option<String>,
}

/// The rules of a deploy group in both directions; none where it has none.
pub async fn get_scaling_rules(
    client: &Client,
    application: &str,
    group: &str,
) -> Result<Vec<ScalingRule>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        data: Data,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Data {
        rule_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        rule: Vec<ScalingRule>,
    }
    let call = get("GetScalingRules", "/pop/v5/app/scalingRules").with("AppId", application);
    client.send(call.with("GroupId", group).read()).await.map(|reply: Reply| reply.data.rule_list.rule)
}

/// Writes the rules of a deploy group whole: what is left out may be reset.
pub async fn modify_scaling_rule(
    client: &Client,
    application: &str,
    group: &str,
    rules: &[ScalingRule],
) -> Result<(), Fault> {
    let mut call = post("ModifyScalingRule", "/pop/v5/app/scaling_rules");
    call = call.with("AppId", application).with("GroupId", group).with("AcceptEULA", true);
    for rule in rules {
        let (way, cpu) = if rule.mode == SCALE_IN { ("In", "InCpu") } else { ("Out", "OutCPU") };
        let name = |field: &str| format!("{way}{field}");
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let said = [
            (name("Condition"), rule.cond.clone()),
            (cpu.to_owned(), number(rule.cpu)),
            (name("Duration"), number(rule.duration)),
            (name("InstanceNum"), number(rule.inst_num)),
            (name("Load"), number(rule.load_num)),
            (name("RT"), number(rule.rt)),
            (name("Step"), number(rule.step)),
        ];
        call = call.with(name("Enable"), rule.enable.unwrap_or(false));
        for (key, value) in said.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            call = call.with(key, value);
        }
        if rule.mode != SCALE_IN {
            call = call
                .maybe("ResourceFrom", rule.resource_from.as_ref())
                .maybe("TemplateId", rule.template_id.as_ref())
                .maybe("TemplateVersion", rule.template_version)
                .maybe("MultiAzPolicy", rule.multi_az_policy.as_ref())
                .maybe("VSwitchIds", rule.v_switch_ids.as_ref())
                .maybe("VpcId", rule.vpc_id.as_ref());
        }
    }
    client.send(call).await.map(|_: Done| ())
}

/// [`ScalingRule::mode`] of the way down.
pub const SCALE_IN: &str = "SCALE_IN";

/// A tag of the application.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub tag_key: String,
    pub tag_value: Option<String>,
}

const TAGS: &str = "/pop/v5/tag/tags";

fn tagged(call: Call, region: &str, application: &str) -> Call {
    let ids = serde_json::json!([application]);
    call.with("ResourceRegionId", region).with("ResourceType", "application").with("ResourceIds", ids)
}

/// The application's tags.
pub async fn list_tags(client: &Client, region: &str, application: &str) -> Result<Vec<Tag>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        tag_resources: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        tag_resource: Vec<Tag>,
    }
    let call = tagged(get("ListTagResources", TAGS), region, application);
    client.send(call.read()).await.map(|reply: Reply| reply.tag_resources.tag_resource)
}

/// Sets one tag of the application.
pub async fn tag(
    client: &Client,
    region: &str,
    application: &str,
    (key, value): (&str, &str),
) -> Result<(), Fault> {
    let call = tagged(post("TagResources", TAGS), region, application);
    let tags = serde_json::json!([{ "Key": key, "Value": value }]);
    // Twice is as good as once.
    client.send(call.with("Tags", tags).repeatable()).await.map(|_: Done| ())
}

/// Removes one tag of the application.
pub async fn untag(client: &Client, region: &str, application: &str, key: &str) -> Result<(), Fault> {
    let call = Call::roa(Product::Edas, "UntagResources", Method::Delete, TAGS);
    let call = tagged(call, region, application).with("DeleteAll", false);
    client.send(call.with("TagKeys", serde_json::json!([key])).repeatable()).await.map(|_: Done| ())
}
