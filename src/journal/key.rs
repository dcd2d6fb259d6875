//! Names of objects and folders in a store, checked so that nothing leaves its root.

use std::fmt;

/// The longest part between two slashes.
const SEGMENT_MAX: usize = 128;
/// The deepest key.
const DEPTH_MAX: usize = 8;

/// The name of an object or a folder, such as `api/local/00000007/00000001.json`. The root is empty.
///
/// No part begins with a dot: `..` cannot be written, and a store's own temporary files are never taken for objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// Why a text cannot be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "use {text:?} in a key: a part has 1 to 128 of a-z, A-Z, 0-9, `.`, `_` and `-`, beginning with a letter or a \
     digit, and a key has at most 8 parts"
)]
pub struct BadKey {
    text: String,
}

impl Key {
    /// The folder that holds everything.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// What is called `segment` in this folder.
    ///
    /// # Errors
    /// [`BadKey`] where the text could mean another place.
    pub fn join(&self, segment: &str) -> Result<Self, BadKey> {
        if !is_segment(segment) || self.segments().count() >= DEPTH_MAX {
            return Err(BadKey { text: segment.chars().take(SEGMENT_MAX).collect() });
        }
        Ok(if self.0.is_empty() { Self(segment.to_owned()) } else { Self(format!("{}/{segment}", self.0)) })
    }

    /// The parts between the slashes; none of the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The last part; empty of the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.segments().last().unwrap_or_default()
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows `folder/` in this key, where it lies in that folder at any depth.
    #[must_use]
    pub fn below(&self, folder: &Self) -> Option<&str> {
        if folder.0.is_empty() { Some(&self.0) } else { self.0.strip_prefix(&folder.0)?.strip_prefix('/') }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        text.split('/').try_fold(Self::root(), |folder, segment| folder.join(segment))
    }
}

/// Whether a text can stand between two slashes.
fn is_segment(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= SEGMENT_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_its_root() {
        for bad in [
            "",
            "/",
            "/etc",
            "a//b",
            "a/",
            "..",
            "a/../b",
            ".tmp",
            "a\0",
            "a b",
            "é",
            "C:\\x",
            &"a".repeat(129),
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
        assert!("a/b/c/d/e/f/g/h".parse::<Key>().is_ok());
        assert!("a/b/c/d/e/f/g/h/i".parse::<Key>().is_err());
    }

    #[test]
    fn a_folder_holds_what_follows_its_slash_and_nothing_that_only_begins_alike() {
        let key: Key = "api/local/00000001/00000002.json".parse().unwrap();
        assert_eq!(key.name(), "00000002.json");
        assert_eq!(key.below(&"api".parse().unwrap()), Some("local/00000001/00000002.json"));
        assert_eq!(key.below(&Key::root()), Some(key.as_str()));
        assert_eq!(key.below(&"ap".parse().unwrap()), None);
    }
}
