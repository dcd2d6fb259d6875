//! A state directory, a backend and a client; always stopped at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deployer::cloud::local::{LocalBackend, LocalStatus};
use deployer::cloud::{Backend, Change, Fault, Scope};
use deployer::coverage::{self, Question, Retirement};
use deployer::model::{
    Fleet, FleetId, GroupId, Health, Inventory, Revision, ServiceName, Share, Span, Time, Token,
};
use deployer::spec::{LocalGroup, LocalSpec};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a condition may take to come true, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(20);

pub struct Rig {
    dir: PathBuf,
    spec: LocalSpec,
    tokens: AtomicU64,
}

/// The deployment file as it is.
pub fn plain(_: &mut LocalSpec) {}

/// Runs a test against a state directory of its own, and stops everything whatever happened.
pub fn run(groups: &[&str], edit: impl FnOnce(&mut LocalSpec), test: impl AsyncFnOnce(Rig)) {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(groups);
    edit(&mut spec);
    let rig = Rig { dir: dir.path().to_owned(), spec, tokens: AtomicU64::new(0) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (backend, scope) = (rig.backend(), rig.scope());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test(rig))));
    let log = std::fs::read_to_string(dir.path().join("supervisor.log")).unwrap_or_default();
    let status = runtime.block_on(deployer::cloud::local::status(dir.path()));
    // The test binary is not the product: a stop that had to start a supervisor first could not, and a look can.
    let _ = runtime.block_on(backend.look(&scope));
    let stopped = runtime.block_on(deployer::cloud::local::stop(dir.path()));
    if let Err(panic) = outcome {
        eprintln!("--- supervisor.log\n{log}\n--- {status:#?}");
        std::panic::resume_unwind(panic);
    }
    stopped.unwrap();
    assert!(!dir.path().join("state.json").exists());
    assert!(!dir.path().join("control.sock").exists());
}

fn spec(groups: &[&str]) -> LocalSpec {
    // All are held at once, so that no two are the same.
    let free: Vec<_> = groups.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let group = |(id, listener): (&&str, &std::net::TcpListener)| {
        let listen = listener.local_addr().unwrap();
        (group(id), LocalGroup { listen, deregistration_delay: Span::secs(20) })
    };
    LocalSpec {
        bootstrap: None,
        command: vec!["deployer".to_owned(), "sample".to_owned()],
        env: BTreeMap::new(),
        health_path: "/health".to_owned(),
        health_interval: Span(100),
        health_timeout: Span::secs(2),
        healthy_after: 2,
        unhealthy_after: 2,
        groups: groups.iter().zip(&free).map(group).collect(),
    }
}

impl Rig {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn backend(&self) -> LocalBackend {
        let service = ServiceName::new("api").unwrap();
        let backend = LocalBackend::new(service, self.spec.clone(), &self.dir).unwrap();
        backend.with_program(env!("CARGO_BIN_EXE_deployer").into())
    }

    pub fn declared(&self) -> BTreeSet<GroupId> {
        self.spec.groups.keys().cloned().collect()
    }

    pub fn address(&self, id: &str) -> SocketAddr {
        self.spec.groups[&group(id)].listen
    }

    pub fn edit(&mut self, id: &str, edit: impl FnOnce(&mut LocalGroup)) {
        edit(self.spec.groups.get_mut(&group(id)).unwrap());
    }

    pub fn forget(&mut self, id: &str) {
        self.spec.groups.remove(&group(id)).unwrap();
    }

    fn scope(&self) -> Scope {
        let service = ServiceName::new("api").unwrap();
        Scope { service, groups: self.declared(), fleets: BTreeSet::new() }
    }

    pub async fn try_look(&self) -> Result<Inventory, Fault> {
        self.backend().look(&self.scope()).await
    }

    pub async fn look(&self) -> Inventory {
        self.try_look().await.unwrap()
    }

    pub async fn status(&self) -> LocalStatus {
        deployer::cloud::local::status(&self.dir).await.unwrap()
    }

    pub async fn supervisor(&self) -> u32 {
        self.status().await.supervisor.expect("a supervisor runs")
    }

    pub async fn pids(&self, id: &str) -> BTreeMap<String, u32> {
        let status = self.status().await;
        let instances = status.fleets.get(&fleet(id)).map(|f| f.instances.clone()).unwrap_or_default();
        instances.iter().filter_map(|(name, i)| Some((name.to_string(), i.pid?))).collect()
    }

