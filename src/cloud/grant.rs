//! How much a policy grants, and where the journal is that it is part of.

/// How much is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// What `plan`, `status` and `doctor` read.
    Read,
    /// What a rollout changes, too.
    ReadWrite,
}

/// A journal's place in a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// What its objects' names match.
    pub inside: String,
}

impl<'a> Place<'a> {
    /// Of an address such as `s3://BUCKET/PREFIX?OPTIONS`; none where it is of another scheme.
    pub fn of(store: &'a str, scheme: &str) -> Option<Self> {
        let place = store.strip_prefix(scheme)?.strip_prefix("://")?;
        let place = place.split('?').next().unwrap_or(place);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/');
        let inside = if prefix.is_empty() { "*".to_owned() } else { format!("{prefix}/*") };
        Some(Self { bucket, inside })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_everything_below_its_prefix() {
        let of = |store| Place::of(store, "oss").map(|place| (place.bucket, place.inside));
        assert_eq!(of("oss://b/journal/"), Some(("b", "journal/*".to_owned())));
        assert_eq!(of("oss://b?region=x"), Some(("b", "*".to_owned())));
        assert_eq!(of("oss://b/a/c?region=x"), Some(("b", "a/c/*".to_owned())));
        assert_eq!(of("s3://b/journal"), None);
        assert_eq!(of("file:.deployer/journal"), None);
    }
}
