//! Everything that the checks go by, read once.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification, LifecycleHook};
use aws_sdk_codedeploy::types::DeploymentGroupInfo;
use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, TargetGroup};

use super::super::api::Api;
use super::super::asgs::{Home, by_name};
use super::super::belongings::hooks;
use super::super::ec2::{Subnet, TemplateVersion};
use super::super::limit::Family;
use super::super::memory::Memory;
use super::super::survey::Survey;
use crate::cloud::firewall::SecurityGroup;
use crate::cloud::notes::Notes;
use crate::cloud::{FaultKind, Finding, Scope};
use crate::model::Span;
use crate::spec::{AwsFleets, AwsRevision, Spec};

/// How many load balancers one call may name (ELBv2 model: 20).
const BALANCERS_MAX: usize = 20;

/// The limits of the account.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By name, as ELBv2 calls them.
    pub elb: BTreeMap<String, u64>,
    /// How many Auto Scaling groups there are and may be.
    pub fleets: Option<(i32, i32)>,
    /// How long a search of every target group takes at least.
    pub search: Span,
}

/// Everything that the checks go by.
pub(super) struct Facts<'a> {
    pub home: &'a Home,
    pub spec: &'a Spec,
    /// Whether a rollout of the service is open.
    pub open: bool,
    pub survey: Survey,
    /// Every Auto Scaling group of the service, the resting one of a pair too, by name.
    pub groups: BTreeMap<String, AutoScalingGroup>,
    /// The launch template version that each of them launches from, by the group's name.
    pub versions: BTreeMap<String, TemplateVersion>,
    /// What green will launch from.
    pub green: Option<TemplateVersion>,
    pub balancers: BTreeMap<String, LoadBalancer>,
    pub security_groups: BTreeMap<String, SecurityGroup>,
    pub subnets: BTreeMap<String, Subnet>,
    /// By the name of the Auto Scaling group.
    pub hooks: BTreeMap<String, Vec<LifecycleHook>>,
    pub deployment_groups: Vec<DeploymentGroupInfo>,
    pub limits: Limits,
}

/// Reads, and notes what could not be read.
pub(super) struct Reading<'a> {
    pub api: &'a Api,
    pub notes: Notes,
}

