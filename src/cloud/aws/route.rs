//! Listeners and rules: which target groups they forward to, with which weights.

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, Listener, Rule, TargetGroupStickinessConfig,
    TargetGroupTuple,
};

use super::arn;
use crate::model::Share;

/// One place that forwards: a listener's default action, or a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// Where it is changed.
    pub place: Place,
    /// How people name it: `listener internal:8443 rule 20`.
    pub name: String,
    /// The whole list of actions: a change replaces all of it, the login actions too.
    pub actions: Vec<Action>,
}

/// Where a route is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// By `ModifyListener`.
    Listener(String),
    /// By `ModifyRule`.
    Rule(String),
}

impl Route {
    /// The default action of a listener.
    pub fn of_listener(listener: &Listener) -> Option<Self> {
        let arn = listener.listener_arn()?;
        Some(Self {
            place: Place::Listener(arn.to_owned()),
            name: title(listener),
            actions: listener.default_actions().to_vec(),
        })
    }

    /// A rule. The default one mirrors its listener, and cannot be changed by itself.
    pub fn of_rule(listener: &Listener, rule: &Rule) -> Option<Self> {
        if rule.is_default().unwrap_or(false) {
            return None;
        }
        Some(Self {
            place: Place::Rule(rule.rule_arn()?.to_owned()),
            name: format!("{} rule {}", title(listener), rule.priority().unwrap_or("?")),
            actions: rule.actions().to_vec(),
        })
    }

    /// The target groups that it forwards to, with their weights. One that stands alone has everything.
    pub fn weights(&self) -> Vec<(&str, i32)> {
        self.actions.iter().flat_map(weights).collect()
    }

    /// Whether the target group stands in it, with whatever weight.
    pub fn names(&self, group: &str) -> bool {
        self.weights().iter().any(|(arn, _)| *arn == group)
    }

    /// How much of what it forwards goes to the target group. Never said to be nothing, or everything, unless it is.
    pub fn share(&self, group: &str) -> Share {
        let weights = self.weights();
        let sum = |mine: bool| -> i64 {
            let these = weights.iter().filter(|(arn, _)| (*arn == group) == mine);
            these.map(|(_, weight)| i64::from((*weight).max(0))).sum()
        };
        let (own, others) = (sum(true), sum(false));
        let percent = match (own, others) {
            (0, _) => 0,
            (_, 0) => 100,
            _ => (own * 100 / (own + others)).clamp(1, 99),
        };
        u64::try_from(percent).ok().and_then(|percent| Share::new(percent).ok()).unwrap_or_default()
    }

    /// The same actions with the twins' weights set to `share` for the first and the rest for the second. A twin that was
    /// not there joins the action of the other. Nothing else of it changes.
    pub fn shifted(&self, twins: [&str; 2], share: Share) -> Vec<Action> {
        let actions = self.actions.iter().map(|action| {
            let ours = weights(action).iter().any(|(arn, _)| twins.contains(arn));
            if ours { forward(action, twins, share) } else { written_again(action) }
        });
        actions.collect()
    }

    /// Target groups beside the twins that the same actions send traffic to.
    pub fn beside(&self, twins: [&str; 2]) -> Vec<&str> {
        let ours =
            self.actions.iter().map(weights).filter(|all| all.iter().any(|(arn, _)| twins.contains(arn)));
        ours.flatten()
            .filter(|(arn, weight)| !twins.contains(arn) && *weight > 0)
            .map(|(arn, _)| arn)
            .collect()
    }

    /// Whether a client is kept on the target group that it got first.
    pub fn sticky(&self) -> bool {
        self.actions.iter().filter_map(Action::forward_config).any(|forward| {
            forward
                .target_group_stickiness_config()
                .and_then(TargetGroupStickinessConfig::enabled)
                .unwrap_or(false)
        })
    }
}

/// `DescribeListeners` gives both the single group and the list where there is one group, and the list alone where there are
/// several: so the list first.
fn weights(action: &Action) -> Vec<(&str, i32)> {
    if action.r#type() != Some(&ActionTypeEnum::Forward) {
        return Vec::new();
    }
    let listed = action.forward_config().map(ForwardActionConfig::target_groups).unwrap_or_default();
    if listed.is_empty() {
        return action.target_group_arn().map(|arn| (arn, 1)).into_iter().collect();
    }
    listed.iter().filter_map(|group| Some((group.target_group_arn()?, group.weight().unwrap_or(1)))).collect()
}

/// An action as it may be given back. AWS never tells a client secret, and refuses a login without one unless it is told
/// to keep the one it has (ELBv2 API reference, `AuthenticateOidcActionConfig`).
fn written_again(action: &Action) -> Action {
    let mut action = action.clone();
    if let Some(login) =
        action.authenticate_oidc_config.as_mut().filter(|login| login.client_secret.is_none())
    {
        login.use_existing_client_secret = Some(true);
    }
    action
}

fn forward(action: &Action, [to, from]: [&str; 2], share: Share) -> Action {
    let others = weights(action).into_iter().filter(|(arn, _)| *arn != to && *arn != from);
    let kept: Vec<_> = others.map(|(arn, weight)| tuple(arn, weight)).collect();
    let ours = [(to, share), (from, share.rest())];
    let ours = ours.into_iter().map(|(arn, share)| tuple(arn, i32::from(share.percent())));
    let stickiness = action.forward_config().and_then(|config| config.target_group_stickiness_config.clone());
    let config = ForwardActionConfig::builder()
        .set_target_groups(Some(ours.chain(kept).collect()))
        .set_target_group_stickiness_config(stickiness)
        .build();
    // With several groups only the list may be given; the single group beside it would have to be the same.
    let mut action = action.clone();
    (action.target_group_arn, action.forward_config) = (None, Some(config));
    action
}

fn tuple(arn: &str, weight: i32) -> TargetGroupTuple {
    TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build()
}

fn title(listener: &Listener) -> String {
    let balancer = listener.load_balancer_arn().map_or("?", arn::balancer);
    let port = listener.port().map_or_else(|| "?".to_owned(), |port| port.to_string());
    format!("listener {balancer}:{port}")
}
