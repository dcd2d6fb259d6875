//! A look: what was read, as fleets and target groups with a side for each fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance as Member, LifecycleState};
use aws_sdk_elasticloadbalancingv2::types::TargetGroup;

use super::api::Api;
use super::asgs::{Home, REVISION, tag};
use super::health::target_seen;
use super::memory::Memory;
use super::route::Route;
use super::survey::{Survey, Wish, is_held, listed};
use super::{arn, codedeploy, freeze};
use crate::cloud::{Fault, FaultKind, Scope};
use crate::model::{
    FleetId, FleetSeen, GroupId, GroupSeen, Health, InstanceId, InstanceState, Inventory, Revision, Seen,
    Share, Sharing, Side, Span, Steps, TargetId,
};
use crate::spec::{AwsGroup, AwsRevision};

/// Looks at a service.
///
/// # Errors
/// A fault that leaves nothing to look at.
pub(super) async fn look(
    api: &Api,
    home: &Home,
    memory: &Memory,
    wish: Wish<'_>,
) -> Result<Inventory, Fault> {
    let survey = Arc::new(Survey::read_with(api, home, memory, wish).await?);
    memory.remember(&survey, api.sweep(survey.groups.len()));
    let mut seen = Sighting { home, survey: &survey, scope: wish.scope }.inventory();
    codedeploy::see(api, home, &survey.fleets, &mut seen).await;
    Ok(seen)
}

/// The names of the target groups in which a fleet stands, or to which it is attached, and of those in which another fleet
/// of the service is healthy, read without any memory.
///
/// # Errors
/// Anything that could not be read: a group may be missing then.
pub(super) async fn stands_anywhere(
    api: &Api,
    home: &Home,
    fleet: &FleetId,
) -> Result<(BTreeSet<String>, BTreeSet<String>), Fault> {
    let scope =
        Scope { service: home.service.clone(), groups: BTreeSet::new(), fleets: [fleet.clone()].into() };
    let survey = Box::pin(Survey::read_standing(api, home, &scope)).await?;
    if let Some(id) = survey.unknown_instances().next() {
        let message = format!("`{id}` is in service, and EC2 does not know it: where it stands is unknown");
        return Err(Fault::new(FaultKind::Conflict, "DescribeInstances", message));
    }
    let (mut found, mut lit) = (BTreeSet::new(), BTreeSet::new());
    for (arn, targets) in &survey.targets {
        let targets = targets.as_ref().map_err(Clone::clone)?;
        if survey.is_lit_without(fleet, targets) {
            lit.insert(arn::target_group(arn).to_owned());
        }
        if targets.iter().any(|target| survey.owner(target).is_some_and(|(owner, _)| owner == fleet)) {
            found.insert(arn::target_group(arn).to_owned());
        }
    }
    if let Some(sources) = survey.sources.get(fleet) {
        let sources = sources.as_ref().map_err(Clone::clone)?;
        let names = sources.iter().filter_map(|source| source.identifier());
        found.extend(
            names.filter(|arn| survey.groups.contains_key(*arn)).map(|arn| arn::target_group(arn).to_owned()),
        );
    }
    let attached = survey.fleets.get(fleet).into_iter().flat_map(listed);
    found.extend(
        attached.filter(|arn| survey.groups.contains_key(arn)).map(|arn| arn::target_group(&arn).to_owned()),
    );
    Ok((found, lit))
}

/// A survey with the words to read it in.
#[derive(Clone, Copy)]
struct Sighting<'a> {
    home: &'a Home,
    survey: &'a Survey,
    scope: &'a Scope,
}

