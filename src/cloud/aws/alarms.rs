//! The alarms that drive a group's scaling policies, handed over to its copy.
//!
//! They come last, when blue goes: until then scaling is held still on both fleets, so they could only wake people while
//! green starts. Each is an alarm of green's own, tagged as ours. Only alarms with that tag are ever deleted.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::ScalingPolicy;
use futures_util::future;

use super::api::Api;
use super::asgs::{GROUP, Home, OWNER};
use super::limit::Family;
use super::query::Tree;
use crate::cloud::{Fault, FaultKind};

/// The name of a group in `CloudWatch`'s metrics.
const DIMENSION: &str = "AutoScalingGroupName";
/// How long the name of an alarm may be (`CloudWatch` API reference).
const NAME_MAX: usize = 255;
/// How many tags an alarm may have.
const TAGS_MAX: usize = 50;
/// Settings of an alarm that can be given to another (`PutMetricAlarm` in botocore's model).
const SETTINGS: [&str; 21] = [
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
    "Metrics",
    "ThresholdMetricId",
];
/// What an alarm says of its present state.
const STATE: [&str; 8] = [
    "AlarmArn",
    "AlarmConfigurationUpdatedTimestamp",
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
    "EvaluationState",
];

/// What names blue in an alarm, and what names green instead.
#[derive(Debug)]
pub(super) struct Renaming<'a> {
    pub from: &'a str,
    pub to: &'a str,
    /// Of twins the one that green is attached to, as `NAME/ID`, by the name of either.
    pub groups: BTreeMap<String, String>,
    /// The ARNs of policies.
    pub policies: BTreeMap<String, String>,
}

/// One alarm with its tags.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alarm {
    tree: Tree,
    tags: Vec<(String, String)>,
}

/// The alarms behind a group's step and simple policies.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Driving {
    alarms: Vec<Alarm>,
    composite: BTreeSet<String>,
    absent: BTreeSet<String>,
}

/// Whether alarms of the operator drive the policy. Those of target tracking are Auto Scaling's own, and come with it.
pub(super) fn is_driven(policy: &ScalingPolicy) -> bool {
    let kind = policy.policy_type().unwrap_or("SimpleScaling");
    ["SimpleScaling", "StepScaling"].contains(&kind) && !policy.alarms().is_empty()
}

