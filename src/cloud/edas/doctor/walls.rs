//! Whom security groups let in on a port, when some of their rules keep out.
//!
//! The rules of all groups of an instance are taken together: the lower number of 1 to 100 is asked first, and of two with
//! the same the one that drops (ECS user guide, 2026-11). So a rule that lets in may stand under one that does not.

use std::collections::BTreeSet;

use super::super::api::ecs::Entry;
use crate::cloud::cidr::Cidr;
use crate::cloud::firewall::{Port, Source, opens, range};

/// What becomes of those who come to a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Who is let in.
    pub open: BTreeSet<Source>,
    /// Who of those is kept out all the same, by a rule that is asked before.
    pub holes: BTreeSet<Source>,
    /// Who would be let in, if no rule before that kept all of them out.
    pub hidden: BTreeSet<Source>,
}

impl Way {
    /// Through all of these groups' rules.
    pub fn through<'a>(rules: impl IntoIterator<Item = &'a Entry>, port: Port) -> Self {
        let mut asked: Vec<&Entry> = rules.into_iter().filter(|entry| opens(&entry.rule, port)).collect();
        asked.sort_by_key(|entry| (entry.priority, !entry.drops));
        let (mut way, mut dropped) = (Self::default(), BTreeSet::new());
        for (entry, source) in
            asked.iter().flat_map(|entry| entry.rule.sources.iter().map(move |own| (entry, own)))
        {
            if entry.drops {
                // Whoever was let in before is not asked about again.
                if !covered(&way.open, source) {
                    dropped.insert(source.clone());
                }
            } else if covered(&dropped, source) {
                way.hidden.insert(source.clone());
            } else {
                way.holes.extend(dropped.iter().filter(|own| meets(own, source)).cloned());
                way.open.insert(source.clone());
            }
        }
        way.hidden.retain(|source| !covered(&way.open, source));
        way
    }

    /// Those whom any of the others lets in and this one does not.
    pub fn lacks(&self, others: &[Self]) -> BTreeSet<Source> {
        let wanted = others.iter().flat_map(|other| other.open.iter());
        let shut = wanted.filter(|source| !covered(&self.open, source)).cloned();
        let passes = |hole: &Source| {
            others.iter().any(|other| {
                other.open.iter().any(|source| meets(source, hole)) && !covered(&other.holes, hole)
            })
        };
        shut.chain(self.holes.iter().filter(|hole| passes(hole)).cloned()).collect()
    }
}

/// Whether all of a source is among these, by itself or in a wider range.
fn covered(sources: &BTreeSet<Source>, source: &Source) -> bool {
    let mut ranges = sources.iter().filter_map(range);
    sources.contains(source)
        || match source {
            Source::Cidr(text) => {
                Cidr::read(text).is_some_and(|wanted| ranges.any(|range| range.covers(wanted)))
            }
            Source::PrefixList(_) | Source::Group(_) => ranges.any(Cidr::is_everything),
        }
}

/// Whether somebody may belong to both. Who is in a group or on a list is not known here.
fn meets(one: &Source, other: &Source) -> bool {
    match (range(one), range(other)) {
        (Some(one), Some(other)) => one.covers(other) || other.covers(one),
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::firewall::Rule;

    fn entry(priority: u32, drops: bool, source: &str) -> Entry {
        let sources = vec![match source.strip_prefix("sg-") {
            Some(_) => Source::Group(source.to_owned()),
            None => Source::Cidr(source.to_owned()),
        }];
        Entry { rule: Rule { protocol: "tcp".into(), ports: Some((8080, 8080)), sources }, drops, priority }
    }

    fn way(rules: &[(u32, bool, &str)]) -> Way {
        let rules: Vec<_> =
            rules.iter().map(|(priority, drops, source)| entry(*priority, *drops, source)).collect();
        Way::through(&rules, Port { number: 8080, udp: false })
    }

    fn texts(sources: &BTreeSet<Source>) -> Vec<String> {
        let text = |source: &Source| match source {
            Source::Cidr(text) | Source::PrefixList(text) | Source::Group(text) => text.clone(),
        };
        sources.iter().map(text).collect()
    }

    #[test]
    fn a_rule_that_drops_is_asked_before_one_with_the_same_or_a_higher_number() {
        for (drop, open) in [(1, false), (10, false), (11, true)] {
            let way = way(&[(10, false, "10.0.0.0/8"), (drop, true, "0.0.0.0/0")]);
            assert_eq!(way.open.is_empty(), !open, "{drop}");
            assert_eq!(way.hidden.is_empty(), open, "{drop}");
        }
        assert_eq!(way(&[(1, true, "192.168.0.0/16"), (1, false, "10.0.0.0/8")]).holes, BTreeSet::new());
        assert_eq!(way(&[(1, true, "0.0.0.0/0"), (2, false, "sg-1")]).open, BTreeSet::new());
    }

    #[test]
    fn a_rule_that_drops_a_part_leaves_a_hole_unless_the_part_was_let_in_before() {
        let holed = way(&[(1, true, "10.1.0.0/16"), (2, false, "10.0.0.0/8")]);
        assert_eq!(
            (texts(&holed.open), texts(&holed.holes)),
            (vec!["10.0.0.0/8".into()], vec!["10.1.0.0/16".into()])
        );
        let before = way(&[(1, false, "10.1.0.0/16"), (2, true, "10.1.0.0/16"), (3, false, "10.0.0.0/8")]);
        assert_eq!(before.holes, BTreeSet::new());
    }

    #[test]
    fn what_one_lets_in_and_the_other_does_not_is_lacking_holes_too() {
        let plain = way(&[(1, false, "10.0.0.0/8")]);
        let holed = way(&[(1, true, "10.1.0.0/16"), (2, false, "10.0.0.0/8")]);
        let hidden = way(&[(1, true, "10.0.0.0/8"), (2, false, "10.0.0.0/8")]);
        let lacks = |own: &Way, others: &[&Way]| {
            texts(&own.lacks(&others.iter().map(|way| (*way).clone()).collect::<Vec<_>>()))
        };
        assert_eq!(lacks(&holed, &[&plain]), ["10.1.0.0/16"]);
        assert_eq!(lacks(&hidden, &[&plain]), ["10.0.0.0/8"]);
        assert!(lacks(&holed, &[&holed]).is_empty() && lacks(&plain, &[&holed]).is_empty());
        assert_eq!(lacks(&holed, &[&holed, &plain]), ["10.1.0.0/16"]);
        let (net, host) = (way(&[(1, false, "10.0.0.0/8")]), way(&[(1, false, "10.0.0.5/32")]));
        let (all, group) = (way(&[(1, false, "0.0.0.0/0")]), way(&[(1, false, "sg-1")]));
        assert!(lacks(&net, &[&host, &net]).is_empty() && lacks(&all, &[&net, &group]).is_empty());
        assert_eq!(lacks(&host, &[&net]), ["10.0.0.0/8"]);
        assert_eq!(lacks(&net, &[&group]), ["sg-1"]);
    }
}
