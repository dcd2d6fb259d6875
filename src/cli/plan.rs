//! `plan`, and the planning that `rollout` does.

use std::collections::BTreeSet;
use std::path::Path;

use super::args::{Exceptions, PlanArgs, Wish};
use super::backend::AnyBackend;
use super::context::{Context, read_file};
use super::error::CliError;
use super::release::{refuse_older, release};
use super::{exit, show};
use crate::cloud::{Backend as _, Fault, Scope};
use crate::drive::{FirstLook, OpenError};
use crate::model::{
    Expect, GroupId, Hold, Inventory, Plan, Purpose, RolloutId, Share, Span, Step, StrategyName, Waiver,
};
use crate::plan::{Ask, Draft, draft};
use crate::report::{Account, Timeline};
use crate::rollout::Rollout;
use crate::spec::{Spec, Strategy};

/// `plan`: shows what a rollout would do.
pub async fn plan(context: &Context, args: PlanArgs) -> Result<u8, CliError> {
    let spec = context.spec(&args.service, &args.wish)?;
    let backend = AnyBackend::of(&spec, &context.global.state)?;
    let id = next(context, &spec).await?;
    let (mut draft, look) = prepare(context, &spec, &backend, id, Purpose::Deploy, &args.wish).await?;
    draft.plan.release =
        release(&args.sequence, args.wish.exceptions.reason.as_ref(), &|name| std::env::var(name).ok());
    refuse_older(context, &draft.plan).await?;
    let changes = show::plan(context, &draft, &look)?;
    if let Some(path) = &args.out {
        write_plan(path, &draft.plan)?;
    }
    Ok(if args.detailed_exitcode && changes { exit::CHANGES } else { exit::DONE })
}

/// The rollout that would be opened next: to be shown, and not to be opened. Between two lists another may have begun.
async fn next(context: &Context, spec: &Spec) -> Result<RolloutId, CliError> {
    let last = context.journal.latest(&spec.service, &spec.environment).await?;
    Ok(after(spec, last.as_ref()))
}

/// The rollout right after one that was seen to be over. Whoever else begins one meanwhile takes this very number, so
/// that one of the two is refused.
pub fn after(spec: &Spec, last: Option<&RolloutId>) -> RolloutId {
    let number = last.map_or(1, |id| id.number + 1);
    RolloutId { service: spec.service.clone(), environment: spec.environment.clone(), number }
}

/// The same file with one strategy: everything in one step, and no bake after it. All proofs stay as they are.
pub fn at_once(mut spec: Spec, name: &str) -> Result<Spec, CliError> {
    let name = StrategyName::new(name).map_err(|bad| CliError::new(bad.to_string()))?;
    let steps = vec![Step { share: Share::ALL, hold: Hold::For(Span::ZERO) }];
    spec.strategies = [(name.clone(), Strategy { steps })].into();
    (spec.strategy, spec.bake) = (name, Hold::For(Span::ZERO));
    Ok(spec)
}

/// Looks at the world and plans; a refusal is shown and ends with its code.
pub async fn prepare(
    context: &Context,
    spec: &Spec,
    backend: &AnyBackend,
    rollout: RolloutId,
    purpose: Purpose,
    wish: &Wish,
) -> Result<(Draft, Inventory), CliError> {
    let (last, expect) = last(context, spec).await?;
    let waivers = waivers(context, &wish.exceptions);
    let mut groups: BTreeSet<_> = spec.groups().into_iter().collect();
    groups.extend(last.iter().chain(&wish.exceptions.amend).chain(&wish.exceptions.waive).cloned());
    let scope = Scope { service: spec.service.clone(), groups, fleets: BTreeSet::new() };
    let look = first_look(context, backend, &scope, &rollout).await?;
    let ask = Ask {
        rollout,
        purpose,
        revision: wish.revision.clone(),
        strategy: wish.strategy.clone(),
        last: &last,
        amended: wish.exceptions.amend.iter().cloned().collect(),
        waivers,
        expect,
        now: look.looked_at,
        capability: backend.capability(),
    };
    match draft(spec, &look, &ask) {
        Ok(draft) => Ok((draft, look)),
        Err(refusal) => {
            show::refusal(context, &spec.service, &refusal)?;
            Err(CliError::shown(exit::REFUSED))
        }
    }
}