impl Driving {
    /// Reads the alarms that these policies name. Makes no call where there are none.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn of(api: &Api, policies: &[ScalingPolicy]) -> Result<Self, Fault> {
        let driven = policies.iter().filter(|policy| is_driven(policy));
        let names: BTreeSet<_> =
            driven.flat_map(ScalingPolicy::alarms).filter_map(|one| one.alarm_name.clone()).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<_> = names.into_iter().collect();
        let call = api.cloudwatch.alarms(&names);
        let found = api.send_query(Family::CloudWatch, "DescribeAlarms", call).await?;
        let composite: BTreeSet<_> =
            found.composite.iter().filter_map(|one| one.text("AlarmName")).map(str::to_owned).collect();
        let alarms: Vec<_> = future::join_all(found.metric.into_iter().map(|tree| Alarm::tagged(api, tree)))
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let here: BTreeSet<_> = alarms.iter().map(Alarm::name).collect();
        let absent = names
            .iter()
            .filter(|name| !here.contains(name.as_str()) && !composite.contains(*name))
            .cloned()
            .collect();
        drop(here);
        Ok(Self { alarms, composite, absent })
    }

    /// What stands against copies of them, each with the way out.
    pub fn refusals(&self, group: &str) -> Vec<String> {
        let mut refusals: Vec<_> = self
            .composite
            .iter()
            .map(|name| format!("its alarm `{name}` is a composite one, and what it is made of cannot be told apart: let a metric alarm drive the policy"))
            .collect();
        refusals.extend(self.absent.iter().map(|name| {
            format!("its policy names the alarm `{name}`, which CloudWatch does not show: delete the policy or make the alarm again")
        }));
        refusals.extend(self.alarms.iter().filter_map(|alarm| alarm.refusal(group)));
        let bases: Vec<_> = self.alarms.iter().map(|alarm| alarm.base(group)).collect();
        let twice = self
            .alarms
            .iter()
            .zip(&bases)
            .filter(|(_, base)| bases.iter().filter(|other| other == base).count() > 1);
        refusals.extend(twice.map(|(alarm, base)| {
            format!(
                "its alarm `{}` would have the name of another one's copy (`{base}`): rename it",
                alarm.name()
            )
        }));
        refusals
    }

    /// Makes green's alarms like these, as far as they have not been made.
    ///
    /// # Errors
    /// [`FaultKind::Conflict`] where somebody else's alarm has the name; the first of the calls' faults.
    pub async fn give(&self, api: &Api, home: &Home, renaming: &Renaming<'_>) -> Result<(), Fault> {
        let made: Vec<_> = self.alarms.iter().map(|alarm| alarm.renamed(renaming)).collect();
        let names: Vec<_> =
            made.iter().filter_map(|tree| tree.text("AlarmName")).map(str::to_owned).collect();
        if names.is_empty() {
            return Ok(());
        }
        let call = api.cloudwatch.alarms(&names);
        let there = api.send_query(Family::CloudWatch, "DescribeAlarms", call).await?;
        let there = there.metric.into_iter().chain(there.composite).map(|tree| Alarm::tagged(api, tree));
        let there: Vec<_> = future::join_all(there).await.into_iter().collect::<Result<_, _>>()?;
        if let Some(foreign) = there.iter().find(|alarm| !alarm.is_ours(home, renaming.to)) {
            let message = format!(
                "an alarm `{}` exists, and no tag says that it was made for `{}`: rename or delete it",
                foreign.name(),
                renaming.to
            );
            return Err(Fault::new(FaultKind::Conflict, "PutMetricAlarm", message));
        }
        let there: BTreeSet<_> = there.iter().map(Alarm::name).collect();
        let puts = self
            .alarms
            .iter()
            .zip(&made)
            .filter(|(_, tree)| !tree.text("AlarmName").is_some_and(|name| there.contains(name)));
        let puts = puts.map(|(alarm, tree)| async {
            let tags = alarm.tags_for(home, renaming.to);
            api.send_query(Family::CloudWatch, "PutMetricAlarm", api.cloudwatch.put(tree, &tags)).await
        });
        future::join_all(puts).await.into_iter().collect()
    }

    /// Deletes those that we made for the group, and says whether there were any. Others stay: whoever made them knows what
    /// they are for.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn remove(&self, api: &Api, home: &Home, group: &str) -> Result<bool, Fault> {
        let ours = self.alarms.iter().filter(|alarm| alarm.is_ours(home, group));
        let names: Vec<_> = ours.map(|alarm| alarm.name().to_owned()).collect();
        if names.is_empty() {
            return Ok(false);
        }
        api.send_query(Family::CloudWatch, "DeleteAlarms", api.cloudwatch.delete(&names)).await?;
        Ok(true)
    }
}

impl Alarm {
    async fn tagged(api: &Api, tree: Tree) -> Result<Self, Fault> {
        let Some(arn) = tree.text("AlarmArn") else {
            let message = "an alarm without its ARN";
            return Err(Fault::new(FaultKind::Unexpected, "DescribeAlarms", message));
        };
        let call = api.cloudwatch.tags(arn);
        let tags = api.send_query(Family::CloudWatch, "ListTagsForResource", call).await?;
        Ok(Self { tree, tags })
    }

