//! What a running service consists of.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_codedeploy::types::{DeploymentGroupInfo, DeploymentType, LoadBalancerInfo};
use aws_sdk_elasticloadbalancingv2::types::TargetGroup;

use super::super::api::Api;
use super::super::asgs::{Home, by_name};
use super::super::doctor::template;
use super::super::limit::Family;
use super::super::memory::Memory;
use super::super::survey::{Survey, listed};
use crate::cloud::{Fault, FaultKind, Scope};
use crate::model::{EnvironmentName, ServiceName, Span};
use crate::spec::{AwsFleets, AwsRevision, AwsSpec};

/// How long one call may take: what a deployment file says where it says nothing.
const CALL_TIMEOUT: Span = Span::secs(10);

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// An Auto Scaling group.
    Group(String),
    /// A CodeDeploy deployment group.
    DeploymentGroup {
        /// Its application.
        application: String,
        /// Its name.
        name: String,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub(super) account: String,
    pub(super) region: String,
    /// The Auto Scaling group that is blue now.
    pub(super) fleet: String,
    pub(super) revision: Revision,
    pub(super) codedeploy: Option<Deploys>,
    pub(super) groups: Vec<Group>,
    /// What somebody should know or decide.
    pub(super) remarks: Vec<String>,
}

/// What it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revision {
    pub name: String,
    pub note: String,
}

/// How CodeDeploy installs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deploys {
    pub application: String,
    pub group: String,
    pub bundle: String,
    /// Whether CodeDeploy makes the fleets too.
    pub managed: bool,
}

/// A target group, or two that share a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub name: String,
    pub twin: Option<String>,
    /// Why it is in the file.
    pub because: Vec<String>,
    pub routes: BTreeSet<String>,
}

