//! Answers whose list the SDK would make up.
//!
//! Where its model calls a list required, the SDK fills in an empty one for an answer without it (`correct_errors` in
//! aws-sdk-autoscaling 1.141), and nobody behind it could tell "none" from "not said". So it is looked for before.

use aws_sdk_autoscaling::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_autoscaling::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_autoscaling::error::BoxError;

/// The lists, each with the operation whose answer has to have it.
const LISTS: [(&str, &str); 2] = [
    ("<DescribeAutoScalingGroupsResult", "<AutoScalingGroups"),
    ("<DescribeNotificationConfigurationsResult", "<NotificationConfigurations"),
];

/// Fails a call of Auto Scaling whose answer lacks its list.
#[derive(Debug)]
pub(super) struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        match lacking(body.unwrap_or_default()) {
            Some(list) => Err(format!("an answer without the list that was asked for ({list}>)").into()),
            None => Ok(()),
        }
    }
}

fn lacking(body: &str) -> Option<&'static str> {
    let of = |(result, list): &(&str, &'static str)| {
        (body.contains(result) && !body.contains(list)).then_some(*list)
    };
    LISTS.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_there_and_a_missing_one_is_not() {
        let answer = |inner: &str| {
            format!(
                "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult>{inner}</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
            )
        };
        assert_eq!(lacking(&answer("<AutoScalingGroups/>")), None);
        assert_eq!(lacking(&answer("<AutoScalingGroups></AutoScalingGroups>")), None);
        assert_eq!(lacking(&answer("")), Some("<AutoScalingGroups"));
        assert_eq!(lacking("<ErrorResponse/>"), None);
    }
}
