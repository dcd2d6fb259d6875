//! A service on AWS, as its file says it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fault::{Wrong, shown};
use super::layer::usual;
use super::reader::Fields;
use super::settled_aws::{AwsFleets, AwsGroup, AwsRevision, AwsSpec, Bundle, CodeDeploy};
use super::table_aws::AWS;
use crate::model::GroupId;

/// Reads it; everything in it is looked at, whatever is wrong before. `None` has said why.
pub(super) fn read(fields: &Fields<'_>) -> Option<AwsSpec> {
    let (account, region) =
        (fields.digits("account"), fields.name::<crate::model::EnvironmentName>("region"));
    let fleets = fields.place("fleets").and_then(|fields| fleets(&fields));
    let installs = fields.value("codedeploy").is_some();
    let codedeploy = fields.place("codedeploy").and_then(|fields| codedeploy(&fields));
    let usually = if installs { "bundle" } else { "launch_template" };
    let unsaid = fields.value("revision_is").is_none();
    let revision = fields.choice("revision_is").or_else(|| unsaid.then_some(usually));
    let span = |name| match fields.value(name) {
        None => Some(usual(&AWS, name)),
        Some(_) => fields.span(name),
    };
    let (call_timeout, pace) = (span("call_timeout"), span("pace"));
    let reads_per_second = match fields.value("reads_per_second") {
        None => Some(usual(&AWS, "reads_per_second")),
        Some(_) => fields.count_u32("reads_per_second"),
    };
    let groups = groups(fields);
    let revision = revision.and_then(|is| settle(fields, is, (installs, codedeploy), fleets.as_ref()));
    if fleets == Some(AwsFleets::Managed) {
        refuse_twins(fields, groups.as_ref()?);
    }
    Some(AwsSpec {
        account: account?,
        region: region?.to_string(),
        fleets: fleets?,
        revision: revision?,
        call_timeout: call_timeout?,
        pace: pace?,
        reads_per_second: reads_per_second?,
        groups: groups?,
    })
}

/// `CodeDeploy` moves instances in and out of target groups and knows no weights.
fn refuse_twins(fields: &Fields<'_>, groups: &BTreeMap<GroupId, AwsGroup>) {
    for (id, _) in groups.iter().filter(|(_, group)| matches!(group, AwsGroup::Twins { .. })) {
        let at = fields.key_at("groups").unwrap_or(fields.at.clone());
        let message = format!("`{id}` has twins, and CodeDeploy moves no weights between them");
        let hint = "write `target_group: NAME`, or let deployer make the fleets (`fleets: { copy: ASG }`)";
        fields.reader.refuse(Wrong::new(at, message).hint(hint));
    }
}

fn fleets(fields: &Fields<'_>) -> Option<AwsFleets> {
    if fields.value("copy").is_some() {
        return Some(AwsFleets::Copy { from: fields.label("copy")? });
    }
    if fields.value("pair").is_some() {
        return Some(AwsFleets::Pair(fields.pair("pair")?));
    }
    fields.choice("managed").map(|_| AwsFleets::Managed)
}

/// CodeDeploy is there exactly where it is needed, with as many deployment groups as there are fleets to install on.
fn settle(
    fields: &Fields<'_>,
    is: &str,
    (installs, codedeploy): (bool, Option<CodeDeploy>),
    fleets: Option<&AwsFleets>,
) -> Option<AwsRevision> {
    let refuse = |key: &str, message: &str, hint: &str| {
        let at = fields.key_at(key).unwrap_or(fields.at.clone());
        fields.reader.refuse(Wrong::new(at, message).hint(hint));
        None
    };
    let managed = matches!(fleets, Some(AwsFleets::Managed));
    match (is, installs) {
        ("bundle", true) => {
            let codedeploy = codedeploy?;
            let pair = matches!(fleets, Some(AwsFleets::Pair(_)));
            match (pair, codedeploy.deployment_groups.len()) {
                (true, 1) => refuse(
                    "codedeploy",
                    "a pair of fleets needs two deployment groups",
                    "write `deployment_groups: [A, B]`, in the order of `fleets.pair`",
                ),
                (false, 2) => refuse(
                    "codedeploy",
                    "two deployment groups are for a pair of fleets only",
                    "write `deployment_group: NAME`",
                ),
                _ => Some(AwsRevision::Bundle(codedeploy)),
            }
        }
        ("bundle", false) => {
            refuse("revision_is", "`codedeploy` is missing here", "say which application installs the bundle")
        }
        (_, true) => refuse(
            "codedeploy",
            "CodeDeploy has nothing to install",
            "write `revision_is: bundle`, or leave `codedeploy` out",
        ),
        (_, false) if managed => refuse(
            "fleets",
            "CodeDeploy makes the fleets, and `codedeploy` is missing here",
            "write `revision_is: bundle` and `codedeploy`",
        ),
        ("ami", false) => Some(AwsRevision::Ami),
        (_, false) => Some(AwsRevision::LaunchTemplate),
    }
}

