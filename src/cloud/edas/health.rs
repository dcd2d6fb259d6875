//! The health of a server, as the products say it.
//!
//! ALB and NLB name only those that are not well, each listener and rule for itself. Whoever is not named is well only where
//! somebody checks, and where as many were counted as stand there: a server that is not known yet is not named either. Of a
//! count NLB alone says nothing.

use super::api::alb::{NonNormal, Report};
use super::api::clb::Verdict;
use super::api::pool::Server;
use super::route::Frontend;
use crate::model::Health;

/// What is said of one group.
#[derive(Debug, Clone)]
pub(super) enum Checks {
    /// Who is not well, once for each listener and rule that sends traffic to the group.
    NotWell(Vec<Report>),
    /// Who is well, by the listeners that send traffic to the group.
    Said {
        /// Its listeners: each of them has to say it.
        fronts: Vec<Frontend>,
        /// Listeners of which a rule may send traffic to it: CLB does not say of which.
        perhaps: Vec<Frontend>,
        /// What is said of every server of the balancer.
        verdicts: Vec<Verdict>,
    },
}

/// The health of a server of a group, among all that stand there, and the reason where one is given.
pub(super) fn judge(server: &Server, all: &[Server], checks: &Checks) -> (Health, Option<String>) {
    if let Some(early) = standing(server) {
        return early;
    }
    match checks {
        Checks::NotWell(reports) => {
            let each = reports.iter().map(|report| of_report(server, all, report));
            worst(each)
                .unwrap_or_else(|| (Health::Unused, Some("no listener or rule leads to it".to_owned())))
        }
        Checks::Said { fronts, perhaps, verdicts } => said(server, (fronts, perhaps), verdicts),
    }
}

/// What its own entry says already.
fn standing(server: &Server) -> Option<(Health, Option<String>)> {
    match server.status.as_deref() {
        Some("Removing") => return Some((Health::Draining, None)),
        Some("Adding" | "Configuring") => return Some((Health::Initial, server.status.clone())),
        Some("Available") => {}
        _ => return Some((Health::Unavailable, Some("its state is not known".to_owned()))),
    }
    match server.weight {
        // It gets nothing new and keeps what it has: nobody puts a server in like that, but for taking it out.
        Some(0) => Some((Health::Draining, Some("its weight is 0".to_owned()))),
        Some(_) => None,
        None => Some((Health::Unavailable, Some("its weight is not known".to_owned()))),
    }
}

/// From the one that decides to the one that says least.
const RANK: [Health; 5] =
    [Health::Unhealthy, Health::Unavailable, Health::Initial, Health::Healthy, Health::Unused];

/// Several listeners check the same server, each for itself. One that gives it no traffic does not, and says nothing of it.
fn worst(all: impl Iterator<Item = (Health, Option<String>)>) -> Option<(Health, Option<String>)> {
    let rank = |health: Health| RANK.iter().position(|own| *own == health).unwrap_or(0);
    all.min_by_key(|(health, _)| rank(*health))
}

fn of_report(server: &Server, all: &[Server], report: &Report) -> (Health, Option<String>) {
    if report.health_check_enabled != Some(true) {
        return (Health::Unavailable, Some("its health is not checked".to_owned()));
    }
    if let Some(named) = report.non_normal_servers.iter().find(|named| is_same(named, server)) {
        let reason = named.reason.as_ref().and_then(|reason| reason.reason_code.clone());
        let health = match named.status.as_deref() {
            Some("Initial") => Health::Initial,
            Some("Unhealthy") => Health::Unhealthy,
            Some("Unused") => Health::Unused,
            _ => Health::Unavailable,
        };
        return (health, reason.filter(|code| !code.is_empty()));
    }
    let staying = all.iter().filter(|server| !server.is_leaving()).count();
    let counted = |count: u32| [all.len(), staying].contains(&usize::try_from(count).unwrap_or(usize::MAX));
    match report.server_count {
        Some(count) if !counted(count) => {
            let why = format!("{count} servers are counted where {staying} stand");
            return (Health::Initial, Some(why));
        }
        None if report.owes_count => {
            return (Health::Unavailable, Some("how many servers are counted is not said".to_owned()));
        }
        Some(_) | None => {}
    }
    if report.non_normal_servers.iter().any(|named| !all.iter().any(|server| is_same(named, server))) {
        return (Health::Initial, Some("somebody is not well who does not stand here".to_owned()));
    }
    (Health::Healthy, None)
}

