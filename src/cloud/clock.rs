//! The wall clock of this host: the one place in this room that reads it.

use std::time::SystemTime;

use tokio::sync::watch;

use crate::model::Time;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this host is the cloud, and a cloud has its own clock")]
pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Waits until a flag is raised, or nobody is left who could raise it.
pub(super) async fn raised(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}
