//! Listeners and rules: which server groups they send traffic to, with which weights.

use std::fmt;

use serde_json::{Value, json};

use super::api::{alb, nlb, pool};
use crate::model::Share;

/// Requests with this header, and a server group's id in it, are sent to that group: a group that carries nothing is
/// checked by that, and can be tried.
pub(super) const PREVIEW: &str = "x-deployer-preview";

/// A CLB sends by domain and path: requests for `PORT.ID` under this domain, which nobody can have, go to the vServer group
/// of that id. That a CLB takes such a domain, and says of the health of who stands behind it, is unverified: where it does
/// not, green is never proved, and nothing is switched.
const PREVIEW_DOMAIN: &str = ".deployer-preview.invalid";

/// The domain under which a vServer group is checked by the listener of a port.
pub(super) fn preview_domain(port: u32, group: &str) -> String {
    format!("{port}.{group}{PREVIEW_DOMAIN}")
}

/// The port of the listener, where a domain is one of ours.
pub(super) fn preview_port(domain: Option<&str>) -> Option<u32> {
    domain?.strip_suffix(PREVIEW_DOMAIN)?.split('.').next()?.parse().ok()
}

/// One place that sends traffic on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    /// Where it is changed.
    pub place: Place,
    /// Its listener, for questions about health.
    pub listener: String,
    /// How people name it: `listener alb-1:443 rule 20`.
    pub name: String,
    /// Whether nobody is changing it now.
    pub settled: bool,
    /// Whether it takes only those who ask for it by name: nobody's traffic.
    pub preview: bool,
    /// The server groups with their weights; none where it does not say them.
    pub tuples: Vec<(String, Option<u32>)>,
    /// All that a rule does, as ALB says it: a change replaces all of it.
    pub actions: Vec<Value>,
    /// Where among its listener's rules it stands.
    pub priority: u32,
}

/// Where a route is changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The default action of an ALB's listener: it has one group, and no weights.
    Default(String),
    /// A rule of an ALB's listener.
    Rule(String),
    /// A listener of an NLB: it has one group.
    Network(String),
    /// A listener of a CLB, by its [`Frontend`]: it has one group.
    Classic {
        /// The balancer.
        balancer: String,
        /// Its port.
        port: u32,
        /// `tcp`, `udp`, `http` or `https`.
        protocol: String,
    },
    /// A forwarding rule of a CLB: it has one group.
    ClassicRule(String),
}

/// Where a listener of a CLB is reached. One of UDP may have the port of another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frontend {
    /// Its port.
    pub port: u32,
    /// `tcp`, `udp`, `http` or `https`; nothing where that is not known.
    pub protocol: String,
}

impl Frontend {
    /// As an answer says it.
    pub fn new(port: u32, protocol: Option<&str>) -> Self {
        Self { port, protocol: protocol.unwrap_or_default().to_ascii_lowercase() }
    }

    /// Whether both may be the same listener.
    pub fn may_be(&self, other: &Self) -> bool {
        let said = !self.protocol.is_empty() && !other.protocol.is_empty();
        self.port == other.port && (self.protocol == other.protocol || !said)
    }

    /// Whether it takes requests, and not connections or packets.
    pub fn takes_requests(&self) -> bool {
        self.protocol.starts_with("http")
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, protocol } = self;
        if protocol == "udp" { write!(f, "{port}/{protocol}") } else { write!(f, "{port}") }
    }
}

impl Route {
    /// The default action of a listener of an ALB.
    pub fn of_listener(listener: &alb::Listener) -> Self {
        let busy = ["Configuring", "Provisioning"];
        Self {
            place: Place::Default(listener.listener_id.clone()),
            listener: listener.listener_id.clone(),
            name: title(listener.load_balancer_id.as_deref(), listener.listener_port),
            settled: listener.listener_status.as_deref().is_some_and(|status| !busy.contains(&status)),
            preview: false,
            tuples: tuples(&listener.default_actions),
            actions: listener.default_actions.clone(),
            priority: u32::MAX,
        }
    }

