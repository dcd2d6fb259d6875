//! Auto Scaling (version 2022-02-22): which scaling groups our instances belong to, and what these are attached to.

use serde::Deserialize;

use super::page;
use crate::cloud::Fault;
use crate::cloud::edas::client::{Call, Client, Product};

/// The most instances, or groups, that one question may name.
pub const ASKED_MAX: usize = 20;

/// An instance of a scaling group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    pub instance_id: String,
    pub scaling_group_id: String,
}

/// A scaling group, with all that it puts its instances into.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    pub scaling_group_id: String,
    #[serde(default, deserialize_with = "list")]
    alb_server_groups: Vec<AlbGroup>,
    #[serde(default, deserialize_with = "list")]
    server_groups: Vec<ServerGroup>,
    #[serde(default, rename = "VServerGroups", deserialize_with = "list")]
    vserver_groups: Vec<OfBalancer>,
    #[serde(default, deserialize_with = "list")]
    load_balancer_ids: Vec<String>,
    /// What it does not do by itself now.
    #[serde(default, deserialize_with = "list")]
    pub suspended_processes: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<OwnTag>,
    /// Where it brings instances up.
    #[serde(default, rename = "VSwitchIds", deserialize_with = "list")]
    vswitches: Vec<String>,
    /// The same of one that has a single one.
    #[serde(default, rename = "VSwitchId")]
    vswitch: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnTag {
    tag_key: String,
    #[serde(default)]
    tag_value: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AlbGroup {
    alb_server_group_id: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServerGroup {
    server_group_id: String,
}

#[derive(Debug, Clone, Deserialize)]
struct OfBalancer {
    #[serde(default, rename = "VServerGroupAttributes", deserialize_with = "list")]
    all: Vec<VServerGroup>,
}

#[derive(Debug, Clone, Deserialize)]
struct VServerGroup {
    #[serde(rename = "VServerGroupId")]
    id: String,
}

/// A scaling group that has none of a kind says so by leaving the list out, or by `null`.
fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Group {
    /// The vSwitches in which it brings instances up.
    pub fn vswitches(&self) -> impl Iterator<Item = &String> {
        self.vswitches.iter().chain(&self.vswitch).filter(|id| !id.is_empty())
    }

    /// The value of its tag of this key, if it has one.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let own = self.tags.iter().find(|tag| tag.tag_key == key)?;
        Some(own.tag_value.as_deref().unwrap_or_default())
    }

    /// The ids of the groups that it is attached to; a balancer's default one as `lb-…/default`.
    pub fn attached(&self) -> impl Iterator<Item = String> + '_ {
        let alb = self.alb_server_groups.iter().map(|group| group.alb_server_group_id.clone());
        let others = self.server_groups.iter().map(|group| group.server_group_id.clone());
        let classic = self.vserver_groups.iter().flat_map(|of| of.all.iter().map(|group| group.id.clone()));
        let defaults = self.load_balancer_ids.iter().map(|id| format!("{id}/default"));
        alb.chain(others).chain(classic).chain(defaults)
    }
}

/// The scaling groups of these instances, at most [`ASKED_MAX`]; those that belong to none are left out.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn instances(client: &Client, ids: &[String]) -> Result<Vec<Instance>, Fault> {
    let mut call = Call::rpc(Product::Ess, "DescribeScalingInstances").read();
    for (n, id) in (1..).zip(ids.iter().take(ASKED_MAX)) {
        call = call.with(format!("InstanceIds.{n}"), id);
    }
    page::by_number(client, call, "/ScalingInstances").await
}

/// These scaling groups, at most [`ASKED_MAX`].
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn groups(client: &Client, ids: &[String]) -> Result<Vec<Group>, Fault> {
    let mut call = Call::rpc(Product::Ess, "DescribeScalingGroups").read();
    for (n, id) in (1..).zip(ids.iter().take(ASKED_MAX)) {
        call = call.with(format!("ScalingGroupIds.{n}"), id);
    }
    page::by_number(client, call, "/ScalingGroups").await
}

/// Switches processes of a scaling group off.
///
/// # Errors
/// The call's fault.
pub async fn suspend(client: &Client, group: &str, processes: &[&str], token: &str) -> Result<(), Fault> {
    processes_of("SuspendProcesses", client, group, processes, token).await
}

/// Switches processes of a scaling group on.
///
/// # Errors
/// The call's fault.
pub async fn resume(client: &Client, group: &str, processes: &[&str], token: &str) -> Result<(), Fault> {
    processes_of("ResumeProcesses", client, group, processes, token).await
}

async fn processes_of(
    action: &'static str,
    client: &Client,
    group: &str,
    processes: &[&str],
    token: &str,
) -> Result<(), Fault> {
    let mut call = Call::rpc(Product::Ess, action).with("ScalingGroupId", group);
    for (n, process) in (1..).zip(processes) {
        call = call.with(format!("Processes.{n}"), process);
    }
    client.send_known(call, token, |_| None).await.map(|_: Done| ())
}

/// A tag of a scaling group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub resource_id: String,
    pub tag_value: Option<String>,
}

const KIND: &str = "scalinggroup";

/// The scaling groups of the region that have a tag of this key, with its value.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn tagged(client: &Client, key: &str) -> Result<Vec<Tag>, Fault> {
    let call = Call::rpc(Product::Ess, "ListTagResources").with("ResourceType", KIND);
    let call = call.with("Tags.1.Key", key).read();
    page::by_token(client, call, "/TagResources", page::In::Query).await
}

/// Sets a tag of a scaling group. Twice is as good as once.
///
/// # Errors
/// The call's fault.
pub async fn tag(client: &Client, group: &str, (key, value): (&str, &str)) -> Result<(), Fault> {
    let call =
        Call::rpc(Product::Ess, "TagResources").with("ResourceType", KIND).with("ResourceIds.1", group);
    client.send(call.with("Tags.1.Key", key).with("Tags.1.Value", value).read()).await.map(|_: Done| ())
}

/// Removes a tag of a scaling group.
///
/// # Errors
/// The call's fault.
pub async fn untag(client: &Client, group: &str, key: &str) -> Result<(), Fault> {
    let call =
        Call::rpc(Product::Ess, "UntagResources").with("ResourceType", KIND).with("ResourceIds.1", group);
    client.send(call.with("TagKeys.1", key).read()).await.map(|_: Done| ())
}

/// An answer of which nothing is wanted: what it did is seen in a look.
#[derive(Deserialize)]
struct Done {}
