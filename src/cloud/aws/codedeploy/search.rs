//! The deployment of a rollout, looked for once.
//!
//! `CodeDeploy` answers about one call a second, and every group asks for the same deployment: found once it is known by its
//! id, and those who ask at the same time have the same answer.

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types::DeploymentInfo;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::deployment::{Found, id};

/// What is known of one rollout's deployment.
#[derive(Debug, Default)]
pub(super) struct Search(Mutex<Known>);

/// Whoever holds it looks for the deployment, or stops it, and everybody else waits for what comes of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The rollout, and its deployment's id.
    ours: Option<(String, String)>,
    /// The last reading: when it was sent, and for which rollout.
    read: Option<(Instant, String, Found)>,
    /// When deployments were last stopped, and which.
    stopped: Option<(Instant, BTreeSet<String>)>,
}

impl Search {
    /// Waits for its turn, and says when it came to wait.
    pub async fn turn(&self) -> (Instant, MutexGuard<'_, Known>) {
        let asked = now();
        (asked, self.0.lock().await)
    }
}

impl Known {
    /// What was read for the rollout since somebody asked.
    pub fn since(&self, asked: Instant, rollout: &str) -> Option<Found> {
        let (_, _, found) = self.read.as_ref().filter(|(sent, of, _)| *sent >= asked && of == rollout)?;
        Some(found.clone())
    }

    /// The id of the rollout's deployment, once it has been found.
    pub fn id(&self, rollout: &str) -> Option<&str> {
        self.ours.as_ref().filter(|(of, _)| of == rollout).map(|(_, id)| id.as_str())
    }

    /// Keeps a reading that was sent then.
    pub fn keep(&mut self, sent: Instant, rollout: &str, found: &Found) {
        self.read = Some((sent, rollout.to_owned(), found.clone()));
        if let Some(ours) = &found.ours {
            self.ours = Some((rollout.to_owned(), id(ours).to_owned()));
        }
    }

    /// The deployment that was known is not there: it is looked for again.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether somebody has stopped it since.
    pub fn is_stopped(&self, asked: Instant, id: &str) -> bool {
        self.stopped.as_ref().is_some_and(|(sent, ids)| *sent >= asked && ids.contains(id))
    }

    /// It was stopped by a call that was sent then.
    pub fn stopped(&mut self, sent: Instant, id: &str) {
        self.stopped = Some((sent, BTreeSet::from([id.to_owned()])));
    }
}

/// Whether a listing shows itself to be in the order of age, the newest first: then nothing that follows is newer than what
/// has been read. That it is so is not written anywhere (2026-11).
pub(super) fn is_newest_first(infos: &[DeploymentInfo]) -> bool {
    let made_at = |info: &DeploymentInfo| info.create_time().map(|at| (at.secs(), at.subsec_nanos()));
    infos.iter().all(|info| made_at(info).is_some())
        && infos.windows(2).all(|two| made_at(&two[0]) >= made_at(&two[1]))
}

#[expect(
    clippy::disallowed_methods,
    reason = "who asked first is a matter of the real clock, and decides nothing"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn a_listing_is_read_to_its_end_unless_it_shows_to_begin_with_the_newest() {
        let made = |secs: Option<i64>| {
            DeploymentInfo::builder().set_create_time(secs.map(DateTime::from_secs)).build()
        };
        let listed = |secs: &[Option<i64>]| secs.iter().copied().map(made).collect::<Vec<_>>();
        assert!(is_newest_first(&listed(&[Some(9), Some(9), Some(3)])));
        assert!(!is_newest_first(&listed(&[Some(3), Some(9)])));
        assert!(!is_newest_first(&listed(&[Some(9), None])));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_whoever_asked_before_it_was_sent_and_nobody_else() {
        let search = Search::default();
        let (asked, mut known) = search.turn().await;
        let ours = DeploymentInfo::builder().deployment_id("d-1").build();
        known.keep(asked, "api 1", &Found { ours: Some(ours), other: None });
        known.stopped(asked, "d-1");
        let later = asked + std::time::Duration::from_millis(1);
        assert!(known.since(asked, "api 1").is_some());
        assert!(known.since(later, "api 1").is_none() && known.since(asked, "api 2").is_none());
        assert_eq!((known.id("api 1"), known.id("api 2")), (Some("d-1"), None));
        assert!(known.is_stopped(asked, "d-1") && !known.is_stopped(asked, "d-2"));
        assert!(!known.is_stopped(later, "d-1"));
        known.forget();
        assert_eq!(known.id("api 1"), None);
    }
}
