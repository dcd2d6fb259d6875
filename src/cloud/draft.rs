//! A deployment file for a service that was found running: what is the same on every cloud.

use crate::model::{EnvironmentName, ServiceName};

/// What goes into the file.
pub(super) struct Draft<'a> {
    pub service: &'a ServiceName,
    pub environment: &'a EnvironmentName,
    /// Where it was found, after a colon.
    pub from: &'a str,
    /// What somebody should know or decide.
    pub remarks: &'a [String],
    /// What runs, and how that is known.
    pub revision: (&'a str, &'a str),
    /// Whether any of its groups takes a part of the traffic; else a strategy in steps has nothing to divide.
    pub divides: bool,
    /// The part under `provider`, indented.
    pub provider: &'a str,
}

/// What a group says that takes no steps beside others that do.
pub(super) const WHOLE: &str =
    "            whole: accept     # it takes no steps: the shares before 100 are for the other groups\n";

impl Draft<'_> {
    /// The text of the file, with comments that explain it.
    pub fn text(&self) -> String {
        let Self { service, environment, provider, revision: (revision, note), .. } = self;
        let strategy = if self.divides { "bluegreen" } else { "switch       # no group here takes steps" };
        let head: Vec<_> =
            self.head().iter().map(|line| format!("{}\n", format!("# {line}").trim_end())).collect();
        format!(
            "{head}
service: {service}
revision: {revision}      # {note}
environment: {environment}

# How the traffic is shifted. `deployer schema` describes every key.
strategies:
  bluegreen:
    steps:
      - {{ share: 10, hold: 2m }}   # stay here, healthy
      - {{ share: 50, hold: 2m }}
      - 100
  switch:
    steps: [100]
strategy: {strategy}

settle: 30s         # how long green must be healthy before it takes traffic
bake: 10m           # how long green carries everything before blue is drained
quiet: 30m          # how long drained blue is kept running, in case somebody still needs it

environments:
  {environment}:
    provider:
{provider}",
            head = head.concat(),
            revision = quoted(revision),
            note = plain(note),
        )
    }

    fn head(&self) -> Vec<String> {
        let mut lines = vec![
            format!("The service `{}`, as `deployer init` found it: {}.", self.service, plain(self.from)),
            "Look it over: times and steps below are suggestions, target groups and names are what was found."
                .to_owned(),
        ];
        lines.extend(self.remarks.iter().map(|remark| format!("Beware: {}", plain(remark))));
        lines
    }
}

/// A word as YAML takes it for a text, whatever stands in it.
pub(super) fn quoted(word: &str) -> String {
    serde_json::to_string(word).unwrap_or_default()
}

/// A text that cannot leave its comment.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
