//! What the file takes from the environment stays there.

use std::fs;
use std::path::Path;

use crate::rig::{Deployment, Rig};

const CANARY: &str = "canary-9f3b1c77";

fn with_secret(file: &mut Deployment) {
    file.env = vec![("TOKEN", "\"${API_TOKEN}\"")];
    file.strategy = "canary";
}

/// Every file below a folder that holds the canary.
fn holders(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holders(&path));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_of_the_environment_is_in_no_journal_no_plan_no_output_and_no_list_of_processes() {
    let rig = Rig::new(with_secret);
    rig.run(&["rollout", "api"]).ended_with(2); // The variable is not set.
    let verbs: [(&[&str], i32); 7] = [
        (&["rollout", "api", "--strategy", "switch", "--revision", "1.0.0", "--log", "trace"], 0),
        (&["plan", "api", "--out", "plan.json"], 0),
        (&["plan", "api", "--output", "json"], 0),
        (&["rollout", "api", "--log", "trace"], 14),
        (&["validate"], 0),
        (&["local", "status"], 0),
        (&["promote", "api", "--output", "ndjson"], 0),
    ];
    for (args, code) in verbs {
        let mut command = rig.command(args);
        command.env("API_TOKEN", CANARY);
        rig.launch(command, &args.join(" ")).wait().ended_with(code);
    }
    rig.answers("2.0.0");
    // The instances have it, or this test would prove nothing.
    if cfg!(target_os = "linux") {
        let running = rig.processes();
        assert_eq!(running.len(), 2);
        for pid in running.keys() {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
            assert!(String::from_utf8_lossy(&environ).contains(CANARY));
        }
        let supervisor = rig.status().supervisor.unwrap();
        let environ = fs::read(format!("/proc/{supervisor}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environ).contains(CANARY));
    }
    let listed = std::process::Command::new("ps").args(["-A", "-o", "args="]).output().unwrap();
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(CANARY));
    // Only what must start an instance again holds it, and only its owner reads that.
    let state = rig.dir().join(".deployer/local/state.json");
    assert_eq!(holders(rig.dir()), [state.display().to_string()]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&state).unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn a_secret_is_not_shown_where_a_command_cannot_be_started() {
    let mut rig = Rig::with_blue(|file| file.deadlines = vec!["provision: 1s"]);
    rig.edit(|file| {
        file.command = "[./nowhere, \"${API_TOKEN}\"]";
        file.env = vec![("TOKEN", "\"${API_TOKEN}\"")];
    });
    let mut command = rig.command(&["rollout", "api", "--log", "trace"]);
    command.env("API_TOKEN", CANARY);
    rig.launch(command, "rollout").wait().ended_with(11);
    let held = holders(&rig.dir().join("said"));
    assert_eq!(held, Vec::<String>::new());
    assert_eq!(holders(&rig.dir().join(".deployer/journal")), Vec::<String>::new());
}
