//! One host: real processes behind a real supervisor, reached over a socket on which calls can be lost.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use deployer::cloud::local::{self, LocalBackend, LocalStatus};
use deployer::cloud::{Backend, Change};
use deployer::model::{Fleet, FleetId, GroupId, ServiceName, Share, Span, Time};
use deployer::spec::{LocalGroup, LocalSpec};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::harness::{Given, Hand, Harness, Mishap, Ways};
use crate::story::{self, token};

const INTERVAL: Span = Span(50);

pub struct Local {
    /// Reaches the supervisor over the line.
    backend: LocalBackend,
    /// Reaches it directly, and declares the stranger too.
    founder: LocalBackend,
    dir: PathBuf,
    line: Line,
    given: Given,
}

impl Harness for Local {
    type Backend = LocalBackend;

    fn run(sentence: impl AsyncFnOnce(Self) + Send) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let given = given();
        let spec = spec(&given);
        let founder = backend(&given, &spec, far.path());
        let body = async {
            let line = Line::between(near.path(), far.path());
            let mut declared = spec.clone();
            declared.groups.remove(&given.stranger);
            let backend = backend(&given, &declared, near.path());
            let local = Self {
                backend,
                founder: founder.clone(),
                dir: far.path().to_owned(),
                line,
                given: given.clone(),
            };
            local.found().await;
            sentence(local).await;
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(body)));
        let log = std::fs::read_to_string(far.path().join("supervisor.log")).unwrap_or_default();
        let stopped = runtime.block_on(async {
            // A stopped process cannot be asked to end.
            let status = local::status(far.path()).await.unwrap();
            for pid in pids(&status, None).into_values() {
                signal(pid, Signal::CONT);
            }
            // The test binary is not the product: a stop that had to start a supervisor could not, and a look can.
            let _ = founder.look(&given.scope()).await;
            local::stop(far.path()).await
        });
        if let Err(panic) = outcome {
            eprintln!("--- supervisor.log\n{log}");
            std::panic::resume_unwind(panic);
        }
        stopped.unwrap();
    }

    fn backend(&self) -> &LocalBackend {
        &self.backend
    }

    fn given(&self) -> &Given {
        &self.given
    }

    fn ways(&self) -> Ways {
        Ways {
            pace: Span(20),
            patience: Span::secs(20),
            // Two checks must pass, and there is an interval between them.
            verdict_min: INTERVAL,
            lingers: false,
            drops_targets: false,
            ill_in_one_group: false,
            one_call_a_change: true,
            divides: true,
            proves: true,
            joins: true,
            mishaps: &[Mishap::Lost, Mishap::ReplyLost],
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this host is the cloud, and looks have its time")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time(u64::try_from(since.as_millis()).unwrap())
    }

    async fn by_hand(&self, hand: Hand) {
        match hand {
            Hand::Attach(fleet, group) => {
                let groups = story::only(&group);
                self.directly(&Change::Register { fleet: fleet.clone(), groups }).await;
                self.directly(&Change::Shift { group, to: fleet, from: None, share: Share::ALL }).await;
            }
            // A process that is held in its tracks answers no check.
            Hand::Sicken(fleet, _) => self.signal_all(&fleet, Signal::STOP).await,
            Hand::Recover(fleet, _) => self.signal_all(&fleet, Signal::CONT).await,
            Hand::Drop(..) => unreachable!("the members of a local group are fleets"),
            Hand::Kill(fleet, instance) => {
                let status = local::status(&self.dir).await.unwrap();
                signal(pids(&status, Some(&fleet))[instance.as_str()], Signal::KILL);
            }
        }
    }

    async fn next_change_meets(&self, mishap: Mishap) {
        *self.line.mishap.lock().unwrap() = Some(mishap);
    }

    async fn calm(&self) {
        *self.line.mishap.lock().unwrap() = None;
    }
}

impl Local {
    /// Blue serves.
    async fn found(&self) {
        let (blue, declared) = (&self.given.blue, self.given.declared());
        self.directly(&story::provision(blue)).await;
        self.directly(&story::register(blue, &declared)).await;
        for group in declared.clone() {
            let to = blue.id.clone();
            self.directly(&Change::Shift { group, to, from: None, share: Share::ALL }).await;
        }
        story::until(self, "blue serves", |seen| story::well(seen, blue, &declared)).await;
        story::at_rest(self).await;
    }

