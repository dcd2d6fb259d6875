//! Tags of fleets.

use serde_json::{Value, json};

use super::super::input::{Input, list, text};
use super::super::service::{Answer, ApiError, Operation};
use super::super::world::World;
use super::PAGING;
use super::show::show_tags;

const KNOWS: &[&str] =
    &["Tags[].Key", "Tags[].Value", "Tags[].PropagateAtLaunch", "Tags[].ResourceId", "Tags[].ResourceType"];

pub const OPERATIONS: &[Operation] = &[
    Operation { name: "CreateOrUpdateTags", knows: KNOWS, run: create },
    Operation { name: "DeleteTags", knows: KNOWS, run: delete },
    Operation {
        name: "DescribeTags",
        knows: &["Filters[].Name", "Filters[].Values[]", "NextToken", "MaxRecords"],
        run: describe,
    },
];

/// Tags with the fleet that they are for: fleet, key, value, whether instances get them.
pub fn read_tags(given: &[Value]) -> Result<Vec<(String, String, String, bool)>, ApiError> {
    let read = |tag: &Value| {
        let key = text(tag, "Key").filter(|key| !key.is_empty() && !key.starts_with("aws:"));
        let key = key.ok_or_else(|| ApiError::new("ValidationError", "A tag key is empty or reserved"))?;
        let fleet = text(tag, "ResourceId").unwrap_or_default();
        let value = text(tag, "Value").unwrap_or_default();
        let launch = text(tag, "PropagateAtLaunch") == Some("true");
        Ok((fleet.to_owned(), key.to_owned(), value.to_owned(), launch))
    };
    given.iter().map(read).collect()
}

fn create(world: &mut World, input: &Input) -> Answer {
    let tags = read_tags(input.items("Tags"))?;
    for (fleet, ..) in &tags {
        world.fleet_mut(fleet)?;
    }
    for (fleet, key, value, launch) in tags {
        world.fleet_mut(&fleet)?.tags.insert(key, (value, launch));
    }
    Ok(json!({}))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    for (fleet, key, _, _) in read_tags(input.items("Tags"))? {
        world.fleet_mut(&fleet)?.tags.remove(&key);
    }
    Ok(json!({}))
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let filters = input.items("Filters");
    let field = |filter: &Value| match text(filter, "Name") {
        Some("auto-scaling-group") => Some("ResourceId"),
        Some("key") => Some("Key"),
        Some("value") => Some("Value"),
        Some("propagate-at-launch") => Some("PropagateAtLaunch"),
        _ => None,
    };
    if filters.iter().any(|filter| field(filter).is_none()) {
        return Err(ApiError::new("ValidationError", "A filter name is not valid"));
    }
    let passes = |tag: &&Value| {
        filters.iter().all(|filter| {
            let shown = field(filter).and_then(|field| tag.get(field));
            let shown = shown.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            shown.is_some_and(|value| list(filter, "Values").contains(&value))
        })
    };
    let all: Vec<Value> =
        world.fleets.values().filter_map(|fleet| show_tags(fleet).as_array().cloned()).flatten().collect();
    let shown = all.iter().filter(passes).cloned().collect();
    input.page(PAGING, world.settings.page, shown, "Tags")
}
