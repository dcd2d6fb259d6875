//! A fake account with a service in it, a folder with a deployment file, and the real binary.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deployer::journal::{FileStore, Journal};
use deployer::model::{RolloutId, ServiceName};
use deployer::rollout::{Recorded, Rollout};

use crate::fake::{Fake, Settings, TargetGroupSettings};

/// How long anything may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a test says of its service.
pub struct Setup {
    pub settings: Settings,
    pub size: u64,
    /// Lines of `groups` in the file, and the target groups behind them.
    pub twins: Vec<&'static str>,
    pub shared: Vec<&'static str>,
    /// Those of the twins that stand behind the NLB.
    pub flows: Vec<&'static str>,
    pub fleets: String,
    /// More lines of the provider.
    pub provider: String,
    pub steps: &'static str,
    pub settle: &'static str,
    pub bake: &'static str,
    pub quiet: &'static str,
    pub deadlines: Vec<&'static str>,
    pub call_timeout: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            size: 2,
            twins: vec!["public"],
            shared: vec!["internal"],
            flows: Vec::new(),
            fleets: "{ copy: api }".to_owned(),
            provider: String::new(),
            steps: "[{ share: 10, hold: 50ms }, 100]",
            settle: "50ms",
            bake: "100ms",
            quiet: "50ms",
            deadlines: Vec::new(),
            call_timeout: "500ms",
        }
    }
}

/// The account, the folder, and who was started.
pub struct Rig {
    pub fake: Fake,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub setup: Setup,
    /// ARNs by the names that the test gave.
    pub arns: BTreeMap<String, String>,
    pub template: String,
    runs: Cell<usize>,
}

