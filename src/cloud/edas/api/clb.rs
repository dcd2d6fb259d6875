//! CLB (version 2014-05-15): vServer groups, default server groups, listeners, and the health of servers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{self, In};
use super::pool::{Named, number};
use crate::cloud::edas::client::{Call, Client, Product};
use crate::cloud::{Fault, FaultKind};

/// The most servers in one call.
pub const MOVED_MAX: usize = 20;
/// The most balancers whose listeners are asked for in one call.
pub const BALANCERS_MAX: usize = 10;

/// A balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Balancer {
    pub load_balancer_id: String,
    /// Where its first nodes are.
    #[serde(default)]
    pub master_zone_id: Option<String>,
    /// And its second ones.
    #[serde(default)]
    pub slave_zone_id: Option<String>,
}

/// A server in a group of a balancer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Backend {
    pub server_id: String,
    #[serde(default)]
    pub server_ip: Option<String>,
    #[serde(default)]
    pub r#type: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    pub weight: Option<u32>,
}

/// A vServer group.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Group {
    #[serde(rename = "VServerGroupId")]
    pub id: String,
    #[serde(default, rename = "VServerGroupName")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub server_count: Option<u32>,
    #[serde(default)]
    pub associated_objects: Option<Associated>,
}

/// What sends traffic to a vServer group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Associated {
    #[serde(default)]
    pub listeners: Option<Listeners>,
    #[serde(default)]
    pub rules: Option<Rules>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Listeners {
    #[serde(default, rename = "Listener")]
    pub all: Vec<Port>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Rules {
    #[serde(default, rename = "Rule")]
    pub all: Vec<Rule>,
}

/// A listener, by its port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Port {
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
    #[serde(default)]
    pub protocol: Option<String>,
}

/// A forwarding rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    pub rule_id: String,
    #[serde(default)]
    pub domain: Option<String>,
    #[serde(default)]
    pub url: Option<String>,
}

/// What a forwarding rule does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuleSettings {
    /// Its listener.
    #[serde(default, deserialize_with = "number")]
    pub listener_port: Option<u32>,
    /// Whether it does as its listener does: `on` or `off`.
    #[serde(default)]
    pub listener_sync: Option<String>,
    /// How it chooses among its servers, where it does not.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// Where its check goes, if not to the server's own port.
    #[serde(default)]
    health_check_connect_port: Value,
}

impl RuleSettings {
    /// The port that is checked in place of the server's own, where it does not do as its listener does.
    pub fn checked_port(&self) -> Option<u16> {
        checked_port(&self.health_check_connect_port)
    }
}

/// A listener with its settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listener {
    pub load_balancer_id: String,
    #[serde(default, deserialize_with = "number")]
    pub listener_port: Option<u32>,
    #[serde(default)]
    pub listener_protocol: Option<String>,
    /// How it chooses among its servers.
    #[serde(default)]
    pub scheduler: Option<String>,
    #[serde(default, rename = "VServerGroupId")]
    pub group: Option<String>,
    #[serde(default, rename = "TCPListenerConfig")]
    pub tcp: Option<Settings>,
    #[serde(default, rename = "UDPListenerConfig")]
    pub udp: Option<Settings>,
    #[serde(default, rename = "HTTPListenerConfig")]
    pub http: Option<Settings>,
    #[serde(default, rename = "HTTPSListenerConfig")]
    pub https: Option<Settings>,
}

/// What a listener does besides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Settings {
    #[serde(default)]
    pub connection_drain: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub connection_drain_timeout: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    pub health_check_interval: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    pub healthy_threshold: Option<u32>,
    /// Where its check goes, if not to the server's own port.
    #[serde(default)]
    health_check_connect_port: Value,
    #[serde(default)]
    pub master_slave_server_group_id: Option<String>,
    /// `on` where a listener of HTTP sends everybody to a port of HTTPS, and nobody to a server.
    #[serde(default)]
    listener_forward: Option<String>,
}

impl Listener {
    /// Whether it answers by itself, and sends nobody to a server: it has no group then, not even the default one.
    pub fn redirects(&self) -> bool {
        let forward = self.http.as_ref().and_then(|own| own.listener_forward.as_deref());
        forward.is_some_and(|word| word.eq_ignore_ascii_case("on"))
    }
}

