//! What AWS says, read for one look: every page, as fresh as it matters, nothing interpreted yet.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{
    DescribeTargetHealthInputIncludeEnum as Include, Listener, Rule, TargetGroup, TargetGroupAttribute,
    TargetHealthDescription,
};
use futures_util::stream::{self, StreamExt as _};

use super::api::Api;
use super::asgs::{Home, given, pages};
use super::codedeploy;
use super::ec2::Instance;
use super::limit::Family;
use super::memory::{Memory, OTHERS_FOR, SETTINGS_FOR};
use super::route::Route;
use crate::cloud::{Fault, FaultKind, Scope, clock};
use crate::model::{FleetId, GroupId, Span, Time};

/// Calls at the same time.
const CALLS_MAX: usize = 16;

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
    pub groups: BTreeMap<String, TargetGroup>,
    /// The targets of every target group in which one of the fleets could stand, by ARN.
    pub targets: BTreeMap<String, Result<Vec<TargetHealthDescription>, Fault>>,
    /// The routes of every load balancer in front of ours, by the balancer's ARN.
    pub routes: BTreeMap<String, Result<Vec<Route>, Fault>>,
    /// The attributes of those in which one of the fleets drains, and before a rollout of those in which one stands, by
    /// ARN: how long it drains there.
    pub attributes: BTreeMap<String, Result<BTreeMap<String, String>, Fault>>,
    /// Whose an instance, or an address, is: the fleet and the instance.
    owners: BTreeMap<String, (FleetId, String)>,
}

impl Survey {
    /// Reads everything that a look needs.
    ///
    /// # Errors
    /// A fault that leaves nothing to look at. What concerns one group or balancer only is kept with it.
    pub async fn read(api: &Api, home: &Home, memory: &Memory, scope: &Scope) -> Result<Self, Fault> {
        Box::pin(Self::read_all(api, home, memory, scope)).await
    }

    async fn read_all(api: &Api, home: &Home, memory: &Memory, scope: &Scope) -> Result<Self, Fault> {
        let (mut survey, ours) = Self::read_standing(api, home, memory, scope).await?;
        let sources = survey.sources.values().flatten().flatten();
        let sources = sources.filter_map(|source| source.identifier.clone());
        let sources: Vec<_> = sources.filter(|arn| survey.groups.contains_key(arn)).collect();
        let standing: BTreeSet<_> = ours.into_iter().chain(survey.standing()).chain(sources).collect();
        let fresh = standing.iter().filter_map(|arn| survey.groups.get(arn));
        let balancers: BTreeSet<_> = fresh.flat_map(TargetGroup::load_balancer_arns).cloned().collect();
        let reader = Reader { api, memory, now: survey.begun, pace: home.spec.pace };
        let drains = |arn: &String| {
            let targets = survey.targets.get(arn).and_then(|targets| targets.as_ref().ok());
            targets.into_iter().flatten().any(is_draining)
        };
        // Whoever drives a rollout names its fleets, and wants to know how long something drains once it does.
        let asked =
            survey.standing().into_iter().filter(|arn| scope.fleets.is_empty() || drains(arn)).collect();
        let (routes, attributes) =
            tokio::join!(reader.routes(&balancers, &standing), reader.attributes(&asked));
        (survey.routes, survey.attributes) = (routes, attributes);
        Ok(survey)
    }

    /// Reads the attributes of the target groups of ours in which nobody stands, too.
    pub async fn read_every_attribute(&mut self, api: &Api, home: &Home, memory: &Memory, scope: &Scope) {
        let mut absent = ours(home, scope, &self.fleets, &self.groups);
        absent.retain(|arn| !self.attributes.contains_key(arn));
        let reader = Reader { api, memory, now: self.begun, pace: home.spec.pace };
        self.attributes.extend(reader.attributes(&absent).await);
    }

