//! The Auto Scaling groups: what they launch, what holds them still, what is left behind on them.

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_codedeploy::types::DeploymentGroupInfo;

use super::super::asgs::{FROZEN, tag};
use super::facts::{Facts, template};
use crate::cloud::Finding;
use crate::spec::{AwsFleets, AwsRevision};

/// What CodeDeploy calls the hooks that it puts on a group (CodeDeploy user guide, 2023).
const CODEDEPLOY_HOOK: &str = "CodeDeploy-managed-automatic-launch-deployment-hook-";
/// Processes that a rollout needs.
const NEEDED: [&str; 3] = ["Launch", "Terminate", "AddToLoadBalancer"];

/// Every check of the fleets.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = vec![present(facts)];
    for (name, group) in &facts.groups {
        findings.extend(launches(facts, name, group));
        findings.extend(processes(facts, name, group));
        findings.extend(frozen(facts, name, group));
        findings.extend(hooks(facts, name));
        findings.extend(strange(name, group));
        findings.extend(terraform(facts, name, group));
    }
    findings
}

fn present(facts: &Facts<'_>) -> Finding {
    let serving = facts.serving();
    let absent: Vec<_> =
        facts.home.named().into_iter().filter(|name| !facts.groups.contains_key(name)).collect();
    if let Some(absent) = absent.first() {
        let blue_may_be_another =
            matches!(facts.home.spec.fleets, AwsFleets::Copy { .. }) && !serving.is_empty();
        if !blue_may_be_another {
            return Finding::fail("fleets", format!("there is no Auto Scaling group `{absent}`"))
                .mend("correct its name under `fleets` in the deployment file, or create it");
        }
    }
    if serving.is_empty() {
        return Finding::warn("fleets", "no instance of the service is registered in any target group")
            .why("there is no blue to replace, and nothing to compare green with");
    }
    let names: Vec<_> = serving.iter().map(|name| format!("`{name}`")).collect();
    Finding::ok("fleets", format!("{} in service", names.join(" and ")))
}

/// A version that moves by itself.
fn launches(facts: &Facts<'_>, name: &str, group: &AutoScalingGroup) -> Vec<Finding> {
    let Some((id, version)) = template(group) else {
        let what = format!("`{name}` does not launch from a launch template");
        return vec![
            Finding::fail("launch template", what)
                .why("what it launches from has no versions, so a fleet of another revision cannot be made from it")
                .mend("move the group to a launch template"),
        ];
    };
    if version.parse::<u64>().is_ok() {
        return vec![Finding::ok(
            "launch template",
            format!("`{name}` launches version {version} of `{id}`"),
        )];
    }
    let now = facts.versions.get(name).map_or("?".to_owned(), |version| version.number.to_string());
    let what = format!("`{name}` launches `{version}` of `{id}`, which is {now} today");
    let mend = format!("pin the group to version {now}");
    let finding = match facts.home.spec.revision {
        AwsRevision::Bundle(_) => Finding::warn("launch template", what).why("a new version changes what the group launches next"),
        AwsRevision::LaunchTemplate | AwsRevision::Ami => Finding::fail("launch template", what)
            .why("as soon as green's version exists, blue launches it too: the way back would run the new revision"),
    };
    vec![finding.mend(mend)]
}

fn processes(facts: &Facts<'_>, name: &str, group: &AutoScalingGroup) -> Vec<Finding> {
    let ours = facts.open && tag(group, FROZEN).is_some();
    let suspended: Vec<_> = group.suspended_processes().iter().filter_map(|one| one.process_name()).collect();
    let missing: Vec<_> = NEEDED.iter().filter(|needed| suspended.contains(*needed)).collect();
    let mut findings: Vec<_> = missing
        .into_iter()
        .map(|process| {
            let why = match *process {
                "AddToLoadBalancer" => "instances launched meanwhile are in no target group, and are not put into one when it is resumed",
                "Launch" => "the group cannot grow, and a copy of it does not come up",
                _ => "the group cannot shrink",
            };
            Finding::fail("suspended processes", format!("`{process}` of `{name}` is suspended"))
                .why(why)
                .mend(format!("aws autoscaling resume-processes --auto-scaling-group-name {name} --scaling-processes {process}"))
        })
        .collect();
    let others: Vec<_> = suspended.iter().filter(|process| !NEEDED.contains(process)).copied().collect();
    if !others.is_empty() && !ours {
        let what = format!("`{name}` has {} suspended", others.join(", "));
        findings.push(
            Finding::warn("suspended processes", what)
                .why("they stay suspended after a rollout, because it did not suspend them"),
        );
    }
    findings
}

