//! What a running service consists of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::api::application::{self, Described};
use super::super::api::{clb, edas};
use super::super::client::{Client, Product};
use super::super::home::Home;
use super::super::memory::Memory;
use super::super::route::Place;
use super::super::servers::{Family, ServerGroup};
use super::super::survey::Survey;
use super::kubernetes;
use crate::cloud::{Fault, FaultKind, Scope};
use crate::model::{ServiceName, Span};
use crate::spec::{DeployGroups, EdasFleets, EdasSpec, Hosts};

/// How long one call may take: what a deployment file says where it says nothing.
pub(super) const CALL_TIMEOUT: Span = Span::secs(10);
/// How the second deploy group is called where there is only one.
const SECOND: &str = "green";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) fleets: EdasFleets,
    /// What runs, and how that is known.
    pub(super) revision: (String, String),
    pub(super) port: u32,
    pub(super) groups: Vec<Group>,
    /// What somebody should know or decide.
    pub(super) remarks: Vec<String>,
}

/// A server group, or two that share a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub name: String,
    pub id: String,
    pub family: Family,
    pub twin: Option<String>,
    /// What makes green's share of it.
    pub by: Share,
    pub port: Option<u32>,
    /// Why it is in the file.
    pub because: Vec<String>,
    pub routes: BTreeSet<String>,
}

/// What makes green's share of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// The weights of rules.
    Rules,
    /// The weights of servers.
    Servers,
    /// Nothing: it takes no steps.
    Whole,
}

/// Looks for everything that belongs to an application, by its id or its name.
///
/// # Errors
/// A call's fault, or a service that cannot be described in a file.
pub async fn find(service: &ServiceName, application: &str, region: Option<String>) -> Result<Found, Fault> {
    let region = region.ok_or_else(|| {
        invalid("no region is configured: name one with --region or ALIBABA_CLOUD_REGION_ID")
    })?;
    let (client, account) = Client::anywhere(&region, CALL_TIMEOUT, None).await?;
    let (application, other) = match application.split_once(',') {
        Some((one, other)) => (one.trim(), Some(other.trim())),
        None => (application, None),
    };
    let described = named(&client, application).await?;
    if described.cluster_type.is_some_and(|kind| kind != application::ECS) {
        let asked = kubernetes::Asked { service, account, label: application, described, other };
        return Box::pin(kubernetes::find(&client, asked)).await;
    }
    if other.is_some() {
        return Err(invalid(
            "two applications alternate only on Kubernetes, and this one is on ECS instances",
        ));
    }
    let id = described.app_id.clone();
    let groups = edas::list_deploy_group(&client, &id).await?;
    let status = edas::query_application_status(&client, &id).await?;
    let full =
        |group: &edas::DeployGroup| status.ecc_list.all.iter().any(|ecc| ecc.group_id == group.group_id);
    let (pair, blue) = pair(&groups, &full)?;
    let spec = EdasSpec {
        account: account.clone(),
        region: region.clone(),
        fleets: EdasFleets::Groups(DeployGroups {
            application: id.clone(),
            pair: pair.clone(),
            hosts: Hosts::Idle,
            package: String::new(),
        }),
        call_timeout: CALL_TIMEOUT,
        pace: Span::secs(5),
        groups: BTreeMap::new(),
    };
    let home = Home { service: service.clone(), spec };
    let scope = Scope { service: service.clone(), groups: BTreeSet::new(), fleets: BTreeSet::new() };
    let survey = Box::pin(Survey::read(&client, &home, &Memory::default(), &scope)).await?;
    let names = names(&client, &survey).await?;
    let seen = Seen { survey: &survey, names: &names };
    let found = seen.groups()?;
    let mut remarks = seen.remarks(&found);
    let (revision, package) = installed(&client, &id, blue, &mut remarks).await?;
    let hosts = hosts(&client, &id, blue).await?;
    let (found, port) = (movable(found)?, described.port);
    let port =
        usual(&found).or(port).ok_or_else(|| invalid("no port is known on which the service listens"))?;
    let name = described.name.unwrap_or_else(|| application.to_owned());
    let fleets = EdasFleets::Groups(DeployGroups { application: id, pair, hosts, package });
    Ok(Found { account, region, name, fleets, revision, port, groups: found, remarks })
}

pub(super) fn missing(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Missing, "Init", message)
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, "Init", message)
}

/// The application of this id or, exactly, of this name.
pub(super) async fn named(client: &Client, application: &str) -> Result<Described, Fault> {
    if application::is_id(application) {
        return application::describe(client, application).await;
    }
    let all = application::list(client, application).await?;
    let same: Vec<_> = all.iter().filter(|one| one.name.as_deref() == Some(application)).collect();
    match same.as_slice() {
        [one] => application::describe(client, &one.app_id).await,
        [] => Err(missing(format!("there is no application `{application}` in {}", client.region()))),
        several => {
            let ids: Vec<_> = several.iter().map(|one| one.app_id.as_str()).collect();
            Err(invalid(format!(
                "several applications are called `{application}`: give one of {}",
                ids.join(", ")
            )))
        }
    }
}

