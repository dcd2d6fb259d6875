//! A folder of its own with a deployment file, free ports and the real binary; always stopped at the end.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use deployer::cloud::local::{LocalBackend, LocalStatus};
use deployer::cloud::{Backend, Change};
use deployer::journal::{FileStore, Journal, Verdict};
use deployer::model::{Fleet, FleetId, GroupId, RolloutId, ServiceName, Share, Span, Token};
use deployer::rollout::{Event, Recorded, Rollout};
use deployer::spec::{LocalGroup, LocalSpec};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ports are taken from below the range that systems draw from for outgoing connections, so that a port which is free
/// now is still free when a supervisor listens on it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What a test's deployment file says.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub revision: &'static str,
    pub strategy: &'static str,
    pub steps: &'static str,
    pub bootstrap: bool,
    pub size: u32,
    pub settle: &'static str,
    pub bake: &'static str,
    pub quiet: &'static str,
    /// Lines of `deadlines`.
    pub deadlines: Vec<&'static str>,
    pub command: &'static str,
    pub env: Vec<(&'static str, &'static str)>,
    pub groups: BTreeSet<&'static str>,
    pub deregistration_delay: &'static str,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            revision: "2.0.0",
            strategy: "bluegreen",
            steps: "[{ share: 50, hold: 100ms }, 100]",
            bootstrap: false,
            size: 2,
            settle: "100ms",
            bake: "100ms",
            quiet: "100ms",
            deadlines: Vec::new(),
            command: "[deployer, sample]",
            env: Vec::new(),
            groups: BTreeSet::from(["internal", "public"]),
            deregistration_delay: "200ms",
        }
    }
}

impl Deployment {
    pub fn declare(&mut self, group: &'static str) {
        self.groups.insert(group);
    }

    pub fn leave_out(&mut self, group: &str) {
        self.groups.remove(group);
    }

    fn text(&self, port: impl Fn(&str) -> u16) -> String {
        let mut text = format!(
            "service: api\nrevision: {}\nenvironment: local\nstrategy: {}\nstrategies:\n  bluegreen:\n    steps: {}\n  \
             switch:\n    steps: [100]\n  canary:\n    steps: [{{ share: 50, hold: promote }}, 100]\ninstances: {}\n\
             settle: {}\nbake: {}\nquiet: {}\n",
            self.revision, self.strategy, self.steps, self.size, self.settle, self.bake, self.quiet
        );
        if !self.deadlines.is_empty() {
            text.push_str("deadlines:\n");
            self.deadlines.iter().for_each(|line| writeln!(text, "  {line}").unwrap());
        }
        text.push_str("environments:\n  local:\n    provider:\n      local:\n");
        if self.bootstrap {
            text.push_str("        bootstrap: 1.0.0\n");
        }
        writeln!(text, "        command: {}", self.command).unwrap();
        if !self.env.is_empty() {
            text.push_str("        env:\n");
            self.env.iter().for_each(|(name, value)| writeln!(text, "          {name}: {value}").unwrap());
        }
        text.push_str(
            "        health: { interval: 50ms, timeout: 2s, healthy_after: 2, unhealthy_after: 2 }\n",
        );
        text.push_str("        groups:\n");
        for group in &self.groups {
            let (port, delay) = (port(group), self.deregistration_delay);
            writeln!(
                text,
                "          {group}: {{ listen: \"127.0.0.1:{port}\", deregistration_delay: {delay} }}"
            )
            .unwrap();
        }
        text
    }
}

/// A folder with a deployment file.
pub struct Rig {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub deployment: Deployment,
    ports: BTreeMap<&'static str, u16>,
    runs: Cell<usize>,
    tokens: Cell<usize>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
    /// How long it ran.
    pub took: Duration,
}

/// A command that runs. Killed where the test forgets it.
pub struct Running {
    child: Child,
    what: String,
    paths: (PathBuf, PathBuf),
    began: Instant,
}

impl Rig {
    /// A folder with a deployment file, and nothing that runs.
    pub fn new(edit: impl FnOnce(&mut Deployment)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("deployments")).unwrap();
        fs::create_dir_all(dir.path().join("said")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Also those that no file declares at first.
        let ports = ["internal", "partner", "public"].into_iter().zip(free_ports()).collect();
        let (runs, tokens) = (Cell::new(0), Cell::new(0));
        let mut rig = Self { dir, runtime, deployment: Deployment::default(), ports, runs, tokens };
        rig.edit(edit);
        rig
    }

