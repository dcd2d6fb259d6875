//! How much of a group's traffic a fleet carries.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Percent of one group's traffic, 0 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Share(u8);

/// Why a number is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a share: use a whole number from 0 to 100")]
pub struct BadShare(u64);

impl Share {
    /// No traffic.
    pub const NONE: Self = Self(0);
    /// The least that is something.
    pub const LEAST: Self = Self(1);
    /// All traffic.
    pub const ALL: Self = Self(100);

    /// Takes a number of percent.
    ///
    /// # Errors
    /// [`BadShare`] above 100.
    pub fn new(percent: u64) -> Result<Self, BadShare> {
        u8::try_from(percent).ok().filter(|p| *p <= 100).map(Self).ok_or(BadShare(percent))
    }

    /// As a number of percent.
    #[must_use]
    pub fn percent(self) -> u8 {
        self.0
    }

    /// What is left for the other fleet.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100 - self.0)
    }

    /// This share of `whole`, rounded up: half of three servers is two.
    #[must_use]
    pub fn of(self, whole: u32) -> u32 {
        let parts = u64::from(whole) * u64::from(self.0);
        u32::try_from(parts.div_ceil(100)).unwrap_or(whole)
    }
}

impl TryFrom<u8> for Share {
    type Error = BadShare;
    fn try_from(percent: u8) -> Result<Self, BadShare> {
        Self::new(u64::from(percent))
    }
}

impl From<Share> for u8 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_above_the_whole() {
        assert_eq!(Share::new(50).unwrap().of(3), 2);
        assert_eq!(Share::ALL.of(u32::MAX), u32::MAX);
        assert_eq!(Share::NONE.of(7), 0);
        assert!(Share::new(101).is_err());
    }
}