/// The two deploy groups, and which of them has instances.
fn pair<'a>(
    groups: &'a [edas::DeployGroup],
    full: &dyn Fn(&edas::DeployGroup) -> bool,
) -> Result<([String; 2], &'a edas::DeployGroup), Fault> {
    let serving: Vec<_> = groups.iter().filter(|group| full(group)).collect();
    let resting = groups.iter().filter(|group| !full(group));
    let title = |group: &edas::DeployGroup| group.group_name.clone();
    match serving.as_slice() {
        [] => Err(missing("no deploy group of the application has an instance: there is no blue")),
        [blue] => {
            // The default group cannot be deleted, so it is often there, empty, beside two that are meant.
            let other = resting.min_by_key(|group| group.group_name == "_DEFAULT_GROUP");
            let second = if blue.group_name == SECOND { "blue" } else { SECOND };
            Ok(([title(blue), other.map_or_else(|| second.to_owned(), title)], blue))
        }
        [one, other] => Ok(([title(one), title(other)], one)),
        several => {
            let names: Vec<_> = several.iter().map(|group| group.group_name.as_str()).collect();
            Err(invalid(format!(
                "{} deploy groups have instances ({}), and two alternate: empty the others first",
                several.len(),
                names.join(", ")
            )))
        }
    }
}

/// What is installed, and where packages lie.
async fn installed(
    client: &Client,
    id: &str,
    blue: &edas::DeployGroup,
    remarks: &mut Vec<String>,
) -> Result<((String, String), String), Fault> {
    let version = blue.package_version.clone().filter(|version| !version.is_empty());
    let version = version.ok_or_else(|| invalid("nothing has been deployed to it yet: deploy once"))?;
    let history = application::packages(client, id).await?;
    let known = history.iter().find(|one| one.package_version.as_ref() == Some(&version));
    let url = known.and_then(|one| one.war_url.clone()).filter(|url| url.starts_with("http"));
    let package = match &url {
        Some(url) if url.contains(&version) => url.replace(&version, "{revision}"),
        other => {
            let shown = other.as_deref().unwrap_or("not known");
            remarks.push(format!("where the package of a revision lies cannot be told from the last one ({shown}): write it into `package`"));
            "https://BUCKET.oss-REGION.aliyuncs.com/{revision}.jar".to_owned()
        }
    };
    Ok(((version, format!("the package version of the deploy group {}", blue.group_name)), package))
}

/// As its scaling rule buys instances, or from those of the cluster that are idle.
async fn hosts(client: &Client, id: &str, blue: &edas::DeployGroup) -> Result<Hosts, Fault> {
    let rules = edas::get_scaling_rules(client, id, &blue.group_id).await?;
    let template = rules.into_iter().find_map(|rule| {
        let id = rule.template_id.filter(|id| !id.is_empty())?;
        Some(Hosts::Template { id, version: rule.template_version.filter(|n| *n > 0).map(|n| n.to_string()) })
    });
    Ok(template.unwrap_or(Hosts::Idle))
}

/// How people call each server group, by its id.
pub(super) async fn names(client: &Client, survey: &Survey) -> Result<BTreeMap<String, String>, Fault> {
    let mut names = BTreeMap::new();
    let text = |group: &Value, key: &str| group[key].as_str().map(str::to_owned);
    for product in [Product::Alb, Product::Nlb] {
        let all = application::pools(client, product).await?;
        names.extend(
            all.iter()
                .filter_map(|group| Some((text(group, "ServerGroupId")?, text(group, "ServerGroupName")?))),
        );
    }
    let standing = survey.standing();
    let balancers = standing.iter().filter_map(|id| survey.group(id)?.balancer.clone());
    for balancer in balancers.collect::<BTreeSet<_>>() {
        let all = clb::groups(client, &balancer).await?;
        names.extend(all.into_iter().filter_map(|group| Some((group.id, group.name?))));
    }
    Ok(names)
}

/// What was read, with the words to read it in.
pub(super) struct Seen<'a> {
    pub survey: &'a Survey,
    pub names: &'a BTreeMap<String, String>,
}

