//! The world as a plan depends on it, in one short text.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::model::{Inventory, Seen};

/// A digest of everything that a plan rests on: fleets, sizes, revisions, who stands in which group with which share.
/// Health is left out: it flaps, and the machine judges it afresh.
#[must_use]
pub fn digest(look: &Inventory) -> String {
    let mut text = String::new();
    for (id, seen) in &look.fleets {
        let known = seen.known().map(|seen| (&seen.revision, seen.desired, &seen.attached));
        let _ = writeln!(text, "fleet {id} {known:?}");
    }
    for (id, seen) in &look.groups {
        let Seen::Known(seen) = seen else {
            let _ = writeln!(text, "group {id} unknown");
            continue;
        };
        let _ = writeln!(text, "group {id} {:?} {:?} {:?}", seen.sharing, seen.steps, seen.routes);
        for (fleet, side) in &seen.sides {
            let _ = writeln!(
                text,
                "side {fleet} {} {}",
                side.share,
                if side.targets.is_empty() { "empty" } else { "stands" }
            );
        }
    }
    for what in &look.unread {
        let _ = writeln!(text, "unread {what}");
    }
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
