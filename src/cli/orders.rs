//! `promote`, `pause`, `resume` and `abort`: orders to a rollout, whoever drives it.

use super::args::{Ordered, Promote, Resume};
use super::context::Context;
use super::error::CliError;
use super::fitting::{fitting, left, take_up};
use super::life::driven;
use super::plan::waivers;
use super::rollout::{code, verdict_code};
use super::{exit, show};
use crate::drive::{OpenError, Outcome, Presence, follow, order};
use crate::journal::{AnyStore, Log};
use crate::model::{Plan, Purpose, RolloutId, ServiceName, Span, Time};
use crate::rollout::{Event, Order, Rollout};

/// How often a driver of another host is asked for its sign of life.
const ASK_EVERY: Span = Span::secs(5);

/// `promote`: ends the hold that the rollout waits in.
pub async fn promote(context: &Context, args: Promote) -> Result<u8, CliError> {
    let (id, rollout) = open_one(context, &args.order.service).await?;
    if !args.full && !rollout.awaits_promotion() && rollout.hold_ends().is_none() {
        let text = format!("rollout {} waits in no hold; it is in `{}`", id.number, rollout.phase().name());
        return Err(CliError::new(text).hint("`promote --full` ends every later hold"));
    }
    give(context, &args.order, &id, Order::Promote { full: args.full }, args.patience.wait_promote).await
}

/// `pause`: no further step until `resume`.
pub async fn pause(context: &Context, args: Ordered) -> Result<u8, CliError> {
    let (id, rollout) = open_one(context, &args.service).await?;
    if rollout.past_return() || !rollout.phase().forward() {
        let text = format!("rollout {} cannot be paused in `{}`", id.number, rollout.phase().name());
        return Err(CliError::new(text).hint("it goes on to a safe end by itself"));
    }
    give(context, &args, &id, Order::Pause, Span::ZERO).await
}

/// `abort`: stops and goes back to blue.
pub async fn abort(context: &Context, args: Ordered) -> Result<u8, CliError> {
    let (id, rollout) = open_one(context, &args.service).await?;
    if rollout.past_return() {
        let text = format!("rollout {} is past the point of return: blue is being taken away", id.number);
        // After a way back `rollback` alone brings nothing back.
        let to = match (&rollout.plan().purpose, &rollout.plan().blue) {
            (Purpose::Rollback { .. }, Some(blue)) => format!(" --to {}", blue.revision),
            (Purpose::Rollback { .. } | Purpose::Deploy, _) => String::new(),
        };
        let back = format!("deployer rollback {}{to}", args.service);
        return Err(CliError::new(text).hint(format!("bring the earlier revision back with `{back}`")));
    }
    let back = give(context, &args, &id, Order::Abort, Span::ZERO).await;
    asked_for_that(back)
}

/// Whoever asked to go back got what they asked for.
pub fn asked_for_that(code: Result<u8, CliError>) -> Result<u8, CliError> {
    match code {
        Ok(exit::ROLLED_BACK) => Ok(exit::DONE),
        code => code,
    }
}

/// `resume`: goes on after a pause, an interruption or a crash; says which.
pub async fn resume(context: &Context, args: Resume) -> Result<u8, CliError> {
    let service = &args.order.service;
    let (id, rollout) = match context.latest(service).await? {
        None => return Err(Context::none_yet(service)),
        Some((id, rollout)) if !rollout.resumable() => {
            show::ended(context, &id, &context.facts(&id).await?)?;
            return Ok(rollout.verdict().map_or(exit::DONE, verdict_code));
        }
        Some(found) => found,
    };
    let mut orders: Vec<_> = Vec::new();
    for group in &args.exceptions.amend {
        if rollout.look().is_some_and(|look| look.group(group).is_none()) {
            let text = format!("target group `{group}` was not in the last look");
            return Err(CliError::usage(text).hint("see the groups there are with `deployer status`"));
        }
        orders.push(Order::Amend { group: group.clone() });
    }
    for waiver in waivers(context, &args.exceptions) {
        orders.push(Order::Waive { group: waiver.group, reason: waiver.reason, until: waiver.until });
    }
    if rollout.paused() {
        show::say(context, "lifting the pause");
        orders.push(Order::Resume);
    }
    // Before anything is written: who takes it up needs the file, who follows does not.
    if !args.order.detach && (args.take_over || driven(context, &id).await != Some(true)) {
        fitting(context, service, &id).await?;
    }
    for one in orders {
        order(&context.journal, &id, one, &context.me, &context.clock).await?;
    }
    if args.order.detach {
        return Ok(exit::DONE);
    }
    if args.take_over {
        return taken_up(context, service, &id, args.patience.wait_promote).await;
    }
    go_on(context, service, &id, args.patience.wait_promote).await
}

/// Goes on with an open rollout: follows whoever drives it, or drives it where nobody does.
pub async fn go_on(
    context: &Context,
    service: &ServiceName,
    id: &RolloutId,
    attend: Span,
) -> Result<u8, CliError> {
    if driven(context, id).await == Some(true) {
        show::say(context, "another process drives it: following");
        return watch_or_take_over(context, service, id, attend).await;
    }
    taken_up(context, service, id, attend).await
}

