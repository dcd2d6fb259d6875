//! A runner: the environment, the files and the parsers of GitHub's own, by its documentation and its sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{Done, Rig, Running};

/// One step of a job.
pub struct Step<'a> {
    rig: &'a Rig,
    verb: &'static str,
    env: BTreeMap<String, String>,
    files: PathBuf,
}

/// What a step left behind.
pub struct Left {
    pub done: Done,
    pub outputs: BTreeMap<String, String>,
    pub summary: String,
    pub commands: Vec<Obeyed>,
}

/// A workflow command as the runner understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obeyed {
    pub name: String,
    pub properties: BTreeMap<String, String>,
    pub message: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl<'a> Step<'a> {
    /// A step of run 77 that uses the action with the binary under test.
    pub fn new(rig: &'a Rig, action: &'static str) -> Self {
        let files = rig.dir().join(format!("runner-{}", fs::read_dir(rig.dir()).unwrap().count()));
        fs::create_dir_all(&files).unwrap();
        let mut step = Self { rig, verb: action, env: BTreeMap::new(), files };
        let action_path = root().join(".github/actions").join(action);
        let at = |name: &str| step.files.join(name).display().to_string();
        let files = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH"];
        let mut env: Vec<_> = files.iter().map(|name| ((*name).to_owned(), at(name))).collect();
        let fixed = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "example/shop"),
            ("GITHUB_RUN_ID", "77"),
            ("GITHUB_RUN_NUMBER", "12"),
            ("GITHUB_WORKFLOW", "deploy"),
            ("GITHUB_ACTOR", "mia"),
            ("RUNNER_OS", "Linux"),
            ("RUNNER_ARCH", "X64"),
            ("DEPLOYER_VERB", action),
            ("INPUT_SERVICE", "api"),
            ("INPUT_PATH", env!("CARGO_BIN_EXE_deployer")),
        ];
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        env.push(("RUNNER_TEMP".into(), at("temp")));
        env.push(("GITHUB_WORKSPACE".into(), rig.dir().display().to_string()));
        env.push(("GITHUB_ACTION_PATH".into(), action_path.display().to_string()));
        for name in files {
            fs::write(step.files.join(name), "").unwrap();
        }
        step.env.extend(env);
        step
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What the action's step says to run, as the runner starts it: a script file under `bash -e -o pipefail`.
    fn command(&self) -> Command {
        let script = self.files.join("step.sh");
        fs::write(&script, run_line(self.verb)).unwrap();
        let mut command = Command::new("bash");
        self.rig.prepare(&mut command);
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]).arg(script).envs(&self.env);
        command
    }

    pub fn start(&self) -> Running {
        self.rig.launch(self.command(), &format!("step {}", self.verb))
    }

    pub fn run(&self) -> Left {
        self.finish(self.start())
    }

    pub fn finish(&self, running: Running) -> Left {
        let done = running.wait();
        assert_eq!(done.err, "", "the script puts everything into one stream");
        let read = |name: &str| fs::read_to_string(self.files.join(name)).unwrap();
        assert_eq!((read("GITHUB_ENV"), read("GITHUB_PATH")), (String::new(), String::new()));
        let outputs = file_command(&read("GITHUB_OUTPUT"));
        let commands = done.out.lines().filter_map(obeyed).collect();
        Left { outputs, summary: read("GITHUB_STEP_SUMMARY"), commands, done }
    }

    pub fn temp(&self) -> PathBuf {
        self.files.join("temp")
    }
}

impl Left {
    #[track_caller]
    pub fn ended_with(self, code: i32, result: &str) -> Self {
        assert_eq!(self.done.code, code, "{}", self.done.out);
        assert_eq!(self.outputs["exit-code"], code.to_string());
        assert_eq!(self.outputs["result"], result, "{:?}", self.outputs);
        self
    }

    pub fn annotations(&self, level: &str) -> Vec<&Obeyed> {
        self.commands.iter().filter(|command| command.name == level).collect()
    }

    /// Nothing but what the tool itself may say was obeyed, and every group that was opened was closed.
    #[track_caller]
    pub fn obeys_only_us(&self) {
        let mut open = 0;
        for command in &self.commands {
            match command.name.as_str() {
                "group" => open += 1,
                "endgroup" => open -= 1,
                "error" | "warning" | "notice" => {
                    for name in command.properties.keys() {
                        assert!(["file", "line", "col", "title"].contains(&name.as_str()), "{command:?}");
                    }
                }
                "add-mask" => assert_eq!(command.message, crate::script::MASKED),
                _ => panic!("{command:?} was obeyed"),
            }
            assert!((0..=1).contains(&open), "groups do not nest: {:?}", self.commands);
        }
        assert_eq!(open, 0, "{:?}", self.commands);
    }
}

/// The `run:` of an action's only step.
fn run_line(action: &str) -> String {
    let file = root().join(".github/actions").join(action).join("action.yml");
    let text = fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.trim().strip_prefix("run: ")).unwrap().to_owned()
}

/// `NAME=VALUE`, or `NAME<<DELIMITER` with the lines until the delimiter; anything else fails the step.
pub fn file_command(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                found.insert(line[..equals].to_owned(), line[equals + 1..].to_owned());
            }
            (_, Some(at)) => {
                let (name, delimiter) = (&line[..at], &line[at + 2..]);
                assert!(!name.is_empty() && !delimiter.is_empty(), "{line:?}");
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == delimiter => break,
                        Some(line) => value.push(line),
                        None => panic!("no end of {name:?}"),
                    }
                }
                found.insert(name.to_owned(), value.join("\n"));
            }
            _ => panic!("{line:?} is no command of a file"),
        }
    }
    found
}

/// The runner's `ActionCommand`: `::name key=value,…::message` after white space, and the old `##[name]` anywhere.
pub fn obeyed(line: &str) -> Option<Obeyed> {
    let trimmed = line.trim_start();
    let found = match trimmed.strip_prefix("::").and_then(|rest| rest.split_once("::")) {
        Some((info, message)) => Some((info, message, ',')),
        None => line.find("##[").and_then(|at| {
            let (info, message) = line[at + 3..].split_once(']')?;
            Some((info, message, ';'))
        }),
    };
    let (info, message, between) = found?;
    let (name, rest) = info.split_once(' ').unwrap_or((info, ""));
    let undo = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n");
    let property = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let value = undo(value).replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
        Some((key.trim().to_owned(), value))
    };
    let properties = rest.split(between).filter_map(property).collect();
    Some(Obeyed { name: name.to_owned(), properties, message: undo(message).replace("%25", "%") })
}

/// A file that can be run.
pub fn program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