/// A command that runs. Killed where the test forgets it.
pub struct Running {
    child: Child,
    what: String,
    paths: (PathBuf, PathBuf),
}

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Rig {
    /// The service at launch template version 1 in an Auto Scaling group `api`: for each of the twins a listener of an
    /// ALB with all weight on `NAME-a`, for each shared group a listener of an NLB.
    pub fn new(edit: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        edit(&mut setup);
        let fake = Fake::start(setup.settings.clone());
        let mut arns = BTreeMap::new();
        let template = fake.world(|world| {
            world.network();
            let template = world.launch_template("api", &["ami-0000000000000001a", "ami-0000000000000002a"]);
            let (alb, nlb) = (world.alb("edge"), world.nlb("inner"));
            let http = TargetGroupSettings::default();
            let tcp = TargetGroupSettings { protocol: "TCP", ..TargetGroupSettings::default() };
            let mut stands = Vec::new();
            for (n, name) in (0_u16..).zip(&setup.twins) {
                let flows = setup.flows.contains(name);
                let (balancer, kind) = if flows { (&nlb, &tcp) } else { (&alb, &http) };
                let twins = ["a", "b"].map(|side| world.target_group(&format!("{name}-{side}"), kind));
                let weights = [(twins[0].as_str(), 100), (twins[1].as_str(), 0)];
                let listener = world.listener(balancer, 8000 + n, &weights).unwrap();
                stands.push(twins[0].clone());
                arns.insert(format!("{name}-a"), twins[0].clone());
                arns.insert(format!("{name}-b"), twins[1].clone());
                arns.insert(format!("{name}-listener"), listener);
            }
            for (n, name) in (0_u16..).zip(&setup.shared) {
                let group = world.target_group(name, &tcp);
                let listener = world.listener(&nlb, 9000 + n, &[(&group, 1)]).unwrap();
                stands.push(group.clone());
                arns.insert((*name).to_owned(), group);
                arns.insert(format!("{name}-listener"), listener);
            }
            let stands: Vec<&str> = stands.iter().map(String::as_str).collect();
            world.asg("api", ("api", 1), setup.size, &stands, &[]);
            template
        });
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("deployments")).unwrap();
        fs::create_dir_all(dir.path().join("said")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rig = Self { fake, dir, runtime, setup, arns, template, runs: Cell::new(0) };
        rig.write();
        rig
    }

    fn write(&self) {
        let setup = &self.setup;
        let twins = setup.twins.iter();
        let twins = twins.map(|name| format!("          {name}: {{ twins: [{name}-a, {name}-b] }}\n"));
        let shared = setup.shared.iter();
        let shared =
            shared.map(|name| format!("          {name}: {{ target_group: {name}, whole: accept }}\n"));
        let groups = twins.chain(shared).collect::<Vec<_>>().concat();
        let deadlines: Vec<_> = setup.deadlines.iter().map(|line| format!("  {line}\n")).collect();
        let deadlines = deadlines.concat();
        let deadlines = if deadlines.is_empty() { deadlines } else { format!("deadlines:\n{deadlines}") };
        let text = format!(
            "service: api\nrevision: 2\nstrategies:\n  bluegreen:\n    steps: {}\nsettle: {}\nbake: {}\nquiet: {}\n{deadlines}\
             environments:\n  prod:\n    provider:\n      aws:\n        account: \"111122223333\"\n        region: eu-west-1\n        \
             call_timeout: {}\n        pace: 20ms\n        reads_per_second: 5000\n        fleets: {}\n{}        groups:\n{groups}",
            setup.steps,
            setup.settle,
            setup.bake,
            setup.quiet,
            setup.call_timeout,
            setup.fleets,
            setup.provider
        );
        fs::write(self.dir.path().join("deployments/api.yaml"), text).unwrap();
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The real binary, in this folder, with nothing of the caller's environment that could change what it does.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.current_dir(self.dir.path()).env_clear().env("USER", "kim").stdin(Stdio::null());
        command
            .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.fake.env()).args(args);
        command
    }

    pub fn start(&self, args: &[&str]) -> Running {
        self.start_with(args, &[])
    }

    /// With more in its environment.
    pub fn start_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Running {
        let what = args.join(" ");
        self.runs.set(self.runs.get() + 1);
        let said = self.dir.path().join("said");
        let path =
            |kind: &str| said.join(format!("{:03} {}.{kind}", self.runs.get(), what.replace('/', "_")));
        let paths = (path("out"), path("err"));
        let mut command = self.command(args);
        command
            .envs(environment.iter().copied())
            .stdout(File::create(&paths.0).unwrap())
            .stderr(File::create(&paths.1).unwrap());
        Running { child: command.spawn().unwrap(), what, paths }
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    fn journal(&self) -> Journal<FileStore> {
        Journal::new(FileStore::new(self.dir.path().join(".deployer/journal")), "test")
    }

    fn id(number: u64) -> RolloutId {
        RolloutId { service: ServiceName::new("api").unwrap(), environment: "prod".parse().unwrap(), number }
    }

    /// Where the n-th entry of a rollout is, or will be.
    pub fn entry(&self, number: u64, seq: usize) -> PathBuf {
        self.dir.path().join(format!(".deployer/journal/api/prod/{number:08}/{seq:08}.json"))
    }

    pub fn facts(&self, number: u64) -> Vec<Recorded> {
        let history = self.runtime.block_on(self.journal().read(&Self::id(number)));
        history.unwrap().into_recorded().unwrap()
    }

    /// The state as the journal tells it.
    pub fn state(&self, number: u64) -> Rollout {
        Rollout::fold(&self.facts(number)).unwrap()
    }

    pub fn phase(&self, number: u64) -> &'static str {
        if self.entry(number, 1).exists() { self.state(number).phase().name() } else { "nothing" }
    }

    pub fn until_phase(&self, number: u64, phase: &str) {
        until(&format!("rollout {number} to be in `{phase}`"), || self.phase(number) == phase);
    }

    /// The weight of a twin in its listener, in percent.
    pub fn weight(&self, twin: &str) -> u64 {
        let (name, _) = twin.rsplit_once('-').unwrap();
        let listener = &self.arns[&format!("{name}-listener")];
        self.fake.world(|world| world.weights(listener).get(twin).copied().unwrap_or(0))
    }

    /// The targets of a group by instance, with their states.
    pub fn targets(&self, group: &str) -> BTreeMap<String, String> {
        let arn = self.arns[group].clone();
        let states = self.fake.world(|world| world.target_states(&arn));
        states.into_iter().map(|((id, _), state)| (id, state)).collect()
    }

    /// The instances of a fleet that are in service.
    pub fn members(&self, fleet: &str) -> Vec<String> {
        self.fake.world(|world| world.in_service(fleet))
    }

    /// This fleet alone stands healthy in every group, carries everything, nothing was dark meanwhile, and nothing was
    /// asked that AWS does not know.
    pub fn serves(&self, fleet: &str) {
        let members = self.members(fleet);
        assert_eq!(members.len() as u64, self.setup.size, "{fleet}: {members:?}");
        for name in &self.setup.shared {
            self.stands(name, &members);
        }
        for name in &self.setup.twins {
            let carries = ["a", "b"].map(|side| format!("{name}-{side}"));
            let carrying: Vec<_> = carries.iter().filter(|twin| self.weight(twin) > 0).collect();
            assert_eq!(carrying.len(), 1, "one twin of {name} carries everything");
            self.stands(carrying[0], &members);
        }
        self.unharmed();
    }

    /// Nobody lost the service, and nothing was asked that AWS does not know.
    pub fn unharmed(&self) {
        assert_eq!(self.fake.unknown(), Vec::<String>::new());
        assert!(self.fake.oracle().darknesses.is_empty(), "{:?}", self.fake.oracle());
    }

    fn stands(&self, group: &str, members: &[String]) {
        let targets = self.targets(group);
        let healthy: Vec<_> =
            targets.iter().filter(|(_, s)| *s == "healthy").map(|(id, _)| id.clone()).collect();
        let mut members = members.to_vec();
        members.sort();
        assert_eq!(healthy, members, "{group}: {targets:?}");
    }
}

impl Drop for Rig {
    /// What was said last is what a failed test is understood by.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut said: Vec<_> = fs::read_dir(self.dir.path().join("said")).unwrap().flatten().collect();
        said.sort_by_key(fs::DirEntry::path);
        for entry in said {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            eprintln!("--- {}\n{text}", entry.path().file_name().unwrap().display());
        }
        eprintln!("--- the last calls");
        let calls = self.fake.calls();
        for call in calls.iter().skip(calls.len().saturating_sub(40)) {
            eprintln!("{} {} {:?} {}", call.at, call.action, call.outcome, call.parameters);
        }
    }
}

impl Running {
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The most memory that it ever had, in MB, where the system tells it in files; returns when it has ended.
    pub fn peak(&mut self) -> f64 {
        let (mut most, status) = (0, format!("/proc/{}/status", self.child.id()));
        while self.runs() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
            most = most.max(kib.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(20));
        }
        f64::from(most) / 1024.0
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    pub fn wait(mut self) -> Done {
        until(&format!("`{}` to end", self.what), || self.child.try_wait().unwrap().is_some());
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        Done { code, out: text(&self.paths.0), err: text(&self.paths.1) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
