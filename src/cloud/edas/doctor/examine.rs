//! The preflight as a whole.

use std::collections::BTreeSet;

use super::super::client::{Client, Session};
use super::super::home::Home;
use super::facts::Facts;
use super::{fleets, groups, hosts, kubernetes, quotas, zones};
use crate::cloud::notes::Notes;
use crate::cloud::{Fault, Finding};
use crate::model::{Hold, Span};
use crate::spec::{EdasSpec, Spec};

/// How long a session lasts that GitHub's official action gets where nobody says otherwise (its README, 2025-06).
const SESSION: Span = Span::mins(30);

/// Looks at everything that a rollout of this service would need. Changes nothing.
pub async fn examine(spec: &Spec, edas: &EdasSpec, open: bool) -> Vec<Finding> {
    let home = Home { service: spec.service.clone(), spec: edas.clone() };
    let client = match Client::connect(edas, None).await {
        Ok(client) => client,
        Err(fault) => return vec![no_way_in(edas, &fault)],
    };
    let mut notes = Notes::new("deployer policy ram");
    let facts = Box::pin(Facts::read(&client, &mut notes, &home, spec, open)).await;
    let mut findings = vec![Finding::ok("account", format!("`{}` in {}", edas.account, edas.region))];
    findings.extend(session(spec, client.session().await));
    if notes.findings.is_empty() {
        findings.push(Finding::ok("permissions", "everything that has to be read can be read"));
    }
    findings.append(&mut notes.findings);
    let Some(facts) = facts else { return findings };
    findings.push(
        Finding::unchecked("write permissions", "EDAS and CLB have no dry run, so they were not tried")
            .mend("compare the role's policy with what `deployer policy ram` prints"),
    );
    let fleets = if home.kubernetes().is_some() { kubernetes::check } else { fleets::check };
    for check in [fleets, groups::check, hosts::check, zones::check, quotas::check] {
        findings.extend(check(&facts));
    }
    let mut seen = BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.clone()));
    findings
}

fn no_way_in(edas: &EdasSpec, fault: &Fault) -> Finding {
    Finding::fail("account", format!("no way into account `{}` in {}: {fault}", edas.account, edas.region))
        .why("nothing else could be looked at")
        .mend("check the credentials (`aliyun sts GetCallerIdentity`), `account` and `region` in the file, and the network")
}

/// Keys that somebody else got for a while may end before the rollout does.
fn session(spec: &Spec, session: Session) -> Option<Finding> {
    let least = least(spec);
    (session == Session::Borrowed && least >= Span(SESSION.0 / 2)).then(|| {
        let what = format!("a session token in the environment or a profile, and a rollout takes {least} at least");
        Finding::warn("session", what)
            .why(format!("nobody here can renew it: when it ends (after {SESSION}, if GitHub's official action got it), the rollout stops half-way until somebody resumes it"))
            .mend("leave the exchange to deployer: set ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_PROVIDER_ARN in a job with `id-token: write`; or ask for a longer session")
    })
}

/// What a rollout waits for in any case.
fn least(spec: &Spec) -> Span {
    let held = |hold: &Hold| match hold {
        Hold::For(span) => span.0,
        Hold::Promote => 0,
    };
    let steps =
        spec.strategies.get(&spec.strategy).map(|strategy| strategy.steps.as_slice()).unwrap_or_default();
    let steps: u64 = steps.iter().map(|step| held(&step.hold)).sum();
    Span(steps + spec.settle.0 + held(&spec.bake) + spec.quiet.0)
}
