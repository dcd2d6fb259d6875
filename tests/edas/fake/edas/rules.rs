//! Scaling rules of deploy groups. Whatever a change does not mention is as if it had never been set.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::input::Input;
use super::super::service::{Answer, ApiError, Operation, read, write};
use super::super::world::World;
use super::{app, group};

pub const OPERATIONS: &[Operation] = &[read("GetScalingRules", get), write("ModifyScalingRule", modify)];

/// How a parameter of the change is called in the answer: with `In`, with `Out`.
const FIELDS: [(&str, &str, &str); 8] = [
    ("InEnable", "OutEnable", "Enable"),
    ("InCpu", "OutCPU", "Cpu"),
    ("InLoad", "OutLoad", "LoadNum"),
    ("InRT", "OutRT", "Rt"),
    ("InDuration", "OutDuration", "Duration"),
    ("InStep", "OutStep", "Step"),
    ("InInstanceNum", "OutInstanceNum", "InstNum"),
    ("InCondition", "OutCondition", "Cond"),
];
/// What only scaling out has.
const OUT: [&str; 6] =
    ["ResourceFrom", "TemplateId", "TemplateVersion", "VSwitchIds", "VpcId", "MultiAzPolicy"];

/// The rules of a group that nobody has set.
pub fn off() -> BTreeMap<&'static str, Map<String, Value>> {
    let none = Map::from_iter([("Enable".to_owned(), json!(false))]);
    BTreeMap::from([("SCALE_IN", none.clone()), ("SCALE_OUT", none)])
}

fn get(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let group = group(app, input.need("GroupId")?)?;
    let asked = group.rules.iter().filter(|(mode, _)| input.text("Mode").is_none_or(|asked| asked == **mode));
    let shown = asked.map(|(mode, rule)| {
        let own = json!({ "AppId": app.id, "GroupId": group.id, "Mode": mode, "MetricType": "BASIC" });
        let own = own.as_object().cloned().unwrap_or_default();
        Value::Object(own.into_iter().chain(rule.clone()).collect())
    });
    let shown: Vec<Value> = shown.collect();
    Ok(json!({ "Data": { "ClusterType": 2, "RuleList": { "Rule": shown } } }))
}

fn value(name: &str, text: &str) -> Value {
    match name {
        "Enable" => json!(text == "true"),
        "Cond" | "ResourceFrom" | "TemplateId" | "VSwitchIds" | "VpcId" | "MultiAzPolicy" => json!(text),
        _ => text.parse::<i64>().map_or(json!(0), |number| json!(number)),
    }
}

fn modify(world: &mut World, input: &Input) -> Answer {
    let app = app(world, input)?;
    let (app, group) = (app.id.clone(), group(app, input.need("GroupId")?)?.id.clone());
    let mut rules = off();
    for (inwards, outwards, name) in FIELDS {
        for (mode, asked) in [("SCALE_IN", inwards), ("SCALE_OUT", outwards)] {
            if let (Some(text), Some(rule)) = (input.text(asked), rules.get_mut(mode)) {
                rule.insert(name.to_owned(), value(name, text));
            }
        }
    }
    for name in OUT {
        if let (Some(text), Some(rule)) = (input.text(name), rules.get_mut("SCALE_OUT")) {
            rule.insert(name.to_owned(), value(name, text));
        }
    }
    let on = |mode: &str| rules.get(mode).and_then(|rule| rule.get("Enable")) == Some(&json!(true));
    if (on("SCALE_IN") || on("SCALE_OUT")) && input.flag("AcceptEULA")? != Some(true) {
        return Err(ApiError::in_body(400, "AcceptEULA must be true for auto scaling."));
    }
    let places = world.app_mut(&app).map(|app| app.groups.iter_mut()).into_iter().flatten();
    for place in places.filter(|place| place.id == group) {
        place.rules.clone_from(&rules);
    }
    Ok(json!({}))
}
