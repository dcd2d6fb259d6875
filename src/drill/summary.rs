//! What many runs showed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::run::{Ending, Run};
use crate::cloud::sim::Violation;
use crate::model::Span;

/// Many runs of one scene.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// How many.
    pub runs: u64,
    /// How they ended.
    pub endings: BTreeMap<Ending, u64>,
    /// The longest that each phase took in any of them.
    pub slowest: BTreeMap<&'static str, Span>,
    /// Every broken invariant with the seed that shows it.
    pub broken: Vec<(u64, Violation)>,
    /// Seeds that came to no end.
    pub endless: Vec<u64>,
}

/// Sums up runs.
pub fn summary<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Summary {
    let mut summary = Summary::default();
    for run in runs {
        summary.runs += 1;
        *summary.endings.entry(run.ending).or_default() += 1;
        for (phase, took) in &run.phases {
            let slowest = summary.slowest.entry(phase).or_default();
            *slowest = (*slowest).max(*took);
        }
        summary.broken.extend(run.broken.iter().map(|broken| (run.seed, broken.clone())));
        if run.ending == Ending::Endless {
            summary.endless.push(run.seed);
        }
    }
    summary
}
