//! Who drives a rollout, and whether they live: seen on this host by a mark, from others by a sign in the store.

use std::convert::Infallible;
use std::future::Future;

use super::context::Context;
use crate::drive::Presence;
use crate::journal::Pulse;
use crate::model::{RolloutId, Span};

/// How often a driver leaves a sign of life.
const BEAT_EVERY: Span = Span::secs(10);
/// How long one counts: a driver that missed three is taken for gone, and whoever takes over waits out its calls.
const LIVES: Span = Span::secs(30);

/// How work that was driven ended, as far as the sign of life is concerned.
pub enum Left {
    /// Its driver let go.
    Freely,
    /// Another has taken over, and its signs are not to be written over.
    Fenced,
}

/// Marks this process as the driver for others of this host: before the journal shows it, or they would find it open
/// and nobody there.
pub fn mark(context: &Context, id: &RolloutId) -> Option<Presence> {
    Presence::claim(&context.presence(), id).unwrap_or_else(|error| {
        tracing::warn!(%error, "other processes of this host will not see that this one drives");
        None
    })
}

/// Does `work` as the driver of a rollout, with signs of life for other hosts.
pub async fn driving<T>(context: &Context, id: &RolloutId, work: impl Future<Output = (T, Left)>) -> T {
    let (done, left) = tokio::select! {
        biased;
        done = work => done,
        never = beating(context, id) => match never {},
    };
    if matches!(left, Left::Freely) {
        beat(context, id, true).await;
    }
    done
}

/// Signs of life go on until the work is over, or stop where another driver leaves its own.
async fn beating(context: &Context, id: &RolloutId) -> Infallible {
    beat(context, id, false).await;
    loop {
        context.clock.sleep_until(context.clock.now() + BEAT_EVERY).await;
        match context.journal.pulse(id).await {
            Ok(Some((pulse, _))) if pulse.by.nonce != context.me.nonce => break,
            Ok(_) => beat(context, id, false).await,
            Err(error) => tracing::debug!(%error, "no sign of life was left"),
        }
    }
    std::future::pending().await
}

async fn beat(context: &Context, id: &RolloutId, left: bool) {
    let pulse = Pulse { by: context.me.clone(), home: home(context), lives: LIVES, left };
    if let Err(error) = context.journal.beat(id, &pulse).await {
        tracing::debug!(%error, "no sign of life was left");
    }
}

/// Whether somebody drives a rollout; `None` where nobody ever said so.
pub async fn driven(context: &Context, id: &RolloutId) -> Option<bool> {
    if Presence::seen(&context.presence(), id) {
        return Some(true);
    }
    let (pulse, age) = context.journal.pulse(id).await.ok().flatten()?;
    // On its own host the mark says more than a sign that is not yet old.
    let here = pulse.home.is_some() && pulse.home == home(context);
    Some(!pulse.left && !here && age <= pulse.lives)
}

/// This host's folder of marks, named as no other host names it.
#[cfg(unix)]
fn home(context: &Context) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let folder = std::fs::metadata(context.presence()).ok()?;
    Some(format!("{}/{}/{}", boot.trim(), folder.dev(), folder.ino()))
}

#[cfg(not(unix))]
fn home(_: &Context) -> Option<String> {
    None
}
