//! Pages of listings, and lists as the products write them.

use serde_json::{Map, Value, json};

use super::input::{Input, Paging, text};
use super::service::{Answer, ApiError};
use super::world::World;

/// How many a page has that nobody asked a size for.
const PAGE: usize = 20;
const MOST: usize = 100;

const TOKENS: Paging = Paging {
    token: "NextToken",
    size: "MaxResults",
    next: "NextToken",
    refusal: "IllegalParam.NextToken",
    most: MOST,
};

/// A page of ALB or NLB.
pub fn by_token(world: &World, input: &Input, all: Vec<Value>, key: &str) -> Answer {
    let total = all.len();
    let asked = input.number("MaxResults")?.map(|_| MOST);
    let limit = world.settings.page.unwrap_or(MOST).min(asked.unwrap_or(PAGE));
    let mut answer = input.page(TOKENS, Some(limit), all, key)?;
    if let Value::Object(fields) = &mut answer {
        fields.insert("TotalCount".to_owned(), json!(total));
        fields.insert("MaxResults".to_owned(), json!(input.number("MaxResults")?.unwrap_or(PAGE as u64)));
    }
    Ok(answer)
}

/// The items of a page of CLB, ESS or ECS, and what the answer says of the page.
pub fn by_number(
    world: &World,
    input: &Input,
    all: Vec<Value>,
    default: u64,
) -> Result<(Vec<Value>, Map<String, Value>), ApiError> {
    let number = input.number("PageNumber")?.unwrap_or(1).max(1);
    let asked = input.number("PageSize")?.unwrap_or(default);
    if asked == 0 || asked > MOST as u64 {
        return Err(ApiError::new("InvalidParameter.PageSize", "The specified PageSize is not valid."));
    }
    let size = world.settings.page.map_or(asked, |page| asked.min(page as u64)).max(1);
    let total = all.len();
    let skip = usize::try_from((number - 1) * size).unwrap_or(usize::MAX);
    let page = all.into_iter().skip(skip).take(usize::try_from(size).unwrap_or(MOST)).collect();
    let said = [("PageNumber", json!(number)), ("PageSize", json!(size)), ("TotalCount", json!(total))];
    Ok((page, said.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

/// Names that come comma-separated.
pub fn commas(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A list that comes as JSON in one parameter, or flattened.
pub fn json_list(input: &Input, name: &str) -> Result<Vec<Value>, ApiError> {
    let illegible = || ApiError::new(format!("InvalidParameter.{name}"), format!("{name} is no JSON array"));
    match input.tree.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.clone()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Array(list)) => Ok(list),
            _ => Err(illegible()),
        },
        Some(_) => Err(illegible()),
    }
}

/// Whether an item is one of those asked for, where any are.
pub fn among(asked: &[String], one: &str) -> bool {
    asked.is_empty() || asked.iter().any(|asked| asked == one)
}

/// Tags that were asked for: keys, with values where they matter.
pub fn tagged(input: &Input, name: &str, tags: &std::collections::BTreeMap<String, String>) -> bool {
    let has = |asked: &Value| {
        let found = text(asked, "Key").and_then(|key| tags.get(key));
        found.is_some_and(|value| text(asked, "Value").is_none_or(|asked| asked == value))
    };
    input.items(name).iter().all(has)
}
