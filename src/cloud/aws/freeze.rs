//! Scaling is held still, and given back.
//!
//! What we change is written into the group's [`FROZEN`] tag before it is changed, and the tag goes last. So at any time,
//! after any crash and by any process, the tag says what may have to be put back, and nothing else ever is.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, InstanceRefreshStatus, LifecycleState, Tag};
use futures_util::future;

use super::api::Api;
use super::asgs::{FROZEN, Home, given, pages, tag};
use super::limit::Family;
use super::memory::Memory;
use super::pair;
use crate::cloud::{Fault, FaultKind};
use crate::model::{FleetId, Scaling};
use crate::spec::AwsFleets;

/// What changes a group's size, or its instances, without being asked. `HealthCheck` and `ReplaceUnhealthy` go on: a
/// dead instance is replaced in a frozen fleet too.
const PROCESSES: [&str; 4] = ["AlarmNotification", "ScheduledActions", "AZRebalance", "InstanceRefresh"];
/// Who judges green's instances meanwhile: EC2 alone. Where load balancers do, Auto Scaling would end every sick instance of
/// green at once, and in a shared group from which blue has gone nobody at all would stand until blue is back. To suspend
/// `ReplaceUnhealthy` is no way: what is marked as unhealthy never recovers (Auto Scaling user guide, 2023), so whoever was
/// sick for a moment would be ended after the thaw, with blue gone. A dead instance is still replaced.
const EC2: &str = "EC2";
/// How many instances one `SetInstanceProtection` may name (Auto Scaling API reference).
const PROTECTED_MAX: usize = 50;

/// Holds a fleet's size still.
///
/// # Errors
/// [`FaultKind::Conflict`] while its instances are being refreshed; the call's fault.
pub(super) async fn freeze(api: &Api, home: &Home, memory: &Memory, fleet: &FleetId) -> Result<(), Fault> {
    let mut fleets = seen(api, home, memory, fleet).await?;
    let group = fleets.remove(fleet).ok_or_else(|| home.absent(fleet))?;
    // Blue is held still before green is made, so whoever is frozen while another one is frozen already is green.
    let green = tag(&group, FROZEN).is_none() && fleets.values().any(|other| tag(other, FROZEN).is_some());
    let reach = if green && is_judged(&group) { Reach::Verdicts } else { Reach::Instances };
    hold(api, &group, reach).await
}

/// The groups of the service's fleets by the last look, or by a new one.
async fn seen(
    api: &Api,
    home: &Home,
    memory: &Memory,
    fleet: &FleetId,
) -> Result<BTreeMap<FleetId, AutoScalingGroup>, Fault> {
    match memory.last(fleet) {
        Some(last) => Ok(last.fleets.clone()),
        None => home.fleets(api, &[fleet.clone()].into()).await,
    }
}

/// Who says which instances are well, as the group is to have it when it is not held still.
pub(super) fn judges(group: &AutoScalingGroup) -> Result<Option<String>, Fault> {
    let before = Record::of(group)?.and_then(|record| record.judges);
    Ok(before.or_else(|| group.health_check_type.clone()))
}

/// Whether more than EC2 says who is well.
fn is_judged(group: &AutoScalingGroup) -> bool {
    group.health_check_type().is_some_and(|kinds| kinds.split(',').any(|kind| kind.trim() != EC2))
}

async fn judge(api: &Api, group: &AutoScalingGroup, by: &str) -> Result<(), Fault> {
    let call = api.autoscaling.update_auto_scaling_group();
    let call = call.set_auto_scaling_group_name(group.auto_scaling_group_name.clone()).health_check_type(by);
    // Some judges are taken only together with it (Auto Scaling API reference, `HealthCheckGracePeriod`).
    let call = call.set_health_check_grace_period(group.health_check_grace_period);
    api.send(Family::AutoScaling, "UpdateAutoScalingGroup", call.send()).await.map(drop)
}