impl Settings {
    /// The port that is checked in place of the server's own.
    pub fn checked_port(&self) -> Option<u16> {
        checked_port(&self.health_check_connect_port)
    }
}

/// Some answers say -520, which is the server's own.
fn checked_port(said: &Value) -> Option<u16> {
    let number = said.as_u64().or_else(|| said.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|port| *port > 0)
}

/// What a listener's check says of a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Verdict {
    #[serde(default, deserialize_with = "number")]
    pub listener_port: Option<u32>,
    /// The listener's.
    #[serde(default)]
    pub protocol: Option<String>,
    pub server_id: String,
    #[serde(default)]
    pub server_ip: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
    /// `normal`, `abnormal` or `unavailable`.
    #[serde(default)]
    pub server_health_status: Option<String>,
}

fn call(action: &'static str) -> Call {
    Call::rpc(Product::Clb, action)
}

/// Every balancer of the region, or those in which an instance stands.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn balancers(client: &Client, instance: Option<&str>) -> Result<Vec<Balancer>, Fault> {
    let call = call("DescribeLoadBalancers").read().maybe("ServerId", instance);
    page::by_number(client, call, "/LoadBalancers/LoadBalancer").await
}

/// The default server group of a balancer.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn default_servers(client: &Client, balancer: &str) -> Result<Vec<Backend>, Fault> {
    let call = call("DescribeLoadBalancerAttribute").read().with("LoadBalancerId", balancer);
    page::at_once(client, call, "/BackendServers/BackendServer").await
}

/// The vServer groups of a balancer, with what sends traffic to them.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn groups(client: &Client, balancer: &str) -> Result<Vec<Group>, Fault> {
    let call = call("DescribeVServerGroups").read().with("LoadBalancerId", balancer);
    let call = call.with("IncludeListener", true).with("IncludeRule", true);
    page::at_once(client, call, "/VServerGroups/VServerGroup").await
}

/// Who stands in a vServer group.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn servers(client: &Client, group: &str) -> Result<Vec<Backend>, Fault> {
    let call = call("DescribeVServerGroupAttribute").read().with("VServerGroupId", group);
    page::at_once(client, call, "/BackendServers/BackendServer").await
}

/// A forwarding rule with its settings.
///
/// # Errors
/// The call's fault.
pub async fn rule(client: &Client, id: &str) -> Result<RuleSettings, Fault> {
    client.send(call("DescribeRuleAttribute").read().with("RuleId", id)).await
}

/// Gives a listener another vServer group. What else it does stays.
///
/// # Errors
/// [`FaultKind::Invalid`] for a protocol that a CLB does not know; the call's fault.
pub async fn set_listener(
    client: &Client,
    (balancer, port, protocol): (&str, u32, &str),
    group: &str,
) -> Result<(), Fault> {
    let action = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => "SetLoadBalancerTCPListenerAttribute",
        "udp" => "SetLoadBalancerUDPListenerAttribute",
        "http" => "SetLoadBalancerHTTPListenerAttribute",
        "https" => "SetLoadBalancerHTTPSListenerAttribute",
        _ => {
            let message = format!("the listener `{balancer}:{port}` speaks `{protocol}`, which is not known");
            return Err(Fault::new(FaultKind::Invalid, "DescribeLoadBalancerListeners", message));
        }
    };
    let call = call(action).with("LoadBalancerId", balancer).with("ListenerPort", port);
    let call = call.with("VServerGroup", "on").with("VServerGroupId", group);
    client.send::<Value>(call.repeatable()).await.map(drop)
}

/// Gives a forwarding rule another vServer group. What else it does stays.
///
/// # Errors
/// The call's fault.
pub async fn set_rule(client: &Client, rule: &str, group: &str) -> Result<(), Fault> {
    let call = call("SetRule").with("RuleId", rule).with("VServerGroupId", group);
    client.send::<Value>(call.repeatable()).await.map(drop)
}

/// Makes a forwarding rule that sends a domain to a vServer group.
///
/// # Errors
/// The call's fault.
pub async fn create_rule(
    client: &Client,
    (balancer, port, protocol): (&str, u32, &str),
    (name, domain): (&str, &str),
    group: &str,
) -> Result<(), Fault> {
    let list = json!([{ "RuleName": name, "Domain": domain, "VServerGroupId": group }]);
    let call = call("CreateRules").with("LoadBalancerId", balancer).with("ListenerPort", port);
    client.send::<Value>(call.with("ListenerProtocol", protocol).with("RuleList", list)).await.map(drop)
}

