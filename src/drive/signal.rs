//! Asking a driver to stop.

use tokio::sync::watch;

/// Whether the driver should go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Finish the announced calls, write them down and let go.
    Asked,
}

/// Waits until a stop is asked for; for ever where nobody is left who could ask.
pub async fn stopped(mut stop: watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Listens for SIGINT, SIGTERM and SIGHUP. The first asks for a stop at a safe point; the second leaves at once through
/// `leave`, which the journal makes as safe as a crash.
///
/// # Errors
/// Where the system does not let us listen.
#[cfg(unix)]
pub fn listen(leave: impl FnOnce() + Send + 'static) -> std::io::Result<watch::Receiver<Stop>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (asked, stop) = watch::channel(Stop::No);
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
            if last {
                leave();
                return;
            }
            asked.send_replace(Stop::Asked);
        }
    });
    Ok(stop)
}

/// Listens for Ctrl-C. The first asks for a stop at a safe point; the second leaves at once through `leave`.
///
/// # Errors
/// Where the system does not let us listen.
#[cfg(not(unix))]
pub fn listen(leave: impl FnOnce() + Send + 'static) -> std::io::Result<watch::Receiver<Stop>> {
    let (asked, stop) = watch::channel(Stop::No);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.send_replace(Stop::Asked);
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            leave();
        }
    });
    Ok(stop)
}
