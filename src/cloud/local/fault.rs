//! Errors of this host → [`Fault`].

use std::fmt::Display;
use std::path::Path;

use crate::cloud::{Fault, FaultKind};

/// Something that this host refused, without anything having been done.
pub(super) fn refused(kind: FaultKind, action: &str, message: impl Into<String>) -> Fault {
    Fault::new(kind, action, message)
}

/// A file or directory that could not be used.
pub(super) fn file(action: &str, path: &Path, error: &std::io::Error) -> Fault {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => FaultKind::Denied,
        std::io::ErrorKind::NotFound => FaultKind::Missing,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FaultKind::Quota,
        _ => FaultKind::Unexpected,
    };
    Fault::new(kind, action, format!("`{}`: {error}", path.display()))
}

/// A supervisor that could not be reached; the request was certainly not read.
pub(super) fn unreachable(action: &str, why: impl Display) -> Fault {
    Fault::new(FaultKind::Unreachable, action, format!("the local supervisor cannot be reached: {why}"))
}
