//! `CloudWatch`'s alarms, and their tags.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::input::{Input, Paging, items, list, text};
use super::service::{Answer, ApiError, Operation};
use super::world::{ACCOUNT, REGION, World, tag_list};

pub const OPERATIONS: &[&[Operation]] = &[&[
    Operation {
        name: "DescribeAlarms",
        knows: &["AlarmNames[]", "AlarmTypes[]", "ActionPrefix", "NextToken", "MaxRecords"],
        run: describe,
    },
    Operation {
        name: "PutMetricAlarm",
        knows: &[
            "AlarmName",
            "AlarmDescription",
            "ActionsEnabled",
            "OKActions[]",
            "AlarmActions[]",
            "InsufficientDataActions[]",
            "MetricName",
            "Namespace",
            "Statistic",
            "ExtendedStatistic",
            "Dimensions[].Name",
            "Dimensions[].Value",
            "Period",
            "Unit",
            "EvaluationPeriods",
            "DatapointsToAlarm",
            "Threshold",
            "ComparisonOperator",
            "TreatMissingData",
            "EvaluateLowSampleCountPercentile",
            "Metrics[].Id",
            "Metrics[].Expression",
            "Metrics[].Label",
            "Metrics[].ReturnData",
            "Metrics[].Period",
            "Metrics[].AccountId",
            "Metrics[].MetricStat.Period",
            "Metrics[].MetricStat.Stat",
            "Metrics[].MetricStat.Unit",
            "Metrics[].MetricStat.Metric.Namespace",
            "Metrics[].MetricStat.Metric.MetricName",
            "Metrics[].MetricStat.Metric.Dimensions[].Name",
            "Metrics[].MetricStat.Metric.Dimensions[].Value",
            "Tags[].Key",
            "Tags[].Value",
            "ThresholdMetricId",
        ],
        run: put,
    },
    Operation { name: "DeleteAlarms", knows: &["AlarmNames[]"], run: delete },
    Operation {
        name: "ListTagsForResource",
        knows: &["ResourceARN"],
        run: |world, input| {
            let arn = input.need("ResourceARN")?;
            let found = world.alarms.values().find(|alarm| alarm.arn() == arn);
            let unknown =
                || ApiError::new("ResourceNotFoundException", format!("Unknown alarm {arn}")).status(404);
            Ok(json!({ "Tags": tag_list(&found.ok_or_else(unknown)?.tags) }))
        },
    },
]];

const PAGING: Paging = Paging {
    token: "NextToken",
    size: "MaxRecords",
    next: "NextToken",
    refusal: "InvalidNextToken",
    most: 100,
};

/// An alarm: one of a metric, or one of other alarms.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    pub name: String,
    pub settings: Map<String, Value>,
    pub tags: BTreeMap<String, String>,
    pub composite: bool,
}

impl Alarm {
    pub fn arn(&self) -> String {
        format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{}", self.name)
    }

    /// Whether it does something to this resource in any state.
    pub fn acts_on(&self, arn: &str) -> bool {
        let settings = Value::Object(self.settings.clone());
        let lists = ["AlarmActions", "OKActions", "InsufficientDataActions"].map(|key| list(&settings, key));
        lists.concat().iter().any(|action| action == arn)
    }

    fn shown(&self) -> Value {
        let mut shown = self.settings.clone();
        shown.insert("AlarmName".to_owned(), json!(self.name));
        shown.insert("AlarmArn".to_owned(), json!(self.arn()));
        shown.insert("StateValue".to_owned(), json!("INSUFFICIENT_DATA"));
        shown.insert("StateReason".to_owned(), json!("Unchecked: Initial alarm creation"));
        for key in ["AlarmActions", "OKActions", "InsufficientDataActions", "Dimensions", "Metrics"] {
            shown.entry(key).or_insert_with(|| json!([]));
        }
        shown.entry("ActionsEnabled").or_insert_with(|| json!("true"));
        Value::Object(shown)
    }
}

impl World {
    /// An alarm that somebody made, as `PutMetricAlarm` takes it.
    pub fn alarm(&mut self, name: &str, settings: &Value, tags: &[(&str, &str)]) {
        let settings = settings.as_object().cloned().unwrap_or_default();
        let composite = settings.contains_key("AlarmRule");
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.alarms.insert(name.to_owned(), Alarm { name: name.to_owned(), settings, tags, composite });
    }

    /// The alarms that act on a policy, as Auto Scaling shows them with it.
    pub fn alarms_on(&self, policy: &str) -> Value {
        let acting = self.alarms.values().filter(|alarm| alarm.acts_on(policy));
        acting.map(|alarm| json!({ "AlarmName": alarm.name, "AlarmARN": alarm.arn() })).collect()
    }
}

fn describe(world: &mut World, input: &Input) -> Answer {
    let (names, kinds) = (input.list("AlarmNames"), input.list("AlarmTypes"));
    let composite = kinds.iter().any(|kind| kind == "CompositeAlarm");
    // Without a kind, only metric alarms are shown (CloudWatch API reference, `AlarmTypes`).
    let metric = kinds.is_empty() || kinds.iter().any(|kind| kind == "MetricAlarm");
    let asked = |alarm: &&Alarm| names.is_empty() || names.contains(&alarm.name);
    let of = |wanted: bool| {
        world.alarms.values().filter(asked).filter(|one| one.composite == wanted).map(Alarm::shown).collect()
    };
    let shown = if metric { of(false) } else { Vec::new() };
    let mut page = input.page(PAGING, world.settings.page, shown, "MetricAlarms")?;
    page["CompositeAlarms"] =
        if composite && !input.has("NextToken") { Value::Array(of(true)) } else { json!([]) };
    Ok(page)
}

fn put(world: &mut World, input: &Input) -> Answer {
    let name = input.need("AlarmName")?.to_owned();
    for needed in ["EvaluationPeriods", "ComparisonOperator"] {
        input.need(needed)?;
    }
    let refuse = |text: &str| Err(ApiError::new("ValidationError", text));
    if input.has("MetricName") == input.has("Metrics") {
        return refuse("An alarm has either a metric or metrics");
    }
    if input.has("Metrics") && input.has("Dimensions") {
        return refuse("Dimensions belong to a metric");
    }
    let mut settings = input.tree.as_object().cloned().unwrap_or_default();
    for one in ["Action", "Version", "AlarmName", "Tags"] {
        settings.remove(one);
    }
    let given = items(&input.tree, "Tags").iter();
    let given = given
        .filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())))
        .collect();
    // Tags are for a new alarm; those of one that is there stay as they are.
    let tags = world.alarms.get(&name).map_or(given, |alarm| alarm.tags.clone());
    world.alarms.insert(name.clone(), Alarm { name, settings, tags, composite: false });
    Ok(json!({}))
}

fn delete(world: &mut World, input: &Input) -> Answer {
    let names = input.list("AlarmNames");
    if let Some(unknown) = names.iter().find(|name| !world.alarms.contains_key(*name)) {
        return Err(ApiError::new("ResourceNotFound", format!("Alarm {unknown} does not exist")).status(404));
    }
    world.alarms.retain(|name, _| !names.contains(name));
    Ok(json!({}))
}
