//! Tags, and the limits of the account.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::{World, tag_list};
use super::PAGING;

const RESOURCES_MAX: usize = 20;

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "DescribeTags", knows: &["ResourceArns[]"], run: describe },
    Operation { name: "AddTags", knows: &["ResourceArns[]", "Tags[].Key", "Tags[].Value"], run: add },
    Operation { name: "RemoveTags", knows: &["ResourceArns[]", "TagKeys[]"], run: remove },
    Operation { name: "DescribeAccountLimits", knows: &["Marker", "PageSize"], run: limits },
];

pub fn read_tags(given: &[Value]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in given {
        let key = text(tag, "Key").filter(|key| !key.is_empty() && !key.starts_with("aws:"));
        let key = key.ok_or_else(|| ApiError::new("ValidationError", "A tag key is empty or reserved"))?;
        if tags.insert(key.to_owned(), text(tag, "Value").unwrap_or_default().to_owned()).is_some() {
            return Err(ApiError::new("DuplicateTagKeys", "A tag key was specified more than once"));
        }
    }
    Ok(tags)
}

impl World {
    fn elb_tags(&mut self, arn: &str) -> Result<&mut BTreeMap<String, String>, ApiError> {
        let groups = self.groups.values_mut().map(|one| (&one.arn, &mut one.tags));
        let balancers = self.balancers.iter_mut().map(|one| (&one.arn, &mut one.tags));
        let listeners = self.listeners.iter_mut().map(|one| (&one.arn, &mut one.tags));
        let rules = self.rules.iter_mut().map(|one| (&one.arn, &mut one.tags));
        let found = groups.chain(balancers).chain(listeners).chain(rules).find(|(known, _)| *known == arn);
        let code = match arn {
            arn if arn.contains(":targetgroup/") => "TargetGroupNotFound",
            arn if arn.contains(":listener-rule/") => "RuleNotFound",
            arn if arn.contains(":listener/") => "ListenerNotFound",
            _ => "LoadBalancerNotFound",
        };
        found.map(|(_, tags)| tags).ok_or_else(|| ApiError::new(code, format!("'{arn}' not found")))
    }
}

fn resources(input: &Input) -> Result<Vec<String>, ApiError> {
    let arns = input.list("ResourceArns");
    if arns.is_empty() || arns.len() > RESOURCES_MAX {
        return Err(ApiError::new("ValidationError", "The number of resources must be between 1 and 20"));
    }
    Ok(arns)
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let mut shown = Vec::new();
    for arn in resources(input)? {
        let tags = tag_list(world.elb_tags(&arn)?);
        shown.push(json!({ "ResourceArn": arn, "Tags": tags }));
    }
    Ok(json!({ "TagDescriptions": shown }))
}

fn add(world: &mut World, input: &Input) -> Answer {
    let (arns, tags) = (resources(input)?, read_tags(input.items("Tags"))?);
    for arn in &arns {
        world.elb_tags(arn)?;
    }
    for arn in &arns {
        world.elb_tags(arn)?.extend(tags.clone());
    }
    Ok(json!({}))
}

fn remove(world: &mut World, input: &Input) -> Answer {
    let keys = input.list("TagKeys");
    for arn in resources(input)? {
        world.elb_tags(&arn)?.retain(|key, _| !keys.contains(key));
    }
    Ok(json!({}))
}

fn limits(world: &mut World, input: &Input) -> Answer {
    let known = [
        ("target-groups", "3000"),
        ("targets-per-application-load-balancer", "1000"),
        ("target-groups-per-action-on-application-load-balancer", "5"),
        ("rules-per-application-load-balancer", "100"),
        ("targets-per-network-load-balancer", "3000"),
        ("network-load-balancers", "50"),
        ("application-load-balancers", "50"),
    ];
    let shown = known.iter().map(|(name, max)| json!({ "Name": name, "Max": max })).collect();
    input.page(PAGING, world.settings.page, shown, "Limits")
}
