//! Whole weights of servers in one group, chosen so that one fleet gets its share.

use super::Share;

/// The heaviest weight of a server.
pub const WEIGHT_MAX: u32 = 100;
/// How far a share may be off, in percent, before the others' own weights are touched for it.
const NEAR: u64 = 1;
const NEAR_OF: u64 = 2;

/// The weights of two fleets in one group, in the order in which their servers were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// Of the fleet that gets the share.
    pub own: Vec<u32>,
    /// Of the fleet that gets the rest.
    pub others: Vec<u32>,
}

impl Weights {
    /// The share that they really make.
    #[must_use]
    pub fn share(&self) -> Share {
        share_of(sum(&self.own), sum(&self.others))
    }
}

fn sum(weights: &[u32]) -> u64 {
    weights.iter().copied().map(u64::from).sum()
}

/// What a sum of weights gets beside another one, to the nearest percent. Never said to be nothing, or everything, unless
/// it is.
#[must_use]
pub fn share_of(own: u64, others: u64) -> Share {
    let percent = match (own, others) {
        (0, _) => 0,
        (_, 0) => 100,
        _ => ((own * 200 + own + others) / (2 * (own + others))).clamp(1, 99),
    };
    Share::new(percent).unwrap_or_default()
}

/// Weights that come as near to a share as whole numbers allow, and not below it where they can. Whoever gets the share
/// keeps at least 1 with each server, for who has 0 is not checked. The others keep their own weights where that is near
/// enough, and else their proportions; 0 is left to one of them only where nothing else comes as high.
#[must_use]
pub fn nearest(share: Share, servers: usize, others: &[u32]) -> Weights {
    let want = u64::from(share.percent());
    let (least, there) = (servers as u64, others.len() as u64);
    if servers == 0 || others.is_empty() {
        return Weights { own: vec![WEIGHT_MAX; servers], others: others.to_vec() };
    }
    let most = u64::from(WEIGHT_MAX);
    let kept = sum(others);
    let as_they_are = (least..=least * most).map(|own| Try::new(own, kept, kept, want, there));
    let as_they_are = as_they_are.min_by(Try::compare).filter(Try::is_near);
    let best = as_they_are.or_else(|| {
        let any = (least..=least * most).flat_map(|own| {
            let ideal = (own * (100 - want)).checked_div(want).unwrap_or(there * most);
            let rest = [ideal, ideal + 1].map(|rest| rest.clamp(1, there * most));
            rest.map(|rest| Try::new(own, rest, kept, want, there))
        });
        any.min_by(Try::compare)
    });
    let (own, rest) = best.map_or((least, kept), |best| (best.own, best.rest));
    Weights { own: spread(own, &vec![1; servers]), others: spread(rest, others) }
}

/// Two sums of weights, and what is to be said for them.
#[derive(Debug, Clone, Copy)]
struct Try {
    own: u64,
    rest: u64,
    /// Whether the share is below what is asked for.
    below: bool,
    /// Whether somebody of the others is left with 0.
    leaves_out: bool,
    /// How far it is off, in hundredths of `own + rest`.
    off: u64,
    /// How far the others are from their own weights.
    moved: u64,
}

impl Try {
    fn new(own: u64, rest: u64, kept: u64, want: u64, others: u64) -> Self {
        Self {
            own,
            rest,
            below: u64::from(share_of(own, rest).percent()) < want,
            leaves_out: rest < others,
            off: (own * 100).abs_diff(want * (own + rest)),
            moved: rest.abs_diff(kept),
        }
    }

    fn is_near(&self) -> bool {
        !self.below && self.off * NEAR_OF <= NEAR * (self.own + self.rest)
    }

    fn compare(one: &Self, two: &Self) -> std::cmp::Ordering {
        // Where nothing reaches the share, the nearest is the highest.
        let off = |a: &Self, b: &Self| (a.off * (b.own + b.rest)).cmp(&(b.off * (a.own + a.rest)));
        let last = |a: &Self| (a.moved, a.own);
        (one.below, one.leaves_out)
            .cmp(&(two.below, two.leaves_out))
            .then_with(|| off(one, two))
            .then_with(|| last(one).cmp(&last(two)))
    }
}

