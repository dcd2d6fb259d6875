//! A service on the fake, a folder with a deployment file, and the real binary.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deployer::journal::{FileStore, Journal};
use deployer::model::{RolloutId, ServiceName};
use deployer::rollout::{Recorded, Rollout};

use crate::fake::{Fake, GroupOptions, Settings, World};

/// How long anything may take on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_mins(4);
/// How many instances a fleet has.
pub const SIZE: usize = 2;

/// Each fleet has its own server group behind the NLB, and behind the CLB.
pub const TWINS: &str = "twins";

/// Each fleet has its own server group behind a CLB that takes requests only.
pub const PROVED: &str = "proved";

/// The scaling groups of Auto Scaling that the hosts belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// None.
    Nowhere,
    /// Blue's hosts, and those that are idle, in one.
    Together,
    /// Blue's in one, those that are idle in another.
    Apart,
}

/// What a test says of its service.
pub struct Setup {
    pub settings: Settings,
    pub steps: &'static str,
    pub settle: &'static str,
    pub bake: &'static str,
    pub quiet: &'static str,
    pub deadlines: Vec<&'static str>,
    pub call_timeout: &'static str,
    /// What makes green's share of `internal` and `partner`.
    pub by: &'static str,
    /// What blue's servers weigh there.
    pub weights: [u64; SIZE],
    pub pace: &'static str,
    pub scaling: Scaling,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            steps: "[{ share: 10, hold: 50ms }, 100]",
            settle: "50ms",
            bake: "100ms",
            quiet: "50ms",
            deadlines: Vec::new(),
            call_timeout: "2s",
            by: "membership",
            weights: [100; SIZE],
            pace: "250ms",
            scaling: Scaling::Nowhere,
        }
    }
}

/// The account, the folder, and who was started.
pub struct Job {
    pub fake: Fake,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub app: String,
    /// Ids by the names that the file and the tests give.
    pub ids: BTreeMap<String, String>,
    by: &'static str,
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

impl Job {
    /// The service at 1.0.0 in the deploy group `blue`, behind a rule of an ALB (`public`, twins), a default action
    /// (`whole`, twins), a listener of an NLB (`internal`) and one of a CLB (`partner`). `green` is not there yet; six
    /// hosts of the cluster are idle.
    pub fn new(edit: impl FnOnce(&mut Setup)) -> Self {
        Self::made(edit, ecs, ecs_file)
    }

    /// The service at 1.0.0 in the application `api-blue` on Kubernetes, behind a rule of an ALB (`public`, twins) and a
    /// default action (`whole`, twins), in which the cluster keeps its pods. `api-green` rests.
    pub fn on_kubernetes(edit: impl FnOnce(&mut Setup)) -> Self {
        Self::made(edit, kubernetes, kubernetes_file)
    }

    fn made(
        edit: impl FnOnce(&mut Setup),
        build: fn(&mut World, &mut BTreeMap<String, String>, &Setup) -> String,
        file: fn(&Self) -> String,
    ) -> Self {
        let mut setup = Setup::default();
        edit(&mut setup);
        let fake = Fake::start(setup.settings.clone());
        let mut ids = BTreeMap::new();
        let app = fake.world(|world| build(world, &mut ids, &setup));
        let mut job = Self::over(fake, app, ids);
        job.by = setup.by;
        let provider = file(&job);
        job.write("api", &provider, &setup);
        job
    }

    /// A folder without a deployment file.
    pub fn over(fake: Fake, app: String, ids: BTreeMap<String, String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("deployments")).unwrap();
        fs::create_dir_all(dir.path().join("said")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { fake, dir, runtime, app, ids, by: "membership", runs: Cell::new(0) }
    }

