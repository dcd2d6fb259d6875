//! The commands that a screen tells people to type next.

use crate::model::{GroupId, ServiceName};

/// What the commands on a screen need to be right where they are typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints {
    /// The service.
    pub service: ServiceName,
    /// What follows every command, such as `--environment hongkong`; empty for the file's default environment.
    pub suffix: String,
    /// The deployment file, as it was given.
    pub file: String,
}

impl Hints {
    /// Commands for a service in its file's default environment.
    #[must_use]
    pub fn new(service: ServiceName) -> Self {
        let file = format!("deployments/{service}.yaml");
        Self { service, suffix: String::new(), file }
    }

    /// `deployer VERB SERVICE …`.
    #[must_use]
    pub fn command(&self, verb: &str, rest: &str) -> String {
        let words = ["deployer", verb, self.service.as_str(), rest, &self.suffix];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The command that adds a group to those that must be lit.
    #[must_use]
    pub fn amend(&self, verb: &str, group: &GroupId) -> String {
        self.command(verb, &format!("--amend {}", quoted(group.as_str())))
    }

    /// The command that excuses a group, with the reason left to whoever types it.
    #[must_use]
    pub fn waive(&self, verb: &str, group: &GroupId) -> String {
        self.command(verb, &format!("--waive {} --reason \"...\"", quoted(group.as_str())))
    }
}

/// A word that a shell takes as it is: people paste these lines.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_with_a_hostile_name_cannot_run_in_the_shell_it_is_pasted_into() {
        let hints = Hints::new(ServiceName::new("api").unwrap());
        let group = GroupId::new("$(reboot)';`x`").unwrap();
        assert_eq!(hints.amend("resume", &group), r"deployer resume api --amend '$(reboot)'\'';`x`'");
        let plain = GroupId::new("arn:aws:targetgroup/api/50dc").unwrap();
        assert_eq!(hints.amend("resume", &plain), "deployer resume api --amend arn:aws:targetgroup/api/50dc");
    }

    #[test]
    fn a_command_names_the_environment_where_it_is_not_the_default() {
        let hints =
            Hints { suffix: "--environment prod".into(), ..Hints::new(ServiceName::new("api").unwrap()) };
        assert_eq!(hints.command("promote", ""), "deployer promote api --environment prod");
    }
}
