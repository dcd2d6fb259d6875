//! The house rules, as a test: who may import whom, what a pure room may name, how long a file may be.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Floors of the rooms; a room imports only from lower floors, never sideways.
const FLOORS: [(&str, u32); 12] = [
    ("model", 0),
    ("coverage", 1),
    ("spec", 1),
    ("cloud", 2),
    ("plan", 3),
    ("rollout", 3),
    ("journal", 4),
    ("gate", 4),
    ("drive", 5),
    ("report", 6),
    ("drill", 6),
    ("cli", 7),
];

/// Rooms that take time, chance and the world as arguments.
const PURE: [&str; 7] = ["model", "coverage", "spec", "plan", "rollout", "cloud/mod.rs", "cloud/fault.rs"];
const IMPURE_WORDS: [&str; 8] = [
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "SystemTime",
    "Instant::now",
    "fastrand",
    "async ",
];

/// Only these may name one cloud; `spec` describes it, as data.
const CLOUD_NAMERS: [&str; 4] = ["cloud", "cli", "drill", "spec"];
const CLOUD_PATHS: [&str; 4] = ["cloud::local", "cloud::sim", "cloud::aws", "cloud::edas"];

const FILE_LINES_MAX: usize = 600;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the source files are where this test looks for them");
    found
}

/// The room of a file: the first part of its path.
fn room(path: &Path) -> String {
    path.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The lines that ship: without the unit tests at the end, comments and blank lines.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

#[test]
fn a_room_imports_only_from_lower_floors() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = room(&path);
        let Some(own_floor) = floor(&own) else {
            assert!(matches!(own.as_str(), "lib" | "main"), "`{own}` is a room without a floor");
            continue;
        };
        for (n, line) in shipped(&text) {
            for (name, other) in FLOORS {
                let imports =
                    line.contains(&format!("crate::{name}::")) || line.contains(&format!("crate::{name};"));
                if imports && name != own && other >= own_floor {
                    wrong.push(format!("src/{}:{}: `{own}` imports `{name}`", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "upward or sideways imports:\n{}", wrong.join("\n"));
}

#[test]
fn a_pure_room_names_no_clock_no_chance_and_no_world() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let shown = path.to_string_lossy().into_owned();
        let pure = PURE.iter().any(|room| {
            shown == *room || shown == format!("{room}.rs") || shown.starts_with(&format!("{room}/"))
        });
        for (n, line) in shipped(&text).filter(|_| pure) {
            for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("src/{shown}:{}: a pure room names `{word}`", n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_cli_and_drills_name_one_cloud() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = room(&path);
        for (n, line) in shipped(&text).filter(|_| !CLOUD_NAMERS.contains(&own.as_str())) {
            if CLOUD_PATHS.iter().any(|cloud| line.contains(cloud)) {
                wrong.push(format!("src/{}:{}: `{own}` names one cloud", path.display(), n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, shipped(&text).count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_is_left_to_do_and_nothing_is_allowed_in_silence() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (n, line) in shipped(&text) {
            for word in ["todo!(", "unimplemented!(", "dbg!(", "#[allow(", "#![allow("] {
                if line.contains(word) {
                    wrong.push(format!("src/{}:{}: `{word}`", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_opens_with_its_promise() {
    for (path, text) in sources() {
        let opens = text.starts_with("//! ");
        assert!(opens, "src/{} opens without a line that says what it is", path.display());
    }
}
