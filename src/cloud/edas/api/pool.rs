//! Server groups of ALB and NLB: two products with one way to say who stands in them.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::page::{self, In};
use crate::cloud::Fault;
use crate::cloud::edas::client::{Call, Client, Product};

/// The most entries of a page (official SDKs, 2026-10).
const PAGE: u32 = 100;
/// The most servers that one question about servers may name (`ListServerGroupServers` of NLB).
pub const ASKED_MAX: usize = 40;
/// The most servers that come or go in one call.
pub const MOVED_MAX: usize = 200;
/// The most servers whose weights change in one call (ALB).
pub const WEIGHED_MAX: usize = 40;

/// One server in one group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Server {
    /// The group in which it stands.
    pub server_group_id: String,
    /// An instance, an interface, or in a group of addresses the address.
    pub server_id: String,
    /// Its address.
    #[serde(default)]
    pub server_ip: Option<String>,
    /// `Ecs`, `Eni`, `Eci`, `Ip` or `Fc`.
    #[serde(default)]
    pub server_type: Option<String>,
    /// Its port. A function has none, nor has a server of a CLB's default group.
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
    /// Its weight; a function has none.
    #[serde(default, deserialize_with = "number")]
    pub weight: Option<u32>,
    /// `Adding`, `Available`, `Configuring` or `Removing`.
    #[serde(default)]
    pub status: Option<String>,
}

/// A server as it is put in, changed or taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// An instance, or an address.
    pub id: String,
    /// As in [`Server::server_type`].
    pub kind: String,
    /// Its port.
    pub port: u32,
    /// Its weight.
    pub weight: u32,
}

/// A number that is written as a text by some products and as a number by others.
///
/// # Errors
/// Anything else.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let bad = |value: &Value| serde::de::Error::custom(format!("{value} is not a number"));
    match Option::<Value>::deserialize(from)? {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| bad(&Value::String(text))),
        Some(value) => {
            value.as_u64().and_then(|n| u32::try_from(n).ok()).map(Some).ok_or_else(|| bad(&value))
        }
    }
}

/// A yes or no that is written as a word by some products and as a value by others; anything else is a no.
///
/// # Errors
/// None.
pub fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        Some(Value::Bool(on)) => Some(on),
        Some(Value::String(word)) => {
            Some(word.eq_ignore_ascii_case("on") || word.eq_ignore_ascii_case("true"))
        }
        _ => None,
    })
}

/// Where the product takes the parameters of its listings and writes.
fn place(product: Product) -> In {
    if product == Product::Nlb { In::Form } else { In::Query }
}

fn put(call: Call, place: In, key: impl Into<String>, value: impl ToString) -> Call {
    match place {
        In::Query => call.with(key, value),
        In::Form => call.form(key, value),
    }
}

/// Every server group of the region.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn groups<T: serde::de::DeserializeOwned>(
    client: &Client,
    product: Product,
) -> Result<Vec<T>, Fault> {
    let call = Call::rpc(product, "ListServerGroups").read();
    let call = put(call, place(product), "MaxResults", PAGE);
    page::by_token(client, call, "/ServerGroups", place(product)).await
}

/// The servers of one group.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn servers(client: &Client, product: Product, group: &str) -> Result<Vec<Server>, Fault> {
    let place = place(product);
    let call = Call::rpc(product, "ListServerGroupServers").read();
    let call = put(put(call, place, "MaxResults", PAGE), place, "ServerGroupId", group);
    page::by_token(client, call, "/Servers", place).await
}

/// Where these servers stand, over all groups: by `ServerIds`, or by `ServerIps`, which NLB alone has.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn standing(
    client: &Client,
    product: Product,
    by: &str,
    names: &[String],
) -> Result<Vec<Server>, Fault> {
    let place = place(product);
    let call = Call::rpc(product, "ListServerGroupServers").read();
    let mut call = put(call, place, "MaxResults", PAGE);
    for (n, name) in (1..).zip(names.iter().take(ASKED_MAX)) {
        call = put(call, place, format!("{by}.{n}"), name);
    }
    page::by_token(client, call, "/Servers", place).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    job_id: Option<String>,
}

/// Sends a write and gives the job that carries it out.
async fn begin(client: &Client, call: Call, token: &str) -> Result<Option<String>, Fault> {
    let job = |begun: &Begun| begun.job_id.clone().filter(|id| !id.is_empty());
    client.send_known(call, token, job).await.map(|begun| job(&begun))
}

/// Puts servers in, at most [`MOVED_MAX`]. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn add(
    client: &Client,
    product: Product,
    group: &str,
    servers: &[Named],
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(product, "AddServersToServerGroup");
    let mut call = put(call, place(product), "ServerGroupId", group);
    for (n, server) in (1..).zip(servers) {
        call = call
            .form(format!("Servers.{n}.ServerId"), &server.id)
            .form(format!("Servers.{n}.ServerType"), &server.kind)
            .form(format!("Servers.{n}.Port"), server.port)
            .form(format!("Servers.{n}.Weight"), server.weight);
        if server.kind == "Ip" && product == Product::Nlb {
            call = call.form(format!("Servers.{n}.ServerIp"), &server.id);
        }
    }
    begin(client, call, token).await
}

/// Gives servers other weights, at most [`WEIGHED_MAX`]. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn weigh(
    client: &Client,
    product: Product,
    group: &str,
    servers: &[Named],
    token: &str,
) -> Result<Option<String>, Fault> {
    let call = Call::rpc(product, "UpdateServerGroupServersAttribute");
    let mut call = put(call, place(product), "ServerGroupId", group);
    for (n, server) in (1..).zip(servers) {
        call = call
            .form(format!("Servers.{n}.ServerId"), &server.id)
            .form(format!("Servers.{n}.ServerType"), &server.kind)
            .form(format!("Servers.{n}.Port"), server.port)
            .form(format!("Servers.{n}.Weight"), server.weight);
    }
    begin(client, call, token).await
}

/// Takes servers out, at most [`MOVED_MAX`]. Gives the job.
///
/// # Errors
/// The call's fault.
pub async fn remove(
    client: &Client,
    product: Product,
    group: &str,
    servers: &[Named],
    token: &str,
) -> Result<Option<String>, Fault> {
    let place = place(product);
    let mut call = put(Call::rpc(product, "RemoveServersFromServerGroup"), place, "ServerGroupId", group);
    for (n, server) in (1..).zip(servers) {
        call = put(call, place, format!("Servers.{n}.ServerId"), &server.id);
        call = put(call, place, format!("Servers.{n}.ServerType"), &server.kind);
        call = put(call, place, format!("Servers.{n}.Port"), server.port);
    }
    begin(client, call, token).await
}

/// Sends a write of routes and gives its job.
///
/// # Errors
/// The call's fault.
pub(super) async fn write(client: &Client, call: Call, token: &str) -> Result<Option<String>, Fault> {
    begin(client, call, token).await
}
