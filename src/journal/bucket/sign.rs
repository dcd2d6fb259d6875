//! The road to a bucket: our one HTTP client, with OSS's present signature on it and an eye on what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::{HeaderMap, Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_aliyun_oss::Credential;
use reqsign_core::Signer;

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
        }
    }
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
