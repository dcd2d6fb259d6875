//! Names, checked once at the door.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be {what}: {rule}")]
pub struct BadName {
    what: &'static str,
    text: String,
    rule: &'static str,
}

impl BadName {
    /// What the text was meant to be, such as `a service name`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The rule that it breaks.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

const SLUG_MAX: usize = 63;
const SLUG_RULE: &str = "use 1 to 63 of a-z, 0-9 and -, beginning with a letter or a digit";
const LABEL_MAX: usize = 512;
const LABEL_RULE: &str = "use 1 to 512 letters, digits and visible ASCII signs";

/// Slugs become folder and resource names, so they are strict.
fn is_slug(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= SLUG_MAX && text.starts_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

/// Labels come from a cloud (an ARN, a group name in Chinese). White space, control and bidirectional signs are
/// refused because they could forge a line on a terminal or in a workflow log.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LABEL_MAX
        && text.chars().all(|c| c.is_ascii_graphic() || c.is_alphanumeric())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a text as a name.
            ///
            /// # Errors
            /// [`BadName`] with the rule that the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                if $check(&text) { Ok(Self(text)) } else { Err(BadName { what: $what, text, rule: $rule }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name!(
    /// A service: what is deployed as one, such as `api`. A slug.
    ServiceName, "a service name", is_slug, SLUG_RULE
);
name!(
    /// An environment of a service: a backend, a region and an account, such as `local` or `hongkong`. A slug.
    EnvironmentName, "an environment name", is_slug, SLUG_RULE
);
name!(
    /// A strategy that the deployment file defines, such as `bluegreen`. A slug.
    StrategyName, "a strategy name", is_slug, SLUG_RULE
);
name!(
    /// What is deployed: a version, an image, a template version. A label.
    Revision, "a revision", is_label, LABEL_RULE
);
name!(
    /// A fleet: an Auto Scaling group, an EDAS deploy group, a set of local processes. A label.
    FleetId, "a fleet", is_label, LABEL_RULE
);
name!(
    /// A target group on any cloud: as the deployment file names it, or as the cloud does where the file does not. A label.
    GroupId, "a target group", is_label, LABEL_RULE
);
name!(
    /// One server of a fleet. A label.
    InstanceId, "an instance", is_label, LABEL_RULE
);
name!(
    /// One registered instance and port, such as `i-0ab1:8080`. A label.
    TargetId, "a target", is_label, LABEL_RULE
);
name!(
    /// Names one intended change for good: repeated under the same token, a change changes nothing more. A label.
    Token, "a token", is_label, LABEL_RULE
);

/// One rollout: the n-th of its service in its environment. Displayed as `api/local/7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutId {
    /// The service that is rolled out.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Counted from 1, without gaps.
    pub number: u64,
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.environment, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_safe_as_a_folder_name() {
        for good in ["api", "a", "0", "api-v2", "hong-kong-1"] {
            assert!(ServiceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "..", "a b", "a\n", "é", &"a".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_label_takes_what_clouds_use_and_nothing_that_moves_a_cursor() {
        for good in ["arn:aws:elasticloadbalancing:ap-east-1:1:targetgroup/api/50dc", "生产组", "i-0ab:8080"]
        {
            assert!(GroupId::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a b", "\u{1b}[2J", "a\u{202e}b", "a\nb", "a\0", "zero\u{200b}width", &"a".repeat(513)]
        {
            assert!(GroupId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<ServiceName>("\"../etc\"").is_err());
        assert_eq!(serde_json::from_str::<ServiceName>("\"api\"").unwrap().as_str(), "api");
    }
}
