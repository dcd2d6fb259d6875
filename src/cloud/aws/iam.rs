//! IAM's simulator: what a role or user may do, without doing it.

use super::asgs::pages;
use super::query::{Form, Query, Service, Tree};
use crate::cloud::{Fault, FaultKind};

/// IAM (botocore's model).
pub(super) const IAM: Service = Service {
    host: "iam",
    signed_as: "iam",
    version: "2010-05-08",
    variable: "AWS_ENDPOINT_URL_IAM",
    everywhere: true,
};

/// IAM, as far as we need it.
#[derive(Debug, Clone)]
pub(super) struct Iam(pub Query);

/// What is asked of the simulator: one statement of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub actions: Vec<String>,
    pub resources: Vec<String>,
    /// Keys of conditions with their values.
    pub context: Vec<(String, Vec<String>)>,
}

impl Iam {
    /// Which of the actions the role or user may not do on each of the resources. An action that the answer leaves out
    /// is a fault: it was not judged.
    ///
    /// # Errors
    /// The call's fault; an answer without one of the actions.
    pub async fn denied(&self, principal: &str, wish: &Wish) -> Result<Vec<String>, Fault> {
        let action = "SimulatePrincipalPolicy";
        let form = Form::new(action).with("PolicySourceArn", principal);
        let form = form.list("ActionNames", wish.actions.iter().map(String::as_str));
        let form = form.list("ResourceArns", wish.resources.iter().map(String::as_str));
        let form = wish.context.iter().enumerate().fold(form, |form, (n, (key, values))| {
            let at = format!("ContextEntries.member.{}", n + 1);
            let form = form.with(format!("{at}.ContextKeyName"), key);
            let form = form.with(format!("{at}.ContextKeyType"), "string");
            form.list(&format!("{at}.ContextKeyValues"), values.iter().map(String::as_str))
        });
        let all = pages(async |marker| {
            let page = self.0.ask_tree(&form.clone().maybe("Marker", marker)).await?;
            let next = page.text("Marker").map(str::to_owned);
            let results = page.list("EvaluationResults").ok_or_else(|| unjudged("any action"))?;
            Ok((results.into_iter().cloned().collect(), next))
        });
        let results = all.await?;
        let named = |wanted: &str| {
            let of = |one: &&Tree| {
                one.text("EvalActionName").is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            };
            results.iter().filter(of).collect::<Vec<_>>()
        };
        let mut denied = Vec::new();
        for wanted in &wish.actions {
            let verdicts = named(wanted);
            if verdicts.is_empty() {
                return Err(unjudged(wanted));
            }
            if !verdicts.into_iter().all(allowed) {
                denied.push(wanted.clone());
            }
        }
        Ok(denied)
    }

    /// The ARN of a role, path and all.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn role(&self, name: &str) -> Result<String, Fault> {
        let found = self.0.ask_tree(&Form::new("GetRole").with("RoleName", name)).await?;
        let arn = found.at(&["Role", "Arn"]).and_then(Tree::as_text).map(str::to_owned);
        arn.ok_or_else(|| Fault::new(FaultKind::Unexpected, "GetRole", "an answer without the role's ARN"))
    }
}

/// Whether a verdict allows the action, on each resource where it tells them apart.
fn allowed(verdict: &Tree) -> bool {
    let each = verdict.list("ResourceSpecificResults").into_iter().flatten();
    let mut decisions =
        each.map(|one| one.text("EvalResourceDecision")).chain([verdict.text("EvalDecision")]);
    decisions.all(|decision| decision == Some("allowed"))
}

fn unjudged(what: &str) -> Fault {
    Fault::new(FaultKind::Unexpected, "SimulatePrincipalPolicy", format!("the answer does not judge {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::query::read_tree as read;
    use super::*;

    #[test]
    fn one_resource_that_is_denied_denies_the_action() {
        let verdict = |whole: &str, each: &str| {
            let text = format!(
                "<member><EvalDecision>{whole}</EvalDecision><ResourceSpecificResults><member><EvalResourceDecision>{each}\
                 </EvalResourceDecision></member></ResourceSpecificResults></member>"
            );
            allowed(&read(&text).unwrap())
        };
        assert!(verdict("allowed", "allowed"));
        assert!(!verdict("allowed", "implicitDeny"));
        assert!(!verdict("explicitDeny", "allowed"));
        assert!(!allowed(&read("<member><EvalActionName>s3:GetObject</EvalActionName></member>").unwrap()));
    }
}
