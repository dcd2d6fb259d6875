//! A small service to deploy: it answers with its revision, and fails on demand.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::cloud::clock;
use crate::cloud::{Fault, FaultKind};
use crate::model::{Revision, Span};

/// How long requests in flight may take after the end was asked for.
const FINISH_MAX: Duration = Duration::from_secs(8);
/// The longest stream.
const CHUNKS_MAX: u64 = 100_000;
/// The longest pause.
const PAUSE_MAX: u64 = 600_000;

type Answer = Response<Either<Full<Bytes>, Chunks>>;

/// A way to fail on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fail {
    NeverHealthy,
    DiesAfter(Span),
    WrongRevision,
    Slow(Span),
    UnhealthyAfter(Span),
}

impl FromStr for Fail {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let bad = || {
            let kinds = "never-healthy, wrong-revision, dies-after:5s, unhealthy-after:5s or slow:2s";
            Fault::new(FaultKind::Invalid, "Sample", format!("{text:?} is no way to fail: use {kinds}"))
        };
        let (kind, span) = text.split_once(':').unwrap_or((text, ""));
        let span = || span.parse::<Span>().map_err(|_| bad());
        Ok(match (kind, text.contains(':')) {
            ("never-healthy", false) => Self::NeverHealthy,
            ("wrong-revision", false) => Self::WrongRevision,
            ("dies-after", true) => Self::DiesAfter(span()?),
            ("unhealthy-after", true) => Self::UnhealthyAfter(span()?),
            ("slow", true) => Self::Slow(span()?),
            _ => return Err(bad()),
        })
    }
}

/// What one process of the service answers with.
#[derive(Debug)]
struct Sample {
    service: String,
    revision: String,
    instance: String,
    fail: Option<Fail>,
    /// Turns true where health ends after a while.
    sick: watch::Sender<bool>,
    ending: watch::Receiver<bool>,
}

