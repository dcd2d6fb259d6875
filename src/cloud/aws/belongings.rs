//! What belongs to an Auto Scaling group without being part of it: hooks, policies, schedules, notifications.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{
    AutoScalingGroup, CustomizedMetricSpecification, LifecycleHook, LifecycleHookSpecification,
    MetricDimension, MetricType, NotificationConfiguration, ScalingPolicy, ScheduledUpdateGroupAction,
    TargetTrackingConfiguration,
};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::alarms::{Driving, Renaming};
use super::api::Api;
use super::asgs::{given, pages};
use super::freeze;
use super::limit::Family;
use crate::cloud::{Fault, FaultKind};

/// CodeDeploy's own hooks on a group that one of its deployment groups names. On any other group nobody would answer
/// them, and each launch would wait until they time out.
const CODEDEPLOY_HOOKS: &str = "CodeDeploy-managed-";
/// How many scheduled actions, policies and notifications one page may hold (Auto Scaling API reference).
const PAGE_MAX: i32 = 100;

/// Everything that belongs to one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Belongings {
    pub hooks: Vec<LifecycleHook>,
    pub policies: Vec<ScalingPolicy>,
    pub schedules: Vec<ScheduledUpdateGroupAction>,
    pub notifications: Vec<NotificationConfiguration>,
    pub driving: Driving,
}

impl Belongings {
    /// Reads them, every page to the last.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn of(api: &Api, group: &str) -> Result<Self, Fault> {
        let (hooks, policies, schedules, notifications) = tokio::try_join!(
            hooks(api, group),
            policies(api, group),
            schedules(api, group),
            notifications(api, group)
        )?;
        let driving = Box::pin(Driving::of(api, &policies)).await?;
        Ok(Self { hooks, policies, schedules, notifications, driving })
    }

    /// What stands against a copy, each with the way out.
    pub fn refusals(&self, group: &str, bundle: bool) -> Vec<String> {
        let mut refusals: Vec<_> = self.policies.iter().filter_map(|policy| refusal(group, policy)).collect();
        refusals.extend(self.driving.refusals(group));
        let codedeploy = self.hooks.iter().find(|hook| is_codedeploy(hook));
        if let Some(hook) = codedeploy.filter(|_| !bundle) {
            refusals.push(format!(
                "CodeDeploy installs on its instances by the hook `{}`, and would not on green's: write \
                 `revision_is: bundle`, or delete the hook if its deployment group is gone",
                hook.lifecycle_hook_name().unwrap_or_default()
            ));
        }
        refusals
    }

    /// The hooks in the shape in which a new group takes them, so that they hold from the first instance on.
    pub fn hooks_to_create(&self) -> Vec<LifecycleHookSpecification> {
        let ours = self.hooks.iter().filter(|hook| !is_codedeploy(hook));
        let specified = ours.map(|hook| {
            LifecycleHookSpecification::builder()
                .set_lifecycle_hook_name(hook.lifecycle_hook_name.clone())
                .set_lifecycle_transition(hook.lifecycle_transition.clone())
                .set_notification_metadata(hook.notification_metadata.clone())
                .set_heartbeat_timeout(hook.heartbeat_timeout)
                .set_default_result(hook.default_result.clone())
                .set_notification_target_arn(hook.notification_target_arn.clone())
                .set_role_arn(hook.role_arn.clone())
                .build()
        });
        specified.collect()
    }

    /// The calls that give everything to a copy but the hooks, and what is only handed over in the end; none is sent before
    /// it is awaited. Each puts something under its name, so a repeated one changes nothing more.
    ///
    /// # Errors
    /// What we wrote on the original cannot be read.
    pub fn gifts<'a>(
        &'a self,
        api: &'a Api,
        from: &'a AutoScalingGroup,
        to: &'a str,
    ) -> Result<Vec<BoxFuture<'a, Result<(), Fault>>>, Fault> {
        let source = from.auto_scaling_group_name().unwrap_or_default();
        let mut calls: Vec<BoxFuture<'a, Result<(), Fault>>> = Vec::new();
        let now = self.policies.iter().filter(|policy| !is_late(policy));
        calls.extend(now.map(|policy| {
            let (groups, policies) = (BTreeMap::new(), BTreeMap::new());
            async move {
                let renaming = Renaming { from: source, to, groups, policies };
                put_policy(api, &renaming, policy).await.map(drop)
            }
            .boxed()
        }));
        calls.extend(self.schedules.iter().map(|action| put_schedule(api, to, action).boxed()));
        calls.extend(by_topic(&self.notifications).into_iter().map(|(topic, kinds)| {
            let call = api.autoscaling.put_notification_configuration().auto_scaling_group_name(to);
            let call = call.topic_arn(topic).set_notification_types(Some(kinds.into_iter().collect()));
            api.send(Family::AutoScaling, "PutNotificationConfiguration", call.send())
                .map(|sent| sent.map(drop))
                .boxed()
        }));
        calls.extend(by_granularity(from).into_iter().map(|(granularity, metrics)| {
            let call = api.autoscaling.enable_metrics_collection().auto_scaling_group_name(to);
            let call = call.granularity(granularity).set_metrics(Some(metrics.into_iter().collect()));
            api.send(Family::AutoScaling, "EnableMetricsCollection", call.send())
                .map(|sent| sent.map(drop))
                .boxed()
        }));
        calls.extend(put_warm_pool(api, from, to));
        let held: Vec<_> = freeze::suspended_by_others(from)?.into_iter().collect();
        if !held.is_empty() {
            let call = api.autoscaling.suspend_processes().auto_scaling_group_name(to);
            let call = call.set_scaling_processes(Some(held));
            calls.push(
                api.send(Family::AutoScaling, "SuspendProcesses", call.send())
                    .map(|sent| sent.map(drop))
                    .boxed(),
            );
        }
        Ok(calls)
    }
}