/// Gives back what [`freeze`] took, and nothing else.
///
/// # Errors
/// The call's fault.
pub(super) async fn thaw(api: &Api, home: &Home, memory: &Memory, fleet: &FleetId) -> Result<(), Fault> {
    let mut fleets = seen(api, home, memory, fleet).await?;
    thaw_group(api, &fleets.remove(fleet).ok_or_else(|| home.absent(fleet))?).await?;
    match &home.spec.fleets {
        // The last call of a rollout: by now the other half is empty, and may be put back in its place.
        AwsFleets::Pair(names) => pair::settle_other(api, home, names, fleet).await,
        AwsFleets::Copy { .. } | AwsFleets::Managed => Ok(()),
    }
}

/// Gives back what was taken from any fleet of the service. The resting half of a pair is no fleet: it stays still.
///
/// # Errors
/// The call's fault; those before it are thawed.
pub(super) async fn thaw_all(api: &Api, home: &Home) -> Result<BTreeSet<FleetId>, Fault> {
    let mut thawed = BTreeSet::new();
    for (id, group) in home.fleets(api, &BTreeSet::new()).await? {
        if tag(&group, FROZEN).is_some() {
            thaw_group(api, &group).await?;
            thawed.insert(id);
        }
    }
    Ok(thawed)
}

/// Whether the fleet's size can change by itself. A tag without the suspensions that it tells of is a freeze that was
/// begun and not finished.
pub(super) fn scaling(group: &AutoScalingGroup) -> Scaling {
    let suspended = suspended(group);
    let still = PROCESSES.iter().all(|process| suspended.contains(*process));
    if still && tag(group, FROZEN).is_some() { Scaling::Frozen } else { Scaling::Active }
}

/// The processes that somebody other than we suspended: a copy of the group needs them suspended too.
pub(super) fn suspended_by_others(group: &AutoScalingGroup) -> Result<BTreeSet<String>, Fault> {
    let ours = Record::of(group)?.map(|record| record.processes).unwrap_or_default();
    Ok(suspended(group).into_iter().filter(|process| !ours.contains(process)).collect())
}

/// Holds the size of a group that is to be emptied: its instances are to go, and are not protected.
///
/// # Errors
/// As [`freeze`].
pub(super) async fn still(api: &Api, group: &AutoScalingGroup) -> Result<(), Fault> {
    hold(api, group, Reach::Size).await
}

/// What a freeze covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// How many instances there are.
    Size,
    /// And which ones.
    Instances,
    /// And who of them is well.
    Verdicts,
}

async fn hold(api: &Api, group: &AutoScalingGroup, reach: Reach) -> Result<(), Fault> {
    let name = group.auto_scaling_group_name().unwrap_or_default();
    let before = Record::of(group)?;
    let mut record = Record::to_freeze(group, before.as_ref());
    if reach == Reach::Size {
        record.protection = before.as_ref().is_some_and(|before| before.protection);
    }
    let suspended = suspended(group);
    if reach == Reach::Verdicts {
        record.judges.clone_from(&group.health_check_type);
    }
    let judged = record.judges.is_some() && is_judged(group);
    let loose: Vec<_> =
        record.processes.iter().filter(|process| !suspended.contains(*process)).cloned().collect();
    let bare = if record.protection && reach != Reach::Size { in_service(group, false) } else { Vec::new() };
    if before.as_ref() == Some(&record) && loose.is_empty() && bare.is_empty() && !judged {
        return Ok(());
    }
    refuse_refresh(api, name).await?;
    if before.as_ref() != Some(&record) {
        write(api, name, &record).await?;
    }
    // The suspensions come last: a look takes them for a freeze that is done.
    if judged {
        judge(api, group, EC2).await?;
    }
    let suspend = async {
        if loose.is_empty() {
            return Ok(());
        }
        let call = api.autoscaling.suspend_processes().auto_scaling_group_name(name);
        let call = call.set_scaling_processes(Some(loose));
        api.send(Family::AutoScaling, "SuspendProcesses", call.send()).await.map(drop)
    };
    let (suspended, protected) = future::join(suspend, protect(api, name, &bare, true)).await;
    suspended.and(protected)
}

/// As [`thaw`], for a group that was read just now.
///
/// # Errors
/// The call's fault.
pub(super) async fn thaw_group(api: &Api, group: &AutoScalingGroup) -> Result<(), Fault> {
    let Some(record) = Record::of(group)? else { return Ok(()) };
    Box::pin(give_back(api, group, &record)).await
}

