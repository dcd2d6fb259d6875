//! Which target group a fleet stands in, or is to stand in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_elasticloadbalancingv2::types::{Tag, TargetGroup, TargetGroupAttribute};

use super::api::Api;
use super::arn;
use super::asgs::{Home, OWNER};
use super::limit::Family;
use super::memory::Memory;
use super::reader::attributes;
use super::survey::{Survey, listed};
use crate::cloud::{Fault, FaultKind, Scope};
use crate::model::{FleetId, GroupId};
use crate::spec::AwsGroup;

/// A group with the target groups behind it.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one is made for each group of a change, and used up at once")]
pub(super) enum Standing {
    /// One for both fleets.
    Shared(Box<TargetGroup>),
    /// The fleet's own, and the other fleet's. Either may not exist yet.
    Twins {
        /// Where the fleet stands or is to stand.
        own: Twin,
        /// The sibling.
        other: Twin,
    },
}

/// One of two twins.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    pub name: String,
    pub group: Option<TargetGroup>,
}

impl Twin {
    /// Its ARN, where it exists.
    pub fn arn(&self) -> Option<&str> {
        self.group.as_ref().and_then(TargetGroup::target_group_arn)
    }
}

/// The world as a change needs to see it.
pub(super) struct Map<'a> {
    home: &'a Home,
    pub survey: Arc<Survey>,
}

impl<'a> Map<'a> {
    /// Where everybody stands, by the last look or by a new one.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn read(
        api: &Api,
        home: &'a Home,
        memory: &Memory,
        fleet: &FleetId,
        groups: &BTreeSet<GroupId>,
    ) -> Result<Self, Fault> {
        if let Some(survey) = memory.last(fleet) {
            return Ok(Self { home, survey });
        }
        let scope =
            Scope { service: home.service.clone(), groups: groups.clone(), fleets: [fleet.clone()].into() };
        Ok(Self { home, survey: Arc::new(Survey::read(api, home, memory, &scope).await?) })
    }

    /// Where the fleet stands in a group, or is to stand.
    ///
    /// # Errors
    /// [`FaultKind::Missing`] for a group that does not exist; [`FaultKind::Conflict`] where no twin is free.
    pub fn standing(&self, id: &GroupId, fleet: &FleetId) -> Result<Standing, Fault> {
        let Some(declared) = self.home.spec.groups.get(id) else {
            return self.existing(id.as_str()).map(|group| Standing::Shared(Box::new(group)));
        };
        match declared {
            AwsGroup::Shared { name, .. } => {
                self.existing(name).map(|group| Standing::Shared(Box::new(group)))
            }
            AwsGroup::Twins { names, create } => {
                let [first, second] =
                    names.each_ref().map(|name| Twin { name: name.clone(), group: self.find(name) });
                if first.group.is_none() && second.group.is_none()
                    || !create && (first.group.is_none() || second.group.is_none())
                {
                    let absent = if first.group.is_none() { &first.name } else { &second.name };
                    return Err(missing(absent));
                }
                let (one, two) = (self.held_by(&first)?, self.held_by(&second)?);
                let mine = |held: &BTreeSet<FleetId>| held.contains(fleet);
                match (mine(&one), mine(&two)) {
                    (true, false) => Ok(Standing::Twins { own: first, other: second }),
                    (false, true) => Ok(Standing::Twins { own: second, other: first }),
                    (false, false) if two.is_empty() && !one.is_empty() => {
                        Ok(Standing::Twins { own: second, other: first })
                    }
                    (false, false) if one.is_empty() => self.free(first, second),
                    (true, true) => Err(conflict(format!("`{fleet}` stands in both twins of `{id}`"))),
                    (false, false) => {
                        Err(conflict(format!("both twins of `{id}` are taken by other fleets")))
                    }
                }
            }
        }
    }

    /// Whether nothing of a group is left.
    pub fn gone(&self, id: &GroupId) -> bool {
        match self.home.spec.groups.get(id) {
            Some(declared) => declared.names().iter().all(|name| self.find(name).is_none()),
            None => self.find(id.as_str()).is_none(),
        }
    }

    /// Where nobody stands in the first: that one, unless traffic goes to it and not to the second.
    fn free(&self, first: Twin, second: Twin) -> Result<Standing, Fault> {
        let carried = |twin: &Twin| -> Result<bool, Fault> {
            let Some(group) = &twin.group else { return Ok(false) };
            let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
            let arn = twin.arn().unwrap_or_default();
            Ok(routes.iter().any(|route| route.share(arn) > crate::model::Share::NONE))
        };
        let taken = !self.held_by(&second)?.is_empty();
        if first.group.is_none() || (carried(&first)? && !carried(&second)? && !taken) {
            // An empty first that still has the traffic is what the last fleet left; the next one may not be given it
            // before it is healthy.
            return Ok(Standing::Twins { own: second, other: first });
        }
        Ok(Standing::Twins { own: first, other: second })
    }

    /// The fleets that have a target in a twin, or are attached to it. One that could not be read is not free.
    fn held_by(&self, twin: &Twin) -> Result<BTreeSet<FleetId>, Fault> {
        let Some(arn) = twin.arn() else { return Ok(BTreeSet::new()) };
        let targets = match self.survey.targets.get(arn) {
            Some(targets) => targets.as_ref().map_err(Clone::clone)?,
            None => return Err(missing(arn)),
        };
        let standing = targets.iter().filter_map(|target| Some(self.survey.owner(target)?.0.clone()));
        let attached = self.survey.fleets.iter().filter(|(_, group)| listed(group).any(|own| own == arn));
        Ok(standing.chain(attached.map(|(fleet, _)| fleet.clone())).collect())
    }

    fn existing(&self, name: &str) -> Result<TargetGroup, Fault> {
        self.find(name).ok_or_else(|| missing(name))
    }

    fn find(&self, name: &str) -> Option<TargetGroup> {
        let groups = self.survey.groups.values();
        groups.into_iter().find(|group| group.target_group_name() == Some(name)).cloned()
    }
}

