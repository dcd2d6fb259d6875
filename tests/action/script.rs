//! The script's own part: which binary, and which command.

use std::fs;
use std::process::Command;

use crate::rig::Rig;
use crate::runner::{Step, program, root};

/// A secret that the runner is told to hide.
pub const MASKED: &str = "100% a key\nof two lines, 0123456789abcdef";

/// A release with one binary that prints what it is given.
fn release(rig: &Rig, checksum_of: &str) -> String {
    let folder = rig.dir().join("release");
    program(&folder.join("deployer-linux-x86_64"), "#!/bin/sh\nprintf '<%s>\\n' \"$@\"\n");
    let bytes = if checksum_of == "it" {
        fs::read(folder.join("deployer-linux-x86_64")).unwrap()
    } else {
        Vec::new()
    };
    fs::write(folder.join("summed"), bytes).unwrap();
    let sum = Command::new("sha256sum").arg(folder.join("summed")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let sum = sum.split(' ').next().unwrap();
    let other = "0".repeat(64);
    fs::write(
        folder.join("SHA256SUMS"),
        format!("{other}  deployer-macos-x86_64\n{sum}  deployer-linux-x86_64\n"),
    )
    .unwrap();
    // In the place of `curl`: takes the file of the release, and says what it was asked for.
    let curl = format!(
        "#!/usr/bin/env bash\nout=\nwhile [ $# -gt 1 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n\
         echo \"$1\" >> '{0}/asked'\ncp '{0}'/\"${{1##*/}}\" \"$out\"\n",
        folder.display()
    );
    program(&folder.join("bin/curl"), &curl);
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", folder.join("bin").display())
}

fn released<'a>(rig: &'a Rig, path: &str) -> Step<'a> {
    let step = Step::new(rig, "rollout").set("INPUT_PATH", "").set("PATH", path);
    step.set("ACTION_REPOSITORY", "example/deployer").set("ACTION_SERVER", "https://github.com")
}

#[test]
fn a_released_binary_is_got_for_this_runner_and_counts_only_with_its_checksum() {
    let rig = Rig::new(|_| {});
    let path = release(&rig, "it");
    let step = released(&rig, &path);
    let done = step.start().wait().ended_with(0);
    assert_eq!(done.out, "<rollout>\n<--yes>\n<-->\n<api>\n");
    let base =
        format!("https://github.com/example/deployer/releases/download/v{}", env!("CARGO_PKG_VERSION"));
    let asked = fs::read_to_string(rig.dir().join("release/asked")).unwrap();
    assert_eq!(asked, format!("{base}/SHA256SUMS\n{base}/deployer-linux-x86_64\n"));

    let path = release(&rig, "something else");
    let step = released(&rig, &path).set("INPUT_VERSION", "v9.9.9");
    let done = step.start().wait().ended_with(1);
    assert!(done.out.contains("::error title=Bad release::"), "{}", done.out);
    assert!(!step.temp().join("deployer/v9.9.9/deployer-linux-x86_64").exists());

    for (name, value) in
        [("INPUT_VERSION", "v1/../../x"), ("RUNNER_ARCH", "RISCV"), ("ACTION_REPOSITORY", "a/b/c")]
    {
        let done = released(&rig, &path).set(name, value).start().wait().ended_with(2);
        assert!(done.out.starts_with("::error title=") && done.out.lines().count() == 1, "{}", done.out);
        assert!(!done.out.contains(value), "{}", done.out);
    }
}