/// Takes a forwarding rule away.
///
/// # Errors
/// The call's fault.
pub async fn delete_rule(client: &Client, rule: &str) -> Result<(), Fault> {
    client.send::<Value>(call("DeleteRules").with("RuleIds", json!([rule]))).await.map(drop)
}

/// The pairs of a master and a slave behind a balancer: their ids.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn pairs(client: &Client, balancer: &str) -> Result<Vec<String>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct MasterSlave {
        master_slave_server_group_id: String,
    }
    let call = call("DescribeMasterSlaveServerGroups").read().with("LoadBalancerId", balancer);
    let all: Vec<MasterSlave> =
        page::at_once(client, call, "/MasterSlaveServerGroups/MasterSlaveServerGroup").await?;
    Ok(all.into_iter().map(|pair| pair.master_slave_server_group_id).collect())
}

/// Who stands in a pair of a master and a slave.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn pair(client: &Client, id: &str) -> Result<Vec<Backend>, Fault> {
    let call = call("DescribeMasterSlaveServerGroupAttribute").read().with("MasterSlaveServerGroupId", id);
    page::at_once(client, call, "/MasterSlaveBackendServers/MasterSlaveBackendServer").await
}

/// The listeners of these balancers, at most [`BALANCERS_MAX`].
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn listeners(client: &Client, balancers: &[String]) -> Result<Vec<Listener>, Fault> {
    let mut call = call("DescribeLoadBalancerListeners").read().with("MaxResults", 100);
    for (n, id) in (1..).zip(balancers.iter().take(BALANCERS_MAX)) {
        call = call.with(format!("LoadBalancerId.{n}"), id);
    }
    page::by_token(client, call, "/Listeners", In::Query).await
}

/// What the checks of a balancer's listeners say.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn health(client: &Client, balancer: &str) -> Result<Vec<Verdict>, Fault> {
    let call = call("DescribeHealthStatus").read().with("LoadBalancerId", balancer);
    page::at_once(client, call, "/BackendServers/BackendServer").await
}

/// What becomes of servers in a vServer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// They come in.
    Add,
    /// They get other weights.
    Weigh,
    /// They go.
    Remove,
}

/// Changes a vServer group, at most [`MOVED_MAX`] servers at a time.
///
/// # Errors
/// The call's fault.
pub async fn change(client: &Client, group: &str, deed: Deed, servers: &[Named]) -> Result<(), Fault> {
    let action = match deed {
        Deed::Add => "AddVServerGroupBackendServers",
        Deed::Weigh => "SetVServerGroupAttribute",
        Deed::Remove => "RemoveVServerGroupBackendServers",
    };
    let listed = servers.iter().map(|server| match deed {
        Deed::Remove => {
            json!({ "ServerId": server.id, "Port": server.port.to_string(), "Type": server.kind })
        }
        Deed::Add | Deed::Weigh => json!({
            "ServerId": server.id,
            "Port": server.port.to_string(),
            "Type": server.kind,
            "Weight": server.weight.to_string(),
        }),
    });
    let listed = Value::Array(listed.collect());
    let call = call(action).with("VServerGroupId", group).with("BackendServers", listed);
    client.send::<Value>(call).await.map(drop)
}

/// Changes the default server group of a balancer, at most [`MOVED_MAX`] servers at a time. Its listeners say the port.
///
/// # Errors
/// The call's fault.
pub async fn change_default(
    client: &Client,
    balancer: &str,
    deed: Deed,
    servers: &[Named],
) -> Result<(), Fault> {
    let action = match deed {
        Deed::Add => "AddBackendServers",
        Deed::Weigh => "SetBackendServers",
        Deed::Remove => "RemoveBackendServers",
    };
    let listed = servers.iter().map(|server| match deed {
        Deed::Remove => json!({ "ServerId": server.id, "Type": server.kind }),
        Deed::Add | Deed::Weigh => {
            json!({ "ServerId": server.id, "Type": server.kind, "Weight": server.weight.to_string() })
        }
    });
    let listed = Value::Array(listed.collect());
    let call = call(action).with("LoadBalancerId", balancer).with("BackendServers", listed);
    client.send::<Value>(call).await.map(drop)
}
