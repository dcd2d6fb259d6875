//! Health checks: each target of each group is asked by itself, as a load balancer does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::group::Group;
use super::target::Target;
use super::upstream::reason;
use crate::model::Health;

/// Checks are never closer together than this, whatever a file says.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Checks a target until it is cut.
pub(super) fn watch(group: &Arc<Group>, target: &Arc<Target>) {
    let (group, target) = (Arc::clone(group), Arc::clone(target));
    tokio::spawn(async move {
        let checks = async {
            loop {
                let settings = group.settings();
                if target.seen().health != Health::Draining {
                    let check = check(target.address, &settings.health_path);
                    let outcome = timeout(settings.health_timeout.into(), check).await;
                    target.judge(outcome.unwrap_or_else(|_| Err("timed out".to_owned())), &settings);
                }
                sleep(Duration::from(settings.health_interval).max(INTERVAL_MIN)).await;
            }
        };
        tokio::select! {
            () = checks => {}
            () = target.until_cut() => {}
        }
    });
}

/// One check, on a connection of its own: a kept one would not show that the target takes no new ones.
async fn check(address: SocketAddr, path: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| reason(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "deployer-health")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The connection may end in the same breath as the answer comes: the answer is what counts.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        response = sender.send_request(request) => {
            let status = response.map_err(|error| error.to_string())?.status();
            if status.is_success() { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
        }
        () = drive => Err("no answer".to_owned()),
    }
}
