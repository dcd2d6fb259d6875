//! What AWS says, read for one look: every page, as fresh as it matters, nothing interpreted yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{
    DescribeTargetHealthInputIncludeEnum as Include, TargetGroup, TargetHealthDescription,
};

use super::api::Api;
use super::asgs::{Home, given, pages};
use super::codedeploy;
use super::ec2::Instance;
use super::limit::Family;
use super::memory::{Memory, OTHERS_FOR};
use super::reader::{Ahead, Fleets, Groups, Reader, balancers};
use super::route::Route;
use crate::cloud::{Fault, Leeway, Scope, clock};
use crate::model::{FleetId, GroupId, Span, Time};

/// What one look read.
#[derive(Debug)]
pub(super) struct Survey {
    /// When it began.
    pub begun: Time,
    /// The service's Auto Scaling groups.
    pub fleets: BTreeMap<FleetId, AutoScalingGroup>,
    /// Their traffic sources, as `DescribeTrafficSources` lists them.
    pub sources: BTreeMap<FleetId, Result<Vec<TrafficSourceState>, Fault>>,
    /// Their instances, by id, as EC2 sees them.
    pub instances: BTreeMap<String, Instance>,
    /// Every target group of the region, by ARN.
    pub groups: Groups,
    /// The targets of every target group in which one of the fleets could stand, by ARN.
    pub targets: BTreeMap<String, Result<Vec<TargetHealthDescription>, Fault>>,
    /// The routes of every load balancer in front of ours, by the balancer's ARN.
    pub routes: BTreeMap<String, Result<Vec<Route>, Fault>>,
    /// The attributes of those in which one of the fleets drains, and before a rollout of those in which one stands, by
    /// ARN: how long it drains there.
    pub attributes: BTreeMap<String, Result<BTreeMap<String, String>, Fault>>,
    /// Target groups that are ours whatever stands in them.
    pub ours: BTreeSet<String>,
    /// Those in front of which every route was read.
    pub placed: BTreeSet<String>,
    /// Whose an instance, or an address, is: the fleet and the instance.
    owners: BTreeMap<String, (FleetId, String)>,
}

/// What a survey is for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub scope: &'a Scope,
    pub leeway: &'a Leeway,
}

impl Survey {
    /// Reads everything that a look needs, with no leeway.
    ///
    /// # Errors
    /// As [`Survey::read_with`].
    pub async fn read(api: &Api, home: &Home, memory: &Memory, scope: &Scope) -> Result<Self, Fault> {
        Self::read_with(api, home, memory, Wish { scope, leeway: &Leeway::default() }).await
    }

    /// Reads everything that a look needs.
    ///
    /// # Errors
    /// A fault that leaves nothing to look at. What concerns one group or balancer only is kept with it.
    pub async fn read_with(api: &Api, home: &Home, memory: &Memory, wish: Wish<'_>) -> Result<Self, Fault> {
        Box::pin(Self::read_all(api, home, memory, wish)).await
    }

    async fn read_all(api: &Api, home: &Home, memory: &Memory, wish: Wish<'_>) -> Result<Self, Fault> {
        let (begun, last) = (clock::now(), memory.guess());
        let reader = reader(api, home, memory, begun, wish.leeway);
        let (found, ahead) = tokio::join!(found(&reader, home, wish.scope), reader.ahead(last.as_deref()));
        let reader = Reader { ahead, ..reader };
        let (fleets, groups) = found?;
        let ours = ours(home, wish.scope, &fleets, &groups);
        let known = balancers(&ours, &groups);
        let standing = async {
            let mut survey = Self::standing_in(&reader, fleets, groups, &ours).await?;
            survey.attributes = reader.attributes(&survey.timed(wish.scope)).await;
            Ok::<_, Fault>(survey)
        };
        // Most routes are in front of what is ours in any case, so they are read beside who stands where.
        let (survey, routes) = tokio::join!(standing, reader.routes(&known, &ours));
        let mut survey = survey?;
        let ahead = reader.ahead.with_routes(routes, ours);
        let reader = Reader { ahead, ..self::reader(api, home, memory, begun, wish.leeway) };
        let sources = survey.sources.values().flatten().flatten();
        let sources = sources.filter_map(|source| source.identifier.clone());
        let sources: Vec<_> = sources.filter(|arn| survey.groups.contains_key(arn)).collect();
        let placed: BTreeSet<_> =
            survey.ours.iter().cloned().chain(survey.standing()).chain(sources).collect();
        let balancers = balancers(&placed, &survey.groups);
        (survey.routes, survey.placed) = (reader.routes(&balancers, &placed).await, placed);
        Ok(survey)
    }

