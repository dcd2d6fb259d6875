//! The handle of a test, and what becomes of each call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::http::request::Parts;
use serde_json::{Map, Value, json};

use super::faults::{Fault, Faults, On};
use super::input::{Input, from_form};
use super::oracle::Oracle;
use super::port::{Port, Reply};
use super::service::{Answer, ApiError, Operation, SERVICES, Service};
use super::settings::Settings;
use super::wire::{Shape, Wrong};
use super::world::{KEY_ID, Ms, SECRET, World};
use super::{signature, sts};

const REQUEST_ID: &str = "00000000-FAKE-FAKE-FAKE-000000000000";
/// What a caller is told to wait who calls too often.
const RETRY_AFTER_MS: &str = "20";
/// How many earlier worlds are kept for reads that lag.
const WORLDS_MAX: usize = 200;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied and answered.
    Done,
    /// Refused with this code, by the cloud's own rules or by a fault.
    Refused(String),
    /// Never applied: the connection was closed first.
    Reset,
    /// Applied, and the caller did not get the answer, or not all of it.
    Lost,
}

/// One call, as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub at: Ms,
    /// `edas`, `alb`, `nlb`, `slb`, `ess`, `ecs`, `sts`.
    pub service: String,
    pub action: String,
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub form: BTreeMap<String, String>,
    pub parameters: Value,
    pub outcome: Outcome,
}

/// The fake, for as long as it lives.
#[derive(Debug)]
pub struct Fake {
    shared: Arc<Mutex<Shared>>,
    port: Port,
}

#[derive(Debug)]
struct Shared {
    world: World,
    /// Earlier worlds, for reads that lag.
    past: VecDeque<World>,
    began: Instant,
    /// How much time was let pass by hand.
    passed: Ms,
    calls: Vec<Call>,
    faults: Faults,
    nonces: BTreeSet<String>,
    unknown: Vec<String>,
    strange: Vec<String>,
}

impl Fake {
    /// Starts it on a free port of this host.
    pub fn start(settings: Settings) -> Self {
        let world = World::new(settings, jiff::Timestamp::now());
        let shared = Shared {
            past: VecDeque::from([world.clone()]),
            world,
            began: Instant::now(),
            passed: 0,
            calls: Vec::new(),
            faults: Faults::default(),
            nonces: BTreeSet::new(),
            unknown: Vec::new(),
            strange: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(shared));
        let served = Arc::clone(&shared);
        let port = Port::open(move |parts, body| lock(&served).handle(parts, body));
        Self { shared, port }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// What a program needs in its environment to speak to the fake.
    pub fn env(&self) -> Vec<(String, String)> {
        let (url, region) = (self.url(), lock(&self.shared).world.settings.region);
        let pairs = [
            ("DEPLOYER_ENDPOINT_ALIBABA", url.as_str()),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
            ("ALIBABA_CLOUD_REGION_ID", region),
            ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Builds or reads the world as it is now. What is built here is seen at once.
    pub fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut shared = lock(&self.shared);
        shared.catch_up();
        let result = work(&mut shared.world);
        shared.world.stirred = true;
        shared.world.settle_servers();
        shared.world.judge("the test's own hands");
        shared.past = VecDeque::from([shared.world.clone()]);
        result
    }

    /// Lets time pass where it does so only by hand.
    pub fn pass(&self, millis: Ms) {
        let mut shared = lock(&self.shared);
        shared.passed += millis;
        shared.catch_up();
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared).calls.clone()
    }

    /// How many calls of an operation were applied.
    pub fn count(&self, action: &str) -> usize {
        let applied =
            |call: &&Call| call.action == action && matches!(call.outcome, Outcome::Done | Outcome::Lost);
        lock(&self.shared).calls.iter().filter(applied).count()
    }

    /// Lets something go wrong.
    pub fn fail(&self, on: On, fault: Fault) {
        lock(&self.shared).faults.add(on, fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        lock(&self.shared).faults.clear();
    }

    /// How many calls a fault met.
    pub fn fired(&self) -> usize {
        lock(&self.shared).faults.fired
    }

    /// Operations and parameters that the fake does not know: an honest caller leaves this empty.
    pub fn unknown(&self) -> Vec<String> {
        lock(&self.shared).unknown.clone()
    }

    /// Fields of answers that the official SDKs do not know, or in another type: an honest fake leaves this empty.
    pub fn strange(&self) -> Vec<String> {
        lock(&self.shared).strange.clone()
    }

    /// What the judge of traffic found until now.
    pub fn oracle(&self) -> Oracle {
        let mut shared = lock(&self.shared);
        shared.catch_up();
        shared.world.oracle.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request, taken apart.
struct Asked<'a> {
    service: Option<&'static Service>,
    action: String,
    parts: &'a Parts,
    query: Value,
    form: Value,
}

impl<'a> Asked<'a> {
    fn new(parts: &'a Parts, body: &[u8]) -> Self {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let query = from_form(parts.uri.query().unwrap_or_default().as_bytes());
        let version = header("x-acs-version").or_else(|| query.get("Version")?.as_str());
        let service = SERVICES.iter().find(|service| Some((service.wire)().version.as_str()) == version);
        let action = header("x-acs-action").or_else(|| query.get("Action")?.as_str());
        Self { service, action: action.unwrap_or_default().to_owned(), parts, form: from_form(body), query }
    }

    /// Everything together.
    fn input(&self) -> Input {
        let fields = [&self.query, &self.form].into_iter().filter_map(Value::as_object).flatten();
        let tree = fields.map(|(name, value)| (name.clone(), plain(value))).collect();
        Input { action: self.action.clone(), tree: Value::Object(tree) }
    }

    /// The one call that nobody signs.
    fn unsigned(&self) -> bool {
        self.action == "AssumeRoleWithOIDC" && self.service.is_some_and(|service| service.name == "sts")
    }
}

/// Booleans in one spelling: the Python SDK writes `True`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::String(text) if text == "True" || text == "False" => json!(text.to_lowercase()),
        other => other.clone(),
    }
}

fn flat(bytes: &[u8]) -> BTreeMap<String, String> {
    super::input::pairs(bytes).into_iter().collect()
}

impl Shared {
    fn catch_up(&mut self) {
        let real = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.world.tick(if self.world.settings.by_hand { self.passed } else { real });
    }

