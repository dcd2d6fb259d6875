//! `rollout`.

use std::io::{IsTerminal as _, Write as _};

use super::args::{Rollout as Args, Wish};
use super::backend::AnyBackend;
use super::context::{Context, fold};
use super::error::CliError;
use super::fitting::same_place;
use super::life::{Left, driven, driving, mark};
use super::orders::{asked_by_this_run, go_on};
use super::plan::{after, at_once, first_look, not_begun, prepare, read_plan};
use super::release::{refuse_older, release};
use super::row::{Manner, row};
use super::{exit, github, show};
use crate::cloud::Scope;
use crate::drive::{DriveError, Driver, Hands, Notice, OpenError, Outcome, Settings, open, resume};
use crate::journal::{AnyStore, JournalFault};
use crate::model::{FleetId, Inventory, Plan, Purpose, RolloutId, Seen, ServiceName, Span};
use crate::plan::{Draft, Note, digest};
use crate::report::Timeline;
use crate::rollout::{Rollout, Verdict};
use crate::spec::{Provider, Spec};

/// `rollout`: one service after the other, or several at once.
pub async fn rollout(context: &Context, args: Args) -> Result<u8, CliError> {
    if args.plan.is_some() && args.services.len() > 1 {
        return Err(CliError::usage("a plan is for one service").hint("name one service with `--plan`"));
    }
    let at_once = match args.parallel {
        None => 1,
        Some(None) => args.services.len(),
        Some(Some(most)) => most.get(),
    };
    let manner = Manner { at_once, on_failure: args.on_failure };
    row(context, &args.services, manner, async |context, service| one(context, service, &args).await).await
}

async fn one(context: &Context, service: &ServiceName, args: &Args) -> Result<u8, CliError> {
    let spec = context.spec(service, &args.wish)?;
    let stored = args.plan.as_ref().map(|path| read_plan(path)).transpose()?;
    if let (Some(path), Some(plan)) = (&args.plan, &stored) {
        same_place(context, path, plan, &spec)?;
    }
    let backend = AnyBackend::of(&spec, &context.global.state)?;
    if let Some((id, plan)) = asked_by_this_run(context, service).await? {
        let wanted = match &stored {
            Some(stored) => stored.rollout == id,
            None => plan.green.revision == spec.revision || plan.strategy.as_str() == BOOTSTRAP,
        };
        if wanted && plan.purpose == Purpose::Deploy {
            show::say(context, &format!("rollout {} was begun by this run: going on with it", id.number));
            let code = go_on(context, service, &id, args.patience.wait_promote).await?;
            if code != exit::DONE || plan.strategy.as_str() != BOOTSTRAP {
                return Ok(code);
            }
        }
    }
    let last = wait_for_turn(context, &spec, args).await?;
    let id = after(&spec, last.as_ref());
    if let Some(plan) = stored {
        let (plan, look) = binding(context, &backend, plan, &id).await?;
        refuse_older(context, &plan).await?;
        return begin(context, &backend, (plan, look), args.patience.wait_promote).await;
    }
    let id = match bootstrap(context, &spec, &backend, id).await? {
        Bootstrapped::Not(id) | Bootstrapped::Done(id) => id,
        Bootstrapped::Failed(code) => return Ok(code),
    };
    let (mut draft, look) = prepare(context, &spec, &backend, id, Purpose::Deploy, &args.wish).await?;
    draft.plan.release =
        release(&args.sequence, args.wish.exceptions.reason.as_ref(), &|name| std::env::var(name).ok());
    refuse_older(context, &draft.plan).await?;
    show::remarks(context, &draft);
    confirm(context, &draft, args.yes)?;
    begin(context, &backend, (draft.plan, look), args.patience.wait_promote).await
}

/// How often a rollout that has to end first is looked at.
const TURN_EVERY: Span = Span::secs(1);
const TURN_EVERY_REMOTE: Span = Span::secs(5);

/// One rollout at a time: the last one, which is over. Only the number right behind it may be opened.
async fn wait_for_turn(context: &Context, spec: &Spec, args: &Args) -> Result<Option<RolloutId>, CliError> {
    let give_up = context.clock.now() + args.wait_lock;
    let mut said = false;
    loop {
        let Some(id) = context.journal.latest(&spec.service, &spec.environment).await? else {
            return Ok(None);
        };
        // What is summed up is over.
        if let Some(summary) = context.journal.summary(&id).await? {
            context.journal.may_follow(&id, summary.signed())?;
            return Ok(Some(id));
        }
        let history = context.journal.read(&id).await?;
        context.journal.may_follow(&id, history.head.signed)?;
        let rollout = fold(&history.into_recorded()?)?;
        if rollout.verdict().is_some() {
            // It does not end by itself, so nobody waits for it.
            if rollout.resumable() && !args.abandon {
                return Err(stuck(&id));
            }
            context.sum_up(&id).await;
            return Ok(Some(id));
        }
        let now = context.clock.now();
        if now >= give_up {
            let alive = driven(context, &id).await == Some(true);
            return Err(locked(&id, &rollout, alive));
        }
        if !said {
            show::say(context, &format!("waiting for rollout {} of `{}` to end", id.number, id.service));
            said = true;
        }
        let every = if context.remote() { TURN_EVERY_REMOTE } else { TURN_EVERY };
        tokio::select! {
            biased;
            () = context.stopped() => return Err(not_begun(&after(spec, Some(&id)))),
            () = context.clock.sleep_until((now + every).min(give_up)) => {}
        }
    }
}