    /// The target groups of which a look wants to know how long they drain: whoever drives a rollout names its fleets, and
    /// wants to know it once something does.
    fn timed(&self, scope: &Scope) -> BTreeSet<String> {
        let drains = |arn: &String| {
            let targets = self.targets.get(arn).and_then(|targets| targets.as_ref().ok());
            targets.into_iter().flatten().any(is_draining)
        };
        self.standing().into_iter().filter(|arn| scope.fleets.is_empty() || drains(arn)).collect()
    }

    /// Reads the attributes of the target groups of ours in which nobody stands, too.
    pub async fn read_every_attribute(&mut self, api: &Api, home: &Home, memory: &Memory) {
        let absent = self.ours.iter().filter(|arn| !self.attributes.contains_key(*arn)).cloned().collect();
        let leeway = Leeway::default();
        let reader = reader(api, home, memory, self.begun, &leeway);
        self.attributes.extend(reader.attributes(&absent).await);
    }

    /// Who stands where, without the routes and attributes, which say nothing of that, and without any memory.
    ///
    /// # Errors
    /// As [`Survey::read`].
    pub async fn read_standing(api: &Api, home: &Home, scope: &Scope) -> Result<Self, Fault> {
        let (memory, leeway) = (Memory::default(), Leeway::default());
        let reader = reader(api, home, &memory, clock::now(), &leeway);
        let reader = Reader { others_for: Span::ZERO, ..reader };
        let (fleets, groups) = found(&reader, home, scope).await?;
        let ours = ours(home, scope, &fleets, &groups);
        Self::standing_in(&reader, fleets, groups, &ours).await
    }

    async fn standing_in(
        reader: &Reader<'_>,
        fleets: Fleets,
        groups: Groups,
        ours: &BTreeSet<String>,
    ) -> Result<Self, Fault> {
        let (instances, sources, targets) = tokio::join!(
            reader.instances(&fleets),
            reader.sources(&fleets),
            reader.targets(&fleets, &groups, ours)
        );
        let instances = instances?;
        Ok(Self {
            owners: owners(&fleets, &instances),
            begun: reader.now,
            fleets,
            sources,
            instances,
            groups,
            targets,
            routes: BTreeMap::new(),
            attributes: BTreeMap::new(),
            ours: ours.clone(),
            placed: BTreeSet::new(),
        })
    }

    /// The fleet that a target belongs to, by its instance or its address, and the instance.
    pub fn owner(&self, target: &TargetHealthDescription) -> Option<(&FleetId, &str)> {
        let (fleet, instance) = self.owners.get(target.target()?.id()?)?;
        Some((fleet, instance))
    }

    /// Whether another fleet of the service is healthy among these targets. What was proved is that one of ours is well
    /// there: a stranger may be somebody else's.
    pub fn is_lit_without(&self, fleet: &FleetId, targets: &[TargetHealthDescription]) -> bool {
        let ours =
            targets.iter().filter(|target| self.owner(target).is_some_and(|(owner, _)| owner != fleet));
        let mut states = ours.filter_map(|target| target.target_health()?.state());
        states.any(|state| state.as_str() == "healthy")
    }

    /// Every target group in which one of the fleets has a target, whoever put it there.
    pub fn standing(&self) -> BTreeSet<String> {
        let known = self.targets.iter().filter_map(|(arn, targets)| Some((arn, targets.as_ref().ok()?)));
        known
            .filter(|(_, all)| all.iter().any(|t| self.owner(t).is_some()))
            .map(|(arn, _)| arn.clone())
            .collect()
    }

    /// Instances that Auto Scaling says are in service and EC2 does not know: their addresses are unknown, and so is where
    /// they stand by them.
    pub fn unknown_instances(&self) -> impl Iterator<Item = &str> {
        self.fleets.values().flat_map(serving).filter(|id| !self.instances.contains_key(*id))
    }

