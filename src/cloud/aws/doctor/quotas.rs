//! Limits of the account and of the API, before a rollout runs into them.

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_elasticloadbalancingv2::types::TargetGroup;

use super::super::arn;
use super::super::survey::listed;
use super::facts::Facts;
use super::groups::name;
use crate::cloud::Finding;
use crate::model::Span;
use crate::spec::{AwsFleets, AwsGroup};

/// Target groups of one Auto Scaling group (Auto Scaling user guide, 2023; not adjustable).
const GROUPS_MAX: usize = 50;
/// Target groups of one forward action (ELB user guide, 2023; not adjustable).
const ACTION_MAX: usize = 5;

/// From how long on a search is worth a word.
const LONG: Span = Span::secs(15);

/// Every check of the limits.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = vec![attachments(facts)];
    findings.extend(fleets(facts));
    findings.extend(actions(facts));
    findings.extend(targets(facts));
    findings.extend(made(facts));
    let (groups, rate) = (facts.survey.groups.len(), facts.home.spec.reads_per_second);
    findings.extend(searched(groups, facts.limits.search, rate));
    findings
}

/// A fleet goes behind a search of every target group, which AWS lets us ask one by one.
fn searched(groups: usize, took: Span, reads_per_second: u32) -> Option<Finding> {
    (took >= LONG).then(|| {
        let what = format!("to search the {groups} target groups of the region takes {took} or more");
        Finding::warn("quotas", what)
            .why(format!("reads of load balancers are kept to {reads_per_second} a second"))
            .mend("raise `reads_per_second` where AWS has raised the limit for you")
    })
}

fn attachments(facts: &Facts<'_>) -> Finding {
    let most = facts
        .groups
        .values()
        .map(|group| listed(group).collect::<std::collections::BTreeSet<_>>().len())
        .max();
    let wanted = most.unwrap_or(0).max(facts.target_groups().len());
    let what = format!("{wanted} target groups for one Auto Scaling group, of {GROUPS_MAX}");
    if wanted > GROUPS_MAX {
        return Finding::fail("quotas", what)
            .mend("split the service, or use fewer target groups: the limit cannot be raised");
    }
    Finding::ok("quotas", format!("{what}; attached ten at a time"))
}

fn fleets(facts: &Facts<'_>) -> Option<Finding> {
    let (are, may) = facts.limits.fleets?;
    let makes = !matches!(facts.home.spec.fleets, AwsFleets::Pair(_));
    (makes && are >= may).then(|| {
        Finding::fail("quotas", format!("the account has {are} of {may} Auto Scaling groups"))
            .why("each rollout makes one before it deletes the other")
            .mend("delete some, or have the quota raised")
    })
}

/// A twin that joins an action may be one too many.
fn actions(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in facts.home.spec.groups.values() {
        let AwsGroup::Twins { names, .. } = group else { continue };
        let twins: Vec<_> =
            facts.survey.groups.values().filter(|group| names.iter().any(|own| own == name(group))).collect();
        for route in twins.iter().filter_map(|twin| facts.survey.routes_of(twin).ok()).flatten() {
            let weights = route.weights();
            let others = weights
                .iter()
                .filter(|(arn, _)| !twins.iter().any(|twin| twin.target_group_arn() == Some(arn)));
            let wanted = others.count() + names.len();
            if wanted > ACTION_MAX {
                let what =
                    format!("`{}` would forward to {wanted} target groups, of {ACTION_MAX}", route.name);
                findings.push(
                    Finding::fail("quotas", what)
                        .mend("take a target group from the action: the limit cannot be raised"),
                );
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Green's targets stand beside blue's, on the same load balancers.
fn targets(facts: &Facts<'_>) -> Vec<Finding> {
    let size = facts.groups.values().filter_map(AutoScalingGroup::desired_capacity).max().unwrap_or(0);
    let size = u64::try_from(size).unwrap_or(0).max(u64::from(facts.spec.instances.unwrap_or(0)));
    let mut findings = Vec::new();
    for arn in facts.balancers.keys() {
        let kind = if arn::is_network(arn) { "network" } else { "application" };
        let Some(most) = facts.limits.elb.get(&format!("targets-per-{kind}-load-balancer")) else { continue };
        let behind = |group: &&TargetGroup| group.load_balancer_arns().contains(arn);
        let answers = facts.survey.groups.iter().filter(|(_, group)| behind(group));
        let known = answers.filter_map(|(arn, _)| facts.survey.targets.get(arn)?.as_ref().ok());
        let are: usize = known.map(Vec::len).sum();
        let ours = facts.target_groups().iter().filter(|group| behind(group)).count();
        let wanted = are as u64 + size * ours as u64;
        if wanted > *most {
            let what =
                format!("`{}` would have {wanted} targets with green's, of {most}", arn::balancer(arn));
            findings.push(Finding::fail("quotas", what).mend("have the quota raised"));
        }
    }
    findings
}

fn made(facts: &Facts<'_>) -> Option<Finding> {
    let limit = *facts.limits.elb.get("target-groups")?;
    let exists = |wanted: &String| facts.survey.groups.values().any(|group| name(group) == wanted);
    let groups =
        facts.home.spec.groups.values().filter(|group| matches!(group, AwsGroup::Twins { create: true, .. }));
    let makes = groups.flat_map(AwsGroup::names).filter(|name| !exists(name)).count();
    let are = facts.survey.groups.len();
    ((are + makes) as u64 > limit && makes > 0).then(|| {
        Finding::fail(
            "quotas",
            format!("the region has {are} of {limit} target groups, and {makes} would be made"),
        )
        .mend("have the quota raised")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_takes_long_is_worth_a_word() {
        assert_eq!(searched(100, Span::secs(8), 10), None);
        let said = searched(500, Span::secs(50), 10).unwrap();
        assert!(said.what.contains("500 target groups") && said.what.contains("50s"), "{}", said.what);
    }
}
