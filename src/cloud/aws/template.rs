//! What a group's instances are launched from, pinned to a version number.
//!
//! `$Latest` and `$Default` move under a fleet: a replaced instance would run what nobody rolled out, and the way back
//! would lead nowhere. So no fleet of ours ever carries them.

use std::fmt::Write as _;

use aws_sdk_autoscaling::types::{
    AutoScalingGroup, LaunchTemplateOverrides, LaunchTemplateSpecification, MixedInstancesPolicy,
};
use sha2::{Digest as _, Sha256};

use super::api::Api;
use super::asgs::Home;
use crate::cloud::{Fault, FaultKind};
use crate::model::Fleet;
use crate::spec::AwsRevision;

/// Where a group's launch template stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Launch {
    /// In the group itself.
    Plain(LaunchTemplateSpecification),
    /// In its mixed instances policy, whose overrides may name further ones.
    Mixed(MixedInstancesPolicy),
}

impl Launch {
    /// A group's; none where it has a launch configuration.
    pub fn of(group: &AutoScalingGroup) -> Option<Self> {
        match (group.launch_template(), group.mixed_instances_policy()) {
            (Some(template), _) => Some(Self::Plain(template.clone())),
            (None, Some(policy)) => Some(Self::Mixed(policy.clone())),
            (None, None) => None,
        }
    }

    /// What stands against launching a green fleet from it, each with the way out.
    pub fn refusals(&self, revision: &AwsRevision) -> Vec<String> {
        let (mut refusals, overrides) = (Vec::new(), self.overrides());
        if self.main().and_then(|main| main.launch_template_id()).is_none() {
            refusals.push("its mixed instances policy names no launch template: give it one".to_owned());
        }
        if overrides.iter().any(|one| one.weighted_capacity().is_some_and(|weight| weight != "1")) {
            refusals.push(
                "its instance types have weights, so its size is no number of instances, and the gate counts \
                 instances: remove the weights"
                    .to_owned(),
            );
        }
        if matches!(revision, AwsRevision::Bundle(_)) {
            return refusals;
        }
        let main = self.main().and_then(|main| main.launch_template_id());
        let other = |one: &LaunchTemplateOverrides| {
            let id = one.launch_template_specification().and_then(|spec| spec.launch_template_id());
            id.is_some_and(|id| Some(id) != main)
        };
        if overrides.iter().any(other) {
            refusals.push(
                "some of its instance types have a launch template of their own, which a revision does not name, so a \
                 part of green would run the old one: use one launch template for all of them, or `revision_is: bundle`"
                    .to_owned(),
            );
        }
        if overrides.iter().any(|one| one.image_id().is_some()) {
            refusals.push(
                "some of its instance types have an image of their own, which would win over the revision's: remove \
                 `ImageId` from the overrides"
                    .to_owned(),
            );
        }
        refusals
    }

    /// The same with every version as a number, at the revision where that is the template's matter.
    ///
    /// # Errors
    /// A revision that does not exist or can be none; the call's fault.
    pub async fn at_revision(mut self, api: &Api, home: &Home, fleet: &Fleet) -> Result<Self, Fault> {
        match &home.spec.revision {
            AwsRevision::Bundle(_) => {
                for spec in self.all() {
                    let id = spec.launch_template_id().unwrap_or_default().to_owned();
                    *spec = template(&id, number(api, &id, spec.version()).await?.to_string());
                }
            }
            AwsRevision::LaunchTemplate => {
                let id = self.id()?;
                self.set(&id, &existing(api, &id, fleet).await?);
            }
            AwsRevision::Ami => {
                let id = self.id()?;
                let source = number(api, &id, self.main().and_then(|main| main.version())).await?;
                let token = client_token(home, fleet, &id, source);
                let (image, description) =
                    (fleet.revision.as_str(), format!("{} of {}", fleet.id, home.owner()));
                let call = api.ec2.create_launch_template_version(&id, source, image, &description, &token);
                let version = api.send_ec2("CreateLaunchTemplateVersion", call).await?;
                self.set(&id, &version.to_string());
            }
        }
        Ok(self)
    }

    fn main(&self) -> Option<&LaunchTemplateSpecification> {
        match self {
            Self::Plain(spec) => Some(spec),
            Self::Mixed(policy) => policy.launch_template()?.launch_template_specification(),
        }
    }

    fn overrides(&self) -> &[LaunchTemplateOverrides] {
        match self {
            Self::Plain(_) => &[],
            Self::Mixed(policy) => policy
                .launch_template()
                .map(aws_sdk_autoscaling::types::LaunchTemplate::overrides)
                .unwrap_or_default(),
        }
    }

    /// The id of the template that a revision speaks of.
    ///
    /// # Errors
    /// A policy without one.
    pub fn id(&self) -> Result<String, Fault> {
        let id = self.main().and_then(|main| main.launch_template_id()).map(str::to_owned);
        id.ok_or_else(|| {
            let message = "the group's launch template has no id: give the group a launch template";
            Fault::new(FaultKind::Invalid, "DescribeAutoScalingGroups", message)
        })
    }

