//! What `CodeDeploy` adds to a look: whether a fleet's instances are up, whether it failed, and what blue runs.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::AutoScalingGroup;

use super::super::api::Api;
use super::super::asgs::{Home, REVISION, tag};
use super::group::{deployed, listed};
use super::progress::{Progress, Stage, progress};
use crate::model::{FleetId, FleetSeen, GroupId, InstanceState, Inventory, Seen, Side};
use crate::spec::{AwsFleets, AwsGroup, AwsRevision};

/// Adds what `CodeDeploy` says of each fleet. What it cannot be asked makes the fleet unknown.
pub async fn see(api: &Api, home: &Home, fleets: &BTreeMap<FleetId, AutoScalingGroup>, look: &mut Inventory) {
    if !matches!(home.spec.revision, AwsRevision::Bundle(_)) {
        return;
    }
    for (id, group) in fleets {
        let stands = look
            .groups
            .values()
            .any(|seen| seen.known().and_then(|seen| seen.sides.get(id)).is_some_and(Side::stands));
        let found = progress(api, home, group).await;
        let runs = if tag(group, REVISION).is_some() { Ok(None) } else { deployed(api, home).await };
        let Some(Seen::Known(seen)) = look.fleets.get_mut(id) else { continue };
        let wrong = match (found, runs) {
            (Err(fault), _) | (_, Err(fault)) => Some(fault.to_string()),
            (Ok(found), Ok(runs)) => {
                seen.revision = runs.unwrap_or_else(|| seen.revision.clone());
                found.and_then(|found| add(seen, &found, stands))
            }
        };
        if let Some(reason) = wrong {
            look.fleets.insert(id.clone(), Seen::Unknown(reason));
        }
    }
    undeclared(api, home, look).await;
}

/// A target group that `CodeDeploy` lists and nobody declares gets green by its hand, and by nobody's proof. It refuses a
/// plan and holds blue as one that cannot be read does: whether blue must be in it, too, is not known. Where `CodeDeploy`
/// only installs, its list is not used.
async fn undeclared(api: &Api, home: &Home, look: &mut Inventory) {
    if home.spec.fleets != AwsFleets::Managed {
        return;
    }
    let names = match listed(api, home).await {
        Ok(names) => names,
        Err(fault) => {
            look.unread.insert(format!("the target groups that CodeDeploy lists: {fault}"));
            return;
        }
    };
    let declared: BTreeSet<_> = home.spec.groups.values().flat_map(AwsGroup::names).collect();
    for name in names.iter().filter(|name| !declared.contains(name)) {
        let reason = format!(
            "CodeDeploy lists `{name}` and would register green there: declare it in the deployment file, or take it \
             out of loadBalancerInfo.targetGroupInfoList"
        );
        match GroupId::new(name.as_str()) {
            // In sight already: the fleet that stands there is reason enough.
            Ok(id) if look.groups.contains_key(&id) => {}
            Ok(id) => {
                look.groups.insert(id, Seen::Unknown(reason));
            }
            Err(_) => {
                look.unread.insert(reason);
            }
        }
    }
}

/// Adds to one fleet. Returns why it cannot be judged, where it cannot.
///
/// An Auto Scaling group registers its instances by itself where it is attached to target groups, before `CodeDeploy` has
/// installed anything. Such a fleet carries traffic, so its instances are as Auto Scaling says: to call them pending
/// would call it ill. It waits at the shift instead, where `CodeDeploy` is asked before anything goes on.
fn add(seen: &mut FleetSeen, found: &Progress, stands: bool) -> Option<String> {
    if let Stage::Unknown(reason) = &found.stage {
        return Some(reason.clone());
    }
    if !found.up() && !stands {
        for state in seen.instances.values_mut().filter(|state| **state == InstanceState::Running) {
            *state = InstanceState::Pending;
        }
    }
    if found.stage == Stage::Absent {
        // Not provisioned: asked for again until its deployment is begun.
        seen.desired = 0;
    }
    seen.failed = found.failed();
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InstanceId, Revision, Scaling};

    fn fleet() -> FleetSeen {
        FleetSeen {
            revision: Revision::new("v7").unwrap(),
            desired: 1,
            instances: [(InstanceId::new("i-1").unwrap(), InstanceState::Running)].into(),
            scaling: Scaling::Active,
            attached: [].into(),
            failed: None,
        }
    }

    fn after(stage: Stage, stands: bool) -> (u32, usize, Option<String>) {
        let found = Progress {
            deployment: "d-1".into(),
            stage,
            detail: String::new(),
            terminates_at: None,
            continued: false,
        };
        let mut seen = fleet();
        assert_eq!(add(&mut seen, &found, stands), None);
        (seen.desired, seen.running().len(), seen.failed)
    }

    #[test]
    fn instances_are_up_when_codedeploy_says_so_and_a_failure_is_told() {
        assert_eq!(after(Stage::Absent, false), (0, 0, None));
        assert_eq!(after(Stage::Installing, false), (1, 0, None));
        assert_eq!(after(Stage::Installing, true), (1, 1, None));
        assert_eq!(after(Stage::Ready, false), (1, 1, None));
        assert_eq!(after(Stage::Done, false), (1, 1, None));
        assert_eq!(after(Stage::Failed("no".into()), false), (1, 0, Some("no".into())));
    }
}
