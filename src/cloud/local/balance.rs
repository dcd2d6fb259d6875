//! Which fleet, and which of its targets, gets the next request: pure arithmetic.

/// A fleet's place in the rotation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Its share.
    pub(super) weight: i64,
    /// What it is owed.
    pub(super) credit: i64,
}

/// Smooth weighted round robin: over any `sum of weights` requests in a row each gets exactly its weight, and the
/// smaller weights are spread evenly between. None where all weights are 0.
pub(super) fn next<'a>(turns: impl Iterator<Item = &'a mut Turn>) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, &mut Turn)> = None;
    for (index, turn) in turns.enumerate().filter(|(_, turn)| turn.weight > 0) {
        turn.credit += turn.weight;
        total += turn.weight;
        if best.as_ref().is_none_or(|(_, leader)| turn.credit > leader.credit) {
            best = Some((index, turn));
        }
    }
    best.map(|(index, turn)| {
        turn.credit -= total;
        index
    })
}

/// The least loaded of those that can take a request (`None` cannot); between equals the first at or after `start`, so
/// that targets with nothing to do take turns.
pub(super) fn least(loads: &[Option<usize>], start: usize) -> Option<usize> {
    let from = start.checked_rem(loads.len())?;
    let order = (from..loads.len()).chain(0..from);
    order.filter_map(|i| loads[i].map(|load| (load, i))).min_by_key(|(load, _)| *load).map(|(_, i)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[i64], requests: usize) -> Vec<Option<usize>> {
        let mut turns: Vec<_> = weights.iter().map(|w| Turn { weight: *w, credit: 0 }).collect();
        (0..requests).map(|_| next(turns.iter_mut())).collect()
    }

    #[test]
    fn a_share_of_ten_gets_exactly_a_hundred_of_a_thousand_spread_evenly() {
        let picks = picks(&[90, 10], 1_000);
        assert_eq!(picks.iter().filter(|p| **p == Some(1)).count(), 100);
        for window in picks.chunks(10) {
            assert_eq!(window.iter().filter(|p| **p == Some(1)).count(), 1);
        }
    }

    #[test]
    fn every_share_is_exact_over_a_hundred_requests() {
        for share in 0..=100 {
            let picks = picks(&[100 - share, share], 100);
            let green = picks.iter().filter(|p| **p == Some(1)).count();
            assert_eq!(green, usize::try_from(share).unwrap());
        }
    }

    #[test]
    fn nobody_is_chosen_where_nobody_has_a_share() {
        assert_eq!(picks(&[0, 0], 1), [None]);
        assert_eq!(picks(&[], 1), [None]);
    }

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        assert_eq!(least(&[Some(2), Some(0), Some(1)], 0), Some(1));
        assert_eq!(least(&[None, Some(5), None], 2), Some(1));
        let turns: Vec<_> = (0..4).map(|start| least(&[Some(0), Some(0), None], start)).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(least(&[None, None], 0), None);
        assert_eq!(least(&[], 3), None);
    }
}
