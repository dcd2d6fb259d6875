//! Where a journal is kept, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::journal::Key;

/// Where a journal is kept: `file:DIR`, `s3://BUCKET/PREFIX` or `oss://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A folder of this host.
    File(PathBuf),
    /// A bucket, or a part of one.
    Bucket(Bucket),
}

/// A bucket, or the part of one below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Whose.
    pub provider: Provider,
    /// Its name.
    pub name: String,
    /// What every object's name begins with; the root is the whole bucket.
    pub prefix: Key,
}

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Alibaba Cloud OSS.
    Oss,
}

/// Why a text is not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use {text:?} as a store: {why}")]
pub struct BadAddress {
    text: String,
    why: String,
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why: String| BadAddress { text: text.chars().take(200).collect(), why };
        if let Some(folder) = text.strip_prefix("file:").filter(|folder| !folder.is_empty()) {
            return Ok(Self::File(PathBuf::from(folder)));
        }
        let (provider, rest) = match text.split_once("://") {
            Some(("s3", rest)) => (Provider::S3, rest),
            Some(("oss", rest)) => (Provider::Oss, rest),
            _ => return Err(bad("write `file:DIR`, `s3://BUCKET/PREFIX` or `oss://BUCKET/PREFIX`".into())),
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(name) {
            let why = "a bucket's name has 3 to 63 of a-z, 0-9, `.` and `-`, beginning and ending with a letter or a digit";
            return Err(bad(why.into()));
        }
        let prefix = match prefix.trim_end_matches('/') {
            "" => Key::root(),
            prefix => prefix.parse().map_err(|why: crate::journal::BadKey| bad(why.to_string()))?,
        };
        Ok(Self::Bucket(Bucket { provider, name: name.to_owned(), prefix }))
    }
}

fn is_bucket(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.starts_with(ends)
        && name.ends_with(ends)
        && !name.contains("..")
        && name.chars().all(|c| ends(c) || matches!(c, '.' | '-'))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(folder) => write!(f, "file:{}", folder.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider, self.name)?;
        if self.prefix == Key::root() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3 => "s3",
            Self::Oss => "oss",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_printed_alike() {
        for text in [
            "file:.deployer/journal",
            "s3://team-journal",
            "s3://a.b.c/deployer/prod",
            "oss://team-journal/x",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("s3://team/x/".parse::<Address>().unwrap().to_string(), "s3://team/x");
    }

    #[test]
    fn what_could_mean_another_place_is_refused() {
        for bad in [
            "",
            "file:",
            "s3:team",
            "s3://",
            "s3://ab",
            "S3://team",
            "s3://Team",
            "s3://team/../x",
            "s3://te@m",
            "gs://team",
            "s3://team//x",
            "s3://-team",
            "s3://te..am",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }
}
