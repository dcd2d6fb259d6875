//! `journal compact`.

use super::args::{Compact, Output};
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::journal::Packed;
use crate::model::{EnvironmentName, RolloutId, ServiceName, Span};

/// What is younger may still be in the hands of a process that slept, or of somebody who looks into an incident.
const OLDER_MIN: Span = Span::mins(7 * 24 * 60);

/// What was done with one log.
struct Line {
    id: RolloutId,
    words: String,
}

/// Packs the logs of rollouts that were over long ago.
pub async fn compact(context: &Context, args: &Compact) -> Result<u8, CliError> {
    if args.older_than < OLDER_MIN {
        return Err(CliError::usage(format!("`--older-than` is at least {OLDER_MIN}")));
    }
    let services = match &args.service {
        Some(service) => vec![service.clone()],
        None => context.journal.services().await?,
    };
    let (mut lines, mut packed) = (Vec::new(), 0);
    for service in &services {
        for environment in context.journal.environments(service).await? {
            let chosen = context.global.environment.as_ref().is_none_or(|only| *only == environment);
            for id in if chosen { over(context, args, service, &environment).await? } else { Vec::new() } {
                let words = if args.dry_run {
                    packed += 1;
                    "would be packed".to_owned()
                } else {
                    match context.journal.pack(&id).await? {
                        Packed::Done(objects) => {
                            packed += 1;
                            format!("packed, {objects} objects are one now")
                        }
                        Packed::Already => continue,
                        Packed::TooLarge => "left as it is: one object cannot hold it".to_owned(),
                    }
                };
                if context.text() {
                    println!("{id}: {words}");
                }
                lines.push(Line { id, words });
            }
        }
    }
    let document = |line: &Line| serde_json::json!({ "rollout": line.id.to_string(), "detail": line.words });
    match context.global.output {
        Output::Text => println!("{packed} logs {}packed", if args.dry_run { "would be " } else { "" }),
        Output::Json => {
            let all: Vec<_> = lines.iter().map(document).collect();
            println!("{}", serde_json::json!({ "schema": 1, "rollouts": all }));
        }
        Output::Ndjson => lines.iter().for_each(|line| println!("{}", document(line))),
    }
    Ok(exit::DONE)
}

/// The rollouts that have been over for long, but for the newest ones and the last one that completed. What is open
/// or failed is none of them.
async fn over(
    context: &Context,
    args: &Compact,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Vec<RolloutId>, CliError> {
    let all = context.journal.rollouts(service, environment).await?;
    let known = context.contents(&all).await?;
    let good = known.iter().rev().find(|(_, content)| content.completed).map(|(id, _)| id.clone());
    let Some(newest) = all.iter().rev().nth(args.keep.max(1)) else { return Ok(Vec::new()) };
    let now = context.clock.now();
    let old = known.into_iter().filter(|(id, content)| {
        let over = now.since(content.began + content.took) >= args.older_than;
        over && id.number <= newest.number && good.as_ref() != Some(id)
    });
    Ok(old.map(|(id, _)| id).collect())
}