/// The way back of the last rollout did not succeed. A new one would take what is sick for blue, and the blue that is
/// really one would be on nobody's way back any more.
pub fn stuck(id: &RolloutId) -> CliError {
    let service = &id.service;
    let text = format!(
        "the way back of rollout {} of `{service}` did not succeed, and its blue is still wanted",
        id.number
    );
    let hint = format!(
        "mend what `deployer why {service}` says, then `deployer resume {service}`; `deployer rollout {service} --abandon` \
         gives that blue up"
    );
    CliError::new(text).hint(hint).code(exit::LOCKED)
}

fn locked(id: &RolloutId, rollout: &Rollout, alive: bool) -> CliError {
    let driver = rollout.driver();
    let run = driver.run_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    let doing = if alive { "is driven by" } else { "is open, and was last driven by" };
    let who = format!("{}@{} (process {}{run})", driver.user, driver.host, driver.pid);
    let text =
        format!("rollout {} of `{}` {doing} {who}, in `{}`", id.number, id.service, rollout.phase().name());
    let hint = if alive {
        format!(
            "wait for it with `--wait-lock 15m`, or follow it with `deployer status {} --watch`",
            id.service
        )
    } else {
        let back = match rollout.plan().purpose {
            Purpose::Deploy => "go back with `deployer rollback",
            Purpose::Rollback { .. } => "stop it with `deployer abort",
        };
        format!("go on with `deployer resume {0}`, or {back} {0}`", id.service)
    };
    CliError::new(text).hint(hint).code(exit::LOCKED)
}

/// Somebody else began the rollout that was to be begun here, and may have ended it since.
async fn beaten(context: &Context, id: &RolloutId) -> Result<CliError, CliError> {
    let rollout = context.read(id).await?;
    if rollout.verdict().is_none() {
        let alive = driven(context, id).await == Some(true);
        return Ok(locked(id, &rollout, alive));
    }
    let by = rollout.driver();
    let text = format!(
        "rollout {} of `{}` was begun and ended by {}@{} meanwhile",
        id.number, id.service, by.user, by.host
    );
    Ok(CliError::new(text)
        .hint(format!("look at it with `deployer show {id}`, then begin again"))
        .code(exit::LOCKED))
}

/// A stored plan counts only in the world that it was made for.
async fn binding(
    context: &Context,
    backend: &AnyBackend,
    plan: Plan,
    id: &RolloutId,
) -> Result<(Plan, Inventory), CliError> {
    let moved = |what: String| {
        Err(CliError::new(what).hint("make a new plan with `deployer plan --out`").code(exit::MOVED))
    };
    if plan.rollout != *id {
        return moved(format!("the plan is for rollout `{}`, and the next one is `{id}`", plan.rollout));
    }
    let fleets = plan.blue.iter().map(|blue| blue.id.clone()).collect();
    let waived = plan.waivers.iter().map(|waiver| waiver.group.clone());
    let groups = plan.groups.keys().cloned().chain(waived).collect();
    let scope = Scope { service: id.service.clone(), groups, fleets };
    let look = first_look(context, backend, &scope, id).await?;
    if digest(&look) == plan.world {
        Ok((plan, look))
    } else {
        moved(format!("the world of `{}` has moved since the plan was made", id.service))
    }
}

/// The strategy of a first fleet on this host.
const BOOTSTRAP: &str = "bootstrap";

enum Bootstrapped {
    Not(RolloutId),
    Done(RolloutId),
    Failed(u8),
}

/// Brings up the first fleet on this host where the file asks for it, so that there is a blue to replace.
async fn bootstrap(
    context: &Context,
    spec: &Spec,
    backend: &AnyBackend,
    id: RolloutId,
) -> Result<Bootstrapped, CliError> {
    let Provider::Local(local) = &spec.provider else { return Ok(Bootstrapped::Not(id)) };
    let Some(revision) = local.bootstrap.clone() else { return Ok(Bootstrapped::Not(id)) };
    let groups = spec.groups().into_iter().collect();
    let scope = Scope { service: spec.service.clone(), groups, fleets: [].into() };
    let look = first_look(context, backend, &scope, &id).await?;
    let known = |(id, seen): (&FleetId, &Seen<_>)| seen.known().is_some() && !look.groups_of(id).is_empty();
    if look.fleets.iter().any(known) {
        return Ok(Bootstrapped::Not(id));
    }
    let mut first = at_once(spec.clone(), BOOTSTRAP)?;
    (first.quiet, first.settle) = (Span::ZERO, Span::ZERO);
    let wish = Wish { revision: Some(revision.clone()), ..Wish::default() };
    let what = format!("nothing runs yet: bringing up `{}` {revision} first", spec.service);
    show::say(context, &format!("{what}, so that there is a blue to replace"));
    let (draft, look) = prepare(context, &first, backend, id, Purpose::Deploy, &wish).await?;
    let first = draft.plan.rollout.clone();
    match begin(context, backend, (draft.plan, look), Span::ZERO).await? {
        exit::DONE => {
            show::say(context, "");
            Ok(Bootstrapped::Done(after(spec, Some(&first))))
        }
        code => Ok(Bootstrapped::Failed(code)),
    }
}