fn is_same(named: &NonNormal, server: &Server) -> bool {
    let known = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let by_port = named.port.is_none() || named.port == server.port;
    let id = known(&named.server_id);
    let address = known(&named.server_ip);
    // Pods that share an interface are told apart by their addresses.
    if server.name() != server.server_id && address.is_some() {
        return by_port && address.as_deref() == Some(server.name());
    }
    let by_name = id.as_ref() == Some(&server.server_id)
        || address.is_some()
            && (address == known(&server.server_ip) || address.as_ref() == Some(&server.server_id));
    by_port && by_name
}

/// CLB says of each server what each listener's check found: a listener has its own check, so none speaks for another.
fn said(
    server: &Server,
    (fronts, perhaps): (&[Frontend], &[Frontend]),
    verdicts: &[Verdict],
) -> (Health, Option<String>) {
    if fronts.is_empty() && perhaps.is_empty() {
        return (Health::Unused, Some("no listener or rule leads to it".to_owned()));
    }
    let both = || fronts.iter().chain(perhaps);
    let speaks = |front: &Frontend, said: &Verdict| {
        let Some(own) = frontend(said) else { return false };
        // One that does not say whose it is may be the other listener's of the same port.
        let told = !own.protocol.is_empty() || both().filter(|other| other.port == own.port).count() == 1;
        told && front.may_be(&own)
    };
    let address = server.server_ip.as_deref().filter(|ip| !ip.is_empty());
    let own = verdicts.iter().filter(|said| {
        let by_address = address.is_some() && said.server_ip.as_deref() == address;
        // Pods that share an interface are told apart by their addresses: none of them answers for another.
        let by_id = server.name() == server.server_id && said.server_id == server.server_id;
        let named = by_id || by_address;
        named
            && both().any(|front| speaks(front, said))
            && (server.port.is_none() || said.port == server.port)
    });
    let own: Vec<_> = own.collect();
    let silent = fronts.iter().find(|front| !own.iter().any(|said| speaks(front, said)));
    if let Some(front) = silent {
        return (Health::Initial, Some(format!("the listener of port {front} says nothing of it")));
    }
    let each = own.into_iter().map(|said| match said.server_health_status.as_deref() {
        Some("normal") => (Health::Healthy, None),
        Some("abnormal") => (Health::Unhealthy, None),
        other => (Health::Unavailable, other.map(str::to_owned)),
    });
    worst(each).unwrap_or((Health::Initial, None))
}

