//! A service on Alibaba Cloud, as its file says it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fault::{Wrong, shown};
use super::layer::usual;
use super::reader::Fields;
use super::settled_edas::{
    DeployGroups, EdasFleets, EdasGroup, EdasServers, EdasSpec, Hosts, Kubernetes, ShareBy,
};
use super::table_edas::{EDAS, KUBERNETES};
use crate::model::GroupId;

/// Reads it; everything in it is looked at, whatever is wrong before. `None` has said why.
pub(super) fn read(fields: &Fields<'_>) -> Option<EdasSpec> {
    let (account, region) =
        (fields.digits("account"), fields.name::<crate::model::EnvironmentName>("region"));
    let fleets = fleets(fields);
    let span = |name| match fields.value(name) {
        None => Some(usual(&EDAS, name)),
        Some(_) => fields.span(name),
    };
    let (call_timeout, pace) = (span("call_timeout"), span("pace"));
    let port = port(fields);
    let groups = groups(fields, port);
    port?;
    if matches!(fleets, Some(EdasFleets::Kubernetes(_))) {
        refuse_shared(fields, groups.as_ref()?);
    }
    Some(EdasSpec {
        account: account?,
        region: region?.to_string(),
        fleets: fleets?,
        call_timeout: call_timeout?,
        pace: pace?,
        groups: groups?,
    })
}

/// What the two forms of a fleet need beside each other, and what only one of them has.
const OF_GROUPS: [&str; 3] = ["application", "hosts", "package"];

fn fleets(fields: &Fields<'_>) -> Option<EdasFleets> {
    let inside = fields.place("fleets");
    let (application, hosts, package) = (
        fields.label("application"),
        fields.place("hosts").and_then(|fields| self::hosts(&fields)),
        fields.label("package").and_then(|text| self::package(fields, text)),
    );
    let inside = inside?;
    if inside.value("kubernetes").is_none() {
        let pair = inside.pair("pair")?;
        let absent = OF_GROUPS.iter().filter(|key| !fields.names(key));
        absent.for_each(|key| {
            let doc = EDAS.key(key).map_or("", |key| key.doc);
            let wrong = Wrong::new(fields.at.clone(), format!("`{key}` is missing here"));
            fields.reader.refuse(wrong.hint(doc));
        });
        let (application, hosts, package) = (application?, hosts?, package?);
        return Some(EdasFleets::Groups(DeployGroups { application, pair, hosts, package }));
    }
    for at in OF_GROUPS.iter().filter_map(|key| Some((key, fields.key_at(key)?))) {
        let wrong =
            Wrong::new(at.1, format!("`{}` is for deploy groups, and the fleets are on Kubernetes", at.0));
        fields.reader.refuse(wrong.hint("leave it out, or write `fleets: { pair: [A, B] }`"));
    }
    let inside = inside.place("kubernetes")?;
    let (applications, image) = (inside.pair("applications"), image(&inside));
    let nodes_serve_others = match inside.value("nodes_serve_others") {
        None => Some(usual(&KUBERNETES, "nodes_serve_others")),
        Some(_) => inside.flag("nodes_serve_others"),
    };
    Some(EdasFleets::Kubernetes(Kubernetes {
        applications: applications?,
        image: image?,
        nodes_serve_others: nodes_serve_others?,
    }))
}

/// An image that is the same for every revision would roll out what runs already.
fn image(fields: &Fields<'_>) -> Option<String> {
    let (text, node) = (fields.label("image")?, fields.value("image")?);
    if text.matches("{revision}").count() == 1 {
        return Some(text);
    }
    let message = format!("`{}` does not say once where the revision stands", shown(&text));
    let hint = "write `REGISTRY/NAMESPACE/NAME:{revision}`";
    fields.reader.refuse(Wrong::new(node.at.clone(), message).hint(hint));
    None
}

/// Who stands in a server group is the cluster's business there: nobody can move pods from one into another.
fn refuse_shared(fields: &Fields<'_>, groups: &BTreeMap<GroupId, EdasGroup>) {
    for (id, _) in groups.iter().filter(|(_, group)| group.servers.twins().is_none()) {
        let at = fields.key_at("groups").unwrap_or(fields.at.clone());
        let message = format!(
            "`{id}` is one server group for both fleets, and the cluster decides which pods stand in it"
        );
        let hint = "write `nlb_twins`, `clb_twins` or `alb_twins`: a server group for each application";
        fields.reader.refuse(Wrong::new(at, message).hint(hint));
    }
}

