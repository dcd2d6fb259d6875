//! Load balancers, listeners and rules.

use serde_json::{Map, Value, json};

use super::super::input::{Input, items, number, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{Balancer, Listener, Rule, World};
use super::PAGING;

const GROUPS_PER_ACTION_MAX: usize = 5;
const WEIGHT_MAX: u64 = 999;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeLoadBalancers",
        knows: &["LoadBalancerArns[]", "Names[]", "Marker", "PageSize"],
        run: describe_balancers,
    },
    Operation {
        name: "DescribeListeners",
        knows: &["LoadBalancerArn", "ListenerArns[]", "Marker", "PageSize"],
        run: describe_listeners,
    },
    Operation {
        name: "DescribeRules",
        knows: &["ListenerArn", "RuleArns[]", "Marker", "PageSize"],
        run: describe_rules,
    },
    Operation {
        name: "ModifyListener",
        knows: &[
            "ListenerArn",
            "Port",
            "Protocol",
            "SslPolicy",
            "Certificates[].CertificateArn",
            "DefaultActions*",
            "AlpnPolicy[]",
            "MutualAuthentication*",
        ],
        run: modify_listener,
    },
    Operation { name: "ModifyRule", knows: &["RuleArn", "Conditions*", "Actions*"], run: modify_rule },
];

fn describe_balancers(world: &mut World, input: &Input) -> Answer {
    let (arns, names) = (input.list("LoadBalancerArns"), input.list("Names"));
    if arns.len() > 20 || (!arns.is_empty() && !names.is_empty()) {
        return Err(ApiError::new("ValidationError", "too many load balancers, or names and ARNs together"));
    }
    let unknown =
        |wanted: &String| !world.balancers.iter().any(|one| one.arn == *wanted || one.name == *wanted);
    if let Some(wanted) = arns.iter().chain(&names).find(|wanted| unknown(wanted)) {
        return Err(ApiError::new("LoadBalancerNotFound", format!("Load balancers '[{wanted}]' not found")));
    }
    let asked = |one: &&Balancer| {
        (arns.is_empty() && names.is_empty()) || arns.contains(&one.arn) || names.contains(&one.name)
    };
    let shown = world.balancers.iter().filter(asked).map(|one| describe_balancer(world, one)).collect();
    input.page(PAGING, world.settings.page, shown, "LoadBalancers")
}

fn describe_balancer(world: &World, one: &Balancer) -> Value {
    let zones: Value =
        world.subnets.iter().map(|(subnet, zone)| json!({ "ZoneName": zone, "SubnetId": subnet })).collect();
    json!({
        "LoadBalancerArn": one.arn, "LoadBalancerName": one.name, "Type": one.kind, "Scheme": one.scheme,
        "VpcId": world.vpc, "State": { "Code": "active" }, "AvailabilityZones": zones, "IpAddressType": "ipv4",
        "DNSName": format!("{}.elb.example.com", one.name), "SecurityGroups": one.security_groups,
        "CreatedTime": world.iso(0),
    })
}

fn describe_listeners(world: &mut World, input: &Input) -> Answer {
    let arns = input.list("ListenerArns");
    let found: Vec<&Listener> = match input.text("LoadBalancerArn") {
        Some(_) if !arns.is_empty() => {
            return Err(ApiError::new(
                "ValidationError",
                "listener ARNs and a load balancer ARN cannot go together",
            ));
        }
        None if arns.is_empty() => {
            let text = "You must specify either listener ARNs or a load balancer ARN";
            return Err(ApiError::new("ValidationError", text));
        }
        Some(arn) if !world.balancers.iter().any(|one| one.arn == arn) => {
            return Err(ApiError::new("LoadBalancerNotFound", format!("Load balancer '{arn}' not found")));
        }
        Some(arn) => world.listeners.iter().filter(|listener| listener.balancer == arn).collect(),
        None => arns.iter().map(|arn| world.listener_by(arn)).collect::<Result<_, _>>()?,
    };
    let shown = found.into_iter().map(describe_listener).collect();
    input.page(PAGING, world.settings.page, shown, "Listeners")
}

fn describe_listener(listener: &Listener) -> Value {
    let mut shown = listener.settings.clone();
    shown.insert("ListenerArn".to_owned(), json!(listener.arn));
    shown.insert("LoadBalancerArn".to_owned(), json!(listener.balancer));
    shown.insert("Port".to_owned(), json!(listener.port));
    shown.insert("Protocol".to_owned(), json!(listener.protocol));
    shown.insert("DefaultActions".to_owned(), json!(listener.actions));
    Value::Object(shown)
}

