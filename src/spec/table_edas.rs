//! The keys of a service on Alibaba Cloud.

use super::table::{Names, Need, Place, Shape, key};
use crate::model::Span;

pub(super) static EDAS: Place = Place {
    doc: "The service as applications of EDAS behind load balancers, in one region of one account.",
    keys: &[&[
        key(
            "account",
            Shape::Digits(16),
            Need::Required,
            "The account's uid. Credentials of any other account are refused before the first call.",
        ),
        key("region", Shape::Slug, Need::Required, "The region, such as cn-hongkong."),
        key(
            "application",
            Shape::Label,
            Need::Optional,
            "For `fleets.pair`, which needs it: the id of the EDAS application.",
        ),
        key("fleets", Shape::Place(&FLEETS), Need::Required, "How a fleet comes into being."),
        key(
            "hosts",
            Shape::Place(&HOSTS),
            Need::Optional,
            "For `fleets.pair`, which needs it: where green's instances come from, exactly one.",
        ),
        key(
            "package",
            Shape::Label,
            Need::Optional,
            "For `fleets.pair`, which needs it: the URL of a revision's package, JAR or WAR, with `{revision}` where the revision stands.",
        ),
        key(
            "port",
            Shape::Count { least: 1, most: 65_535 },
            Need::Required,
            "The port on which an instance, or a pod, serves, where a group says nothing else.",
        ),
        key(
            "call_timeout",
            Shape::Span { least: Span(10) },
            Need::Default("10s"),
            "How long one call may take; a change of several calls may take three times as long. Whoever takes over from a driver that was cut off in a change waits four times as long.",
        ),
        key(
            "pace",
            Shape::Span { least: Span(10) },
            Need::Default("5s"),
            "The shortest time between two looks while something is expected. EDAS takes 100 questions a minute about change orders, from all rollouts of the account together.",
        ),
        key(
            "groups",
            Shape::Named { place: &GROUP, names: Names::Label, least: 1, most: 256 },
            Need::Required,
            "Every target group that the service must be reachable through.",
        ),
    ]],
    either: &[],
};

static FLEETS: Place = Place {
    doc: "How a fleet comes into being: exactly one.",
    keys: &[&[
        key(
            "pair",
            Shape::Pair,
            Need::Optional,
            "The names of two deploy groups that alternate; the one that carries nothing is green, and is emptied again, never deleted. `_DEFAULT_GROUP` may be one of them.",
        ),
        key(
            "kubernetes",
            Shape::Place(&KUBERNETES),
            Need::Optional,
            "Two applications of EDAS on Kubernetes that alternate; the one that carries nothing is green, and is scaled to nothing again, never deleted. Every target group needs `alb_twins`, `nlb_twins` or `clb_twins` then.",
        ),
    ]],
    either: &[&["pair"], &["kubernetes"]],
};

pub(super) static KUBERNETES: Place = Place {
    doc: "Two applications of EDAS on Kubernetes.",
    keys: &[&[
        key(
            "applications",
            Shape::Pair,
            Need::Required,
            "Their names, or their ids. The first of the two twins of every target group is the first one's, the second the second one's: the cluster has to keep their pods in them.",
        ),
        key(
            "image",
            Shape::Label,
            Need::Required,
            "The image of a revision, with `{revision}` where the revision stands, such as the tag.",
        ),
        key(
            "nodes_serve_others",
            Shape::Flag,
            Need::Default("false"),
            "Whether no port of a node leads to the applications. Otherwise a server group that holds nodes which their pods are on refuses, for nobody can tell whom it serves.",
        ),
    ]],
    either: &[],
};

static HOSTS: Place = Place {
    doc: "Where green's instances come from: exactly one.",
    keys: &[&[
        key(
            "idle",
            Shape::Choice(&["cluster"]),
            Need::Optional,
            "Instances of the application's cluster that run nothing. They stay in the cluster when the fleet goes.",
        ),
        key(
            "template",
            Shape::Label,
            Need::Optional,
            "The id of an ECS launch template: new instances, which are released when the fleet goes.",
        ),
        key(
            "template_version",
            Shape::Count { least: 1, most: 1_000_000 },
            Need::Optional,
            "For `template`: the number of its version. Its default version otherwise.",
        ),
    ]],
    either: &[&["idle"], &["template"]],
};

static GROUP: Place = Place {
    doc: "One target group: a server group in which both fleets stand, or two that share a route.",
    keys: &[&[
        key(
            "alb_twins",
            Shape::Pair,
            Need::Optional,
            "The ids of two ALB server groups behind the same listeners and rules, one for each fleet. Rules share by weight; a listener's default action can only be switched whole.",
        ),
        key(
            "alb",
            Shape::Label,
            Need::Optional,
            "The id of an ALB server group in which both fleets stand: registering green is already a share of its traffic.",
        ),
        key("nlb", Shape::Label, Need::Optional, "The id of an NLB server group in which both fleets stand."),
        key("clb", Shape::Label, Need::Optional, "The id of a CLB vServer group in which both fleets stand."),
        key(
            "nlb_twins",
            Shape::Pair,
            Need::Optional,
            "The ids of two NLB server groups behind the same listeners, one for each fleet. A listener has one of them: it is switched whole.",
        ),
        key(
            "clb_twins",
            Shape::Pair,
            Need::Optional,
            "The ids of two vServer groups of a CLB behind the same listeners and rules, one for each fleet. Each of them has one: it is switched whole.",
        ),
        key(
            "unproved",
            Shape::Choice(&["accept"]),
            Need::Optional,
            "For `nlb_twins` and `clb_twins`: that green takes everything before its health is known. Nobody checks the one that carries nothing.",
        ),
        key(
            "whole",
            Shape::Choice(&["accept"]),
            Need::Optional,
            "For whatever takes no steps: that it is switched whole at the last step, whatever shares the strategy names before. With `alb`, `nlb` and `clb` green has a part of the traffic as soon as it joins. Not with `by: weights`, which takes every step.",
        ),
        key(
            "by",
            Shape::Choice(&["membership", "weights"]),
            Need::Optional,
            "For `alb`, `nlb` and `clb`: what makes green's share. `membership`, as without this: green joins, and blue leaves at the last step. `weights`: any step, by the weights of the servers; green enters with 1 each, and blue gets its own weights back.",
        ),
        key(
            "port",
            Shape::Count { least: 1, most: 65_535 },
            Need::Optional,
            "The port on which an instance, or a pod, serves this group.",
        ),
    ]],
    either: &[&["alb_twins"], &["alb"], &["nlb"], &["clb"], &["nlb_twins"], &["clb_twins"]],
};