    /// Writes a service's deployment file, with these lines for its place.
    pub fn write(&self, service: &str, provider: &str, setup: &Setup) {
        let deadlines: Vec<_> = setup.deadlines.iter().map(|line| format!("  {line}\n")).collect();
        let deadlines = deadlines.concat();
        let deadlines = if deadlines.is_empty() { deadlines } else { format!("deadlines:\n{deadlines}") };
        let text = format!(
            "service: {service}\nrevision: 2.0.0\nstrategies:\n  bluegreen:\n    steps: {}\nsettle: {}\nbake: {}\nquiet: {}\n{deadlines}\
             environments:\n  prod:\n    provider:\n      edas:\n        account: \"{}\"\n        region: {}\n        \
             port: 8080\n        call_timeout: {}\n        pace: {}\n{provider}",
            setup.steps,
            setup.settle,
            setup.bake,
            setup.quiet,
            crate::fake::ACCOUNT,
            crate::fake::REGION,
            setup.call_timeout,
            setup.pace,
        );
        fs::write(self.dir.path().join(format!("deployments/{service}.yaml")), text).unwrap();
    }

    /// The real binary, in this folder, with nothing of the caller's environment that could change what it does.
    pub fn start(&self, args: &[&str]) -> Running {
        let what = args.join(" ");
        self.runs.set(self.runs.get() + 1);
        let said = self.dir.path().join("said");
        let path =
            |kind: &str| said.join(format!("{:03} {}.{kind}", self.runs.get(), what.replace('/', "_")));
        let paths = (path("out"), path("err"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.current_dir(self.dir.path()).env_clear().env("USER", "kim").stdin(Stdio::null());
        command
            .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.fake.env()).args(args);
        command.stdout(File::create(&paths.0).unwrap()).stderr(File::create(&paths.1).unwrap());
        Running { child: command.spawn().unwrap(), what, paths }
    }

    pub fn run(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    /// Where the service's file is.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("deployments/api.yaml")
    }

    fn journal(&self) -> Journal<FileStore> {
        Journal::new(FileStore::new(self.dir.path().join(".deployer/journal")), "test")
    }

    /// Where the n-th entry of a rollout is, or will be.
    pub fn entry(&self, number: u64, seq: usize) -> PathBuf {
        self.dir.path().join(format!(".deployer/journal/api/prod/{number:08}/{seq:08}.json"))
    }

    /// How many entries a rollout has.
    pub fn entries(&self, number: u64) -> usize {
        (1..10_000).take_while(|seq| self.entry(number, *seq).exists()).count()
    }

    fn facts(&self, number: u64) -> Vec<Recorded> {
        let (service, environment) = (ServiceName::new("api").unwrap(), "prod".parse().unwrap());
        let id = RolloutId { service, environment, number };
        self.runtime.block_on(self.journal().read(&id)).unwrap().into_recorded().unwrap()
    }

    /// The state as the journal tells it.
    pub fn state(&self, number: u64) -> Rollout {
        Rollout::fold(&self.facts(number)).unwrap()
    }

    pub fn phase(&self, number: u64) -> &'static str {
        if self.entry(number, 1).exists() { self.state(number).phase().name() } else { "nothing" }
    }

    /// The hosts of a fleet that run.
    pub fn members(&self, fleet: &str) -> Vec<String> {
        self.fake.world(|world| world.running(&self.app, fleet, None))
    }

    /// The weights of a route, by the names of the server groups.
    pub fn weights(&self, route: &str) -> BTreeMap<String, u64> {
        self.fake.world(|world| world.weights(&self.ids[route]))
    }

    /// What makes green's share of `internal` and `partner`.
    pub fn by(&self) -> &'static str {
        self.by
    }

    /// What the servers of a fleet weigh in a group, by instance.
    pub fn heavy(&self, group: &str, fleet: &str) -> BTreeMap<String, u64> {
        let members = self.members(fleet);
        self.fake.world(|world| {
            let servers = world.groups[&self.ids[group]].servers.iter();
            servers.filter(|own| members.contains(&own.id)).map(|own| (own.id.clone(), own.weight)).collect()
        })
    }

    /// What was noted of weights.
    pub fn notes(&self) -> Vec<String> {
        self.fake.world(|world| {
            let tags = world.app(&self.app).unwrap().tags.keys();
            tags.filter(|key| key.starts_with("deployer:weights:")).cloned().collect()
        })
    }

    /// The servers of a group, with how each does.
    pub fn servers(&self, group: &str) -> BTreeMap<String, String> {
        let states = self.fake.world(|world| world.server_states(&self.ids[group]));
        states.into_iter().map(|((id, _), state)| (id, state)).collect()
    }

