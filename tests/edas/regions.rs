//! Two regions as two environments of one deployment file, with one journal: Hong Kong first, then Shanghai, as
//! `.github/examples/two-regions.yml` has it. Each region has a cloud of its own, and neither knows the other one.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fake::{ACCOUNT, Fake, GroupOptions, REGION, SHANGHAI, Settings};
use crate::job::{Done, SIZE, deploy_groups};

/// The service in one region, at 1.0.0 in `blue`: behind a rule of an ALB (`public`, twins) and a CLB (`partner`).
struct Place {
    environment: &'static str,
    region: &'static str,
    fake: Fake,
    app: String,
    /// What the file says of it.
    lines: String,
}

impl Place {
    /// No id means anything in two regions: what is asked of the wrong one is not there.
    fn new(environment: &'static str, region: &'static str, first_id: u64) -> Self {
        let fake = Fake::start(Settings { region, ..Settings::default() });
        let (app, lines) = fake.world(|world| {
            world.last_id = first_id;
            let app = world.application("api", 8080);
            world.deploy_group(&app, "blue");
            let blue = world.deployed(&app, "blue", "1.0.0", SIZE);
            world.idle(SIZE * 2);
            let (alb, clb) = (world.alb("edge"), world.clb("old"));
            let http = GroupOptions { drain: Some(1), ..GroupOptions::default() };
            let [one, other, spare] =
                ["public-a", "public-b", "spare"].map(|name| world.alb_group(name, &http));
            let listener = world.listener(&alb, 443, &spare);
            world.rule(&listener, 10, &[(&one, 100), (&other, 0)]);
            let partner = world.vserver_group(&clb, "partner");
            let front = world.clb_listener(&clb, "tcp", 9100, Some(&partner));
            world.clb_drains(&front);
            for group in [&one, &partner] {
                for host in &blue {
                    world.stand(group, host, 8080, 100);
                }
            }
            let groups = format!(
                "          public: {{ alb_twins: [{one}, {other}] }}\n          partner: {{ clb: {partner}, whole: accept }}\n"
            );
            let lines = deploy_groups(&app, &groups);
            (app, lines)
        });
        Self { environment, region, fake, app, lines }
    }

    /// This fleet runs this revision alone, and nobody lost the service here, or asked what the cloud does not know.
    fn is_left_with(&self, (fleet, revision): (&str, &str), other: &str) {
        let running = |fleet: &str, revision: Option<&str>| {
            self.fake.world(|world| world.running(&self.app, fleet, revision)).len()
        };
        let all = (running(fleet, Some(revision)), running(fleet, None), running(other, None));
        assert_eq!(all, (SIZE, SIZE, 0), "{}: `{fleet}` and `{other}`", self.environment);
        self.is_unharmed();
    }

    fn is_unharmed(&self) {
        assert_eq!((self.fake.unknown(), self.fake.strange()), (vec![], vec![]), "{}", self.environment);
        let dark = self.fake.oracle().darknesses;
        assert!(dark.is_empty(), "{}: {dark:?}", self.environment);
    }

    fn calls(&self) -> usize {
        self.fake.calls().len()
    }
}

/// Both regions, and the folder with the file and the journal.
struct Both {
    dir: tempfile::TempDir,
    hongkong: Place,
    shanghai: Place,
}

impl Both {
    fn new(bake: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (hongkong, shanghai) =
            (Place::new("hongkong", REGION, 0), Place::new("shanghai", SHANGHAI, 10_000));
        let places = [&hongkong, &shanghai].map(|own| {
            format!(
                "  {}:\n    provider:\n      edas:\n        account: \"{ACCOUNT}\"\n        region: {}\n        \
                 port: 8080\n        call_timeout: 2s\n        pace: 250ms\n{}",
                own.environment, own.region, own.lines
            )
        });
        let text = format!(
            "service: api\nrevision: 2.0.0\nstrategies:\n  bluegreen:\n    steps: [100]\nsettle: 50ms\nbake: {bake}\n\
             quiet: 50ms\nenvironments:\n{}",
            places.concat()
        );
        fs::create_dir_all(dir.path().join("deployments")).unwrap();
        fs::write(dir.path().join("deployments/api.yaml"), text).unwrap();
        Self { dir, hongkong, shanghai }
    }