    pub async fn change(&self, change: &Change) -> Result<(), Fault> {
        let n = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.backend().change(change, &token(&format!("token-{n}"))).await
    }

    pub async fn try_provision(&self, id: &str, revision: &str, size: u32) -> Result<(), Fault> {
        let revision = Revision::new(revision).unwrap();
        self.change(&Change::Provision { fleet: Fleet { id: fleet(id), revision, size } }).await
    }

    pub async fn provision(&self, id: &str, revision: &str, size: u32) {
        self.try_provision(id, revision, size).await.unwrap();
    }

    pub async fn register(&self, id: &str, groups: &[&str]) {
        let groups = groups.iter().map(|id| group(id)).collect();
        self.change(&Change::Register { fleet: fleet(id), groups }).await.unwrap();
    }

    pub async fn deregister(&self, id: &str, groups: &[&str]) {
        let groups = groups.iter().map(|id| group(id)).collect();
        self.change(&Change::Deregister { fleet: fleet(id), groups }).await.unwrap();
    }

    pub async fn shift(&self, id: &str, to: &str, from: Option<&str>, percent: u64) {
        let (to, from) = (fleet(to), from.map(fleet));
        self.change(&Change::Shift { group: group(id), to, from, share: share(percent) }).await.unwrap();
    }

    /// A fleet that is healthy in its groups, without a share.
    pub async fn up(&self, id: &str, revision: &str, size: u32, groups: &[&str]) {
        self.provision(id, revision, size).await;
        self.register(id, groups).await;
        for group in groups {
            self.until_health(id, group, Health::Healthy, size).await;
        }
    }

    pub async fn retire(&self, proof: Retirement) {
        let n = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.backend().retire(proof, &token(&format!("token-{n}"))).await.unwrap();
    }

    /// Moves the state directory further down.
    pub fn deepen(&mut self, name: &str) {
        self.dir.push(name);
    }

    pub async fn until_health(&self, id: &str, in_group: &str, health: Health, count: u32) {
        until(&format!("{count} {health:?} of {id} in {in_group}"), async || {
            let look = self.look().await;
            let side = look.group(&group(in_group)).and_then(|group| group.sides.get(&fleet(id)));
            side.is_some_and(|side| side.count(health) == count)
        })
        .await;
    }

    /// Leave to retire a fleet that has left every group.
    pub async fn proof(&self, id: &str) -> Retirement {
        let look = self.look().await;
        let (leaving, staying) = (fleet(id), fleet("nobody"));
        let question = Question {
            leaving: &leaving,
            staying: &staying,
            required: &BTreeSet::new(),
            healthy_min: 1,
            waivers: &[],
            look: &look,
            not_before: Time(0),
            fresh: Span::secs(60),
            now: look.looked_at,
        };
        coverage::prove_idle(&question).unwrap()
    }
}

/// Waits until something is true.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(PACE).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

pub fn fleet(id: &str) -> FleetId {
    FleetId::new(id).unwrap()
}

pub fn group(id: &str) -> GroupId {
    GroupId::new(id).unwrap()
}

pub fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

pub fn share(percent: u64) -> Share {
    Share::new(percent).unwrap()
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Whether a process runs; one that ended and was not waited for does not.
pub fn lives(pid: u32) -> bool {
    let stat =
        std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let stat = String::from_utf8(stat.stdout).unwrap();
    !stat.trim().is_empty() && !stat.trim().starts_with('Z')
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.into_body().collect().await?.to_bytes() })
    }
}

/// A client with one connection that it keeps.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self { sender, address }
    }

    pub async fn raw(&mut self, request: hyper::http::request::Builder) -> Response<Incoming> {
        self.sender.ready().await.unwrap();
        self.sender.send_request(request.body(Full::default()).unwrap()).await.unwrap()
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        let request = Request::builder().method(method).uri(path).header("host", self.address.to_string());
        self.sender.send_request(request.body(Full::from(body.to_owned())).unwrap()).await
    }

    pub async fn try_get(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        Answer::read(self.send("GET", path, "").await?).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, "").await
}

pub async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    let response = client.send(method, path, body).await.unwrap();
    Answer::read(response).await.unwrap()
}