    /// The routes that name a target group; the fault where they could not be read.
    pub fn routes_of(&self, group: &TargetGroup) -> Result<Vec<&Route>, &Fault> {
        let arn = group.target_group_arn().unwrap_or_default();
        let mut found = Vec::new();
        for balancer in group.load_balancer_arns() {
            match self.routes.get(balancer) {
                Some(Ok(routes)) => found.extend(routes.iter().filter(|route| route.names(arn))),
                Some(Err(fault)) => return Err(fault),
                None => {}
            }
        }
        Ok(found)
    }
}

fn reader<'a>(api: &'a Api, home: &Home, memory: &'a Memory, now: Time, leeway: &'a Leeway) -> Reader<'a> {
    let (pace, ahead) = (home.spec.pace, Ahead::default());
    Reader { api, memory, now, pace, leeway, others_for: OTHERS_FOR, ahead }
}

/// The fleets and target groups that there are.
async fn found(reader: &Reader<'_>, home: &Home, scope: &Scope) -> Result<(Fleets, Groups), Fault> {
    let api = reader.api;
    let mut also: BTreeSet<_> = scope.fleets.clone();
    also.extend(codedeploy::current_group(api, home).await?.and_then(|name| FleetId::new(name).ok()));
    let (fleets, (groups, afresh)) = tokio::try_join!(reader.fleets(home, &also), reader.groups())?;
    // A fleet that is attached to a group which was not there a moment ago.
    let known = fleets.values().flat_map(listed).all(|arn| groups.contains_key(&arn));
    let groups = if afresh || known { groups } else { reader.groups_now().await? };
    Ok((fleets, groups))
}

fn owners(fleets: &Fleets, instances: &BTreeMap<String, Instance>) -> BTreeMap<String, (FleetId, String)> {
    let mut owners = BTreeMap::new();
    for (fleet, group) in fleets {
        for id in group.instances().iter().filter_map(|member| member.instance_id()) {
            let addresses =
                instances.get(id).into_iter().flat_map(|instance| instance.addresses.iter().cloned());
            owners
                .extend(addresses.chain([id.to_owned()]).map(|name| (name, (fleet.clone(), id.to_owned()))));
        }
    }
    owners
}

/// Target groups that are ours whatever stands in them: declared, asked for, or listed by a fleet.
fn ours(home: &Home, scope: &Scope, fleets: &Fleets, groups: &Groups) -> BTreeSet<String> {
    let declared = home.spec.groups.values().flat_map(|group| group.names().iter().map(String::as_str));
    let asked = scope.groups.iter().filter(|id| !home.spec.groups.contains_key(*id)).map(GroupId::as_str);
    let names: BTreeSet<&str> = declared.chain(asked).collect();
    // One whose name the file gives to another is called by its ARN.
    let by_name = groups.iter().filter(|(arn, group)| {
        names.contains(arn.as_str()) || group.target_group_name().is_some_and(|name| names.contains(name))
    });
    let listed = fleets.values().flat_map(listed);
    by_name.map(|(arn, _)| arn.clone()).chain(listed.filter(|arn| groups.contains_key(arn))).collect()
}

/// The instances of a fleet that serve: one that is not in its target groups yet is missing there.
pub(super) fn serving(group: &AutoScalingGroup) -> impl Iterator<Item = &str> {
    let serving = group
        .instances()
        .iter()
        .filter(|member| member.lifecycle_state().is_some_and(|state| state.as_str() == "InService"));
    serving.filter_map(|member| member.instance_id())
}

/// Whether a target has been deregistered and still has connections.
pub(super) fn is_draining(target: &TargetHealthDescription) -> bool {
    let state = target.target_health().and_then(|health| health.state());
    state.is_some_and(|state| state.as_str().ends_with("draining"))
}

/// What an Auto Scaling group itself says it is attached to, by either of the two ways to attach.
pub(super) fn listed(group: &AutoScalingGroup) -> impl Iterator<Item = String> + '_ {
    let sources = group.traffic_sources().iter().filter_map(|source| source.identifier.clone());
    group.target_group_arns().iter().cloned().chain(sources)
}