/// A group's lifecycle hooks. They come in one page.
///
/// # Errors
/// The call's fault.
pub(super) async fn hooks(api: &Api, group: &str) -> Result<Vec<LifecycleHook>, Fault> {
    let call = api.autoscaling.describe_lifecycle_hooks().auto_scaling_group_name(group);
    let answer = api.send(Family::AutoScaling, "DescribeLifecycleHooks", call.send()).await?;
    given("DescribeLifecycleHooks", answer.lifecycle_hooks)
}

/// A group's scaling policies.
///
/// # Errors
/// The call's fault.
pub(super) async fn policies(api: &Api, group: &str) -> Result<Vec<ScalingPolicy>, Fault> {
    pages(|token| async move {
        let call = api.autoscaling.describe_policies().auto_scaling_group_name(group).max_records(PAGE_MAX);
        let call = call.set_next_token(token).send();
        let page = api.send(Family::AutoScaling, "DescribePolicies", call).await?;
        Ok((given("DescribePolicies", page.scaling_policies)?, page.next_token))
    })
    .await
}

async fn schedules(api: &Api, group: &str) -> Result<Vec<ScheduledUpdateGroupAction>, Fault> {
    pages(|token| async move {
        let call = api.autoscaling.describe_scheduled_actions().auto_scaling_group_name(group);
        let call = call.max_records(PAGE_MAX).set_next_token(token).send();
        let page = api.send(Family::AutoScaling, "DescribeScheduledActions", call).await?;
        Ok((given("DescribeScheduledActions", page.scheduled_update_group_actions)?, page.next_token))
    })
    .await
}

async fn notifications(api: &Api, group: &str) -> Result<Vec<NotificationConfiguration>, Fault> {
    pages(|token| async move {
        let call = api.autoscaling.describe_notification_configurations().auto_scaling_group_names(group);
        let call = call.max_records(PAGE_MAX).set_next_token(token).send();
        let page = api.send(Family::AutoScaling, "DescribeNotificationConfigurations", call).await?;
        let found = given("DescribeNotificationConfigurations", page.notification_configurations)?;
        Ok((found, page.next_token))
    })
    .await
}

fn is_codedeploy(hook: &LifecycleHook) -> bool {
    hook.lifecycle_hook_name().is_some_and(|name| name.starts_with(CODEDEPLOY_HOOKS))
}

fn refusal(group: &str, policy: &ScalingPolicy) -> Option<String> {
    let name = policy.policy_name().unwrap_or_default();
    match policy.policy_type().unwrap_or("SimpleScaling") {
        "SimpleScaling" | "StepScaling" | "TargetTrackingScaling" => None,
        "PredictiveScaling" => {
            // Customized metrics and their expressions name groups anywhere in their text, predefined ones a target group.
            let text = format!("{:?}", policy.predictive_scaling_configuration());
            (text.contains(group) || text.contains("resource_label: Some")).then(|| {
                format!(
                    "its scaling policy `{name}` forecasts from metrics of `{group}` or of one target group by name: \
                     let a search expression match every group of the service, or use a predefined metric of the group"
                )
            })
        }
        other => Some(format!(
            "its scaling policy `{name}` is a {other}, which this version does not know: delete it"
        )),
    }
}

