//! What a history needs of a rollout that is over, in one object beside its log: so that a thousand services cost one
//! read each. The log stays whole; a summary that is missing, damaged or newer is made up for by reading it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::entry::{encode, format, split_mac, unseal};
use super::{Head, Journal, JournalFault, Signing, Store};
use crate::model::{Fleet, GroupId, Purpose, Release, RolloutId, Span, StrategyName, Time};
use crate::rollout::Actor;

const NAME: &str = "summary.json";

/// A rollout that ended with everything on one fleet, proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The format, numbered as that of entries.
    v: u64,
    /// Which rollout.
    pub rollout: RolloutId,
    /// The log's last entry when this was written: its number, and the digest that stands for all of them.
    pub seq: u64,
    /// See `seq`.
    pub digest: String,
    /// What it came to.
    pub content: Content,
}

/// What a rollout came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// When it was opened.
    pub began: Time,
    /// How long it took.
    pub took: Span,
    /// Why it was asked for.
    pub purpose: Purpose,
    /// How the traffic was shifted.
    pub strategy: StrategyName,
    /// The fleet that served before.
    pub blue: Option<Fleet>,
    /// The fleet that was to serve.
    pub green: Fleet,
    /// Every group that had to be covered.
    pub groups: BTreeSet<GroupId>,
    /// Whether green serves; blue does otherwise.
    pub completed: bool,
    /// Why it went back.
    pub cause: Option<String>,
    /// Who drove it last.
    pub driver: Actor,
    /// Which release it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

impl Summary {
    /// Whether the log is signed.
    #[must_use]
    pub fn signed(&self) -> bool {
        self.v == format(true)
    }

    /// Signed where the log is: of one that is not, nobody would believe more than of the log itself.
    fn bytes(&self, signing: &Signing) -> Vec<u8> {
        let mac = |bytes: &[u8]| if self.signed() { signing.mac(bytes) } else { None };
        encode(self, mac).expect("every summary has string keys and finite numbers")
    }
}

impl<S: Store> Journal<S> {
    /// Writes a rollout's summary, where there is none.
    ///
    /// # Errors
    /// [`JournalFault`]; nothing depends on success.
    pub async fn sum_up(
        &self,
        rollout: &RolloutId,
        head: &Head,
        content: Content,
    ) -> Result<(), JournalFault> {
        let (seq, digest) = (head.seq, head.digest.clone());
        if head.signed && !self.keyring().signs() {
            return Ok(()); // Somebody who can sign it may.
        }
        let v = format(head.signed);
        let summary = Summary { v, rollout: rollout.clone(), seq, digest, content };
        self.store().put_new(&Self::beside(rollout, NAME)?, &summary.bytes(self.keyring())).await?;
        Ok(())
    }

    /// A rollout's summary, where one can be believed.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn summary(&self, rollout: &RolloutId) -> Result<Option<Summary>, JournalFault> {
        let Some(bytes) = self.store().get(&Self::beside(rollout, NAME)?).await? else { return Ok(None) };
        let Ok(body) = unseal(&bytes) else { return Ok(None) };
        let (body, mac) = split_mac(body);
        if self.keyring().accept(body, mac).is_err() {
            return Ok(None);
        }
        let text = [body, b"}"].concat();
        let read = serde_json::from_slice(&text).ok();
        let known = format(mac.is_some());
        Ok(read.filter(|summary: &Summary| summary.v == known && summary.rollout == *rollout))
    }
}
