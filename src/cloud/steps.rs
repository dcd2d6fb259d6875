//! What a preflight says of groups that take no steps, in the words of every cloud.

use super::finding::Finding;
use crate::model::{GroupId, Share};
use crate::spec::Spec;

/// Of the groups that take no steps, those for which the plan of the file's own strategy would be refused.
pub(super) fn unaccepted(spec: &Spec, whole: impl IntoIterator<Item = GroupId>) -> Vec<Finding> {
    let name = &spec.strategy;
    let steps = spec.strategies.get(name).map(|own| own.steps.as_slice()).unwrap_or_default();
    let parts = steps.iter().map(|step| step.share).filter(|share| *share < Share::ALL);
    let parts: Vec<_> = parts.map(|share| share.to_string()).collect();
    if parts.is_empty() {
        return Vec::new();
    }
    let accepted: Vec<_> = spec.accepts_whole().into_iter().chain(spec.weighed()).collect();
    let refused = whole.into_iter().filter(|id| !accepted.contains(id));
    refused
        .map(|id| {
            let what =
                format!("strategy `{name}` asks for {} of `{id}`, which takes no steps", parts.join(", "));
            Finding::fail("steps", what)
                .why("the plan is refused")
                .mend(format!("write `whole: accept` for `{id}`, or take a strategy with the one step 100"))
        })
        .collect()
}