fn frontend(said: &Verdict) -> Option<Frontend> {
    Some(Frontend::new(said.listener_port?, said.protocol.as_deref()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(id: &str, status: &str, weight: u32) -> Server {
        let text = json!({ "ServerGroupId": "sgp-1", "ServerId": id, "ServerIp": format!("10.0.0.{}", &id[2..]),
            "Port": 8080, "Weight": weight, "Status": status });
        serde_json::from_value(text).unwrap()
    }

    fn report(count: Option<u32>, enabled: &serde_json::Value, named: &serde_json::Value) -> Report {
        let text = json!({ "ServerGroupId": "sgp-1", "ServerCount": count, "HealthCheckEnabled": enabled,
            "NonNormalServers": named });
        serde_json::from_value(text).unwrap()
    }

    fn health(server: &Server, all: &[Server], reports: Vec<Report>) -> Health {
        judge(server, all, &Checks::NotWell(reports)).0
    }

    #[test]
    fn a_server_that_nobody_names_is_well_only_where_it_is_checked_and_counted() {
        let all = [server("i-1", "Available", 100), server("i-2", "Available", 100)];
        let on = json!("on");
        let none = json!([]);
        assert_eq!(health(&all[0], &all, vec![report(Some(2), &on, &none)]), Health::Healthy);
        let uncounted = report(None, &json!(true), &none);
        assert_eq!(health(&all[0], &all, vec![uncounted.clone()]), Health::Healthy, "NLB");
        let of_alb = |report: Report| Report { owes_count: true, ..report };
        assert_eq!(health(&all[0], &all, vec![of_alb(report(Some(2), &on, &none))]), Health::Healthy, "ALB");
        // Whoever is named needs no count to be known, and whoever is not is told by it alone.
        let named = json!([{ "ServerId": "i-2", "Port": 8080, "Status": "Unhealthy" }]);
        assert_eq!(health(&all[1], &all, vec![of_alb(report(None, &on, &named))]), Health::Unhealthy);
        assert_eq!(health(&all[0], &all, vec![of_alb(report(None, &on, &named))]), Health::Unavailable);
        for (reports, expected) in [
            (vec![], Health::Unused),
            (vec![report(Some(1), &on, &none)], Health::Initial),
            (vec![report(Some(0), &on, &none)], Health::Initial),
            (vec![of_alb(uncounted.clone())], Health::Unavailable),
            (vec![of_alb(report(Some(2), &on, &none)), of_alb(uncounted.clone())], Health::Unavailable),
            (vec![of_alb(report(Some(1), &on, &none))], Health::Initial),
            (vec![report(Some(2), &json!("off"), &none)], Health::Unavailable),
            (vec![report(Some(2), &json!(false), &none)], Health::Unavailable),
            (vec![report(Some(2), &json!(null), &none)], Health::Unavailable),
        ] {
            assert_eq!(health(&all[0], &all, reports.clone()), expected, "{reports:?}");
        }
    }

    #[test]
    fn who_is_named_is_not_well_and_one_bad_word_of_any_listener_decides() {
        let all = [server("i-1", "Available", 100), server("i-2", "Available", 100)];
        let says = |status: &str| {
            let named = json!([{ "ServerId": "i-1", "Port": 8080, "Status": status }]);
            report(Some(2), &json!("on"), &named)
        };
        let well = || report(Some(2), &json!("on"), &json!([]));
        for (status, expected) in [
            ("Initial", Health::Initial),
            ("Unhealthy", Health::Unhealthy),
            ("Unused", Health::Unused),
            ("Unavailable", Health::Unavailable),
            ("Whatever", Health::Unavailable),
        ] {
            assert_eq!(health(&all[0], &all, vec![says(status)]), expected);
            assert_eq!(health(&all[1], &all, vec![says(status)]), Health::Healthy);
        }
        assert_eq!(health(&all[0], &all, vec![well(), says("Unhealthy")]), Health::Unhealthy);
        // A rule that gives it nothing does not check it, and another one does.
        assert_eq!(health(&all[0], &all, vec![says("Unused"), well()]), Health::Healthy);
    }

    #[test]
    fn who_is_named_by_address_is_known_and_a_stranger_makes_nobody_well() {
        let all = [server("i-1", "Available", 100)];
        let named = json!([{ "ServerIp": "10.0.0.1", "Port": 8080, "Status": "Unhealthy" }]);
        assert_eq!(health(&all[0], &all, vec![report(Some(1), &json!("on"), &named)]), Health::Unhealthy);
        let stranger = json!([{ "ServerId": "eni-7", "Port": 8080, "Status": "Unhealthy" }]);
        assert_eq!(health(&all[0], &all, vec![report(Some(1), &json!("on"), &stranger)]), Health::Initial);
    }

    #[test]
    fn who_comes_goes_or_gets_nothing_is_not_well() {
        for (status, weight, expected) in [
            ("Adding", 100, Health::Initial),
            ("Configuring", 100, Health::Initial),
            ("Removing", 100, Health::Draining),
            ("Available", 0, Health::Draining),
            ("Whatever", 100, Health::Unavailable),
        ] {
            let all = [server("i-1", status, weight)];
            assert_eq!(health(&all[0], &all, vec![report(Some(1), &json!("on"), &json!([]))]), expected);
        }
    }

    #[test]
    fn a_server_of_a_clb_is_well_where_every_listener_says_normal() {
        let all = [server("i-1", "Available", 100)];
        let verdict = |port: u32, status: &str| {
            let text = json!({ "ServerId": "i-1", "Port": 8080, "ListenerPort": port, "Protocol": "http",
                "ServerHealthStatus": status });
            serde_json::from_value::<Verdict>(text).unwrap()
        };
        let fronts = |ports: &[u32]| ports.iter().map(|port| Frontend::new(*port, Some("http"))).collect();
        let health = |ports: &[u32], verdicts: Vec<Verdict>| {
            let (fronts, perhaps) = (fronts(ports), Vec::new());
            judge(&all[0], &all, &Checks::Said { fronts, perhaps, verdicts }).0
        };
        // A listener that says nothing is answered for by no other one.
        assert_eq!(health(&[80, 81], vec![verdict(80, "normal")]), Health::Initial);
        let perhaps = |verdicts: Vec<Verdict>| {
            let (fronts, perhaps) = (Vec::new(), fronts(&[80, 81]));
            judge(&all[0], &all, &Checks::Said { fronts, perhaps, verdicts }).0
        };
        assert_eq!(perhaps(vec![verdict(80, "normal")]), Health::Healthy);
        assert_eq!(perhaps(vec![]), Health::Initial);
        assert_eq!(health(&[80], vec![verdict(80, "normal"), verdict(81, "abnormal")]), Health::Healthy);
        assert_eq!(
            health(&[80, 81], vec![verdict(80, "normal"), verdict(81, "abnormal")]),
            Health::Unhealthy
        );
        assert_eq!(health(&[80], vec![verdict(80, "unavailable")]), Health::Unavailable);
        assert_eq!(health(&[80], vec![]), Health::Initial);
        assert_eq!(health(&[], vec![verdict(80, "normal")]), Health::Unused);
    }

    #[test]
    fn two_listeners_of_one_port_speak_each_for_itself() {
        let all = [server("i-1", "Available", 100)];
        let verdict = |protocol: Option<&str>, status: &str| {
            let text = json!({ "ServerId": "i-1", "Port": 8080, "ListenerPort": 53, "Protocol": protocol,
                "ServerHealthStatus": status });
            serde_json::from_value::<Verdict>(text).unwrap()
        };
        let health = |protocols: &[Option<&str>], verdicts: Vec<Verdict>| {
            let fronts = protocols.iter().map(|protocol| Frontend::new(53, *protocol)).collect();
            judge(&all[0], &all, &Checks::Said { fronts, perhaps: Vec::new(), verdicts }).0
        };
        let (tcp, udp) = (Some("tcp"), Some("udp"));
        let well = |protocol| verdict(protocol, "normal");
        for (fronts, verdicts, expected) in [
            (&[tcp, udp][..], vec![well(tcp), well(udp)], Health::Healthy),
            (&[tcp, udp], vec![well(tcp)], Health::Initial),
            (&[tcp, udp], vec![well(tcp), verdict(udp, "abnormal")], Health::Unhealthy),
            (&[tcp, udp], vec![well(None), well(None)], Health::Initial),
            // The other listener of the port is somebody else's.
            (&[tcp], vec![well(tcp), verdict(udp, "abnormal")], Health::Healthy),
            (&[tcp], vec![well(udp)], Health::Initial),
            (&[Some("TCP")], vec![well(tcp)], Health::Healthy),
            (&[tcp], vec![well(None)], Health::Healthy),
            (&[None], vec![well(tcp)], Health::Healthy),
        ] {
            assert_eq!(health(fronts, verdicts.clone()), expected, "{fronts:?} {verdicts:?}");
        }
    }
}
