//! The preflight as a whole.

use super::super::api::Api;
use super::super::asgs::Home;
use super::super::policy::policy;
use super::facts::{Facts, Reading};
use super::{codedeploy, fleets, groups, permissions, quotas, routes};
use crate::cloud::notes::Notes;
use crate::cloud::{Fault, FaultKind, Finding, Grant};
use crate::spec::{AwsRevision, AwsSpec, Spec};

/// What EC2 answers to a dry run that would have been allowed (EC2 API reference, `DryRun`).
const ALLOWED: &str = "DryRunOperation";

/// Looks at everything that a rollout of this service, with its journal in this store, would need. Changes nothing.
pub async fn examine(spec: &Spec, aws: &AwsSpec, store: &str, open: bool) -> Vec<Finding> {
    let home =
        Home { service: spec.service.clone(), environment: spec.environment.clone(), spec: aws.clone() };
    let api = match Api::connect(aws, None).await {
        Ok(api) => api,
        Err(fault) => return vec![no_way_in(aws, &fault)],
    };
    let mut reading = Reading { api: &api, notes: Notes::new("deployer policy aws") };
    let facts = Box::pin(Facts::read(&mut reading, &home, spec, open)).await;
    let mut findings = vec![Finding::ok("account", format!("`{}` in {}", aws.account, aws.region))];
    if reading.notes.findings.is_empty() {
        findings.push(Finding::ok("permissions", "everything that has to be read can be read"));
    }
    findings.append(&mut reading.notes.findings);
    let Some(facts) = facts else { return findings };
    let document = policy(spec, aws, store, Grant::ReadWrite);
    findings.extend(Box::pin(permissions::check(&api, &document)).await);
    findings.extend(rehearsed(&api, aws, &facts).await);
    for check in
        [fleets::check, groups::check, routes::green, routes::check, codedeploy::check, quotas::check]
    {
        findings.extend(check(&facts));
    }
    let mut seen = std::collections::BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.clone()));
    findings
}

fn no_way_in(aws: &AwsSpec, fault: &Fault) -> Finding {
    Finding::fail("account", format!("no way into account `{}` in {}: {fault}", aws.account, aws.region))
        .why("nothing else could be looked at")
        .mend("check the credentials (`aws sts get-caller-identity`), `account` and `region` in the file, and the network")
}

/// EC2 knows a dry run, which judges more than the simulator does. ELBv2, Auto Scaling and CodeDeploy would have to be made
/// to change something.
async fn rehearsed(api: &Api, aws: &AwsSpec, facts: &Facts<'_>) -> Option<Finding> {
    let green = facts.green.as_ref().filter(|_| aws.revision == AwsRevision::Ami)?;
    let image = green.image.as_deref().unwrap_or_default();
    let call = api.ec2.rehearse_launch_template_version(&green.template, green.number, image);
    let fault = api.send_ec2("CreateLaunchTemplateVersion", call).await.err()?;
    Some(if fault.message.starts_with(ALLOWED) {
        Finding::ok("dry run", "`ec2:CreateLaunchTemplateVersion` is allowed")
    } else if fault.kind == FaultKind::Denied {
        Finding::fail("dry run", format!("`ec2:CreateLaunchTemplateVersion` is denied: {}", fault.message))
            .why("a version of the launch template with the new image cannot be made")
            .mend("attach the policy that `deployer policy aws` prints")
    } else {
        Finding::warn("dry run", format!("that of `ec2:CreateLaunchTemplateVersion` told nothing: {fault}"))
    })
}
