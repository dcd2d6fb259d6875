//! `journal verify`.

use super::args::Output;
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::journal::{Signed, Verdict};
use crate::model::ServiceName;

/// What is known of a log's signatures, for people.
fn words_of(signed: Signed) -> &'static str {
    match signed {
        Signed::Not => "not signed",
        Signed::Fits => "signed with this key",
        Signed::Unchecked => "signed (not checked: no journal key is set)",
    }
}

/// Checks every entry of every rollout of a service, or of all.
pub async fn verify(context: &Context, service: Option<&ServiceName>) -> Result<u8, CliError> {
    let services = match service {
        Some(service) => vec![service.clone()],
        None => context.journal.services().await?,
    };
    let (mut sound, mut damaged, mut reports) = (0, 0, Vec::new());
    for service in &services {
        for environment in context.journal.environments(service).await? {
            for id in context.journal.rollouts(service, &environment).await? {
                let report = context.journal.verify(&id).await?;
                let (ok, words) = match &report.verdict {
                    Verdict::Sound { head, unknown, signed } if unknown.is_empty() => {
                        (true, format!("{} events, {}, head {}", head.seq, words_of(*signed), head.digest))
                    }
                    Verdict::Sound { head, unknown, .. } => {
                        let kinds: Vec<_> =
                            unknown.iter().map(|(seq, kind)| format!("{seq} `{kind}`")).collect();
                        (
                            true,
                            format!(
                                "{} events, of which this version does not know {}",
                                head.seq,
                                kinds.join(", ")
                            ),
                        )
                    }
                    Verdict::Damaged(damage) => (false, damage.to_string()),
                };
                if ok {
                    sound += 1;
                } else {
                    damaged += 1;
                }
                match context.global.output {
                    Output::Text if ok => println!("{id}: ok, {words}"),
                    Output::Text => println!("{id}: DAMAGED: failed to {words}"),
                    Output::Json | Output::Ndjson => {
                        reports.push(
                            serde_json::json!({ "rollout": id.to_string(), "ok": ok, "detail": words }),
                        );
                    }
                }
            }
        }
    }
    match context.global.output {
        Output::Text => println!("{sound} sound, {damaged} damaged"),
        Output::Json => println!("{}", serde_json::json!({ "schema": 1, "rollouts": reports })),
        Output::Ndjson => reports.iter().for_each(|report| println!("{report}")),
    }
    Ok(if damaged == 0 { exit::DONE } else { exit::ERROR })
}
