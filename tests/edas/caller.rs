//! A caller as plain as can be: it signs, sends and reads what comes back, and tries nothing again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use serde_json::Value;

use crate::fake::wire::{self, Shape, Wire};
use crate::fake::{Fake, KEY_ID, SECRET, signature};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Reply {
    /// The code of a refusal; empty where there is none.
    pub fn code(&self) -> String {
        let code = self.body["Code"].clone();
        if self.status == 200 && code == 200 { String::new() } else { code.as_str().unwrap_or("").to_owned() }
    }
}

/// A request before it is signed, for tests to spoil.
#[derive(Debug, Clone)]
pub struct Draft {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: String,
    pub headers: BTreeMap<String, String>,
    pub key: String,
    pub secret: String,
    /// Headers that are sent and not signed.
    pub unsigned: Vec<&'static str>,
    /// Sent without any signature.
    pub plain: bool,
    /// What is sent in place of the body that was signed.
    pub other_body: Option<String>,
}

pub fn product(name: &str) -> &'static Wire {
    match name {
        "edas" => &wire::EDAS,
        "alb" => &wire::ALB,
        "nlb" => &wire::NLB,
        "slb" => &wire::CLB,
        "ess" => &wire::ESS,
        "ecs" => &wire::ECS,
        "sts" => &wire::STS,
        other => panic!("no product {other}"),
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", signature::encoded(name), signature::encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Where a parameter travels: `Servers.1.Port` is `Servers[].Port` in the table.
fn in_form(shape: &Shape, name: &str) -> bool {
    let mut path = String::new();
    for part in name.split('.') {
        if part.parse::<usize>().is_ok() {
            path.push_str("[]");
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(part);
        }
    }
    shape.form.iter().any(|line| line.rsplit_once(':').is_some_and(|(known, _)| known == path))
}

impl Draft {
    /// As the table of the product has it.
    pub fn new(name: &str, action: &str, parameters: &[(&str, &str)]) -> Self {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let wire = product(name);
        let shape = &wire.operations[action];
        let of = |form: bool| -> Vec<(String, String)> {
            let own = parameters.iter().filter(|(name, _)| in_form(shape, name) == form);
            own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let nonce = format!("nonce-{}", NONCES.fetch_add(1, Ordering::Relaxed));
        let headers = [
            ("x-acs-action", action.to_owned()),
            ("x-acs-version", wire.version.clone()),
            ("x-acs-date", now),
            ("x-acs-signature-nonce", nonce),
        ];
        Self {
            method: shape.method.clone(),
            path: shape.path.clone(),
            query: of(false),
            body: joined(&of(true)),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            key: KEY_ID.to_owned(),
            secret: SECRET.to_owned(),
            unsigned: Vec::new(),
            plain: false,
            other_body: None,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Signs and sends it; nothing where the connection ends before the answer does.
    pub fn send(mut self, fake: &Fake) -> Option<Reply> {
        let address = fake.url().trim_start_matches("http://").to_owned();
        self.headers.insert("host".to_owned(), address.clone());
        self.headers.insert("x-acs-content-sha256".to_owned(), signature::hash(self.body.as_bytes()));
        if !self.body.is_empty() {
            let kind = "application/x-www-form-urlencoded";
            self.headers.insert("content-type".to_owned(), kind.to_owned());
        }
        let target = format!("{}?{}", self.path, joined(&self.query));
        let signed = self.headers.keys().map(String::as_str).filter(|name| !self.unsigned.contains(name));
        let signed: Vec<&str> = signed.collect();
        let mut request = Request::builder().method(self.method.as_str()).uri(&target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let made = signature::sign(&parts, &signed, &self.secret).unwrap();
        let (key, names) = (&self.key, signed.join(";"));
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={key},SignedHeaders={names},Signature={made}");
        if self.plain {
            self.headers.retain(|name, _| name == "host");
        } else {
            self.headers.insert("authorization".to_owned(), authorization);
        }
        let body = self.other_body.unwrap_or(self.body);
        let head: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!(
            "{} {target} HTTP/1.1\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.method,
            head.concat(),
            body.len()
        );
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        read(&answer)
    }
}

fn read(answer: &str) -> Option<Reply> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Some(Reply { status, headers, body: serde_json::from_str(body).ok()? })
}

/// One call, as it should be.
pub fn call(fake: &Fake, name: &str, action: &str, parameters: &[(&str, &str)]) -> Reply {
    Draft::new(name, action, parameters).send(fake).unwrap()
}