    fn name(&self) -> &str {
        self.tree.text("AlarmName").unwrap_or_default()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    fn is_ours(&self, home: &Home, group: &str) -> bool {
        self.tag(OWNER) == Some(home.owner().as_str()) && self.tag(GROUP) == Some(group)
    }

    /// Its name without the group's, where we had put that there.
    fn base(&self, group: &str) -> &str {
        let own = self.tag(GROUP) == Some(group);
        let bare = self.name().strip_suffix(group).and_then(|name| name.strip_suffix('-'));
        bare.filter(|_| own).unwrap_or(self.name())
    }

    /// Its tags on green's: AWS's own cannot be given, and ours speak of another group.
    fn tags_for(&self, home: &Home, group: &str) -> Vec<(String, String)> {
        let kept = self
            .tags
            .iter()
            .filter(|(key, _)| !key.starts_with("aws:") && ![OWNER, GROUP].contains(&key.as_str()));
        let ours = [(OWNER.to_owned(), home.owner()), (GROUP.to_owned(), group.to_owned())];
        kept.cloned().chain(ours).collect()
    }

    /// Why green cannot have one like it.
    fn refusal(&self, group: &str) -> Option<String> {
        let name = self.name();
        let refuse = |why: String| Some(format!("its alarm `{name}` {why}"));
        let unknown = self
            .tree
            .fields()
            .map(|(field, _)| field)
            .find(|field| !SETTINGS.contains(field) && !STATE.contains(field));
        if let Some(unknown) = unknown {
            return refuse(format!(
                "has the setting {unknown}, which this version does not know: let an alarm without it drive the policy"
            ));
        }
        // A group's name has at most 255 characters too, so only the alarm that is to be made can tell. 8 are `-` and more digits.
        if self.base(group).len() + group.len() + 8 > NAME_MAX {
            return refuse("has a name that leaves no room for a group's: shorten it".to_owned());
        }
        if self.tags.len() + 2 > TAGS_MAX {
            return refuse(format!("has so many tags that ours find no room: {} is the most", TAGS_MAX - 2));
        }
        for query in self.tree.list("Metrics").into_iter().flatten() {
            if let Some(text) = query.text("Expression")
                && (text.contains(group) || text.contains(DIMENSION))
            {
                return refuse(format!(
                    "computes with groups by name (`{text}`): let it follow the metric of one group"
                ));
            }
            let dimensions = query.at(&["MetricStat", "Metric"]).and_then(|metric| metric.list("Dimensions"));
            let others = dimensions.into_iter().flatten().filter(|one| one.text("Name") == Some(DIMENSION));
            if let Some(other) = others.filter_map(|one| one.text("Value")).find(|value| *value != group) {
                return refuse(format!(
                    "computes with metrics of another group, `{other}`: let it follow `{group}` alone"
                ));
            }
        }
        None
    }

    /// The same alarm for green.
    fn renamed(&self, renaming: &Renaming<'_>) -> Tree {
        let name = format!("{}-{}", self.base(renaming.from), renaming.to);
        let settings = self.tree.fields().filter(|(field, _)| SETTINGS.contains(field));
        let settings = settings.map(|(field, tree)| {
            let tree = if field == "AlarmName" { Tree::Text(name.clone()) } else { renaming.tree(tree) };
            (field.to_owned(), tree)
        });
        Tree::Fields(settings.collect())
    }
}

impl Renaming<'_> {
    /// A part of an alarm as green's has it: policies by their ARNs, and the values of dimensions.
    fn tree(&self, tree: &Tree) -> Tree {
        match tree {
            Tree::Text(text) => Tree::Text(self.policies.get(text).unwrap_or(text).clone()),
            Tree::Fields(fields) => {
                let dimension = tree.text("Name").map(str::to_owned);
                let inner = fields.iter().map(|(name, inner)| match (&dimension, name.as_str(), inner) {
                    (Some(dimension), "Value", Tree::Text(value)) => {
                        (name.clone(), Tree::Text(self.dimension(dimension, value)))
                    }
                    _ => (name.clone(), self.tree(inner)),
                });
                Tree::Fields(inner.collect())
            }
        }
    }

    /// The value that a dimension of a metric has for green.
    pub fn dimension(&self, name: &str, value: &str) -> String {
        let ours = match name {
            DIMENSION if value == self.from => Some(self.to),
            "TargetGroup" => return self.label(value),
            _ => None,
        };
        ours.unwrap_or(value).to_owned()
    }