fn codedeploy(fields: &Fields<'_>) -> Option<CodeDeploy> {
    let (application, bundle) = (fields.label("application"), bundle(fields));
    let (one, two) = (fields.label("deployment_group"), fields.pair("deployment_groups"));
    let complete = flag(fields, "complete");
    let deployment_groups = one.map(|one| vec![one]).or(two.map(Vec::from));
    Some(CodeDeploy {
        application: application?,
        deployment_groups: deployment_groups?,
        bundle: bundle?,
        complete: complete?,
    })
}

fn bundle(fields: &Fields<'_>) -> Option<Bundle> {
    let (text, node) = (fields.label("bundle")?, fields.value("bundle")?);
    let wrong = |message: String| {
        let hint = "write `s3://BUCKET/KEY` with `{revision}` in the key, or `github:OWNER/REPOSITORY`";
        fields.reader.refuse(Wrong::new(node.at.clone(), message).hint(hint));
        None
    };
    if let Some((bucket, key)) = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
        if bucket.is_empty() || !key.contains("{revision}") {
            return wrong(format!("`{}` names the same object for every revision", shown(&text)));
        }
        return Some(Bundle::S3 { bucket: bucket.to_owned(), key: key.to_owned() });
    }
    let repository = text.strip_prefix("github:").and_then(|rest| rest.split_once('/'));
    match repository {
        Some((owner, name)) if !owner.is_empty() && !name.is_empty() && !name.contains('/') => {
            Some(Bundle::GitHub { repository: format!("{owner}/{name}") })
        }
        _ => wrong(format!("`{}` is no place of a bundle", shown(&text))),
    }
}

/// A flag that is false where it is not given; `None` where it cannot be read.
fn flag(fields: &Fields<'_>, name: &str) -> Option<bool> {
    if fields.value(name).is_none() { Some(false) } else { fields.flag(name) }
}

fn groups(fields: &Fields<'_>) -> Option<BTreeMap<GroupId, AwsGroup>> {
    let mut groups = BTreeMap::new();
    let mut taken: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut whole = true;
    for (key, inside) in fields.named("groups")? {
        let name = fields.reader.name::<GroupId>(key);
        let group = inside.as_ref().and_then(group);
        let (Some(name), Some(group), Some(inside)) = (name, group, inside) else {
            whole = false;
            continue;
        };
        for target_group in group.names() {
            if taken.insert(target_group.clone(), key.at.clone()).is_some() {
                let message = format!("the target group `{}` is declared twice", shown(target_group));
                fields
                    .reader
                    .refuse(Wrong::new(inside.at.clone(), message).hint("name it in one group only"));
            }
        }
        groups.insert(name, group);
    }
    whole.then_some(groups)
}

fn group(fields: &Fields<'_>) -> Option<AwsGroup> {
    let create = flag(fields, "create");
    if let Some(name) = fields.label("target_group") {
        if create == Some(true) {
            let at = fields.key_at("create").unwrap_or(fields.at.clone());
            let wrong = Wrong::new(at, "only a twin can be made");
            fields.reader.refuse(wrong.hint("write `twins: [A, B]`, or leave `create` out"));
        }
        return Some(AwsGroup::Shared { name, accepts_whole: fields.choice("whole").is_some() });
    }
    if let Some(at) = fields.key_at("whole") {
        let wrong = Wrong::new(at, "twins take every step, by weight");
        fields.reader.refuse(wrong.hint("leave `whole` out: only a `target_group` is switched whole"));
    }
    let names = fields.pair("twins")?;
    Some(AwsGroup::Twins { names, create: create? })
}
