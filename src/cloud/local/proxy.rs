//! The data plane: a group's address, served as a reverse proxy.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::group::Group;
use super::target::Hold;
use super::upstream::{self, Failure, Outward, Sender};
use super::{headers, logs};

/// Connections of clients to one group at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 8_192;
/// The largest head of a request.
const HEAD_MAX: usize = 64 << 10;
/// How long a client may take to send a head, and how long its connection may wait for the next request.
const HEAD_WAIT: Duration = Duration::from_secs(75);
/// Between tries to accept where the system has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Targets that one request may try to connect to.
const ATTEMPTS_MAX: usize = 16;
/// How often a request without side effects is sent again after a target broke off.
const REPEATS_MAX: usize = 1;

/// What is sent to a client.
type Inward = Either<Tracked, Full<Bytes>>;

/// Serves a group until the task is dropped; connections that were accepted go on.
pub(super) async fn serve(listener: TcpListener, group: Arc<Group>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let group = Arc::clone(&group);
                tokio::spawn(async move {
                    connection(stream, peer.ip(), group).await;
                    drop(permit);
                });
            }
            Err(error) => {
                logs::say(&format!("group `{}`: failed to accept a connection: {error}", group.id));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, group: Arc<Group>) {
    let _ = stream.set_nodelay(true); // Only speed hangs on it.
    let service = service_fn(move |request| {
        let group = Arc::clone(&group);
        async move { Ok::<_, Infallible>(answer(&group, peer, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_MAX);
    // A client that breaks off ends its own connection and nothing else.
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn answer(group: &Group, peer: IpAddr, mut request: Request<Incoming>) -> Response<Inward> {
    if request.method() == Method::CONNECT {
        return plain(StatusCode::NOT_IMPLEMENTED, format!("501: group `{}` is no tunnel\n", group.id));
    }
    let wanted = headers::upgrade(request.headers());
    let client = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::strip(request.headers_mut(), wanted.clone());
    headers::forward(&mut request, peer, group.settings().listen);
    let mut request = request
        .map(|body| if body.is_end_stream() { Either::Right(Empty::new()) } else { Either::Left(body) });
    request.extensions_mut().clear();
    match send(group, request).await {
        Ok((hold, response, sender)) => inward(hold, response, sender, client),
        Err(refusal) => refusal,
    }
}

/// Sends a request to the first target that can be connected to.
async fn send(
    group: &Group,
    mut request: Request<Outward>,
) -> Result<(Hold, Response<Incoming>, Sender), Response<Inward>> {
    let mut tried = Vec::new();
    let mut why = None;
    let mut repeats = 0;
    while tried.len() < ATTEMPTS_MAX
        && let Some(hold) = group.pick(&tried)
    {
        match upstream::send(&hold.0, request).await {
            Ok((response, sender)) => return Ok((hold, response, sender)),
            Err(Failure::NotSent(back, reason)) => {
                request = *back;
                why = Some(format!("`{}`: {reason}", hold.0.id));
                tried.push(Arc::clone(&hold.0));
            }
            // The target died of it, or while it had it. Were it sent on and on, one request could fell them all.
            Err(Failure::Repeatable(back, reason)) if repeats < REPEATS_MAX => {
                repeats += 1;
                request = *back;
                why = Some(format!("`{}`: {reason}", hold.0.id));
                tried.push(Arc::clone(&hold.0));
            }
            Err(Failure::Sent(reason) | Failure::Repeatable(_, reason)) => {
                let text = format!("502: group `{}`, target `{}`: {reason}\n", group.id, hold.0.id);
                return Err(plain(StatusCode::BAD_GATEWAY, text));
            }
        }
    }
    let last = why.map(|why| format!(" (last tried {why})")).unwrap_or_default();
    let text = format!("503: no healthy target in group `{}`{last}\n", group.id);
    Err(plain(StatusCode::SERVICE_UNAVAILABLE, text))
}

/// Makes a target's answer one for the client.
fn inward(
    hold: Hold,
    mut response: Response<Incoming>,
    sender: Sender,
    client: Option<OnUpgrade>,
) -> Response<Inward> {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let agreed = headers::upgrade(response.headers()).filter(|_| switched);
    match (switched, client) {
        (true, Some(client)) => {
            let target = hyper::upgrade::on(&mut response);
            tokio::spawn(tunnel(hold, client, target));
            headers::strip(response.headers_mut(), agreed);
            response.map(|_| Either::Right(Full::default()))
        }
        (true, None) => {
            let text = format!("502: target `{}` changed the protocol unasked\n", hold.0.id);
            plain(StatusCode::BAD_GATEWAY, text)
        }
        (false, _) => {
            headers::strip(response.headers_mut(), None);
            *response.version_mut() = hyper::Version::HTTP_11;
            response.map(|body| Either::Left(Tracked { body, hold, sender: Some(sender) }))
        }
    }
}

/// Copies both ways until both ends are done, or the target is cut.
async fn tunnel(hold: Hold, client: OnUpgrade, target: OnUpgrade) {
    let copy = async {
        let (client, target) = tokio::try_join!(client, target)?;
        let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
        // How a stream of somebody else's bytes ends is between its two ends.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut target).await;
        Ok::<_, hyper::Error>(())
    };
    tokio::select! {
        _ = copy => {}
        () = hold.0.until_cut() => {}
    }
}

fn plain(status: StatusCode, text: String) -> Response<Inward> {
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The body of an answer. The request is in flight until it ends; only then is the connection kept for the next.
#[derive(Debug)]
struct Tracked {
    body: Incoming,
    hold: Hold,
    sender: Option<Sender>,
}

impl Tracked {
    fn release(&mut self) {
        if let Some(sender) = self.sender.take().filter(|_| !self.hold.0.is_cut()) {
            self.hold.0.idle.keep(sender);
        }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            Some(frame) => Some(frame.map_err(std::io::Error::other)),
            // A cut must not look like the end of the answer.
            None if self.hold.0.is_cut() => Some(Err(std::io::Error::other("the target was cut"))),
            None => {
                self.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }
}