    fn handle(&mut self, parts: &Parts, body: &[u8]) -> Reply {
        self.catch_up();
        let asked = Asked::new(parts, body);
        let input = asked.input();
        let checked = if asked.unsigned() {
            Ok(())
        } else {
            signature::check(parts, body, &self.world.sessions, &mut self.nonces)
        };
        let (result, fault) = match (checked, asked.service) {
            (Err(refusal), _) => (Err(refusal), None),
            (Ok(()), None) => {
                self.unknown.push(format!("no product:{}", asked.action));
                (Err(ApiError::new("InvalidVersion", "Specified parameter Version is not valid.")), None)
            }
            (Ok(()), Some(service)) => self.call(service, &asked, &input),
        };
        if let Some(Fault::Late(_)) = fault {
            // It comes again, with the same nonce.
            let nonce = parts.headers.get("x-acs-signature-nonce").and_then(|value| value.to_str().ok());
            self.nonces.remove(nonce.unwrap_or_default());
            return Reply { status: 0, kind: "", headers: Vec::new(), text: String::new(), fault };
        }
        let outcome = match (&result, fault) {
            (_, Some(Fault::Reset)) => Outcome::Reset,
            (Err(refusal), _) => Outcome::Refused(refusal.code.clone()),
            (Ok(_), Some(Fault::LostReply | Fault::Truncated)) => Outcome::Lost,
            (Ok(_), _) => Outcome::Done,
        };
        self.calls.push(Call {
            at: self.world.now,
            service: asked.service.map_or("none", |service| service.name).to_owned(),
            action: asked.action.clone(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: flat(parts.uri.query().unwrap_or_default().as_bytes()),
            form: flat(body),
            parameters: input.tree,
            outcome,
        });
        if let Some(Fault::Page(status)) = fault {
            let text = "<!DOCTYPE html>\n<html><title>Not implemented</title></html>".to_owned();
            return Reply { status, kind: "text/html", headers: Vec::new(), text, fault };
        }
        let edas = asked.service.is_some_and(|service| service.name == "edas");
        Reply { fault, ..rendered(edas, &asked.action, &self.world.settings, result) }
    }

    /// One call that is signed: its fault, its limits, its parameters, and then what it does.
    fn call(&mut self, service: &Service, asked: &Asked, input: &Input) -> (Answer, Option<Fault>) {
        let action = input.action.as_str();
        let wire = (service.wire)();
        let shape = wire.operations.get(action).filter(|shape| fits(shape, asked.parts) || asked.unsigned());
        let (Some(operation), Some(shape)) = (service.operation(action), shape) else {
            self.unknown.push(format!(
                "{}:{action} {} {}",
                service.name,
                asked.parts.method,
                asked.parts.uri.path()
            ));
            let text = "Specified api is not found, please check your url and method.";
            return (Err(ApiError::new("InvalidAction.NotFound", text).status(404)), None);
        };
        let fault = self.faults.take(action, &input.tree);
        let refusal = match fault {
            Some(Fault::Throttle) => Some(throttled()),
            Some(Fault::Status(status)) => Some(failed(status)),
            Some(Fault::Denied) => Some(denied(service.name, action)),
            Some(Fault::Reset) => Some(ApiError::new("Reset", "the connection is closed")),
            Some(Fault::Late(_)) => Some(ApiError::new("Late", "not yet")),
            Some(Fault::Page(status)) => Some(ApiError::new("Page", "a page for people").status(status)),
            Some(Fault::LostReply | Fault::Slow(_) | Fault::Truncated | Fault::Bare) | None => None,
        };
        let refusal = refusal.or_else(|| self.limited(action).then(throttled));
        if let Some(refusal) = refusal {
            return (Err(refusal), fault);
        }
        if let Err(refusal) = self.legible(service, action, shape, asked) {
            return (Err(refusal), fault);
        }
        // The official SDKs' own words: ASCII, and no longer than 64 characters.
        if input.text("ClientToken").is_some_and(|token| token.len() > 64 || !token.is_ascii()) {
            let text = "The specified parameter ClientToken is not valid.";
            return (Err(ApiError::new("InvalidParameter.ClientToken", text)), fault);
        }
        if let Some(at) = self.world.refusals.iter().position(|(of, _, _)| of == action) {
            let (_, code, message) = self.world.refusals.remove(at);
            return (Err(ApiError::in_body(code, message)), fault);
        }
        let result = if operation.reads { self.read(operation, input) } else { self.write(operation, input) };
        if let Some(at) = self.world.leavers.iter().position(|(of, _)| of == action) {
            let (_, host) = self.world.leavers.remove(at);
            self.world.kill(&host, "released");
        }
        let result = if fault == Some(Fault::Bare) { result.map(bare) } else { result };
        if let Ok(reply) = &result {
            let strange =
                shape.strange(reply).into_iter().map(|path| format!("{}:{action}{path}", service.name));
            self.strange.extend(strange);
        }
        (result, fault)
    }

    /// Whether the calls of an operation in the last minute are as many as may be.
    fn limited(&self, action: &str) -> bool {
        let Some(most) = self.world.settings.per_minute.get(action) else { return false };
        let since = self.world.now.saturating_sub(60_000);
        let recent = self.calls.iter().rev().take_while(|call| call.at >= since);
        recent.filter(|call| call.action == action).count() >= *most
    }

    fn legible(
        &mut self,
        service: &Service,
        action: &str,
        shape: &Shape,
        asked: &Asked,
    ) -> Result<(), ApiError> {
        let region = asked.input().text("RegionId").map(str::to_owned);
        if region.as_deref().is_some_and(|region| region != self.world.settings.region) {
            let text = format!("The specified RegionId {} does not exist.", region.unwrap_or_default());
            return Err(ApiError::new("InvalidRegionId.NotFound", text).status(404));
        }
        let central = matches!(service.name, "slb" | "ess");
        let asks = shape.query.iter().any(|line| line == "RegionId:s");
        if central && asks && region.is_none() {
            return Err(absent("RegionId"));
        }
        let query = without_common(&asked.query);
        let Some(wrong) = shape.wrong(&query, &asked.form) else { return Ok(()) };
        Err(match wrong {
            Wrong::Missing(name) => absent(&name),
            Wrong::Illegible(name) => ApiError::new(
                format!("InvalidParameter.{name}"),
                format!("The value of {name} is not valid."),
            ),
            Wrong::Unknown(name) | Wrong::Misplaced(name) => {
                self.unknown.push(format!("{}:{action} {name}", service.name));
                let text = format!("The parameter {name} does not belong here.");
                ApiError::new("UnsupportedParameter", text)
            }
        })
    }

    /// A read sees the world as it was a while ago, where it lags.
    fn read(&mut self, operation: &Operation, input: &Input) -> Answer {
        let lag = self.world.settings.lag;
        let seen = self.world.now.checked_sub(lag);
        let past =
            self.past.iter().rposition(|world| seen.is_some_and(|seen| world.now <= seen)).unwrap_or(0);
        let Some(past) = self.past.get_mut(past).filter(|_| lag > 0) else {
            return (operation.run)(&mut self.world, input);
        };
        // Nobody reads further back than this any more.
        past.tick(seen.unwrap_or_default());
        (operation.run)(&mut past.clone(), input)
    }

    fn write(&mut self, operation: &Operation, input: &Input) -> Answer {
        let key = input.text("ClientToken").map(|token| (operation.name.to_owned(), token.to_owned()));
        if let Some((asked, answer)) = key.as_ref().and_then(|key| self.world.answers.get(key)) {
            let text = "The same client token was used with other parameters.";
            let refusal = ApiError::new("IdempotentParameterMismatch", text);
            return if *asked == input.tree { Ok(answer.clone()) } else { Err(refusal) };
        }
        if input.flag("DryRun")? == Some(true) {
            (operation.run)(&mut self.world.clone(), input)?;
            return Err(ApiError::new(
                "DryRunOperation",
                "Request validation has been passed with DryRun flag set.",
            ));
        }
        // What is refused leaves nothing behind.
        let mut world = self.world.clone();
        let result = (operation.run)(&mut world, input);
        if let Ok(answer) = &result {
            self.world = world;
            if let Some(key) = key {
                self.world.answers.insert(key, (input.tree.clone(), answer.clone()));
            }
            // Only what the call itself did: what follows from it by itself is the work of time.
            self.world.stirred = true;
            self.world.settle_servers();
            self.world.judge(operation.name);
            if self.world.settings.lag > 0 {
                self.past.push_back(self.world.clone());
            }
            while self.past.len() > WORLDS_MAX {
                self.past.pop_front();
            }
        }
        result
    }
}

fn fits(shape: &Shape, parts: &Parts) -> bool {
    parts.method.as_str() == shape.method && parts.uri.path() == shape.path
}

/// A query without what every unsigned request has in it.
fn without_common(query: &Value) -> Value {
    let common = ["Action", "Version", "Format", "Timestamp"];
    let signed_by_header = !sts::is_plain(query);
    let fields = query.as_object().into_iter().flatten();
    let own = fields.filter(|(name, _)| signed_by_header || !common.contains(&name.as_str()));
    Value::Object(own.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn absent(name: &str) -> ApiError {
    ApiError::new(format!("Missing{name}"), format!("{name} is mandatory for this action."))
}

fn throttled() -> ApiError {
    ApiError::new("Throttling.User", "Request was denied due to user flow control.")
}

fn denied(service: &str, action: &str) -> ApiError {
    let text = format!("You are not authorized to do this action: {service}:{action}");
    ApiError::new("Forbidden.RAM", text).status(403)
}

fn failed(status: u16) -> ApiError {
    let code = if status == 503 { "ServiceUnavailable" } else { "InternalError" };
    ApiError::new(code, "The request processing has failed due to some unknown error.").status(status)
}

fn rendered(edas: bool, action: &str, settings: &Settings, result: Answer) -> Reply {
    let status = result.as_ref().err().map_or(200, |refusal| refusal.status);
    let mut headers = vec![("x-acs-request-id", REQUEST_ID.to_owned())];
    let fields = match result {
        Ok(Value::Object(mut fields)) => {
            if edas {
                fields.insert("Code".to_owned(), json!(200));
                fields.insert("Message".to_owned(), json!("success"));
            }
            fields
        }
        Ok(_) => Map::new(),
        Err(refusal) if edas && status == 200 => {
            let code = refusal.code.parse::<u64>().map_or(json!(refusal.code), |code| json!(code));
            Map::from_iter([("Code".to_owned(), code), ("Message".to_owned(), json!(refusal.message))])
        }
        Err(refusal) => {
            if refusal.code.starts_with("Throttling") {
                headers.push(("x-acs-retry-after", RETRY_AFTER_MS.to_owned()));
            }
            let fields = [
                ("Code", json!(refusal.code)),
                ("Message", json!(refusal.message)),
                ("HostId", json!("fake")),
                ("Recommend", json!("https://api.aliyun.com/troubleshoot")),
            ];
            fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
        }
    };
    let mut fields = fields;
    fields.insert("RequestId".to_owned(), json!(REQUEST_ID));
    let misspelt = settings.misspelt && action == "GetApplication";
    if let Some(application) = fields.remove("Application").filter(|_| action == "GetApplication") {
        fields.insert(if misspelt { "Applcation" } else { "Application" }.to_owned(), application);
    }
    if edas && settings.code_as_text {
        let code =
            fields.get("Code").map(|code| json!(code.as_str().map_or(code.to_string(), str::to_owned)));
        fields.insert("Code".to_owned(), code.unwrap_or(Value::Null));
    }
    let text = Value::Object(fields).to_string();
    Reply { status, kind: "application/json;charset=utf-8", headers, text, fault: None }
}

/// The answer without its lists, wherever they stand in it.
fn bare(mut answer: Value) -> Value {
    if let Value::Object(fields) = &mut answer {
        fields.retain(|_, field| !field.is_array());
        for field in fields.values_mut() {
            *field = bare(field.take());
        }
    }
    answer
}