fn port(fields: &Fields<'_>) -> Option<u16> {
    fields.count("port").and_then(|port| u16::try_from(port).ok())
}

fn hosts(fields: &Fields<'_>) -> Option<Hosts> {
    let version = fields.value("template_version").is_some();
    if fields.value("template").is_some() {
        let id = fields.label("template");
        let number = if version { Some(fields.count("template_version")?.to_string()) } else { None };
        return Some(Hosts::Template { id: id?, version: number });
    }
    if version {
        let at = fields.key_at("template_version").unwrap_or(fields.at.clone());
        let wrong = Wrong::new(at, "only a template has versions");
        fields.reader.refuse(wrong.hint("write `template: ID`, or leave `template_version` out"));
    }
    fields.choice("idle").map(|_| Hosts::Idle)
}

/// A package that is the same for every revision would roll out what runs already.
fn package(fields: &Fields<'_>, text: String) -> Option<String> {
    let node = fields.value("package")?;
    let web = text.starts_with("https://") || text.starts_with("http://");
    let message = match (web, text.contains("{revision}")) {
        (true, true) => return Some(text),
        (false, _) => format!("`{}` is no address of a package", shown(&text)),
        (true, false) => format!("`{}` names the same package for every revision", shown(&text)),
    };
    let hint = "write `https://HOST/PATH` with `{revision}` where the revision stands";
    fields.reader.refuse(Wrong::new(node.at.clone(), message).hint(hint));
    None
}

fn groups(fields: &Fields<'_>, usual: Option<u16>) -> Option<BTreeMap<GroupId, EdasGroup>> {
    let mut groups = BTreeMap::new();
    let mut taken: BTreeMap<String, Range<usize>> = BTreeMap::new();
    let mut whole = true;
    for (key, inside) in fields.named("groups")? {
        let name = fields.reader.name::<GroupId>(key);
        let group = inside.as_ref().and_then(|fields| group(fields, usual));
        let (Some(name), Some(group), Some(inside)) = (name, group, inside) else {
            whole = false;
            continue;
        };
        for id in group.servers.ids() {
            if taken.insert(id.clone(), key.at.clone()).is_some() {
                let message = format!("the server group `{}` is declared twice", shown(id));
                fields
                    .reader
                    .refuse(Wrong::new(inside.at.clone(), message).hint("name it in one group only"));
            }
        }
        groups.insert(name, group);
    }
    whole.then_some(groups)
}

fn group(fields: &Fields<'_>, usual: Option<u16>) -> Option<EdasGroup> {
    let port = if fields.value("port").is_some() { port(fields) } else { usual };
    let one = |key: &str| fields.value(key).is_some().then(|| fields.label(key));
    let servers = if let Some(id) = one("alb") {
        id.map(EdasServers::Alb)
    } else if let Some(id) = one("nlb") {
        id.map(EdasServers::Nlb)
    } else if let Some(id) = one("clb") {
        id.map(EdasServers::Clb)
    } else if fields.value("nlb_twins").is_some() {
        fields.pair("nlb_twins").map(EdasServers::NlbTwins)
    } else if fields.value("clb_twins").is_some() {
        fields.pair("clb_twins").map(EdasServers::ClbTwins)
    } else {
        fields.pair("alb_twins").map(EdasServers::AlbTwins)
    };
    // Whichever of them it is, it is there once.
    let only = |key: &str, fits: bool, message: &str, hint: &str| {
        if fields.value(key).is_some() && !fits {
            let at = fields.key_at(key).unwrap_or(fields.at.clone());
            fields.reader.refuse(Wrong::new(at, message).hint(hint));
        }
    };
    let twins = ["alb_twins", "nlb_twins", "clb_twins"].map(|key| fields.value(key).is_some());
    let (any, blind) = (twins.contains(&true), twins[1] || twins[2]);
    let hint = "leave `by` out, or name one server group for both fleets";
    only("by", !any, "twins are shared by their routes", hint);
    let hint = "leave `unproved` out: elsewhere green is proved before it takes everything";
    only("unproved", blind, "only `nlb_twins` and `clb_twins` are switched unproved", hint);
    let accepts_unproved = fields.choice("unproved").is_some();
    let by = match fields.choice("by") {
        Some("weights") => ShareBy::Weights,
        _ => ShareBy::Membership,
    };
    let hint = "leave `whole` out, or `by: weights`";
    only("whole", by == ShareBy::Membership, "what is shared by weights takes every step", hint);
    let accepts_whole = fields.choice("whole").is_some();
    Some(EdasGroup { port: port?, servers: servers?, by, accepts_unproved, accepts_whole })
}
