//! Whether a driver lives, for processes of other hosts: a hint that is written over, never a lock. Who may change the
//! world is decided by the log alone.

use serde::{Deserialize, Serialize};

use super::{Journal, JournalFault, Store};
use crate::model::{RolloutId, Span};
use crate::rollout::Actor;

const NAME: &str = "driver.json";

/// A driver's sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// Who drives.
    pub by: Actor,
    /// Where other processes could see it without this: the folder of its host's marks, as no other host names it.
    pub home: Option<String>,
    /// How long this counts.
    pub lives: Span,
    /// Whether it has let go.
    pub left: bool,
}

impl Pulse {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("every pulse has string keys and finite numbers")
    }
}

impl<S: Store> Journal<S> {
    /// Leaves a sign of life.
    ///
    /// # Errors
    /// [`JournalFault`]; nothing depends on success.
    pub async fn beat(&self, rollout: &RolloutId, pulse: &Pulse) -> Result<(), JournalFault> {
        Ok(self.store().put(&Self::beside(rollout, NAME)?, &pulse.bytes()).await?)
    }

    /// The last sign of life, and its age by the store's own clock. One that cannot be read is none.
    ///
    /// # Errors
    /// [`JournalFault::Store`].
    pub async fn pulse(&self, rollout: &RolloutId) -> Result<Option<(Pulse, Span)>, JournalFault> {
        let key = Self::beside(rollout, NAME)?;
        let Some(age) = self.store().age(&key).await? else { return Ok(None) };
        let found = self.store().get(&key).await?;
        let pulse = found.and_then(|bytes| serde_json::from_slice::<Pulse>(&bytes).ok());
        Ok(pulse.map(|pulse| (pulse, age)))
    }
}
