//! The calls, each to the last page.

use super::super::asgs::pages;
use super::super::query::{Form, Query, Service};
use super::things::{Instance, Subnet, TemplateVersion};
use super::wire;
use crate::cloud::firewall::SecurityGroup;
use crate::cloud::{Fault, FaultKind};

/// How many values one filter gets: the API takes 200 (EC2 API reference, `Filter`).
const NAMES_MAX: usize = 100;
/// How many things a page may have, where the API takes a size.
const PAGE: &str = "1000";

/// Its version is botocore's.
pub(in crate::cloud::aws) const EC2: Service = Service {
    host: "ec2",
    signed_as: "ec2",
    version: "2016-11-15",
    variable: "AWS_ENDPOINT_URL_EC2",
    everywhere: false,
};

/// EC2, as far as we need it.
#[derive(Debug, Clone)]
pub(in crate::cloud::aws) struct Ec2(pub Query);

impl Ec2 {
    /// Instances by id, in any order. One that EC2 knows no more is not among them.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn instances(&self, ids: &[String]) -> Result<Vec<Instance>, Fault> {
        let mut found = Vec::new();
        for some in ids.chunks(NAMES_MAX) {
            let form = among("DescribeInstances", "instance-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::Instances = self.0.ask(&form.clone().maybe("NextToken", token)).await?;
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
            let page: wire::Versions = self.0.ask(&form.clone().maybe("NextToken", token)).await?;
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
        let made: wire::Created = self.0.ask(&form).await?;
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
        let made: wire::Created = self.0.ask(&form).await?;
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
            let form = among("DescribeSecurityGroups", "group-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::SecurityGroups = self.0.ask(&form.clone().maybe("NextToken", token)).await?;
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
            let form = among("DescribeSubnets", "subnet-id", some).with("MaxResults", PAGE);
            let all = pages(async |token| {
                let page: wire::Subnets = self.0.ask(&form.clone().maybe("NextToken", token)).await?;
                let next = page.next_token.clone();
                Ok((page.into_subnets(), next))
            });
            found.extend(all.await?);
        }
        Ok(found)
    }
}

/// Only things that have one of these values: those which do not exist are left out of the answer, where naming them as
/// ids fails the whole call.
fn among(action: &'static str, filter: &str, values: &[String]) -> Form {
    let named = Form::new(action).with("Filter.1.Name", filter);
    let values = values.iter().enumerate();
    values.fold(named, |form, (n, value)| form.with(format!("Filter.1.Value.{}", n + 1), value))
}