impl<'a> Facts<'a> {
    /// Reads everything; `None` where the service itself cannot be seen.
    pub async fn read(reading: &mut Reading<'_>, home: &'a Home, spec: &'a Spec, open: bool) -> Option<Self> {
        let api = reading.api;
        let scope = Scope { service: home.service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
        let survey = Box::pin(Survey::read(api, home, &Memory::default(), &scope)).await;
        let mut survey = reading.notes.heard(survey)?;
        survey.read_every_attribute(api, home, &Memory::default()).await;
        let named = reading.notes.heard(by_name(api, &home.named()).await).unwrap_or_default();
        let mut facts = Self {
            home,
            spec,
            open,
            groups: by_names(survey.fleets.values().cloned().chain(named)),
            survey,
            versions: BTreeMap::new(),
            green: None,
            balancers: BTreeMap::new(),
            security_groups: BTreeMap::new(),
            subnets: BTreeMap::new(),
            hooks: BTreeMap::new(),
            deployment_groups: Vec::new(),
            limits: Limits::default(),
        };
        facts.limits.search = api.sweep(facts.survey.groups.len());
        facts.note_gaps(reading);
        facts.read_templates(reading).await;
        facts.read_network(reading).await;
        facts.read_hooks(reading).await;
        facts.read_deployment_groups(reading).await;
        facts.read_limits(reading).await;
        Some(facts)
    }

    /// What the survey could not read of single things.
    fn note_gaps(&self, reading: &mut Reading<'_>) {
        let survey = &self.survey;
        let sources = survey.sources.values().filter_map(|answer| answer.as_ref().err());
        let targets = survey.targets.values().filter_map(|answer| answer.as_ref().err());
        let routes = survey.routes.values().filter_map(|answer| answer.as_ref().err());
        let attributes = survey.attributes.values().filter_map(|answer| answer.as_ref().err());
        for fault in sources.chain(targets).chain(routes).chain(attributes) {
            reading.notes.note(fault);
        }
    }

    async fn read_templates(&mut self, reading: &mut Reading<'_>) {
        let api = reading.api;
        for (name, group) in &self.groups {
            let Some((id, version)) = template(group) else { continue };
            let answer =
                api.send_ec2("DescribeLaunchTemplateVersions", api.ec2.launch_template_version(id, version));
            if let Some(version) = reading.notes.heard(answer.await) {
                self.versions.insert(name.clone(), version);
            }
        }
        let Some(model) = self.model() else { return };
        let name = model.auto_scaling_group_name().unwrap_or_default();
        let numbered = matches!(self.home.spec.revision, AwsRevision::LaunchTemplate);
        self.green = match template(model) {
            Some((id, _)) if numbered => {
                let revision = self.spec.revision.as_str();
                let answer = api.ec2.launch_template_version(id, revision);
                match api.send_ec2("DescribeLaunchTemplateVersions", answer).await {
                    Ok(version) => Some(version),
                    Err(fault) if matches!(fault.kind, FaultKind::Missing | FaultKind::Invalid) => {
                        reading.notes.findings.push(
                            Finding::fail("revision", format!("`{revision}` is no version of the launch template `{id}` of `{name}`"))
                                .mend("write the number of a version that exists into `revision`, or give one with --revision"),
                        );
                        None
                    }
                    Err(fault) => {
                        reading.notes.note(&fault);
                        None
                    }
                }
            }
            _ => self.versions.get(name).cloned(),
        };
    }

    /// The Auto Scaling group that green is made from, or is: the resting one of a pair, otherwise blue's.
    pub fn model(&self) -> Option<&AutoScalingGroup> {
        let serving = self.serving();
        let stands =
            |group: &&AutoScalingGroup| serving.contains(group.auto_scaling_group_name().unwrap_or_default());
        match &self.home.spec.fleets {
            AwsFleets::Pair(pair) => {
                let mut halves = pair.iter().filter_map(|name| self.groups.get(name));
                halves.find(|half| !stands(half))
            }
            AwsFleets::Copy { from } => self.groups.values().find(stands).or_else(|| self.groups.get(from)),
            AwsFleets::Managed => self.groups.values().find(stands),
        }
    }

    /// The names of the Auto Scaling groups whose instances are registered somewhere.
    pub fn serving(&self) -> BTreeSet<String> {
        let answered = self.survey.targets.values().filter_map(|answer| answer.as_ref().ok()).flatten();
        let fleets: BTreeSet<_> = answered.filter_map(|target| Some(self.survey.owner(target)?.0)).collect();
        let groups = fleets.into_iter().filter_map(|fleet| self.survey.fleets.get(fleet));
        groups.filter_map(|group| group.auto_scaling_group_name.clone()).collect()
    }

    /// The target groups that matter: declared, or with one of our instances in it.
    pub fn target_groups(&self) -> Vec<&TargetGroup> {
        let standing = self.survey.standing();
        let all = self.survey.groups.iter();
        let ours = all.filter(|(arn, group)| {
            standing.contains(*arn) || group.target_group_name().is_some_and(|name| self.declares(name))
        });
        ours.map(|(_, group)| group).collect()
    }

    /// Whether the file names a target group.
    pub fn declares(&self, name: &str) -> bool {
        self.home.spec.groups.values().any(|group| group.names().iter().any(|own| own == name))
    }

    async fn read_network(&mut self, reading: &mut Reading<'_>) {
        let api = reading.api;
        let arns: BTreeSet<_> =
            self.target_groups().iter().flat_map(|group| group.load_balancer_arns()).cloned().collect();
        for some in arns.into_iter().collect::<Vec<_>>().chunks(BALANCERS_MAX) {
            let call = api.elb.describe_load_balancers().set_load_balancer_arns(Some(some.to_vec()));
            let answer = api.send(Family::ElbRead, "DescribeLoadBalancers", call.send()).await;
            let found = reading.notes.heard(answer).and_then(|page| page.load_balancers).unwrap_or_default();
            let named = found.into_iter().filter_map(|one| Some((one.load_balancer_arn.clone()?, one)));
            self.balancers.extend(named);
        }
        let of_instances = self.survey.instances.values().flat_map(|instance| &instance.security_groups);
        let of_green = self.green.iter().flat_map(|green| &green.security_groups);
        let of_balancers = self.balancers.values().flat_map(LoadBalancer::security_groups);
        let groups: BTreeSet<_> = of_instances.chain(of_green).chain(of_balancers).cloned().collect();
        let zones = self.balancers.values().flat_map(LoadBalancer::availability_zones);
        let subnets: BTreeSet<_> = zones.filter_map(|zone| zone.subnet_id.clone()).collect();
        let (groups, subnets): (Vec<_>, Vec<_>) =
            (groups.into_iter().collect(), subnets.into_iter().collect());
        if !groups.is_empty() {
            let answer = api.send_ec2("DescribeSecurityGroups", api.ec2.security_groups(&groups)).await;
            let found = reading.notes.heard(answer).unwrap_or_default().into_iter();
            self.security_groups = found.map(|group| (group.id.clone(), group)).collect();
        }
        if !subnets.is_empty() {
            let answer = api.send_ec2("DescribeSubnets", api.ec2.subnets(&subnets)).await;
            let found = reading.notes.heard(answer).unwrap_or_default().into_iter();
            self.subnets = found.map(|subnet| (subnet.id.clone(), subnet)).collect();
        }
    }

    async fn read_hooks(&mut self, reading: &mut Reading<'_>) {
        let api = reading.api;
        for name in self.groups.keys() {
            let hooks = reading.notes.heard(hooks(api, name).await).unwrap_or_default();
            self.hooks.insert(name.clone(), hooks);
        }
    }

    async fn read_deployment_groups(&mut self, reading: &mut Reading<'_>) {
        let AwsRevision::Bundle(declared) = &self.home.spec.revision else { return };
        let api = reading.api;
        for name in &declared.deployment_groups {
            let call = api.codedeploy.get_deployment_group();
            let call = call.application_name(&declared.application).deployment_group_name(name);
            let answer = api.send(Family::CodeDeploy, "GetDeploymentGroup", call.send()).await;
            self.deployment_groups
                .extend(reading.notes.heard(answer).and_then(|answer| answer.deployment_group_info));
        }
    }

    async fn read_limits(&mut self, reading: &mut Reading<'_>) {
        let api = reading.api;
        let call = api.elb.describe_account_limits().page_size(400);
        let answer = api.send(Family::ElbRead, "DescribeAccountLimits", call.send()).await;
        let limits =
            reading.notes.heard(answer).and_then(|answer| answer.limits).unwrap_or_default().into_iter();
        self.limits.elb = limits.filter_map(|limit| Some((limit.name?, limit.max?.parse().ok()?))).collect();
        let call = api.autoscaling.describe_account_limits();
        let answer = api.send(Family::AutoScaling, "DescribeAccountLimits", call.send()).await;
        self.limits.fleets = reading.notes.heard(answer).and_then(|answer| {
            Some((answer.number_of_auto_scaling_groups?, answer.max_number_of_auto_scaling_groups?))
        });
    }
}

fn by_names(groups: impl Iterator<Item = AutoScalingGroup>) -> BTreeMap<String, AutoScalingGroup> {
    groups.filter_map(|group| Some((group.auto_scaling_group_name.clone()?, group))).collect()
}

/// The launch template of a group and the version as the group names it: a number, `$Latest` or `$Default`.
pub(in crate::cloud::aws) fn template(group: &AutoScalingGroup) -> Option<(&str, &str)> {
    let inner = || group.mixed_instances_policy()?.launch_template()?.launch_template_specification();
    let specification: &LaunchTemplateSpecification = group.launch_template().or_else(inner)?;
    // A group that names no version launches the default one (Auto Scaling API reference).
    Some((specification.launch_template_id()?, specification.version().unwrap_or("$Default")))
}
