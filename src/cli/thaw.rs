//! `thaw`: gives the cloud back the scaling that a rollout held still and could not give back itself.

use super::args::{Output, Thaw, Wish};
use super::backend::AnyBackend;
use super::context::Context;
use super::error::CliError;
use super::{exit, show};
use crate::drive::Presence;
use crate::model::RolloutId;
use crate::rollout::Rollout;

/// Thaws every fleet of the service. While a rollout is open its fleets are held still for a reason: a living driver of
/// this host refuses in any case, and without one only the operator knows whether there is one elsewhere.
pub async fn thaw(context: &Context, args: Thaw) -> Result<u8, CliError> {
    let service = &args.service;
    let spec = context.spec(service, &Wish::default())?;
    let locked = |which: &str, hint: String| {
        let text = format!("{which} of `{service}` is open, and gives scaling back at its end");
        CliError::new(text).hint(hint).code(exit::LOCKED)
    };
    let last = open(context, &args).await?;
    if Presence::seen_any(&context.presence(), service, &spec.environment) {
        let hint = format!("let it end, or stop it with `deployer abort {service}`");
        return Err(locked("a rollout that is driven here", hint));
    }
    if let Some((id, rollout)) = last.filter(|_| !args.anyway) {
        let back = if rollout.past_return() { "resume" } else { "resume` or `deployer abort" };
        let hint = format!(
            "take it up with `deployer {back} {service}`; if nobody drives it and its fleets have to scale now, \
             `deployer thaw {service} --anyway`"
        );
        return Err(locked(&format!("rollout {}", id.number), hint));
    }
    let backend = AnyBackend::of(&spec, &context.global.state)?;
    let thawed = backend.thaw_all().await.map_err(|fault| {
        CliError::new(format!("failed to give scaling back: {fault}"))
            .hint("mend the cause and give the command again: what is thawed already stays so")
    })?;
    let fleets = thawed.iter().flatten();
    if context.global.output != Output::Text {
        let names: Vec<_> = fleets.map(ToString::to_string).collect();
        println!("{}", serde_json::json!({ "thawed": names }));
        return Ok(exit::DONE);
    }
    for fleet in fleets {
        println!("{fleet}");
    }
    match &thawed {
        None => show::say(context, "fleets on this host have a fixed size: there is nothing to thaw"),
        Some(none) if none.is_empty() => {
            show::say(context, "no fleet is held still: there is nothing to thaw");
        }
        Some(_) => show::say(context, "these fleets scale again as they did before the rollout"),
    }
    Ok(exit::DONE)
}

/// The open rollout. Whoever says `--anyway` knows better than a journal that does not answer.
async fn open(context: &Context, args: &Thaw) -> Result<Option<(RolloutId, Rollout)>, CliError> {
    let service = &args.service;
    match context.latest(service).await {
        Ok(last) => Ok(last.filter(|(_, last)| last.verdict().is_none())),
        Err(error) if args.anyway => {
            let warning = "warning: the journal does not tell whether a rollout is open";
            show::say(context, &format!("{warning}: {}", error.text));
            Ok(None)
        }
        Err(error) => {
            let without = format!("`deployer thaw {service} --anyway` needs no journal");
            let hint = error.hint.iter().cloned().chain([without]).collect::<Vec<_>>().join("; ");
            Err(error.hint(hint))
        }
    }
}
