//! A bucket in this process, over real HTTP: S3 or OSS as they document themselves, with their signatures verified,
//! and with every kind of trouble on demand.

#![allow(dead_code, reason = "no test file uses all of it")]

mod list;
mod sign;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use deployer::journal::{Address, Bucket, BucketStore, Keys, Provider, Reach};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

pub const BUCKET: &str = "team.journal";
pub const REGION: &str = "cn-hongkong";
pub const KEY_ID: &str = "TESTKEY";
pub const SECRET: &str = "a-secret-that-nobody-prints";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    None,
    /// Refused with this status and code; nothing is done.
    Refused(u16, &'static str),
    /// The connection breaks before anything is done.
    LostBefore,
    /// The connection breaks after everything is done.
    LostAfter,
    /// No answer for this long, then as if nothing had been.
    Slow(Duration),
    /// Done at once, and answered this late.
    SlowReply(Duration),
}

/// A request as the hook sees it.
pub struct Call<'a> {
    pub method: &'a Method,
    /// The object's name; empty for a listing.
    pub key: &'a str,
}

type Hook = Box<dyn FnMut(&Call<'_>) -> Mishap + Send>;

#[derive(Clone, Default)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub modified: Option<SystemTime>,
}

/// A running bucket. It goes with the test.
pub struct Fake {
    pub address: SocketAddr,
    pub provider: Provider,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    oss: bool,
    objects: Mutex<BTreeMap<String, Object>>,
    hook: Mutex<Option<Hook>>,
    delay_ms: AtomicU64,
    ignores_conditions: AtomicBool,
    versioned: AtomicBool,
    partitioned: AtomicBool,
    page_max: AtomicUsize,
    requests: AtomicUsize,
    refused_signatures: AtomicUsize,
    overwritten: Mutex<Vec<String>>,
    skew_secs: AtomicI64,
    strict_clock: AtomicBool,
    settings: Mutex<BTreeMap<&'static str, (u16, String)>>,
}

