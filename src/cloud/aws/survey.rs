//! What AWS says, read for one look: every page, as fresh as it matters, nothing interpreted yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{
    DescribeTargetHealthInputIncludeEnum as Include, Listener, Rule, TargetGroup, TargetGroupAttribute,
    TargetHealthDescription,
};
use futures_util::stream::{self, StreamExt as _};

use super::api::Api;
use super::asgs::{Home, pages};
use super::ec2::Instance;
use super::limit::Family;
use super::route::Route;
use crate::cloud::{Fault, FaultKind, Scope, clock};
use crate::model::{FleetId, Span, Time};

/// How long a target group that is none of ours may be remembered instead of read: only somebody else's hand can put an
/// instance of ours into it meanwhile, and a fleet is taken away on a reading without any memory.
const OTHERS_FOR: Span = Span::secs(20);
/// How long settings of target groups are remembered.
const SETTINGS_FOR: Span = Span::mins(5);
/// Calls at the same time.
const CALLS_MAX: usize = 16;

/// What one look read.
#[derive(Debug)]
pub(super) struct Survey {
    /// When it began.
    pub begun: Time,
    /// The service's Auto Scaling groups.
    pub fleets: BTreeMap<FleetId, AutoScalingGroup>,
    /// Their traffic sources, as DescribeTrafficSources lists them.
    pub sources: BTreeMap<FleetId, Result<Vec<TrafficSourceState>, Fault>>,
    /// Their instances, by id, as EC2 sees them.
    pub instances: BTreeMap<String, Instance>,
    /// Every target group of the region, by ARN.
    pub groups: BTreeMap<String, TargetGroup>,
    /// The targets of every target group in which one of the fleets could stand, by ARN.
    pub targets: BTreeMap<String, Result<Vec<TargetHealthDescription>, Fault>>,
    /// The routes of every load balancer in front of ours, by the balancer's ARN.
    pub routes: BTreeMap<String, Result<Vec<Route>, Fault>>,
    /// The attributes of ours, by ARN.
    pub attributes: BTreeMap<String, Result<BTreeMap<String, String>, Fault>>,
    /// Whose an instance, or an address, is: the fleet and the instance.
    owners: BTreeMap<String, (FleetId, String)>,
}

/// What need not be read every time.
#[derive(Debug, Default)]
pub(super) struct Memory {
    inner: Mutex<Remembered>,
    /// The last look: changes are decided from it, and read only what it does not show.
    last: Mutex<Option<Arc<Survey>>>,
    /// The routes of each balancer, read moments ago: changes that are made together read them together.
    now: tokio::sync::Mutex<BTreeMap<String, (Time, Vec<Route>)>>,
}

/// How old a reading of routes may be when they are changed.
const NOW: Span = Span::secs(1);

/// The oldest look that a change may go by; the machine itself takes none that is older.
const LAST_FOR: Span = Span::secs(30);

impl Memory {
    /// The last look, where it is fresh and shows the fleet and the groups.
    pub fn last(&self, fleet: &FleetId) -> Option<Arc<Survey>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let fresh = clock::now().since(last.begun) < LAST_FOR;
        (fresh && last.fleets.contains_key(fleet)).then_some(last)
    }

    /// Remembers a look.
    pub fn remember(&self, survey: &Arc<Survey>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(survey));
    }

    /// The routes of these balancers as they are now.
    ///
    /// # Errors
    /// The first fault: a route that is not known cannot be changed.
    pub async fn routes_now(
        &self,
        api: &Api,
        balancers: &BTreeSet<String>,
        ours: &BTreeSet<String>,
    ) -> Result<Vec<Route>, Fault> {
        let mut known = self.now.lock().await;
        let now = clock::now();
        known.retain(|_, (read_at, _)| now.since(*read_at) < NOW);
        let unread: BTreeSet<_> = balancers.iter().filter(|arn| !known.contains_key(*arn)).cloned().collect();
        let reader = Reader { api, memory: self, now };
        for (balancer, routes) in reader.routes(&unread, ours).await {
            known.insert(balancer, (now, routes?));
        }
        let all =
            balancers.iter().filter_map(|arn| known.get(arn)).flat_map(|(_, routes)| routes.iter().cloned());
        Ok(all.collect())
    }
}

#[derive(Debug, Default)]
struct Remembered {
    targets: BTreeMap<String, (Time, Vec<TargetHealthDescription>)>,
    rules: BTreeMap<String, (Time, Vec<Rule>)>,
    attributes: BTreeMap<String, (Time, BTreeMap<String, String>)>,
    sources: BTreeMap<String, (Time, Vec<TrafficSourceState>)>,
}

