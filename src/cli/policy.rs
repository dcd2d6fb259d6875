//! `policy`: the permissions that a rollout needs.

use super::args::{PolicyArgs, Wish};
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::cloud::aws::policy::{Grant, policy};
use crate::spec::Provider;

/// `policy aws`: an IAM policy on stdout. Makes no call.
pub fn aws(context: &Context, args: &PolicyArgs) -> Result<u8, CliError> {
    let spec = context.spec(&args.service, &Wish::default())?;
    let Provider::Aws(aws) = &spec.provider else {
        let text =
            format!("`{}` does not run on AWS in the environment `{}`", spec.service, spec.environment);
        return Err(CliError::usage(text).hint("name another environment with --environment"));
    };
    let grant = if args.read_only { Grant::Read } else { Grant::ReadWrite };
    let store = super::store::address(&context.global, std::slice::from_ref(&args.service))?;
    let document = policy(&spec, aws, &store.to_string(), grant);
    let text = serde_json::to_string_pretty(&document);
    println!("{}", text.map_err(|error| CliError::new(format!("failed to print: {error}")))?);
    Ok(exit::DONE)
}