/// Gives back what a copy that somebody else made has inherited of its original's freeze: the suspended processes, with
/// the tag that tells of them or without it.
///
/// # Errors
/// The call's fault.
pub(super) async fn thaw_copy(
    api: &Api,
    copy: &AutoScalingGroup,
    original: &AutoScalingGroup,
) -> Result<(), Fault> {
    let own = Record::of(copy)?;
    let inherited = own.is_some() || PROCESSES.iter().any(|process| suspended(copy).contains(*process));
    match own.map_or_else(|| Record::of(original), |own| Ok(Some(own)))? {
        Some(record) if inherited => Box::pin(give_back(api, copy, &record)).await,
        Some(_) | None => Ok(()),
    }
}

async fn give_back(api: &Api, group: &AutoScalingGroup, record: &Record) -> Result<(), Fault> {
    let name = group.auto_scaling_group_name().unwrap_or_default();
    let shielded = if record.protection { in_service(group, true) } else { Vec::new() };
    let suspended = suspended(group);
    let held: Vec<_> =
        record.processes.iter().filter(|process| suspended.contains(*process)).cloned().collect();
    let resume = async {
        if held.is_empty() {
            return Ok(());
        }
        let call = api.autoscaling.resume_processes().auto_scaling_group_name(name);
        let call = call.set_scaling_processes(Some(held));
        api.send(Family::AutoScaling, "ResumeProcesses", call.send()).await.map(drop)
    };
    // Protection goes first: a process that runs again could only take away instances that nobody protects.
    protect(api, name, &shielded, false).await?;
    resume.await?;
    if let Some(before) = record.judges.as_deref().filter(|_| !is_judged(group)) {
        judge(api, group, before).await?;
    }
    let tag = Tag::builder().resource_id(name).resource_type("auto-scaling-group").key(FROZEN).build();
    let call = api.autoscaling.delete_tags().tags(tag);
    api.send(Family::AutoScaling, "DeleteTags", call.send()).await.map(drop)
}

/// Puts instances under scale-in protection, or takes them out of it.
///
/// # Errors
/// The call's fault; [`FaultKind::Conflict`] where one of them has just left service.
pub(super) async fn protect(api: &Api, group: &str, instances: &[String], on: bool) -> Result<(), Fault> {
    for some in instances.chunks(PROTECTED_MAX) {
        let call = api.autoscaling.set_instance_protection().auto_scaling_group_name(group);
        let call = call.set_instance_ids(Some(some.to_vec())).protected_from_scale_in(on);
        let sent = api.send(Family::AutoScaling, "SetInstanceProtection", call.send()).await;
        sent.map_err(|fault| match fault.kind {
            // An instance that is no longer in service is refused as a bad request: the next look shows who is left.
            FaultKind::Invalid | FaultKind::Missing => Fault { kind: FaultKind::Conflict, ..fault },
            _ => fault,
        })?;
    }
    Ok(())
}

/// The instances in service that are, or are not, protected from scale-in. No other instance can be.
pub(super) fn in_service(group: &AutoScalingGroup, protected: bool) -> Vec<String> {
    let here = group.instances().iter().filter(|instance| {
        instance.lifecycle_state() == Some(&LifecycleState::InService)
            && instance.protected_from_scale_in().unwrap_or(false) == protected
    });
    here.filter_map(|instance| instance.instance_id().map(str::to_owned)).collect()
}

async fn refuse_refresh(api: &Api, name: &str) -> Result<(), Fault> {
    let refreshes = pages(|token| async move {
        let call = api.autoscaling.describe_instance_refreshes().auto_scaling_group_name(name);
        let call = call.max_records(100).set_next_token(token);
        let page = api.send(Family::AutoScaling, "DescribeInstanceRefreshes", call.send()).await?;
        Ok((given("DescribeInstanceRefreshes", page.instance_refreshes)?, page.next_token))
    });
    let running = refreshes.await?.into_iter().find(|refresh| !is_over(refresh.status()));
    let Some(refresh) = running else { return Ok(()) };
    let id = refresh.instance_refresh_id().unwrap_or("without an id");
    let message = format!(
        "the instance refresh {id} of `{name}` is replacing its instances: wait until it ends, or cancel it with \
         `aws autoscaling cancel-instance-refresh --auto-scaling-group-name {name}`"
    );
    Err(Fault::new(FaultKind::Conflict, "SuspendProcesses", message))
}

