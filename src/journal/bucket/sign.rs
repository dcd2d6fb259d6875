//! The road to a bucket: our one HTTP client, with OSS's present signature on it and an eye on what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hyper::{HeaderMap, Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_aliyun_oss::Credential;
use reqsign_core::Signer;

/// A clock that is further off is wrong: holds would be cut short by it, or never end.
const SKEW_MAX: Duration = Duration::from_mins(5);

/// Every reply of OSS about an object carries this where the bucket has, or had, versions.
const VERSION: &str = "x-oss-version-id";

/// Sends requests, and signs them for OSS, whose client here knows only a signature that new buckets refuse.
pub(super) struct Transport {
    pub client: ReqwestTransport,
    pub signer: Option<Signer<Credential>>,
    pub seen: Arc<Seen>,
}

/// What the replies told so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    versioned: AtomicBool,
    /// The store's clock at its last reply, in milliseconds; it counts in seconds.
    date_ms: AtomicU64,
    /// How far this machine's clock was ahead of it then.
    ahead_ms: AtomicI64,
}

impl Seen {
    /// Whether a reply of OSS named a version: there, a bucket with versions overwrites what exists.
    pub fn versioned(&self) -> bool {
        self.versioned.load(Ordering::Relaxed)
    }

    /// The store's clock at its last reply; zero before the first.
    pub fn date_ms(&self) -> u64 {
        self.date_ms.load(Ordering::Relaxed)
    }

    fn note(&self, headers: &HeaderMap) {
        if headers.contains_key(VERSION) {
            self.versioned.store(true, Ordering::Relaxed);
        }
        let date = headers.get(hyper::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date.and_then(|date| u64::try_from(date.timestamp().as_millisecond()).ok()) {
            self.date_ms.fetch_max(date, Ordering::Relaxed);
            self.ahead_ms.store(ahead_of(date), Ordering::Relaxed);
        }
    }

    /// What is wrong with this machine's clock, if the store's is right.
    pub fn wrong_clock(&self) -> Option<String> {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let off = Duration::from_millis(ahead.unsigned_abs());
        let way = if ahead > 0 { "fast" } else { "slow" };
        let words =
            || format!("this machine's clock is {} minutes {way} by the bucket's", off.as_secs() / 60);
        (off > SKEW_MAX).then(words)
    }
}

#[expect(clippy::disallowed_methods, reason = "a wrong clock shows nowhere but in itself")]
fn ahead_of(date_ms: u64) -> i64 {
    let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let signed = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
    signed(ours) - signed(date_ms.into())
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        let (mut head, body) = request.into_parts();
        if let Some(signer) = &self.signer {
            signer.sign(&mut head, None).await.map_err(|error| {
                let again = error.is_retryable();
                let text = format!("no Alibaba Cloud credentials, or none that can sign: {error}");
                Error::new(ErrorKind::PermissionDenied, text).with_temporary(again)
            })?;
        }
        let reply = self.client.fetch(Request::from_parts(head, body)).await?;
        self.seen.note(reply.headers());
        Ok(reply)
    }
}
