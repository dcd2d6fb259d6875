//! Security groups: what they let in, as every cloud has them.

use std::collections::BTreeSet;

use super::cidr::Cidr;

/// A security group, as far as it lets anything in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud) struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it lets in.
    pub inbound: Vec<Rule>,
    /// What it lets out; none where the answer does not say.
    pub outbound: Option<Vec<Rule>>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cloud) struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub protocol: String,
    /// The lowest and the highest port; none where the protocol has no ports or all are meant.
    pub ports: Option<(u16, u16)>,
    /// Who may come, or where to.
    pub sources: Vec<Source>,
}

/// The other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cloud) enum Source {
    /// Addresses, of either family.
    Cidr(String),
    /// A prefix list, `pl-…`.
    PrefixList(String),
    /// Interfaces in a security group, `sg-…`.
    Group(String),
}

/// A port that must be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub number: u16,
    pub udp: bool,
}

/// Whom the security groups let in on a port.
pub(super) fn sources(groups: &[&SecurityGroup], port: Port) -> BTreeSet<Source> {
    let rules = groups.iter().flat_map(|group| &group.inbound).filter(|rule| opens(rule, port));
    rules.flat_map(|rule| rule.sources.iter().cloned()).collect()
}

/// Whether a rule speaks of a port.
pub(super) fn opens(rule: &Rule, port: Port) -> bool {
    let (name, number) = if port.udp { ("udp", "17") } else { ("tcp", "6") };
    let speaks = rule.protocol == name || rule.protocol == number;
    let reaches = rule.ports.is_none_or(|(low, high)| (low..=high).contains(&port.number));
    rule.protocol == "-1" || (speaks && reaches)
}

/// Its addresses, where it names some.
pub(super) fn range(source: &Source) -> Option<Cidr> {
    match source {
        Source::Cidr(text) => Cidr::read(text),
        Source::PrefixList(_) | Source::Group(_) => None,
    }
}

/// Some sources, for people.
pub(super) fn named<'a>(sources: impl IntoIterator<Item = &'a Source>) -> String {
    let names: Vec<_> = sources
        .into_iter()
        .map(|source| match source {
            Source::Cidr(name) | Source::PrefixList(name) | Source::Group(name) => format!("`{name}`"),
        })
        .collect();
    names.join(", ")
}