impl Survey {
    /// Reads everything that a look needs.
    ///
    /// # Errors
    /// A fault that leaves nothing to look at. What concerns one group or balancer only is kept with it.
    pub async fn read(api: &Api, home: &Home, memory: &Memory, scope: &Scope) -> Result<Self, Fault> {
        let begun = clock::now();
        let also: BTreeSet<_> = scope.fleets.clone();
        let (fleets, groups) = tokio::try_join!(home.fleets(api, &also), target_groups(api))?;
        let reader = Reader { api, memory, now: begun };
        let ids: Vec<_> = fleets
            .values()
            .flat_map(|group| group.instances())
            .filter_map(|i| i.instance_id.clone())
            .collect();
        let ours = ours(home, scope, &fleets, &groups);
        let (instances, sources, mut targets) =
            tokio::join!(instances(api, &ids), reader.sources(&fleets), reader.targets(&groups, &ours));
        let instances = instances?;
        let mut survey = Self {
            owners: owners(&fleets, &instances),
            begun,
            fleets,
            sources,
            instances,
            groups,
            targets: std::mem::take(&mut targets),
            routes: BTreeMap::new(),
            attributes: BTreeMap::new(),
        };
        let standing: BTreeSet<_> = ours.into_iter().chain(survey.standing()).collect();
        let fresh = standing.iter().filter_map(|arn| survey.groups.get(arn));
        let balancers: BTreeSet<_> = fresh.flat_map(TargetGroup::load_balancer_arns).cloned().collect();
        let (routes, attributes) =
            tokio::join!(reader.routes(&balancers, &standing), reader.attributes(&standing));
        (survey.routes, survey.attributes) = (routes, attributes);
        Ok(survey)
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
    let asked = scope.groups.iter().filter(|id| !home.spec.groups.contains_key(*id)).map(|id| id.as_str());
    let names: BTreeSet<&str> = declared.chain(asked).collect();
    let by_name =
        groups.iter().filter(|(_, group)| group.target_group_name().is_some_and(|name| names.contains(name)));
    let listed = fleets.values().flat_map(listed);
    by_name.map(|(arn, _)| arn.clone()).chain(listed.filter(|arn| groups.contains_key(arn))).collect()
}

/// What an Auto Scaling group itself says it is attached to, by either of the two ways to attach.
pub(super) fn listed(group: &AutoScalingGroup) -> impl Iterator<Item = String> + '_ {
    let sources = group.traffic_sources().iter().filter_map(|source| source.identifier.clone());
    group.target_group_arns().iter().cloned().chain(sources)
}

/// Every target group of the region, by ARN.
///
/// # Errors
/// The call's fault.
pub(super) async fn target_groups(api: &Api) -> Result<BTreeMap<String, TargetGroup>, Fault> {
    let all = pages(|marker| async move {
        let call = api.elb.describe_target_groups().page_size(400).set_marker(marker);
        let page = api.send(Family::ElbRead, "DescribeTargetGroups", call.send()).await?;
        Ok((page.target_groups.unwrap_or_default(), page.next_marker))
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
    answer.target_health_descriptions.ok_or_else(|| {
        Fault::new(
            FaultKind::Unexpected,
            "DescribeTargetHealth",
            format!("an answer without targets for {arn}"),
        )
    })
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

struct Reader<'a> {
    api: &'a Api,
    memory: &'a Memory,
    now: Time,
}

impl Reader<'_> {
    /// Every target group in which an instance of ours could stand. Ours afresh, all others at least now and then.
    async fn targets(
        &self,
        groups: &BTreeMap<String, TargetGroup>,
        ours: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<Vec<TargetHealthDescription>, Fault>> {
        let vpcs: BTreeSet<_> = ours.iter().filter_map(|arn| groups.get(arn)?.vpc_id()).collect();
        let possible = groups.iter().filter(|(arn, group)| ours.contains(*arn) || could_hold(group, &vpcs));
        let arns: Vec<_> = possible.map(|(arn, _)| arn.clone()).collect();
        let read = each(arns, |arn| async move {
            if !ours.contains(&arn)
                && let Some(known) = self.recall(OTHERS_FOR, |memory| memory.targets.get(&arn))
            {
                return Ok(known);
            }
            let read = targets(self.api, &arn).await?;
            self.keep(|memory, now| memory.targets.insert(arn.clone(), (now, read.clone())));
            Ok(read)
        });
        let gone =
            |answer: &Result<_, Fault>| answer.as_ref().is_err_and(|fault| fault.kind == FaultKind::Missing);
        let mut read = read.await;
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
            if let Some(known) = self.recall(OTHERS_FOR, |memory| memory.sources.get(name)) {
                return Ok(known);
            }
            let read = traffic_sources(self.api, name).await?;
            self.keep(|memory, now| memory.sources.insert(name.to_owned(), (now, read.clone())));
            Ok(read)
        })
        .await
    }

    /// Every route of these balancers. Rules that name none of `standing` need not be read every time.
    async fn routes(
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
        let known = self.recall(OTHERS_FOR, |memory| memory.rules.get(&listener));
        if let Some(known) = known.filter(|rules| !rules.iter().any(names_ours)) {
            return Ok(known);
        }
        let read = rules(self.api, &listener).await?;
        self.keep(|memory, now| memory.rules.insert(listener.clone(), (now, read.clone())));
        Ok(read)
    }

    async fn attributes(
        &self,
        arns: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<BTreeMap<String, String>, Fault>> {
        each(arns.iter().cloned(), |arn| async move {
            if let Some(known) = self.recall(SETTINGS_FOR, |memory| memory.attributes.get(&arn)) {
                return Ok(known);
            }
            let read = attributes(self.api, &arn).await?;
            self.keep(|memory, now| memory.attributes.insert(arn.clone(), (now, read.clone())));
            Ok(read)
        })
        .await
    }

    fn recall<T: Clone>(
        &self,
        at_most: Span,
        find: impl FnOnce(&Remembered) -> Option<&(Time, T)>,
    ) -> Option<T> {
        let memory = self.memory.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, value) = find(&memory)?;
        (self.now.since(*read_at) < at_most).then(|| value.clone())
    }

    fn keep<T>(&self, put: impl FnOnce(&mut Remembered, Time) -> T) {
        let mut memory = self.memory.inner.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut memory, self.now);
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
        Ok((page.traffic_sources.unwrap_or_default(), page.next_token))
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
        Ok((page.listeners.unwrap_or_default(), page.next_marker))
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
        Ok((page.rules.unwrap_or_default(), page.next_marker))
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
