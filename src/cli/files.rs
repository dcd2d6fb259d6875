//! `validate`, `schema`, completions and manual pages.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::args::Output;
use super::context::{Context, read_file};
use super::error::CliError;
use super::exit;
use crate::spec;

/// `validate`: every fault of every file, at once.
pub fn validate(context: &Context, files: &[PathBuf]) -> Result<u8, CliError> {
    let files = if files.is_empty() { all(&context.global.config)? } else { files.to_vec() };
    let mut wrong = 0;
    let mut results = Vec::new();
    for path in &files {
        let name = path.display().to_string();
        let text = read_file(path)?;
        match spec::validate(&spec::Source { name: &name, text: &text }, &|name| std::env::var(name).ok()) {
            Ok(_) => {
                results.push(serde_json::json!({ "file": name, "ok": true, "faults": [] }));
                if context.text() {
                    println!("{name}: ok");
                }
            }
            Err(faults) => {
                wrong += 1;
                results.push(serde_json::json!({ "file": name, "ok": false, "faults": faults }));
                if context.text() {
                    eprintln!("{}", faults.render(context.colour_err()));
                }
            }
        }
    }
    match context.global.output {
        Output::Text => {}
        Output::Json => println!("{}", serde_json::json!({ "schema": 1, "files": results })),
        Output::Ndjson => results.iter().for_each(|result| println!("{result}")),
    }
    Ok(if wrong == 0 { exit::DONE } else { exit::USAGE })
}

fn all(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed =
        |error: std::io::Error| CliError::usage(format!("failed to list `{}`: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::usage(format!("there is no deployment file in `{}`", folder.display())));
    }
    Ok(files)
}

/// `schema`: the JSON Schema of a deployment file.
pub fn schema() -> Result<u8, CliError> {
    let text = serde_json::to_string_pretty(&spec::schema())
        .map_err(|error| CliError::new(format!("failed to print the schema: {error}")))?;
    println!("{text}");
    Ok(exit::DONE)
}

/// A shell's completions.
pub fn completions(shell: clap_complete::Shell) -> Result<u8, CliError> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "deployer", &mut out);
    let written = std::io::stdout().write_all(&out);
    written.map(|()| exit::DONE).map_err(|error| CliError::new(format!("failed to print: {error}")))
}

/// The manual pages, a file per verb.
pub fn man(folder: &Path) -> Result<u8, CliError> {
    let written =
        std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(super::command(), folder));
    let failed =
        |error| CliError::new(format!("failed to write manual pages to `{}`: {error}", folder.display()));
    written.map(|()| exit::DONE).map_err(failed)
}