/// Looks for everything that belongs to a service.
///
/// # Errors
/// A call's fault, or a service that cannot be described in a file.
pub async fn find(
    service: &ServiceName,
    environment: &EnvironmentName,
    from: &From,
    region: Option<String>,
) -> Result<Found, Fault> {
    let (api, account, region) = Api::anywhere(region, CALL_TIMEOUT).await?;
    let deployment_group = match from {
        From::Group(_) => None,
        From::DeploymentGroup { application, name } => Some(deployment_group(&api, application, name).await?),
    };
    let fleet = match (from, &deployment_group) {
        (From::Group(name), _) => name.clone(),
        (_, Some(info)) => only_fleet(info)?,
        (From::DeploymentGroup { .. }, None) => String::new(),
    };
    let group = by_name(&api, &[fleet.clone()].into()).await?.into_iter().next();
    let group =
        group.ok_or_else(|| missing(format!("there is no Auto Scaling group `{fleet}` in {region}")))?;
    let spec = AwsSpec {
        reads_per_second: 10,
        account: account.clone(),
        region: region.clone(),
        fleets: AwsFleets::Copy { from: fleet.clone() },
        revision: AwsRevision::LaunchTemplate,
        call_timeout: CALL_TIMEOUT,
        pace: Span::secs(1),
        groups: BTreeMap::new(),
    };
    let home = Home { service: service.clone(), environment: environment.clone(), spec };
    let scope = Scope { service: service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
    let survey = Box::pin(Survey::read(&api, &home, &Memory::default(), &scope)).await?;
    let seen = Seen { survey: &survey, fleet: &group, deploys: deployment_group.as_ref() };
    let groups = seen.groups()?;
    let (revision, codedeploy) = match &deployment_group {
        Some(info) => installed(info)?,
        None => (launched(&api, &group).await?, None),
    };
    Ok(Found { account, region, fleet, revision, codedeploy, groups, remarks: seen.remarks() })
}

fn missing(message: String) -> Fault {
    Fault::new(FaultKind::Missing, "Init", message)
}

async fn deployment_group(api: &Api, application: &str, name: &str) -> Result<DeploymentGroupInfo, Fault> {
    let call =
        api.codedeploy.get_deployment_group().application_name(application).deployment_group_name(name);
    let answer = api.send(Family::CodeDeploy, "GetDeploymentGroup", call.send()).await?;
    answer.deployment_group_info.ok_or_else(|| missing(format!("`{application}/{name}` has no settings")))
}

fn only_fleet(info: &DeploymentGroupInfo) -> Result<String, Fault> {
    let names: Vec<_> = info.auto_scaling_groups().iter().filter_map(|group| group.name()).collect();
    match names.as_slice() {
        [name] => Ok((*name).to_owned()),
        [] => {
            Err(missing("the deployment group has no Auto Scaling group, and a service needs one".to_owned()))
        }
        several => {
            let message = format!(
                "the deployment group has several Auto Scaling groups ({}): begin with one of them, by --from-asg",
                several.join(", ")
            );
            Err(Fault::new(FaultKind::Invalid, "Init", message))
        }
    }
}

/// What the group launches: the number of a version, also where the group names it by a word.
async fn launched(api: &Api, group: &AutoScalingGroup) -> Result<Revision, Fault> {
    let Some((id, version)) = template(group) else {
        let message = "the group launches from a launch configuration, which has no versions: move it to a launch template";
        return Err(Fault::new(FaultKind::Invalid, "Init", message));
    };
    if version.parse::<u64>().is_ok() {
        return Ok(Revision {
            name: version.to_owned(),
            note: format!("the version of the launch template {id} that it launches"),
        });
    }
    let answer = api.ec2.launch_template_version(id, version);
    let now = api.send_ec2("DescribeLaunchTemplateVersions", answer).await?.number;
    let note = format!("the group launches {version} of {id}, which is {now} now: pin the group to a number");
    Ok(Revision { name: now.to_string(), note })
}

/// What CodeDeploy installed last, and where it came from.
fn installed(info: &DeploymentGroupInfo) -> Result<(Revision, Option<Deploys>), Fault> {
    let (application, group) =
        (info.application_name().unwrap_or_default(), info.deployment_group_name().unwrap_or_default());
    let location = info.target_revision();
    let object = location.and_then(|location| location.s3_location());
    let commit = location.and_then(|location| location.git_hub_location());
    let (name, bundle) = if let Some((bucket, key)) =
        object.and_then(|object| Some((object.bucket()?, object.key()?)))
    {
        let (folder, file) = key.rsplit_once('/').map_or(("", key), |(folder, file)| (folder, file));
        let (stem, ending) =
            file.split_once('.').map_or((file, String::new()), |(stem, ending)| (stem, format!(".{ending}")));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        (stem.to_owned(), format!("s3://{bucket}/{folder}{{revision}}{ending}"))
    } else if let Some((repository, id)) =
        commit.and_then(|commit| Some((commit.repository()?, commit.commit_id()?)))
    {
        (id.to_owned(), format!("github:{repository}"))
    } else {
        let message = format!(
            "`{application}/{group}` has not installed anything from a bucket or from GitHub yet: deploy once, or begin with --from-asg"
        );
        return Err(Fault::new(FaultKind::Invalid, "Init", message));
    };
    let managed =
        info.deployment_style().and_then(|style| style.deployment_type()) == Some(&DeploymentType::BlueGreen);
    let deploys = Deploys { application: application.to_owned(), group: group.to_owned(), bundle, managed };
    Ok((Revision { name, note: "what CodeDeploy installed last".to_owned() }, Some(deploys)))
}

/// What was read, with the words to read it in.
struct Seen<'a> {
    survey: &'a Survey,
    fleet: &'a AutoScalingGroup,
    deploys: Option<&'a DeploymentGroupInfo>,
}

