//! `policy`: the permissions that a rollout needs.

use serde_json::Value;

use super::args::{PolicyArgs, Wish};
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::cloud::{Grant, aws, edas};
use crate::spec::{Provider, Spec};

/// `policy aws`: an IAM policy on stdout. Makes no call.
pub fn aws(context: &Context, args: &PolicyArgs) -> Result<u8, CliError> {
    print(context, args, "AWS", |spec, store, grant| match &spec.provider {
        Provider::Aws(aws) => Some(aws::policy::policy(spec, aws, store, grant)),
        _ => None,
    })
}

/// `policy ram`: a RAM policy on stdout. Makes no call.
pub fn ram(context: &Context, args: &PolicyArgs) -> Result<u8, CliError> {
    print(context, args, "Alibaba Cloud", |spec, store, grant| match &spec.provider {
        Provider::Edas(edas) => Some(edas::policy::policy(spec, edas, store, grant)),
        _ => None,
    })
}

fn print(
    context: &Context,
    args: &PolicyArgs,
    cloud: &str,
    policy: impl FnOnce(&Spec, &str, Grant) -> Option<Value>,
) -> Result<u8, CliError> {
    let spec = context.spec(&args.service, &Wish::default())?;
    let grant = if args.read_only { Grant::Read } else { Grant::ReadWrite };
    let store = super::store::address(&context.global, std::slice::from_ref(&args.service))?;
    let document = policy(&spec, &store.to_string(), grant).ok_or_else(|| {
        let text =
            format!("`{}` does not run on {cloud} in the environment `{}`", spec.service, spec.environment);
        CliError::usage(text).hint("name another environment with --environment")
    })?;
    let text = serde_json::to_string_pretty(&document);
    println!("{}", text.map_err(|error| CliError::new(format!("failed to print: {error}")))?);
    Ok(exit::DONE)
}