    /// A folder in which revision 1.0.0 serves already, by rollout 1.
    pub fn with_blue(edit: impl FnOnce(&mut Deployment)) -> Self {
        let mut rig = Self::new(edit);
        let wanted = rig.deployment.clone();
        let first = Deployment {
            groups: wanted.groups.clone(),
            deregistration_delay: wanted.deregistration_delay,
            env: wanted.env.clone(),
            ..Deployment::default()
        };
        rig.edit(|file| *file = Deployment { settle: "0s", bake: "0s", quiet: "0s", ..first });
        rig.run(&["rollout", "api", "--strategy", "switch", "--revision", "1.0.0"]).ended_with(0);
        rig.edit(|file| *file = wanted);
        rig
    }

    /// Writes the deployment file anew.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Deployment)) {
        edit(&mut self.deployment);
        let text = self.deployment.text(|group| self.ports[group]);
        fs::write(self.dir.path().join("deployments/api.yaml"), text).unwrap();
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn address(&self, group: &str) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[group]))
    }

    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The real binary, in this folder, with nothing of the caller's environment that could change what it does.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        self.prepare(&mut command);
        command.args(args);
        command
    }

    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(self.dir.path()).env_clear().env("USER", "kim").stdin(Stdio::null());
        command
            .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    }

    pub fn start(&self, args: &[&str]) -> Running {
        self.launch(self.command(args), &args.join(" "))
    }

    pub fn launch(&self, mut command: Command, what: &str) -> Running {
        self.runs.set(self.runs.get() + 1);
        let said = self.dir.path().join("said");
        let path =
            |kind: &str| said.join(format!("{:03} {}.{kind}", self.runs.get(), what.replace('/', "_")));
        let paths = (path("out"), path("err"));
        command.stdout(File::create(&paths.0).unwrap()).stderr(File::create(&paths.1).unwrap());
        let child = command.spawn().unwrap();
        Running { child, what: what.to_owned(), paths, began: Instant::now() }
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    pub fn journal(&self) -> Journal<FileStore> {
        Journal::new(FileStore::new(self.dir.path().join(".deployer/journal")), "test")
    }

    pub fn id(number: u64) -> RolloutId {
        RolloutId { service: ServiceName::new("api").unwrap(), environment: "local".parse().unwrap(), number }
    }

    /// Where the n-th entry of a rollout is, or will be.
    pub fn entry(&self, number: u64, seq: usize) -> PathBuf {
        self.dir.path().join(format!(".deployer/journal/api/local/{number:08}/{seq:08}.json"))
    }

    /// How many entries a rollout has.
    pub fn entries(&self, number: u64) -> usize {
        (1..100_000).take_while(|seq| self.entry(number, *seq).exists()).count()
    }

    pub fn latest(&self) -> u64 {
        let one = Self::id(1);
        let latest = self.block(self.journal().latest(&one.service, &one.environment)).unwrap();
        latest.map_or(0, |id| id.number)
    }

    pub fn facts(&self, number: u64) -> Vec<Recorded> {
        let history = self.block(self.journal().read(&Self::id(number)));
        history.unwrap().into_recorded().unwrap()
    }

    /// The state as the journal tells it.
    pub fn state(&self, number: u64) -> Rollout {
        Rollout::fold(&self.facts(number)).unwrap()
    }

    pub fn phase(&self, number: u64) -> &'static str {
        if self.entry(number, 1).exists() { self.state(number).phase().name() } else { "nothing" }
    }

    /// Waits until the journal shows this of a rollout.
    pub fn until(&self, number: u64, what: &str, is_so: impl Fn(&Rollout) -> bool) {
        until(what, || self.entry(number, 1).exists() && is_so(&self.state(number)));
    }

    pub fn until_phase(&self, number: u64, phase: &str) {
        self.until(number, &format!("rollout {number} to be in `{phase}`"), |state| {
            state.phase().name() == phase
        });
    }

    /// Every entry of every rollout is sound, by the library and by the binary.
    pub fn verify(&self) {
        for number in 1..=self.latest() {
            let report = self.block(self.journal().verify(&Self::id(number))).unwrap();
            assert!(
                matches!(&report.verdict, Verdict::Sound { unknown, .. } if unknown.is_empty()),
                "{report:?}"
            );
        }
        self.run(&["journal", "verify"]).ended_with(0);
    }

    /// What runs, as the binary prints it.
    pub fn status(&self) -> LocalStatus {
        let done = self.run(&["local", "status", "--output", "json"]).ended_with(0);
        serde_json::from_str(&done.out).unwrap()
    }

    /// What stands still while nobody changes anything: who stands where with what share, and every process.
    pub fn world(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let status = self.status();
        let fleets: BTreeMap<_, _> = status
            .fleets
            .into_iter()
            .map(|(id, fleet)| {
                let pids: Vec<_> = fleet.instances.values().map(|instance| instance.pid).collect();
                (id, (fleet.revision, fleet.size, fleet.leaving, fleet.groups, pids))
            })
            .collect();
        (status.supervisor, fleets, status.groups)
    }

    /// The processes of this folder's fleets: what really runs, whatever anybody says of it.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let Ok(dir) = fs::canonicalize(self.dir.path()) else { return BTreeMap::new() };
        let mut found = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let path = entry.path();
            if fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == dir) {
                let environ = fs::read(path.join("environ")).unwrap_or_default();
                let environ = String::from_utf8_lossy(&environ).into_owned();
                if let Some(name) = environ.split('\0').find_map(|var| var.strip_prefix("INSTANCE=")) {
                    found.insert(pid, name.to_owned());
                }
            }
        }
        found
    }

    /// Every group answers with this revision and no other; one fleet is left, whole, and no process beside it.
    pub fn serves(&self, revision: &str, size: u32) {
        self.answers(revision);
        let status = self.status();
        let fleets: Vec<_> = status.fleets.values().map(|fleet| fleet.revision.to_string()).collect();
        assert_eq!(fleets, [revision], "the fleets that are left");
        let (id, fleet) = status.fleets.first_key_value().unwrap();
        assert_eq!((fleet.size, fleet.leaving), (size, false), "{fleet:?}");
        let pids: BTreeSet<_> = fleet.instances.values().filter_map(|instance| instance.pid).collect();
        assert_eq!(pids.len(), size as usize, "{fleet:?}");
        if cfg!(target_os = "linux") {
            let running = self.processes();
            assert_eq!(running.keys().copied().collect::<BTreeSet<_>>(), pids, "{running:?} of `{id}`");
        }
    }

    /// Every declared group answers with this revision and no other.
    pub fn answers(&self, revision: &str) {
        for group in &self.deployment.groups {
            self.answers_in(group, revision);
        }
    }

    pub fn answers_in(&self, group: &str, revision: &str) {
        for _ in 0..10 {
            assert_eq!(get(self.address(group)), (200, revision.to_owned()), "in `{group}`");
        }
    }

    /// This folder's backend as the test holds it, with further groups beyond the file's.
    pub fn backend(&self, further: &[&'static str]) -> LocalBackend {
        let group = |id: &&'static str| {
            let group = LocalGroup { listen: self.address(id), deregistration_delay: Span(200) };
            (GroupId::new(*id).unwrap(), group)
        };
        let spec = LocalSpec {
            bootstrap: None,
            command: vec!["deployer".to_owned(), "sample".to_owned()],
            env: BTreeMap::new(),
            health_path: "/health".to_owned(),
            health_interval: Span(50),
            health_timeout: Span::secs(2),
            healthy_after: 2,
            unhealthy_after: 2,
            groups: self.deployment.groups.iter().chain(further).map(group).collect(),
        };
        let state = self.dir.path().join(".deployer/local");
        let backend = LocalBackend::new(ServiceName::new("api").unwrap(), spec, &state).unwrap();
        backend.with_program(env!("CARGO_BIN_EXE_deployer").into())
    }

    /// Changes the world behind the orchestrator's back.
    pub fn change(&self, further: &[&'static str], change: &Change) {
        self.tokens.set(self.tokens.get() + 1);
        let token = Token::new(format!("test-{}", self.tokens.get())).unwrap();
        self.block(self.backend(further).change(change, &token)).unwrap();
    }

    /// Gives the only fleet, or the named one, another group that no file declares, with all of its traffic.
    pub fn attach(&self, fleet: &FleetId, group: &'static str) {
        let seen = self.status().fleets[fleet].clone();
        let fleet = Fleet { id: fleet.clone(), revision: seen.revision, size: seen.size };
        self.change(&[group], &Change::Provision { fleet: fleet.clone() });
        let id = GroupId::new(group).unwrap();
        let groups = BTreeSet::from([id.clone()]);
        self.change(&[group], &Change::Register { fleet: fleet.id.clone(), groups });
        self.change(&[group], &Change::Shift { group: id, to: fleet.id, from: None, share: Share::ALL });
        until("the attached group to answer", || get(self.address(group)).0 == 200);
    }

    /// The fleet that a status shows for a revision.
    pub fn fleet(&self, revision: &str) -> FleetId {
        let status = self.status();
        let found = status.fleets.iter().find(|(_, fleet)| fleet.revision.as_str() == revision);
        found.unwrap_or_else(|| panic!("no fleet runs {revision}: {status:?}")).0.clone()
    }

    fn tell(&self) {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let mut said: Vec<_> =
            fs::read_dir(self.dir.path().join("said")).unwrap().map(|entry| entry.unwrap().path()).collect();
        said.sort();
        for path in said {
            let text = read(path.clone());
            let last: Vec<_> = text.lines().rev().take(12).collect();
            eprintln!("--- {}", path.file_name().unwrap().display());
            last.into_iter()
                .rev()
                .for_each(|line| eprintln!("{}", line.chars().take(300).collect::<String>()));
        }
        eprintln!("--- supervisor.log\n{}", read(self.dir.path().join(".deployer/local/supervisor.log")));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        if panics {
            self.tell();
        }
        let stopped = self.command(&["local", "stop"]).output().unwrap();
        let left = self.processes();
        for pid in left.keys() {
            signal(*pid, Signal::KILL);
        }
        assert!(panics || (stopped.status.success() && left.is_empty()), "{stopped:?} {left:?}");
    }
}