    /// Every launch template that it names.
    fn all(&mut self) -> Vec<&mut LaunchTemplateSpecification> {
        match self {
            Self::Plain(spec) => vec![spec],
            Self::Mixed(policy) => {
                let Some(template) = policy.launch_template.as_mut() else { return Vec::new() };
                let overrides = template.overrides.iter_mut().flatten();
                let own = overrides.filter_map(|one| one.launch_template_specification.as_mut());
                template.launch_template_specification.iter_mut().chain(own).collect()
            }
        }
    }

    fn set(&mut self, id: &str, version: &str) {
        for spec in self.all() {
            *spec = template(id, version.to_owned());
        }
    }
}

/// By id alone: to name a template by both id and name is refused.
fn template(id: &str, version: String) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder().launch_template_id(id).version(version).build()
}

/// The number that a version stands for now.
async fn number(api: &Api, id: &str, version: Option<&str>) -> Result<u64, Fault> {
    let version = version.filter(|version| !version.is_empty()).unwrap_or("$Default");
    if let Ok(number) = version.parse() {
        return Ok(number);
    }
    let call = api.ec2.launch_template_version(id, version);
    Ok(api.send_ec2("DescribeLaunchTemplateVersions", call).await?.number)
}

/// The version that a revision names, known to exist.
async fn existing(api: &Api, id: &str, fleet: &Fleet) -> Result<String, Fault> {
    let action = "DescribeLaunchTemplateVersions";
    let revision = &fleet.revision;
    let number = revision.as_str().parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(|| {
        let message = format!(
            "the revision `{revision}` is no version of the launch template {id}: name a number such as 7, or say in \
             the deployment file what a revision is (`revision_is`)"
        );
        Fault::new(FaultKind::Invalid, action, message)
    })?;
    let version = number.to_string();
    let found = api.send_ec2(action, api.ec2.launch_template_version(id, &version)).await;
    match found {
        Ok(_) => Ok(version),
        Err(fault) if fault.kind == FaultKind::Missing => {
            let message = format!(
                "the launch template {id} has no version {version}: create it, or name one of \
                 `aws ec2 describe-launch-template-versions --launch-template-id {id}`"
            );
            Err(Fault { message, ..fault })
        }
        Err(fault) => Err(fault),
    }
}

/// The same for every try at this fleet, whoever drives it: EC2 makes one version for one token. The source is in it,
/// because EC2 refuses the same token for another request.
fn client_token(home: &Home, fleet: &Fleet, id: &str, source: u64) -> String {
    let (owner, source) = (home.owner(), source.to_string());
    let text = [owner.as_str(), fleet.id.as_str(), fleet.revision.as_str(), id, &source].join("\n");
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::LaunchTemplate;

    use super::*;

    fn mixed(overrides: Vec<LaunchTemplateOverrides>) -> Launch {
        let main = LaunchTemplateSpecification::builder()
            .launch_template_id("lt-1")
            .launch_template_name("api")
            .version("$Latest")
            .build();
        let template = LaunchTemplate::builder()
            .launch_template_specification(main)
            .set_overrides(Some(overrides))
            .build();
        Launch::Mixed(MixedInstancesPolicy::builder().launch_template(template).build())
    }

    fn of(instance_type: &str) -> aws_sdk_autoscaling::types::builders::LaunchTemplateOverridesBuilder {
        LaunchTemplateOverrides::builder().instance_type(instance_type)
    }

    #[test]
    fn every_template_of_a_policy_gets_the_version_and_is_named_by_its_id_alone() {
        let own = template("lt-1", "$Default".into());
        let mut launch =
            mixed(vec![of("c7g.large").build(), of("c6g.large").launch_template_specification(own).build()]);
        launch.set("lt-1", "8");
        let all: Vec<_> = launch.all().into_iter().map(|spec| spec.clone()).collect();
        assert_eq!(all, [template("lt-1", "8".into()), template("lt-1", "8".into())]);
    }

    #[test]
    fn what_a_revision_would_reach_only_in_part_is_refused() {
        let other = template("lt-2", "1".into());
        let two = mixed(vec![of("c7a.large").launch_template_specification(other).build()]);
        assert_eq!(two.refusals(&AwsRevision::Ami).len(), 1);
        let image = mixed(vec![of("c7a.large").image_id("ami-1").build()]);
        assert_eq!(image.refusals(&AwsRevision::LaunchTemplate).len(), 1);
        let weights = mixed(vec![of("c7a.large").weighted_capacity("2").build()]);
        assert_eq!(weights.refusals(&AwsRevision::LaunchTemplate).len(), 1);
        assert!(mixed(vec![of("c7a.large").build()]).refusals(&AwsRevision::Ami).is_empty());
    }
}
