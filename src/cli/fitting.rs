//! The deployment file of an open rollout, as it is now: does it still describe the place that the rollout is about?
//!
//! A group that the file no longer names is in no look, so nothing would be moved for it, and the way back would leave it
//! where it is.

use std::collections::{BTreeMap, BTreeSet};

use super::args::Wish;
use super::backend::AnyBackend;
use super::context::{Context, fold};
use super::error::CliError;
use super::exit;
use super::rollout::take_over;
use crate::model::{Because, GroupId, Plan, RolloutId, ServiceName, Span};
use crate::report::Stamp;
use crate::rollout::Recorded;
use crate::spec::Spec;

/// Takes up a rollout that nobody drives, by the file as it is now.
///
/// # Errors
/// A file with faults or of another place, before anything is done; what driving comes to.
pub async fn take_up(
    context: &Context,
    service: &ServiceName,
    id: &RolloutId,
    attend: Span,
) -> Result<u8, CliError> {
    let backend = fitting(context, service, id).await?;
    take_over(context, &backend, id, attend).await
}

/// The backend of an open rollout.
///
/// # Errors
/// A file with faults, or one that is of another place than the rollout's.
pub async fn fitting(
    context: &Context,
    service: &ServiceName,
    id: &RolloutId,
) -> Result<AnyBackend, CliError> {
    let facts = context.facts(id).await?;
    let rollout = fold(&facts)?;
    // What is deployed is in the plan: the file's own may be a variable that only a build knows.
    let wish = Wish { revision: Some(rollout.plan().green.revision.clone()), ..Wish::default() };
    let spec = context.spec(service, &wish)?;
    let differences = differences(&Opened::of(rollout.plan()), &spec);
    if differences.is_empty() {
        return Ok(AnyBackend::of(&spec, &context.global.state)?);
    }
    let (file, number) = (context.file(service), id.number);
    let opened = facts.first().map(|Recorded { at, .. }| format!(" ({})", Stamp(*at))).unwrap_or_default();
    let text = format!(
        "`{}` is no longer what rollout {number} was opened with, and nothing was done: {}",
        file.display(),
        differences.join("; ")
    );
    let hint = format!(
        "put the file back as it was when rollout {number} was opened{opened}, or give its folder with `--config DIR`"
    );
    Err(CliError::usage(text).hint(hint))
}

/// A stored plan is of the place that the file names.
///
/// # Errors
/// A plan of another account, region, fleet or target group, before anything is done.
pub fn same_place(
    context: &Context,
    path: &std::path::Path,
    plan: &Plan,
    spec: &Spec,
) -> Result<(), CliError> {
    let differences = differences(&Opened::of(plan), spec);
    if differences.is_empty() {
        return Ok(());
    }
    let service = &spec.service;
    let text = format!(
        "`{}` was made with another file than `{}` is now, and nothing was done: {}",
        path.display(),
        context.file(service).display(),
        differences.join("; ")
    );
    let hint = format!("make a new plan with `deployer plan {service} --out {}`", path.display());
    Err(CliError::usage(text).hint(hint))
}

/// What a rollout was opened with, of the file.
struct Opened {
    declared: BTreeSet<GroupId>,
    home: BTreeMap<String, String>,
}

impl Opened {
    fn of(plan: &Plan) -> Self {
        let declared = plan.groups.iter().filter(|(_, group)| group.because.contains(&Because::Declared));
        Self { declared: declared.map(|(id, _)| id.clone()).collect(), home: plan.home.clone() }
    }
}

/// What a file says otherwise than the one that a rollout was opened with. Groups that are new in it hinder nobody.
fn differences(opened: &Opened, now: &Spec) -> Vec<String> {
    let declared: BTreeSet<_> = now.groups().into_iter().collect();
    let dropped = opened.declared.difference(&declared);
    let dropped = dropped.map(|id| format!("target group `{id}` is not in it"));
    let home = now.home();
    let moved = opened.home.iter().filter_map(|(what, was)| {
        let is = home.get(what)?;
        (is != was).then(|| format!("{what} is `{is}` and was `{was}`"))
    });
    dropped.chain(moved).collect()
}

/// An order was left, and the file stands in the way of obeying it.
pub fn left(error: CliError, service: &ServiceName, id: &RolloutId) -> CliError {
    if error.code != exit::USAGE {
        return error;
    }
    let said = format!(
        "your order is in the journal; nobody drives rollout {}, and whoever takes it up obeys it",
        id.number
    );
    let way = format!("mend the file, then `deployer resume {service}`");
    let (text, hint) = match (error.text.as_str(), error.hint) {
        ("", _) => (said, way),
        (text, Some(hint)) => {
            (format!("{text}. {said}"), format!("{hint}; then `deployer resume {service}`"))
        }
        (text, None) => (format!("{text}. {said}"), way),
    };
    CliError::usage(text).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Ask, Source, read};

    const FILE: &str = "
service: api
revision: \"42\"
environments:
  hongkong:
    provider:
      aws:
        account: \"123456789012\"
        region: ap-east-1
        fleets: { copy: api-prod }
        revision_is: launch_template
        groups:
          public: { twins: [api-public-a, api-public-b] }
          internal: { target_group: api-internal }
";

    fn spec(text: &str) -> Spec {
        read(&Source { name: "api.yaml", text }, &Ask::default(), &|_| None).unwrap()
    }

    #[test]
    fn a_file_of_another_place_is_told_from_the_one_that_a_rollout_was_opened_with() {
        let first = spec(FILE);
        let opened = Opened { declared: first.groups().into_iter().collect(), home: first.home() };
        let now = |from: &str, to: &str| {
            assert!(FILE.contains(from), "{from}");
            differences(&opened, &spec(&FILE.replace(from, to)))
        };
        assert_eq!(now("{ target_group", "{ target_group"), [""; 0]);
        assert_eq!(now("\"42\"", "\"43\""), [""; 0]);
        assert_eq!(now("        groups:", "        groups:\n          new: { target_group: new }"), [""; 0]);
        assert_eq!(now("internal:", "inside:"), ["target group `internal` is not in it"]);
        assert_eq!(now("ap-east-1", "eu-west-1"), ["region is `eu-west-1` and was `ap-east-1`"]);
        assert_eq!(now("123456789012", "123456789013"), ["account is `123456789013` and was `123456789012`"]);
        assert_eq!(now("copy: api-prod", "copy: api"), ["fleets is `copy api` and was `copy api-prod`"]);
        assert_eq!(
            now("api-public-b", "api-public-c"),
            ["target group public is `api-public-a, api-public-c` and was `api-public-a, api-public-b`"]
        );
        // A plan of an earlier release of the tool does not say.
        let unsaid = Opened { home: BTreeMap::new(), ..opened };
        assert_eq!(differences(&unsaid, &spec(&FILE.replace("ap-east-1", "eu-west-1"))), [""; 0]);
    }
}