    /// This fleet alone stands healthy in every group, carries everything, nothing was dark meanwhile, and nothing was
    /// asked that the cloud does not know.
    pub fn serves(&self, fleet: &str) {
        let members = self.members(fleet);
        assert_eq!(members.len(), SIZE, "{fleet}: {members:?}");
        for (route, name) in [("rule", "public"), ("listener", "whole")] {
            let weights = self.weights(route);
            let carrying: Vec<_> =
                weights.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| id.clone()).collect();
            assert_eq!(carrying.len(), 1, "one twin of {name} carries everything: {weights:?}");
            self.stands(&carrying[0], &members);
        }
        for name in ["internal", "partner"] {
            self.stands(&self.carrying(name), &members);
        }
        self.unharmed();
    }

    /// Of twins, the one that every route of theirs leads to.
    pub fn carrying(&self, name: &str) -> String {
        let twin = format!("{name}-b");
        let Some(other) = self.ids.get(&twin) else { return name.to_owned() };
        let [own, other] = [&self.ids[name], other].map(|id| {
            self.fake.world(|world| {
                world.routes().filter(|(_, shares)| shares.iter().any(|(own, _)| own == id)).count()
            })
        });
        assert!((own == 0) != (other == 0), "{name}: {own} and {other} routes");
        if own > 0 { name.to_owned() } else { twin }
    }

    fn stands(&self, group: &str, members: &[String]) {
        let servers = self.servers(group);
        let mut healthy: Vec<_> =
            servers.iter().filter(|(_, state)| *state == "healthy").map(|(id, _)| id.clone()).collect();
        let mut members = members.to_vec();
        members.sort();
        healthy.sort();
        assert_eq!(healthy, members, "{group}: {servers:?}");
    }

    /// Nobody lost the service, and nothing was asked that the cloud does not know.
    pub fn unharmed(&self) {
        assert_eq!((self.fake.unknown(), self.fake.strange()), (vec![], vec![]));
        let dark = self.fake.oracle().darknesses;
        // What is switched unproved is dark until it is judged: that was accepted.
        let accepted = |group: &str| {
            self.by == TWINS && ["internal", "partner"].iter().any(|name| group.starts_with(name))
        };
        let dark: Vec<_> =
            dark.into_iter().filter(|dark| !accepted(&dark.group) || dark.until.is_none()).collect();
        assert!(dark.is_empty(), "{dark:?}");
    }

    /// The fleet serves everything and may scale as it did before, the other rests, and no preview is left.
    pub fn is_left_with(&self, fleet: &str, other: &str) {
        self.serves(fleet);
        assert_eq!(self.members(other), Vec::<String>::new(), "`{other}` rests");
        let (previews, frozen, still) = self.fake.world(|world| {
            let previews = world.rules.iter().filter(|rule| rule.name.contains("preview-"));
            let previews: Vec<String> = previews.map(|rule| rule.name.clone()).collect();
            let app = world.app(&self.app).unwrap();
            let group = app.group_named(fleet).unwrap();
            let frozen = app.tags.contains_key(&format!("deployer:frozen:{}", group.id));
            let off = group.rules.values().filter(|rule| rule["Enable"] == false).count();
            (previews, frozen, fleet == "blue" && off > 0)
        });
        let held: Vec<_> = self.fake.world(|world| {
            let groups = world.scaling_groups.iter();
            groups.filter(|own| !own.suspended.is_empty() || !own.tags.is_empty()).cloned().collect()
        });
        assert!(held.is_empty(), "every scaling group acts by itself again: {held:?}");
        assert_eq!((previews, frozen, still), (vec![], false, false));
    }
}

