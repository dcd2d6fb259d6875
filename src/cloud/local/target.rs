//! One instance and port behind a group: whether it may be sent requests, and what it is busy with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::state::GroupSettings;
use super::upstream::Idle;
use super::world::lock;
use crate::cloud::clock;
use crate::model::{FleetId, Health, InstanceId, TargetId, TargetSeen};

/// A registered target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: TargetId,
    pub(super) fleet: FleetId,
    pub(super) instance: InstanceId,
    pub(super) address: SocketAddr,
    /// Connections that wait for a request.
    pub(super) idle: Idle,
    verdict: Mutex<Verdict>,
    /// The verdict and the draining as one bit, for the choice that every request makes.
    open: AtomicBool,
    in_flight: AtomicUsize,
    cut: watch::Sender<bool>,
}

#[derive(Debug)]
struct Verdict {
    health: Health,
    reason: Option<String>,
    passed: u32,
    failed: u32,
    draining: bool,
}

impl Verdict {
    fn new() -> Self {
        Self { health: Health::Initial, reason: None, passed: 0, failed: 0, draining: false }
    }
}

impl Target {
    pub(super) fn new(id: TargetId, fleet: FleetId, instance: InstanceId, port: u16) -> Arc<Self> {
        Arc::new(Self {
            id,
            fleet,
            instance,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            idle: Idle::default(),
            verdict: Mutex::new(Verdict::new()),
            open: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            cut: watch::Sender::new(false),
        })
    }

    /// Takes the outcome of a health check.
    pub(super) fn judge(&self, outcome: Result<(), String>, settings: &GroupSettings) {
        let mut verdict = lock(&self.verdict);
        match outcome {
            Ok(()) => {
                verdict.failed = 0;
                verdict.passed = verdict.passed.saturating_add(1);
                if verdict.passed >= settings.healthy_after.max(1) {
                    verdict.health = Health::Healthy;
                    verdict.reason = None;
                }
            }
            Err(why) => {
                verdict.passed = 0;
                verdict.failed = verdict.failed.saturating_add(1);
                verdict.reason = Some(why);
                if verdict.failed >= settings.unhealthy_after.max(1) {
                    verdict.health = Health::Unhealthy;
                }
            }
        }
        self.settle(&verdict);
    }

    /// No new request from here on.
    pub(super) fn drain(&self) {
        let mut verdict = lock(&self.verdict);
        verdict.draining = true;
        self.settle(&verdict);
    }

    /// Registered again while it drained: it is judged anew, as every registered target is.
    pub(super) fn resume(&self) {
        let mut verdict = lock(&self.verdict);
        *verdict = Verdict::new();
        self.settle(&verdict);
    }

    fn settle(&self, verdict: &Verdict) {
        let open = verdict.health == Health::Healthy && !verdict.draining;
        self.open.store(open, Ordering::Release);
    }

    /// How busy it is, where it may be sent a request.
    pub(super) fn load(&self) -> Option<usize> {
        self.open.load(Ordering::Acquire).then(|| self.in_flight())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Ends every connection to it.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
        self.idle.clear();
    }

    pub(super) fn is_cut(&self) -> bool {
        *self.cut.borrow()
    }

    /// Waits until it is cut.
    pub(super) async fn until_cut(&self) {
        let mut cut = self.cut.subscribe();
        // The sender lives in `self`, so this ends only by the cut.
        clock::raised(&mut cut).await;
    }

    /// What a look says of it.
    pub(super) fn seen(&self) -> TargetSeen {
        let verdict = lock(&self.verdict);
        let health = if verdict.draining { Health::Draining } else { verdict.health };
        TargetSeen { instance: self.instance.clone(), health, reason: verdict.reason.clone() }
    }
}

/// A request, stream or upgraded connection in flight to a target; counted until it is dropped.
#[derive(Debug)]
pub(super) struct Hold(pub(super) Arc<Target>);

impl Hold {
    pub(super) fn new(target: &Arc<Target>) -> Self {
        target.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(target))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[test]
    fn a_target_is_open_only_while_it_is_healthy_and_not_draining() {
        let settings = GroupSettings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            deregistration_delay: Span::ZERO,
            health_path: "/".to_owned(),
            health_interval: Span::secs(1),
            health_timeout: Span::secs(1),
            healthy_after: 2,
            unhealthy_after: 2,
        };
        let name = |text: &str| (FleetId::new(text).unwrap(), InstanceId::new(text).unwrap());
        let (fleet, instance) = name("a");
        let target = Target::new(TargetId::new("a:1").unwrap(), fleet, instance, 1);
        let mut seen = Vec::new();
        let mut note = |target: &Target| seen.push((target.seen().health, target.load().is_some()));
        note(&target);
        for outcome in [Ok(()), Ok(()), Err("HTTP 503".to_owned()), Err("HTTP 503".to_owned())] {
            target.judge(outcome, &settings);
            note(&target);
        }
        assert_eq!(target.seen().reason.as_deref(), Some("HTTP 503"));
        target.judge(Ok(()), &settings);
        target.judge(Ok(()), &settings);
        target.drain();
        note(&target);
        target.resume();
        note(&target);
        let (initial, healthy, unhealthy) = (Health::Initial, Health::Healthy, Health::Unhealthy);
        let expected = [
            (initial, false),
            (initial, false),
            (healthy, true),
            (healthy, true),
            (unhealthy, false),
            (Health::Draining, false),
            (initial, false),
        ];
        assert_eq!(seen, expected);
    }
}