/// Makes a twin with the settings of its sibling. Repeated, it finds what it made (ELBv2 answers a second
/// `CreateTargetGroup` with the same settings with the first one's ARN).
///
/// # Errors
/// The call's fault.
pub(super) async fn create(
    api: &Api,
    home: &Home,
    twin: &Twin,
    sibling: &TargetGroup,
) -> Result<TargetGroup, Fault> {
    let of = sibling.target_group_arn().unwrap_or_default();
    let settings = attributes(api, of).await?;
    let tag = Tag::builder().key(OWNER).value(home.owner()).build();
    let call = api
        .elb
        .create_target_group()
        .name(&twin.name)
        .set_protocol(sibling.protocol.clone())
        .set_protocol_version(sibling.protocol_version.clone())
        .set_port(sibling.port)
        .set_vpc_id(sibling.vpc_id.clone())
        .set_health_check_protocol(sibling.health_check_protocol.clone())
        .set_health_check_port(sibling.health_check_port.clone())
        .set_health_check_enabled(sibling.health_check_enabled)
        .set_health_check_path(sibling.health_check_path.clone())
        .set_health_check_interval_seconds(sibling.health_check_interval_seconds)
        .set_health_check_timeout_seconds(sibling.health_check_timeout_seconds)
        .set_healthy_threshold_count(sibling.healthy_threshold_count)
        .set_unhealthy_threshold_count(sibling.unhealthy_threshold_count)
        .set_matcher(sibling.matcher.clone())
        .set_target_type(sibling.target_type.clone())
        .set_ip_address_type(sibling.ip_address_type.clone())
        .tags(tag);
    let made = api.send(Family::ElbModify, "CreateTargetGroup", call.send()).await?;
    let made = made.target_groups.unwrap_or_default().into_iter().next().ok_or_else(|| {
        Fault::new(FaultKind::Unexpected, "CreateTargetGroup", "an answer without the group").ambiguous()
    })?;
    copy_attributes(api, made.target_group_arn().unwrap_or_default(), &settings).await?;
    Ok(made)
}

async fn copy_attributes(api: &Api, to: &str, settings: &BTreeMap<String, String>) -> Result<(), Fault> {
    let has = attributes(api, to).await?;
    let differs = settings.iter().filter(|(key, value)| has.get(*key) != Some(value) && !value.is_empty());
    let changed: Vec<_> =
        differs.map(|(key, value)| TargetGroupAttribute::builder().key(key).value(value).build()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let call = api.elb.modify_target_group_attributes().target_group_arn(to).set_attributes(Some(changed));
    api.send(Family::ElbModify, "ModifyTargetGroupAttributes", call.send()).await.map(drop)
}

fn missing(name: &str) -> Fault {
    Fault::new(
        FaultKind::Missing,
        "DescribeTargetGroups",
        format!("target group `{}` does not exist", arn::target_group(name)),
    )
}

fn conflict(message: String) -> Fault {
    Fault::new(FaultKind::Conflict, "DescribeTargetHealth", message)
}