/// Two deploy groups, and every kind of server group.
fn ecs(world: &mut World, ids: &mut BTreeMap<String, String>, setup: &Setup) -> String {
    let app = world.application("api", 8080);
    world.deploy_group(&app, "blue");
    let blue = world.deployed(&app, "blue", "1.0.0", SIZE);
    world.scaling_rules(&app, "blue", true, true);
    let idle = world.idle(6);
    let idle: Vec<String> =
        idle.iter().filter_map(|ecu| world.ecu(ecu)).map(|ecu| ecu.host.clone()).collect();
    match setup.scaling {
        Scaling::Nowhere => {}
        Scaling::Together => drop(world.scaling_group("all", &[blue.clone(), idle].concat())),
        Scaling::Apart => {
            world.scaling_group("blue", &blue);
            world.scaling_group("idle", &idle);
        }
    }
    let (alb, nlb, clb) = (world.alb("edge"), world.nlb("inner"), world.clb("old"));
    let http = GroupOptions { drain: Some(100), ..GroupOptions::default() };
    let tcp = GroupOptions { protocol: "TCP", ..http.clone() };
    for name in ["public-a", "public-b", "whole-a", "whole-b", "spare"] {
        ids.insert(name.to_owned(), world.alb_group(name, &http));
    }
    ids.insert("internal".to_owned(), world.nlb_group("internal", &tcp));
    ids.insert("partner".to_owned(), world.vserver_group(&clb, "partner"));
    let listener = world.listener(&alb, 443, &ids["spare"]);
    let rule = world.rule(&listener, 10, &[(&ids["public-a"], 100), (&ids["public-b"], 0)]);
    ids.insert("rule".to_owned(), rule);
    ids.insert("listener".to_owned(), world.listener(&alb, 8443, &ids["whole-a"]));
    let flow = world.listener(&nlb, 9000, &ids["internal"]);
    ids.insert("flow".to_owned(), flow);
    if setup.by != PROVED {
        let front = world.clb_listener(&clb, "tcp", 9100, Some(&ids["partner"]));
        world.clb_drains(&front);
    }
    if setup.by.starts_with(TWINS) {
        ids.insert("internal-b".to_owned(), world.nlb_group("internal-b", &tcp));
    }
    if setup.by == PROVED || setup.by.starts_with(TWINS) {
        ids.insert("partner-b".to_owned(), world.vserver_group(&clb, "partner-b"));
        world.clb_listener(&clb, "https", 9101, Some(&ids["partner"]));
        let front = world.clb_listener(&clb, "http", 9102, None);
        world.rule(&front, 0, &[(&ids["partner"], 100)]);
    }
    for group in ["public-a", "whole-a", "internal", "partner"] {
        for (host, weight) in blue.iter().zip(setup.weights) {
            world.stand(&ids[group], host, 8080, weight);
        }
    }
    app
}

fn ecs_file(job: &Job) -> String {
    let id = |name: &str| &job.ids[name];
    let (internal, partner) = if job.by.starts_with(TWINS) {
        let leave = if job.by == TWINS { ", unproved: accept, whole: accept" } else { ", whole: accept" };
        let pair = |name: &str| format!("[{}, {}]{leave}", id(name), id(&format!("{name}-b")));
        (format!("nlb_twins: {}", pair("internal")), format!("clb_twins: {}", pair("partner")))
    } else if job.by == PROVED {
        let pair = format!("[{}, {}]", id("partner"), id("partner-b"));
        (format!("nlb: {}, whole: accept", id("internal")), format!("clb_twins: {pair}, whole: accept"))
    } else {
        let by = if job.by == "weights" { "by: weights" } else { "by: membership, whole: accept" };
        (format!("nlb: {}, {by}", id("internal")), format!("clb: {}, {by}", id("partner")))
    };
    let groups = format!(
        "          public: {{ alb_twins: [{}, {}] }}\n          whole: {{ alb_twins: [{}, {}], whole: accept }}\n          \
         internal: {{ {internal} }}\n          partner: {{ {partner} }}\n",
        id("public-a"),
        id("public-b"),
        id("whole-a"),
        id("whole-b"),
    );
    deploy_groups(&job.app, &groups)
}

/// The lines of a service that is two deploy groups of an application, with these lines of `groups`.
pub fn deploy_groups(app: &str, groups: &str) -> String {
    format!(
        "        application: {app}\n        fleets: {{ pair: [blue, green] }}\n        hosts: {{ idle: cluster }}\n        \
         package: \"https://bucket.oss-cn-hongkong.aliyuncs.com/api-{{revision}}.jar\"\n        groups:\n{groups}"
    )
}