impl Running {
    pub fn signal(&self, what: Signal) {
        signal(self.child.id(), what);
    }

    /// Whether it has said this on its error stream by now.
    #[cfg(target_os = "linux")]
    pub fn says(&self, what: &str) -> bool {
        fs::read_to_string(&self.paths.1).unwrap().contains(what)
    }

    /// Whether a signal would be heard: before that it ends the process.
    #[cfg(target_os = "linux")]
    pub fn listens(&self) -> bool {
        self.signals("SigCgt:")
    }

    /// Whether a signal was sent and not taken.
    #[cfg(target_os = "linux")]
    pub fn pending(&self) -> bool {
        self.signals("SigPnd:") || self.signals("ShdPnd:")
    }

    /// Whether SIGINT is in one of the sets that the system shows of it.
    #[cfg(target_os = "linux")]
    fn signals(&self, set: &str) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let set = status.lines().find_map(|line| line.strip_prefix(set)).unwrap_or_default();
        u64::from_str_radix(set.trim(), 16).unwrap_or_default() & 0b10 != 0
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn wait(mut self) -> Done {
        let what = self.what.clone();
        let mut status = None;
        until(&format!("`{what}` to end"), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
        let code = status.and_then(|status| status.code()).unwrap_or(-1);
        Done { code, out: read(&self.paths.0), err: read(&self.paths.1), took: self.began.elapsed() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to end where it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// What it said, on either stream.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

pub fn signal(pid: u32, what: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // What has ended meanwhile needs no signal.
    let _ = kill_process(pid, what);
}

/// Waits until something is true.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One request on a connection of its own: its status and the revision that answered.
pub fn get(address: SocketAddr) -> (u16, String) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_default();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let revision = answer.lines().find_map(|line| line.strip_prefix("x-revision: "));
    (status, revision.unwrap_or_default().trim().to_owned())
}

/// Three free ports that no other test of this or another process takes.
fn free_ports() -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id() * 24 % u32::from(span)).unwrap();
    let mut found = Vec::new();
    while found.len() < 3 {
        let port = PORTS.start + (first + NEXT.fetch_add(1, Ordering::Relaxed) % span) % span;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.push(port);
        }
    }
    found
}

/// Runs a test's cases beside each other: they wait far more than they work.
pub fn beside_each_other<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| test(case))).collect();
        let ends: Vec<_> = running.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        if let Some(panic) = ends.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The time between an order and the first fact that shows that it was obeyed, in milliseconds.
pub fn obeyed_after(facts: &[Recorded]) -> u64 {
    let ordered = facts.iter().rposition(|fact| matches!(fact.event, Event::Ordered { .. })).unwrap();
    facts[ordered + 1].at.0.saturating_sub(facts[ordered].at.0)
}
