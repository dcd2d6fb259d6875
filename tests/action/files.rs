//! The workflow files as text: pinned, least permissions, and named where they are promised.

use std::fs;
use std::path::PathBuf;

use crate::runner::root;

pub fn workflows() -> Vec<PathBuf> {
    let folders = [".github/workflows", ".github/examples"].map(|folder| root().join(folder));
    let mut found: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    assert!(found.len() >= 6, "{found:?}");
    found
}

#[test]
fn every_workflow_begins_with_no_permission_and_pins_what_it_uses() {
    for path in workflows() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\npermissions: {}\n"), "{}", path.display());
        assert!(!text.contains("pull_request_target"), "{}", path.display());
        for used in
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
        {
            let ours = used.starts_with("./") || used.starts_with("OWNER/deployer/.github/actions/");
            let hash = used.split(['@', ' ']).nth(1).unwrap_or_default();
            let pinned =
                hash.len() == 40 && hash.chars().all(|c| c.is_ascii_hexdigit()) && used.contains(" # v");
            assert!(ours || pinned, "{}: {used}", path.display());
        }
        // What comes from outside reaches a shell only as an environment variable.
        let mut script = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            if script.is_some_and(|begun| indent <= begun && !line.trim().is_empty()) {
                script = None;
            }
            let begins = line.trim_start().trim_start_matches("- ").starts_with("run:");
            assert!(!(begins || script.is_some()) || !line.contains("${{"), "{}: {line}", path.display());
            if begins {
                script = Some(indent);
            }
        }
    }
}

#[test]
fn the_readme_names_every_example_and_the_toolchain_is_the_one_of_the_manifest() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let wanted =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().replace('"', "");
    for path in workflows() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if name.contains("examples") {
            assert!(readme.contains(&format!("({name})")), "{name}");
        } else {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(&format!("TOOLCHAIN: {wanted}")), "{name}");
        }
    }
}

/// Whatever a workflow gives to an action of ours, or reads from it, is there.
#[test]
fn the_examples_use_inputs_and_outputs_that_there_are() {
    let action = |name: &str| {
        fs::read_to_string(root().join(".github/actions").join(name).join("action.yml")).unwrap()
    };
    for path in workflows() {
        let text = fs::read_to_string(&path).unwrap();
        let mut used = None;
        for line in text.lines() {
            let entry = line.trim().trim_start_matches("- ");
            if let Some(uses) = entry.strip_prefix("uses: ") {
                let name = uses.split_once(".github/actions/").map(|(_, rest)| rest);
                used = name.map(|name| action(name.split('@').next().unwrap()));
            } else if line.trim().starts_with("- ") {
                used = None;
            }
            let given = line.strip_prefix("          ").filter(|rest| !rest.starts_with([' ', '-', '#']));
            if let (Some(action), Some((input, _))) = (&used, given.and_then(|rest| rest.split_once(':'))) {
                assert!(action.contains(&format!("\n  {input}:\n")), "{}: {input}", path.display());
            }
            for output in line.split("steps.rollout.outputs.").skip(1) {
                let output = output.split(' ').next().unwrap();
                assert!(action("rollout").contains(&format!("outputs.{output} }}}}")), "{output}");
            }
        }
    }
}
