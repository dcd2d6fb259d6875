//! Whose account it is.

use serde_json::json;

use super::service::Operation;
use super::world::ACCOUNT;

pub const OPERATIONS: &[&[Operation]] = &[&[Operation {
    name: "GetCallerIdentity",
    knows: &[],
    run: |_, _| {
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/deployer/test");
        Ok(json!({ "Account": ACCOUNT, "UserId": "AROAEXAMPLE:test", "Arn": arn }))
    },
}]];
