//! What a preflight notes while it reads.

use super::{Fault, FaultKind, Finding};

/// Findings so far, and whose policy would help where something is denied.
#[derive(Debug)]
pub(super) struct Notes {
    pub findings: Vec<Finding>,
    policy: &'static str,
}

impl Notes {
    /// None yet; `policy` is the command that prints what the account needs to allow.
    pub fn new(policy: &'static str) -> Self {
        Self { findings: Vec::new(), policy }
    }

    /// What was answered; a fault becomes a finding, once for each action.
    pub fn heard<T>(&mut self, answer: Result<T, Fault>) -> Option<T> {
        answer.map_err(|fault| self.note(&fault)).ok()
    }

    /// Notes a fault.
    pub fn note(&mut self, fault: &Fault) {
        let finding = match fault.kind {
            FaultKind::Denied => {
                Finding::fail("permissions", format!("`{}` is denied: {}", fault.action, fault.message))
                    .why("what cannot be read is unknown, and unknown refuses a rollout")
                    .mend(format!("attach the policy that `{}` prints", self.policy))
            }
            _ => Finding::fail("reading", fault.to_string()).why("what could not be read was not checked"),
        };
        let known =
            self.findings.iter().any(|known| known.check == finding.check && known.what == finding.what);
        if !known {
            self.findings.push(finding);
        }
    }
}
