//! `status`, `why`, `history` and `show`: looking without touching.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::args::{History, Show, Status, Which};
use super::context::{Context, MANY};
use super::error::CliError;
use super::life::driven;
use super::orders::follow_on;
use super::rollout::verdict_code;
use super::{exit, show};
use crate::model::{RolloutId, ServiceName};
use crate::report::Past;

/// `status`: where the last rollout of a service, or of every service, stands.
pub async fn status(context: &Context, args: Status) -> Result<u8, CliError> {
    let Some(service) = &args.service else { return everything(context).await };
    let Some((id, facts)) = context.latest_facts(service).await? else {
        return Err(Context::none_yet(service));
    };
    if !args.watch {
        show::status(context, &id, &facts, driven(context, &id).await)?;
        return Ok(exit::DONE);
    }
    let history = context.journal.read(&id).await?;
    let log = context.journal.log(&history)?;
    let (state, _) = follow_on(context, service, (log, context.read(&id).await?)).await?;
    Ok(state.verdict().map_or(exit::DONE, verdict_code))
}

/// The last rollout of every service in every environment, a line each.
async fn everything(context: &Context) -> Result<u8, CliError> {
    let services = context.journal.services().await?;
    let lines = services.iter().map(|service| latest_of(context, service));
    let lines: Vec<Vec<Past>> = stream::iter(lines).buffered(MANY).try_collect().await?;
    show::history(context, &lines.concat())?;
    Ok(exit::DONE)
}

/// The last rollout of a service in each environment.
async fn latest_of(context: &Context, service: &ServiceName) -> Result<Vec<Past>, CliError> {
    let mut environments = context.journal.environments(service).await?;
    environments.retain(|it| context.global.environment.as_ref().is_none_or(|only| only == it));
    let mut lines = Vec::new();
    for environment in environments {
        if let Some(id) = context.journal.latest(service, &environment).await? {
            lines.push(line(context, &id).await?);
        }
    }
    Ok(lines)
}

/// One rollout in a line: by its summary, or by its log.
async fn line(context: &Context, id: &RolloutId) -> Result<Past, CliError> {
    if let Some(summary) = context.journal.summary(id).await? {
        return Ok(Past::from(&summary));
    }
    let facts = context.facts(id).await?;
    show::past(context, id, &facts, driven(context, id).await)
}

/// `why`: what the last rollout waits for.
pub async fn why(context: &Context, service: &ServiceName) -> Result<u8, CliError> {
    let Some((id, facts)) = context.latest_facts(service).await? else {
        return Err(Context::none_yet(service));
    };
    show::why(context, &id, &facts, driven(context, &id).await)?;
    Ok(exit::DONE)
}

/// `history`: the newest first.
pub async fn history(context: &Context, args: History) -> Result<u8, CliError> {
    let environment = context.environment(&args.service)?;
    let rollouts = context.journal.rollouts(&args.service, &environment).await?;
    let lines = rollouts.iter().rev().take(args.limit).map(|id| line(context, id));
    let past: Vec<Past> = stream::iter(lines).buffered(MANY).try_collect().await?;
    show::history(context, &past)?;
    Ok(exit::DONE)
}

/// `show`: one rollout, event by event.
pub async fn show(context: &Context, args: Show) -> Result<u8, CliError> {
    let (id, facts) = match args.which {
        Which::Last(service) => match context.latest_facts(&service).await? {
            Some(found) => found,
            None => return Err(Context::none_yet(&service)),
        },
        Which::One(id) => {
            let facts = context.facts(&id).await?;
            (id, facts)
        }
    };
    show::show(context, &id, &facts, driven(context, &id).await)?;
    Ok(exit::DONE)
}
