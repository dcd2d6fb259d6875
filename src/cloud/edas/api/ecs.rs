//! ECS (version 2014-05-26): the network of instances, and what a launch template makes.

use serde::Deserialize;
use serde_json::Value;

use super::page::{self, In};
use super::pool::number;
use crate::cloud::Fault;
use crate::cloud::edas::client::{Call, Client, Product};
use crate::cloud::firewall::{Rule, Source};

/// The most instances that one question may name.
pub const ASKED_MAX: usize = 100;
/// The number of a rule that says none (official SDK, 2026-11).
const PRIORITY: u32 = 1;

fn call(action: &'static str) -> Call {
    Call::rpc(Product::Ecs, action).read()
}

/// An instance.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    pub instance_id: String,
    #[serde(default)]
    pub zone_id: Option<String>,
    #[serde(default)]
    security_group_ids: Option<Ids>,
    /// What may tell of its addresses and interfaces.
    #[serde(default)]
    vpc_attributes: Value,
    #[serde(default)]
    network_interfaces: Value,
    #[serde(default)]
    eip_address: Value,
    #[serde(default)]
    public_ip_address: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Ids {
    #[serde(default, rename = "SecurityGroupId")]
    all: Vec<String>,
}

impl Instance {
    /// The ids of its security groups, in order.
    pub fn security_groups(&self) -> Vec<String> {
        let mut ids = self.security_group_ids.as_ref().map(|ids| ids.all.clone()).unwrap_or_default();
        ids.sort();
        ids
    }

    /// The VPC that it is in.
    pub fn vpc(&self) -> Option<&str> {
        self.vpc_attributes["VpcId"].as_str().filter(|id| !id.is_empty())
    }

    /// Under which names it may stand in a server group besides its id: the address in its VPC first, those of further
    /// interfaces and of both families, public ones, and then the interfaces themselves (official SDK, 2026-11).
    pub fn names(&self) -> Vec<String> {
        let list = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_array).cloned();
        let interfaces = list(&self.network_interfaces, "/NetworkInterface").unwrap_or_default();
        let mut found = list(&self.vpc_attributes, "/PrivateIpAddress/IpAddress").unwrap_or_default();
        for interface in &interfaces {
            found.push(interface["PrimaryIpAddress"].clone());
            for (path, key) in
                [("/PrivateIpSets/PrivateIpSet", "PrivateIpAddress"), ("/Ipv6Sets/Ipv6Set", "Ipv6Address")]
            {
                found.extend(list(interface, path).into_iter().flatten().map(|own| own[key].clone()));
            }
        }
        found.push(self.eip_address["IpAddress"].clone());
        found.extend(list(&self.public_ip_address, "/IpAddress").unwrap_or_default());
        found.extend(interfaces.iter().map(|interface| interface["NetworkInterfaceId"].clone()));
        let mut names: Vec<String> = Vec::new();
        for name in found.iter().filter_map(Value::as_str).filter(|name| !name.is_empty()) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// These instances, at most [`ASKED_MAX`].
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn instances(client: &Client, ids: &[String]) -> Result<Vec<Instance>, Fault> {
    let ids = serde_json::json!(ids.iter().take(ASKED_MAX).collect::<Vec<_>>());
    page::by_number(client, call("DescribeInstances").with("InstanceIds", ids), "/Instances/Instance").await
}

/// A rule of a security group as ECS says it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Permission {
    direction: Option<String>,
    ip_protocol: Option<String>,
    policy: Option<String>,
    #[serde(deserialize_with = "number")]
    priority: Option<u32>,
    port_range: Option<String>,
    source_cidr_ip: Option<String>,
    #[serde(rename = "Ipv6SourceCidrIp")]
    source_cidr_six: Option<String>,
    source_group_id: Option<String>,
    source_prefix_list_id: Option<String>,
}

/// A rule for those who come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Of whom it speaks, and of which ports.
    pub rule: Rule,
    /// Whether it keeps them out.
    pub drops: bool,
    /// From 1 to 100; the lower is asked before.
    pub priority: u32,
}

/// What a security group does with those who come in.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn security_group(client: &Client, id: &str) -> Result<Vec<Entry>, Fault> {
    let call = call("DescribeSecurityGroupAttribute").with("SecurityGroupId", id);
    let rules: Vec<Permission> = page::by_token(client, call, "/Permissions/Permission", In::Query).await?;
    let says =
        |text: &Option<String>, word: &str| text.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(word));
    let inbound = rules.iter().filter(|rule| says(&rule.direction, "ingress"));
    let entry = |own: &Permission| Entry {
        rule: rule(own),
        drops: !says(&own.policy, "accept"),
        priority: own.priority.unwrap_or(PRIORITY),
    };
    Ok(inbound.map(entry).collect())
}

fn rule(permission: &Permission) -> Rule {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let protocol = given(&permission.ip_protocol).unwrap_or_default().to_ascii_lowercase();
    let ranges = [given(&permission.source_cidr_ip), given(&permission.source_cidr_six)];
    let sources = ranges
        .into_iter()
        .flatten()
        .map(Source::Cidr)
        .chain(given(&permission.source_group_id).map(Source::Group))
        .chain(given(&permission.source_prefix_list_id).map(Source::PrefixList));
    let sources = sources.map(|source| match source {
        Source::Cidr(text) if !text.contains('/') => Source::Cidr(alone(&text)),
        source => source,
    });
    let protocol = if protocol == "all" { "-1".to_owned() } else { protocol };
    Rule { protocol, ports: permission.port_range.as_deref().and_then(ports), sources: sources.collect() }
}

