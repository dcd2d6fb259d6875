//! The handle of a test, and what becomes of each call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::faults::{Fault, Faults, On};
use super::input::{Input, from_form};
use super::limits::{self, Limits};
use super::oracle::Oracle;
use super::port::{Port, Reply};
use super::service::{Answer, ApiError, EC2_VERSION, Protocol, SERVICES, Service};
use super::signature;
use super::world::{KEY_ID, Ms, REGION, SECRET, Settings, World};
use super::xml;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied and answered.
    Done,
    /// Refused with this code, by AWS's own rules or by a fault.
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
    pub service: String,
    pub action: String,
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
    began: Instant,
    calls: Vec<Call>,
    faults: Faults,
    limits: Limits,
    unknown: Vec<String>,
}

impl Fake {
    /// Starts it on a free port of this host.
    pub fn start(settings: Settings) -> Self {
        let world = World::new(settings, jiff::Timestamp::now());
        let shared = Shared {
            world,
            began: Instant::now(),
            calls: Vec::new(),
            faults: Faults::default(),
            limits: Limits::default(),
            unknown: Vec::new(),
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
        let url = self.url();
        let pairs = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Builds or reads the world as it is now.
    pub fn world<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut shared = lock(&self.shared);
        shared.catch_up();
        let result = work(&mut shared.world);
        shared.world.settle_targets();
        shared.world.judge("the test's own hands");
        result
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

impl Shared {
    fn catch_up(&mut self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.world.tick(now);
    }

    fn handle(&mut self, parts: &Parts, body: &[u8]) -> Reply {
        self.catch_up();
        let named = signature::service(parts);
        let service =
            named.as_ref().ok().and_then(|name| SERVICES.iter().find(|service| service.name == name));
        let (action, tree) = read(service, parts, body);
        let input = Input { action, tree };
        let checked = named.and_then(|_| signature::check(parts, body));
        let (result, fault) = match (checked, service) {
            (Err(refusal), _) => (Err(refusal), None),
            (Ok(()), None) => (Err(ApiError::new("InvalidAction", "No such service")), None),
            (Ok(()), Some(service)) => self.call(service, parts, &input),
        };
        if let Some(Fault::Late(_)) = fault {
            // It comes again.
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
            service: service.map_or("none", |service| service.name).to_owned(),
            action: input.action.clone(),
            parameters: input.tree.clone(),
            outcome,
        });
        let protocol =
            service.map_or(Protocol::Query { version: "", namespace: "" }, |service| service.protocol);
        if let Some(Fault::Page(status)) = fault {
            let text = "<!DOCTYPE html>\n<html><title>Not implemented</title></html>".to_owned();
            return Reply { status, kind: "text/html", headers: Vec::new(), text, fault };
        }
        Reply { fault, ..rendered(protocol, &input.action, result) }
    }

    /// One call that is signed: its fault, its limits, its parameters, and then what it does.
    fn call(&mut self, service: &Service, parts: &Parts, input: &Input) -> (Answer, Option<Fault>) {
        let action = input.action.as_str();
        let known = service.operation(action).filter(|_| version_fits(service.protocol, parts, input));
        let Some(operation) = known else {
            self.unknown.push(format!("{}:{action}", service.name));
            let code = match service.protocol {
                Protocol::Json { .. } => "UnknownOperationException",
                Protocol::Query { .. } | Protocol::Ec2 => "InvalidAction",
            };
            return (Err(ApiError::new(code, format!("The action {action} is not valid"))), None);
        };
        let fault = self.faults.take(action, &input.tree);
        let name = service.name;
        let refusal = match fault {
            Some(Fault::Throttle) => Some(limits::throttled(name)),
            Some(Fault::Status(status)) => Some(limits::failed(name, status)),
            Some(Fault::Denied) => Some(limits::denied(name, action)),
            Some(Fault::Reset) => Some(ApiError::new("Reset", "the connection is closed")),
            Some(Fault::Late(_)) => Some(ApiError::new("Late", "not yet")),
            Some(Fault::Page(status)) => Some(ApiError::new("Page", "a page for people").status(status)),
            Some(Fault::LostReply | Fault::Slow(_) | Fault::Truncated | Fault::Bare) | None => None,
        };
        let now = self.world.now;
        let buckets = self.world.settings.buckets;
        let refusal = refusal.or_else(|| {
            let limited = buckets.is_some_and(|buckets| self.limits.reached(&buckets, name, action, now));
            limited.then(|| limits::throttled(name))
        });
        if let Some(refusal) = refusal {
            return (Err(refusal), fault);
        }
        if let Some(parameter) = operation.unknown(input) {
            self.unknown.push(format!("{name}:{action} {parameter}"));
            let code = if service.protocol == Protocol::Ec2 { "UnknownParameter" } else { "ValidationError" };
            return (Err(ApiError::new(code, format!("The parameter {parameter} is not recognized"))), fault);
        }
        let mut result = (operation.run)(&mut self.world, input);
        if let (Some(Fault::Bare), Ok(Value::Object(fields))) = (fault, &mut result) {
            fields.retain(|_, field| !field.is_array());
        }
        // Only what the call itself did: what follows from it by itself is the work of time.
        self.world.settle_targets();
        self.world.judge(action);
        (result, fault)
    }
}

fn version_fits(protocol: Protocol, parts: &Parts, input: &Input) -> bool {
    match protocol {
        Protocol::Query { version, .. } => input.text("Version") == Some(version),
        Protocol::Ec2 => input.text("Version") == Some(EC2_VERSION),
        Protocol::Json { target } => target_of(parts).is_some_and(|given| given.starts_with(target)),
    }
}

fn target_of(parts: &Parts) -> Option<&str> {
    parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok())
}

fn read(service: Option<&Service>, parts: &Parts, body: &[u8]) -> (String, Value) {
    if let Some(Protocol::Json { .. }) = service.map(|service| service.protocol) {
        let action = target_of(parts).and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        return (action.to_owned(), serde_json::from_slice(body).unwrap_or_else(|_| json!({})));
    }
    let tree = from_form(body);
    let action = tree.get("Action").and_then(Value::as_str).unwrap_or_default().to_owned();
    (action, tree)
}

const REQUEST_ID: &str = "00000000-fake-fake-fake-000000000000";

fn rendered(protocol: Protocol, action: &str, result: Answer) -> Reply {
    let xml_kind = "text/xml;charset=UTF-8";
    let status = result.as_ref().err().map_or(200, |refusal| refusal.status);
    let (kind, text) = match (protocol, result) {
        (Protocol::Query { namespace, .. }, Ok(tree)) => {
            let inner = xml::write(&tree, "member");
            let text = format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{inner}</{action}Result><ResponseMetadata>\
                 <RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{action}Response>"
            );
            (xml_kind, text)
        }
        (Protocol::Query { namespace, .. }, Err(refusal)) => {
            let side = if status < 500 { "Sender" } else { "Receiver" };
            let (code, message) = (xml::escaped(&refusal.code), xml::escaped(&refusal.message));
            let text = format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}\
                 </Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
            );
            (xml_kind, text)
        }
        (Protocol::Ec2, Ok(tree)) => {
            let inner = xml::write(&tree, "item");
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/\
                 {EC2_VERSION}/\"><requestId>{REQUEST_ID}</requestId>{inner}</{action}Response>"
            );
            (xml_kind, text)
        }
        (Protocol::Ec2, Err(refusal)) => {
            let (code, message) = (xml::escaped(&refusal.code), xml::escaped(&refusal.message));
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>\
                 {message}</Message></Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
            );
            (xml_kind, text)
        }
        (Protocol::Json { .. }, Ok(tree)) => ("application/x-amz-json-1.1", tree.to_string()),
        (Protocol::Json { .. }, Err(refusal)) => (
            "application/x-amz-json-1.1",
            json!({ "__type": refusal.code, "message": refusal.message }).to_string(),
        ),
    };
    let headers = vec![("x-amzn-requestid", REQUEST_ID.to_owned())];
    Reply { status, kind, headers, text, fault: None }
}
