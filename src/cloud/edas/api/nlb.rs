//! NLB (version 2022-04-30): server groups, listeners, and what is not well.

use serde::Deserialize;

use super::alb::{Job, Status};
use super::page::{self, In};
use super::pool::{number, switch};
use crate::cloud::Fault;
use crate::cloud::edas::client::{Call, Client, Product};

const PAGE: u32 = 100;

/// A server group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    pub server_group_id: String,
    /// `Instance` or `Ip`.
    #[serde(default)]
    pub server_group_type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub server_count: Option<u32>,
    /// How it chooses among its servers.
    #[serde(default)]
    pub scheduler: Option<String>,
    #[serde(default, deserialize_with = "switch")]
    pub connection_drain_enabled: Option<bool>,
    #[serde(default, deserialize_with = "number")]
    pub connection_drain_timeout: Option<u32>,
    #[serde(default)]
    pub health_check: Option<super::alb::Check>,
}

/// A listener, which sends everything to one group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listener {
    pub listener_id: String,
    #[serde(default)]
    pub load_balancer_id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub listener_port: Option<u32>,
    /// `Provisioning`, `Running`, `Configuring` or `Stopped`.
    #[serde(default)]
    pub listener_status: Option<String>,
    #[serde(default)]
    pub server_group_id: Option<String>,
}

/// A balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Balancer {
    pub load_balancer_id: String,
    #[serde(default)]
    pub zone_mappings: Vec<super::alb::Zone>,
    /// Whether it sends into other zones.
    #[serde(default, deserialize_with = "switch")]
    pub cross_zone_enabled: Option<bool>,
}

/// Every balancer of the region.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn balancers(client: &Client) -> Result<Vec<Balancer>, Fault> {
    let call = Call::rpc(Product::Nlb, "ListLoadBalancers").read().with("MaxResults", PAGE);
    page::by_token(client, call, "/LoadBalancers", In::Query).await
}

/// Every listener of the region.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn listeners(client: &Client) -> Result<Vec<Listener>, Fault> {
    let call = Call::rpc(Product::Nlb, "ListListeners").read().with("MaxResults", PAGE);
    page::by_token(client, call, "/Listeners", In::Query).await
}

/// Gives a listener another server group. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn update_listener(
    client: &Client,
    listener: &str,
    group: &str,
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(Product::Nlb, "UpdateListenerAttribute");
    super::pool::write(client, call.form("ListenerId", listener).form("ServerGroupId", group), token).await
}

/// What a listener says of its server group.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn health(client: &Client, listener: &str) -> Result<Vec<Status>, Fault> {
    let call = Call::rpc(Product::Nlb, "GetListenerHealthStatus").read().with("ListenerId", listener);
    page::at_once(client, call, "/ListenerHealthStatus").await
}

/// One job.
///
/// # Errors
/// The call's fault.
pub async fn job(client: &Client, id: &str) -> Result<Option<Job>, Fault> {
    client.send(Call::rpc(Product::Nlb, "GetJobStatus").read().with("JobId", id)).await.map(Some)
}
