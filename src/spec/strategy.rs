//! Strategies: steps that rise to 100.

use super::fault::Wrong;
use super::node::{Kind, Node};
use super::reader::{Fields, Reader};
use super::settled::Strategy;
use super::table::{SHARE, STEP, STEPS_MAX};
use crate::model::{Hold, Share, Span, Step};

/// The strategy of a file that defines none: everything at once.
pub(super) const USUAL: &str = "bluegreen";

/// What [`USUAL`] does.
pub(super) fn switch() -> Strategy {
    Strategy { steps: vec![Step { share: Share::ALL, hold: Hold::For(Span::ZERO) }] }
}

/// Reads one strategy.
pub(super) fn strategy(fields: &Fields<'_>) -> Option<Strategy> {
    let steps = match (fields.value("steps"), fields.count("by"), fields.hold("every")) {
        (Some(node), None, None) => steps(fields.reader, node)?,
        (None, Some(by), Some(every)) => even(by, every),
        _ => return None,
    };
    Some(Strategy { steps })
}

fn even(by: u64, every: Hold) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut percent = by;
    while let Some(share) = Share::new(percent).ok().filter(|share| *share < Share::ALL) {
        steps.push(Step { share, hold: every });
        percent += by.max(1);
    }
    steps.push(Step { share: Share::ALL, hold: Hold::For(Span::ZERO) });
    steps
}

fn steps(reader: &Reader, node: &Node) -> Option<Vec<Step>> {
    let Kind::List(items) = &node.kind else {
        let message = format!("expected a list of steps, found {}", node.named());
        reader.refuse(Wrong::new(node.at.clone(), message).hint("such as [10, 50, 100]"));
        return None;
    };
    if items.is_empty() || items.len() > STEPS_MAX {
        let message = format!("expected 1 to {STEPS_MAX} steps, found {}", items.len());
        reader.refuse(Wrong::new(node.at.clone(), message).hint("to switch at once write [100]"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| step(reader, item)).collect();
    let steps: Vec<Step> = read.into_iter().collect::<Option<_>>()?;
    let mut rising = true;
    for (pair, item) in steps.windows(2).zip(&items[1..]) {
        if pair[1].share <= pair[0].share {
            let message = format!("the step to {} comes after the one to {}", pair[1].share, pair[0].share);
            reader
                .refuse(Wrong::new(item.at.clone(), message).hint("each step must be higher than the last"));
            rising = false;
        }
    }
    let (last, item) = (steps.last()?, items.last()?);
    if rising && last.share < Share::ALL {
        let message = format!("the last step is {}, so blue would keep {}", last.share, last.share.rest());
        reader.refuse(Wrong::new(item.at.clone(), message).hint("end with 100"));
        rising = false;
    }
    rising.then_some(steps)
}

fn step(reader: &Reader, node: &Node) -> Option<Step> {
    let at_once = Hold::For(Span::ZERO);
    if node.text().is_some() {
        return Some(Step { share: share(reader.count(node, SHARE)?)?, hold: at_once });
    }
    let fields = Fields::open(reader, node, &node.at, &STEP)?;
    let (percent, hold) = (fields.count("share"), fields.hold("hold"));
    if fields.value("hold").is_some() && hold.is_none() {
        return None;
    }
    Some(Step { share: share(percent?)?, hold: hold.unwrap_or(at_once) })
}

fn share(percent: u64) -> Option<Share> {
    Share::new(percent).ok()
}
