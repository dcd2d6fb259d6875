//! How many calls AWS takes, and how its protocols refuse what they do not take.

use std::collections::BTreeMap;

use super::service::ApiError;
use super::world::{Bucket, Buckets, Ms};

/// The buckets as they stand.
#[derive(Debug, Default)]
pub struct Limits {
    levels: BTreeMap<&'static str, (f64, Ms)>,
}

impl Limits {
    /// Whether a call finds its bucket empty.
    pub fn reached(&mut self, buckets: &Buckets, service: &str, action: &str, now: Ms) -> bool {
        let reads = action.starts_with("Describe");
        let (name, bucket): (&'static str, Bucket) = match service {
            "elasticloadbalancing" if reads => ("elb reads", buckets.elb_reads),
            "elasticloadbalancing" => ("elb writes", buckets.elb_writes),
            "autoscaling" => ("autoscaling", buckets.autoscaling),
            "ec2" => ("ec2", buckets.ec2),
            "codedeploy" => ("codedeploy", buckets.codedeploy),
            _ => return false,
        };
        let (level, at) = self.levels.entry(name).or_insert((bucket.burst, now));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one test")]
        let gained = (now - *at) as f64 / 1000.0 * bucket.per_second;
        *level = (*level + gained).min(bucket.burst);
        *at = now;
        let empty = *level < 1.0;
        if !empty {
            *level -= 1.0;
        }
        empty
    }
}

/// How each protocol says that there were too many calls.
pub fn throttled(service: &str) -> ApiError {
    match service {
        "ec2" => ApiError::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        "codedeploy" => ApiError::new("ThrottlingException", "Rate exceeded"),
        _ => ApiError::new("Throttling", "Rate exceeded"),
    }
}

/// How each protocol says that something is not permitted.
pub fn denied(service: &str, action: &str) -> ApiError {
    let text = format!("User is not authorized to perform: {service}:{action}");
    match service {
        "ec2" => ApiError::new("UnauthorizedOperation", text).status(403),
        "codedeploy" => ApiError::new("AccessDeniedException", text),
        _ => ApiError::new("AccessDenied", text).status(403),
    }
}

/// How each protocol says that it failed by itself.
pub fn failed(service: &str, status: u16) -> ApiError {
    let code = match (service, status) {
        ("ec2", 503) => "Unavailable",
        ("ec2", _) => "InternalError",
        (_, 503) => "ServiceUnavailable",
        _ => "InternalFailure",
    };
    ApiError::new(code, "The request failed because of an unknown error").status(status)
}
