//! What an ARN says about what it names.

/// The name of a load balancer: `…:loadbalancer/app/NAME/ID`.
pub(super) fn balancer(arn: &str) -> &str {
    arn.split(":loadbalancer/").nth(1).and_then(|path| path.split('/').nth(1)).unwrap_or(arn)
}

/// Whether it is a Network Load Balancer's, which moves new connections and leaves those that are open.
pub(super) fn is_network(arn: &str) -> bool {
    arn.contains(":loadbalancer/net/")
}

/// The name of a target group: `…:targetgroup/NAME/ID`.
pub(super) fn target_group(arn: &str) -> &str {
    arn.split(":targetgroup/").nth(1).and_then(|path| path.split('/').next()).unwrap_or(arn)
}
