//! What a bucket's answers mean.

use std::error::Error as _;

use opendal::{Error, ErrorKind};

use crate::journal::{StoreAction, StoreFault, StoreFaultKind};

/// The most of a server's words that is shown.
const WORDS_MAX: usize = 600;

/// A bucket's error as a fault of a store. A write that was not plainly refused may have been made.
pub(super) fn fault(action: StoreAction, place: String, error: &Error) -> StoreFault {
    let words = words(error);
    let kind = match error.kind() {
        ErrorKind::PermissionDenied => StoreFaultKind::Denied,
        ErrorKind::RateLimited => StoreFaultKind::Throttled,
        // Another conditional write of this object is under way: ours was not made, and may be tried again.
        ErrorKind::Conflict if error.is_temporary() => StoreFaultKind::Throttled,
        _ if error.is_temporary() => StoreFaultKind::Unreachable,
        _ if words.contains("credential") => StoreFaultKind::Denied,
        _ => StoreFaultKind::Unexpected,
    };
    let fault = StoreFault::new(kind, action, place, words);
    if action == StoreAction::Write && kind == StoreFaultKind::Unreachable {
        fault.ambiguous()
    } else {
        fault
    }
}

/// No bucket of this name is no object that is missing.
pub(super) fn no_bucket(error: &Error) -> bool {
    error.message().contains("NoSuchBucket")
}

/// The error with its causes, on one line. Requests are not in it: they carry signatures.
fn words(error: &Error) -> String {
    let mut words = error.message().to_owned();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_words = next.to_string();
        if !words.contains(&next_words) {
            words.push_str(": ");
            words.push_str(&next_words);
        }
        cause = next.source();
    }
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
}