impl Seen<'_> {
    /// Every target group: by the group's own lists, by who is registered, and by CodeDeploy's list.
    fn groups(&self) -> Result<Vec<Group>, Fault> {
        let attached: BTreeSet<_> = listed(self.fleet).chain(self.sources()?).collect();
        let standing = self.survey.standing();
        for (arn, answer) in &self.survey.targets {
            answer
                .as_ref()
                .map_err(|fault| Fault { message: format!("{arn}: {}", fault.message), ..fault.clone() })?;
        }
        let by_codedeploy = self.listed_by_codedeploy();
        let mut found: BTreeMap<&str, Group> = BTreeMap::new();
        for (arn, group) in self.survey.groups.iter() {
            let Some(name) = group.target_group_name() else { continue };
            let reasons = [
                (attached.contains(arn), "the Auto Scaling group is attached to it"),
                (standing.contains(arn), "instances are registered in it"),
                (by_codedeploy.contains(name), "CodeDeploy lists it"),
            ];
            let because: Vec<_> =
                reasons.iter().filter(|(is, _)| *is).map(|(_, why)| (*why).to_owned()).collect();
            if !because.is_empty() {
                let routes = self.routes(group)?;
                found.insert(arn, Group { name: name.to_owned(), twin: self.twin(arn), because, routes });
            }
        }
        if found.is_empty() {
            let message = "the service stands in no target group, so there is nothing to switch";
            return Err(missing(message.to_owned()));
        }
        Ok(paired(found.into_values().collect()))
    }

    fn sources(&self) -> Result<Vec<String>, Fault> {
        let answers = self.survey.sources.values();
        let known: Result<Vec<_>, _> = answers.map(|answer| answer.as_ref().map_err(Clone::clone)).collect();
        Ok(known?.into_iter().flatten().filter_map(|source| source.identifier.clone()).collect())
    }

    fn listed_by_codedeploy(&self) -> BTreeSet<&str> {
        let info = self.deploys.and_then(|deploys| deploys.load_balancer_info());
        let list = info.map(LoadBalancerInfo::target_group_info_list).unwrap_or_default();
        list.iter().filter_map(|group| group.name()).collect()
    }

    fn routes(&self, group: &TargetGroup) -> Result<BTreeSet<String>, Fault> {
        let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
        Ok(routes.into_iter().map(|route| route.name.clone()).collect())
    }

    /// The only other target group in the same forward actions. CodeDeploy moves no weights between two.
    fn twin(&self, arn: &str) -> Option<String> {
        if self.deploys.is_some() {
            return None;
        }
        let routes = self.survey.routes.values().filter_map(|answer| answer.as_ref().ok()).flatten();
        let beside: BTreeSet<_> = routes
            .filter(|route| route.names(arn))
            .flat_map(|route| {
                route.weights().into_iter().map(|(other, _)| other.to_owned()).collect::<Vec<_>>()
            })
            .filter(|other| other != arn)
            .collect();
        let mut beside = beside.into_iter();
        let only = beside.next().filter(|_| beside.len() == 0)?;
        self.survey.groups.get(&only)?.target_group_name().map(str::to_owned)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for balancer in self.fleet.load_balancer_names() {
            remarks.push(format!("it also stands behind the Classic Load Balancer {balancer}, which the gate cannot see through: a rollout is refused until that is moved"));
        }
        for source in
            self.fleet.traffic_sources().iter().filter(|source| source.r#type() == Some("vpc-lattice"))
        {
            remarks.push(format!("it is also a traffic source of VPC Lattice ({}), which the gate cannot see through: a rollout is refused until that is moved", source.identifier().unwrap_or("?")));
        }
        remarks
    }
}

/// Twins that were both found are one group.
fn paired(groups: Vec<Group>) -> Vec<Group> {
    let mut whole: Vec<Group> = Vec::new();
    for group in groups {
        let twin = whole.iter_mut().find(|known| known.twin.as_deref() == Some(&group.name));
        match twin {
            Some(known) => {
                known.routes.extend(group.routes);
                let news =
                    group.because.into_iter().filter(|why| !known.because.contains(why)).collect::<Vec<_>>();
                known.because.extend(news);
            }
            None => whole.push(group),
        }
    }
    whole
}