impl Sighting<'_> {
    fn inventory(self) -> Inventory {
        let mut groups: BTreeMap<GroupId, Seen<GroupSeen>> = BTreeMap::new();
        for (id, declared) in &self.home.spec.groups {
            groups.extend(self.declared(id, declared).map(|seen| (id.clone(), seen)));
        }
        let standing = self.survey.standing();
        for (arn, group) in self.survey.groups.iter() {
            let id = self.group_of(arn);
            let asked = self.scope.groups.contains(&id) || standing.contains(arn) || self.is_listed(arn);
            if asked && !groups.contains_key(&id) {
                groups.insert(id, self.shared(group));
            }
        }
        for (fleet, strange) in self.strange() {
            groups.insert(strange, Seen::Unknown(fleet));
        }
        let fleets = self.survey.fleets.iter().map(|(id, group)| (id.clone(), self.fleet(id, group)));
        Inventory {
            looked_at: self.survey.begun,
            fleets: fleets.collect(),
            groups,
            unread: self.unread(),
            busy: BTreeSet::new(),
        }
    }

    /// The name of a target group here: the declared one's, or its own.
    fn group_of(self, arn: &str) -> GroupId {
        let name = self.survey.groups.get(arn).and_then(TargetGroup::target_group_name);
        let name = name.unwrap_or(arn::target_group(arn));
        let groups = &self.home.spec.groups;
        let declared = groups.iter().find(|(_, group)| group.names().iter().any(|own| own == name));
        if let Some((id, _)) = declared {
            return id.clone();
        }
        // Somebody else's target group may be called what the file calls another one.
        let own = GroupId::new(name).ok().filter(|id| !groups.contains_key(id));
        own.or_else(|| GroupId::new(arn).ok()).unwrap_or_else(unnamed)
    }

    fn is_listed(self, arn: &str) -> bool {
        let by_group = self.survey.fleets.values().flat_map(listed);
        let by_sources = self.survey.sources.values().flatten().flatten();
        by_group.chain(by_sources.filter_map(|source| source.identifier.clone())).any(|known| known == arn)
    }

    /// Ways to a fleet that are no target group of a load balancer: the gate cannot see through them.
    fn strange(self) -> Vec<(String, GroupId)> {
        let mut found = Vec::new();
        for (fleet, group) in &self.survey.fleets {
            for name in group.load_balancer_names() {
                let why = format!(
                    "`{fleet}` stands behind a Classic Load Balancer, which has no target groups: move it to one that has"
                );
                found.extend(GroupId::new(format!("classic/{name}")).map(|id| (why, id)));
            }
            let states = self.survey.sources.get(fleet).and_then(|states| states.as_ref().ok());
            let types = group.traffic_sources().iter().map(|source| (source.r#type(), source.identifier()));
            let states = states.into_iter().flatten().map(|source| (source.r#type(), source.identifier()));
            for (kind, identifier) in types.chain(states).filter(|(kind, _)| *kind != Some("elbv2")) {
                let identifier = identifier.unwrap_or("?");
                let (what, place) = match kind {
                    Some("vpc-lattice") => ("of VPC Lattice".to_owned(), "lattice"),
                    Some("elb") => ("of a Classic Load Balancer".to_owned(), "classic"),
                    Some(other) => (format!("of the type `{other}`"), "source"),
                    // Without a type it is told by what it names.
                    None if self.survey.groups.contains_key(identifier) => continue,
                    None => ("without a type".to_owned(), "source"),
                };
                let why = format!(
                    "`{fleet}` has a traffic source {what}, where the gate cannot see who is healthy"
                );
                found.extend(GroupId::new(format!("{place}/{identifier}")).map(|id| (why, id)));
            }
        }
        found
    }

    /// Target groups in which one of the fleets may stand and which could not be read.
    fn unread(self) -> BTreeSet<String> {
        let declared = |arn: &str| {
            let name = arn::target_group(arn);
            self.home.spec.groups.values().any(|group| group.names().iter().any(|own| own == name))
        };
        let failed =
            self.survey.targets.iter().filter_map(|(arn, answer)| Some((arn, answer.as_ref().err()?)));
        let groups = failed
            .filter(|(arn, _)| !declared(arn))
            .map(|(arn, fault)| format!("target group `{}`: {fault}", arn::target_group(arn)));
        let sources = self.survey.sources.iter().filter_map(|(fleet, answer)| {
            Some(format!("traffic sources of `{fleet}`: {}", answer.as_ref().err()?))
        });
        let instances = self.survey.unknown_instances();
        let instances = instances.map(|id| format!("instance `{id}`: in service, and EC2 does not know it"));
        groups.chain(sources).chain(instances).collect()
    }

    /// A declared group. Not there at all is nothing; half there is unknown.
    fn declared(self, id: &GroupId, declared: &AwsGroup) -> Option<Seen<GroupSeen>> {
        let find = |name: &String| {
            self.survey.groups.values().find(|group| group.target_group_name() == Some(name.as_str()))
        };
        match declared {
            AwsGroup::Shared { name, .. } => find(name).map(|group| self.shared(group)),
            AwsGroup::Twins { names, create } => match (find(&names[0]), find(&names[1])) {
                (None, None) => None,
                (Some(first), Some(second)) => Some(self.twins(&[first, second])),
                (Some(only), None) if *create => Some(self.twins(&[only])),
                (one, other) => {
                    let absent = if one.is_none() { &names[0] } else { &names[1] };
                    let hint = if other.is_none() && one.is_some() {
                        ": make it, or write `create: true`"
                    } else {
                        ""
                    };
                    Some(Seen::Unknown(format!("target group `{absent}` of `{id}` does not exist{hint}")))
                }
            },
        }
    }

    /// A target group in which both fleets stand, or that nobody declared: the share is by membership.
    fn shared(self, group: &TargetGroup) -> Seen<GroupSeen> {
        let sides = match self.sides(group) {
            Ok(sides) => sides,
            Err(why) => return Seen::Unknown(why),
        };
        let mut seen = match self.described(&[group], Sharing::Shared) {
            Ok(seen) => seen,
            Err(why) => return Seen::Unknown(why),
        };
        seen.sides = by_membership(sides);
        Seen::Known(seen)
    }

    /// Twin target groups behind the same routes: the share is by weight.
    fn twins(self, twins: &[&TargetGroup]) -> Seen<GroupSeen> {
        match self.twins_seen(twins) {
            Ok(seen) => Seen::Known(seen),
            Err(why) => Seen::Unknown(why),
        }
    }

    fn twins_seen(self, twins: &[&TargetGroup]) -> Result<GroupSeen, String> {
        let mut seen = self.described(twins, Sharing::Paired)?;
        let mut routes: Vec<&Route> = Vec::new();
        for twin in twins {
            for route in self.survey.routes_of(twin).map_err(ToString::to_string)? {
                if !routes.iter().any(|known| known.place == route.place) {
                    routes.push(route);
                }
            }
        }
        for twin in twins {
            let (arn, name) =
                (twin.target_group_arn().unwrap_or_default(), twin.target_group_name().unwrap_or_default());
            let mut sides = self.sides(twin)?;
            let attached =
                self.survey.fleets.iter().filter(|(id, _)| self.attached(id).iter().any(|own| own == arn));
            for (fleet, _) in attached {
                sides.entry(fleet.clone()).or_default();
            }
            let share = together(&routes.iter().map(|route| route.share(arn)).collect::<Vec<_>>());
            match sides.len() {
                // Traffic that goes to a twin where nobody stands is nobody's, and has to be seen.
                0 if share > Share::NONE => {
                    let nobody = FleetId::new(format!("nobody-in-{name}")).map_err(|bad| bad.to_string())?;
                    seen.sides.insert(nobody, Side { share, targets: BTreeMap::new() });
                }
                0 => {}
                1 => {
                    for (fleet, side) in sides {
                        let other = seen.sides.insert(fleet.clone(), Side { share, ..side });
                        if other.is_some_and(|other| other.stands()) {
                            return Err(format!("`{fleet}` stands in both twins"));
                        }
                    }
                }
                _ => {
                    let fleets: Vec<_> = sides.keys().map(|fleet| format!("`{fleet}`")).collect();
                    return Err(format!("{} stand in the same twin, `{name}`", fleets.join(" and ")));
                }
            }
        }
        Ok(seen)
    }

    /// What can be said of a group without its sides.
    fn described(self, groups: &[&TargetGroup], sharing: Sharing) -> Result<GroupSeen, String> {
        let mut routes = BTreeSet::new();
        let mut delay = Span::ZERO;
        for group in groups {
            let found = self.survey.routes_of(group).map_err(ToString::to_string)?;
            routes.extend(found.into_iter().map(|route| route.name.clone()));
            let arn = group.target_group_arn().unwrap_or_default();
            if let Some(answer) = self.survey.attributes.get(arn) {
                let attributes = answer.as_ref().map_err(ToString::to_string)?;
                let secs = attributes.get("deregistration_delay.timeout_seconds");
                let secs = secs.and_then(|secs| secs.parse().ok()).unwrap_or(300); // The default (aws-sdk: 0-3600, 300).
                delay = delay.max(Span::secs(secs));
            }
        }
        let interval = groups.iter().filter_map(|group| group.health_check_interval_seconds()).max();
        let interval = interval.and_then(|secs| u64::try_from(secs).ok()).unwrap_or(30);
        let steps = match sharing {
            Sharing::Paired => Steps::Any,
            Sharing::Shared | Sharing::Weighed | Sharing::Unproved => Steps::AllOrNothing,
        };
        Ok(GroupSeen {
            sharing,
            steps,
            routes,
            deregistration_delay: delay,
            health_interval: Span::secs(interval),
            sides: BTreeMap::new(),
        })
    }

    /// Who has which targets in a target group. A target that is nobody's stands for itself.
    fn sides(self, group: &TargetGroup) -> Result<BTreeMap<FleetId, Side>, String> {
        let arn = group.target_group_arn().unwrap_or_default();
        let targets = match self.survey.targets.get(arn) {
            Some(Ok(targets)) => targets,
            Some(Err(fault)) => return Err(fault.to_string()),
            None => return Err("its targets were not read".to_owned()),
        };
        let mut sides: BTreeMap<FleetId, Side> = BTreeMap::new();
        for description in targets {
            let Some(target) = description.target() else {
                return Err("a target without a name".to_owned());
            };
            let id = target.id().unwrap_or_default();
            let port = target.port().map_or_else(String::new, |port| format!(":{port}"));
            let name = format!("{id}{port}@{}", arn::target_group(arn));
            let (fleet, instance) = match self.survey.owner(description) {
                Some((fleet, instance)) => (fleet.clone(), instance.to_owned()),
                None => (FleetId::new(id).map_err(|bad| bad.to_string())?, id.to_owned()),
            };
            let instance = InstanceId::new(instance).map_err(|bad| bad.to_string())?;
            let target = TargetId::new(name).map_err(|bad| bad.to_string())?;
            sides.entry(fleet).or_default().targets.insert(target, target_seen(description, instance));
        }
        Ok(sides)
    }

    /// The ARNs of the target groups that a fleet's configuration lists, by every way to list them.
    fn attached(self, fleet: &FleetId) -> BTreeSet<String> {
        let by_group = self.survey.fleets.get(fleet).into_iter().flat_map(listed);
        let states = self.survey.sources.get(fleet).and_then(|states| states.as_ref().ok());
        let held = states.into_iter().flatten().filter(is_held);
        by_group.chain(held.filter_map(|source| source.identifier.clone())).collect()
    }

    fn fleet(self, id: &FleetId, group: &AutoScalingGroup) -> Seen<FleetSeen> {
        let Some(revision) = self.revision(group) else {
            return Seen::Unknown("what it runs cannot be told".to_owned());
        };
        let members = group.instances().iter().filter_map(|member| self.member(member));
        let attached = self.attached(id).into_iter();
        let attached =
            attached.filter(|arn| self.survey.groups.contains_key(arn)).map(|arn| self.group_of(&arn));
        Seen::Known(FleetSeen {
            revision,
            desired: group.desired_capacity().and_then(|size| u32::try_from(size).ok()).unwrap_or(0),
            instances: members.collect(),
            scaling: freeze::scaling(group),
            attached: attached.chain(self.strange_of(id)).collect(),
            failed: None,
        })
    }

    fn strange_of(self, fleet: &FleetId) -> Vec<GroupId> {
        let own = format!("`{fleet}`");
        self.strange().into_iter().filter(|(why, _)| why.starts_with(&own)).map(|(_, id)| id).collect()
    }

    /// What a fleet runs: our tag says it, or what it is launched from.
    fn revision(self, group: &AutoScalingGroup) -> Option<Revision> {
        if let Some(tagged) = tag(group, REVISION) {
            return Revision::new(tagged).ok();
        }
        let found = match &self.home.spec.revision {
            AwsRevision::LaunchTemplate => template_version(group).map(str::to_owned),
            AwsRevision::Ami => {
                let images = group
                    .instances()
                    .iter()
                    .filter_map(|member| self.survey.instances.get(member.instance_id()?)?.image.clone());
                let images: BTreeSet<_> = images.collect();
                (images.len() == 1).then(|| images.into_iter().next()).flatten()
            }
            AwsRevision::Bundle(_) => None,
        };
        Revision::new(found.unwrap_or_else(|| "unknown".to_owned())).ok()
    }

    /// An instance of a fleet. What waits in a warm pool serves nobody, and is none.
    fn member(self, member: &Member) -> Option<(InstanceId, InstanceState)> {
        let id = member.instance_id()?;
        let state = member.lifecycle_state()?;
        if state.as_str().starts_with("Warmed") {
            return None;
        }
        // Auto Scaling takes a while to notice that somebody terminated an instance; EC2 knows at once.
        let up = self.survey.instances.get(id).map(|instance| instance.state.as_str());
        let seen = match (state, up) {
            (LifecycleState::InService, Some("running")) if member.health_status() != Some("Unhealthy") => {
                InstanceState::Running
            }
            (LifecycleState::InService, _) => InstanceState::Leaving,
            (state, _) if leaving(state.as_str()) => InstanceState::Leaving,
            _ => InstanceState::Pending,
        };
        Some((InstanceId::new(id).ok()?, seen))
    }
}

fn leaving(state: &str) -> bool {
    ["Terminat", "Detach"].iter().any(|begin| state.starts_with(begin))
}

/// The version of the launch template as the group names it: a number, or `$Latest`.
pub(super) fn template_version(group: &AutoScalingGroup) -> Option<&str> {
    let inner = || group.mixed_instances_policy()?.launch_template()?.launch_template_specification();
    group.launch_template().or_else(inner)?.version()
}

/// The share over all routes. They may differ while a shift is under way: nothing is nothing everywhere, and everything
/// is everything everywhere.
fn together(shares: &[Share]) -> Share {
    let least = shares.iter().min().copied().unwrap_or(Share::NONE);
    let most = shares.iter().max().copied().unwrap_or(Share::NONE);
    if least == Share::NONE && most > Share::NONE { Share::new(1).unwrap_or_default() } else { least }
}

/// Every target that takes traffic counts for the same. A fleet with any is never said to have nothing or, beside
/// another, everything.
fn by_membership(mut sides: BTreeMap<FleetId, Side>) -> BTreeMap<FleetId, Side> {
    let counts = |side: &Side| {
        let takes = |health: Health| !matches!(health, Health::Draining | Health::Unused);
        side.targets.values().filter(|target| takes(target.health)).count()
    };
    let members = sides.values().filter(|side| counts(side) > 0).count();
    let all: usize = sides.values().map(counts).sum();
    for side in sides.values_mut() {
        let percent = match (counts(side), members) {
            (0, _) => 0,
            (_, 1) => 100,
            (count, _) => (count * 100 / all.max(1)).clamp(1, 99),
        };
        side.share =
            u64::try_from(percent).ok().and_then(|percent| Share::new(percent).ok()).unwrap_or_default();
    }
    sides
}

fn unnamed() -> GroupId {
    GroupId::new("a-target-group-without-a-name").expect("this is a name")
}
