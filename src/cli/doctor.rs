//! `doctor`: what would go wrong with a rollout.

use super::args::Wish;
use super::context::Context;
use super::error::CliError;
use super::{exit, show};
use crate::cloud::{aws, edas, local};
use crate::model::ServiceName;
use crate::spec::Provider;

/// `doctor`: looks, tells, changes nothing.
pub async fn doctor(context: &Context, service: &ServiceName) -> Result<u8, CliError> {
    let spec = context.spec(service, &Wish::default())?;
    let open = context.latest(service).await?.is_some_and(|(_, rollout)| rollout.verdict().is_none());
    let mut findings = match &spec.provider {
        Provider::Local(local) => local::examine(local, &context.global.state.join("local")).await,
        Provider::Aws(aws) => {
            let store = super::store::address(&context.global, std::slice::from_ref(service))?;
            aws::doctor::examine(&spec, aws, &store.to_string(), open).await
        }
        Provider::Edas(edas) => edas::doctor::examine(&spec, edas, open).await,
    };
    findings.extend(context.journal.examine().await?);
    let ready = show::checkup(context, &spec, &findings)?;
    Ok(if ready { exit::DONE } else { exit::ERROR })
}