fn frozen(facts: &Facts<'_>, name: &str, group: &AutoScalingGroup) -> Option<Finding> {
    tag(group, FROZEN).filter(|_| !facts.open)?;
    let what = format!("`{name}` is held still by a rollout that is not open any more (tag `{FROZEN}`)");
    Some(
        Finding::warn("frozen", what)
            .why("it does not scale with its load")
            .mend(format!("deployer thaw {}", facts.home.service)),
    )
}

/// Hooks that CodeDeploy put there for a deployment group that is none of the declared ones.
fn hooks(facts: &Facts<'_>, name: &str) -> Vec<Finding> {
    let groups = facts.deployment_groups.iter();
    let known: Vec<_> =
        groups.flat_map(DeploymentGroupInfo::auto_scaling_groups).filter_map(|group| group.hook()).collect();
    let hooks = facts.hooks.get(name).map(Vec::as_slice).unwrap_or_default();
    let names = hooks.iter().filter_map(|hook| hook.lifecycle_hook_name());
    let left = names.filter(|hook| hook.starts_with(CODEDEPLOY_HOOK) && !known.contains(hook));
    left.map(|hook| {
        Finding::warn("lifecycle hooks", format!("`{name}` has the CodeDeploy hook `{hook}`, of no deployment group in the file"))
            .why("if its deployment group is gone, every launch waits for it until it times out, and ends")
            .mend(format!("if no deployment group uses it: aws autoscaling delete-lifecycle-hook --auto-scaling-group-name {name} --lifecycle-hook-name {hook}"))
    })
    .collect()
}

/// Traffic that comes to the instances other than through target groups.
fn strange(name: &str, group: &AutoScalingGroup) -> Vec<Finding> {
    let classic =
        group.load_balancer_names().iter().map(|balancer| ("Classic Load Balancer", balancer.as_str()));
    let lattice = group.traffic_sources().iter().filter(|source| source.r#type() == Some("vpc-lattice"));
    let lattice = lattice.map(|source| ("VPC Lattice target group", source.identifier().unwrap_or("?")));
    classic
        .chain(lattice)
        .map(|(kind, source)| {
            Finding::fail("traffic sources", format!("`{name}` stands behind the {kind} `{source}`"))
                .why("the gate cannot see who is healthy there, so it refuses to take the fleet away")
                .mend("move that traffic to a target group of an Application or Network Load Balancer")
        })
        .collect()
}

/// Terraform puts back what it did not change itself.
fn terraform(facts: &Facts<'_>, name: &str, group: &AutoScalingGroup) -> Option<Finding> {
    let says = |text: Option<&str>| text.is_some_and(|text| text.to_ascii_lowercase().contains("terraform"));
    group.tags().iter().find(|tag| says(tag.key()) || says(tag.value()))?;
    let what = format!("`{name}` seems to be managed by Terraform");
    Some(match facts.home.spec.fleets {
        AwsFleets::Pair(_) => Finding::warn("terraform", what)
            .why("the next apply would undo a rollout: sizes, attachments, weights and the launch template move with it")
            .mend(
                "put into `lifecycle { ignore_changes = […] }`: of both groups desired_capacity, min_size, max_size, launch_template, \
                 suspended_processes, health_check_type, target_group_arns, traffic_source, tag; of listeners default_action; of rules action",
            ),
        AwsFleets::Copy { .. } | AwsFleets::Managed => Finding::warn("terraform", what)
            .why("each rollout makes a new group and deletes the old one: the next apply would create the old one again")
            .mend("use `fleets: {pair: [A, B]}`, with both groups in Terraform"),
    })
}