/// The image of a revision of the application on Kubernetes.
pub fn image(revision: &str) -> String {
    format!("registry.cn-hongkong.aliyuncs.com/shop/api:{revision}")
}

fn kubernetes(world: &mut World, ids: &mut BTreeMap<String, String>, setup: &Setup) -> String {
    let alb = world.alb("edge");
    let ip = GroupOptions { kind: "Ip", drain: Some(1), ..GroupOptions::default() };
    for name in ["public-a", "public-b", "whole-a", "whole-b", "spare"] {
        ids.insert(name.to_owned(), world.alb_group(name, &ip));
    }
    let listener = world.listener(&alb, 443, &ids["spare"]);
    let rule = world.rule(&listener, 10, &[(&ids["public-a"], 100), (&ids["public-b"], 0)]);
    ids.insert("rule".to_owned(), rule);
    ids.insert("listener".to_owned(), world.listener(&alb, 8443, &ids["whole-a"]));
    if setup.by.starts_with(TWINS) {
        let nlb = world.nlb("inner");
        let tcp = GroupOptions { protocol: "TCP", ..ip };
        for name in ["internal", "internal-b"] {
            ids.insert(name.to_owned(), world.nlb_group(name, &tcp));
        }
        world.listener(&nlb, 9000, &ids["internal"]);
    }
    if setup.by == PROVED || setup.by.starts_with(TWINS) {
        let clb = world.clb("old");
        for name in ["partner", "partner-b"] {
            ids.insert(name.to_owned(), world.vserver_group(&clb, name));
        }
        if setup.by.starts_with(TWINS) {
            world.clb_listener(&clb, "tcp", 9100, Some(&ids["partner"]));
        } else {
            world.clb_listener(&clb, "https", 9101, Some(&ids["partner"]));
            let front = world.clb_listener(&clb, "http", 9102, None);
            world.rule(&front, 0, &[(&ids["partner"], 100)]);
        }
    }
    for (name, side, pods) in [("api-blue", "a", SIZE as u64), ("api-green", "b", 0)] {
        let twin = |group: &str| match (group, side) {
            ("public" | "whole", _) | (_, "b") => ids.get(&format!("{group}-{side}")),
            _ => ids.get(group),
        };
        let keeps = ["public", "whole", "internal", "partner"].into_iter().filter_map(twin);
        let keeps: Vec<(String, u16)> = keeps.map(|id| (id.clone(), 8080)).collect();
        let keeps: Vec<(&str, u16)> = keeps.iter().map(|(id, port)| (id.as_str(), *port)).collect();
        let id = world.kube_app(name, &image("1.0.0"), pods, &keeps);
        let own = world.kube_of(&id).unwrap();
        own.rules = [("by-cpu".to_owned(), true), ("by-night".to_owned(), false)].into();
        ids.insert(name.to_owned(), id);
    }
    ids["api-blue"].clone()
}

fn kubernetes_file(job: &Job) -> String {
    let id = |name: &str| &job.ids[name];
    let leave = if job.by == TWINS { ", unproved: accept, whole: accept" } else { ", whole: accept" };
    let blind =
        [("internal", "nlb_twins"), ("partner", "clb_twins")].into_iter().filter_map(|(name, key)| {
            let (one, other) = (job.ids.get(name)?, job.ids.get(&format!("{name}-b"))?);
            Some(format!("          {name}: {{ {key}: [{one}, {other}]{leave} }}\n"))
        });
    let blind: String = blind.collect();
    format!(
        "        fleets:\n          kubernetes: {{ applications: [api-blue, api-green], image: \"{}\" }}\n        groups:\n          \
         public: {{ alb_twins: [{}, {}] }}\n          whole: {{ alb_twins: [{}, {}], whole: accept }}\n{blind}",
        image("{revision}"),
        id("public-a"),
        id("public-b"),
        id("whole-a"),
        id("whole-b"),
    )
}

impl Drop for Job {
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

    /// What it has said so far.
    pub fn talk(&self) -> String {
        fs::read_to_string(&self.paths.1).unwrap()
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
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

/// Whether an operation only reads.
pub fn is_read(action: &str) -> bool {
    ["Describe", "Get", "List", "Query"].iter().any(|begin| action.starts_with(begin))
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