    /// A rule of a listener of an ALB.
    pub fn of_rule(listener: Option<&alb::Listener>, rule: &alb::Rule) -> Self {
        let title = listener.map_or_else(
            || rule.listener_id.clone(),
            |own| title(own.load_balancer_id.as_deref(), own.listener_port),
        );
        let priority = rule.priority.map_or_else(|| "?".to_owned(), |priority| priority.to_string());
        Self {
            place: Place::Rule(rule.rule_id.clone()),
            listener: rule.listener_id.clone(),
            name: format!("{title} rule {priority}"),
            settled: rule.rule_status.as_deref() == Some("Available"),
            preview: rule.rule_conditions.iter().any(is_preview),
            tuples: tuples(&rule.rule_actions),
            actions: rule.rule_actions.clone(),
            priority: rule.priority.unwrap_or(0),
        }
    }

    /// A listener of an NLB.
    pub fn of_network(listener: &nlb::Listener) -> Self {
        let group = listener.server_group_id.clone().filter(|id| !id.is_empty());
        let name = title(listener.load_balancer_id.as_deref(), listener.listener_port);
        let busy = ["Configuring", "Provisioning"];
        let settled = !listener.listener_status.as_deref().is_some_and(|status| busy.contains(&status));
        let id = &listener.listener_id;
        Self { settled, ..Self::whole(Place::Network(id.clone()), id, name, group) }
    }

    /// A listener or rule that sends everything to one group.
    pub fn whole(place: Place, listener: &str, name: String, group: Option<String>) -> Self {
        Self {
            place,
            listener: listener.to_owned(),
            name,
            settled: true,
            preview: false,
            tuples: group.into_iter().map(|group| (group, Some(1))).collect(),
            actions: Vec::new(),
            priority: 0,
        }
    }

    /// Whether it takes requests, of which some can be sent to a group by name: on a CLB's listener of connections none can.
    pub fn takes_requests(&self) -> bool {
        match &self.place {
            Place::Default(_) | Place::Rule(_) | Place::ClassicRule(_) => true,
            Place::Classic { protocol, .. } => protocol.to_ascii_lowercase().starts_with("http"),
            Place::Network(_) => false,
        }
    }

    /// Whether the server group stands in it, with whatever weight.
    pub fn names(&self, group: &str) -> bool {
        self.tuples.iter().any(|(id, _)| id == group)
    }

    /// How much of what it sends on goes to the server group. Never said to be nothing, or everything, unless it is; not
    /// said at all of several groups without weights.
    pub fn share(&self, group: &str) -> Option<Share> {
        if let [(only, _)] = self.tuples.as_slice() {
            return Some(if only == group { Share::ALL } else { Share::NONE });
        }
        let sum = |mine: bool| -> Option<u64> {
            let these = self.tuples.iter().filter(|(id, _)| (id == group) == mine);
            these.map(|(_, weight)| weight.map(u64::from)).sum()
        };
        let (own, others) = (sum(true)?, sum(false)?);
        let percent = match (own, others) {
            (0, _) => 0,
            (_, 0) => 100,
            _ => (own * 100 / (own + others)).clamp(1, 99),
        };
        Share::new(percent).ok()
    }

    /// Server groups beside the twins that it sends traffic to.
    pub fn beside(&self, twins: [&str; 2]) -> Vec<&str> {
        let others =
            self.tuples.iter().filter(|(id, weight)| !twins.contains(&id.as_str()) && *weight != Some(0));
        others.map(|(id, _)| id.as_str()).collect()
    }

    /// The same actions with the twins' weights set to `share` for the first and the rest for the second. A twin that was
    /// not there joins the action of the other. Nothing else of it changes.
    pub fn shifted(&self, twins: [&str; 2], share: Share) -> Vec<Value> {
        let actions = self.actions.iter().map(|action| {
            let all = of_action(action);
            if !all.iter().any(|(id, _)| twins.contains(&id.as_str())) {
                return action.clone();
            }
            let ours = [(twins[0], share), (twins[1], share.rest())];
            let ours = ours.into_iter().map(|(id, share)| tuple(id, u32::from(share.percent())));
            let others = all.iter().filter(|(id, _)| !twins.contains(&id.as_str()));
            let others = others.map(|(id, weight)| tuple(id, weight.unwrap_or(0)));
            let mut action = action.clone();
            action["ForwardGroupConfig"]["ServerGroupTuples"] = Value::Array(ours.chain(others).collect());
            action
        });
        actions.collect()
    }
}