/// Serves the sample service on the loopback port `PORT`, as `SERVICE`, `REVISION` and `INSTANCE`, until it is asked
/// to end. It fails as `fail` says, or else `SAMPLE_FAIL`: `never-healthy`, `dies-after:5s`, `wrong-revision`,
/// `slow:2s` or `unhealthy-after:5s`; where `only`, or else `SAMPLE_FAIL_REVISION`, names a revision, in that one alone.
///
/// # Errors
/// A missing or used port, or an unknown way to fail.
pub async fn sample(fail: Option<&str>, only: Option<&Revision>) -> Result<(), Fault> {
    let invalid = |why: String| Fault::new(FaultKind::Invalid, "Sample", why);
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let port = variable("PORT").ok_or_else(|| invalid("PORT is not set".to_owned()))?;
    let port: u16 = port.parse().map_err(|_| invalid(format!("PORT is {port:?}, which is no port")))?;
    let fail = fail.map(str::to_owned).or_else(|| variable("SAMPLE_FAIL"));
    let fail = fail.map(|text| text.parse::<Fail>()).transpose()?;
    let revision = variable("REVISION").unwrap_or_else(|| "unknown".to_owned());
    let only = only.map(ToString::to_string).or_else(|| variable("SAMPLE_FAIL_REVISION"));
    let fail = fail.filter(|_| only.is_none_or(|only| only == revision));
    let (end, ending) = watch::channel(false);
    let sample = Arc::new(Sample {
        service: variable("SERVICE").unwrap_or_else(|| "sample".to_owned()),
        instance: variable("INSTANCE").unwrap_or_else(|| std::process::id().to_string()),
        revision,
        fail,
        sick: watch::Sender::new(fail == Some(Fail::NeverHealthy)),
        ending,
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|e| invalid(format!("cannot listen on {address}: {e}")))?;
    println!("{} {} as {} listens on {address}", sample.service, sample.revision, sample.instance);
    sample.serve(listener, end).await
}

impl Sample {
    async fn serve(self: Arc<Self>, listener: TcpListener, end: watch::Sender<bool>) -> Result<(), Fault> {
        let unheard = |e: std::io::Error| Fault::new(FaultKind::Unexpected, "Sample", e.to_string());
        let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        // Lives as long as a connection does: when all are dropped, everything is finished.
        let (open, mut all_closed) = mpsc::channel::<()>(1);
        let fate = self.fate();
        tokio::pin!(fate);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(Arc::clone(&self).connection(stream, open.clone()));
                    }
                }
                _ = terminate.recv() => break,
                died = &mut fate => return died,
            }
        }
        drop((listener, open));
        end.send_replace(true);
        println!("finishing");
        let _ = timeout(FINISH_MAX, all_closed.recv()).await; // What is left then is cut.
        Ok(())
    }

    /// Lets happen what was asked for; ends only in death.
    async fn fate(&self) -> Result<(), Fault> {
        match self.fail {
            Some(Fail::DiesAfter(span)) => {
                sleep(span.into()).await;
                return Err(Fault::new(
                    FaultKind::Unexpected,
                    "Sample",
                    format!("died after {span}, as asked"),
                ));
            }
            Some(Fail::UnhealthyAfter(span)) => {
                sleep(span.into()).await;
                self.sick.send_replace(true);
            }
            Some(Fail::NeverHealthy | Fail::WrongRevision | Fail::Slow(_)) | None => {}
        }
        std::future::pending().await
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, open: mpsc::Sender<()>) {
        let mut ending = self.ending.clone();
        let upgraded = open.clone();
        let service = service_fn(move |request| {
            let (sample, open) = (Arc::clone(&self), upgraded.clone());
            async move { Ok::<_, Infallible>(sample.answer(request, open).await) }
        });
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            _ = &mut connection => {}
            () = clock::raised(&mut ending) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        drop(open);
    }

    async fn answer(&self, request: Request<Incoming>, open: mpsc::Sender<()>) -> Answer {
        if let Some(Fail::Slow(span)) = self.fail {
            sleep(span.into()).await;
        }
        let query = request.uri().query().unwrap_or_default();
        let mut answer = match request.uri().path() {
            "/health" if *self.sick.borrow() => self.text(StatusCode::SERVICE_UNAVAILABLE),
            "/" | "/health" => self.text(StatusCode::OK),
            "/slow" => {
                sleep(Duration::from_millis(number(query, "ms", 1_000).min(PAUSE_MAX))).await;
                self.text(StatusCode::OK)
            }
            "/stream" => {
                let count = number(query, "n", 10).min(CHUNKS_MAX);
                let pause = Duration::from_millis(number(query, "ms", 100).min(PAUSE_MAX));
                Response::new(Either::Right(Chunks::new(self.line(), count, pause)))
            }
            "/echo" => Response::new(Either::Right(Chunks::echo(request.into_body()))),
            "/ws" => return self.upgrade(request, open),
            _ => self.text(StatusCode::NOT_FOUND),
        };
        if let Ok(revision) = HeaderValue::try_from(self.shown_revision()) {
            answer.headers_mut().insert("x-revision", revision);
        }
        answer
    }

    fn shown_revision(&self) -> &str {
        if self.fail == Some(Fail::WrongRevision) { "0.0.0-wrong" } else { &self.revision }
    }

    fn line(&self) -> String {
        format!("{} {} from {}\n", self.service, self.shown_revision(), self.instance)
    }

    fn text(&self, status: StatusCode) -> Answer {
        let mut response = Response::new(Either::Left(Full::from(self.line())));
        *response.status_mut() = status;
        response
    }

    /// Agrees to any protocol, and sends back what it gets.
    fn upgrade(&self, mut request: Request<Incoming>, open: mpsc::Sender<()>) -> Answer {
        let Some(protocol) = request.headers().get(UPGRADE).cloned() else {
            return self.text(StatusCode::UPGRADE_REQUIRED);
        };
        let client = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(client) = client.await {
                echo(TokioIo::new(client)).await;
            }
            drop(open);
        });
        let mut response = self.text(StatusCode::SWITCHING_PROTOCOLS);
        *response.body_mut() = Either::Left(Full::default());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        response
    }
}

async fn echo(mut client: TokioIo<hyper::upgrade::Upgraded>) {
    let mut buffer = [0; 4_096];
    while let Ok(read @ 1..) = client.read(&mut buffer).await {
        if client.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn number(query: &str, name: &str, default: u64) -> u64 {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok()).unwrap_or(default)
}

/// A body whose length nobody knows beforehand.
#[derive(Debug)]
struct Chunks(mpsc::Receiver<Bytes>);

impl Chunks {
    fn new(line: String, count: u64, pause: Duration) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            for n in 1..=count {
                if sender.send(Bytes::from(format!("{n} {line}"))).await.is_err() {
                    return;
                }
                sleep(pause).await;
            }
        });
        Self(receiver)
    }

    fn echo(mut body: Incoming) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            use http_body_util::BodyExt;
            while let Some(Ok(frame)) = body.frame().await {
                let Ok(data) = frame.into_data() else { continue };
                if sender.send(data).await.is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_fail_are_read_and_others_refused() {
        assert_eq!("dies-after:5s".parse::<Fail>().unwrap(), Fail::DiesAfter(Span::secs(5)));
        assert_eq!("never-healthy".parse::<Fail>().unwrap(), Fail::NeverHealthy);
        for bad in ["", "dies-after", "dies-after:", "never-healthy:5s", "slow:x", "explodes"] {
            assert!(bad.parse::<Fail>().is_err(), "{bad:?}");
        }
    }
}
