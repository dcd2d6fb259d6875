//! Target groups and their attributes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::input::{Input, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{ACCOUNT, REGION, TargetGroup, World};
use super::PAGING;
use super::tags::read_tags;

/// Attributes that a new group has.
const ATTRIBUTES: [(&str, &str); 8] = [
    ("deregistration_delay.timeout_seconds", "300"),
    ("stickiness.enabled", "false"),
    ("stickiness.type", "lb_cookie"),
    ("slow_start.duration_seconds", "0"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];

/// Attributes that are known beside those of a new group.
const MORE: [&str; 9] = [
    "stickiness.lb_cookie.duration_seconds",
    "stickiness.app_cookie.cookie_name",
    "stickiness.app_cookie.duration_seconds",
    "deregistration_delay.connection_termination.enabled",
    "preserve_client_ip.enabled",
    "proxy_protocol_v2.enabled",
    "target_health_state.unhealthy.connection_termination.enabled",
    "target_health_state.unhealthy.draining_interval_seconds",
    "load_balancing.algorithm.anomaly_mitigation",
];

/// Settings of a group with what they are where nothing is said.
const SETTINGS: [(&str, &str); 11] = [
    ("TargetType", "instance"),
    ("Protocol", "HTTP"),
    ("ProtocolVersion", "HTTP1"),
    ("HealthCheckProtocol", "HTTP"),
    ("HealthCheckPort", "traffic-port"),
    ("HealthCheckEnabled", "true"),
    ("HealthCheckIntervalSeconds", "30"),
    ("HealthCheckTimeoutSeconds", "5"),
    ("HealthyThresholdCount", "5"),
    ("UnhealthyThresholdCount", "2"),
    ("IpAddressType", "ipv4"),
];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeTargetGroups",
        knows: &["LoadBalancerArn", "TargetGroupArns[]", "Names[]", "Marker", "PageSize"],
        run: describe_all,
    },
    Operation { name: "DescribeTargetGroupAttributes", knows: &["TargetGroupArn"], run: describe_attributes },
    Operation {
        name: "ModifyTargetGroupAttributes",
        knows: &["TargetGroupArn", "Attributes[].Key", "Attributes[].Value"],
        run: modify_attributes,
    },
    Operation {
        name: "CreateTargetGroup",
        knows: &[
            "Name",
            "Protocol",
            "ProtocolVersion",
            "Port",
            "VpcId",
            "HealthCheckProtocol",
            "HealthCheckPort",
            "HealthCheckEnabled",
            "HealthCheckPath",
            "HealthCheckIntervalSeconds",
            "HealthCheckTimeoutSeconds",
            "HealthyThresholdCount",
            "UnhealthyThresholdCount",
            "Matcher.HttpCode",
            "Matcher.GrpcCode",
            "TargetType",
            "IpAddressType",
            "Tags[].Key",
            "Tags[].Value",
        ],
        run: create,
    },
    Operation { name: "DeleteTargetGroup", knows: &["TargetGroupArn"], run: delete },
];

impl World {
    pub fn group(&self, arn: &str) -> Result<&TargetGroup, ApiError> {
        self.groups.get(arn).ok_or_else(|| not_found(arn))
    }
}

fn not_found(named: &str) -> ApiError {
    ApiError::new("TargetGroupNotFound", format!("Target group '{named}' not found"))
}

/// A group as `DescribeTargetGroups` shows it.
pub fn describe(world: &World, group: &TargetGroup) -> Value {
    let mut shown = group.settings.clone();
    shown.insert("TargetGroupArn".to_owned(), json!(group.arn));
    shown.insert("TargetGroupName".to_owned(), json!(group.name));
    shown.insert("Port".to_owned(), json!(group.port));
    let balancer: Vec<&str> = world.balancer_of(&group.arn).map(|one| one.arn.as_str()).into_iter().collect();
    shown.insert("LoadBalancerArns".to_owned(), json!(balancer));
    Value::Object(shown)
}

