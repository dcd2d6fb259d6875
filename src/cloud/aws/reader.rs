//! Reads for one look, and leaves out what need not be read again.
//!
//! What a look needs is mostly what the last one needed. So that is asked for at once, beside the fleets that say what is
//! needed now, and only what is missing then takes a second round trip. It is read afresh either way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, TrafficSourceState};
use aws_sdk_elasticloadbalancingv2::types::{
    Listener, Rule, TargetGroup, TargetGroupAttribute, TargetHealthDescription,
};
use futures_util::stream::{self, StreamExt as _};

use super::api::Api;
use super::asgs::{Home, given, pages};
use super::commons::patiently;
use super::ec2::Instance;
use super::limit::Family;
use super::memory::{Kept, Memory, OTHERS_FOR, SETTINGS_FOR, WELL_FOR};
use super::route::Route;
use super::survey::{Survey, is_held, listed, serving, target_groups, targets};
use crate::cloud::{Fault, FaultKind, Leeway};
use crate::model::{FleetId, Span, Time};

/// Calls at the same time.
const CALLS_MAX: usize = 32;
/// What others alone can change takes at most a quarter of the calls for targets, and a quarter of those for rules.
const SWEEPS_APART: u64 = 4;

pub(super) type Fleets = BTreeMap<FleetId, AutoScalingGroup>;
pub(super) type Groups = Arc<BTreeMap<String, TargetGroup>>;
type Targets = Vec<TargetHealthDescription>;
pub(super) type Answers<K, T> = BTreeMap<K, Result<T, Fault>>;

/// Reads for one look.
pub(super) struct Reader<'a> {
    pub api: &'a Api,
    pub memory: &'a Memory,
    pub now: Time,
    pub pace: Span,
    pub leeway: &'a Leeway,
    /// How old what only others can change may be, whoever read it.
    pub others_for: Span,
    pub ahead: Ahead,
}

/// What this look has read before it was known to be needed.
#[derive(Default)]
pub(super) struct Ahead {
    /// Those that were asked for, and those that were found.
    instances: Option<(BTreeSet<String>, BTreeMap<String, Instance>)>,
    sources: Answers<FleetId, Vec<TrafficSourceState>>,
    targets: Answers<String, Targets>,
    routes: Answers<String, Vec<Route>>,
    /// The target groups whose rules were read with the routes.
    placed: BTreeSet<String>,
}

impl Ahead {
    /// With the routes in front of these target groups, unless they were known before.
    pub fn with_routes(mut self, routes: Answers<String, Vec<Route>>, placed: BTreeSet<String>) -> Self {
        if !placed.is_subset(&self.placed) {
            (self.routes, self.placed) = (routes, placed);
        }
        self
    }
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

impl Reader<'_> {
    /// Reads what the last look needed.
    pub async fn ahead(&self, last: Option<&Survey>) -> Ahead {
        let Some(last) = last else { return Ahead::default() };
        let balancers = balancers(&last.placed, &last.groups);
        let (instances, sources, targets, routes) = tokio::join!(
            self.instances(&last.fleets),
            self.sources(&last.fleets),
            self.targets(&last.fleets, &last.groups, &last.ours),
            self.routes(&balancers, &last.placed),
        );
        // What was only remembered has to be judged again by the fleets as they are now.
        let asked = members(&last.fleets).map(str::to_owned).collect();
        let read =
            |_: &_| self.memory.recall(self.now, Span(1), |memory| memory.instances.as_ref()).is_some();
        let instances = instances.ok().filter(read).map(|found| (asked, found));
        let read = |arn: &str| self.memory.kept(arn).is_some_and(|kept| kept.read_at >= self.now);
        let targets = targets.into_iter().filter(|(arn, answer)| answer.is_err() || read(arn)).collect();
        Ahead { instances, sources, targets, routes, placed: last.placed.clone() }
    }

