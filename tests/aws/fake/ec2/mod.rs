//! The part of EC2 that a rollout reads, and new versions of launch templates.

mod instances;
mod network;
mod templates;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::input::{Input, Paging, list, text};
use super::service::{ApiError, Operation};

pub const OPERATIONS: &[&[Operation]] = &[instances::OPERATIONS, network::OPERATIONS, templates::OPERATIONS];

const PAGING: Paging = Paging {
    token: "NextToken",
    size: "MaxResults",
    next: "nextToken",
    refusal: "InvalidNextToken",
    most: 1000,
};

/// Whether a resource passes the filters of a call; `field` gives what the resource has under a filter's name.
fn passes(
    input: &Input,
    tags: &BTreeMap<String, String>,
    field: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ApiError> {
    for filter in input.items("Filter") {
        let name = text(filter, "Name").unwrap_or_default();
        let own = match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).cloned().into_iter().collect(),
            None if name == "tag-key" => tags.keys().cloned().collect(),
            None => field(name).ok_or_else(|| {
                ApiError::new("InvalidParameterValue", format!("The filter '{name}' is invalid"))
            })?,
        };
        let wanted = list(filter, "Value");
        if !own.iter().any(|one| wanted.iter().any(|pattern| fits(pattern, one))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Filters know `*` for any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).filter_map(|at| left.get(at..)).any(|left| fits(rest, left))
        }),
    }
}

fn tag_set(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}
