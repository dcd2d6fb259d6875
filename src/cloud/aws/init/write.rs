//! The file, with comments that explain it.

use super::find::{Deploys, Found, Group};
use crate::cloud::draft::{Draft, WHOLE, plain, quoted};
use crate::model::{EnvironmentName, ServiceName};

/// The text of a deployment file.
#[must_use]
pub fn write(service: &ServiceName, environment: &EnvironmentName, found: &Found) -> String {
    let divides = found.groups.iter().any(|own| own.twin.is_some());
    let provider = format!(
        "      aws:
        account: {account}      # credentials of any other account are refused
        region: {region}
{fleets}        # Every target group in which the service was found. One that is missing here refuses a rollout.
        groups:
{groups}",
        account = quoted(&found.account),
        region = found.region,
        fleets = fleets(found),
        groups = found.groups.iter().map(|own| group(own, divides)).collect::<String>(),
    );
    let revision = (found.revision.name.as_str(), found.revision.note.as_str());
    let head = format!("the Auto Scaling group `{}` in {}", found.fleet, found.region);
    Draft {
        service,
        environment,
        from: &head,
        remarks: &found.remarks,
        revision,
        divides,
        provider: &provider,
    }
    .text()
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

fn group(group: &Group, divides: bool) -> String {
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
    let whole = if divides && group.twin.is_none() { WHOLE } else { "" };
    format!("          # {because}\n          # {routes}\n          {own}:\n            {names}\n{whole}")
}
