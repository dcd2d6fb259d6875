//! Codes of Alibaba Cloud → [`Fault`].

use crate::cloud::{Fault, FaultKind};

/// A call that was answered with a code that says no. The status counts only where the code says nothing.
pub(super) fn coded(action: &str, code: &str, message: &str, status: u16) -> Fault {
    let fault = Fault::new(kind(code, status), action, format!("{code}: {message}"));
    // Whether a server that broke down had done its work before is not known.
    if fault.kind == FaultKind::Unreachable { fault.ambiguous() } else { fault }
}

/// Whether other credentials may help: these have expired, or have been taken back.
pub(super) fn stale(code: &str) -> bool {
    ["InvalidSecurityToken", "SecurityTokenExpired", "InvalidAccessKeyId", "InvalidStsToken"]
        .iter()
        .any(|name| code.starts_with(name))
}

fn kind(code: &str, status: u16) -> FaultKind {
    let begins = |names: &[&str]| names.iter().any(|name| code.starts_with(name));
    let contains = |names: &[&str]| names.iter().any(|name| code.contains(name));
    if begins(&["Throttling", "Rejected.Throttling", "RequestLimitExceeded", "TooManyRequests"]) {
        FaultKind::Throttled
    } else if begins(BUSY) || contains(&["Conflict", "InProgress"]) {
        FaultKind::Conflict
    } else if begins(WHO) {
        FaultKind::Denied
    } else if begins(&["InvalidAction", "InvalidVersion", "InvalidApi"]) {
        FaultKind::Invalid
    } else if contains(&["Quota", "LimitExceeded", "NoStock", "OutOfStock", "NotEnoughBalance"]) {
        FaultKind::Quota
    } else if contains(&["NotFound", "NotExist"]) {
        FaultKind::Missing
    // Each attempt has a nonce of its own: this one came twice, and the first of them may have been obeyed.
    } else if begins(UNWELL) || code == "SignatureNonceUsed" {
        FaultKind::Unreachable
    } else {
        bare(code.parse().unwrap_or(status))
    }
}

/// Something else is being done to the same thing (the official Terraform provider retries these).
const BUSY: &[&str] = &[
    "SystemBusy",
    "OperationBusy",
    "IdempotenceProcessing",
    "IncorrectStatus",
    "IncorrectBusinessStatus",
    "ResourceInConfiguring",
    "VipStatusNotSupport",
    "ServiceIsConfiguring",
    "ServiceIsStopping",
    "BackendServer.configuring",
    "RspoolVipExist",
    "IncorrectScalingGroupStatus",
];

const WHO: &[&str] = &[
    "Forbidden",
    "NoPermission",
    "AccessDenied",
    "NotAuthorized",
    "Unauthorized",
    "InvalidAccessKeyId",
    "InvalidSecurityToken",
    "InvalidStsToken",
    "SecurityTokenExpired",
    "MissingSecurityToken",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidTimeStamp",
    "AuthenticationFail",
];

const UNWELL: &[&str] = &["ServiceUnavailable", "InternalError", "InternalServerError", "ServiceTimeout"];

/// A number for a code: EDAS's own, or the status.
fn bare(number: u16) -> FaultKind {
    match number {
        401 | 403 => FaultKind::Denied,
        404 => FaultKind::Missing,
        409 => FaultKind::Conflict,
        429 => FaultKind::Throttled,
        400..=499 => FaultKind::Invalid,
        500..=599 => FaultKind::Unreachable,
        _ => FaultKind::Unexpected,
    }
}

/// The error with its causes, and without the address, in which a parameter may be nobody's business.
pub(super) fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_decides_and_a_status_only_where_the_code_says_nothing() {
        for (code, status, kind, ambiguous) in [
            ("Throttling.User", 400, FaultKind::Throttled, false),
            ("Throttling", 503, FaultKind::Throttled, false),
            ("Rejected.Throttling", 400, FaultKind::Throttled, false),
            ("SystemBusy", 400, FaultKind::Conflict, false),
            ("IncorrectStatus.ServerGroup", 409, FaultKind::Conflict, false),
            ("ResourceInConfiguring.Listener", 400, FaultKind::Conflict, false),
            ("IncorrectBusinessStatus.LoadBalancer", 400, FaultKind::Conflict, false),
            ("VipStatusNotSupport", 400, FaultKind::Conflict, false),
            ("OperationBusy", 400, FaultKind::Conflict, false),
            ("BackendServer.configuring", 400, FaultKind::Conflict, false),
            ("ScalingActivityInProgress", 400, FaultKind::Conflict, false),
            ("Forbidden.RAM", 403, FaultKind::Denied, false),
            ("NoPermission", 403, FaultKind::Denied, false),
            ("InvalidAccessKeyId.NotFound", 404, FaultKind::Denied, false),
            ("InvalidSecurityToken.Expired", 400, FaultKind::Denied, false),
            ("SignatureDoesNotMatch", 400, FaultKind::Denied, false),
            ("ResourceNotFound.ServerGroup", 404, FaultKind::Missing, false),
            ("The specified VServerGroupId does not exist", 400, FaultKind::Invalid, false),
            ("InvalidAction.NotFound", 404, FaultKind::Invalid, false),
            ("QuotaExceeded.ServerGroup", 400, FaultKind::Quota, false),
            ("OperationDenied.NoStock", 403, FaultKind::Quota, false),
            ("InvalidParameter", 400, FaultKind::Invalid, false),
            ("ServiceUnavailable", 503, FaultKind::Unreachable, true),
            ("InternalError", 500, FaultKind::Unreachable, true),
            ("SignatureNonceUsed", 400, FaultKind::Unreachable, true),
            ("Whatever", 502, FaultKind::Unreachable, true),
            ("Whatever", 400, FaultKind::Invalid, false),
            ("601", 200, FaultKind::Unexpected, false),
            ("404", 200, FaultKind::Missing, false),
            ("403", 200, FaultKind::Denied, false),
            ("500", 200, FaultKind::Unreachable, true),
            ("Whatever", 200, FaultKind::Unexpected, false),
        ] {
            let fault = coded("Do", code, "", status);
            assert_eq!((fault.kind, fault.ambiguous), (kind, ambiguous), "{code} with {status}");
        }
    }
}
