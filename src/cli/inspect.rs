//! `status`, `why`, `history` and `show`: looking without touching.

use super::args::{History, Show, Status, Which};
use super::context::Context;
use super::error::CliError;
use super::orders::follow_on;
use super::rollout::verdict_code;
use super::{exit, show};
use crate::drive::Presence;
use crate::model::{RolloutId, ServiceName};

/// `status`: where the last rollout of a service, or of every service, stands.
pub async fn status(context: &Context, args: Status) -> Result<u8, CliError> {
    let Some(service) = &args.service else { return everything(context).await };
    let Some((id, facts)) = context.latest_facts(service).await? else {
        return Err(Context::none_yet(service));
    };
    if !args.watch {
        show::status(context, &id, &facts, driven(context, &id))?;
        return Ok(exit::DONE);
    }
    let history = context.journal.read(&id).await?;
    let log = context.journal.log(&history)?;
    let (state, _) = follow_on(context, service, (log, context.read(&id).await?)).await?;
    Ok(state.verdict().map_or(exit::DONE, verdict_code))
}

/// The last rollout of every service in every environment, a line each.
async fn everything(context: &Context) -> Result<u8, CliError> {
    let mut past = Vec::new();
    for service in context.journal.services().await? {
        for environment in context.journal.environments(&service).await? {
            if context.global.environment.as_ref().is_some_and(|only| *only != environment) {
                continue;
            }
            if let Some(id) = context.journal.latest(&service, &environment).await? {
                let facts = context.facts(&id).await?;
                past.push(show::past(context, &id, &facts, driven(context, &id))?);
            }
        }
    }
    show::history(context, &past)?;
    Ok(exit::DONE)
}

/// `why`: what the last rollout waits for.
pub async fn why(context: &Context, service: &ServiceName) -> Result<u8, CliError> {
    let Some((id, facts)) = context.latest_facts(service).await? else {
        return Err(Context::none_yet(service));
    };
    show::why(context, &id, &facts, driven(context, &id))?;
    Ok(exit::DONE)
}

/// `history`: the newest first.
pub async fn history(context: &Context, args: History) -> Result<u8, CliError> {
    let environment = context.environment(&args.service)?;
    let rollouts = context.journal.rollouts(&args.service, &environment).await?;
    let mut past = Vec::new();
    for id in rollouts.iter().rev().take(args.limit) {
        let facts = context.facts(id).await?;
        past.push(show::past(context, id, &facts, driven(context, id))?);
    }
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
    show::show(context, &id, &facts, driven(context, &id))?;
    Ok(exit::DONE)
}

/// Whether a process of this host drives it; where none does, one of another host may.
fn driven(context: &Context, id: &RolloutId) -> Option<bool> {
    Presence::seen(&context.presence(), id).then_some(true)
}