/// Asks only a person at a terminal, and only where the plan has a remark that matters.
fn confirm(context: &Context, draft: &Draft, yes: bool) -> Result<(), CliError> {
    let matters = |note: &&Note| match note {
        Note::Smaller { .. }
        | Note::BlueUnwell { .. }
        | Note::Waived { .. }
        | Note::SharedAtOnce { .. }
        | Note::Unproved { .. }
        | Note::Weighed { .. } => true,
        Note::FirstDeployment | Note::SameRevision | Note::Idle { .. } | Note::AllAtOnce { .. } => false,
    };
    let remarks = draft.notes.iter().any(|note| matters(&note));
    let person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if yes || !remarks || !person {
        return Ok(());
    }
    if context.lane.is_some() {
        let text = "the plan has remarks, and nobody can be asked while other rollouts go on";
        return Err(CliError::new(text)
            .hint("give --yes, or roll this service out alone")
            .code(exit::REFUSED));
    }
    eprint!("go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(CliError::new("not confirmed, nothing was changed").code(exit::REFUSED))
}

/// Opens a rollout of this plan, made from this look, and drives it.
pub async fn begin(
    context: &Context,
    backend: &AnyBackend,
    (plan, look): (Plan, Inventory),
    attend: Span,
) -> Result<u8, CliError> {
    let id = plan.rollout.clone();
    // An open rollout would keep the next one waiting, and this one was not to be any more.
    if context.stops() {
        return Err(not_begun(&id));
    }
    github::began(&id);
    let mark = mark(context, &id);
    let screen = show::Screen::new(context, &id.service, Timeline::default());
    let hands = hands(context, attend, screen.onlooker());
    let driver = match open(&context.journal, backend, plan, hands).await {
        Err(OpenError::Journal(JournalFault::Taken { .. })) => {
            screen.close();
            return Err(beaten(context, &id).await?);
        }
        driver => driver?,
    };
    let code = drive(context, driver.planned_on(look), screen, &id).await;
    drop(mark);
    code
}

/// Takes over an open rollout and drives it.
pub async fn take_over(
    context: &Context,
    backend: &AnyBackend,
    id: &RolloutId,
    attend: Span,
) -> Result<u8, CliError> {
    github::began(id);
    let mark = mark(context, id);
    let screen = show::Screen::new(context, &id.service, context.timeline(id).await?);
    let hands = hands(context, attend, screen.onlooker());
    let driver = match resume(&context.journal, backend, id, hands).await {
        // Whoever drove it came to the end between our order and our taking over.
        Err(OpenError::Ended { .. }) => {
            screen.close();
            let rollout = context.read(id).await?;
            show::ended(context, id, &context.facts(id).await?)?;
            return Ok(rollout.verdict().map_or(exit::DONE, verdict_code));
        }
        driver => driver?,
    };
    let code = drive(context, driver, screen, id).await;
    drop(mark);
    code
}

fn hands<O>(context: &Context, attend: Span, onlooker: O) -> Hands<O> {
    Hands {
        me: context.me.clone(),
        clock: context.clock,
        settings: Settings { attend, orders_every: context.orders_every(), ..Settings::default() },
        stop: context.stop.clone(),
        onlooker,
    }
}

async fn drive<O: FnMut(&Rollout, &Notice<'_>) + Send>(
    context: &Context,
    mut driver: Driver<'_, AnyBackend, AnyStore, O>,
    screen: show::Screen,
    id: &RolloutId,
) -> Result<u8, CliError> {
    let work = async {
        let result: Result<Outcome, DriveError> = Box::pin(driver.run()).await;
        let fenced = matches!(result, Ok(Outcome::Fenced { .. }));
        (result, if fenced { Left::Fenced } else { Left::Freely })
    };
    let result = driving(context, id, Box::pin(work)).await;
    if let Ok(Outcome::Ended(_)) = result {
        context.sum_up(id).await;
    }
    match result {
        Ok(outcome) => {
            screen.end(driver.state(), &outcome)?;
            Ok(code(&outcome))
        }
        Err(error) => {
            screen.close();
            Err(error.into())
        }
    }
}

/// The exit code of an end.
pub fn code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Ended(verdict) => verdict_code(verdict),
        Outcome::Held { .. } => exit::HELD,
        Outcome::Paused | Outcome::AwaitsPromotion => exit::PAUSED,
        Outcome::Interrupted => exit::INTERRUPTED,
        Outcome::Fenced { .. } => exit::LOCKED,
    }
}

/// The exit code of a verdict.
pub fn verdict_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Completed => exit::DONE,
        Verdict::RolledBack { .. } => exit::ROLLED_BACK,
        Verdict::Failed { .. } => exit::HUMAN_NEEDED,
    }
}
