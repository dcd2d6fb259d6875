//! A service in the fake account, and the real program at a desk with a deployment file.

use std::path::PathBuf;
use std::process::Command;

use crate::fake::{Fake, Settings, TargetGroupSettings};

/// The account, the folder, and the names of what is in it.
pub struct Desk {
    pub fake: Fake,
    pub dir: tempfile::TempDir,
    /// The ARN of the target group `public-2`.
    pub second: String,
}

/// What the program did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// A service with two twins behind one load balancer and a shared group behind another, all as it should be.
    pub fn new() -> Self {
        let fake = Fake::start(Settings::default());
        let second = fake.world(|world| {
            world.network();
            let template = world.launch_template("api", &["ami-1", "ami-2"]);
            let group = |name: &str, world: &mut crate::fake::World| {
                world.target_group(name, &TargetGroupSettings::default())
            };
            let (public, second, internal) =
                (group("public", world), group("public-2", world), group("internal", world));
            let alb = world.alb("edge");
            world.listener(&alb, 443, &[(&public, 100), (&second, 0)]).unwrap();
            let inner = world.alb("inner");
            world.listener(&inner, 80, &[(&internal, 1)]).unwrap();
            world.asg("api-blue", ("api", 1), 2, &[&public, &internal], &[]);
            // AWS names a group's template by both, however it was given.
            let fleet = world.fleets.get_mut("api-blue").unwrap();
            fleet.settings["LaunchTemplate"]["LaunchTemplateId"] = template.into();
            second
        });
        Self { fake, dir: tempfile::tempdir().unwrap(), second }
    }

    /// Where the service's file is.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("deployments/api.yaml")
    }

    /// Writes a deployment file that declares these groups.
    pub fn declare(&self, groups: &str) {
        let text = format!(
            "service: api\nrevision: \"2\"\nenvironment: prod\nenvironments:\n  prod:\n    provider:\n      aws:\n        \
             account: \"111122223333\"\n        region: eu-west-1\n        fleets: {{ copy: api-blue }}\n        groups:\n{groups}"
        );
        std::fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    /// The file that describes the service as it is.
    pub fn declare_all(&self) {
        self.declare(
            "          public: { twins: [public, public-2] }\n          internal: { target_group: internal, whole: accept }\n",
        );
    }

    /// Runs the program in the folder.
    pub fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, &[])
    }

    /// With more in its environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.args(arguments).current_dir(self.dir.path()).env_clear().envs(self.fake.env());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_COLOR", "1");
        command.envs(environment.iter().copied());
        let done = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
    }

    /// Every call that is no reading.
    pub fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "Get", "List", "BatchGet", "Simulate"];
        let calls = self.fake.calls().into_iter().map(|call| call.action);
        calls.filter(|action| !reads.iter().any(|read| action.starts_with(read))).collect()
    }
}