fn describe_all(world: &mut World, input: &Input) -> Answer {
    let (arns, names) = (input.list("TargetGroupArns"), input.list("Names"));
    let balancer = input.text("LoadBalancerArn");
    if usize::from(!arns.is_empty()) + usize::from(!names.is_empty()) + usize::from(balancer.is_some()) > 1 {
        let text =
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified together";
        return Err(ApiError::new("ValidationError", text));
    }
    let mut found: Vec<&TargetGroup> = world.groups.values().collect();
    if !arns.is_empty() {
        found = arns.iter().map(|arn| world.group(arn)).collect::<Result<_, _>>()?;
    } else if !names.is_empty() {
        let by_name = |name: &String| {
            world
                .group_by_name(name)
                .ok_or_else(|| ApiError::new("TargetGroupNotFound", "One or more target groups not found"))
        };
        found = names.iter().map(by_name).collect::<Result<_, _>>()?;
    } else if let Some(arn) = balancer {
        if !world.balancers.iter().any(|one| one.arn == arn) {
            return Err(ApiError::new("LoadBalancerNotFound", format!("Load balancer '{arn}' not found")));
        }
        found.retain(|group| world.balancer_of(&group.arn).is_some_and(|one| one.arn == arn));
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let shown = found.into_iter().map(|group| describe(world, group)).collect();
    input.page(PAGING, world.settings.page, shown, "TargetGroups")
}

fn describe_attributes(world: &mut World, input: &Input) -> Answer {
    let group = world.group(input.need("TargetGroupArn")?)?;
    Ok(attributes(group))
}

fn attributes(group: &TargetGroup) -> Value {
    let list: Value =
        group.attributes.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    json!({ "Attributes": list })
}

fn modify_attributes(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("TargetGroupArn")?;
    let mut attributes_now = world.group(arn)?.attributes.clone();
    for given in input.items("Attributes") {
        let (key, value) = (text(given, "Key").unwrap_or_default(), text(given, "Value").unwrap_or_default());
        check_attribute(key, value)?;
        attributes_now.insert(key.to_owned(), value.to_owned());
    }
    let group = world.groups.get_mut(arn).ok_or_else(|| not_found(arn))?;
    group.attributes = attributes_now;
    Ok(attributes(group))
}

fn check_attribute(key: &str, value: &str) -> Result<(), ApiError> {
    let refused = |text: String| Err(ApiError::new("InvalidConfigurationRequest", text));
    if !ATTRIBUTES.iter().any(|(known, _)| *known == key) && !MORE.contains(&key) {
        return refused(format!("Target group attribute key '{key}' is not recognized"));
    }
    let number = value.parse::<u32>().ok();
    let valid = match key {
        "deregistration_delay.timeout_seconds" => number.is_some_and(|seconds| seconds <= 3600),
        "slow_start.duration_seconds" => {
            number.is_some_and(|seconds| seconds == 0 || (30..=900).contains(&seconds))
        }
        key if key.ends_with("enabled") && !key.contains("cross_zone") => value == "true" || value == "false",
        _ => !value.is_empty(),
    };
    if valid { Ok(()) } else { refused(format!("'{key}' cannot be '{value}'")) }
}

fn create(world: &mut World, input: &Input) -> Answer {
    let name = input.need("Name")?.to_owned();
    let fits = name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits || name.starts_with('-') || name.ends_with('-') {
        return Err(ApiError::new("ValidationError", format!("Target group name '{name}' is not valid")));
    }
    let port = input.number("Port")?.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| ApiError::new("ValidationError", "A port must be specified"))?;
    if input.need("VpcId")? != world.vpc {
        return Err(ApiError::new("ValidationError", "The VPC ID is not found"));
    }
    let mut given = input.tree.as_object().cloned().unwrap_or_default();
    for field in ["Action", "Version", "Name", "Port", "Tags"] {
        given.remove(field);
    }
    let settings = with_defaults(given);
    if let Some(existing) = world.group_by_name(&name) {
        return if existing.settings == settings && existing.port == port {
            Ok(json!({ "TargetGroups": [describe(world, existing)] }))
        } else {
            let text =
                format!("A target group with the same name '{name}' exists, but with different settings");
            Err(ApiError::new("DuplicateTargetGroupName", text))
        };
    }
    let tags = read_tags(input.items("Tags"))?;
    let arn = world.add_group(&name, port, settings, tags);
    let shown = describe(world, world.group(&arn)?);
    Ok(json!({ "TargetGroups": [shown] }))
}

fn with_defaults(given: Map<String, Value>) -> Map<String, Value> {
    let mut settings: Map<String, Value> =
        SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let protocol = given.get("Protocol").and_then(Value::as_str).unwrap_or("HTTP");
    if protocol.starts_with("HTTP") {
        settings.insert("Matcher".to_owned(), json!({ "HttpCode": "200" }));
        settings.insert("HealthCheckPath".to_owned(), json!("/"));
    } else {
        settings.remove("ProtocolVersion");
        settings.insert("HealthCheckProtocol".to_owned(), json!("TCP"));
    }
    settings.extend(given);
    settings
}

impl World {
    /// Adds a group; settings that are not given have their defaults.
    pub fn add_group(
        &mut self,
        name: &str,
        port: u16,
        settings: Map<String, Value>,
        tags: BTreeMap<String, String>,
    ) -> String {
        let n = self.fresh();
        let arn = format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/{n:016x}");
        let mut settings = with_defaults(settings);
        settings.entry("VpcId").or_insert_with(|| json!(self.vpc));
        let attributes =
            ATTRIBUTES.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let group = TargetGroup {
            arn: arn.clone(),
            name: name.to_owned(),
            port,
            settings,
            attributes,
            tags,
            targets: Vec::new(),
        };
        self.groups.insert(arn.clone(), group);
        arn
    }
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("TargetGroupArn")?;
    if world.in_use(arn) {
        let text = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(ApiError::new("ResourceInUse", text));
    }
    world.groups.remove(arn);
    Ok(json!({}))
}
