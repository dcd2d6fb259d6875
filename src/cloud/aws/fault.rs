//! Errors of the AWS SDK → [`Fault`].

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use crate::cloud::{Fault, FaultKind};

/// One failed call in the port's shape. Anything that may have reached AWS without a readable answer is ambiguous.
pub(super) fn of<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let request_id = error.raw_response().and_then(request_id);
    let raw = error.raw_response().and_then(|raw| Some((raw.status().as_u16(), raw.body().bytes()?)));
    if let Some(fault) = raw.and_then(|(status, body)| not_spoken(action, status, body)) {
        return Fault { request_id, ..fault };
    }
    let fault = match error {
        SdkError::ConstructionFailure(_) => Fault::new(FaultKind::Invalid, action, chain(error)),
        SdkError::DispatchFailure(failure) => {
            // Credentials are looked up on the way to a call, and a name that cannot be resolved was never called.
            let unsent = failure.is_user() || failure.as_connector_error().is_none();
            let kind = if unsent { FaultKind::Denied } else { FaultKind::Unreachable };
            let fault = Fault::new(kind, action, chain(error));
            if unsent { fault } else { fault.ambiguous() }
        }
        SdkError::ServiceError(answer) => served(action, answer.err().meta(), answer.raw().status().as_u16()),
        // A time-out, or an answer that cannot be read.
        _ => Fault::new(FaultKind::Unreachable, action, chain(error)).ambiguous(),
    };
    Fault { request_id, ..fault }
}

/// An answer that says no.
fn served(action: &str, meta: &ErrorMetadata, status: u16) -> Fault {
    let code = meta.code().unwrap_or("an error without a code");
    coded(action, code, meta.message().unwrap_or("no reason given"), status)
}

/// The answer of an endpoint that does not know the operation: some emulators and proxies say so with a page for people.
/// To ask again would get the same page. A gateway's 502, 503 and 504 are pages as well, and they pass.
pub(super) fn not_spoken(action: &str, status: u16, body: &[u8]) -> Option<Fault> {
    let begins = body.trim_ascii_start();
    let page =
        begins.starts_with(b"<!") || begins.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<html"));
    if status != 501 && !(status == 500 && page) {
        return None;
    }
    let message = format!(
        "the endpoint does not speak this operation (HTTP {status}): it is not AWS's, or not all of it"
    );
    let fault = Fault::new(FaultKind::Unexpected, action, message);
    // A server that broke down in the middle may have done its work.
    Some(if status == 501 { fault } else { fault.ambiguous() })
}

/// By code, as AWS spells it on the wire; the status only where the code says nothing.
pub(super) fn coded(action: &str, code: &str, message: &str, status: u16) -> Fault {
    let bare = code.strip_suffix("Exception").unwrap_or(code);
    let fault = Fault::new(kind(bare, message, status), action, format!("{code}: {message}"));
    // Whether a server that broke down had done its work before is not known.
    if status >= 500 && fault.kind == FaultKind::Unreachable { fault.ambiguous() } else { fault }
}

fn kind(code: &str, message: &str, status: u16) -> FaultKind {
    match code {
        "Throttling"
        | "Throttled"
        | "RequestThrottled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "EC2Throttled"
        | "BandwidthLimitExceeded" => FaultKind::Throttled,
        "ResourceContention"
        | "ResourceContentionFault"
        | "ScalingActivityInProgress"
        | "ScalingActivityInProgressFault"
        | "InstanceRefreshInProgress"
        | "InstanceRefreshInProgressFault"
        | "ResourceInUse"
        | "ResourceInUseFault"
        | "PriorRequestNotComplete"
        | "DeploymentLimitExceeded" => FaultKind::Conflict,
        "AccessDenied"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "RequestExpired" => FaultKind::Denied,
        "TargetGroupNotFound"
        | "ListenerNotFound"
        | "RuleNotFound"
        | "LoadBalancerNotFound"
        | "DeploymentDoesNotExist"
        | "DeploymentGroupDoesNotExist"
        | "ApplicationDoesNotExist"
        | "InvalidLaunchTemplateId.NotFound"
        | "InvalidLaunchTemplateId.VersionNotFound"
        | "InvalidInstanceID.NotFound"
        | "ResourceNotFound"
        | "NoSuchEntity" => FaultKind::Missing,
        "LimitExceeded"
        | "LimitExceededFault"
        | "TooManyTargets"
        | "TooManyTargetGroups"
        | "TooManyActions"
        | "TooManyRegistrationsForTargetId"
        | "TooManyUniqueTargetGroupsPerLoadBalancer"
        | "InsufficientInstanceCapacity"
        | "InstanceLimitExceeded"
        | "VcpuLimitExceeded" => FaultKind::Quota,
        // Auto Scaling has no code of its own for what does not exist.
        "ValidationError" if message.contains("not found") || message.contains("does not exist") => {
            FaultKind::Missing
        }
        "ValidationError" if message.contains("pending update") || message.contains("is pending delete") => {
            FaultKind::Conflict
        }
        "HealthUnavailable" | "InternalFailure" | "InternalError" | "ServiceUnavailable" => {
            FaultKind::Unreachable
        }
        _ if status >= 500 => FaultKind::Unreachable,
        _ if status == 403 => FaultKind::Denied,
        _ if (400..500).contains(&status) => FaultKind::Invalid,
        _ => FaultKind::Unexpected,
    }
}

fn request_id(response: &HttpResponse) -> Option<String> {
    let header = |name| response.headers().get(name).map(str::to_owned);
    header("x-amzn-requestid").or_else(|| header("x-amz-request-id"))
}

/// The error with its causes: the SDK's own text stops at "dispatch failure".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
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
    fn a_page_for_people_is_an_endpoint_that_does_not_know_the_operation() {
        let kind = |status, body: &str| {
            not_spoken("Do", status, body.as_bytes()).map(|fault| (fault.kind.retryable(), fault.ambiguous))
        };
        assert_eq!(kind(501, ""), Some((false, false)));
        assert_eq!(kind(500, "\n<!DOCTYPE html><title>500</title>"), Some((false, true)));
        assert_eq!(kind(500, "<HTML>"), Some((false, true)));
        for (status, body) in
            [(500, "<ErrorResponse>"), (500, ""), (503, "<html>"), (502, "<html>"), (400, "<html>")]
        {
            assert_eq!(kind(status, body), None, "{status} {body}");
        }
    }

    #[test]
    fn a_code_decides_and_a_status_only_where_the_code_says_nothing() {
        for (code, message, status, kind, ambiguous) in [
            ("Throttling", "Rate exceeded", 400, FaultKind::Throttled, false),
            ("ThrottlingException", "Rate exceeded", 400, FaultKind::Throttled, false),
            ("ResourceContention", "pending update", 500, FaultKind::Conflict, false),
            ("AccessDenied", "not authorized", 403, FaultKind::Denied, false),
            ("TargetGroupNotFound", "", 400, FaultKind::Missing, false),
            ("ValidationError", "AutoScalingGroup name not found - x", 400, FaultKind::Missing, false),
            ("ValidationError", "weight", 400, FaultKind::Invalid, false),
            ("HealthUnavailable", "", 500, FaultKind::Unreachable, true),
            ("Whatever", "", 503, FaultKind::Unreachable, true),
            ("Whatever", "", 400, FaultKind::Invalid, false),
        ] {
            let fault = coded("Do", code, message, status);
            assert_eq!((fault.kind, fault.ambiguous), (kind, ambiguous), "{code}");
        }
    }
}
