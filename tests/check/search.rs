//! Breadth first over all states, then backwards from every rest.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::step::{edges, rests};
use super::{Setup, State};
use deployer::rollout::{Phase, Verdict};

/// More states than this is a state space that was not reduced enough, not a proof.
const STATES_MAX: usize = 3_000_000;

/// What a search found.
#[derive(Debug, Default)]
pub struct Report {
    pub states: usize,
    pub steps: usize,
    /// How many states ended in each way.
    pub ends: BTreeMap<&'static str, usize>,
    /// The shortest path to each broken invariant.
    pub broken: Vec<String>,
    /// States from which no end can be reached, with a path to one.
    pub stuck: Vec<String>,
}

struct Found {
    from: usize,
    label: String,
    rests: bool,
}

/// Visits every state that can be reached.
pub fn search(setup: &Setup) -> Report {
    let oracle = setup.oracle();
    let (mut report, mut found, mut back) = (Report::default(), Vec::new(), Vec::<Vec<u32>>::new());
    let mut index = HashMap::new();
    let mut queue = VecDeque::new();
    let first = setup.first();
    index.insert(first.key(), 0_usize);
    found.push(Found { from: 0, label: "open".into(), rests: false });
    back.push(Vec::new());
    queue.push_back((0_usize, first));
    while let Some((at, state)) = queue.pop_front() {
        for edge in edges(setup, &oracle, &state) {
            report.steps += 1;
            for broken in &edge.broken {
                let known = report.broken.iter().filter(|text| text.contains(&broken.to_string())).count();
                if known == 0 && report.broken.len() < 5 {
                    report.broken.push(format!("{broken}\n{} -> {}", path(&found, at), edge.label));
                }
            }
            let key = edge.next.key();
            let to = *index.entry(key).or_insert_with(|| {
                found.push(Found { from: at, label: edge.label, rests: rests(&edge.next) });
                back.push(Vec::new());
                count(&mut report, &edge.next);
                queue.push_back((found.len() - 1, edge.next));
                found.len() - 1
            });
            back[to].push(u32::try_from(at).unwrap());
            assert!(found.len() < STATES_MAX, "{}: more than {STATES_MAX} states", setup.name);
        }
    }
    report.states = found.len();
    report.stuck = stuck(&found, &back);
    report
}

fn count(report: &mut Report, state: &State) {
    let end = match state.rollout.phase() {
        Phase::Ended(Verdict::Completed) => "completed",
        Phase::Ended(Verdict::RolledBack { .. }) => "rolled back",
        Phase::Ended(Verdict::Failed { .. }) => "failed",
        _ => return,
    };
    *report.ends.entry(end).or_default() += 1;
}

/// A few states from which no rest is reached, each with the way to it.
fn stuck(found: &[Found], back: &[Vec<u32>]) -> Vec<String> {
    let mut good: Vec<bool> = found.iter().map(|state| state.rests).collect();
    let mut queue: Vec<usize> = (0..good.len()).filter(|at| good[*at]).collect();
    while let Some(at) = queue.pop() {
        for from in back[at].iter().map(|from| *from as usize) {
            if !good[from] {
                good[from] = true;
                queue.push(from);
            }
        }
    }
    (0..good.len()).filter(|at| !good[*at]).take(3).map(|at| path(found, at)).collect()
}

fn path(found: &[Found], mut at: usize) -> String {
    let mut labels = Vec::new();
    while at != 0 {
        labels.push(found[at].label.as_str());
        at = found[at].from;
    }
    labels.reverse();
    labels.join("\n  -> ")
}
