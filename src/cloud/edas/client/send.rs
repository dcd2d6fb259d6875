//! One place through which every call goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqsign_core::Env as _;
use reqwest::{Response, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::attempts::{Attempts, digest};
use super::call::{Call, Nature, Product};
use super::credentials::{Credentials, Keys, Session, environment};
use super::endpoint::{Endpoints, Over, host};
use super::limit::{self, Haste, Limits};
use super::reply::{self, Failure, Reply};
use super::turns::Turns;
use super::{fault, sign};
use crate::cloud::shelf::{Sent, Shelf, Wanted};
use crate::cloud::{Fault, FaultKind, Floor, clock};
use crate::model::{Span, Time};
use crate::spec::EdasSpec;

/// How often one call is sent at most.
const ATTEMPTS_MAX: u32 = 6;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// However long the provider wants to be left alone, it is asked again after this.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// How long a connection may take to come up.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// An answer is a few hundred servers at most; more than this is not one.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const WHO: &str = "GetCallerIdentity";

/// A client for one region, with somebody's credentials, as one service uses it.
#[derive(Debug, Clone)]
pub(in crate::cloud::edas) struct Client {
    way: Arc<Way>,
    /// What was sent after this suits its questions, whoever asked.
    after: Option<Time>,
    /// Whether traffic waits for what is called now.
    hurries: Arc<AtomicBool>,
}

/// What everybody who calls there shares.
#[derive(Debug)]
struct Way {
    http: reqwest::Client,
    region: String,
    call_timeout: Duration,
    endpoints: Endpoints,
    credentials: Credentials,
    limits: Arc<Limits>,
    /// Who changes what, and how long that takes.
    turns: Turns,
    /// What several of them ask.
    commons: Shelf<Value>,
    attempts: Attempts,
}

/// The one client of an account and region, once somebody has made it.
type Shared = Arc<OnceCell<Client>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Caller {
    account_id: String,
}

impl Client {
    /// Finds credentials by the official chain, and refuses those of another account than the file names.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] without credentials, or with another account's.
    pub async fn connect(spec: &EdasSpec, over: Option<&Over>) -> Result<Self, Fault> {
        static ALL: OnceLock<Mutex<BTreeMap<String, Shared>>> = OnceLock::new();
        if over.is_some() {
            return Self::connect_alone(spec, over).await;
        }
        // One for all services of this process: credentials are asked for once, and connections are shared.
        let shared = {
            let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
            let key = format!("{}/{}/{}", spec.account, spec.region, spec.call_timeout);
            Arc::clone(all.entry(key).or_default())
        };
        let connect = || Box::pin(Self::connect_alone(spec, None));
        let first = shared.get_or_try_init(connect).await?;
        Ok(Self { way: Arc::clone(&first.way), after: None, hurries: Arc::default() })
    }

    /// Whether traffic waits for the service's next calls.
    pub fn hurry(&self, hurries: bool) {
        self.hurries.store(hurries, Ordering::Relaxed);
    }

    /// The same for questions that whatever was sent after a moment answers, whoever of this process asked: of
    /// everything but EDAS, whose applications are a service's own.
    pub fn since(&self, after: Time) -> Self {
        Self { after: Some(after), ..self.clone() }
    }

    /// Whose turn it is to change a thing.
    pub fn turns(&self) -> &Turns {
        &self.way.turns
    }

    /// Waits for leave to look and act beside the other services of the account and region.
    pub async fn floor(spec: &EdasSpec) -> Floor {
        Limits::of(&spec.account, &spec.region).floor().await
    }

    async fn connect_alone(spec: &EdasSpec, over: Option<&Over>) -> Result<Self, Fault> {
        let limits = Limits::of(&spec.account, &spec.region);
        let client = Self::new(&spec.region, spec.call_timeout, limits, over)?;
        let account = client.account().await?;
        if account == spec.account {
            return Ok(client);
        }
        let message = format!(
            "the credentials are for account {account}, and the deployment file says {}",
            spec.account
        );
        Err(Fault::new(FaultKind::Denied, WHO, message))
    }

    /// Takes the account that the credentials are for, and says which it is.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] without credentials.
    pub async fn anywhere(
        region: &str,
        call_timeout: Span,
        over: Option<&Over>,
    ) -> Result<(Self, String), Fault> {
        let client = Self::new(region, call_timeout, Limits::of("unknown", region), over)?;
        let account = client.account().await?;
        Ok((client, account))
    }

    fn new(
        region: &str,
        call_timeout: Span,
        limits: Arc<Limits>,
        over: Option<&Over>,
    ) -> Result<Self, Fault> {
        let http = http(call_timeout.into(), over)?;
        let (endpoints, credentials, limits) = if let Some(over) = over {
            let keys = Keys::new(&over.id, &over.secret, None);
            (Endpoints::at(&over.endpoint)?, Credentials::fixed(keys), Limits::none())
        } else {
            let env = environment();
            let endpoints = Endpoints::of(region, &|name| env.var(name))?;
            let sts = endpoints.url(Product::Sts)?.clone();
            (endpoints, Credentials::chain(env, http.clone(), sts), limits)
        };
        let region = region.to_owned();
        let (call_timeout, turns, commons) = (call_timeout.into(), Turns::default(), Shelf::default());
        let attempts = Attempts::new();
        let way =
            Way { http, region, call_timeout, endpoints, credentials, limits, turns, commons, attempts };
        Ok(Self { way: Arc::new(way), after: None, hurries: Arc::default() })
    }

    /// Whose the credentials are.
    async fn account(&self) -> Result<String, Fault> {
        let caller: Caller = self.send(Call::rpc(Product::Sts, WHO).read()).await?;
        Ok(caller.account_id)
    }

    /// The region in which it calls.
    pub fn region(&self) -> &str {
        &self.way.region
    }

    /// How long its credentials are good.
    pub async fn session(&self) -> Session {
        self.way.credentials.session().await
    }

    /// Sends one call: in its turn, signed anew each time, again where that can do no harm, within the time limit of one.
    ///
    /// # Errors
    /// The call's [`Fault`]: `ambiguous` where it is a write that may have been applied by any of its attempts.
    pub async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T, Fault> {
        let haste = if self.hurries.load(Ordering::Relaxed) { Haste::Traffic } else { Haste::None };
        let call = call.in_region(&self.way.region);
        let answer = self.heard(&call, haste).await.and_then(|said| {
            serde_json::from_value(said).map_err(|error| reply::unreadable(call.action, &error.to_string()))
        });
        let answer = answer.map_err(|fault| match call.nature {
            Nature::Read => Fault { ambiguous: false, ..fault },
            Nature::Token | Nature::Write => fault,
        });
        match &answer {
            Ok(_) => tracing::debug!(action = call.action, "answered"),
            Err(fault) => {
                let id = fault.request_id.as_deref().unwrap_or("none");
                let (action, kind) = (call.action, fault.kind);
                tracing::debug!(action, %kind, request_id = id, "failed: {}", fault.message);
            }
        }
        answer
    }

    /// What somebody asks or has asked, where that is fresh enough, and else what is asked now.
    async fn heard(&self, call: &Call, haste: Haste) -> Result<Value, Fault> {
        let Some(after) = self.after.filter(|_| call.is_anybodys()) else {
            return self.way.answer(call, haste, &Sent::default()).await;
        };
        let (words, wanted) = (call.words(), Wanted { after, urgent: haste == Haste::Traffic });
        let read = self.way.commons.read(&words, wanted, |sent| {
            let (way, call) = (Arc::clone(&self.way), call.clone());
            async move { way.answer(&call, haste, &sent).await }
        });
        Ok(read.await?.1)
    }

    /// Sends a write that the product knows again: under the token of the same change it is the same call, until its end is
    /// known. `job` names what carries it out after the answer; nothing, where it is done by then.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_known<T: DeserializeOwned>(
        &self,
        call: Call,
        token: &str,
        job: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, Fault> {
        let write = digest(&format!("{token}\n{call:?}"));
        let said = self.send(call.token(&self.way.attempts.name(&write))).await?;
        self.way.attempts.answered(write, job(&said).as_deref());
        Ok(said)
    }

    /// A job has come to its end: whoever wants the same again asks for another one.
    pub fn ended(&self, job: &str) {
        self.way.attempts.ended(job);
    }
}

impl Way {
    async fn answer(&self, call: &Call, haste: Haste, sent: &Sent) -> Result<Value, Fault> {
        let (product, action) = (call.product, call.action);
        self.limits.take(product, action, haste).await;
        sent.now();
        let until = limit::now() + self.call_timeout;
        let (mut pause, mut perhaps, mut renewed) = (PAUSE, false, false);
        let mut attempt = 1;
        loop {
            let failure = match self.once(call, until, &mut renewed).await {
                Ok(said) => return Ok(said),
                Err(failure) => failure,
            };
            perhaps |= failure.fault.ambiguous;
            let fault = Fault { ambiguous: perhaps, ..failure.fault };
            let wait = failure.wait.map_or_else(|| jittered(pause), |wait| wait.min(WAIT_MAX));
            if fault.kind == FaultKind::Throttled {
                self.limits.refused(product, action, wait);
            }
            let resumes = limit::now() + wait;
            let again = failure.stale || repeats(call.nature, &fault);
            if attempt == ATTEMPTS_MAX || !again || resumes >= until {
                return Err(fault);
            }
            tokio::time::sleep_until(resumes).await;
            if !self.limits.take_before((product, action), haste, until).await {
                return Err(fault);
            }
            pause *= 2;
            attempt += 1;
        }
    }

    /// One attempt. Keys that are refused as stale are replaced once, where there are others.
    async fn once(&self, call: &Call, until: Instant, renewed: &mut bool) -> Result<Value, Failure> {
        let action = call.action;
        let keys = tokio::time::timeout_at(until, self.credentials.keys(action)).await.map_err(|_| {
            Fault::new(FaultKind::Unreachable, action, "whoever knows the credentials did not answer in time")
        })??;
        let answer = self.attempt(call, &keys, until).await;
        let reply = match answer {
            Ok(reply) => reply,
            Err(fault) => return Err(fault.into()),
        };
        let said = reply::read(call.product, action, &reply);
        match said {
            Err(failure) if failure.stale && !*renewed => {
                *renewed = true;
                let stale = self.credentials.renewed(action, &keys).await;
                Err(Failure { stale, wait: Some(Duration::ZERO), ..failure })
            }
            Err(failure) => Err(Failure { stale: false, ..failure }),
            said => said,
        }
    }

    /// Sends it and reads what comes back, whatever it says.
    async fn attempt(&self, call: &Call, keys: &Keys, until: Instant) -> Result<Reply, Fault> {
        let mut url = self.endpoints.url(call.product)?.clone();
        let (path, query, body) = (call.path(), call.query(), call.body());
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(query.as_str()));
        let verb = call.method.verb();
        let signed = sign::headers(
            &sign::Request {
                verb: verb.as_str(),
                path: &path,
                query: &query,
                host: &host(&url),
                action: call.action,
                version: call.product.version(),
                body: body.as_deref(),
            },
            keys,
            &sign::Stamp::new(clock::now()),
        );
        let left = until.saturating_duration_since(limit::now());
        let request = self.http.request(verb, url).timeout(left).header("accept", "application/json");
        let request = signed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| unanswered(call.action, error))?;
        read(call.action, answer).await
    }
}

