//! Exit codes: public, documented, and kept for ever.

/// Done, and proven by looks made at the end.
pub const DONE: u8 = 0;
/// An error: the text says what failed, where and why.
pub const ERROR: u8 = 1;
/// The command line or a deployment file is wrong.
pub const USAGE: u8 = 2;
/// `plan --detailed-exitcode`: the plan would change something.
pub const CHANGES: u8 = 3;
/// The gate refused before anything was changed.
pub const REFUSED: u8 = 10;
/// Something failed on the way, and blue serves everything again, proven.
pub const ROLLED_BACK: u8 = 11;
/// The way back did not succeed: a human is needed.
pub const HUMAN_NEEDED: u8 = 12;
/// A deadline passed; both fleets stay, the rollout can be resumed.
pub const HELD: u8 = 13;
/// Paused, or waiting for `promote`.
pub const PAUSED: u8 = 14;
/// Another rollout of the service is open, or its way back is stuck, or another driver has taken over.
pub const LOCKED: u8 = 15;
/// The world moved since the plan was made, or the release is older than one that was completed.
pub const MOVED: u8 = 16;
/// Stopped on request at a safe point; the rollout can be resumed.
pub const INTERRUPTED: u8 = 17;

/// Every code with its meaning, for the help text and the README.
pub const TABLE: [(u8, &str); 12] = [
    (DONE, "done and proven"),
    (ERROR, "error"),
    (USAGE, "usage or deployment file"),
    (CHANGES, "plan --detailed-exitcode: there are changes"),
    (REFUSED, "refused by the gate, nothing changed"),
    (ROLLED_BACK, "gate failed or rollback ordered: rolled back, proven"),
    (HUMAN_NEEDED, "rollback failed, a human is needed"),
    (HELD, "deadline reached, held; can be resumed"),
    (PAUSED, "paused, waits for promote or resume"),
    (LOCKED, "another rollout is open or stuck, or another driver took over"),
    (MOVED, "the world moved since the plan, or an older release"),
    (INTERRUPTED, "interrupted, can be resumed"),
];

/// Where several services came to different ends, the one that most needs somebody, the gravest first.
pub const GRAVEST: [u8; 11] =
    [HUMAN_NEEDED, HELD, ERROR, LOCKED, INTERRUPTED, PAUSED, ROLLED_BACK, REFUSED, MOVED, USAGE, CHANGES];

/// The one code of several ends: done only where all are done.
#[must_use]
pub fn gravest(codes: &[u8]) -> u8 {
    let unknown = || codes.iter().copied().find(|code| *code != DONE);
    GRAVEST.into_iter().find(|code| codes.contains(code)).or_else(unknown).unwrap_or(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_stands_for_many_ends_and_is_done_only_where_all_are() {
        assert_eq!(gravest(&[DONE, DONE]), DONE);
        assert_eq!(gravest(&[DONE, REFUSED, ROLLED_BACK]), ROLLED_BACK);
        assert_eq!(gravest(&[HELD, DONE, HUMAN_NEEDED, ERROR]), HUMAN_NEEDED);
        assert!(TABLE.iter().all(|(code, _)| *code == DONE || GRAVEST.contains(code)), "each has its place");
    }
}