/// A sum over servers, as nearly as whole numbers allow in these proportions.
fn spread(whole: u64, like: &[u32]) -> Vec<u32> {
    let all = sum(like).max(1);
    let low = u64::from(whole >= like.len() as u64);
    let due = |weight: u32| whole * u64::from(weight);
    let mut given: Vec<u64> =
        like.iter().map(|weight| (due(*weight) / all).clamp(low, u64::from(WEIGHT_MAX))).collect();
    // Whoever is furthest below its due is next, and whoever is furthest above it gives.
    let short = |given: &[u64], n: usize| i128::from(due(like[n])) - i128::from(given[n] * all);
    for _ in 0..whole.max(like.len() as u64) {
        let now: u64 = given.iter().sum();
        let who = match now.cmp(&whole) {
            std::cmp::Ordering::Equal => break,
            std::cmp::Ordering::Less => (0..like.len())
                .filter(|n| given[*n] < u64::from(WEIGHT_MAX))
                .max_by_key(|n| (short(&given, *n), std::cmp::Reverse(*n)))
                .map(|n| (n, given[n] + 1)),
            std::cmp::Ordering::Greater => (0..like.len())
                .filter(|n| given[*n] > low)
                .min_by_key(|n| (short(&given, *n), *n))
                .map(|n| (n, given[n] - 1)),
        };
        let Some((n, weight)) = who else { break };
        given[n] = weight;
    }
    given.into_iter().map(|weight| u32::try_from(weight).unwrap_or(WEIGHT_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(percent: u64, servers: usize, others: &[u32]) -> (Vec<u32>, Vec<u32>, u8) {
        let weights = nearest(Share::new(percent).unwrap(), servers, others);
        let share = weights.share().percent();
        (weights.own, weights.others, share)
    }

    #[test]
    fn equal_fleets_share_without_a_touch_of_the_others_up_to_a_half() {
        assert_eq!(made(1, 2, &[100, 100]), (vec![1, 1], vec![100, 100], 1));
        assert_eq!(made(10, 2, &[100, 100]), (vec![11, 11], vec![100, 100], 10));
        assert_eq!(made(50, 2, &[100, 100]), (vec![100, 100], vec![100, 100], 50));
        assert_eq!(made(75, 2, &[100, 100]), (vec![99, 99], vec![33, 33], 75));
    }

    #[test]
    fn unequal_fleets_share_as_nearly_as_whole_weights_allow() {
        assert_eq!(made(50, 2, &[100, 100, 100, 100]).2, 50);
        assert_eq!(made(50, 1, &[100, 100, 100]), (vec![100], vec![34, 33, 33], 50));
        assert_eq!(made(10, 3, &[100]).2, 10);
        // Ten beside one cannot enter with less.
        assert_eq!(made(1, 10, &[100]), (vec![1; 10], vec![100], 9));
        assert_eq!(made(1, 2, &[1, 1]), (vec![1, 1], vec![99, 99], 1));
    }

    #[test]
    fn the_others_keep_their_proportions() {
        assert_eq!(made(80, 2, &[100, 50]), (vec![100, 100], vec![33, 17], 80));
        assert_eq!(made(50, 2, &[60, 20]), (vec![40, 40], vec![60, 20], 50));
    }

    #[test]
    fn somebody_is_left_out_only_where_nothing_else_comes_as_high() {
        assert_eq!(made(97, 1, &[100, 100, 100]), (vec![97], vec![1, 1, 1], 97));
        let (own, others, share) = made(98, 1, &[100, 100, 100]);
        assert_eq!((own, others, share), (vec![98], vec![1, 1, 0], 98));
        assert_eq!(made(99, 1, &[100; 5]), (vec![99], vec![1, 0, 0, 0, 0], 99));
    }

    #[test]
    fn whatever_is_asked_of_whomever_nobody_of_the_fleet_has_nothing_and_the_share_is_reached() {
        for (servers, others) in
            [(1, vec![100]), (2, vec![100, 1]), (3, vec![7]), (1, vec![40; 7]), (7, vec![3, 9])]
        {
            let mut last = 0;
            for percent in 1..100 {
                let (own, rest, share) = made(percent, servers, &others);
                assert!(own.iter().all(|weight| (1..=100).contains(weight)), "{own:?}");
                assert!(rest.iter().all(|weight| *weight <= 100) && rest.iter().any(|weight| *weight > 0));
                assert!(
                    u64::from(share) >= percent && share >= last,
                    "{servers} {others:?} {percent}: {share}"
                );
                last = share;
            }
        }
        assert!(made(50, 200, &[100; 200]).2 == 50);
    }
}
