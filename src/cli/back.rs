//! `rollback`: to blue while it stands, else to an earlier revision by a new rollout.

use super::args::{OnFailure, Ordered, Rollback, Wish};
use super::backend::AnyBackend;
use super::context::Context;
use super::error::CliError;
use super::orders::{asked_by_this_run, asked_for_that, give, go_on};
use super::plan::{after, prepare};
use super::rollout::{begin, take_over};
use super::row::{Manner, row};
use super::{exit, show};
use crate::model::{Purpose, Revision, RolloutId, ServiceName, Span};
use crate::rollout::{Order, Phase, Rollout, Verdict};
use crate::spec::Spec;

/// `rollback`: to blue while it stands, else to the last completed revision by a new rollout.
pub async fn rollback(context: &Context, args: Rollback) -> Result<u8, CliError> {
    let manner = Manner { at_once: args.services.len(), on_failure: OnFailure::Continue };
    row(context, &args.services, manner, async |context, service| back(context, service, &args).await).await
}

async fn back(context: &Context, service: &ServiceName, args: &Rollback) -> Result<u8, CliError> {
    let order = &Ordered { service: service.clone(), detach: args.detach };
    // The same job once more: to roll back the way back would bring the sick revision again.
    if let Some((id, plan)) = asked_by_this_run(context, service).await?
        && matches!(plan.purpose, Purpose::Rollback { .. })
    {
        show::say(context, &format!("rollout {} was begun by this run: going on with it", id.number));
        return go_on(context, service, &id, Span::ZERO).await;
    }
    let Some((id, rollout)) = context.latest(service).await? else { return Err(Context::none_yet(service)) };
    match rollout.phase() {
        Phase::Ended(Verdict::RolledBack { .. }) if args.to.is_none() => {
            show::ended(context, &id, &context.facts(&id).await?)?;
            Ok(exit::DONE)
        }
        Phase::Ended(Verdict::Failed { .. }) if rollout.resumable() => {
            let spec = context.spec(service, &Wish::default())?;
            let backend = AnyBackend::of(&spec, &context.global.state)?;
            show::say(context, "the last way back did not succeed: trying it again");
            asked_for_that(take_over(context, &backend, &id, Span::ZERO).await)
        }
        Phase::Ended(_) => bring_back(context, service, args, (&id, &rollout)).await,
        Phase::Provision
        | Phase::Register
        | Phase::Settle { .. }
        | Phase::Shift { .. }
        | Phase::Bake { .. }
        | Phase::Drain { .. }
        | Phase::Retire
        | Phase::Restore { .. }
        | Phase::Withdraw { .. } => {
            if !rollout.past_return() {
                return asked_for_that(give(context, order, &id, Order::Rollback, Span::ZERO).await);
            }
            show::say(context, "blue is being taken away: finishing that, then bringing its revision back");
            let code = give(context, order, &id, Order::Rollback, Span::ZERO).await?;
            let rollout = context.read(&id).await?;
            if rollout.verdict() == Some(&Verdict::Completed) && !args.detach {
                return bring_back(context, service, args, (&id, &rollout)).await;
            }
            Ok(code)
        }
    }
}

/// A new rollout of an earlier revision, by the same machine.
async fn bring_back(
    context: &Context,
    service: &ServiceName,
    args: &Rollback,
    (id, last): (&RolloutId, &Rollout),
) -> Result<u8, CliError> {
    let spec = context.spec(service, &Wish::default())?;
    let revision = match &args.to {
        Some(revision) => revision.clone(),
        None => earlier(context, &spec, last).await?,
    };
    let backend = AnyBackend::of(&spec, &context.global.state)?;
    let wish =
        Wish { revision: Some(revision.clone()), exceptions: args.exceptions.clone(), ..Wish::default() };
    context.journal.may_follow(id, context.journal.read(id).await?.head.signed)?;
    let purpose = Purpose::Rollback { of: id.number };
    let (draft, look) = prepare(context, &spec, &backend, after(&spec, Some(id)), purpose, &wish).await?;
    show::say(context, &format!("blue is gone: bringing {revision} back by a new rollout"));
    show::remarks(context, &draft);
    begin(context, &backend, (draft.plan, look), Span::ZERO).await
}

/// How many rollouts are searched for an earlier revision.
const LOOK_BACK: usize = 200;

/// The revision of the last completed rollout that is not the one which serves now.
async fn earlier(context: &Context, spec: &Spec, last: &Rollout) -> Result<Revision, CliError> {
    let serving = last.serving().map(|fleet| fleet.revision.clone());
    let rollouts = context.journal.rollouts(&spec.service, &spec.environment).await?;
    for id in rollouts.iter().rev().take(LOOK_BACK) {
        let Some(past) = context.content(id).await?.filter(|past| past.completed) else { continue };
        if Some(&past.green.revision) != serving.as_ref() {
            return Ok(past.green.revision);
        }
    }
    // Blue may have been there before the journal began.
    match last.plan().blue.as_ref().filter(|blue| Some(&blue.revision) != serving.as_ref()) {
        Some(blue) => Ok(blue.revision.clone()),
        None => {
            Err(CliError::new(format!("the journal of `{}` knows no other completed revision", spec.service))
                .hint("name one with `--to REVISION`"))
        }
    }
}