fn describe_rule(rule: &Rule) -> Value {
    json!({
        "RuleArn": rule.arn, "Priority": rule.priority.to_string(), "IsDefault": false,
        "Conditions": rule.conditions, "Actions": rule.actions,
    })
}

/// A listener's default action as a rule.
fn default_rule(listener: &Listener) -> Value {
    json!({
        "RuleArn": format!("{}/default", listener.arn.replace(":listener/", ":listener-rule/")),
        "Priority": "default", "IsDefault": true, "Conditions": [], "Actions": listener.actions,
    })
}

fn describe_rules(world: &mut World, input: &Input) -> Answer {
    let arns = input.list("RuleArns");
    let shown: Vec<Value> = match (input.text("ListenerArn"), arns.is_empty()) {
        (Some(arn), true) => {
            let listener = world.listener_by(arn)?;
            let mut rules: Vec<&Rule> = world.rules.iter().filter(|rule| rule.listener == arn).collect();
            rules.sort_by_key(|rule| rule.priority);
            rules.into_iter().map(describe_rule).chain([default_rule(listener)]).collect()
        }
        (None, false) => arns.iter().map(|arn| world.rule_shown(arn)).collect::<Result<_, _>>()?,
        (Some(_), false) | (None, true) => {
            let text = "You must specify either listener rule ARNs or a listener ARN";
            return Err(ApiError::new("ValidationError", text));
        }
    };
    input.page(PAGING, world.settings.page, shown, "Rules")
}

impl World {
    fn listener_by(&self, arn: &str) -> Result<&Listener, ApiError> {
        let found = self.listeners.iter().find(|listener| listener.arn == arn);
        found.ok_or_else(|| {
            ApiError::new("ListenerNotFound", format!("One or more listeners not found: {arn}"))
        })
    }

    fn rule_shown(&self, arn: &str) -> Answer {
        let own = self.rules.iter().find(|rule| rule.arn == arn).map(describe_rule);
        let default =
            || self.listeners.iter().map(default_rule).find(|rule| text(rule, "RuleArn") == Some(arn));
        own.or_else(default).ok_or_else(|| ApiError::new("RuleNotFound", "One or more rules not found"))
    }

    /// Refuses actions that AWS refuses, and writes the others the way that AWS gives them back.
    pub fn actions(&self, given: &[Value], listener: &Listener) -> Result<Vec<Value>, ApiError> {
        if given.is_empty() {
            return Err(ApiError::new("ValidationError", "A listener or rule needs at least one action"));
        }
        given.iter().map(|action| self.action(action, listener)).collect()
    }

    fn action(&self, given: &Value, listener: &Listener) -> Answer {
        let mut action = given.as_object().cloned().unwrap_or_default();
        match text(given, "Type") {
            Some("forward") => {}
            Some("redirect" | "fixed-response" | "authenticate-cognito") => return Ok(Value::Object(action)),
            Some("authenticate-oidc") => {
                let login = action.get_mut("AuthenticateOidcConfig").and_then(Value::as_object_mut);
                let login =
                    login.ok_or_else(|| ApiError::new("ValidationError", "A login needs a config"))?;
                // A secret goes in and never comes out again.
                let kept = login.remove("UseExistingClientSecret").is_some_and(|kept| kept == "true");
                if login.remove("ClientSecret").is_none() && !kept {
                    return Err(ApiError::new("ValidationError", "A client secret must be specified"));
                }
                return Ok(Value::Object(action));
            }
            other => {
                return Err(ApiError::new(
                    "InvalidLoadBalancerAction",
                    format!("Action type {other:?} is not valid"),
                ));
            }
        }
        let config = given.get("ForwardConfig");
        let listed = config.map(|config| items(config, "TargetGroups")).unwrap_or_default();
        let mut groups = Vec::new();
        for group in listed {
            let weight = number(group, "Weight")?.unwrap_or(1);
            if weight > WEIGHT_MAX {
                return Err(ApiError::new(
                    "ValidationError",
                    format!("Weight '{weight}' must be between 0 and 999"),
                ));
            }
            groups.push(json!({ "TargetGroupArn": text(group, "TargetGroupArn"), "Weight": weight }));
        }
        let single = text(given, "TargetGroupArn").map(|arn| json!({ "TargetGroupArn": arn, "Weight": 1 }));
        match single {
            Some(single) if groups.is_empty() => groups.push(single),
            Some(single) if groups.len() > 1 || groups.first().map(arn_of) != Some(arn_of(&single)) => {
                let text = "The target group ARN and the forward config do not match";
                return Err(ApiError::new("ValidationError", text));
            }
            Some(_) | None => {}
        }
        self.check_forward(&groups, listener)?;
        let stickiness = config.and_then(|config| config.get("TargetGroupStickinessConfig")).cloned();
        let stickiness = stickiness.unwrap_or_else(|| json!({ "Enabled": "false" }));
        // With one group AWS names it twice, with several only in the forward config.
        action.remove("TargetGroupArn");
        if let [only] = groups.as_slice() {
            action.insert("TargetGroupArn".to_owned(), arn_of(only));
        }
        let forward = json!({ "TargetGroups": groups, "TargetGroupStickinessConfig": stickiness });
        action.insert("ForwardConfig".to_owned(), forward);
        Ok(Value::Object(action))
    }