impl Seen<'_> {
    /// Every server group: by who stands in it, by what EDAS keeps, and by what Auto Scaling does.
    pub fn groups(&self) -> Result<Vec<Group>, Fault> {
        for (id, answer) in self.survey.all_servers() {
            answer
                .as_ref()
                .map_err(|fault| Fault { message: format!("{id}: {}", fault.message), ..fault.clone() })?;
        }
        if let Some(fault) =
            [Product::Alb, Product::Nlb, Product::Clb].iter().find_map(|own| self.survey.broken(*own))
        {
            return Err(fault.clone());
        }
        let standing = self.survey.standing();
        let fleets = self.survey.fleets.all.values().filter_map(crate::model::Seen::known);
        let by_edas: BTreeSet<String> =
            fleets.flat_map(|now| now.seen.attached.iter().map(ToString::to_string)).collect();
        let by_scaling: BTreeSet<&String> = self.survey.attached.values().flat_map(BTreeMap::keys).collect();
        let all = standing.iter().chain(&by_edas).chain(by_scaling.iter().copied()).collect::<BTreeSet<_>>();
        let mut found = Vec::new();
        for id in all {
            let group = self
                .survey
                .group(id)
                .ok_or_else(|| missing(format!("the server group `{id}` cannot be seen")))?;
            let reasons = [
                (standing.contains(id), "instances are registered in it"),
                (by_edas.contains(id), "EDAS keeps it in step"),
                (by_scaling.contains(id), "the scaling group of its instances is attached to it"),
            ];
            let because = reasons.iter().filter(|(is, _)| *is).map(|(_, why)| (*why).to_owned()).collect();
            let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
            let routes =
                routes.iter().filter(|route| !route.preview).map(|route| route.name.clone()).collect();
            let name = self.names.get(id).cloned().unwrap_or_else(|| id.clone());
            let (port, twin) = (self.port(id), self.twin(group)?);
            let by = self.share(group, twin.is_some())?;
            found.push(Group { name, id: id.clone(), family: group.family, twin, by, port, because, routes });
        }
        if found.is_empty() {
            return Err(missing("the service stands in no server group, so there is nothing to switch"));
        }
        Ok(unique(paired(found)))
    }

    /// What can make green's share of it: of twins their rules, where it is rules alone that lead to them.
    fn share(&self, group: &ServerGroup, twins: bool) -> Result<Share, Fault> {
        let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
        let rules =
            routes.iter().filter(|route| !route.preview).all(|route| matches!(route.place, Place::Rule(_)));
        Ok(if twins && rules {
            Share::Rules
        } else if !twins && group.heeds_weights {
            Share::Servers
        } else {
            Share::Whole
        })
    }

    /// The port on which its instances stand there.
    fn port(&self, id: &str) -> Option<u32> {
        let servers = self.survey.servers(id)?.as_ref().ok()?;
        servers.iter().find(|server| self.survey.owners.of_server(server).is_some())?.port
    }

    /// The only other server group in the same rules.
    fn twin(&self, group: &ServerGroup) -> Result<Option<String>, Fault> {
        if group.family != Family::Alb {
            return Ok(None);
        }
        let routes = self.survey.routes_of(group).map_err(Clone::clone)?;
        let beside: BTreeSet<&str> = routes
            .iter()
            .filter(|route| !route.preview)
            .flat_map(|route| route.tuples.iter().map(|(id, _)| id.as_str()))
            .filter(|id| *id != group.id)
            .collect();
        let mut beside = beside.into_iter();
        let only = beside.next().filter(|_| beside.len() == 0);
        Ok(only.map(str::to_owned))
    }

    pub fn remarks(&self, found: &[Group]) -> Vec<String> {
        let mut remarks: Vec<_> =
            self.survey.unread.iter().map(|what| format!("not known: {what}")).collect();
        for group in found.iter().filter(|group| group.family == Family::ClassicPair) {
            remarks.push(format!("it also stands in {}, a master and a slave, which cannot be moved from here: a rollout is refused until that is a vServer group", group.id));
        }
        remarks
    }
}

/// Twins that were both found are one group.
fn paired(groups: Vec<Group>) -> Vec<Group> {
    let mut whole: Vec<Group> = Vec::new();
    for group in groups {
        match whole.iter_mut().find(|known| known.twin.as_ref() == Some(&group.id)) {
            Some(known) => {
                known.routes.extend(group.routes);
                let news =
                    group.because.into_iter().filter(|why| !known.because.contains(why)).collect::<Vec<_>>();
                known.because.extend(news);
            }
            None => whole.push(group),
        }
    }
    whole
}

/// Two groups of one name are told apart by their ids.
fn unique(mut groups: Vec<Group>) -> Vec<Group> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for group in &groups {
        *counts.entry(group.name.clone()).or_default() += 1;
    }
    for group in &mut groups {
        let label = crate::model::GroupId::new(group.name.clone()).is_ok();
        if !label || counts.get(&group.name).is_some_and(|count| *count > 1) {
            group.name.clone_from(&group.id);
        }
    }
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    groups
}

/// Those that a file can declare.
fn movable(found: Vec<Group>) -> Result<Vec<Group>, Fault> {
    let declared = |group: &Group| group.family != Family::ClassicPair;
    let groups: Vec<_> = found.into_iter().filter(declared).collect();
    if groups.is_empty() {
        return Err(missing(
            "the service stands only in groups of a master and a slave, which cannot be moved from here: give it a vServer group",
        ));
    }
    Ok(groups)
}

/// The port that most groups use.
pub(super) fn usual(groups: &[Group]) -> Option<u32> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for port in groups.iter().filter_map(|group| group.port) {
        *counts.entry(port).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(port, count)| (*count, std::cmp::Reverse(*port))).map(|(port, _)| port)
}
