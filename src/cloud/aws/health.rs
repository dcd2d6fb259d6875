//! The health of a target, as the load balancer says it.

use aws_sdk_elasticloadbalancingv2::types::{
    AdministrativeOverride, AnomalyDetection, MitigationInEffectEnum, TargetHealthDescription,
    TargetHealthStateEnum as State,
};

use crate::model::{Health, InstanceId, TargetSeen};

/// One target. Only `healthy` is healthy; a state that AWS invents later is not.
pub(super) fn target_seen(description: &TargetHealthDescription, instance: InstanceId) -> TargetSeen {
    let seen = description.target_health();
    let health = match seen.and_then(|health| health.state()) {
        Some(State::Healthy) => Health::Healthy,
        Some(State::Initial) => Health::Initial,
        // Still failing, and leaving: it has connections that may finish.
        Some(State::Draining | State::UnhealthyDraining) => Health::Draining,
        Some(State::Unhealthy) => Health::Unhealthy,
        Some(State::Unused) => Health::Unused,
        _ => Health::Unavailable,
    };
    let reason = seen.and_then(|health| health.reason()).map(|reason| reason.as_str().to_owned());
    TargetSeen { instance, health, reason: reason.or_else(|| aside(description)) }
}

/// Why a healthy target may get no traffic all the same.
fn aside(description: &TargetHealthDescription) -> Option<String> {
    let anomaly = description.anomaly_detection().and_then(AnomalyDetection::mitigation_in_effect);
    if anomaly == Some(&MitigationInEffectEnum::Yes) {
        return Some("anomaly mitigation sends it less traffic".to_owned());
    }
    let shift = description.administrative_override().and_then(AdministrativeOverride::state)?;
    shift
        .as_str()
        .starts_with("zonal_shift")
        .then(|| "a zonal shift keeps traffic away from its zone".to_owned())
}
