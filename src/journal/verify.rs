//! Checks a rollout's log and says what was found, for people.

use super::{Damage, Fact, Flaw, Head, Journal, JournalFault, Store};
use crate::model::RolloutId;

/// What a check of one rollout found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which rollout.
    pub rollout: RolloutId,
    /// What was found.
    pub verdict: Verdict,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is as it was written.
    Sound {
        /// The last entry: how many there are, and the digest that stands for all of them.
        head: Head,
        /// Numbers and names of the events that this version does not know, and so would not resume.
        unknown: Vec<(u64, String)>,
        /// What is known of its signatures.
        signed: Signed,
    },
    /// One is not.
    Damaged(Damage),
}

/// What a check found out about signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The log began without a key.
    Not,
    /// Every signature fits the key.
    Fits,
    /// It is signed, and nobody could tell by whom: there is no key here.
    Unchecked,
}

impl<S: Store> Journal<S> {
    /// Checks every bit of one rollout's log.
    ///
    /// # Errors
    /// Only where nothing could be found out: [`JournalFault::Store`] or [`JournalFault::Missing`]. Damage is a finding.
    pub async fn verify(&self, rollout: &RolloutId) -> Result<Report, JournalFault> {
        let verdict = match self.read(rollout).await {
            Ok(history) => {
                let summary = self.summary(rollout).await?;
                let other =
                    summary.filter(|it| it.seq == history.head.seq && it.digest != history.head.digest);
                if other.is_some() {
                    let key = Self::beside(rollout, "summary.json")?;
                    let damage = Damage { place: self.store().place(&key), key, flaw: Flaw::Edited };
                    return Ok(Report { rollout: rollout.clone(), verdict: Verdict::Damaged(damage) });
                }
                let strange = history.entries.iter().filter(|entry| matches!(entry.fact, Fact::Unknown(_)));
                let unknown = strange.map(|entry| (entry.seq, entry.kind().to_owned())).collect();
                let signed = match (history.head.signed, self.keyring().signs()) {
                    (false, _) => Signed::Not,
                    (true, true) => Signed::Fits,
                    (true, false) => Signed::Unchecked,
                };
                Verdict::Sound { head: history.head, unknown, signed }
            }
            Err(JournalFault::Damaged(damage)) => Verdict::Damaged(damage),
            Err(fault) => return Err(fault),
        };
        Ok(Report { rollout: rollout.clone(), verdict })
    }
}
