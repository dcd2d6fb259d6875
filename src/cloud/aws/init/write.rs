//! The file, with comments that explain it.

use std::fmt::Write as _;

use super::find::{Deploys, Found, Group};
use crate::model::{EnvironmentName, ServiceName};

/// The text of a deployment file.
#[must_use]
pub fn write(service: &ServiceName, environment: &EnvironmentName, found: &Found) -> String {
    let mut text = String::new();
    for line in head(service, found) {
        text.push_str(&format!("# {line}").trim_end().replace('\n', " "));
        text.push('\n');
    }
    let _ = write!(
        text,
        "
service: {service}
revision: {revision}      # {note}
environment: {environment}

# How the traffic is shifted. `deployer schema` describes every key.
strategies:
  bluegreen:
    steps:
      - {{ share: 10, hold: 2m }}   # stay here, healthy
      - {{ share: 50, hold: 2m }}
      - 100
  switch:
    steps: [100]
strategy: bluegreen

settle: 30s         # how long green must be healthy before it takes traffic
bake: 10m           # how long green carries everything before blue is drained
quiet: 30m          # how long drained blue is kept running, in case somebody still needs it

environments:
  {environment}:
    provider:
      aws:
        account: {account}      # credentials of any other account are refused
        region: {region}
{fleets}        # Every target group in which the service was found. One that is missing here refuses a rollout.
        groups:
{groups}",
        revision = quoted(&found.revision.name),
        note = plain(&found.revision.note),
        account = quoted(&found.account),
        region = found.region,
        fleets = fleets(found),
        groups = found.groups.iter().map(group).collect::<String>(),
    );
    text
}

fn head(service: &ServiceName, found: &Found) -> Vec<String> {
    let mut lines = vec![
        format!(
            "The service `{service}`, as `deployer init` found it: the Auto Scaling group `{}` in {}.",
            plain(&found.fleet),
            found.region
        ),
        "Look it over: times and steps below are suggestions, target groups and names are what was found."
            .to_owned(),
    ];
    lines.extend(found.remarks.iter().map(|remark| format!("Beware: {}", plain(remark))));
    lines
}

fn fleets(found: &Found) -> String {
    let fleet = quoted(&found.fleet);
    match &found.codedeploy {
        Some(codedeploy) if codedeploy.managed => format!(
            "        fleets:\n          managed: codedeploy   # CodeDeploy copies the Auto Scaling group ({}); its waits are our gates\n{}",
            plain(&found.fleet),
            deploys(codedeploy)
        ),
        Some(codedeploy) => format!("{}{}", copied(&fleet), deploys(codedeploy)),
        None => format!("{}        revision_is: launch_template\n", copied(&fleet)),
    }
}

fn copied(fleet: &str) -> String {
    format!(
        "        # Green is a copy of this group. Where Terraform manages it, make a second one and write `pair: [A, B]`.\n        fleets:\n          copy: {fleet}\n"
    )
}

fn deploys(codedeploy: &Deploys) -> String {
    format!(
        "        revision_is: bundle\n        codedeploy:\n          application: {}\n          deployment_group: {}\n          bundle: {}\n          complete: false   # true: target groups that the deployment group does not list are added to it\n",
        quoted(&codedeploy.application),
        quoted(&codedeploy.group),
        quoted(&codedeploy.bundle)
    )
}

fn group(group: &Group) -> String {
    let names = match &group.twin {
        Some(twin) => format!(
            "twins: [{}, {}]   # behind the same routes: weights make the share",
            quoted(&group.name),
            quoted(twin)
        ),
        None => format!("target_group: {}", quoted(&group.name)),
    };
    let routes = if group.routes.is_empty() {
        "NO LISTENER OR RULE forwards to it: green can never be proved healthy here".to_owned()
    } else {
        group.routes.iter().map(|route| plain(route)).collect::<Vec<_>>().join(", ")
    };
    let because = plain(&group.because.join("; "));
    let own = quoted(&group.name);
    format!("          # {because}\n          # {routes}\n          {own}:\n            {names}\n")
}

/// A word as YAML takes it for a text, whatever stands in it.
fn quoted(word: &str) -> String {
    serde_json::to_string(word).unwrap_or_default()
}

/// A text that cannot leave its comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