/// Whether it can do no harm to send it again, and may help.
fn repeats(nature: Nature, fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::Throttled | FaultKind::Unreachable => !fault.ambiguous || nature != Nature::Write,
        // A write goes by what was read before it: whoever was in the way may have changed that.
        FaultKind::Conflict => {
            nature == Nature::Read
                || nature == Nature::Token && fault.message.starts_with("IdempotenceProcessing")
        }
        FaultKind::Denied
        | FaultKind::Missing
        | FaultKind::Invalid
        | FaultKind::Quota
        | FaultKind::Unexpected => false,
    }
}

/// Between a half and the whole of a pause, so that those who were refused together do not come together again.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::Rng::new().f64() / 2.0)
}

fn http(call_timeout: Duration, over: Option<&Over>) -> Result<reqwest::Client, Fault> {
    let builder = reqwest::Client::builder()
        .connect_timeout(call_timeout.min(CONNECT_MAX))
        // A signature is for one place: what is moved has to be named anew.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("deployer/", env!("CARGO_PKG_VERSION")));
    let builder = if over.is_some() { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| {
        let why = fault::chain(error);
        let message = format!(
            "no HTTPS client: {why}; install the system's CA certificates (ca-certificates) or set SSL_CERT_FILE"
        );
        Fault::new(FaultKind::Invalid, "HTTPS", message)
    })
}

async fn read(action: &str, mut answer: Response) -> Result<Reply, Fault> {
    let status = answer.status().as_u16();
    let wait = answer.headers().get("x-acs-retry-after").and_then(|wait| wait.to_str().ok());
    let wait = wait.and_then(|ms| ms.trim().parse().ok()).map(Duration::from_millis);
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unanswered(action, error))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(reply::unreadable(action, "it does not end"));
        }
    }
    Ok(Reply { status, wait, body })
}

/// No answer. What could not even connect was never sent.
fn unanswered(action: &str, error: reqwest::Error) -> Fault {
    let unsent = error.is_connect() || error.is_builder();
    let fault = Fault::new(FaultKind::Unreachable, action, fault::chain(error));
    if unsent { fault } else { fault.ambiguous() }
}
