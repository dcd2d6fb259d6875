//! What the role may do, asked of IAM's simulator: permissions to write cannot be tried without writing.
//!
//! It judges the role's own policies, its boundary and the organization's; policies of a session and of a bucket it does
//! not know (IAM API reference, `SimulatePrincipalPolicy`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::api::Api;
use super::super::iam::Wish;
use super::super::limit::Family;
use crate::cloud::{Fault, FaultKind, Finding};

const CHECK: &str = "write permissions";
const MEND: &str = "attach the policy that `deployer policy aws` prints";

/// Who is to be judged.
#[derive(Debug, PartialEq, Eq)]
enum Principal<'a> {
    /// Its ARN is known.
    Known(String),
    /// A role of this name, whose ARN is this one unless it has a path.
    Role(&'a str, String),
    /// The simulator knows no such thing.
    Other,
}

/// Every action of the policy that the caller lacks.
pub(super) async fn check(api: &Api, document: &Value) -> Vec<Finding> {
    match Box::pin(denied(api, document)).await {
        Ok((findings, asked)) if findings.is_empty() => {
            let what = format!("IAM's simulator allows all {asked} actions of `deployer policy aws`");
            vec![Finding::ok(CHECK, what)]
        }
        Ok((findings, _)) => findings,
        Err(fault) => vec![unchecked(&api.caller, &fault)],
    }
}

async fn denied(api: &Api, document: &Value) -> Result<(Vec<Finding>, usize), Fault> {
    let wishes = wishes(document);
    let principal = find(api, wishes.first()).await?;
    let (mut findings, mut asked) = (Vec::new(), BTreeSet::new());
    for wish in &wishes {
        let call = api.iam.denied(&principal, wish);
        let lacking = api.send_query(Family::Sts, "SimulatePrincipalPolicy", call).await?;
        asked.extend(wish.actions.iter().cloned());
        findings.extend(lacking.into_iter().map(|action| {
            let on: Vec<_> = wish.resources.iter().map(|resource| format!("`{resource}`")).collect();
            Finding::fail(CHECK, format!("`{action}` is denied on {}", on.join(", ")))
                .why("a rollout would stop where it needs it")
                .mend(MEND)
        }));
    }
    Ok((findings, asked.len()))
}

/// The ARN of the caller as IAM knows it. A role behind a session has a path that the session does not tell.
async fn find(api: &Api, wish: Option<&Wish>) -> Result<String, Fault> {
    let nobody = |what: &str| Fault::new(FaultKind::Invalid, "SimulatePrincipalPolicy", what);
    let wish = wish.ok_or_else(|| nobody("the policy is empty"))?;
    match principal(&api.caller) {
        Principal::Known(arn) => Ok(arn),
        Principal::Other => Err(nobody("the simulator judges roles and users only")),
        Principal::Role(name, arn) => {
            let call = api.iam.denied(&arn, wish);
            match api.send_query(Family::Sts, "SimulatePrincipalPolicy", call).await {
                Err(fault) if fault.kind == FaultKind::Missing => {
                    api.send_query(Family::Sts, "GetRole", api.iam.role(name)).await
                }
                answer => answer.map(|_| arn),
            }
        }
    }
}

/// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` is a session of a role.
fn principal(caller: &str) -> Principal<'_> {
    let parts: Vec<_> = caller.splitn(6, ':').collect();
    let &["arn", partition, service, _, account, resource] = parts.as_slice() else {
        return Principal::Other;
    };
    let kind: Vec<_> = resource.split('/').collect();
    match (service, kind.as_slice()) {
        ("iam", ["user" | "role", ..]) => Principal::Known(caller.to_owned()),
        ("sts", ["assumed-role", name, _]) => {
            Principal::Role(name, format!("arn:{partition}:iam::{account}:role/{name}"))
        }
        _ => Principal::Other,
    }
}

fn unchecked(caller: &str, fault: &Fault) -> Finding {
    let what = match fault.kind {
        FaultKind::Denied => format!("not checked: `{caller}` may not ask IAM's simulator"),
        _ => format!("not checked: {fault}"),
    };
    Finding::unchecked(CHECK, what)
        .why("what is denied shows in a rollout only when it is needed")
        .mend(
            "allow the role `iam:SimulatePrincipalPolicy` on itself (and `iam:GetRole` where it has a path), or compare its \
             policy with what `deployer policy aws` prints",
        )
}

/// The statements of a policy as questions.
fn wishes(document: &Value) -> Vec<Wish> {
    let texts = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    };
    let statements = document["Statement"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = statements.iter().map(|statement| {
        let conditions = statement["Condition"].as_object().into_iter().flat_map(serde_json::Map::values);
        let pairs = conditions.filter_map(Value::as_object).flatten();
        Wish {
            actions: texts(&statement["Action"]),
            resources: texts(&statement["Resource"]),
            context: pairs.map(|(key, values)| (key.clone(), texts(values))).collect(),
        }
    });
    asked.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_judged_as_its_role_and_the_root_not_at_all() {
        let role = |arn: &str| Principal::Role("deploy", arn.to_owned());
        for (caller, expected) in [
            ("arn:aws:sts::1:assumed-role/deploy/ci-7", role("arn:aws:iam::1:role/deploy")),
            ("arn:aws-cn:sts::1:assumed-role/deploy/ci", role("arn:aws-cn:iam::1:role/deploy")),
            ("arn:aws:iam::1:user/ops/kim", Principal::Known("arn:aws:iam::1:user/ops/kim".to_owned())),
            ("arn:aws:iam::1:root", Principal::Other),
            ("arn:aws:sts::1:federated-user/kim", Principal::Other),
            ("", Principal::Other),
        ] {
            assert_eq!(principal(caller), expected, "{caller}");
        }
    }

    #[test]
    fn a_statement_is_asked_with_its_conditions() {
        let document = json!({ "Statement": [{
            "Action": ["a:B"], "Resource": ["*"],
            "Condition": { "StringEquals": { "k": "v" }, "StringLike": { "s3:prefix": ["p/*"] } },
        }] });
        let context =
            vec![("k".to_owned(), vec!["v".to_owned()]), ("s3:prefix".to_owned(), vec!["p/*".to_owned()])];
        let wish = Wish { actions: vec!["a:B".to_owned()], resources: vec!["*".to_owned()], context };
        assert_eq!(wishes(&document), [wish]);
    }
}