    /// A text that ends with `targetgroup/NAME/ID`, with green's twin where that is one of two.
    pub fn label(&self, label: &str) -> String {
        let green = label.split_once("targetgroup/").and_then(|(head, group)| {
            let own = self.groups.get(group.split('/').next()?)?;
            Some(format!("{head}targetgroup/{own}"))
        });
        green.unwrap_or_else(|| label.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::read_tree as read;
    use super::*;

    fn alarm(inner: &str) -> Alarm {
        let tree = read(&format!("<member><AlarmName>busy</AlarmName>{inner}</member>")).unwrap();
        Alarm { tree, tags: Vec::new() }
    }

    fn dimension(name: &str, value: &str) -> String {
        format!("<member><Name>{name}</Name><Value>{value}</Value></member>")
    }

    #[test]
    fn only_what_names_blue_is_renamed() {
        let renaming = Renaming {
            from: "api",
            to: "api-v002",
            groups: ["a", "b"].map(|name| (name.to_owned(), "b/2".to_owned())).into(),
            policies: [("arn:up".to_owned(), "arn:up-2".to_owned())].into(),
        };
        let text = |group: &str, target: &str, policy: &str| {
            let dimensions = [
                dimension("AutoScalingGroupName", group),
                dimension("QueueName", "api"),
                dimension("TargetGroup", target),
            ];
            let dimensions = dimensions.concat();
            format!(
                "<AlarmActions><member>{policy}</member><member>arn:sns:ops</member></AlarmActions><Dimensions>{dimensions}\
                 </Dimensions><Metrics><member><Id>api</Id><MetricStat><Metric><Dimensions>{dimensions}</Dimensions></Metric>\
                 </MetricStat></member></Metrics>"
            )
        };
        let made = alarm(&(text("api", "targetgroup/a/1", "arn:up") + "<StateValue>OK</StateValue>"))
            .renamed(&renaming);
        let expected = alarm(&text("api-v002", "targetgroup/b/2", "arn:up-2")).tree;
        let named = |tree: &Tree| {
            tree.to_form().into_iter().filter(|(name, _)| name != "AlarmName").collect::<Vec<_>>()
        };
        assert_eq!(named(&made), named(&expected));
        assert_eq!(made.text("AlarmName"), Some("busy-api-v002"));
        assert_eq!(renaming.label("app/edge/9/targetgroup/a/1"), "app/edge/9/targetgroup/b/2");
        assert_eq!(renaming.label("app/edge/9/targetgroup/c/3"), "app/edge/9/targetgroup/c/3");
    }

    #[test]
    fn a_copy_of_a_copy_is_named_after_the_first() {
        let ours = |name: &str, group: &str| Alarm {
            tree: read(&format!("<member><AlarmName>{name}</AlarmName></member>")).unwrap(),
            tags: vec![(GROUP.to_owned(), group.to_owned())],
        };
        assert_eq!(ours("busy-api-v002", "api-v002").base("api-v002"), "busy");
        assert_eq!(ours("busy-api", "api-v002").base("api"), "busy-api", "the operator called it so");
    }

    #[test]
    fn what_green_cannot_have_is_refused_by_name() {
        let query = |inner: &str| format!("<Metrics><member><Id>m</Id>{inner}</member></Metrics>");
        let stat = |group: &str| {
            let dimension = dimension("AutoScalingGroupName", group);
            query(&format!("<MetricStat><Metric><Dimensions>{dimension}</Dimensions></Metric></MetricStat>"))
        };
        for (inner, words) in [
            (String::new(), None),
            (stat("api"), None),
            (query("<Expression>m1 / m2</Expression>"), None),
            (stat("worker"), Some("`worker`")),
            (
                query("<Expression>SEARCH('{AWS/EC2,AutoScalingGroupName}', 'Sum')</Expression>"),
                Some("by name"),
            ),
            ("<EvaluationCriteria/>".to_owned(), Some("EvaluationCriteria")),
        ] {
            let refused = alarm(&inner).refusal("api");
            assert_eq!(refused.is_some(), words.is_some(), "{inner}: {refused:?}");
            assert!(
                words.is_none_or(|words| refused.is_some_and(|refused| refused.contains(words))),
                "{inner}"
            );
        }
        let driving = Driving {
            composite: ["both".to_owned()].into(),
            absent: ["gone".to_owned()].into(),
            ..Driving::default()
        };
        let refusals = driving.refusals("api").concat();
        assert!(refusals.contains("`both`") && refusals.contains("`gone`"), "{refusals}");
    }

    #[test]
    fn a_name_may_be_as_long_as_aws_takes_it() {
        let group = "g".repeat(100);
        let named = |length: usize| {
            let tree =
                read(&format!("<member><AlarmName>{}</AlarmName></member>", "a".repeat(length))).unwrap();
            Alarm { tree, tags: Vec::new() }.refusal(&group).is_some()
        };
        assert_eq!((named(147), named(148)), (false, true));
    }
}