/// A state that is not known to be an end is none.
fn is_over(status: Option<&InstanceRefreshStatus>) -> bool {
    matches!(
        status,
        Some(
            InstanceRefreshStatus::Successful
                | InstanceRefreshStatus::Failed
                | InstanceRefreshStatus::Cancelled
                | InstanceRefreshStatus::RollbackSuccessful
                | InstanceRefreshStatus::RollbackFailed
        )
    )
}

async fn write(api: &Api, name: &str, record: &Record) -> Result<(), Fault> {
    let tag = Tag::builder().resource_id(name).resource_type("auto-scaling-group").propagate_at_launch(false);
    let tag = tag.key(FROZEN).value(record.to_text()).build();
    let call = api.autoscaling.create_or_update_tags().tags(tag);
    api.send(Family::AutoScaling, "CreateOrUpdateTags", call.send()).await.map(drop)
}

fn suspended(group: &AutoScalingGroup) -> BTreeSet<String> {
    let all = group.suspended_processes().iter().filter_map(|process| process.process_name());
    all.map(str::to_owned).collect()
}

/// What we changed, as the tag holds it: at most 256 of the characters that a tag may have, so `+` divides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Record {
    /// The processes that were running before.
    processes: BTreeSet<String>,
    /// Whether the instances are protected by us: only where none was before.
    protection: bool,
    /// Who judged its instances before, where somebody else than EC2 did.
    judges: Option<String>,
}

impl Record {
    /// What has been changed already, and what is to be changed now.
    fn to_freeze(group: &AutoScalingGroup, before: Option<&Self>) -> Self {
        let suspended = suspended(group);
        let running =
            PROCESSES.iter().map(ToString::to_string).filter(|process| !suspended.contains(process));
        let processes = before.map(|before| before.processes.clone()).unwrap_or_default();
        let bare = !group.new_instances_protected_from_scale_in().unwrap_or(false)
            && !in_service(group, false).is_empty()
            && in_service(group, true).is_empty();
        Self {
            processes: processes.into_iter().chain(running).collect(),
            protection: before.is_some_and(|before| before.protection) || bare,
            judges: before.and_then(|before| before.judges.clone()),
        }
    }

    /// The record in a group's tag.
    fn of(group: &AutoScalingGroup) -> Result<Option<Self>, Fault> {
        let Some(text) = tag(group, FROZEN) else { return Ok(None) };
        Self::from_text(text).map(Some).ok_or_else(|| {
            let name = group.auto_scaling_group_name().unwrap_or_default();
            let message = format!(
                "the tag `{FROZEN}` of `{name}` cannot be read ({text:?}): resume the processes that were running \
                 before the rollout and delete the tag"
            );
            Fault::new(FaultKind::Invalid, "DescribeAutoScalingGroups", message)
        })
    }

    fn to_text(&self) -> String {
        let processes: Vec<_> = self.processes.iter().map(String::as_str).collect();
        let protection = if self.protection { "instances" } else { "none" };
        let judges =
            self.judges.as_ref().map(|kinds| format!(" judges={}", kinds.replace(' ', "").replace(',', "+")));
        format!("suspended={} protected={protection}{}", processes.join("+"), judges.unwrap_or_default())
    }

