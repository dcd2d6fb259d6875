//! Tags of applications.

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::pages::json_list;
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::{App, World};

pub const OPERATIONS: &[Operation] =
    &[write("TagResources", tag), write("UntagResources", untag), read("ListTagResources", list)];

const TAGS_MAX: usize = 20;
const TEXT_MAX: usize = 128;

fn of(world: &World, input: &Input) -> Result<Vec<String>, ApiError> {
    let (kind, region) = (input.need("ResourceType")?, input.need("ResourceRegionId")?);
    if !kind.eq_ignore_ascii_case("application") || region != world.settings.region {
        return Err(ApiError::in_body(400, "ResourceType or ResourceRegionId is not valid."));
    }
    let ids = json_list(input, "ResourceIds")?;
    let known = |id: &Value| {
        let app = id.as_str().and_then(|id| world.app(id));
        app.map(|app| app.id.clone()).ok_or_else(|| ApiError::in_body(404, "The resource does not exist."))
    };
    ids.iter().map(known).collect()
}

/// Letters, digits, and a few signs.
fn legal(word: &str) -> bool {
    let sign = |sign: char| sign.is_alphanumeric() || "-,*/?:".contains(sign);
    word.chars().count() <= TEXT_MAX && word.chars().all(sign)
}

fn tag(world: &mut World, input: &Input) -> Answer {
    let mut asked = Vec::new();
    for one in json_list(input, "Tags")? {
        let (key, value) = (text(&one, "Key").unwrap_or_default(), text(&one, "Value").unwrap_or_default());
        let reserved = key.starts_with("aliyun") || key.starts_with("acs:");
        if key.is_empty() || reserved || !legal(key) || !legal(value) {
            return Err(ApiError::in_body(400, format!("The tag {key} is not valid.")));
        }
        asked.push((key.to_owned(), value.to_owned()));
    }
    for id in of(world, input)? {
        let Some(app) = world.app_mut(&id) else { continue };
        app.tags.extend(asked.clone());
        if app.tags.len() > TAGS_MAX {
            return Err(ApiError::in_body(400, "A resource has at most 20 tags."));
        }
    }
    Ok(json!({}))
}

fn untag(world: &mut World, input: &Input) -> Answer {
    let keys = json_list(input, "TagKeys")?;
    let all = input.flag("DeleteAll")? == Some(true);
    for id in of(world, input)? {
        if let Some(app) = world.app_mut(&id) {
            app.tags.retain(|key, _| !all && !keys.iter().any(|one| one == key));
        }
    }
    Ok(json!({}))
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = of(world, input)?;
    let asked = json_list(input, "Tags")?;
    let fits = |key: &str, value: &str| {
        let same = |one: &Value| {
            text(one, "Key") == Some(key) && text(one, "Value").is_none_or(|asked| asked == value)
        };
        asked.is_empty() || asked.iter().any(same)
    };
    let apps = world.apps.iter().filter(|app| ids.is_empty() || ids.contains(&app.id));
    let shown = apps.flat_map(|app: &App| {
        let tags = app.tags.iter().filter(|(key, value)| fits(key, value));
        tags.map(|(key, value)| {
            json!({ "ResourceId": app.id, "ResourceType": "application", "TagKey": key, "TagValue": value })
        })
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "TagResources": { "TagResource": shown } }))
}