    /// Who stands where, without the routes and attributes, which say nothing of that; and the target groups that are
    /// ours whatever stands in them.
    ///
    /// # Errors
    /// As [`Survey::read`].
    pub async fn read_standing(
        api: &Api,
        home: &Home,
        memory: &Memory,
        scope: &Scope,
    ) -> Result<(Self, BTreeSet<String>), Fault> {
        let begun = clock::now();
        let mut also: BTreeSet<_> = scope.fleets.clone();
        also.extend(codedeploy::current_group(api, home).await?.and_then(|name| FleetId::new(name).ok()));
        let (fleets, groups) =
            tokio::try_join!(home.fleets_for_look(api, memory, begun, &also), target_groups(api))?;
        let reader = Reader { api, memory, now: begun, pace: home.spec.pace };
        let ids: Vec<_> = fleets
            .values()
            .flat_map(AutoScalingGroup::instances)
            .filter_map(|i| i.instance_id.clone())
            .collect();
        let ours = ours(home, scope, &fleets, &groups);
        let (instances, sources, targets) = tokio::join!(
            instances(api, &ids),
            reader.sources(&fleets),
            reader.targets(&fleets, &groups, &ours)
        );
        let instances = instances?;
        let survey = Self {
            owners: owners(&fleets, &instances),
            begun,
            fleets,
            sources,
            instances,
            groups,
            targets,
            routes: BTreeMap::new(),
            attributes: BTreeMap::new(),
        };
        Ok((survey, ours))
    }