/// One address is a range of one.
fn alone(address: &str) -> String {
    let width = if address.contains(':') { 128 } else { 32 };
    format!("{address}/{width}")
}

/// `8080/8090`; `-1/-1` is all.
fn ports(range: &str) -> Option<(u16, u16)> {
    let (low, high) = range.split_once('/')?;
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

/// One version of a launch template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub number: u32,
    /// Whether it is the one that is meant where none is named.
    pub default: bool,
    pub vswitch: Option<String>,
    /// Where it names one.
    pub zone: Option<String>,
    pub security_groups: Vec<String>,
}

/// A version of a launch template by its number; the default one without. None where there is none.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn template(client: &Client, id: &str, version: Option<&str>) -> Result<Option<Template>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Version {
        #[serde(default, deserialize_with = "number")]
        version_number: Option<u32>,
        #[serde(default)]
        default_version: Option<bool>,
        #[serde(default)]
        launch_template_data: Value,
    }
    let call = call("DescribeLaunchTemplateVersions").with("LaunchTemplateId", id);
    let call = call.maybe("LaunchTemplateVersion.1", version).with("DetailFlag", true);
    let list = "/LaunchTemplateVersionSets/LaunchTemplateVersionSet";
    let all: Vec<Version> = page::by_number(client, call, list).await?;
    let wanted = |own: &Version| match version {
        Some(number) => own.version_number.is_some_and(|own| own.to_string() == number),
        None => own.default_version == Some(true),
    };
    Ok(all.into_iter().find(wanted).map(|own| {
        let data = own.launch_template_data;
        let (vswitch, security_groups) = network(&data);
        let zone = data["ZoneId"].as_str().filter(|zone| !zone.is_empty()).map(str::to_owned);
        Template {
            number: own.version_number.unwrap_or(0),
            default: own.default_version == Some(true),
            vswitch,
            zone,
            security_groups,
        }
    }))
}

/// A part of a VPC, in one zone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Switch {
    v_switch_id: String,
    #[serde(default)]
    pub zone_id: Option<String>,
    #[serde(default)]
    pub vpc_id: Option<String>,
}

/// The vSwitch of this id; none where there is no such one.
///
/// # Errors
/// The call's fault; an answer that is not whole.
pub async fn vswitch(client: &Client, id: &str) -> Result<Option<Switch>, Fault> {
    let call = call("DescribeVSwitches").with("VSwitchId", id);
    let all: Vec<Switch> = page::by_number(client, call, "/VSwitches/VSwitch").await?;
    Ok(all.into_iter().find(|own| own.v_switch_id == id))
}

/// The vSwitch and the security groups, which stand in one of three places.
fn network(data: &Value) -> (Option<String>, Vec<String>) {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let interface = &data["NetworkInterfaces"]["NetworkInterface"][0];
    let vswitch = text(&data["VSwitchId"]).or_else(|| text(&interface["VSwitchId"]));
    let several = data["SecurityGroupIds"]["SecurityGroupId"].as_array();
    let mut groups: Vec<_> = several.into_iter().flatten().filter_map(&text).collect();
    groups.extend(text(&data["SecurityGroupId"]));
    groups.extend(text(&interface["SecurityGroupId"]));
    groups.sort();
    groups.dedup();
    (vswitch, groups)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_read_in_every_spelling() {
        let read = |text: Value| rule(&serde_json::from_value::<Permission>(text).unwrap());
        let one =
            read(json!({ "IpProtocol": "TCP", "PortRange": "8080/8090", "SourceCidrIp": "10.0.0.0/8" }));
        assert_eq!((one.protocol.as_str(), one.ports), ("tcp", Some((8080, 8090))));
        assert_eq!(one.sources, [Source::Cidr("10.0.0.0/8".into())]);
        let all = read(
            json!({ "IpProtocol": "ALL", "PortRange": "-1/-1", "SourceGroupId": "sg-1", "SourceCidrIp": "" }),
        );
        assert_eq!((all.protocol.as_str(), all.ports), ("-1", None));
        assert_eq!(all.sources, [Source::Group("sg-1".into())]);
        let host = read(json!({ "IpProtocol": "UDP", "PortRange": "53/53", "SourceCidrIp": "10.0.0.5" }));
        assert_eq!(host.sources, [Source::Cidr("10.0.0.5/32".into())]);
    }

    #[test]
    fn a_template_names_its_network_in_one_of_three_places() {
        let flat = json!({ "VSwitchId": "vsw-1", "SecurityGroupId": "sg-1" });
        assert_eq!(network(&flat), (Some("vsw-1".into()), vec!["sg-1".into()]));
        let list = json!({ "VSwitchId": "", "SecurityGroupIds": { "SecurityGroupId": ["sg-2", "sg-1"] } });
        assert_eq!(network(&list), (None, vec!["sg-1".into(), "sg-2".into()]));
        let inside = json!({ "NetworkInterfaces": { "NetworkInterface": [{ "VSwitchId": "vsw-2", "SecurityGroupId": "sg-3" }] } });
        assert_eq!(network(&inside), (Some("vsw-2".into()), vec!["sg-3".into()]));
    }
}