/// Whether a policy can only be given to a group that stands in its target groups: it names one of them.
pub(super) fn is_late(policy: &ScalingPolicy) -> bool {
    let Some(tracking) = policy.target_tracking_configuration() else { return false };
    let predefined = tracking.predefined_metric_specification();
    let by_requests = predefined.and_then(|metric| metric.predefined_metric_type())
        == Some(&MetricType::AlbRequestCountPerTarget);
    let mut own = tracking.customized_metric_specification.clone();
    by_requests || own.iter_mut().flat_map(dimensions).any(|one| one.name() == Some("TargetGroup"))
}

/// Gives the copy a policy like this one, and tells its ARN.
///
/// # Errors
/// The call's fault.
pub(super) async fn put_policy(
    api: &Api,
    renaming: &Renaming<'_>,
    policy: &ScalingPolicy,
) -> Result<Option<String>, Fault> {
    let tracking = policy.target_tracking_configuration().map(|config| tracked(config, renaming));
    let steps = policy.step_adjustments.clone().filter(|steps| !steps.is_empty());
    let call = api.autoscaling.put_scaling_policy().auto_scaling_group_name(renaming.to);
    let call = call
        .set_policy_name(policy.policy_name.clone())
        .set_policy_type(policy.policy_type.clone())
        .set_adjustment_type(policy.adjustment_type.clone())
        .set_min_adjustment_step(policy.min_adjustment_step)
        .set_min_adjustment_magnitude(policy.min_adjustment_magnitude)
        .set_scaling_adjustment(policy.scaling_adjustment)
        .set_cooldown(policy.cooldown)
        .set_step_adjustments(steps)
        .set_metric_aggregation_type(policy.metric_aggregation_type.clone())
        .set_estimated_instance_warmup(policy.estimated_instance_warmup)
        .set_target_tracking_configuration(tracking)
        .set_predictive_scaling_configuration(policy.predictive_scaling_configuration.clone())
        .set_enabled(policy.enabled);
    let put = api.send(Family::AutoScaling, "PutScalingPolicy", call.send()).await?;
    Ok(put.policy_arn)
}

/// A policy that follows a metric of its group or of a twin follows the copy's on the copy.
fn tracked(config: &TargetTrackingConfiguration, renaming: &Renaming<'_>) -> TargetTrackingConfiguration {
    let mut config = config.clone();
    if let Some(metric) = config.predefined_metric_specification.as_mut() {
        metric.resource_label = metric.resource_label.as_deref().map(|label| renaming.label(label));
    }
    for dimension in config.customized_metric_specification.iter_mut().flat_map(dimensions) {
        let (name, value) = (dimension.name.as_deref(), dimension.value.as_deref());
        dimension.value = name.zip(value).map(|(name, value)| renaming.dimension(name, value));
    }
    config
}

fn dimensions(metric: &mut CustomizedMetricSpecification) -> impl Iterator<Item = &mut MetricDimension> {
    let queries = metric.metrics.iter_mut().flatten().filter_map(|query| query.metric_stat.as_mut());
    let inner = queries
        .filter_map(|stat| stat.metric.as_mut())
        .flat_map(|metric| metric.dimensions.iter_mut().flatten());
    metric.dimensions.iter_mut().flatten().chain(inner)
}

async fn put_schedule(api: &Api, to: &str, action: &ScheduledUpdateGroupAction) -> Result<(), Fault> {
    let call = |start| {
        let call = api.autoscaling.put_scheduled_update_group_action().auto_scaling_group_name(to);
        let call = call
            .set_scheduled_action_name(action.scheduled_action_name.clone())
            .set_start_time(start)
            .set_end_time(action.end_time)
            .set_recurrence(action.recurrence.clone())
            .set_min_size(action.min_size)
            .set_max_size(action.max_size)
            .set_desired_capacity(action.desired_capacity)
            .set_time_zone(action.time_zone.clone());
        api.send(Family::AutoScaling, "PutScheduledUpdateGroupAction", call.send())
    };
    match call(action.start_time.or(action.time)).await {
        // What recurs goes on from its next time; what was due once has been, and is no more.
        Err(fault) if is_past(&fault) && action.recurrence().is_some() => call(None).await.map(drop),
        Err(fault) if is_past(&fault) => Ok(()),
        answer => answer.map(drop),
    }
}

fn is_past(fault: &Fault) -> bool {
    fault.kind == FaultKind::Invalid && fault.message.contains("in the past")
}

fn put_warm_pool<'a>(
    api: &'a Api,
    from: &AutoScalingGroup,
    to: &str,
) -> Option<BoxFuture<'a, Result<(), Fault>>> {
    let pool = from.warm_pool_configuration().filter(|pool| pool.status().is_none())?;
    let call = api.autoscaling.put_warm_pool().auto_scaling_group_name(to);
    let call = call
        // AWS shows -1 where the size follows the group's own maximum.
        .set_max_group_prepared_capacity(pool.max_group_prepared_capacity.filter(|size| *size >= 0))
        .set_min_size(pool.min_size)
        .set_pool_state(pool.pool_state.clone())
        .set_instance_reuse_policy(pool.instance_reuse_policy.clone());
    Some(api.send(Family::AutoScaling, "PutWarmPool", call.send()).map(|sent| sent.map(drop)).boxed())
}

