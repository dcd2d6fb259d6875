//! EDAS: what is asked about an application before there is a file about it, or to judge one.

use serde::Deserialize;
use serde_json::Value;

use super::pool::number;
use crate::cloud::edas::client::{Call, Client, Method, Product};
use crate::cloud::{Fault, FaultKind};

/// The most pages of a list; no account has more applications.
const PAGES_MAX: u32 = 100;
const PAGE: usize = 100;

/// An application in the list of all.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    pub app_id: String,
    #[serde(default)]
    pub name: Option<String>,
    /// As in [`Described::cluster_type`].
    #[serde(default, deserialize_with = "number")]
    pub cluster_type: Option<u32>,
}

/// Whether this is an application's id, and no name.
pub fn is_id(text: &str) -> bool {
    text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// Applications whose name holds this.
///
/// # Errors
/// The call's fault; a list that does not end.
pub async fn list(client: &Client, name: &str) -> Result<Vec<Listed>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        application_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        application: Vec<Listed>,
    }
    let mut all = Vec::new();
    for page in 1..=PAGES_MAX {
        let call = Call::roa(Product::Edas, "ListApplication", Method::Post, "/pop/v5/app/app_list");
        let call = call.with("AppName", name).with("CurrentPage", page).with("PageSize", PAGE).read();
        let found = client.send::<Reply>(call).await?.application_list.application;
        // The answer tells no total: the last page is the one with nothing on it.
        if found.is_empty() {
            return Ok(all);
        }
        all.extend(found);
    }
    Err(Fault::new(FaultKind::Unexpected, "ListApplication", "its pages do not end"))
}

/// What an application is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    pub app_id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub region_id: Option<String>,
    /// 2 is a cluster of ECS instances, 5 one of Kubernetes.
    #[serde(default, deserialize_with = "number")]
    pub cluster_type: Option<u32>,
    #[serde(default, deserialize_with = "number")]
    pub port: Option<u32>,
}

/// [`Described::cluster_type`] of ECS instances.
pub const ECS: u32 = 2;

/// The application with this id.
///
/// # Errors
/// The call's fault.
pub async fn describe(client: &Client, id: &str) -> Result<Described, Fault> {
    #[derive(Deserialize)]
    struct Reply {
        #[serde(rename = "Application")]
        application: Described,
    }
    let call = Call::roa(Product::Edas, "GetApplication", Method::Post, "/pop/v5/app/app_info");
    client.send(call.with("AppId", id).read()).await.map(|reply: Reply| reply.application)
}

/// A package that was deployed once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Package {
    #[serde(default)]
    pub package_version: Option<String>,
    #[serde(default)]
    pub war_url: Option<String>,
}

/// Every package that the application remembers.
///
/// # Errors
/// The call's fault.
pub async fn packages(client: &Client, id: &str) -> Result<Vec<Package>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        package_version_list: List,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct List {
        package_version: Vec<Package>,
    }
    let path = "/pop/v5/app/deploy_history_version_list";
    let call = Call::roa(Product::Edas, "ListHistoryDeployVersion", Method::Get, path);
    client
        .send(call.with("AppId", id).read())
        .await
        .map(|reply: Reply| reply.package_version_list.package_version)
}

/// The settings of every server group of ALB or NLB, as the product says them.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn pools(client: &Client, product: Product) -> Result<Vec<Value>, Fault> {
    super::pool::groups(client, product).await
}