    /// A process that we never suspend is never resumed, whatever the tag says.
    fn from_text(text: &str) -> Option<Self> {
        let (processes, protection) = text.strip_prefix("suspended=")?.split_once(" protected=")?;
        let (protection, judges) = match protection.split_once(" judges=") {
            Some((protection, kinds)) => (protection, Some(kinds.replace('+', ","))),
            None => (protection, None),
        };
        let processes: BTreeSet<_> =
            processes.split('+').filter(|process| !process.is_empty()).map(str::to_owned).collect();
        let protection = match protection {
            "instances" => true,
            "none" => false,
            _ => return None,
        };
        let known = processes.iter().all(|process| PROCESSES.contains(&process.as_str()));
        known.then_some(Self { processes, protection, judges })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{Instance, SuspendedProcess, TagDescription};

    use super::*;

    fn group(frozen: Option<&str>, suspended: &[&str], protected: &[bool]) -> AutoScalingGroup {
        let tags = frozen.map(|text| TagDescription::builder().key(FROZEN).value(text).build());
        let processes =
            suspended.iter().map(|name| SuspendedProcess::builder().process_name(*name).build()).collect();
        let instances = protected.iter().enumerate().map(|(number, protected)| {
            let instance = Instance::builder().instance_id(format!("i-{number}"));
            instance.lifecycle_state(LifecycleState::InService).protected_from_scale_in(*protected).build()
        });
        AutoScalingGroup::builder()
            .set_tags(Some(tags.into_iter().collect()))
            .set_suspended_processes(Some(processes))
            .set_instances(Some(instances.collect()))
            .build()
    }

    #[test]
    fn the_longest_record_fits_into_a_tag_and_can_be_read_back() {
        let record = Record {
            processes: PROCESSES.iter().map(ToString::to_string).collect(),
            protection: true,
            judges: Some("EBS,ELB,VPC_LATTICE".to_owned()),
        };
        let text = record.to_text();
        assert!(text.len() <= 256, "{text}");
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "+-=._:/@ ".contains(c)), "{text}");
        assert_eq!(Record::from_text(&text), Some(record));
        assert_eq!(Record::from_text("suspended= protected=none"), Some(Record::default()));
    }

    #[test]
    fn a_record_that_we_cannot_have_written_is_not_obeyed() {
        for text in ["", "yes", "suspended=Launch protected=none", "suspended=AZRebalance protected=maybe"] {
            assert_eq!(Record::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_runs_is_recorded() {
        let record = Record::to_freeze(&group(None, &["AZRebalance", "Launch"], &[false]), None);
        assert_eq!(
            record.to_text(),
            "suspended=AlarmNotification+InstanceRefresh+ScheduledActions protected=instances"
        );
    }

    #[test]
    fn a_second_freeze_forgets_nothing_of_the_first() {
        let text =
            "suspended=AZRebalance+AlarmNotification+InstanceRefresh+ScheduledActions protected=instances";
        let frozen = group(Some(text), &PROCESSES, &[true, true]);
        let before = Record::of(&frozen).unwrap();
        assert_eq!(Record::to_freeze(&frozen, before.as_ref()).to_text(), text);
    }

    #[test]
    fn protection_that_somebody_else_gave_is_left_alone() {
        assert!(!Record::to_freeze(&group(None, &[], &[true, false]), None).protection);
        assert!(!Record::to_freeze(&group(None, &[], &[]), None).protection);
    }

    #[test]
    fn a_fleet_is_frozen_when_the_tag_says_so_and_the_processes_are_suspended() {
        let text = "suspended=AZRebalance protected=none";
        assert_eq!(scaling(&group(Some(text), &PROCESSES, &[])), Scaling::Frozen);
        assert_eq!(scaling(&group(Some(text), &["AZRebalance"], &[])), Scaling::Active);
        assert_eq!(scaling(&group(None, &PROCESSES, &[])), Scaling::Active);
    }

    #[test]
    fn only_what_load_balancers_judge_is_judged_by_more_than_ec2() {
        let judged = |kinds: Option<&str>| {
            is_judged(&AutoScalingGroup::builder().set_health_check_type(kinds.map(str::to_owned)).build())
        };
        assert_eq!((judged(None), judged(Some("EC2"))), (false, false));
        assert_eq!((judged(Some("ELB")), judged(Some("EC2, VPC_LATTICE"))), (true, true));
    }

    #[test]
    fn what_others_suspended_is_told_from_what_we_did() {
        let text = "suspended=AlarmNotification protected=none";
        let found =
            suspended_by_others(&group(Some(text), &["AlarmNotification", "AZRebalance"], &[])).unwrap();
        assert_eq!(found, ["AZRebalance".to_owned()].into());
    }
}
