//! Which release a rollout is, so that an older one never overtakes a newer one.

use super::args::Sequence;
use super::context::Context;
use super::error::CliError;
use super::exit;
use crate::model::{Plan, Purpose, Release};

/// How far back a newer release is looked for.
const LOOK_BACK: usize = 100;

/// The release that was asked for: `--sequence`, or the CI's own count of its runs.
pub fn release(
    args: &Sequence,
    reason: Option<&String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Release> {
    let overtakes = reason.filter(|_| args.allow_older).cloned();
    if let Some(number) = args.number {
        return Some(Release { source: "given".into(), number, overtakes });
    }
    let number = env("GITHUB_RUN_NUMBER")?.parse().ok()?;
    // Each workflow counts for itself: numbers of two of them cannot be compared.
    let name = |var: &str| env(var).unwrap_or_default();
    let source = format!("github:{}/{}", name("GITHUB_REPOSITORY"), name("GITHUB_WORKFLOW"));
    let source = source.chars().filter(|c| !c.is_control()).take(300).collect();
    Some(Release { source, number, overtakes })
}

/// Refuses a release that is older than one that was completed here, unless somebody said why it may be.
///
/// # Errors
/// The refusal, or what the journal says.
pub async fn refuse_older(context: &Context, plan: &Plan) -> Result<(), CliError> {
    let Some(release) = &plan.release else { return Ok(()) };
    if release.overtakes.is_some() || plan.purpose != Purpose::Deploy {
        return Ok(());
    }
    let id = &plan.rollout;
    let earlier = context.journal.rollouts(&id.service, &id.environment).await?;
    let last: Vec<_> =
        earlier.into_iter().rev().filter(|other| other.number < id.number).take(LOOK_BACK).collect();
    let known = context.contents(&last).await?;
    let newest = known.iter().filter(|(_, content)| content.completed);
    let newest = newest.filter_map(|(id, content)| Some((id, content.release.as_ref()?)));
    let newest = newest.filter(|(_, other)| other.source == release.source);
    match newest.max_by_key(|(_, other)| other.number) {
        Some((other, newer)) if newer.number > release.number => Err(CliError::new(format!(
            "release {} is older than release {}, which rollout `{other}` completed",
            release.number, newer.number
        ))
        .hint("deploy the newer one; or go back on purpose with `deployer rollback`, or with `--allow-older --reason TEXT`")
        .code(exit::MOVED)),
        Some(_) | None => Ok(()),
    }
}