fn tuple(id: &str, weight: u32) -> Value {
    json!({ "ServerGroupId": id, "Weight": weight })
}

fn tuples(actions: &[Value]) -> Vec<(String, Option<u32>)> {
    actions.iter().flat_map(of_action).collect()
}

fn of_action(action: &Value) -> Vec<(String, Option<u32>)> {
    let listed = action.pointer("/ForwardGroupConfig/ServerGroupTuples").and_then(Value::as_array);
    let one = |tuple: &Value| {
        let weight = pool::number(&tuple["Weight"]).ok().flatten();
        Some((tuple["ServerGroupId"].as_str()?.to_owned(), weight))
    };
    listed.into_iter().flatten().filter_map(one).collect()
}

fn is_preview(condition: &Value) -> bool {
    condition
        .pointer("/HeaderConfig/Key")
        .and_then(Value::as_str)
        .is_some_and(|key| key.eq_ignore_ascii_case(PREVIEW))
}

/// How people name a listener.
pub(super) fn title(balancer: Option<&str>, port: Option<impl fmt::Display>) -> String {
    let port = port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    format!("listener {}:{port}", balancer.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(tuples: &Value, status: &str) -> Route {
        let forward = json!({ "Type": "ForwardGroup", "Order": 2, "ForwardGroupConfig": { "ServerGroupTuples": tuples,
            "ServerGroupStickySession": { "Enabled": true, "Timeout": 20 } } });
        let header =
            json!({ "Type": "InsertHeader", "Order": 1, "InsertHeaderConfig": { "Key": "x", "Value": "y" } });
        let rule = json!({ "RuleId": "rule-1", "ListenerId": "lsn-1", "Priority": 7, "RuleStatus": status,
            "RuleActions": [header, forward] });
        Route::of_rule(None, &serde_json::from_value(rule).unwrap())
    }

    fn share(percent: u64) -> Option<Share> {
        Share::new(percent).ok()
    }

    #[test]
    fn the_share_of_a_rule_is_never_nothing_or_everything_unless_it_is() {
        let two = |one, other| {
            let tuples =
                json!([{ "ServerGroupId": "a", "Weight": one }, { "ServerGroupId": "b", "Weight": other }]);
            rule(&tuples, "Available")
        };
        assert_eq!(two(0, 100).share("a"), share(0));
        assert_eq!((two(1, 999).share("a"), two(999, 1).share("a")), (share(1), share(99)));
        assert_eq!(two(30, 70).share("b"), share(70));
        assert_eq!(rule(&json!([{ "ServerGroupId": "a" }]), "Available").share("a"), share(100));
        let unsaid = json!([{ "ServerGroupId": "a" }, { "ServerGroupId": "b" }]);
        assert_eq!(rule(&unsaid, "Available").share("a"), None);
    }

    #[test]
    fn a_shift_changes_the_twins_weights_and_nothing_else() {
        let before = rule(
            &json!([{ "ServerGroupId": "a", "Weight": 100 }, { "ServerGroupId": "c", "Weight": 0 }]),
            "Available",
        );
        let actions = before.shifted(["b", "a"], Share::new(10).unwrap());
        assert_eq!(actions[0], before.actions[0]);
        assert_eq!(
            actions[1]["ForwardGroupConfig"]["ServerGroupTuples"],
            json!([{ "ServerGroupId": "b", "Weight": 10 }, { "ServerGroupId": "a", "Weight": 90 },
                { "ServerGroupId": "c", "Weight": 0 }])
        );
        assert_eq!(actions[1]["ForwardGroupConfig"]["ServerGroupStickySession"]["Timeout"], 20);
    }

    #[test]
    fn a_rule_that_is_being_changed_is_not_settled() {
        let tuples = json!([{ "ServerGroupId": "a", "Weight": 100 }]);
        assert!(rule(&tuples, "Available").settled);
        assert!(!rule(&tuples, "Configuring").settled && !rule(&tuples, "Provisioning").settled);
    }
}
