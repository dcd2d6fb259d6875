//! The port: one thread that answers every call, one at a time, and what goes wrong there.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::faults::Fault;

/// What is sent back, and how.
pub struct Reply {
    pub status: u16,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub text: String,
    pub fault: Option<Fault>,
}

type Handle = dyn Fn(&Parts, &[u8]) -> Reply + Send + Sync;

/// A free port of this host, served for as long as this lives.
#[derive(Debug)]
pub struct Port {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    pub fn open(handle: impl Fn(&Parts, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port of this host");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("the address of a socket that listens");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime of its own").block_on(serve(listener, Arc::new(handle), stopped));
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: std::net::TcpListener, handle: Arc<Handle>, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket that listens");
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let handle = Arc::clone(&handle);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&handle), request));
            // A caller who hangs up, or is hung up on, is part of the test.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// The body of an answer, whole or cut.
struct Text {
    bytes: Option<Bytes>,
    cut: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.bytes.take(), self.cut) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (None, true) => Poll::Ready(Some(Err(io::Error::other("cut")))),
            (None, false) => Poll::Ready(None),
        }
    }
}

async fn answer(handle: Arc<Handle>, request: Request<Incoming>) -> io::Result<Response<Text>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut reply = handle(&parts, &body);
    if let Some(Fault::Late(millis)) = reply.fault {
        // A task of its own: it goes on where the caller hangs up meanwhile.
        let late = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            handle(&parts, &body)
        });
        reply = late.await.map_err(io::Error::other)?;
    }
    match reply.fault {
        Some(Fault::Reset | Fault::LostReply) => return Err(io::Error::other("the connection is closed")),
        Some(Fault::Slow(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Some(
            Fault::Throttle
            | Fault::Status(_)
            | Fault::Denied
            | Fault::Truncated
            | Fault::Bare
            | Fault::Page(_)
            | Fault::Late(_),
        )
        | None => {}
    }
    let cut = reply.fault == Some(Fault::Truncated);
    let whole = Bytes::from(reply.text);
    let length = whole.len();
    let sent = if cut { whole.slice(..length / 2) } else { whole };
    let mut response = Response::builder()
        .status(reply.status)
        .header("content-type", reply.kind)
        .header("content-length", length);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Text { bytes: Some(sent), cut }).map_err(io::Error::other)
}
