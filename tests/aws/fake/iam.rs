//! IAM: one role, and a simulator that knows what it may not do.

use serde_json::{Value, json};

use super::input::Input;
use super::service::{Answer, ApiError, Operation};
use super::world::{ACCOUNT, World};

pub const OPERATIONS: &[&[Operation]] = &[&[
    Operation {
        name: "SimulatePrincipalPolicy",
        knows: &[
            "PolicySourceArn",
            "ActionNames[]",
            "ResourceArns[]",
            "ContextEntries[].ContextKeyName",
            "ContextEntries[].ContextKeyType",
            "ContextEntries[].ContextKeyValues[]",
            "Marker",
            "MaxItems",
        ],
        run: simulate,
    },
    Operation {
        name: "GetRole",
        knows: &["RoleName"],
        run: |world, input| {
            let name = input.need("RoleName")?;
            let known = (name == ROLE).then(|| role(world)).ok_or_else(|| no_entity(name))?;
            Ok(json!({ "Role": { "RoleName": name, "Path": world.role_path, "Arn": known } }))
        },
    },
]];

const ROLE: &str = "deployer";

fn role(world: &World) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role{}{ROLE}", world.role_path)
}

fn no_entity(what: &str) -> ApiError {
    ApiError::new("NoSuchEntity", format!("{what} cannot be found.")).status(404)
}

fn simulate(world: &mut World, input: &Input) -> Answer {
    let source = input.need("PolicySourceArn")?;
    if source != role(world) {
        return Err(no_entity(source));
    }
    let resources = input.list("ResourceArns");
    let judged = |action: &String| {
        let decision = if world.may_not.contains(action) { "implicitDeny" } else { "allowed" };
        let each: Value = resources
            .iter()
            .map(|resource| json!({ "EvalResourceName": resource, "EvalResourceDecision": decision, "MatchedStatements": [] }))
            .collect();
        json!({
            "EvalActionName": action, "EvalResourceName": resources.first(), "EvalDecision": decision,
            "MatchedStatements": [], "MissingContextValues": [], "ResourceSpecificResults": each,
        })
    };
    let results: Vec<Value> = input.list("ActionNames").iter().map(judged).collect();
    Ok(json!({ "EvaluationResults": results, "IsTruncated": false }))
}