    fn check_forward(&self, groups: &[Value], listener: &Listener) -> Result<(), ApiError> {
        if groups.is_empty() {
            return Err(ApiError::new("ValidationError", "A forward action needs a target group"));
        }
        if groups.len() > GROUPS_PER_ACTION_MAX {
            let text = "The maximum number of target groups per action is 5";
            return Err(ApiError::new("ValidationError", text));
        }
        let mut arns: Vec<&str> = groups.iter().filter_map(|group| text(group, "TargetGroupArn")).collect();
        for arn in &arns {
            self.group(arn)?;
            if self.balancer_of(arn).is_some_and(|balancer| balancer.arn != listener.balancer) {
                let text = format!("Target group '{arn}' is already associated with another load balancer");
                return Err(ApiError::new("TargetGroupAssociationLimit", text));
            }
        }
        arns.sort_unstable();
        arns.dedup();
        if arns.len() < groups.len() {
            return Err(ApiError::new("ValidationError", "A target group may appear only once in an action"));
        }
        Ok(())
    }
}

fn arn_of(group: &Value) -> Value {
    group.get("TargetGroupArn").cloned().unwrap_or(Value::Null)
}

fn modify_listener(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("ListenerArn")?;
    let mut next = world.listener_by(arn)?.clone();
    if input.has("DefaultActions") {
        next.actions = world.actions(input.items("DefaultActions"), &next)?;
    }
    if let Some(port) = input.number("Port")? {
        next.port =
            u16::try_from(port).map_err(|_| ApiError::new("ValidationError", "Port is out of range"))?;
    }
    if let Some(protocol) = input.text("Protocol") {
        protocol.clone_into(&mut next.protocol);
    }
    let given: Map<String, Value> = input.tree.as_object().cloned().unwrap_or_default();
    let kept = ["SslPolicy", "Certificates", "AlpnPolicy", "MutualAuthentication"];
    next.settings.extend(given.into_iter().filter(|(name, _)| kept.contains(&name.as_str())));
    let shown = describe_listener(&next);
    if let Some(listener) = world.listeners.iter_mut().find(|listener| listener.arn == arn) {
        *listener = next;
    }
    Ok(json!({ "Listeners": [shown] }))
}

fn modify_rule(world: &mut World, input: &Input) -> Answer {
    let arn = input.need("RuleArn")?;
    if arn.ends_with("/default") {
        world.rule_shown(arn)?;
        return Err(ApiError::new(
            "OperationNotPermitted",
            format!("Default rule '{arn}' cannot be modified"),
        ));
    }
    let found = world.rules.iter().find(|rule| rule.arn == arn);
    let mut next =
        found.cloned().ok_or_else(|| ApiError::new("RuleNotFound", "One or more rules not found"))?;
    let listener = world.listener_by(&next.listener)?.clone();
    if input.has("Actions") {
        next.actions = world.actions(input.items("Actions"), &listener)?;
    }
    if input.has("Conditions") {
        next.conditions = input.items("Conditions").to_vec();
    }
    let shown = describe_rule(&next);
    if let Some(rule) = world.rules.iter_mut().find(|rule| rule.arn == arn) {
        *rule = next;
    }
    Ok(json!({ "Rules": [shown] }))
}