    /// The fleets of the service, and these.
    ///
    /// # Errors
    /// As [`Home::fleets`].
    pub async fn fleets(&self, home: &Home, also: &BTreeSet<FleetId>) -> Result<Fleets, Fault> {
        // A wait looks twice in a pace at most: nothing that is waited for is taken from memory.
        let just_now = Span(self.pace.0 / 4);
        let known = self.memory.recall(self.now, just_now, |memory| memory.fleets.as_ref());
        if let Some(known) = known.filter(|_| self.leeway.surroundings) {
            return Ok(known);
        }
        let searched = (self.now, self.searched_for());
        let fleets = home.fleets_for_look(self.api, self.memory, searched, also).await?;
        self.memory.keep(self.now, |memory, now| memory.fleets = Some((now, fleets.clone())));
        Ok(fleets)
    }

    /// How long ago the tags may have been searched that say which fleets there are.
    pub fn searched_for(&self) -> Span {
        if self.leeway.surroundings { WELL_FOR } else { OTHERS_FOR }
    }

    /// Every target group of the region, and whether that was read now.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn groups(&self) -> Result<(Groups, bool), Fault> {
        if self.leeway.surroundings
            && let Some(known) = self.memory.recall(self.now, WELL_FOR, |memory| memory.groups.as_ref())
        {
            return Ok((known, false));
        }
        Ok((self.groups_now().await?, true))
    }

    /// The same, read in any case.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn groups_now(&self) -> Result<Groups, Fault> {
        let reading = self.api.commons.groups.read("", self.api.wanted(self.now), |sent| {
            let api = self.api.telling(sent);
            async move { patiently(|| target_groups(&api)).await }
        });
        let (read_at, read) = reading.await?;
        self.memory.keep(read_at, |memory, at| memory.groups = Some((at, read.clone())));
        Ok(read)
    }

    /// The instances of the fleets as EC2 sees them.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn instances(&self, fleets: &Fleets) -> Result<BTreeMap<String, Instance>, Fault> {
        let ids: Vec<_> = members(fleets).map(str::to_owned).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let of_ours = |found: &BTreeMap<String, Instance>| -> BTreeMap<String, Instance> {
            ids.iter().filter_map(|id| Some((id.clone(), found.get(id)?.clone()))).collect()
        };
        if let Some((asked, found)) = &self.ahead.instances
            && ids.iter().all(|id| asked.contains(id))
        {
            return Ok(of_ours(found));
        }
        let known = self.memory.recall(self.now, WELL_FOR, |memory| memory.instances.as_ref());
        // One that Auto Scaling has put into service since then was not running yet.
        let runs = |known: &BTreeMap<String, Instance>| {
            let up = |id: &str| known.get(id).is_some_and(|instance| instance.state == "running");
            fleets.values().flat_map(serving).all(up)
        };
        if let Some(known) = known.filter(|known| self.leeway.surroundings && runs(known)) {
            return Ok(of_ours(&known));
        }
        let found = self.api.send_ec2("DescribeInstances", self.api.ec2.instances(&ids)).await?;
        let found: BTreeMap<_, _> =
            found.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
        self.memory.keep(self.now, |memory, now| memory.instances = Some((now, found.clone())));
        Ok(found)
    }

    /// Every target group in which an instance of ours could stand. Ours afresh unless they are settled, all others at
    /// least now and then.
    pub async fn targets(
        &self,
        fleets: &Fleets,
        groups: &Groups,
        ours: &BTreeSet<String>,
    ) -> Answers<String, Targets> {
        let vpcs: BTreeSet<_> = ours.iter().filter_map(|arn| groups.get(arn)?.vpc_id()).collect();
        let search = !self.leeway.urgent;
        let possible =
            groups.iter().filter(|(arn, group)| ours.contains(*arn) || search && could_hold(group, &vpcs));
        let possible: BTreeMap<&String, Standing<'_>> =
            possible.map(|(arn, group)| (arn, self.standing(fleets, arn, group))).collect();
        let (lead, waiting) = self.lead(&possible, ours).await;
        let others_for = self.others_for(possible.len());
        let mut read = each(possible.keys().map(|arn| (*arn).clone()), |arn| {
            let (lead, possible) = (&lead, &possible);
            async move {
                let standing = &possible[&arn];
                if let Some(read) = lead.get(&arn).or(self.ahead.targets.get(&arn)) {
                    return read.clone();
                }
                let spared = |kept: &Kept| {
                    let age = self.now.since(kept.read_at);
                    if !ours.contains(&arn) {
                        return age < others_for;
                    }
                    let recent = age < OTHERS_FOR;
                    let calm = kept.is_well(&standing.members) && age < standing.calm_for;
                    standing.is_settled(self, kept) || calm || recent && waiting && standing.awaited
                };
                match self.memory.kept(&arn).filter(spared) {
                    Some(kept) => Ok(kept.targets),
                    None if ours.contains(&arn) => self.targets_now(&arn).await,
                    None => self.targets_since(&arn, Time(self.now.0.saturating_sub(others_for.0))).await,
                }
            }
        })
        .await;
        let gone =
            |answer: &Result<_, Fault>| answer.as_ref().is_err_and(|fault| fault.kind == FaultKind::Missing);
        read.retain(|_, answer| !gone(answer)); // Deleted since it was listed.
        read
    }

    /// How old what only others can change may be where there is so much of it: to read all of it again and again must not
    /// take the calls that ours need.
    fn others_for(&self, many: usize) -> Span {
        if self.others_for == Span::ZERO {
            return Span::ZERO; // Without any memory.
        }
        self.others_for.max(Span(self.api.sweep(many).0.saturating_mul(SWEEPS_APART)))
    }

    async fn targets_now(&self, arn: &str) -> Result<Targets, Fault> {
        self.targets_since(arn, self.now).await
    }

    async fn targets_since(&self, arn: &str, after: Time) -> Result<Targets, Fault> {
        let reading = self.api.commons.targets.read(arn, self.api.wanted(after), |sent| {
            let (api, arn) = (self.api.telling(sent), arn.to_owned());
            async move { patiently(|| targets(&api, &arn)).await }
        });
        let (read_at, read) = reading.await?;
        self.memory.keep_targets(arn, read_at, &read);
        Ok(read)
    }

    /// Reads one of the groups in which somebody is awaited. As long as that one shows that it is not time yet, the others
    /// tell nothing new.
    async fn lead(
        &self,
        possible: &BTreeMap<&String, Standing<'_>>,
        ours: &BTreeSet<String>,
    ) -> (Answers<String, Targets>, bool) {
        let mut awaited = possible.iter().filter(|(arn, standing)| {
            let restless =
                |kept: Kept| !kept.is_well(&standing.members) && self.now.since(kept.read_at) < OTHERS_FOR;
            standing.awaited && ours.contains(**arn) && self.memory.kept(arn).is_some_and(restless)
        });
        let (Some((arn, standing)), true) = (awaited.next(), awaited.next().is_some()) else {
            return (BTreeMap::new(), false);
        };
        let read = match self.ahead.targets.get(*arn) {
            Some(read) => read.clone(),
            None => self.targets_now(arn).await,
        };
        let waiting = self.memory.kept(arn).is_some_and(|kept| !kept.is_well(&standing.members));
        let waiting = waiting && read.is_ok();
        ([((*arn).clone(), read)].into(), waiting)
    }

    /// What the fleets say of a target group.
    fn standing<'f>(&self, fleets: &'f Fleets, arn: &str, group: &'f TargetGroup) -> Standing<'f> {
        let kept = self.memory.kept(arn).map(|kept| kept.targets).unwrap_or_default();
        let ids: BTreeSet<&str> = kept.iter().filter_map(|target| target.target()?.id()).collect();
        let attached = |fleet: &AutoScalingGroup| listed(fleet).any(|own| own == arn);
        let here =
            |fleet: &AutoScalingGroup| attached(fleet) || instances_of(fleet).any(|id| ids.contains(id));
        let standing: BTreeMap<&FleetId, &AutoScalingGroup> =
            fleets.iter().filter(|(_, fleet)| here(fleet)).collect();
        let known: BTreeSet<&str> = standing.values().flat_map(|fleet| instances_of(fleet)).collect();
        let ours = ids.is_subset(&known);
        let calm_for = match (standing.is_empty(), ours) {
            (true, true) if self.leeway.surroundings => WELL_FOR,
            (false, true) if standing.keys().all(|fleet| self.leeway.settled.contains(*fleet)) => WELL_FOR,
            _ => Span::ZERO,
        };
        let awaited = ours
            && self
                .leeway
                .awaited
                .as_ref()
                .is_some_and(|awaited| standing.keys().all(|fleet| *fleet == awaited))
            && !standing.is_empty();
        let members = standing.values().filter(|fleet| attached(fleet)).flat_map(|fleet| serving(fleet));
        Standing { group, members: members.collect(), calm_for, awaited }
    }

    /// The traffic sources of the fleets.
    pub async fn sources(&self, fleets: &Fleets) -> Answers<FleetId, Vec<TrafficSourceState>> {
        each(fleets.keys().cloned(), |fleet| async move {
            if let Some(read) = self.ahead.sources.get(&fleet) {
                return read.clone();
            }
            let name =
                fleets.get(&fleet).and_then(AutoScalingGroup::auto_scaling_group_name).unwrap_or_default();
            // Nobody is sent anything who is not in service yet.
            if self.leeway.surroundings && fleets.get(&fleet).is_some_and(|own| serving(own).next().is_none())
            {
                return Ok(Vec::new());
            }
            let most = self.searched_for();
            if let Some(known) = self.memory.recall(self.now, most, |memory| memory.sources.get(name)) {
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

    /// Every route of these balancers. Rules that name none of `placed` need not be read every time.
    pub async fn routes(
        &self,
        balancers: &BTreeSet<String>,
        placed: &BTreeSet<String>,
    ) -> Answers<String, Vec<Route>> {
        each(balancers.iter().cloned(), |balancer| async move {
            if let Some(read) = self.ahead.routes.get(&balancer)
                && placed.is_subset(&self.ahead.placed)
            {
                return read.clone();
            }
            let (listeners, rules, afresh) = Box::pin(self.listeners_with_rules(&balancer, placed)).await?;
            let mut routes = Vec::new();
            for listener in &listeners {
                routes.extend(Route::of_listener(listener));
                let answer = listener.listener_arn().and_then(|arn| rules.get(arn));
                let rules = answer.map_or(Ok(&[][..]), |answer| answer.as_deref().map_err(Clone::clone))?;
                routes.extend(rules.iter().filter_map(|rule| Route::of_rule(listener, rule)));
            }
            if afresh {
                self.memory.keep_routes(balancer, self.now, &routes);
            }
            Ok(routes)
        })
        .await
    }

    /// The listeners of a balancer with the rules of each, and whether the listeners were read now.
    async fn listeners_with_rules(
        &self,
        balancer: &str,
        placed: &BTreeSet<String>,
    ) -> Result<(Vec<Listener>, Answers<String, Vec<Rule>>, bool), Fault> {
        let names = |listeners: &[Listener]| -> BTreeSet<String> {
            listeners.iter().filter_map(|listener| listener.listener_arn.clone()).collect()
        };
        let rules_of = |arns: BTreeSet<String>, afresh| {
            let others_for = self.others_for(arns.len());
            each(arns, move |arn| self.rules(arn, placed, afresh, others_for))
        };
        let known = self.memory.recall(self.now, WELL_FOR, |memory| memory.listeners.get(balancer));
        if let Some(known) = known.filter(|_| self.leeway.routes) {
            let rules = rules_of(names(&known), false).await;
            return Ok((known, rules, false));
        }
        // Most listeners are those of the last time: their rules are read beside the list.
        let last = names(&self.memory.last_listeners(balancer));
        let (listeners, mut rules) = tokio::join!(self.listeners_now(balancer), rules_of(last, true));
        let listeners = listeners?;
        let mut new = names(&listeners);
        new.retain(|arn| !rules.contains_key(arn));
        rules.extend(rules_of(new, true).await);
        Ok((listeners, rules, true))
    }

    async fn listeners_now(&self, balancer: &str) -> Result<Vec<Listener>, Fault> {
        let reading = self.api.commons.listeners.read(balancer, self.api.wanted(self.now), |sent| {
            let (api, balancer) = (self.api.telling(sent), balancer.to_owned());
            async move { patiently(|| listeners(&api, &balancer)).await }
        });
        let (read_at, read) = reading.await?;
        self.memory
            .keep(read_at, |memory, at| memory.listeners.insert(balancer.to_owned(), (at, read.clone())));
        Ok(read)
    }

    async fn rules(
        &self,
        listener: String,
        placed: &BTreeSet<String>,
        afresh: bool,
        others_for: Span,
    ) -> Result<Vec<Rule>, Fault> {
        let names_ours = |rule: &Rule| {
            let routes = Route::of_rule(&Listener::builder().build(), rule);
            routes.is_some_and(|route| route.weights().iter().any(|(arn, _)| placed.contains(*arn)))
        };
        // Which rules others have made is as good as which groups they have.
        let spared = self.leeway.routes || self.leeway.surroundings;
        let most = if spared { WELL_FOR } else { OTHERS_FOR }.max(others_for);
        let known = self.memory.recall(self.now, most, |memory| memory.rules.get(&listener));
        if let Some(known) = known.filter(|rules| !afresh || !rules.iter().any(names_ours)) {
            return Ok(known);
        }
        // A listener of another service, which somebody else has just read.
        let since = Time(self.now.0.saturating_sub(others_for.0));
        let known = self.api.commons.rules.known(&listener, since);
        if let Some(known) = known.filter(|rules| !rules.iter().any(names_ours)) {
            return Ok(known);
        }
        let reading = self.api.commons.rules.read(&listener, self.api.wanted(self.now), |sent| {
            let (api, listener) = (self.api.telling(sent), listener.clone());
            async move { patiently(|| rules(&api, &listener)).await }
        });
        let (read_at, read) = reading.await?;
        self.memory.keep(read_at, |memory, at| memory.rules.insert(listener.clone(), (at, read.clone())));
        Ok(read)
    }

    /// How these target groups are set.
    pub async fn attributes(
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

/// What the fleets say of a target group.
struct Standing<'f> {
    group: &'f TargetGroup,
    /// The instances that should stand in it.
    members: BTreeSet<&'f str>,
    /// How long it may be taken to be as well as it was.
    calm_for: Span,
    /// Whether it is the awaited fleet's.
    awaited: bool,
}

impl Standing<'_> {
    fn is_settled(&self, reader: &Reader<'_>, kept: &Kept) -> bool {
        kept.is_settled(reader.now, reader.pace, self.group, &self.members)
    }
}

/// The load balancers in front of these target groups.
pub(super) fn balancers(arns: &BTreeSet<String>, groups: &Groups) -> BTreeSet<String> {
    let these = arns.iter().filter_map(|arn| groups.get(arn));
    these.flat_map(TargetGroup::load_balancer_arns).cloned().collect()
}

fn members(fleets: &Fleets) -> impl Iterator<Item = &str> {
    fleets.values().flat_map(instances_of)
}

fn instances_of(fleet: &AutoScalingGroup) -> impl Iterator<Item = &str> {
    fleet.instances().iter().filter_map(|member| member.instance_id())
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