#[test]
fn an_input_is_one_word_whatever_is_in_it() {
    let rig = Rig::new(|_| {});
    let path = release(&rig, "it");
    let hostile = "-x $(touch pwned) `touch pwned`; touch pwned\n\"' * ${IFS} %s\\";
    let mut step = released(&rig, &path).set("INPUT_PATH", "release/deployer-linux-x86_64");
    for name in ["SERVICE", "ENVIRONMENT", "REVISION", "STRATEGY", "STORE", "SEQUENCE", "WAIT_LOCK", "CONFIG"]
    {
        step = step.set(&format!("INPUT_{name}"), hostile);
    }
    let done = step.start().wait().ended_with(0);
    let options = ["config", "environment", "store", "strategy", "revision", "sequence", "wait-lock"];
    let options: String = options.map(|option| format!("<--{option}={hostile}>\n")).concat();
    assert_eq!(done.out, format!("<rollout>\n{options}<--yes>\n<-->\n<{hostile}>\n"));
    assert!(!rig.dir().join("pwned").exists());
    let done = Step::new(&rig, "rollout").set("INPUT_PLAN_ONLY", "yes").start().wait().ended_with(2);
    assert!(done.out.starts_with("::error title=Bad input::"), "{}", done.out);
}

#[test]
fn a_secret_that_came_as_a_plain_variable_is_hidden_before_anything_else_is_said() {
    let rig = Rig::with_blue(|_| {});
    let step = Step::new(&rig, "rollout").set("DEPLOYER_JOURNAL_KEY", MASKED);
    let left = step.set("DEPLOYER_ALLOW_UNSIGNED", "true").set("AWS_SESSION_TOKEN", "short").run();
    let left = left.ended_with(0, "completed");
    left.obeys_only_us();
    assert_eq!((left.commands[0].name.as_str(), left.commands[0].message.as_str()), ("add-mask", MASKED));
    assert_eq!(left.commands.iter().filter(|command| command.name == "add-mask").count(), 1);
    let rest = left.done.out.lines().skip(1).collect::<String>();
    for line in MASKED.lines() {
        assert!(!rest.contains(line) && !left.summary.contains(line), "{rest}");
        assert!(left.outputs.values().all(|value| !value.contains(line)), "{:?}", left.outputs);
    }
}

/// What a step of a workflow runs, by its name.
fn step_of(workflow: &str, name: &str) -> String {
    let text = fs::read_to_string(root().join(".github/workflows").join(workflow)).unwrap();
    let step = text.split_once(&format!("- name: {name}\n")).unwrap().1;
    let block = step.split_once("run: |\n").unwrap().1;
    let lines = block.lines().take_while(|line| line.starts_with("          "));
    lines.map(|line| &line[10..]).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tag_of_the_major_version_moves_to_its_newest_release_and_never_back() {
    let rig = Rig::new(|_| {});
    let script = step_of("release.yml", "Move the tag of the major version");
    // In the place of `gh`: knows these tags, and whether `v1` is among them.
    let tags =
        ["v1.2.0", "v1.10.0", "v1.9.3", "v1.11.0-rc.1"].map(|tag| format!("refs/tags/{tag}")).join("\n");
    program(
        &rig.dir().join("bin/gh"),
        &format!(
            "#!/bin/sh\ncase \"$*\" in\n*matching-refs/tags/v1.*) echo '{tags}' ;;\n\
             *PATCH*) echo \"$@\" >> asked; test -e has-tag ;;\n*) echo \"$@\" >> asked ;;\nesac\n"
        ),
    );
    let path = format!("{}:{}", rig.dir().join("bin").display(), std::env::var("PATH").unwrap());
    let release = |tag: &str| {
        let _ = fs::remove_file(rig.dir().join("asked"));
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]).current_dir(rig.dir());
        command.env("PATH", &path).env("GITHUB_REPOSITORY", "a/b").env("GITHUB_SHA", "abc");
        let done = command.env("GITHUB_REF_NAME", tag).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        fs::read_to_string(rig.dir().join("asked")).unwrap_or_default()
    };
    let moved = "api --method PATCH repos/a/b/git/refs/tags/v1 -f sha=abc -F force=true\n";
    let made = "api --method POST repos/a/b/git/refs -f ref=refs/tags/v1 -f sha=abc\n";
    assert_eq!(release("v1.10.0"), format!("{moved}{made}"), "there is none yet");
    fs::write(rig.dir().join("has-tag"), "").unwrap();
    assert_eq!(release("v1.10.0"), moved);
    assert_eq!(release("v1.9.3"), "", "a fix of an older release");
}
