//! Whose account it is, and credentials for a while.

use serde_json::{Value, json};

use super::input::{Input, text};
use super::service::{Operation, read, write};
use super::world::{ACCOUNT, Session, World};

pub const OPERATIONS: &[&[Operation]] = &[&[
    read("GetCallerIdentity", |_, _| {
        Ok(json!({
            "AccountId": ACCOUNT,
            "Arn": format!("acs:ram::{ACCOUNT}:user/deployer"),
            "IdentityType": "RAMUser",
            "PrincipalId": "200000000000000000",
            "UserId": "200000000000000000",
        }))
    }),
    write("AssumeRole", |world, input| Ok(assume(world, input))),
    write("AssumeRoleWithOIDC", |world, input| Ok(assume(world, input))),
]];

/// Whether a query has in it what else travels in headers.
pub fn is_plain(query: &Value) -> bool {
    query.get("Action").is_some()
}

fn assume(world: &mut World, input: &Input) -> Value {
    let n = world.fresh();
    let session =
        Session { key: format!("STS.fake{n}"), secret: format!("secret{n}"), token: format!("token{n}") };
    let role = text(&input.tree, "RoleArn").unwrap_or_default();
    let name = text(&input.tree, "RoleSessionName").unwrap_or_default();
    let answer = json!({
        "AssumedRoleUser": { "Arn": format!("{role}/{name}"), "AssumedRoleId": "300000000000000000" },
        "Credentials": {
            "AccessKeyId": session.key,
            "AccessKeySecret": session.secret,
            "SecurityToken": session.token,
            "Expiration": world.iso(world.now + 3_600_000),
        },
    });
    world.sessions.push(session);
    answer
}
