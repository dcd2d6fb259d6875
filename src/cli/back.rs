//! `rollback`: to blue while it stands, else to an earlier revision by a new rollout.

use super::args::{OnFailure, Ordered, Rollback, Wish};
use super::backend::AnyBackend;
use super::context::Context;
use super::error::CliError;
use super::fitting::take_up;
use super::orders::{asked_for_that, give, go_on};
use super::plan::{after, at_once, prepare};
use super::rollout::{begin, stuck};
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
    match once(context, service, args).await {
        // Somebody else asked for the same at the same moment, and was quicker.
        Err(error) if error.code == exit::LOCKED => match context.latest(service).await? {
            Some((_, last)) if way_back(&last).is_some() && wanted(args, &last) => {
                once(context, service, args).await
            }
            Some(_) | None => Err(error),
        },
        end => end,
    }
}

async fn once(context: &Context, service: &ServiceName, args: &Rollback) -> Result<u8, CliError> {
    let Some((id, rollout)) = context.latest(service).await? else { return Err(Context::none_yet(service)) };
    if let Some(of) = way_back(&rollout) {
        return again(context, service, args, (&id, &rollout, of)).await;
    }
    match rollout.phase() {
        Phase::Ended(Verdict::RolledBack { .. }) if args.to.is_none() => {
            show::ended(context, &id, &context.facts(&id).await?)?;
            Ok(exit::DONE)
        }
        Phase::Ended(Verdict::Failed { .. }) if rollout.resumable() => {
            asked_for_that(once_more(context, service, args, (&id, &rollout)).await)
        }
        Phase::Ended(_) => bring_back(context, service, args, (&id, &rollout, id.number)).await,
        Phase::Provision
        | Phase::Register
        | Phase::Settle { .. }
        | Phase::Shift { .. }
        | Phase::Bake { .. }
        | Phase::Drain { .. }
        | Phase::Retire
        | Phase::Restore { .. }
        | Phase::Withdraw { .. } => turn_round(context, service, args, (&id, &rollout)).await,
    }
}

/// The number of the rollout that this one undoes, where it brings an earlier revision back.
fn way_back(rollout: &Rollout) -> Option<u64> {
    match rollout.plan().purpose {
        Purpose::Rollback { of } => Some(of),
        Purpose::Deploy => None,
    }
}

/// Whether a way back leads where this one is to lead.
fn wanted(args: &Rollback, way_back: &Rollout) -> bool {
    args.to.as_ref().is_none_or(|to| *to == way_back.plan().green.revision)
}

/// Whether a rollout's blue is what is named.
fn to_blue(args: &Rollback, rollout: &Rollout) -> bool {
    let blue = rollout.plan().blue.as_ref();
    blue.is_some_and(|blue| Some(&blue.revision) == args.to.as_ref())
}

/// Where the last rollout is a way back itself: a second one must not undo it, for that would bring the sick revision.
async fn again(
    context: &Context,
    service: &ServiceName,
    args: &Rollback,
    (id, last, of): (&RolloutId, &Rollout, u64),
) -> Result<u8, CliError> {
    let (number, revision) = (id.number, &last.plan().green.revision);
    match last.phase() {
        Phase::Ended(Verdict::Completed) if wanted(args, last) => {
            show::ended(context, id, &context.facts(id).await?)?;
            let further = format!("to go further back, name it: `deployer rollback {service} --to REVISION`");
            show::say(context, &format!("rollout {number} brought {revision} back already; {further}"));
            Ok(exit::DONE)
        }
        Phase::Ended(Verdict::Completed) => bring_back(context, service, args, (id, last, number)).await,
        // To blue it would be: to what was to be undone. So its end is said as it is.
        Phase::Ended(Verdict::Failed { .. }) if last.resumable() => {
            once_more(context, service, args, (id, last)).await
        }
        // What was to be undone is still there.
        Phase::Ended(Verdict::RolledBack { .. } | Verdict::Failed { .. }) => {
            bring_back(context, service, args, (id, last, of)).await
        }
        Phase::Provision
        | Phase::Register
        | Phase::Settle { .. }
        | Phase::Shift { .. }
        | Phase::Bake { .. }
        | Phase::Drain { .. }
        | Phase::Retire
        | Phase::Restore { .. }
        | Phase::Withdraw { .. } => {
            if wanted(args, last) {
                show::say(context, &format!("rollout {number} brings {revision} back already"));
                return if args.detach {
                    Ok(exit::DONE)
                } else {
                    go_on(context, service, id, Span::ZERO).await
                };
            }
            if to_blue(args, last) {
                return turn_round(context, service, args, (id, last)).await;
            }
            let text = format!("rollout {number} of `{service}` is on its way back to {revision}");
            let hint =
                format!("let it end, or stop it with `deployer abort {service}`, then go back further");
            Err(CliError::new(text).hint(hint).code(exit::LOCKED))
        }
    }
}

/// Orders an open rollout to go back to its blue. Where that is being taken away, its revision is brought back after it.
async fn turn_round(
    context: &Context,
    service: &ServiceName,
    args: &Rollback,
    (id, rollout): (&RolloutId, &Rollout),
) -> Result<u8, CliError> {
    let order = &Ordered { service: service.clone(), detach: args.detach };
    if !rollout.past_return() {
        return asked_for_that(give(context, order, id, Order::Rollback, Span::ZERO).await);
    }
    show::say(context, "blue is being taken away: finishing that, then bringing its revision back");
    let code = give(context, order, id, Order::Rollback, Span::ZERO).await?;
    let rollout = context.read(id).await?;
    if rollout.verdict() == Some(&Verdict::Completed) && !args.detach {
        return bring_back(context, service, args, (id, &rollout, id.number)).await;
    }
    Ok(code)
}

/// Tries once more to go back to blue, where that did not succeed.
async fn once_more(
    context: &Context,
    service: &ServiceName,
    args: &Rollback,
    (id, last): (&RolloutId, &Rollout),
) -> Result<u8, CliError> {
    if args.to.is_some() && !to_blue(args, last) {
        return Err(stuck(id));
    }
    show::say(context, "the last way back did not succeed: trying it again");
    take_up(context, service, id, Span::ZERO).await
}

/// The strategy of a way back that names none.
const STRAIGHT: &str = "straight-back";

/// A new rollout of an earlier revision, by the same machine, that undoes the rollout of a number.
async fn bring_back(
    context: &Context,
    service: &ServiceName,
    args: &Rollback,
    (id, last, of): (&RolloutId, &Rollout, u64),
) -> Result<u8, CliError> {
    let spec = context.spec(service, &Wish { strategy: args.strategy.clone(), ..Wish::default() })?;
    // What served before is known to be good: each step would only keep callers on what is not, and a bake nobody waits for
    // adds nothing to the quiet period, in which blue is still there.
    let spec = if args.strategy.is_some() { spec } else { at_once(spec, STRAIGHT)? };
    let revision = match &args.to {
        Some(revision) => revision.clone(),
        None => earlier(context, &spec, last).await?,
    };
    let backend = AnyBackend::of(&spec, &context.global.state)?;
    let wish =
        Wish { revision: Some(revision.clone()), exceptions: args.exceptions.clone(), ..Wish::default() };
    context.journal.may_follow(id, context.journal.read(id).await?.head.signed)?;
    let purpose = Purpose::Rollback { of };
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
