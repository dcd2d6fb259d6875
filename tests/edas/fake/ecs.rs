//! ECS 2014-05-26: the little of it that a look at a service needs.

use serde_json::{Value, json};

use super::input::Input;
use super::pages::{among, by_number, json_list};
use super::service::{Answer, Operation, missing, read};
use super::world::{Permission, Template, VPC, World};

pub const OPERATIONS: &[&[Operation]] = &[&[
    read("DescribeInstances", instances),
    read("DescribeVSwitches", vswitches),
    read("DescribeSecurityGroupAttribute", security_group),
    read("DescribeLaunchTemplates", templates),
    read("DescribeLaunchTemplateVersions", versions),
]];

fn instances(world: &mut World, input: &Input) -> Answer {
    let ids = json_list(input, "InstanceIds")?;
    let ids: Vec<String> = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let named = world.hosts.values().filter(|host| !world.hidden.contains(&host.id));
    let shown = named.filter(|host| among(&ids, &host.id)).map(|host| {
        let first = [(format!("eni-of-{}", host.id), host.ip.clone())];
        let interfaces = first.iter().chain(&host.interfaces).map(|(id, ip)| {
            if ip.contains(':') {
                return json!({ "NetworkInterfaceId": id, "Ipv6Sets": { "Ipv6Set": [{ "Ipv6Address": ip }] } });
            }
            json!({
                "NetworkInterfaceId": id,
                "PrimaryIpAddress": ip,
                "PrivateIpSets": { "PrivateIpSet": [{ "PrivateIpAddress": ip, "Primary": true }] },
            })
        });
        json!({
            "InstanceId": host.id,
            "InstanceName": host.id,
            "Status": host.state,
            "RegionId": world.settings.region,
            "ZoneId": host.zone,
            "VpcAttributes": { "VpcId": VPC, "PrivateIpAddress": { "IpAddress": [host.ip] } },
            "NetworkInterfaces": { "NetworkInterface": interfaces.collect::<Vec<_>>() },
            "SecurityGroupIds": { "SecurityGroupId": host.security_groups },
        })
    });
    let shown = shown.collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    answer.insert("Instances".to_owned(), json!({ "Instance": page }));
    Ok(Value::Object(answer))
}

fn security_group(world: &mut World, input: &Input) -> Answer {
    let id = input.need("SecurityGroupId")?;
    let group = world.security_groups.get(id);
    let group = group.ok_or_else(|| missing("InvalidSecurityGroupId.NotFound", id))?;
    let rules = group.iter().map(|Permission { protocol, source, ports: (low, high), policy, priority }| {
        json!({
            "Direction": "ingress",
            "IpProtocol": protocol,
            "Policy": policy,
            "Priority": priority.to_string(),
            "PortRange": format!("{low}/{high}"),
            "SourceCidrIp": source,
        })
    });
    let rules: Vec<Value> = rules.collect();
    Ok(
        json!({ "SecurityGroupId": id, "RegionId": world.settings.region, "VpcId": VPC, "Permissions": { "Permission": rules } }),
    )
}

/// Which every launch template names that names one.
pub const VSWITCH: &str = "vsw-fa4e0000000000000001";
/// One that is not in the cluster's VPC.
const ELSEWHERE: &str = "vsw-elsewhere";

/// Every vSwitch, with its VPC and its zone.
fn all_vswitches(world: &World) -> Vec<(String, &'static str, String)> {
    let zones = ["b", "c", "d"].map(|zone| format!("{}-{zone}", world.settings.region));
    let own = zones.iter().map(|zone| (format!("vsw-of-{zone}"), VPC, zone.clone()));
    let named = [(VSWITCH, VPC), (ELSEWHERE, "vpc-elsewhere")];
    let named = named.map(|(id, vpc)| (id.to_owned(), vpc, world.vswitch_zone.to_owned()));
    own.chain(named).collect()
}

/// Whether a vSwitch is in the VPC of the cluster.
pub fn is_inside(world: &World, vswitch: &str) -> bool {
    all_vswitches(world).iter().any(|(id, vpc, _)| id == vswitch && *vpc == VPC)
}

fn vswitches(world: &mut World, input: &Input) -> Answer {
    let all = all_vswitches(world).into_iter();
    let asked = all.filter(|(id, _, _)| input.text("VSwitchId").is_none_or(|asked| asked == id));
    let asked = asked.map(
        |(id, vpc, zone)| json!({ "VSwitchId": id, "VpcId": vpc, "ZoneId": zone, "Status": "Available" }),
    );
    let (page, mut answer) = by_number(world, input, asked.collect(), 10)?;
    answer.insert("VSwitches".to_owned(), json!({ "VSwitch": page }));
    Ok(Value::Object(answer))
}

fn named<'a>(world: &'a World, input: &Input) -> Vec<&'a Template> {
    let mut ids = input.list("LaunchTemplateId");
    ids.extend(input.text("LaunchTemplateId").map(str::to_owned));
    world.templates.values().filter(|template| among(&ids, &template.id)).collect()
}

fn templates(world: &mut World, input: &Input) -> Answer {
    let shown = named(world, input).into_iter().map(|template| {
        json!({
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.id,
            "DefaultVersionNumber": template.default,
            "LatestVersionNumber": template.versions.len(),
        })
    });
    let shown = shown.collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    answer.insert("LaunchTemplateSets".to_owned(), json!({ "LaunchTemplateSet": page }));
    Ok(Value::Object(answer))
}

fn versions(world: &mut World, input: &Input) -> Answer {
    let asked: Vec<String> = input.list("LaunchTemplateVersion");
    let shown = named(world, input).into_iter().flat_map(|template| {
        let numbered = (1_u64..).zip(&template.versions);
        let own = numbered.filter(|(number, _)| among(&asked, &number.to_string()));
        own.map(|(number, inside)| {
            let switch = if *inside { template.vswitch } else { "" };
            json!({
                "LaunchTemplateId": template.id,
                "VersionNumber": number,
                "DefaultVersion": number == template.default,
                "LaunchTemplateData": { "VSwitchId": switch, "ImageId": "aliyun_3_x64", "InstanceType": "ecs.c7.large" },
            })
        })
    });
    let shown = shown.collect();
    let (page, mut answer) = by_number(world, input, shown, 10)?;
    let set = json!({ "LaunchTemplateVersionSet": page });
    answer.insert("LaunchTemplateVersionSets".to_owned(), set);
    Ok(Value::Object(answer))
}
