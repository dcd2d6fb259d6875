//! When a target is healthy: registered, used by a listener or rule, running, and passing its checks for long enough.

use serde_json::{Value, json};

use super::world::{Balancer, Instance, Target, TargetGroup, Verdict, World};

impl World {
    /// Every action that sends traffic on, with a name for the route.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &[Value])> {
        let listeners =
            self.listeners.iter().map(|listener| (listener.arn.as_str(), listener.actions.as_slice()));
        listeners.chain(self.rules.iter().map(|rule| (rule.arn.as_str(), rule.actions.as_slice())))
    }

    /// Whether a listener or rule names the group, at whatever weight.
    pub fn in_use(&self, group: &str) -> bool {
        self.routes().any(|(_, actions)| forwards(actions).iter().any(|(arn, _)| arn == group))
    }

    /// The load balancer of a group.
    pub fn balancer_of(&self, group: &str) -> Option<&Balancer> {
        let listener = self.listeners.iter().find(|listener| {
            let rules = self.rules.iter().filter(|rule| rule.listener == listener.arn);
            let actions = rules.map(|rule| &rule.actions).chain([&listener.actions]);
            actions.flat_map(|actions| forwards(actions)).any(|(arn, _)| arn == group)
        })?;
        self.balancers.iter().find(|balancer| balancer.arn == listener.balancer)
    }

    /// How many targets of the group get new requests and pass their checks.
    pub fn healthy(&self, group: &str) -> usize {
        let well = |target: &&Target| target.draining.is_none() && target.verdict == Verdict::Healthy;
        self.groups.get(group).map_or(0, |group| group.targets.iter().filter(well).count())
    }

    /// What `DescribeTargetHealth` says of a target.
    pub fn health_of(target: &Target) -> Value {
        if target.draining.is_some() {
            return health(
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            );
        }
        match target.verdict {
            Verdict::Healthy => json!({ "State": "healthy" }),
            Verdict::Initial => {
                health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            }
            Verdict::Unhealthy => health(
                "unhealthy",
                "Target.ResponseCodeMismatch",
                "Health checks failed with these codes: [500]",
            ),
            Verdict::Unused => health(
                "unused",
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
            Verdict::Invalid => {
                health("unused", "Target.InvalidState", "Target is in the stopped or terminated state")
            }
        }
    }

    /// Whether the checks of an instance pass in a group.
    fn passes(&self, group: &TargetGroup, instance: &Instance, port: u16) -> bool {
        let sick = self.sick.iter().any(|(name, what)| {
            (name == "*" || *name == group.name) && self.revisions(instance).any(|one| one == *what)
        });
        !sick && (!self.settings.security_groups || self.lets_in(group, instance, port))
    }

    /// Everything by which a test may name what runs on an instance.
    fn revisions(&self, instance: &Instance) -> impl Iterator<Item = String> {
        let template = instance.template.as_ref().and_then(|(id, version)| {
            let name = &self.templates.get(id)?.name;
            Some([format!("{name}:{version}"), version.to_string()])
        });
        let named = [Some(instance.id.clone()), Some(instance.image.clone()), instance.revision.clone()];
        named.into_iter().flatten().chain(template.into_iter().flatten())
    }

    fn lets_in(&self, group: &TargetGroup, instance: &Instance, port: u16) -> bool {
        let Some(balancer) = self.balancer_of(&group.arn) else { return false };
        let anywhere = |source: &str| source.contains('/');
        let from = |source: &String| anywhere(source) || balancer.security_groups.contains(source);
        instance
            .security_groups
            .iter()
            .filter_map(|id| self.security_groups.get(id))
            .flat_map(|found| &found.ingress)
            .any(|(source, low, high)| from(source) && (*low..=*high).contains(&port))
    }

    /// The instance of a target, which is named by its id or by its address.
    fn instance_of(&self, target: &str) -> Option<&Instance> {
        let by_address = || self.instances.values().find(|instance| instance.address() == target);
        self.instances.get(target).or_else(by_address)
    }

    /// Moves every target of every group on.
    pub fn settle_targets(&mut self) {
        let arns: Vec<String> = self.groups.keys().cloned().collect();
        for arn in arns {
            let used = self.in_use(&arn);
            let Some(group) = self.groups.get(&arn) else { continue };
            let delay = self.delay_of(group);
            let mut kept = Vec::new();
            for target in &group.targets {
                let gone = target.draining.is_some_and(|since| !used || self.now >= since + delay);
                if !gone {
                    kept.push(self.moved_on(group, target, used));
                }
            }
            if let Some(group) = self.groups.get_mut(&arn) {
                group.targets = kept;
            }
        }
    }

    /// The deregistration delay of a group, scaled.
    pub fn delay_of(&self, group: &TargetGroup) -> u64 {
        let seconds = group.attributes.get("deregistration_delay.timeout_seconds");
        self.scaled(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(300))
    }

    fn moved_on(&self, group: &TargetGroup, target: &Target, used: bool) -> Target {
        let mut next = target.clone();
        let instance = self.instance_of(&target.id);
        let running = instance.filter(|instance| instance.state == "running");
        let Some(instance) = running else {
            (next.verdict, next.turning) = (Verdict::Invalid, None);
            return next;
        };
        if !used {
            (next.verdict, next.turning) = (Verdict::Unused, None);
            return next;
        }
        let found =
            if self.passes(group, instance, target.port) { Verdict::Healthy } else { Verdict::Unhealthy };
        if matches!(next.verdict, Verdict::Unused | Verdict::Invalid) {
            (next.verdict, next.turning) = (Verdict::Initial, Some(self.now));
        } else if next.verdict == found {
            next.turning = None;
        } else {
            let since = *next.turning.get_or_insert(self.now);
            if self.now >= since + self.settings.health_after {
                (next.verdict, next.turning) = (found, None);
            }
        }
        next
    }
}

fn health(state: &str, reason: &str, description: &str) -> Value {
    json!({ "State": state, "Reason": reason, "Description": description })
}

/// The groups that actions forward to, with their weights; a group named without a weight has all of it.
pub fn forwards(actions: &[Value]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for action in actions {
        let config = action.get("ForwardConfig").and_then(|config| config.get("TargetGroups"));
        match (config.and_then(Value::as_array), action.get("TargetGroupArn").and_then(Value::as_str)) {
            (Some(groups), _) => found.extend(groups.iter().filter_map(weighted)),
            (None, Some(arn)) => found.push((arn.to_owned(), 1)),
            (None, None) => {}
        }
    }
    found
}

fn weighted(group: &Value) -> Option<(String, u64)> {
    let arn = group.get("TargetGroupArn")?.as_str()?.to_owned();
    let weight = group.get("Weight").map_or(Some(1), |weight| match weight {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    });
    Some((arn, weight.unwrap_or(1)))
}
