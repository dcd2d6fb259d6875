//! A folder, the fake, and the program run in it with both: how an operator meets the account.

use std::path::PathBuf;
use std::process::Command;

use crate::fake::{ACCOUNT, Fake, GroupOptions, REGION, Settings, World};

/// What a run of the program left.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A folder with the fake of an account in which `api` runs.
#[derive(Debug)]
pub struct Desk {
    pub fake: Fake,
    dir: tempfile::TempDir,
    /// The application's id.
    pub app: String,
    /// The instances of `blue`.
    pub hosts: Vec<String>,
    /// Server groups by name: the twins `public-a` and `public-b`, `wire` of an NLB, `partner` of a CLB.
    pub groups: Vec<(&'static str, String)>,
}

fn build(world: &mut World) -> (String, Vec<String>, Vec<(&'static str, String)>) {
    world.security_group("sg-web", &[("10.0.0.0/8", 1, 65_535)]);
    let app = world.application("api", 8080);
    world.deploy_group(&app, "blue");
    world.deploy_group(&app, "green");
    let hosts = world.deployed(&app, "blue", "1.0.0", 2);
    world.idle(3);
    let alb = world.alb("edge");
    let [a, b, rest] =
        ["public-a", "public-b", "rest"].map(|name| world.alb_group(name, &GroupOptions::default()));
    let listener = world.listener(&alb, 443, &rest);
    world.rule(&listener, 10, &[(&a, 100), (&b, 0)]);
    let nlb = world.nlb("wires");
    let wire = world.nlb_group("wire", &GroupOptions { protocol: "TCP", ..GroupOptions::default() });
    world.listener(&nlb, 9000, &wire);
    let clb = world.clb("old");
    let partner = world.vserver_group(&clb, "partner");
    world.clb_listener(&clb, "tcp", 80, Some(&partner));
    for host in &hosts {
        for (group, port) in [(&a, 8080), (&wire, 9090), (&partner, 8080)] {
            world.stand(group, host, port, 100);
        }
    }
    (app, hosts, vec![("public-a", a), ("public-b", b), ("wire", wire), ("partner", partner)])
}

impl Desk {
    /// Two instances behind an ALB, an NLB and a CLB, all as it should be.
    pub fn new() -> Self {
        let fake = Fake::start(Settings::default());
        let (app, hosts, groups) = fake.world(build);
        Self { fake, dir: tempfile::tempdir().unwrap(), app, hosts, groups }
    }

    /// The id of a server group.
    pub fn id(&self, name: &str) -> &str {
        self.groups.iter().find(|(own, _)| *own == name).map(|(_, id)| id.as_str()).unwrap()
    }

    /// Where the service's file is.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("deployments/api.yaml")
    }

    /// Writes a deployment file with these groups, and these hosts.
    pub fn declare(&self, hosts: &str, groups: &str) {
        let app = &self.app;
        let text = format!(
            "service: api\nrevision: 2.0.0\nenvironment: prod\nenvironments:\n  prod:\n    provider:\n      edas:\n        \
             account: \"{ACCOUNT}\"\n        region: {REGION}\n        application: {app}\n        \
             fleets: {{ pair: [blue, green] }}\n        hosts: {hosts}\n        \
             package: \"https://bucket.oss-cn-hongkong.aliyuncs.com/api-{{revision}}.jar\"\n        port: 8080\n        \
             groups:\n{groups}"
        );
        std::fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    /// All groups of the service but those of these names.
    pub fn groups_but(&self, left_out: &[&str]) -> String {
        let id = |name| self.id(name);
        let all = [
            (
                "public",
                format!("          public: {{ alb_twins: [{}, {}] }}\n", id("public-a"), id("public-b")),
            ),
            ("wire", format!("          wire: {{ nlb: {}, port: 9090, whole: accept }}\n", id("wire"))),
            ("partner", format!("          partner: {{ clb: {}, whole: accept }}\n", id("partner"))),
        ];
        all.into_iter().filter(|(name, _)| !left_out.contains(name)).map(|(_, line)| line).collect()
    }

    /// The file that describes the service as it is.
    pub fn declare_all(&self) {
        self.declare("{ idle: cluster }", &self.groups_but(&[]));
    }

    /// Runs the program in the folder.
    pub fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, &[])
    }

    /// Runs it with more in its environment.
    pub fn run_with(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.args(arguments).current_dir(self.dir.path()).env_clear().envs(self.fake.env());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_COLOR", "1");
        command.envs(vars.iter().copied());
        let done = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
    }

    /// Every call that is no reading.
    pub fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "Get", "List", "Query"];
        let calls = self.fake.calls().into_iter().map(|call| call.action);
        calls.filter(|action| !reads.iter().any(|read| action.starts_with(read))).collect()
    }

    /// A text with what differs from run to run called by its name.
    pub fn named(&self, text: &str) -> String {
        let mut text = text.replace(&self.app, "APPLICATION");
        for (name, id) in &self.groups {
            text = text.replace(id, &format!("ID-OF-{name}"));
        }
        for (n, host) in self.hosts.iter().enumerate() {
            text = text.replace(host, &format!("HOST-{}", n + 1));
        }
        let balancers = self.fake.world(|world| {
            world.balancers.iter().map(|own| (own.id.clone(), own.name.clone())).collect::<Vec<_>>()
        });
        balancers.into_iter().fold(text, |text, (id, name)| text.replace(&id, &format!("LB-{name}")))
    }
}
