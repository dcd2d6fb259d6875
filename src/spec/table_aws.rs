//! The keys of a service on AWS.

use super::table::{Names, Need, Place, Shape, key};
use crate::model::Span;

pub(super) static AWS: Place = Place {
    doc: "The service as Auto Scaling groups behind load balancers, in one region of one account.",
    keys: &[&[
        key(
            "account",
            Shape::Digits(12),
            Need::Required,
            "The account's number. Credentials of any other account are refused before the first call.",
        ),
        key("region", Shape::Slug, Need::Required, "The region, such as ap-east-1."),
        key("fleets", Shape::Place(&FLEETS), Need::Required, "How a fleet comes into being."),
        key(
            "revision_is",
            Shape::Choice(&["bundle", "launch_template", "ami"]),
            Need::Optional,
            "What a revision names: what CodeDeploy installs, the number of a launch template version, or the id of a machine image. `bundle` where `codedeploy` is given, `launch_template` otherwise.",
        ),
        key(
            "codedeploy",
            Shape::Place(&CODEDEPLOY),
            Need::Optional,
            "How CodeDeploy installs a revision. Needed where a revision is a bundle, or CodeDeploy makes the fleets.",
        ),
        key(
            "call_timeout",
            Shape::Span { least: Span(10) },
            Need::Default("10s"),
            "How long one call to AWS may take; a change of several calls may take three times as long. Whoever takes over from a driver that was cut off in a change waits four times as long.",
        ),
        key(
            "pace",
            Shape::Span { least: Span(10) },
            Need::Default("1s"),
            "The shortest time between two looks while something is expected.",
        ),
        key(
            "reads_per_second",
            Shape::Count { least: 1, most: 10_000 },
            Need::Default("10"),
            "How many reads of load balancers a second the account may make, with four times as many at once; what else is called is limited in proportion. Raise it where AWS has raised it for you.",
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
            "copy",
            Shape::Label,
            Need::Optional,
            "Green is a new Auto Scaling group with everything that blue has. This one is blue as long as no other group of the service carries traffic.",
        ),
        key(
            "pair",
            Shape::Pair,
            Need::Optional,
            "Two Auto Scaling groups that alternate; the one that carries nothing is green, and is emptied again, never deleted.",
        ),
        key(
            "managed",
            Shape::Choice(&["codedeploy"]),
            Need::Optional,
            "CodeDeploy copies blue's Auto Scaling group in a blue/green deployment of `codedeploy.deployment_group`; its waits are our gates.",
        ),
    ]],
    either: &[&["copy"], &["pair"], &["managed"]],
};

static CODEDEPLOY: Place = Place {
    doc: "How CodeDeploy installs a revision.",
    keys: &[&[
        key("application", Shape::Label, Need::Required, "The CodeDeploy application."),
        key(
            "deployment_group",
            Shape::Label,
            Need::Optional,
            "The deployment group: the one that makes the fleets, or the one whose settings green's own gets.",
        ),
        key(
            "deployment_groups",
            Shape::Pair,
            Need::Optional,
            "For `fleets.pair`: the deployment group of each Auto Scaling group, in the same order.",
        ),
        key(
            "bundle",
            Shape::Label,
            Need::Required,
            "Where a revision lies: `s3://BUCKET/KEY` with `{revision}` in the key, or `github:OWNER/REPOSITORY`, where a revision is a commit.",
        ),
        key(
            "complete",
            Shape::Flag,
            Need::Default("false"),
            "Whether target groups that the deployment group does not list are added to its list; otherwise they refuse the rollout.",
        ),
    ]],
    either: &[&["deployment_group"], &["deployment_groups"]],
};

static GROUP: Place = Place {
    doc: "One target group, or two that share a route.",
    keys: &[&[
        key(
            "target_group",
            Shape::Label,
            Need::Optional,
            "The name of a target group in which both fleets stand: registering green is already a share of its traffic.",
        ),
        key(
            "twins",
            Shape::Pair,
            Need::Optional,
            "The names of two target groups behind the same listeners and rules, one for each fleet: their weights make the share.",
        ),
        key(
            "create",
            Shape::Flag,
            Need::Default("false"),
            "For `twins`: make the second one, with the settings of the first, where it does not exist.",
        ),
        key(
            "whole",
            Shape::Choice(&["accept"]),
            Need::Optional,
            "For `target_group`: that it takes no steps. Green has a part of its traffic as soon as it joins, and the rest at the last step, whatever shares the strategy names before.",
        ),
    ]],
    either: &[&["target_group"], &["twins"]],
};