fn by_topic(notifications: &[NotificationConfiguration]) -> BTreeMap<String, BTreeSet<String>> {
    let pairs = notifications.iter().map(|one| (one.topic_arn.clone(), one.notification_type.clone()));
    gathered(pairs)
}

fn by_granularity(group: &AutoScalingGroup) -> BTreeMap<String, BTreeSet<String>> {
    gathered(group.enabled_metrics().iter().map(|one| (one.granularity.clone(), one.metric.clone())))
}

fn gathered(
    pairs: impl Iterator<Item = (Option<String>, Option<String>)>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, value) in pairs.filter_map(|(key, value)| Some((key?, value?))) {
        all.entry(key).or_default().insert(value);
    }
    all
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{Alarm, PredefinedMetricSpecification};

    use super::*;

    fn tracking(kind: MetricType) -> ScalingPolicy {
        let metric = PredefinedMetricSpecification::builder().predefined_metric_type(kind).build();
        let config = TargetTrackingConfiguration::builder()
            .predefined_metric_specification(metric)
            .target_value(50.0)
            .build();
        ScalingPolicy::builder()
            .policy_name("follow")
            .policy_type("TargetTrackingScaling")
            .target_tracking_configuration(config)
            .build()
    }

    fn renaming(group: &str) -> Renaming<'_> {
        let groups = ["a", "b"].map(|name| (name.to_owned(), "b/2".to_owned())).into();
        Renaming { from: "api", to: group, groups, policies: BTreeMap::new() }
    }

    #[test]
    fn a_policy_that_names_a_target_group_comes_late() {
        let step = ScalingPolicy::builder().policy_name("up").policy_type("StepScaling");
        let alarm = Alarm::builder().alarm_name("busy").build();
        assert!(!is_late(&step.alarms(alarm).build()));
        assert!(is_late(&tracking(MetricType::AlbRequestCountPerTarget)));
        assert!(!is_late(&tracking(MetricType::AsgAverageCpuUtilization)));
    }

    #[test]
    fn a_policy_of_an_unknown_kind_is_refused() {
        let policy = ScalingPolicy::builder().policy_name("up").policy_type("Psychic").build();
        assert!(refusal("api", &policy).is_some_and(|refused| refused.contains("`up` is a Psychic")));
    }

    #[test]
    fn a_tracked_metric_of_blue_becomes_one_of_green() {
        let config = |group: &str, target: &str| {
            let dimension =
                |name: &str, value: &str| MetricDimension::builder().name(name).value(value).build();
            let metric = CustomizedMetricSpecification::builder()
                .dimensions(dimension("AutoScalingGroupName", group))
                .dimensions(dimension("QueueName", "api"))
                .dimensions(dimension("TargetGroup", &format!("targetgroup/{target}")));
            let label = format!("app/edge/9/targetgroup/{target}");
            let predefined = PredefinedMetricSpecification::builder().resource_label(label);
            let predefined = predefined.predefined_metric_type(MetricType::AlbRequestCountPerTarget);
            TargetTrackingConfiguration::builder()
                .target_value(1.0)
                .customized_metric_specification(metric.build())
                .predefined_metric_specification(predefined.build())
                .build()
        };
        assert_eq!(tracked(&config("api", "a/1"), &renaming("api-v002")), config("api-v002", "b/2"));
        assert_eq!(tracked(&config("other", "c/3"), &renaming("api-v002")), config("other", "c/3"));
    }

    #[test]
    fn codedeploys_own_hooks_are_not_copied_and_are_refused_where_nothing_would_be_installed() {
        let hook = |name: &str| {
            let hook = LifecycleHook::builder().lifecycle_hook_name(name);
            hook.lifecycle_transition("autoscaling:EC2_INSTANCE_LAUNCHING").build()
        };
        let hooks = vec![hook("warm-up"), hook("CodeDeploy-managed-automatic-launch-deployment-hook-api-1")];
        let belongings = Belongings { hooks, ..Belongings::default() };
        let copied = belongings.hooks_to_create();
        let names: Vec<_> = copied.iter().map(LifecycleHookSpecification::lifecycle_hook_name).collect();
        assert_eq!(names, [Some("warm-up")]);
        assert!(belongings.refusals("api", true).is_empty());
        assert_eq!(belongings.refusals("api", false).len(), 1);
    }
}