/// A traffic source that is on its way out stays listed while its targets drain (Auto Scaling API reference,
/// TrafficSourceState): nobody new joins it, and it cannot be detached once more.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "a filter hands a reference to a reference")]
pub(super) fn is_held(source: &&TrafficSourceState) -> bool {
    !matches!(source.state(), Some("Removing" | "Removed"))
}

/// Every target group of the region, by ARN.
///
/// # Errors
/// The call's fault.
pub(super) async fn target_groups(api: &Api) -> Result<Groups, Fault> {
    let all = pages(|marker| async move {
        let call = api.elb.describe_target_groups().page_size(400).set_marker(marker);
        let page = api.send(Family::ElbRead, "DescribeTargetGroups", call.send()).await?;
        Ok((given("DescribeTargetGroups", page.target_groups)?, page.next_marker))
    });
    let groups = all.await?.into_iter().filter_map(|group| Some((group.target_group_arn.clone()?, group)));
    Ok(Arc::new(groups.collect()))
}

/// The targets of one target group: one call, which has no pages.
///
/// # Errors
/// The call's fault.
pub(super) async fn targets(api: &Api, arn: &str) -> Result<Vec<TargetHealthDescription>, Fault> {
    let call = api.elb.describe_target_health().target_group_arn(arn).include(Include::All);
    let answer = api.send(Family::ElbRead, "DescribeTargetHealth", call.send()).await?;
    given("DescribeTargetHealth", answer.target_health_descriptions)
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{Instance as Member, LifecycleState};
    use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetHealth, TargetHealthStateEnum};

    use super::*;
    use crate::cloud::FaultKind;

    fn survey(state: LifecycleState) -> Survey {
        let member = Member::builder().instance_id("i-1").lifecycle_state(state).build();
        let group = AutoScalingGroup::builder().auto_scaling_group_name("api").instances(member).build();
        Survey {
            begun: Time(0),
            fleets: [(FleetId::new("api").unwrap(), group)].into(),
            sources: BTreeMap::new(),
            instances: BTreeMap::new(),
            groups: Arc::default(),
            targets: BTreeMap::new(),
            routes: BTreeMap::new(),
            attributes: BTreeMap::new(),
            ours: BTreeSet::new(),
            placed: BTreeSet::new(),
            owners: BTreeMap::new(),
        }
    }

    #[test]
    fn an_instance_in_service_that_ec2_does_not_know_is_unknown_and_one_that_has_ended_is_not() {
        let known = |state| survey(state).unknown_instances().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(known(LifecycleState::InService), ["i-1"]);
        assert!(known(LifecycleState::Terminating).is_empty());
    }

    #[test]
    fn a_stranger_that_is_well_does_not_stand_in_for_a_green_that_fell_ill_behind_the_proof() {
        let (blue, green) = (FleetId::new("api").unwrap(), FleetId::new("api-v2").unwrap());
        let owners = [("i-1", &blue), ("i-2", &green)];
        let owners = owners.map(|(id, fleet)| (id.to_owned(), (fleet.clone(), id.to_owned()))).into();
        let survey = Survey { owners, ..survey(LifecycleState::InService) };
        let target = |id: &str, state: TargetHealthStateEnum| {
            let health = TargetHealth::builder().state(state).build();
            let target = TargetDescription::builder().id(id).build();
            TargetHealthDescription::builder().target(target).target_health(health).build()
        };
        let (well, ill) = (TargetHealthStateEnum::Healthy, TargetHealthStateEnum::Unhealthy);
        let lit = |targets: &[TargetHealthDescription]| survey.is_lit_without(&blue, targets);
        assert!(lit(&[target("i-2", well.clone())]));
        assert!(!lit(&[target("i-2", ill.clone()), target("i-9", well.clone())]), "nobody knows whose it is");
        assert!(!lit(&[target("i-1", well)]), "that is who goes");
        assert!(!lit(&[target("i-2", ill)]) && !lit(&[]));
    }

    #[test]
    fn a_list_that_is_missing_in_an_answer_is_no_empty_list() {
        assert_eq!(given::<u8>("DescribeTargetGroups", Some(Vec::new())).unwrap(), Vec::<u8>::new());
        assert_eq!(given::<u8>("DescribeTargetGroups", None).unwrap_err().kind, FaultKind::Unexpected);
    }
}
