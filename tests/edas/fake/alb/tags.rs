//! Tags of server groups.

use serde_json::{Value, json};

use super::super::input::{Input, text};
use super::super::pages::{among, by_token, tagged};
use super::super::service::{Answer, Operation, read, write};
use super::super::world::{Family, World};
use super::groups::group;

pub const OPERATIONS: &[Operation] =
    &[write("TagResources", tag), write("UnTagResources", untag), read("ListTagResources", list)];

fn named(world: &World, input: &Input) -> Result<Vec<String>, super::super::service::ApiError> {
    input.list("ResourceId").iter().map(|id| Ok(group(world, id, Family::Alb)?.id.clone())).collect()
}

fn tag(world: &mut World, input: &Input) -> Answer {
    let tags = input.items("Tag").iter();
    let tags = tags.filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())));
    let tags: Vec<_> = tags.collect();
    for id in named(world, input)? {
        if let Some(group) = world.groups.get_mut(&id) {
            group.tags.extend(tags.clone());
        }
    }
    Ok(json!({}))
}

fn untag(world: &mut World, input: &Input) -> Answer {
    let (keys, all) = (input.list("TagKey"), input.flag("All")? == Some(true));
    for id in named(world, input)? {
        if let Some(group) = world.groups.get_mut(&id) {
            group.tags.retain(|key, _| !(keys.contains(key) || all && keys.is_empty()));
        }
    }
    Ok(json!({}))
}

fn list(world: &mut World, input: &Input) -> Answer {
    let ids = input.list("ResourceId");
    let groups = world.groups.values().filter(|group| group.family == Family::Alb && among(&ids, &group.id));
    let groups = groups.filter(|group| tagged(input, "Tag", &group.tags));
    let shown: Vec<Value> = groups
        .flat_map(|group| {
            group.tags.iter().map(|(key, value)| {
                json!({ "ResourceId": group.id, "ResourceType": "servergroup", "TagKey": key, "TagValue": value })
            })
        })
        .collect();
    let mut answer = by_token(world, input, shown, "TagResources")?;
    if let Value::Object(fields) = &mut answer {
        fields.remove("TotalCount");
    }
    Ok(answer)
}