    /// The fleet that a target belongs to, by its instance or its address, and the instance.
    pub fn owner(&self, target: &TargetHealthDescription) -> Option<(&FleetId, &str)> {
        let (fleet, instance) = self.owners.get(target.target()?.id()?)?;
        Some((fleet, instance))
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

fn owners(
    fleets: &BTreeMap<FleetId, AutoScalingGroup>,
    instances: &BTreeMap<String, Instance>,
) -> BTreeMap<String, (FleetId, String)> {
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
fn ours(
    home: &Home,
    scope: &Scope,
    fleets: &BTreeMap<FleetId, AutoScalingGroup>,
    groups: &BTreeMap<String, TargetGroup>,
) -> BTreeSet<String> {
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
fn serving(group: &AutoScalingGroup) -> impl Iterator<Item = &str> {
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
pub(super) async fn target_groups(api: &Api) -> Result<BTreeMap<String, TargetGroup>, Fault> {
    let all = pages(|marker| async move {
        let call = api.elb.describe_target_groups().page_size(400).set_marker(marker);
        let page = api.send(Family::ElbRead, "DescribeTargetGroups", call.send()).await?;
        Ok((given("DescribeTargetGroups", page.target_groups)?, page.next_marker))
    });
    Ok(all.await?.into_iter().filter_map(|group| Some((group.target_group_arn.clone()?, group))).collect())
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

async fn instances(api: &Api, ids: &[String]) -> Result<BTreeMap<String, Instance>, Fault> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = api.send_ec2("DescribeInstances", api.ec2.instances(ids)).await?;
    Ok(found.into_iter().map(|instance| (instance.id.clone(), instance)).collect())
}

/// Reads at most [`CALLS_MAX`] at a time.
async fn each<K: Ord + Clone, T, R: Future<Output = T>>(
    keys: impl IntoIterator<Item = K>,
    read: impl Fn(K) -> R,
) -> BTreeMap<K, T> {
    let one = |key: K| {
        let reading = read(key.clone());
        async move { (key, reading.await) }
    };
    stream::iter(keys.into_iter().map(one).collect::<Vec<_>>()).buffer_unordered(CALLS_MAX).collect().await
}

/// Reads for one look, and leaves out what need not be read again.
pub(super) struct Reader<'a> {
    pub api: &'a Api,
    pub memory: &'a Memory,
    pub now: Time,
    pub pace: Span,
}

impl Reader<'_> {
    /// Every target group in which an instance of ours could stand. Ours afresh unless they are settled, all others at
    /// least now and then.
    async fn targets(
        &self,
        fleets: &BTreeMap<FleetId, AutoScalingGroup>,
        groups: &BTreeMap<String, TargetGroup>,
        ours: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<Vec<TargetHealthDescription>, Fault>> {
        let vpcs: BTreeSet<_> = ours.iter().filter_map(|arn| groups.get(arn)?.vpc_id()).collect();
        let possible = groups.iter().filter(|(arn, group)| ours.contains(*arn) || could_hold(group, &vpcs));
        let mut read = each(possible.map(|(arn, _)| arn.clone()), |arn| async move {
            let members = fleets.values().filter(|fleet| listed(fleet).any(|own| own == arn));
            let members: BTreeSet<&str> = members.flat_map(serving).collect();
            let kept = self.memory.kept(&arn).filter(|kept| match groups.get(&arn) {
                Some(group) if ours.contains(&arn) => kept.is_settled(self.now, self.pace, group, &members),
                _ => self.now.since(kept.read_at) < OTHERS_FOR,
            });
            if let Some(kept) = kept {
                return Ok(kept.targets);
            }
            let read = targets(self.api, &arn).await?;
            self.memory.keep_targets(&arn, self.now, &read);
            Ok(read)
        })
        .await;
        let gone =
            |answer: &Result<_, Fault>| answer.as_ref().is_err_and(|fault| fault.kind == FaultKind::Missing);
        read.retain(|_, answer| !gone(answer)); // Deleted since it was listed.
        read
    }

    async fn sources(
        &self,
        fleets: &BTreeMap<FleetId, AutoScalingGroup>,
    ) -> BTreeMap<FleetId, Result<Vec<TrafficSourceState>, Fault>> {
        each(fleets.keys().cloned(), |fleet| async move {
            let name =
                fleets.get(&fleet).and_then(AutoScalingGroup::auto_scaling_group_name).unwrap_or_default();
            if let Some(known) = self.memory.recall(self.now, OTHERS_FOR, |memory| memory.sources.get(name)) {
                return Ok(known);
            }
            let read = traffic_sources(self.api, name).await?;
            if read.iter().all(|source| is_held(&source)) {
                self.memory.keep(self.now, |memory, now| {
                    memory.sources.insert(name.to_owned(), (now, read.clone()))
                });
            }
            Ok(read)
        })
        .await
    }

    /// Every route of these balancers. Rules that name none of `standing` need not be read every time.
    pub async fn routes(
        &self,
        balancers: &BTreeSet<String>,
        standing: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<Vec<Route>, Fault>> {
        each(balancers.iter().cloned(), |balancer| async move {
            let listeners = listeners(self.api, &balancer).await?;
            let arns = listeners.iter().filter_map(|listener| listener.listener_arn.clone());
            let rules = each(arns, |arn| self.rules(arn, standing)).await;
            let mut routes = Vec::new();
            for listener in &listeners {
                routes.extend(Route::of_listener(listener));
                let answer = listener.listener_arn().and_then(|arn| rules.get(arn));
                let rules = answer.map_or(Ok(&[][..]), |answer| answer.as_deref().map_err(Clone::clone))?;
                routes.extend(rules.iter().filter_map(|rule| Route::of_rule(listener, rule)));
            }
            Ok(routes)
        })
        .await
    }

    async fn rules(&self, listener: String, standing: &BTreeSet<String>) -> Result<Vec<Rule>, Fault> {
        let names_ours = |rule: &Rule| {
            let routes = Route::of_rule(&Listener::builder().build(), rule);
            routes.is_some_and(|route| route.weights().iter().any(|(arn, _)| standing.contains(*arn)))
        };
        let known = self.memory.recall(self.now, OTHERS_FOR, |memory| memory.rules.get(&listener));
        if let Some(known) = known.filter(|rules| !rules.iter().any(names_ours)) {
            return Ok(known);
        }
        let read = rules(self.api, &listener).await?;
        self.memory.keep(self.now, |memory, now| memory.rules.insert(listener.clone(), (now, read.clone())));
        Ok(read)
    }

    async fn attributes(
        &self,
        arns: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<BTreeMap<String, String>, Fault>> {
        each(arns.iter().cloned(), |arn| async move {
            if let Some(known) =
                self.memory.recall(self.now, SETTINGS_FOR, |memory| memory.attributes.get(&arn))
            {
                return Ok(known);
            }
            let read = attributes(self.api, &arn).await?;
            self.memory
                .keep(self.now, |memory, now| memory.attributes.insert(arn.clone(), (now, read.clone())));
            Ok(read)
        })
        .await
    }
}

/// An instance can only stand in a group of its own VPC; an address in any, for networks can be joined.
fn could_hold(group: &TargetGroup, vpcs: &BTreeSet<&str>) -> bool {
    match group.target_type().map(aws_sdk_elasticloadbalancingv2::types::TargetTypeEnum::as_str) {
        Some("lambda" | "alb") => false,
        Some("ip") => true,
        _ => vpcs.is_empty() || group.vpc_id().is_none_or(|vpc| vpcs.contains(vpc)),
    }
}

async fn traffic_sources(api: &Api, name: &str) -> Result<Vec<TrafficSourceState>, Fault> {
    pages(|token| async move {
        let call = api.autoscaling.describe_traffic_sources().auto_scaling_group_name(name);
        let call = call.max_records(50).set_next_token(token);
        let page = api.send(Family::AutoScaling, "DescribeTrafficSources", call.send()).await?;
        Ok((given("DescribeTrafficSources", page.traffic_sources)?, page.next_token))
    })
    .await
}

/// The listeners of a load balancer.
///
/// # Errors
/// The call's fault.
pub(super) async fn listeners(api: &Api, balancer: &str) -> Result<Vec<Listener>, Fault> {
    pages(|marker| async move {
        let call = api.elb.describe_listeners().load_balancer_arn(balancer).page_size(400).set_marker(marker);
        let page = api.send(Family::ElbRead, "DescribeListeners", call.send()).await?;
        Ok((given("DescribeListeners", page.listeners)?, page.next_marker))
    })
    .await
}

/// The rules of a listener, its default one too.
///
/// # Errors
/// The call's fault.
pub(super) async fn rules(api: &Api, listener: &str) -> Result<Vec<Rule>, Fault> {
    pages(|marker| async move {
        let call = api.elb.describe_rules().listener_arn(listener).page_size(400).set_marker(marker);
        let page = api.send(Family::ElbRead, "DescribeRules", call.send()).await?;
        Ok((given("DescribeRules", page.rules)?, page.next_marker))
    })
    .await
}

/// The attributes of a target group.
///
/// # Errors
/// The call's fault.
pub(super) async fn attributes(api: &Api, arn: &str) -> Result<BTreeMap<String, String>, Fault> {
    let call = api.elb.describe_target_group_attributes().target_group_arn(arn);
    let answer = api.send(Family::ElbRead, "DescribeTargetGroupAttributes", call.send()).await?;
    let pair = |attribute: TargetGroupAttribute| Some((attribute.key?, attribute.value.unwrap_or_default()));
    Ok(answer.attributes.unwrap_or_default().into_iter().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{Instance as Member, LifecycleState};

    use super::*;

    fn survey(state: LifecycleState) -> Survey {
        let member = Member::builder().instance_id("i-1").lifecycle_state(state).build();
        let group = AutoScalingGroup::builder().auto_scaling_group_name("api").instances(member).build();
        Survey {
            begun: Time(0),
            fleets: [(FleetId::new("api").unwrap(), group)].into(),
            sources: BTreeMap::new(),
            instances: BTreeMap::new(),
            groups: BTreeMap::new(),
            targets: BTreeMap::new(),
            routes: BTreeMap::new(),
            attributes: BTreeMap::new(),
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
    fn a_list_that_is_missing_in_an_answer_is_no_empty_list() {
        assert_eq!(given::<u8>("DescribeTargetGroups", Some(Vec::new())).unwrap(), Vec::<u8>::new());
        assert_eq!(given::<u8>("DescribeTargetGroups", None).unwrap_err().kind, FaultKind::Unexpected);
    }
}
