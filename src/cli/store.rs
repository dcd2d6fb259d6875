//! Which store a verb works with: `--store`, else what the deployment files say, else a folder of this host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::Global;
use super::context::read_file;
use super::error::CliError;
use crate::journal::Address;
use crate::model::ServiceName;
use crate::spec;

/// Where the journal is kept where nobody says it.
const USUAL: &str = ".deployer/journal";

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

fn files(global: &Global, services: &[ServiceName]) -> Vec<PathBuf> {
    if !services.is_empty() {
        return services.iter().map(|service| global.config.join(format!("{service}.yaml"))).collect();
    }
    let entries = std::fs::read_dir(&global.config).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect()
}
