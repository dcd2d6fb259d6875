//! The calls, each to the last page.

use super::super::asgs::pages;
use super::client::{Ec2, Form};
use super::things::{Instance, Subnet, TemplateVersion};
use super::wire;
use crate::cloud::firewall::SecurityGroup;
use crate::cloud::{Fault, FaultKind};

/// How many values one filter gets: the API takes 200 (EC2 API reference, `Filter`).
const NAMES_MAX: usize = 100;
/// How many things a page may have, where the API takes a size.
const PAGE: &str = "1000";

impl Ec2 {
    /// Instances by id, in any order. One that EC2 knows no more is not among them.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn instances(&self, ids: &[String]) -> Result<Vec<Instance>, Fault> {
        let mut found = Vec::new();
        for some in ids.chunks(NAMES_MAX) {
            let form = Form::new("DescribeInstances").among("instance-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::Instances = self.ask(&form.clone().maybe("NextToken", token)).await?;
                let next = page.next_token.clone();
                Ok((page.into_instances(), next))
            });
            found.extend(all.await?);
        }
        Ok(found)
    }

    /// One version of a launch template: by its number, or `$Latest`, or `$Default`.
    ///
    /// # Errors
    /// The call's fault; [`FaultKind::Missing`] where there is none.
    pub async fn launch_template_version(&self, id: &str, version: &str) -> Result<TemplateVersion, Fault> {
        let action = "DescribeLaunchTemplateVersions";
        let form = Form::new(action).with("LaunchTemplateId", id).with("LaunchTemplateVersion.1", version);
        let all = pages(async |token| {
            let page: wire::Versions = self.ask(&form.clone().maybe("NextToken", token)).await?;
            let next = page.next_token.clone();
            Ok((page.into_versions(), next))
        });
        let wanted: Option<u64> = version.parse().ok();
        let mut versions = all.await?.into_iter();
        let found =
            versions.find(|one| one.template == id && wanted.is_none_or(|wanted| wanted == one.number));
        found.ok_or_else(|| {
            let message = format!("the launch template `{id}` has no version `{version}`");
            Fault::new(FaultKind::Missing, action, message)
        })
    }

    /// Makes a version of a launch template that differs from another in its image only, and tells its number. Made
    /// once, however often it is sent under the same token (at most 128 characters).
    ///
    /// # Errors
    /// The call's fault.
    pub async fn create_launch_template_version(
        &self,
        id: &str,
        source: u64,
        image: &str,
        description: &str,
        client_token: &str,
    ) -> Result<u64, Fault> {
        let form = Form::new("CreateLaunchTemplateVersion")
            .with("LaunchTemplateId", id)
            .with("SourceVersion", source.to_string())
            .with("VersionDescription", description)
            .with("LaunchTemplateData.ImageId", image)
            .with("ClientToken", client_token);
        let made: wire::Created = self.ask(&form).await?;
        Ok(made.number())
    }

    /// Asks whether a version could be made, and makes none: EC2 answers `DryRunOperation` where it could.
    ///
    /// # Errors
    /// Always one, and its code is the answer.
    pub async fn rehearse_launch_template_version(
        &self,
        id: &str,
        source: u64,
        image: &str,
    ) -> Result<(), Fault> {
        let form = Form::new("CreateLaunchTemplateVersion")
            .with("LaunchTemplateId", id)
            .with("SourceVersion", source.to_string())
            .with("LaunchTemplateData.ImageId", image)
            .with("DryRun", "true");
        let made: wire::Created = self.ask(&form).await?;
        let message = format!("the dry run made version {} of `{id}`: delete it", made.number());
        Err(Fault::new(FaultKind::Unexpected, "CreateLaunchTemplateVersion", message))
    }

    /// Security groups by id, with their rules. One that does not exist is not among them.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>, Fault> {
        let mut found = Vec::new();
        for some in ids.chunks(NAMES_MAX) {
            let form = Form::new("DescribeSecurityGroups").among("group-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::SecurityGroups = self.ask(&form.clone().maybe("NextToken", token)).await?;
                let next = page.next_token.clone();
                Ok((page.into_groups(), next))
            });
            found.extend(all.await?);
        }
        Ok(found)
    }

    /// Subnets by id. One that does not exist is not among them.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, Fault> {
        let mut found = Vec::new();
        for some in ids.chunks(NAMES_MAX) {
            let form = Form::new("DescribeSubnets").among("subnet-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::Subnets = self.ask(&form.clone().maybe("NextToken", token)).await?;
                let next = page.next_token.clone();
                Ok((page.into_subnets(), next))
            });
            found.extend(all.await?);
        }
        Ok(found)
    }
}