/// Looks before anything is begun; a world that does not answer is asked again for a while.
pub async fn first_look(
    context: &Context,
    backend: &AnyBackend,
    scope: &Scope,
    rollout: &RolloutId,
) -> Result<Inventory, CliError> {
    let first = FirstLook { clock: context.clock, stop: context.stop.clone() };
    let again = |fault: &Fault| {
        show::say(context, &format!("the look failed and is tried again: {fault}"));
    };
    match first.at(backend, scope, again).await {
        Ok(Some(look)) => Ok(look),
        Ok(None) => Err(not_begun(rollout)),
        Err(fault) if fault.kind.retryable() => {
            let hint =
                "it was tried again for some time, and nothing was changed: mend the cause, then begin again";
            Err(CliError::from(fault).hint(hint))
        }
        Err(fault) => Err(fault.into()),
    }
}

/// A stop was asked for before anything was begun.
pub fn not_begun(id: &RolloutId) -> CliError {
    let text =
        format!("stopped before rollout {} of `{}` was opened: nothing was changed", id.number, id.service);
    CliError::new(text).code(exit::INTERRUPTED)
}

/// The waivers that the command line grants.
pub fn waivers(context: &Context, exceptions: &Exceptions) -> Vec<Waiver> {
    let reason = exceptions.reason.clone().unwrap_or_default();
    let until = context.clock.now() + exceptions.until;
    let by = context.me.user.clone();
    let waiver =
        |group: &GroupId| Waiver { group: group.clone(), reason: reason.clone(), until, by: by.clone() };
    exceptions.waive.iter().map(waiver).collect()
}

/// How far back the last completed rollout is looked for; one that is older says little about today.
const LOOK_BACK: usize = 100;

/// How much of what a wait took last time passes before it is looked at: launches differ by some percent.
const EXPECT_PERCENT: u64 = 85;

/// The groups that the last completed rollout covered, and how long its waits took.
async fn last(context: &Context, spec: &Spec) -> Result<(BTreeSet<GroupId>, Expect), CliError> {
    let rollouts = context.journal.rollouts(&spec.service, &spec.environment).await?;
    for id in rollouts.iter().rev().take(LOOK_BACK) {
        if let Some(past) = context.content(id).await?.filter(|past| past.completed) {
            let facts = context.facts(id).await?;
            let rollout = Rollout::fold(&facts).map_err(OpenError::OutOfOrder)?;
            let timeline = Account::of(&facts).map_err(OpenError::OutOfOrder)?.timeline;
            return Ok((past.groups, expect(&rollout, &timeline)));
        }
    }
    Ok((BTreeSet::new(), Expect::default()))
}

/// Without what the plan itself waits for.
fn expect(rollout: &Rollout, timeline: &Timeline) -> Expect {
    let took = |phase, but: Span| {
        let took = timeline.took(phase, rollout.at()).unwrap_or_default();
        Span(took.0.saturating_sub(but.0) * EXPECT_PERCENT / 100)
    };
    Expect { provision: took("provision", Span::ZERO), settle: took("settle", rollout.plan().settle) }
}

/// Reads a plan for `rollout --plan`.
pub fn read_plan(path: &Path) -> Result<Plan, CliError> {
    let text = read_file(path)?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("`{}` is not a plan: {error}", path.display())))?;
    if plan.format > crate::model::PLAN_FORMAT {
        let text = format!(
            "`{}` has plan format {}, and this version knows {}",
            path.display(),
            plan.format,
            crate::model::PLAN_FORMAT
        );
        return Err(CliError::usage(text).hint("use the version that wrote it, or make a new plan"));
    }
    Ok(plan)
}

fn write_plan(path: &Path, plan: &Plan) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(format!("failed to write `{}`: {error}", path.display()))
    };
    let text = serde_json::to_string_pretty(plan).map_err(|error| failed(&error))?;
    std::fs::write(path, text + "\n").map_err(|error| failed(&error))
}
