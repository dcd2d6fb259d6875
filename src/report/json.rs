//! Documents for machines.

use serde::Serialize;

use super::escape::escape_json;

/// A JSON document with its line end, safe to print: nothing invisible stands in it.
#[must_use]
pub fn document(value: &impl Serialize) -> String {
    escape_json(&serde_json::to_string_pretty(value).unwrap_or_else(|bad| unwritable(&bad))) + "\n"
}

/// The same in one line.
#[must_use]
pub fn line(value: &impl Serialize) -> String {
    escape_json(&serde_json::to_string(value).unwrap_or_else(|bad| unwritable(&bad))) + "\n"
}

/// Our own types always serialise; a caller's type may not, and then its reader is told.
fn unwritable(bad: &serde_json::Error) -> String {
    serde_json::json!({ "error": bad.to_string() }).to_string()
}
