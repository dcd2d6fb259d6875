//! Which store a verb works with: `--store`, else what the deployment files say, else a folder of this host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::args::Global;
use super::context::read_file;
use super::error::CliError;
use crate::journal::{Address, JournalKey, KEY_MAX};
use crate::model::ServiceName;
use crate::spec;

/// Where the journal is kept where nobody says it.
const USUAL: &str = ".deployer/journal";

/// Where the journal key comes from: itself, or the file that holds it.
const KEY: &str = "DEPLOYER_JOURNAL_KEY";
const KEY_FILE: &str = "DEPLOYER_JOURNAL_KEY_FILE";

/// The one store of these services, or of all where none is named.
///
/// # Errors
/// A file that names what is no store; services that are kept in different ones.
pub fn address(global: &Global, services: &[ServiceName]) -> Result<Address, CliError> {
    if let Some(address) = &global.store {
        return Ok(address.clone());
    }
    let mut found = BTreeMap::new();
    for path in files(global, services) {
        // A file that is not there, or not right, is complained of by whoever needs more of it.
        let Ok(text) = read_file(&path) else { continue };
        let store = spec::store(&text).unwrap_or_else(|| format!("file:{USUAL}"));
        let address: Address = store.parse().map_err(|bad: crate::journal::BadAddress| {
            CliError::usage(format!("failed to {bad}")).hint(format!("mend `store` in `{}`", path.display()))
        })?;
        found.insert(store, address);
    }
    let stores: Vec<_> = found.keys().map(|store| format!("`{store}`")).collect();
    let mut found = found.into_values();
    match (found.next(), found.next()) {
        (None, _) => Ok(Address::File(PathBuf::from(USUAL))),
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(CliError::usage(format!(
            "the deployment files name more than one store: {}",
            stores.join(", ")
        ))
        .hint("say which with `--store`, or name one service")),
    }
}

/// The journal key, if there is one. It comes by the environment or in a file, never by the command line, where others
/// could read it.
///
/// # Errors
/// What is too short, cannot be read, or is given twice. The key is in none of these.
pub fn key(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<JournalKey>, CliError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let bad = |from: &str, why: &dyn std::fmt::Display| {
        CliError::usage(format!("failed to take the journal key from {from}: {why}"))
            .hint("make one with `openssl rand -hex 32`, and give the same to every runner")
    };
    let (bytes, from) = match (set(KEY), set(KEY_FILE)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(CliError::usage(format!("set {KEY} or {KEY_FILE}, not both"))),
        (Some(value), None) => (value.into_encoded_bytes(), KEY.to_owned()),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let from = format!("`{}`", path.display());
            (read_key(&path).map_err(|error| bad(&from, &error))?, from)
        }
    };
    JournalKey::new(&bytes).map(Some).map_err(|why| bad(&from, &why))
}

fn read_key(path: &Path) -> std::io::Result<Vec<u8>> {
    // Beyond the longest key there is only what makes it too long.
    let mut bytes = Vec::new();
    File::open(path)?.take(KEY_MAX as u64 * 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn files(global: &Global, services: &[ServiceName]) -> Vec<PathBuf> {
    if !services.is_empty() {
        return services.iter().map(|service| global.config.join(format!("{service}.yaml"))).collect();
    }
    let entries = std::fs::read_dir(&global.config).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect()
}