    /// The real binary in this folder, where it can reach one region, or none.
    fn start(&self, reached: Option<&Place>, args: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
        command.current_dir(self.dir.path()).env_clear().env("USER", "kim").stdin(Stdio::null()).args(args);
        command
            .envs(["PATH", "HOME", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(reached.map(|place| place.fake.env()).unwrap_or_default());
        let done = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
    }

    /// A verb about the service in one region, as the job of that region runs it.
    fn run(&self, place: &Place, args: &[&str]) -> Done {
        self.start(Some(place), &[args, &["--environment", place.environment]].concat())
    }

    /// The rollouts that a verb lists from the journal, with the revisions and how each ended.
    fn listed(&self, args: &[&str]) -> Vec<String> {
        let done = self.start(None, &[args, &["--output", "json"]].concat()).ended_with(0);
        let document: Value = serde_json::from_str(&done.out).unwrap();
        let word = |one: &Value, key: &str| one[key].as_str().unwrap_or("?").to_owned();
        let line = |one: &Value| ["rollout", "from", "to", "state"].map(|key| word(one, key)).join(" ");
        let mut all: Vec<_> = document["rollouts"].as_array().unwrap().iter().map(line).collect();
        all.sort();
        all
    }
}

#[test]
fn one_region_follows_the_other_and_a_way_back_in_one_leaves_the_other_as_it_is() {
    let both = Both::new("100ms");
    let (hongkong, shanghai) = (&both.hongkong, &both.shanghai);
    both.run(hongkong, &["rollout", "api", "--revision", "2.0.0"]).ended_with(0);
    hongkong.is_left_with(("green", "2.0.0"), "blue");
    assert_eq!(shanghai.calls(), 0, "Shanghai waits for its approval");
    assert_eq!(both.listed(&["status"]), ["api/hongkong/1 1.0.0 2.0.0 completed"]);
    shanghai.is_left_with(("blue", "1.0.0"), "green");

    let calls = hongkong.calls();
    both.run(shanghai, &["rollout", "api", "--revision", "2.0.0"]).ended_with(0);
    shanghai.is_left_with(("green", "2.0.0"), "blue");
    assert_eq!(
        both.listed(&["status"]),
        ["api/hongkong/1 1.0.0 2.0.0 completed", "api/shanghai/1 1.0.0 2.0.0 completed"]
    );
    let one = both.start(None, &["status", "api", "--environment", "shanghai"]).ended_with(0);
    assert!(one.out.contains("shanghai") && !one.out.contains("hongkong"), "{}", one.said());

    both.run(shanghai, &["rollback", "api"]).ended_with(0);
    shanghai.is_left_with(("blue", "1.0.0"), "green");
    assert_eq!(hongkong.calls(), calls, "nothing of all that was asked in Hong Kong");
    hongkong.is_left_with(("green", "2.0.0"), "blue");
    assert_eq!(
        both.listed(&["history", "api", "--environment", "hongkong"]),
        ["api/hongkong/1 1.0.0 2.0.0 completed"]
    );
    assert_eq!(
        both.listed(&["history", "api", "--environment", "shanghai"]),
        ["api/shanghai/1 1.0.0 2.0.0 completed", "api/shanghai/2 2.0.0 1.0.0 completed"]
    );
    both.start(None, &["journal", "verify"]).ended_with(0);
}

#[test]
fn a_rollout_that_waits_in_one_region_is_not_reached_by_what_is_ordered_in_the_other() {
    let both = Both::new("promote");
    let (hongkong, shanghai) = (&both.hongkong, &both.shanghai);
    both.run(hongkong, &["rollout", "api"]).ended_with(14);
    let calls = hongkong.calls();
    both.run(shanghai, &["rollout", "api"]).ended_with(14);
    both.run(shanghai, &["promote", "api"]).ended_with(0);
    shanghai.is_left_with(("green", "2.0.0"), "blue");
    assert_eq!(hongkong.calls(), calls);
    assert_eq!(
        both.listed(&["status"]),
        ["api/hongkong/1 1.0.0 2.0.0 awaits_promotion", "api/shanghai/1 1.0.0 2.0.0 completed"]
    );
    let calls = shanghai.calls();
    both.run(hongkong, &["abort", "api"]).ended_with(0);
    hongkong.is_left_with(("blue", "1.0.0"), "green");
    assert_eq!(shanghai.calls(), calls);
    shanghai.is_left_with(("green", "2.0.0"), "blue");
}

#[test]
fn each_region_is_examined_as_itself_and_a_file_that_is_not_told_which_one_guesses_none() {
    let both = Both::new("100ms");
    let (hongkong, shanghai) = (&both.hongkong, &both.shanghai);
    for (own, other) in [(hongkong, shanghai), (shanghai, hongkong)] {
        let calls = other.calls();
        let done = both.run(own, &["doctor", "api"]).ended_with(0);
        assert!(done.out.contains(&format!("`{ACCOUNT}` in {}", own.region)), "{}", done.said());
        both.run(own, &["plan", "api"]).ended_with(0);
        assert_eq!(other.calls(), calls);
        own.is_unharmed();
    }
    let done = both.start(Some(hongkong), &["rollout", "api"]).ended_with(2);
    assert!(done.err.contains("hongkong") && done.err.contains("shanghai"), "{}", done.said());
    // A job that reaches one region and names the other changes nothing in either.
    let refused = both.start(Some(hongkong), &["rollout", "api", "--environment", "shanghai"]);
    assert_ne!(refused.code, 0, "{}", refused.said());
    hongkong.is_left_with(("blue", "1.0.0"), "green");
    shanghai.is_left_with(("blue", "1.0.0"), "green");
    assert_eq!(both.listed(&["status"]), [""; 0]);
}
