//! The file, with comments that explain it.

use super::super::servers::Family;
use super::find::{Found, Group, Share};
use crate::cloud::draft::{Draft, WHOLE, plain, quoted};
use crate::model::{EnvironmentName, ServiceName};
use crate::spec::{EdasFleets, Hosts};

/// The text of a deployment file.
#[must_use]
pub fn write(service: &ServiceName, environment: &EnvironmentName, found: &Found) -> String {
    let divides = found.groups.iter().any(|own| own.by != Share::Whole);
    let groups: Vec<_> = found.groups.iter().map(|own| group(own, found.port, divides)).collect();
    let provider = format!(
        "      edas:
        account: {account}      # credentials of any other account are refused
        region: {region}
{fleets}        port: {port}          # where an instance serves, unless a group says otherwise
        # Every server group in which the service was found. One that is missing here refuses a rollout.
        groups:
{groups}",
        account = quoted(&found.account),
        region = found.region,
        fleets = fleets(&found.fleets),
        port = found.port,
        groups = groups.concat(),
    );
    let from = match &found.fleets {
        EdasFleets::Groups(_) => format!("the EDAS application `{}` in {}", found.name, found.region),
        EdasFleets::Kubernetes(own) => {
            let [one, other] = &own.applications;
            format!("the EDAS applications `{one}` and `{other}` in {}", found.region)
        }
    };
    let revision = (found.revision.0.as_str(), found.revision.1.as_str());
    Draft {
        service,
        environment,
        from: &from,
        remarks: &found.remarks,
        revision,
        divides,
        provider: &provider,
    }
    .text()
}

fn fleets(fleets: &EdasFleets) -> String {
    match fleets {
        EdasFleets::Groups(own) => {
            let [one, other] = &own.pair;
            format!(
                "        application: {}
        # One serves, the other rests, empty. One that does not exist yet is made.
        fleets:
          pair: [{}, {}]
{}        package: {}
",
                quoted(&own.application),
                quoted(one),
                quoted(other),
                hosts(&own.hosts),
                quoted(&own.package)
            )
        }
        EdasFleets::Kubernetes(own) => {
            let [one, other] = &own.applications;
            format!(
                "        # One serves, the other rests, with no pods. The cluster keeps the pods of the first one in the first of
        # each two twins, and those of the second one in the second.
        fleets:
          kubernetes:
            applications: [{}, {}]
            image: {}
",
                quoted(one),
                quoted(other),
                quoted(&own.image)
            )
        }
    }
}

fn hosts(hosts: &Hosts) -> String {
    let inside = match hosts {
        Hosts::Idle => "          idle: cluster     # instances of the cluster that run nothing; or `template: lt-…`, bought and released\n".to_owned(),
        Hosts::Template { id, version } => {
            let version = version.as_ref().map(|number| format!("          template_version: {number}\n"));
            format!("          template: {}     # bought from it and released; or `idle: cluster`\n{}", quoted(id), version.unwrap_or_default())
        }
    };
    format!("        # Where green's instances come from.\n        hosts:\n{inside}")
}

fn group(group: &Group, usual: u32, divides: bool) -> String {
    let servers = match (&group.twin, group.family) {
        (Some(twin), family) => {
            let (key, how) = match family {
                Family::Alb if group.by == Share::Whole => (
                    "alb_twins",
                    "behind the same routes; a default action has no weights and is switched whole",
                ),
                Family::Alb => ("alb_twins", "behind the same rules: weights make the share"),
                Family::Nlb => ("nlb_twins", "behind the same listeners, which are switched whole"),
                Family::Classic | Family::ClassicDefault | Family::ClassicPair => {
                    ("clb_twins", "behind the same listeners and rules, which are switched whole")
                }
            };
            format!("{key}: [{}, {}]   # {how}", quoted(&group.id), quoted(twin))
        }
        (None, Family::Alb) => format!("alb: {}", quoted(&group.id)),
        (None, Family::Nlb) => format!("nlb: {}", quoted(&group.id)),
        (None, _) => format!("clb: {}", quoted(&group.id)),
    };
    let blind = match (&group.twin, group.family) {
        (Some(_), Family::Nlb) => {
            "            # unproved: accept    # nobody checks the one that carries nothing: a plan is refused until that is accepted\n"
        }
        (Some(_), Family::Classic) => {
            "            # unproved: accept    # where a listener takes no requests, nobody checks the one that carries nothing\n"
        }
        _ => "",
    };
    let share = match group.by {
        Share::Servers => {
            "            by: weights       # any share, by the weights of the servers; without it green has about half as soon as it joins\n"
        }
        Share::Whole if divides => WHOLE,
        Share::Rules | Share::Whole => "",
    };
    let port = group.port.filter(|port| *port != usual);
    let port = port.map(|port| format!("            port: {port}\n")).unwrap_or_default();
    let routes = if group.routes.is_empty() {
        "NO LISTENER OR RULE forwards to it: green can never be proved healthy here".to_owned()
    } else {
        group.routes.iter().map(|route| plain(route)).collect::<Vec<_>>().join(", ")
    };
    let because = plain(&group.because.join("; "));
    let own = quoted(&group.name);
    format!(
        "          # {because}\n          # {routes}\n          {own}:\n            {servers}\n{share}{blind}{port}"
    )
}