    async fn directly(&self, change: &Change) {
        self.founder.change(change, &token()).await.unwrap();
    }

    async fn signal_all(&self, fleet: &FleetId, what: Signal) {
        let status = local::status(&self.dir).await.unwrap();
        for pid in pids(&status, Some(fleet)).into_values() {
            signal(pid, what);
        }
    }
}

fn pids(status: &LocalStatus, fleet: Option<&FleetId>) -> BTreeMap<String, u32> {
    let fleets = status.fleets.iter().filter(|(id, _)| fleet.is_none_or(|own| own == *id));
    let instances = fleets.flat_map(|(_, fleet)| &fleet.instances);
    instances.filter_map(|(name, instance)| Some((name.to_string(), instance.pid?))).collect()
}

fn signal(pid: u32, what: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended just now.
    let _ = kill_process(pid, what);
}

fn backend(given: &Given, spec: &LocalSpec, dir: &Path) -> LocalBackend {
    let backend = LocalBackend::new(given.service.clone(), spec.clone(), dir).unwrap();
    backend.with_program(env!("CARGO_BIN_EXE_deployer").into())
}

fn given() -> Given {
    let group = |name: &str| GroupId::new(name).unwrap();
    let fleet = |id: &str, revision: &str| Fleet {
        id: FleetId::new(id).unwrap(),
        revision: revision.parse().unwrap(),
        size: 2,
    };
    Given {
        service: ServiceName::new("api").unwrap(),
        blue: fleet("api-v1", "1.0.0"),
        green: fleet("api-v2", "2.0.0"),
        ill: fleet("api-v2", "2.0.0-ill"),
        paired: [group("internal"), group("public")],
        // A proxy of our own divides every group as it is told.
        shared: None,
        whole: None,
        stranger: group("stranger"),
    }
}

fn spec(given: &Given) -> LocalSpec {
    let names: Vec<_> = given.declared().into_iter().chain([given.stranger.clone()]).collect();
    // All are held at once, so that no two are the same.
    let free: Vec<_> = names.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let group = |listener: &TcpListener| {
        let listen = listener.local_addr().unwrap();
        LocalGroup { listen, deregistration_delay: Span::secs(5) }
    };
    let env = [("SAMPLE_FAIL", "never-healthy"), ("SAMPLE_FAIL_REVISION", given.ill.revision.as_str())];
    LocalSpec {
        bootstrap: None,
        command: vec!["deployer".to_owned(), "sample".to_owned()],
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        health_path: "/health".to_owned(),
        health_interval: INTERVAL,
        health_timeout: Span::secs(1),
        healthy_after: 2,
        unhealthy_after: 2,
        groups: names.into_iter().zip(free.iter().map(group)).collect(),
    }
}

/// The line between a backend and the supervisor: carries each call there and its answer back, or loses one.
struct Line {
    mishap: Arc<Mutex<Option<Mishap>>>,
}

impl Line {
    fn between(near: &Path, far: &Path) -> Self {
        let listener = UnixListener::bind(near.join("control.sock")).unwrap();
        let (far, mishap) = (far.join("control.sock"), Arc::<Mutex<Option<Mishap>>>::default());
        let next = Arc::clone(&mishap);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (far, next) = (far.clone(), Arc::clone(&next));
                tokio::spawn(async move { carry(stream, &far, &next).await });
            }
        });
        Self { mishap }
    }
}

/// A connection that is dropped here is closed without an answer.
async fn carry(stream: UnixStream, far: &Path, next: &Mutex<Option<Mishap>>) -> std::io::Result<()> {
    let (mut stream, mut request, mut answer) = (BufReader::new(stream), Vec::new(), Vec::new());
    stream.read_until(b'\n', &mut request).await?;
    let changes = !String::from_utf8_lossy(&request).contains("\"said\":{\"look\"");
    let mishap = if changes { next.lock().unwrap().take() } else { None };
    if mishap == Some(Mishap::Lost) {
        return Ok(());
    }
    let mut there = UnixStream::connect(far).await?;
    there.write_all(&request).await?;
    there.read_to_end(&mut answer).await?;
    if mishap == Some(Mishap::ReplyLost) {
        return Ok(());
    }
    stream.write_all(&answer).await?;
    stream.flush().await
}