impl Fake {
    pub fn start(provider: Provider) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { oss: provider == Provider::Oss, ..State::default() });
        state.page_max.store(1_000, Ordering::Relaxed);
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                serve(tokio::net::TcpListener::from_std(listener).unwrap(), serving).await;
            });
        });
        Self { address, provider, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Another handle, as another process would have.
    pub fn store(&self, nonce: &str) -> BucketStore {
        self.store_with(nonce, "prefix/of-ours", SECRET)
    }

    pub fn store_with(&self, nonce: &str, prefix: &str, secret: &str) -> BucketStore {
        let url = format!("{}://{BUCKET}/{prefix}", self.provider);
        let Ok(Address::Bucket(bucket)) = url.parse() else { panic!("{url}") };
        BucketStore::new(bucket, self.reach(nonce, secret))
    }

    fn reach(&self, nonce: &str, secret: &str) -> Reach {
        Reach {
            endpoint: Some(self.endpoint()),
            region: Some(REGION.into()),
            keys: Some(Keys { id: KEY_ID.into(), secret: secret.into() }),
            nonce: nonce.into(),
        }
    }

    /// A store on this bucket and another name.
    pub fn elsewhere(&self, name: &str) -> BucketStore {
        let bucket =
            Bucket { provider: self.provider, name: name.into(), prefix: deployer::journal::Key::root() };
        BucketStore::new(bucket, self.reach("n", SECRET))
    }

    pub fn on_call(&self, hook: impl FnMut(&Call<'_>) -> Mishap + Send + 'static) {
        *self.state.hook.lock().unwrap() = Some(Box::new(hook));
    }

    pub fn calm(&self) {
        *self.state.hook.lock().unwrap() = None;
        self.state.partitioned.store(false, Ordering::Relaxed);
    }

    /// Each call takes this long.
    pub fn delay(&self, delay: Duration) {
        self.state.delay_ms.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub fn ignore_conditions(&self) {
        self.state.ignores_conditions.store(true, Ordering::Relaxed);
    }

    /// OSS: versioning is on or suspended, which is the same to `x-oss-forbid-overwrite`.
    pub fn version(&self) {
        self.state.versioned.store(true, Ordering::Relaxed);
    }

    /// Nothing comes through, and nothing is refused either.
    pub fn partition(&self) {
        self.state.partitioned.store(true, Ordering::Relaxed);
    }

    pub fn page_max(&self, names: usize) {
        self.state.page_max.store(names, Ordering::Relaxed);
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    pub fn refused_signatures(&self) -> usize {
        self.state.refused_signatures.load(Ordering::Relaxed)
    }

    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.state.objects.lock().unwrap().clone()
    }

    pub fn insert(&self, key: &str, bytes: &[u8]) {
        let object = Object { bytes: bytes.to_vec(), modified: Some(self.state.now()) };
        self.state.objects.lock().unwrap().insert(key.into(), object);
    }

    /// The bucket's clock is so far ahead of this host's.
    pub fn skew_secs(&self, ahead: i64) {
        self.state.skew_secs.store(ahead, Ordering::Relaxed);
    }

    /// Signatures of another time than the bucket's are refused, as both clouds do.
    pub fn strict_clock(&self, strict: bool) {
        self.state.strict_clock.store(strict, Ordering::Relaxed);
    }

    /// What the bucket answers to `?question`, which it does not know otherwise.
    pub fn answer(&self, question: &'static str, status: u16, body: &str) {
        self.state.settings.lock().unwrap().insert(question, (status, body.to_owned()));
    }

    /// Objects that were written over another one, but for hints that are meant to be.
    pub fn overwritten(&self) -> Vec<String> {
        let all = self.state.overwritten.lock().unwrap().clone();
        all.into_iter().filter(|key| !key.ends_with("/driver.json")).collect()
    }
}

async fn serve(listener: tokio::net::TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { state.answer(request).await }
            });
            // A broken connection is one of the things that are meant to happen.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Breaks the connection.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

type Reply = Response<Full<Bytes>>;

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        self.requests.fetch_add(1, Ordering::Relaxed);
        while self.partitioned.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
        tokio::time::sleep(delay / 2).await;
        let path = head.uri.path().trim_start_matches('/').to_owned();
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let mishap = self.hook.lock().unwrap().as_mut().map_or(Mishap::None, |hook| {
            hook(&Call { method: &head.method, key: key.strip_prefix("prefix/of-ours/").unwrap_or(key) })
        });
        match mishap {
            Mishap::None | Mishap::LostAfter | Mishap::SlowReply(_) => {}
            Mishap::Refused(status, code) => return Ok(refuse(status, code)),
            Mishap::LostBefore => return Err(Broken),
            Mishap::Slow(time) => tokio::time::sleep(time).await,
        }
        if !sign::verified(self.oss, &head, bucket) {
            self.refused_signatures.fetch_add(1, Ordering::Relaxed);
            return Ok(refuse(403, "SignatureDoesNotMatch"));
        }
        if self.strict_clock.load(Ordering::Relaxed) && !self.is_of_our_time(&head.headers) {
            return Ok(self.dated(refuse(403, "RequestTimeTooSkewed")));
        }
        let reply = self.act(&head.method, (bucket, key), &head.headers, head.uri.query(), &body);
        if let Mishap::SlowReply(time) = mishap {
            tokio::time::sleep(time).await;
        }
        tokio::time::sleep(delay / 2).await;
        if mishap == Mishap::LostAfter { Err(Broken) } else { Ok(self.dated(reply)) }
    }

    fn dated(&self, mut reply: Reply) -> Reply {
        reply.headers_mut().insert("date", http_date(self.now()).parse().unwrap());
        reply
    }

    /// Whether a request was signed within a quarter of an hour of the bucket's time.
    fn is_of_our_time(&self, headers: &HeaderMap) -> bool {
        let date = headers.get(if self.oss { "x-oss-date" } else { "x-amz-date" }).unwrap().to_str().unwrap();
        let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).unwrap();
        let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let ours = jiff::Timestamp::try_from(self.now()).unwrap();
        (ours.as_second() - signed.as_second()).abs() <= 15 * 60
    }

    #[expect(clippy::disallowed_methods, reason = "a bucket has a clock of its own")]
    fn now(&self) -> SystemTime {
        let skew = self.skew_secs.load(Ordering::Relaxed);
        let by = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    fn act(
        &self,
        method: &Method,
        (bucket, key): (&str, &str),
        headers: &HeaderMap,
        query: Option<&str>,
        body: &Bytes,
    ) -> Reply {
        if bucket != BUCKET {
            return refuse(404, "NoSuchBucket");
        }
        match (method.as_str(), key) {
            ("GET", "") => match self.settings.lock().unwrap().get(query.unwrap_or_default()) {
                Some((200, body)) => self.reply(StatusCode::OK).body(Full::new(body.clone().into())).unwrap(),
                Some((status, code)) => refuse(*status, code),
                // As servers do that do not know a question.
                None => self.list(query.unwrap_or_default()),
            },
            ("PUT", key) if !key.is_empty() => self.put(key, headers, body),
            ("DELETE", key) if !key.is_empty() => {
                self.objects.lock().unwrap().remove(key);
                self.reply(StatusCode::NO_CONTENT).body(Full::default()).unwrap()
            }
            ("GET" | "HEAD", key) => match self.objects.lock().unwrap().get(key) {
                Some(object) => self.found(object, method == Method::HEAD),
                None => refuse(404, "NoSuchKey"),
            },
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    fn put(&self, key: &str, headers: &HeaderMap, body: &Bytes) -> Reply {
        let (name, value) =
            if self.oss { ("x-oss-forbid-overwrite", "true") } else { ("if-none-match", "*") };
        // What the other cloud understands is refused by this one, as the real ones do.
        let stranger = if self.oss { "if-none-match" } else { "x-oss-forbid-overwrite" };
        if headers.contains_key(stranger) {
            return refuse(501, "NotImplemented");
        }
        let asked = headers.get(name).is_some_and(|found| found == value);
        let deaf = self.ignores_conditions.load(Ordering::Relaxed) || self.versioned.load(Ordering::Relaxed);
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            if asked && !deaf {
                return if self.oss {
                    refuse(409, "FileAlreadyExists")
                } else {
                    refuse(412, "PreconditionFailed")
                };
            }
            self.overwritten.lock().unwrap().push(key.to_owned());
        }
        objects.insert(key.to_owned(), Object { bytes: body.to_vec(), modified: Some(self.now()) });
        self.reply(StatusCode::OK).header("etag", "\"e\"").body(Full::default()).unwrap()
    }

    fn found(&self, object: &Object, head: bool) -> Reply {
        let at = http_date(object.modified.unwrap());
        let reply = self.reply(StatusCode::OK).header("last-modified", at).header("etag", "\"e\"");
        let reply = reply.header("content-length", object.bytes.len());
        let body = if head { Bytes::new() } else { Bytes::from(object.bytes.clone()) };
        reply.body(Full::new(body)).unwrap()
    }

    fn reply(&self, status: StatusCode) -> hyper::http::response::Builder {
        let reply = Response::builder().status(status);
        let versioned = self.oss && self.versioned.load(Ordering::Relaxed);
        if versioned { reply.header("x-oss-version-id", "null") } else { reply }
    }

    fn list(&self, query: &str) -> Reply {
        let objects = self.objects.lock().unwrap();
        let text = list::page(&objects, query, self.page_max.load(Ordering::Relaxed));
        let reply = self.reply(StatusCode::OK).header("content-type", "application/xml");
        reply.body(Full::new(Bytes::from(text))).unwrap()
    }
}

fn refuse(status: u16, code: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{code} it is</Message>\
         <RequestId>r-1</RequestId><HostId>h</HostId></Error>"
    );
    let reply = Response::builder().status(status).header("content-type", "application/xml");
    reply.body(Full::new(Bytes::from(text))).unwrap()
}

fn http_date(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
