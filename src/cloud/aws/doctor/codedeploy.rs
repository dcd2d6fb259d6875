//! The deployment groups: what they list, and whether they leave anybody time to look.

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types::{
    DeploymentGroupInfo, DeploymentOption, DeploymentReadyAction, DeploymentType, InstanceAction,
    LoadBalancerInfo,
};

use super::super::survey::listed;
use super::facts::Facts;
use super::groups::name;
use crate::cloud::Finding;
use crate::spec::{AwsFleets, AwsRevision};

/// How many target groups a deployment group can list (CodeDeploy model).
const LISTED_MAX: usize = 10;

/// Every check of the deployment groups.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let AwsRevision::Bundle(declared) = &facts.home.spec.revision else { return Vec::new() };
    let managed = facts.home.spec.fleets == AwsFleets::Managed;
    let mut findings = Vec::new();
    for group in &facts.deployment_groups {
        let id = format!("{}/{}", declared.application, group.deployment_group_name().unwrap_or("?"));
        if managed {
            findings.extend(list(facts, group, &id, declared.complete));
            findings.extend(fleet(facts, group, &id));
            findings.extend(style(group, &id));
            findings.extend(waits(group, &id));
        } else if group.deployment_style().and_then(|style| style.deployment_type())
            == Some(&DeploymentType::BlueGreen)
        {
            findings.push(
                Finding::fail("codedeploy", format!("`{id}` deploys blue/green by itself"))
                    .why("it would make a third fleet and take blue away, beside this tool")
                    .mend("set its deployment type to in-place, or write `fleets: {managed: codedeploy}`"),
            );
        }
    }
    findings
}

/// The accident itself: its list against what is declared and where blue stands.
fn list(facts: &Facts<'_>, group: &DeploymentGroupInfo, id: &str, complete: bool) -> Vec<Finding> {
    let lists = group.load_balancer_info().map(LoadBalancerInfo::target_group_info_list).unwrap_or_default();
    let lists: BTreeSet<_> = lists.iter().filter_map(|one| one.name()).collect();
    let attached: BTreeSet<_> = facts.survey.fleets.values().flat_map(listed).collect();
    let attached = attached.iter().filter_map(|arn| facts.survey.groups.get(arn)).map(name);
    let wanted: BTreeSet<_> = facts.target_groups().into_iter().map(name).chain(attached).collect();
    let mut findings = Vec::new();
    for missing in wanted.difference(&lists) {
        let what = format!("`{id}` does not list the target group `{missing}`");
        findings.push(if complete {
            Finding::warn("codedeploy list", what).why("`complete: true` adds it to the list before the deployment")
        } else {
            Finding::fail("codedeploy list", what)
                .why("CodeDeploy would register green everywhere but there, and take blue away: the group goes dark")
                .mend("add it to the deployment group, or write `complete: true` under `codedeploy`")
        });
    }
    for gone in
        lists.iter().filter(|listed| !facts.survey.groups.values().any(|group| name(group) == **listed))
    {
        findings.push(
            Finding::fail(
                "codedeploy list",
                format!("`{id}` lists the target group `{gone}`, which does not exist"),
            )
            .mend("take it from the deployment group's list"),
        );
    }
    if wanted.len() > LISTED_MAX {
        findings.push(
            Finding::fail(
                "codedeploy list",
                format!(
                    "the service needs {} target groups, and a deployment group lists {LISTED_MAX} at most",
                    wanted.len()
                ),
            )
            .mend("use `fleets: {copy: …}` or `fleets: {pair: …}`, which have no such limit"),
        );
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok("codedeploy list", format!("`{id}` lists all {} target groups", wanted.len())));
    }
    findings
}

/// It copies the one Auto Scaling group that it has, whatever serves.
fn fleet(facts: &Facts<'_>, group: &DeploymentGroupInfo, id: &str) -> Option<Finding> {
    let copied: BTreeSet<_> = group.auto_scaling_groups().iter().filter_map(|group| group.name()).collect();
    let serving = facts.serving();
    let right = copied.len() == 1 && serving.iter().all(|name| copied.contains(name.as_str()));
    let names = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    (!right && !serving.is_empty()).then(|| {
        let serving = names(serving.iter().map(String::as_str).collect());
        let copied = names(copied.into_iter().collect());
        Finding::fail("codedeploy", format!("`{id}` would copy {copied}, and {serving} serves"))
            .why("green would be a copy of something else than blue")
            .mend("give the deployment group exactly the Auto Scaling group that serves")
    })
}

fn style(group: &DeploymentGroupInfo, id: &str) -> Option<Finding> {
    let style = group.deployment_style();
    let right = style.and_then(|style| style.deployment_type()) == Some(&DeploymentType::BlueGreen)
        && style.and_then(|style| style.deployment_option()) == Some(&DeploymentOption::WithTrafficControl);
    (!right).then(|| {
        Finding::fail("codedeploy", format!("`{id}` does not deploy blue/green with traffic control"))
            .mend("set its type to BLUE_GREEN and its option to WITH_TRAFFIC_CONTROL")
    })
}

/// Where it neither waits before the traffic nor before the end, nobody can stop it.
fn waits(group: &DeploymentGroupInfo, id: &str) -> Vec<Finding> {
    let settings = group.blue_green_deployment_configuration();
    let ready = settings.and_then(|settings| settings.deployment_ready_option());
    let end = settings.and_then(|settings| settings.terminate_blue_instances_on_deployment_success());
    let mut findings = Vec::new();
    if ready.and_then(|ready| ready.action_on_timeout()) != Some(&DeploymentReadyAction::StopDeployment) {
        findings.push(
            Finding::fail("codedeploy", format!("`{id}` sends traffic to green as soon as it can"))
                .why("there is no moment at which green can be proved before it serves")
                .mend("set `deploymentReadyOption` to STOP_DEPLOYMENT with a wait, such as 60 minutes"),
        );
    }
    let terminates = end.and_then(|end| end.action()) == Some(&InstanceAction::Terminate);
    if terminates && end.is_none_or(|end| end.termination_wait_time_in_minutes() == 0) {
        findings.push(
            Finding::fail("codedeploy", format!("`{id}` terminates blue at once when green serves"))
                .why("there is no moment at which every target group can be proved before blue goes")
                .mend("set `terminationWaitTimeInMinutes` to the bake and quiet time, and some more"),
        );
    }
    findings
}
