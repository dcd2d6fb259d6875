//! Connections to targets: kept, used again, and replaced where they went stale.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::target::Target;
use super::world::lock;

/// A target is on this host: one that does not take a connection at once will not.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a connection that has just ended a request may take to be ready for the next.
const READY_MAX: Duration = Duration::from_millis(20);
/// Connections kept to one target.
const IDLE_MAX: usize = 128;

/// What is sent to a target; a body that is empty can be sent again.
pub(super) type Outward = Either<Incoming, Empty<Bytes>>;

/// A connection to a target.
pub(super) type Sender = SendRequest<Outward>;

/// Connections that wait for a request, the latest used last.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<Sender>>);

impl Idle {
    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn keep(&self, sender: Sender) {
        let mut idle = lock(&self.0);
        if idle.len() >= IDLE_MAX {
            idle.retain(|sender| !sender.is_closed());
        }
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    fn take(&self) -> Option<Sender> {
        lock(&self.0).pop()
    }

    /// The latest used connection that is ready.
    async fn ready(&self) -> Option<Sender> {
        while let Some(mut sender) = self.take() {
            let ready = sender.is_ready()
                || (!sender.is_closed() && matches!(timeout(READY_MAX, sender.ready()).await, Ok(Ok(()))));
            if ready {
                return Some(sender);
            }
        }
        None
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing was sent: the request may go elsewhere.
    NotSent(Box<Request<Outward>>, String),
    /// The target may have acted on it, which does no harm: it may be sent again.
    Repeatable(Box<Request<Outward>>, String),
    /// The target may have acted on it.
    Sent(String),
}

/// Sends a request. A kept connection that the target has closed meanwhile is no failure as long as the request can
/// be sent again without harm.
pub(super) async fn send(
    target: &Arc<Target>,
    mut request: Request<Outward>,
) -> Result<(Response<Incoming>, Sender), Failure> {
    while let Some(mut sender) = target.idle.ready().await {
        let spare = copy(&request);
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut error) => match (error.take_message(), spare) {
                (Some(back), _) => request = back,
                (None, Some(spare)) => {
                    request = spare;
                    break; // A fresh connection tells a stale one from a failing target.
                }
                (None, None) => return Err(Failure::Sent(error.into_error().to_string())),
            },
        }
    }
    let mut sender = match connect(target).await {
        Ok(sender) => sender,
        Err(error) => return Err(Failure::NotSent(Box::new(request), reason(&error))),
    };
    let spare = copy(&request);
    match sender.try_send_request(request).await {
        Ok(response) => Ok((response, sender)),
        Err(mut error) => {
            let back = error.take_message();
            let why = error.into_error().to_string();
            Err(match (back, spare) {
                (Some(request), _) => Failure::NotSent(Box::new(request), why),
                (None, Some(spare)) => Failure::Repeatable(Box::new(spare), why),
                (None, None) => Failure::Sent(why),
            })
        }
    }
}

/// A second copy of a request without a body that may be sent twice (RFC 9110, 9.2.2).
fn copy(request: &Request<Outward>) -> Option<Request<Outward>> {
    let twice = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
    if !twice.contains(request.method()) || matches!(request.body(), Either::Left(_)) {
        return None;
    }
    let mut copy = Request::new(Either::Right(Empty::new()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn connect(target: &Arc<Target>) -> io::Result<Sender> {
    let stream = timeout(CONNECT_MAX, TcpStream::connect(target.address))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let target = Arc::clone(target);
    tokio::spawn(async move {
        tokio::select! {
            // How it ended is told to whoever waits for an answer on it.
            _ = connection.with_upgrades() => {}
            () = target.until_cut() => {}
        }
    });
    Ok(sender)
}

/// An error as people know it, without the number of the system's call.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::{FleetId, InstanceId, TargetId};

    /// A target that answers the first request of each connection, promises to keep it, and closes it at the second.
    async fn forgetful() -> Arc<Target> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut buffer = [0; 4_096];
                    let _ = stream.read(&mut buffer).await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    let _ = stream.read(&mut buffer).await; // The second request is read, and never answered.
                });
            }
        });
        let name = |text: &str| (FleetId::new(text).unwrap(), InstanceId::new(text).unwrap());
        let (fleet, instance) = name("a");
        Target::new(TargetId::new("a:1").unwrap(), fleet, instance, port)
    }

    fn request(method: Method) -> Request<Outward> {
        let mut request = Request::new(Either::Right(Empty::new()));
        *request.method_mut() = method;
        request.headers_mut().insert("host", "a".parse().unwrap());
        request
    }

    async fn send_and_keep(target: &Arc<Target>, method: Method) -> Result<u16, Failure> {
        let (response, sender) = send(target, request(method)).await?;
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        target.idle.keep(sender);
        Ok(status)
    }

    #[tokio::test]
    async fn a_kept_connection_that_went_stale_is_no_failure_of_a_request_without_side_effects() {
        let target = forgetful().await;
        for _ in 0..5 {
            assert!(matches!(send_and_keep(&target, Method::GET).await, Ok(200)));
        }
    }

    #[tokio::test]
    async fn a_request_with_side_effects_is_not_sent_twice() {
        let target = forgetful().await;
        assert!(matches!(send_and_keep(&target, Method::POST).await, Ok(200)));
        assert!(matches!(send_and_keep(&target, Method::POST).await, Err(Failure::Sent(_))));
    }

    #[tokio::test]
    async fn a_target_that_cannot_be_connected_to_gives_the_request_back() {
        let target = forgetful().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let gone = Target::new(target.id.clone(), target.fleet.clone(), target.instance.clone(), closed);
        let failure = send_and_keep(&gone, Method::POST).await;
        assert!(matches!(failure, Err(Failure::NotSent(_, why)) if why == "connection refused"));
    }
}
