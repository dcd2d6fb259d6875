//! Step outputs: what later steps of the job read.

use std::collections::BTreeSet;

use super::super::group::GroupState;
use super::super::plan::Proposal;
use super::super::snapshot::Snapshot;
use crate::model::GroupId;
use crate::plan::{Refusal, Refused};

/// The outputs of a step. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Such as `api/local/7`.
    pub rollout_id: String,
    /// How the command ended, in one word.
    pub result: String,
    /// What the rollout is about, in one word.
    pub state: String,
    /// The revision that the rollout brings.
    pub version: String,
    /// The revision that it replaces.
    pub previous_version: String,
    /// How many target groups have to be covered.
    pub expected: Option<usize>,
    /// In how many of them the fleet that has to carry them is healthy.
    pub healthy: Option<usize>,
    /// Those that are not covered.
    pub missing: BTreeSet<GroupId>,
    /// What to type to go back; empty where there is no way back.
    pub rollback_command: String,
    /// How long the rollout went on.
    pub duration_secs: Option<u64>,
    /// The exit code.
    pub exit_code: u8,
}

impl Outputs {
    /// The outputs of a rollout as it stands.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let expected = snapshot.target_groups.iter().filter(|group| !group.expected_because.is_empty());
        let healthy = expected.clone().filter(|group| group.state == GroupState::Healthy).count();
        let undeclared = snapshot.target_groups.iter();
        let undeclared =
            undeclared.filter(|group| group.expected_because.is_empty() && group.waived.is_none());
        let gaps = snapshot.waits_for.gaps.iter().filter_map(|gap| gap.group.clone());
        let back = snapshot.next.iter().find(|advice| advice.what == "roll back");
        let state = word(&snapshot.state);
        Self {
            rollout_id: snapshot.rollout.clone(),
            result: snapshot.outcome.map_or_else(|| state.clone(), ToOwned::to_owned),
            state,
            version: snapshot.green.revision.to_string(),
            previous_version: snapshot
                .blue
                .as_ref()
                .map(|blue| blue.revision.to_string())
                .unwrap_or_default(),
            expected: Some(expected.count()),
            healthy: Some(healthy),
            missing: undeclared.map(|group| group.group.clone()).chain(gaps).collect(),
            rollback_command: back.map(|advice| advice.command.clone()).unwrap_or_default(),
            duration_secs: Some(snapshot.elapsed_ms.0 / 1000),
            exit_code: 0,
        }
    }

    /// The outputs of a plan. Nothing of green has been seen.
    #[must_use]
    pub fn of_plan(proposal: &Proposal) -> Self {
        let plan = &proposal.plan;
        Self {
            rollout_id: plan.rollout.to_string(),
            result: if proposal.changes { "planned" } else { "unchanged" }.into(),
            state: "planned".into(),
            version: plan.green.revision.to_string(),
            previous_version: plan.blue.as_ref().map(|blue| blue.revision.to_string()).unwrap_or_default(),
            expected: Some(plan.groups.len()),
            ..Self::default()
        }
    }

    /// The outputs of a refused plan: which groups it would have left dark.
    #[must_use]
    pub fn of_refusal(refusal: &Refusal) -> Self {
        let group = |reason: &Refused| match reason {
            Refused::Undeclared { group, .. } | Refused::Dropped { group } | Refused::Unseen { group } => {
                Some(group.clone())
            }
            Refused::Unknown { .. }
            | Refused::Unread { .. }
            | Refused::TwoBlues { .. }
            | Refused::Stranger { .. }
            | Refused::NoStrategy { .. }
            | Refused::NoSuchGroup { .. }
            | Refused::Weightless { .. }
            | Refused::Unproved { .. }
            | Refused::Whole { .. }
            | Refused::NoName { .. } => None,
        };
        Self {
            result: "refused".into(),
            state: "refused".into(),
            expected: Some(refusal.groups),
            missing: refusal.reasons.iter().filter_map(group).collect(),
            ..Self::default()
        }
    }

    /// Every output by its name.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let count = |count: Option<usize>| count.map(|count| count.to_string()).unwrap_or_default();
        let missing = serde_json::to_string(&self.missing).unwrap_or_else(|_| "[]".into());
        let duration = self.duration_secs.map(|secs| secs.to_string()).unwrap_or_default();
        vec![
            ("rollout-id", self.rollout_id.clone()),
            ("result", self.result.clone()),
            ("state", self.state.clone()),
            ("version", self.version.clone()),
            ("previous-version", self.previous_version.clone()),
            ("target-groups-expected", count(self.expected)),
            ("target-groups-healthy", count(self.healthy)),
            ("missing-target-groups", missing),
            ("rollback-command", self.rollback_command.clone()),
            ("duration-seconds", duration),
            ("exit-code", self.exit_code.to_string()),
        ]
    }
}

fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// The lines of `GITHUB_OUTPUT`. A value may hold anything: it ends only at the delimiter, which nobody can foresee. Should
/// a value hold it all the same, the delimiter is drawn out until none does.
#[must_use]
pub fn file(pairs: &[(&str, String)], delimiter: &str) -> String {
    let mut delimiter = format!("deployer_{delimiter}");
    while pairs.iter().any(|(_, value)| value.contains(&delimiter)) {
        delimiter.push('x');
    }
    let pair = |(name, value): &(&str, String)| format!("{name}<<{delimiter}\n{value}\n{delimiter}\n");
    pairs.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_early_even_where_it_knows_the_delimiter() {
        let text = file(&[("a", "1\ndeployer_d\nexit-code<<x".into()), ("b", String::new())], "d");
        assert_eq!(
            text,
            "a<<deployer_dx\n1\ndeployer_d\nexit-code<<x\ndeployer_dx\nb<<deployer_dx\n\ndeployer_dx\n"
        );
    }
}
