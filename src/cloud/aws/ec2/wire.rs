//! EC2's XML. The set that was asked for must be in an answer, so that a page of somebody else's is never taken for an
//! empty set.

use serde::Deserialize;

use super::things::{Instance, Subnet, TemplateVersion};
use crate::cloud::firewall::{Rule, SecurityGroup, Source};

/// A set: empty, or its items.
#[derive(Deserialize)]
pub(super) struct Set<T> {
    // Interfaces of launch templates list their security groups under another name (botocore's model).
    #[serde(default = "Vec::new", alias = "groupId")]
    item: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Instances {
    reservation_set: Set<Reservation>,
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    instances_set: Set<RawInstance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInstance {
    instance_id: String,
    instance_state: State,
    image_id: Option<String>,
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    placement: Option<Placement>,
    private_ip_address: Option<String>,
    #[serde(default)]
    group_set: Set<Group>,
    #[serde(default)]
    network_interface_set: Set<Interface>,
    #[serde(default)]
    tag_set: Set<Tag>,
}

#[derive(Deserialize)]
struct State {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    private_ip_address: Option<String>,
    #[serde(default)]
    private_ip_addresses_set: Set<PrivateAddress>,
    #[serde(default)]
    ipv6_addresses_set: Set<Ipv6Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivateAddress {
    private_ip_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Address {
    ipv6_address: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: Option<String>,
}

impl Instances {
    /// What they are.
    pub fn into_instances(self) -> Vec<Instance> {
        let reservations = self.reservation_set.item.into_iter();
        reservations.flat_map(|one| one.instances_set.item).map(RawInstance::settled).collect()
    }
}

impl RawInstance {
    fn settled(self) -> Instance {
        let mut addresses: Vec<String> = self.private_ip_address.into_iter().collect();
        for interface in self.network_interface_set.item {
            addresses.extend(interface.private_ip_address);
            let further = interface.private_ip_addresses_set.item.into_iter();
            addresses.extend(further.filter_map(|address| address.private_ip_address));
            let sixth = interface.ipv6_addresses_set.item.into_iter();
            addresses.extend(sixth.filter_map(|address| address.ipv6_address));
        }
        addresses.retain(|address| !address.is_empty());
        addresses.sort();
        addresses.dedup();
        let mut tags = self.tag_set.item.into_iter();
        Instance {
            id: self.instance_id,
            state: self.instance_state.name,
            addresses,
            security_groups: self.group_set.item.into_iter().map(|group| group.group_id).collect(),
            subnet: said(self.subnet_id),
            vpc: said(self.vpc_id),
            zone: said(self.placement.and_then(|placement| placement.availability_zone)),
            image: said(self.image_id),
            auto_scaling_group: tags
                .find(|tag| tag.key == "aws:autoscaling:groupName")
                .and_then(|tag| tag.value),
        }
    }
}

/// An empty element says nothing.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Versions {
    launch_template_version_set: Set<RawVersion>,
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    launch_template_version: RawVersion,
}

impl Created {
    /// The number of the new version.
    pub fn number(&self) -> u64 {
        self.launch_template_version.version_number
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVersion {
    launch_template_id: String,
    version_number: u64,
    #[serde(default)]
    default_version: bool,
    version_description: Option<String>,
    #[serde(default)]
    launch_template_data: Data,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    image_id: Option<String>,
    instance_type: Option<String>,
    iam_instance_profile: Option<Profile>,
    security_group_id_set: Set<String>,
    network_interface_set: Set<TemplateInterface>,
}

#[derive(Deserialize)]
struct Profile {
    arn: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateInterface {
    device_index: Option<u32>,
    subnet_id: Option<String>,
    #[serde(default)]
    group_set: Set<String>,
}

impl Versions {
    /// What they are.
    pub fn into_versions(self) -> Vec<TemplateVersion> {
        self.launch_template_version_set.item.into_iter().map(RawVersion::settled).collect()
    }
}

impl RawVersion {
    fn settled(self) -> TemplateVersion {
        let data = self.launch_template_data;
        let interfaces = data.network_interface_set.item.into_iter();
        let first = interfaces.min_by_key(|interface| interface.device_index.unwrap_or(0));
        let (subnet, of_interface) =
            first.map(|first| (first.subnet_id, first.group_set.item)).unwrap_or_default();
        let security_groups =
            if of_interface.is_empty() { data.security_group_id_set.item } else { of_interface };
        TemplateVersion {
            template: self.launch_template_id,
            number: self.version_number,
            default: self.default_version,
            description: said(self.version_description),
            image: said(data.image_id),
            security_groups,
            subnet: said(subnet),
            instance_profile: data
                .iam_instance_profile
                .and_then(|profile| said(profile.arn.or(profile.name))),
            instance_type: said(data.instance_type),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityGroups {
    security_group_info: Set<RawGroup>,
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawGroup {
    group_id: String,
    #[serde(default)]
    group_name: String,
    #[serde(default)]
    ip_permissions: Set<Permission>,
    ip_permissions_egress: Option<Set<Permission>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(default)]
    groups: Set<PairedGroup>,
    #[serde(default)]
    ip_ranges: Set<Range4>,
    #[serde(default)]
    ipv6_ranges: Set<Range6>,
    #[serde(default)]
    prefix_list_ids: Set<PrefixList>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PairedGroup {
    group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Range4 {
    cidr_ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Range6 {
    cidr_ipv6: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrefixList {
    prefix_list_id: String,
}

impl SecurityGroups {
    /// What they are.
    pub fn into_groups(self) -> Vec<SecurityGroup> {
        let raw = self.security_group_info.item.into_iter();
        raw.map(|raw| SecurityGroup {
            id: raw.group_id,
            name: raw.group_name,
            inbound: raw.ip_permissions.item.into_iter().map(Permission::settled).collect(),
            outbound: raw
                .ip_permissions_egress
                .map(|out| out.item.into_iter().map(Permission::settled).collect()),
        })
        .collect()
    }
}

impl Permission {
    fn settled(self) -> Rule {
        let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok());
        let four = self.ip_ranges.item.into_iter().map(|range| Source::Cidr(range.cidr_ip));
        let six = self.ipv6_ranges.item.into_iter().map(|range| Source::Cidr(range.cidr_ipv6));
        let lists = self.prefix_list_ids.item.into_iter().map(|list| Source::PrefixList(list.prefix_list_id));
        let groups = self.groups.item.into_iter().filter_map(|group| group.group_id).map(Source::Group);
        Rule {
            protocol: self.ip_protocol,
            ports: port(self.from_port).zip(port(self.to_port)),
            sources: four.chain(six).chain(lists).chain(groups).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subnets {
    subnet_set: Set<RawSubnet>,
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSubnet {
    subnet_id: String,
    vpc_id: String,
    availability_zone: String,
    cidr_block: Option<String>,
    #[serde(default)]
    ipv6_cidr_block_association_set: Set<SubnetRange6>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetRange6 {
    ipv6_cidr_block: Option<String>,
}

impl Subnets {
    /// What they are.
    pub fn into_subnets(self) -> Vec<Subnet> {
        let raw = self.subnet_set.item.into_iter();
        raw.map(|raw| {
            let six = raw.ipv6_cidr_block_association_set.item.into_iter();
            let cidrs = raw.cidr_block.into_iter().chain(six.filter_map(|range| range.ipv6_cidr_block));
            Subnet {
                id: raw.subnet_id,
                vpc: raw.vpc_id,
                zone: raw.availability_zone,
                cidrs: cidrs.filter(|cidr| !cidr.is_empty()).collect(),
            }
        })
        .collect()
    }
}