async fn taken_up(
    context: &Context,
    service: &ServiceName,
    id: &RolloutId,
    attend: Span,
) -> Result<u8, CliError> {
    let phase = context.read(id).await?.phase().name();
    show::say(context, &format!("taking up rollout {} in `{phase}`", id.number));
    take_up(context, service, id, attend).await
}

/// The open rollout of a service that this same run of a CI began, in an earlier attempt or step.
pub async fn asked_by_this_run(
    context: &Context,
    service: &ServiceName,
) -> Result<Option<(RolloutId, Plan)>, CliError> {
    if context.me.run_url.is_none() {
        return Ok(None);
    }
    let Some((id, facts)) = context.latest_facts(service).await? else { return Ok(None) };
    let rollout = Rollout::fold(&facts).map_err(OpenError::OutOfOrder)?;
    let begun = facts.first().and_then(|fact| match &fact.event {
        Event::Opened { plan, by } if by.run_url == context.me.run_url => Some(plan.as_ref().clone()),
        _ => None,
    });
    Ok(begun.filter(|_| rollout.verdict().is_none()).map(|plan| (id, plan)))
}

/// The open rollout of a service.
async fn open_one(context: &Context, service: &ServiceName) -> Result<(RolloutId, Rollout), CliError> {
    match context.latest(service).await? {
        Some((id, rollout)) if rollout.verdict().is_none() => Ok((id, rollout)),
        Some((id, _)) => Err(CliError::new(format!(
            "no rollout of `{service}` is open; the last one, {}, has ended",
            id.number
        ))
        .hint(format!("see `deployer show {service}`"))),
        None => Err(Context::none_yet(service)),
    }
}

/// Leaves an order, then follows whoever obeys it, or obeys it itself where nobody drives.
pub async fn give(
    context: &Context,
    args: &Ordered,
    id: &RolloutId,
    what: Order,
    attend: Span,
) -> Result<u8, CliError> {
    let pause = what == Order::Pause;
    let (log, state) = order(&context.journal, id, what, &context.me, &context.clock).await?;
    if args.detach {
        return Ok(exit::DONE);
    }
    let driven = driven(context, id).await == Some(true);
    if pause {
        if driven {
            follow_on(context, &args.service, (log, state)).await?;
        }
        show::say(context, &format!("paused; go on with `deployer resume {}`", args.service));
        return Ok(exit::DONE);
    }
    let end = if driven {
        watch_or_take_over(context, &args.service, id, attend).await
    } else {
        take_up(context, &args.service, id, attend).await
    };
    end.map_err(|error| left(error, &args.service, id))
}

/// Follows the living driver; takes over if it goes without an end.
async fn watch_or_take_over(
    context: &Context,
    service: &ServiceName,
    id: &RolloutId,
    attend: Span,
) -> Result<u8, CliError> {
    // One reading for both: what is written between two would be folded twice.
    let history = context.journal.read(id).await?;
    let log = context.journal.log(&history)?;
    let state = Rollout::fold(&history.into_recorded()?).map_err(OpenError::OutOfOrder)?;
    super::github::began(id);
    let (state, released) = follow_on(context, service, (log, state)).await?;
    if let Some(verdict) = state.verdict() {
        return Ok(verdict_code(verdict));
    }
    if released {
        let outcome = if state.paused() {
            Outcome::Paused
        } else if state.awaits_promotion() {
            Outcome::AwaitsPromotion
        } else if state.at() >= state.due() {
            Outcome::Held { gaps: state.gaps() }
        } else {
            Outcome::Interrupted
        };
        show::Screen::new(context, service, context.timeline(id).await?).leave(&state, &outcome);
        return Ok(code(&outcome));
    }
    show::say(context, "its driver is gone: taking over");
    take_up(context, service, id, attend).await
}

/// Shows what another process does, until it ends, lets go or dies. Says whether it let go.
pub async fn follow_on(
    context: &Context,
    service: &ServiceName,
    at: (Log<AnyStore>, Rollout),
) -> Result<(Rollout, bool), CliError> {
    let id = at.0.rollout().clone();
    let (mut asked, mut seen_alive) = (Time::default(), true);
    let alive = async || {
        // The mark of this host is asked for each time, the sign in the store less often.
        let now = context.clock.now();
        if Presence::seen(&context.presence(), &id) {
            return true;
        }
        if now.since(asked) >= ASK_EVERY {
            (asked, seen_alive) = (now, driven(context, &id).await == Some(true));
        }
        seen_alive
    };
    let screen = show::Screen::new(context, service, context.timeline(&id).await?);
    let mut onlooker = screen.onlooker();
    let mut released = false;
    let seen = |state: &Rollout, notice: &crate::drive::Notice<'_>| {
        if let crate::drive::Notice::Recorded(fact) = notice {
            released = matches!(fact.event, Event::Released { .. });
        }
        onlooker(state, notice);
    };
    let state = tokio::select! {
        biased;
        () = context.stopped() => {
            screen.close();
            show::say(context, &format!("no longer following: rollout {} goes on without us", id.number));
            return Err(CliError::shown(exit::INTERRUPTED));
        }
        state = follow(at, &context.clock, context.follow_every(), alive, seen) => state?,
    };
    match state.verdict() {
        Some(verdict) => screen.end(&state, &Outcome::Ended(verdict.clone()))?,
        None => screen.close(),
    }
    Ok((state, released))
}
