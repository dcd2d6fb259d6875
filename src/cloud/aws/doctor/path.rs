//! Whether security groups let a load balancer, and the clients behind it, through to a port.

use std::collections::BTreeSet;

use crate::cloud::cidr::Cidr;
use crate::cloud::firewall::{Port, SecurityGroup, Source, named, opens, range, sources};

/// Who has to come through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Callers {
    /// The nodes of a load balancer: by one of its security groups, or from all of these ranges.
    Nodes {
        /// The balancer's security groups.
        groups: BTreeSet<String>,
        /// Where its nodes have their addresses.
        ranges: BTreeSet<String>,
    },
    /// Clients, whose own addresses arrive. Only these are known; where there are none, anybody may be a client.
    Clients {
        /// What is known to be behind the balancer: its own network.
        ranges: BTreeSet<String>,
    },
}

/// Whether they come through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Open,
    /// Some do, and nobody can tell from here whether all do.
    Unsure(String),
    /// No.
    Closed(String),
}

/// Whether any of the security groups lets the callers through.
pub(super) fn judge(groups: &[&SecurityGroup], port: Port, callers: &Callers) -> Verdict {
    let sources = sources(groups, port);
    let ranges: Vec<_> = sources.iter().filter_map(range).collect();
    let covered = |wanted: &BTreeSet<String>| {
        let covers = |wanted: &String| {
            Cidr::read(wanted).is_some_and(|wanted| ranges.iter().any(|range| range.covers(wanted)))
        };
        !wanted.is_empty() && wanted.iter().all(covers)
    };
    let lists = || sources.iter().any(|source| matches!(source, Source::PrefixList(_)));
    match callers {
        Callers::Nodes { groups, .. }
            if sources.iter().any(|source| matches!(source, Source::Group(id) if groups.contains(id))) =>
        {
            Verdict::Open
        }
        Callers::Nodes { ranges, .. } if covered(ranges) => Verdict::Open,
        Callers::Clients { ranges } if covered(ranges) => Verdict::Open,
        Callers::Clients { .. } if ranges.iter().any(|range| range.is_everything()) => Verdict::Open,
        _ if sources.is_empty() => Verdict::Closed("no rule opens the port to anybody".to_owned()),
        _ if lists() => {
            Verdict::Unsure(format!("prefix lists are not looked into; it is open to {}", named(&sources)))
        }
        Callers::Nodes { .. } => Verdict::Closed(format!("it is open to {} only", named(&sources))),
        Callers::Clients { .. } => Verdict::Unsure(format!(
            "it is open to {} only, and the addresses of clients arrive as they are",
            named(&sources)
        )),
    }
}

/// Whether a balancer's own security groups let it out to these. A range may be theirs or not, and counts.
pub(super) fn leaves(balancer: &[&SecurityGroup], targets: &[&SecurityGroup], port: Port) -> bool {
    let Some(rules) = balancer.iter().map(|group| group.outbound.as_deref()).collect::<Option<Vec<_>>>()
    else {
        return true; // Not said.
    };
    let open = rules.into_iter().flatten().filter(|rule| opens(rule, port));
    let mut sources = open.flat_map(|rule| &rule.sources);
    balancer.is_empty()
        || sources.any(|source| match source {
            Source::Cidr(_) | Source::PrefixList(_) => true,
            Source::Group(id) => targets.iter().any(|target| target.id == *id),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::firewall::Rule;

    type Opening<'a> = (&'a str, Option<(u16, u16)>, Source);

    fn group(rules: &[Opening<'_>]) -> SecurityGroup {
        let rule = |(protocol, ports, source): &Opening<'_>| Rule {
            protocol: (*protocol).to_owned(),
            ports: *ports,
            sources: vec![source.clone()],
        };
        SecurityGroup {
            id: "sg-1".into(),
            name: "web".into(),
            inbound: rules.iter().map(rule).collect(),
            outbound: None,
        }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const PORT: Port = Port { number: 8080, udp: false };

    #[test]
    fn a_balancer_comes_through_by_its_group_or_from_all_of_its_subnets() {
        let cidr = |text: &str| Source::Cidr(text.into());
        let callers =
            Callers::Nodes { groups: set(&["sg-lb"]), ranges: set(&["10.0.1.0/24", "10.0.2.0/24"]) };
        let open = |rules: &[_]| judge(&[&group(rules)], PORT, &callers) == Verdict::Open;
        assert!(open(&[("tcp", Some((8080, 8080)), Source::Group("sg-lb".into()))]));
        assert!(open(&[("-1", None, cidr("10.0.0.0/16"))]));
        assert!(open(&[
            ("tcp", Some((1, 65_535)), cidr("10.0.1.0/24")),
            ("6", Some((8080, 8081)), cidr("10.0.2.0/24"))
        ]));
        assert!(!open(&[("tcp", Some((8080, 8080)), cidr("10.0.1.0/24"))]), "one subnet is left out");
        assert!(!open(&[("tcp", Some((9090, 9090)), cidr("0.0.0.0/0"))]), "another port");
        assert!(!open(&[("udp", Some((8080, 8080)), cidr("0.0.0.0/0"))]), "another protocol");
        assert!(!open(&[("tcp", Some((8080, 8080)), Source::Group("sg-other".into()))]));
        assert!(!open(&[]));
        let listed = judge(&[&group(&[("tcp", None, Source::PrefixList("pl-1".into()))])], PORT, &callers);
        assert!(matches!(listed, Verdict::Unsure(_)), "{listed:?}");
    }

    #[test]
    fn a_balancer_must_be_let_out_too() {
        let out = |source: Source| {
            let rule = Rule { protocol: "tcp".into(), ports: Some((8080, 8080)), sources: vec![source] };
            SecurityGroup { outbound: Some(vec![rule]), ..group(&[]) }
        };
        let target = SecurityGroup { id: "sg-web".into(), ..group(&[]) };
        let leaves = |balancer: &SecurityGroup| leaves(&[balancer], &[&target], PORT);
        assert!(leaves(&out(Source::Group("sg-web".into()))));
        assert!(leaves(&out(Source::Cidr("10.0.0.0/8".into()))));
        assert!(leaves(&group(&[])), "nobody said what it lets out");
        assert!(!leaves(&out(Source::Group("sg-other".into()))));
        assert!(!leaves(&SecurityGroup { outbound: Some(vec![]), ..group(&[]) }));
    }

    #[test]
    fn clients_whose_addresses_arrive_must_be_let_in_themselves() {
        let callers = Callers::Clients { ranges: set(&["10.0.1.0/24"]) };
        let rule = |source| group(&[("tcp", Some((8080, 8080)), source)]);
        let verdict = |source| judge(&[&rule(source)], PORT, &callers);
        assert_eq!(verdict(Source::Cidr("0.0.0.0/0".into())), Verdict::Open);
        assert_eq!(verdict(Source::Cidr("10.0.0.0/8".into())), Verdict::Open);
        assert!(matches!(verdict(Source::Cidr("192.168.0.0/16".into())), Verdict::Unsure(_)));
        assert!(matches!(judge(&[], PORT, &callers), Verdict::Closed(_)));
        let anybody = Callers::Clients { ranges: BTreeSet::new() };
        assert!(matches!(
            judge(&[&rule(Source::Cidr("10.0.0.0/8".into()))], PORT, &anybody),
            Verdict::Unsure(_)
        ));
    }
}
